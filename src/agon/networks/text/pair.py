"""A judge of pairs: reads what a text was made from and the text, whole or token by token.

The source goes through an encoder, and every place of the text attends to it (Vaswani et al. 2017, arXiv:1706.03762). The critics of the papers this
serves are convolutions over a table of both sentences (Wu et al. 2017, arXiv:1704.06933) or over each by itself (Yang et al. 2018, arXiv:1703.04887); here
a word of the text meets the words it stands for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from agon.errors import InputError
from agon.layers.init import scaled_normal_
from agon.layers.tokens import TokenTable, longest, mask_of
from agon.networks.text.transformer import Block, Encoder, attended
from agon.spaces.tokens import Tokens, real


@dataclass(frozen=True, kw_only=True)
class PairCritic:
    """A judge of a text beside its source; see the module's text."""

    width: int = 64
    heads: int = 4
    layers: int = 1  # of the source's reader, and of the text's
    dropout: float = 0.1
    kind: Literal["pair"] = "pair"
    couples_samples: ClassVar[bool] = False
    takes_source: ClassVar[bool] = True

    def critic(self, space: Tokens, each: bool = False) -> nn.Module:
        if space.source is None:
            raise InputError(f"'pair' judges a text beside its source, and the data are {space.describe()}; take another critic.")
        return _Critic(self, space, space.source, each)


class _Critic(nn.Module):
    def __init__(self, net: PairCritic, space: Tokens, source: Tokens, each: bool) -> None:
        super().__init__()
        self.each, self.scale = each, net.width**0.5
        self.encode = Encoder(source, net.width, net.heads, net.layers, net.dropout)
        self.embed = TokenTable(space, net.width, scale=net.width**-0.5)
        self.place = nn.Parameter(scaled_normal_(torch.empty(space.length, net.width), fan_in=net.width))
        self.blocks = nn.ModuleList(Block(net.width, net.heads, net.dropout, memory=True) for _ in range(net.layers))
        self.norm = nn.LayerNorm(net.width)
        self.head = nn.Linear(net.width, 1)
        scaled_normal_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def judge(self, e: Tensor, mask: Tensor, y: Tensor | None = None) -> Tensor:
        if y is None:
            raise ValueError("this network judges a text beside its source and got none; pass y, int64 [n, L].")
        length, most = mask.shape[1], longest(mask)
        y, mask = y[:, : longest(real(y))], mask[:, :most]
        read, there = self.encode(y, real(y)), attended(real(y))
        h = self.scale * (e[:, :most] + self.place[:most].to(e.dtype))
        for block in self.blocks:
            memory = block.other.offered(read)  # type: ignore[union-attr,operator]
            h = block(h, mask=None if self.each else attended(mask), causal=self.each, memory=memory, there=there)
        h = self.norm(h)
        if self.each:
            return nn.functional.pad(self.head(h).squeeze(2), (0, length - most))
        return self.head((h * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp_min(1)).squeeze(1)

    def forward(self, x: Tensor, y: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        return self.judge(self.embed(x), mask_of(x, mask), y)
