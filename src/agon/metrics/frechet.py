"""Fréchet distance between Gaussians fitted to features. Dowson & Landau 1982; on Inception features, Heusel et al. 2017, arXiv:1706.08500.

    FD² = ‖μ₁ − μ₂‖² + tr(S₁ + S₂ − 2 (S₁ S₂)^½),    tr (S₁ S₂)^½ = ‖S₁^½ S₂^½‖_* (nuclear norm)

The figure printed as FD (and as FID by everyone) is this squared distance. The nuclear norm takes singular values of a product of two
symmetric roots, so no eigenvalue is squared and rooted again: accurate where N < d leaves the covariances singular.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from agon.metrics.contract import Features, Metric


@dataclass
class Moments:
    """Sums over features: n float64 [], total [d], outer [d, d]. Sums of two halves are the sums of the whole."""

    n: Tensor
    total: Tensor
    outer: Tensor

    @classmethod
    def empty(cls, dim: int) -> Moments:
        """Sums over nothing."""
        f64 = torch.float64
        return cls(torch.zeros((), dtype=f64), torch.zeros(dim, dtype=f64), torch.zeros(dim, dim, dtype=f64))

    @classmethod
    def of(cls, features: Tensor) -> Moments:
        """Sums over features [n, d]."""
        moments = cls.empty(features.shape[1])
        moments.add(features)
        return moments

    def add(self, features: Tensor) -> None:
        """Take in features [n, d]."""
        features = features.double()
        self.n = self.n + len(features)
        self.total = self.total + features.sum(0)
        self.outer = self.outer + features.T @ features

    @property
    def mean(self) -> Tensor:
        """Mean [d]."""
        return self.total / self.n

    @property
    def cov(self) -> Tensor:
        """Sample covariance [d, d] with divisor n − 1, as numpy.cov and every FID code; needs n >= 2."""
        mean = self.mean
        cov = (self.outer - self.n * torch.outer(mean, mean)) / (self.n - 1)
        return (cov + cov.T) / 2


def frechet_distance(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> float:
    """Squared Fréchet distance of two Gaussians: means float64 [d], covariances [d, d] (may be singular). Never below 0."""
    if not all(bool(torch.isfinite(t).all()) for t in (mean1, cov1, mean2, cov2)):
        return math.nan
    gap = (mean1 - mean2).square().sum()
    cross = torch.linalg.svdvals(_root(cov1) @ _root(cov2)).sum()
    return max(0.0, float(gap + cov1.trace() + cov2.trace() - 2 * cross))


def _root(cov: Tensor) -> Tensor:
    """Symmetric square root; eigenvalues at the level of rounding count as the zeros they stand for."""
    values, vectors = torch.linalg.eigh(cov)
    tiny = values[-1].clamp_min(0) * len(values) * torch.finfo(cov.dtype).eps
    roots = torch.where(values > tiny, values.clamp_min(0).sqrt(), torch.zeros_like(values))
    return (vectors * roots) @ vectors.T


class Frechet(Metric):
    """FD of a stream of features to reference moments; undefined (nan) below two samples on either side."""

    outputs: ClassVar[tuple[str, ...]] = ("fd",)
    higher_is_better: ClassVar[Mapping[str, bool]] = {"fd": False}

    def __init__(self, reference: Moments) -> None:
        self.reference = reference
        self.moments = Moments.empty(len(reference.total))

    def update(self, batch: Features) -> None:
        """Add to the sums."""
        self.moments.add(batch.features)

    def compute(self) -> dict[str, float]:
        """{"fd": squared Fréchet distance}."""
        if min(float(self.moments.n), float(self.reference.n)) < 2:
            return {"fd": math.nan}
        return {"fd": frechet_distance(self.moments.mean, self.moments.cov, self.reference.mean, self.reference.cov)}

    def state(self) -> dict[str, Tensor]:
        """n, total, outer."""
        return {"n": self.moments.n, "total": self.moments.total, "outer": self.moments.outer}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Replace the sums."""
        self.moments = Moments(state["n"], state["total"], state["outer"])
