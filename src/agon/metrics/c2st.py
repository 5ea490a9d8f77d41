"""Classifier two-sample test (Lopez-Paz & Oquab 2017, "Revisiting Classifier Two-Sample Tests", arXiv:1610.06545): how often samples and real ones are told
apart by a classifier that never saw them; 0.5 is not at all.

As many of either side, five parts; a logistic regression learns from four and is asked about the fifth. It sees the features' leading principal
directions, at most `DIMS`, taken of both sides together, and their squares, so that spread counts as well as place. Its accuracy bounds the distance in total
variation from below, 2·accuracy − 1. Temperature, truncation or a choice of the likeliest win little of it: what is gained in quality is lost in variety.
Blind to copies of training data, and to what the features do not hold; below 0.5 by chance alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from agon.metrics.contract import Family, Features, Metric
from agon.metrics.rows import Rows, subset
from agon.metrics.setting import Setting

LIMIT = 5_000  # rows a side
DIMS, FOLDS, LEAST = 128, 5, 20
SAME = 1e-3  # standard deviations by which a copy may differ from its original, in each direction
PRIOR = 100.0  # weights have variance 1 / PRIOR before any is seen
_STEPS, _HUGE = 30, 1e100
_SPREAD = 1.3  # times the spread of as many free answers: those of a part share a classifier. Measured on equal sides of 450 to 2,000


def logistic(x: Tensor, y: Tensor) -> Tensor:
    """Weights float64 [d] of a logistic regression of y [n], 0 or 1, on x [n, d], the last column of which is 1 and is not held back; by Newton's method."""
    w = x.new_zeros(x.shape[1])
    held = torch.full_like(w, PRIOR)
    held[-1] = 1e-6
    for _ in range(_STEPS):
        p = torch.sigmoid(x @ w)
        slope = x.T @ (p - y) + held * w
        curve = x.T @ (x * (p * (1 - p))[:, None]) + held.diag()
        step = torch.linalg.solve(curve, slope)
        w = w - step
        if float(step.abs().max()) < 1e-6:
            break
    return w


def told_apart(fake: Tensor, real: Tensor, seed: int = 0) -> Tensor:
    """Whether each of both sides was told right, bool [2 n], from features float64 [n, d] of either."""
    n = len(fake)
    both = torch.cat([fake, real])
    both = both - both.mean(0)
    values, directions = torch.linalg.eigh(both.T @ both / len(both))
    kept = min(DIMS, int((values > 1e-10 * values[-1]).sum()))
    z = both @ directions[:, -kept:] if kept else both[:, :1]
    z = torch.cat([z, z.square()], 1)
    z = (z - z.mean(0)) / z.std(0, correction=0).clamp_min(1e-12)
    x = torch.cat([z, z.new_ones(len(z), 1)], 1)
    y = torch.cat([z.new_ones(n), z.new_zeros(n)])
    chance = torch.Generator().manual_seed(seed)
    order = torch.randperm(n, generator=chance)
    part = torch.empty(n, dtype=torch.int64)
    part[order] = torch.arange(n) % FOLDS
    # What was copied goes where a copy of it is: learnt as real, it would have its copy told wrong, and copying be better than chance.
    same = torch.cdist(z[n:], z[:n]) < SAME * z.shape[1] ** 0.5
    copy = (torch.rand(n, n, generator=chance) * same).argmax(1)
    part = torch.cat([part, torch.where(same.any(1), part[copy], part)])
    right = torch.zeros(2 * n, dtype=torch.bool)
    for k in range(FOLDS):
        w = logistic(x[part != k], y[part != k])
        right[part == k] = (x[part == k] @ w > 0) == (y[part == k] > 0.5)
    return right


class TwoSampleTest(Metric):
    """Of a stream of `expected` features against real ones [m, d]; undefined (nan) below 20 a side."""

    outputs: ClassVar[tuple[str, ...]] = ("c2st",)
    higher_is_better: ClassVar[Mapping[str, bool]] = {"c2st": False}

    def __init__(self, real: Tensor, expected: int, *, seed: int = 0, share: tuple[int, int] = (0, 1)) -> None:
        self.real, self.seed = real.double(), seed
        self.rows = Rows(real.shape[1], expected, LIMIT, seed=seed, share=share)
        self._value, self._count = math.nan, 0

    def update(self, batch: Features) -> None:
        """Keep the rows."""
        self.rows.add(batch.features)

    def compute(self) -> dict[str, float]:
        """{"c2st": accuracy}."""
        fake = self.rows.values
        n = min(len(fake), len(self.real), LIMIT)
        self._value, self._count = math.nan, 2 * n
        fake, real = (rows[subset(len(rows), n, self.seed)] for rows in (fake, self.real))
        if n >= LEAST and bool((fake.abs() < _HUGE).all()) and bool((real.abs() < _HUGE).all()):
            self._value = float(told_apart(fake, real, self.seed).double().mean())
        return {"c2st": self._value}

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Normal, of a share of 2 n answers that are not quite free of each other."""
        if not math.isfinite(self._value):
            return {}
        reach = 1.96 * _SPREAD * math.sqrt(max(self._value * (1 - self._value), 1 / self._count) / self._count)
        return {"c2st": (max(0.0, self._value - reach), min(1.0, self._value + reach))}

    def remark(self, name: str) -> str:
        """Why the figure is undefined."""
        return f"needs {LEAST} samples a side, there are {self._count // 2}; more by --num-samples" if self._count < 2 * LEAST else ""

    def settings(self) -> str:
        """For example "logistic, 5 folds of 5000 a side"."""
        return f"logistic, {FOLDS} folds of {self._count // 2} a side"

    def detail(self) -> dict[str, Any]:
        """Nothing more."""
        return {}

    def state(self) -> dict[str, Tensor]:
        """The table of rows."""
        return self.rows.state()

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Replace the table."""
        self.rows.load(state)


def build(setting: Setting, expected: int) -> TwoSampleTest:
    """Against the reference's rows."""
    return TwoSampleTest(setting.reference.rows, expected, seed=setting.seed)


FAMILY = Family(
    name="c2st",
    outputs=TwoSampleTest.outputs,
    build=build,
    sight={"pictures": {"c2st": "ssssb"}, "clips": {"c2st": "ssbssgggsb"}, "text": {"c2st": "ssssb"}},
)
