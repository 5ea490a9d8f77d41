"""Fidelity and diversity apart: improved precision and recall, density and coverage, from nearest neighbours in feature space.

    precision  share of generated samples inside the k-neighbour ball of some real one    Kynkäänniemi et al. 2019, arXiv:1904.06991, k = 3
    recall     share of real samples inside the k-neighbour ball of some generated one    the same
    density    how many real balls a generated sample lies in, on average, over k         Naeem et al. 2020, arXiv:2002.09797, k = 5
    coverage   share of real samples whose ball holds a generated one                     the same

A ball is closed and reaches to the k-th nearest other sample of its own side. Density may pass 1. Exact, in chunks of rows, at most
`LIMIT` samples a side.

Intervals: the delete-a-group jackknife over the generated samples. Recall keeps each ball's radius when neighbours leave, which
saves twenty searches and makes its interval up to twice as wide as need be, never narrower.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from agon.metrics import jackknife
from agon.metrics.contract import Family, Features, Metric
from agon.metrics.rows import Rows
from agon.metrics.setting import Setting

K_PRECISION, K_DENSITY = 3, 5
LIMIT = 10_000  # samples a side: all pairs are looked at
_CHUNK = 250  # rows of distances at a time: 20 MB, which stays near the processor


def _squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Squared distances [len(a), len(b)]; both sides should be centred near zero, which keeps the rounding small."""
    norms = a.square().sum(1)[:, None] + b.square().sum(1)[None]
    return torch.addmm(norms, a, b.T, alpha=-2).clamp_min_(0)


def neighbour_radii(x: Tensor, ks: tuple[int, ...]) -> dict[int, Tensor]:
    """Squared distance of each row of x float64 [n, d] to its k-th nearest other row, for each k < n: {k: [n]}."""
    parts = []
    for start in range(0, len(x), _CHUNK):
        d = _squared_distances(x[start : start + _CHUNK], x)
        d[torch.arange(len(d)), torch.arange(start, start + len(d))] = math.inf
        parts.append(d.topk(max(ks), dim=1, largest=False).values)
    nearest = torch.cat(parts)
    return {k: nearest[:, k - 1] for k in ks}


def prdc(real: Tensor, fake: Tensor, *, k_precision: int = K_PRECISION, k_density: int = K_DENSITY) -> dict[str, float]:
    """Precision, recall, density and coverage of fake float64 [m, d] against real [n, d].

    Undefined (nan) unless both sides have more samples than neighbours and are finite.
    """
    return prdc_without(real, fake, groups=1, k_precision=k_precision, k_density=k_density)[0]


def prdc_without(
    real: Tensor, fake: Tensor, *, groups: int, k_precision: int = K_PRECISION, k_density: int = K_DENSITY
) -> tuple[dict[str, float], dict[str, Tensor]]:
    """The four figures, and the four [groups] with each group of fake samples (i mod groups) left out; none for a single group."""
    names = ("precision", "recall", "density", "coverage")
    finite = bool(torch.isfinite(real).all() and torch.isfinite(fake).all())
    if min(len(real), len(fake)) <= max(k_precision, k_density) or not finite:
        return dict.fromkeys(names, math.nan), {}
    groups = groups if len(fake) >= 2 * groups else 1
    centre = real.mean(0)
    real, fake = real - centre, fake - centre
    real_radii = neighbour_radii(real, (k_precision, k_density))
    fake_radii = neighbour_radii(fake, (k_precision,))[k_precision]
    group = torch.arange(len(fake)) % groups
    # Counting by group is a product with a table of which sample is in which group; small whole numbers are exact in float32.
    member = torch.nn.functional.one_hot(group, groups).float()
    precise = torch.zeros(len(fake), dtype=torch.bool)
    inside = torch.zeros(groups, dtype=torch.float64)
    recalled, covered = [], []
    for start in range(0, len(real), _CHUNK):
        rows = slice(start, start + _CHUNK)
        d = _squared_distances(real[rows], fake)
        precise |= (d <= real_radii[k_precision][rows, None]).any(0)
        recalled.append((d <= fake_radii[None]).float() @ member)
        within = (d <= real_radii[k_density][rows, None]).float() @ member
        inside += within.sum(0).double()
        covered.append(within)
    right, sizes = member.double().T @ precise.double(), member.double().sum(0)
    reached, near = torch.cat(recalled), torch.cat(covered)
    values = (
        precise.double().mean().item(), share_reached(reached).item(), float(inside.sum()) / (k_density * len(fake)),
        share_reached(near).item(),
    )  # fmt: skip
    if groups == 1:
        return dict(zip(names, values, strict=True)), {}
    left = len(fake) - sizes
    without = (
        (right.sum() - right) / left, share_reached(reached, away=True), (inside.sum() - inside) / (k_density * left),
        share_reached(near, away=True),
    )  # fmt: skip
    return dict(zip(names, values, strict=True)), dict(zip(names, without, strict=True))


