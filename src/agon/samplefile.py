"""Samples to a file: a grid, a folder of single pictures or clips, a walk, a film of any length, an npz."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from agon.errors import InputError
from agon.records import atomic_path
from agon.sampling import Drawn
from agon.spaces import Image, Tokens, Video
from agon.spaces.animation import SUFFIXES as ANIMATED
from agon.spaces.animation import animation
from agon.spaces.video import shown

SUFFIXES = (".txt", ".png", ".jpg", ".jpeg", ".webp", ".gif", ".mp4", ".npz")


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


def save_film(
    parts: Iterable[Tensor], space: Video, target: Path, *, frames: int, fps: float | Fraction | None = None, columns: int | None = None
) -> Path:  # fmt: skip
    """Write clips that come as parts uint8 [n, t, C, H, W] in order of time, `frames` together, by the suffix; returns the path.

    .mp4 .gif .webp: all of them playing side by side. .png .jpg: a contact sheet, a clip a row. .npz: the array x [n, T, H, W, C]. A name
    without suffix: a folder with an .mp4 of each. Only .npz, .gif and .webp need memory for all frames. Raises InputError.
    """
    suffix, rate = target.suffix.lower(), space.fps if fps is None else fps
    if columns is not None and columns < 1:
        raise InputError(f"--columns is {columns}; expected 1 or more.")
    if suffix and suffix not in SUFFIXES:
        raise InputError(f"cannot write '{target}': expected a name ending in {', '.join(SUFFIXES)}, or a folder.")
    try:
        if suffix in ANIMATED:
            with animation(target, rate) as put:
                for part in parts:
                    for moment in part.unbind(1):
                        put(space.frame(moment, target, columns))
            return target
        if not suffix:
            return _films(parts, space, target, rate)
        if suffix != ".npz":
            return space.render(_thinned(parts, shown(frames)), target)
        x = torch.cat(list(parts), 1).movedim(-3, -1).numpy()
        with atomic_path(target) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, x=x)
    except OSError as error:
        raise InputError(f"cannot write '{target}': {error.strerror or error}. Choose another --out.") from None
    return target


def _films(parts: Iterable[Tensor], space: Video, folder: Path, rate: float | Fraction) -> Path:
    """An .mp4 of each clip, all of them open at once."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        open_: list[Callable[[np.ndarray], None]] = []
        for part in parts:
            if not open_:
                width = len(str(len(part) - 1))
                open_ = [stack.enter_context(animation(folder / f"{k:0{width}d}.mp4", rate)) for k in range(len(part))]
            for put, clip in zip(open_, part, strict=True):
                for frame in clip:
                    put(frame.numpy())
    return folder


def _thinned(parts: Iterable[Tensor], wanted: Sequence[int]) -> Tensor:
    """Some frames of clips that come in parts."""
    kept, begun = [], 0
    for part in parts:
        kept += [part[:, k - begun].clone() for k in wanted if begun <= k < begun + part.shape[1]]
        begun += part.shape[1]
    return torch.stack(kept, 1)


def _folder(drawn: Drawn, target: Path) -> Path:
    space = drawn.space
    if isinstance(space, Tokens):
        raise InputError("sentences are written to one file, not to a folder; use --out lines.txt or lines.npz.")
    if not isinstance(space, (Image, Video)):
        raise InputError("points cannot be written as single pictures; use --out plot.png or points.npz.")
    target.mkdir(parents=True, exist_ok=True)
    width, suffix = len(str(len(drawn) - 1)), ".png" if isinstance(space, Image) else ".mp4"
    stored = drawn.stored()
    for index in range(len(drawn)):
        space.render(stored[index : index + 1], target / f"{index:0{width}d}{suffix}", columns=1, scale=1)
    return Path(os.fspath(target))
