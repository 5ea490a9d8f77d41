"""Class conditioning: an embedding joined to the noise of a generator, a projection in a critic."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from agon.layers.init import scaled_normal_


def _checked(y: Tensor | None) -> Tensor:
    if y is None:
        raise ValueError("this network is class-conditional and got no labels; pass y, a LongTensor of shape [n].")
    return y


class JoinLabel(nn.Module):
    """z [n, d] and y [n] → [n, d + label_dim]; the identity on z when there are no classes."""

    def __init__(self, num_classes: int, label_dim: int) -> None:
        super().__init__()
        # One class to tell apart is none: an unlabelled folder and a folder with one sub-folder train alike.
        self.extra = label_dim if num_classes > 1 else 0
        self.embedding = nn.Embedding(num_classes, label_dim) if self.extra else None

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        if self.embedding is None:
            return z
        return torch.cat([z, self.embedding(_checked(y)).to(z.dtype)], dim=1)


class ProjectionHead(nn.Module):
    """Features h [n, d] and y [n] → logits [n]: w·h + e(y)·h (Miyato & Koyama 2018, arXiv:1802.05637, eq. 3).

    Without classes it is the linear map w·h alone. `bias` is left out by default: a relativistic loss cannot see it.
    """

    def __init__(self, features: int, num_classes: int, *, bias: bool = False, scale: float = 1.0) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 1, bias=bias)
        scaled_normal_(self.linear.weight, scale=scale)
        if bias:
            nn.init.zeros_(self.linear.bias)
        self.embedding = nn.Embedding(num_classes, features) if num_classes > 1 else None
        if self.embedding is not None:
            scaled_normal_(self.embedding.weight, scale=scale)

    def forward(self, h: Tensor, y: Tensor | None = None) -> Tensor:
        logits = self.linear(h).squeeze(1)
        if self.embedding is None:
            return logits
        return logits + (self.embedding(_checked(y)) * h).sum(1)
