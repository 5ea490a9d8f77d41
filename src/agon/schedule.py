"""Time, and values that change with it.

The `Clock` is the only notion of time in Agon. A schedule is a frozen dataclass, callable with the clock; spans count real samples
seen, so that a schedule keeps its meaning when the batch or the number of machines changes. Anything typed `Value` may be a plain number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Union

from agon.errors import InputError


@dataclass(frozen=True)
class Clock:
    """Where a run stands: `round` rounds played, `seen` real samples drawn (over all ranks)."""

    round: int = 0
    seen: int = 0


@dataclass(frozen=True, kw_only=True)
class Linear:
    """From `start` to `end` along a line over `span` samples, then flat."""

    start: float
    end: float
    span: float
    kind: Literal["linear"] = "linear"

    def __call__(self, clock: Clock) -> float:
        done = min(clock.seen / self.span, 1.0) if self.span > 0 else 1.0
        return self.start + (self.end - self.start) * done


@dataclass(frozen=True, kw_only=True)
class Cosine:
    """From `start` to `end` along half a cosine over `span` samples, then flat (R3GAN, arXiv:2501.05441, appendix)."""

    start: float
    end: float
    span: float
    kind: Literal["cosine"] = "cosine"

    def __call__(self, clock: Clock) -> float:
        done = min(clock.seen / self.span, 1.0) if self.span > 0 else 1.0
        return self.end + (self.start - self.end) * 0.5 * (1.0 + math.cos(math.pi * done))


@dataclass(frozen=True, kw_only=True)
class Exponential:
    """From `start` to `end`, both positive, by an equal factor for equal numbers of samples over `span`, then flat (RelGAN's temperature)."""

    start: float
    end: float
    span: float
    kind: Literal["exponential"] = "exponential"

    def __post_init__(self) -> None:
        if self.start <= 0 or self.end <= 0:
            raise InputError(f"exponential from {self.start} to {self.end}; expected positive numbers. Take 'linear' to reach 0.")

    def __call__(self, clock: Clock) -> float:
        done = min(clock.seen / self.span, 1.0) if self.span > 0 else 1.0
        return self.start * (self.end / self.start) ** done


@dataclass(frozen=True, kw_only=True)
class Warmup:
    """A line from 0 up to `then` over `span` samples; afterwards `then` itself."""

    then: float | Linear | Cosine | Exponential
    span: float
    kind: Literal["warmup"] = "warmup"

    def __call__(self, clock: Clock) -> float:
        rise = min(clock.seen / self.span, 1.0) if self.span > 0 else 1.0
        return rise * at(self.then, clock)


Schedule = Union[Linear, Cosine, Exponential, Warmup]
Value = Union[float, Linear, Cosine, Exponential, Warmup]


def at(value: Value, clock: Clock) -> float:
    """The value of a number or schedule at this time."""
    return float(value(clock)) if callable(value) else float(value)
