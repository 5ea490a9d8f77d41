"""Losses against closed forms and finite differences in float64."""

from __future__ import annotations

import math
from typing import get_args

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


def rivals(shape: str, a: list[float], b: list[float]) -> float:
    """The relativistic average by hand: each of `a` against the mean of `b`, and the other way round."""
    f = {"logistic": lambda t: math.log(1 + math.exp(-t)), "hinge": lambda t: max(0.0, 1 - t), "least-squares": lambda t: (t - 1) ** 2}[
        shape
    ]
    return mean([f(t - mean(b)) for t in a]) + mean([f(-(t - mean(a))) for t in b])


REALS, FAKES = [r for r, _ in pairs], [f for _, f in pairs]
CHOICES: dict[str, tuple[losses.Loss, float, float]] = {
    "logistic": (losses.Logistic(), CLOSED["logistic_d"], CLOSED_G["logistic_g"]),
    "saturating": (losses.Logistic(saturating=True), CLOSED["logistic_d"], CLOSED_G["saturating_g"]),
    "least squares": (losses.LeastSquares(), CLOSED["least_squares_d"], CLOSED_G["least_squares_g"]),
    "least squares, eq. 8": (
        losses.LeastSquares(low=-1, high=1, target=0),
        mean([0.5 * (r - 1) ** 2 + 0.5 * (f + 1) ** 2 for r, f in pairs]),
        mean([0.5 * f**2 for _, f in pairs]),
    ),
    "wasserstein": (losses.Wasserstein(), CLOSED["wasserstein_d"], CLOSED_G["wasserstein_g"]),
    "hinge": (losses.Hinge(), CLOSED["hinge_d"], CLOSED_G["hinge_g"]),
    "relativistic": (losses.Relativistic(), CLOSED["relativistic_d"], CLOSED["relativistic_g"]),
    "relativistic hinge": (
        losses.Relativistic(shape="hinge"),
        mean([max(0.0, 1 - (r - f)) for r, f in pairs]),
        mean([max(0.0, 1 + (r - f)) for r, f in pairs]),
    ),
    "relativistic least squares": (
        losses.Relativistic(shape="least-squares"),
        mean([(r - f - 1) ** 2 for r, f in pairs]),
        mean([(f - r - 1) ** 2 for r, f in pairs]),
    ),
    **{
        f"average {shape}": (losses.Relativistic(averaged=True, shape=shape), rivals(shape, REALS, FAKES), rivals(shape, FAKES, REALS))
        for shape in ("logistic", "hinge", "least-squares")
    },
}  # fmt: skip


def test_the_table_has_every_choice() -> None:
    assert {type(choice) for choice, _, _ in CHOICES.values()} == set(get_args(losses.Loss))


@pytest.mark.parametrize("name", CHOICES)
def test_choices_equal_the_papers_formulas(name: str) -> None:
    choice, critic, generator = CHOICES[name]
    assert float(choice.critic(real, fake)) == pytest.approx(critic, abs=1e-12)
    assert float(choice.generator(real if choice.pairs else None, fake)) == pytest.approx(generator, abs=1e-12)


@pytest.mark.parametrize("name", CHOICES)
def test_slopes_of_choices_match_finite_differences(name: str) -> None:
    choice, _, _ = CHOICES[name]
    # Not the numbers of above: some of their differences lie on the hinge's kink.
    leaves = ((1.01 * real).requires_grad_(), fake.clone().requires_grad_())
    assert torch.autograd.gradcheck(choice.critic, leaves, eps=1e-6, atol=1e-8)
    assert torch.autograd.gradcheck(choice.generator, leaves, eps=1e-6, atol=1e-8)


def test_auxiliary_losses_by_hand() -> None:
    guess = torch.tensor([[1.0, -0.5, 0.25], [0.0, 2.0, -1.0]], dtype=torch.float64)
    rows = guess.tolist()
    classes = mean([-math.log(math.exp(row[k]) / sum(map(math.exp, row))) for row, k in zip(rows, (0, 2), strict=True)])
    assert float(losses.auxiliary(guess, torch.tensor([0, 2]))) == pytest.approx(classes, abs=1e-12)
    y = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    flat = list(zip(guess.flatten().tolist(), y.flatten().tolist(), strict=True))
    tags = mean([-math.log(sigmoid(g if on else -g)) for g, on in flat])
    assert float(losses.auxiliary(guess, y, "tags")) == pytest.approx(tags, abs=1e-12)
    assert float(losses.auxiliary(guess, y, "numbers")) == pytest.approx(mean([(g - v) ** 2 for g, v in flat]), abs=1e-12)


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
