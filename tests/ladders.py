"""Faults put into pictures a step at a time, and what scores claim of them (`Family.sight`): a metric that sees a fault gets worse on every rung, one that
is blind does not get clearly worse on the last."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from agon.metrics import Score, registry
from agon.report.faults import FAULTS

OF_PICTURES, CLAIMS = FAULTS["pictures"], registry.sights("pictures")
CHANCE = {"copying": 2.0, "c2st": 0.12}  # what rungs differ by without a cause; c2st has a spread of 0.022 here, and the first rung is low


def blurred(x: Tensor, sd: float) -> Tensor:
    if sd == 0:
        return x
    at = torch.arange(-4, 5).float()
    kernel = torch.exp(-at.square() / (2 * sd**2))
    kernel = kernel / kernel.sum()
    y = functional.pad(x.float(), (4, 4, 4, 4), mode="replicate")
    y = functional.conv2d(functional.conv2d(y, kernel[None, None, :, None]), kernel[None, None, None, :])
    return y.round().clamp(0, 255).to(torch.uint8)


def noisy(x: Tensor, amount: float) -> Tensor:
    g = torch.Generator().manual_seed(5)
    return (x.float() + amount * torch.randn(x.shape, generator=g)).clamp(0, 255).to(torch.uint8)


def thinned(x: Tensor, few: int) -> Tensor:
    """As many samples, of which only `few` differ."""
    picked = torch.randperm(len(x), generator=torch.Generator().manual_seed(3))[:few]
    return x[picked[torch.arange(len(x)) % few]]


def copied(x: Tensor, train: Tensor) -> list[Tensor]:
    """A third of x, and all of it, replaced by training samples."""
    return [x, *(torch.cat([train[:count], x[count:]]) for count in (len(x) // 3, len(x)))]


def worse(scores: list[Score]) -> list[float]:
    """How much worse each rung is than the first, in the metric's own units; undefined is as bad as can be."""
    sign = -1.0 if scores[0].higher_is_better else 1.0
    return [float("inf") if s.value != s.value else sign * (s.value - scores[0].value) for s in scores]


def hold_to_their_claims(scores: list[dict[str, Score]], fault: str) -> None:
    for name in scores[0]:
        rungs = [rung[name] for rung in scores]
        steps, claim = worse(rungs), CLAIMS[name][OF_PICTURES.index(fault)]
        low, high = rungs[0].low, rungs[0].high
        noise = max(0.2 * abs(rungs[0].value), 0.0 if low is None or high is None else (high - low) / 2, CHANCE.get(name, 0.0))
        values = [round(s.value, 4) for s in rungs]
        if claim == "s":
            assert 0 < steps[1] <= steps[2], f"{name} claims to see {fault}: {values}"
        elif claim == "g":
            assert steps[2] > 0, f"{name} claims to see gross {fault}: {values}"
        else:
            assert steps[2] <= noise, f"{name} is not blind to {fault} after all: {values}; say so in its FAMILY"
