"""Drawing from a trained game: seeded, in any number, by class. Moving between latents is `agon.latent`'s.

The same seed gives the same samples whatever the batch and, to rounding, the device; training's own random numbers are left as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agon.errors import InputError, suggest
from agon.game import Batch, Game, Players, mix
from agon.spaces import Space, Tokens

CHUNK = 128  # samples per forward pass; part of what a seed means


class Drawn(np.ndarray):
    """Samples as users meet them: pictures are uint8 [n, H, W, C], clips uint8 [n, T, H, W, C], points float32 [n, d], sentences int32
    [n, L], whose text is `texts`. `save(path)` renders."""

    space: Space | None = None

    def __array_finalize__(self, source: Any) -> None:
        self.space = getattr(source, "space", None)

    def save(self, path: Path | str, *, columns: int | None = None) -> Path:
        """Write a grid (.png, .jpg, .webp) or, frame by frame, a walk (.gif, .mp4); of clips a contact sheet (.png) or a playing grid."""
        if self.space is None:
            raise InputError("these samples have lost their space; draw them again with sample().")
        return self.space.render(self.stored(), path, columns=columns)

    @property
    def texts(self) -> list[str]:
        """Sentences as text. Raises InputError for samples that are none."""
        if not isinstance(self.space, Tokens):
            raise InputError("these samples are no sentences; only runs on text have texts.")
        return self.space.decode(self.stored())

    def stored(self) -> Tensor:
        """The same in stored form: uint8 [n, C, H, W] pictures, uint8 [n, T, C, H, W] clips, float [n, d] points."""
        x = torch.from_numpy(np.ascontiguousarray(np.asarray(self)))
        return x.movedim(-1, -3) if x.dim() >= 4 else x


def as_drawn(space: Space, x: Tensor) -> Drawn:
    """Stored-form samples (uint8 [n, C, H, W] or [n, T, C, H, W], or float [n, d]) as `Drawn`."""
    array = (x.movedim(-3, -1) if x.dim() >= 4 else x).contiguous().cpu().numpy().view(Drawn)
    array.space = space
    return array


def draw(
    game: Game, p: Players, space: Space, n: int, *, seed: int = 0, labels: Tensor | None = None, latents: Tensor | None = None,
    stored: bool = True, first: Tensor | None = None, begun: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """n samples in stored form (uint8 pictures, float points, int32 tokens) on the CPU, or as the game gives them.

    labels: for conditional spaces, classes int64 [n] or tags or numbers float [n, k] or words int64 [n, L]; latents: [n, …]; first: uint8
    [n, C, H, W], the frames that clips begin with; begun: int64 [n, P], the tokens that sentences begin with, 0 where they are open.
    """

    def part(low: int, high: int) -> Tensor:
        given, size = Batch() if labels is None else Batch(y=labels[low:high].to(p.device)), high - low
        if first is not None:
            given["first"] = space.normalise(first[low:high].to(p.device))
        if begun is not None:
            given["begun"] = begun[low:high].to(p.device)
        if latents is not None or has_latents(game):
            # Latents for a full chunk, whatever is asked for: n must not change what a seed means.
            z = game.latents(p, CHUNK)[:size] if latents is None else latents[low:high].to(p.device)

            def some(a: int, b: int) -> Tensor:
                return _sample(game, p, b - a, z[a:b], Batch({name: value[a:b] for name, value in given.items()}))

            return in_bites(0, size, space, some)
        whole = Batch({k: torch.cat([v, v.new_zeros(CHUNK - size, *v.shape[1:])]) for k, v in given.items()})
        return _sample(game, p, CHUNK, None, whole)[:size]

    return in_chunks(p, space, n, part, seed=seed, stored=stored)


def in_chunks(
    p: Players, space: Space, n: int, part: Callable[[int, int], Tensor], *, seed: int = 0, stored: bool = True
) -> Tensor:  # fmt: skip
    """n samples made chunk by chunk by `part(low, high)`: players in evaluation mode, random state seeded for each chunk and given back."""
    parts: list[Tensor] = []
    for index, low in enumerate(range(0, n, CHUNK)):
        with still(p, mix(seed, index)):
            x = part(low, min(low + CHUNK, n))
            x = x.float() if x.is_floating_point() else x
            parts.append((space.to_bytes(x) if stored else x).cpu())
    return torch.cat(parts) if parts else torch.empty(0)


@contextmanager
def still(p: Players, seed: int) -> Iterator[None]:
    """Players in evaluation mode, without gradients, random state seeded; afterwards everything is as it was."""
    was_training = [module for _, module in p.items() if module.training]
    devices = [torch.cuda.current_device()] if p.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.no_grad():
        for module in was_training:
            module.eval()
        try:
            torch.manual_seed(seed)
            yield
        finally:
            for module in was_training:
                module.train()


def needs_first(game: Game) -> bool:
    """Whether the game's clips begin with a frame that is given."""
    return bool(getattr(game, "first_frame", False))


