"""Clips made by code, and runs trained on them for a few rounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from agon.data import Data, DataSet
from agon.data.samples import Samples
from agon.spaces import Video

GAME = Path(__file__).with_name("small_game.py")
DIRECTIONS = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}


def moving_squares(n: int, space: Video, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Squares of random colour that move one pixel a frame, uint8 [n, T, C, H, W], and their direction int64 [n]."""
    dice = np.random.default_rng(seed)
    x, y = np.full((n, *space.shape), 20, np.uint8), dice.integers(0, 4, n)
    for k in range(n):
        colour, place = dice.integers(90, 256, (space.channels, 1, 1)), dice.integers(0, (space.height, space.width))
        for t in range(space.frames):
            rows, columns = [
                (place[i] + t * list(DIRECTIONS.values())[y[k]][i] + np.arange(5)) % side
                for i, side in enumerate((space.height, space.width))
            ]
            x[k, t][:, rows[:, None], columns] = colour
    return torch.from_numpy(x), torch.from_numpy(y)


def clip_data(space: Video, n: int = 48, held: int = 16) -> DataSet:
    x, y = moving_squares(n + held, space)
    labels = {"used": bool(space.classes), "kind": "classes", "origin": "made", "classes": list(space.classes)}
    if not space.classes:
        y = None
    train, kept = (Samples(x[part], None if y is None else y[part]) for part in (slice(0, n), slice(n, None)))
    card = {"path": "clips", "kind": "made", "items": n + held, "train": n, "held": held, "labels": labels}
    return DataSet(space, train, kept, card, {"data": "clips: made by code"}, "0123456789abcdef")


def small(**more: Any) -> Video:
    return Video(frames=8, channels=3, height=16, width=16, fps=8.0, **more)


def answered_by(data_set: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every part of Agon takes this data for what lies at 'clips'."""
    monkeypatch.setattr("agon.run.open_data", lambda *rest, **more: data_set)


def train(out: Path, monkeypatch: pytest.MonkeyPatch, data_set: DataSet, *, rounds: int = 8, game: Path = GAME, **settings: Any) -> Path:
    """A run on this data."""
    from agon.run import play, prepare

    answered_by(data_set, monkeypatch)
    wish = {"rounds": rounds, "batch": 4, "tick": 4, "save_every": 4, "score_every": 0, "tensorboard": False, **settings}
    directory, found = prepare(Data(path="clips"), out=out, game_file=game, settings=wish)
    play(directory, found, trusted=True)
    return out