def share_reached(counts: Tensor, *, away: bool = False) -> Tensor:
    """Share of rows of counts [n, groups] that any group reaches: []; away: that any but one group reaches, for each one: [groups]."""
    every = counts.sum(1)
    return ((every[:, None] - counts) > 0).double().mean(0) if away else (every > 0).double().mean()


class PRDC(Metric):
    """Precision, recall, density, coverage of a stream of `expected` features against real features [m, d], m <= LIMIT."""

    outputs: ClassVar[tuple[str, ...]] = ("precision", "recall", "density", "coverage")
    higher_is_better: ClassVar[Mapping[str, bool]] = dict.fromkeys(outputs, True)

    def __init__(self, real: Tensor, expected: int, *, seed: int = 0, share: tuple[int, int] = (0, 1)) -> None:
        assert len(real) <= LIMIT, f"{len(real)} real rows; take a subset of {LIMIT}"
        self.real = real.double()
        self.rows = Rows(real.shape[1], expected, LIMIT, seed=seed, share=share)
        self._values: dict[str, float] = {}
        self._without: dict[str, Tensor] = {}

    def update(self, batch: Features) -> None:
        """Keep the rows."""
        self.rows.add(batch.features)

    def compute(self) -> dict[str, float]:
        """All four."""
        self._values, self._without = prdc_without(self.real, self.rows.values, groups=jackknife.GROUPS)
        return self._values

    def intervals(self) -> dict[str, tuple[float, float]]:
        """By the jackknife; shares stay within 0 and 1."""
        return {
            name: jackknife.interval(self._values[name], without, least=0.0, most=math.inf if name == "density" else 1.0)
            for name, without in self._without.items()
        }

    def remark(self, name: str) -> str:
        """Why a figure is undefined."""
        fewest, most = min(len(self.real), len(self.rows.values)), max(K_PRECISION, K_DENSITY)
        return f"needs more than {most} samples a side, there are {fewest}" if fewest <= most else ""

    def settings(self) -> str:
        """Neighbours, and how many samples of each side took part."""
        return f"k={K_PRECISION} P/R, k={K_DENSITY} D/C, {len(self.rows.table)} against {len(self.real)}"

    def state(self) -> dict[str, Tensor]:
        """The table of rows."""
        return self.rows.state()

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Replace the table."""
        self.rows.load(state)


def build(setting: Setting, expected: int) -> PRDC:
    """The four against the reference's rows."""
    return PRDC(setting.reference.rows, expected, seed=setting.seed)


FAMILY = Family(
    name="prdc",
    outputs=PRDC.outputs,
    build=build,
    sight={
        "pictures": {"precision": "ssbbb", "recall": "ssssb", "density": "ssbbb", "coverage": "ssssb"},
        "clips": {"precision": "ssbsggsbgb", "recall": "gsbggggssb", "density": "ssbsggsbbb", "coverage": "ssbsggsgsb"},
    },
)
