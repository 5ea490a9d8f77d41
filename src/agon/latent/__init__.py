"""Latent tools on any run: ways between codes, truncation, style mixing, directions, projection, named edits.

    run = agon.load("runs/a")
    codes = run.latents.draw(4, seed=3)
    run.latents.pictures(run.latents.truncate(codes, 0.7)).save("calm.png")

`Latents` (view) is the one interface; `directions` finds edits, `edits` keeps them, `projection` finds the code of a picture, `sheets` lays
pictures out, `paths` are the curves. docs/latent.md has the commands and equations.
"""

from __future__ import annotations

from agon.latent.codes import Codes, joined, load_codes, save_codes
from agon.latent.directions import difference, find
from agon.latent.edits import Edit, named, read_amounts, read_edits, save_edits
from agon.latent.projection import Projection, project
from agon.latent.view import Latents, read_layers

__all__ = [
    "Codes", "Edit", "Latents", "Projection", "difference", "find", "joined", "load_codes", "named", "project", "read_amounts", "read_edits",
    "read_layers", "save_codes", "save_edits",
]  # fmt: skip
