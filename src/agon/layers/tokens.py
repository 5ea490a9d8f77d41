"""What networks of sentences share: embeddings of whole and soft tokens, masks, what can be said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

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

    def score(self, h: Tensor, tokens: Tensor, smoothing: float = 0.0) -> Tensor:
        """log softmax at tokens int64 [m] of features [m, d]: float32 [m]. The logits of all are never there at once.

        smoothing: share ε of the mean of log softmax over all that can be said instead (Szegedy et al. 2016, arXiv:1512.00567): its logits'
        mean is the logit of the mean weights, so it costs one column more.
        """
        h = (h if self.bridge is None else self.bridge(h)).float()
        weight, bias = self.weight.float(), (self.bias + self.ban).float()
        said: Tensor = Score.apply(h, weight, bias, tokens)
        if not smoothing:
            return said
        whole = (h * weight[tokens]).sum(1) + bias[tokens] - said  # the logarithm of the normaliser
        share = (self.ban == 0).float() / (self.ban == 0).sum()
        return (1 - smoothing) * said + smoothing * (h @ (share @ weight) + share @ bias - whole)


class Score(torch.autograd.Function):
    """(h [m, d], W [V, d], b [V], tokens [m]) → log softmax(W h + b) at the tokens [m], in blocks that stay in a processor's cache.

    Only the normalisers are kept; backward makes the logits again, which costs one product more and saves every pass of memory over [m, V].
    """

    @staticmethod
    def forward(context: Any, h: Tensor, weight: Tensor, bias: Tensor, tokens: Tensor) -> Tensor:
        level, said = h.new_empty(len(h)), h.new_empty(len(h))
        one = h.new_ones(len(h), 1)
        # The bias is one column more of the weights, and in backward the normaliser another: products are cheaper than passes over [m, V].
        features, table = torch.cat([h, one], 1), torch.cat([weight, bias[:, None]], 1).T.contiguous()
        for part, room in _blocks(len(h), len(weight), h):
            logits = torch.mm(features[part], table, out=room)
            said[part] = logits.gather(1, tokens[part, None])[:, 0]
            most = logits.amax(1, keepdim=True)
            level[part] = logits.sub_(most).exp_().sum(1).log_().add_(most[:, 0])
        context.save_for_backward(h, weight, bias, tokens, level)
        return said - level

    @staticmethod
    def backward(context: Any, *slopes: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        h, weight, bias, tokens, level = context.saved_tensors
        slope = slopes[0][:, None]
        to_h, to_table = torch.empty_like(h), weight.new_zeros(len(weight), weight.shape[1] + 1)
        one = h.new_ones(len(h), 1)
        features, table = (
            torch.cat([h, one, -level[:, None]], 1),
            torch.cat([weight, bias[:, None], torch.ones_like(bias)[:, None]], 1).T.contiguous(),
        )
        sloped = slope * features[:, :-1]
        for part, room in _blocks(len(h), len(weight), h):
            shares = torch.mm(features[part], table, out=room).exp_()
            torch.mm(shares, weight, out=to_h[part])
            to_table.addmm_(shares.T, sloped[part], alpha=-1)
        to_h = slope * (weight[tokens] - to_h)
        to_table.index_add_(0, tokens, sloped)
        return to_h, to_table[:, :-1], to_table[:, -1], None


def _blocks(count: int, width: int, like: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Slices of rows, and room for `width` numbers a row: about 1 MB on a processor, 256 MB on others."""
    size = max(8, 2 ** (18 if like.device.type == "cpu" else 26) // width)
    room = like.new_empty(min(size, count), width)
    for low in range(0, count, size):
        yield slice(low, min(low + size, count)), room[: min(size, count - low)]


def before(tokens: Tensor) -> Tensor:
    """What is read before each token: int64 [n, L] moved on by one, PAD first."""
    return F.pad(tokens[:, :-1], (1, 0), value=PAD)


def longest(mask: Tensor) -> int:
    """How many places bool [n, L] the longest sentence takes, at least 1."""
    return max(1, int(mask.any(0).sum()))


def mean_of(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over each sentence's tokens [n] of values [n, L]; what stands at padding does not matter."""
    return torch.where(mask, values, 0.0).sum(1) / mask.sum(1).clamp_min(1)


def mask_of(x: Tensor, mask: Tensor | None = None) -> Tensor:
    """The mask that comes with soft tokens, or that of whole ones. Raises ValueError for soft tokens without one."""
    if mask is not None:
        return mask
    if x.is_floating_point():
        raise ValueError("soft tokens do not tell where they end; pass mask, bool [n, L].")
    return real(x)
