"""Evaluation through the whole path: stacked sets, sweeps, studies, a budget for scores, a run that cannot be written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from agon.data import Data, open_data
from agon.data.stack import read_card, stack
from agon.directory import RunDirectory
from agon.errors import InputError
from agon.metrics import make_extractor
from agon.run import play, prepare
from agon.scoring import FREE_S, Budget, open_probe
from agon.study import make_study, read_study
from agon.sweep import finished, spread, sweep
from agon.trained import load
from commandline import printed

SMALL = {
    "rounds": 4, "batch": 8, "device": "cpu", "tensorboard": False, "score_every": 2, "num_samples": 60, "extractor": "pixels",
    "metrics": ["fd", "ppl"],
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[RunDirectory]:
    """A sweep of two seeds on digits."""
    place = tmp_path_factory.mktemp("sweep")
    return sweep(Data(path="digits"), seeds=2, out=place / "x", recipe="dcgan", settings=SMALL)


def test_a_sweep_goes_on_and_tells_mean_and_sd(runs: list[RunDirectory]) -> None:
    assert [run.path.name for run in runs] == ["x-s0", "x-s1"]
    assert all(finished(run) for run in runs)
    written = [(run.path / "events.jsonl").read_bytes() for run in runs]
    again = sweep(Data(path="digits"), seeds=2, out=runs[0].path.parent / "x", recipe="dcgan", settings=SMALL)
    assert [(run.path / "events.jsonl").read_bytes() for run in again] == written, "finished runs are left alone"
    row = next(row for row in spread(runs) if row.name == "fd")
    assert row.mean == pytest.approx(sum(row.values) / 2)
    assert row.sd == pytest.approx(abs(row.values[0] - row.values[1]) / 2**0.5)
    assert "over 2 of 2 runs" in str(row)
    with pytest.raises(InputError, match="is a run with batch 8, and this sweep has 9"):
        sweep(Data(path="digits"), seeds=2, out=runs[0].path.parent / "x", recipe="dcgan", settings={**SMALL, "batch": 9})
    with pytest.raises(InputError, match="sets the seeds itself"):
        sweep(Data(path="digits"), seeds=2, out="y", settings={"seed": 3})


def test_rows_tell_interval_and_cost(runs: list[RunDirectory]) -> None:
    rows = [row for row in runs[0].scores() if row["name"] == "fd"]
    assert rows[-1]["low"] <= rows[-1]["value"] <= rows[-1]["high"]
    assert rows[-1]["cost_s"] >= 0
    assert next(row for row in runs[0].scores() if row["name"] == "ppl")["protocol"]["settings"].startswith("Z, ε=0.0001, 60 pairs")


def test_a_probe_is_seeded_and_leaves_random_state_alone(runs: list[RunDirectory]) -> None:
    trained = load(runs[0].path, device="cpu")
    probe = open_probe(trained.game, trained.players, trained.space, trained.conditions)
    assert probe is not None
    before = torch.get_rng_state()
    z = probe.latents(5, None, 3)
    assert torch.equal(z, probe.latents(5, None, 3))
    x = probe.render(z, None, 0)
    assert torch.equal(x, probe.render(z, None, 0))
    assert x.shape == (5, *trained.space.shape)
    assert (x.frac() != 0).any(), "not rounded to bytes"
    assert torch.equal(torch.get_rng_state(), before)


def test_a_study_from_runs(runs: list[RunDirectory], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [run.path for run in runs]
    made = make_study(paths, tmp_path / "a", trials=12, seed=1)
    assert read_study(tmp_path / "a") == made
    assert sorted(made.truth.values()) == ["real"] * 4 + ["x-s0"] * 4 + ["x-s1"] * 4
    assert all((tmp_path / "a" / name).is_file() for name in made.files.values())
    pairs = make_study(paths, tmp_path / "b", kind="preference", trials=6)
    assert {frozenset(pairs.truth[s] for s in t.stimuli) for t in pairs.trials} == {frozenset({"x-s0", "x-s1"})}
    with pytest.raises(InputError, match="expected a new or empty folder"):
        make_study(paths, tmp_path / "a")
    with pytest.raises(InputError, match="expected real-or-fake, preference, rating"):
        make_study(paths, tmp_path / "c", kind="preferences")
    answers = [{"participant": p, "trial": t.id, "answer": "fake", "ms": 5} for p in ("p", "q") for t in made.trials]
    (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, answers)))
    status, text = printed(capsys, "study", "score", tmp_path / "a", tmp_path / "r.jsonl")
    assert status == 0, text
    assert "x-s0: HYPE error rate 0.500" in text


def test_eval_of_a_run_that_cannot_be_written(runs: list[RunDirectory], capsys: pytest.CaptureFixture[str]) -> None:
    metrics = runs[1].path / "metrics.jsonl"
    kept = metrics.read_bytes()
    metrics.unlink()
    metrics.mkdir()
    try:
        status, text = printed(capsys, "eval", runs[1].path, "-m", "fd")
    finally:
        metrics.rmdir()
        metrics.write_bytes(kept)
    assert status == 0, text
    assert "score  fd" in text
    assert "note  not kept in" in text


def test_eval_names_the_worst_class(runs: list[RunDirectory], capsys: pytest.CaptureFixture[str]) -> None:
    status, text = printed(capsys, "eval", runs[0].path, "-m", "class_coverage", "--extractor", "classifier")
    assert status == 0, text
    assert "note: worst class '" in text


def test_a_leak_is_asked_of_runs_with_augmentation(runs: list[RunDirectory], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = {
        **SMALL,
        "metrics": ["fd", "leak"],
        "game.augment": "ada",
        "game.augment.policy": '["shift", "cutout"]',
        "game.augment.p": 0.5,
    }
    directory, data_set = prepare(Data(path="digits"), out=tmp_path / "run", recipe="dcgan", settings=settings)
    play(directory, data_set)
    row = directory.scores()[-1]
    assert (row["name"], row["protocol"]["reference"]) == ("leak", "held")
    assert set(row["extra"]["by_group"]) == {"shift", "cutout"}
    assert row["low"] <= row["value"] <= row["high"] and abs(row["floor"]) < 0.5
    assert "worst of shift, cutout; axes of" in row["protocol"]["settings"]
    status, text = printed(capsys, "eval", directory.path, "-m", "leak")
    assert status == 0, text
    assert "score  leak" in text and "shift: leak" in text and "(0 real, 1 augmented; AUC" in text
    status, text = printed(capsys, "eval", runs[0].path, "-m", "leak")
    assert status == 2
    assert (
        "asks whether augmentation has got into the samples, and this run's critics see pictures as they are (game.augment is null)" in text
    )
    status, text = printed(capsys, "eval", directory.path, "-m", "leak", "--num-samples", "20")
    assert status == 2 and "needs 50 samples, and 20 were asked for; ask for more by --num-samples" in text


def test_eval_takes_the_metrics_that_apply_and_names_the_others(runs: list[RunDirectory], capsys: pytest.CaptureFixture[str]) -> None:
    run, rows = runs[0].path, len(runs[0].scores())
    status, text = printed(capsys, "eval", run, "-m", "class_accuracy", "-m", "fd", "-m", "stacked_modes")
    assert status == 0, text
    assert "left out  class_accuracy: metric 'class_accuracy' needs a class-conditional generator" in text
    assert "left out  stacked_modes: metric" in text
    assert text.count("score  ") == text.count("score  fd ") == 1
    assert len(runs[0].scores()) == rows + 1
    for words, expected in (
        (("-m", "class_accuracy"), "agon: metric 'class_accuracy' needs"),
        (("-m", "class_accuracy", "-m", "stacked_modes"), "agon: none of the metrics can be taken here: metric"),
        (("-m", "fd", "-m", "prdcc"), "Did you mean 'prdc'?"),
    ):
        status, text = printed(capsys, "eval", run, *words)
        assert status == 2 and expected in text, (words, text)
    assert len(runs[0].scores()) == rows + 1


def test_stacked_digits(tmp_path: Path) -> None:
    path = stack(Data(path="digits"), tmp_path / "s.npz", count=300, held=60, seed=2)
    with np.load(path) as first:
        x = first["x"]
    stack(Data(path="digits"), tmp_path / "again.npz", count=300, held=60, seed=2)
    with np.load(tmp_path / "again.npz") as second:
        assert np.array_equal(x, second["x"])
    card = read_card(str(path))
    assert card is not None
    assert (card["grey"], card["count"], card["held"]) == ("digits", 300, 60)
    data_set = open_data(Data(path=str(path)))
    assert (len(data_set.train), len(data_set.held), data_set.space.num_classes) == (300, 60, 0), "no labels: nothing to be conditional on"
    assert data_set.space.shape == (3, 16, 16)
    extractor = make_extractor("auto", data_set)
    assert (extractor.name, extractor.num_classes, extractor.dim) == ("stacked-classifier", 1000, 192)
    grey = open_data(Data(path="digits"))
    assert grey.train.y is not None
    triple = torch.cat([grey.train.x[(grey.train.y == k).nonzero()[0]] for k in (3, 1, 4)], 1)
    seen = extractor(triple)
    assert seen.probabilities is not None
    assert int(seen.probabilities.argmax()) == 314
    assert float(seen.probabilities.sum()) == pytest.approx(1)
    settings = {**SMALL, "rounds": 1, "score_every": 0, "extractor": "auto", "metrics": ["modes_stacked"]}
    directory, data_set = prepare(Data(path=str(path)), out=tmp_path / "run", recipe="dcgan", settings=settings)
    play(directory, data_set)
    modes, kl = directory.scores()
    assert (modes["name"], kl["name"]) == ("stacked_modes", "stacked_kl")
    assert 0 < modes["value"] <= modes["floor"] <= 60
    assert kl["floor"] > 0
    with pytest.raises(InputError, match="which grey pictures these were stacked from"):
        make_extractor("stacked", grey)
    with pytest.raises(InputError, match="ending in .npz"):
        stack(Data(path="digits"), tmp_path / "s.zip", count=20)


def test_a_budget_stretches_the_cadence() -> None:
    budget = Budget(0.1)
    assert budget.allows(0)
    budget.spent = FREE_S - 1
    assert budget.allows(0), "a short run may spend a little"
    budget.spent = 50
    assert not budget.allows(100)
    assert budget.put_off == 1
    assert "taken less often" in budget.sentence(100)
    assert budget.allows(501)
    assert budget.put_off == 0
    assert not Budget(0).allows(1e9), "0: only the score at the end"


def test_a_run_says_when_scores_are_left_out(tmp_path: Path) -> None:
    directory, data_set = prepare(Data(path="digits"), out=tmp_path / "run", recipe="dcgan", settings={**SMALL, "score_share": 0.0})
    play(directory, data_set)
    assert [row["round"] for row in directory.scores() if row["name"] == "fd"] == [4]
    assert [row["round"] for row in directory.events() if row["kind"] == "scores"] == [2]
    with pytest.raises(InputError, match="--score-share is -1"):
        prepare(Data(path="digits"), out=tmp_path / "other", settings={"score_share": -1})
