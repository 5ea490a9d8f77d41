"""Near-duplicates among packed pictures: a difference hash finds candidates, the pixels decide.

The hash (Krawetz 2013, "dHash"): the picture in grey at 9×8 pixels, one bit for each pixel darker than its right neighbour.
Equal hashes alone would call many plain drawings the same, so a candidate pair counts only if the pictures differ by
little on average and nowhere by much.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

MEAN_LEVELS, BLOCK_LEVELS = 4.0, 16.0  # of 255: mean over all values, and the worst of 8×8 block means
SEARCH_BITS_UPTO = 20_000  # sets up to this size are also searched for hashes that differ in one or two bits
_NEIGHBOURS, _BLOCK_NEIGHBOURS = 8, 64  # how many followers in a bucket each picture is compared with
_BLOCKS = ((0, 22), (22, 21), (43, 21))  # (shift, bits): two flipped bits leave one of three blocks untouched


def difference_hashes(x: Tensor, chunk: int = 2048) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [N, C, H, W] -> the hash of each, uint64 [N], and the small grey pictures it is taken from, float32 [N, 72]."""
    weights = torch.from_numpy(np.left_shift(np.uint64(1), np.arange(64, dtype=np.uint64)).view(np.int64).copy())
    hashes, smalls = [], []
    for start in range(0, len(x), chunk):
        grey = _grey(x[start : start + chunk].float())
        small = adaptive_avg_pool2d(grey, (8, 9))[:, 0]
        bits = (small[:, :, :-1] < small[:, :, 1:] - 1e-3).reshape(len(small), 64)
        hashes.append((bits.long() * weights).sum(1))  # distinct powers of two: the sum is the bitwise or
        smalls.append(small.flatten(1))
    if not hashes:
        return np.zeros(0, np.uint64), np.zeros((0, 72), np.float32)
    return torch.cat(hashes).numpy().view(np.uint64), torch.cat(smalls).numpy()


def _grey(x: Tensor) -> Tensor:
    if x.shape[1] == 4:
        alpha = x[:, 3:] / 255
        x = x[:, :3] * alpha + 255 * (1 - alpha)
    return x.mean(1, keepdim=True)


def near_duplicates(*parts: Tensor) -> list[list[int]]:
    """Groups of near-duplicate pictures among uint8 [N, C, H, W], exact ones included: row indices, each group ascending.

    Several parts count as one set, the rows of the second following those of the first; files are not read into memory.
    """
    looked = [difference_hashes(x) for x in parts]
    hashes, small = np.concatenate([h for h, _ in looked]), np.concatenate([s for _, s in looked])
    means, count = small.mean(1), len(hashes)
    pairs = _neighbours(hashes, np.lexsort((means, hashes)), _NEIGHBOURS)
    if count <= SEARCH_BITS_UPTO:
        for shift, bits in _BLOCKS:
            block = (hashes >> np.uint64(shift)) & np.uint64(2**bits - 1)
            close = _neighbours(block, np.lexsort((means, hashes, block)), _BLOCK_NEIGHBOURS)
            flipped = _count_bits(hashes[close[:, 0]] ^ hashes[close[:, 1]])
            pairs = np.concatenate([pairs, close[(flipped > 0) & (flipped <= 2)]])
    pairs = np.unique(np.sort(pairs, axis=1), axis=0)
    pairs = pairs[np.abs(small[pairs[:, 0]] - small[pairs[:, 1]]).max(1, initial=0) <= BLOCK_LEVELS]  # saves most of the next step
    return _groups(pairs[_alike(parts, pairs)], count)


def _neighbours(keys: np.ndarray, order: np.ndarray, reach: int) -> np.ndarray:
    """Pairs [P, 2] of rows with equal keys, at most `reach` apart in `order`, which sorts by key first."""
    ordered, pairs = keys[order], [np.zeros((0, 2), np.int64)]
    for step in range(1, min(reach, len(order) - 1) + 1):
        same = np.flatnonzero(ordered[:-step] == ordered[step:])
        if len(same) == 0:
            break
        pairs.append(np.stack([order[same], order[same + step]], axis=1))
    return np.concatenate(pairs)


def _count_bits(values: np.ndarray) -> np.ndarray:
    return np.unpackbits(values.view(np.uint8).reshape(len(values), 8), axis=1).sum(1) if len(values) else np.zeros(0, np.int64)


def _rows(parts: Sequence[Tensor], index: Tensor) -> Tensor:
    """Rows `index` of the parts taken as one, float32."""
    found, start = torch.empty((len(index), *parts[0].shape[1:])), 0
    for part in parts:
        mine = (index >= start) & (index < start + len(part))
        found[mine] = part.index_select(0, index[mine] - start).float()
        start += len(part)
    return found


def _alike(parts: Sequence[Tensor], pairs: np.ndarray, chunk: int = 1024) -> np.ndarray:
    verdicts = [np.zeros(0, bool)]
    for start in range(0, len(pairs), chunk):
        first, second = torch.from_numpy(pairs[start : start + chunk]).unbind(1)
        apart = (_rows(parts, first) - _rows(parts, second)).abs()
        worst = adaptive_avg_pool2d(apart, (8, 8)).amax((1, 2, 3))
        verdicts.append(((apart.mean((1, 2, 3)) <= MEAN_LEVELS) & (worst <= BLOCK_LEVELS)).numpy())
    return np.concatenate(verdicts)


def _groups(pairs: np.ndarray, count: int) -> list[list[int]]:
    parent = list(range(count))

    def root(k: int) -> int:
        while parent[k] != k:
            parent[k] = parent[parent[k]]
            k = parent[k]
        return k

    for first, second in pairs.tolist():
        low, high = sorted((root(first), root(second)))
        parent[high] = low
    members: dict[int, list[int]] = {}
    for k in np.unique(pairs).tolist():
        members.setdefault(root(k), []).append(k)
    return sorted(members.values())
