"""Folders and zips of pictures: what is found, how it is labelled and split, what is skipped and why."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from agon.data import Data, open_data
from agon.errors import InputError


def test_a_flat_folder(tmp_path, make, opened):
    data_set = opened(make.fill(tmp_path / "p", 40))
    assert data_set.space.describe() == "16×16 RGB images"
    assert len(data_set.train) + len(data_set.held) == 40
    assert data_set.train.x.dtype == torch.uint8
    assert data_set.train.y is None
    assert data_set.reasons["size"] == "16×16: the power of two for a median short side of 20 pixels"
    assert "antialiased lanczos" in data_set.reasons["resize"]
    assert data_set.reasons["labels"].startswith("none")
    json.dumps(data_set.card)


def test_class_folders_label(tmp_path, make, opened):
    for k, name in enumerate(("cat", "dog", "owl")):
        make.fill(tmp_path / "p" / name, 10, start=10 * k)
    data_set = opened(tmp_path / "p")
    assert data_set.space.classes == ("cat", "dog", "owl")
    both = torch.cat([data_set.train.y, data_set.held.y])
    assert torch.bincount(both).tolist() == [10, 10, 10]
    names = [data_set.names[i] for i in data_set.train.index]
    assert all(name.startswith(data_set.space.classes[y]) for name, y in zip(names, data_set.train.y.tolist(), strict=True))
    assert opened(tmp_path / "p", labels="ignore").train.y is None


def test_a_wrapping_folder_is_no_class(tmp_path, make, opened):
    make.fill(tmp_path / "p" / "photos" / "a", 6)
    make.fill(tmp_path / "p" / "photos" / "b", 6, start=20)
    assert opened(tmp_path / "p").space.classes == ("a", "b")
    make.fill(tmp_path / "q" / "photos", 12)
    assert opened(tmp_path / "q").space.classes == ()


def test_numeric_classes_sort_as_numbers(tmp_path, make, opened):
    for k in (10, 2, 1):
        make.fill(tmp_path / "p" / str(k), 6, start=k * 10)
    assert opened(tmp_path / "p").space.classes == ("1", "2", "10")


def test_own_split_by_folders(tmp_path, make, opened):
    for part, start in (("train", 0), ("test", 100)):
        make.fill(tmp_path / "p" / part / "x", 8, start=start)
        make.fill(tmp_path / "p" / part / "y", 8, start=start + 50)
    data_set = opened(tmp_path / "p")
    assert (len(data_set.train), len(data_set.held)) == (16, 16)
    assert data_set.space.classes == ("x", "y")
    assert "train and test folders" in data_set.reasons["split"]


@pytest.mark.parametrize("text", ["file,label\n", "Label;Filename\n", "path\tclass\n"])
def test_labels_csv(tmp_path, make, opened, text):
    folder = make.fill(tmp_path / "p", 16)
    sign = next(s for s in ",;\t" if s in text)
    swapped = text.lower().startswith("label")
    rows = [(f"{k:03d}.png", "even" if k % 2 == 0 else "odd") for k in range(16)]
    text += "".join(sign.join(row[::-1] if swapped else row) + "\r\n" for row in rows)
    (folder / "labels.csv").write_text(text, encoding="utf-8-sig")
    data_set = opened(folder)
    assert data_set.space.classes == ("even", "odd")
    for samples in (data_set.train, data_set.held):
        assert samples.y.tolist() == [int(i) % 2 for i in samples.index]
    assert data_set.card["labels"]["origin"] == "labels.csv"
    assert ".csv" not in data_set.card["ignored"]


@pytest.mark.parametrize("as_zip", [False, True])
def test_dataset_json_as_stylegan_writes_it(tmp_path, make, opened, as_zip):
    members = {f"00/{k:03d}.png": make.png(k) for k in range(16)}
    members["dataset.json"] = json.dumps({"labels": [[name, k % 3] for k, name in enumerate(members)], "classes": ["a", "b", "c"]}).encode()
    place = tmp_path / "p.zip"
    if as_zip:
        make.zipped(place, members)
    else:
        place = tmp_path / "p"
        for name, raw in members.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(raw)
    data_set = opened(place)
    assert data_set.space.classes == ("a", "b", "c")
    assert data_set.train.y.tolist() == [int(i) % 3 for i in data_set.train.index]


def test_null_labels_and_names_without_classes(tmp_path, make, opened):
    folder = make.fill(tmp_path / "p", 16)
    (folder / "dataset.json").write_text('{"labels": null}')
    assert opened(folder).train.y is None
    (folder / "dataset.json").write_text(json.dumps({"labels": [[f"{k:03d}.png", 7 if k < 8 else 3] for k in range(16)]}))
    assert opened(folder).space.classes == ("3", "7")


def test_partial_labels_are_told_and_can_be_insisted_on(tmp_path, make, opened):
    folder = make.fill(tmp_path / "p", 20)
    (folder / "labels.csv").write_text("file,label\n" + "".join(f"{k:03d}.png,{k % 2}\n" for k in range(16)) + "gone.png,1\n")
    data_set = opened(folder)
    assert data_set.train.y is None
    assert "4 of 20 images have no label" in data_set.reasons["labels"]
    assert ["gone.png", "named by labels.csv but not there"] in data_set.card["unreadable"]
    insisted = opened(folder, labels="use")
    assert len(insisted.train) + len(insisted.held) == 16
    assert insisted.space.num_classes == 2


def test_auto_leaves_out_labels_that_say_nothing(tmp_path, make, opened):
    for k in range(12):
        make.fill(tmp_path / "p" / f"c{k}", 1, start=k)
    assert "fewer than 4 each" in opened(tmp_path / "p").reasons["labels"]
    assert opened(tmp_path / "p", labels="use").space.num_classes == 12


def test_mixed_modes_choose_colour(tmp_path, make, opened):
    folder = make.fill(tmp_path / "p", 10)
    for k, mode in enumerate(("L", "1", "P", "CMYK", "RGBA", "LA")):
        suffix = "tif" if mode == "CMYK" else "png"
        make.picture(100 + k, "RGBA" if mode == "RGBA" else mode).save(folder / f"m{mode}.{suffix}")
    data_set = opened(folder)
    assert data_set.space.channels == 3
    assert len(data_set.train) + len(data_set.held) == 16
    assert Counter(data_set.card["modes"])["CMYK"] == 1
    assert "composited on white" in data_set.reasons["channels"]


def test_grey_in_colour_files_is_seen(tmp_path, make, opened):
    folder = tmp_path / "p"
    folder.mkdir()
    for k in range(12):
        make.picture(k, "L").convert("RGB").save(folder / f"{k}.png")
    assert opened(folder).space.channels == 1
    assert opened(folder, channels=3).space.channels == 3


def test_real_alpha_is_kept_but_a_full_one_is_not(tmp_path, make, opened):
    assert opened(make.fill(tmp_path / "p", 12, mode="RGBA")).space.channels == 4
    for k in range(12):
        (tmp_path / "q").mkdir(exist_ok=True)
        make.picture(k).convert("RGBA").save(tmp_path / "q" / f"{k}.png")
    assert opened(tmp_path / "q").space.channels == 3


def test_size_is_capped_and_can_be_asked_for(tmp_path, make, opened, cache):
    folder = make.fill(tmp_path / "p", 8, height=150, width=130)
    assert opened(folder).space.shape == (3, 64, 64)
    assert "capped at 64" in opened(folder).reasons["size"]
    assert open_data(Data(path=str(folder)), cache=cache, max_size=256).space.shape == (3, 128, 128)
    assert opened(folder, size=(24, 40)).train.x.shape[1:] == (3, 24, 40)
    assert opened(make.fill(tmp_path / "q", 8, height=28, width=28)).space.shape == (3, 32, 32)


def test_one_pixel_pictures_do_not_break(tmp_path, make, opened):
    folder = make.fill(tmp_path / "p", 9, height=1, width=1)
    assert opened(folder).train.x.shape[1:] == (3, 8, 8)


def test_bad_files_are_listed_and_skipped(tmp_path, make, opened):
    folder = make.fill(tmp_path / "p", 12)
    (folder / "cut.png").write_bytes(make.png(50)[:120])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("I am a text")
    (folder / "notes.txt").write_text("ignored")
    (folder / ".hidden.png").write_bytes(make.png(51))
    make.fill(folder / "__MACOSX", 3, start=60)
    (folder / "broken.png").symlink_to(folder / "nowhere.png")
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe.png")
    data_set = opened(folder)
    bad = dict(data_set.card["unreadable"])
    assert set(bad) == {"cut.png", "empty.jpg", "text.jpg", "broken.png", "pipe.png"}
    assert "trunc" in bad["cut.png"]
    assert bad["empty.jpg"] == "empty file (0 bytes)"
    assert bad["broken.png"] == "a link to nothing"
    assert bad["pipe.png"] == "not a regular file"
    assert data_set.card["num_unreadable"] == 5
    assert data_set.card["ignored"] == {".txt": 1}
    assert len(data_set.train) + len(data_set.held) == 12
    assert "5 skipped" in data_set.reasons["unreadable"]


def test_names_that_are_not_utf8(tmp_path, make, opened):
    folder = make.fill(tmp_path / "p", 9)
    try:
        Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.png")).write_bytes(make.png(70))
        Path(os.fsdecode(os.fsencode(folder) + b"/bad\xff\x1b.png")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    data_set = opened(folder)
    assert len(data_set.train) + len(data_set.held) == 10
    assert data_set.card["unreadable"] == [["bad\\xff\\x1b.png", "empty file (0 bytes)"]]
    json.dumps(data_set.card).encode("utf-8")


def test_unreadable_folders_inside(tmp_path, make, opened):
    folder = make.fill(tmp_path / "p", 9)
    make.fill(folder / "closed", 2, start=50)
    (folder / "closed").chmod(0)
    try:
        if os.access(folder / "closed", os.R_OK):
            pytest.skip("this user may read everything")
        assert opened(folder).card["unreadable"] == [["closed/", "cannot be entered: Permission denied"]]
    finally:
        (folder / "closed").chmod(0o755)


def test_zip_reads_without_unpacking_and_reports_odd_names(tmp_path, make, opened):
    members = {f"a/{k}.png": make.png(k) for k in range(8)} | {f"b/{k}.png": make.png(k + 20) for k in range(8)}
    members |= {"../../evil.png": make.png(90), "__MACOSX/a/._0.png": b"x", "a/bad.png": b"\x89PNG\r\n\x1a\n", "readme.md": b"hi"}
    data_set = opened(make.zipped(tmp_path / "p.zip", members), labels="use")
    assert data_set.space.classes == ("a", "b")
    assert data_set.card["unreadable"][0][0] == "a/bad.png"
    assert data_set.card["ignored"] == {".md": 1}
    assert "point outside the zip" in data_set.card["notes"][0]
    assert not list(tmp_path.parent.glob("**/evil.png"))


def test_damaged_members_are_skipped(tmp_path, make, opened):
    place = make.zipped(tmp_path / "p.zip", {f"{k}.png": make.png(k) for k in range(12)})
    raw = bytearray(place.read_bytes())
    at = raw.index(make.png(5)) + 60
    raw[at : at + 8] = b"\0" * 8
    place.write_bytes(raw)
    data_set = opened(place)
    assert [name for name, _ in data_set.card["unreadable"]] == ["5.png"]
    assert "CRC" in data_set.card["unreadable"][0][1]


def test_a_folder_and_a_zip_of_it_give_the_same_samples(tmp_path, make, opened):
    folder = make.fill(tmp_path / "p", 30)
    place = make.zipped(tmp_path / "p.zip", {f"{k:03d}.png": make.png(k) for k in range(30)})
    first, second = opened(folder), opened(place)
    assert first.content_hash == second.content_hash
    assert torch.equal(first.train.x, second.train.x)


def test_limit_is_spread(tmp_path, make, opened):
    for k, name in enumerate("ab"):
        make.fill(tmp_path / "p" / name, 20, start=100 * k)
    data_set = opened(tmp_path / "p", limit=10)
    assert torch.bincount(torch.cat([data_set.train.y, data_set.held.y])).tolist() == [5, 5]
    assert data_set.reasons["limit"] == "10 of 40: spread evenly, asked for"


def test_all_ends_in_the_same_place(tmp_path, make, opened):
    folder = make.fill(tmp_path / "p", 10)
    for link in range(3):
        (folder / f"link{link}").symlink_to(folder)
    assert len(opened(folder).names) == 10


def test_one_file_with_two_labels_is_refused(tmp_path, make, opened):
    folder = make.fill(tmp_path / "p", 9)
    (folder / "labels.csv").write_text("file,label\n000.png,a\n000.png,b\n")
    with pytest.raises(InputError, match="two labels"):
        opened(folder)


def test_huge_headers_are_refused_quietly(tmp_path, make, opened, recwarn):
    folder = make.fill(tmp_path / "p", 9)
    bomb = bytearray(make.png(3))
    import struct
    import zlib

    bomb[16:24] = struct.pack(">II", 20_000, 20_000)
    bomb[29:33] = struct.pack(">I", zlib.crc32(bytes(bomb[12:29])))
    (folder / "bomb.png").write_bytes(bomb)
    bomb[16:24] = struct.pack(">II", 10_000, 10_000)
    bomb[29:33] = struct.pack(">I", zlib.crc32(bytes(bomb[12:29])))
    (folder / "bomb2.png").write_bytes(bomb)
    bad = dict(opened(folder).card["unreadable"])
    assert "too large" in bad["bomb.png"]
    assert "10000×10000" in bad["bomb2.png"]
    assert not [w for w in recwarn.list if issubclass(w.category, Pillow.DecompressionBombWarning)]


def test_exotic_formats_together(tmp_path, make, opened):
    folder = tmp_path / "p"
    folder.mkdir()
    for k, suffix in enumerate(("bmp", "gif", "webp", "tif", "ppm", "tga", "jpg", "png", "jp2", "ico")):
        make.picture(k).save(folder / f"x.{suffix}")
    data_set = opened(folder)
    assert data_set.card["num_unreadable"] == 0
    assert len(data_set.card["formats"]) == 10
    assert np.isfinite(data_set.card["median_short_side"])


def test_a_folder_around_one_archive_is_that_archive(tmp_path, make, opened):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "readme.txt").write_text("x")
    make.zipped(tmp_path / "p" / "a.zip", {f"{k}.png": make.png(k) for k in range(9)})
    assert opened(tmp_path / "p").card["kind"] == "zip of images"
    make.zipped(tmp_path / "p" / "b.zip", {})
    with pytest.raises(InputError, match=r"give one of its archives, for example .*a\.zip"):
        opened(tmp_path / "p")
