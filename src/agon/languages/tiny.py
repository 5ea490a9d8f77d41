"""An autoregressive model so small that every sentence can be listed: exact expectations, gradients and divergences."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from agon.errors import InputError


class Tiny(nn.Module):
    """logits of token t = b_t + Σ_{s<t} A_ts[y_s]: every token depends on all before it, and words may be soft.

    vocabulary: V; length: L; end: the token after which a sentence is over (it belongs to the sentence), None if all have length L.
    spread: standard deviation of the seeded weights, in float64. V = 5, L = 3 has 125 sentences, 85 with an end.
    """

    def __init__(self, vocabulary: int = 5, length: int = 3, end: int | None = None, seed: int = 0, spread: float = 1.0) -> None:
        super().__init__()
        if vocabulary**length > 100_000:
            raise InputError(f"{vocabulary} words and length {length} make {vocabulary**length} sentences; at most 100,000 are listed.")
        self.vocabulary, self.length, self.end = vocabulary, length, end
        generator = torch.Generator().manual_seed(seed)
        self.first = nn.Parameter(spread * torch.randn(length, vocabulary, generator=generator, dtype=torch.float64))
        self.then = nn.Parameter(spread * torch.randn(length, length, vocabulary, vocabulary, generator=generator, dtype=torch.float64))

    def forward(self, words: Tensor) -> Tensor:
        """Words one-hot or soft [n, L, V] → logits [n, L, V], those at t from the words before t alone."""
        before = torch.ones(self.length, self.length, dtype=words.dtype).tril(-1)
        return self.first + torch.einsum("nsv,tsvw,ts->ntw", words, self.then, before)

    def of(self, tokens: Tensor) -> Tensor:
        """Logits [n, L, V] along tokens int64 [n, L]."""
        return self(nn.functional.one_hot(tokens, self.vocabulary).to(self.first.dtype))

    def sentences(self) -> tuple[Tensor, Tensor]:
        """Every sentence once: tokens int64 [N, L], padded with 0, and mask [N, L]."""
        tokens = torch.tensor(list(itertools.product(range(self.vocabulary), repeat=self.length)))
        mask = self._real(tokens)
        # A sentence that is over appears once for each padding; the padding of zeros stands for all of them.
        once = torch.where(mask, 0, tokens).sum(1) == 0
        return tokens[once], mask[once]

    def _real(self, tokens: Tensor) -> Tensor:
        """Tokens up to and with the first end."""
        if self.end is None:
            return torch.ones_like(tokens, dtype=torch.bool)
        over = (tokens == self.end).cumsum(1)
        return (over - (tokens == self.end).long()) == 0

    def log_likelihood(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """log p [n] of sentences, with gradient."""
        each = self.of(tokens).log_softmax(2).gather(2, tokens[..., None])[..., 0]
        return torch.where(mask, each, torch.zeros((), dtype=each.dtype)).sum(1)

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """n independent sentences [n, L] and their mask."""
        tokens, mask = self.sentences()
        chance = self.log_likelihood(tokens, mask).exp()
        drawn = torch.multinomial(chance, n, replacement=True, generator=generator)
        return tokens[drawn], mask[drawn]
