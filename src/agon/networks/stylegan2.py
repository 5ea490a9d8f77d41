"""StyleGAN2: a mapping network, modulated convolutions, and pictures added up over the grids.

Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", arXiv:1912.04958; mapping, noise and style mixing from Karras
et al. 2019, arXiv:1812.04948; classes and the small mapping network from Karras et al. 2020, arXiv:2006.06676.

  1812.04948 fig. 1  w = f(z / rms z), a perceptron with learning-rate multiplier 0.01          -> Generator.mapping
  sec. 2.2           modulated and demodulated convolution, without a kernel per sample          -> layers.modulated.ModulatedConv
  fig. 2             noise added to each map by a learned strength, leaky ReLU 0.2 times √2      -> _Layer
  fig. 7c, left      G: each grid adds its picture to the enlarged one below it                  -> Generator.synthesis
  fig. 7c, right     D: residual blocks divided by √2, deviation over the batch, linear          -> _Body
  1812.04948 3.1     style mixing: `synthesis` takes one w per layer, [n, num_layers, w_dim]

Path length regularisation and R1 are penalties of the game. `StyleGAN2.paper()` is configuration F: 30.37 M and 29.01 M parameters at 1024x1024.

*Differs*: a network sees z and y alone and draws nothing, so that halves of a batch equal the whole and a sample is a function of its
latent. Noise is therefore "none" (the default: small pictures have no stochastic detail), "fixed", one picture of noise per layer,
which the published networks use for projection, or "drawn", for which the game draws fresh noise in training and hands it in
(`synthesis(w, noise=...)`, shapes in `noise_shapes`), as published; samples then keep the fixed pictures. The deviation over the batch is
off by default, because it couples the samples, and is the paper's with `batch_std=4`. Lean widths and a tanh at the end by
default (`bounded`); any height and width; nothing is clamped.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agon.errors import InputError
from agon.layers.critic import Critic, image_shape
from agon.layers.labels import Head, embedding
from agon.layers.modulated import EqualConv, EqualLinear, ModulatedConv
from agon.layers.norms import MinibatchStd, pixel_norm
from agon.layers.resample import crop, even, halvings, pyramid, smooth_up
from agon.spaces import Space


def _act(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2) * math.sqrt(2)


@dataclass(frozen=True, kw_only=True)
class StyleGAN2:
    """Style-based generator and residual critic; see the module's text."""

    base: int = 512  # channels of a grid are base divided by its shorter side, at most `most`
    most: int = 64
    w_dim: int = 64  # dimension of the intermediate latent
    mapping_layers: int = 2  # depth of the mapping network; the paper's 8 needs longer runs
    mapping_speed: float = 0.01  # its learning-rate multiplier
    noise: Literal["none", "fixed", "drawn"] = "none"  # drawn: fresh for every picture in training, fixed in samples
    bounded: bool = True  # end in tanh; the paper's pictures are unbounded, which leaves a grey veil in short runs
    batch_std: int = 0  # group over which the critic sees the deviation; 0: off, so that penalties on single samples are defined
    kind: Literal["stylegan2"] = "stylegan2"
    styled: ClassVar[bool] = True  # the generator has a mapping network
    unbindable: ClassVar[str] = "scales its maps once more, for an equalised learning rate"  # why no spectral normalisation

    @classmethod
    def paper(cls) -> StyleGAN2:
        """Configuration F; play it with a latent of 512."""
        return cls(base=32768, most=512, w_dim=512, mapping_layers=8, noise="drawn", bounded=False, batch_std=4)

    def width(self, size: tuple[int, int]) -> int:
        """Channels of a grid."""
        return max(8, min(self.most, self.base // max(1, min(size))))

    def generator(self, z_dim: int, space: Space) -> Generator:
        return Generator(self, z_dim, space)

    def critic(self, space: Space, head: Head = "projection") -> nn.Module:
        def body(channels: int, height: int, width: int) -> nn.Module:
            return _Body(self, channels, height, width)

        return Critic(body, space, head, equalised=True)

    @property
    def couples_samples(self) -> bool:
        """The deviation over the batch makes a logit depend on the other samples."""
        return self.batch_std > 0


class Generator(nn.Module):
    """`forward(z, y)` is `synthesis(mapping(z, y))`."""

    def __init__(self, net: StyleGAN2, z_dim: int, space: Space) -> None:
        super().__init__()
        channels, height, width = image_shape(space)
        self.sizes = pyramid(height, width, halvings(height, width))
        widths = [net.width(size) for size in self.sizes]
        self.w_dim, self.bounded, self.draws_noise = net.w_dim, net.bounded, net.noise == "drawn"
        self.label = embedding(space, net.w_dim)
        dims = [z_dim + (0 if self.label is None else net.w_dim), *[net.w_dim] * net.mapping_layers]
        self.layers = nn.ModuleList(EqualLinear(a, b, speed=net.mapping_speed) for a, b in itertools.pairwise(dims))
        self.start = nn.Parameter(torch.randn(widths[0], *self.sizes[0]))
        self.first = _Layer(net, widths[0], widths[0], self.sizes[0])
        self.ups = nn.ModuleList(
            _Layer(net, a, b, size, up=True) for (a, b), size in zip(itertools.pairwise(widths), self.sizes[1:], strict=True)
        )
        self.keeps = nn.ModuleList(_Layer(net, b, b, size) for b, size in zip(widths[1:], self.sizes[1:], strict=True))
        self.pictures = nn.ModuleList(_Picture(net, b, channels) for b in widths)

    @property
    def num_layers(self) -> int:
        """How many styles a picture takes, one for each convolution of features and one for the last picture."""
        return 2 * len(self.sizes)

    @property
    def noise_shapes(self) -> list[tuple[int, int, int]]:
        """Shapes [1, h, w] of the noise of each convolution, for `synthesis`."""
        return [(1, *layer.size) for layer in self._convolutions()]

    def _convolutions(self) -> list[_Layer]:
        return [self.first, *(layer for pair in zip(self.ups, self.keeps, strict=True) for layer in pair)]  # type: ignore[list-item]

    def mapping(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """z [n, z_dim] and conditions → w [n, w_dim]."""
        w = pixel_norm(z)
        if self.label is not None:
            w = torch.cat([w, pixel_norm(self.label(y).to(z.dtype))], 1)
        for layer in self.layers:
            w = _act(layer(w))
        return w

    def synthesis(self, w: Tensor, noise: Sequence[Tensor] | None = None, *, start: Tensor | None = None) -> Tensor:
        """w [n, w_dim], or one per layer [n, num_layers, w_dim], → pictures [n, c, h, w].

        noise: for each convolution a tensor [n or 1, 1, h, w] (see `noise_shapes`) in place of the fixed one. start: an input [n, c, h, w] of
        each sample's own in place of the constant one.
        """
        if w.dim() == 2:
            w = w[:, None].expand(-1, self.num_layers, -1)
        if w.dim() != 3 or w.shape[1] != self.num_layers:
            raise InputError(f"synthesis takes w [n, {self.w_dim}] or [n, {self.num_layers}, {self.w_dim}], got {tuple(w.shape)}.")
        if noise is not None and not self.first.fixed:
            raise InputError("synthesis was handed noise, but this network was built without; build it with noise='drawn' or 'fixed'.")
        if noise is not None and len(noise) != len(self.noise_shapes):
            raise InputError(f"synthesis takes {len(self.noise_shapes)} pictures of noise, got {len(noise)}.")
        given: Sequence[Tensor | None] = [None] * len(self.noise_shapes) if noise is None else noise
        h = self.first(self.start.expand(w.shape[0], -1, -1, -1) if start is None else start, w[:, 0], given[0])
        x = self.pictures[0](h, w[:, 1])
        for level, (up, keep, picture) in enumerate(zip(self.ups, self.keeps, list(self.pictures)[1:], strict=True)):
            k = 2 * level + 1
            h = keep(up(h, w[:, k], given[k]), w[:, k + 1], given[k + 1])
            x = crop(smooth_up(x), h.shape[-2:]) + picture(h, w[:, k + 2])
        return x.tanh() if self.bounded else x

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return self.synthesis(self.mapping(z, y))


class _Layer(nn.Module):
    """Style, modulated convolution, noise, bias, activation."""

    pattern: Tensor

    def __init__(self, net: StyleGAN2, a: int, b: int, size: tuple[int, int], *, up: bool = False) -> None:
        super().__init__()
        self.size, self.fixed = size, net.noise != "none"
        self.style = EqualLinear(net.w_dim, a, start=1.0)
        self.conv = ModulatedConv(a, b, 3, up=up)
        self.bias = nn.Parameter(torch.zeros(b))
        if self.fixed:
            self.strength = nn.Parameter(torch.zeros(()))
            self.register_buffer("pattern", torch.randn(1, *size))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        x = crop(self.conv(x, self.style(w)), self.size)
        if self.fixed:
            x = x + self.strength * (self.pattern if noise is None else noise)
        return _act(x + self.bias[:, None, None])


class _Picture(nn.Module):
    """Features → a picture: style, 1x1 convolution without demodulation, bias."""

    def __init__(self, net: StyleGAN2, a: int, channels: int) -> None:
        super().__init__()
        self.style = EqualLinear(net.w_dim, a, start=1.0)
        self.conv = ModulatedConv(a, channels, 1, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return self.conv(x, self.style(w)) + self.bias[:, None, None]


class _Block(nn.Module):
    """(two convolutions, the second halving) + (a halving 1x1 shortcut), over √2."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = EqualConv(a, a, 3), EqualConv(a, b, 3, down=True)
        self.shortcut = EqualConv(a, b, 1, bias=False, down=True)

    def forward(self, x: Tensor) -> Tensor:
        x = even(x)
        return (_act(self.conv2(_act(self.conv1(x)))) + self.shortcut(x)) / math.sqrt(2)


class _Body(nn.Module):
    def __init__(self, net: StyleGAN2, channels: int, height: int, width: int) -> None:
        super().__init__()
        sizes = pyramid(height, width, halvings(height, width))[::-1]
        widths = [net.width(size) for size in sizes]
        self.into = EqualConv(channels, widths[0], 1)
        self.blocks = nn.Sequential(*(_Block(a, b) for a, b in itertools.pairwise(widths)))
        self.spread = MinibatchStd(net.batch_std) if net.batch_std else nn.Identity()
        self.last = EqualConv(widths[-1] + bool(net.batch_std), widths[-1], 3)
        self.flat = EqualLinear(widths[-1] * sizes[-1][0] * sizes[-1][1], widths[-1])
        self.width = widths[-1]

    def forward(self, x: Tensor) -> Tensor:
        h = self.blocks(_act(self.into(x)))
        return _act(self.flat(_act(self.last(self.spread(h))).flatten(1)))
