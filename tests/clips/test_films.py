"""Films: any length in little memory, the same however they are asked for, written with every frame at the right size and rate."""

from __future__ import annotations

import resource
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clip_data import clip_data, small, train
from PIL import Image
from small_game import SmallClips

from agon.clips import film, parted, swapped
from agon.engine import Engine
from agon.errors import InputError
from agon.samplefile import save_film
from agon.sampling import draw, fresh_latents
from agon.spaces import Video
from agon.spaces.animation import write_animation
from agon.trained import load
from commandline import printed

av = pytest.importorskip("av")


def read(path: Path) -> tuple[list[np.ndarray], Fraction]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)], stream.average_rate


def engine(space: Video, **fields: Any) -> Engine:
    return Engine(SmallClips(**fields), space, seed=1)


def test_a_film_is_the_same_however_long_it_is_and_however_many_are_drawn() -> None:
    space = small()
    made = engine(space)
    longer = torch.cat(list(film(made.game, made.players, space, 3, seed=5, frames=40)), 1)
    assert longer.shape == (3, 40, 3, 16, 16)
    shorter = torch.cat(list(film(made.game, made.players, space, 10, seed=5, frames=20)), 1)
    assert (longer[:, :20].int() - shorter[:3].int()).abs().max() <= 1
    other = torch.cat(list(film(made.game, made.players, space, 3, seed=6, frames=20)), 1)
    assert not torch.equal(other, shorter[:3])
    one, two = longer[0], longer[1]
    assert not torch.equal(one, two), "each clip has noise of its own"


def test_up_to_the_trained_length_a_film_is_the_sample() -> None:
    space = small()
    made = engine(space)
    (part,) = film(made.game, made.players, space, 4, seed=2, frames=5)
    assert torch.equal(part, draw(made.game, made.players, space, 4, seed=2)[:, :5])


def test_drawing_a_film_leaves_training_alone() -> None:
    space = small()
    made = engine(space)
    state = torch.get_rng_state()
    parts = film(made.game, made.players, space, 2, frames=40)
    next(parts)
    assert torch.equal(state, torch.get_rng_state())
    assert made.players.G.training
    assert torch.is_grad_enabled()
    next(parts)


def test_swap_puts_the_content_of_one_with_the_motion_of_another() -> None:
    space = small()
    made = engine(space)
    (table,) = swapped(made.game, made.players, space, 2, 3, seed=4)
    assert table.shape == (12, 8, 3, 16, 16)
    assert (table[0] == 255).all()
    z, e = parted(made.game, made.players, fresh_latents(made.game, made.players, 5, seed=4), 8)
    own = draw(made.game, made.players, space, 5, seed=4)
    for row in range(2):
        assert torch.equal(table[4 * (row + 1)], own[row]), "the first column lends its content"
        for column in range(3):
            with torch.no_grad():
                made_here = made.players.G(z[row : row + 1], e[2 + column : 3 + column])
            assert (table[4 * (row + 1) + column + 1].int() - space.to_bytes(made_here)[0].int()).abs().max() <= 1
    assert torch.equal(table[1:4], own[2:]), "the first row lends its motion"
    longer = torch.cat(list(swapped(made.game, made.players, space, 2, 3, seed=4, frames=20)), 1)
    alone = torch.cat(list(film(made.game, made.players, space, 5, seed=4, frames=20)), 1)
    assert (longer[1:4].int() - alone[2:].int()).abs().max() <= 1, "also in films"


def test_what_cannot_go_on_says_so() -> None:
    space = small()
    made = engine(space)
    made.players.G.fixed_length = True  # type: ignore[assignment]
    with pytest.raises(InputError, match="clips of 8 frames and no others"):
        next(film(made.game, made.players, space, 1, frames=9))
    made.players._modules["G"] = torch.nn.Identity()
    with pytest.raises(InputError, match="--swap exchanges content and motion"):
        next(swapped(made.game, made.players, space, 2, 2))


