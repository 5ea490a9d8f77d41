"""Pictures of a latent space: strips of edits, mixing tables, walks and grids, laid out row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from agon.errors import InputError
from agon.latent.codes import Codes, joined
from agon.latent.edits import Edit
from agon.latent.view import Latents
from agon.sampling import Drawn, as_drawn
from agon.spaces import BACKGROUND, Image, Video

AMOUNTS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)  # of a strip, in standard deviations


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What `agon sample` may be asked beside the number and the seed. Exactly one of interpolate, grid and mix, or none: plain samples."""

    truncation: float = 1.0
    threshold: float | None = None  # z only: cut the normal off at ±threshold
    layers: Sequence[int] | None = None  # of w: those that truncation or mixing concern
    interpolate: int | None = None  # codes of a walk
    frames: int = 24
    spherical: bool | None = None
    grid: int | None = None  # side of a grid between four codes
    mix: tuple[int, int] | None = None  # rows and columns of a mixing table

    @property
    def plain(self) -> bool:
        """Whether nothing special was asked for."""
        return replace(self, frames=Wish.frames) == Wish()


def granted(
    latents: Latents, wish: Wish, n: int, *, seed: int = 0, label: Any = None, start: Codes | None = None
) -> tuple[Drawn, int | None]:
    """Samples as wished and how many columns they are laid out in (None: as usual). start: these codes instead of the seed's."""
    asked = [name for name in ("interpolate", "grid", "mix") if getattr(wish, name) is not None]
    if len(asked) > 1:
        raise InputError(f"--{asked[0]} and --{asked[1]} are different pictures; ask for one of them.")
    if label is None and asked and latents.kind == "z" and latents.space.num_classes:
        label = 0  # z does not carry the class, so a way between classes would jump
    elif asked and latents.kind == "z" and latents.space.condition_dim:
        label = {**(label if isinstance(label, Mapping) else {} if label is None else {"label": label}), "alike": True}
    if wish.interpolate is not None and wish.interpolate < 2:
        raise InputError(f"a walk needs at least 2 latents to go between, got {wish.interpolate}. Use --interpolate 2 or more.")
    need = {"interpolate": wish.interpolate, "grid": 4, "mix": sum(wish.mix or ())}.get(asked[0] if asked else "", n)
    assert need is not None
    codes = start if start is not None else latents.draw(max(need, 1), seed=seed, label=label)
    if start is not None and len(start) < need and asked:
        raise InputError(f"--{asked[0]} needs {need} latents, --latents holds {len(start)}. Give a file with more.")
    if wish.threshold is not None:
        codes = latents.threshold(codes, wish.threshold)
    codes = latents.truncate(codes, wish.truncation, layers=None if wish.mix else wish.layers)
    if wish.interpolate is not None:
        return latents.pictures(latents.walk(codes[:need], frames=wish.frames, spherical=wish.spherical), seed=seed), wish.frames
    if wish.grid is not None:
        return latents.pictures(latents.grid(codes[:4], wish.grid, wish.grid, spherical=wish.spherical), seed=seed), wish.grid
    if wish.mix is not None:
        rows, columns = wish.mix
        return mixing_table(latents, codes[:rows], codes[rows : rows + columns], wish.layers, seed=seed), columns + 1
    return latents.pictures(codes, seed=seed), None


def mixing_table(latents: Latents, rows: Codes, columns: Codes, layers: Sequence[int] | None = None, *, seed: int = 0) -> Drawn:
    """The table of arXiv:1812.04948, figure 3: the first column are the rows' own pictures, the first row the columns' own, and each cell is
    its row with `layers` taken from its column. layers: default the first half, which carry pose and shape.

    [(rows + 1) · (columns + 1), …], columns + 1 wide; the corner is blank.
    """
    _need_pictures(latents)
    chosen = list(range(max(1, latents.num_layers // 2))) if layers is None else layers
    across = joined([columns] * len(rows))
    cells = latents.stored(latents.mix(rows.repeated(len(columns)), across, chosen), seed=seed)
    own_rows, own_columns = latents.stored(rows, seed=seed), latents.stored(columns, seed=seed)
    parts = [torch.full_like(own_rows[:1], BACKGROUND), own_columns]
    for index in range(len(rows)):
        parts += [own_rows[index : index + 1], cells[index * len(columns) : (index + 1) * len(columns)]]
    return as_drawn(latents.space, torch.cat(parts))


def strip(latents: Latents, codes: Codes, edit: Edit, amounts: Sequence[float] = AMOUNTS, *, seed: int = 0) -> Drawn:
    """Each code in a row, edited by each amount in a column: [len(codes) · len(amounts), …]."""
    _need_pictures(latents)
    many = codes.repeated(len(amounts))
    return latents.pictures(latents.edited(many, edit, torch.tensor(list(amounts)).repeat(len(codes))), seed=seed)


def beside(target: Tensor, shown: Tensor) -> Tensor:
    """Pairs for two columns: target, shown, target, shown."""
    return torch.stack([target, shown], 1).flatten(0, 1)


def _need_pictures(latents: Latents) -> None:
    if not isinstance(latents.space, (Image, Video)):
        raise InputError(
            f"strips and tables are of pictures and clips; this run makes {latents.space.describe()}. Use agon sample with --out x.npz."
        )
