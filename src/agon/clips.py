"""Clip games as sampling sees them: the content and the motion in their latents, and clips of any length, chunk by chunk.

The generator's protocol (`networks.clips`): `noise_shape(frames)`, `forward(z, e, y, first=, at=)` and, where any length can be had,
`long(z, dice, frames, y, first=, chunk=)`. Latents are flat: [n, z_dim + prod(noise_shape(frames))], content before motion.
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from agon.game import Game, Players
from agon.spaces import Space, Video


def makes_clips(game: Game, p: Players, space: Space) -> bool:
    """Whether this game's latents are content and motion: it has `z_dim`, and its player G says the shape of its motion noise."""
    return isinstance(space, Video) and hasattr(game, "z_dim") and "G" in list(p) and hasattr(p.G, "noise_shape")


def parted(game: Game, p: Players, latents: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """Flat latents [n, …] as content z [n, z_dim] and motion noise e [n, *noise_shape(frames)]."""
    made: Any = game
    generator: Any = p.G
    shape = tuple(generator.noise_shape(frames))
    z, e = latents[:, : made.z_dim], latents[:, made.z_dim :]
    return z, e[:, : math.prod(shape)].reshape(len(z), *shape)
