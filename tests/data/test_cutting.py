"""Clips: from films of every kind to windows, split by source film, with a reason for each choice."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from movies import animation, movie, mp4, png, strip
from PIL import Image as Pillow

from agon.data import Data, check, open_data
from agon.data.clips import cut, cut_in_time
from agon.data.layouts import Shelf, find_layout
from agon.data.splits import group_marks, groups_of, held_groups
from agon.data.windows import Windows
from agon.errors import InputError
from agon.spaces import Image, Video


def strips(folder: Path, films: dict[str, np.ndarray]) -> Path:
    for k, (name, film) in enumerate(films.items()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(strip(film, down=k % 3 == 0))
    return folder


def agrees(data_set, films: dict[str, np.ndarray], stride: int = 1) -> None:
    """Every window is frames of its film in a row, pixel for pixel, and no film is on both sides."""
    for samples in (data_set.train, data_set.held):
        for k in range(len(samples)):
            film = torch.from_numpy(films[data_set.names[samples.index[k]]].transpose(0, 3, 1, 2).copy())
            clip = samples.x[k]
            span = (len(clip) - 1) * stride + 1
            assert any(torch.equal(clip, film[start : start + span : stride]) for start in range(len(film) - span + 1))
    assert not set(data_set.train.index) & set(data_set.held.index)


# -- what lies there -------------------------------------------------------------------------------------------------------------------


def test_strips_in_a_zip(opened, tmp_path):
    films = {f"{k % 2}/{k:03d}.png": movie(k, 8 + k) for k in range(12)}
    with zipfile.ZipFile(tmp_path / "strips.zip", "w") as archive:
        for k, (name, film) in enumerate(films.items()):
            archive.writestr(name, strip(film, down=k % 3 == 0))
    data_set = opened(tmp_path / "strips.zip", frames=6, size=16)
    assert isinstance(data_set.space, Video) and data_set.space.classes == ("0", "1")
    assert isinstance(data_set.train.x, Windows)
    assert data_set.card["kind"] == "zip of strips"
    assert len(data_set.train) + len(data_set.held) == sum(8 + k - 5 for k in range(12))
    agrees(data_set, films)
    for samples in (data_set.train, data_set.held):
        assert samples.y.tolist() == [int(data_set.names[i][0]) for i in samples.index]
    assert isinstance(opened(tmp_path / "strips.zip", size=16).space, Image), "strips are pictures unless clips are asked for"
    assert "look like strips" in " ".join(opened(tmp_path / "strips.zip", size=16).card["notes"])


def test_stride_and_hop(opened, tmp_path):
    films = {f"{k}.png": movie(k, 20) for k in range(10)}
    strips(tmp_path / "s", films)
    every = opened(tmp_path / "s", frames=4, stride=3, size=16)
    assert len(every.train) + len(every.held) == 10 * (20 - 9)
    agrees(every, films, stride=3)
    fewer = opened(tmp_path / "s", frames=4, stride=3, hop=4, size=16)
    assert len(fewer.train) + len(fewer.held) == 10 * 3
    assert fewer.reasons["cache"].startswith("found"), "to cut differently, nothing is decoded again"
    assert fewer.content_hash != every.content_hash
    assert fewer.space.fps == every.space.fps == 12


def test_frame_folders_with_gaps(opened, tmp_path):
    films = {}
    for k in range(10):
        name = f"{'ab'[k % 2]}/clip ä{k}"
        films[name] = movie(k, 12)
        for t in range(12):
            if (k, t) not in ((3, 5), (3, 6)):
                place = tmp_path / "f" / name / f"frame_{t * (5 if k == 4 else 1)}.png"
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(png(films[name][t]))
    data_set = opened(tmp_path / "f", frames=4, size=16)
    assert data_set.card["kind"] == "folder of frame folders" and data_set.space.classes == ("a", "b")
    assert len(data_set.train) + len(data_set.held) == 9 * 9 + 2 + 2, "no clip spans the gap"
    agrees(data_set, films)
    assert data_set.card["films"]["partial"] == [["b/clip ä3", "pictures are missing between 4 and 7"]]
    assert data_set.card["films"]["holes"] == 1
    with zipfile.ZipFile(tmp_path / "f.zip", "w") as archive:
        for place in (tmp_path / "f").rglob("*.png"):
            archive.write(place, "top/" + str(place.relative_to(tmp_path / "f")))
    zipped = opened(tmp_path / "f.zip", frames=4, size=16)
    assert zipped.content_hash == data_set.content_hash, "a zip with a folder inside is the same set"
    assert isinstance(opened(tmp_path / "f", size=16).space, Image)


def test_several_films_in_one_folder(opened, tmp_path):
    films = {f"clip{k}": movie(k, 7) for k in range(9)}
    (tmp_path / "f").mkdir()
    for name, film in films.items():
        for t, frame in enumerate(film):
            (tmp_path / "f" / f"{name}_{t:02d}.png").write_bytes(png(frame))
    data_set = opened(tmp_path / "f", frames=4, size=16)
    assert sorted(data_set.names) == sorted(films)
    agrees(data_set, films)


@pytest.mark.parametrize(("kind", "suffix"), [("GIF", "gif"), ("WEBP", "webp"), ("PNG", "png")])
def test_animations(opened, tmp_path, kind, suffix):
    (tmp_path / "a").mkdir()
    for k in range(10):
        (tmp_path / "a" / f"{k}.{suffix}").write_bytes(animation(movie(k, 6 + k), kind, 50))
    data_set = opened(tmp_path / "a", frames=4, size=16)
    assert data_set.space.fps == pytest.approx(20) and data_set.card["kind"] == "folder of animations"
    assert len(data_set.train) + len(data_set.held) == sum(3 + k for k in range(10))
    unasked = opened(tmp_path / "a", size=16)
    assert isinstance(unasked.space, Video if kind == "GIF" else Image), "animated GIFs are clips by themselves"


def test_a_folder_of_still_gifs_stays_images(opened, tmp_path):
    (tmp_path / "a").mkdir()
    for k in range(10):
        (tmp_path / "a" / f"{k}.gif").write_bytes(animation(movie(k, 1 if k else 5), "GIF"))
    assert isinstance(opened(tmp_path / "a", size=16).space, Image)


def test_arrays(opened, tmp_path):
    x = np.stack([movie(k, 9) for k in range(12)])
    names = {f"{k:02d}": film for k, film in enumerate(x)}
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(12) % 3)
    np.savez(tmp_path / "b.npz", videos=x.transpose(0, 1, 4, 2, 3))
    np.save(tmp_path / "c.npy", x)
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.write(tmp_path / "b.npz", "inside/b.npz")
    hashes = []
    for name in ("a.npz", "b.npz", "c.npy", "z.zip"):
        data_set = opened(tmp_path / name, frames=4, size=16, labels="ignore")
        agrees(data_set, names)
        hashes.append(data_set.content_hash)
    assert len(set(hashes[1:])) == 1 and hashes[0] != hashes[1], "the same but for the labels, which are part of the hash"
    labelled = opened(tmp_path / "a.npz", size=16)
    assert labelled.space.frames == 8 and labelled.space.num_classes == 3, "five axes are clips, asked for or not"
    assert labelled.train.y.tolist() == [i % 3 for i in labelled.train.index]


def test_grey_arrays_and_moving_mnist(opened, tmp_path):
    films = np.stack([movie(k, 6)[..., 1] for k in range(60)])
    np.save(tmp_path / "a.npy", films[:12])
    np.save(tmp_path / "b.npy", films.transpose(1, 0, 2, 3))
    names = {f"{k:02d}": film[..., None] for k, film in enumerate(films)}
    for place in (tmp_path / "a.npy", tmp_path / "b.npy"):
        data_set = opened(place, frames=4, size=16)
        assert data_set.space.channels == 1
        agrees(data_set, names)
    assert len(set(data_set.train.index) | set(data_set.held.index)) == 60


def test_video_files(opened, tmp_path):
    pytest.importorskip("av")
    for k in range(10):
        mp4(tmp_path / "v" / ("train" if k < 7 else "test") / f"ü {k}.mp4", movie(k, 3 if k == 4 else 12, 17, 33), rate=10)
    (tmp_path / "v" / "train" / "empty.mp4").write_bytes(b"")
    (tmp_path / "v" / "train" / "ü 0.jpg").write_bytes(png(movie(0, 1)[0]))
    data_set = opened(tmp_path / "v", frames=4, size=8)
    assert (len(data_set.train), len(data_set.held)) == (6 * 9, 3 * 9)
    assert data_set.reasons["split"].endswith("train and test folders")
    assert data_set.card["films"]["short"] == [["train/ü 4.mp4", "3 frames, a clip spans 4"]]
    assert data_set.card["unreadable"] == [["train/empty.mp4", "empty file (0 bytes)"]]
    assert data_set.card["ignored"] == {".jpg": 1}, "a thumbnail is no sample"
    assert data_set.space.fps == 10
    slower = opened(tmp_path / "v", fps=5, frames=4, size=8)
    assert (slower.space.fps, len(slower.train)) == (5, 6 * 3)
    assert torch.equal(slower.train.x.frames[:6], data_set.train.x.frames[:12:2])
    with zipfile.ZipFile(tmp_path / "v.zip", "w") as archive:
        for place in (tmp_path / "v").rglob("*.mp4"):
            archive.write(place, str(place.relative_to(tmp_path / "v")))
    assert opened(tmp_path / "v.zip", frames=4, size=8).content_hash == data_set.content_hash


def test_without_a_wish_the_length_fits_the_films(opened, tmp_path):
    films = {f"{k}.gif": movie(k, 40) for k in range(9)} | {"9.gif": movie(9, 3)}
    (tmp_path / "a").mkdir()
    for name, film in films.items():
        (tmp_path / "a" / name).write_bytes(animation(film, "GIF"))
    assert opened(tmp_path / "a", size=16).reasons["frames"] == "16, usual in the field"
    shorter = opened(tmp_path / "a", size=16, stride=5)
    assert shorter.space.frames == 8 and shorter.reasons["frames"] == "8; nine tenths of the films have 40 frames or more"


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(
        st.from_regex(r"([ab ]{1,2}/){0,2}[a-cä]{0,2}[_-]?[0-9]{0,3}", fullmatch=True).filter(lambda name: name[-1:] not in ("", "/")),
        min_size=1, max_size=30, unique=True,
    ),
)  # fmt: skip
def test_every_picture_is_in_one_film(names):
    pictures = sorted(name + ".png" for name in names)
    shelf = Shelf("set", pictures, lambda name: png(np.zeros((3, 4), np.uint8)), lambda name: None)
    layout = find_layout(shelf, pictures, True)
    assert layout.kind == "frame folders" and len(layout.names) == len(layout.parts)
    assert sorted(name for part in layout.parts for name in part) == pictures
    for part in layout.parts:
        assert len({name.rsplit("/", 1)[0] if "/" in name else "" for name in part}) == 1, "a film lies in one folder"
        values = [int(re.search(r"(\d*)\.png$", name)[1] or 0) for name in part]
        assert values == sorted(values)
    assert find_layout(shelf, pictures, False) is None


# -- splits ----------------------------------------------------------------------------------------------------------------------------


def test_mirrored_and_repeated_films_stay_together(opened, tmp_path):
    films = {}
    for k in range(12):
        film = movie(k, 10)
        films[f"{2 * k:03d}.png"], films[f"{2 * k + 1:03d}.png"] = film, film[:, :, ::-1] if k % 2 else film
    strips(tmp_path / "s", films)
    data_set = opened(tmp_path / "s", frames=4, size=16)
    assert data_set.card["films"]["twins"] == [[f"{2 * k:03d}.png", f"{2 * k + 1:03d}.png"] for k in range(12)]
    held = {int(data_set.names[i][:3]) // 2 for i in data_set.held.index}
    assert held and not held & {int(data_set.names[i][:3]) // 2 for i in data_set.train.index}
    assert data_set.card["duplicates"] == 6
    plain = opened(strips(tmp_path / "p", {f"{k}.png": movie(k, 10) for k in range(40)}), frames=4, size=16)
    assert plain.card["films"]["num_twins"] == 0, "films that merely look of a kind are not twins"


def test_films_encoded_again_are_twins(opened, tmp_path):
    pytest.importorskip("av")
    ground = np.asarray(Pillow.fromarray(np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((160, 96)))
    for k in range(8):
        film = np.roll(ground, 18 * k, axis=1)[None].repeat(12, 0)
        film[:, 8 + 8 * k : 24 + 8 * k, 20:40] = movie(k, 12, 16, 20)
        mp4(tmp_path / "v" / f"{k}.mp4", film)
        mp4(tmp_path / "v" / f"{k} again.mp4", film[:, :, ::-1] if k % 2 else film, crf="30", pixels="yuv420p")
    data_set = opened(tmp_path / "v", frames=8, size=32)
    assert data_set.card["duplicates"] == 0
    assert data_set.card["films"]["twins"] == [[f"{k} again.mp4", f"{k}.mp4"] for k in range(8)]


def test_overlapping_cuts_of_one_film_stay_together(opened, tmp_path):
    long = [np.random.default_rng(k).integers(0, 256, (26, 8, 8, 3), dtype=np.uint8) for k in range(6)]
    x = np.stack([film[start : start + 10] for film in long for start in (0, 4, 8, 12, 16)])
    np.savez(tmp_path / "a.npz", x=x)
    data_set = opened(tmp_path / "a.npz", frames=4, size=8)
    assert data_set.card["films"]["num_groups"] == 6
    assert not {i // 5 for i in data_set.train.index.tolist()} & {i // 5 for i in data_set.held.index.tolist()}


def test_groups_by_name_and_by_column(opened, tmp_path):
    folder = strips(tmp_path / "s", {f"actor{k // 4}_{k}.png": movie(k, 8) for k in range(40)})
    for how in (r"actor(\d+)", "who"):
        if how == "who":
            (folder / "labels.csv").write_text("file,who\n" + "\n".join(f"actor{k // 4}_{k}.png,{k // 4}" for k in range(40)))
        data_set = opened(folder, frames=4, size=16, group=how)
        sides = [{data_set.names[i].split("_")[0] for i in part.index} for part in (data_set.train, data_set.held)]
        assert sides[1] and not sides[0] & sides[1] and len(sides[0] | sides[1]) == 10
        assert data_set.space.condition_dim == 0, "what groups films is no condition"
        assert f"10 groups by {how}" in data_set.reasons["split"]
    with pytest.raises(InputError, match="group=.* is in none of the 40 names; expected one that is in names such as 'actor0_0.png'"):
        opened(folder, frames=4, size=16, group=r"take(\d+)")
    with pytest.raises(InputError, match="group='when' is no column"):
        opened(folder, frames=4, size=16, group="when")


def test_one_film_is_divided_in_time(opened, tmp_path):
    np.save(tmp_path / "a.npy", movie(1, 60))
    data_set = opened(tmp_path / "a.npy", frames=4, size=16, holdout=0.25)
    assert (len(data_set.train), len(data_set.held)) == (45 - 3, 15 - 3)
    assert data_set.train.x.starts.max() + 3 < data_set.held.x.starts.min()
    assert "its last 25% of frames are held back" in data_set.reasons["split"]
    assert len(opened(tmp_path / "a.npy", frames=4, size=16, holdout=0).held) == 0


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=12), frames=st.integers(2, 9), stride=st.integers(1, 4), hop=st.integers(1, 7),
    share=st.sampled_from([0.1, 0.3, 0.5]),
)  # fmt: skip
def test_no_window_leaves_its_run(lengths, frames, stride, hop, share):
    ends = np.cumsum(lengths)
    runs = np.stack([np.arange(len(lengths)), ends - lengths, lengths], axis=1)
    span = (frames - 1) * stride + 1
    starts, film = cut(runs, frames, stride, hop)
    assert ((starts >= runs[film, 1]) & (starts + span <= ends[film])).all()
    assert np.bincount(film, minlength=len(lengths)).tolist() == [max(0, (length - span) // hop + 1) for length in lengths]
    halves = cut_in_time(runs, share, span)
    if halves is None:
        return
    train, held = (np.concatenate([np.arange(start, start + length) for _, start, length in part]) for part in halves)
    assert not set(train) & set(held) and max(train) < min(held)
    assert all(length >= span for part in halves for _, _, length in part)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), count=st.integers(2, 60), share=st.sampled_from([0.05, 0.1, 0.25, 0.5]))
def test_groups_are_never_divided(data, count, share):
    twins = np.minimum.accumulate(np.arange(count)[::-1])[::-1] * 0 + np.arange(count)
    for one, other in data.draw(st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=10)):
        low, high = sorted((twins[one], twins[other]))
        twins[twins == high] = low
    words = [str(data.draw(st.integers(0, 6))) if data.draw(st.booleans()) else None for _ in range(count)]
    groups = groups_of(twins, words)
    assert all(
        groups[a] == groups[b] for a in range(count) for b in range(a) if twins[a] == twins[b] or (words[a] and words[a] == words[b])
    )
    marks = group_marks(groups, np.random.default_rng(count).integers(0, 2**63, count).astype(np.uint64), words)
    weights = np.array([data.draw(st.integers(0, 20)) for _ in range(count)], dtype=np.float64)
    held, how = held_groups(groups, marks, weights, share)
    assert all(len(set(held[groups == group])) == 1 for group in np.unique(groups))
    if how in ("groups", "lowest"):
        assert 0 < weights[held].sum() < weights.sum(), "neither side is empty"
    else:
        assert how == "one group" and len({groups[k] for k in range(count) if weights[k] > 0}) < 2


def test_adding_films_moves_none(opened, tmp_path):
    films = {f"{k:03d}.png": movie(k, 6) for k in range(80)}
    first = opened(strips(tmp_path / "s", films), frames=4, size=16)
    assert "as near to" not in first.reasons["split"]
    held = {first.names[i] for i in first.held.index}
    more = opened(strips(tmp_path / "s", {f"{k:03d}.png": movie(k, 6) for k in range(80, 100)}), frames=4, size=16)
    assert {more.names[i] for i in more.held.index} & set(films) == held


# -- what goes with the clips ----------------------------------------------------------------------------------------------------------


def test_captions_from_a_table_and_from_text_files(opened, tmp_path):
    films = {f"{k}.png": movie(k, 6) for k in range(12)}
    table = strips(tmp_path / "t", films)
    (table / "captions.csv").write_text("file,caption\n" + "\n".join(f"{k}.png,a patch number {k % 5} goes round {k}" for k in range(12)))
    texts = strips(tmp_path / "x", films)
    for k in range(12):
        (texts / f"{k}.txt").write_text(f"\na patch number {k % 5} goes round {k}\n")
    for folder, origin in ((table, "captions.csv"), (texts, "text files")):
        data_set = opened(folder, frames=4, size=16, condition="captions")
        for samples in (data_set.train, data_set.held):
            assert samples.captions == [
                f"a patch number {int(data_set.names[i][:-4]) % 5} goes round {data_set.names[i][:-4]}" for i in samples.index
            ]
            assert samples.y.shape == (len(samples), 7)
        assert "patch" in data_set.space.words and data_set.card["captions"]["origin"] == origin
    carried = opened(texts, frames=4, size=16)
    assert carried.train.captions[0].startswith("a patch number"), "carried along even where nothing is conditioned on them"


def test_transparent_strips_are_composited_on_white(opened, tmp_path):
    for k in range(10):
        film = np.concatenate([movie(k, 6), np.full((6, 16, 16, 1), 0, np.uint8)], axis=-1)
        (tmp_path / f"{k}.png").write_bytes(strip(film))
    data_set = opened(tmp_path, frames=4, size=16)
    assert data_set.space.channels == 3 and (data_set.train.x[:] == 255).all()


def test_grey_films_are_seen_as_grey(opened, tmp_path):
    films = {f"{k}.png": np.repeat(movie(k, 6)[..., :1], 3, axis=-1) for k in range(10)}
    assert opened(strips(tmp_path / "g", films), frames=4, size=16).space.channels == 1


def test_mapped_and_in_memory_are_the_same(opened, tmp_path):
    strips(tmp_path / "s", {f"{k}.png": movie(k, 9) for k in range(10)})
    ram, mapped = (opened(tmp_path / "s", frames=4, size=16, memory=how) for how in ("ram", "mmap"))
    assert "mapped from the cache file" in mapped.reasons["memory"]
    assert torch.equal(ram.train.x[:], mapped.train.x[:]) and ram.content_hash == mapped.content_hash


def test_an_unwritable_cache_is_done_without(tmp_path):
    strips(tmp_path / "s", {f"{k}.png": movie(k, 9) for k in range(10)})
    (tmp_path / "file").write_text("in the way")
    data_set = open_data(Data(path=str(tmp_path / "s"), frames=4, size=16), cache=tmp_path / "file")
    assert data_set.reasons["cache"].startswith("not used, decoded into memory: ")
    agrees(data_set, {f"{k}.png": movie(k, 9) for k in range(10)})


def test_damaged_frames_in_the_cache_are_noticed(opened, tmp_path, cache):
    strips(tmp_path / "s", {f"{k}.png": movie(k, 9) for k in range(10)})
    before = opened(tmp_path / "s", frames=4, size=16)
    place = next((cache / "data").iterdir()) / "frames.x"
    place.write_bytes(bytes(place.stat().st_size))
    after = opened(tmp_path / "s", frames=4, size=16)
    assert "damaged" in after.reasons["cache"] and after.content_hash == before.content_hash


def test_memory_stays_bounded_however_long_a_film_is(tmp_path):
    """A film of 150 frames of 1280×720, 415 MB decoded, takes no more memory than some tens of its frames."""
    pytest.importorskip("av")
    if not Path("/proc/self/status").exists():
        pytest.skip("no /proc here to measure by")
    ground = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), dtype=np.uint8)
    mp4(tmp_path / "long.avi", (np.roll(ground, 8 * k, axis=1) for k in range(150)), codec="mpeg4", pixels="yuv420p", **{"q:v": "31"})
    mp4(tmp_path / "short.avi", movie(1, 40, 64, 64), codec="mpeg4", pixels="yuv420p")
    code = f"""
