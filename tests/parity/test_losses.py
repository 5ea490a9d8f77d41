"""Losses against closed forms and finite differences in float64."""

from __future__ import annotations

import math

import pytest
import torch

from agon import losses

real = torch.tensor([0.3, -1.2, 2.5, 0.0], dtype=torch.float64)
fake = torch.tensor([-0.7, 0.4, 1.5, -3.0], dtype=torch.float64)
pairs = list(zip(real.tolist(), fake.tolist(), strict=True))


def sigmoid(t: float) -> float:
    return 1 / (1 + math.exp(-t))


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


CLOSED = {
    "logistic_d": mean([-math.log(sigmoid(r)) - math.log(1 - sigmoid(f)) for r, f in pairs]),
    "least_squares_d": mean([0.5 * (r - 1) ** 2 + 0.5 * f**2 for r, f in pairs]),
    "wasserstein_d": mean([f - r for r, f in pairs]),
    "hinge_d": mean([max(0.0, 1 - r) + max(0.0, 1 + f) for r, f in pairs]),
    "relativistic_d": mean([-math.log(sigmoid(r - f)) for r, f in pairs]),
    "relativistic_g": mean([-math.log(sigmoid(f - r)) for r, f in pairs]),
}
CLOSED_G = {
    "logistic_g": mean([-math.log(sigmoid(f)) for _, f in pairs]),
    "saturating_g": mean([math.log(1 - sigmoid(f)) for _, f in pairs]),
    "least_squares_g": mean([0.5 * (f - 1) ** 2 for _, f in pairs]),
    "wasserstein_g": mean([-f for _, f in pairs]),
    "hinge_g": mean([-f for _, f in pairs]),
}


@pytest.mark.parametrize("name", CLOSED)
def test_two_sided_losses_equal_the_papers_formulas(name: str) -> None:
    assert float(getattr(losses, name)(real, fake)) == pytest.approx(CLOSED[name], abs=1e-12)


@pytest.mark.parametrize("name", CLOSED_G)
def test_generator_losses_equal_the_papers_formulas(name: str) -> None:
    assert float(getattr(losses, name)(fake)) == pytest.approx(CLOSED_G[name], abs=1e-12)


@pytest.mark.parametrize("name", [*CLOSED, *CLOSED_G])
def test_derivatives_match_finite_differences(name: str) -> None:
    loss = getattr(losses, name)
    inputs = (real.clone().requires_grad_(), fake.clone().requires_grad_()) if name in CLOSED else (fake.clone().requires_grad_(),)
    assert torch.autograd.gradcheck(loss, inputs, eps=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", [*CLOSED, *CLOSED_G])
def test_a_scalar_in_float32_even_for_half_logits(name: str) -> None:
    arguments = (real, fake) if name in CLOSED else (fake,)
    value = getattr(losses, name)(*(a.to(torch.bfloat16) for a in arguments))
    assert value.shape == ()
    assert value.dtype == torch.float32


def test_large_logits_stay_finite() -> None:
    huge = torch.tensor([1e4, -1e4])
    for loss in (losses.logistic_d, losses.relativistic_d, losses.relativistic_g):
        assert torch.isfinite(loss(huge, -huge))


def test_a_blind_critic_pays_log_two() -> None:
    same = torch.randn(8)
    assert float(losses.relativistic_d(same, same)) == pytest.approx(math.log(2), abs=1e-6)
    assert float(losses.relativistic_g(same, same)) == pytest.approx(math.log(2), abs=1e-6)


def test_unpaired_logits_are_refused() -> None:
    with pytest.raises(ValueError, match="pair real and fake logits by position"):
        losses.relativistic_d(torch.zeros(4), torch.zeros(3))
