"""Fréchet distance between Gaussians fitted to features. Dowson & Landau 1982; on Inception features, Heusel et al. 2017, arXiv:1706.08500.

    FD² = ‖μ₁ − μ₂‖² + tr(S₁ + S₂ − 2 (S₁ S₂)^½),    tr (S₁ S₂)^½ = ‖S₁^½ S₂^½‖_* (nuclear norm)

The figure printed as FD (and as FID by everyone) is this squared distance. The nuclear norm takes singular values of a product of two
symmetric roots, so no eigenvalue is squared and rooted again: accurate where N < d leaves the covariances singular.

Few samples. With N < d the covariance of the samples is singular, and the distance of real pictures from real pictures is mostly bias: in pixels,
24 blurred digits come out no farther than 24 sharp ones, because what blur takes away N could not show. So where N < d the features are first
brought to N/3 numbers: the training set's leading principal directions, and the distance from the plane they span, so that what leaves these
directions still counts. The stamp says so, and such figures are never compared with full ones. docs/metrics.md has the measurement.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from agon.metrics import jackknife
from agon.metrics.contract import Family, Features, Metric
from agon.metrics.moments import Moments
from agon.metrics.setting import Setting


def frechet_distance(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> float:
    """Squared Fréchet distance of two Gaussians: means float64 [d], covariances [d, d] (may be singular). Never below 0."""
    if not all(bool(torch.isfinite(t).all()) for t in (mean1, cov1, mean2, cov2)):
        return math.nan
    gap = (mean1 - mean2).square().sum()
    cross = torch.linalg.svdvals(root(cov1) @ root(cov2)).sum()
    return max(0.0, float(gap + cov1.trace() + cov2.trace() - 2 * cross))


def root(cov: Tensor) -> Tensor:
    """Symmetric square root; eigenvalues at the level of rounding count as the zeros they stand for."""
    values, vectors = torch.linalg.eigh(cov)
    tiny = values[-1].clamp_min(0) * len(values) * torch.finfo(cov.dtype).eps
    roots = torch.where(values > tiny, values.clamp_min(0).sqrt(), torch.zeros_like(values))
    return (vectors * roots) @ vectors.T


@dataclass
class Directions:
    """k directions of the training set: features [n, d] -> [n, k + 1], the coordinates along them and the distance from their plane."""

    centre: Tensor
    basis: Tensor

    @classmethod
    def of(cls, reference: Moments, count: int) -> Directions:
        """The `count` leading principal directions of the training split."""
        _, vectors = torch.linalg.eigh(reference.cov)
        return cls(reference.mean, vectors[:, -count:])

    def __call__(self, features: Tensor) -> Tensor:
        centred = features.double() - self.centre
        along = centred @ self.basis
        rest = (centred.square().sum(1) - along.square().sum(1)).clamp_min(0).sqrt()
        return torch.cat([along, rest[:, None]], 1)


def num_directions(count: int, dim: int) -> int:
    """How many directions FD of `count` samples is taken in: all `dim`, or a third of the samples where those are fewer than `dim`."""
    return dim if count >= dim else max(1, count // 3)


def num_groups(dim: int) -> int:
    """Groups of the jackknife: sums of each are kept and each costs a decomposition, so wide features get fewer, and very wide ones none."""
    return jackknife.GROUPS if dim <= 256 else 10 if dim <= 1024 else 1


class Frechet(Metric):
    """FD of a stream of features to reference moments; undefined (nan) below two samples on either side.

    Sample i belongs to group i mod G of the jackknife; `share` (i, n): rank i of n holds samples i, i + n, …
    """

    outputs: ClassVar[tuple[str, ...]] = ("fd",)
    higher_is_better: ClassVar[Mapping[str, bool]] = {"fd": False}

    def __init__(self, reference: Moments, *, directions: Directions | None = None, share: tuple[int, int] = (0, 1)) -> None:
        self.reference, self.directions = reference, directions
        self.parts = [Moments.empty(len(reference.total)) for _ in range(num_groups(len(reference.total)))]
        self._next, self._stride = share

    @property
    def moments(self) -> Moments:
        """Sums over all groups."""
        return total(self.parts)

    def update(self, batch: Features) -> None:
        """Add to the sums of each sample's group."""
        features = self.directions(batch.features) if self.directions else batch.features
        group = (self._next + self._stride * torch.arange(len(features))) % len(self.parts)
        self._next += self._stride * len(features)
        for index, part in enumerate(self.parts):
            chosen = features[group == index]
            if len(chosen):
                part.add(chosen)

    def compute(self) -> dict[str, float]:
        """{"fd": squared Fréchet distance}."""
        moments = self.moments
        if min(float(moments.n), float(self.reference.n)) < 2:
            return {"fd": math.nan}
        return {"fd": frechet_distance(moments.mean, moments.cov, self.reference.mean, self.reference.cov)}

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Of FD at this N, by the jackknife: the bias of N is in the figure and in its interval alike."""
        if min(float(part.n) for part in self.parts) < 1 or len(self.parts) < 2:
            return {}
        if float(self.moments.n) - max(float(part.n) for part in self.parts) < 2:
            return {}
        away = [total([other for other in self.parts if other is not part]) for part in self.parts]
        values = distances([moments.mean for moments in away], [moments.cov for moments in away], self.reference)
        return {"fd": jackknife.interval(self.compute()["fd"], values, least=0.0)}

    def settings(self) -> str:
        """Directions, where not all were taken."""
        return (
            f"{self.directions.basis.shape[1]} of {len(self.directions.basis)} directions and the distance from them"
            if self.directions
            else ""
        )

    def compares(self, other: Metric) -> bool:
        """Only in as many directions."""
        return self.settings() == other.settings()

    def state(self) -> dict[str, Tensor]:
        """n [G], total [G, d], outer [G, d, d]."""
        return {name: torch.stack([getattr(part, name) for part in self.parts]) for name in ("n", "total", "outer")}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Replace the sums."""
        self.parts = [Moments(*each) for each in zip(state["n"], state["total"], state["outer"], strict=True)]


