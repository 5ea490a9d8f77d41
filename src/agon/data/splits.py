"""Splits by group: what comes from one source film, or looks as if it did, stays on one side."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np

from agon.data.samples import held_out, sample_hashes
from agon.errors import InputError

FAR = 2.0  # a share held back by chance that is more than this factor from what was asked for is chosen in order instead


def groups_of(names: Sequence[str], twins: np.ndarray, pattern: str | None) -> np.ndarray:
    """A number for each film, int64 [M], equal where films belong together: twins, and names in which the pattern's first group is the same.

    Raises InputError if the pattern is in no name. Names without it are groups of their own.
    """
    if pattern is None:
        return twins.copy()
    words = [match[1] if (match := re.search(pattern, name)) else None for name in names]
    if not any(word is not None for word in words):
        raise InputError(f"group={pattern!r} is in none of the {len(names)} names; expected one that is in names such as {names[0]!r}")
    parent = twins.tolist()

    def root(k: int) -> int:
        while parent[k] != k:
            k = parent[k]
        return k

    first: dict[str, int] = {}
    for k, word in enumerate(words):
        if word is not None:
            low, high = sorted((root(k), root(first.setdefault(word, k))))
            parent[high] = low
    return np.array([root(k) for k in range(len(parent))], dtype=np.int64)


def group_marks(groups: np.ndarray, marks: np.ndarray, names: Sequence[str], pattern: str | None) -> np.ndarray:
    """A hash a film, uint64 [M], the same throughout a group: of what the pattern finds or, without one, of the least of the films' hashes."""
    if pattern is not None:
        found = [match[1] or "" if (match := re.search(pattern, name)) else None for name in names]
        said = [_hash_of(word) if word is not None else mark for word, mark in zip(found, marks.tolist(), strict=True)]
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
