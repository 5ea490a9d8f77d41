"""Likelihoods and divergences of the games that explain data by codes: pure functions, in nats."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def posterior(h: Tensor) -> tuple[Tensor, Tensor]:
    """An encoder's output [n, 2d] as the mean and log-variance [n, d] of the codes; beyond e^±10 nothing would be said any more."""
    mean, log_variance = h.float().chunk(2, 1)
    return mean, log_variance.clamp(-10, 10)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, diag e^log_variance) ‖ N(0, I)) of each sample [n], in nats (appendix B)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)


def gaussian(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """-log N(x; mean, σ²) of each value, in nats."""
    return 0.5 * ((x - mean) / log_scale.exp()).square() + log_scale + 0.5 * math.log(2 * math.pi)


def discretised_logistic(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """-log of the logistic's mass on the grey level of each value, in nats; x in [-1, 1] in steps of 2/255; the end levels take the tails."""
    scaled, half = (x - mean) / log_scale.exp(), (1 / 255) / log_scale.exp()
    upper, lower = scaled + half, scaled - half
    # log(σ(u) - σ(l)) = log σ(u) + log σ(-l) + log(1 - e^(l - u)), exact in the tails where the difference itself vanishes.
    inner = -F.softplus(-upper) - F.softplus(lower) + torch.log(-torch.expm1(-2 * half))
    first, last = x <= -1 + 1 / 255, x >= 1 - 1 / 255
    return -torch.where(first, -F.softplus(-upper), torch.where(last, -F.softplus(lower), inner))
