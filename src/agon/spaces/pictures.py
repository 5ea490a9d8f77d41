"""Pictures: from the bytes of a file to pixels, and by a resize policy to uint8 [C, H, W]."""

from __future__ import annotations

import io
import math
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from PIL import Image as Pillow
from PIL import ImageOps
from torch import Tensor

Resize = Literal["cover", "contain", "stretch"]
Filter = Literal["lanczos", "bicubic", "bilinear", "box"]

BACKGROUND = 255  # transparent pictures and the bars of `contain` become white
MAX_PIXELS = 89_478_485  # Pillow's own limit: a header that declares more is refused before any pixel is decoded
# EPS and PDF are left out on purpose: Pillow hands them to an external interpreter.
_FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "TGA", "ICO", "AVIF", "JPEG2000", "QOI")
_FILTERS = {
    "lanczos": Pillow.Resampling.LANCZOS,
    "bicubic": Pillow.Resampling.BICUBIC,
    "bilinear": Pillow.Resampling.BILINEAR,
    "box": Pillow.Resampling.BOX,
}
CHANNEL_WORDS = {1: "grey", 3: "RGB", 4: "RGBA"}


class Unreadable(ValueError):
    """One file cannot be used; its text is the reason, fit for a list of skipped files."""


def fit(picture: Pillow.Image, *, channels: int, height: int, width: int, resize: Resize, filter: Filter) -> np.ndarray:
    """A picture in mode L, RGB or RGBA -> uint8 [channels, height, width] by the resize policy, antialiased."""
    picture = _with_channels(picture, channels)
    goal, (given_w, given_h) = (width, height), picture.size
    if picture.size != goal:
        method = _FILTERS[filter]
        if resize == "stretch":
            picture = picture.resize(goal, method)
        elif resize == "cover":
            ratio = min(given_w / width, given_h / height)
            crop_w, crop_h = width * ratio, height * ratio
            left, top = (given_w - crop_w) / 2, (given_h - crop_h) / 2
            box = (max(0.0, left), max(0.0, top), min(float(given_w), left + crop_w), min(float(given_h), top + crop_h))
            picture = picture.resize(goal, method, box=box)
        else:
            ratio = min(width / given_w, height / given_h)
            inner_w, inner_h = max(1, round(given_w * ratio)), max(1, round(given_h * ratio))
            clear = (BACKGROUND,) * 3 + (0,) if channels == 4 else (BACKGROUND,) * channels
            canvas = Pillow.new(picture.mode, goal, clear if channels > 1 else BACKGROUND)
            corner = ((width - inner_w) // 2, (height - inner_h) // 2)
            canvas.paste(picture.resize((inner_w, inner_h), method), corner)
            picture = canvas
    array = np.array(picture, dtype=np.uint8).reshape(height, width, channels)
    return np.ascontiguousarray(array.transpose(2, 0, 1))


def to_range(x: Tensor) -> Tensor:
    """uint8 in 0..255 -> float32 in [-1, 1]; float input passes as it is."""
    if x.is_floating_point():
        return x.float()
    return x.to(torch.float32).div_(127.5).sub_(1.0)


def to_pixels(x: Tensor) -> Tensor:
    """float in [-1, 1] -> uint8, rounded and clamped (not a number becomes 0); uint8 passes as it is."""
    if x.dtype == torch.uint8:
        return x
    return x.detach().float().add(1.0).mul(127.5).round().nan_to_num(0.0).clamp(0, 255).to(torch.uint8)


@lru_cache(maxsize=1)
def _formats() -> tuple[str, ...]:
    Pillow.init()
    return tuple(name for name in (*_FORMATS, "HEIF") if name in Pillow.OPEN)


def open_header(raw: bytes) -> Pillow.Image:
    """Open a picture without decoding its pixels. Raises Unreadable: empty, text, unknown format, too many pixels."""
    if not raw:
        raise Unreadable("empty file (0 bytes)")
    try:
        picture = Pillow.open(io.BytesIO(raw), formats=_formats())
    except Pillow.DecompressionBombError as error:
        raise Unreadable(f"refused, too large: {str(error).split(',')[0]}") from None
    except Exception as error:  # each of Pillow's plugins fails in its own way on damaged input
        raise Unreadable(_not_a_picture(raw, error)) from None
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise Unreadable(f"refused, too large: the header declares {width}×{height} pixels, the limit is {MAX_PIXELS}")
    if width < 1 or height < 1:
        raise Unreadable(f"the header declares {width}×{height} pixels")
    return picture


def open_picture(raw: bytes, *, draft: int | None = None) -> Pillow.Image:
    """Bytes -> the first frame, upright by its EXIF orientation, in mode L, RGB or RGBA (transparency, if any, kept).

    16-bit and 1-bit become 8-bit by scaling; palettes are resolved; CMYK, YCbCr and the like become RGB.
    `draft`: a JPEG may come out smaller, but not below this many pixels a side (a quick look). Raises Unreadable.
    """
    picture = open_header(raw)
    try:
        if draft is not None:
            picture.draft(None, (draft, draft))
        picture.load()
        ImageOps.exif_transpose(picture, in_place=True)
        return plain_mode(picture)
    except Unreadable:
        raise
    except Exception as error:
        raise Unreadable(_damage(error)) from None


def _not_a_picture(raw: bytes, error: Exception) -> str:
    head = raw[:24]
    if isinstance(error, Pillow.UnidentifiedImageError):
        text = all(32 <= byte < 127 or byte in b"\r\n\t" for byte in head)
        if text:
            return f"not an image: it is text, starting {head.decode('ascii').split(chr(10))[0].strip()!r}"
        if raw[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1"):
            return "HEIC is not read by Pillow: convert it to JPEG or PNG first"
        return "damaged, or not an image format that is read here"
    return _damage(error)


def _damage(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "not enough memory to decode it"
    text = str(error).split("\n")[0].split(" <_io.")[0] or type(error).__name__
    return f"truncated: {text}" if "trunc" in text.lower() else f"damaged: {text}"


def plain_mode(picture: Pillow.Image) -> Pillow.Image:
    """A loaded picture of any mode in mode L, RGB or RGBA. Raises Unreadable for pixels whose range nobody can know."""
    mode = picture.mode
    if mode in ("L", "RGB", "RGBA") and "transparency" not in picture.info:
        return picture
    if mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        if mode in ("La", "RGBa"):
            picture = picture.convert("LA" if mode == "La" else "RGBA")
        return picture.convert("RGBA")
    if mode == "1":
        return picture.convert("L")
    if mode.startswith("I") or mode == "F":
        return Pillow.fromarray(_deep_grey_to_uint8(np.asarray(picture), picture.format))
    return picture.convert("RGB")


def _deep_grey_to_uint8(values: np.ndarray, source_format: str | None) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    if values.dtype == np.int32 and source_format == "TIFF" and low >= 0 and high <= 255:
        return values.astype(np.uint8)  # 32-bit files of 8-bit values are common in microscopy
    if values.dtype.kind == "f":
        if not (math.isfinite(low) and math.isfinite(high)) or low < 0 or high > 255:
            raise Unreadable(f"float pixels from {low:g} to {high:g}: convert to 8 or 16 bits first")
        return np.rint(values * (255.0 if high <= 1 else 1.0)).astype(np.uint8)
    if low < 0 or high > 65535:
        raise Unreadable(f"32-bit pixels from {low:g} to {high:g}: convert to 8 or 16 bits first")
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _with_channels(picture: Pillow.Image, channels: int) -> Pillow.Image:
    if picture.mode == {1: "L", 3: "RGB", 4: "RGBA"}[channels]:
        return picture
    if channels == 4:
        return picture.convert("RGBA")
    if picture.mode == "RGBA":
        white = Pillow.new("RGBA", picture.size, (BACKGROUND,) * 4)
        picture = Pillow.alpha_composite(white, picture).convert("RGB")
    return picture.convert("L" if channels == 1 else "RGB")
