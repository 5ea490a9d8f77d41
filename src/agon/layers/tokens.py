"""What networks of sentences share: embeddings of whole and soft tokens, masks, what can be said."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agon.layers.init import scaled_normal_
from agon.spaces.tokens import END, FIRST, PAD, Tokens, real

NEVER = -1e4  # the logit of what cannot be said: its probability is exactly 0, and products with it stay finite


class TokenTable(nn.Embedding):
    """A table [V, dim], started as N(0, scale²), that also takes soft tokens: float [..., V] → the mixture of its rows."""

    def __init__(self, space: Tokens, dim: int, *, scale: float = 1.0) -> None:
        super().__init__(space.vocabulary, dim)
        scaled_normal_(self.weight, scale=scale, fan_in=1)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight.to(x.dtype) if x.is_floating_point() else super().forward(x)


class Read(nn.Module):
    """Features [..., d] → logits [..., V], NEVER at padding, and at the end and the unknown word in a language that has none.

    table: an embedding [V, e] to be used as the weights too, behind a map from d to e where these differ (Press & Wolf 2017, arXiv:1608.05859).
    """

    ban: Tensor

    def __init__(self, space: Tokens, features: int, *, table: TokenTable | None = None) -> None:
        super().__init__()
        size = space.vocabulary
        self.bridge = None if table is None or table.embedding_dim == features else nn.Linear(features, table.embedding_dim, bias=False)
        self.weight = nn.Parameter(scaled_normal_(torch.empty(size, features))) if table is None else table.weight
        self.bias = nn.Parameter(torch.zeros(size))
        ban = torch.zeros(size)
        ban[PAD] = NEVER
        if not space.ends:
            ban[END:FIRST] = NEVER
        self.register_buffer("ban", ban, persistent=False)

    def forward(self, h: Tensor) -> Tensor:
        h = h if self.bridge is None else self.bridge(h)
        return F.linear(h, self.weight.to(h.dtype), (self.bias + self.ban).to(h.dtype))


def before(tokens: Tensor) -> Tensor:
    """What is read before each token: int64 [n, L] moved on by one, PAD first."""
    return F.pad(tokens[:, :-1], (1, 0), value=PAD)


def mask_of(x: Tensor, mask: Tensor | None = None) -> Tensor:
    """The mask that comes with soft tokens, or that of whole ones. Raises ValueError for soft tokens without one."""
    if mask is not None:
        return mask
    if x.is_floating_point():
        raise ValueError("soft tokens do not tell where they end; pass mask, bool [n, L].")
    return real(x)
