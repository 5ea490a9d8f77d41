"""Spaces: what one sample is, how a file becomes it, how a network sees it, how a person sees it.

A space knows nothing about games or data sets. `Image` holds uint8 pictures [C, H, W] that networks see in [-1, 1];
`Vector` holds float32 points [d] that networks see divided by `scale`. Training, scores and pictures share one space,
so there is no difference between the resize of training and that of evaluation.
"""

from __future__ import annotations

import io
import math
import os
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from PIL import Image as Pillow
from PIL import ImageDraw, ImageOps
from torch import Tensor

from agon.errors import InputError

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
_CHANNEL_WORDS = {1: "grey", 3: "RGB", 4: "RGBA"}
SpaceT = TypeVar("SpaceT", bound="Space")


class Unreadable(ValueError):
    """One file cannot be used; its text is the reason, fit for a list of skipped files."""


class Space(ABC):
    """What one sample is: its shape, its way from file to network and back to something a person can look at."""

    classes: tuple[str, ...]  # names of exclusive classes: y is int64 [n]
    tags: tuple[str, ...]  # names of labels that may go together: y is float [n, k] of 0 and 1
    numbers: tuple[str, ...]  # names of measured values: y is float [n, k], standardised
    kind: str

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample, without the batch."""

    @abstractmethod
    def normalise(self, x: Tensor) -> Tensor:
        """Stored samples [B, *shape] -> what networks see, float32, on the device of `x`."""

    def ready(self, batch: dict[str, Any]) -> dict[str, Any]:
        """A stored batch on the device as the players see it: "x" normalised, "y" only where the space has a condition, the rest as it is."""
        shown = {k: v for k, v in batch.items() if k != "y" or self.condition_dim}
        return {**shown, "x": self.normalise(batch["x"])}

    @abstractmethod
    def to_bytes(self, x: Tensor) -> Tensor:
        """What networks give [B, *shape] -> the stored form, the inverse of `normalise` up to rounding."""

    @abstractmethod
    def render(self, x: Tensor, path: Path | str, *, columns: int | None = None) -> Path:
        """Write a picture of samples, the format chosen by the suffix of `path`; returns the path."""

    @abstractmethod
    def describe(self) -> str:
        """One phrase for people: "32×32 grey images, 10 classes"."""

    @property
    def num_classes(self) -> int:
        """How many classes a conditional game sees; 0 when unlabelled."""
        return len(self.classes)

    @property
    def condition_dim(self) -> int:
        """How many classes, tags or numbers a conditional game sees; at most one of the three is there."""
        return len(self.classes or self.tags or self.numbers)

    def unlabelled(self: SpaceT) -> SpaceT:
        """The same space without a condition."""
        return replace(self, classes=(), tags=(), numbers=())  # type: ignore[type-var]

    def _class_phrase(self) -> str:
        named = (("classes", self.classes), ("tags", self.tags), ("numbers", self.numbers))
        return "".join(f", {len(names)} {word}" for word, names in named if names)


@dataclass(frozen=True, kw_only=True)
class Image(Space):
    """Pictures: uint8 [C, H, W] when stored, float32 in [-1, 1] for networks.

    `resize` says how a picture of another size is brought to `height` × `width`: `cover` fills and crops the centre,
    `contain` fits inside and pads (white, or transparent for RGBA), `stretch` ignores the aspect. Always antialiased by
    Pillow's `filter`. Transparency is composited on white unless `channels` is 4.
    """

    channels: int = 3  # 1 grey, 3 RGB, 4 RGBA
    height: int = 32
    width: int = 32
    classes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    resize: Resize = "cover"
    filter: Filter = "lanczos"
    kind: Literal["image"] = "image"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return self.channels, self.height, self.width

    def describe(self) -> str:
        """For example "32×32 grey images, 10 classes"; a non-square one reads height×width."""
        return f"{self.height}×{self.width} {_CHANNEL_WORDS[self.channels]} images{self._class_phrase()}"

    def decode(self, raw: bytes) -> np.ndarray:
        """Bytes of a picture file -> uint8 [C, H, W]. Raises Unreadable with the reason."""
        return self.fit(open_picture(raw))

    def fit(self, picture: Pillow.Image) -> np.ndarray:
        """A picture in mode L, RGB or RGBA -> uint8 [C, H, W] by this space's channels and resize policy."""
        picture = _with_channels(picture, self.channels)
        goal, (width, height) = (self.width, self.height), picture.size
        if picture.size != goal:
            method = _FILTERS[self.filter]
            if self.resize == "stretch":
                picture = picture.resize(goal, method)
            elif self.resize == "cover":
                ratio = min(width / self.width, height / self.height)
                crop_w, crop_h = self.width * ratio, self.height * ratio
                left, top = (width - crop_w) / 2, (height - crop_h) / 2
                box = (max(0.0, left), max(0.0, top), min(float(width), left + crop_w), min(float(height), top + crop_h))
                picture = picture.resize(goal, method, box=box)
            else:
                ratio = min(self.width / width, self.height / height)
                inner_w, inner_h = max(1, round(width * ratio)), max(1, round(height * ratio))
                clear = (BACKGROUND,) * 3 + (0,) if self.channels == 4 else (BACKGROUND,) * self.channels
                canvas = Pillow.new(picture.mode, goal, clear if self.channels > 1 else BACKGROUND)
                corner = ((self.width - inner_w) // 2, (self.height - inner_h) // 2)
                canvas.paste(picture.resize((inner_w, inner_h), method), corner)
                picture = canvas
        array = np.array(picture, dtype=np.uint8).reshape(self.height, self.width, self.channels)
        return np.ascontiguousarray(array.transpose(2, 0, 1))

    def normalise(self, x: Tensor) -> Tensor:
        """uint8 [B, C, H, W] in 0..255 -> float32 in [-1, 1]; float input passes as it is."""
        if x.is_floating_point():
            return x.float()
        return x.to(torch.float32).div_(127.5).sub_(1.0)

    def to_bytes(self, x: Tensor) -> Tensor:
        """float in [-1, 1] -> uint8, rounded and clamped (not a number becomes 0); uint8 passes as it is."""
        if x.dtype == torch.uint8:
            return x
        return x.detach().float().add(1.0).mul(127.5).round().nan_to_num(0.0).clamp(0, 255).to(torch.uint8)

    def render(
        self,
        x: Tensor,
        path: Path | str,
        *,
        columns: int | None = None,
        scale: int | None = None,
        frames_per_s: float = 12.0,
    ) -> Path:
        """Write pictures [N, C, H, W] (uint8, or float in [-1, 1]) as one file; the suffix of `path` decides.

        .png .jpg .webp: a grid, row by row, `columns` wide (default: the nearest to a square).
        .gif .mp4: an animation, each picture a frame. `scale` enlarges by whole pixels; by default until a side has 64.
        Any height and width are taken, so that ready grids can be frames. Raises InputError on an unknown suffix or
        an unwritable path.
        """
        target = Path(path)
        x = self.to_bytes(x).cpu()
        if x.ndim != 4 or x.shape[0] == 0 or x.shape[1] not in _CHANNEL_WORDS:
            raise InputError(f"render got shape {tuple(x.shape)}; expected [N, C, H, W] with N > 0 and C of 1, 3 or 4")
        enlarge = scale or max(1, math.ceil(64 / max(x.shape[2:])))
        if enlarge > 1:
            x = x.repeat_interleave(enlarge, 2).repeat_interleave(enlarge, 3)
        return _write_picture(target, x, columns, frames_per_s)


@dataclass(frozen=True, kw_only=True)
class Vector(Space):
    """Points: float32 [d] in the data's own units when stored, divided by `scale` for networks."""

    dim: int = 2
    classes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    scale: float = 1.0
    kind: Literal["vector"] = "vector"

    @property
    def shape(self) -> tuple[int]:
        """(dim,)."""
        return (self.dim,)

    def describe(self) -> str:
        """For example "points in 2 dimensions"."""
        return f"points in {self.dim} dimensions{self._class_phrase()}"

    def normalise(self, x: Tensor) -> Tensor:
        """Data units [B, d] -> float32, divided by `scale`."""
        return x.float() / self.scale

    def to_bytes(self, x: Tensor) -> Tensor:
        """What networks give [B, d] -> float32 in data units (the stored form of this space is not bytes)."""
        return x.detach().float() * self.scale

    def render(self, x: Tensor, path: Path | str, *, columns: int | None = None, frames_per_s: float = 12.0) -> Path:
        """Write a scatter plot of the first two coordinates of points [N, d] in data units, range ±2·scale.

        .png .jpg .webp: one plot; [T, N, d] gives T plots, as a grid, or as frames for .gif and .mp4.
        Points outside the range are drawn on its border. Raises InputError as `Image.render` does.
        """
        clouds = x.detach().float().cpu()
        clouds = clouds if clouds.ndim == 3 else clouds[None]
        if clouds.ndim != 3 or clouds.shape[0] == 0:
            raise InputError(f"render got shape {tuple(x.shape)}; expected points [N, d] or [T, N, d]")
        plots = torch.stack([torch.from_numpy(_scatter(cloud.numpy(), 2.0 * self.scale)) for cloud in clouds])
        return _write_picture(Path(path), plots, columns, frames_per_s)


# --- from a file to pixels -----------------------------------------------------------------------------------------


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
        return _plain_mode(picture)
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


def _plain_mode(picture: Pillow.Image) -> Pillow.Image:
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


# --- from pixels to a file -----------------------------------------------------------------------------------------


def _write_picture(target: Path, x: Tensor, columns: int | None, frames_per_s: float) -> Path:
    suffix = target.suffix.lower()
    if suffix in (".png", ".jpg", ".jpeg", ".webp"):
        grid = _grid(x.numpy(), columns, opaque=suffix in (".jpg", ".jpeg"))
        picture_format = {".png": "PNG", ".webp": "WEBP"}.get(suffix, "JPEG")
        how: dict[str, Any] = {"lossless": True} if suffix == ".webp" else {"quality": 92} if picture_format == "JPEG" else {}
        return _replace_file(target, lambda path: grid.save(path, format=picture_format, **how))
    frames = [_picture(_on_white(frame.numpy())) for frame in x]
    if suffix == ".gif":
        how = {"duration": round(1000 / frames_per_s), "loop": 0, "optimize": False}
        return _replace_file(target, lambda path: frames[0].save(path, "GIF", save_all=True, append_images=frames[1:], **how))
    if suffix == ".mp4":
        return _replace_file(target, lambda path: _write_mp4(path, frames, frames_per_s))
    raise InputError(f"cannot write {target.name!r}: expected a name ending in .png, .jpg, .webp, .gif or .mp4")


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
    return _picture(_on_white(sheet) if opaque else sheet)


def _write_mp4(path: Path, frames: list[Pillow.Image], frames_per_s: float) -> None:
    try:
        import av
    except ImportError:
        raise InputError("writing .mp4 needs PyAV: pip install 'agon-gan[video]', or ask for .gif") from None
    from fractions import Fraction

    width, height = (side + side % 2 for side in frames[0].size)  # H.264 with 4:2:0 colour wants even sides
    with av.open(str(path), mode="w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(frames_per_s).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": "16"}
        for frame in frames:
            canvas = Pillow.new("RGB", (width, height), (BACKGROUND,) * 3)
            canvas.paste(frame, (0, 0))
            container.mux(stream.encode(av.VideoFrame.from_image(canvas)))
        container.mux(stream.encode())


def _scatter(points: np.ndarray, extent: float, side: int = 384, limit: int = 10_000) -> np.ndarray:
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
