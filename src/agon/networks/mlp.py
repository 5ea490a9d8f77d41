"""Multi-layer perceptrons: for points, and for anything small enough to be flattened.

The generator of Goodfellow et al. 2014 (arXiv:1406.2661) in its plainest form; no normalisation, so that per-sample
gradient penalties are well defined. Where values have bounds, as those of pictures, the generator ends in a tanh (there: a sigmoid): without
it a critic tells pictures by their even ground, which a linear layer cannot hit, and looks at nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from agon.layers.init import scaled_normal_
from agon.layers.labels import CriticHead, Head, JoinLabel
from agon.spaces import Space

_SLOPE = 0.2


@dataclass(frozen=True, kw_only=True)
class MLP:
    """Fully connected generator and critic, any space of fixed shape."""

    width: int = 256  # units of each hidden layer
    depth: int = 3  # hidden layers
    label_dim: int = 16  # size of the class embedding joined to z
    kind: Literal["mlp"] = "mlp"
    any_shape: ClassVar[bool] = True  # pictures, points, whatever can be flattened

    def generator(self, z_dim: int, space: Space) -> nn.Module:
        return _Generator(self, z_dim, space)

    def critic(self, space: Space, head: Head = "projection") -> nn.Module:
        return _Critic(self, space, head)

    @property
    def couples_samples(self) -> bool:
        """Whether a logit depends on the other samples of its batch."""
        return False


def _hidden(features: int, width: int, depth: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for index in range(depth):
        linear = nn.Linear(features, width)
        scaled_normal_(linear.weight, slope=_SLOPE if index else None)
        # Not zero: without offsets every fold of the first layer runs through the origin, which few inputs cannot make up for.
        nn.init.uniform_(linear.bias, -(features**-0.5), features**-0.5)
        layers += [linear, nn.LeakyReLU(_SLOPE)]
        features = width
    return nn.Sequential(*layers)


class _Generator(nn.Module):
    def __init__(self, net: MLP, z_dim: int, space: Space) -> None:
        super().__init__()
        self.shape, self.bounded = tuple(space.shape), space.bounded
        self.join = JoinLabel(space, net.label_dim)
        self.body = _hidden(z_dim + self.join.extra, net.width, net.depth)
        self.out = nn.Linear(net.width, math.prod(self.shape))
        scaled_normal_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        x = self.out(self.body(self.join(z, y))).reshape(-1, *self.shape)
        return x.tanh() if self.bounded else x


class _Critic(nn.Module):
    def __init__(self, net: MLP, space: Space, head: Head) -> None:
        super().__init__()
        self.join = JoinLabel(space if head == "concat" else space.unlabelled(), net.label_dim)
        self.body = _hidden(math.prod(space.shape) + self.join.extra, net.width, net.depth)
        self.head = CriticHead(net.width, space, head)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """What the last layer judges [n, width]."""
        return self.body(self.join(x.reshape(len(x), -1), y))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.head(self.features(x, y), y)

    def classify(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(logits [n], guesses of the condition [n, k])."""
        return self.head.classify(self.features(x))
