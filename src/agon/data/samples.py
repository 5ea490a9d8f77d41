"""Samples in memory or memory-mapped, the data set made of them, and the rule that keeps some back."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from agon.data.windows import Windows
from agon.spaces import Space


@dataclass
class Samples:
    """Samples in stored form: `x` uint8 [N, C, H, W] or [N, T, C, H, W] or float32 [N, d], `y` int64 [N] or None.

    `x` may be backed by a file (memory-mapped): index it with a tensor of indices, never in place. Clips of films are `Windows`, which copy
    what is asked for and nothing else.
    """

    x: Tensor | Windows
    y: Tensor | None = None
    captions: list[str] | None = None  # one sentence a sample, where the set has them
    index: np.ndarray | None = None  # int64 [N]: which item of the source each sample is
    references: list[tuple[str, ...]] | None = None  # all texts a sample may be compared with, where some have several

    def __len__(self) -> int:
        return len(self.x)


@dataclass
class DataSet:
    """What `open_data` gives: a space, samples to train on, samples kept back, and what is known about both."""

    space: Space
    train: Samples
    held: Samples  # never trained on; empty when holdout is 0
    card: dict[str, Any]  # JSON-able: counts, sizes, modes, labels, unreadable files, duplicates ...
    reasons: dict[str, str]  # derived choice -> "value: reason"
    content_hash: str  # 16 hex digits over every pixel, label and the split
    names: Sequence[str] = field(default=(), repr=False)  # the source's items by index, for messages

    @property
    def by_chance(self) -> bool:
        """Whether held-out samples stand beside conditions that are not theirs, as texts without pairs do: nothing can be said of the two together."""
        return bool(self.card.get("by_chance"))


def sample_hashes(rows: np.ndarray) -> np.ndarray:
    """A 64-bit content hash of each row [N, ...] -> uint64 [N]; equal rows, and practically only those, get equal ones."""
    if len(rows) == 0:
        return np.zeros(0, np.uint64)
    flat = np.ascontiguousarray(rows).reshape(len(rows), -1).view(np.uint8)
    raw, step = flat.data.cast("B"), flat.shape[1]
    digests = b"".join(hashlib.blake2b(raw[k * step : (k + 1) * step], digest_size=8).digest() for k in range(len(rows)))
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def text_hashes(texts: Sequence[str]) -> np.ndarray:
    """A 64-bit hash uint64 [N] of each text, by which it is held out; capitals do not count."""
    digests = b"".join(hashlib.blake2b(text.casefold().encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in texts)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def held_out(hashes: np.ndarray, share: float) -> np.ndarray:
    """Which samples to keep back, bool [N], by content alone: the same sample is always on the same side.

    A sample is held if its hash, read as a number in [0, 1), is below `share`; so adding files never moves another one,
    and exact duplicates stay together.
    """
    threshold = min(int(share * 2.0**64), 2**64 - 1)
    return hashes < np.uint64(threshold)


def held_out_surely(hashes: np.ndarray, share: float, least: int = 2) -> tuple[np.ndarray, bool]:
    """What `held_out` keeps back, and True; where that leaves fewer than `least` on either side, what `held_out_few` does, and False."""
    held = held_out(hashes, share)
    if share <= 0 or min(held.sum(), (~held).sum()) >= least:
        return held, True
    return held_out_few(hashes, share, least), False


def held_out_few(hashes: np.ndarray, share: float, least: int) -> np.ndarray:
    """For sets so small that chance gives fewer than `least`: hold the lowest hashes, at least that many, never all."""
    distinct, counts = np.unique(hashes, return_counts=True)
    wanted = max(least, round(share * len(hashes)))
    upto = min(int(np.searchsorted(np.cumsum(counts), wanted)), len(distinct) - 2)
    return hashes <= distinct[upto] if upto >= 0 else np.zeros(len(hashes), dtype=bool)
