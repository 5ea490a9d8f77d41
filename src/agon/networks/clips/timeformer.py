"""A Transformer in time over motion codes, and the lean decoder of a frame: the default generator's recurrence replaced by attention.

Ours; attention over per-frame codes follows Vaswani et al. 2017, arXiv:1706.03762 (see `agon.layers.windowed` for the parts). Each frame is a
token of fresh noise and the clip's content; it sees itself and the `window` − 1 frames before it, so a clip can go on for ever, and its first
frames do not depend on how long it will be. The first token is marked, so that a clip may have a beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from agon.config import too_small
from agon.layers.frames import begin_with, choose
from agon.layers.windowed import Kept, Windowed
from agon.networks.clips.decoder import Content, decoded, decoder_for
from agon.spaces import Video

BLOCK = 16  # frames of a long clip whose motion noise is drawn together


@dataclass(frozen=True, kw_only=True)
class Timeformer:
    """Tokens of frames, windowed causal attention, lean decoder."""

    widths: tuple[int, ...] = (128, 64, 32)  # of the decoder, from the smallest grid up to the half-size one; then halved each time
    things: int = 2  # pictures that a clip keeps and moves over its ground; 0: whole frames are drawn anew
    loud: float | None = None  # part of the condition that what a clip keeps is told; None: 1.0 of captions, 0.1 of all else
    motion: int = 64  # width of a token
    depth: int = 2  # blocks
    heads: int = 4
    window: int = 16  # frames that a frame sees, itself included
    noise: int = 16  # fresh noise a frame
    label_dim: int = 32  # size of the condition's embedding
    kind: Literal["timeformer"] = "timeformer"
    couples_samples: ClassVar[bool] = False
    takes_first: ClassVar[bool] = True

    def why_not(self, space: Any, first: bool) -> str | None:
        """A width that cannot be, or one that the heads do not divide."""
        if self.heads > 0 and self.motion % self.heads:
            return f"'timeformer' has {self.heads} heads for a width of {self.motion}; take a number of heads that divides it."
        return too_small(self, things=0, motion=1, depth=1, heads=1, window=1, noise=1, label_dim=1)

    def generator(self, z_dim: int, space: Video, first: bool = False) -> nn.Module:
        return _Generator(self, z_dim, space, first)


class _Generator(nn.Module):
    fixed_length = False

    def __init__(self, net: Timeformer, z_dim: int, space: Video, first: bool) -> None:
        super().__init__()
        self.frames, self.noise = space.frames, net.noise
        self.content = Content(net.widths, z_dim, net.label_dim, space, first=first)
        self.token = nn.Linear(net.noise + self.content.dim, net.motion)
        self.begin = nn.Parameter(torch.randn(net.motion))
        self.attend = Windowed(net.motion, net.depth, net.heads, net.window)
        self.decode = decoder_for(net, self.content, net.motion, space, first=first)

    def noise_shape(self, frames: int) -> tuple[int, ...]:
        """Noise of each frame."""
        return frames, self.noise

    def _motion(self, e: Tensor, content: Tensor, start: int = 0, kept: Kept | None = None) -> tuple[Tensor, Kept]:
        tokens = self.token(torch.cat([e, content[:, None].expand(-1, e.shape[1], -1)], 2))
        if start == 0:
            tokens = torch.cat([tokens[:, :1] + self.begin, tokens[:, 1:]], 1)
        return self.attend(tokens, start, kept)

    def forward(
        self, z: Tensor, e: Tensor, y: Tensor | None = None, *, first: Tensor | None = None, at: Tensor | None = None, copy: bool = True
    ) -> Tensor:
        content, skips = self.content(z, y, first)
        x = decoded(self.decode, content, skips, choose(self._motion(e, content)[0], at))
        return begin_with(x, first, at) if copy else x

    def long(
        self, z: Tensor, dice: Callable[..., Tensor], frames: int, y: Tensor | None = None, *, first: Tensor | None = None, chunk: int = 16
    ) -> Iterator[Tensor]:
        """Clips of any length, at most `chunk` frames at a time; the noise of frames 16·b to 16·b + 15 is `dice(b, 16, d)`."""
        content, skips = self.content(z, y, first)
        kept: Kept | None = None
        for low in range(0, frames, BLOCK):
            motion, kept = self._motion(dice(low // BLOCK, BLOCK, self.noise), content, low, kept)
            for start, part in zip(range(low, low + BLOCK, chunk), motion[:, : frames - low].split(chunk, 1), strict=False):
                x = decoded(self.decode, content, skips, part)
                yield begin_with(x, first) if start == 0 else x
