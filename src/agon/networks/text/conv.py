"""The convolutional judge of sentences that SeqGAN and its descendants use.

Kim 2014, "Convolutional Neural Networks for Sentence Classification", arXiv:1408.5882: filters of several widths over the embedded tokens, the
largest answer of each, one linear layer. Yu et al. 2017 (SeqGAN), arXiv:1609.05473: a highway layer before it (Srivastava et al. 2015, arXiv:1505.00387).

*Differs*: windows end where the sentence ends; padding is not seen. The filters of all widths are one matrix product over unfolded windows where
that is quicker on processors. For judging single tokens take "rnn" or "transformer".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agon.errors import InputError
from agon.layers.labels import CriticHead
from agon.layers.tokens import NEVER, TokenTable, mask_of
from agon.spaces.tokens import Tokens


@dataclass(frozen=True, kw_only=True)
class ConvCritic:
    """Filters of several widths and a highway layer; see the module's text."""

    embed: int = 64
    widths: tuple[int, ...] = (1, 2, 3, 4, 5)  # tokens a filter sees
    filters: int = 100  # of each width
    dropout: float = 0.25  # before the last layer
    kind: Literal["cnn"] = "cnn"
    couples_samples: ClassVar[bool] = False

    def critic(self, space: Tokens, each: bool = False) -> nn.Module:
        if each:
            raise InputError("'cnn' judges whole sentences; this game judges each token: take the critic 'rnn' or 'transformer'.")
        return _Critic(self, space)


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
        h = torch.cat(found, 1)
        gate = self.carry(h).sigmoid()
        return gate * F.relu(self.change(h)) + (1 - gate) * h


class _Critic(nn.Module):
    def __init__(self, net: ConvCritic, space: Tokens) -> None:
        super().__init__()
        self.embed = TokenTable(space, net.embed)
        self.look = Windows(net.embed, net.widths, net.filters, space.length)
        self.drop = nn.Dropout(net.dropout) if net.dropout else nn.Identity()
        self.head = CriticHead(self.look.features, replace(space, source=None), bias=True)

    def judge(self, e: Tensor, mask: Tensor, y: Tensor | None = None) -> Tensor:
        return self.head(self.drop(self.look(e, mask)), y)

    def forward(self, x: Tensor, y: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        return self.judge(self.embed(x), mask_of(x, mask), y)
