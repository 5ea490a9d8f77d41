"""A table of features that several ranks fill: what metrics keep that need the samples themselves."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class Rows:
    """At most `limit` rows of a stream of `expected` features [n, dim], a subset fixed by `seed` alone.

    `share` (i, n): this is rank i of n, and its k-th sample is number i + k·n of the stream. Rows of other ranks stay zero, so the
    sum of all ranks' tables is the table of the whole stream.
    """

    def __init__(self, dim: int, expected: int, limit: int, *, seed: int = 0, share: tuple[int, int] = (0, 1)) -> None:
        self.table = torch.zeros(min(expected, limit), dim, dtype=torch.float64)
        self.filled = torch.zeros(len(self.table), dtype=torch.float64)
        self._place = torch.full((expected,), -1, dtype=torch.int64)
        self._place[subset(expected, limit, seed)] = torch.arange(len(self.table))
        self._next, self._stride = share

    def add(self, features: Tensor) -> None:
        """Take in features [n, dim]; those outside the subset are dropped. More than `expected` samples are our bug."""
        numbers = self._next + self._stride * torch.arange(len(features))
        self._next += self._stride * len(features)
        assert len(features) == 0 or int(numbers[-1]) < len(self._place), f"sample {int(numbers[-1])} of {len(self._place)} expected"
        place = self._place[numbers]
        kept = place >= 0
        self.table[place[kept]] = features[kept].double()
        self.filled[place[kept]] = 1

    @property
    def values(self) -> Tensor:
        """The rows that are there, float64 [m, dim]."""
        return self.table[self.filled > 0]

    def state(self) -> dict[str, Tensor]:
        """table and filled."""
        return {"table": self.table, "filled": self.filled}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Replace the table."""
        self.table, self.filled = state["table"], state["filled"]


def subset(count: int, limit: int, seed: int) -> Tensor:
    """Indices int64 [min(count, limit)], sorted, of a subset of `count` things that `seed` fixes; all of them if they fit."""
    if count <= limit:
        return torch.arange(count)
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:limit].sort().values
