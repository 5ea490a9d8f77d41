"""Stacked modes: how many of the 1000 triples of digits a generator reaches, and how evenly. Metz et al. 2017, arXiv:1611.02163, §3.3.

    stacked_modes  triples that at least one of 26,000 samples is classified as
    stacked_kl     KL( p_model ‖ p_data ) = Σ p log(p / q) in nats, p the samples' shares, q the data's

as Srivastava et al. 2017 (VEEGAN, arXiv:1705.07761) and Lin et al. 2018 (PacGAN, arXiv:1712.04086) report them. q is the product of the grey
set's class shares, because the three pictures of a stack are drawn independently; it is nearly uniform for MNIST. The plug-in KL of n samples
of K modes is biased upwards by about (K − 1) / 2n, 0.019 at 26,000: the floor, real stacks never trained on, shows it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from agon.errors import InputError
from agon.metrics.classes import probabilities_of
from agon.metrics.contract import Family, Features, Metric
from agon.metrics.setting import Setting

NUM_SAMPLES = 26_000


class StackedModes(Metric):
    """Counts of classified triples against the data's shares [K]."""

    outputs: ClassVar[tuple[str, ...]] = ("stacked_modes", "stacked_kl")
    higher_is_better: ClassVar[Mapping[str, bool]] = {"stacked_modes": True, "stacked_kl": False}

    def __init__(self, shares: Tensor) -> None:
        self.shares = shares.double()
        self.counts = torch.zeros(len(shares), dtype=torch.float64)

    def update(self, batch: Features) -> None:
        """Count each sample's most probable triple."""
        self.counts = self.counts + torch.bincount(probabilities_of(batch).argmax(1), minlength=len(self.counts))

    def compute(self) -> dict[str, float]:
        """Both."""
        total = self.counts.sum()
        if total == 0:
            return dict.fromkeys(self.outputs, math.nan)
        p = self.counts / total
        kl = torch.special.xlogy(p, p) - torch.where(p > 0, p * self.shares.log(), torch.zeros_like(p))
        return {"stacked_modes": float((self.counts >= 1).sum()), "stacked_kl": float(kl.sum())}

    def settings(self) -> str:
        """How many there are, and against what."""
        return f"of {len(self.counts)}, reached by ≥ 1; KL to the data's shares, nats"

    def detail(self) -> dict[str, Any]:
        """The rarest and the most frequent."""
        return {"least": int(self.counts.min()), "most": int(self.counts.max())}

    def state(self) -> dict[str, Tensor]:
        """counts [K]."""
        return {"counts": self.counts}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Replace the counts."""
        self.counts = state["counts"]


def build(setting: Setting, expected: int) -> StackedModes:
    """For data that `agon data stack` made. Raises InputError for other data."""
    shares = getattr(setting.extractor, "shares", None)
    if shares is None:
        raise InputError(
            f"metric 'modes_stacked' needs pictures stacked from a labelled grey set and the extractor 'stacked'; got {setting.extractor.name}. "
            "Make the set by `agon data stack MNIST --out stacked.npz`, and leave --extractor at auto."
        )
    return StackedModes(shares)


FAMILY = Family(
    name="modes_stacked",
    outputs=StackedModes.outputs,
    build=build,
    usual=NUM_SAMPLES,
    sight={"pictures": {"stacked_modes": "ggssb", "stacked_kl": "ggssb"}},
)
