"""The relational memory that RelGAN speaks with: slots that attend to each other and to the word just read, kept by gates.

Santoro et al. 2018, "Relational recurrent neural networks", arXiv:1806.01822; as a speaker: Nie, Narodytska, Patel 2019, "RelGAN: Relational Generative
Adversarial Networks for Text Generation", ICLR, who take one slot, two heads of 256 and word vectors of 32.

    M̃ = attention of M to [M; x], then a perceptron, each added and normalised
    M ← σ(i) tanh(M̃) + σ(f + 1) M, gates i, f from x and tanh M, each entry of a slot for itself

*Differs*: the attention's answers pass a linear map, as in a Transformer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agon.layers.init import scaled_normal_
from agon.layers.labels import JoinLabel
from agon.layers.tokens import Read, TokenTable, before
from agon.networks.text.transformer import Attention
from agon.spaces.tokens import Tokens

State = tuple[Tensor, Tensor]  # the condition [n, d], the memory [n, slots, width]


@dataclass(frozen=True, kw_only=True)
class Memory:
    """A speaker with a relational memory; see the module's text."""

    slots: int = 1
    heads: int = 2
    head_width: int = 128
    embed: int = 32  # of a token's vector
    dropout: float = 0.0  # of embeddings and features in training
    label_dim: int = 32  # size of the condition's embedding
    kind: Literal["memory"] = "memory"
    couples_samples: ClassVar[bool] = False

    def speaker(self, space: Tokens) -> nn.Module:
        return _Speaker(self, space)


class _Speaker(nn.Module):
    start: Tensor

    def __init__(self, net: Memory, space: Tokens) -> None:
        super().__init__()
        width = net.heads * net.head_width
        self.length = space.length
        self.embed = TokenTable(space, net.embed)
        self.join = JoinLabel(replace(space, source=None), net.label_dim)
        self.take = nn.Linear(net.embed + self.join.extra, width)
        self.attend = Attention(width, net.heads, 0.0)
        self.up, self.down = nn.Linear(width, width), nn.Linear(width, width)
        self.gates, self.gates_of_memory = nn.Linear(width, 2 * width), nn.Linear(width, 2 * width, bias=False)
        for layer in (self.take, self.up, self.down, self.gates, self.gates_of_memory):
            scaled_normal_(layer.weight)
        for layer in (self.take, self.up, self.down, self.gates):
            nn.init.zeros_(layer.bias)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.drop = nn.Dropout(net.dropout) if net.dropout else nn.Identity()
        self.read = Read(space, net.slots * width)
        self.register_buffer("start", torch.eye(net.slots, width), persistent=False)

    def _taken(self, told: Tensor, label: Tensor) -> Tensor:
        """Words [..., e] and the condition [n, d] as what joins the memory [..., width]."""
        told = self.drop(told)
        if self.join.extra:
            told = torch.cat([told, label if told.dim() == 2 else label[:, None].expand(-1, told.shape[1], -1)], -1)
        return self.take(told)

    def _next(self, word: Tensor, memory: Tensor) -> Tensor:
        """The memory [n, slots, width] after a word [n, width]."""
        asked = self.attend(memory, *self.attend.offered(torch.cat([memory, word[:, None]], 1)))
        h = self.norms[0](memory + asked)
        h = self.norms[1](h + self.down(F.relu(self.up(h))))
        take, keep = (self.gates(word)[:, None] + self.gates_of_memory(memory.tanh())).chunk(2, 2)
        return take.sigmoid() * h.tanh() + (keep + 1).sigmoid() * memory

    def hidden(self, told: Tensor, y: Tensor | None = None) -> Tensor:
        label, memory = self.begin(told.shape[0], y)
        states = []
        for word in self._taken(told, label).unbind(1):
            memory = self._next(word, memory)
            states.append(memory)
        return self.drop(torch.stack(states, 1).flatten(2))

    def begin(self, n: int, y: Tensor | None = None) -> State:
        return self.join(self.embed.weight.new_zeros(n, 0), y), self.start.to(self.embed.weight.dtype).expand(n, -1, -1)

    def step(self, told: Tensor, state: State) -> tuple[Tensor, State]:
        label, memory = state
        memory = self._next(self._taken(told, label), memory)
        return self.drop(memory.flatten(1)), (label, memory)

    def forward(self, tokens: Tensor, y: Tensor | None = None) -> Tensor:
        return self.read(self.hidden(self.embed(before(tokens)), y))
