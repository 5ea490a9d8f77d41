"""Frames that clips begin with, for games that go on from a given one: a run keeps some of clips it never trains on, so that sampling needs no data."""

from __future__ import annotations

import torch
from torch import Tensor

from agon.conditions import nearest_rows
from agon.data import DataSet
from agon.directory import RunDirectory
from agon.errors import InputError
from agon.records import write_safetensors

FILE = "first.safetensors"
KEPT = 64  # frames a run keeps


def frames_of(data_set: DataSet, n: int, labels: Tensor | None = None) -> Tensor:
    """First frames uint8 [n, C, H, W] of held-out clips, of training ones where none are held out; with labels, of clips like them."""
    clips = data_set.held if len(data_set.held) else data_set.train
    if labels is not None and clips.y is not None:
        index = nearest_rows(clips.y, labels)
    else:
        index = torch.linspace(0, len(clips) - 1, min(n, len(clips))).long()
    # A few clips at a time: only their first frames are kept.
    return repeated(torch.cat([clips.x[part][:, 0] for part in index.split(16)]), n)


def repeated(frames: Tensor, n: int) -> Tensor:
    """The frames [m, …] over and over, [n, …]."""
    return frames[torch.arange(n) % len(frames)]


def keep(directory: RunDirectory, data_set: DataSet) -> None:
    """Write a run's first frames."""
    write_safetensors(directory.path / FILE, {"first": frames_of(data_set, KEPT).contiguous()}, {"format": "pt"})


def kept(directory: RunDirectory, n: int) -> Tensor:
    """n of the run's first frames, uint8 [n, C, H, W]. Raises InputError if the file is missing or damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = directory.path / FILE
    try:
        return repeated(load_file(str(path))["first"], n)
    except (OSError, SafetensorError, KeyError, RuntimeError) as error:
        raise InputError(f"'{path}' cannot be read ({error}); copy it from another copy of the run, or give frames with --first.") from None
