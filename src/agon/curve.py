"""Quality against diversity: the temperature curve of a text run, and how far another run lies from it at equal diversity.

A speaker that is sampled colder says safer and more alike sentences, so any BLEU can be bought with sameness, and a text GAN is only better than plain
likelihood training where it lies above the curve that likelihood draws as its temperature changes (Caccia et al. 2020, arXiv:1811.02549).

    gap = BLEU-4(run) − BLEU-4(curve at the run's self-BLEU-4), between two temperatures along a straight line

Real sentences have a point too. The interval leaves out a tenth of the sentences at a time, of the run and of every point of the curve; a bootstrap would copy
sentences, which is what self-BLEU measures. It is of other samples of the same two runs, not of other runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agon.conditions import Conditions
from agon.data import DataSet
from agon.errors import InputError
from agon.game import mix
from agon.metrics import ngrams
from agon.metrics.jackknife import interval
from agon.metrics.protocols import PLAIN, TextProtocol
from agon.metrics.rows import subset
from agon.metrics.sentences import Words, kind_of
from agon.sampling import draw
from agon.spaces import Tokens
from agon.trained import Trained

TEMPERATURES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2)
GROUPS = 10
ORDER = 4  # of the gap
HUMAN = "real sentences"
Say = Callable[[str, str], None]


@dataclass(frozen=True)
class Point:
    """BLEU and self-BLEU of N sentences by order, and the share of different ones. without: (BLEU-4, self-BLEU-4) with each tenth left out."""

    name: str
    temperature: float | None
    samples: int
    bleu: dict[int, float]
    self_bleu: dict[int, float]
    unique: float
    without: tuple[tuple[float, float], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """JSON-able, orders as texts."""
        return {**asdict(self), **{name: {str(n): v for n, v in getattr(self, name).items()} for name in ("bleu", "self_bleu")}}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Point:
        """The inverse of `to_json`."""
        orders = {name: {int(n): float(v) for n, v in content[name].items()} for name in ("bleu", "self_bleu")}
        return cls(**{**content, **orders, "without": tuple((float(q), float(d)) for q, d in content["without"])})


@dataclass(frozen=True)
class Gap:
    """BLEU-4 above the curve at equal self-BLEU-4, and its 95 % interval; `why` says why there is none."""

    value: float
    low: float = math.nan
    high: float = math.nan
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """JSON-able; what is not known becomes null."""
        return {name: None if value != value else value for name, value in asdict(self).items()}

    def __str__(self) -> str:
        return self.why or f"{self.value:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def point(name: str, words: Words, references: Words, temperature: float | None = None) -> Point:
    """Where these sentences lie."""
    quality = ngrams.bleu_each(words, references)
    group = np.arange(len(words)) % GROUPS
    without = []
    for away in range(GROUPS) if len(words) >= 2 * GROUPS else ():
        alike = ngrams.self_bleu_each([s for s, g in zip(words, group, strict=True) if g != away], (ORDER,)).mean()
        without.append((float(quality[group != away, ngrams.ORDERS.index(ORDER)].mean()), float(alike)))
    return Point(
        name, temperature, len(words), dict(zip(ngrams.ORDERS, quality.mean(0).tolist(), strict=True)), ngrams.self_bleu(words),
        ngrams.unique_share(words), tuple(without),
    )  # fmt: skip


def curve(
    trained: Trained, temperatures: Sequence[float] = TEMPERATURES, *, num_samples: int | None = None, seed: int = 0, data_set: DataSet | None = None,
    say: Say | None = None, protocol: TextProtocol = PLAIN,
) -> list[Point]:  # fmt: skip
    """A point for each temperature, then the human one: as many training sentences. num_samples: as many as are held out, at most 10,000, unless told.

    Sampling is otherwise as the run's game says. Raises InputError for runs that make no text, or cannot be sampled colder, and without held-out text.
    """
    space = trained.space
    if not isinstance(space, Tokens):
        raise InputError(f"a temperature curve is of text; this run makes {space.describe()}.")
    if not hasattr(trained.game, "choice"):
        raise InputError(
            f"{type(trained.game).__name__} has no temperature to change; its samples are one point: agon eval RUN -m bleu -m self_bleu."
        )
    if not temperatures or min(temperatures) < 0 or not all(map(math.isfinite, temperatures)):
        raise InputError(
            f"--temperatures got {', '.join(map(str, temperatures)) or 'none'}; expected numbers of 0 or more, such as 0.7,0.85,1."
        )
    data_set = data_set or trained.data()
    references = _references(data_set, protocol)
    if not references:
        raise InputError("the curve is taken against held-out sentences, and none are held back; train with --holdout 0.1.")
    count = num_samples or protocol.samples or min(10_000, len(data_set.held))
    if count < 2:
        raise InputError(f"-n is {count}; expected at least 2 sentences, and thousands for a figure worth comparing.")
    points = []
    for temperature in temperatures:
        choice = replace(trained.game.choice, temperature=float(temperature))
        words = protocol.said(space, _said(trained, replace(trained.game, choice=choice), data_set, count, seed))  # type: ignore[call-arg]
        points.append(point(trained.run.recipe, words, references, float(temperature)))
        if say:
            say("curve", row(points[-1]))
    points.append(human(data_set, count, seed, protocol))
    if say:
        say("curve", row(points[-1]))
    return points


def place_of(
    trained: Trained, *, num_samples: int | None = None, seed: int = 0, data_set: DataSet | None = None, protocol: TextProtocol = PLAIN
) -> Point:
    """Where a run's samples lie, as its game says them. Raises InputError for runs that make no text, and without held-out text."""
    if not isinstance(trained.space, Tokens):
        raise InputError(f"quality and diversity of sentences are of text; this run makes {trained.space.describe()}.")
    data_set = data_set or trained.data()
    references = _references(data_set, protocol)
    if not references:
        raise InputError("samples are compared with held-out sentences, and none are held back; train with --holdout 0.1.")
    x = _said(trained, trained.game, data_set, num_samples or protocol.samples or min(10_000, len(data_set.held)), seed)
    temperature = getattr(getattr(trained.game, "choice", None), "temperature", None)
    return point(trained.run.recipe, protocol.said(trained.space, x), references, temperature)


