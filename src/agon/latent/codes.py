"""Latent codes: what a generator is steered by, with the conditions that belong to them; and the file a code is kept in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from agon.errors import InputError
from agon.records import atomic_path

Kind = Literal["z", "w"]


@dataclass(frozen=True)
class Codes:
    """n latents with their conditions.

    at: float32 [n, …] on the CPU; in w [n, w_dim], or [n, num_layers, w_dim] where the layers differ.
    y: the conditions [n] or [n, k] as the game takes them, None where there are none. kind: the latent space, "z" or "w".
    """

    at: Tensor
    y: Tensor | None = None
    kind: Kind = "z"

    def __len__(self) -> int:
        return len(self.at)

    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> Codes:
        """Some of the codes, always as Codes: `codes[3]` is one code, [1, …]."""
        chosen: slice | Sequence[int] | Tensor = [index] if isinstance(index, int) else index
        return Codes(self.at[chosen], None if self.y is None else self.y[chosen], self.kind)

    def moved(self, at: Tensor) -> Codes:
        """Other latents under the same conditions."""
        return Codes(at, self.y, self.kind)

    def repeated(self, times: int) -> Codes:
        """Every code `times` times in a row: a a a b b b."""
        return self[torch.arange(len(self)).repeat_interleave(times)]


def joined(parts: Sequence[Codes]) -> Codes:
    """Several lots of codes as one. All must be of one kind; shared and per-layer w are brought to per-layer."""
    kinds = {part.kind for part in parts}
    if len(kinds) != 1:
        raise InputError(
            f"codes of {' and '.join(sorted(kinds)) or 'no'} space cannot be joined; expected one kind. Convert or draw them alike."
        )
    depth = max(part.at.dim() for part in parts)
    layers = max((part.at.shape[1] for part in parts if part.at.dim() == depth), default=0)
    at = [p.at if p.at.dim() == depth else p.at[:, None].expand(-1, layers, *p.at.shape[1:]) for p in parts]
    y = None if any(part.y is None for part in parts) else torch.cat([part.y for part in parts if part.y is not None])
    return Codes(torch.cat(at), y, parts[0].kind)


def save_codes(codes: Codes, path: Path | str) -> Path:
    """Write codes as .npz with the arrays `at`, `kind` and, with conditions, `y`. Raises InputError where it cannot be written."""
    path = Path(path)
    arrays = {"at": codes.at.numpy(), "kind": np.array(codes.kind)} | ({} if codes.y is None else {"y": codes.y.numpy()})
    try:
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
    except OSError as error:
        raise InputError(f"cannot write '{path}': {error.strerror or error}. Choose another --out.") from None
    return path


def load_codes(path: Path | str) -> Codes:
    """Read what `save_codes` wrote. Raises InputError for a missing, damaged or foreign file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            at, kind = torch.from_numpy(np.asarray(file["at"], np.float32)), str(file["kind"])
            y = torch.from_numpy(np.asarray(file["y"])) if "y" in file else None
    except FileNotFoundError:
        raise InputError(f"latent file '{path}' does not exist; expected an .npz written by `agon project` or save_codes.") from None
    except Exception as error:  # zip, header and dtype damage each raise in their own way
        raise InputError(f"'{path}' holds no latents ({error}); expected an .npz written by `agon project` or save_codes.") from None
    if kind not in ("z", "w") or at.dim() < 2 or not len(at) or (y is not None and len(y) != len(at)):
        raise InputError(f"'{path}' holds latents of kind '{kind}' and shape {list(at.shape)}; expected z or w, [n, …]. Project again.")
    return Codes(at, y, "w" if kind == "w" else "z")
