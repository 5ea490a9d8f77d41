"""Gradient penalties on a critic, differentiable with respect to its parameters.

The input gradient is taken with `torch.func.grad`, not `torch.autograd.grad(create_graph=True)`: both give the same
numbers, but only the first may stand inside a compiled loss (`torch.compile` does not support double backward through a
compiled graph). The critic's forward pass is shared with the adversarial loss: every function that differentiates also
hands back the logits.

A critic must treat the samples of a batch independently (no batch normalisation in training mode): the penalty is
defined per sample, and the sum of logits is differentiated once for the whole batch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def input_gradient(critic: nn.Module | Callable[..., Tensor], x: Tensor, *condition: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return (∇ₓ C(x), C(x)): the gradient [n, ...] of each sample's logit by its own input, and the logits [n].

    Both stay attached to the graph of the critic's parameters (and of `x`, when `x` has one).
    """
    if isinstance(critic, nn.Module):
        module = critic
        tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}

        def logits_of(sample: Tensor) -> Tensor:
            return torch.func.functional_call(module, tensors, (sample, *condition))
    else:
        function = critic

        def logits_of(sample: Tensor) -> Tensor:
            return function(sample, *condition)

    def total(sample: Tensor) -> tuple[Tensor, Tensor]:
        logits = logits_of(sample)
        return logits.sum(), logits

    gradient, logits = torch.func.grad(total, has_aux=True)(x)
    return gradient, logits


def squared_norm(gradient: Tensor) -> Tensor:
    """‖g‖² of each sample [n], summed over all other dimensions, in at least float32."""
    wide = gradient.to(torch.promote_types(gradient.dtype, torch.float32))
    return wide.square().flatten(1).sum(1)


def r1(gradient: Tensor) -> Tensor:
    """Mean over the batch of ‖∇ₓC‖²: R1 on real samples, R2 on fakes (Mescheder et al. 2018, arXiv:1801.04406, eq. 9).

    No factor ½ or γ: a game writes `gamma / 2 * r1(...)`. The sum runs over channels and pixels, so γ grows with size.
    """
    return squared_norm(gradient).mean()


def zero_centred(critic: nn.Module | Callable[..., Tensor], x: Tensor, *condition: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return (‖∇ₓC(x)‖² [n], C(x) [n]): the zero-centred penalty of each sample and the logits, from one forward pass."""
    gradient, logits = input_gradient(critic, x, *condition)
    return squared_norm(gradient), logits


def gradient_penalty(
    critic: nn.Module | Callable[..., Tensor], interpolates: Tensor, *condition: Tensor | None, target: float = 1.0
) -> Tensor:
    """Mean of (‖∇C(x̂)‖ − target)²: WGAN-GP (Gulrajani et al. 2017, arXiv:1704.00028, eq. 3), without its λ = 10.

    The points x̂ come from the caller (`interpolate`), so that all randomness stays with the game.
    """
    gradient, _ = input_gradient(critic, interpolates, *condition)
    # The root has no derivative at 0; a critic that is flat at x̂ must give a finite update.
    norm = (squared_norm(gradient) + 1e-12).sqrt()
    return (norm - target).square().mean()


def interpolate(real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """mix·real + (1 − mix)·fake with one `mix` in [0, 1] a sample ([n]), the points of WGAN-GP (same shape as `real`)."""
    weight = mix.reshape(-1, *[1] * (real.dim() - 1)).to(real.dtype)
    return torch.lerp(fake, real, weight)
