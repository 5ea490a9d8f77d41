"""Every check of the doctor: on made-up vitals that show the sign, and on ones that come near and do not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agon.health import CHECKS, Patient, examine
from agon.health.contract import BEGINNING, Sign, told

FACTS = {
    "low": -1.0, "high": 1.0, "bounded": 1.0, "spread": 0.4, "saturation": 0.4, "nearest": 3.0, "identical": 0.0, "held copies": 0.05,
    "labels told": 0.9, "labels chance": 0.1, "looked at": 200.0, "classes": 10.0, "samples": 1000.0,
}  # fmt: skip
WELL = {
    "sample/finite": 1.0, "sample/diversity": 0.5, "real/diversity": 0.5, "sample/twins": 0.05, "real/twins": 0.0, "sample/classes": 0.9, "sample/remote": 1.0,
    "sample/agreement": 0.9, "sample/distance": 0.1, "sample/size": 1.0, "sample/saturation": 0.35, "sample/copies": 0.02,
    "sample/told apart": 0.9, "D/real": 1.0, "D/fake": -1.0, "D/held": 0.9, "D/held error": 0.05, "D/separation": 0.85, "D/labels": 0.8,
    "G/grad": 0.5, "D/grad": 1.0, "G/weights": 30.0, "D/weights": 30.0, "sample/axis 1": 0.1, "sample/axis 2": 0.0, "skipped": 0.0,
}  # fmt: skip


def content(**game: Any) -> dict[str, Any]:
    """run.json as far as remedies read it."""
    optim = {"G": {"lr": 2e-4, "clip": None}, "D": {"lr": 2e-4, "clip": None}}
    return {
        "data": {"path": "digits", "mirror": False, "labels": "auto", "size": None}, "recipe": "gan", "seed": 3,
        "game": {"name": "gan", "optim": optim, **game}, "settings": {"rounds": 500},
    }  # fmt: skip


def patient(facts: dict[str, float] | None = None, **game: Any) -> Patient:
    gamma = game.get("gamma")
    return Patient(
        train=1000, content=content(**game), out=Path("runs/a"), seen=50_000, rates={"G": 2e-4, "D": 2e-4}, gamma=gamma,
        facts={**FACTS, **(facts or {})},
    )  # fmt: skip


def history(ticks: int = 12, **course: Any) -> list[dict[str, float]]:
    """Healthy vitals, with the named ones replaced: a number for all ticks, a list for the last ones. Weights move, as they do."""
    rows = [{**WELL, "G/weights": 30 + 0.01 * i, "D/weights": 30 + 0.02 * i} for i in range(ticks)]
    for name, values in course.items():
        key = name.replace("__", "/").replace("_", " ")
        series = values if isinstance(values, list) else [values] * ticks
        for row, value in zip(rows[-len(series) :], series, strict=True):
            row[key] = value
    return rows


def names(rows: list[dict[str, float]], who: Patient | None = None) -> list[str]:
    return [sign.name for sign in examine(rows, who or patient())]


def test_a_healthy_run_shows_none() -> None:
    for ticks in range(13):
        assert names(history(ticks)) == []


FIRES: list[tuple[str, str, dict[str, Any], dict[str, float]]] = [
    ("finite", "non-finite values", {"sample__finite": [0.0]}, {}),
    ("skips", "non-finite values", {"skipped": [0.0, 8.0]}, {}),
    ("constant", "dead generator", {"sample__diversity": 0.001}, {}),
    ("diversity", "mode collapse", {"sample__diversity": 0.08}, {}),
    ("diversity lost", "mode collapse", {"ticks": 9, "sample__diversity": [0.08] * 3}, {}),
    ("twins", "mode collapse", {"sample__twins": [0.6] * 3}, {}),
    ("twins from the first", "mode collapse", {"sample__twins": 0.6}, {}),
    ("classes", "mode collapse", {"sample__classes": [0.3] * 4}, {}),
    ("moved away", "divergence", {"sample__distance": [0.1] * 9 + [0.9] * 3}, {}),
    ("size", "divergence", {"sample__size": [30.0] * 2}, {}),
    ("ends", "saturated output", {"sample__saturation": [0.99] * 2}, {}),
    ("ends of dark pictures", "saturated output", {"sample__saturation": [0.99] * 2}, {"saturation": 0.85}),
    ("copies", "memorisation", {"sample__copies": [0.6] * 3}, {}),
    ("to and fro", "oscillation", {"sample__axis_1": [1.0, -1.0] * 6}, {}),
    ("deaf", "conditions ignored", {"sample__agreement": 0.1, "D__labels": 0.0}, {}),
    (
        "deaf to two classes",
        "conditions ignored",
        {"sample__agreement": 0.52, "D__labels": 0.0},
        {"labels told": 0.9, "labels chance": 0.5},
    ),
    ("gradient", "exploding gradients", {"G__grad": [0.5] * 10 + [5e4, 6e4]}, {}),
    ("weights", "exploding gradients", {"D__weights": [30.0] * 11 + [3000.0]}, {}),
    ("logits", "exploding gradients", {"D__real": [2e4] * 2, "D__fake": [-2e4] * 2}, {}),
    ("no slope", "vanishing gradients", {"G__grad": [1e-6] * 3}, {}),
    ("no slope at all", "vanishing gradients", {"G__grad": 0.0}, {}),
    ("still", "frozen player", {"D__weights": 30.0}, {}),
    ("by heart", "discriminator overfitting", {"D__held": -0.5}, {}),
    ("always right", "critic too strong", {"D__separation": 1.0, "G__grad": [1.0] * 4 + [0.01] * 8}, {}),
    ("sees nothing", "critic too weak", {"D__separation": 0.5, "sample__told_apart": 1.0, "sample__distance": 0.8}, {}),
    ("by turns", "oscillation", {"D__separation": [0.99, 0.1] * 6}, {}),
    ("bytes", "wrong scale", {}, {"low": 0.0, "high": 255.0}),
    ("half the range", "wrong scale", {}, {"low": 0.0, "high": 1.0}),
    ("faint", "wrong scale", {}, {"low": -0.05, "high": 0.0, "spread": 0.005}),
    ("copies of one", "identical samples", {}, {"identical": 0.9}),
    ("shuffled", "labels say nothing", {"D__labels": 0.02}, {"labels told": 0.11}),
]


@pytest.mark.parametrize(("sign", "course", "facts"), [case[1:] for case in FIRES], ids=[case[0] for case in FIRES])
def test_fires(sign: str, course: dict[str, Any], facts: dict[str, float]) -> None:
    found = {s.name: s for s in examine(history(**course), patient(facts))}
    assert sign in found, f"{sign} did not fire; {list(found)} did"
    assert found[sign].sentence.endswith(".") and any(c.isdigit() for c in found[sign].evidence + "0" * (sign == "non-finite values"))
    assert 1 <= len(found[sign].remedies) <= 2
    json.dumps(told(found[sign]))


QUIET: list[tuple[str, dict[str, Any], dict[str, float]]] = [
    ("one skipped update", {"skipped": [0.0, 1.0]}, {}),
    ("less diverse, not collapsed", {"sample__diversity": 0.2}, {}),
    ("a collapse that passed", {"sample__diversity": [0.05, 0.05, 0.4]}, {}),
    ("little diversity at first, and coming nearer", {"sample__diversity": 0.05, "sample__distance": [1.5 * 0.95**i for i in range(12)]}, {}),
    ("little diversity from the first, not long enough to tell", {"ticks": 9, "sample__diversity": 0.05}, {}),
    ("little diversity at first, and spreading", {"sample__diversity": [0.05 * 1.02**i for i in range(12)]}, {}),
    ("one sample at first, and coming nearer", {"sample__diversity": 0.001, "sample__distance": [1.5 * 0.95**i for i in range(12)]}, {}),
    ("twins as among the reals", {"sample__twins": 0.4, "real__twins": 0.3}, {}),
    ("few classes where the judge is weak", {"sample__classes": [0.3] * 4}, {"labels told": 0.3}),
    ("few classes, of what looks like no sample", {"sample__classes": [0.3] * 4, "sample__remote": 1.5}, {}),
    ("a setback of two ticks", {"sample__distance": [0.1] * 9 + [0.9, 0.9, 0.2]}, {}),
    ("dark pictures", {"sample__saturation": [0.95] * 2}, {"saturation": 0.94}),
    ("points have no ends", {"sample__saturation": [0.99] * 2}, {"bounded": 0.0}),
    ("copies as among held-out reals", {"sample__copies": 0.3}, {"held copies": 0.3}),
    ("the mean moves on", {"sample__axis_1": [0.5 * i for i in range(12)]}, {}),
    ("the mean of few samples moves", {"sample__axis_1": [0.6, -0.6] * 6}, {"drawn": 8.0}),
    ("the mean moves at the beginning, as on colour pictures", {"sample__axis_1": [0.46, -0.46] * 6}, {}),
    ("too few held out to ask about labels", {"D__labels": 0.02}, {"labels told": 0.11, "looked at": 32.0}),
    ("hard classes, better than chance", {"D__labels": 0.09}, {"labels told": 0.25}),
    ("classes come late, the critic knows them", {"sample__agreement": 0.1, "D__labels": 0.5}, {}),
    ("classes nobody can tell", {"sample__agreement": 0.1, "D__labels": 0.0}, {"labels told": 0.2}),
    ("one spike", {"G__grad": [0.5] * 10 + [5e4, 0.5]}, {}),
    ("weights grow", {"D__weights": [30.0 + 20 * i for i in range(12)]}, {}),
    ("the critic has won", {"D__grad": [1.0] * 8 + [1e-9] * 4}, {}),
    ("held-out reals a bit lower", {"D__held": 0.4}, {}),
    ("few held out", {"D__held": -0.5, "D__held_error": 1.0}, {}),
    ("always right, and teaches", {"D__separation": 1.0}, {}),
    ("even, and the samples are good", {"D__separation": 0.5, "sample__told_apart": 0.7}, {}),
    ("even, and coming nearer", {"D__separation": 0.5, "sample__told_apart": 1.0, "sample__distance": [2.0, 1.8, 1.4, 1.0, 0.8, 0.6, 0.4, 0.3]}, {}),
    ("light pictures", {}, {"low": -0.9, "high": 1.0}),
    ("short sentences repeat", {}, {"identical": 0.63}),
    ("hard classes, and the critic knows them", {"D__labels": 0.5}, {"labels told": 0.11}),
    ("hard classes, and the critic does not look", {"D__labels": 0.0}, {"labels told": 0.11}),
]  # fmt: skip


@pytest.mark.parametrize(("course", "facts"), [case[1:] for case in QUIET], ids=[case[0] for case in QUIET])
def test_stays_quiet(course: dict[str, Any], facts: dict[str, float]) -> None:
    assert names(history(**course), patient(facts)) == []


def test_a_young_run_wavers() -> None:
    fallen = history(sample__twins=[0.0] * 9 + [0.6] * 3)
    astray = history(ticks=20, D__separation=[0.95] * 4 + [0.1] * 16, sample__told_apart=1.0, sample__distance=0.8)
    for rows, sign in ((fallen, "mode collapse"), (astray, "critic too weak")):
        assert names(rows, replace(patient(), seen=20_000)) == [sign]
        assert names(rows, replace(patient(), seen=19_000)) == []


def test_conditions_need_time() -> None:
    rows = history(sample__agreement=0.1, D__labels=0.0)
    assert names(rows, replace(patient(), seen=19_000)) == []
    assert names(rows, replace(patient(), seen=20_000)) == ["conditions ignored"]


def test_nothing_is_known_by_heart_that_was_not_read_twice() -> None:
    rows = history(D__held=-0.5)
    assert names(rows, replace(patient(), train=25_000)) == ["discriminator overfitting"]
    assert names(rows, replace(patient(), train=25_001)) == []


def test_one_sample_in_many_copies_is_no_progress() -> None:
    """Twenty turns of G for one of D on digits: every sample had a near-copy while the distance fell for fourteen ticks, and nothing was told."""
    nearer = [3.6 * 0.9**tick for tick in range(12)]
    lost = [0.45] * 6 + [0.1] * 6
    assert names(history(sample__diversity=lost, sample__twins=[0.95] * 5, sample__distance=nearer)) == ["mode collapse"]
    assert names(history(sample__diversity=lost, sample__twins=[0.1] + [0.95] * 4, sample__distance=nearer)) == []
    assert names(history(sample__diversity=lost, sample__twins=[0.7] * 5, sample__distance=nearer)) == []
    # WGAN begins with one sample and spreads slowly: it never had more, or only as noise at the first tick.
    assert names(history(sample__diversity=0.1, sample__twins=[0.95] * 5, sample__distance=nearer)) == []
    spreading = [0.3] + [0.02 * 1.2**tick for tick in range(11)]
    assert names(history(sample__diversity=spreading, sample__twins=[0.95] * 5, sample__distance=nearer)) == []
    # Copies beside each other in a batch as diverse as the data are no loss of diversity, and sentences have signs of their own.
    assert names(history(sample__twins=[0.05] * 7 + [0.95] * 5, sample__distance=nearer)) == []
    spoken = replace(patient(), text=True)
    assert "mode collapse" not in names(history(sample__diversity=lost, sample__twins=[0.95] * 5, sample__distance=nearer), spoken)


def test_slow_is_not_standing() -> None:
    """WGAN with clipped weights on digits: five per cent nearer in ten ticks, at nearly every tick."""
    course = {"ticks": 12, "sample__told_apart": 0.98}
    steady = [0.763 - 0.004 * tick for tick in range(12)]
    wavering = [0.76, 0.72] * 6
    old = replace(patient(), seen=61_000)
    assert names(history(**course, sample__distance=steady), old) == []
    hardly = [0.763 - 0.0001 * tick for tick in range(12)]
    thrown_back = [0.5, 0.5, 0.5, 0.49, 0.48, 0.47, 0.9, 0.89, 0.88, 0.87, 0.86, 0.85]
    for distances in (wavering, hardly, thrown_back):
        assert names(history(**course, sample__distance=distances), old) == ["standing still"]


def test_poverty_from_the_first_needs_time() -> None:
    rows = history(sample__diversity=0.08)
    assert names(rows) == ["mode collapse"]
    assert names(rows, replace(patient(), seen=10_000)) == []


def test_who_stands_still_far_from_the_data_is_told() -> None:
    far, long = {"sample__distance": [0.1, 0.11, 0.11] * 4, "sample__told_apart": 0.9}, replace(patient(), seen=60_000)
    assert names(history(**far), long) == ["standing still"]
    assert names(history(**far), replace(long, seen=59_000)) == []
    assert names(history(**far), replace(long, text=True)) == []
    assert names(history(ticks=9, **far | {"sample__distance": 0.1}), long) == []
    quiet: tuple[dict[str, Any], ...] = (
        {"sample__distance": 0.04},  # near enough
        {"sample__told_apart": [0.9] * 11 + [0.79]},  # one look found them alike
        {"sample__distance": [0.12 * 0.98**i for i in range(12)]},  # nearer on the whole
        {"sample__distance": [0.1] * 9 + [0.08] + [0.1] * 2},  # nearer once
    )
    for course in quiet:
        assert names(history(**{**far, **course}), long) == [], course


def test_a_player_that_has_not_played_is_not_frozen() -> None:
    rows = history(D__weights=30.0)
    for row in rows:
        del row["D/grad"]
    assert names(rows) == []


def test_players_of_a_young_run_may_lurch_and_idle() -> None:
    """Ticks of 40 rounds are single rounds, and a satisfied hinge moves nothing until the other player has moved."""
    lurching, idle = history(D__separation=[0.99, 0.1] * 6), history(D__weights=30.0, D__grad=0.0)
    young = replace(patient(), seen=1_000)
    assert names(lurching, young) == names(idle, young) == []
    assert names(lurching) == ["oscillation"]
    (sign,) = examine(idle, patient())
    assert (sign.name, sign.sentence) == (
        "frozen player",
        "The weights of D do not change although it takes its turns: its loss gives it no gradient.",
    )
    assert "--game.optim.D.lr" in sign.remedies[0]
    assert names(history(D__weights=30.0), young) == ["frozen player"], "a rate of 0 is told at once"


def test_games_without_a_critic_and_with_other_players() -> None:
    """Autoencoders and flows: no judge, players by other names."""
    rows = [
        {k: v for k, v in row.items() if k[:2] not in ("D/", "G/")} | {"decoder/grad": 0.1, "decoder/weights": 9 + i}
        for i, row in enumerate(history())
    ]
    assert names(rows) == []
    for row in rows[-3:]:
        row["decoder/grad"] = 1e-9
    assert names(rows) == ["vanishing gradients"]


def test_checks_bear_what_is_missing() -> None:
    """A tick of an older run, or none at all, is no reason to fail."""
    for check in CHECKS:
        assert check([], Patient(train=1, content=content(), out=Path("a"))) is None
        assert check([{"G/grad": 1.0}] * 9, Patient(train=1, content=content(), out=Path("a"))) is None
        assert check([{"sample/diversity": float("nan"), "real/diversity": float("nan")}] * 9, patient()) is None


def test_severe_signs_are_those_a_run_does_not_survive() -> None:
    found: dict[str, Sign] = {}
    for _, _, course, facts in FIRES:
        found |= {s.name: s for s in examine(history(**course), patient(facts))}
    severe = {name for name, sign in found.items() if sign.severe}
    assert severe == {"non-finite values", "dead generator", "mode collapse", "divergence", "exploding gradients"}


def test_a_generator_that_goes_to_and_fro_while_it_comes_nearer_has_begun() -> None:
    course: dict[str, Any] = {"sample__axis_1": [1.0, -1.0] * 6}
    assert "oscillation" in names(history(**course))
    assert names(history(**course, sample__distance=[0.9 * 0.9**i for i in range(12)])) == []


def test_a_young_generator_may_turn_this_way_and_that() -> None:
    course: dict[str, Any] = {"sample__axis_1": [1.0, -1.0] * 6}
    told = [check(history(**course), replace(patient(), seen=seen)) for seen in (BEGINNING - 1, BEGINNING) for check in CHECKS]
    assert [sign.name for sign in told if sign] == ["oscillation"]


def test_a_rate_that_cannot_be_meant_is_the_first_remedy() -> None:
    wild = replace(patient(), rates={"G": 0.5, "D": 0.1})
    sign = next(
        s for s in (check(history(D__weights=[30.0] * 11 + [3000.0]), wild) for check in CHECKS) if s and s.name == "exploding gradients"
    )
    assert "--game.optim.G.lr 0.001 --game.optim.D.lr 0.001" in sign.remedies[0]
    usual = next(s for s in (check(history(D__weights=[30.0] * 11 + [3000.0]), patient()) for check in CHECKS) if s)
    assert "lr 0.001" not in " ".join(usual.remedies)
