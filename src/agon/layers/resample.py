"""Changing the grid: sizes of a pyramid, 2x resampling by repeating, averaging and filtering.

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


def stage_widths(widths: tuple[int, ...], stages: int, least: int = 16) -> list[int]:
    """Widths from the smallest grid up, `stages` of them: those listed, then each half of the one before, not below `least`."""
    chosen = list(widths)
    while len(chosen) < stages:
        chosen.append(max(min(least, chosen[-1]), chosen[-1] // 2))
    return chosen[:stages]


def nearest_grid(sizes: list[tuple[int, int]], side: int) -> int:
    """Index of the size whose shorter side is nearest, in ratio, to `side`."""
    return min(range(len(sizes)), key=lambda k: abs(math.log(min(sizes[k]) / side)))


def crop(x: Tensor, size: tuple[int, int]) -> Tensor:
    """The first `size` rows and columns of x [n, c, H, W]."""
    if x.shape[-2:] == size:
        return x
    return x[..., : size[0], : size[1]]


def _taps(channels: int, gain: float, like: Tensor) -> Tensor:
    # Counted out on the device: a list would be copied there at every call, and the host would wait for it.
    line = 2 - torch.arange(-1, 2, dtype=like.dtype, device=like.device).abs()  # 1, 2, 1
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


def even(x: Tensor) -> Tensor:
    """x [n, c, h, w] with a row or column of zeros joined below and to the right where the side is odd."""
    height, width = x.shape[-2:]
    return F.pad(x, (0, width % 2, 0, height % 2)) if height % 2 or width % 2 else x


def repeat_conv(x: Tensor, weight: Tensor, bias: Tensor | None, size: tuple[int, int]) -> Tensor:
    """Repeat pixels 2x2, convolve with a 3x3 `weight` [b, a, 3, 3], crop to `size`: [n, a, h, w] → [n, b, *size].

    Done as one transposed convolution of stride 2 whose 4x4 kernel is the 3x3 one summed over the pixels that are equal: the same
    numbers at 16 instead of 36 products a pixel of x.
    """
    ones = torch.ones(1, 1, 2, 2, dtype=weight.dtype, device=weight.device)
    kernel = F.conv_transpose2d(weight.flatten(0, 1)[:, None], ones).reshape(*weight.shape[:2], 4, 4)
    return crop(F.conv_transpose2d(x, kernel.flip((2, 3)).transpose(0, 1), bias, stride=2, padding=1), size)


def conv_mean(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve with a 3x3 `weight` [b, a, 3, 3] and average 2x2 blocks: [n, a, h, w] → [n, b, ⌈h/2⌉, ⌈w/2⌉].

    One convolution of stride 2 with a 4x4 kernel, the same numbers at 16 instead of 36 products a pixel of the result.
    """
    ones = torch.full((1, 1, 2, 2), 0.25, dtype=weight.dtype, device=weight.device)
    kernel = F.conv_transpose2d(weight.flatten(0, 1)[:, None], ones).reshape(*weight.shape[:2], 4, 4)
    return F.conv2d(even(x), kernel, bias, stride=2, padding=1)


def mean_down(x: Tensor) -> Tensor:
    """Average 2x2 blocks: [n, c, h, w] → [n, c, ⌈h/2⌉, ⌈w/2⌉]."""
    return F.avg_pool2d(even(x), 2)


def _long_taps(channels: int, gain: float, like: Tensor) -> Tensor:
    line = 4 - torch.arange(-3, 4, 2, dtype=like.dtype, device=like.device).abs()  # 1, 3, 3, 1
    return (torch.outer(line, line) * (gain / 64)).expand(channels, 1, 4, 4)


def fir(x: Tensor, *, pad: int, stride: int = 1, gain: float = 1.0) -> Tensor:
    """Filter each channel with [1, 3, 3, 1]/8 in each direction, times `gain` (Karras et al. 2019, arXiv:1812.04948, after Zhang 2019)."""
    return F.conv2d(x, _long_taps(x.shape[1], gain, x), stride=stride, padding=pad, groups=x.shape[1])


def smooth_up(x: Tensor, weight: Tensor | None = None) -> Tensor:
    """Insert zeros, convolve with an odd-sized `weight` [b, a, k, k] if given, filter with [1, 3, 3, 1]: h, w → 2h, 2w."""
    if weight is None:
        channels = x.shape[1]
        return F.conv_transpose2d(x, _long_taps(channels, 4.0, x), stride=2, padding=1, groups=channels)
    x = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
    return fir(x, pad=(3 - weight.shape[-1]) // 2 + 1, gain=4.0)


def to_depth(x: Tensor) -> Tensor:
    """Fold each 2x2 of pixels into channels: [n, c, h, w] → [n, 4c, ⌈h/2⌉, ⌈w/2⌉]; odd edges are repeated once."""
    height, width = x.shape[-2:]
    if height % 2 or width % 2:
        x = F.pad(x, (0, width % 2, 0, height % 2), mode="replicate")
    return F.pixel_unshuffle(x, 2)


def to_space(x: Tensor, size: tuple[int, int]) -> Tensor:
    """The way back: [n, 4c, h, w] → [n, c, 2h, 2w], cropped to `size`."""
    return crop(F.pixel_shuffle(x, 2), size)
