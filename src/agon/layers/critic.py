"""A critic made of parts: the condition as planes joined to the picture, a body that turns pictures into features, a head that judges."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor, nn

from agon.layers.labels import CriticHead, Head, JoinPlanes
from agon.spaces import Space

LABEL_PLANES = 4  # constant planes of a condition that is joined to the picture


def image_shape(space: Space) -> tuple[int, int, int]:
    """(channels, height, width) of an image space. Raises ValueError for any other."""
    shape = tuple(space.shape)
    if len(shape) != 3:
        raise ValueError(f"convolutional networks need an image space [channels, height, width], got shape {shape}; use MLP.")
    return shape


class Critic(nn.Module):
    """x [n, c, h, w] and y → logits [n]. body: (channels, height, width) → a module to features [n, `width`], with the attribute `width`."""

    def __init__(
        self, body: Callable[[int, int, int], nn.Module], space: Space, head: Head, *, bias: bool = True, equalised: bool = False
    ) -> None:
        """equalised: the head's weights start as N(0, 1) and its input is divided by √width instead (Karras et al. 2018, arXiv:1710.10196, sec. 4.1)."""
        super().__init__()
        channels, height, width = image_shape(space)
        self.planes = JoinPlanes(space if head == "concat" else space.unlabelled(), LABEL_PLANES)
        self.body = body(channels + self.planes.extra, height, width)
        root = math.sqrt(self.body.width) if equalised else 1.0  # type: ignore[arg-type]
        self.head, self.gain = CriticHead(self.body.width, space, head, bias=bias, scale=root), 1 / root  # type: ignore[arg-type]

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """What the last layer judges [n, d]."""
        h = self.body(self.planes(x, y))
        return h if self.gain == 1.0 else h * self.gain

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.head(self.features(x, y), y)

    def classify(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(logits [n], guesses of the condition [n, k])."""
        return self.head.classify(self.features(x))
