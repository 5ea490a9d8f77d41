"""Changing the grid: sizes of a pyramid, and 2x resampling with the [1, 2, 1] filter.

Sizes shrink by ceil-halving (33 → 17 → 9 → 5) and grow by doubling and cropping to the recorded size, so any height and
width is legal: nothing has to be square or a power of two.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def halvings(height: int, width: int, smallest: int = 4) -> int:
    """How often a picture is halved so that its shorter side ends nearest (in ratio) to `smallest`; 0 for tiny ones."""
    return max(0, round(math.log2(min(height, width) / smallest)))


def pyramid(height: int, width: int, levels: int) -> list[tuple[int, int]]:
    """The sizes from small to large, `levels` + 1 of them, the last being (height, width)."""
    sizes = [(height, width)]
    for _ in range(levels):
        height, width = -(-height // 2), -(-width // 2)
        sizes.append((height, width))
    return sizes[::-1]


def crop(x: Tensor, size: tuple[int, int]) -> Tensor:
    """The first `size` rows and columns of x [n, c, H, W]."""
    if x.shape[-2:] == size:
        return x
    return x[..., : size[0], : size[1]]


def _taps(channels: int, gain: float, like: Tensor) -> Tensor:
    line = torch.tensor([1.0, 2.0, 1.0], dtype=like.dtype, device=like.device)
    return (torch.outer(line, line) * (gain / 16)).expand(channels, 1, 3, 3)


def blur_down(x: Tensor) -> Tensor:
    """Filter with [1, 2, 1]/4 in each direction and keep every second pixel: [n, c, h, w] → [n, c, ⌈h/2⌉, ⌈w/2⌉]."""
    channels = x.shape[1]
    return F.conv2d(x, _taps(channels, 1.0, x), stride=2, padding=1, groups=channels)


def blur_up(x: Tensor) -> Tensor:
    """Insert zeros and filter with [1, 2, 1]/2 in each direction, i.e. linear interpolation: h, w → 2h, 2w."""
    channels = x.shape[1]
    return F.conv_transpose2d(x, _taps(channels, 4.0, x), stride=2, padding=1, output_padding=1, groups=channels)


def nearest_up(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Repeat each pixel 2x2 and crop to `size`."""
    return crop(F.interpolate(x, scale_factor=2, mode="nearest"), size)


def to_depth(x: Tensor) -> Tensor:
    """Fold each 2x2 of pixels into channels: [n, c, h, w] → [n, 4c, ⌈h/2⌉, ⌈w/2⌉]; odd edges are repeated once."""
    height, width = x.shape[-2:]
    if height % 2 or width % 2:
        x = F.pad(x, (0, width % 2, 0, height % 2), mode="replicate")
    return F.pixel_unshuffle(x, 2)


def to_space(x: Tensor, size: tuple[int, int]) -> Tensor:
    """The way back: [n, 4c, h, w] → [n, c, 2h, 2w], cropped to `size`."""
    return crop(F.pixel_shuffle(x, 2), size)
