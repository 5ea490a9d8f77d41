"""The loader: which samples a round sees. A pure function of (seed, round), so the sampler's position is the round number.

The samples of a run form one endless stream: epoch after epoch, each a permutation seeded by (seed, epoch), with nothing
dropped at its end. Batch b is the stream from b·B to (b+1)·B; rank r takes the r-th of `world` equal slices of it, so the
ranks' slices joined are the batch that one rank would see. A set smaller than a batch simply repeats within it.
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
_PERMUTATION, _MIRROR = 0, 1


@dataclass
class Loader:
    """Batches of `samples` for training.

    batch: samples over all ranks, a multiple of `world`. batches_per_round: how many batches `round` gives.
    mirror: flips half of the pictures left to right, drawn anew for each sample and epoch.
    """

    samples: Samples
    batch: int
    seed: int
    rank: int = 0
    world: int = 1
    batches_per_round: int = 1
    mirror: bool = False
    _epochs: dict[tuple[int, int], np.ndarray] = field(default_factory=dict, init=False, repr=False)

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
        if self.mirror and self.samples.x.ndim != 4:
            raise InputError("mirror is for pictures; these samples are points: leave mirror off")

    def round(self, index: int) -> list[Batch]:
        """This rank's share of the batches of round `index` (from 0): [{"x": stored form [B/world, ...], "y": int64}]."""
        first = index * self.batches_per_round
        return [self._batch(first + k) for k in range(self.batches_per_round)]

    def _batch(self, number: int) -> Batch:
        share = self.batch // self.world
        start = number * self.batch + self.rank * share
        rows, flips, size = [], [], len(self.samples)
        while share > 0:
            epoch, offset = divmod(start, size)
            taken = min(share, size - offset)
            part = self._drawn(epoch, _PERMUTATION)[offset : offset + taken]
            rows.append(part)
            if self.mirror:
                flips.append(self._drawn(epoch, _MIRROR)[part])
            start, share = start + taken, share - taken
        chosen = torch.from_numpy(np.concatenate(rows) if len(rows) > 1 else rows[0])
        x = self.samples.x.index_select(0, chosen)
        if self.mirror:
            turned = torch.from_numpy(np.flatnonzero(np.concatenate(flips)))
            x[turned] = x[turned].flip(-1)
        batch = {"x": x}
        if self.samples.y is not None:
            batch["y"] = self.samples.y.index_select(0, chosen)
        return batch

    def _drawn(self, epoch: int, purpose: int) -> np.ndarray:
        """The epoch's permutation int64 [N], or its flips bool [N]; the last few are kept, as drawing costs O(N)."""
        key = (epoch, purpose)
        if key not in self._epochs:
            dice = np.random.Generator(np.random.Philox(np.random.SeedSequence((self.seed, epoch, purpose))))
            size = len(self.samples)
            drawn = dice.permutation(size) if purpose == _PERMUTATION else dice.random(size) < 0.5
            while len(self._epochs) >= 4:
                del self._epochs[next(iter(self._epochs))]
            self._epochs[key] = drawn
        return self._epochs[key]