import sys
from pathlib import Path
from agon.data import Data, open_data
def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
open_data(Data(path={str(tmp_path / "short.avi")!r}, frames=8, size=32), cache=Path({str(tmp_path)!r}) / "c")
before = peak()
data_set = open_data(Data(path={str(tmp_path / "long.avi")!r}, frames=8, size=32), cache=Path({str(tmp_path)!r}) / "c")
print(data_set.card["films"]["total_frames"], peak() - before)
"""
    frames, grown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert int(frames) == 150
    assert int(grown) < 160_000, f"{grown} kB more for a film of 415 MB"


# -- data check ------------------------------------------------------------------------------------------------------------------------


def test_check_tells_of_films(tmp_path, cache):
    films = {f"{k % 2}/{k:02d}.png": movie(k, 9) for k in range(12)} | {
        "0/mirrored.png": movie(0, 9)[:, :, ::-1],
        "1/short.png": movie(50, 4)[:3],
    }
    strips(tmp_path / "s", films)
    (tmp_path / "s" / "1" / "odd.png").write_bytes(png(np.zeros((7, 45), np.uint8)))
    report = check(Data(path=str(tmp_path / "s"), frames=4, size=16), tmp_path / "sheet.png", cache=cache)
    told = dict(report.rows())
    assert told["lengths"] == "3 to 9 frames, median 9; 120 in all"
    assert told["clips"] == "78 of 4 frames from 13 films: one begins at every frame"
    assert told["twins"].startswith("1 films show what another one shows, mirrored or not")
    lines = "\n".join(report.lines())
    assert "1/short.png: 3 frames, a clip spans 4" in lines and "0/00.png  0/mirrored.png" in lines
    assert "1/odd.png: a picture of 45×7 is no strip of square frames: 45 is no multiple of 7" in lines
    assert any("only 13 films" in warning for warning in report.warnings)
    sheet = Pillow.open(report.preview)
    rows = len({int(i) for i in open_data(Data(path=str(tmp_path / "s"), frames=4, size=16), cache=cache).train.index})
    assert sheet.size == (4 * 66 - 2, rows * 66 - 2), "a row a clip"
    playing = check(Data(path=str(tmp_path / "s"), frames=4, size=16), tmp_path / "sheet.gif", cache=cache)
    assert Pillow.open(playing.preview).n_frames == 4
    assert report.to_json()["card"]["films"]["num_twins"] == 1


# -- real films ------------------------------------------------------------------------------------------------------------------------


def test_mocogan_actions(real_data, opened):
    place = real_data / "mocogan" / "weizmann_actions_64.zip"
    if not place.exists():
        pytest.skip(f"MoCoGAN's strips are not at {place}")
    data_set = opened(place, frames=16, size=64)
    assert data_set.space.shape == (16, 3, 64, 64)
    assert data_set.space.classes == ("0", "1", "3", "4")
    assert data_set.card["films"]["total_frames"] == 2645
    assert data_set.card["films"]["num_twins"] == 0
    assert len(data_set.train) + len(data_set.held) == 2645 - 36 * 15
    with zipfile.ZipFile(place) as archive:
        name = data_set.names[data_set.train.index[0]]
        whole = np.asarray(Pillow.open(io.BytesIO(archive.read(name))).convert("RGB"))
    assert np.array_equal(data_set.train.x[0][0].numpy().transpose(1, 2, 0), whole[:, :64]), "pixels as they are in the file"


def test_real_videos(real_data, opened):
    pytest.importorskip("av")
    folder: Path = real_data / "video_clips"
    if not folder.is_dir():
        pytest.skip(f"no video files at {folder}")
    frames = {"bikes.mp4": 250, "carphone_pristine.mp4": 120, "nasa_13013.mp4": 325}
    rates = {"bikes.mp4": 25, "carphone_pristine.mp4": 30000 / 1001, "nasa_13013.mp4": 25}
    for name, count in frames.items():
        data_set = opened(folder / name, frames=16, size=16)
        assert data_set.card["films"]["total_frames"] == count, name
        assert data_set.space.fps == pytest.approx(rates[name], rel=1e-3)
    signs = opened(folder / "asl_gestures", frames=16, size=16, limit=2)
    assert signs.card["formats"] == {"h264 in matroska": 2} and signs.card["sizes"] == {"640×480": 2}


def test_a_sheet_of_embedded_clips_is_of_sixteen(tmp_path):
    report = check(Data(path="moving-shapes", limit=200), tmp_path / "sheet.png")
    assert Pillow.open(report.preview).size == (16 * 66 - 2, 16 * 66 - 2)
