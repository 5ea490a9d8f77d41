"""Clips: pictures in time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from agon.errors import InputError
from agon.spaces.animation import evened, write_animation
from agon.spaces.base import Space
from agon.spaces.drawing import enlarged, sheet_of, time_slices, write_grid
from agon.spaces.image import Image
from agon.spaces.pictures import CHANNEL_WORDS, Filter, Resize, to_pixels, to_range

SHEET_FRAMES = 16  # frames of a clip shown side by side; longer clips are thinned evenly


@dataclass(frozen=True, kw_only=True)
class Video(Space):
    """Clips: uint8 [T, C, H, W] when stored, float32 in [-1, 1] for networks.

    frames: T. fps: frames a second as they are shown and played. `resize` and `filter` are those of `Image`, for each frame alike.
    """

    frames: int = 16
    channels: int = 3  # 1 grey, 3 RGB
    height: int = 64
    width: int = 64
    fps: float = 12.0
    classes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    caption_length: int = 0  # L: words of the longest caption
    resize: Resize = "cover"
    filter: Filter = "lanczos"
    kind: Literal["video"] = "video"
    bounded: ClassVar[bool] = True
    suffixes: ClassVar[tuple[str, ...]] = (".png", ".webp")

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(frames, channels, height, width)."""
        return self.frames, self.channels, self.height, self.width

    @property
    def picture(self) -> Image:
        """The space of one frame, without a condition."""
        return Image(channels=self.channels, height=self.height, width=self.width, resize=self.resize, filter=self.filter)

    def describe(self) -> str:
        """For example "64×64 RGB clips of 16 frames at 12/s, 4 classes"."""
        size = f"{self.height}×{self.width} {CHANNEL_WORDS[self.channels]}"
        return f"{size} clips of {self.frames} frames at {self.fps:g}/s{self._class_phrase()}"

    def normalise(self, x: Tensor) -> Tensor:
        """uint8 [B, T, C, H, W] in 0..255 -> float32 in [-1, 1]; float input passes as it is."""
        return to_range(x)

    def to_bytes(self, x: Tensor) -> Tensor:
        """float in [-1, 1] -> uint8, rounded and clamped (not a number becomes 0); uint8 passes as it is."""
        return to_pixels(x)

    def render(
        self,
        x: Tensor,
        path: Path | str,
        *,
        columns: int | None = None,
        scale: int | None = None,
        frames_per_s: float | Fraction | None = None,
    ) -> Path:
        """Write clips [N, T, C, H, W] (uint8, or float in [-1, 1]) as one file; the suffix of `path` decides.

        .mp4 .gif .webp: all clips play side by side, `columns` wide (default: the nearest to a square), at the space's rate unless told; a
        single clip as .mp4 keeps its size. .png .jpg: a contact sheet, a clip a row, at most 16 of its frames. `scale` enlarges by whole
        pixels; by default until a side has 64. Raises InputError on an unknown suffix or an unwritable path.
        """
        target = Path(path)
        x = self.to_bytes(x).cpu()
        if x.ndim != 5 or 0 in x.shape or x.shape[2] not in CHANNEL_WORDS:
            raise InputError(f"render got shape {tuple(x.shape)}; expected [N, T, C, H, W] with N and T > 0 and C of 1, 3 or 4")
        if target.suffix.lower() in (".png", ".jpg", ".jpeg"):
            return write_grid(target, enlarged(x[:, shown(x.shape[1])].flatten(0, 1), scale), min(SHEET_FRAMES, x.shape[1]))
        return write_animation(target, (self.frame(x[:, k], target, columns, scale) for k in range(x.shape[1])), frames_per_s or self.fps)

    def frame(self, x: Tensor, path: Path, columns: int | None = None, scale: int | None = None) -> np.ndarray:
        """One moment of several clips, uint8 [N, C, H, W], side by side as `render` puts them into `path`: uint8 [C, h, w]."""
        film = path.suffix.lower() == ".mp4"
        if film and len(x) == 1:
            return enlarged(x[0], scale or 1).numpy()
        sheet = sheet_of(enlarged(x, scale).numpy(), columns)
        return evened(sheet) if film else sheet

    def slices(self, x: Tensor, path: Path | str, *, columns: int | None = None) -> Path:
        """Write x–t views of clips uint8 [N, T, C, H, W]: see `drawing.time_slices`. By default two clips side by side."""
        views = torch.from_numpy(time_slices(x.cpu().numpy()))
        by = max(1, math.ceil(48 / x.shape[1]), math.ceil(64 / max(x.shape[-2:])))
        return write_grid(Path(path), enlarged(views, by), columns or min(2, len(x)))


def shown(frames: int) -> list[int]:
    """The frames of a clip that a contact sheet shows."""
    return [round(k) for k in np.linspace(0, frames - 1, min(SHEET_FRAMES, frames))]