def total(parts: Sequence[Moments]) -> Moments:
    """Sums over the samples of all parts, at least one."""
    n, every, outer = parts[0].n, parts[0].total, parts[0].outer
    for part in parts[1:]:
        n, every, outer = n + part.n, every + part.total, outer + part.outer
    return Moments(n, every, outer)


def distances(means: Sequence[Tensor], covs: Sequence[Tensor], reference: Moments) -> Tensor:
    """FD of several Gaussians to one reference, float64 [G]: the reference's root is taken once.

    By eigenvalues of R S R, a little less accurate than `frechet_distance` where covariances are singular: enough for spreads and fits.
    """
    if not all(bool(torch.isfinite(t).all()) for t in (*means, *covs)):
        return torch.full((len(means),), math.nan, dtype=torch.float64)
    half, cov, mean = root(reference.cov), reference.cov, reference.mean
    values = []
    for m, s in zip(means, covs, strict=True):
        product = half @ s @ half
        cross = torch.linalg.eigvalsh((product + product.T) / 2).clamp_min(0).sqrt().sum()
        values.append((m - mean).square().sum() + s.trace() + cov.trace() - 2 * cross)
    return torch.stack(values)


def build(setting: Setting, expected: int) -> Frechet:
    """FD against the training split, in few directions where few samples are expected."""
    reference = setting.reference
    dim = len(reference.moments.total)
    count = num_directions(expected, dim)
    if count == dim:
        return Frechet(reference.moments)
    directions = Directions.of(reference.moments, count)
    return Frechet(Moments.of(directions(reference.rows)), directions=directions)


FAMILY = Family(
    name="fd",
    outputs=Frechet.outputs,
    build=build,
    sight={"pictures": {"fd": "ssssb"}, "clips": {"fd": "ssbggggggb"}, "text": {"fd": "ssssb"}},
)
