"""Bad input at the command line: says what, where and how to fix; status 2; no traceback; nothing lost."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from commandline import printed


def picture(seed: int, size: tuple[int, int] = (12, 9)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def good_folder(path: Path, count: int = 24) -> Path:
    path.mkdir()
    for index in range(count):
        picture(index).save(path / f"{index}.png")
    return path


def png_bytes(seed: int = 0) -> bytes:
    buffer = io.BytesIO()
    picture(seed).save(buffer, "PNG")
    return buffer.getvalue()


# -- data that cannot be trained on at all -------------------------------------------------------------------------------------------


def empty(path: Path) -> Path:
    (path / "empty").mkdir()
    return path / "empty"


def missing(path: Path) -> Path:
    (path / "photos").mkdir()
    return path / "fotos"


def text_file(path: Path) -> Path:
    (path / "notes.txt").write_text("hello")
    return path / "notes.txt"


def only_text_named_jpg(path: Path) -> Path:
    (path / "d").mkdir()
    for index in range(12):
        (path / "d" / f"{index}.jpg").write_text("not a picture")
    return path / "d"


def only_zero_byte(path: Path) -> Path:
    (path / "d").mkdir()
    for index in range(12):
        (path / "d" / f"{index}.png").touch()
    return path / "d"


def only_truncated(path: Path) -> Path:
    (path / "d").mkdir()
    for index in range(12):
        (path / "d" / f"{index}.png").write_bytes(png_bytes(index)[:60])
    return path / "d"


def one_picture(path: Path) -> Path:
    return good_folder(path / "d", 1)


def huge_headers(path: Path) -> Path:
    (path / "d").mkdir()
    header = bytearray(png_bytes())
    header[16:24] = struct.pack(">II", 20_000, 20_000)
    import zlib

    header[29:33] = struct.pack(">I", zlib.crc32(bytes(header[12:29])))
    for index in range(12):
        (path / "d" / f"{index}.png").write_bytes(bytes(header))
    return path / "d"


def not_a_zip(path: Path) -> Path:
    (path / "d.zip").write_bytes(b"PK\x03\x04 and then nothing")
    return path / "d.zip"


def truncated_zip(path: Path) -> Path:
    with zipfile.ZipFile(path / "d.zip", "w") as archive:
        for index in range(12):
            archive.writestr(f"{index}.png", png_bytes(index))
    whole = (path / "d.zip").read_bytes()
    (path / "d.zip").write_bytes(whole[: len(whole) // 2])
    return path / "d.zip"


def zip_without_pictures(path: Path) -> Path:
    with zipfile.ZipFile(path / "d.zip", "w") as archive:
        archive.writestr("readme.txt", "nothing here")
    return path / "d.zip"


def npz_of_objects(path: Path) -> Path:
    np.savez(path / "d.npz", x=np.array([{}, {}], dtype=object))
    return path / "d.npz"


def npz_of_wrong_shape(path: Path) -> Path:
    np.savez(path / "d.npz", x=np.zeros(7, dtype=np.uint8))
    return path / "d.npz"


def npz_of_text(path: Path) -> Path:
    (path / "d.npz").write_text("text")
    return path / "d.npz"


def idx_with_wrong_magic(path: Path) -> Path:
    with gzip.open(path / "train-images-idx3-ubyte.gz", "wb") as file:
        file.write(b"\x01\x02\x03\x04" + bytes(100))
    return path / "train-images-idx3-ubyte.gz"


def idx_cut_short(path: Path) -> Path:
    with gzip.open(path / "train-images-idx3-ubyte.gz", "wb") as file:
        file.write(struct.pack(">IIII", 2051, 1000, 28, 28) + bytes(500))
    return path / "train-images-idx3-ubyte.gz"


def labels_for_other_files(path: Path) -> Path:
    good_folder(path / "d")
    (path / "d" / "labels.csv").write_text("file,label\nnobody.png,cat\n")
    return path / "d"


def broken_dataset_json(path: Path) -> Path:
    good_folder(path / "d")
    (path / "d" / "dataset.json").write_text("{")
    return path / "d"


BAD_DATA: list[tuple[Callable[[Path], Path], str]] = [
    (empty, "is empty; expected images"),
    (missing, "there is nothing at .*Did you mean 'photos'"),
    (text_file, "notes.txt has 1 sentence; expected 20 at least"),
    (only_text_named_jpg, "12 × not an image: it is text.*replace them"),
    (only_zero_byte, r"12 × empty file \(0 bytes\); replace them"),
    (only_truncated, "12 × truncated.*replace them"),
    (one_picture, "1 usable images; a GAN needs at least 8"),
    (huge_headers, "12 × refused, too large"),
    (not_a_zip, "zip.*copy or download it again"),
    (truncated_zip, "truncated zip.*copy or download it again"),
    (zip_without_pictures, r"holds no usable image: saw 1 × .txt; expected images"),
    (npz_of_objects, r"holds Python objects.*save a uint8 array"),
    (npz_of_wrong_shape, r"has shape \[7\]; expected \[N, H, W\]"),
    (npz_of_text, "is not an npz.*save it with numpy.savez_compressed"),
    (idx_with_wrong_magic, "starts with 01 02 03 04; an idx file of uint8 starts with"),
    (idx_cut_short, "is short: it declares 1000 images.*copy or download it again"),
    (labels_for_other_files, "labels.csv names 1 files and none of them is there.*expected names relative"),
    (broken_dataset_json, "dataset.json is not JSON.*expected"),
]


@pytest.mark.parametrize(("make", "word"), BAD_DATA, ids=lambda v: getattr(v, "__name__", ""))
@pytest.mark.parametrize("verb", [("train",), ("data", "check")], ids=["train", "check"])
def test_bad_data(
    make: Callable[[Path], Path], word: str, verb: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    out = tmp_path / "run"
    extra = ["--out", out] if verb == ("train",) else []
    status, text = printed(capsys, *verb, make(tmp_path), *extra)
    assert status == 2, text
    assert re.search(word, text.replace("\n", " ")), text
    assert "Traceback" not in text
    assert not out.exists()


# -- data with faults among good pictures --------------------------------------------------------------------------------------------


def test_bad_files_among_good_ones_are_skipped_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = good_folder(tmp_path / "d", 30)
    (folder / "cut.png").write_bytes(png_bytes()[:60])
    (folder / "zero.jpg").touch()
    (folder / "text.jpg").write_text("text")
    (folder / "notes.txt").write_text("ignored")
    (folder / ".hidden.png").write_bytes(png_bytes())
    Image.fromarray(np.full((1, 1), 7, np.uint8)).save(folder / "one-pixel.png")
    Image.fromarray(np.random.default_rng(1).integers(0, 60000, (20, 20), dtype=np.uint16)).save(folder / "deep.png")
    picture(50).convert("P").save(folder / "palette.gif")
    picture(51).convert("CMYK").save(folder / "ink.jpg")
    picture(52).convert("RGBA").save(folder / "alpha.webp")
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    with open(os.fsencode(folder) + b"/\xff\xfe.png", "wb") as file:
        file.write(png_bytes(60))
    status, text = printed(capsys, "data", "check", folder)
    assert status == 0, text
    for name in ("cut.png", "zero.jpg", "text.jpg"):
        assert name in text
    status, text = printed(capsys, "train", folder, "--rounds", 2, "--batch", 8, "--size", 8, "--metrics", "[]", "--out", tmp_path / "run")
    assert status == 0, text
    card = json.loads((tmp_path / "run" / "data.json").read_text())
    assert {Path(name).name for name, _ in card["unreadable"]} >= {"cut.png", "zero.jpg", "text.jpg"}


def test_zip_slip_touches_nothing_outside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "inner").mkdir()
    with zipfile.ZipFile(tmp_path / "inner" / "d.zip", "w") as archive:
        for index in range(20):
            archive.writestr(f"../../evil{index}.png", png_bytes(index))
    before = sorted(tmp_path.rglob("*"))
    status, text = printed(capsys, "data", "check", tmp_path / "inner" / "d.zip")
    assert "Traceback" not in text
    assert status in (0, 2)
    assert sorted(tmp_path.rglob("*")) == before


# -- wrong words -----------------------------------------------------------------------------------------------------------------------

WRONG_WORDS = [
    (("--recipe", "r3gann"), "recipe 'r3gann' is unknown.*Did you mean 'r3gan'"),
    (("--ronuds", "10"), "unknown option '--ronuds'.*Did you mean '--rounds'"),
    (("--score-evry", "10"), "Did you mean '--score-every'"),
    (("--batch",), "--batch got nothing; expected a value"),
    (("--size", "--mirror"), "--size got nothing; expected a value"),
    (("--batch", "true"), "--batch got true; expected a value"),
    (("--game.z_dim",), "--game.z_dim got true; expected a number, such as --game.z_dim 64"),
    (("--batch", "-4"), "--batch is -4; expected 1 or more"),
    (("--batch", "many"), "--batch is 'many'; expected a whole number"),
    (("--rounds", "0"), "--rounds is 0; expected 1 or more"),
    (("--microbatch", "0"), "--microbatch is 0; expected 1 or more"),
    (("--precision", "fp8"), "precision 'fp8' is unknown; expected auto, fp32 or bf16"),
    (("--device", "tpu"), "device 'tpu' is unknown; expected auto, cpu, cuda or mps"),
    (("--game.gama", "1"), "unknown option '--game.gama'.*Did you mean '--game.gamma'"),
    (("--game.loss", "hinge"), "unknown option '--game.loss'.*--recipe dcgan --game.net r3-lean --game.loss …; .*--recipe gan --game.loss"),
    (("--game.penalties.0.gamma", "2"), "unknown option '--game.penalties'.*--recipe dcgan"),
    (("--game.optim.Q.lr", "1"), "unknown option '--game.optim.Q.lr'; game.optim has G, D"),
    (("--game.z_dim", "wide"), "game.z_dim: got 'wide'"),
    (("--data.sise", "8"), "unknown option '--data.sise'.*Did you mean '--size'"),
    (("--size", "1"), "size got 1; expected 4 to"),
    (("--resize", "crop"), "resize"),
    (("--filter", "lanczoz"), "filter"),
    (("--channels", "2"), "channels got 2; expected 1 .grey., 3 .RGB. or 4"),
    (("--holdout", "0.9"), "holdout got 0.9; expected a share from 0 to 0.5"),
    (("stray",), "unexpected argument 'stray'"),
    (("--game", "./nowhere.py"), "game file 'nowhere.py' does not exist"),
    (("--metrics", '["fid"]'), "fid.*(fd|Did you mean)"),
    (("--extractor", "inceptoin"), "inceptoin.*inception"),
    (("--seed", "-1"), "--seed is -1; expected 0 or more"),
    (("--cpu-seconds", "nan"), "--cpu-seconds is nan"),
    (("--game.z_dim", "0"), "game.z_dim is 0; expected 1 or more"),
    (("--recipe", "vae", "--game.z_dim", "0"), "game.z_dim is 0"),
    (("--game.net.widths", "[]"), "game.net.widths is empty"),
    (("--game.net.widths", "[8, 0]"), "game.net.widths is 0"),
    (("--recipe", "dcgan", "--game.net.width", "0"), "game.net.width is 0"),
    (("--game.optim.G.lr", "-1"), "game.optim.G.lr is -1; expected 0 or more"),
    (("--game.optim.G.lr", '{"kind": "cosine", "start": -1, "end": 0, "span": 9}'), "game.optim.G.lr"),
]


@pytest.mark.parametrize(("words", "message"), WRONG_WORDS, ids=lambda v: " ".join(v) if isinstance(v, tuple) else "")
def test_wrong_words(words: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    defaults = () if "--rounds" in words else ("--rounds", "2")
    status, text = printed(capsys, "train", "digits", "--out", tmp_path / "run", *defaults, *words)
    assert status == 2, text
    assert re.search(message, text.replace("\n", " ")), text
    assert "Traceback" not in text
    assert not (tmp_path / "run").exists()


WRONG_OF_TEXT = [
    (("--game.choice.temperature", "NaN"), "temperature nan"),
    (("--game.choice.temperature", "Infinity"), "temperature inf"),
    (("--game.choice.penalty", "NaN"), "penalty nan"),
    (("--game.net.width", "0"), "game.net.width is 0"),
    (("--game.net.layers", "-1"), "game.net.layers is -1; expected 0 or more"),
]


@pytest.mark.parametrize(("words", "message"), WRONG_OF_TEXT, ids=lambda v: " ".join(v) if isinstance(v, tuple) else "")
def test_wrong_words_of_text(words: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, text = printed(capsys, "train", "sentences", "--limit", "200", "--rounds", "2", "--out", tmp_path / "run", *words)
    assert status == 2 and message in text and not (tmp_path / "run").exists(), text


def test_a_seed_is_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    status, text = printed(capsys, "reproduce", "mnist/r3gan", "--data", "nowhere", "--seeds", "²")
    assert status == 2 and "seed '²' is no whole number" in text


@pytest.mark.parametrize("words", [("--rouns", "5"), ("--rounds", "0"), ("--rounds", "abc"), ("--recipe", "r3gna"), ("--out", "{run}")])
def test_what_is_wrong_whatever_the_data_are_is_told_before_they_are_read(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    status, text = printed(capsys, "train", missing(tmp_path), *(word.format(run=tmp_path / "run") for word in words))
    assert status == 2 and "there is nothing at" not in text, text


def test_unwritable_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    status, text = printed(capsys, "train", "digits", "--rounds", 2, "--out", tmp_path / "file" / "run")
    assert status == 2
    assert "cannot write to" in text
    assert "--out" in text


def test_a_run_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = ("train", "ring", "--rounds", 2, "--limit", 300, "--metrics", "[]")
    assert printed(capsys, *train, "--out", tmp_path / "run")[0] == 0
    status, text = printed(capsys, *train, "--out", tmp_path / "run")
    assert status == 2
    assert "already holds a run" in text
    status, text = printed(capsys, "train", tmp_path / "run", "--batch", 3)
    assert status == 2
    assert "another experiment" in text
    before = {path: path.read_bytes() for path in sorted((tmp_path / "run").rglob("*")) if path.is_file()}
    status, text = printed(capsys, "train", tmp_path / "run", "--rounds", 1)
    assert status == 2
    assert (
        "--rounds is 1, but" in text
        and "has played 2 rounds already" in text
        and "--rounds 4, or use the run as it is: agon sample" in text
    )
    assert {path: path.read_bytes() for path in sorted((tmp_path / "run").rglob("*")) if path.is_file()} == before
    assert printed(capsys, "train", tmp_path / "run" / "run.json", "--rounds", 1, "--out", tmp_path / "shorter")[0] == 0
    for arguments, message in (
        (("sample", tmp_path / "run", "--class", "3"), "unconditional"),
        (("sample", tmp_path / "run", "-n", "0"), "expected 1 or more"),
        (("sample", tmp_path / "run", "--out", tmp_path / "x.bmpp"), "expected a name ending in"),
        (("sample", tmp_path / "run", "--state", "77"), "no state of round 77"),
        (("sample", tmp_path / "run", "--weights", "best"), "expected ema or raw"),
        (("sample", tmp_path / "run", "--interpolate", "1"), "at least 2 latents"),
        (("sample", tmp_path / "nowhere"), "does not exist"),
        (("report", tmp_path), "is not a run"),
        (("eval", tmp_path / "run", "-m", "fdd"), "fdd"),
    ):
        status, text = printed(capsys, *arguments)
        assert status == 2, text
        assert message in text.replace("\n", " ")
        assert "Traceback" not in text


def test_class_out_of_range(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ("--game.net.widths", "[8, 8]", "--metrics", "[]", "--tick", 1000)
    assert printed(capsys, "train", "digits", "--rounds", 1, "--batch", 8, *small, "--out", tmp_path / "run")[0] == 0
    status, text = printed(capsys, "sample", tmp_path / "run", "--class", "10")
    assert status == 2
    assert "class 10 is out of range; this run has 10 classes, 0 to 9" in text
    status, text = printed(capsys, "sample", tmp_path / "run", "--class", "three")
    assert status == 2
    assert "class 'three' is unknown" in text


def test_damaged_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "train", "ring", "--rounds", 2, "--limit", 300, "--metrics", "[]", "--out", tmp_path / "run")[0] == 0
    (tmp_path / "run" / "run.json").write_text("{ torn")
    status, text = printed(capsys, "sample", tmp_path / "run")
    assert status == 2
    assert "damaged" in text


def test_foreign_code_is_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    game = tmp_path / "mine.py"
    source = Path(sys.modules["agon"].__file__ or "").parent / "games" / "gan.py"
    game.write_text(source.read_text("utf-8"))
    train = ("train", "ring", "--game", game, "--rounds", 2, "--limit", 300, "--metrics", "[]", "--out", tmp_path / "run")
    assert printed(capsys, *train)[0] == 0
    assert printed(capsys, "sample", tmp_path / "run")[0] == 0
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
    status, text = printed(capsys, "sample", tmp_path / "run")
    assert status == 2
    assert "carries its own code" in text
    assert printed(capsys, "sample", tmp_path / "run", "--trust")[0] == 0


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\n", "must define exactly one Game; it defines none"),
        ("def f(:\n", r"could not be run: SyntaxError.*\(line 1\)"),
        ("import nothing_of_this_name\n", "could not be run: ModuleNotFoundError"),
    ],
)
def test_bad_game_files(source: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.py").write_text(source)
    status, text = printed(capsys, "train", "ring", "--limit", 300, "--game", tmp_path / "mine.py", "--out", tmp_path / "run")
    assert status == 2
    assert re.search(message, text.replace("\n", " ")), text
