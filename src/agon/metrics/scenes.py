"""What is on clips of moving-shapes, whatever was asked: read from the pixels, without a network.

    formed     share of clips whose shape, colour, size and direction can all be read
    scenes     how many of the 112 combinations of the four there are
    scenes_kl  Kullback-Leibler divergence, in nats, of the shares of combinations among formed clips from those of the training set

The counts of stacked digits (Lin et al. 2018, PacGAN, arXiv:1712.04086, §4) with an exact reader in the classifier's place. Few clips reach
few combinations: of 112, the 490 held-out clips reach 110, and their KL is 0.21. So read both beside the floor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from agon.data.reading import ATTRIBUTES
from agon.metrics.clips import samples_of
from agon.metrics.contract import Family, Features, Metric
from agon.metrics.jackknife import wilson
from agon.metrics.obeys import need_shapes, read_attributes
from agon.metrics.setting import Setting

SIZES = torch.tensor([len(words) for words in ATTRIBUTES.values()])
COUNT = int(SIZES.prod())
_LIMIT = 5_000  # training clips whose combinations are counted


def combinations(x: Tensor) -> Tensor:
    """The combination of each clip, 0 to COUNT - 1, or COUNT where one attribute is unclear: uint8 [n, T, 3, H, W] -> float [n, 1]."""
    seen = read_attributes(x)
    place = torch.tensor([int(SIZES[k + 1 :].prod()) for k in range(len(SIZES))])
    return torch.where((seen >= 0).all(1), (seen * place).sum(1), COUNT)[:, None].float()


class Scenes(Metric):
    """Counts of combinations against shares of the training set [COUNT]."""

    outputs: ClassVar[tuple[str, ...]] = ("formed", "scenes", "scenes_kl")
    higher_is_better: ClassVar[Mapping[str, bool]] = {"formed": True, "scenes": True, "scenes_kl": False}

    def __init__(self, shares: Tensor) -> None:
        self.shares = shares.double()
        self.counts = torch.zeros(COUNT + 1, dtype=torch.float64)

    def update(self, batch: Features) -> None:
        """Read and count."""
        self.counts = self.counts + torch.bincount(combinations(samples_of(batch))[:, 0].long(), minlength=COUNT + 1)

    def compute(self) -> dict[str, float]:
        """All three; the divergence is not-a-number where no clip is formed."""
        formed, total = self.counts[:COUNT], float(self.counts.sum())
        share = formed / formed.sum().clamp_min(1)
        # A combination that training lacks gets half a clip's share, so that one of it does not make the figure infinite.
        real = self.shares.clamp_min(0.5 / _LIMIT)
        kl = float(torch.special.xlogy(share, share / real).sum()) if formed.sum() > 0 else math.nan
        return {
            "formed": float(formed.sum()) / total if total else math.nan, "scenes": float((formed > 0).sum()), "scenes_kl": kl
        }  # fmt: skip

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Wilson's of the share."""
        return {"formed": wilson(self.compute()["formed"], float(self.counts.sum()))}

    def settings(self) -> str:
        """How many there are."""
        return f"of {COUNT}, nats"

    def detail(self) -> dict[str, Any]:
        """Share of each word among formed clips."""
        formed = (self.counts[:COUNT] / self.counts[:COUNT].sum().clamp_min(1)).reshape(SIZES.tolist())
        told: dict[str, float] = {}
        for axis, words in enumerate(ATTRIBUTES.values()):
            shares = formed.sum([k for k in range(len(SIZES)) if k != axis])
            told |= {word: round(float(share), 4) for word, share in zip(words, shares, strict=True)}
        return {"words": told}

    def state(self) -> dict[str, Tensor]:
        """counts [COUNT + 1]."""
        return {"counts": self.counts}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Replace the counts."""
        self.counts = state["counts"]


def build(setting: Setting, expected: int) -> Scenes:
    """For moving-shapes. Raises InputError for other data."""
    need_shapes(setting, "scenes")
    real = setting.measured("combinations-1", "train", combinations, _LIMIT)[:, 0].long()
    counts = torch.bincount(real, minlength=COUNT + 1)[:COUNT]
    return Scenes(counts / counts.sum())


FAMILY = Family(
    name="scenes",
    outputs=Scenes.outputs,
    build=build,
    features=False,
    sight={"clips": {"formed": "ssbggbsbbb", "scenes": "gsbggbgsgb", "scenes_kl": "ssbgsbsssb"}},
)
