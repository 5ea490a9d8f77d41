"""Adversarial losses: pure functions from logits to one scalar.

A critic returns one unbounded logit a sample, C(x), shape [n]; no sigmoid is ever applied by a network. Every function
here takes logits of any shape, works in at least float32, and returns the mean as a scalar to be minimised. Names end
in `_d` (the critic's side) or `_g` (the generator's side).

| family        | paper                                                              |
|---------------|--------------------------------------------------------------------|
| logistic      | Goodfellow et al. 2014, arXiv:1406.2661 (non-saturating G, sec. 3) |
| least squares | Mao et al. 2017, arXiv:1611.04076, eq. 9                           |
| Wasserstein   | Arjovsky et al. 2017, arXiv:1701.07875, eq. 2                      |
| hinge         | Lim & Ye 2017, arXiv:1705.02894; Miyato et al. 2018, arXiv:1802.05957, eqs. 16-17 |
| relativistic  | Jolicoeur-Martineau 2018, arXiv:1807.00734; Huang et al. 2024, arXiv:2501.05441, eq. 2 |
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def _wide(logits: Tensor) -> Tensor:
    """Half precisions are widened first: softplus and a mean over a batch lose digits in bf16."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def logistic_d(real: Tensor, fake: Tensor) -> Tensor:
    """−log σ(C(x)) − log(1 − σ(C(G(z)))): binary cross-entropy on logits; 2·log 2 for a critic that cannot tell."""
    return F.softplus(-_wide(real)).mean() + F.softplus(_wide(fake)).mean()


def logistic_g(fake: Tensor) -> Tensor:
    """−log σ(C(G(z))): the non-saturating generator (Goodfellow et al. 2014, sec. 3)."""
    return F.softplus(-_wide(fake)).mean()


def saturating_g(fake: Tensor) -> Tensor:
    """log(1 − σ(C(G(z)))): the minimax generator (Goodfellow et al. 2014, eq. 1); its gradient fades when C wins."""
    return -F.softplus(_wide(fake)).mean()


def least_squares_d(real: Tensor, fake: Tensor, *, low: float = 0.0, high: float = 1.0) -> Tensor:
    """½(C(x) − high)² + ½(C(G(z)) − low)² (Mao et al. 2017, eq. 2; eq. 9 with the defaults)."""
    return 0.5 * (_wide(real) - high).square().mean() + 0.5 * (_wide(fake) - low).square().mean()


def least_squares_g(fake: Tensor, *, target: float = 1.0) -> Tensor:
    """½(C(G(z)) − target)² (Mao et al. 2017, eq. 2; eq. 9 with the default)."""
    return 0.5 * (_wide(fake) - target).square().mean()


def wasserstein_d(real: Tensor, fake: Tensor) -> Tensor:
    """C(G(z)) − C(x): minus the Kantorovich-Rubinstein estimate; the critic must be kept Lipschitz elsewhere."""
    return _wide(fake).mean() - _wide(real).mean()


def wasserstein_g(fake: Tensor) -> Tensor:
    """−C(G(z)) (Arjovsky et al. 2017, theorem 3)."""
    return -_wide(fake).mean()


def hinge_d(real: Tensor, fake: Tensor) -> Tensor:
    """max(0, 1 − C(x)) + max(0, 1 + C(G(z))) (Miyato et al. 2018, eq. 16)."""
    return F.relu(1 - _wide(real)).mean() + F.relu(1 + _wide(fake)).mean()


def hinge_g(fake: Tensor) -> Tensor:
    """−C(G(z)) (Miyato et al. 2018, eq. 17)."""
    return -_wide(fake).mean()


def _paired(real: Tensor, fake: Tensor) -> Tensor:
    """C(x_i) − C(G(z_i)); pairs are formed by position."""
    if real.shape != fake.shape:
        raise ValueError(
            f"relativistic losses pair real and fake logits by position, got shapes {tuple(real.shape)} and "
            f"{tuple(fake.shape)}; draw as many samples as there are real ones."
        )
    return _wide(real) - _wide(fake)


def relativistic_d(real: Tensor, fake: Tensor) -> Tensor:
    """softplus(−(C(x) − C(G(z)))): the critic ranks each real above its paired fake; log 2 when it cannot tell.

    RpGAN of Jolicoeur-Martineau 2018 (arXiv:1807.00734, sec. 4.1) with f(t) = −log(1 + e^−t), the form of R3GAN
    (Huang et al. 2024, arXiv:2501.05441, eq. 2). Shapes of `real` and `fake` must agree.
    """
    return F.softplus(-_paired(real, fake)).mean()


def relativistic_g(real: Tensor, fake: Tensor) -> Tensor:
    """softplus(C(x) − C(G(z))): the generator wants each fake ranked above its paired real (same papers)."""
    return F.softplus(_paired(real, fake)).mean()
