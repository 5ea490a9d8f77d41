"""Which class a sentence is of, by the words it has: multinomial naive Bayes of whether each word stands in it (Wang & Manning 2012, "Baselines and Bigrams",
ACL, P12-2018).

    log P(class) + Σ over different words of the sentence log P(word | class)
    P(word | class) = (sentences of the class with it + α) / (Σ of these over words)

Counted from the training split in one pass, without gradients or chance. It tells classes of sentences far better than a logistic regression on the
counted encoder's features does (docs/text-metrics.md), whose directions hold how sentences go more than which subject they are of. Pairs of neighbours
add half a point and are left out. Unknown words say nothing: a generator cannot say them. Order is not seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from agon.spaces.tokens import FIRST

ALPHA = 0.1  # sentences that every class is taken to have had with every word
_ROWS = 250  # sentences at once: a row of the vocabulary each


@dataclass(frozen=True)
class NaiveBayes:
    """words float64 [V, classes]: log P(word | class), rows below FIRST zero; shares float64 [classes]: log P(class)."""

    words: Tensor
    shares: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """The likeliest class int64 [n] of stored sentences int [n, L]; of two as likely the first."""
        parts = [(self.shares + _present(rows, len(self.words)) @ self.words).argmax(1) for rows in x.split(_ROWS)]
        return torch.cat(parts) if parts else torch.empty(0, dtype=torch.int64)


def learn(x: Tensor, y: Tensor, vocabulary: int, num_classes: int) -> NaiveBayes:
    """Count training sentences int [n, L] of classes int64 [n]. A class without any has share zero and is never told."""
    seen = torch.zeros(vocabulary, num_classes, dtype=torch.float64)
    for rows, classes in zip(x.split(_ROWS), y.split(_ROWS), strict=True):
        seen += _present(rows, vocabulary).T @ torch.nn.functional.one_hot(classes.long(), num_classes).double()
    words = torch.zeros_like(seen)
    smooth = seen[FIRST:] + ALPHA
    words[FIRST:] = smooth.log() - smooth.sum(0).log()
    count = torch.bincount(y.long(), minlength=num_classes).double()
    return NaiveBayes(words, (count / count.sum()).log())


def _present(x: Tensor, vocabulary: int) -> Tensor:
    """Which words of the vocabulary stand in sentences [n, L]: float64 [n, V] of 0 and 1, signs of no word left out."""
    there = torch.zeros(len(x), vocabulary, dtype=torch.float64).scatter_(1, x.long().cpu(), 1.0)
    there[:, :FIRST] = 0
    return there
