"""Nearest clip: are samples nearer to training clips than held-out clips are, in pixels?

    nearest_clip  median over samples of the root mean square difference, 0..255, to the nearest training clip
    clip_copies   share of samples nearer to theirs than all but 1 % of the held-out clips are to theirs, as `copies` of `memorisation`

Clips are first averaged down to at most 3,072 numbers, 8 of them in time. Without features and their blind spots: this finds copies frame by
frame, also slightly noisy or blurred ones, but not a copy that is shifted or mirrored; `memorisation` over features of clips is for those. Above
the floor there is no merit: noise is far from everything. Held-out clips of `moving-shapes` are of other paths, so `copies` is sharp there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from agon.metrics.clips import need_clips, samples_of
from agon.metrics.contract import Family, Features, Metric
from agon.metrics.jackknife import GROUPS, interval, wilson
from agon.metrics.memorisation import copied, nearest
from agon.metrics.rows import Rows
from agon.metrics.setting import Setting
from agon.spaces import Video

SAMPLES, TRAINING, NUMBERS, TIMES = 2_000, 20_000, 3_072, 8


def small(space: Video) -> tuple[Callable[[Tensor], Tensor], int]:
    """A function from clips uint8 [n, T, C, H, W] to float32 [n, d], d at most NUMBERS, and d; distances there are in units of 0..255."""
    times = min(TIMES, space.frames)
    side = math.sqrt(NUMBERS / (times * space.channels * space.height * space.width))
    height, width = (max(1, min(size, math.floor(size * side))) for size in (space.height, space.width))
    dim = times * space.channels * height * width

    def shrink(x: Tensor) -> Tensor:
        pooled = functional.adaptive_avg_pool3d(x.float().transpose(1, 2), (times, height, width))
        return pooled.flatten(1) / math.sqrt(dim)

    return shrink, dim


class NearestClip(Metric):
    """Both figures of a stream of `expected` clips; training [m, d], to_held [h]: distances of held-out clips (may be empty)."""

    outputs: ClassVar[tuple[str, ...]] = ("nearest_clip", "clip_copies")
    higher_is_better: ClassVar[Mapping[str, bool]] = {"nearest_clip": True, "clip_copies": False}

    def __init__(
        self, shrink: Callable[[Tensor], Tensor], training: Tensor, to_held: Tensor, expected: int, *, seed: int = 0,
        share: tuple[int, int] = (0, 1),
    ) -> None:  # fmt: skip
        self.shrink, self.training, self.to_held = shrink, training, to_held
        self.rows = Rows(1, expected, SAMPLES, seed=seed, share=share)
        self._known = 0

    def update(self, batch: Features) -> None:
        """Look each clip up."""
        self.rows.add(nearest(self.shrink(samples_of(batch)), self.training)[0][:, None])

    def compute(self) -> dict[str, float]:
        """Both; copies need ten held-out clips."""
        away = self.rows.values[:, 0]
        if not len(away):
            return dict.fromkeys(self.outputs, math.nan)
        copies, self._known = copied(away, self.to_held)
        return {"nearest_clip": float(away.median()), "clip_copies": copies}

    def intervals(self) -> dict[str, tuple[float, float]]:
        """The jackknife for the median (groups of clips), Wilson's for the share."""
        away = self.rows.values[:, 0]
        if len(away) < 2 * GROUPS:
            return {}
        group = torch.arange(len(away)) % GROUPS
        without = torch.stack([away[group != g].median() for g in range(GROUPS)])
        now = self.compute()
        return {
            "nearest_clip": interval(now["nearest_clip"], without, least=0.0), "clip_copies": wilson(now["clip_copies"], len(away))
        }  # fmt: skip

    def settings(self) -> str:
        """How many took part, in how many numbers."""
        known = f" ({self._known} of them training clips)" if self._known else ""
        return f"{len(self.rows.table)} clips, {len(self.to_held)} held-out{known} among {len(self.training)}, {self.training.shape[1]} numbers each"

    def state(self) -> dict[str, Tensor]:
        """The table of distances."""
        return self.rows.state()

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Replace the table."""
        self.rows.load(state)


def build(setting: Setting, expected: int) -> NearestClip:
    """Against the training split and the held-out one. Raises InputError for anything but clips."""
    shrink, dim = small(need_clips(setting, "nearest_clip"))
    training = setting.measured(f"small-1 {dim}", "train", shrink, TRAINING)
    to_held = setting.measured(f"nearest-1 {dim}", "held", lambda x: nearest(shrink(x), training)[0][:, None], SAMPLES)
    return NearestClip(shrink, training, to_held[:, 0].double(), expected, seed=setting.seed)


FAMILY = Family(
    name="nearest_clip",
    outputs=NearestClip.outputs,
    build=build,
    features=False,
    sight={"clips": {"nearest_clip": "ssbggbssbs", "clip_copies": "bbbbbbbbbs"}},
)
