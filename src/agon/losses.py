"""Adversarial losses: pure functions from logits to one scalar, and the choices of a game among them.

A critic returns one unbounded logit a sample, C(x), shape [n]; no sigmoid is ever applied by a network. Every function
here takes logits of any shape, works in at least float32, and returns the mean as a scalar to be minimised. Names end
in `_d` (the critic's side) or `_g` (the generator's side).

| family        | paper                                                              |
|---------------|--------------------------------------------------------------------|
| logistic      | Goodfellow et al. 2014, arXiv:1406.2661 (non-saturating G, sec. 3) |
| least squares | Mao et al. 2017, arXiv:1611.04076, sec. 3                          |
| Wasserstein   | Arjovsky et al. 2017, arXiv:1701.07875, sec. 3                     |
| hinge         | Lim & Ye 2017, arXiv:1705.02894; Miyato et al. 2018, arXiv:1802.05957, eqs. 16-17 |
| relativistic  | Jolicoeur-Martineau 2018, arXiv:1807.00734; Huang et al. 2024, arXiv:2501.05441, sec. 2 |

A new loss is a function, a frozen dataclass with `critic` and `generator`, its name in `Loss`, and a row in tests/parity/test_losses.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, Union

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
    """½(C(x) − high)² + ½(C(G(z)) − low)² (Mao et al. 2017, sec. 3; with the defaults its 0-1 coding)."""
    return 0.5 * (_wide(real) - high).square().mean() + 0.5 * (_wide(fake) - low).square().mean()


def least_squares_g(fake: Tensor, *, target: float = 1.0) -> Tensor:
    """½(C(G(z)) − target)² (Mao et al. 2017, sec. 3; with the default its 0-1 coding)."""
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
    (Huang et al. 2024, arXiv:2501.05441, sec. 2). Shapes of `real` and `fake` must agree.
    """
    return F.softplus(-_paired(real, fake)).mean()


def relativistic_g(real: Tensor, fake: Tensor) -> Tensor:
    """softplus(C(x) − C(G(z))): the generator wants each fake ranked above its paired real (same papers)."""
    return F.softplus(_paired(real, fake)).mean()


_SHAPES: dict[str, Callable[[Tensor], Tensor]] = {
    "logistic": lambda t: F.softplus(-t),
    "hinge": lambda t: F.relu(1 - t),
    "least-squares": lambda t: (t - 1).square(),
}


def relativistic_average(real: Tensor, fake: Tensor, shape: str = "logistic") -> Tensor:
    """f(C(x) − E C(G(z))) + f(−(C(G(z)) − E C(x))): each sample against the mean of the other kind (RaGAN, arXiv:1807.00734, sec. 4.2).

    shape: f, "logistic" softplus(−t), "hinge" max(0, 1 − t) or "least-squares" (t − 1)². The generator minimises it with `real` and `fake`
    exchanged. The means are over the (micro)batch, so the samples are coupled.
    """
    f, real, fake = _SHAPES[shape], _wide(real), _wide(fake)
    return f(real - fake.mean()).mean() + f(real.mean() - fake).mean()


def relativistic_pair(real: Tensor, fake: Tensor, shape: str = "logistic") -> Tensor:
    """f(C(x) − C(G(z))) over pairs formed by position, `relativistic_d` for any f; the generator minimises it with both exchanged."""
    return _SHAPES[shape](_paired(real, fake)).mean()


def auxiliary(logits: Tensor, y: Tensor, of: str = "classes") -> Tensor:
    """What a second head of the critic says of the condition, against the condition (AC-GAN, Odena et al. 2017, arXiv:1610.09585, sec. 3).

    of: "classes": cross-entropy, logits [n, k] and y int64 [n]; "tags": binary cross-entropy averaged over tags, y [n, k] of 0 and 1;
    "numbers": mean squared error, `logits` being the guessed numbers and y the standardised ones, both [n, k].
    """
    wide = _wide(logits)
    if of == "classes":
        return F.cross_entropy(wide, y)
    if of == "tags":
        return F.binary_cross_entropy_with_logits(wide, y.to(wide.dtype))
    return F.mse_loss(wide, y.to(wide.dtype))


# -- choices ---------------------------------------------------------------------------------------------------------------------------
# A game holds one of these. `pairs`: the generator's side looks at real logits too. `lipschitz`: the loss means something only if the
# critic's slope is bounded by a penalty, clipping or spectral normalisation.


@dataclass(frozen=True, kw_only=True)
class Logistic:
    """Binary cross-entropy on logits; the generator non-saturating, or saturating as in eq. 1 (Goodfellow et al. 2014)."""

    saturating: bool = False
    kind: Literal["logistic"] = "logistic"
    pairs: ClassVar[bool] = False
    lipschitz: ClassVar[bool] = False

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        return logistic_d(real, fake)

    def generator(self, real: Tensor | None, fake: Tensor) -> Tensor:
        return saturating_g(fake) if self.saturating else logistic_g(fake)


@dataclass(frozen=True, kw_only=True)
class LeastSquares:
    """Least squares with targets a = `low`, b = `high`, c = `target` (Mao et al. 2017, sec. 3); −1, 1, 0 is the paper's choice for a Pearson χ² divergence."""

    low: float = 0.0
    high: float = 1.0
    target: float = 1.0
    kind: Literal["least-squares"] = "least-squares"
    pairs: ClassVar[bool] = False
    lipschitz: ClassVar[bool] = False

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        return least_squares_d(real, fake, low=self.low, high=self.high)

    def generator(self, real: Tensor | None, fake: Tensor) -> Tensor:
        return least_squares_g(fake, target=self.target)


@dataclass(frozen=True, kw_only=True)
class Wasserstein:
    """The Kantorovich-Rubinstein difference (Arjovsky et al. 2017); unbounded unless the critic is kept Lipschitz."""

    kind: Literal["wasserstein"] = "wasserstein"
    pairs: ClassVar[bool] = False
    lipschitz: ClassVar[bool] = True

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        return wasserstein_d(real, fake)

    def generator(self, real: Tensor | None, fake: Tensor) -> Tensor:
        return wasserstein_g(fake)


@dataclass(frozen=True, kw_only=True)
class Hinge:
    """Hinge on the critic's side, the plain logit on the generator's (Lim & Ye 2017; Miyato et al. 2018)."""

    kind: Literal["hinge"] = "hinge"
    pairs: ClassVar[bool] = False
    lipschitz: ClassVar[bool] = False

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        return hinge_d(real, fake)

    def generator(self, real: Tensor | None, fake: Tensor) -> Tensor:
        return hinge_g(fake)


@dataclass(frozen=True, kw_only=True)
class Relativistic:
    """Real ranked above fake: pair by pair (RpGAN, R3GAN), or each against the mean of the other kind (`averaged`, RaGAN)."""

    averaged: bool = False
    shape: Literal["logistic", "hinge", "least-squares"] = "logistic"
    kind: Literal["relativistic"] = "relativistic"
    pairs: ClassVar[bool] = True
    lipschitz: ClassVar[bool] = False

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        return (relativistic_average if self.averaged else relativistic_pair)(real, fake, self.shape)

    def generator(self, real: Tensor | None, fake: Tensor) -> Tensor:
        assert real is not None, "the game gives real logits to a loss that pairs"
        return (relativistic_average if self.averaged else relativistic_pair)(fake, real, self.shape)


Loss = Union[Logistic, LeastSquares, Wasserstein, Hinge, Relativistic]
