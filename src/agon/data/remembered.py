"""What takes seconds to find out about a text, kept in the cache: entries as those of packed pictures (`entry`), for arrays of numbers and bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from agon.data.entry import FORMAT, Arrays, CacheFailed, build, flush, load, sums_of, write


def remembered(cache: Path, key: str, make: Callable[[], Arrays]) -> Arrays:
    """The arrays of the entry `key`, names ending in .x uint8 and others int64; what is not there, or damaged, is made and kept.

    A cache that cannot be written is no reason to stop: it is made again the next time.
    """
    entry = cache / "text" / key
    arrays, _ = load(entry, False)
    if arrays is not None:
        return arrays
    made = make()

    def fill(stage: Path | None) -> None:
        assert stage is not None
        try:
            for name, array in made.items():
                write(stage / name, array.tobytes())
            write(stage / "meta.json", json.dumps({"format": FORMAT, "files": sums_of(made)}).encode())
            flush(stage)
        except OSError as error:
            raise CacheFailed(f"{stage}: {error.strerror}") from None

    with suppress(CacheFailed):
        build(entry, fill)
    return made


def as_bytes(text: str) -> np.ndarray:
    """Text as uint8 [bytes], for an entry."""
    return np.frombuffer(text.encode(), dtype=np.uint8)


def as_text(array: np.ndarray) -> str:
    """The text of uint8 [bytes]."""
    return array.tobytes().decode()
