"""How much clips move, and how evenly, in pixels as they are seen (0..1).

    motion_energy  mean |x_{t+1} - x_t| over pixels, channels and frames
    motion_gap     first Wasserstein distance between the motion energies of samples and those of training clips: the mean may be right while
                   half of the clips stand still and half flicker
    flicker        mean |x_{t+1} - 2 x_t + x_{t-1}|, the second difference: what goes to and fro counts four times as much as what goes on

None needs a network. All three have no best value but that of real clips, which stands beside them as the floor: a frozen clip has energy and
flicker 0, noise has much of both. Second differences after Chu et al. 2020 (TecoGAN, arXiv:1811.09393, §4), who measure them along the flow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from agon.errors import InputError
from agon.metrics.clips import need_clips, samples_of
from agon.metrics.contract import Family, Features, Metric
from agon.metrics.jackknife import GROUPS, interval
from agon.metrics.rows import Rows
from agon.metrics.setting import Setting

LIMIT = 10_000  # samples, and training clips, that are looked at
_LEVELS = 200  # quantiles that are compared


def energies(x: Tensor) -> Tensor:
    """Motion energy and flicker of each clip: uint8 [n, T, C, H, W], T >= 3 -> float64 [n, 2]."""
    return torch.stack([_energy(clip) for clip in x]).double()


def _energy(clip: Tensor) -> Tensor:
    step = (clip.float() / 255).diff(dim=0)
    return torch.stack([step.abs().mean(), step.diff(dim=0).abs().mean()])


def wasserstein(a: Tensor, b: Tensor) -> float:
    """First Wasserstein distance of two sets of numbers [n], [m], by their quantiles."""
    levels = (torch.arange(_LEVELS, dtype=torch.float64) + 0.5) / _LEVELS
    return float((a.double().quantile(levels) - b.double().quantile(levels)).abs().mean())


class Motion(Metric):
    """The three figures of a stream of `expected` clips against energies of training clips [m]."""

    outputs: ClassVar[tuple[str, ...]] = ("motion_energy", "motion_gap", "flicker")
    higher_is_better: ClassVar[Mapping[str, bool]] = {"motion_energy": True, "motion_gap": False, "flicker": False}

    def __init__(self, real: Tensor, expected: int, *, seed: int = 0, share: tuple[int, int] = (0, 1)) -> None:
        self.real = real.double()
        self.rows = Rows(2, expected, LIMIT, seed=seed, share=share)

    def update(self, batch: Features) -> None:
        """Measure and keep."""
        self.rows.add(energies(samples_of(batch)))

    def _of(self, rows: Tensor) -> list[float]:
        return [float(rows[:, 0].mean()), wasserstein(rows[:, 0], self.real), float(rows[:, 1].mean())]

    def compute(self) -> dict[str, float]:
        """All three; not-a-number of no clips."""
        rows = self.rows.values
        values = self._of(rows) if len(rows) else [float("nan")] * 3
        return dict(zip(self.outputs, values, strict=True))

    def intervals(self) -> dict[str, tuple[float, float]]:
        """By the jackknife over groups of clips."""
        rows = self.rows.values
        if len(rows) < 2 * GROUPS:
            return {}
        group = torch.arange(len(rows)) % GROUPS
        without = torch.tensor([self._of(rows[group != g]) for g in range(GROUPS)], dtype=torch.float64)
        return {name: interval(self.compute()[name], without[:, k], least=0.0) for k, name in enumerate(self.outputs)}

    def settings(self) -> str:
        """How many took part."""
        return f"{len(self.rows.table)} clips, gap to {len(self.real)}"

    def state(self) -> dict[str, Tensor]:
        """The table of rows."""
        return self.rows.state()

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Replace the table."""
        self.rows.load(state)


def build(setting: Setting, expected: int) -> Motion:
    """Against the training split. Raises InputError for anything but clips of three frames or more."""
    space = need_clips(setting, "motion_energy")
    if space.frames < 3:
        raise InputError(
            f"metric 'flicker' needs second differences, and clips of {space.frames} frames have none; use --frames 3 or more."
        )
    return Motion(setting.measured("motion-1", "train", energies, LIMIT)[:, 0], expected, seed=setting.seed)


FAMILY = Family(
    name="motion",
    outputs=Motion.outputs,
    build=build,
    features=False,
    sight={"clips": {"motion_energy": "ssbsgsssbb", "motion_gap": "ssbsgsssgb", "flicker": "ssbsssssbb"}},
)
