"""The embedded handwritten digits, as they lie in `digits.npz` (`embedded.py` says where they come from)."""

from __future__ import annotations

from importlib import resources

import numpy as np


def load_digits() -> tuple[np.ndarray, np.ndarray]:
    """The digits: pictures uint8 [1797, 8, 8] in 0..255, labels int64 [1797] in 0..9."""
    with resources.as_file(resources.files("agon.data") / "digits.npz") as place, np.load(place, allow_pickle=False) as file:
        return file["x"], file["y"].astype(np.int64)
