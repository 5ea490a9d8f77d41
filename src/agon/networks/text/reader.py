"""A reader of sentences: both ways, the ends of the two as one vector; the first half of a text autoencoder.

Zhao et al. 2018 (ARAE), arXiv:1706.04223, read with an LSTM forwards; Cho et al. 2014, arXiv:1406.1078, for the cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from agon.layers.init import scaled_normal_
from agon.layers.recurrent import BothWays
from agon.layers.tokens import TokenTable, longest
from agon.spaces.tokens import Tokens, real


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A GRU each way; see the module's text."""

    width: int = 256  # of each way
    embed: int = 128
    dropout: float = 0.0  # of embeddings in training
    kind: Literal["reader"] = "reader"
    couples_samples: ClassVar[bool] = False

    def encoder(self, code_dim: int, space: Tokens) -> nn.Module:
        """A module from sentences int64 [n, L] to vectors [n, code_dim]; padding reaches nothing."""
        return _Reader(self, code_dim, space)


class _Reader(nn.Module):
    def __init__(self, net: Reader, code_dim: int, space: Tokens) -> None:
        super().__init__()
        self.embed = TokenTable(space, net.embed)
        self.drop = nn.Dropout(net.dropout) if net.dropout else nn.Identity()
        self.rnn = BothWays(nn.GRU, net.embed, net.width)
        self.out = nn.Linear(2 * net.width, code_dim)
        scaled_normal_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, : longest(real(x))]
        return self.out(self.rnn.ends(self.drop(self.embed(x)), real(x).sum(1).clamp_min(1)))
