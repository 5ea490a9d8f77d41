"""A critic made of parts: the condition as planes joined to the picture, a body that turns pictures into features, a head that judges."""

from __future__ import annotations

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

    def __init__(self, body: Callable[[int, int, int], nn.Module], space: Space, head: Head, *, bias: bool = True) -> None:
        super().__init__()
        channels, height, width = image_shape(space)
        self.planes = JoinPlanes(space if head == "concat" else space.unlabelled(), LABEL_PLANES)
        self.body = body(channels + self.planes.extra, height, width)
        self.head = CriticHead(self.body.width, space, head, bias=bias)  # type: ignore[arg-type]

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """What the last layer judges [n, d]."""
        return self.body(self.planes(x, y))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.head(self.features(x, y), y)

    def classify(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(logits [n], guesses of the condition [n, k])."""
        return self.head.classify(self.features(x))
