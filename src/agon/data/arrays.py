"""Pictures and clips stored as NumPy's npy and npz, never unpickled."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from agon.data.columns import Kind
from agon.data.rows import DEFLATE_RATIO, Part, Reel, Rows, careful, check_sides, open_stream, source_of
from agon.data.source import Source, shown
from agon.errors import InputError

_IMAGE_KEYS = ("x", "images", "image", "data", "videos", "video", "clips", "train", "x_train", "train_images", "train_x", "imgs", "arr_0")
_LABEL_KEYS = ("y", "labels", "label", "y_train", "train_labels", "train_y", "targets", "arr_1")
_TEST_IMAGE_KEYS = ("x_test", "test_images", "test_x", "test")
_TEST_LABEL_KEYS = ("y_test", "test_labels", "test_y")


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


def _as_bytes(dtype: np.dtype[Any]) -> str:
    """How an array of another type becomes bytes, by the range it is likely to have, without a value wrapping round."""
    if dtype.kind == "b":
        return "x.astype('uint8') * 255"
    if dtype.kind == "f":
        return "(x * 255).round().astype('uint8') if it is 0..1, ((x + 1) * 127.5).round().astype('uint8') if it is -1..1"
    if dtype.kind in "iu":
        bits = 8 * dtype.itemsize - (dtype.kind == "i")
        wide = f", (x >> {bits - 8}).astype('uint8') if it is 0..2**{bits}-1" if bits > 8 else ""
        return f"x.astype('uint8') if it is 0..255{wide}"
    return "save its real values so"


_CHANNELS = (1, 3, 4)
_SHORTER = 8  # an array [T, N, H, W] has more films than frames, by this factor at least


def _npy_rows(opener: Callable[[], IO[bytes]], label: str, size: int, clips: bool) -> tuple[Rows, Reel | None]:
    """Pictures [N, H, W], [N, H, W, C] or [N, C, H, W] of uint8 -> rows [H, W] or [H, W, C]; the stream has `size` bytes.

    Clips [N, T, H, W, C] or [N, T, C, H, W], and where clips are asked for [N, T, H, W] and [T, N, H, W], give rows of single frames; so does one
    film [T, H, W] or [T, H, W, C].
    """
    with careful(opener, label) as stream:
        shape, fortran, dtype = _npy_header(stream, label)
        start = stream.tell()
    if dtype != np.uint8:
        raise InputError(f"{label} is {dtype}; expected uint8 in 0..255: {_as_bytes(dtype)}")
    if len(shape) not in (3, 4, 5) or 0 in shape:
        hint = "; reshape flat rows to [N, H, W]" if len(shape) == 2 else ""
        raise InputError(f"{label} has shape {list(shape)}; expected [N, H, W], [N, H, W, C] or [N, C, H, W]{hint}")
    reel, shape = _reel(shape, label, clips)
    if reel is not None and fortran:
        raise InputError(f"{label} is stored by columns (Fortran order); save clips by rows: numpy.ascontiguousarray(x)")
    count, row = shape[0], tuple(shape[1:])
    planar = len(row) == 3 and row[2] not in _CHANNELS and row[0] in _CHANNELS
    check_sides((*row[1:], row[0]) if planar else row, label)
    rows = Rows(opener, start, count, row, label)
    rows.check(size)
    if fortran or planar:
        return _rearranged(rows, fortran, planar), reel
    return rows, reel


def _reel(shape: tuple[int, ...], label: str, clips: bool) -> tuple[Reel | None, tuple[int, ...]]:
    """How the rows make films, and the shape of the array as rows of single frames. Raises InputError."""
    if len(shape) == 5:
        if shape[4] not in _CHANNELS and shape[2] not in _CHANNELS:
            swap = ": use x.transpose(0, 2, 3, 4, 1)" if shape[1] in _CHANNELS else ""
            raise InputError(
                f"{label} has shape {list(shape)}; expected clips [N, T, H, W, C] or [N, T, C, H, W] with C of 1, 3 or 4{swap}"
            )
        return Reel(shape[1]), (shape[0] * shape[1], *shape[2:])
    if not clips:
        return None, shape
    if len(shape) == 4 and shape[3] not in _CHANNELS and shape[1] not in _CHANNELS:
        across = shape[1] >= _SHORTER * shape[0]  # as Moving MNIST is published: [20, 10000, 64, 64]
        return Reel(shape[0] if across else shape[1], across), (shape[0] * shape[1], *shape[2:])
    return Reel(shape[0]), shape


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


def open_npy(place: Path, clips: bool = False) -> Source:
    """One npy file of pictures or clips, unlabelled. clips: where it could be either, it is clips. Raises InputError."""
    rows, reel = _npy_rows(partial(open_stream, place), shown(str(place)), place.stat().st_size, clips)
    part = Part(rows, None, reel)
    return source_of("npy array", shown(str(place)), [part], [place], None, "")


def open_npz(place: Path, clips: bool = False, inner: tuple[str, bytes] | None = None) -> Source:
    """An npz with pictures or clips (x, images, videos, arr_0, train …) and perhaps labels (y, labels …) and a test part. Raises InputError.

    clips: where it could be either, it is clips. inner: name and bytes of the npz, where `place` is a zip that holds it.
    """
    label = shown(f"{place}[{inner[0]}]" if inner else str(place))
    total = len(inner[1]) if inner else place.stat().st_size
    try:
        archive = zipfile.ZipFile(io.BytesIO(inner[1]) if inner else place)
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

    def part(key: str, label_keys: Sequence[str]) -> Part:
        size = min(archive.getinfo(keys[key]).file_size, total * DEFLATE_RATIO)
        rows, reel = _npy_rows(lambda: archive.open(keys[key]), f"{label}[{key}]", size, clips)
        found, part = _pick(keys, label_keys), Part(rows, None, reel)
        part.labels = _npz_labels(archive, keys[found], f"{label}[{found}]", part.count) if found else None
        return part

    parts = [part(image_key, _LABEL_KEYS)]
    test_key = _pick(keys, _TEST_IMAGE_KEYS)
    if test_key:
        parts.append(part(test_key, _TEST_LABEL_KEYS))
    names = _npz_class_names(archive, keys)
    if names and any(part.labels is not None and (part.labels.min() < 0 or part.labels.max() >= len(names)) for part in parts):
        names = None
    source = source_of("npz arrays", label, parts, [place], None, "npz labels", _npz_column_names(archive, keys))
    if names and source.labels is not None:
        source.classes = tuple(names[int(name)] for name in source.classes)
    return source


def _pick(keys: dict[str, str], wanted: Sequence[str]) -> str | None:
    return next((key for key in wanted if key in keys), None)


def _read_array(archive: zipfile.ZipFile, member: str, label: str, limit: int = 2**28) -> np.ndarray:
    with careful(lambda: archive.open(member), label) as stream:
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
