"""Penalties against the closed form of a quadratic critic and against autograd.grad, in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from agon import penalties


class Quadratic(nn.Module):
    """C(x) = ½ xᵀAx + bᵀx with A symmetric, so that ∇C = Ax + b."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.randn(dim, dim, dtype=torch.float64))
        self.b = nn.Parameter(torch.randn(dim, dtype=torch.float64))

    def symmetric(self) -> Tensor:
        return (self.a + self.a.T) / 2

    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(len(x), -1)
        return 0.5 * ((flat @ self.symmetric()) * flat).sum(1) + flat @ self.b


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 5, 3, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(5, 4, 3), nn.Softplus(), nn.Flatten(), nn.Linear(16, 1), nn.Flatten(0)
    ).double()


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_quadratic_critic_value_and_parameter_gradient() -> None:
    critic, x = Quadratic(12), torch.randn(6, 3, 2, 2, dtype=torch.float64)
    gradient, logits = penalties.input_gradient(critic, x)
    flat = x.reshape(6, 12)
    expected = flat @ critic.symmetric() + critic.b
    assert gradient.shape == x.shape
    torch.testing.assert_close(gradient.reshape(6, 12), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(logits, critic(x), rtol=0, atol=1e-12)
    # d/db mean‖Ax + b‖² = 2 mean(Ax + b)
    (slope,) = torch.autograd.grad(penalties.r1(gradient), critic.b)
    torch.testing.assert_close(slope, 2 * expected.mean(0).detach(), rtol=0, atol=1e-12)


def test_sums_over_all_but_the_batch() -> None:
    gradient = torch.randn(5, 3, 4, 2)
    assert penalties.squared_norm(gradient).shape == (5,)
    assert float(penalties.r1(gradient)) == pytest.approx(float(gradient.square().sum() / 5), rel=1e-6)


def test_equal_to_double_backward_of_autograd() -> None:
    critic, x = convolutional(), torch.randn(4, 2, 7, 7, dtype=torch.float64)
    norms, logits = penalties.zero_centred(critic, x)
    ours = torch.autograd.grad((norms * torch.arange(1, 5)).sum() + logits.square().sum(), list(critic.parameters()))
    leaf = x.clone().requires_grad_()
    outputs = critic(leaf)
    (gradient,) = torch.autograd.grad(outputs.sum(), leaf, create_graph=True)
    theirs = torch.autograd.grad(
        (gradient.square().flatten(1).sum(1) * torch.arange(1, 5)).sum() + outputs.square().sum(), list(critic.parameters())
    )
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_gradient_flows_back_into_the_input() -> None:
    critic, x = Quadratic(4), torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    norms, _ = penalties.zero_centred(critic, x)
    (slope,) = torch.autograd.grad(norms.sum(), x)
    torch.testing.assert_close(slope, 2 * (x @ critic.symmetric() + critic.b) @ critic.symmetric(), rtol=0, atol=1e-10)


def test_plain_functions_and_conditions() -> None:
    x, y = torch.randn(3, 4, dtype=torch.float64), torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    gradient, logits = penalties.input_gradient(lambda a, b: a.sum(1) * b, x, y)
    torch.testing.assert_close(gradient, y[:, None].expand(3, 4))
    torch.testing.assert_close(logits, x.sum(1) * y)


def test_one_centred_penalty() -> None:
    weight = torch.tensor([3.0, 4.0], dtype=torch.float64)  # ‖∇‖ = 5 everywhere
    points = torch.randn(6, 2, dtype=torch.float64)
    assert float(penalties.gradient_penalty(lambda x: x @ weight, points)) == pytest.approx(16.0, abs=1e-9)
    assert float(penalties.gradient_penalty(lambda x: x @ weight, points, target=5.0)) == pytest.approx(0.0, abs=1e-9)


def test_a_flat_critic_gives_finite_updates() -> None:
    critic = nn.Sequential(nn.Linear(2, 1), nn.Flatten(0))
    nn.init.zeros_(critic[0].weight)
    penalties.gradient_penalty(critic, torch.randn(4, 2)).backward()
    assert torch.isfinite(critic[0].weight.grad).all()


def test_interpolates() -> None:
    real, fake = torch.ones(3, 1, 2, 2), torch.zeros(3, 1, 2, 2)
    points = penalties.interpolate(real, fake, torch.tensor([0.0, 0.25, 1.0]))
    assert points.shape == real.shape
    assert points[:, 0, 0, 0].tolist() == [0.0, 0.25, 1.0]


def test_compiled_whole_equals_eager() -> None:
    critic, x = convolutional().float(), torch.randn(4, 2, 7, 7)

    def loss(sample: Tensor) -> Tensor:
        norms, logits = penalties.zero_centred(critic, sample)
        return norms.mean() + logits.mean()

    eager = torch.autograd.grad(loss(x), list(critic.parameters()))
    compiled = torch.autograd.grad(torch.compile(loss, backend="aot_eager", fullgraph=True)(x), list(critic.parameters()))
    for a, b in zip(eager, compiled, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)
