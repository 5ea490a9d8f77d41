"""Velocity networks for flow matching: a small U-Net for pictures, a perceptron for points.

`velocity(space)` → module: x [n, *space.shape], t [n] in [0, 1], y, keep → [n, *space.shape]. `keep` [n] of 0 and 1 blanks the label of
some samples (classifier-free guidance); the blank label is the zero vector. Samples never mix, so halves of a batch equal the whole.

U-Net: Ronneberger et al. 2015, arXiv:1505.04597, in the residual form of Ho et al. 2020, arXiv:2006.11239; time and label scale and shift
each block's normalised activations (Dhariwal & Nichol 2021, arXiv:2105.05233, sec. 3.1). Made for processors: 2x2 pixels are folded into
channels, so no convolution runs on the full grid, and there is no attention.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agon.layers.critic import image_shape
from agon.layers.init import scaled_normal_
from agon.layers.labels import embedding
from agon.layers.resample import halvings, nearest_up, pyramid, to_depth, to_space
from agon.spaces import Space

_FREQUENCIES = 32


@dataclass(frozen=True, kw_only=True)
class UNet:
    """Residual U-Net from the half-size grid down."""

    widths: tuple[int, ...] = (32, 64, 128)  # from the half-size grid down; the last repeats
    blocks: int = 1  # residual blocks a grid, on the way down and again on the way up
    embed_dim: int = 128  # size of the time and label embedding
    kind: Literal["unet"] = "unet"

    def velocity(self, space: Space) -> nn.Module:
        return _UNet(self, space)

    def stage_widths(self, stages: int) -> list[int]:
        """Widths from the half-size grid to the smallest."""
        return [self.widths[min(index, len(self.widths) - 1)] for index in range(stages)]


@dataclass(frozen=True, kw_only=True)
class FlatVelocity:
    """A residual perceptron, for points."""

    width: int = 128
    blocks: int = 3
    kind: Literal["flat-velocity"] = "flat-velocity"
    any_shape: ClassVar[bool] = True  # pictures, points, whatever can be flattened

    def velocity(self, space: Space) -> nn.Module:
        return _Flat(self, space)


def waves(t: Tensor, highest: float = 100.0) -> Tensor:
    """t [n] in [0, 1] → sines and cosines [n, 64] at angular frequencies from 1 to `highest`."""
    rates = torch.exp(torch.linspace(0, math.log(highest), _FREQUENCIES, device=t.device))
    angles = t[:, None].float() * rates
    return torch.cat([angles.sin(), angles.cos()], 1)


class Condition(nn.Module):
    """Time t [n] and label y → one vector [n, dim] for all blocks."""

    def __init__(self, dim: int, space: Space) -> None:
        super().__init__()
        self.time = nn.Linear(2 * _FREQUENCIES, dim)
        self.label = embedding(space, dim)
        self.mix = nn.Linear(dim if self.label is None else 2 * dim, dim)

    def forward(self, t: Tensor, y: Tensor | None, keep: Tensor | None) -> Tensor:
        h = self.time(waves(t))
        if self.label is not None:
            label = self.label(y)
            h = torch.cat([h, label if keep is None else label * keep[:, None]], 1)
        return F.silu(self.mix(F.silu(h)))


def _conv(a: int, b: int, size: int = 3, *, stride: int = 1, scale: float = 1.0) -> nn.Conv2d:
    conv = nn.Conv2d(a, b, size, stride=stride, padding=size // 2)
    scaled_normal_(conv.weight, scale=scale)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv


def _norm(width: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(width, 8), width)


class _Block(nn.Module):
    """skip(h) + W2·silu(norm(W1·silu(norm h))·(1 + s) + b), with s and b from the condition; the branch starts at zero."""

    def __init__(self, a: int, b: int, dim: int) -> None:
        super().__init__()
        self.first_norm, self.first = _norm(a), _conv(a, b)
        self.second_norm, self.second = _norm(b), _conv(b, b, scale=0.0)
        self.shift = nn.Linear(dim, 2 * b)
        scaled_normal_(self.shift.weight, scale=0.1)
        nn.init.zeros_(self.shift.bias)
        self.skip = _conv(a, b, 1) if a != b else nn.Identity()

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        h = self.second_norm(self.first(F.silu(self.first_norm(x))))
        s, b = self.shift(c)[:, :, None, None].chunk(2, 1)
        return self.skip(x) + self.second(F.silu(torch.addcmul(b, h, 1 + s)))


class _UNet(nn.Module):
    def __init__(self, net: UNet, space: Space) -> None:
        super().__init__()
        channels, height, width = image_shape(space)
        self.sizes = pyramid(height, width, max(1, halvings(height, width)))[::-1]  # the full grid first
        widths = net.stage_widths(len(self.sizes) - 1)
        self.condition = Condition(net.embed_dim, space)
        self.into = _conv(4 * channels, widths[0])
        self.down, self.up, self.shrink = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for index, w in enumerate(widths):
            below = widths[min(index + 1, len(widths) - 1)]
            self.down.append(nn.ModuleList(_Block(w, w, net.embed_dim) for _ in range(net.blocks)))
            sums = [w + (below if index + 1 < len(widths) else w), *[w] * (net.blocks - 1)]
            self.up.append(nn.ModuleList(_Block(a, w, net.embed_dim) for a in sums))
        self.shrink.extend(_conv(a, b, stride=2) for a, b in itertools.pairwise(widths))
        self.middle = _Block(widths[-1], widths[-1], net.embed_dim)
        self.out_norm, self.out = _norm(widths[0]), _conv(widths[0], 4 * channels, scale=0.0)

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None, keep: Tensor | None = None) -> Tensor:
        c = self.condition(t, y, keep)
        h = self.into(to_depth(x))
        skips = []
        for index, blocks in enumerate(self.down):
            for block in blocks:  # type: ignore[attr-defined]
                h = block(h, c)
            skips.append(h)
            if index < len(self.shrink):
                h = self.shrink[index](h)
        h = self.middle(h, c)
        for index in range(len(skips) - 1, -1, -1):
            h = torch.cat([nearest_up(h, self.sizes[index + 1]) if index + 1 < len(skips) else h, skips[index]], 1)
            for block in self.up[index]:  # type: ignore[attr-defined]
                h = block(h, c)
        return to_space(self.out(F.silu(self.out_norm(h))), self.sizes[0])


class _Flat(nn.Module):
    def __init__(self, net: FlatVelocity, space: Space) -> None:
        super().__init__()
        self.shape, size = tuple(space.shape), math.prod(space.shape)
        self.condition = Condition(net.width, space)
        self.into = nn.Linear(size, net.width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(2 * net.width, net.width), nn.SiLU(), nn.Linear(net.width, net.width), nn.SiLU())
            for _ in range(net.blocks)
        )
        self.out = nn.Linear(net.width, size)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None, keep: Tensor | None = None) -> Tensor:
        c, h = self.condition(t, y, keep), self.into(x.flatten(1))
        for block in self.blocks:
            h = h + block(torch.cat([h, c], 1))
        return self.out(h).reshape(-1, *self.shape)
