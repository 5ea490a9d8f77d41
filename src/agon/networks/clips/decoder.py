"""What clip generators share: a lean decoder from codes to frames, and an encoder of a given first frame.

Everything drawn goes the lean generator's way (`agon.networks.r3`): work on small grids, one layer to the full one. What a clip keeps is drawn once a
clip, the rest with frames folded into the batch.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agon.layers.frames import unfold
from agon.layers.init import scaled_normal_
from agon.layers.labels import JoinLabel
from agon.layers.lean import SLOPE, Phases, conv, down, up
from agon.layers.resample import crop, even, halvings, pyramid, stage_widths, to_depth
from agon.spaces import Video

# What is drawn anew hides nothing at first and comes in slowly (as StyleGAN's mapping learns at a hundredth of the rate, arXiv:1812.04948), else
# it may take over what things could do: one seed in three then kept blobs that change their shape (docs/log.md).
HIDDEN, SLOW = 4.0, 0.2


def grids(space: Video) -> list[tuple[int, int]]:
    """Sizes from the smallest grid up to the frame's, at least two."""
    return pyramid(space.height, space.width, max(1, halvings(space.height, space.width)))


class FrameDecoder(nn.Module):
    """Codes [n·count, dim] and styles [n, style] → frames [n·count, C, H, W] in [-1, 1]; a style serves `count` neighbouring codes.

    A frame is put together from pictures that its clip keeps, drawn once from the style (the content of the clip): a ground, and `things` that are
    placed on it, each moved and scaled anew in each frame; and a picture drawn anew for each frame on top, for whatever is not a thing that moves.
    So what keeps its looks needs no redrawing: it cannot change its colour, only its place. The ground and the masks are VGAN's (Vondrick et al.
    2016, arXiv:1609.02612); placing is DRAW's writing with two matrices, one for rows and one for columns (Gregor et al. 2015, arXiv:1502.04623).
    The style is also a gain of each channel of each grid of what is drawn anew (as in StyleGAN-V, arXiv:2112.14683, the content modulates all
    layers and motion enters at the smallest grid alone).
    widths: from the smallest grid up to the half-size one; then halved each time, down to 16. things: 0 draws whole frames anew. told: how many of
    the style's last entries are the condition's; what is kept hears `loud` times as much of them, since a loud one makes one picture of all clips of
    a class (docs/log.md). skips: whether features of a first frame (`FirstFrame`) join each grid; what is kept is then cut out of that frame as far
    as it serves.
    """

    loudness: Tensor

    def __init__(
        self, widths: tuple[int, ...], dim: int, space: Video, *, style: int, told: int, things: int, loud: float | None = None, skips: bool = False
    ) -> None:  # fmt: skip
        super().__init__()
        self.sizes, self.channels, self.things, self.cut = grids(space), space.channels, things, skips
        chosen = stage_widths(widths, len(self.sizes) - 1)
        anew = [max(16, width // 2) for width in chosen] if things else chosen
        self.drawn = _Stages(anew, self.sizes, dim, joins=skips and not things)
        self.gains = nn.ModuleList(nn.Linear(style, width) for width in anew)
        for gain in self.gains:
            scaled_normal_(gain.weight, scale=0.5)  # type: ignore[arg-type]
            nn.init.ones_(gain.bias)  # type: ignore[arg-type]
        self.out = Phases(anew[-1], space.channels + bool(things), shared=True)
        if not things:
            return
        # The ground has its own way from grid to grid: on a black one all features grow, and what shared them would be driven to its bounds.
        self.still = _Stages(anew, self.sizes, style, joins=False)
        self.ground = Phases(anew[-1], space.channels + skips, shared=True)
        self.kept = _Stages(chosen, self.sizes, style, joins=skips)
        self.looks = Phases(chosen[-1], things * (1 + space.channels + skips), shared=True)
        self.places = nn.Linear(dim, 4 * things)
        scaled_normal_(self.places.weight)
        nn.init.zeros_(self.places.bias)
        if loud is None:
            loud = (
                1.0 if space.words else 0.1
            )  # captions tell looks, classes of clips are ways of moving; the other way round both fail (docs/log.md)
        self.register_buffer("loudness", torch.cat([torch.ones(style - told), torch.full((told,), loud)]), persistent=False)

    def forward(self, code: Tensor, style: Tensor, skips: Sequence[Tensor] = (), *, count: int = 1) -> Tensor:
        gains = [gain(style).repeat_interleave(count, 0)[:, :, None, None] for gain in self.gains]
        drawn = self.out(self.drawn(code, skips, count, gains), self.sizes[-1])
        if not self.things:
            return drawn.tanh()
        drawn = unfold(drawn.transpose(1, 2).contiguous(), count)  # rows first, as placing wants them: [n, count, H, C + 1, W]
        ground, things = self._kept(style * self.loudness, skips)
        x = ground[:, None]
        for thing in place(things, unfold(self.places(code).unflatten(1, (self.things, 4)), count)).unbind(2):
            x = x * (1 - thing[..., -1:, :]) + thing[..., :-1, :]
        x = torch.lerp(x, _bounded(drawn[..., :-1, :]), (SLOW * drawn[..., -1:, :] - HIDDEN).sigmoid()).flatten(0, 1).transpose(1, 2)
        return x if self.training else x.clamp(-1, 1)

    def _kept(self, style: Tensor, skips: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """The ground [n, H, C, W] and the things [n, things, H, C + 1, W], their last channel the share of a pixel that they cover."""
        ground = self.ground(self.still(style), self.sizes[-1]).transpose(1, 2).contiguous()
        looks = self.looks(self.kept(style, skips), self.sizes[-1]).transpose(1, 2).contiguous()
        looks = looks.unflatten(2, (self.things, -1)).transpose(1, 2)  # [n, things, H, 1 + C (+ 1), W]
        covers = (looks[..., :1, :] + _window(*self.sizes[-1], like=looks)[:, None]).sigmoid()
        pictures = looks[..., 1 : 1 + self.channels, :]
        share = ground[..., self.channels :, :].sigmoid()
        ground, pictures = ground[..., : self.channels, :].tanh(), _bounded(pictures)
        if self.cut:
            first = skips[-1].transpose(1, 2).to(ground.dtype)
            ground = torch.lerp(ground, first, share)
            pictures = torch.lerp(pictures, first[:, None], looks[..., -1:, :].sigmoid())
        return ground, torch.cat([pictures * covers, covers], 3)


def _bounded(x: Tensor) -> Tensor:
    """x within [-1, 1], and a tenth of what lies beyond: a tanh that is driven to its bounds stops learning, as those of things did.

    Frames are cut off there outside training.
    """
    return 0.9 * x.clamp(-1, 1) + 0.1 * x


def _window(height: int, width: int, *, like: Tensor) -> Tensor:
    """What is added to a thing's cover before the sigmoid: 1 in the middle, -7 in the middle of a side; [H, W]."""
    rows, columns = (torch.linspace(-1, 1, side, dtype=like.dtype, device=like.device).square() for side in (height, width))
    return 1 - 8 * (rows[:, None] + columns).clamp_max(1)


def place(things: Tensor, where: Tensor) -> Tensor:
    """Move and scale pictures, linear between pixels, zero outside: [n, k, H, c, W] and [n, t, k, 4] → [n, t, k, H, c, W].

    where: places of the centre, in parts of 0.3 of the frame's side (rows, columns), then logarithms of the scale, in parts of 0.25.
    Two products with matrices rather than a gather: deterministic on every device, in both directions.
    """
    height, channels, width = things.shape[2:]
    where = where.to(torch.promote_types(where.dtype, torch.float32))  # 16 bits are too few for places
    centre, size = 0.3 * where[..., :2], (0.25 * where[..., 2:]).clamp(-2, 2).exp()
    rows, columns = (_taps(side, centre[..., axis], size[..., axis]).to(things.dtype) for axis, side in enumerate((height, width)))
    across = things.flatten(2, 3)[:, None] @ columns.transpose(-1, -2)
    return (rows @ across.unflatten(3, (height, channels)).flatten(4)).unflatten(4, (channels, width))


def _taps(side: int, centre: Tensor, size: Tensor) -> Tensor:
    """[..., side, side]: how much each pixel of a moved line (rows) shows of each of the line as it was (columns)."""
    pixel = torch.arange(side, dtype=centre.dtype, device=centre.device)
    source = ((pixel + 0.5 - side / 2) - centre[..., None] * side) / size[..., None] + side / 2 - 0.5
    reach = (1 / size).clamp_min(1)[..., None, None]  # shrunk pictures are averaged
    return ((1 + reach) / 2 - (source[..., None] - pixel).abs()).clamp(0, 1) / reach  # shares of what a pixel reaches: they sum to 1


class _Stages(nn.Module):
    """A linear map to the smallest grid, and strided convolutions from grid to grid up to the half-size one; joins: features are added at each."""

    def __init__(self, widths: Sequence[int], sizes: Sequence[tuple[int, int]], dim: int, *, joins: bool = False) -> None:
        super().__init__()
        self.sizes, self.base = sizes, (widths[0], *sizes[0])
        self.project = nn.Linear(dim, widths[0] * sizes[0][0] * sizes[0][1])
        scaled_normal_(self.project.weight)
        nn.init.zeros_(self.project.bias)
        self.ups = nn.ModuleList(up(a, b) for a, b in itertools.pairwise(widths))
        self.joins = nn.ModuleList(conv(w, w, 1, slope=SLOPE) for w in widths) if joins else None

    def forward(self, code: Tensor, skips: Sequence[Tensor] = (), count: int = 1, gains: Sequence[Tensor] = ()) -> Tensor:
        h = self.project(code).reshape(-1, *self.base).contiguous(memory_format=torch.channels_last)
        for level, size in enumerate(self.sizes[:-1]):
            if level:
                h = crop(self.ups[level - 1](h), size)
            if self.joins is not None:
                h = h + self.joins[level](skips[level]).repeat_interleave(count, 0)
            h = F.leaky_relu(h, SLOPE)
            h = h * gains[level] if gains else h
        return h


class FirstFrame(nn.Module):
    """A frame [n, C, H, W] → a vector [n, dim] and features of each grid of a `FrameDecoder` of the same widths, the frame itself last."""

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
        return self.out(features[-1].flatten(1)), [*features[::-1], first]


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


def decoder_for(net: Any, content: Content, motion: int, space: Video, *, first: bool) -> FrameDecoder:
    """The decoder of a network with the fields `widths`, `things` and `loud`, for motion codes of `motion` numbers."""
    return FrameDecoder(
        net.widths, content.dim + motion, space, style=content.dim, told=content.extra, things=net.things, loud=net.loud, skips=first
    )  # fmt: skip


def decoded(decoder: FrameDecoder, content: Tensor, skips: Sequence[Tensor], motion: Tensor) -> Tensor:
    """A content code [n, d] and motion codes [n, k, m] → frames [n, k, C, H, W]."""
    count = motion.shape[1]
    code = torch.cat([content[:, None].expand(-1, count, -1), motion], 2)
    return unfold(decoder(code.flatten(0, 1), content, skips, count=count), count)
