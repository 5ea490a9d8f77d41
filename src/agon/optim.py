"""Optimiser specifications and how they become torch optimisers.

A specification is a frozen dataclass inside a game; it holds no state. The engine builds one optimiser per player, moves its rates along
their schedules before every step and corrects them for lazy turns. Averaging of weights (EMA) is specified here as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, Union

import torch
from torch import Tensor

from agon.errors import InputError
from agon.schedule import Clock, Value, at


@dataclass(frozen=True, kw_only=True)
class Adam:
    """Adam, or AdamW when `weight_decay` > 0. `clip` is the largest allowed gradient norm of the player (None: unclipped)."""

    lr: Value = 2e-4
    betas: tuple[Value, Value] = (0.0, 0.99)
    eps: float = 1e-8
    weight_decay: float = 0.0
    clip: float | None = None
    kind: Literal["adam"] = "adam"


@dataclass(frozen=True, kw_only=True)
class RMSprop:
    """RMSprop, the optimiser of the weight-clipped Wasserstein GAN (arXiv:1701.07875)."""

    lr: Value = 5e-5
    alpha: float = 0.99
    eps: float = 1e-8
    clip: float | None = None
    kind: Literal["rmsprop"] = "rmsprop"


@dataclass(frozen=True, kw_only=True)
class SGD:
    """Stochastic gradient descent with momentum."""

    lr: Value = 0.1
    momentum: float = 0.0
    clip: float | None = None
    kind: Literal["sgd"] = "sgd"


Optimiser = Union[Adam, RMSprop, SGD]


@dataclass(frozen=True, kw_only=True)
class Average:
    """Exponential moving average of a player's weights.

    half_life: real samples after which an old weight counts half.
    ramp: early on the half-life is at most `ramp` × samples seen, so that the first, poor weights are forgotten (StyleGAN2). None: no ramp.
    """

    half_life: float = 10_000
    ramp: float | None = 0.05

    def decay(self, batch: int, clock: Clock) -> float:
        """The factor kept of the old average when `batch` more samples have been seen."""
        half_life = self.half_life if self.ramp is None else min(self.half_life, self.ramp * clock.seen)
        return 0.5 ** (batch / half_life) if half_life > 0 else 0.0


def build(spec: Optimiser, parameters: Iterable[Tensor], device: torch.device) -> torch.optim.Optimizer:
    """Return the torch optimiser; fused where the device has it. Rates are set by `advance` before each step."""
    parameters = list(parameters)
    if isinstance(spec, Adam):
        kind: type[Any] = torch.optim.AdamW if spec.weight_decay else torch.optim.Adam
        fused = device.type in ("cpu", "cuda") and all(p.is_floating_point() for p in parameters)
        return kind(parameters, lr=1e-3, betas=(0.0, 0.9), eps=spec.eps, weight_decay=spec.weight_decay, fused=fused)
    if isinstance(spec, RMSprop):
        return torch.optim.RMSprop(parameters, lr=1e-3, alpha=spec.alpha, eps=spec.eps)
    if not isinstance(spec, SGD):
        raise InputError(
            f"an optimiser of the game's `optim` is {spec!r}; expected Adam, RMSprop or SGD, such as Adam(lr=2e-4). "
            "In a game of your own write `optim: Mapping[str, Adam] = field(default_factory=lambda: {…})`."
        )
    return torch.optim.SGD(parameters, lr=1e-3, momentum=spec.momentum)


def advance(optimiser: torch.optim.Optimizer, spec: Optimiser, clock: Clock, lazy: int = 1) -> float:
    """Set the rates for this time and return the learning rate.

    lazy: interval of the player's lazy turn (1: none). Rates are corrected by c = k / (k + 1), betas to the power c, so that a
    regulariser played every k rounds at k-fold gain acts like one played every round (StyleGAN2, arXiv:1912.04958, appendix B).
    """
    correction = lazy / (lazy + 1) if lazy > 1 else 1.0
    lr = at(spec.lr, clock) * correction
    for group in optimiser.param_groups:
        group["lr"] = lr
        if isinstance(spec, Adam):
            group["betas"] = (at(spec.betas[0], clock) ** correction, at(spec.betas[1], clock) ** correction)
    return lr
