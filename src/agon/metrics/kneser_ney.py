"""An n-gram language model with interpolated Kneser–Ney smoothing: an instrument that is counted, not trained, so it is exact and always the same.

    p_k(w | h) = max(c(hw) − D, 0) / c(h·) + D · N(h·) / c(h·) · p_{k−1}(w | h′)        h′: h without its first token
    D = n₁ / (n₁ + 2 n₂)                                                                  Kneser & Ney 1995, ICASSP; Ney, Essen & Kneser 1994

c counts occurrences at the highest order, and below it how many different tokens stand before the n-gram; N(h·) is how many different tokens follow h; a
context never seen leaves the probability to the next lower order; below one token stands the uniform distribution over the vocabulary. D is 0.1 where
nothing was seen once. So every token has a probability, and those of a context sum to 1.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

ORDER = 5
LEAST = 0.1  # discount where the formula gives none, and with it no probability to what was never seen


def log_probabilities(training: Ints, said: Ints, vocabulary: int, order: int = ORDER) -> Floats:
    """log p of each token of sentences `said` [n, L] after training sentences [m, L']: [n, L], 0 at padding.

    Tokens are 1 to vocabulary − 1; 0 is padding behind the end, and what stands before a sentence. The end is a token like the others.
    """
    (tokens, place), own = _strung(training, said, order), int((training > 0).sum())
    learnt, asked = place[:own], place[own:]
    grams = _grams(tokens, order)
    chance = np.full(len(asked), 1.0 / max(1, vocabulary - 1))
    for k in range(1, order + 1):
        whole, context = grams[k], np.roll(grams[k - 1], 1)
        # One row for each n-gram of the training text; below the highest order it counts for how many tokens stand before it.
        first = np.unique(whole[learnt], return_index=True)[1]
        kinds = learnt[first]
        if k == order:
            count = np.bincount(whole[learnt], minlength=whole.max() + 1)
        else:
            longer = learnt[np.unique(grams[k + 1][learnt], return_index=True)[1]]
            count = np.bincount(whole[longer], minlength=whole.max() + 1)
        each = count[whole[kinds]]
        ones, twos = int((each == 1).sum()), int((each == 2).sum())
        discount = ones / (ones + 2 * twos) if ones else LEAST
        total = np.bincount(context[kinds], weights=each, minlength=context.max() + 1)[context[asked]]
        follow = np.bincount(context[kinds], minlength=context.max() + 1)[context[asked]]
        seen = total > 0
        kept = np.maximum(count[whole[asked]] - discount, 0.0)
        safe = np.where(seen, total, 1.0)
        chance = np.where(seen, kept / safe + discount * follow / safe * chance, chance)
    result = np.zeros(said.shape)
    with np.errstate(divide="ignore"):
        result[said > 0] = np.log(chance)
    return result


def nats_a_token(training: Ints, said: Ints, vocabulary: int) -> tuple[float, Floats]:
    """Mean −log p a token of the sentences said, and of each sentence (sum of −log p, tokens) [n, 2]; nan without tokens."""
    each = -log_probabilities(training, said, vocabulary)
    sums = np.stack([each.sum(1), (said > 0).sum(1)], 1)
    total = sums.sum(0)
    return (float(total[0] / total[1]) if total[1] else math.nan), sums


def ratio_interval(sums: Floats, reach: float) -> tuple[float, float]:
    """Interval of Σ a / Σ b over independent sentences (a, b) [n, 2], by the delta method; reach: standard errors to each side."""
    a, b = sums.T
    ratio = a.sum() / b.sum()
    error = math.sqrt(float(((a - ratio * b) ** 2).sum()) * len(a) / max(1, len(a) - 1)) / float(b.sum())
    return float(ratio - reach * error), float(ratio + reach * error)


def _strung(training: Ints, said: Ints, order: int) -> tuple[Ints, Ints]:
    """Both texts end to end, `order` zeros before each sentence, and where their tokens stand."""
    parts, places, begun = [], [], 0
    for text in (training, said):
        row = np.concatenate([np.zeros((len(text), order), np.int64), text], 1)
        there = np.concatenate([np.ones((len(text), order), bool), text > 0], 1)
        flat = there.ravel()
        place = (flat.cumsum() - 1).reshape(there.shape)[:, order:][text > 0] + begun
        parts.append(row.ravel()[flat])
        places.append(place)
        begun += int(flat.sum())
    return np.concatenate(parts), np.concatenate(places)


def _grams(tokens: Ints, order: int) -> list[Ints]:
    """For k = 0 to `order`: the number of the k-gram that ends at each token, 0 … without gaps; those that reach over the start are of no account."""
    found = [np.zeros(len(tokens), np.int64)]
    size = int(tokens.max(initial=0)) + 1
    for k in range(1, order + 1):
        first = np.roll(tokens, k - 1)
        found.append(np.unique(found[-1] * size + first, return_inverse=True)[1])
    return found
