"""Memorisation: are samples nearer to training pictures than real pictures are?

    authenticity  share of samples g whose nearest training picture t has another training picture nearer to it than g is:
                  1{ ‖g − t‖ > min_{t' ≠ t} ‖t' − t‖ }            Alaa et al. 2022, arXiv:2102.08921, §3 (the α-precision paper)
    copies        share of samples nearer to their nearest training picture than all but 1 % of the held-out pictures are to theirs, of those
                  that are not training pictures themselves: with these the 1 % would begin at a distance of 0, and nothing is nearer
    copying       C_T of Meehan et al. 2020, arXiv:2004.05675, §4: in cells of feature space, Mann and Whitney's U of the samples' distances
                  to the training set against the held-out pictures', as a standard normal Z; averaged over cells by their held-out share

Read authenticity against its floor, what held-out real pictures score: around a half where data are dense, far from 1. Below it the generator
copies; above it, it keeps away from the data, which is no merit. Copies is 0.01 by construction for real pictures, plus the share of those that
are training pictures, and sees the fault earlier: a few per cent of copies hardly move authenticity. Copying far below 0 (say −3 and less) means
samples nearer to the training set than fresh real pictures are; far above 0, a generator that does not fit. Without held-out pictures only
authenticity is defined.
*Differs*: cells are k-means cells of the features (10, fewer where held-out pictures are few) instead of a fitted partition of choice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from agon.metrics.contract import Family, Features, Metric
from agon.metrics.jackknife import wilson
from agon.metrics.rows import Rows, subset
from agon.metrics.setting import Setting

LIMIT = 5_000  # samples and held-out pictures that are looked up among the training pictures
TAIL = 0.01
SAME = 1e-5  # of the usual distance: the same picture, whose features two batches round differently
LEAST = 10  # held-out samples without which nothing is said
_CELLS, _PER_CELL = 10, 50
_CHUNK = 250


def nearest(x: Tensor, among: Tensor, *, but: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Distance float64 [n] to the nearest row of `among` [m, d] for each x [n, d], and its index; `but` [n]: the row not to be counted.

    The search is in float32 about the mean, the distance of the found pair exact in float64.
    """
    centre = among.mean(0)
    table, norms = (among - centre).float(), (among - centre).float().square().sum(1)
    found = []
    for start in range(0, len(x), _CHUNK):
        some = (x[start : start + _CHUNK] - centre).float()
        d = torch.addmm(norms[None], some, table.T, alpha=-2)
        if but is not None:
            d[torch.arange(len(some)), but[start : start + _CHUNK]] = math.inf
        found.append(d.argmin(1))
    index = torch.cat(found) if found else torch.empty(0, dtype=torch.int64)
    return (x.double() - among[index].double()).norm(dim=1), index


def authenticity(to_training: Tensor, index: Tensor, training: Tensor) -> float:
    """Share of samples farther from training row `index` [n] than that row is from its nearest fellow; to_training [n] distances."""
    rows, back = index.unique(return_inverse=True)
    alone, _ = nearest(training[rows], training, but=rows)
    return float((to_training > alone[back]).double().mean())


def copied(to_fake: Tensor, to_held: Tensor) -> tuple[float, int]:
    """Share of samples at distances to_fake [n] nearer to training ones than all but 1 % of the held-out ones at to_held [m].

    Held-out samples that are training samples are left out of that, and their number is the second result; the first is not-a-number
    where fewer than ten are left.
    """
    new = to_held[to_held > SAME * to_held.median()] if len(to_held) else to_held
    share = float((to_fake < new.quantile(TAIL)).double().mean()) if len(new) >= LEAST else math.nan
    return share, len(to_held) - len(new)


def mann_whitney_z(a: Tensor, b: Tensor) -> float:
    """Z of U = #{a > b} + ½ #{a = b} under equal distributions, a [n], b [m]: below 0 where a tends to be smaller."""
    ordered = b.sort().values
    below = torch.searchsorted(ordered, a, right=False).double()
    upto = torch.searchsorted(ordered, a, right=True).double()
    n, m = len(a), len(b)
    u = float((below + upto).sum() / 2)
    return (u - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)


