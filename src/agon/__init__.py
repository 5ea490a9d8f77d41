"""Agon: one adversarial engine for images, text and video.

    run = agon.fit("r3gan", data="./photos")
    run.sample(64, seed=1).save("grid.png")

The public words load on first use, so that `import agon` does not wait for torch.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

# OpenMP's threads spin while they wait; on a machine that is not idle each barrier then costs a time slice (text: 8 times slower, pictures 4).
# Shorter spinning costs 4 % on an idle one (docs/log.md). Read once, when torch is imported.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")

if TYPE_CHECKING:
    from agon.data import Data
    from agon.errors import InputError
    from agon.game import Batch, Clock, Game, Players, Turn, lazily
    from agon.optim import SGD, Adam, Average, RMSprop
    from agon.schedule import Cosine, Exponential, Linear, Warmup
    from agon.trained import Trained, fit, load

__version__ = "0.1.0"

_HOME = {
    "Game": "game", "Turn": "game", "lazily": "game", "Players": "game", "Batch": "game", "Clock": "game",
    "Adam": "optim", "RMSprop": "optim", "SGD": "optim", "Average": "optim",
    "Cosine": "schedule", "Exponential": "schedule", "Linear": "schedule", "Warmup": "schedule",
    "fit": "trained", "load": "trained", "Trained": "trained", "Data": "data", "InputError": "errors",
}  # fmt: skip

__all__ = [
    "SGD",
    "Adam",
    "Average",
    "Batch",
    "Clock",
    "Cosine",
    "Data",
    "Exponential",
    "Game",
    "InputError",
    "Linear",
    "Players",
    "RMSprop",
    "Trained",
    "Turn",
    "Warmup",
    "evaluate",
    "fit",
    "lazily",
    "load",
    "sample",
]  # fmt: skip


def sample(path: str, n: int = 64, *, seed: int = 0, **condition: Any) -> Any:
    """n samples of the trained run at `path`, uint8 [n, H, W, C]: `load(path).sample(n, seed=seed)`."""
    from agon.trained import load

    return load(path).sample(n, seed=seed, **condition)


def evaluate(path: str, metrics: list[str] | None = None, **options: Any) -> Any:
    """Scores of the trained run at `path`, each with its floor: `load(path).evaluate(metrics)`."""
    from agon.trained import load

    return load(path).evaluate(metrics, **options)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'agon' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"agon.{_HOME[name]}"), name)
