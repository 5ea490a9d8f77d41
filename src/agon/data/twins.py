"""Twins among films: those that show the same, maybe mirrored, or that share a piece. They must not be on both sides of a split.

Two signs. First, frames at five places spread over each film are compared as `duplicates` compares pictures, with the other film as it is and
flipped left to right: a re-encoded or mirrored copy. Second, pieces of three frames that are equal bit for bit, as overlapping cuts of one film
have them: films are twins if at least half of the shorter one's pieces are in the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from agon.data.duplicates import near_duplicates

PLACES = 5  # frames looked at; times channels it is never four, which would be taken for transparency
POSTER_SIDE, MANY = 32, 20_000  # pixels: they are looked at no larger than this, and of more films than MANY at half of it
SHARED = 0.5
_FEW = 16  # of films that have a piece in common every two are compared; of more only followers


def find_twins(frames: Tensor, runs: np.ndarray, hashes: Sequence[np.ndarray]) -> np.ndarray:
    """A number for each film, int64 [M], equal for twins: the index of the first of them.

    frames: uint8 [F, C, H, W]. runs: int64 [R, 3] of (film, first frame, frames). hashes: of every frame, film by film, uint64 [n].
    """
    count = len(hashes)
    parent = np.arange(count)

    def root(k: int) -> int:
        while parent[k] != k:
            parent[k] = parent[parent[k]]
            k = int(parent[k])
        return k

    def join(one: int, other: int) -> None:
        low, high = sorted((root(one), root(other)))
        parent[high] = low

    shown = posters(frames, runs, count)
    for group in near_duplicates(shown, shown.flip(-1)):
        for k in group[1:]:
            join(group[0] % count, k % count)
    for one, other in _sharing(hashes):
        join(one, other)
    return np.array([root(k) for k in range(count)], dtype=np.int64)


def posters(frames: Tensor, runs: np.ndarray, count: int) -> Tensor:
    """Five frames spread over each film, one above the other: uint8 [M, 5·C, h, w]."""
    order = np.argsort(runs[:, 0], kind="stable")
    ends = np.searchsorted(runs[order, 0], np.arange(count + 1))
    most = POSTER_SIDE if count <= MANY else POSTER_SIDE // 2
    shown = []
    for k in range(count):
        mine = runs[order[ends[k] : ends[k + 1]]]
        total = np.cumsum(mine[:, 2])
        at = ((np.arange(PLACES) + 0.5) / PLACES * total[-1]).astype(np.int64)
        which = np.searchsorted(total, at, side="right")
        places = mine[which, 1] + at - (total[which] - mine[which, 2])
        picture = frames[torch.from_numpy(places)]
        if max(picture.shape[2:]) > most:
            small = min(picture.shape[2], most), min(picture.shape[3], most)
            picture = adaptive_avg_pool2d(picture.float(), small).round().to(torch.uint8)
        shown.append(picture.flatten(0, 1))
    return torch.stack(shown)


def _sharing(hashes: Sequence[np.ndarray]) -> list[tuple[int, int]]:
    """Pairs of films that share at least half of the shorter one's pieces of three frames, still pieces left out."""
    pieces, owners = [], []
    for k, marks in enumerate(hashes):
        if len(marks) >= 3:
            moving = (marks[:-2] != marks[1:-1]) | (marks[1:-1] != marks[2:])
            piece = marks[:-2] * np.uint64(3) ^ np.roll(marks, -1)[:-2] * np.uint64(5) ^ np.roll(marks, -2)[:-2] * np.uint64(7)
            pieces.append(np.unique(piece[moving]))
            owners.append(np.full(len(pieces[-1]), k))
    if not pieces:
        return []
    flat, owner = np.concatenate(pieces), np.concatenate(owners)
    size = np.bincount(owner, minlength=len(hashes))
    order = np.argsort(flat, kind="stable")
    flat, owner = flat[order], owner[order]
    shared: Counter[tuple[int, int]] = Counter()
    starts = np.flatnonzero(np.r_[True, flat[1:] != flat[:-1]])
    lengths = np.diff(np.r_[starts, len(flat)])
    for start, length in zip(starts[lengths > 1].tolist(), lengths[lengths > 1].tolist(), strict=True):
        films = owner[start : start + length].tolist()
        reach = length if length <= _FEW else 1
        shared.update((one, other) for k, one in enumerate(films) for other in films[k + 1 : k + 1 + reach])
    return [pair for pair, count in shared.items() if count >= max(1.0, SHARED * min(size[pair[0]], size[pair[1]]))]
