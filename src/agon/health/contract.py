"""What passes between those who measure, those who judge and those who tell: vitals, the patient, a sign."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

YOUNG = 2_000  # samples trained on before players that lurch or idle mean something: ticks of a short run are single rounds
BEGINNING = 20_000  # samples trained on before what was never there counts as missing

Vitals = dict[str, float]
"""What was measured at a tick, by name; written to events.jsonl among the tick's statistics."""


@dataclass(frozen=True)
class Sign:
    """Something wrong: its name, what it means, what was seen, and commands that help.

    severe: the run will not come back by itself; `--on-collapse rollback` and `stop` act on it.
    """

    name: str
    sentence: str
    evidence: str
    remedies: tuple[str, ...] = ()
    severe: bool = False


@dataclass(frozen=True, kw_only=True)
class Patient:
    """What a sign and its remedy must know of the run, beside its vitals."""

    train: int  # training samples
    content: Mapping[str, Any]  # run.json: data, recipe, game, settings
    out: Path  # the run's directory
    seen: int = 0  # samples trained on
    rates: Mapping[str, float] = field(default_factory=dict)  # present learning rate of each player
    gamma: float | None = None  # present weight of the gradient penalty, where the game has that field
    pictures: bool = True  # samples are pictures [C, H, W] or clips of them
    clips: bool = False  # samples are clips [T, C, H, W]
    text: bool = False  # samples are sentences
    critics: Sequence[str] = ("D",)  # players that see real and generated samples
    needs_condition: bool = False  # the game cannot be played without a condition
    states: Sequence[int] = ()  # rounds whose states are kept
    facts: Mapping[str, float] = field(default_factory=dict)  # of the data, measured once: see `vitals.Reference`


History = Sequence[Vitals]  # oldest first, one for each tick
Check = Callable[[History, Patient], "Sign | None"]


def recent(history: History, name: str, count: int) -> list[float]:
    """The last `count` finite values of a vital, oldest first; fewer where it was not measured as often."""
    # events.jsonl holds no infinities: what is not finite must count the same before and after a resume.
    return [v[name] for v in history if name in v and math.isfinite(v[name])][-count:]


def paired(history: History, first: str, second: str, count: int) -> list[tuple[float, float]]:
    """The last `count` pairs of two vitals measured at the same tick, both finite."""
    return [(v[first], v[second]) for v in history if all(n in v and math.isfinite(v[n]) for n in (first, second))][-count:]


def fell(history: History, name: str, ticks: int, share: float) -> bool:
    """Whether a vital has lost that share of itself within the last `ticks` ticks."""
    values = recent(history, name, ticks + 1)
    return len(values) == ticks + 1 and values[-1] < (1 - share) * values[0]


def told(sign: Sign) -> dict[str, Any]:
    """A sign as the fields of an event. "remedy" is the first of "remedies", for readers that show one."""
    remedies = list(sign.remedies)
    return {
        "sign": sign.name, "sentence": sign.sentence, "evidence": sign.evidence, "remedy": remedies[0] if remedies else "",
        "remedies": remedies, "severe": sign.severe,
    }  # fmt: skip
