"""Recurrent players of sentences: an LSTM or GRU that speaks, and one that judges, whole sentences or token by token.

Hochreiter & Schmidhuber 1997, "Long Short-Term Memory"; Cho et al. 2014, arXiv:1406.1078. The sizes of SeqGAN's players (arXiv:1609.05473) are
embed 32, width 32; those of the likelihood baseline of "Language GANs Falling Short" (arXiv:1811.02549) and of ScratchGAN
(arXiv:1905.09922) are two layers of 512 with tied embeddings. The judge of single tokens is ScratchGAN's: an LSTM that has read up to the token, with its
place told by cosines.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from agon.layers.init import scaled_normal_
from agon.layers.labels import CriticHead, JoinLabel
from agon.layers.tokens import Read, TokenTable, before, mask_of
from agon.spaces.tokens import Tokens

State = tuple[Tensor, ...]  # each [n, layers, width], or the condition [n, d]


@dataclass(frozen=True, kw_only=True)
class Recurrent:
    """A recurrent speaker; see the module's text."""

    width: int = 256  # of the state
    embed: int = 128  # of a token's vector
    layers: int = 1
    cell: Literal["lstm", "gru"] = "lstm"
    tied: bool = False  # the vectors of tokens are the weights of the logits too
    dropout: float = 0.0  # of embeddings and features in training
    label_dim: int = 32  # size of the condition's embedding
    kind: Literal["rnn"] = "rnn"
    couples_samples: ClassVar[bool] = False

    def speaker(self, space: Tokens) -> nn.Module:
        return _Speaker(self, space)


class _Speaker(nn.Module):
    def __init__(self, net: Recurrent, space: Tokens) -> None:
        super().__init__()
        self.length, self.layers, self.width = space.length, net.layers, net.width
        self.embed = TokenTable(space, net.embed, scale=net.embed**-0.5 if net.tied else 1.0)
        self.join = JoinLabel(replace(space, source=None), net.label_dim)
        make = nn.LSTM if net.cell == "lstm" else nn.GRU
        self.states = 2 if net.cell == "lstm" else 1
        self.rnn = make(net.embed + self.join.extra, net.width, net.layers, batch_first=True)
        self.drop = nn.Dropout(net.dropout) if net.dropout else nn.Identity()
        self.read = Read(space, net.width, table=self.embed if net.tied else None)

    def _told(self, told: Tensor, label: Tensor) -> Tensor:
        told = self.drop(told)
        return torch.cat([told, label[:, None].expand(-1, told.shape[1], -1)], 2) if self.join.extra else told

    def _label(self, n: int, y: Tensor | None) -> Tensor:
        return self.join(self.embed.weight.new_zeros(n, 0), y)

    def hidden(self, told: Tensor, y: Tensor | None = None) -> Tensor:
        return self.drop(self.rnn(self._told(told, self._label(len(told), y)))[0])

    def begin(self, n: int, y: Tensor | None = None) -> State:
        zeros = self.embed.weight.new_zeros(n, self.layers, self.width)
        return (self._label(n, y), *[zeros] * self.states)

    def step(self, told: Tensor, state: State) -> tuple[Tensor, State]:
        label, *kept = state
        given: Any = [s.transpose(0, 1).contiguous() for s in kept]
        h, now = self.rnn(self._told(told[:, None], label), tuple(given) if self.states == 2 else given[0])
        now = now if self.states == 2 else (now,)
        return self.drop(h[:, 0]), (label, *(s.transpose(0, 1) for s in now))

    def forward(self, tokens: Tensor, y: Tensor | None = None) -> Tensor:
        return self.read(self.hidden(self.embed(before(tokens)), y))


@dataclass(frozen=True, kw_only=True)
class RecurrentCritic:
    """A recurrent judge; of whole sentences it reads both ways (GRU), of single tokens forwards (LSTM, normalised); see the module's text."""

    width: int = 256
    embed: int = 64
    places: int = 8  # cosines that tell a token's place
    dropout: float = 0.1  # of embeddings
    kind: Literal["rnn"] = "rnn"
    couples_samples: ClassVar[bool] = False

    def critic(self, space: Tokens, each: bool = False) -> nn.Module:
        return _Each(self, space) if each else _Whole(self, space)


class _Whole(nn.Module):
    def __init__(self, net: RecurrentCritic, space: Tokens) -> None:
        super().__init__()
        self.embed = TokenTable(space, net.embed)
        self.drop = nn.Dropout(net.dropout) if net.dropout else nn.Identity()
        self.rnn = nn.GRU(net.embed, net.width, batch_first=True, bidirectional=True)
        self.head = CriticHead(2 * net.width, replace(space, source=None), bias=True)

    def judge(self, e: Tensor, mask: Tensor, y: Tensor | None = None) -> Tensor:
        lengths = mask.sum(1).clamp_min(1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(self.drop(e), lengths, batch_first=True, enforce_sorted=False)
        last = self.rnn(packed)[1]  # [2, n, width]: the end of each way
        return self.head(torch.cat([last[0], last[1]], 1), y)

    def forward(self, x: Tensor, y: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        return self.judge(self.embed(x), mask_of(x, mask), y)


class _Each(nn.Module):
    cosines: Tensor

    def __init__(self, net: RecurrentCritic, space: Tokens) -> None:
        super().__init__()
        self.embed = TokenTable(space, net.embed)
        self.join = JoinLabel(replace(space, source=None), net.embed)
        self.drop = nn.Dropout(net.dropout) if net.dropout else nn.Identity()
        place = torch.arange(space.length)[:, None] / space.length
        self.register_buffer("cosines", torch.cos(math.pi * place * torch.arange(1, net.places + 1)), persistent=False)
        self.rnn = nn.LSTM(net.embed + self.join.extra + net.places, net.width, batch_first=True)
        self.norm = nn.LayerNorm(net.width)
        self.out = nn.Linear(net.width, 1)
        scaled_normal_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def judge(self, e: Tensor, mask: Tensor, y: Tensor | None = None) -> Tensor:
        n, length = e.shape[:2]
        told = [self.drop(e), self.cosines[:length].to(e.dtype).expand(n, -1, -1)]
        if self.join.extra:
            told.append(self.join(e.new_zeros(n, 0), y)[:, None].expand(-1, length, -1))
        return self.out(self.norm(self.rnn(torch.cat(told, 2))[0])).squeeze(2)

    def forward(self, x: Tensor, y: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        return self.judge(self.embed(x), mask_of(x, mask), y)
