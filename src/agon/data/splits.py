"""Splits by group: what comes from one source film, or looks as if it did, stays on one side."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence

import numpy as np

from agon.data.samples import held_out, sample_hashes
from agon.errors import InputError

FAR = 2.0  # a share held back by chance that is more than this factor from what was asked for is chosen in order instead


def words_of(names: Sequence[str], asked: str | None, cells: Callable[[str], list[str | None] | None]) -> list[str | None] | None:
    """What each film's group is called, None where nothing says so; None altogether without a wish.

    asked: a regular expression whose groups are searched in the names, or the name of a column, which `cells` gives. Raises InputError if it is
    in none of the names, or no column.
    """
    if asked is None:
        return None
    if re.compile(asked).groups == 0:
        words = cells(asked)
        if words is None:
            raise InputError(
                f"group={asked!r} is no column of a table beside the films, and a regular expression needs a group in brackets, such as actor(\\d+)"
            )
        return words
    found = [re.search(asked, name) for name in names]
    if not any(found):
        raise InputError(f"group={asked!r} is in none of the {len(names)} names; expected one that is in names such as {names[0]!r}")
    return [None if match is None else "\0".join("-" if part is None else f"={part}" for part in match.groups()) for match in found]


def groups_of(twins: np.ndarray, words: Sequence[str | None] | None) -> np.ndarray:
    """A number for each film, int64 [M], equal where films belong together: twins, and those of one word. Films without a word stand alone."""
    parent = twins.tolist()

    def root(k: int) -> int:
        while parent[k] != k:
            k = parent[k]
        return k

    first: dict[str, int] = {}
    for k, word in enumerate(words or ()):
        if word is not None:
            low, high = sorted((root(k), root(first.setdefault(word, k))))
            parent[high] = low
    return np.array([root(k) for k in range(len(parent))], dtype=np.int64)


def group_marks(groups: np.ndarray, marks: np.ndarray, words: Sequence[str | None] | None) -> np.ndarray:
    """A hash a film, uint64 [M], the same throughout a group: of the least of its words' hashes, and of its films' where there is no word."""
    if words is not None:
        said = [mark if word is None else _hash_of(word) for word, mark in zip(words, marks.tolist(), strict=True)]
        marks = np.array(said, dtype=np.uint64)
    least = np.full(len(groups), np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(least, groups, marks)
    return sample_hashes(least[groups][:, None])


def _hash_of(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "little")


def held_groups(groups: np.ndarray, marks: np.ndarray, weights: np.ndarray, share: float) -> tuple[np.ndarray, str]:
    """Which films to keep back, bool [M], whole groups of them, and how they were chosen.

    weights: what a film counts, such as its clips. "groups": a group is held if its hash as a number in [0, 1) is below `share`, so that adding
    films moves none; "lowest": where chance would miss the share by far, the groups of the lowest hashes up to it, at least one, never all;
    "none": share 0; "one group": nothing can be held without dividing a group.
    """
    if share <= 0 or not len(groups):
        return np.zeros(len(groups), dtype=bool), "none"
    _, first, of = np.unique(groups, return_index=True, return_inverse=True)
    usable = np.bincount(of, weights) > 0
    if usable.sum() < 2:
        return np.zeros(len(groups), dtype=bool), "one group"
    held = held_out(marks, share)
    got = float(weights[held].sum()) / float(weights.sum())
    if share / FAR <= got <= min(share * FAR, 0.6):
        return held, "groups"
    sizes = np.bincount(of, weights)
    order = [k for k in np.argsort(marks[first], kind="stable").tolist() if usable[k]]
    chosen = [order[0]]
    total = float(weights.sum())
    for k in order[1:-1]:
        if abs(sizes[chosen].sum() + sizes[k] - share * total) >= abs(sizes[chosen].sum() - share * total):
            continue
        chosen.append(k)
    if sizes[chosen].sum() > 0.6 * total:  # the first is the largest by far: take the smallest instead
        chosen = [int(min(order, key=lambda k: sizes[k]))]
    return np.isin(of, chosen), "lowest"
