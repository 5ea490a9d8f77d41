"""A process for each row of a table, so that the peak of memory that a row reports is its own and not an earlier row's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeVar

import torch

Told = TypeVar("Told")


def each_alone(play: Callable[..., None], rows: Iterable[tuple[Any, ...]]) -> None:
    """play(*row) for each row, one after the other, each in a fresh process of one thread. What a row raises is raised here."""
    for row in rows:
        alone(play, *row)


def alone(work: Callable[..., Told], *given: Any) -> Told:
    """work(*given) in a fresh process of one thread: what it returns or raises."""
    # Spawned, not forked: a forked child begins with the peak of its parent, which must stay small itself.
    with ProcessPoolExecutor(1, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        return pool.submit(work, *given).result()
