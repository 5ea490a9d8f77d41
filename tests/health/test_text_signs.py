"""The doctor on sentences: what is measured, the signs on made-up vitals, and runs broken on purpose."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from agon.data import Data
from agon.directory import RunDirectory
from agon.health import Patient, examine
from agon.health.speech import library, reading
from agon.hooks import Quiet
from agon.run import play, prepare
from agon.spaces import Tokens

FACTS = {
    "low": 0.0,
    "high": 1.0,
    "bounded": 0.0,
    "spread": 0.01,
    "identical": 0.0,
    "held copies": 0.0,
    "held copied": 0.0,
    "samples": 900.0,
}
WELL = {
    "sample/finite": 1.0, "sample/diversity": 0.07, "real/diversity": 0.07, "sample/twins": 0.0, "real/twins": 0.0, "sample/remote": 1.0,
    "sample/distance": 0.01, "sample/copies": 0.01, "sample/told apart": 0.5, "sample/axis 1": 0.1, "sample/unique": 1.0, "real/unique": 1.0,
    "sample/repeats": 0.01, "real/repeats": 0.0, "sample/length": 14.0, "real/length": 15.0, "sample/unended": 0.0, "sample/copied": 0.0,
    "G/nats own": 4.0, "G/nats train": 4.0, "G/nats held": 4.3, "G/labels": 0.3, "G/grad": 1.0, "skipped": 0.0,
    "D/real": 1.0, "D/fake": -1.0, "D/held": 0.8, "D/held error": 0.2, "D/separation": 0.8,
}  # fmt: skip
CONTENT = {
    "data": {"path": "lines.txt"}, "recipe": "scratchgan", "seed": 0, "rounds": 1200, "settings": {"rounds": 1200}, "space": {"kind": "tokens"},
    "game": {"name": "scratchgan", "entropy": 0.0, "net": {"width": 64, "dropout": 0.0}, "optim": {"G": {"lr": 1e-4, "clip": 10.0}}},
}  # fmt: skip


def patient(**changes: Any) -> Patient:
    usual = Patient(
        train=900, content=CONTENT, out=Path("runs/a"), seen=50_000, rates={"G": 1e-4, "D": 1e-3}, pictures=False, text=True, facts=FACTS,
    )  # fmt: skip
    return dataclasses.replace(usual, **changes)


def history(ticks: int = 13, **course: Any) -> list[dict[str, float]]:
    """Healthy vitals of a text run that learns, the named ones replaced: a number for all ticks, a list for the last ones."""
    rows = [{**WELL, "round": 100.0 * i, "G/weights": 30 + 0.01 * i, "D/weights": 20 + 0.1 * i} for i in range(ticks)]
    for i, row in enumerate(rows):
        row |= {"G/nats held": 4.3 + 4 * 0.4**i, "G/nats train": 4.0 + 4 * 0.4**i, "G/nats own": 4.0 + 4 * 0.4**i}
    for name, values in course.items():
        key = name.replace("__", "/").replace("_", " ")
        series = values if isinstance(values, list) else [values] * ticks
        for row, value in zip(rows[-len(series) :], series, strict=True):
            row[key] = value
    return rows


def names(rows: list[dict[str, float]], who: Patient | None = None) -> list[str]:
    return [sign.name for sign in examine(rows, who or patient())]


def test_a_healthy_run_shows_none() -> None:
    for ticks in range(14):
        assert names(history(ticks)) == []


FIRES: list[tuple[str, str, dict[str, Any]]] = [
    ("sure of little", "narrowed speech", {"G__nats_own": [0.4] * 3, "G__nats_held": [4.4] * 5}),
    ("round in circles", "repeated phrases", {"sample__repeats": [0.5] * 5}),
    ("no end", "sentences do not end", {"sample__length": 57.0, "sample__unended": 1.0}),
    ("stumps", "sentences break off", {"sample__length": 2.0}),
    ("word for word", "memorisation", {"sample__copied": [0.6] * 3}),
    ("always right", "critic always right", {"D__separation": 1.0, "D__fake": -9.0, "G__nats_held": 8.9}),
    ("learnt by heart", "past its best", {"G__nats_held": [4.5, 4.7, 4.9, 5.2], "G__nats_train": [3.0, 2.5, 2.0, 1.5]}),
    ("drifting away", "past its best", {"G__nats_held": [4.6, 4.7, 4.9, 5.2], "G__nats_train": [4.4, 4.5, 4.8, 5.1]}),
    ("deaf", "conditions ignored", {"G__labels": [0.001] * 5}),
]
SPARES: list[tuple[str, dict[str, Any]]] = [
    ("still learning", {"G__nats_own": [1.9] * 5, "G__nats_held": [6.0, 5.5, 5.0, 4.5, 4.0]}),
    ("by heart is not narrow", {"G__nats_own": [0.4] * 3, "G__nats_train": [0.4] * 3}),
    ("a young translator stutters", {"sample__repeats": [0.5] * 5, "G__nats_held": [9.0 * 0.97**i for i in range(13)]}),
    ("a young translator says one thing", {"sample__diversity": [0.0003] * 5, "G__nats_held": [9.0 * 0.97**i for i in range(13)]}),
    ("and soon a few", {"sample__diversity": [0.01] * 13, "G__nats_held": [9.0 * 0.97**i for i in range(13)]}),
    ("texts that repeat themselves", {"sample__repeats": 0.5, "real__repeats": 0.4}),
    ("a critic that is right and unsure", {"D__separation": 1.0, "D__fake": -2.0}),
    ("a critic that is right while sentences get better", {"D__separation": 1.0, "D__fake": -9.0, "sample__distance": [0.8 * 0.9**i for i in range(12)]}),
    ("never learnt to predict", {"G__nats_held": [8.0 + 0.1 * i for i in range(13)]}),
    ("a ripple", {"G__nats_held": [4.31, 4.32, 4.31, 4.33]}),
    ("ends come late", {"sample__length": [57.0, 50.0, 45.0, 40.0, 38.0, 37.0]}),
]  # fmt: skip


@pytest.mark.parametrize(("case", "sign", "course"), FIRES, ids=[row[0] for row in FIRES])
def test_signs(case: str, sign: str, course: dict[str, Any]) -> None:
    assert sign in names(history(**course))


@pytest.mark.parametrize(("case", "course"), SPARES, ids=[row[0] for row in SPARES])
def test_near_misses(case: str, course: dict[str, Any]) -> None:
    assert names(history(**course)) == []


def test_past_its_best_names_the_round_and_a_state_that_is_there() -> None:
    rows = history(G__nats_held=[4.5, 4.7, 4.9, 5.2])
    (sign,) = (s for s in examine(rows, patient(states=(300, 802, 1100))) if s.name == "past its best")
    assert "at round 800" in sign.evidence
    assert sign.remedies[0] == "agon sample runs/a --state 802"
    (sign,) = (s for s in examine(rows, patient(states=(1000, 1100))) if s.name == "past its best")
    assert sign.remedies[0].startswith("agon train lines.txt --recipe scratchgan --rounds 800 ")


def test_remedies_of_text_are_for_text() -> None:
    signs = examine(history(sample__repeats=[0.5] * 5), patient())
    commands = [remedy for sign in signs for remedy in sign.remedies]
    assert commands
    assert not any("r3gan" in command or "mirror" in command or "augment" in command for command in commands)


def test_how_sentences_read() -> None:
    space = Tokens(length=8, vocabulary=12)
    x = torch.tensor([[3, 4, 5, 3, 4, 5, 1, 0], [3, 4, 5, 3, 4, 5, 1, 0], [6, 1, 0, 0, 0, 0, 0, 0], [3, 4, 5, 6, 7, 8, 9, 10]])
    told = reading(x, space)
    # Threes: 345 453 534 345 451 twice (one of five said before), none, and six different.
    assert told == {"unique": 0.75, "repeats": pytest.approx(2 / 16), "length": pytest.approx(24 / 4), "unended": 0.25}
    books = library([x[:2], x[3:]], x[2:])
    assert len(books.known) == 2
    assert books.facts == {"held copied": 0.5}


# -- runs broken on purpose, and one that is not ------------------------------------------------------------------------------------

SMALL = {"game.net.width": 24, "game.net.embed": 16, "tensorboard": False, "threads": 1, "batch": 32, "seed": 0}
LINES = ("the {a} dog sees a {b} cat .", "a {b} man and the {a} boy go to the {c} .", "{c} and {a} are here .", "we see the {b} {c} now .")


def corpus(path: Path, count: int, *, labels: bool = False) -> Path:
    """Made-up sentences, all different; labels: a class that has nothing to do with them."""
    words = [f"{x}{y}" for x in "bdfgklmnprst" for y in ("ado", "ine", "ull", "esk")]
    rows = [LINES[k % 4].format(a=words[k % 48], b=words[k * 7 % 47], c=words[k // 48 % 46]) for k in range(count)]
    if not labels:
        path.write_text("".join(f"{row}\n" for row in dict.fromkeys(rows)))
        return path
    path = path.with_suffix(".csv")
    path.write_text("text,label\n" + "".join(f'"{row}",{"ab"[k * k % 7 % 2]}\n' for k, row in enumerate(dict.fromkeys(rows))))
    return path


def fired(path: Path, out: Path, recipe: str, **settings: Any) -> dict[str, dict[str, Any]]:
    """The signs of a run by name, the first telling of each."""
    torch.set_num_threads(1)
    named = {name.replace("__", "."): value for name, value in settings.items()}
    directory, data_set = prepare(Data(path=str(path)), out=out, recipe=recipe, settings={**SMALL, **named})
    play(directory, data_set, show=Quiet())
    signs: dict[str, dict[str, Any]] = {}
    for row in RunDirectory(out).events():
        if row["kind"] == "health":
            signs.setdefault(row["sign"], row)
    return signs


def test_healthy_runs_show_no_sign(tmp_path: Path) -> None:
    path = corpus(tmp_path / "lines.txt", 1200)
    assert fired(path, tmp_path / "a", "likelihood", rounds=120) == {}
    assert fired(path, tmp_path / "b", "scratchgan", rounds=80) == {}
    # Where no critic trains, a round is cheap beside a look: every third tick.
    ticks = {run: [row for row in RunDirectory(tmp_path / run).events() if row["kind"] == "tick"] for run in "ab"}
    assert [row["round"] for row in ticks["a"] if "sample/length" in row["stats"]] == list(range(0, 121, 9))
    assert len(ticks["a"]) == 41 and all("sample/length" in row["stats"] for row in ticks["b"])


BROKEN: dict[str, tuple[str, dict[str, Any], str]] = {
    "a speaker's learning rate far too high": ("scratchgan", {"rounds": 120, "game.optim.G.lr": 0.03}, "past its best"),
    "sixty sentences, learnt by heart": ("likelihood", {"rounds": 120, "game.optim.G.lr": 0.01, "game.net.dropout": 0.0}, "memorisation"),
    "labels that have nothing to do with the text": ("likelihood", {"rounds": 240, "batch": 96}, "conditions ignored"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_on_purpose(name: str, tmp_path: Path) -> None:
    recipe, settings, sign = BROKEN[name]
    path = corpus(tmp_path / "lines.txt", 60 if "sixty" in name else 1200, labels="labels" in name)
    told = fired(path, tmp_path / "run", recipe, **settings)
    assert sign in told
    if sign == "past its best":
        state = int(told[sign]["remedies"][0].rpartition("--state ")[2])
        assert state in [row["round"] for row in RunDirectory(tmp_path / "run").events() if row["kind"] == "save"]
