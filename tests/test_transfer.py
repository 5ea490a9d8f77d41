"""Starting from another run: what is taken, what is not and why, and that the new run needs the old one no more."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
import torch

import agon
from agon.data import Data
from agon.directory import RunDirectory
from agon.errors import InputError
from agon.run import copy_of, play, prepare
from agon.trained import load

QUICK = {
    "rounds": 2, "batch": 8, "score_every": 0, "metrics": [], "tensorboard": False, "game.net.widths": [16, 8], "game.augment": None
}  # fmt: skip


def digits(folder: Path, **settings: object) -> RunDirectory:
    directory, data_set = prepare(Data(path="digits", size=16, limit=200), out=folder, recipe="r3gan", settings={**QUICK, **settings})
    play(directory, data_set)
    return directory


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return digits(tmp_path_factory.mktemp("old") / "run")


def begin(old: RunDirectory, out: Path, data: Data | None = None, **settings: object) -> tuple[RunDirectory, list[str]]:
    said: list[str] = []
    directory, _ = prepare(
        data or Data(path="digits", size=16, limit=200), out=out, recipe="r3gan", settings={**QUICK, **settings}, start=old.path,
        say=lambda name, text: said.append(text) if name == "from" else None,
    )  # fmt: skip
    return directory, said


def test_weights_and_averages_are_taken_and_optimisers_are_fresh(old: RunDirectory, tmp_path: Path) -> None:
    directory, said = begin(old, tmp_path / "new", seed=5)
    total = sum(len(net.state_dict()) for name, net in load(old.path).players.items() if name in "GD")
    assert said == [f"{total} of {total} tensors from {old.path}, round 2; optimisers are fresh"]
    record = directory.run()["start"]
    assert record["sha256"] == hashlib.sha256(old.states()[-1][1].read_bytes()).hexdigest()
    assert (record["path"], record["state"], record["round"]) == (str(old.path), "latest", 2)
    play(directory, cpu_budget=0.0)  # saves the state of round 0 and stops
    found = directory.load_state()
    before = old.load_state()
    assert found is not None
    assert before is not None
    assert found[1]["round"] == 0
    for key, value in before[0].items():
        if key.startswith(("players/G", "players/D", "ema/")):
            assert torch.equal(found[0][key], value), key
    assert not any(key.startswith("optim/") for key in found[0])


def test_a_run_from_another_does_not_need_it_any_more(old: RunDirectory, tmp_path: Path) -> None:
    first = tmp_path / "first"
    shutil.copytree(old.path, first)
    directory, _ = begin(RunDirectory(first), tmp_path / "new")
    again = copy_of(directory, tmp_path / "again")
    shutil.rmtree(first)
    weights = []
    for each in (directory, again):
        play(each)
        weights.append(load(each.path, weights="raw").players.G.state_dict())
    assert all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())


def test_what_does_not_fit_stays_fresh_and_is_named(old: RunDirectory, tmp_path: Path) -> None:
    data = Data(path="digits", size=16, limit=200, labels="ignore")
    _, said = begin(old, tmp_path / "plain", data)
    # A generator that is told no class has a narrower first layer; the critic just lacks its embedding.
    assert "Not taken: G.project.weight: 128×96 there, 128×64 here" in said[0].replace("256×", "128×")
    directory, said = begin(old, tmp_path / "wide", **{"game.net.widths": [16, 12]})
    assert "not taken" in said[0].lower()
    assert directory.run()["start"]["fresh"]
    play(directory)


def test_mistakes_say_what_to_do(old: RunDirectory, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"draws pictures of 16×16, and this run 8×8.* Add --size 16\."):
        begin(old, tmp_path / "a", Data(path="digits", size=8, limit=200))
    with pytest.raises(InputError, match=r"of 1 channels, and this run 3. Add --channels 1\."):
        begin(old, tmp_path / "b", Data(path="digits", size=16, channels=3, limit=200))
    with pytest.raises(InputError, match="trained on image data, this is points"):
        prepare(Data(path="ring"), out=tmp_path / "c", start=old.path)
    with pytest.raises(InputError, match="run '.*nowhere' does not exist"):
        prepare(Data(path="digits", limit=200), out=tmp_path / "d", start=tmp_path / "nowhere")
    with pytest.raises(InputError, match="has no best state yet"):
        prepare(Data(path="digits", size=16, limit=200), out=tmp_path / "e", start=old.path, start_state="best")
    with pytest.raises(InputError, match="nothing of '.*' fits: it was trained with the game 'r3gan'.*--recipe r3gan"):
        prepare(Data(path="digits", size=16, limit=200), out=tmp_path / "f", recipe="gan", start=old.path, settings={"rounds": 1})
    assert not any((tmp_path / name).exists() for name in "abcdef"), "a refusal leaves no directory"


def test_fit_starts_from_a_run(old: RunDirectory, tmp_path: Path) -> None:
    run = agon.fit("r3gan", data=Data(path="digits", size=16, limit=200), out=tmp_path / "new", start=old.path, **{**QUICK, "rounds": 1})
    assert run.content["start"]["path"] == str(old.path)
