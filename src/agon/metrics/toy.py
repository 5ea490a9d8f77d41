"""Modes covered and high-quality share on sets whose modes are known.

Srivastava et al. 2017 (VEEGAN, arXiv:1705.07761), followed by Lin et al. 2018 (PacGAN, arXiv:1712.04086): a sample is of high quality
when it lies within three standard deviations of the nearest mode; a mode is covered when it is the nearest one of at least one
high-quality sample; 2,500 samples. In the plane a true sample passes with probability 1 − exp(−9/2) = 0.989.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from agon.errors import InputError
from agon.metrics.contract import Family, Features, Metric
from agon.metrics.jackknife import wilson
from agon.metrics.setting import Setting
from agon.spaces import Vector

REACH = 3.0  # standard deviations
NUM_SAMPLES = 2500
_KNOWN = ("ring", "grid", "spirals")


class Modes(Metric):
    """Counts of high-quality samples by nearest mode: centres float64 [K, d] in data units, `sd` of each coordinate around them."""

    outputs: ClassVar[tuple[str, ...]] = ("modes", "quality")
    reference_name: ClassVar[str] = "modes"
    higher_is_better: ClassVar[Mapping[str, bool]] = {"modes": True, "quality": True}

    def __init__(self, centres: Tensor, sd: float) -> None:
        self.centres, self.sd = centres.double(), sd
        self._state = {"n": torch.zeros((), dtype=torch.float64), "counts": torch.zeros(len(centres), dtype=torch.float64)}

    def update(self, batch: Features) -> None:
        """Count the samples near a mode; points that are not finite numbers are near none."""
        points = batch.features.double()
        points = points[torch.isfinite(points).all(1)]
        distance, nearest = torch.cdist(points, self.centres, compute_mode="donot_use_mm_for_euclid_dist").min(1)
        good = nearest[distance <= REACH * self.sd]
        self._state = {
            "n": self._state["n"] + len(batch),
            "counts": self._state["counts"] + torch.bincount(good, minlength=len(self.centres)),
        }

    def compute(self) -> dict[str, float]:
        """{"modes": number covered, "quality": share within reach}."""
        n, counts = self._state["n"], self._state["counts"]
        if n == 0:
            return {"modes": math.nan, "quality": math.nan}
        return {"modes": float((counts >= 1).sum()), "quality": float(counts.sum() / n)}

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Wilson's, of the share; a number of modes has none."""
        return {"quality": wilson(self.compute()["quality"], float(self._state["n"]))}

    def settings(self) -> str:
        """The literature's thresholds, and how many modes there are."""
        return f"of {len(self.centres)}, within {REACH:g} sd, covered by ≥ 1"

    def detail(self) -> dict[str, Any]:
        """High-quality samples of each mode."""
        return {"counts": [int(count) for count in self._state["counts"]]}

    def state(self) -> dict[str, Tensor]:
        """n [], counts [K]."""
        return dict(self._state)

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Replace the counts."""
        self._state = dict(state)


def build(setting: Setting, expected: int) -> Modes:
    """Modes of the embedded sets. Raises InputError for data whose modes are not known."""
    path = str(setting.data_set.card.get("path", ""))
    if not isinstance(setting.data_set.space, Vector) or path not in _KNOWN:
        raise InputError(f"metric 'modes' needs a set whose modes are known: {', '.join(_KNOWN)}; got '{path}'. Use fd, kid or prdc.")
    from agon.data import modes

    centres, sd = modes(path)
    return Modes(torch.from_numpy(centres), sd)


FAMILY = Family(name="modes", outputs=Modes.outputs, build=build, sight={"pictures": {"modes": "bbsgb", "quality": "bsbbb"}})
