"""Fréchet video distance. Unterthiner et al. 2018, arXiv:1812.01717: FD over the 400 logits of I3D (`i3d.py`), in all their directions.

The usual figure, FVD_2048_16f, takes 2,048 clips of 16 frames a side (`-n 2048` of a set that has as many). The stamp has what differs between
papers: clips a side, frames, size, rate, resize, split, seed. With fewer clips than 400 the covariances are singular and the figure is mostly
bias: it is given, as the field gives it, with its floor, the same figure of as many held-out clips. `fd` with the same extractor takes few clips in few
directions instead. The whole training split is the reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from agon.errors import InputError
from agon.metrics.clips import need_clips
from agon.metrics.contract import Family, Features, Metric
from agon.metrics.frechet import Frechet
from agon.metrics.moments import Moments
from agon.metrics.setting import Setting

USUAL = 2_048


class FVD(Metric):
    """FD by another name, and never in fewer directions."""

    outputs: ClassVar[tuple[str, ...]] = ("fvd",)
    higher_is_better: ClassVar[Mapping[str, bool]] = {"fvd": False}

    def __init__(self, reference: Moments, frames: int) -> None:
        self.frechet, self.frames = Frechet(reference), frames

    def update(self, batch: Features) -> None:
        """Add to the sums."""
        self.frechet.update(batch)

    def compute(self) -> dict[str, float]:
        """{"fvd": squared Fréchet distance}."""
        return {"fvd": self.frechet.compute()["fd"]}

    def intervals(self) -> dict[str, tuple[float, float]]:
        """As for FD."""
        return {"fvd": found["fd"]} if (found := self.frechet.intervals()) else {}

    def settings(self) -> str:
        """Clips on the real side, and frames."""
        return f"{int(self.frechet.reference.n)} real clips, {self.frames} frames"

    def state(self) -> dict[str, Tensor]:
        """As for FD."""
        return self.frechet.state()

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Replace the sums."""
        self.frechet.load(state)


def build(setting: Setting, expected: int) -> FVD:
    """For clips seen by I3D. Raises InputError otherwise."""
    space = need_clips(setting, "fvd")
    if not setting.extractor.name.startswith("i3d"):
        raise InputError(
            f"metric 'fvd' is a distance over I3D's logits, and the extractor is {setting.extractor.name}; give --extractor i3d with its weights, "
            "or take fd, which is the same distance over other features."
        )
    return FVD(setting.reference.moments, space.frames)


FAMILY = Family(name="fvd", outputs=FVD.outputs, build=build, usual=USUAL, unmeasured="no weights of I3D were at hand")
