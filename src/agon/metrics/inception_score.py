"""Inception-type score: sure predictions, of every class.

    IS = exp( mean KL( p(y|x) ‖ p(y) ) )        Salimans et al. 2016, arXiv:1606.03498

One split by default: the mean over ten splits of the original code is biased by the split size (Barratt & Sharma 2018, arXiv:1801.01973).
With Agon's own classifier it is not the published Inception Score; the stamp says which classifier it was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from agon.metrics import jackknife
from agon.metrics.classes import classifying, probabilities_of
from agon.metrics.contract import Family, Features, Metric
from agon.metrics.setting import Setting


class InceptionScore(Metric):
    """IS in streaming sums; sample i belongs to split i mod `splits`. `share` (i, n): rank i of n holds samples i, i + n, …

    Sums are kept by cell, i mod (splits · 20): the cells of a split add up to it, and the jackknife leaves cells out.
    """

    outputs: ClassVar[tuple[str, ...]] = ("is",)
    higher_is_better: ClassVar[Mapping[str, bool]] = {"is": True}

    def __init__(self, num_classes: int, *, splits: int = 1, share: tuple[int, int] = (0, 1)) -> None:
        self.splits = splits
        self._next, self._stride = share
        cells = splits * jackknife.GROUPS
        self._state = {
            "n": torch.zeros(cells, dtype=torch.float64),
            "total": torch.zeros(cells, num_classes, dtype=torch.float64),
            "negentropy": torch.zeros(cells, dtype=torch.float64),
        }

    def update(self, batch: Features) -> None:
        """Add Σ p and Σ Σ p log p to each sample's cell."""
        p = probabilities_of(batch)
        cell = (self._next + self._stride * torch.arange(len(p))) % len(self._state["n"])
        self._next += self._stride * len(p)
        more = {"n": torch.ones(len(p), dtype=torch.float64), "total": p, "negentropy": torch.special.xlogy(p, p).sum(1)}
        self._state = {name: self._state[name].index_add(0, cell, more[name]) for name in more}

    def compute(self) -> dict[str, float]:
        """{"is": mean over splits}, between 1 and the number of classes."""
        return {"is": self._score(torch.ones(jackknife.GROUPS, dtype=torch.bool))}

    def intervals(self) -> dict[str, tuple[float, float]]:
        """By the jackknife over the samples of each split."""
        without = [self._score(torch.arange(jackknife.GROUPS) != group) for group in range(jackknife.GROUPS)]
        return {"is": jackknife.interval(self.compute()["is"], torch.tensor(without, dtype=torch.float64), least=1.0)}

    def _score(self, groups: Tensor) -> float:
        """The score from these groups of cells, bool [GROUPS]."""
        n, total, negentropy = (
            self._state[name].unflatten(0, (jackknife.GROUPS, self.splits))[groups].sum(0) for name in ("n", "total", "negentropy")
        )
        if not bool((n > 0).all()):
            return math.nan
        marginal = total / n[:, None]
        gain = negentropy / n - torch.special.xlogy(marginal, marginal).sum(1)
        return float(gain.exp().mean())

    def settings(self) -> str:
        """How many splits."""
        return "1 split" if self.splits == 1 else f"{self.splits} splits"

    def state(self) -> dict[str, Tensor]:
        """n [cells], total [cells, classes], negentropy [cells]."""
        return dict(self._state)

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Replace the sums."""
        self._state = dict(state)


def build(setting: Setting, expected: int) -> InceptionScore:
    """IS by the extractor's own classes."""
    return InceptionScore(classifying(setting, "is"))


FAMILY = Family(name="is", outputs=InceptionScore.outputs, build=build, sight={"pictures": {"is": "ssssb"}})
