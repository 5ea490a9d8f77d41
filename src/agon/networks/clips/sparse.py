"""A holistic critic of a few frames: each through one trunk, their features joined, with the gaps between them as a condition.

Skorokhodov, Tulyakov, Elhoseiny 2022, "StyleGAN-V", arXiv:2112.14683: the discriminator sees k frames of a clip (3 there), extracts features
of each, concatenates them and goes on as an image discriminator, conditioned on the distances between the frames by projection.
Frames are drawn as there: a random span, its ends, random frames inside it.

*Differs*: the lean layers of `agon.networks.r3`; the gaps enter as octaves of sines and cosines mapped linearly.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agon.config import too_small
from agon.layers.frames import Gaps, fold, unfold
from agon.layers.labels import CriticHead, Head, JoinPlanes
from agon.layers.lean import SLOPE, conv, down
from agon.layers.resample import even, nearest_grid, stage_widths, to_depth
from agon.networks.clips.decoder import grids
from agon.spaces import Video

LABEL_PLANES = 4


@dataclass(frozen=True, kw_only=True)
class Sparse:
    """A few frames judged together; see the module's text."""

    frames: int = 3  # k
    span: int = 32  # most frames between the first and the last of them
    join: int = 8  # shorter side of the grid at which the frames' features meet; the nearest one below half size is taken
    widths: tuple[int, ...] = (128, 64, 32)  # from the smallest grid up to the half-size one; then halved each time
    kind: Literal["sparse"] = "sparse"
    couples_samples: ClassVar[bool] = False

    def why_not(self, space: Any) -> str | None:
        """A number of frames, or of pixels, that cannot be."""
        return too_small(self, frames=1, span=1, join=1)

    def critic(self, space: Video, head: Head = "projection") -> nn.Module:
        return _Critic(self, space, head)

    def shrink(self, x: Tensor) -> Tensor:
        """Frames are seen at their full size."""
        return x

    def view(self, p: Any, n: int, frames: int) -> Tensor:
        """Positions int64 [n, k] in order: two ends a random span apart, and random frames between them; `p` has the dice."""
        count = min(self.frames, frames)
        if count == 1:
            return p.randint(frames, n, 1)
        most = max(count - 1, min(self.span, frames - 1))
        span = count - 1 + (p.rand(n, 1) * (most - count + 2)).long()
        start = (p.rand(n, 1) * (frames - span)).long()
        if count == 2:
            return torch.cat([start, start + span], 1)
        keys = p.rand(n, frames)
        place = torch.arange(frames, device=keys.device)
        inside = (place > start) & (place < start + span)
        chosen = torch.where(inside, keys, 2.0).argsort(1)[:, : count - 2].sort(1).values
        return torch.cat([start, chosen, start + span], 1)


class _Critic(nn.Module):
    def __init__(self, net: Sparse, space: Video, head: Head) -> None:
        super().__init__()
        count = min(net.frames, space.frames)
        self.planes = JoinPlanes(space if head == "concat" else space.unlabelled(), LABEL_PLANES)
        sizes = grids(space)
        widths = stage_widths(net.widths, len(sizes) - 1)[::-1]  # from the half-size grid down
        meet = nearest_grid(sizes[:-1][::-1], net.join)
        self.into = conv(4 * (space.channels + self.planes.extra), widths[0], 3, bias=True)
        self.alone = nn.ModuleList(down(a, b) for a, b in itertools.pairwise(widths[: meet + 1]))
        joined = [count * widths[meet], *widths[meet + 1 :]]
        self.together = nn.ModuleList(down(a, b) for a, b in itertools.pairwise(joined))
        features = joined[-1] * sizes[0][0] * sizes[0][1]
        self.head = CriticHead(features, space, head)
        self.gaps = Gaps(count - 1, space.frames, features)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """What the last layer judges [n, d]."""
        count = x.shape[1]
        y = None if y is None or self.planes.embedding is None else y.repeat_interleave(count, 0)
        h = F.leaky_relu(self.into(to_depth(self.planes(fold(x), y))), SLOPE)
        for halve in self.alone:
            h = F.leaky_relu(halve(even(h)), SLOPE)
        h = unfold(h, count).flatten(1, 2).contiguous(memory_format=torch.channels_last)
        for halve in self.together:
            h = F.leaky_relu(halve(even(h)), SLOPE)
        return h.flatten(1)

    def forward(self, x: Tensor, y: Tensor | None = None, gaps: Tensor | None = None) -> Tensor:
        h = self.features(x, y)
        return self.head(h, y) + (self.gaps(gaps, h) * h).sum(1)

    def classify(self, x: Tensor, gaps: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(logits [n], guesses of the condition [n, k])."""
        h = self.features(x)
        logits, guesses = self.head.classify(h)
        return logits + (self.gaps(gaps, h) * h).sum(1), guesses
