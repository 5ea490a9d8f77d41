"""The default clip generator for processors: one content code, a recurrent motion code, and a lean decoder for each frame that is asked for.

The split of content and motion is MoCoGAN's (Tulyakov et al. 2018, arXiv:1707.04993): a content code drawn once a clip, motion codes from
a recurrent network fed with fresh noise at each frame. *Differs*: the recurrent network also sees the condition, so that a class may
be a way of moving; its first state is a map of noise; frames are put together from what the clip keeps (`FrameDecoder`), without normalisation; of
a clip only the frames that are asked for are decoded (the recurrence itself costs next to nothing).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from agon.config import too_small
from agon.layers.frames import begin_with, choose
from agon.layers.recurrent import GRU
from agon.networks.clips.decoder import Content, decoded, decoder_for
from agon.spaces import Video

BLOCK = 16  # frames of a long clip whose motion noise is drawn together


@dataclass(frozen=True, kw_only=True)
class GRUMotion:
    """Content code, GRU over motion noise, lean decoder; see the module's text."""

    widths: tuple[int, ...] = (128, 64, 32)  # of the decoder, from the smallest grid up to the half-size one; then halved each time
    things: int = 2  # pictures that a clip keeps and moves over its ground; 0: whole frames are drawn anew
    loud: float | None = None  # part of the condition that what a clip keeps is told; None: 1.0 of captions, 0.1 of all else
    motion: int = 64  # width of the recurrent state
    noise: int = 16  # fresh noise a frame
    label_dim: int = 32  # size of the condition's embedding
    kind: Literal["gru"] = "gru"
    couples_samples: ClassVar[bool] = False
    takes_first: ClassVar[bool] = True  # can go on from a given first frame

    def why_not(self, space: Any, first: bool) -> str | None:
        """A width, or a number of things, that cannot be."""
        return too_small(self, things=0, motion=1, noise=1, label_dim=1)

    def generator(self, z_dim: int, space: Video, first: bool = False) -> nn.Module:
        return _Generator(self, z_dim, space, first)


class _Generator(nn.Module):
    fixed_length = False

    def __init__(self, net: GRUMotion, z_dim: int, space: Video, first: bool) -> None:
        super().__init__()
        self.frames, self.noise = space.frames, net.noise
        self.content = Content(net.widths, z_dim, net.label_dim, space, first=first)
        self.begin = nn.Linear(net.noise + self.content.dim, net.motion)
        self.walk = GRU(net.noise + self.content.extra, net.motion)
        self.decode = decoder_for(net, self.content, net.motion, space, first=first)

    def noise_shape(self, frames: int) -> tuple[int, ...]:
        """Noise of the first state, then of each frame."""
        return frames + 1, self.noise

    def _start(self, e: Tensor, content: Tensor) -> Tensor:
        return self.begin(torch.cat([e, content], 1)).tanh()

    def forward(
        self, z: Tensor, e: Tensor, y: Tensor | None = None, *, first: Tensor | None = None, at: Tensor | None = None, copy: bool = True
    ) -> Tensor:
        content, skips = self.content(z, y, first)
        motion = self.walk(self.content.beside(e[:, 1:], y), self._start(e[:, 0], content))
        x = decoded(self.decode, content, skips, choose(motion, at))
        return begin_with(x, first, at) if copy else x

    def long(
        self, z: Tensor, dice: Callable[..., Tensor], frames: int, y: Tensor | None = None, *, first: Tensor | None = None, chunk: int = 16
    ) -> Iterator[Tensor]:
        """Clips of any length, at most `chunk` frames at a time; the noise of frames 16·b to 16·b + 15 is `dice(b + 1, 16, d)`."""
        content, skips = self.content(z, y, first)
        h = self._start(dice(0, self.noise), content)
        for low in range(0, frames, BLOCK):
            motion = self.walk(self.content.beside(dice(low // BLOCK + 1, BLOCK, self.noise), y), h)
            h = motion[:, -1]
            for start, part in zip(range(low, low + BLOCK, chunk), motion[:, : frames - low].split(chunk, 1), strict=False):
                x = decoded(self.decode, content, skips, part)
                yield begin_with(x, first) if start == 0 else x
