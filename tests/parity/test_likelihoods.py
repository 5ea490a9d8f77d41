"""Likelihoods and divergences against closed forms and torch.distributions, in float64."""

from __future__ import annotations

import torch
from torch.distributions import Normal, kl_divergence

from agon.likelihoods import discretised_logistic, divergence, gaussian, posterior

LEVELS = torch.arange(256, dtype=torch.float64) / 127.5 - 1


def test_divergence_is_that_of_normals() -> None:
    torch.manual_seed(0)
    mean, log_variance = torch.randn(5, 7, dtype=torch.float64), torch.randn(5, 7, dtype=torch.float64)
    expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(torch.zeros_like(mean), torch.ones_like(mean))).sum(1)
    assert torch.allclose(divergence(mean, log_variance), expected, atol=1e-12)
    assert divergence(torch.zeros(1, 3), torch.zeros(1, 3)).item() == 0


def test_gaussian_is_the_log_density() -> None:
    x, mean, log_scale = (
        torch.randn(4, 3, dtype=torch.float64),
        torch.randn(4, 3, dtype=torch.float64),
        torch.tensor(-1.3, dtype=torch.float64),
    )
    assert torch.allclose(gaussian(x, mean, log_scale), -Normal(mean, log_scale.exp()).log_prob(x), atol=1e-12)


def test_grey_levels_sum_to_one() -> None:
    for mean in (-1.2, -0.3, 0.0, 0.999, 1.4):
        for log_scale in (-4.0, -1.0, 1.0):
            centre, scale = torch.tensor(mean, dtype=torch.float64), torch.tensor(log_scale, dtype=torch.float64)
            mass = (-discretised_logistic(LEVELS, centre, scale)).exp().sum()
            assert abs(mass.item() - 1) < 1e-9, (mean, log_scale)


def test_a_grey_level_has_the_logistics_mass() -> None:
    mean, log_scale = torch.tensor(0.1, dtype=torch.float64), torch.tensor(-2.0, dtype=torch.float64)
    scaled = lambda edge: torch.sigmoid((edge - mean) / log_scale.exp())  # noqa: E731
    x = LEVELS[[0, 100, 140, 255]]
    low = torch.where(x <= -1, torch.zeros_like(x), scaled(x - 1 / 255))
    high = torch.where(x >= 1, torch.ones_like(x), scaled(x + 1 / 255))
    assert torch.allclose((-discretised_logistic(x, mean, log_scale)).exp(), high - low, atol=1e-12)


def test_far_tails_stay_finite_with_a_slope() -> None:
    mean = torch.tensor([0.9], requires_grad=True)
    loss = discretised_logistic(torch.tensor([-0.5]), mean, torch.tensor(-6.0)).sum()
    (slope,) = torch.autograd.grad(loss, mean)
    assert loss.isfinite()
    assert slope.item() > 100, "a mean far above the value is pulled down"


def test_posterior_is_clamped() -> None:
    mean, log_variance = posterior(torch.tensor([[1.0, 2.0, 50.0, -50.0]]))
    assert mean.tolist() == [[1.0, 2.0]]
    assert log_variance.tolist() == [[10.0, -10.0]]
