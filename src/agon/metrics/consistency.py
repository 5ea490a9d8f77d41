"""Temporal consistency: is the next frame made of pieces of this one?

    1 - Σ min over shifts of |x_{t+1} - shifted x_t| / Σ |x_{t+1} - its mean|

Sums run over blocks of 8×8 pixels of the grey clip and over at most 8 pairs of frames, spread evenly; a block may come from up to 3 pixels aside,
in a picture averaged down to at most 48 pixels. That is motion compensation by block matching (Jain & Jain 1981), the warping error of the field
without a flow network. 1: all that is seen was there before; 0: nothing of it. A frozen clip scores 1 and a blurred one more than a sharp one: read
it beside motion_energy.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from agon.metrics.clips import PerClip, need_clips
from agon.metrics.contract import Family
from agon.metrics.setting import Setting

BLOCK, REACH, SIDE, PAIRS = 8, 3, 48, 8
_BETTER = {"temporal_consistency": True}
_CHUNK = 32


def consistency(x: Tensor) -> Tensor:
    """Of each clip: uint8 [n, T, C, H, W], T >= 2 -> float64 [n]. A clip without any contrast scores 1."""
    return torch.cat([_consistency(part) for part in x.split(_CHUNK)])


def _consistency(x: Tensor) -> Tensor:
    grey = x.float().mean(2)
    shrink = max(1, math.ceil(min(grey.shape[2:]) / SIDE))
    if shrink > 1:
        grey = functional.avg_pool2d(grey, shrink)
    at = torch.linspace(1, grey.shape[1] - 1, min(PAIRS, grey.shape[1] - 1)).round().long()
    now, then = grey[:, at], functional.pad(grey[:, at - 1], (REACH,) * 4, mode="replicate")
    height, width = now.shape[2:]
    best: Tensor | None = None
    for down in range(2 * REACH + 1):
        for across in range(2 * REACH + 1):
            apart = (now - then[:, :, down : down + height, across : across + width]).abs()
            blocks = functional.avg_pool2d(apart, BLOCK, ceil_mode=True, count_include_pad=False)
            best = blocks if best is None else torch.minimum(best, blocks)
    assert best is not None
    area = functional.avg_pool2d(torch.ones(1, 1, height, width), BLOCK, ceil_mode=True, count_include_pad=False, divisor_override=1)[0]
    left = (best * area).sum((1, 2, 3)).double()
    contrast = (now - now.mean((2, 3), keepdim=True)).abs().sum((1, 2, 3)).double()
    return torch.where(contrast > 0, 1 - left / contrast.clamp_min(1e-9), 1.0)


def build(setting: Setting, expected: int) -> PerClip:
    """For any clips. Raises InputError for anything else."""
    need_clips(setting, "temporal_consistency")
    return PerClip(
        lambda x: consistency(x)[:, None], _BETTER, by=f"blocks of {BLOCK}, reach {REACH}, side {SIDE} and {PAIRS} pairs at most"
    )


FAMILY = Family(
    name="consistency", outputs=tuple(_BETTER), build=build, features=False, sight={"clips": {"temporal_consistency": "ssbsbsbbbb"}}
)
