"""Drawing from a trained game: seeded, in any number, by class, along a walk between latents.

The same seed gives the same samples whatever the batch and, to rounding, the device; training's own random numbers are left as they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agon.errors import InputError, suggest
from agon.game import Batch, Game, Players, mix
from agon.spaces import Space

CHUNK = 128  # samples per forward pass; part of what a seed means


class Drawn(np.ndarray):
    """Samples as users meet them: pictures are uint8 [n, H, W, C], points float32 [n, d]. `save(path)` renders them."""

    space: Space | None = None

    def __array_finalize__(self, source: Any) -> None:
        self.space = getattr(source, "space", None)

    def save(self, path: Path | str, *, columns: int | None = None) -> Path:
        """Write a grid (.png, .jpg, .webp) or, frame by frame, a walk (.gif, .mp4)."""
        if self.space is None:
            raise InputError("these samples have lost their space; draw them again with sample().")
        x = torch.from_numpy(np.ascontiguousarray(np.asarray(self)))
        return self.space.render(x.permute(0, 3, 1, 2) if x.dim() == 4 else x, path, columns=columns)


def as_drawn(space: Space, x: Tensor) -> Drawn:
    """Stored-form samples (uint8 [n, C, H, W] or float [n, d]) as `Drawn`."""
    array = (x.permute(0, 2, 3, 1) if x.dim() == 4 else x).contiguous().cpu().numpy().view(Drawn)
    array.space = space
    return array


def draw(
    game: Game, p: Players, space: Space, n: int, *, seed: int = 0, labels: Tensor | None = None, latents: Tensor | None = None,
    stored: bool = True,
) -> Tensor:  # fmt: skip
    """n samples in stored form (uint8 pictures, float points) on the CPU, or as the game gives them.

    labels: int64 [n] for conditional spaces; latents: [n, …].
    """
    was_training = [module for _, module in p.items() if module.training]
    parts: list[Tensor] = []
    devices = [torch.cuda.current_device()] if p.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.no_grad():
        for module in was_training:
            module.eval()
        try:
            for index, low in enumerate(range(0, n, CHUNK)):
                high = min(low + CHUNK, n)
                torch.manual_seed(mix(seed, index))
                given = Batch() if labels is None else Batch(y=labels[low:high].to(p.device))
                size = high - low
                if latents is not None:
                    x = _sample(game, p, size, latents[low:high].to(p.device), given)
                elif type(game).latents is not Game.latents:
                    # Latents for a full chunk, whatever is asked for: n must not change what a seed means.
                    x = _sample(game, p, size, game.latents(p, CHUNK)[:size], given)
                else:
                    x = _sample(game, p, CHUNK, None, Batch({k: torch.cat([v, v.new_zeros(CHUNK - size)]) for k, v in given.items()}))[
                        :size
                    ]
                parts.append((space.to_bytes(x.float()) if stored else x.float()).cpu())
        finally:
            for module in was_training:
                module.train()
    return torch.cat(parts) if parts else torch.empty(0)


def _sample(game: Game, p: Players, n: int, z: Tensor | None, given: Batch) -> Tensor:
    # A game may leave out what it has no use for: sample(p, n) is enough for an unconditional one.
    extra: dict[str, Any] = {}
    if z is not None:
        extra["z"] = z
    if given:
        extra["given"] = given
    return game.sample(p, n, **extra)


def walk(game: Game, p: Players, space: Space, stops: int, *, frames: int = 24, seed: int = 0, label: int | None = None) -> Tensor:
    """A closed walk through `stops` latents with `frames` pictures a leg, along great circles (White 2016, arXiv:1609.04468).

    Returns [stops · frames, …] in stored form.
    """
    if frames < 1:
        raise InputError(f"--frames is {frames}; expected 1 or more pictures between two latents.")
    if stops < 2:
        raise InputError(f"a walk needs at least 2 latents to go between, got {stops}. Use --interpolate 2 or more.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mix(seed, 0))
        anchors = game.latents(p, stops).cpu()
    legs = [slerp(anchors[i], anchors[(i + 1) % stops], torch.arange(frames) / frames) for i in range(stops)]
    z = torch.cat(legs)
    labels = None if label is None else torch.full((len(z),), label)
    return draw(game, p, space, len(z), seed=seed, labels=labels, latents=z)


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Spherical interpolation between a and b [d] at t [m]: [m, d]. Falls back to a line when they are nearly parallel."""
    cosine = torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), dim=0).clamp(-1, 1)
    angle, t = torch.acos(cosine), t.reshape(-1, *[1] * a.dim())
    if angle.sin() < 1e-4:
        return a + (b - a) * t
    return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / angle.sin()


def class_id(space: Space, asked: str | int) -> int:
    """A class given by number or name as its number. Raises InputError."""
    names = list(space.classes)
    if not names:
        raise InputError(
            f"class {asked!r} was asked for, but this run is unconditional. Sample without --class, or train on labelled data."
        )
    if str(asked) in names:
        return names.index(str(asked))
    try:
        number = int(asked)
    except ValueError:
        raise InputError(f"class '{asked}' is unknown; expected one of {_listing(names)}.{suggest(str(asked), names)}") from None
    if not 0 <= number < len(names):
        raise InputError(f"class {number} is out of range; this run has {len(names)} classes, 0 to {len(names) - 1}: {_listing(names)}.")
    return number


def labels_for(space: Space, n: int, *, seed: int = 0, share: Sequence[float] | None = None, only: int | None = None) -> Tensor | None:
    """Class numbers [n] for n samples: `only` this one, or drawn by the training set's `share`; None for an unconditional space."""
    if not space.num_classes:
        return None
    if only is not None:
        return torch.full((n,), only, dtype=torch.int64)
    weights = torch.tensor(share) if share else torch.ones(space.num_classes)
    generator = torch.Generator().manual_seed(mix(seed, 7))
    return torch.multinomial(weights, n, replacement=True, generator=generator) if n else torch.empty(0, dtype=torch.int64)


def gallery_labels(space: Space) -> tuple[int, int, Tensor | None]:
    """How many samples the fixed grid of a run shows, in how many columns, and their classes: a class a column where there are few."""
    k = space.num_classes
    if 2 <= k <= 12:
        rows = 8 if k <= 10 else 6
        return rows * k, k, torch.arange(rows * k) % k
    return 64, 8, labels_for(space, 64, seed=0)


def _listing(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (" …" if len(names) > 20 else "")
