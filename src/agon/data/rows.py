"""Arrays as rows of a stream, and a `Source` made of them: what idx, npy and npz share. The set may be larger than memory."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from agon.data.columns import Kind, name_classes
from agon.data.film import Film, open_array
from agon.data.labels import class_table, matrix_table
from agon.data.source import TRUST_STAT_ABOVE, Source, stat_mark
from agon.errors import InputError

WHOLE_BELOW = 256 * 2**20  # arrays below this many bytes are read once, larger ones row by row
MAX_SIDE = 16384
DEFLATE_RATIO = 1032  # deflate cannot pack tighter than this


@dataclass
class Rows:
    """Rows [N, ...] of uint8 in a stream: `open` gives the stream, values begin at byte `start`."""

    open: Callable[[], IO[bytes]]
    start: int
    count: int
    shape: tuple[int, ...]
    label: str  # for messages
    _stream: IO[bytes] | None = field(default=None, repr=False)
    _whole: np.ndarray | None = field(default=None, repr=False)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __call__(self, index: int) -> np.ndarray:
        """Row `index`, uint8 [*shape]. Raises InputError when the file ends early or is damaged."""
        if self._whole is not None:
            return self._whole[index]
        return np.frombuffer(self._take(index, 1), dtype=np.uint8).reshape(self.shape)

    def check(self, most: int) -> None:
        """Refuse a header that declares more than the file can hold, at most `most` bytes, before anything relies on it."""
        if self.start + self.count * self.row_bytes > most:
            held = most // self.row_bytes
            raise InputError(
                f"{self.label} is short: it declares {self.count} images of {self.row_bytes} bytes and can hold {held} at most; "
                "copy or download it again"
            )
        if self.count * self.row_bytes <= WHOLE_BELOW and self._whole is None:
            self._whole = np.frombuffer(self._take(0, self.count), dtype=np.uint8).reshape(self.count, *self.shape)

    def _take(self, index: int, count: int) -> bytes:
        want = count * self.row_bytes
        try:
            if self._stream is None:
                self._stream = self.open()
            self._stream.seek(self.start + index * self.row_bytes)
            raw = b"".join(chunks(self._stream, want))
        except Exception as error:  # gzip and zip streams fail as OSError, EOFError, zlib.error, BadZipFile ...
            raise InputError(f"{self.label} is damaged: {error or type(error).__name__}; copy or download it again") from None
        if len(raw) != want:
            held = (index * self.row_bytes + len(raw)) // self.row_bytes
            raise InputError(f"{self.label} is short: it declares {self.count} images and ends after {held}; copy or download it again")
        return raw


def chunks(stream: IO[bytes], want: int):
    """Read `want` bytes in pieces: a false header must not make us reserve memory for what is not there."""
    while want > 0:
        piece = stream.read(min(want, 2**22))
        if not piece:
            return
        want -= len(piece)
        yield piece


class Numbered(Sequence[str]):
    """Names of array rows, made when asked for: "00017", and "test 00017" from row `first` on."""

    def __init__(self, total: int, first: int) -> None:
        self.total, self.first, self.digits = total, first, len(str(total))

    def __len__(self) -> int:
        return self.total

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(self.total))]
        if not 0 <= index < self.total:
            raise IndexError(index)
        return f"{index:0{self.digits}d}" if index < self.first else f"test {index - self.first:0{self.digits}d}"


@dataclass(frozen=True)
class Reel:
    """How rows, each a frame, make films: `length` of them a film. across: frame t of film k of N is row t·N + k, not k·length + t."""

    length: int
    across: bool = False


@dataclass
class Part:
    """Pictures or films, and what they are labelled with."""

    rows: Rows
    labels: np.ndarray | None  # int64 [N] of classes, or float64 [N, k] of tags or numbers
    reel: Reel | None = None  # rows are the frames of films

    @property
    def count(self) -> int:
        """How many pictures or films."""
        return self.rows.count // self.reel.length if self.reel else self.rows.count

    def read(self, index: int) -> np.ndarray | Film:
        """One of them."""
        rows, reel = self.rows, self.reel
        if reel is None:
            return rows(index)
        first, step = (index, self.count) if reel.across else (index * reel.length, 1)
        return open_array(lambda: (rows(first + k * step) for k in range(reel.length)), (reel.length, *rows.shape))


def source_of(
    kind: str, path: str, parts: Sequence[Part], files: Sequence[Path], classes: tuple[str, ...] | None, origin: str,
    columns: tuple[tuple[str, ...], Kind | None] = ((), None),
) -> Source:  # fmt: skip
    """One source of a training part and, maybe, a test part. columns: what a matrix of labels calls its columns, and their kind."""
    counts = [part.count for part in parts]
    total, first = sum(counts), counts[0]
    if total == 0:
        raise InputError(f"{path} declares no image; expected at least one")
    shapes = {part.rows.shape for part in parts}
    if len(shapes) > 1:
        raise InputError(f"{path}: training and test images differ in shape: {sorted(shapes)}; expected one shape")
    labels, tables = None, []
    given = [part.labels for part in parts if part.labels is not None]
    if len(given) == len(parts):
        if len({(array.ndim, array.shape[1:]) for array in given}) > 1:
            raise InputError(f"{path}: labels of training and test images differ in shape; expected one shape")
        values = np.concatenate(given)
        if values.ndim == 1:
            labels, names = name_classes(values.tolist())
            classes = classes or names
            tables += class_table(labels, names, "label", origin, Numbered(total, first))
        else:
            tables.append(matrix_table(values, columns, origin, path))

    def read(index: int) -> np.ndarray | Film:
        return parts[0].read(index) if index < first else parts[1].read(index - first)

    return Source(
        kind=kind,
        path=path,
        names=Numbered(total, first),
        read=read,
        identity=lambda: files_identity(files),
        labels=labels,
        classes=classes or () if labels is not None else (),
        label_origin=origin if labels is not None else "",
        tables=lambda: tables,
        held=np.arange(total) >= first if len(parts) > 1 else None,
        split_origin="its own test part" if len(parts) > 1 else "",
        shape=None if parts[0].reel else parts[0].rows.shape,
        moving=parts[0].reel is not None,
    )


def files_identity(files: Sequence[Path]) -> str:
    """A hash over the bytes of files, or over their sizes and times where they are large."""
    mark = hashlib.sha256()
    total = sum(file.stat().st_size for file in files)
    for file in files:
        if total > TRUST_STAT_ABOVE:
            mark.update(stat_mark(file.stat()))
            continue
        with open(file, "rb") as stream:
            while piece := stream.read(2**20):
                mark.update(piece)
        mark.update(b"\0")
    return mark.hexdigest()


def open_stream(place: Path, zipped: bool = False) -> IO[bytes]:
    """A file, unpacked by gzip if it is so."""
    return cast("IO[bytes]", gzip.open(place, "rb")) if zipped else open(place, "rb")


def check_sides(shape: Sequence[int], label: str) -> None:
    """Refuse pictures [H, W] or [H, W, C] of impossible sides or channels. Raises InputError."""
    if any(side < 1 or side > MAX_SIDE for side in shape[:2]):
        raise InputError(f"{label} declares images of {'×'.join(map(str, shape))}; expected sides of 1 to {MAX_SIDE}")
    if len(shape) == 3 and shape[2] not in (1, 3, 4):
        raise InputError(f"{label} declares {shape[2]} channels; expected 1, 3 or 4 (clips [N, T, H, W] are read with --frames 16)")


class careful:
    """Open a stream; whatever goes wrong while opening is an InputError naming the file."""

    def __init__(self, opener: Callable[[], IO[bytes]], label: str) -> None:
        self.opener, self.label = opener, label

    def __enter__(self) -> IO[bytes]:
        try:
            self.stream = self.opener()
        except Exception as error:
            raise InputError(f"{self.label} cannot be read: {error or type(error).__name__}") from None
        return self.stream

    def __exit__(self, *_: object) -> None:
        self.stream.close()
