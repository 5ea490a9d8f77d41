"""Bad video at the command line: what came, what was expected, how to fix it; status 2 for a set that is no use, a reason for each bad file."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from movies import animation, movie, mp4, png, sound_only, strip
from test_film_readers import no_frames

from commandline import printed

pytest.importorskip("av", reason="video files need PyAV")
Prepare = Callable[[Path], Path]


def files(suffix: str, content: Callable[[int], bytes], count: int = 9, name: Callable[[int], str] = str) -> Prepare:
    def prepare(root: Path) -> Path:
        (root / "films").mkdir()
        for k in range(count):
            (root / "films" / f"{name(k)}.{suffix}").write_bytes(content(k))
        return root / "films"

    return prepare


def strips(root: Path) -> Path:
    return files("png", lambda k: strip(movie(k, 12)))(root)


def pictures(root: Path) -> Path:
    return files("png", lambda k: png(movie(k, 1)[0]), 20)(root)


def videos(make: Callable[[Path], Path], count: int = 2) -> Prepare:
    def prepare(root: Path) -> Path:
        (root / "films").mkdir()
        for k in range(count):
            make(root / "films" / f"{k}.mp4")
        return root / "films"

    return prepare


def cut(place: Path) -> Path:
    raw = mp4(place, movie(1, 20)).read_bytes()
    place.write_bytes(raw[: len(raw) // 2])
    return place


def array(x: np.ndarray, name: str = "a.npz") -> Prepare:
    def prepare(root: Path) -> Path:
        np.save(root / name, x) if name.endswith("npy") else np.savez(root / name, x=x)
        return root / name

    return prepare


def zipped(*, encrypt: bool = False, short: bool = False, text: bool = False) -> Prepare:
    def prepare(root: Path) -> Path:
        with zipfile.ZipFile(root / "a.zip", "w") as archive:
            for k in range(9):
                archive.writestr(f"in/{k}.mp4", mp4(root / "x.mp4", movie(k, 9)).read_bytes()) if not text else archive.writestr(
                    f"{k}.txt", "hello"
                )
        raw = bytearray((root / "a.zip").read_bytes())
        for sign, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # set the encryption bit of every header
            start = raw.find(sign)
            while encrypt and start >= 0:
                raw[start + at] |= 1
                start = raw.find(sign, start + 4)
        (root / "a.zip").write_bytes(raw[:-60] if short else raw)
        return root / "a.zip"

    return prepare


def one(name: str, raw: bytes) -> Prepare:
    def prepare(root: Path) -> Path:
        (root / name).write_bytes(raw)
        return root / name

    return prepare


def numbers(root: Path) -> Path:
    """An idx file as MNIST's."""
    (root / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03" + bytes([0, 0, 0, 20, 0, 0, 0, 8, 0, 0, 0, 8]) + bytes(20 * 64))
    return root / "train-images-idx3-ubyte"


X = np.stack([movie(k, 9) for k in range(12)])
HOPELESS: dict[str, tuple[Prepare, list[str], str]] = {
    "empty files": (files("mp4", lambda k: b""), [], r"holds 9 films and none can be read: 9 × empty file \(0 bytes\)"),
    "text called mp4": (files("mp4", lambda k: b"hello"), [], "9 × not a video: it is text, starting 'hello'"),
    "a playlist called mp4": (files("mp4", lambda k: b"#EXTM3U\n/etc/passwd\n"), [], "9 × not a video: it is text, starting '#EXTM3U'"),
    "noise called webm": (files("webm", lambda k: bytes(range(k, 200))), [], "damaged, or not a video format that is read here"),
    "sound only": (videos(sound_only), [], "2 × holds sound only: nothing to look at"),
    "no frame": (videos(no_frames), [], "none can be read: 2 × "),
    "all cut short": (videos(cut), [], r"2 × truncated: its table of frames \(moov\), which is written last, is missing; copy or record it again"),
    "one empty file": (one("a.mp4", b""), [], r"a.mp4 is empty \(0 bytes\); give a folder, .zip, .npz, idx, .parquet or text"),
    "too short": (strips, ["--frames", "13"], "no film long enough for a clip of 13 frames: the longest of 9 has 12; ask for --frames 12 or fewer"),
    "too short with stride": (strips, ["--stride", "2"], "no film long enough for a clip of 8 frames 2 frames apart: the longest of 9 has 12"),
    "too few clips": (files("png", lambda k: strip(movie(k, 8)), 5), [], "has 5 clips of 8 frames; a GAN needs at least 8"),
    "an empty folder": (files("png", lambda k: b"", 0), [], "is empty; expected images .* videos .* or text"),
    "pictures without numbers": (
        files("png", lambda k: png(movie(k, 1)[0]), name=lambda k: "abcdefghi"[k]), [], "the longest of 9 has 1; frames must be numbered in one folder a film"
    ),
    "pictures of one frame": (files("gif", lambda k: animation(movie(k, 1), "GIF"), name=lambda k: "abcdefghi"[k]), [], "frames must be numbered"),
    "no strips": (files("png", lambda k: png(np.zeros((7, 50), np.uint8)), 5), [], "the longest of 1 has 5; ask for --frames 5"),
    "one picture": (one("a.png", png(movie(1, 1)[0])), [], "the longest of 1 has 1; frames must be numbered"),
    "an idx file": (numbers, [], r"--frames 8 asks for clips, and the samples of .* \(idx images\) are images; leave it out, or give videos"),
    "clips in torch's order": (array(X.transpose(0, 4, 1, 2, 3)), [], r"has shape \[12, 3, 9, 16, 16\]; expected clips .*: use x.transpose\(0, 2, 3, 4, 1\)"),
    "clips of floats": (array(X / 255.0), [], "is float64; expected uint8 in 0..255: .x . 255..*if it is 0..1"),
    "clips of objects": (array(np.array([{}] * 9, dtype=object)), [], "holds Python objects, which would run code when loaded"),
    "clips by columns": (array(np.asfortranarray(X), "a.npy"), [], "is stored by columns .*numpy.ascontiguousarray"),
    "clips of two channels": (array(X[..., :2].copy()), [], r"has shape \[12, 9, 16, 16, 2\]; expected clips \[N, T, H, W, C\]"),
    "an encrypted zip": (zipped(encrypt=True), [], "is encrypted; unpack it with its password and give the folder"),
    "a cut zip": (zipped(short=True), [], "is a truncated zip: its table of contents at the end is missing"),
    "a zip of text": (zipped(text=True), [], "is for pictures or clips, and .* is text; leave it out"),
    "songs": (files("mp3", lambda k: b"ID3"), [], "holds no usable image: saw 9 × .mp3"),
    "nothing": (lambda root: root / "fims", [], "there is nothing at .*fims; expected a folder of images, videos or text"),
    "frames=1": (strips, ["--frames", "1"], "frames got 1; expected 2 to 1024 frames a clip"),
    "frames of words": (strips, ["--frames", "many"], "data.frames: got 'many'"),
    "stride=0": (strips, ["--stride", "0"], "stride got 0; expected 1 or more frames"),
    "hop=0": (strips, ["--hop", "0"], "hop got 0; expected 1 or more frames"),
    "fps=0": (strips, ["--fps", "0"], "fps got 0; expected more than 0 and at most 1000"),
    "fps and stride": (strips, ["--fps", "5", "--stride", "2"], "both say which frames to take; give one of the two"),
    "a broken group": (strips, ["--group", "actor("], r"group got 'actor\(', which is no regular expression"),
    "a group in no name": (strips, ["--group", r"actor(\d+)"], "is in none of the 9 names; expected one that is in names such as '0.png'"),
    "a group without brackets": (strips, ["--group", "actor"], r"group='actor' is no column of a table .* needs a group in brackets, such as actor\(\\d\+\)"),
    "four channels": (strips, ["--channels", "4"], r"channels got 4; clips have 1 \(grey\) or 3 \(RGB\)"),
    "captions that are not there": (strips, ["--condition", "captions"], "captions was asked for, but"),
    "labels that are not there": (strips, ["--labels", "use"], "--labels use, but .* has none"),
    "a misspelt option": (strips, ["--strid", "2"], "unknown option '--strid' for data check. Did you mean 'stride'"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOPELESS)
def test_a_set_that_is_no_use(name, tmp_path, capsys):
    prepare, words, why = HOPELESS[name]
    asked = words if "--frames" in words else [*words, "--frames", "8"]
    status, told = printed(capsys, "data", "check", prepare(tmp_path), "--size", "16", *asked)
    assert status == 2 and "Traceback" not in told
    assert re.search(why, told), told


@pytest.mark.parametrize(
    ("words", "why"),
    [(["--stride", "2"], "stride is for clips, and the samples of .* are images; leave it out, or ask for clips with --frames 16"),
     (["--fps", "5"], "fps is for clips"), (["--hop", "2"], "hop is for clips"), (["--group", "(a)"], "group is for films"),
     (["--frames", "8"], "frames must be numbered|the longest of 1 has 20|clips of 8 frames")],
)  # fmt: skip
def test_clip_words_on_pictures(words, why, tmp_path, capsys):
    status, told = printed(capsys, "data", "check", pictures(tmp_path), "--size", "16", *words)
    assert (status == 2 and re.search(why, told)) or "--frames" in words, told


def test_clip_words_on_embedded_sets(capsys):
    status, told = printed(capsys, "data", "check", "digits", "--hop", "2")
    assert status == 2 and "hop is for films in files; digits is drawn as it is asked for" in told


def test_every_bad_file_is_told_and_the_others_are_used(tmp_path, capsys):
    folder = tmp_path / "films"
    for k in range(9):
        mp4(folder / f"good {k}.mp4", movie(k, 12))
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mov").write_text("hello")
    (folder / "noise.avi").write_bytes(b"RIFF" + bytes(range(200)))
    cut(folder / "cut.mp4")
    sound_only(folder / "song.mp4")
    no_frames(folder / "header.mp4")
    mp4(folder / "short.mp4", movie(20, 3))
    mp4(folder / "turned.mp4", movie(21, 9), second=movie(22, 9))
    half = mp4(folder / "half.mkv", movie(23, 90, 64, 64), pixels="yuv420p", g="15")
    half.write_bytes(half.read_bytes()[: int(half.stat().st_size * 0.8)])
    (folder / "notes.md").write_text("hello")
    status, told = printed(capsys, "data", "check", folder, "--frames", "8", "--size", "16", "--out", tmp_path / "sheet.png")
    assert status == 0 and (tmp_path / "sheet.png").stat().st_size > 1000, told
    flat = re.sub(r"\s+", " ", told)
    for line in (
        "empty.mp4: empty file (0 bytes)", "text.mov: not a video: it is text, starting 'hello'", "noise.avi: truncated or damaged",
        "cut.mp4: truncated: its table of frames (moov)", "song.mp4: holds sound only: nothing to look at", "header.mp4: ",
        "short.mp4: 3 frames, a clip spans 8", "half.mkv: ends after", "turned.mp4: 2 video streams: the first is used", "not films: 1 × .md",
    ):  # fmt: skip
        assert line in flat, (line, told)
    assert "11 films" in flat


def test_training_refuses_as_the_check_does(tmp_path, capsys):
    status, told = printed(capsys, "train", strips(tmp_path), "--frames", "40", "--out", tmp_path / "run")
    assert status == 2 and "no film long enough for a clip of 40 frames" in told
    assert not (tmp_path / "run" / "run.json").exists()
