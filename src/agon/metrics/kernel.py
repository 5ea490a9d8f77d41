"""Kernel distance (KID). Bińkowski et al. 2018, arXiv:1801.01401, §4: the unbiased squared MMD with k(x, y) = (xᵀy / d + 1)³.

The mean over random subsets of at most `size` samples a side, drawn by `seed`, as in the paper's code. Unbiased, so around zero for
equal distributions: a small negative figure is not an error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from agon.metrics.contract import Features, Metric
from agon.metrics.rows import Rows

SUBSETS, SUBSET_SIZE = 100, 1000
LIMIT = 10_000  # rows kept a side


def mmd2_unbiased(x: Tensor, y: Tensor) -> Tensor:
    """Unbiased squared MMD with the cubic kernel: x float64 [m, d], y [n, d], m and n >= 2 -> []."""
    d, m, n = x.shape[1], len(x), len(y)

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T).div_(d).add_(1).pow_(3)

    xx, yy, xy = kernel(x, x), kernel(y, y), kernel(x, y)
    within = (xx.sum() - xx.trace()) / (m * (m - 1)) + (yy.sum() - yy.trace()) / (n * (n - 1))
    return within - 2 * xy.mean()


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
        self._sd = math.nan

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
        for _ in range(1 if whole else self.subsets):
            a = torch.randperm(len(fake), generator=generator)[:size]
            b = torch.randperm(len(self.real), generator=generator)[:size]
            values.append(mmd2_unbiased(fake[a], self.real[b]))
        every = torch.stack(values)
        self._sd = float(every.std(correction=0))
        return {"kid": float(every.mean())}

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
