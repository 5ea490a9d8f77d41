"""Samples to a file: a grid, a folder of single pictures or clips, a walk, an npz."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from agon.errors import InputError
from agon.records import atomic_path
from agon.sampling import Drawn
from agon.spaces import Image, Video

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".mp4", ".npz")


def save_samples(drawn: Drawn, target: Path, *, columns: int | None = None) -> Path:
    """Write samples where and as the name says; a name without suffix is a folder. Returns the path. Raises InputError."""
    suffix = target.suffix.lower()
    if columns is not None and columns < 1:
        raise InputError(f"--columns is {columns}; expected 1 or more.")
    try:
        if not suffix:
            return _folder(drawn, target)
        if suffix not in SUFFIXES:
            raise InputError(f"cannot write '{target}': expected a name ending in {', '.join(SUFFIXES)}, or a folder.")
        target.parent.mkdir(parents=True, exist_ok=True)
        if suffix == ".npz":
            with atomic_path(target) as temporary, open(temporary, "wb") as file:
                np.savez_compressed(file, x=np.asarray(drawn))
            return target
        return drawn.save(target, columns=columns)
    except OSError as error:
        raise InputError(f"cannot write '{target}': {error.strerror or error}. Choose another --out.") from None


def _folder(drawn: Drawn, target: Path) -> Path:
    space = drawn.space
    if not isinstance(space, (Image, Video)):
        raise InputError("points cannot be written as single pictures; use --out plot.png or points.npz.")
    target.mkdir(parents=True, exist_ok=True)
    width, suffix = len(str(len(drawn) - 1)), ".png" if isinstance(space, Image) else ".mp4"
    stored = drawn.stored()
    for index in range(len(drawn)):
        space.render(stored[index : index + 1], target / f"{index:0{width}d}{suffix}", columns=1, scale=1)
    return Path(os.fspath(target))
