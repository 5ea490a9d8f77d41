"""RelGAN's judge of sentences: many small embeddings of one sentence, each judged by the same filters, the judgements averaged.

Nie, Narodytska, Patel 2019, "RelGAN: Relational Generative Adversarial Networks for Text Generation", ICLR: 64 embeddings of one number a word, 300 filters
of each width from 2 to 5, a highway layer, 100 features. Each embedding sees the sentence its own way, so that the gradient at a soft word has more than
one direction.

*Differs*: the logits of the embeddings are averaged before the loss; the paper averages their losses. Windows end where the sentence ends. With `each`
every token is judged, as by "cnn".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from torch import Tensor, nn

from agon.layers.init import scaled_normal_
from agon.layers.labels import CriticHead
from agon.layers.tokens import TokenTable, mask_of
from agon.networks.text.conv import Windows
from agon.spaces.tokens import Tokens


@dataclass(frozen=True, kw_only=True)
class MultiCritic:
    """The same filters over several embeddings; see the module's text."""

    views: int = 16  # embeddings of a sentence
    embed: int = 4  # numbers a word in each of them
    widths: tuple[int, ...] = (2, 3, 4, 5)  # tokens a filter sees
    filters: int = 64  # of each width
    features: int = 100
    dropout: float = 0.25  # before the last layers
    kind: Literal["multi-cnn"] = "multi-cnn"
    couples_samples: ClassVar[bool] = False

    def critic(self, space: Tokens, each: bool = False) -> nn.Module:
        return _Critic(self, space, each)


class _Critic(nn.Module):
    def __init__(self, net: MultiCritic, space: Tokens, each: bool) -> None:
        super().__init__()
        self.views, self.each = net.views, each
        self.embed = TokenTable(space, net.views * net.embed)  # the embeddings side by side
        self.look = Windows(net.embed, net.widths, net.filters, space.length)
        self.drop = nn.Dropout(net.dropout) if net.dropout else nn.Identity()
        self.sum = nn.Linear(self.look.features, net.features)
        scaled_normal_(self.sum.weight)
        nn.init.zeros_(self.sum.bias)
        self.head = CriticHead(net.features, replace(space, source=None), bias=True)

    def judge(self, e: Tensor, mask: Tensor, y: Tensor | None = None) -> Tensor:
        views = e.unflatten(2, (self.views, -1)).transpose(1, 2).flatten(0, 1)
        look = self.look.each if self.each else self.look
        h = self.sum(self.drop(look(views, mask.repeat_interleave(self.views, 0))))
        rows = h.flatten(0, -2)
        logits = self.head(rows, None if y is None else y.repeat_interleave(len(rows) // len(y), 0))
        return logits.reshape(len(e), self.views, *h.shape[1:-1]).mean(1)

    def forward(self, x: Tensor, y: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        return self.judge(self.embed(x), mask_of(x, mask), y)
