"""Points."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor

from agon.errors import InputError
from agon.spaces.animation import write_picture
from agon.spaces.base import Space
from agon.spaces.drawing import scatter


@dataclass(frozen=True, kw_only=True)
class Vector(Space):
    """Points: float32 [d] in the data's own units when stored, divided by `scale` for networks."""

    dim: int = 2
    classes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    scale: float = 1.0
    kind: Literal["vector"] = "vector"
    gallery: ClassVar[int | None] = 2_000

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
        plots = torch.stack([torch.from_numpy(scatter(cloud.numpy(), 2.0 * self.scale)) for cloud in clouds])
        return write_picture(Path(path), plots, columns, frames_per_s)
