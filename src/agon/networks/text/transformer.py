"""Transformer players of sentences: one that speaks, with cached keys and values, from a source sentence if there is one, and one that judges.

Vaswani et al. 2017, "Attention Is All You Need", arXiv:1706.03762. Normalisation comes before each part (Xiong et al. 2020, arXiv:2002.04745), so that
no warm-up is needed; places are learnt vectors; the source's padding is never attended to.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agon.layers.init import scaled_normal_
from agon.layers.labels import CriticHead, JoinLabel
from agon.layers.tokens import Read, TokenTable, before, longest, mask_of
from agon.spaces.tokens import Tokens, real


@dataclass(frozen=True, kw_only=True)
class Transformer:
    """A speaker, and an encoder where there is a source; see the module's text."""

    width: int = 128
    heads: int = 4
    layers: int = 2  # of the speaker, and of the encoder
    dropout: float = 0.1
    tied: bool = True  # the vectors of tokens are the weights of the logits too
    kind: Literal["transformer"] = "transformer"
    couples_samples: ClassVar[bool] = False
    takes_source: ClassVar[bool] = True

    def speaker(self, space: Tokens) -> nn.Module:
        return _Speaker(self, space)


class Attention(nn.Module):
    """Attention of x [n, L, width] to itself or to `memory`, by several heads."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.ask, self.offer, self.out = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)
        for layer in (self.ask, self.offer, self.out):
            scaled_normal_(layer.weight)
            nn.init.zeros_(layer.bias)

    def offered(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [n, T, heads, width / heads] of what is attended to."""
        k, v = self.offer(memory).chunk(2, 2)
        return k.unflatten(2, (self.heads, -1)), v.unflatten(2, (self.heads, -1))

    def shares(self, x: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        """How places of x share their attention among those that `keys` are of: [n, L, T], the mean of the heads."""
        q, k = self.ask(x).unflatten(2, (self.heads, -1)).transpose(1, 2), keys.transpose(1, 2)
        found = (q @ k.transpose(2, 3) * q.shape[-1] ** -0.5).masked_fill(~mask, -torch.inf).softmax(3)
        return found.mean(1)

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, *, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        q = self.ask(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
        seen = F.scaled_dot_product_attention(
            q, keys.transpose(1, 2), values.transpose(1, 2), attn_mask=mask, is_causal=causal, dropout_p=self.dropout if self.training else 0.0
        )  # fmt: skip
        return self.out(seen.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Self-attention, attention to a memory if there is one, and a perceptron."""

    def __init__(self, width: int, heads: int, dropout: float, *, memory: bool = False) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3 if memory else 2))
        self.own = Attention(width, heads, dropout)
        self.other = Attention(width, heads, dropout) if memory else None
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        for layer in (self.up, self.down):
            scaled_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.drop = nn.Dropout(dropout) if dropout else nn.Identity()

    def finish(self, x: Tensor, memory: tuple[Tensor, Tensor] | None, there: Tensor | None) -> Tensor:
        """What follows self-attention."""
        if self.other is not None:
            assert memory is not None
            x = x + self.drop(self.other(self.norms[1](x), *memory, mask=there))
        return x + self.drop(self.down(F.gelu(self.up(self.norms[-1](x)))))

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, causal: bool = False, memory: tuple[Tensor, Tensor] | None = None, there: Tensor | None = None
    ) -> Tensor:  # fmt: skip
        h = self.norms[0](x)
        x = x + self.drop(self.own(h, *self.own.offered(h), mask=mask, causal=causal))
        return self.finish(x, memory, there)


def attended(mask: Tensor) -> Tensor:
    """Which of a sentence's places may be attended to, bool [n, 1, 1, L]; of an empty one the first, so that no row of a softmax is empty."""
    first = torch.arange(mask.shape[1], device=mask.device) == 0
    return (mask | first)[:, None, None]


class Encoder(nn.Module):
    """Sentences as vectors [n, L, width], each place seeing all others; places and tokens embedded."""

    def __init__(self, space: Tokens, width: int, heads: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.embed = TokenTable(space, width, scale=width**-0.5)
        self.place = nn.Parameter(scaled_normal_(torch.empty(space.length, width), fan_in=width))
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.scale = width**0.5

    def read(self, e: Tensor, mask: Tensor) -> Tensor:
        """Embeddings [n, L, width] → [n, L, width]."""
        h = self.scale * (e + self.place[: e.shape[1]].to(e.dtype))
        there = attended(mask)
        for block in self.blocks:
            h = block(h, mask=there)
        return self.norm(h)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.read(self.embed(x), mask)


class _Speaker(nn.Module):
    def __init__(self, net: Transformer, space: Tokens) -> None:
        super().__init__()
        self.length, self.width, self.heads, self.scale = space.length, net.width, net.heads, net.width**0.5
        self.embed = TokenTable(space, net.width, scale=net.width**-0.5)
        self.place = nn.Parameter(scaled_normal_(torch.empty(space.length, net.width), fan_in=net.width))
        self.join = JoinLabel(replace(space, source=None), net.width)
        self.encode = Encoder(space.source, net.width, net.heads, net.layers, net.dropout) if space.source else None
        self.blocks = nn.ModuleList(Block(net.width, net.heads, net.dropout, memory=self.encode is not None) for _ in range(net.layers))
        self.norm = nn.LayerNorm(net.width)
        self.drop = nn.Dropout(net.dropout) if net.dropout else nn.Identity()
        self.read = Read(space, net.width, table=self.embed if net.tied else None)

    def _label(self, n: int, y: Tensor | None) -> Tensor:
        """What is added to every place [n, 1, width or 0]."""
        return self.join(self.embed.weight.new_zeros(n, 0), y)[:, None] if self.join.extra else self.embed.weight.new_zeros(n, 1, 1)

    def memory(self, y: Tensor | None) -> tuple[list[tuple[Tensor, Tensor]], Tensor | None]:
        """Keys and values of the source for each block, and which of its places there are; ([], None) without a source."""
        if self.encode is None:
            return [], None
        if y is None:
            raise ValueError("this network speaks from a source sentence and got none; pass y, int64 [n, L].")
        y = y[:, : longest(real(y))]
        mask = real(y)
        h = self.encode(y, mask)
        return [block.other.offered(h) for block in self.blocks], attended(mask)  # type: ignore[union-attr,operator]

    def hidden(self, told: Tensor, y: Tensor | None = None) -> Tensor:
        memory, there = self.memory(y)
        h = self.drop(
            self.scale * (told + self.place[: told.shape[1]].to(told.dtype))
            + self._label(told.shape[0], y if self.encode is None else None)
        )
        for k, block in enumerate(self.blocks):
            h = block(h, causal=True, memory=memory[k] if memory else None, there=there)
        return self.norm(h)

    def begin(self, n: int, y: Tensor | None = None) -> Any:
        none = self.embed.weight.new_zeros(n, 0, self.heads, self.width // self.heads)
        memory, there = self.memory(y)
        return (self._label(n, y if self.encode is None else None), [(none, none) for _ in self.blocks], memory, there)

    def step(self, told: Tensor, state: Any) -> tuple[Tensor, Any]:
        label, past, memory, there = state
        place = past[0][0].shape[1]
        h = self.drop(self.scale * (told + self.place[place].to(told.dtype))[:, None] + label)
        now = []
        for k, (block, (keys, values)) in enumerate(zip(self.blocks, past, strict=True)):
            seen = block.norms[0](h)  # type: ignore[index,operator]
            fresh_k, fresh_v = block.own.offered(seen)  # type: ignore[union-attr,operator]
            keys, values = torch.cat([keys, fresh_k], 1), torch.cat([values, fresh_v], 1)
            now.append((keys, values))
            h = h + block.drop(block.own(seen, keys, values))  # type: ignore[operator]
            h = block.finish(h, memory[k] if memory else None, there)  # type: ignore[operator]
        return self.norm(h)[:, 0], (label, now, memory, there)

    def reorder(self, state: Any, rows: Tensor) -> Any:
        """The state of other sentences of the same sources."""
        label, past, memory, there = state
        return (label, [(keys[rows], values[rows]) for keys, values in past], memory, there)

    def looks(self, tokens: Tensor, y: Tensor) -> Tensor:
        """Where its last layer looked in the source at each token: shares [n, L, S] that sum to 1."""
        caught: list[Any] = []
        other: Any = self.blocks[-1].other
        hook = other.register_forward_pre_hook(lambda _, given, named: caught.append((*given, named["mask"])), with_kwargs=True)
        try:
            self.hidden(self.embed(before(tokens)), y)
        finally:
            hook.remove()
        x, keys, _, mask = caught[0]
        return other.shares(x, keys, mask)

    def forward(self, tokens: Tensor, y: Tensor | None = None) -> Tensor:
        return self.read(self.hidden(self.embed(before(tokens)), y))


@dataclass(frozen=True, kw_only=True)
class TransformerCritic:
    """A judge: the mean over the places of an encoder, or with `each` every place of a causal one; see the module's text."""

    width: int = 128
    heads: int = 4
    layers: int = 2
    dropout: float = 0.1
    kind: Literal["transformer"] = "transformer"
    couples_samples: ClassVar[bool] = False

    def critic(self, space: Tokens, each: bool = False) -> nn.Module:
        return _Critic(self, space, each)


class _Critic(nn.Module):
    def __init__(self, net: TransformerCritic, space: Tokens, each: bool) -> None:
        super().__init__()
        self.each = each
        self.encode = Encoder(space, net.width, net.heads, net.layers, net.dropout)
        self.head = CriticHead(net.width, replace(space, source=None), bias=True)

    def embed(self, x: Tensor) -> Tensor:
        return self.encode.embed(x)

    def judge(self, e: Tensor, mask: Tensor, y: Tensor | None = None) -> Tensor:
        n, length = mask.shape
        if self.each:
            h = self.encode.scale * (e + self.encode.place[:length].to(e.dtype))
            for block in self.encode.blocks:
                h = block(h, causal=True)
            h = self.encode.norm(h).flatten(0, 1)
            return self.head(h, None if y is None else y.repeat_interleave(length, 0)).unflatten(0, (n, length))
        h = self.encode.read(e, mask)
        mean = (h * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp_min(1)
        return self.head(mean, y)

    def forward(self, x: Tensor, y: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        return self.judge(self.embed(x), mask_of(x, mask), y)
