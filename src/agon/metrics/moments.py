"""Sums over features, from which means and covariances follow: what Fréchet distances keep of a stream."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


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
