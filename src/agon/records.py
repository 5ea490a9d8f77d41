"""Files of a run that survive a crash: JSON lines read tolerantly, everything else written whole or not at all.

A process may be killed at any byte. So a reader skips lines that are not complete JSON objects, an appender never glues
a row to a torn line, and a rewrite goes through a temporary file, `fsync` and an atomic rename.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def _row(line: bytes) -> dict[str, Any] | None:
    """The JSON object on `line`, or None when the line is torn, foreign or not an object."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):  # ValueError covers bad JSON and bad UTF-8
        return None
    return row if isinstance(row, dict) else None


def _finite(value: Any) -> Any:
    """`value` as strict JSON can hold it: NaN and infinities become None, mappings and sequences are walked."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def read_jsonl(path: Path | str) -> list[dict[str, Any]]:
    """Read every complete JSON object of a JSON-lines file, in order.

    A missing file gives []. Torn lines (the last one of a killed process, or an earlier one that a resumed process
    closed with a newline) and lines that hold no object are skipped. Raises OSError when the file cannot be read.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        return []
    return [row for line in data.split(b"\n") if line.strip() and (row := _row(line)) is not None]


def append_jsonl(path: Path | str, row: Mapping[str, Any]) -> None:
    """Append `row` as one line of strict JSON; NaN and infinities are written as null.

    One write call, so that readers see whole lines; if the file ends in a torn line, a newline closes it first.
    Parent directories are made. Raises OSError (full disk, no permission) and TypeError (a value JSON cannot hold).
    """
    path = Path(path)
    line = json.dumps(_finite(row), ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n"
    data = line.encode("utf-8", "backslashreplace")  # lone surrogates come from file names that are not UTF-8
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab+", buffering=0) as file:
        if file.seek(0, os.SEEK_END) > 0:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                data = b"\n" + data
        written = file.write(data)
        if written != len(data):
            raise OSError(f"{path}: only {written} of {len(data)} bytes were written; is the disk full?")


def truncate_after(path: Path | str, round: int) -> int:
    """Drop the rows of a JSON-lines file whose `row["round"]` is above `round`; return how many were dropped.

    Used at resume, so that the records after the restored state are not there twice. Rows without a whole-number round
    stay, kept lines keep their bytes, torn lines go. The file is replaced atomically, and only if something changes.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return 0
    kept: list[bytes] = []
    dropped = 0
    for line in data.split(b"\n"):
        if not line.strip() or (row := _row(line)) is None:
            continue
        at = row.get("round")
        if isinstance(at, (int, float)) and not isinstance(at, bool) and at > round:
            dropped += 1
        else:
            kept.append(line + b"\n")
    after = b"".join(kept)
    if after != data:
        atomic_write(path, after)
    return dropped


@contextlib.contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path` to write to; on success it is synced and renamed onto `path`.

    For writers that want a file name (safetensors, Pillow with `format=`). On an error the temporary file is removed
    and `path` keeps what it held. Parent directories are made. Raises OSError as the file system does.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".agon-{os.getpid()}-{threading.get_ident()}.tmp"
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_directory(path.parent)


def atomic_write(path: Path | str, data: bytes | str) -> Path:
    """Write `data` (text as UTF-8) to `path`, which then holds the old content or the new, never a part; return it."""
    content = data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return Path(path)


def write_safetensors(path: Path | str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors as one safetensors file, atomically. Raises OSError as the file system does (safetensors has an error of its own)."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    with atomic_path(path) as temporary:
        try:
            save_file(_unshared(tensors), str(temporary), metadata=dict(metadata))
        except SafetensorError as error:
            found = re.search(r"os error (\d+)", str(error))
            if found is None:
                raise
            raise OSError(int(found[1]), os.strerror(int(found[1])), str(path)) from None


def _unshared(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, those that share storage with an earlier one (tied weights) as copies: safetensors refuses shared storage."""
    seen: set[int] = set()
    result = {}
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        result[name] = tensor.clone() if place in seen and tensor.numel() else tensor
        seen.add(place)
    return result


def _sync_directory(directory: Path) -> None:
    """Make a rename in `directory` durable, where the system lets a directory be opened (Windows does not)."""
    with contextlib.suppress(OSError):
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