def test_two_thousand_frames_take_no_more_memory_than_a_hundred(tmp_path: Path) -> None:
    space = Video(frames=8, channels=3, height=64, width=64, fps=25.0)
    made = engine(space)

    def peak(frames: int) -> float:
        save_film(film(made.game, made.players, space, 2, frames=frames), space, tmp_path / f"{frames}.mp4", frames=frames)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    before = peak(100)
    assert peak(2000) - before < 20, "49 MB of frames went by"
    with av.open(str(tmp_path / "2000.mp4")) as container:
        assert container.streams.video[0].frames == 2000


def test_continuous_generators_are_asked_at_the_rate_of_the_file() -> None:
    space = small()
    made = engine(space)
    asked: dict[str, Any] = {}
    generator: Any = made.players.G
    plain = generator.long

    def long(*rest: Any, step: float = 1.0, **more: Any) -> Any:
        asked["step"] = step
        return plain(*rest, **more)

    generator.continuous, generator.long = True, long
    list(film(made.game, made.players, space, 1, frames=6, fps=24))
    assert asked == {"step": pytest.approx(8 / 24)}


@pytest.mark.parametrize(("name", "size", "count", "rate"), [
    ("x.mp4", (132, 132), 20, Fraction(30000, 1001)), ("x.gif", (130, 130), 20, None), ("x.webp", (130, 130), None, None),
    ("x.png", (16 * 66 - 2, 3 * 66 - 2), 1, None), ("x", (16, 16), 20, Fraction(30000, 1001)),
])  # fmt: skip
def test_out_by_suffix(
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    size: tuple[int, int],
    count: int | None,
    rate: Fraction | None,
) -> None:
    out = tmp_path / name
    status, said = printed(
        capsys, "sample", run, "-n", 3, "--class", "left", "--length", 20, "--fps", "30000/1001", "--columns", 2, "--out", out
    )
    assert status == 0, said
    assert "3 clips of 20 frames at 30000/1001 frames a second" in said
    assert "3.75 times as fast" in said
    if rate is not None:
        files = [out] if out.is_file() else sorted(out.iterdir())
        assert len(files) == (1 if out.is_file() else 3)
        for file in files:
            frames, found = read(file)
            assert (len(frames), found) == (count, rate)
            assert frames[0].shape[:2] == (size if name == "x" else (130, 130))
    else:
        with Image.open(out) as picture:
            assert picture.size == size
            assert getattr(picture, "n_frames", 1) == count or (
                count is None and picture.n_frames > 1
            )  # .webp joins frames that are nearly equal


def test_npz_and_python(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "sample", run, "-n", 2, "--length", 20, "--class", "up", "--out", tmp_path / "x.npz")[0] == 0
    with np.load(tmp_path / "x.npz") as file:
        x = file["x"]
    assert x.shape == (2, 20, 16, 16, 3)
    assert np.array_equal(x, load(run, trust=True).sample(2, length=20, label="up"))
    plain = load(run, trust=True).sample(3, seed=1)
    assert plain.shape == (3, 8, 16, 16, 3)
    assert plain.save(tmp_path / "p.webp").is_file()


