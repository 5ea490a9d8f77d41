"""Number error: how far the numbers read from samples are from those that were asked for, in standard deviations of the training set.

    number_error    the mean over numbers of mean |read − asked| / sd

The label score of CcGAN (Ding et al. 2021, arXiv:2011.07466, §4), for several numbers. Read by a network that learnt the numbers from real samples alone
(`condition_reader.py`). The floor is real held-out samples: what the reader misses of these is its own. Of numbers that are
normal a generator that ignores them has 1.13 where its samples vary as the data do (2/√π, two draws apart), and 0.80 (√(2/π)) where all show the mean, or
nothing that can be read: the correlation in the detail is 0 for both. Read it beside recall: one good picture a number obeys.
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


class NumberError(Metric):
    """Sums [GROUPS, k, 7] of 1, |read − asked|, asked, read and their squares and product. mean, sd: of each number in its own unit."""

    outputs: ClassVar[tuple[str, ...]] = ("number_error",)
    higher_is_better: ClassVar[Mapping[str, bool]] = {"number_error": False}

    def __init__(self, reader: Reader, sd: tuple[float, ...] = ()) -> None:
        self.reader, self.sd = reader, sd or (1.0,) * len(reader.names)
        self.sums = torch.zeros(GROUPS, len(reader.names), 7, dtype=torch.float64)

    def update(self, batch: Features) -> None:
        """Read and compare."""
        assert batch.condition is not None and batch.samples is not None, "samples come with what they were asked to be"
        a, r = self.reader.asked(batch.condition), self.reader.tell(batch.samples)
        parts = torch.stack([torch.ones_like(a), (r - a).abs(), a, r, a * a, r * r, a * r], 2)
        group = (int(self.sums[:, 0, 0].sum()) + torch.arange(len(a))) % GROUPS
        self.sums = self.sums.index_add(0, group, parts)

    def compute(self) -> dict[str, float]:
        """{"number_error": mean over numbers}."""
        return {"number_error": float(self._of_each(self.sums.sum(0)).nanmean())}

    def intervals(self) -> dict[str, tuple[float, float]]:
        """By the jackknife: the numbers of a sample hang together."""
        without = self.sums.sum(0) - self.sums
        return {"number_error": interval(self.compute()["number_error"], self._of_each(without).nanmean(-1), least=0.0)}

    def settings(self) -> str:
        """How many numbers, by which reader."""
        count = int(self.reader.legible.sum())
        return f"{count} number{'s' * (count > 1)}, in sd, reader@{self.reader.hash[:6]}"

    def detail(self) -> dict[str, Any]:
        """Of each number the error in sd and in its own unit, and the correlation of what is read with what was asked."""
        total = self.sums.sum(0)
        a, r, aa, rr, ar = (total[:, k] / total[:, 0].clamp_min(1) for k in range(2, 7))
        together = (ar - a * r) / ((aa - a * a) * (rr - r * r)).clamp_min(1e-12).sqrt()
        told = zip(self.reader.names, self._of_each(total).tolist(), self.sd, together.tolist(), strict=True)
        return {
            "by_number": {
                name: {"error": round(error, 4), "own": float(f"{error * sd:.4g}"), "correlation": round(corr, 4)}
                for name, error, sd, corr in told
                if error == error
            }
        }

    def remark(self, name: str) -> str:
        """The worst number."""
        each = self.detail()["by_number"]
        worst = max(each, key=lambda number: each[number]["error"], default=None)
        return f"worst: {worst}, off by {each[worst]['own']:.3g}" if worst is not None and len(each) > 1 else ""

    def state(self) -> dict[str, Tensor]:
        """sums."""
        return {"sums": self.sums}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Replace the sums."""
        self.sums = state["sums"]

    def _of_each(self, sums: Tensor) -> Tensor:
        """[..., k, 7] -> [..., k]; not-a-number for a number that is the same everywhere in training."""
        return (sums[..., 1] / sums[..., 0]).where(self.reader.legible, torch.nan)


def build(setting: Setting, expected: int) -> NumberError:
    """For generators of pictures and clips that are asked for numbers. Raises InputError otherwise."""
    reader = open_reader(setting, "number_error", ("numbers",))
    return NumberError(reader, tuple(setting.data_set.card.get("labels", {}).get("sd", ())))


FAMILY = Family(
    name="number_error", outputs=NumberError.outputs, build=build, features=False, sight={"pictures": {"number_error": "ssbbb"}}
)
