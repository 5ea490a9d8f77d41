"""Recurrent players of sentences: an LSTM or GRU that speaks, and one that judges, whole sentences or token by token.

Hochreiter & Schmidhuber 1997, "Long Short-Term Memory"; Cho et al. 2014, arXiv:1406.1078. The sizes of SeqGAN's players (arXiv:1609.05473) are
embed 32, width 32; those of the likelihood baseline of "Language GANs Falling Short" (arXiv:1811.02549) and of ScratchGAN
(arXiv:1905.09922) are two layers of 512 with tied embeddings. The judge of single tokens is ScratchGAN's: an LSTM that has read up to the token, with its
place told by cosines.

A source is read both ways and attended to by the bilinear form of Luong et al. 2015, "Effective Approaches to Attention-based Neural Machine
Translation", arXiv:1508.04025. With `copy` a word is also taken from the source where attention looks, mixed by a gate with the words of the
vocabulary (See et al. 2017, pointer-generator, arXiv:1704.04368).

*Differs*: what was attended to is not fed to the next step, so that all steps of a known sentence are one call; no coverage.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from agon.errors import InputError
from agon.layers.init import scaled_normal_
from agon.layers.labels import CriticHead, JoinLabel
from agon.layers.recurrent import BothWays
from agon.layers.tokens import NEVER, Read, TokenTable, before, longest, mask_of
from agon.spaces.tokens import Tokens, real

State = tuple[Any, ...]  # the condition [n, d], states each [n, layers, width], and what was read of a source


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
    copy: bool = False  # words may be taken from the source, which shares the vocabulary
    kind: Literal["rnn"] = "rnn"
    couples_samples: ClassVar[bool] = False
    takes_source: ClassVar[bool] = True

    def speaker(self, space: Tokens) -> nn.Module:
        if self.copy and space.source is None:
            raise InputError("copying takes words from a source, and these sentences have none; set copy to false, or give pairs of text.")
        if self.copy and space.source and (space.source.tokenizer, space.source.vocabulary) != (space.tokenizer, space.vocabulary):
            raise InputError("copying needs one tokeniser for source and target; add --shared true, or set copy to false.")
        return _Speaker(self, space)


class _Reader(nn.Module):
    """Sources [n, S] read both ways: states [n, S, width], keys of attention, and where there is a word."""

    def __init__(self, net: Recurrent, space: Tokens) -> None:
        super().__init__()
        self.embed = TokenTable(space, net.embed)
        self.drop = nn.Dropout(net.dropout) if net.dropout else nn.Identity()
        make = nn.LSTM if net.cell == "lstm" else nn.GRU
        self.rnn = BothWays(make, net.embed, net.width - net.width // 2)
        self.out = nn.Linear(2 * (net.width - net.width // 2), net.width)
        self.key = nn.Linear(net.width, net.width, bias=False)

    def forward(self, y: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(states, keys, bool [n, S], tokens), S the longest source's length."""
        if y is None:
            raise ValueError("this network speaks from a source sentence and got none; pass y, int64 [n, L].")
        y = y[:, : longest(real(y))]
        mask = real(y) | (torch.arange(y.shape[1], device=y.device) == 0)  # an empty source is one padding, so that attention has a place
        states = self.out(self.drop(self.rnn(self.drop(self.embed(y)), mask.sum(1)))).tanh()
        return states, self.key(states), mask, y


class _Copy(nn.Module):
    """Features [..., width + 1 + 2S] (of the words, the gate, attention and the source's tokens) → log probabilities [..., V]."""

    def __init__(self, words: Read, width: int) -> None:
        super().__init__()
        self.words, self.width = words, width

    def score(self, h: Tensor, tokens: Tensor, smoothing: float = 0.0) -> Tensor:
        """As `Read.score`; what is smoothed is the vocabulary's part."""
        said = self(h).gather(1, tokens[:, None])[:, 0]
        # score(·, 1) of any token is the mean over all.
        return (1 - smoothing) * said + smoothing * self.words.score(h[:, : self.width], tokens, 1.0) if smoothing else said

    def forward(self, h: Tensor) -> Tensor:
        known, gate, rest = h[..., : self.width], h[..., self.width : self.width + 1], h[..., self.width + 1 :]
        attention, tokens = rest.float().chunk(2, -1)
        own = self.words(known).float().log_softmax(-1).exp()
        taken = torch.zeros_like(own).scatter_add(-1, tokens.long(), attention)
        mixed = torch.lerp(taken, own, gate.float().sigmoid())
        return mixed.clamp_min(torch.finfo(mixed.dtype).tiny).log() + self.words.ban


