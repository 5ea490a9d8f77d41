"""R3GAN's backbone as published, and a lean one for processors: no normalisation layer in either.

`R3Paper`: Huang et al. 2024, arXiv:2501.05441 (config E). A stage of residual blocks at each grid size from 4x4 up: 1x1 to
twice the width, 3x3 in groups of 16 channels, 1x1 back (appendix: inverted bottleneck, ResNeXt-ified); LeakyReLU 0.2;
[1, 2, 1] resampling with a 1x1 convolution where the width changes; the generator starts from a learned 4x4 basis scaled
by a linear map of z, the critic ends in a 4x4 depthwise convolution and a linear map. Initial weights after Fixup (Zhang
et al. 2019, arXiv:1901.09321): the last convolution of every branch is zero, the others are scaled by L^(-1/4) with L
blocks. Classes: an embedding joined to z, a projection in the critic. *Differs*: any height and width (the start grid is
what ceil-halving gives, see `agon.layers.resample`); edges of pictures are cropped where doubling overshoots.

`R3Lean`: the same losses' partner for one processor core; see its docstring.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agon.layers.critic import LABEL_PLANES, image_shape
from agon.layers.init import scaled_normal_
from agon.layers.labels import CriticHead, Head, JoinLabel, JoinPlanes
from agon.layers.lean import SLOPE, Phases, conv, down, up
from agon.layers.resample import blur_down, blur_up, crop, halvings, pyramid, to_depth
from agon.spaces import Space


@dataclass(frozen=True, kw_only=True)
class R3Paper:
    """The published network; the defaults give every preset of the paper's unconditional table (20.7 M at 32x32)."""

    widths: tuple[int, ...] = (768, 768, 768, 768, 384, 192, 96)  # from the 4x4 grid up; then halved each time
    blocks: int = 2  # residual blocks a stage
    expansion: int = 2  # of the bottleneck
    group_width: int = 16  # channels of each group of the 3x3 convolutions
    label_dim: int = 128  # size of the class embedding joined to z
    kind: Literal["r3-paper"] = "r3-paper"
    unbindable: ClassVar[str] = "begins with maps that are zero"  # why no spectral normalisation

    def generator(self, z_dim: int, space: Space) -> nn.Module:
        return _PaperGenerator(self, z_dim, space)

    def critic(self, space: Space, head: Head = "projection") -> nn.Module:
        return _PaperCritic(self, space, head)

    @property
    def couples_samples(self) -> bool:
        """Whether a logit depends on the other samples of its batch."""
        return False

    def stage_widths(self, stages: int) -> list[int]:
        """Widths from the smallest grid to the full one; beyond the listed ones each is half of the one before."""
        widths = list(self.widths)
        while len(widths) < stages:
            widths.append(max(self.group_width, widths[-1] // 2))
        return widths[:stages]


class PaperBlock(nn.Module):
    """x + W3·act(W2 * act(W1·x)), grouped 3x3 in the middle; zero branch at the start (Fixup)."""

    def __init__(self, width: int, net: R3Paper, num_blocks: int) -> None:
        super().__init__()
        inner = width * net.expansion
        scale = num_blocks**-0.25
        self.expand = conv(width, inner, 1, bias=True, scale=scale, slope=SLOPE)
        self.mix = conv(inner, inner, 3, groups=max(1, inner // net.group_width), bias=True, scale=scale, slope=SLOPE)
        self.reduce = conv(inner, width, 1, scale=0.0)

    def forward(self, x: Tensor) -> Tensor:
        h = F.leaky_relu(self.expand(x), SLOPE)
        return x + self.reduce(F.leaky_relu(self.mix(h), SLOPE))


class _PaperGenerator(nn.Module):
    def __init__(self, net: R3Paper, z_dim: int, space: Space) -> None:
        super().__init__()
        channels, height, width = image_shape(space)
        self.sizes = pyramid(height, width, halvings(height, width))
        widths = net.stage_widths(len(self.sizes))
        total = net.blocks * len(widths)
        self.join = JoinLabel(space, net.label_dim)
        self.basis = nn.Parameter(torch.randn(widths[0], *self.sizes[0]))
        self.project = nn.Linear(z_dim + self.join.extra, widths[0], bias=False)
        scaled_normal_(self.project.weight)
        self.stages = nn.ModuleList(nn.Sequential(*(PaperBlock(w, net, total) for _ in range(net.blocks))) for w in widths)
        self.widen = nn.ModuleList(conv(a, b, 1) if a != b else nn.Identity() for a, b in itertools.pairwise(widths))
        self.out = conv(widths[-1], channels, 1)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.stages[0](self.basis * self.project(self.join(z, y))[:, :, None, None])
        for widen, stage, size in zip(self.widen, list(self.stages)[1:], self.sizes[1:], strict=True):
            h = stage(crop(blur_up(widen(h)), size))
        return self.out(h)


class _PaperCritic(nn.Module):
    def __init__(self, net: R3Paper, space: Space, head: Head) -> None:
        super().__init__()
        channels, height, width = image_shape(space)
        self.planes = JoinPlanes(space if head == "concat" else space.unlabelled(), LABEL_PLANES)
        sizes = pyramid(height, width, halvings(height, width))
        widths = net.stage_widths(len(sizes))[::-1]
        total = net.blocks * len(widths)
        self.into = conv(channels + self.planes.extra, widths[0], 1)
        self.stages = nn.ModuleList(nn.Sequential(*(PaperBlock(w, net, total) for _ in range(net.blocks))) for w in widths)
        self.widen = nn.ModuleList(conv(a, b, 1) if a != b else nn.Identity() for a, b in itertools.pairwise(widths))
        self.gather = nn.Conv2d(widths[-1], widths[-1], sizes[0], groups=widths[-1], bias=False)
        scaled_normal_(self.gather.weight)
        self.head = CriticHead(widths[-1], space, head)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """What the last layer judges [n, d]."""
        h = self.stages[0](self.into(self.planes(x, y)))
        for widen, stage in zip(self.widen, list(self.stages)[1:], strict=True):
            h = stage(widen(blur_down(h)))
        return self.gather(h).flatten(1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.head(self.features(x, y), y)

    def classify(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(logits [n], guesses of the condition [n, k])."""
        return self.head.classify(self.features(x))


@dataclass(frozen=True, kw_only=True)
class R3Lean:
    """Compute goes to the small grids: the full grid is reached by folding 2x2 pixels into channels, never by a convolution of its own.

    Between grids one strided 4x4 convolution and LeakyReLU 0.2, as in DCGAN but without normalisation, so that per-sample
    penalties are well defined. Dense: grouped convolutions are slow on processors, above all under double backward.
    The generator's last layer has a 3x3 kernel for each of the four, or `shared` one: see `agon.layers.lean.Phases`.
    The output is bounded by tanh; `docs/log.md` has the comparison (unbounded outputs leave a grey veil for thousands of rounds).
    """

    widths: tuple[int, ...] = (128, 64, 32)  # from the smallest grid up to the half-size grid; then halved each time, down to 16
    label_dim: int = 32  # size of the class embedding joined to z
    # Kernels of the generator's last layer; shared draws no checkerboard, own is better on small grids.
    last: Literal["own", "shared"] = "own"
    kind: Literal["r3-lean"] = "r3-lean"

    def generator(self, z_dim: int, space: Space) -> nn.Module:
        return _LeanGenerator(self, z_dim, space)

    def critic(self, space: Space, head: Head = "projection") -> nn.Module:
        return _LeanCritic(self, space, head)

    @property
    def couples_samples(self) -> bool:
        """Whether a logit depends on the other samples of its batch."""
        return False

    def stage_widths(self, stages: int) -> list[int]:
        """Widths from the smallest grid to the half-size one; beyond the listed ones each is half of the one before."""
        widths = list(self.widths)
        while len(widths) < stages:
            widths.append(max(16, widths[-1] // 2))
        return widths[:stages]


class _LeanGenerator(nn.Module):
    def __init__(self, net: R3Lean, z_dim: int, space: Space) -> None:
        super().__init__()
        channels, height, width = image_shape(space)
        self.sizes = pyramid(height, width, max(1, halvings(height, width)))
        widths = net.stage_widths(len(self.sizes) - 1)
        self.join = JoinLabel(space, net.label_dim)
        self.base = (widths[0], *self.sizes[0])
        self.project = nn.Linear(z_dim + self.join.extra, widths[0] * self.sizes[0][0] * self.sizes[0][1])
        scaled_normal_(self.project.weight)
        nn.init.zeros_(self.project.bias)
        self.ups = nn.ModuleList(up(a, b) for a, b in itertools.pairwise(widths))
        self.out = Phases(widths[-1], channels, shared=net.last == "shared")

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.project(self.join(z, y)).reshape(-1, *self.base)
        for enlarge, size in zip(self.ups, self.sizes[1:-1], strict=True):
            h = crop(enlarge(F.leaky_relu(h, SLOPE)), size)
        return self.out(F.leaky_relu(h, SLOPE), self.sizes[-1]).tanh()


class _LeanCritic(nn.Module):
    def __init__(self, net: R3Lean, space: Space, head: Head) -> None:
        super().__init__()
        channels, height, width = image_shape(space)
        self.planes = JoinPlanes(space if head == "concat" else space.unlabelled(), LABEL_PLANES)
        sizes = pyramid(height, width, max(1, halvings(height, width)))
        widths = net.stage_widths(len(sizes) - 1)[::-1]
        self.into = conv(4 * (channels + self.planes.extra), widths[0], 3, bias=True)
        self.downs = nn.ModuleList(down(a, b) for a, b in itertools.pairwise(widths))
        self.head = CriticHead(widths[-1] * sizes[0][0] * sizes[0][1], space, head)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """What the last layer judges [n, d]."""
        h = F.leaky_relu(self.into(to_depth(self.planes(x, y))), SLOPE)
        for halve in self.downs:
            if h.shape[-1] % 2 or h.shape[-2] % 2:
                h = F.pad(h, (0, h.shape[-1] % 2, 0, h.shape[-2] % 2))
            h = F.leaky_relu(halve(h), SLOPE)
        return h.flatten(1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.head(self.features(x, y), y)

    def classify(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(logits [n], guesses of the condition [n, k])."""
        return self.head.classify(self.features(x))