def human(data_set: DataSet, count: int, seed: int = 0, protocol: TextProtocol = PLAIN) -> Point:
    """The point of real sentences: `count` training sentences, or all there are, against the held-out ones."""
    space: Any = data_set.space
    rows = subset(len(data_set.train), count, seed)
    return point(HUMAN, protocol.said(space, data_set.train.x[rows]), protocol.compared(data_set))


def gap(run: Point, points: Sequence[Point]) -> Gap:
    """How far a run lies above the curve at equal self-BLEU-4. Raises InputError for unequal numbers of sentences."""
    likely = [p for p in points if p.temperature is not None]
    other = [p for p in likely if p.samples != run.samples]
    if other:
        raise InputError(
            f"self-BLEU grows with the number of sentences, and the run has {run.samples:,} and the curve {other[0].samples:,}; take both with one -n."
        )
    value = _above((run.bleu[ORDER], run.self_bleu[ORDER]), [(p.bleu[ORDER], p.self_bleu[ORDER]) for p in likely])
    if value is None:
        ends = sorted(p.self_bleu[ORDER] for p in likely)
        return Gap(math.nan, why=f"self-BLEU-4 {run.self_bleu[ORDER]:.3f} lies outside the curve, {ends[0]:.3f} to {ends[-1]:.3f}")
    each = [
        _above(run.without[g], [p.without[g] for p in likely]) for g in range(min([len(run.without), *(len(p.without) for p in likely)]))
    ]
    if len(each) < 2 or any(one is None for one in each):
        return Gap(value)
    return Gap(value, *interval(value, torch.tensor([one for one in each if one is not None], dtype=torch.float64)))


def row(p: Point) -> str:
    """A point in words."""
    which = p.name if p.temperature is None else f"temperature {p.temperature:g}"
    figures = " ".join(f"{v:.3f}" for v in p.bleu.values()), " ".join(f"{v:.3f}" for v in p.self_bleu.values())
    return f"{which}: BLEU-2…5 {figures[0]} · self-BLEU-2…5 {figures[1]} · unique {p.unique:.3f}"


def protocol(data_set: DataSet, count: int, seed: int, named: TextProtocol = PLAIN) -> str:
    """What must agree before two curves may be laid over each other."""
    kind = kind_of(data_set.space)  # type: ignore[arg-type]
    told = (
        f"N={count} · {min(named.references, len(data_set.held))} references@{data_set.content_hash[:6]} · {kind} · method 1 · seed {seed}"
    )
    return f"{told} · {named.stamp()}" if named.name else told


def _references(data_set: DataSet, protocol: TextProtocol) -> Words:
    """The held-out sentences, or those of a published protocol. Raises InputError where the data do not fit it."""
    if protocol.name:
        protocol.check(data_set)
    return protocol.compared(data_set)


def _above(at: tuple[float, float], line: Sequence[tuple[float, float]]) -> float | None:
    """How much quality `at` (quality, sameness) has above a line of such points at its sameness; None outside."""
    ordered = sorted((sameness, quality) for quality, sameness in line)
    quality, sameness = at
    for (x0, y0), (x1, y1) in pairwise(ordered):
        if x0 <= sameness <= x1:
            return quality - (y0 + (y1 - y0) * ((sameness - x0) / (x1 - x0) if x1 > x0 else 0.5))
    return None


def _said(trained: Trained, game: Any, data_set: DataSet, count: int, seed: int) -> Tensor:
    conditions = Conditions.of(trained.space, data_set.train.y, data_set.card.get("labels", {}))
    part = mix(seed, 11, 0)
    return draw(game, trained.players, trained.space, count, seed=part, labels=conditions.draw(count, seed=part))
