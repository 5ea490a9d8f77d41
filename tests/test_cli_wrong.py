"""What users type wrong: told at once, in one sentence, with status 2; nothing is trained first and nothing is written elsewhere."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from agon import hooks, recipes
from agon.data import Data, open_data
from agon.directory import RunDirectory
from agon.errors import InputError
from agon.run import prepare
from commandline import printed

TINY = (
    *[
        "--recipe",
        "r3gan",
        "--rounds",
        "2",
        "--batch",
        "4",
        "--tick",
        "1",
        "--score_every",
        "0",
        "--device",
        "cpu",
        "--threads",
        "1",
        "--num_samples",
        "8",
    ],
    "--game.net.widths",
    "[8,8]",
)
GAME = """
from collections.abc import Mapping
from dataclasses import dataclass, field
import torch
from agon import Game, Turn, losses
from agon.networks.dcgan import DCGAN
from agon.optim import Adam

@dataclass(frozen=True, kw_only=True)
class Mine(Game):
    net: DCGAN = DCGAN(width=4)
    optim: Mapping[str, Adam] = field(default_factory=lambda: {k: Adam(lr=2e-4) for k in "GD"})
    def players(self, space): return {"G": self.net.generator(4, space), "D": self.net.critic(space)}
    def turns(self): return [Turn(self.critic, "D"), Turn(self.generator, "G")]
    def critic(self, p, real, t): return {"adv": losses.hinge_d(p.D(real["x"]), p.D(self.sample(p, len(real["x"]))))}
    def generator(self, p, real, t): return {"adv": losses.hinge_g(p.D(self.sample(p, len(real["x"]))))}
    def sample(self, p, n): return p.G(torch.randn(n, 4, device=p.device))
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for index in range(24):
        place = folder / ("red", "blue")[index % 2]
        place.mkdir(exist_ok=True)
        Image.effect_noise((8, 8), 20 + index).save(place / f"{index}.png")
    return folder


def test_train_with_seeds_is_a_sweep(capsys: pytest.CaptureFixture[str], pictures: Path, tmp_path: Path) -> None:
    status, told = printed(capsys, "train", pictures, *TINY, "--seeds", 2, "--out", tmp_path / "a")
    assert status == 0, told
    assert "as `agon sweep` does" in told and "over 2 of 2 runs" in told
    assert (tmp_path / "a-s0" / "run.json").is_file() and (tmp_path / "a-s1" / "run.json").is_file() and not (tmp_path / "a").exists()
    run = tmp_path / "a-s0"
    for words, expected in (
        (("train", run, "--seeds", 2), "--seeds trains from data"),
        (("sweep", run, "--seeds", 2), "is a run, not data"),
        (("eval", run, "--num-samples", 0), "--num-samples is 0"),
        (("study", "make", run, "--out", tmp_path / "study", "--show-ms", -3), "--show-ms is -3"),
        (("sample", run, "--space", "w"), "w"),
        (("sample", run, "--layers", "0-3"), "--layers says"),
        (("sample", run, "--columns", 0), "--columns is 0"),
        (("edit", run, "--method", "difference", "--more", 0, "--less", 1, "--name", "../../out"), "--name is '../../out'"),
        (("edit", tmp_path / "nothing"), "does not exist"),
        (("train", run, "--metrics", "fdd"), "Did you mean 'fd'?"),
    ):
        status, told = printed(capsys, *words)
        assert status == 2 and expected in told and "Traceback" not in told, (words, told)
    assert not list(tmp_path.glob("out*"))
    run.rename(tmp_path / "real")
    status, told = printed(capsys, "study", "make", tmp_path / "real", "--out", tmp_path / "study")
    assert status == 2 and "rename the folder" in told and not (tmp_path / "study").exists()


def test_a_metric_is_checked_before_training(capsys: pytest.CaptureFixture[str], pictures: Path, tmp_path: Path) -> None:
    status, told = printed(capsys, "train", pictures, *TINY, "--metrics", "fd,prdcc", "--out", tmp_path / "a")
    assert status == 2 and "Did you mean 'prdc'?" in told
    assert not (tmp_path / "a").exists()


