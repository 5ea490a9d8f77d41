"""Tag accuracy: how rightly tags, or the words of captions, can be read from the samples that were asked to have them, or not to.

    of a tag    (share read as there of samples asked with it + share read as not there of samples asked without it) / 2
    tag_accuracy    the mean over tags

For tags what StarGAN's classifier of expressions is for classes (Choi et al. 2018, arXiv:1711.09020, §5), balanced, so that a rare tag counts as much as
a common one and a generator that ignores what it is asked has 0.5. Read by a network that learnt the tags from real samples alone
(`condition_reader.py`). The floor is real held-out samples: what cannot be read from them cannot be asked of a generator. Read it beside recall: one good
picture a tag obeys.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from agon.metrics.condition_reader import Reader, open_reader
from agon.metrics.contract import Family, Features, Metric
from agon.metrics.jackknife import GROUPS, interval
from agon.metrics.setting import Setting


class TagAccuracy(Metric):
    """Counts [GROUPS, k, 4] of samples asked with each tag, of those read with it, of samples asked without it, of those read without it."""

    outputs: ClassVar[tuple[str, ...]] = ("tag_accuracy",)
    higher_is_better: ClassVar[Mapping[str, bool]] = {"tag_accuracy": True}

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.counts = torch.zeros(GROUPS, len(reader.names), 4, dtype=torch.float64)

    def update(self, batch: Features) -> None:
        """Read and compare."""
        assert batch.condition is not None and batch.samples is not None, "samples come with what they were asked to be"
        asked, seen = self.reader.asked(batch.condition) > 0.5, self.reader.tell(batch.samples) > 0
        pairs = torch.stack([asked, asked & seen, ~asked, ~asked & ~seen], 2).double()
        group = (int(self.counts[:, 0, ::2].sum()) + torch.arange(len(asked))) % GROUPS
        self.counts = self.counts.index_add(0, group, pairs)

    def compute(self) -> dict[str, float]:
        """{"tag_accuracy": mean over tags}; not-a-number where no tag was asked for both ways."""
        return {"tag_accuracy": float(self._of_each(self.counts.sum(0)).nanmean())}

    def intervals(self) -> dict[str, tuple[float, float]]:
        """By the jackknife: the tags of a sample hang together."""
        without = self.counts.sum(0) - self.counts
        return {"tag_accuracy": interval(self.compute()["tag_accuracy"], self._of_each(without).nanmean(-1), least=0.0, most=1.0)}

    def settings(self) -> str:
        """How many tags or words, by which reader."""
        count = int(self.reader.legible.sum())
        return f"{count} {self.reader.kind if count > 1 else self.reader.kind[:-1]}, reader@{self.reader.hash[:6]}"

    def detail(self) -> dict[str, Any]:
        """Of each tag that could be read."""
        return {"by_tag": {name: {"accuracy": round(value, 4)} for name, value in self._each()}}

    def remark(self, name: str) -> str:
        """The worst tag, and how many were measured if not all."""
        each, legible = self._each(), int(self.reader.legible.sum())
        worst = min(each, key=lambda pair: pair[1], default=None)
        told = [f"worst: {worst[0]}, {worst[1]:.3g}"] if worst and len(each) > 1 else []
        if len(each) < legible:
            told.append(
                f"{legible - len(each)} of {legible} {self.reader.kind} were not asked for both ways, and count neither here nor, maybe, in the floor"
            )
        return "; ".join(told)

    def state(self) -> dict[str, Tensor]:
        """counts."""
        return {"counts": self.counts}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Replace the counts."""
        self.counts = state["counts"]

    def _of_each(self, counts: Tensor) -> Tensor:
        """[..., k, 4] -> [..., k]; not-a-number for a tag that was not asked for both ways, or that training had too few of."""
        shares = counts[..., 1::2] / counts[..., ::2]
        return shares.mean(-1).where(self.reader.legible, torch.nan)

    def _each(self) -> list[tuple[str, float]]:
        values = self._of_each(self.counts.sum(0)).tolist()
        return [(name, value) for name, value in zip(self.reader.names, values, strict=True) if value == value]


def build(setting: Setting, expected: int) -> TagAccuracy:
    """For generators of pictures and clips that are asked for tags or captions. Raises InputError otherwise."""
    return TagAccuracy(open_reader(setting, "tag_accuracy", ("tags", "words")))


FAMILY = Family(
    name="tag_accuracy", outputs=TagAccuracy.outputs, build=build, features=False, sight={"pictures": {"tag_accuracy": "ssbbb"}}
)