def test_a_given_first_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    data_set = clip_data(small())
    run = train(tmp_path / "run", monkeypatch, data_set, metrics=[], **{"game.first_frame": True})
    held = data_set.held.x[:, 0]
    trained = load(run, trust=True)
    kept = trained.sample(16)
    assert np.array_equal(np.asarray(kept[:, 0]), held.movedim(1, -1).numpy()), "by default clips begin as held-out ones do"
    picture = held[3].movedim(0, -1).numpy()
    Image.fromarray(picture).save(tmp_path / "first.png")
    for out, more in (("a.npz", ()), ("b.npz", ("--length", 30))):
        status, said = printed(capsys, "sample", run, "-n", 2, "--first", tmp_path / "first.png", "--out", tmp_path / out, *more)
        assert status == 0, said
        with np.load(tmp_path / out) as file:
            assert np.array_equal(file["x"][:, 0], np.stack([picture, picture]))
    write_animation(tmp_path / "film.mp4", (clip.numpy() for clip in data_set.held.x[3]), 8)
    status, said = printed(capsys, "sample", run, "-n", 1, "--first", tmp_path / "film.mp4", "--out", tmp_path / "c.npz")
    assert status == 0, said
    with np.load(tmp_path / "c.npz") as file:
        assert np.abs(file["x"][0, 0].astype(int) - picture).mean() < 12  # H.264 is not exact
    assert printed(capsys, "sample", run, "--swap", "2x2", "--first", tmp_path / "first.png", "--out", tmp_path / "s.webp")[0] == 0
    assert printed(capsys, "sample", run, "--interpolate", 2, "--out", tmp_path / "w.webp")[0] == 0
    (run / "first.safetensors").write_bytes(b"torn")
    status, said = printed(capsys, "sample", run, "--out", tmp_path / "d.npz")
    assert (status, "cannot be read" in said) == (2, True)


@pytest.mark.parametrize(("words", "reason"), [
    (("--length", "0"), "--length is 0; expected 1 or more"), (("-n", "0"), "-n is 0"), (("--fps", "fast"), "expected frames a second"),
    (("--fps", "0"), "expected frames a second"), (("--fps", "1/0"), "expected frames a second"), (("--fps", "nan"), "expected frames a second"),
    (("--swap", "4"), "expected ROWSxCOLUMNS"), (("--swap", "0x2"), "expected ROWSxCOLUMNS"), (("--first", "none.png"), "cannot read 'none.png'"),
    (("--first", __file__), "neither a picture"), (("--text", "a red square"), "this run has 4 classes"), (("--class", "sideways"), "is unknown"),
    (("--length", "9", "--classes", "all"), "for clips as they are drawn"), (("--swap", "2x2", "--interpolate", "3"), "for clips as they are drawn"),
    (("--columns", "0"), "--columns is 0"), (("--out", "x.avi"), "expected a name ending in"), (("--mix", "2x2"), "style mixing needs"),
])  # fmt: skip
def test_wrong_wishes_are_told(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    status, said = printed(capsys, "sample", run, *words)
    assert status == 2, said
    assert reason in said
    assert "Traceback" not in said


def test_a_first_frame_for_a_run_that_takes_none(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (16, 16)).save(tmp_path / "x.png")
    status, said = printed(capsys, "sample", run, "--first", tmp_path / "x.png")
    assert (status, "this run makes its own" in said) == (2, True)


def test_the_real_films_survive_being_written(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "video_clips"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    for source in [*sorted(folder.glob("*.mp4")), *sorted(folder.glob("*/*.mkv"))[:1]]:
        kept, seen = tmp_path / "kept.mp4", []
        with av.open(str(source)) as container:
            stream = container.streams.video[0]
            rate = stream.average_rate
            small = {
                "width": stream.width // 5,
                "height": stream.height // 5,
                "format": "rgb24",
            }  # so that it takes seconds; some sides are odd

            def frames(container: Any = container, stream: Any = stream, small: dict[str, Any] = small, seen: list[Any] = seen) -> Any:
                for frame in container.decode(stream):
                    seen.append(frame.time)
                    yield frame.reformat(**small).to_ndarray().transpose(2, 0, 1)

            write_animation(kept, frames(), rate)
        with av.open(str(kept)) as again:
            stream = again.streams.video[0]
            times = [frame.time for frame in again.decode(stream)]
            assert (stream.average_rate, stream.width, stream.height) == (rate, small["width"], small["height"]), source
        assert len(times) == len(seen), source
        assert np.allclose(np.diff(times), float(1 / rate)), source
