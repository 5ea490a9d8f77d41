"""Conditions: an embedding joined to the noise of a generator, a projection or an auxiliary classifier in a critic.

A condition y is int64 [n] where the space has classes, float [n, k] where it has tags (0 or 1) or numbers (standardised), and int64 [n, L] where
it has captions; every layer here takes each kind, as the space says.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from agon.layers.init import scaled_normal_
from agon.layers.sentence import Sentence
from agon.spaces import Space

Head = Literal["projection", "concat", "auxiliary", "none"]  # how a critic uses the condition


def _checked(y: Tensor | None) -> Tensor:
    if y is None:
        raise ValueError(
            "this network is conditional and got no condition; pass y, int64 [n] for classes, float [n, k] for tags or numbers."
        )
    return y


class _Table(nn.Embedding):
    def forward(self, y: Tensor | None) -> Tensor:
        return super().forward(_checked(y))


class _Map(nn.Linear):
    def forward(self, y: Tensor | None) -> Tensor:
        return super().forward(_checked(y).to(self.weight.dtype))


def embedding(space: Space, dim: int, *, scale: float | None = None) -> nn.Module | None:
    """A module from the condition y to a vector [n, dim], or None where there is nothing to tell apart.

    A row of a table for classes, a linear map without offset for tags and numbers, a recurrent network over words for captions. Entries
    start as N(0, 1), or N(0, scale²/dim) with `scale`.
    """
    if not conditioned(space):
        return None
    count = space.condition_dim
    if space.words:
        return Sentence(count, dim, scale=scale)
    if space.classes:
        table = _Table(count, dim)
        if scale is not None:
            scaled_normal_(table.weight, scale=scale)
        return table
    # The linear map sums over entries: its weights are smaller, so that vectors start as long as a table's rows.
    linear = _Map(count, dim, bias=False)
    nn.init.normal_(linear.weight, 0.0, (1.0 if scale is None else scale * dim**-0.5) * count**-0.5)
    return linear


def conditioned(space: Space) -> bool:
    """Whether the space has a condition that tells samples apart."""
    return space.condition_dim > (1 if space.classes else 0)


class JoinLabel(nn.Module):
    """z [n, d] and y → [n, d + label_dim] (Mirza & Osindero 2014, arXiv:1411.1784); the identity on z without a condition.

    loud: the embedding starts so many times as loud as an entry of z. Where a linear layer and batch normalisation follow, z must be the louder: a
    condition alone satisfies the normalisation, and what it is made louder by, z is made quieter by (docs/log.md).
    """

    def __init__(self, space: Space, label_dim: int, *, loud: float = 1.0) -> None:
        super().__init__()
        self.embedding = embedding(space, label_dim, scale=None if loud == 1.0 else loud * label_dim**0.5)
        self.extra = 0 if self.embedding is None else label_dim

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        if self.embedding is None:
            return z
        return torch.cat([z, self.embedding(y).to(z.dtype)], dim=1)


class JoinPlanes(nn.Module):
    """x [n, C, H, W] and y → [n, C + planes, H, W], the condition's embedding as constant planes; the identity without a condition."""

    def __init__(self, space: Space, planes: int) -> None:
        super().__init__()
        self.embedding = embedding(space, planes)
        self.extra = 0 if self.embedding is None else planes

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        if self.embedding is None:
            return x
        return torch.cat([x, self.embedding(y).to(x.dtype)[:, :, None, None].expand(-1, -1, *x.shape[2:])], dim=1)


class CriticHead(nn.Module):
    """The end of a critic: features h [n, d] and y → logits [n], by the chosen use of the condition.

    projection: w·h + e(y)·h (Miyato & Koyama 2018, arXiv:1802.05637, sec. 3). auxiliary: an unconditional logit beside a guess of the condition
    (`classify`; AC-GAN, Odena et al. 2017, arXiv:1610.09585). concat: the condition has joined the input (`JoinPlanes`). none: w·h alone, as
    all are where the space has no condition. `bias` is left out by default: a relativistic loss cannot see it.
    """

    def __init__(self, features: int, space: Space, head: Head = "projection", *, bias: bool = False, scale: float = 1.0) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 1, bias=bias)
        scaled_normal_(self.linear.weight, scale=scale)
        if bias:
            nn.init.zeros_(self.linear.bias)
        self.embedding = embedding(space, features, scale=scale) if head == "projection" else None
        self.guess: nn.Linear | None = None
        if head == "auxiliary" and conditioned(space):
            self.guess = nn.Linear(features, space.condition_dim)
            scaled_normal_(self.guess.weight, scale=scale)
            nn.init.zeros_(self.guess.bias)

    def forward(self, h: Tensor, y: Tensor | None = None) -> Tensor:
        logits = self.linear(h).squeeze(1)
        if self.embedding is None:
            return logits
        return logits + (self.embedding(y) * h).sum(1)

    def classify(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """(logits [n], guesses [n, k]: class logits, a logit for each tag, or the numbers). Raises ValueError without an auxiliary head."""
        if self.guess is None:
            raise ValueError("this critic does not guess conditions; build it with head='auxiliary' for a space that has some.")
        return self(h), self.guess(h)
