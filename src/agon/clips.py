"""Clip games as sampling sees them: the content and the motion in their latents, films of any length chunk by chunk, and the swap of the two.

The generator's protocol (`networks.clips`): `noise_shape(frames)`, `forward(z, e, y, first=, at=)` and, where any length can be had,
`long(z, dice, frames, y, first=, chunk=)`. Latents are flat: [n, z_dim + prod(noise_shape(frames))], content before motion.

Noise of a film is a pure function of (seed, which clip, block of frames), so a film of 2,000 frames begins as one of 20 does, and takes as much memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from agon.errors import InputError
from agon.game import Game, Players, mix
from agon.sampling import draw, fresh_latents, still
from agon.spaces import Space, Video

TOGETHER = 8  # clips that go through the generator at once
CHUNK = 16  # frames made at once
NOISE, PLAY = 29, 31  # streams of random numbers


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


def film(
    game: Game, p: Players, space: Video, n: int, *, seed: int = 0, frames: int | None = None, fps: Fraction | float | None = None,
    labels: Tensor | None = None, first: Tensor | None = None,
) -> Iterator[Tensor]:  # fmt: skip
    """n clips of `frames` frames (None: as trained) as uint8 parts [n, t, C, H, W], one after the other in time.

    Up to the trained length these are the samples of `draw`, cut; beyond it, or at another rate of a generator that is continuous in time, the
    content is the same and the motion another. fps: what the frames are made for; others than continuous generators do not know it.
    Raises InputError where the generator cannot go on: it makes clips of one length, or has no motion of its own.
    """
    frames, step = space.frames if frames is None else frames, pace(p, space, fps)
    if frames <= space.frames and step == 1.0:
        yield draw(game, p, space, n, seed=seed, labels=labels, first=first)[:, :frames]
        return
    check_long(game, p, space, frames)
    z, _ = parted(game, p, fresh_latents(game, p, n, seed=seed), space.frames)
    yield from _long(game, p, space, z, range(n), frames, step, seed, labels, first)


def swapped(
    game: Game, p: Players, space: Video, rows: int, columns: int, *, seed: int = 0, frames: int | None = None, labels: Tensor | None = None,
    first: Tensor | None = None,
) -> Iterator[Tensor]:  # fmt: skip
    """The table of contents × motions as parts uint8 [(rows + 1) · (columns + 1), t, C, H, W], columns + 1 wide.

    The first column holds the clips that lend their content, the first row those that lend their motion, each cell the one with the
    other's; the corner is blank. labels, first: of all of them. Raises InputError for games whose latents are not content and motion.
    """
    if not makes_clips(game, p, space):
        raise InputError(
            f"--swap exchanges content and motion, and {type(game).__name__} does not keep them apart. Train a clip recipe, such as video."
        )
    frames, n = space.frames if frames is None else frames, rows + columns
    latents = fresh_latents(game, p, n, seed=seed)
    contents = [*range(rows, n), *(k for row in range(rows) for k in (row, *[row] * columns))]
    motions = [*range(rows, n), *(k for row in range(rows) for k in (row, *range(rows, n)))]
    if frames <= space.frames:
        z, e = parted(game, p, latents, space.frames)
        cells = torch.cat([z[contents], e[motions].flatten(1)], 1)
        parts = iter([draw(game, p, space, len(cells), seed=seed, labels=labels, latents=cells, first=first)[:, :frames]])
    else:
        check_long(game, p, space, frames)
        z, _ = parted(game, p, latents, space.frames)
        parts = _long(game, p, space, z[contents], motions, frames, 1.0, seed, labels, first)
    for part in parts:
        yield torch.cat([torch.full_like(part[:1], 255), part])


def check_long(game: Game, p: Players, space: Video, frames: int) -> None:
    """Raise InputError unless the generator can make clips of so many frames."""
    generator: Any = p["G"] if "G" in list(p) else None
    if not makes_clips(game, p, space) or getattr(generator, "fixed_length", False) or not hasattr(generator, "long"):
        raise InputError(
            f"--length is {frames}, and this generator makes clips of {space.frames} frames and no others; take {space.frames} or fewer, or "
            "train a recipe that goes on, such as video."
        )


def pace(p: Players, space: Video, fps: Fraction | float | None) -> float:
    """How far apart in trained frames the frames of a film at this rate lie; 1 where the generator knows whole frames only."""
    generator: Any = p["G"] if "G" in list(p) else None
    return 1.0 if fps is None or not getattr(generator, "continuous", False) else float(space.fps / fps)


def _long(
    game: Game, p: Players, space: Video, z: Tensor, motions: Sequence[int], frames: int, step: float, seed: int, labels: Tensor | None,
    first: Tensor | None,
) -> Iterator[Tensor]:  # fmt: skip
    """Content z [n, z_dim] with the motion noise of these clips of the seed, in parts uint8 [n, t, C, H, W]."""
    device, generator = p.device, p.G
    streams: list[Iterator[Tensor]] = []
    for low in range(0, len(z), TOGETHER):
        here = slice(low, low + TOGETHER)
        given: dict[str, Any] = {} if step == 1.0 else {"step": step}
        if first is not None:
            given["first"] = space.normalise(first[here].to(device))
        y = None if labels is None else labels[here].to(device)
        streams.append(
            iter(generator.long(z[here].to(device), _dice(seed, motions[here], device), frames, y, chunk=CHUNK, **given))  # type: ignore[operator]
        )
    made, k = 0, 0
    while made < frames:
        parts = []
        for index, stream in enumerate(streams):
            # The generator's own code runs inside of next(), so that is what must be seeded and free of gradients.
            with still(p, mix(seed, PLAY, index, k)):
                parts.append(space.to_bytes(next(stream).float()).cpu())
        part = torch.cat(parts)
        made, k = made + part.shape[1], k + 1
        yield part


def _dice(seed: int, motions: Sequence[int], device: torch.device) -> Callable[..., Tensor]:
    """dice(block, *shape) -> normal noise [n, *shape], a pure function of (seed, motion, block)."""

    def dice(block: int, *shape: int) -> Tensor:
        rows = [torch.randn(shape, generator=torch.Generator().manual_seed(mix(seed, NOISE, motion, block))) for motion in motions]
        return torch.stack(rows).to(device)

    return dice
