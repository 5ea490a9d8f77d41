"""Trained runs asked for what they cannot do, or damaged: told in words that fit the run, and nothing is left out in silence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

import agon
from agon.data import Data
from commandline import printed

SMALL = {"batch": 8, "score_every": 0, "tick": 1, "save_every": 1, "tensorboard": False, "metrics": []}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs on text, on pairs of texts and on labelled pictures, two rounds each."""
    folder = tmp_path_factory.mktemp("runs")
    said = [f"{one} {two}" for one in ("a man", "a dog", "the old cat") for two in ("sits", "sleeps", "is running", "eats", "looks on")]
    (folder / "lines.txt").write_text("\n".join(said * 4))
    (folder / "pairs.jsonl").write_text("\n".join(json.dumps({"en": text, "de": text.upper()}) for text in said * 4))
    for index in range(24):
        place = folder / "pictures" / ("cat", "dog")[index % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((8, 8), 20 + index).save(place / f"{index}.png")
    tiny = {"game.net.width": 16, "game.net.embed": 16}
    agon.fit("likelihood", data=Data(path=str(folder / "lines.txt")), out=folder / "text", rounds=2, **SMALL, **tiny)
    pairs = Data(path=str(folder / "pairs.jsonl"), source="en", target="de")
    agon.fit("translation", data=pairs, out=folder / "pairs", rounds=1, **SMALL)
    pictures = Data(path=str(folder / "pictures"), size=8)
    agon.fit("r3gan", data=pictures, out=folder / "pictures-run", rounds=1, **SMALL, **{"game.net.widths": [8, 8]})
    return folder


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("sample", "text", "--truncation", 0.5), "no latent space to walk or edit in"),
        (("edit", "text"), "no latent space to walk or edit in"),
        (("sample", "text", "--out", "{runs}/sub"), "--out lines.txt"),
        (("sample", "pictures-run", "--interpolate", -2), "got -2"),
        (("edit", "pictures-run", "--method", "sefaa"), "expected sefa, ganspace, difference. Did you mean 'sefa'?"),
        (("sample", "pictures-run", "--truncation", -5), "or more to exaggerate"),
        (("sample", "pictures-run", "--truncation", "inf"), "--truncation is inf"),
        (("sample", "text", "--length", 4), "--length is for pictures or clips"),
        (("sample", "text", "--fps", 4), "--fps is for pictures or clips"),
        (("sample", "text", "--columns", 3), "--columns is for pictures or clips"),
        (("sample", "pictures-run", "--classes", "cat", "-n", 5), "--per-class"),
        (("curve", "text", "-n", 0), "-n is 0; expected 1 or more"),
        (("sample", "txet"), "Did you mean 'text'?"),
        (("apply", "pairs", "{runs}/pictures/cat/0.png"), "zero bytes"),
    ],
)
def test_what_a_run_cannot_do_is_refused(words: tuple[str, ...], expected: str, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verb, run, *rest = words
    status, told = printed(capsys, verb, runs / run, *(str(word).format(runs=runs) for word in rest))
    assert status == 2 and expected in told, told


def test_unknown_words_are_told(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, told = printed(capsys, "sample", runs / "text", "-n", 2, "--prefix", "zyxwv cat")
    assert status == 0 and "1 of 2 tokens of --prefix are not in the run's vocabulary" in told
    status, told = printed(capsys, "sample", runs / "text", "-n", 2, "--prefix", "the cat")
    assert status == 0 and "vocabulary" not in told
    status, told = printed(capsys, "sample", runs / "pairs", "-n", 2, "--text", "zzz qqq")
    assert status == 0 and "2 of 2 tokens of --text are not in the run's vocabulary" in told


def test_lines_that_are_not_utf8_are_counted(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (runs / "in.txt").write_bytes(b"a man sits\na caf\xe9\n")
    status, told = printed(capsys, "apply", runs / "pairs", runs / "in.txt")
    assert status == 0 and "1 lines are not UTF-8" in told


def test_damaged_states_are_told(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = shutil.copytree(runs / "text", tmp_path / "run")
    newest = max((run / "states").glob("0*.safetensors"))
    newest.write_bytes(newest.read_bytes()[:100])
    status, told = printed(capsys, "sample", run, "-n", 2)
    assert status == 0 and "passed over the damaged state of round 2" in told
    for path in (run / "states").glob("0*.safetensors"):
        path.write_bytes(b"torn")
    status, told = printed(capsys, "sample", run, "-n", 2)
    assert status == 2 and "none of them can be read" in told and "train again" in told


@pytest.mark.parametrize("torn", ['{"rounds": ', "[]"])
def test_the_doctor_says_what_it_could_not_read(torn: str, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = shutil.copytree(runs / "text", tmp_path / "run")
    (run / "run.json").write_text(torn)
    status, told = printed(capsys, "doctor", run)
    assert status == 0 and "run.json could not be read" in told
