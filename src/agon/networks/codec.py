"""Encoder, decoder and feature critic of one shape, for the games that compress: autoencoder, VAE, VAE-GAN.

`encoder(out_dim, space)`: x [n, *space.shape], y → [n, out_dim]. `decoder(z_dim, space)`: z [n, z_dim], y → [n, *space.shape].
`critic(space)`: x, y → logits [n], and `critic.features(x)` [n, d], the activations in which VAE-GAN measures its reconstructions.
A network with an encoder is no GAN network, so it has a `decoder` where those have a `generator`.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from agon.layers.critic import image_shape
from agon.layers.init import scaled_normal_
from agon.layers.labels import CriticHead, JoinLabel
from agon.layers.resample import crop, halvings, pyramid, to_depth, to_space
from agon.spaces import Space

_SLOPE = 0.2


@dataclass(frozen=True, kw_only=True)
class Codec:
    """Convolutions for pictures, lean as `R3Lean` is: 2x2 pixels folded into channels, strided 4x4 convolutions, no normalisation.

    The decoder ends in tanh. `features` is the map before the smallest one: deep enough to forgive a shift, large enough to see strokes.
    """

    widths: tuple[int, ...] = (128, 64, 32)  # from the smallest grid up to the half-size grid; then halved each time, down to 16
    label_dim: int = 32  # size of the label embedding joined to codes and features
    kind: Literal["codec"] = "codec"

    def encoder(self, out_dim: int, space: Space) -> nn.Module:
        return _Encoder(_Trunk(self, space), out_dim, self.label_dim, space)

    def decoder(self, z_dim: int, space: Space) -> nn.Module:
        return _Decoder(self, z_dim, space)

    def critic(self, space: Space) -> nn.Module:
        return _Critic(_Trunk(self, space), space)

    def stage_widths(self, stages: int) -> list[int]:
        """Widths from the smallest grid to the half-size one."""
        widths = list(self.widths)
        while len(widths) < stages:
            widths.append(max(16, widths[-1] // 2))
        return widths[:stages]


@dataclass(frozen=True, kw_only=True)
class FlatCodec:
    """Perceptrons for points, and for anything small enough to be flattened."""

    width: int = 128  # units of each hidden layer
    depth: int = 3  # hidden layers
    label_dim: int = 16  # size of the label embedding joined to codes and features
    kind: Literal["flat-codec"] = "flat-codec"
    any_shape: ClassVar[bool] = True  # pictures, points, whatever can be flattened

    def encoder(self, out_dim: int, space: Space) -> nn.Module:
        return _Encoder(_FlatTrunk(self, space), out_dim, self.label_dim, space)

    def decoder(self, z_dim: int, space: Space) -> nn.Module:
        return _FlatDecoder(self, z_dim, space)

    def critic(self, space: Space) -> nn.Module:
        return _Critic(_FlatTrunk(self, space), space)


def _linear(a: int, b: int, *, slope: float | None = _SLOPE, scale: float = 1.0) -> nn.Linear:
    linear = nn.Linear(a, b)
    scaled_normal_(linear.weight, slope=slope, scale=scale)
    nn.init.zeros_(linear.bias)
    return linear


def _conv(a: int, b: int, size: int, *, stride: int = 1, slope: float | None = _SLOPE) -> nn.Conv2d:
    conv = nn.Conv2d(a, b, size, stride=stride, padding=1)
    scaled_normal_(conv.weight, slope=slope)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv


def _up(a: int, b: int) -> nn.ConvTranspose2d:
    conv = nn.ConvTranspose2d(a, b, 4, stride=2, padding=1)
    scaled_normal_(conv.weight, slope=_SLOPE, fan_in=4 * a)  # stride 2, 4x4 taps: an output pixel gathers 2x2 inputs
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv


class _Trunk(nn.Module):
    """x [n, c, H, W] → activations [n, width], and the map before the last on the way."""

    def __init__(self, net: Codec, space: Space) -> None:
        super().__init__()
        channels, height, width = image_shape(space)
        sizes = pyramid(height, width, max(1, halvings(height, width)))
        widths = net.stage_widths(len(sizes) - 1)[::-1]
        self.into = _conv(4 * channels, widths[0], 3, slope=None)
        self.downs = nn.ModuleList(_conv(a, b, 4, stride=2) for a, b in itertools.pairwise(widths))
        self.width = widths[-1] * sizes[0][0] * sizes[0][1]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = middle = F.leaky_relu(self.into(to_depth(x)), _SLOPE)
        for down in self.downs:
            middle = h
            if h.shape[-1] % 2 or h.shape[-2] % 2:
                h = F.pad(h, (0, h.shape[-1] % 2, 0, h.shape[-2] % 2))
            h = F.leaky_relu(down(h), _SLOPE)
        return h.flatten(1), middle.flatten(1)


class _FlatTrunk(nn.Module):
    """x [n, …] → activations [n, width], twice: a perceptron's last layer is its feature space."""

    def __init__(self, net: FlatCodec, space: Space) -> None:
        super().__init__()
        self.width = net.width
        self.body = _hidden(math.prod(space.shape), net.width, net.depth)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.body(x.flatten(1))
        return h, h


