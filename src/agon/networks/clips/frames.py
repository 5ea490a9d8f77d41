"""The spatial critic: single frames at full size, each judged by an image critic, the logits of a clip added up.

Clark, Donahue, Simonyan 2019 (DVD-GAN), arXiv:1907.06571: the spatial discriminator scores k = 8 random frames one by one and
sums the scores. *Differs*: any critic of `agon.networks` may be the judge; k is 4 by default.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor, nn

from agon.config import too_small
from agon.layers.frames import fold
from agon.layers.labels import Head
from agon.networks import Network
from agon.networks.r3 import R3Lean
from agon.spaces import Image, Video


def still(space: Video) -> Image:
    """The space of one frame with the clip's classes, tags or numbers."""
    return Image(
        channels=space.channels, height=space.height, width=space.width, classes=space.classes, tags=space.tags, numbers=space.numbers,
        words=space.words,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Frames:
    """A few frames judged one by one; see the module's text."""

    frames: int = 4  # k
    net: Network = field(default_factory=R3Lean)
    kind: Literal["frames"] = "frames"

    def why_not(self, space: Any) -> str | None:
        """A number of frames, or of pixels, that cannot be."""
        return too_small(self, frames=1)

    @property
    def couples_samples(self) -> bool:
        """Whether a logit depends on the other clips of its batch."""
        return self.net.couples_samples

    @property
    def spectral(self) -> bool:
        """Whether spectral normalisation bounds the critic's slope."""
        return bool(getattr(self.net, "spectral", False))

    @property
    def unbindable(self) -> str | None:
        """Why spectral normalisation cannot bound it, in words; None where it can."""
        return getattr(self.net, "unbindable", None)

    def critic(self, space: Video, head: Head = "projection") -> nn.Module:
        return _Critic(self, space, head)

    def shrink(self, x: Tensor) -> Tensor:
        """Frames are seen at their full size."""
        return x

    def view(self, p: Any, n: int, frames: int) -> Tensor | None:
        """Positions int64 [n, k] of k different random frames, in order; None where that is all of them."""
        if self.frames >= frames:
            return None
        return p.rand(n, frames).argsort(1)[:, : self.frames].sort(1).values


class _Critic(nn.Module):
    def __init__(self, net: Frames, space: Video, head: Head) -> None:
        super().__init__()
        self.judge = net.net.critic(still(space), head)

    def forward(self, x: Tensor, y: Tensor | None = None, gaps: Tensor | None = None) -> Tensor:
        n, count = x.shape[:2]
        return self.judge(fold(x), None if y is None else y.repeat_interleave(count, 0)).reshape(n, count).sum(1)

    def classify(self, x: Tensor, gaps: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(logits [n], guesses of the condition [n, k], averaged over the frames)."""
        n, count = x.shape[:2]
        logits, guesses = self.judge.classify(fold(x))
        return logits.reshape(n, count).sum(1), guesses.unflatten(0, (n, count)).mean(1)
