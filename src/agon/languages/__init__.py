"""Languages whose probabilities are known exactly: the ground on which text games are measured before they meet real text.

A language draws sentences and says how probable any sentence is. Each generator that multiplies conditional probabilities is one too, so the two can
be compared by divergences (`agon.metrics.divergences`) instead of by one-sided scores.

    lstm     LSTMOracle: an LSTM with seeded random weights, the oracle of the field (SeqGAN and all after it)
    grammar  Arithmetic: a probabilistic context-free grammar of arithmetic expressions, with validity and exact entropy
    tiny     Tiny: a model so small that all its sentences can be listed, for exact gradients and divergences

Why here: a source of data, a metric and a network all need them. Sources and metrics are of layer 2 and may not lean on each other, and networks
are families that build players for a space, which a fixed distribution is not. So languages are a part of layer 1, below all who read them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

__all__ = ["Language", "chunks"]


class Language(Protocol):
    """A distribution over sentences: tokens int64 [n, L] with mask bool [n, L], True at real tokens, what stands elsewhere being of no account."""

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """n independent sentences: tokens [n, L] and mask [n, L], on the CPU."""

    def log_likelihood(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """log p of whole sentences, in nats: [n]; −inf for what the language cannot say."""


def chunks(n: int, size: int) -> Iterator[int]:
    """Sizes that add up to n, each at most `size`."""
    for done in range(0, n, size):
        yield min(size, n - done)
