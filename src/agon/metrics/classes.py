"""Class coverage: how many classes of a labelled set the samples reach, as the classifier sees them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from agon.errors import InputError
from agon.metrics.contract import Family, Features, Metric
from agon.metrics.setting import Setting, class_names

PRESENT, OF_EVEN = 0.01, 0.1  # a class is there when this share of the samples falls in it, of many classes this part of an even share


def probabilities_of(batch: Features) -> Tensor:
    """Class probabilities float64 [n, classes] of an extractor that gives them."""
    assert batch.probabilities is not None, "this metric needs an extractor that classifies"
    return batch.probabilities.double()


def classifying(setting: Setting, metric: str) -> int:
    """How many classes the extractor tells apart. Raises InputError if it tells none."""
    if setting.extractor.num_classes == 0:
        raise InputError(
            f"metric '{metric}' needs class probabilities, and {setting.extractor.name} gives none; use --extractor classifier"
        )
    return setting.extractor.num_classes


class Classes(Metric):
    """How many classes the samples cover: those with at least 1 % of the samples, of more than ten classes a tenth of an even share, by first choices."""

    outputs: ClassVar[tuple[str, ...]] = ("classes",)
    higher_is_better: ClassVar[Mapping[str, bool]] = {"classes": True}

    def __init__(self, num_classes: int, names: tuple[str, ...] = ()) -> None:
        self.names = names if len(names) == num_classes else tuple(str(k) for k in range(num_classes))
        self.counts = torch.zeros(num_classes, dtype=torch.float64)
        self.present = min(PRESENT, OF_EVEN / num_classes)

    def update(self, batch: Features) -> None:
        """Count first choices."""
        self.counts = self.counts + torch.bincount(probabilities_of(batch).argmax(1), minlength=len(self.counts))

    def compute(self) -> dict[str, float]:
        """{"classes": number of classes present}."""
        total = self.counts.sum()
        return {"classes": float((self.counts >= self.present * total).sum()) if total > 0 else math.nan}

    def settings(self) -> str:
        """How many there are, and the share that counts as present."""
        return f"of {len(self.counts)}, present ≥ {100 * self.present:.3g}%"

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


def build(setting: Setting, expected: int) -> Classes:
    """Counts by the extractor's own classes."""
    count = classifying(setting, "classes")
    return Classes(count, tuple(class_names(setting.data_set.space, count)))


FAMILY = Family(name="classes", outputs=Classes.outputs, build=build, sight={"pictures": {"classes": "ggsgb"}})