def has_latents(game: Game) -> bool:
    """Whether the game has a latent space of its own to draw from."""
    return type(game).latents is not Game.latents


def fresh_latents(game: Game, p: Players, n: int, *, seed: int = 0) -> Tensor:
    """The latents [n, …] on the CPU that `draw` makes n samples of this seed from. Raises InputError for a game without latents."""
    parts: list[Tensor] = []
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        for index, low in enumerate(range(0, n, CHUNK)):
            torch.manual_seed(mix(seed, index))
            parts.append(game.latents(p, CHUNK)[: min(CHUNK, n - low)].cpu())
    return torch.cat(parts)


def in_bites(low: int, high: int, space: Space, make: Callable[[int, int], Tensor]) -> Tensor:
    """make(low, high) in parts, joined: of clips a few at a time, as a chunk of them would fill the memory of a small machine."""
    bite = CHUNK if len(space.shape) < 4 else max(1, CHUNK // space.shape[0])
    parts = [make(k, min(k + bite, high)) for k in range(low, high, bite)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _sample(game: Game, p: Players, n: int, z: Tensor | None, given: Batch) -> Tensor:
    # A game may leave out what it has no use for: sample(p, n) is enough for an unconditional one.
    extra: dict[str, Any] = {}
    if z is not None:
        extra["z"] = z
    if given:
        extra["given"] = given
    return game.sample(p, n, **extra)


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


def labels_for(
    space: Space, n: int, *, seed: int = 0, share: Sequence[float] | None = None, only: int | None = None, rows: Tensor | None = None
) -> Tensor | None:
    """Conditions for n samples; None for an unconditional space.

    Classes int64 [n]: `only` this one, or drawn by the training set's `share`. Tags or numbers float32 [n, k]: drawn from `rows` of the
    training set; without rows, each tag is on in half of the samples, and numbers are standard normal. Captions and sources int64 [n, L]
    likewise; without rows, words at random.
    """
    if not space.condition_dim:
        return None
    if not space.classes:
        generator = torch.Generator().manual_seed(mix(seed, 7))
        if rows is not None and len(rows):
            return rows[torch.randint(len(rows), (n,), generator=generator)]
        if space.source is not None:
            return space.source.arbitrary(torch.rand(n, *space.source.shape, generator=generator)).long()
        if space.words:
            return torch.randint(1, len(space.words) + 1, (n, getattr(space, "caption_length", 0) or 1), generator=generator)
        noise = torch.randn(n, space.condition_dim, generator=generator)
        return (noise > 0).float() if space.tags else noise
    if only is not None:
        return torch.full((n,), only, dtype=torch.int64)
    weights = torch.tensor(share) if share else torch.ones(space.num_classes)
    generator = torch.Generator().manual_seed(mix(seed, 7))
    return torch.multinomial(weights, n, replacement=True, generator=generator) if n else torch.empty(0, dtype=torch.int64)


def _listing(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (" …" if len(names) > 20 else "")
