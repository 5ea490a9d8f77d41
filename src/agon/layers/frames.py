"""Frames of clips: choosing, folding into the batch and into channels, and telling a critic how far apart they are."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from agon.layers.init import scaled_normal_


def fold(x: Tensor) -> Tensor:
    """Clips [n, k, c, h, w] as pictures [n·k, c, h, w], channels last."""
    return x.flatten(0, 1).contiguous(memory_format=torch.channels_last)


def unfold(x: Tensor, count: int) -> Tensor:
    """Pictures [n·k, ...] as clips of `count` = k frames [n, k, ...]."""
    return x.unflatten(0, (-1, count))


def choose(x: Tensor, at: Tensor | None) -> Tensor:
    """The entries of x [n, T, ...] at positions [n, k] → [n, k, ...]; None: all of them.

    Whole numbers choose; floats lie between two entries and mix them in proportion. Positions are clamped to [0, T − 1].
    """
    if at is None:
        return x
    rows = torch.arange(x.shape[0], device=x.device)[:, None]
    last = x.shape[1] - 1
    if not at.is_floating_point():
        return x[rows, at.clamp(0, last)]
    place = at.clamp(0, last)
    low = place.floor()
    share = (place - low).reshape(*place.shape, *[1] * (x.dim() - 2)).to(x.dtype)
    return torch.lerp(x[rows, low.long()], x[rows, (low.long() + 1).clamp_max(last)], share)


def begin_with(x: Tensor, first: Tensor | None, at: Tensor | None = None) -> Tensor:
    """Clips x [n, k, c, h, w] with their frame 0 replaced by `first` [n, c, h, w]; `at` [n, k] says which frames they are (None: 0, 1, …)."""
    if first is None:
        return x
    if at is None:
        return torch.cat([first[:, None].to(x.dtype), x[:, 1:]], 1)
    return torch.where((at == 0)[:, :, None, None, None], first[:, None].to(x.dtype), x)


def pair(x: Tensor) -> Tensor:
    """Neighbouring frames joined as channels: [n, T, c, h, w] → [n, ⌈T/2⌉, 2c, h, w]; an odd last one is joined to itself.

    A 2-D convolution behind it is a convolution over time of size and stride 2.
    """
    if x.shape[1] % 2:
        x = torch.cat([x, x[:, -1:]], 1)
    return x.unflatten(1, (-1, 2)).flatten(2, 3)


def gaps_of(at: Tensor | None) -> Tensor | None:
    """Positions [n, k] → distances in time between neighbours, float [n, k − 1]."""
    return None if at is None else at.diff(dim=1).float()


class Gaps(nn.Module):
    """Distances in time [n, k − 1] → a vector [n, dim], for a projection (Skorokhodov et al. 2022, arXiv:2112.14683).

    Each distance as sines and cosines of octaves up to the clip's length, mapped linearly. None means neighbouring frames.
    """

    def __init__(self, count: int, frames: int, dim: int) -> None:
        super().__init__()
        self.count, self.frames = count, frames
        self.octaves = max(1, math.ceil(math.log2(max(2, frames))))
        self.map = nn.Linear(2 * self.octaves * max(1, count), dim)
        scaled_normal_(self.map.weight, scale=dim**-0.5)
        nn.init.zeros_(self.map.bias)

    def forward(self, gaps: Tensor | None, like: Tensor) -> Tensor:
        if self.count == 0:  # one frame alone
            return self.map.bias.to(like.dtype).expand(like.shape[0], -1)
        if gaps is None:
            gaps = torch.ones(like.shape[0], self.count, device=like.device)
        powers = 2 ** torch.arange(self.octaves, device=like.device, dtype=torch.float32)
        phase = gaps.float()[:, :, None] * powers * (math.pi / self.frames)
        return self.map(torch.cat([phase.sin(), phase.cos()], 2).flatten(1).to(like.dtype))
