"""The law of a GPU, asked for on a processor: rounds in 16 bits, where reals and fakes differ in type, and without waiting for copies of small tables."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from agon.engine import Engine
from agon.game import Game
from agon.spaces import Space
from agon.testing import random_batch


class FromLists(TorchDispatchMode):
    """Counts tensors made from Python numbers: on a GPU each is a copy for which the host waits."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten.lift_fresh.default
        return func(*args, **(kwargs or {}))


def check_fit_for_a_gpu(game: Game, space: Space, *, rounds: int = 1) -> None:
    """Raise AssertionError where a round in 16 bits skips an update or makes tensors from numbers."""
    engine = Engine(game, space, precision="bf16")
    with FromLists() as lists:
        for _ in range(rounds):
            engine.round([random_batch(space, 8, seed=k) for k in range(engine.batches_per_round)])
    assert lists.count == 0
    assert not engine.notes, "an update was skipped"
