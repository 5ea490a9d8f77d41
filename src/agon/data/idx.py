"""The MNIST idx format, plain or gzip (LeCun, http://yann.lecun.com/exdb/mnist): two zero bytes, a type byte (8 = uint8), the number of axes,
each axis as a big-endian uint32, then the values."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from agon.data.rows import DEFLATE_RATIO, Part, Rows, check_sides, chunks, open_stream, source_of
from agon.data.source import Source, shown
from agon.errors import InputError

_IDX_IMAGES = re.compile(r"^(?P<group>.*?)images[-.]?idx[34][-.]ubyte(?P<gz>\.gz)?$", re.IGNORECASE)


def is_idx_name(name: str) -> bool:
    """Whether a file is called as MNIST's image files are."""
    return _IDX_IMAGES.match(name) is not None


def read_idx_header(stream: IO[bytes], label: str) -> tuple[int, ...]:
    """The axes of an idx file of uint8. Raises InputError on another magic number or a cut header."""
    magic = stream.read(4)
    if len(magic) < 4 or magic[:3] != b"\x00\x00\x08" or not 1 <= magic[3] <= 4:
        raise InputError(f"{label} starts with {magic.hex(' ') or 'nothing'}; an idx file of uint8 starts with 00 00 08 and 01 to 04")
    raw = stream.read(4 * magic[3])
    if len(raw) < 4 * magic[3]:
        raise InputError(f"{label} ends within its header; copy or download it again")
    return struct.unpack(f">{magic[3]}I", raw)


def _idx_opener(place: Path) -> Callable[[], IO[bytes]]:
    with open(place, "rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return partial(open_stream, place, zipped)


def _idx_rows(place: Path) -> Rows:
    label = shown(str(place))
    try:
        opener = _idx_opener(place)
        with opener() as stream:
            axes = read_idx_header(stream, label)
    except InputError:
        raise
    except Exception as error:  # gzip fails as BadGzipFile, EOFError or zlib.error
        raise InputError(f"{label} cannot be read: {error or type(error).__name__}; copy or download it again") from None
    if len(axes) not in (3, 4):
        what = "labels" if len(axes) == 1 else f"{len(axes)} axes"
        raise InputError(f"{label} holds {what}; expected images [N, H, W]: give the images file, its labels are found beside it")
    check_sides(axes[1:], label)
    return Rows(opener, 4 + 4 * len(axes), axes[0], tuple(axes[1:]), label)


def _idx_labels(place: Path, count: int) -> np.ndarray:
    label = shown(str(place))
    try:
        with _idx_opener(place)() as stream:
            axes = read_idx_header(stream, label)
            if len(axes) != 1:
                raise InputError(f"{label} has {len(axes)} axes; expected labels [N]")
            if axes[0] != count:
                raise InputError(f"{label} has {axes[0]} labels for {count} images; expected one an image")
            raw = b"".join(chunks(stream, axes[0]))
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{label} cannot be read: {error or type(error).__name__}; copy or download it again") from None
    if len(raw) != count:
        raise InputError(f"{label} is short: it declares {count} labels and holds {len(raw)}; copy or download it again")
    return np.frombuffer(raw, dtype=np.uint8).astype(np.int64)


def _idx_part(place: Path, siblings: Sequence[Path]) -> tuple[Part, list[Path]]:
    rows = _idx_rows(place)
    with open(place, "rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    rows.check(place.stat().st_size * (DEFLATE_RATIO if zipped else 1))
    match = _IDX_IMAGES.match(place.name)
    wanted = re.compile(re.escape(match["group"]) + r"labels[-.]?idx1[-.]ubyte(\.gz)?$", re.IGNORECASE) if match else None
    beside = [other for other in siblings if wanted and other.parent == place.parent and wanted.match(other.name)]
    return Part(rows, _idx_labels(beside[0], rows.count) if beside else None), [place, *beside[:1]]


def open_idx(place: Path) -> Source:
    """One idx images file, its labels beside it by name. Raises InputError."""
    part, files = _idx_part(place, sorted(place.parent.iterdir()))
    return source_of("idx images", shown(str(place)), [part], files, None, "idx labels")


def open_idx_folder(places: Sequence[Path], root: Path) -> Source:
    """A folder with train-images-idx3-ubyte(.gz) and perhaps t10k-…; the latter are the held-out split. Raises InputError."""
    groups: dict[str, Path] = {}
    for place in places:
        if match := _IDX_IMAGES.match(place.name):
            groups.setdefault(match["group"].lower(), place)
    tests = [group for group in groups if "t10k" in group or "test" in group]
    trains = [group for group in groups if group not in tests]
    if len(trains) > 1 or len(tests) > 1 or not trains:
        listed = ", ".join(sorted(shown(place.name) for place in groups.values()))
        raise InputError(f"{shown(str(root))} holds {listed}; expected one training set and at most one test set: give the file you want")
    parts, files = [], []
    for group in (*trains, *tests):
        part, used = _idx_part(groups[group], places)
        parts.append(part)
        files += used
    return source_of("idx images", shown(str(root)), parts, files, None, "idx labels")
