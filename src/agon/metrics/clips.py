"""What metrics of clips share: the refusal of anything else, and a figure that is the mean of a number measured on each clip."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from agon.errors import InputError
from agon.metrics.contract import Features, Metric
from agon.metrics.jackknife import student
from agon.metrics.setting import Setting
from agon.spaces import Video


def need_clips(setting: Setting, metric: str) -> Video:
    """The space of the data. Raises InputError where it does not hold clips."""
    space = setting.data_set.space
    if not isinstance(space, Video):
        raise InputError(f"metric '{metric}' looks at clips, and the data are {space.describe()}; use fd, kid or prdc.")
    return space


class PerClip(Metric):
    """Means over clips of what `measure` (clips uint8 [n, T, C, H, W] -> [n, k]) gives for each: the figures `names`, then `told` for the detail."""

    outputs: ClassVar[tuple[str, ...]] = ()
    higher_is_better: ClassVar[Mapping[str, bool]] = {}

    def __init__(
        self, measure: Callable[[Tensor], Tensor], better: Mapping[str, bool], *, told: tuple[str, ...] = (), by: str = ""
    ) -> None:
        self.outputs, self.higher_is_better = tuple(better), better  # type: ignore[misc]
        self.measure, self.told, self.by = measure, told, by
        width = len(self.outputs) + len(told)
        self.n, self.total, self.square = torch.zeros(1, dtype=torch.float64), *torch.zeros(2, width, dtype=torch.float64)

    def update(self, batch: Features) -> None:
        """Add to the sums."""
        values = self.measure(samples_of(batch)).double()
        self.n = self.n + len(values)
        self.total, self.square = self.total + values.sum(0), self.square + values.square().sum(0)

    def compute(self) -> dict[str, float]:
        """The means."""
        means = (self.total / self.n).tolist() if self.n > 0 else [math.nan] * len(self.total)
        return dict(zip(self.outputs, means, strict=False))

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Normal: the clips are independent."""
        n = float(self.n)
        if n < 2:
            return {}
        mean = self.total / n
        reach = student(int(n)) * ((self.square / n - mean.square()).clamp_min(0) / (n - 1)).sqrt()
        return {name: (float(mean[k] - reach[k]), float(mean[k] + reach[k])) for k, name in enumerate(self.outputs)}

    def settings(self) -> str:
        """How it is measured."""
        return self.by

    def detail(self) -> dict[str, Any]:
        """The means of what is told beside the figures."""
        values = (self.total[len(self.outputs) :] / self.n.clamp_min(1)).tolist()
        return {name: round(value, 6) for name, value in zip(self.told, values, strict=True)}

    def state(self) -> dict[str, Tensor]:
        """n [1], total and square [k]."""
        return {"n": self.n, "total": self.total, "square": self.square}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Replace the sums."""
        self.n, self.total, self.square = state["n"], state["total"], state["square"]


def samples_of(batch: Features) -> Tensor:
    """The clips uint8 [n, T, C, H, W] behind features."""
    assert batch.samples is not None, "this metric looks at the samples themselves"
    return batch.samples.cpu()
