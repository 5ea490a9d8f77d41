"""Captions as vectors: words embedded, read by a recurrent network, padding left out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from agon.layers.init import scaled_normal_
from agon.layers.recurrent import GRU


class Sentence(nn.Module):
    """Captions int64 [n, L], word k as k + 1 and 0 after the end → vectors [n, dim]; `memory` gives one vector a word.

    words: of the vocabulary; width: of the word vectors and of the state; scale: entries of the result start as about N(0, scale²/dim), or
    N(0, 1) with None. The vector is a linear map of the state behind the last word and of the states' mean.
    """

    def __init__(self, words: int, dim: int, *, width: int = 64, scale: float | None = None) -> None:
        super().__init__()
        self.width = width
        self.table = nn.Embedding(words + 1, width)
        self.read = GRU(width, width)
        self.out = nn.Linear(2 * width, dim)
        scaled_normal_(
            self.out.weight, scale=2.0 * (1.0 if scale is None else scale * dim**-0.5)
        )  # states are about half as large as N(0, 1)
        nn.init.zeros_(self.out.bias)

    def memory(self, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """(states [n, L, width], whether there is a word, bool [n, L])."""
        if y is None:
            raise ValueError("this network is told a caption and got none; pass y, int64 [n, L].")
        mask = y > 0
        states = []
        h = torch.zeros(y.shape[0], self.width, dtype=self.table.weight.dtype, device=y.device)
        for told, here in zip(self.read.read(self.table(y)).unbind(1), mask.unbind(1), strict=True):
            h = torch.where(here[:, None], self.read.step(told, h.to(told.dtype)), h.to(told.dtype))  # behind the end the state stays
            states.append(h)
        return torch.stack(states, 1), mask

    def forward(self, y: Tensor | None) -> Tensor:
        states, mask = self.memory(y)
        count = mask.sum(1, keepdim=True).clamp_min(1)
        mean = (states * mask[:, :, None]).sum(1) / count
        return self.out(torch.cat([states[:, -1], mean], 1))
