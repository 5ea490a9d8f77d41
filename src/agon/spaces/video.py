"""Clips: pictures in time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from torch import Tensor

from agon.errors import InputError
from agon.spaces.base import Space
from agon.spaces.drawing import enlarged, sheet_of, write_animation, write_picture
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
        frames_per_s: float | None = None,
    ) -> Path:
        """Write clips [N, T, C, H, W] (uint8, or float in [-1, 1]) as one file; the suffix of `path` decides.

        .mp4 .gif .webp: all clips play side by side, `columns` wide (default: the nearest to a square), at the space's rate unless told.
        .png .jpg: a contact sheet, a clip a row, at most 16 of its frames. Raises InputError on an unknown suffix or an unwritable path.
        """
        target = Path(path)
        x = self.to_bytes(x).cpu()
        if x.ndim != 5 or 0 in x.shape or x.shape[2] not in CHANNEL_WORDS:
            raise InputError(f"render got shape {tuple(x.shape)}; expected [N, T, C, H, W] with N and T > 0 and C of 1, 3 or 4")
        if target.suffix.lower() in (".png", ".jpg", ".jpeg"):
            shown = x[:, [round(k) for k in np.linspace(0, x.shape[1] - 1, min(SHEET_FRAMES, x.shape[1]))]]
            return write_picture(target, enlarged(shown.flatten(0, 1), scale), shown.shape[1], 1.0)
        steps = (enlarged(x[:, k], scale).numpy() for k in range(x.shape[1]))
        return write_animation(target, (sheet_of(step, columns) for step in steps), frames_per_s or self.fps)
