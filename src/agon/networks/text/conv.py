"""The convolutional judge of sentences that SeqGAN and its descendants use.

Kim 2014, "Convolutional Neural Networks for Sentence Classification", arXiv:1408.5882: filters of several widths over the embedded tokens, the
largest answer of each, one linear layer. Yu et al. 2017 (SeqGAN), arXiv:1609.05473: a highway layer before it (Srivastava et al. 2015, arXiv:1505.00387).

*Differs*: windows end where the sentence ends; padding is not seen. Judging each token, windows end at it, those near the beginning reach
before it into nothing, and the largest answer is that of the windows so far, so that a logit knows its whole prefix and nothing behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agon.layers.labels import CriticHead
from agon.layers.tokens import NEVER, TokenTable, mask_of
from agon.spaces.tokens import Tokens


@dataclass(frozen=True, kw_only=True)
class ConvCritic:
    """Filters of several widths and a highway layer, of whole sentences or with `each` of every token; see the module's text."""

    embed: int = 64
    widths: tuple[int, ...] = (1, 2, 3, 4, 5)  # tokens a filter sees
    filters: int = 100  # of each width
    dropout: float = 0.25  # before the last layer
    kind: Literal["cnn"] = "cnn"
    couples_samples: ClassVar[bool] = False

    def critic(self, space: Tokens, each: bool = False) -> nn.Module:
        return _Critic(self, space, each)


class Windows(nn.Module):
    """What filters of several widths find anywhere in a sentence: embeddings [n, L, e] and mask → [n, d], through a highway layer."""

    def __init__(self, embed: int, widths: Sequence[int], filters: int, length: int) -> None:
        super().__init__()
        self.widths = [width for width in widths if width <= length]
        self.convs = nn.ModuleList(nn.Conv1d(embed, filters, width) for width in self.widths)
        self.features = filters * len(self.widths)
        self.carry, self.change = nn.Linear(self.features, self.features), nn.Linear(self.features, self.features)

    def forward(self, e: Tensor, mask: Tensor) -> Tensor:
        e = torch.where(mask[..., None], e, 0.0).transpose(1, 2)
        lengths = mask.sum(1, keepdim=True)
        found = []
        for width, conv in zip(self.widths, self.convs, strict=True):
            seen = F.relu(conv(e))
            place = torch.arange(seen.shape[2], device=e.device)
            # A window belongs to the sentence if it begins in it; a sentence shorter than the window has the first one.
            inside = place[None] < (lengths - width + 1).clamp_min(1)
            found.append(torch.where(inside[:, None], seen, NEVER).amax(2))
        return self._mixed(torch.cat(found, 1))

    def each(self, e: Tensor, mask: Tensor) -> Tensor:
        """What they find up to and with each token: [n, L, d], at t from e[:, : t + 1] alone."""
        e = torch.where(mask[..., None], e, 0.0).transpose(1, 2)
        pairs = zip(self.widths, self.convs, strict=True)
        return self._mixed(torch.cat([F.relu(conv(F.pad(e, (width - 1, 0)))).cummax(2).values for width, conv in pairs], 1).transpose(1, 2))

    def _mixed(self, h: Tensor) -> Tensor:
        """The highway layer on features [..., d]."""
        gate = self.carry(h).sigmoid()
        return gate * F.relu(self.change(h)) + (1 - gate) * h


class _Critic(nn.Module):
    def __init__(self, net: ConvCritic, space: Tokens, each: bool) -> None:
        super().__init__()
        self.each = each
        self.embed = TokenTable(space, net.embed)
        self.look = Windows(net.embed, net.widths, net.filters, space.length)
        self.drop = nn.Dropout(net.dropout) if net.dropout else nn.Identity()
        self.head = CriticHead(self.look.features, replace(space, source=None), bias=True)

    def judge(self, e: Tensor, mask: Tensor, y: Tensor | None = None) -> Tensor:
        if not self.each:
            return self.head(self.drop(self.look(e, mask)), y)
        n, length = mask.shape
        h = self.drop(self.look.each(e, mask)).flatten(0, 1)
        return self.head(h, None if y is None else y.repeat_interleave(length, 0)).unflatten(0, (n, length))

    def forward(self, x: Tensor, y: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        return self.judge(self.embed(x), mask_of(x, mask), y)
