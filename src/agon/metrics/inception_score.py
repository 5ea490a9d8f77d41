"""Inception-type score and class coverage: what a classifier makes of the samples.

    IS = exp( mean KL( p(y|x) ‖ p(y) ) )        Salimans et al. 2016, arXiv:1606.03498

One split by default: the mean over ten splits of the original code is biased by the split size (Barratt & Sharma 2018, arXiv:1801.01973).
With Agon's own classifier it is not the published Inception Score; the stamp says which classifier it was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from agon.metrics.contract import Features, Metric

PRESENT = 0.01  # a class is there when at least this share of the samples falls in it


def _probabilities(batch: Features) -> Tensor:
    assert batch.probabilities is not None, "this metric needs an extractor that classifies"
    return batch.probabilities.double()


class InceptionScore(Metric):
    """IS in streaming sums; sample i belongs to split i mod `splits`. `share` (i, n): rank i of n holds samples i, i + n, …"""

    outputs: ClassVar[tuple[str, ...]] = ("is",)
    higher_is_better: ClassVar[Mapping[str, bool]] = {"is": True}

    def __init__(self, num_classes: int, *, splits: int = 1, share: tuple[int, int] = (0, 1)) -> None:
        self.splits = splits
        self._next, self._stride = share
        self._state = {
            "n": torch.zeros(splits, dtype=torch.float64),
            "total": torch.zeros(splits, num_classes, dtype=torch.float64),
            "negentropy": torch.zeros(splits, dtype=torch.float64),
        }

    def update(self, batch: Features) -> None:
        """Add Σ p and Σ Σ p log p to each sample's split."""
        p = _probabilities(batch)
        split = (self._next + self._stride * torch.arange(len(p))) % self.splits
        self._next += self._stride * len(p)
        more = {"n": torch.ones(len(p), dtype=torch.float64), "total": p, "negentropy": torch.special.xlogy(p, p).sum(1)}
        self._state = {name: self._state[name].index_add(0, split, more[name]) for name in more}

    def compute(self) -> dict[str, float]:
        """{"is": mean over splits}, between 1 and the number of classes."""
        n, total, negentropy = (self._state[name] for name in ("n", "total", "negentropy"))
        if not bool((n > 0).all()):
            return {"is": math.nan}
        marginal = total / n[:, None]
        gain = negentropy / n - torch.special.xlogy(marginal, marginal).sum(1)
        return {"is": float(gain.exp().mean())}

    def settings(self) -> str:
        """How many splits."""
        return "1 split" if self.splits == 1 else f"{self.splits} splits"

    def state(self) -> dict[str, Tensor]:
        """n [splits], total [splits, classes], negentropy [splits]."""
        return dict(self._state)

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Replace the sums."""
        self._state = dict(state)


class Classes(Metric):
    """How many classes the samples cover: those with at least 1 % of the samples, by the classifier's first choice."""

    outputs: ClassVar[tuple[str, ...]] = ("classes",)
    higher_is_better: ClassVar[Mapping[str, bool]] = {"classes": True}

    def __init__(self, num_classes: int, names: tuple[str, ...] = ()) -> None:
        self.names = names if len(names) == num_classes else tuple(str(k) for k in range(num_classes))
        self.counts = torch.zeros(num_classes, dtype=torch.float64)

    def update(self, batch: Features) -> None:
        """Count first choices."""
        self.counts = self.counts + torch.bincount(_probabilities(batch).argmax(1), minlength=len(self.counts))

    def compute(self) -> dict[str, float]:
        """{"classes": number of classes present}."""
        total = self.counts.sum()
        return {"classes": float((self.counts >= PRESENT * total).sum()) if total > 0 else math.nan}

    def settings(self) -> str:
        """How many there are, and the share that counts as present."""
        return f"of {len(self.counts)}, present ≥ {PRESENT:.0%}"

    def detail(self) -> dict[str, Any]:
        """Share of the samples in each class, by its name."""
        shares = self.counts / self.counts.sum().clamp_min(1)
        return {"histogram": {name: round(float(share), 6) for name, share in zip(self.names, shares, strict=True)}}

    def state(self) -> dict[str, Tensor]:
        """counts [classes]."""
        return {"counts": self.counts}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Replace the counts."""
        self.counts = state["counts"]
