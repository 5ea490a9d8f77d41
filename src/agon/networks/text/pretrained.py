"""Players of sentences that begin as pretrained networks: a language model that speaks, and an encoder that judges.

Radford et al. 2019 (GPT-2) and Devlin et al. 2019, "BERT", arXiv:1810.04805, are the usual ones; any of the library `transformers` will do that predicts the
next token, or encodes both ways. They come from a folder (`agon.backbones`), their vocabulary becomes that of the sentences at hand, and the run keeps
their weights and settings, so that a trained run opens without the folder.

The judge is the mean over places of what the encoder makes of a sentence behind the encoder's own first sign, and one linear layer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agon.backbones import Backbone, kept, look
from agon.errors import InputError
from agon.layers.labels import CriticHead, JoinLabel
from agon.layers.tokens import Read, TokenTable, before, longest, mask_of
from agon.spaces.tokens import PAD, Tokens


def _told(net: Any) -> None:
    """Read what the folder holds, once: the run keeps it."""
    if net.folder and (not net.told or kept(net.told)["folder"] != net.folder):
        object.__setattr__(net, "told", look(net.folder))


def _not_ready(make: Callable[[Any], Any], space: Any) -> str | None:
    """Why a player cannot be made for this space, in words; told before a run is begun."""
    if not isinstance(space, Tokens):
        return None
    try:
        make(space)
    except InputError as error:
        return str(error)
    return None


def _open(net: Any, causal: bool, longest: int) -> Backbone:
    if not net.told:
        where = "--game.net.folder" if causal else "--game.judge_net.folder"
        raise InputError(
            f"'pretrained' needs a folder with a pretrained network: {where} FOLDER (config.json, tokenizer.json, model.safetensors)."
        )
    return Backbone(net.told, causal=causal, dropout=net.dropout, layers=net.layers, longest=longest)


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """A pretrained speaker; see the module's text."""

    folder: str = ""  # config.json, tokenizer.json, model.safetensors of a network that predicts the next token
    layers: int = 0  # of the network, at most, from below; 0: all
    dropout: float = 0.1
    told: str = ""  # what the folder holds, found by itself
    kind: Literal["pretrained"] = "pretrained"
    couples_samples: ClassVar[bool] = False
    takes_source: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _told(self)

    def not_ready(self, space: Any) -> str | None:
        """Why it cannot speak here; None if it can."""
        return _not_ready(self.speaker, space)

    def speaker(self, space: Tokens) -> nn.Module:
        return _Speaker(self, space)


class _Speaker(nn.Module):
    def __init__(self, net: Pretrained, space: Tokens) -> None:
        super().__init__()
        if space.source is not None:
            raise InputError("'pretrained' speaks from no source; take the speaker 'rnn' or 'transformer' for translation and summaries.")
        self.length = space.length
        self.core = _open(net, True, space.length)
        dim = self.core.dim
        self.embed = TokenTable(space, dim, scale=dim**-0.5)
        self.join = JoinLabel(space, dim)
        self.read = Read(space, self.core.width, table=self.embed if self.core.tied else None)
        rows = (self.core.rows(space), self.core.rows(space, out=True))
        with torch.no_grad():
            for weight, begun in zip((self.embed.weight, self.read.weight), rows, strict=True):
                if begun is not None:
                    weight.copy_(begun)
        self.core.table = self.core.said = None

    def _label(self, n: int, y: Tensor | None) -> Tensor:
        """What is added to every place [n, 1, dim or 1]."""
        none = self.embed.weight.new_zeros
        return self.join(none(n, 0), y)[:, None] if self.join.extra else none(n, 1, 1)

    def hidden(self, told: Tensor, y: Tensor | None = None) -> Tensor:
        made: Tensor = self.core(told + self._label(told.shape[0], y))
        return made

    def begin(self, n: int, y: Tensor | None = None) -> Any:
        return (self._label(n, y), self.core.nothing(self.embed.weight, n))

    def step(self, told: Tensor, state: Any) -> tuple[Tensor, Any]:
        label, past = state
        h, now = self.core.step(told[:, None] + label, past)
        return h[:, 0], (label, now)

    def forward(self, tokens: Tensor, y: Tensor | None = None) -> Tensor:
        return self.read(self.hidden(self.embed(before(tokens)), y))


@dataclass(frozen=True, kw_only=True)
class PretrainedCritic:
    """A pretrained judge of whole sentences; see the module's text."""

    folder: str = ""  # config.json, tokenizer.json, model.safetensors of an encoder
    layers: int = 0  # of the network, at most, from below; 0: all
    dropout: float = 0.1
    told: str = ""  # what the folder holds, found by itself
    kind: Literal["pretrained"] = "pretrained"
    couples_samples: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _told(self)

    def not_ready(self, space: Any) -> str | None:
        """Why it cannot judge here; None if it can."""
        return _not_ready(self.critic, space)

    def critic(self, space: Tokens, each: bool = False) -> nn.Module:
        if each:
            raise InputError(
                "'pretrained' judges whole sentences; this game judges each token: take the critic 'rnn', 'transformer' or 'cnn'."
            )
        return _Critic(self, space)


class _Critic(nn.Module):
    def __init__(self, net: PretrainedCritic, space: Tokens) -> None:
        super().__init__()
        self.core = _open(net, False, space.length + 1)
        self.embed = TokenTable(space, self.core.dim, scale=self.core.dim**-0.5)
        self.head = CriticHead(self.core.width, replace(space, source=None), bias=True)
        begun = self.core.rows(space)
        if begun is not None:
            with torch.no_grad():
                self.embed.weight.copy_(begun)
        self.core.table = None

    def judge(self, e: Tensor, mask: Tensor, y: Tensor | None = None) -> Tensor:
        most = longest(mask)
        first = self.embed.weight[PAD].to(e.dtype).expand(len(e), 1, -1)
        there = F.pad(mask[:, :most], (1, 0), value=True)
        h = self.core(torch.cat([first, e[:, :most]], 1), there)
        return self.head((h * there[..., None]).sum(1) / there.sum(1, keepdim=True), y)

    def forward(self, x: Tensor, y: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        return self.judge(self.embed(x), mask_of(x, mask), y)
