"""Kernel distance (KID). Bińkowski et al. 2018, arXiv:1801.01401, §4: the unbiased squared MMD with k(x, y) = (xᵀy / d + 1)³.

The mean over random subsets of at most `size` samples a side, drawn by `seed`, as in the paper's code. Unbiased, so around zero for
equal distributions: a small negative figure is not an error.

Its interval takes the first-order term of the U-statistic in the samples, h(x) = mean k(x, ·) over generated − over real, with variance
4 var(h) / m (Hoeffding 1948), from the same subsets, and adds the spread of the mean over subsets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from agon.metrics.contract import Family, Features, Metric
from agon.metrics.jackknife import student
from agon.metrics.rows import Rows
from agon.metrics.setting import Setting

SUBSETS, SUBSET_SIZE = 100, 1000
LIMIT = 10_000  # rows kept a side


def mmd2_unbiased(x: Tensor, y: Tensor) -> Tensor:
    """Unbiased squared MMD with the cubic kernel: x float64 [m, d], y [n, d], m and n >= 2 -> []."""
    return _mmd2(x, y)[0]


def _mmd2(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The same, and what each x contributes to first order: h [m]."""
    d, m, n = x.shape[1], len(x), len(y)

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T).div_(d).add_(1).pow_(3)

    xx, yy, xy = kernel(x, x), kernel(y, y), kernel(x, y)
    within = (xx.sum() - xx.trace()) / (m * (m - 1)) + (yy.sum() - yy.trace()) / (n * (n - 1))
    return within - 2 * xy.mean(), (xx.sum(1) - xx.diagonal()) / (m - 1) - xy.mean(1)


class KernelDistance(Metric):
    """KID of a stream of `expected` features to real features [m, d]; undefined (nan) below two samples on either side."""

    outputs: ClassVar[tuple[str, ...]] = ("kid",)
    higher_is_better: ClassVar[Mapping[str, bool]] = {"kid": False}

    def __init__(
        self,
        real: Tensor,
        expected: int,
        *,
        seed: int = 0,
        subsets: int = SUBSETS,
        size: int = SUBSET_SIZE,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        self.real, self.seed, self.subsets = real.double(), seed, subsets
        self.rows = Rows(real.shape[1], expected, LIMIT, seed=seed, share=share)
        self.size = min(size, len(real), len(self.rows.table))
        self._sd, self._se, self._value = math.nan, math.nan, math.nan

    def update(self, batch: Features) -> None:
        """Keep the rows."""
        self.rows.add(batch.features)

    def compute(self) -> dict[str, float]:
        """{"kid": mean over subsets}."""
        fake = self.rows.values
        size = min(self.size, len(fake))
        if size < 2 or not bool(torch.isfinite(fake).all()):
            return {"kid": math.nan}
        whole = size == len(fake) == len(self.real)  # every subset would be the same
        generator = torch.Generator().manual_seed(self.seed)
        values = []
        share, times = torch.zeros(len(fake), dtype=torch.float64), torch.zeros(len(fake), dtype=torch.float64)
        for _ in range(1 if whole else self.subsets):
            a = torch.randperm(len(fake), generator=generator)[:size]
            b = torch.randperm(len(self.real), generator=generator)[:size]
            value, each = _mmd2(fake[a], self.real[b])
            values.append(value)
            share[a] += each
            times[a] += 1
        every = torch.stack(values)
        self._sd, self._value = float(every.std(correction=0)), float(every.mean())
        h = share[times > 0] / times[times > 0]
        self._se = math.sqrt(4 * float(h.var()) / len(fake) + self._sd**2 / len(values))
        return {"kid": self._value}

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Normal, from the first-order variance."""
        reach = student(len(self.rows.table)) * self._se
        return {"kid": (self._value - reach, self._value + reach)}

    def settings(self) -> str:
        """For example "100 subsets of 1000"."""
        return f"{self.subsets} subsets of {self.size}"

    def detail(self) -> dict[str, Any]:
        """The standard deviation over subsets."""
        return {"kid_sd": self._sd} if math.isfinite(self._sd) else {}

    def state(self) -> dict[str, Tensor]:
        """The table of rows."""
        return self.rows.state()

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Replace the table."""
        self.rows.load(state)


def build(setting: Setting, expected: int) -> KernelDistance:
    """KID against the reference's rows."""
    return KernelDistance(setting.reference.rows, expected, seed=setting.seed)


FAMILY = Family(
    name="kid", outputs=KernelDistance.outputs, build=build, sight={"pictures": {"kid": "ssssb"}, "clips": {"kid": "ssbggggggb"}}
)
