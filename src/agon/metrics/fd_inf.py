"""Fréchet distance at infinitely many samples. Chong & Forsyth 2020, arXiv:1911.07023, §3.

    FD_N ≈ FD_∞ + a / N,  so FD_∞ is the intercept of a line through FD at several N, against 1 / N

FD of N samples is biased upwards by an amount that depends on the generator, so that two generators can change places as N grows; the
intercept cannot. Fifteen sizes, evenly spaced, of nested random subsets; the smallest holds at least 2 d samples, below which the bias is no
line in 1 / N (the paper: 5,000 of 50,000 at d = 2,048). Undefined (nan) below 4 d samples. Only the generated side is extrapolated: the
reference is the training split, as large as it is. The figure may fall a little below 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from agon.metrics import jackknife
from agon.metrics.contract import Family, Features, Metric
from agon.metrics.frechet import distances
from agon.metrics.moments import Moments
from agon.metrics.rows import Rows
from agon.metrics.setting import Setting

SIZES = 15
LIMIT = 50_000
_REPEATS_BELOW = 256  # narrow features: cheap enough for an interval


def intercept(sizes: Tensor, values: Tensor) -> float:
    """Least-squares intercept of values [k] against 1 / sizes [k]."""
    x = 1 / sizes.double()
    slope = ((x - x.mean()) * (values - values.mean())).sum() / (x - x.mean()).square().sum()
    return float(values.mean() - slope * x.mean())


def extrapolated(features: Tensor, reference: Moments, *, seed: int = 0) -> float:
    """FD_∞ of features float64 [n, d] in random order given by `seed`; nan below 4 d samples or where they are not finite."""
    n, d = features.shape
    if n < 4 * d or not bool(torch.isfinite(features).all()):
        return math.nan
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    sizes = torch.linspace(max(2 * d, n // 10), n, SIZES).long()
    moments, every, before = Moments.empty(d), [], 0
    for size in sizes.tolist():
        moments.add(features[order[before:size]])
        before = size
        every.append((moments.mean, moments.cov))
    return intercept(sizes, distances([mean for mean, _ in every], [cov for _, cov in every], reference))


class Extrapolated(Metric):
    """FD_∞ of a stream of `expected` features to reference moments."""

    outputs: ClassVar[tuple[str, ...]] = ("fd_inf",)
    higher_is_better: ClassVar[Mapping[str, bool]] = {"fd_inf": False}

    def __init__(self, reference: Moments, expected: int, *, seed: int = 0, share: tuple[int, int] = (0, 1)) -> None:
        self.reference, self.seed = reference, seed
        self.rows = Rows(len(reference.total), expected, LIMIT, seed=seed, share=share)

    def update(self, batch: Features) -> None:
        """Keep the rows."""
        self.rows.add(batch.features)

    def compute(self) -> dict[str, float]:
        """{"fd_inf": intercept}."""
        return {"fd_inf": extrapolated(self.rows.values, self.reference, seed=self.seed)}

    def intervals(self) -> dict[str, tuple[float, float]]:
        """By the jackknife over ten groups, for at most 256 features; wider ones would cost 150 decompositions."""
        rows = self.rows.values
        if rows.shape[1] > _REPEATS_BELOW or len(rows) * 9 // 10 < 4 * rows.shape[1]:
            return {}
        group = torch.arange(len(rows)) % 10
        without = [extrapolated(rows[group != g], self.reference, seed=self.seed) for g in range(10)]
        return {"fd_inf": jackknife.interval(self.compute()["fd_inf"], torch.tensor(without, dtype=torch.float64))}

    def settings(self) -> str:
        """Sizes of the fit."""
        n, d = self.rows.table.shape
        return f"{SIZES} sizes from {max(2 * d, n // 10)} to {n}" if n >= 4 * d else f"needs {4 * d} samples"

    def remark(self, name: str) -> str:
        """The way out where there are too few samples."""
        n, d = self.rows.table.shape
        return "" if n >= 4 * d else f"undefined below {4 * d} samples; more by --num-samples"

    def state(self) -> dict[str, Tensor]:
        """The table of rows."""
        return self.rows.state()

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Replace the table."""
        self.rows.load(state)


def build(setting: Setting, expected: int) -> Extrapolated:
    """FD_∞ against the training split."""
    return Extrapolated(setting.reference.moments, expected, seed=setting.seed)


FAMILY = Family(name="fd_inf", outputs=Extrapolated.outputs, build=build, sight={"pictures": {"fd_inf": "ssssb"}})
