"""How much sentences of tokens share with references, as rewards: BLEU and ROUGE-L of each sentence, on the device, without a loop over sentences.

For training alone: tokens may be pieces of words, and nothing is cut, stemmed or put together. Scores of a run are taken by `agon.metrics`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from agon.errors import InputError
from agon.spaces.tokens import END, PAD

ORDER = 4


def words(x: Tensor) -> Tensor:
    """Where tokens [n, L] are words: neither padding nor the end. bool [n, L]."""
    return (x != PAD) & (x != END)


def bleu(x: Tensor, reference: Tensor, *, order: int = ORDER) -> Tensor:
    """Sentence BLEU [n] in [0, 1] of tokens [n, L] against one reference each [n, M]; orders above 1 have one match and one n-gram added.

    BLEU is of Papineni et al. 2002; the added one, without which most sentences have 0, of Lin & Och 2004 ("ORANGE"). An empty sentence has 0.
    """
    _checked(x, reference)
    own, other = words(x), words(reference)
    same, shared = x[:, :, None] == x[:, None, :], x[:, :, None] == reference[:, None, :]
    equal, found = same & own[:, :, None] & own[:, None, :], shared & own[:, :, None] & other[:, None, :]
    start = own  # where an n-gram begins
    logs = []
    for n in range(1, order + 1):
        if n > 1:
            equal, found, start = (
                _longer(equal, same, n),
                _longer(found, shared & own[:, :, None] & other[:, None, :], n),
                _shifted(own, n) & start,
            )
        mine, theirs = equal.sum(2), found.sum(2)
        # Each n-gram counts as often as the reference has it, shared among the places where it stands.
        clipped = torch.where(start, torch.minimum(mine, theirs) / mine.clamp_min(1), 0.0).sum(1)
        add = 1.0 if n > 1 else 0.0
        # An order longer than the sentence counts as one n-gram that was not found, or brevity would pay.
        logs.append(((clipped + add) / (start.sum(1).clamp_min(1) + add)).clamp_min(1e-9).log())
    brevity = (1 - other.sum(1) / own.sum(1).clamp_min(1)).clamp_max(0)
    score = (torch.stack(logs).mean(0) + brevity).exp()
    return torch.where(own.any(1) & (logs[0] > -20), score, 0.0)


def _longer(equal: Tensor, tokens: Tensor, n: int) -> Tensor:
    """Where n-grams are equal, of where (n − 1)-grams are and where their last tokens are: bool [n, L, M]."""
    moved = torch.zeros_like(equal)
    moved[:, : -(n - 1) or None, : -(n - 1) or None] = tokens[:, n - 1 :, n - 1 :]
    return equal & moved


def _shifted(mask: Tensor, n: int) -> Tensor:
    """Where the place n − 1 further on is True."""
    moved = torch.zeros_like(mask)
    moved[:, : -(n - 1)] = mask[:, n - 1 :]
    return moved


def rouge_l(x: Tensor, reference: Tensor) -> Tensor:
    """ROUGE-L [n] in [0, 1]: F1 of the longest common subsequence (Lin 2004) of tokens [n, L] and one reference each [n, M]; 0 for an empty one."""
    _checked(x, reference)
    own, other = words(x), words(reference)
    equal = (x[:, :, None] == reference[:, None, :]) & own[:, :, None] & other[:, None, :]
    # best[:, j]: of what came so far and the reference's first j tokens. A row is the running maximum of two shifted ones.
    best = torch.zeros(len(x), reference.shape[1] + 1, device=x.device)
    for row in equal.unbind(1):
        best[:, 1:] = torch.maximum(best[:, 1:], best[:, :-1] + row).cummax(1).values
    common, size, goal = best[:, -1], own.sum(1), other.sum(1)
    return 2 * common / (size + goal).clamp_min(1)


def _checked(x: Tensor, reference: Tensor) -> None:
    if x.dim() != 2 or reference.dim() != 2 or len(x) != len(reference):
        raise InputError(
            f"tokens {list(x.shape)} and references {list(reference.shape)}; expected [n, L] and [n, M], one reference a sentence."
        )
