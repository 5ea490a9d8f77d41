"""Pictures stored as arrays: the MNIST idx format (plain or gzip) and NumPy's npy and npz, never unpickled.

idx (LeCun, http://yann.lecun.com/exdb/mnist): two zero bytes, a type byte (8 = uint8), the number of axes, each axis as a
big-endian uint32, then the values. Rows are read as a stream, so the set may be larger than memory.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import struct
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from agon.data.columns import Kind, name_classes
from agon.data.labels import class_table, matrix_table
from agon.data.source import TRUST_STAT_ABOVE, Source, shown, stat_mark
from agon.errors import InputError

WHOLE_BELOW = 256 * 2**20  # arrays below this many bytes are read once, larger ones row by row
MAX_SIDE = 16384
DEFLATE_RATIO = 1032  # deflate cannot pack tighter than this
_IDX_IMAGES = re.compile(r"^(?P<group>.*?)images[-.]?idx[34][-.]ubyte(?P<gz>\.gz)?$", re.IGNORECASE)
_IMAGE_KEYS = ("x", "images", "image", "data", "train", "x_train", "train_images", "train_x", "imgs", "arr_0")
_LABEL_KEYS = ("y", "labels", "label", "y_train", "train_labels", "train_y", "targets", "arr_1")
_TEST_IMAGE_KEYS = ("x_test", "test_images", "test_x", "test")
_TEST_LABEL_KEYS = ("y_test", "test_labels", "test_y")


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
            raw = b"".join(_chunks(self._stream, want))
        except Exception as error:  # gzip and zip streams fail as OSError, EOFError, zlib.error, BadZipFile ...
            raise InputError(f"{self.label} is damaged: {error or type(error).__name__}; copy or download it again") from None
        if len(raw) != want:
            held = (index * self.row_bytes + len(raw)) // self.row_bytes
            raise InputError(f"{self.label} is short: it declares {self.count} images and ends after {held}; copy or download it again")
        return raw


def _chunks(stream: IO[bytes], want: int):
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


@dataclass
class _Part:
    rows: Rows
    labels: np.ndarray | None  # int64 [N] of classes, or float64 [N, k] of tags or numbers


def _source(
    kind: str, path: str, parts: Sequence[_Part], files: Sequence[Path], classes: tuple[str, ...] | None, origin: str,
    columns: tuple[tuple[str, ...], Kind | None] = ((), None),
) -> Source:  # fmt: skip
    """One source of a training part and, maybe, a test part. columns: what a matrix of labels calls its columns, and their kind."""
    counts = [part.rows.count for part in parts]
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

    def read(index: int) -> np.ndarray:
        return parts[0].rows(index) if index < first else parts[1].rows(index - first)

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
        shape=parts[0].rows.shape,
    )


def files_identity(files: Sequence[Path]) -> str:
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


# --- idx -----------------------------------------------------------------------------------------------------------


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
    return partial(_open_stream, place, zipped)


def _open_stream(place: Path, zipped: bool = False) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(place, "rb")) if zipped else open(place, "rb")


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
    _check_sides(axes[1:], label)
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
            raw = b"".join(_chunks(stream, axes[0]))
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{label} cannot be read: {error or type(error).__name__}; copy or download it again") from None
    if len(raw) != count:
        raise InputError(f"{label} is short: it declares {count} labels and holds {len(raw)}; copy or download it again")
    return np.frombuffer(raw, dtype=np.uint8).astype(np.int64)


def _idx_part(place: Path, siblings: Sequence[Path]) -> tuple[_Part, list[Path]]:
    rows = _idx_rows(place)
    with open(place, "rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    rows.check(place.stat().st_size * (DEFLATE_RATIO if zipped else 1))
    match = _IDX_IMAGES.match(place.name)
    wanted = re.compile(re.escape(match["group"]) + r"labels[-.]?idx1[-.]ubyte(\.gz)?$", re.IGNORECASE) if match else None
    beside = [other for other in siblings if wanted and other.parent == place.parent and wanted.match(other.name)]
    return _Part(rows, _idx_labels(beside[0], rows.count) if beside else None), [place, *beside[:1]]


def open_idx(place: Path) -> Source:
    """One idx images file, its labels beside it by name. Raises InputError."""
    part, files = _idx_part(place, sorted(place.parent.iterdir()))
    return _source("idx images", shown(str(place)), [part], files, None, "idx labels")


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
    return _source("idx images", shown(str(root)), parts, files, None, "idx labels")


# --- npy and npz ---------------------------------------------------------------------------------------------------


def _check_sides(shape: Sequence[int], label: str) -> None:
    if any(side < 1 or side > MAX_SIDE for side in shape[:2]):
        raise InputError(f"{label} declares images of {'×'.join(map(str, shape))}; expected sides of 1 to {MAX_SIDE}")
    if len(shape) == 3 and shape[2] not in (1, 3, 4):
        raise InputError(f"{label} declares {shape[2]} channels; expected 1, 3 or 4")


def _npy_header(stream: IO[bytes], label: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        version = np.lib.format.read_magic(stream)
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = reader(stream)
    except Exception as error:  # numpy's header reader lets SyntaxError, TypeError and others through on random bytes
        raise InputError(f"{label} is not an array that NumPy wrote: {str(error).splitlines()[0] if str(error) else error!r}") from None
    if dtype.hasobject:
        raise InputError(f"{label} holds Python objects, which would run code when loaded; save a uint8 array [N, H, W, C]")
    return shape, fortran, dtype


def _npy_rows(opener: Callable[[], IO[bytes]], label: str, size: int) -> Rows:
    """Pictures [N, H, W], [N, H, W, C] or [N, C, H, W] of uint8 -> rows [H, W] or [H, W, C]; the stream has `size` bytes."""
    with _careful(opener, label) as stream:
        shape, fortran, dtype = _npy_header(stream, label)
        start = stream.tell()
    if dtype != np.uint8:
        how = "multiply by 255 if it is 0..1, round, " if dtype.kind == "f" else ""
        raise InputError(f"{label} is {dtype}; expected uint8 in 0..255: {how}.astype('uint8')")
    if len(shape) not in (3, 4) or 0 in shape:
        hint = "; reshape flat rows to [N, H, W]" if len(shape) == 2 else ""
        raise InputError(f"{label} has shape {list(shape)}; expected [N, H, W], [N, H, W, C] or [N, C, H, W]{hint}")
    count, row = shape[0], tuple(shape[1:])
    planar = len(row) == 3 and row[2] not in (1, 3, 4) and row[0] in (1, 3, 4)
    _check_sides((*row[1:], row[0]) if planar else row, label)
    rows = Rows(opener, start, count, row, label)
    rows.check(size)
    if fortran or planar:
        return _rearranged(rows, fortran, planar)
    return rows


def _rearranged(rows: Rows, fortran: bool, planar: bool) -> Rows:
    """Rows whose bytes lie in another order; column-major ones have no rows to stream, so they are read whole."""
    final = (*rows.shape[1:], rows.shape[0]) if planar else rows.shape
    if not fortran:
        whole = None if rows._whole is None else rows._whole.reshape(rows.count, *final)  # the same bytes; read apart below
        return _Planar(rows.open, rows.start, rows.count, final, rows.label, _whole=whole)
    raw = np.frombuffer(rows._take(0, rows.count), dtype=np.uint8)
    whole = raw.reshape(rows.count, *rows.shape, order="F")
    whole = np.ascontiguousarray(whole.transpose(0, 2, 3, 1) if planar else whole)
    return Rows(rows.open, rows.start, rows.count, final, rows.label, _whole=whole)


class _Planar(Rows):
    """Rows stored as [C, H, W] and given as [H, W, C]."""

    def __call__(self, index: int) -> np.ndarray:
        height, width, channels = self.shape
        return super().__call__(index).reshape(channels, height, width).transpose(1, 2, 0)


class _careful:
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


def open_npy(place: Path) -> Source:
    """One npy file of pictures, unlabelled. Raises InputError."""
    part = _Part(_npy_rows(partial(_open_stream, place), shown(str(place)), place.stat().st_size), None)
    return _source("npy array", shown(str(place)), [part], [place], None, "")


def open_npz(place: Path) -> Source:
    """An npz with pictures (x, images, arr_0, train …) and perhaps labels (y, labels …) and a test part. Raises InputError."""
    label = shown(str(place))
    try:
        archive = zipfile.ZipFile(place)
        keys = {name.removesuffix(".npy").lower(): name for name in archive.namelist() if name.endswith(".npy")}
    except Exception as error:
        raise InputError(f"{label} is not an npz that NumPy wrote: {error}; save it with numpy.savez_compressed(path, x=…, y=…)") from None
    image_key = _pick(keys, _IMAGE_KEYS)
    if image_key is None and len(keys) == 1:
        image_key = next(iter(keys))
    if image_key is None:
        raise InputError(
            f"{label} holds {', '.join(sorted(keys)) or 'no array'}; expected an array called x or images, and maybe y or labels"
        )

    def part(key: str, label_keys: Sequence[str]) -> _Part:
        size = min(archive.getinfo(keys[key]).file_size, place.stat().st_size * DEFLATE_RATIO)
        rows = _npy_rows(lambda: archive.open(keys[key]), f"{label}[{key}]", size)
        found = _pick(keys, label_keys)
        return _Part(rows, _npz_labels(archive, keys[found], f"{label}[{found}]", rows.count) if found else None)

    parts = [part(image_key, _LABEL_KEYS)]
    test_key = _pick(keys, _TEST_IMAGE_KEYS)
    if test_key:
        parts.append(part(test_key, _TEST_LABEL_KEYS))
    names = _npz_class_names(archive, keys)
    if names and any(part.labels is not None and (part.labels.min() < 0 or part.labels.max() >= len(names)) for part in parts):
        names = None
    source = _source("npz arrays", label, parts, [place], None, "npz labels", _npz_column_names(archive, keys))
    if names and source.labels is not None:
        source.classes = tuple(names[int(name)] for name in source.classes)
    return source


def _pick(keys: dict[str, str], wanted: Sequence[str]) -> str | None:
    return next((key for key in wanted if key in keys), None)


def _read_array(archive: zipfile.ZipFile, member: str, label: str, limit: int = 2**28) -> np.ndarray:
    with _careful(lambda: archive.open(member), label) as stream:
        shape, _, dtype = _npy_header(stream, label)
    if int(np.prod(shape, dtype=np.float64)) * dtype.itemsize > limit:
        raise InputError(f"{label} has shape {list(shape)}; that is more than labels can be")
    try:
        with archive.open(member) as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)
    except Exception as error:
        raise InputError(f"{label} is damaged: {error or type(error).__name__}") from None


def _npz_labels(archive: zipfile.ZipFile, member: str, label: str, count: int) -> np.ndarray:
    values = _read_array(archive, member, label)
    values = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 and values.dtype.kind != "f" else values
    if values.ndim not in (1, 2) or values.dtype.kind not in "iubf" or 0 in values.shape[1:]:
        raise InputError(
            f"{label} is {values.dtype} of shape {list(values.shape)}; expected one integer an image, [N], or tags or numbers, [N, k]"
        )
    if len(values) != count:
        raise InputError(f"{label} has {len(values)} labels for {count} images; expected one an image")
    if values.ndim == 1 and values.dtype.kind != "f":
        return values.astype(np.int64)
    matrix = values.reshape(count, -1).astype(np.float64)
    if np.isinf(matrix).any():
        row = int(np.isinf(matrix).any(axis=1).argmax())
        raise InputError(f"{label} is infinite for image {row}; expected finite numbers, or nan where one is unknown")
    return matrix


def _npz_column_names(archive: zipfile.ZipFile, keys: dict[str, str]) -> tuple[tuple[str, ...], Kind | None]:
    """What an npz calls the columns of its labels: an array of text called tags or numbers, which says their kind too."""
    for key in ("tags", "numbers"):
        if key in keys:
            values = _read_array(archive, keys[key], key)
            if values.ndim == 1 and values.dtype.kind == "U":
                return tuple(str(value) for value in values), cast("Kind", key)
    return (), None


def _npz_class_names(archive: zipfile.ZipFile, keys: dict[str, str]) -> list[str] | None:
    if "classes" not in keys:
        return None
    values = _read_array(archive, keys["classes"], "classes")
    return [str(value) for value in values] if values.ndim == 1 and values.dtype.kind == "U" else None
