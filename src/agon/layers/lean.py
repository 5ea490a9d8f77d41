"""Convolutions of the lean networks: strided 4x4 ones between grids, He's initial weights for a leaky ReLU of slope 0.2, no normalisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agon.layers.init import scaled_normal_
from agon.layers.resample import repeat_conv, to_space

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


class Phases(nn.Module):
    """The last layer of a decoder: to twice the grid by a 3x3 kernel for each phase of a pixel's 2x2, or by one for all four (`shared`).

    Own kernels can draw a checkerboard of period 2, and training does on large grids, however smooth the start (Odena et al. 2016,
    doi:10.23915/distill.00003); one kernel cannot, and has a quarter of the weights. `docs/log.md` has the comparison.
    """

    def __init__(self, a: int, b: int, *, shared: bool = False) -> None:
        super().__init__()
        self.shared = shared
        made = conv(a, b if shared else 4 * b, 3, bias=True, slope=SLOPE)
        assert made.bias is not None
        self.weight, self.bias = made.weight, made.bias

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """x [n, a, h, w], after a leaky ReLU → [n, b, *size]."""
        if self.shared:
            return repeat_conv(x, self.weight, self.bias, size)
        return to_space(F.conv2d(x, self.weight, self.bias, padding=1), size)
