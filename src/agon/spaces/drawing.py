"""From pixels to a file: grids, time slices, scatter plots, written whole or not at all."""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw
from torch import Tensor

from agon.errors import InputError
from agon.spaces.pictures import BACKGROUND

STILL = (".png", ".jpg", ".jpeg", ".webp")


def write_grid(target: Path, x: Tensor, columns: int | None) -> Path:
    """Write [N, C, H, W] uint8 as a grid, by the suffix .png, .jpg or .webp. Raises InputError."""
    suffix = target.suffix.lower()
    if suffix not in STILL:
        raise InputError(f"cannot write {target.name!r}: expected a name ending in .png, .jpg, .webp, .gif or .mp4")
    grid = picture_of(sheet_of(x.numpy(), columns, opaque=suffix in (".jpg", ".jpeg")))
    picture_format = {".png": "PNG", ".webp": "WEBP"}.get(suffix, "JPEG")
    how: dict[str, Any] = {"lossless": True} if suffix == ".webp" else {"quality": 92} if picture_format == "JPEG" else {}
    with written_beside(target) as path:
        grid.save(path, format=picture_format, **how)
    return target


def enlarged(x: Tensor, scale: int | None) -> Tensor:
    """Pictures [..., H, W] enlarged by whole pixels; without a scale until a side has 64."""
    by = scale or max(1, math.ceil(64 / max(x.shape[-2:])))
    return x.repeat_interleave(by, -2).repeat_interleave(by, -1) if by > 1 else x


@contextmanager
def written_beside(target: Path) -> Iterator[Path]:
    """A path to write to that becomes `target` at the end, so that a reader never meets half a file. Raises InputError where it cannot."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        try:
            yield beside
            os.replace(beside, target)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        why = error.strerror or str(error)
        raise InputError(f"cannot write {target}: {why}; choose another place or make room there") from None


def on_white(array: np.ndarray) -> np.ndarray:
    """RGBA [4, H, W] composited on white; other channels as they are."""
    if array.shape[0] != 4:
        return array
    alpha = array[3:].astype(np.uint32)
    return ((array[:3] * alpha + BACKGROUND * (255 - alpha) + 127) // 255).astype(np.uint8)


def picture_of(array: np.ndarray) -> Pillow.Image:
    """uint8 [C, H, W] as Pillow has it."""
    return Pillow.fromarray(array[0] if array.shape[0] == 1 else np.ascontiguousarray(array.transpose(1, 2, 0)))


def sheet_of(x: np.ndarray, columns: int | None = None, *, opaque: bool = True, gap: int = 2) -> np.ndarray:
    """Pictures [N, C, H, W] side by side, row by row -> one picture [C, h, w]; without columns the nearest to a square."""
    count, channels, height, width = x.shape
    columns = min(count, columns or math.ceil(math.sqrt(count)))
    rows = math.ceil(count / columns)
    sheet_shape = (channels, rows * (height + gap) - gap, columns * (width + gap) - gap)
    sheet = np.full(sheet_shape, BACKGROUND, dtype=np.uint8)
    if channels == 4:
        sheet[3] = 0
    for k in range(count):
        top, left = k // columns * (height + gap), k % columns * (width + gap)
        sheet[:, top : top + height, left : left + width] = x[k]
    return on_white(sheet) if opaque else sheet


def scatter(points: np.ndarray, extent: float, side: int = 384, limit: int = 10_000) -> np.ndarray:
    """Points [N, d] -> uint8 [3, side, side] on white, drawn at twice the size and reduced."""
    big = 2 * side
    plot = Pillow.new("RGB", (big, big), (255, 255, 255))
    draw = ImageDraw.Draw(plot, "RGBA")
    for mark in range(-2, 3):
        at = round((mark / 4 + 0.5) * (big - 1))
        shade = (170, 170, 170, 255) if mark == 0 else (225, 225, 225, 255)
        draw.line([(at, 0), (at, big)], fill=shade, width=2)
        draw.line([(0, at), (big, at)], fill=shade, width=2)
    flat = np.zeros((min(len(points), limit), 2))
    flat[:, : min(2, points.shape[1])] = points[:limit, :2]
    flat = flat[np.isfinite(flat).all(axis=1)]
    places = (np.clip(flat / extent, -1, 1) * [1, -1] + 1) / 2 * (big - 1)
    for px, py in places:
        draw.ellipse([px - 3, py - 3, px + 3, py + 3], fill=(20, 70, 160, 110))
    return np.array(plot.resize((side, side), Pillow.Resampling.BOX)).transpose(2, 0, 1).copy()


def time_slices(x: np.ndarray, gap: int = 2) -> np.ndarray:
    """Clips [N, T, C, H, W] -> [N, C, T, W + gap + H]: what a scan line sees, time downwards.

    On the left the row of pixels that changes most over the clip, on the right such a column. What stands still draws upright lines, what moves
    steadily slanted ones; flicker is a ladder, drift a change of colour downwards.
    """
    n, frames, channels, height, width = x.shape
    sheet = np.full((n, channels, frames, width + gap + height), BACKGROUND, dtype=np.uint8)
    for k, clip in enumerate(x):
        change = clip.astype(np.float32).std(axis=0).mean(axis=0)  # [H, W]
        row, column = int(change.mean(axis=1).argmax()), int(change.mean(axis=0).argmax())
        sheet[k, :, :, :width] = clip[:, :, row].transpose(1, 0, 2)
        sheet[k, :, :, width + gap :] = clip[:, :, :, column].transpose(1, 0, 2)
    return sheet
