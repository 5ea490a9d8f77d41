"""What clip generators share: a lean decoder from codes to frames, and an encoder of a given first frame.

The decoder is the lean generator of `agon.networks.r3` on one frame's code: work on small grids, the full grid reached by folding channels
into 2x2 pixels. Frames are folded into the batch.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agon.layers.frames import unfold
from agon.layers.init import scaled_normal_
from agon.layers.labels import JoinLabel
from agon.layers.lean import SLOPE, conv, down, up
from agon.layers.resample import crop, even, halvings, pyramid, stage_widths, to_depth, to_space
from agon.spaces import Video


def grids(space: Video) -> list[tuple[int, int]]:
    """Sizes from the smallest grid up to the frame's, at least two."""
    return pyramid(space.height, space.width, max(1, halvings(space.height, space.width)))


class FrameDecoder(nn.Module):
    """Codes [n·count, dim] and styles [n, style] → frames [n·count, C, H, W] in [-1, 1]; a style serves `count` neighbouring codes.

    A style, the content of a clip, is a gain of each channel of each grid, so that what does not change is not redrawn from each frame's code
    (as in StyleGAN-V, arXiv:2112.14683, where the content modulates all layers and motion enters at the smallest grid alone).
    widths: from the smallest grid up to the half-size one; then halved each time, down to 16. skips: whether features of a first frame
    (`FirstFrame`) join each grid.
    """

    def __init__(self, widths: tuple[int, ...], dim: int, space: Video, *, style: int, skips: bool = False) -> None:
        super().__init__()
        self.sizes = grids(space)
        chosen = stage_widths(widths, len(self.sizes) - 1)
        self.base = (chosen[0], *self.sizes[0])
        self.project = nn.Linear(dim, chosen[0] * self.sizes[0][0] * self.sizes[0][1])
        scaled_normal_(self.project.weight)
        nn.init.zeros_(self.project.bias)
        self.ups = nn.ModuleList(up(a, b) for a, b in itertools.pairwise(chosen))
        self.gains = nn.ModuleList(nn.Linear(style, width) for width in chosen)
        for gain in self.gains:
            scaled_normal_(gain.weight, scale=0.5)  # type: ignore[arg-type]
            nn.init.ones_(gain.bias)  # type: ignore[arg-type]
        self.joins = nn.ModuleList(conv(w, w, 1, slope=SLOPE) for w in chosen) if skips else None
        self.out = conv(chosen[-1], 4 * space.channels, 3, bias=True, slope=SLOPE)

    def forward(self, code: Tensor, style: Tensor, skips: Sequence[Tensor] = (), *, count: int = 1) -> Tensor:
        h = self.project(code).reshape(-1, *self.base).contiguous(memory_format=torch.channels_last)
        for level, size in enumerate(self.sizes[:-1]):
            if level:
                h = crop(self.ups[level - 1](h), size)
            if self.joins is not None:
                told = self.joins[level](skips[level])
                h = h + told.repeat_interleave(count, 0)
            h = F.leaky_relu(h, SLOPE) * self.gains[level](style).repeat_interleave(count, 0)[:, :, None, None]
        return to_space(self.out(h), self.sizes[-1]).tanh()


class FirstFrame(nn.Module):
    """A frame [n, C, H, W] → a vector [n, dim] and features of each grid of a `FrameDecoder` of the same widths."""

    def __init__(self, widths: tuple[int, ...], dim: int, space: Video) -> None:
        super().__init__()
        sizes = grids(space)
        chosen = stage_widths(widths, len(sizes) - 1)[::-1]
        self.into = conv(4 * space.channels, chosen[0], 3, bias=True)
        self.downs = nn.ModuleList(down(a, b) for a, b in itertools.pairwise(chosen))
        self.out = nn.Linear(chosen[-1] * sizes[0][0] * sizes[0][1], dim)
        scaled_normal_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, first: Tensor) -> tuple[Tensor, list[Tensor]]:
        features = [F.leaky_relu(self.into(to_depth(first)), SLOPE)]
        for halve in self.downs:
            features.append(F.leaky_relu(halve(even(features[-1])), SLOPE))
        return self.out(features[-1].flatten(1)), features[::-1]


class Content(nn.Module):
    """What stays the same over a clip: z [n, z_dim], the condition and a given first frame as a code [n, `dim`], and features of that frame."""

    def __init__(self, widths: tuple[int, ...], z_dim: int, label_dim: int, space: Video, *, first: bool = False) -> None:
        super().__init__()
        self.join = JoinLabel(space, label_dim)
        self.see = FirstFrame(widths, z_dim, space) if first else None
        self.dim = (2 if first else 1) * z_dim + self.join.extra
        self.extra = self.join.extra

    def forward(self, z: Tensor, y: Tensor | None, first: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        if self.see is None:
            return self.join(z, y), []
        if first is None:
            raise ValueError("this generator goes on from a first frame and got none; pass first, [n, C, H, W].")
        told, skips = self.see(first)
        return self.join(torch.cat([z, told], 1), y), skips

    def beside(self, e: Tensor, y: Tensor | None) -> Tensor:
        """Motion noise [n, t, d] with the condition's embedding joined to each entry."""
        if self.join.embedding is None:
            return e
        return torch.cat([e, self.join.embedding(y).to(e.dtype)[:, None].expand(-1, e.shape[1], -1)], 2)


def decoded(decoder: FrameDecoder, content: Tensor, skips: Sequence[Tensor], motion: Tensor) -> Tensor:
    """A content code [n, d] and motion codes [n, k, m] → frames [n, k, C, H, W]."""
    count = motion.shape[1]
    code = torch.cat([content[:, None].expand(-1, count, -1), motion], 2)
    return unfold(decoder(code.flatten(0, 1), content, skips, count=count), count)
