"""Stacked sets: three random grey pictures as the three channels of one. Metz et al. 2017, arXiv:1611.02163, §3.3 (Stacked-MNIST).

With ten classes a set has 1000 modes that can be counted. Training stacks are made of the grey set's training pictures, held-out stacks of
its held-out ones, so no grey picture is on both sides. The class of a stack is deliberately not stored: with labels, training would be
conditional, and covering the modes no achievement. The file's card says what it was made from, for the metric that counts modes.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from agon.data.opening import Say, open_data
from agon.data.request import EMBEDDED, Data
from agon.errors import InputError
from agon.records import atomic_path

HELD = 26_000  # held-out stacks, as many as the metric looks at
_CARD = "agon_card"  # its name in the file


def stack(grey: Data, out: Path | str, *, count: int = 60_000, held: int | None = None, seed: int = 0, say: Say | None = None) -> Path:
    """Write `count` training and `held` held-out stacks (None: 26,000, or `count` if that is less) of a grey set to an npz file.

    x uint8 [count, H, W, 3], x_test [held, H, W, 3]. The same seed gives the same bytes of pictures. Raises InputError: no labels to count
    modes by, nothing held back, a file that cannot be written.
    """
    held = min(HELD, count) if held is None else held
    if count < 8 or held < 2:
        raise InputError(f"count and held got {count} and {held}; expected at least 8 stacks to train on and 2 held back.")
    target = Path(out)
    if target.suffix != ".npz":
        raise InputError(f"--out is '{out}'; expected a file name ending in .npz.")
    source = open_data(Data(**{**grey.__dict__, "channels": 1, "labels": "use"}), say=say)
    if source.train.y is None or len(source.held) == 0:
        raise InputError(f"'{grey.path}' has no held-out pictures to make held-out stacks of; leave holdout at 0.1.")
    rng = np.random.default_rng(seed)
    parts = {}
    for name, samples, number in (("x", source.train, count), ("x_test", source.held, held)):
        chosen = rng.integers(0, len(samples), size=(number, 3))
        assert isinstance(samples.x, Tensor)
        pictures = samples.x[:, 0].numpy()
        parts[name] = np.stack([pictures[chosen[:, channel]] for channel in range(3)], axis=-1)
    card = {
        "kind": "stacked", "grey": grey.path if grey.path in EMBEDDED else str(Path(grey.path).resolve()), "grey_hash": source.content_hash,
        "classes": list(source.space.classes), "count": count, "held": held, "seed": seed,
    }  # fmt: skip
    text = np.frombuffer(json.dumps(card).encode(), dtype=np.uint8)
    try:
        with atomic_path(target) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, x=parts["x"], x_test=parts["x_test"], agon_card=text)
    except OSError as error:
        raise InputError(f"cannot write '{target}': {error.strerror or error}; give another place with --out.") from None
    if say:
        height, width = parts["x"].shape[1:3]
        say(
            "stacked",
            f"{count:,} stacks of {height}×{width} to train on, {held:,} held back, {len(source.space.classes) ** 3:,} modes, seed {seed}",
        )
    return target


def read_card(path: str) -> dict[str, Any] | None:
    """The card of a stacked file; None for anything else."""
    place = Path(path)
    if place.suffix != ".npz" or not place.is_file():
        return None
    try:
        with zipfile.ZipFile(place) as archive:
            if f"{_CARD}.npy" not in archive.namelist() or archive.getinfo(f"{_CARD}.npy").file_size > 2**20:
                return None
        with np.load(place, allow_pickle=False) as content:
            card = json.loads(content[_CARD].tobytes())
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    return card if isinstance(card, dict) and card.get("kind") == "stacked" and isinstance(card.get("grey"), str) else None
