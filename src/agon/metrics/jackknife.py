"""95 % intervals of figures over samples: the delete-a-group jackknife, and Wilson's for shares.

    se² = (G − 1)/G · Σ_g (θ_(g) − mean θ_(·))²,   θ_(g) without group g        Efron & Tibshirani 1993, §11.5; Wu 1986 for groups
    θ ± t(0.975, G − 1) · se

Why no bootstrap: a resample with replacement holds the samples that it holds 1.6 times on average, and duplicates thin out covariances and neighbourhoods;
the bootstrap's Fréchet distances lie above the distance itself, so that its percentile interval may not even hold the figure it is of.
Leaving out a twentieth duplicates nothing. The interval is centred on the figure at this N: the bias of N itself is not in it (`fd_inf`
takes that away), nor is the spread between training runs (`agon sweep` measures that).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

GROUPS = 20
_Z = 1.959963984540054  # 97.5 % quantile of the normal


def interval(value: float, without: Tensor, *, least: float = -math.inf, most: float = math.inf) -> tuple[float, float]:
    """The interval of `value` from the figures [G] without each group, cut to [least, most]; (nan, nan) where they are not numbers."""
    count = len(without)
    if count < 2 or not bool(torch.isfinite(without).all()) or not math.isfinite(value):
        return math.nan, math.nan
    se = math.sqrt((count - 1) / count * float((without - without.mean()).square().sum()))
    reach = student(count - 1) * se
    return max(least, value - reach), min(most, value + reach)


def student(freedom: int) -> float:
    """97.5 % quantile of Student's t: Cornish and Fisher's expansion, within 0.1 % from 9 degrees of freedom on."""
    z, v = _Z, float(freedom)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / v + second / v**2 + third / v**3


def wilson(share: float, n: float) -> tuple[float, float]:
    """Interval of a share of n independent samples (Wilson 1927); inside [0, 1] and not empty at its ends."""
    if n <= 0 or not 0 <= share <= 1:
        return math.nan, math.nan
    z2 = _Z**2 / n
    centre = (share + z2 / 2) / (1 + z2)
    reach = _Z / (1 + z2) * math.sqrt(share * (1 - share) / n + z2 / (4 * n))
    return max(0.0, centre - reach), min(1.0, centre + reach)
