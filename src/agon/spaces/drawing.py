"""From pixels to a file: grids, animations, scatter plots, written whole or not at all."""

from __future__ import annotations

import itertools
import math
import os
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw
from torch import Tensor

from agon.errors import InputError
from agon.spaces.pictures import BACKGROUND


def write_picture(target: Path, x: Tensor, columns: int | None, frames_per_s: float) -> Path:
    """Write [N, C, H, W] uint8 as a grid or, by the suffix, as an animation of N frames. Raises InputError."""
    suffix = target.suffix.lower()
    if suffix in (".png", ".jpg", ".jpeg", ".webp"):
        grid = _grid(x.numpy(), columns, opaque=suffix in (".jpg", ".jpeg"))
        picture_format = {".png": "PNG", ".webp": "WEBP"}.get(suffix, "JPEG")
        how: dict[str, Any] = {"lossless": True} if suffix == ".webp" else {"quality": 92} if picture_format == "JPEG" else {}
        return _replace_file(target, lambda path: grid.save(path, format=picture_format, **how))
    if suffix in (".gif", ".mp4"):
        return write_animation(target, (frame.numpy() for frame in x), frames_per_s)
    raise InputError(f"cannot write {target.name!r}: expected a name ending in .png, .jpg, .webp, .gif or .mp4")


def write_animation(target: Path, frames: Iterable[np.ndarray], frames_per_s: float) -> Path:
    """Write uint8 frames [C, H, W], all of one size, as .mp4, .gif or animated .webp; .mp4 is written frame by frame. Raises InputError."""
    suffix = target.suffix.lower()
    pictures = (_picture(_on_white(frame)) for frame in frames)
    if suffix == ".mp4":
        return _replace_file(target, lambda path: _write_mp4(path, pictures, frames_per_s))
    first, *rest = pictures
    more: dict[str, Any] = {"duration": round(1000 / frames_per_s), "loop": 0, "save_all": True, "append_images": rest}
    if suffix == ".gif":
        return _replace_file(target, lambda path: first.save(path, "GIF", optimize=False, **more))
    if suffix == ".webp":
        return _replace_file(target, lambda path: first.save(path, "WEBP", quality=90, method=4, **more))
    raise InputError(f"cannot write {target.name!r}: expected a name ending in .mp4, .gif or .webp")


def enlarged(x: Tensor, scale: int | None) -> Tensor:
    """Pictures [..., H, W] enlarged by whole pixels; without a scale until a side has 64."""
    by = scale or max(1, math.ceil(64 / max(x.shape[-2:])))
    return x.repeat_interleave(by, -2).repeat_interleave(by, -1) if by > 1 else x


def _replace_file(target: Path, write: Callable[[Path], None]) -> Path:
    """Write beside the target, then rename, so that a reader never meets half a file."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        try:
            write(beside)
            os.replace(beside, target)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        why = error.strerror or str(error)
        raise InputError(f"cannot write {target}: {why}; choose another place or make room there") from None
    return target


def _on_white(array: np.ndarray) -> np.ndarray:
    if array.shape[0] != 4:
        return array
    alpha = array[3:].astype(np.uint32)
    return ((array[:3] * alpha + BACKGROUND * (255 - alpha) + 127) // 255).astype(np.uint8)


def _picture(array: np.ndarray) -> Pillow.Image:
    return Pillow.fromarray(array[0] if array.shape[0] == 1 else np.ascontiguousarray(array.transpose(1, 2, 0)))


def _grid(x: np.ndarray, columns: int | None, *, opaque: bool, gap: int = 2) -> Pillow.Image:
    return _picture(sheet_of(x, columns, opaque=opaque, gap=gap))


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
    return _on_white(sheet) if opaque else sheet


def _write_mp4(path: Path, frames: Iterable[Pillow.Image], frames_per_s: float) -> None:
    try:
        import av
    except ImportError:
        raise InputError("writing .mp4 needs PyAV: pip install 'agon-gan[video]', or ask for .gif") from None
    from fractions import Fraction

    waiting = iter(frames)
    first = next(waiting)
    width, height = (side + side % 2 for side in first.size)  # H.264 with 4:2:0 colour wants even sides
    with av.open(str(path), mode="w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(frames_per_s).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": "16"}
        for frame in itertools.chain([first], waiting):
            canvas = Pillow.new("RGB", (width, height), (BACKGROUND,) * 3)
            canvas.paste(frame, (0, 0))
            container.mux(stream.encode(av.VideoFrame.from_image(canvas)))
        container.mux(stream.encode())


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
