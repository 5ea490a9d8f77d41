"""Convolutions of the lean networks: strided 4x4 ones between grids, He's initial weights for a leaky ReLU of slope 0.2, no normalisation."""

from __future__ import annotations

import torch
from torch import nn

from agon.layers.init import scaled_normal_

SLOPE = 0.2


def conv(a: int, b: int, size: int, *, groups: int = 1, bias: bool = False, slope: float | None = None, scale: float = 1.0) -> nn.Conv2d:
    """A convolution that keeps the grid; `slope` of the leaky ReLU its input went through, None for a picture."""
    made = nn.Conv2d(a, b, size, padding=size // 2, groups=groups, bias=bias)
    scaled_normal_(made.weight, slope=slope, scale=scale)
    if made.bias is not None:
        nn.init.zeros_(made.bias)
    return made


def up(a: int, b: int) -> nn.ConvTranspose2d:
    """To twice the grid."""
    made = nn.ConvTranspose2d(a, b, 4, stride=2, padding=1, bias=False)
    made.bias = nn.Parameter(torch.zeros(b))
    scaled_normal_(made.weight, slope=SLOPE, fan_in=4 * a)  # stride 2, 4x4 taps: an output pixel gathers 2x2 inputs
    return made


def down(a: int, b: int, *, slope: float | None = SLOPE) -> nn.Conv2d:
    """To half the grid, whose sides must be even."""
    made = nn.Conv2d(a, b, 4, stride=2, padding=1, bias=False)
    made.bias = nn.Parameter(torch.zeros(b))
    scaled_normal_(made.weight, slope=slope)
    return made