def test_a_game_without_given_says_so_on_labelled_data(capsys: pytest.CaptureFixture[str], pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(GAME)
    status, told = printed(capsys, "train", pictures, "--game", tmp_path / "mine.py", "--rounds", 1, "--out", tmp_path / "a")
    assert status == 2 and "--labels ignore" in told and not (tmp_path / "a").exists()
    words = ("--labels", "ignore", "--rounds", 1, "--batch", 4, "--size", 8, "--score_every", 0, "--num_samples", 8)
    status, told = printed(capsys, "train", pictures, "--game", tmp_path / "mine.py", *words, "--out", tmp_path / "b")
    assert status == 0, told


def test_words_that_are_not_utf8_are_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for index in range(8):
        Image.effect_noise((8, 8), 20 + index).save(tmp_path / f"{index}.png")
    (tmp_path / "labels.csv").write_bytes(b"file,label\n" + "\n".join(f"{i}.png,{'éè'[i % 2]}" for i in range(8)).encode("latin-1"))
    status, told = printed(capsys, "data", "check", tmp_path)
    assert status == 2 and "row 2 is not UTF-8" in told


def test_runs_among_the_data_are_passed_over(
    capsys: pytest.CaptureFixture[str], pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(pictures, folder)
    monkeypatch.chdir(folder)
    assert printed(capsys, "train", ".", *TINY)[0] == 0
    status, told = printed(capsys, "train", "runs/photos-r3gan", "--rounds", 3)
    assert status == 0, told
    status, told = printed(capsys, "train", ".", *TINY)
    assert status == 0, told
    hashes = {json.loads((folder / "runs" / name / "run.json").read_text())["content_hash"] for name in ("photos-r3gan", "photos-r3gan-2")}
    assert len(hashes) == 1
    status, told = printed(capsys, "data", "check", ".")
    assert status == 0 and "passed over 2 runs" in told


def test_a_run_of_text_among_the_text_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("".join(f"a line of text, number {k}\n" for k in range(40)))
    before = open_data(Data(path=str(tmp_path))).content_hash
    for name in ("states", "samples"):
        (tmp_path / "runs" / "a" / name).mkdir(parents=True)
    (tmp_path / "runs" / "a" / "run.json").write_text("{}")
    (tmp_path / "runs" / "a" / "samples" / "00000001.txt").write_text("a sample\n")
    (tmp_path / "runs" / "a" / "samples" / "attention.png").touch()
    assert open_data(Data(path=str(tmp_path))).content_hash == before


@pytest.mark.parametrize("verb", [("train", "digits"), ("demo",)], ids=" ".join)
def test_a_run_is_not_made_among_other_files(verb: tuple[str, ...], capsys: pytest.CaptureFixture[str], pictures: Path) -> None:
    before = sorted(pictures.rglob("*"))
    status, told = printed(capsys, *verb, "--out", pictures)
    assert status == 2 and "holds files that are no run, such as 'blue'" in told and "another with --out" in told
    assert sorted(pictures.rglob("*")) == before


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--extractor", "foo"), "extractor 'foo' is unknown"),
        (("--extractor", "inception"), "needs its weights"),
        (("--extractor", "classifier"), "the rarest class has"),
        (("--extractor", "clips"), "looks at clips"),
        (("--extractor-weights", "nope.pt"), "nothing is there"),
        (("--metrics", "bleu"), "the first chooses the best state"),
        (("--data.path", "nowhere"), "there is nothing at nowhere"),
        (("--rounds", "many"), "rounds"),
    ],
    ids=" ".join,
)
def test_what_a_score_needs_is_told_before_anything_is_made_or_changed(
    words: tuple[str, ...], expected: str, capsys: pytest.CaptureFixture[str], pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.delenv("AGON_INCEPTION", raising=False)
    if words[0] != "--data.path":
        status, told = printed(capsys, "train", pictures, *TINY, *words, "--out", tmp_path / "new")
        assert status == 2 and expected in told and not (tmp_path / "new").exists(), told
    assert printed(capsys, "train", pictures, *TINY, "--out", tmp_path / "a")[0] == 0
    before = contents(tmp_path / "a")
    status, told = printed(capsys, "train", tmp_path / "a", *words)
    assert status == 2 and expected in told, told
    assert contents(tmp_path / "a") == before


def test_a_resume_whose_data_are_gone_changes_nothing(
    capsys: pytest.CaptureFixture[str], pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(pictures, tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    assert printed(capsys, "train", "photos", *TINY, "--out", "a")[0] == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    status, told = printed(capsys, "train", tmp_path / "a", "--rounds", 3)
    assert status == 0, f"a run is found from anywhere, and so are its data: {told}"
    (tmp_path / "photos").rename(tmp_path / "pictures")
    before = contents(tmp_path / "a")
    for verb, *more in (("train", "--rounds", 5), ("eval",)):
        status, told = printed(capsys, verb, tmp_path / "a", *more)
        assert status == 2 and f"agon train {tmp_path / 'a'} --data.path NEW" in told, told
    status, told = printed(capsys, "train", tmp_path / "a", "--rounds", 5, "--data.path", pictures / "red")
    assert status == 2 and "changed since" in told
    assert contents(tmp_path / "a") == before
    status, told = printed(capsys, "train", tmp_path / "a", "--rounds", 5, "--data.path", "../pictures")
    assert status == 0 and "5 rounds" in told, told
    assert printed(capsys, "eval", tmp_path / "a")[0] == 0


def test_rounds_are_saved_when_a_score_cannot_be_taken(
    capsys: pytest.CaptureFixture[str], pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise InputError("the weights are gone.")

    with monkeypatch.context() as patch:
        patch.setattr(hooks, "take_scores", refuse)
        status, told = printed(capsys, "train", pictures, *TINY, "--save_every", 9, "--out", tmp_path / "a")
    assert status == 2 and "the weights are gone." in told and f"agon train {tmp_path / 'a'} --extractor auto" in told
    assert [round for round, _ in RunDirectory(tmp_path / "a").states()] == [0, 2]
    status, told = printed(capsys, "train", tmp_path / "a", "--extractor", "random")
    assert status == 0, told
    assert {row["round"] for row in RunDirectory(tmp_path / "a").scores()} == {2}


def test_a_repeat_asks_for_its_extractor_before_it_begins(capsys: pytest.CaptureFixture[str], pictures: Path, tmp_path: Path) -> None:
    assert printed(capsys, "train", pictures, *TINY, "--metrics", "[]", "--out", tmp_path / "a")[0] == 0
    told = json.loads((tmp_path / "a" / "run.json").read_text("utf-8"))
    (tmp_path / "a" / "run.json").write_text(json.dumps({**told, "metrics": ["fd"], "extractor_weights": "gone.pt"}), "utf-8")
    status, text = printed(capsys, "train", tmp_path / "a" / "run.json", "--out", tmp_path / "b")
    assert status == 2 and "gone.pt" in text and "nothing is there" in text, text
    assert not RunDirectory(tmp_path / "b").states()
    assert printed(capsys, "train", tmp_path / "b", "--metrics", "[]")[0] == 0, "the copy goes on once that is mended"


def test_a_read_only_place_is_said(
    capsys: pytest.CaptureFixture[str], pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    assert printed(capsys, "train", pictures, *TINY, "--out", tmp_path / "a")[0] == 0
    for where, words in (
        ("agon.run.Log", ("train", tmp_path / "a", "--rounds", 3)),
        ("agon.directory.RunDirectory.write", ("train", tmp_path / "a", "--rounds", 3)),
        ("agon.speed.append_jsonl", ("compare", tmp_path / "a", tmp_path / "a", "--measure")),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(where, refuse)
            status, told = printed(capsys, *words)
        assert status == 2 and f"cannot write to '{tmp_path / 'a'}': Read-only file system" in told, told


def test_a_run_that_lacks_something_says_what(capsys: pytest.CaptureFixture[str], pictures: Path, tmp_path: Path) -> None:
    assert printed(capsys, "train", pictures, *TINY, "--out", tmp_path / "a")[0] == 0
    whole = json.loads((tmp_path / "a" / "run.json").read_text())
    for name in ("game", "rounds", "data"):
        (tmp_path / "a" / "run.json").write_text(json.dumps({key: value for key, value in whole.items() if key != name}))
        for verb in ("train", "sample"):
            status, told = printed(capsys, verb, tmp_path / "a")
            assert status == 2 and f"run.json' lacks '{name}'" in told, told
    (tmp_path / "a" / "run.json").write_text(json.dumps({**whole, "data": {}}))
    status, told = printed(capsys, "train", tmp_path / "a")
    assert status == 2 and "data.path is missing" in told and len(told) < 200


def test_a_run_lies_at_a_path_that_can_be_read_again(capsys: pytest.CaptureFixture[str], pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "caf\udce9"
    status, told = printed(capsys, "train", pictures, *TINY, "--out", out)
    assert status == 2 and "is not UTF-8" in told and not out.exists()
    assert printed(capsys, "train", pictures, *TINY, "--out", tmp_path / "a")[0] == 0
    (tmp_path / "a").rename(out)
    for verb, more in (("train", ("--rounds", 3)), ("sample", ())):
        status, told = printed(capsys, verb, out, *more)
        assert status == 2 and "Rename the folder" in told


def test_a_fault_is_told_whatever_is_in_its_words(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("at \udce9")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("agon.data.inspection.check", fail)
    status, told = printed(capsys, "data", "check", "caf\udce9")
    assert status == 1 and "a fault of Agon's own: RuntimeError" in told
    assert "RuntimeError: at \\udce9" in next(tmp_path.glob("agon-*.log")).read_text("utf-8")


def test_a_fault_in_the_users_game_is_said_to_be_there(capsys: pytest.CaptureFixture[str], pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(GAME.replace("losses.hinge_g(", "losses.hinge_of_g("))
    words = ("--labels", "ignore", "--rounds", 1, "--batch", 4, "--size", 8, "--score_every", 0, "--num_samples", 8)
    status, told = printed(capsys, "train", pictures, "--game", tmp_path / "mine.py", *words, "--out", tmp_path / "a")
    line = next(k for k, text in enumerate((tmp_path / "mine.py").read_text().splitlines(), 1) if "hinge_of_g(" in text)
    assert status == 2 and f"your game, game.py line {line}, raised" in told and ".log" in told, told


def test_what_is_typed_wrong_or_broken_off_keeps_its_status(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    status, told = printed(capsys, "recipse")
    assert status == 2 and "No such command 'recipse'" in told
    status, told = printed(capsys, "sample")
    assert status == 2 and "Missing argument" in told
    assert printed(capsys, "--help")[0] == 0

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("agon.data.inspection.check", interrupted)
    status, told = printed(capsys, "data", "check", "digits")
    assert status == 130 and "agon: interrupted; what was saved is whole." in told


@pytest.mark.parametrize(
    ("shell", "status", "told"),
    [
        ("{agon} recipes | head -1; exit ${{PIPESTATUS[0]}}", 0, "recipe"),
        ("{agon} recipes > /dev/full", 2, "No space left on device. Make room"),
        ("PYTHONIOENCODING=ascii {agon} recipes", 0, "score ± sd"),
    ],
    ids=["closed pipe", "full disk", "ascii"],
)
def test_output_that_cannot_be_written_is_no_fault(shell: str, status: int, told: str) -> None:
    done = subprocess.run(["bash", "-c", shell.format(agon=f"{sys.executable} -m agon")], capture_output=True, text=True)
    assert done.returncode == status and told in done.stdout + done.stderr and "fault" not in done.stderr, done


@pytest.mark.parametrize(
    "data", [Data(path="ring", limit=300), Data(path="digits", limit=60), Data(path="sentences", limit=200)], ids=lambda d: d.path
)
def test_every_recipe_refuses_data_in_words_or_is_prepared(data: Data, tmp_path: Path) -> None:
    # What was prepared is played by the smoke tests; of what must not be, players that could not be built told nothing but a shape.
    refused = set()
    for name in recipes.table():
        try:
            prepare(data, out=tmp_path / name, recipe=name, settings={"rounds": 1, "batch": 4, "metrics": [], "device": "cpu"})
        except InputError as error:
            refused.add(name)
            assert data.path != "sentences" or "points" not in str(error) or "take --recipe likelihood" in str(error), error
    numbers = {
        name
        for name, recipe in recipes.table().items()
        if not recipe.build.__module__.startswith(("agon.recipes.text", "agon.recipes.pairs"))
    }
    assert refused >= (numbers if data.path == "sentences" else recipes.table().keys() - numbers)
    assert recipes.pick(recipes.Situation(space=open_data(data).space, count=60, device="cpu"))[0] not in refused
