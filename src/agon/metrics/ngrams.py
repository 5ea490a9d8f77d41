"""Scores of token sequences by their n-grams: BLEU, self-BLEU, unique share, distinct-n, novelty, lengths, the nearest training sentence.

    BLEU-N(s; R) = BP · exp(1/N · Σ_{n=1..N} log p_n)                              Papineni et al. 2002, ACL, sec. 2
    p_n = Σ_g min(count_s(g), max_{r∈R} count_r(g)) / (|s| − n + 1)                clipped by the best of all references
    BP  = exp(min(0, 1 − |r*|/|s|))                                                r*: nearest in length, of two the shorter
    0 matches of order n: 0.1 in place of 0                                        method 1 of Chen & Cherry 2014, W14-3346

The Texygen protocol (Zhu et al. 2018, arXiv:1802.01886): the mean over samples of sentence BLEU, every test sentence a reference of
every sample; self-BLEU takes all *other* samples as references (leave-one-out; popular code leaves a sample among its own
references and gets 1). The figures are those of NLTK's `sentence_bleu`, in linear instead of quadratic time: sentences are coded as integers, an
n-gram is numbered by its (n−1)-gram and its last token, exactly and without hashing; for leave-one-out it is enough to know the two highest
counts of each n-gram and whether one sentence alone holds the highest.

A sample is a list of tokens (any hashable values) or a row of integers; nothing is padded, lower-cased or split here, and figures under different
tokenisers do not compare. What is undefined is nan: a mean over no samples, BLEU without references, self-BLEU of one sample. Defined as NLTK
does: an empty sentence, and one that shares no word with any reference, score 0; an order longer than the sentence counts as 0.1 matches
of 1, so that even a perfect copy of one word has BLEU-2 = 0.1^(1/2).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agon.errors import InputError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Sentences = Sequence[Sequence[Hashable]] | NDArray[Any]

ORDERS = (2, 3, 4, 5)
_NO_MATCH = 0.1  # what stands for no match, as in NLTK's method 1
_FIRST = 32  # candidates that are measured before the bound sieves the rest
_CELLS = 1 << 20  # numbers in one table of edit distances: 8 MB


@dataclass(frozen=True)
class _Text:
    """Sentences end to end: tokens [t] coded 0, 1, …, and the length of each sentence [n]."""

    tokens: Ints
    lengths: Ints


def _coded(*corpora: Sentences) -> list[_Text]:
    """The corpora under one code."""
    code: dict[Hashable, int] = {}
    texts = []
    for sentences in corpora:
        if isinstance(sentences, str):
            raise InputError("expected a list of sentences, each a list of tokens, got one string; split it into lines and tokens first.")
        tokens, lengths = [], []
        for at, sentence in enumerate(sentences):
            if isinstance(sentence, str | bytes):
                raise InputError(
                    f"sentence {at} is a string, not a list of tokens: {sentence[:40]!r}. Split it first: .split() for words, list() for characters."
                )
            # Rows of arrays and tensors hold numbers that hash slowly or, tensors, by identity.
            words = sentence.tolist() if hasattr(sentence, "tolist") else sentence
            tokens += [code.setdefault(word, len(code)) for word in words]
            lengths.append(len(words))
        texts.append(_Text(np.array(tokens, np.int64), np.array(lengths, np.int64)))
    return texts


def _joined(first: _Text, second: _Text) -> _Text:
    return _Text(np.concatenate([first.tokens, second.tokens]), np.concatenate([first.lengths, second.lengths]))


def _grams(text: _Text, most: int) -> Iterator[tuple[Ints, Ints]]:
    """For n = 1 to most: the number [m] of every n-gram, 0 … G − 1 with none left out, in the order of the text, and its sentence [m]."""
    ends = np.repeat(text.lengths.cumsum(), text.lengths)
    owner = np.repeat(np.arange(len(text.lengths)), text.lengths)
    place = np.arange(len(text.tokens))
    size = int(text.tokens.max(initial=-1)) + 1
    gram = np.zeros(len(place), np.int64)
    for n in range(1, most + 1):
        keep = place + n <= ends[place]
        place, gram = place[keep], gram[keep]
        gram = np.unique(gram * size + text.tokens[place + n - 1], return_inverse=True)[1]
        yield gram, owner[place]


def _counts(gram: Ints, owner: Ints, sentences: int) -> tuple[Ints, Ints, Ints]:
    """How often each sentence holds each of its n-grams: (n-gram, sentence, count), each [pairs]."""
    pair, count = np.unique(gram * sentences + owner, return_counts=True)
    return pair // max(sentences, 1), pair % max(sentences, 1), count


def _highest(gram: Ints, count: Ints, size: int) -> Ints:
    """The highest count of each of `size` n-grams, 0 where there is none: [size]."""
    highest = np.zeros(size, np.int64)
    np.maximum.at(highest, gram, count)
    return highest


def _nearest_length(lengths: Ints, others: Ints) -> Ints:
    """For each length the nearest of others, which are sorted; of two as near the shorter."""
    right = np.searchsorted(others, lengths).clip(max=len(others) - 1)
    left = (right - 1).clip(min=0)
    return np.where(abs(others[left] - lengths) <= abs(others[right] - lengths), others[left], others[right])


def _nearest_other_length(lengths: Ints) -> Ints:
    """For each of two or more lengths the nearest of the rest; of two as near the shorter."""
    sizes, at, count = np.unique(lengths, return_inverse=True, return_counts=True)
    left = np.concatenate([sizes[:1] - sizes[-1] - 1, sizes[:-1]])  # farther away than any other
    right = np.concatenate([sizes[1:], 2 * sizes[-1:] + 1 - sizes[:1]])
    alone = np.where(sizes - left <= right - sizes, left, right)
    return np.where(count > 1, sizes, alone)[at]


def _scores(matches: Ints, lengths: Ints, nearest: Ints, orders: Sequence[int]) -> Floats:
    """Sentence BLEU [n, orders] from the clipped matches [most, n] of every order."""
    possible = (lengths - np.arange(len(matches))[:, None]).clip(min=1)
    logs = np.log(np.where(matches > 0, matches, _NO_MATCH) / possible).cumsum(0)
    penalty = np.exp(np.minimum(0, 1 - nearest / lengths.clip(min=1)))
    columns = [penalty * np.exp(logs[order - 1] / order) * (matches[0] > 0) for order in orders]
    return np.stack(columns, 1)


def _checked(orders: Sequence[int]) -> int:
    if not orders or min(orders) < 1:
        raise InputError(f"orders of n-grams are whole numbers from 1, at least one of them; got {tuple(orders)}. Usual: {ORDERS}.")
    return max(orders)


def bleu_each(samples: Sentences, references: Sentences, orders: Sequence[int] = ORDERS) -> Floats:
    """Sentence BLEU in [0, 1] of each sample against all references: [n, orders]; nan without references."""
    most = _checked(orders)
    own, others = _coded(samples, references)
    n, both = len(own.lengths), _joined(own, others)
    if not len(others.lengths):
        return np.full((n, len(orders)), math.nan)
    matches = np.zeros((most, n), np.int64)
    for row, (gram, owner) in zip(matches, _grams(both, most), strict=True):
        gram, owner, count = _counts(gram, owner, len(both.lengths))
        mine = owner < n
        highest = _highest(gram[~mine], count[~mine], int(gram.max(initial=-1)) + 1)
        np.add.at(row, owner[mine], np.minimum(count, highest[gram])[mine])
    return _scores(matches, own.lengths, _nearest_length(own.lengths, np.unique(others.lengths)), orders)


def self_bleu_each(samples: Sentences, orders: Sequence[int] = ORDERS) -> Floats:
    """Sentence BLEU in [0, 1] of each sample against all the others: [n, orders]; nan for a sample without others."""
    most = _checked(orders)
    (own,) = _coded(samples)
    n = len(own.lengths)
    if n < 2:
        return np.full((n, len(orders)), math.nan)
    matches = np.zeros((most, n), np.int64)
    for row, (gram, owner) in zip(matches, _grams(own, most), strict=True):
        gram, owner, count = _counts(gram, owner, n)
        size = int(gram.max(initial=-1)) + 1
        highest = _highest(gram, count, size)
        at_top = count == highest[gram]
        lone = at_top & (np.bincount(gram[at_top], minlength=size) == 1)[gram]
        second = _highest(gram[~at_top], count[~at_top], size)
        np.add.at(row, owner, np.minimum(count, np.where(lone, second[gram], highest[gram])))
    return _scores(matches, own.lengths, _nearest_other_length(own.lengths), orders)


def bleu(samples: Sentences, references: Sentences, orders: Sequence[int] = ORDERS) -> dict[int, float]:
    """Mean sentence BLEU of each order, in [0, 1], higher is nearer to the references; nan without samples or references.

    Quality alone: a generator that repeats one good sentence scores best. Depends on the number of references: give all of them.
    """
    return _means(bleu_each(samples, references, orders), orders)


def self_bleu(samples: Sentences, orders: Sequence[int] = ORDERS) -> dict[int, float]:
    """Mean leave-one-out BLEU of each order, in [0, 1], 1 when all say the same; nan for fewer than two samples.

    Neither end is best: as of as many real sentences. Grows with the number of samples: compare at equal numbers only.
    """
    return _means(self_bleu_each(samples, orders), orders)


def _means(each: Floats, orders: Sequence[int]) -> dict[int, float]:
    return {order: float(column.mean()) if len(column) else math.nan for order, column in zip(orders, each.T, strict=True)}


def unique_share(samples: Sentences) -> float:
    """Share of different sentences among the samples, in (0, 1]; nan without samples. Falls with the number of samples."""
    (own,) = _coded(samples)
    starts = own.lengths.cumsum() - own.lengths
    different = {own.tokens[start : start + length].tobytes() for start, length in zip(starts, own.lengths, strict=True)}
    return len(different) / len(own.lengths) if len(own.lengths) else math.nan


def distinct(samples: Sentences, orders: Sequence[int] = (1, 2, 3)) -> dict[int, float]:
    """Different n-grams over all n-grams of the samples together, in (0, 1]; nan where no sentence has n tokens.

    Li et al. 2016, arXiv:1510.03055, over the whole set. Falls with the amount of text: compare at equal numbers only.
    """
    most = _checked(orders)
    (own,) = _coded(samples)
    shares = [(int(gram.max()) + 1) / len(gram) if len(gram) else math.nan for gram, _ in _grams(own, most)]
    return {order: shares[order - 1] for order in orders}


def novelty(samples: Sentences, training: Sentences, orders: Sequence[int] = ORDERS) -> dict[int, float]:
    """Share of the samples' n-grams, repeated ones as often as they occur, that the training text has nowhere, in [0, 1].

    nan where no sample has n tokens. As of held-out sentences is best: copies have 0, noise has 1.
    """
    most = _checked(orders)
    own, known = _coded(samples, training)
    shares = []
    for gram, owner in _grams(_joined(own, known), most):
        mine = owner < len(own.lengths)
        seen = np.zeros(int(gram.max(initial=-1)) + 1, bool)
        seen[gram[~mine]] = True
        shares.append(float((~seen[gram[mine]]).mean()) if mine.any() else math.nan)
    return {order: shares[order - 1] for order in orders}


def lengths(samples: Sentences) -> dict[str, float]:
    """Tokens a sentence: mean, sd (of the set itself), least, median, most; and empty, the share of sentences without any."""
    size = np.array([len(sentence) for sentence in samples], np.float64)
    if not len(size):
        return dict.fromkeys(("mean", "sd", "least", "median", "most", "empty"), math.nan)
    return {
        "mean": float(size.mean()), "sd": float(size.std()), "least": float(size.min()), "median": float(np.median(size)),
        "most": float(size.max()), "empty": float((size == 0).mean()),
    }  # fmt: skip


class Nearest(NamedTuple):
    """For each sample the distance [n] to a nearest training sentence, and which one that is [n]."""

    distance: Floats
    which: Ints


def nearest(samples: Sentences, training: Sentences) -> Nearest:
    """Nearest training sentence by edit distance over the length of the longer: in [0, 1], 0 for a copy, 1 for no word in place.

    Edits are tokens put in, taken out or replaced (Levenshtein 1966). Exact; (nan, −1) without training sentences; of several as near, one.
    Two sentences of a and b words that share k, repeated ones counted, are at least max(a, b) − k edits apart: only training
    sentences that this bound leaves below the nearest so far are measured. Memory is linear in the texts.
    """
    own, known = _coded(samples, training)
    n, m = len(own.lengths), len(known.lengths)
    distance, which = np.full(n, math.nan), np.full(n, -1, np.int64)
    if not m:
        return Nearest(distance, which)
    words = _occurrences(_joined(own, known))
    split = len(own.tokens)
    # Which training sentences hold a word: those of word w are holders[first[w] : first[w + 1]].
    order = np.argsort(words[split:], kind="stable")
    holders = np.repeat(np.arange(m), known.lengths)[order]
    first = np.searchsorted(words[split:][order], np.arange(int(words.max(initial=-1)) + 2))
    start = 0
    for at, length in enumerate(own.lengths):
        here = slice(start, start + length)
        start += length
        shared = np.zeros(m, np.int64)
        if length:
            shared = np.bincount(np.concatenate([holders[first[w] : first[w + 1]] for w in words[here]]), minlength=m)
        longer = np.maximum(known.lengths, length).clip(min=1)
        bound = (longer - shared) / longer
        likely = np.argpartition(bound, _FIRST)[:_FIRST] if m > _FIRST else np.arange(m)
        far = _edits(own.tokens[here], known, likely) / longer[likely]
        distance[at], which[at] = far.min(), likely[far.argmin()]
        bound[likely] = math.inf
        while len(left := np.flatnonzero(bound < distance[at])):
            left = left[: max(1, _CELLS // (int(known.lengths[left].max()) + 1))]
            far = _edits(own.tokens[here], known, left) / longer[left]
            bound[left] = math.inf
            if far.min() < distance[at]:
                distance[at], which[at] = far.min(), left[far.argmin()]
    return Nearest(distance, which)


def _occurrences(text: _Text) -> Ints:
    """A number [t] for each token and how often it stood in its sentence before, so that what two sentences share is a set."""
    owner = np.repeat(np.arange(len(text.lengths)), text.lengths)
    pair = owner * (int(text.tokens.max(initial=-1)) + 1) + text.tokens
    order = np.argsort(pair, kind="stable")
    run = np.arange(len(pair))
    run = run - np.maximum.accumulate(np.where(np.diff(pair[order], prepend=-1) != 0, run, 0))
    before = np.empty_like(run)
    before[order] = run
    return np.unique(text.tokens * (int(before.max(initial=-1)) + 1) + before, return_inverse=True)[1]


def _edits(sentence: Ints, text: _Text, which: Ints) -> Ints:
    """Edit distance of one sentence [l] to those of text that `which` [c] names: [c]."""
    size = text.lengths[which]
    starts = (text.lengths.cumsum() - text.lengths)[which]
    steps = np.arange(int(size.max()) + 1)[:, None]
    # Past a sentence's end stands some other token; its column is read at its own length, which what follows does not reach.
    tokens = text.tokens[(starts + steps[:-1]).clip(max=max(len(text.tokens) - 1, 0))]
    row = np.repeat(steps, len(which), 1)
    for done, token in enumerate(sentence, start=1):
        new = np.empty_like(row)
        new[0] = done
        new[1:] = np.minimum(row[1:] + 1, row[:-1] + (tokens != token))
        # Putting tokens in costs one each: the least of all that stands left of here plus the way from there.
        row = np.minimum.accumulate(new - steps, axis=0) + steps
    return row[size, np.arange(len(which))]
