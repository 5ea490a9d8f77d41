"""Ways between latents: straight lines, great circles, closed walks and grids between four corners.

Pure functions on tensors. A normal latent of d dimensions has length close to √d; the middle of a straight line between two of them is
shorter by √2 and so unlike anything the generator was trained on. The great circle keeps the length (White 2016, arXiv:1609.04468).
The mapped latents w of a style-based generator lie on no sphere, and straight lines are the custom there (arXiv:1812.04948).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from agon.errors import InputError

Way = Callable[[Tensor, Tensor, Tensor], Tensor]


def lerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """(1 - t) a + t b for a and b [...] at t [m]: [m, ...]."""
    t = t.reshape(-1, *[1] * a.dim())
    return a + (b - a) * t


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """The great circle between a and b [...] at t [m]: [m, ...]. sin((1-t)θ)/sin θ · a + sin(tθ)/sin θ · b with θ the angle between them.

    Falls back to a line when they are nearly parallel or opposite.
    """
    cosine = torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), dim=0).clamp(-1, 1)
    angle = torch.acos(cosine)
    if angle.sin() < 1e-4:
        return lerp(a, b, t)
    t = t.reshape(-1, *[1] * a.dim())
    return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / angle.sin()


def way(spherical: bool) -> Way:
    """slerp or lerp."""
    return slerp if spherical else lerp


def line(anchors: Tensor, frames: int, *, spherical: bool, closed: bool) -> Tensor:
    """A path through anchors [k, ...] with `frames` steps from one to the next.

    closed: returns to the first, which is not repeated: [k · frames, ...]. Otherwise it ends on the last: [(k - 1) · frames + 1, ...].
    Raises InputError for fewer than 2 anchors or 1 frame.
    """
    if frames < 1:
        raise InputError(f"--frames is {frames}; expected 1 or more pictures between two latents.")
    if len(anchors) < 2:
        raise InputError(f"a walk needs at least 2 latents to go between, got {len(anchors)}. Use --interpolate 2 or more.")
    between, t = way(spherical), torch.arange(frames) / frames
    legs = [between(anchors[i], anchors[i + 1], t) for i in range(len(anchors) - 1)]
    legs.append(between(anchors[-1], anchors[0], t) if closed else anchors[-1:])
    return torch.cat(legs)


def grid(corners: Tensor, rows: int, columns: int, *, spherical: bool) -> Tensor:
    """Latents [rows · columns, ...], row by row, between the corners [4, ...]: top left, top right, bottom left, bottom right.

    The left and the right edge are divided first, then every row from its left to its right end. Raises InputError below 2×2.
    """
    if rows < 2 or columns < 2:
        raise InputError(f"a grid of {rows}×{columns} has no inside; expected 2 or more rows and columns.")
    if len(corners) != 4:
        raise InputError(f"a grid lies between 4 latents, got {len(corners)}.")
    between, down, across = way(spherical), torch.linspace(0, 1, rows), torch.linspace(0, 1, columns)
    left, right = between(corners[0], corners[2], down), between(corners[1], corners[3], down)
    return torch.cat([between(left[i], right[i], across) for i in range(rows)])
