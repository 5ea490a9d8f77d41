"""Equalised layers and the modulated convolution of StyleGAN2, in plain operations.

Karras et al. 2018, arXiv:1710.10196, sec. 4.1 (equalised learning rate): weights start as N(0, 1) and are multiplied by 1/√fan_in at
every call, so that Adam moves every layer at the same relative speed; a learning-rate multiplier m divides the start by m and
multiplies the call by m.

Karras et al. 2020, arXiv:1912.04958, sec. 2.2 (modulation and demodulation): w'_oik = s_i·w_oik, w''_oik = w'_oik / √(Σ_ik w'²_oik + ε).
*Differs* in the order of the products only: the paper builds one kernel per sample and calls a grouped convolution. Because
Σ_ik s_i w_oik x_i = Σ_ik w_oik (s_i x_i), the style may scale the input, the shared kernel is applied once, and the output is
scaled by 1/√(Σ_i s_i² Σ_k w²_oik + ε). Equal to rounding, no grouped convolution, and what an ONNX runtime is fast at.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agon.layers.resample import even, fir, smooth_up


class EqualLinear(nn.Module):
    """x [n, a] → [n, b] with equalised learning rate; `start` fills the bias, `speed` is the learning-rate multiplier."""

    def __init__(self, a: int, b: int, *, start: float = 0.0, speed: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(b, a) / speed)
        self.bias = nn.Parameter(torch.full((b,), start / speed))
        self.scale, self.speed = speed / math.sqrt(a), speed

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.scale, self.bias * self.speed)


class EqualConv(nn.Module):
    """x [n, a, h, w] → [n, b, h', w'] with equalised learning rate; `down` filters with [1, 3, 3, 1] and keeps every second pixel."""

    def __init__(self, a: int, b: int, size: int, *, bias: bool = True, down: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(b, a, size, size))
        self.bias = nn.Parameter(torch.zeros(b)) if bias else None
        self.scale, self.down = 1 / math.sqrt(a * size * size), down

    def forward(self, x: Tensor) -> Tensor:
        size = self.weight.shape[-1]
        weight = self.weight * self.scale
        if not self.down:
            return F.conv2d(x, weight, self.bias, padding=size // 2)
        x = even(x)
        if size == 1:  # filtering and striding first leaves a quarter of the pixels to convolve
            return F.conv2d(fir(x, pad=1, stride=2), weight, self.bias)
        return F.conv2d(fir(x, pad=2), weight, self.bias, stride=2)


class ModulatedConv(nn.Module):
    """x [n, a, h, w] and styles s [n, a] → [n, b, h, w], or [n, b, 2h, 2w] with `up`; see the module's text."""

    def __init__(self, a: int, b: int, size: int, *, up: bool = False, demodulate: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(b, a, size, size))
        self.scale, self.up, self.demodulate = 1 / math.sqrt(a * size * size), up, demodulate

    def forward(self, x: Tensor, s: Tensor) -> Tensor:
        weight = self.weight * self.scale
        x = x * s[:, :, None, None]
        if self.up:
            x = smooth_up(x, weight)
        else:
            x = F.conv2d(x, weight, padding=weight.shape[-1] // 2)
        if not self.demodulate:
            return x
        energy = F.linear(s.square(), weight.square().sum((2, 3)))
        return x * (energy + 1e-8).rsqrt()[:, :, None, None]
