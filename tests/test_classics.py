"""Learning rates of the classical recipes: the papers', and more of it where a run on a processor is short."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agon.data import Data
from agon.recipes import Situation, Suggestion, find
from agon.recipes.classics import SHORT
from agon.run import prepare
from agon.spaces import Image, Vector

PUBLISHED = {
    "dcgan": (2e-4, 2e-4), "lsgan": (2e-4, 2e-4), "wgan": (5e-5, 5e-5), "dragan": (2e-4, 2e-4), "rsgan": (2e-4, 2e-4),
    "ragan": (2e-4, 2e-4), "sngan": (2e-4, 2e-4), "stylegan2": (2.5e-3, 2.5e-3), "sagan": (1e-4, 4e-4), "biggan": (2e-4, 2e-4),
}  # fmt: skip
TIMES = {  # at the beginning and the end
    "sngan": (3.0, 0.3), "sagan": (3.0, 0.3), "biggan": (3.0, 0.3), "wgan": (10.0, 10.0), "stylegan2": (2.0, 2.0),
}  # fmt: skip


def built(recipe: str, device: str, rounds: int | None = None) -> Suggestion:
    return find(recipe).build(
        Situation(space=Image(height=32, width=32, classes=tuple("0123456789")), count=60_000, device=device, rounds=rounds)
    )


def rates(suggestion: Suggestion) -> tuple[Any, ...]:
    return tuple(suggestion.game.optim[name].lr for name in "GD")


@pytest.mark.parametrize("recipe", list(PUBLISHED))
def test_short_runs_of_a_processor_learn_faster_and_say_so(recipe: str) -> None:
    begins, ends = TIMES.get(recipe, (1.0, 1.0))
    short = built(recipe, "cpu")
    assert short.rounds < SHORT
    if ends < begins:
        assert [lr.start for lr in rates(short)] == pytest.approx([begins * rate for rate in PUBLISHED[recipe]])
        assert [lr.end for lr in rates(short)] == pytest.approx([ends * rate for rate in PUBLISHED[recipe]])
        assert {lr.span for lr in rates(short)} == {short.rounds * short.batch}
    else:
        assert rates(short) == pytest.approx([begins * rate for rate in PUBLISHED[recipe]])
    assert begins == 1 or f"at {begins:g} times what is published" in short.reasons["lr"]
    for asked in (built(recipe, "cuda"), built(recipe, "cpu", rounds=SHORT)):
        assert rates(asked) == PUBLISHED[recipe] and "times what" not in asked.reasons.get("lr", "")


def test_points_keep_theirs() -> None:
    suggestion = find("gan").build(Situation(space=Vector(dim=2), count=1_000, device="cpu"))
    assert rates(suggestion) == (2e-4, 2e-4)


def test_rates_asked_for_are_not_told_as_the_recipes(tmp_path: Path) -> None:
    rate = {"game.optim.G.lr": 5e-5, "game.optim.D.lr": 5e-5}
    for settings, told in ((rate, "asked for"), ({}, "0.0005: it is at 10 times")):
        directory, _ = prepare(
            Data(path="digits", size=16), out=tmp_path / told[:3], recipe="wgan", settings={"rounds": 20, "device": "cpu", **settings}
        )
        assert directory.run()["reasons"]["lr"].startswith(told)


def test_each_player_is_named_where_they_differ() -> None:
    assert built("sagan", "cpu").reasons["lr"].startswith("G 0.0003 falling to 3e-05, D 0.0012 falling to 0.00012: it begins at 3")
    assert built("sngan", "cpu").reasons["lr"].startswith("0.0006 falling to 6e-05: it begins at 3")
    assert built("wgan", "cpu").reasons["lr"].startswith("0.0005: it is at 10 times what is published")