def cells_of(training: Tensor, count: int, *, seed: int = 0, steps: int = 15) -> Tensor:
    """Centres float32 [count, d] by Lloyd's k-means on at most 10,000 training rows."""
    rows = training[subset(len(training), 10_000, seed)].float()
    centres = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:count]].clone()
    for _ in range(steps):
        owner = torch.cdist(rows, centres).argmin(1)
        sizes = torch.bincount(owner, minlength=count)
        sums = torch.zeros_like(centres).index_add_(0, owner, rows)
        centres = torch.where(sizes[:, None] > 0, sums / sizes.clamp_min(1)[:, None], centres)
    return centres


def three_samples(fake: Tensor, held: Tensor, training: Tensor, to_fake: Tensor, to_held: Tensor, *, seed: int = 0) -> float:
    """C_T of fake [n, d] and held [m, d] rows with their distances to the training rows: the Z of each cell, weighted by its held share."""
    count = max(1, min(_CELLS, len(held) // _PER_CELL, len(training)))
    centres = cells_of(training, count, seed=seed)
    of_fake, of_held = (torch.cdist(x.float(), centres).argmin(1) for x in (fake, held))
    total = weight = 0.0
    for cell in range(count):
        a, b = to_fake[of_fake == cell], to_held[of_held == cell]
        if min(len(a), len(b)) >= LEAST:
            total += len(b) * mann_whitney_z(a, b)
            weight += len(b)
    return total / weight if weight else math.nan


class Memorisation(Metric):
    """The three figures of a stream of `expected` features; training [m, d], held [h, d] (may be empty)."""

    outputs: ClassVar[tuple[str, ...]] = ("authenticity", "copies", "copying")
    higher_is_better: ClassVar[Mapping[str, bool]] = {"authenticity": True, "copies": False, "copying": True}

    def __init__(self, training: Tensor, held: Tensor, expected: int, *, seed: int = 0, share: tuple[int, int] = (0, 1)) -> None:
        self.training, self.seed = training, seed
        self.held = held[subset(len(held), LIMIT, seed)]
        self.rows = Rows(training.shape[1], expected, LIMIT, seed=seed, share=share)
        self._values: dict[str, float] = {}
        self._known = 0

    def update(self, batch: Features) -> None:
        """Keep the rows."""
        self.rows.add(batch.features)

    def compute(self) -> dict[str, float]:
        """All three; copies and copying need ten held-out pictures."""
        fake = self.rows.values
        self._values = dict.fromkeys(self.outputs, math.nan)
        if len(fake) == 0 or len(self.training) < 3 or not bool(torch.isfinite(fake).all()):
            return self._values
        to_fake, index = nearest(fake, self.training)
        self._values["authenticity"] = authenticity(to_fake, index, self.training)
        if len(self.held) >= LEAST:
            to_held, _ = nearest(self.held, self.training)
            self._values["copies"], self._known = copied(to_fake, to_held)
            self._values["copying"] = three_samples(fake, self.held, self.training, to_fake, to_held, seed=self.seed)
        return self._values

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Wilson's, of the shares."""
        return {name: wilson(self._values[name], len(self.rows.values)) for name in ("authenticity", "copies")}

    def settings(self) -> str:
        """How many of each kind took part."""
        known = f" ({self._known} of them training pictures)" if self._known else ""
        return f"{len(self.rows.table)} samples, {len(self.held)} held-out{known} among {len(self.training)} training pictures"

    def state(self) -> dict[str, Tensor]:
        """The table of rows."""
        return self.rows.state()

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Replace the table."""
        self.rows.load(state)


def build(setting: Setting, expected: int) -> Memorisation:
    """Against the training split and the held-out one."""
    return Memorisation(setting.training, setting.held, expected, seed=setting.seed)


FAMILY = Family(
    name="memorisation",
    outputs=Memorisation.outputs,
    build=build,
    sight={
        "pictures": dict.fromkeys(Memorisation.outputs, "bbbbs"),
        "clips": {"authenticity": "bbbbbbbbbs", "copies": "bbbbbbbbbs", "copying": "bbbbbbbbbg"},
    },
)
