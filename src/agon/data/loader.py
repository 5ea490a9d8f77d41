"""The loader: which samples a round sees. A pure function of (seed, round), so the sampler's position is the round number.

The samples of a run form one endless stream: epoch after epoch, each a permutation seeded by (seed, epoch), with nothing
dropped at its end. Batch b is the stream from b·B to (b+1)·B; rank r takes the r-th of `world` equal slices of it, so the
ranks' slices joined are the batch that one rank would see. A set smaller than a batch simply repeats within it.

Balanced, the stream is block after block of one sample a class, the classes in an order drawn for each block; a class goes through its own
samples epoch by epoch. So every class is seen equally often, and any K samples in a row that begin a block hold all K classes.

Alike, sentences of like lengths share a batch, which then holds less padding: within WINDOW batches of an epoch's permutation the samples are put in
order of their length and cut into batches, and these batches are shuffled. Samples that share a batch with another epoch stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from agon.data.samples import Samples
from agon.errors import InputError

Batch: TypeAlias = dict[str, Tensor]
_PERMUTATION, _MIRROR, _BLOCK, _RUNS = 0, 1, 2, 3
WINDOW = 16  # batches whose sentences are sorted together
_KEPT = 4  # drawn epochs that are kept, as drawing costs O(N)


@dataclass
class Loader:
    """Batches of `samples` for training.

    batch: samples over all ranks, a multiple of `world`. batches_per_round: how many batches `round` gives.
    mirror: flips half of the pictures or clips left to right, drawn anew for each sample and epoch.
    balance: every class equally often, whatever its share of the samples; needs y int64 [N].
    alike: sentences of like lengths share a batch; needs x of tokens int32 [N, L].
    """

    samples: Samples
    batch: int
    seed: int
    rank: int = 0
    world: int = 1
    batches_per_round: int = 1
    mirror: bool = False
    balance: bool = False
    alike: bool = False
    _lengths: np.ndarray | None = field(default=None, init=False, repr=False)
    _members: list[np.ndarray] = field(default_factory=list, init=False, repr=False)
    _epochs: dict[tuple[int, ...], np.ndarray] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        """Raises InputError on an empty set or a batch that the ranks cannot share equally."""
        if len(self.samples) == 0:
            raise InputError("there is no sample to train on; give a larger set or a smaller holdout")
        if self.batch < 1 or self.batch % self.world:
            raise InputError(f"batch got {self.batch}; expected a positive multiple of {self.world}, the number of processes")
        if not 0 <= self.rank < self.world or self.batches_per_round < 1:
            raise InputError(
                f"rank {self.rank} of {self.world} with {self.batches_per_round} batches a round; expected rank < world, batches >= 1"
            )
        if self.mirror and self.samples.x.ndim not in (4, 5):
            raise InputError("mirror is for pictures and clips; these samples are points: leave mirror off")
        if self.balance:
            y = self.samples.y
            if y is None or y.ndim != 1:
                raise InputError("balance is for classes, and these samples have none; leave it off")
            self._members = [np.flatnonzero(y.numpy() == k) for k in np.unique(y.numpy())]

        if self.alike:
            x = self.samples.x
            if self.balance or not isinstance(x, Tensor) or x.ndim != 2 or x.is_floating_point():
                raise InputError("alike is for sentences that are not balanced by class; leave it off")
            self._lengths = (x != 0).sum(1).numpy()

    def round(self, index: int) -> list[Batch]:
        """This rank's share of the batches of round `index` (from 0): [{"x": stored form [B/world, ...], "y": int64}]."""
        first = index * self.batches_per_round
        return [self._batch(first + k) for k in range(self.batches_per_round)]

    def _batch(self, number: int) -> Batch:
        share = self.batch // self.world
        start = number * self.batch + self.rank * share
        rows, flips = self._balanced(start, share) if self.balance else self._plain(start, share)
        chosen = torch.from_numpy(rows)
        x = self.samples.x.index_select(0, chosen)
        if self.mirror:
            turned = torch.from_numpy(np.flatnonzero(flips))
            x[turned] = x[turned].flip(-1)
        batch = {"x": x}
        if self.samples.y is not None:
            batch["y"] = self.samples.y.index_select(0, chosen)
        return batch

    def _plain(self, start: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Which samples int64 [count] lie at `start` of the stream, and which of them are flipped, bool [count]."""
        rows, flips, size = [], [], len(self.samples)
        while count > 0:
            epoch, offset = divmod(start, size)
            taken = min(count, size - offset)
            part = (self._drawn if self._lengths is None else self._sorted)(size, epoch, _PERMUTATION)[offset : offset + taken]
            rows.append(part)
            if self.mirror:
                flips.append(self._drawn(size, epoch, _MIRROR)[part])
            start, count = start + taken, count - taken
        return np.concatenate(rows), np.concatenate(flips) if flips else np.zeros(0, bool)

    def _balanced(self, start: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The same of the balanced stream."""
        blocks, places = np.divmod(np.arange(start, start + count), len(self._members))
        classes = np.empty(count, np.int64)
        for block in np.unique(blocks):
            mask = blocks == block
            classes[mask] = self._drawn(len(self._members), int(block), _BLOCK)[places[mask]]
        rows, flips = np.empty(count, np.int64), np.zeros(count, bool)
        for k in np.unique(classes):  # in block b, a class comes for the b-th time
            members, mask = self._members[k], classes == k
            for epoch in np.unique(blocks[mask] // len(members)):
                now = mask & (blocks // len(members) == epoch)
                which = self._drawn(len(members), int(epoch), _PERMUTATION, int(k))[blocks[now] % len(members)]
                rows[now] = members[which]
                if self.mirror:
                    flips[now] = self._drawn(len(members), int(epoch), _MIRROR, int(k))[which]
        return rows, flips

    def _sorted(self, size: int, epoch: int, _: int) -> np.ndarray:
        """The epoch's permutation int64 [size] with batches of like lengths."""
        key = (epoch, _RUNS, size)
        if key not in self._epochs:
            assert self._lengths is not None
            order = self._drawn(size, epoch, _PERMUTATION).copy()
            first = -epoch * size % self.batch  # the first batch that is this epoch's alone
            count = max(0, size - first) // self.batch
            body = order[first : first + count * self.batch]
            for start in range(0, len(body), WINDOW * self.batch):
                window = body[start : start + WINDOW * self.batch]
                window[:] = window[np.argsort(self._lengths[window], kind="stable")]
            runs = self._drawn(count, epoch, _PERMUTATION, _RUNS)
            body[:] = body.reshape(count, self.batch)[runs].reshape(-1)
            self._keep(key, order)
        return self._epochs[key]

    def _drawn(self, size: int, epoch: int, purpose: int, *of: int) -> np.ndarray:
        """The epoch's permutation int64 [size] or its flips bool [size], of all samples or `of` a class; the last few are kept."""
        key = (epoch, purpose, *of)
        if key not in self._epochs:
            dice = np.random.Generator(np.random.Philox(np.random.SeedSequence((self.seed, *key))))
            drawn = dice.random(size) < 0.5 if purpose == _MIRROR else dice.permutation(size)
            self._keep(key, drawn)
        return self._epochs[key]

    def _keep(self, key: tuple[int, ...], drawn: np.ndarray) -> None:
        while len(self._epochs) >= _KEPT * (3 if self.alike else 1) + 4 * len(self._members):
            del self._epochs[next(iter(self._epochs))]
        self._epochs[key] = drawn