class _Speaker(nn.Module):
    def __init__(self, net: Recurrent, space: Tokens) -> None:
        super().__init__()
        self.length, self.layers, self.width = space.length, net.layers, net.width
        self.embed = TokenTable(space, net.embed, scale=net.embed**-0.5 if net.tied else 1.0)
        self.join = JoinLabel(replace(space, source=None), net.label_dim)
        self.encode = _Reader(net, space.source) if space.source else None
        if self.encode is not None:
            self.begun = nn.Linear(net.width, net.layers * net.width)
            self.mix = nn.Linear(2 * net.width, net.width)
        self.gate = nn.Linear(net.width, 1) if net.copy else None
        make = nn.LSTM if net.cell == "lstm" else nn.GRU
        self.states = 2 if net.cell == "lstm" else 1
        self.rnn = make(net.embed + self.join.extra, net.width, net.layers, batch_first=True)
        self.drop = nn.Dropout(net.dropout) if net.dropout else nn.Identity()
        words = Read(space, net.width, table=self.embed if net.tied else None)
        self.read = _Copy(words, net.width) if net.copy else words

    def _told(self, told: Tensor, label: Tensor) -> Tensor:
        told = self.drop(told)
        return torch.cat([told, label[:, None].expand(-1, told.shape[1], -1)], 2) if self.join.extra else told

    def _label(self, n: int, y: Tensor | None) -> Tensor:
        return self.join(self.embed.weight.new_zeros(n, 0), y)

    def hidden(self, told: Tensor, y: Tensor | None = None) -> Tensor:
        return self._run(told, self.begin(told.shape[0], y))[0]

    def begin(self, n: int, y: Tensor | None = None) -> State:
        zeros = self.embed.weight.new_zeros(n, self.layers, self.width)
        if self.encode is None:
            return (self._label(n, y), [zeros] * self.states, None)
        memory = self.encode(y)
        states, _, mask, _ = memory
        mean = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        first = self.begun(mean).tanh().unflatten(1, (self.layers, self.width))
        return (self._label(n, None), [first, zeros][: self.states], memory)

    def step(self, told: Tensor, state: State) -> tuple[Tensor, State]:
        h, now = self._run(told[:, None], state)
        return h[:, 0], now

    def reorder(self, state: State, rows: Tensor) -> State:
        """The state of other sentences of the same sources."""
        label, kept, memory = state
        return (label, [s[rows] for s in kept], memory)

    def _run(self, told: Tensor, state: State) -> tuple[Tensor, State]:
        h, now = self._states(told, state)
        return self._attended(h, now[2]), now

    def _states(self, told: Tensor, state: State) -> tuple[Tensor, State]:
        """States [n, T, width] before they look at the source, and the next state."""
        label, kept, memory = state
        given: Any = [s.transpose(0, 1).contiguous() for s in kept]
        h, now = self.rnn(self._told(told, label), tuple(given) if self.states == 2 else given[0])
        now = now if self.states == 2 else (now,)
        return h, (label, [s.transpose(0, 1) for s in now], memory)

    def _attended(self, h: Tensor, memory: Any) -> Tensor:
        """Features [n, T, d] of states [n, T, width] that have looked at the source."""
        if memory is None:
            return self.drop(h)
        states, _, _, tokens = memory
        attention = self._shares(h, memory)
        h = self.drop(self.mix(torch.cat([h, attention @ states], 2)).tanh())
        if self.gate is None:
            return h
        # Numbers of tokens are exact in 32 bits; of fewer they would not be.
        return torch.cat([h.float(), self.gate(h).float(), attention.float(), tokens[:, None].expand_as(attention).float()], 2)

    def _shares(self, h: Tensor, memory: Any) -> Tensor:
        """How states [n, T, width] share their attention among the places of the source, [n, T, S]."""
        _, keys, mask, _ = memory
        return torch.where(mask[:, None], h @ keys.transpose(1, 2) * self.width**-0.5, NEVER).softmax(2)

    def looks(self, tokens: Tensor, y: Tensor) -> Tensor:
        """Where it looked in the source at each token: shares [n, L, S] that sum to 1."""
        h, (_, _, memory) = self._states(self.embed(before(tokens)), self.begin(tokens.shape[0], y))
        return self._shares(h, memory)

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
        self.rnn = BothWays(nn.GRU, net.embed, net.width)
        self.head = CriticHead(2 * net.width, replace(space, source=None), bias=True)

    def judge(self, e: Tensor, mask: Tensor, y: Tensor | None = None) -> Tensor:
        long = longest(mask)
        return self.head(self.rnn.ends(self.drop(e[:, :long]), mask.sum(1).clamp_min(1)), y)

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
