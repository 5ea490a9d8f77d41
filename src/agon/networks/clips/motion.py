"""The temporal critic of a dual pair, made cheap: the clip at half resolution or less, time folded into channels.

Clark, Donahue, Simonyan 2019, "Adversarial Video Generation on Complex Datasets" (DVD-GAN), arXiv:1907.06571: the temporal
discriminator sees the clip after 2x2 average pooling, so that motion is judged apart from detail, at a fraction of the cost.

*Differs*: where the paper's first blocks are 3-D convolutions, here neighbouring frames are joined as channels and a strided 2-D convolution
goes over both, which is a 3-D one of temporal size and stride 2: the number of frames halves with the grid. It may be shown `frames` frames of
equal distance instead of all, so that a generator with random access decodes no more than those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agon.config import too_small
from agon.layers.frames import Gaps, fold, pair, unfold
from agon.layers.labels import CriticHead, Head, JoinPlanes
from agon.layers.lean import SLOPE, conv, down
from agon.layers.resample import even
from agon.layers.spectral import spectral_
from agon.spaces import Video

LABEL_PLANES = 4


@dataclass(frozen=True, kw_only=True)
class Motion:
    """Many small frames judged together; see the module's text."""

    frames: int = 0  # frames it sees, at one random distance; 0: the whole clip
    pool: int = 2  # frames are averaged over blocks of so many pixels a side
    widths: tuple[int, ...] = (32, 64, 128)  # from the first convolution on; the last stays
    norm: Literal["none", "spectral"] = "none"  # spectral: the paper's
    kind: Literal["motion"] = "motion"
    couples_samples: ClassVar[bool] = False

    def why_not(self, space: Any) -> str | None:
        """A number of frames, or of pixels, that cannot be."""
        return too_small(self, frames=0, pool=1)

    @property
    def spectral(self) -> bool:
        """Whether spectral normalisation bounds the critic's slope."""
        return self.norm == "spectral"

    def critic(self, space: Video, head: Head = "projection") -> nn.Module:
        return _Critic(self, space, head)

    def shrink(self, x: Tensor) -> Tensor:
        """[n, k, C, H, W] averaged over `pool` × `pool` blocks; ragged edges are averaged over what is there."""
        if self.pool <= 1:
            return x
        return unfold(F.avg_pool2d(x.flatten(0, 1), self.pool, ceil_mode=True, count_include_pad=False), x.shape[1])

    def view(self, p: Any, n: int, frames: int) -> Tensor | None:
        """None for the whole clip, or positions int64 [n, k]: k frames a random distance apart, from a random start."""
        if not 0 < self.frames < frames:
            return None
        most = max(1, (frames - 1) // max(1, self.frames - 1))
        step = 1 + (p.rand(n, 1) * most).long()
        start = (p.rand(n, 1) * (frames - step * (self.frames - 1))).long()
        return start + step * torch.arange(self.frames, device=step.device)


class _Critic(nn.Module):
    def __init__(self, net: Motion, space: Video, head: Head) -> None:
        super().__init__()
        count = min(net.frames or space.frames, space.frames)
        self.planes = JoinPlanes(space if head == "concat" else space.unlabelled(), LABEL_PLANES)
        height, width = -(-space.height // net.pool), -(-space.width // net.pool)
        channels, level = space.channels + self.planes.extra, 0
        layers: list[nn.Module] = []
        while min(height, width) > 4 or count > 1:
            wide = net.widths[min(level, len(net.widths) - 1)]
            channels *= 2 if count > 1 else 1
            shrinks = min(height, width) > 4
            slope = SLOPE if level else None
            layers.append(down(channels, wide, slope=slope) if shrinks else conv(channels, wide, 3, bias=True, slope=slope))
            count, channels, level = -(-count // 2), wide, level + 1
            height, width = (-(-height // 2), -(-width // 2)) if shrinks else (height, width)
        self.layers = nn.ModuleList(layers)
        self.head = CriticHead(channels * height * width, space, head)
        shown = min(net.frames, space.frames)
        self.gaps = Gaps(shown - 1, space.frames, channels * height * width) if 1 < shown < space.frames else None
        if net.spectral:
            spectral_(self)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """What the last layer judges [n, d]."""
        count = x.shape[1]
        if self.planes.embedding is not None and y is not None:
            x = unfold(self.planes(x.flatten(0, 1), y.repeat_interleave(count, 0)), count)
        for layer in self.layers:
            x = pair(x) if x.shape[1] > 1 else x
            h = fold(x)
            x = unfold(F.leaky_relu(layer(even(h) if layer.stride[0] == 2 else h), SLOPE), x.shape[1])  # type: ignore[index]
        return x.flatten(1)

    def _told(self, logits: Tensor, h: Tensor, gaps: Tensor | None) -> Tensor:
        if self.gaps is None:
            return logits
        return logits + (self.gaps(gaps, h) * h).sum(1)

    def forward(self, x: Tensor, y: Tensor | None = None, gaps: Tensor | None = None) -> Tensor:
        h = self.features(x, y)
        return self._told(self.head(h, y), h, gaps)

    def classify(self, x: Tensor, gaps: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(logits [n], guesses of the condition [n, k])."""
        h = self.features(x)
        logits, guesses = self.head.classify(h)
        return self._told(logits, h, gaps), guesses