def _hidden(features: int, width: int, depth: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for index in range(depth):
        linear = _linear(features, width, slope=_SLOPE if index else None)
        # Not zero: without offsets every fold of the first layer runs through the origin.
        nn.init.uniform_(linear.bias, -(features**-0.5), features**-0.5)
        layers += [linear, nn.LeakyReLU(_SLOPE)]
        features = width
    return nn.Sequential(*layers)


class _Encoder(nn.Module):
    def __init__(self, trunk: _Trunk | _FlatTrunk, out_dim: int, label_dim: int, space: Space) -> None:
        super().__init__()
        self.trunk = trunk
        self.join = JoinLabel(space, label_dim)
        self.out = _linear(trunk.width + self.join.extra, out_dim, slope=None)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.out(self.join(self.trunk(x)[0], y))


class _Critic(nn.Module):
    def __init__(self, trunk: _Trunk | _FlatTrunk, space: Space) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = CriticHead(trunk.width, space, bias=True)

    def features(self, x: Tensor) -> Tensor:
        """Activations [n, d] of a middle layer."""
        return self.trunk(x)[1]

    def pair(self, x: Tensor, again: Tensor) -> tuple[Tensor, Tensor]:
        """`features` of pictures and of their reconstructions, from one call, so that augmentation changes both alike."""
        return self.features(x), self.features(again)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.head(self.trunk(x)[0], y)


class _Decoder(nn.Module):
    def __init__(self, net: Codec, z_dim: int, space: Space) -> None:
        super().__init__()
        channels, height, width = image_shape(space)
        self.sizes = pyramid(height, width, max(1, halvings(height, width)))
        widths = net.stage_widths(len(self.sizes) - 1)
        self.join = JoinLabel(space, net.label_dim)
        self.base = (widths[0], *self.sizes[0])
        self.project = _linear(z_dim + self.join.extra, math.prod(self.base), slope=None)
        self.ups = nn.ModuleList(_up(a, b) for a, b in itertools.pairwise(widths))
        self.out = _conv(widths[-1], 4 * channels, 3)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.project(self.join(z, y)).reshape(-1, *self.base)
        for up, size in zip(self.ups, self.sizes[1:-1], strict=True):
            h = crop(up(F.leaky_relu(h, _SLOPE)), size)
        return to_space(self.out(F.leaky_relu(h, _SLOPE)), self.sizes[-1]).tanh()


class _FlatDecoder(nn.Module):
    def __init__(self, net: FlatCodec, z_dim: int, space: Space) -> None:
        super().__init__()
        self.shape = tuple(space.shape)
        self.join = JoinLabel(space, net.label_dim)
        self.body = _hidden(z_dim + self.join.extra, net.width, net.depth)
        self.out = _linear(net.width, math.prod(self.shape))

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return self.out(self.body(self.join(z, y))).reshape(-1, *self.shape)
