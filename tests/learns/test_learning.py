"""It learns: modes of a ring, digits of the class that was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from agon.data import Data
from agon.metrics import make_extractor
from agon.run import play, prepare
from agon.trained import load


@pytest.mark.parametrize("seed", [0, 1])
def test_ring_is_covered(seed: int, tmp_path: Path) -> None:
    """A tenth of the recipe's rounds: every mode is found, and most samples lie near one. The full figure is benchmarks/modes.py."""
    settings = {"rounds": 600, "seed": seed, "score_every": 0, "tick": 200, "save_every": 600, "tensorboard": False}
    directory, data_set = prepare(Data(path="ring"), out=tmp_path / "run", settings=settings)
    play(directory, data_set)
    scores = {row["name"]: row["value"] for row in directory.scores()}
    assert scores["modes"] == 8
    assert scores["quality"] > 0.35


def test_digits_are_of_the_class_asked_for(tmp_path: Path) -> None:
    """240 rounds on the embedded digits: an independent classifier names most samples as what was asked for, and all ten exist."""
    settings = {"rounds": 240, "score_every": 0, "metrics": ["fd"], "tick": 40, "tensorboard": False}
    directory, data_set = prepare(Data(path="digits"), out=tmp_path / "run", settings=settings)
    play(directory, data_set)
    run = load(directory.path)
    judge = make_extractor("classifier", data_set)
    right = []
    for digit in range(10):
        probabilities = judge(run.sample_stored(40, seed=digit, label=digit)).probabilities
        assert probabilities is not None
        right.append((probabilities.argmax(1) == digit).double().mean().item())
    assert min(right) > 0.5, right
    assert sum(right) / 10 > 0.85, right
    fd = directory.scores()[-1]
    assert fd["value"] < 6 * fd["floor"]
    assert not any(row["kind"] == "health" for row in directory.events()), "a healthy run raises no alarm"
    samples = run.sample_stored(64, seed=0).float()
    assert (samples - samples.roll(1, 0)).abs().mean() > 10 * torch.finfo(torch.float32).eps
