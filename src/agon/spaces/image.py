"""Still pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from PIL import Image as Pillow
from torch import Tensor

from agon.errors import InputError
from agon.spaces.animation import write_picture
from agon.spaces.base import Space
from agon.spaces.drawing import enlarged
from agon.spaces.pictures import CHANNEL_WORDS, Filter, Resize, fit, open_picture, to_pixels, to_range


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
    words: tuple[str, ...] = ()
    resize: Resize = "cover"
    filter: Filter = "lanczos"
    kind: Literal["image"] = "image"
    bounded: ClassVar[bool] = True

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return self.channels, self.height, self.width

    def describe(self) -> str:
        """For example "32×32 grey images, 10 classes"; a non-square one reads height×width."""
        return f"{self.height}×{self.width} {CHANNEL_WORDS[self.channels]} images{self._class_phrase()}"

    def decode(self, raw: bytes) -> np.ndarray:
        """Bytes of a picture file -> uint8 [C, H, W]. Raises Unreadable with the reason."""
        return self.fit(open_picture(raw))

    def fit(self, picture: Pillow.Image) -> np.ndarray:
        """A picture in mode L, RGB or RGBA -> uint8 [C, H, W] by this space's channels and resize policy."""
        return fit(
            picture, channels=self.channels, height=self.height, width=self.width, resize=self.resize, filter=self.filter,
        )  # fmt: skip

    def normalise(self, x: Tensor) -> Tensor:
        """uint8 [B, C, H, W] in 0..255 -> float32 in [-1, 1]; float input passes as it is."""
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
        if x.ndim != 4 or x.shape[0] == 0 or x.shape[1] not in CHANNEL_WORDS:
            raise InputError(f"render got shape {tuple(x.shape)}; expected [N, C, H, W] with N > 0 and C of 1, 3 or 4")
        return write_picture(target, enlarged(x, scale), columns, frames_per_s)
