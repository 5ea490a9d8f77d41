"""Entries of the cache on disk: arrays in plain files beside a meta.json with their sums, built aside and renamed into place."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from agon.errors import InputError

FORMAT = 1
MMAP_SHARE = 0.25  # of physical memory: larger sets stay in the file
Arrays = dict[str, np.ndarray]  # "train.x", "held.y" ...; names in .x are uint8 and may be mapped


class CacheFailed(Exception):
    """Writing the cache went wrong (full, not writable); its text is the reason."""


def default_cache() -> Path:
    """The platform's cache folder for Agon: AGON_CACHE, or XDG_CACHE_HOME/agon, or ~/.cache/agon and its kin."""
    home = os.environ.get("AGON_CACHE")
    if home:
        return Path(home).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "agon"


def physical_memory() -> int:
    """Bytes of memory this machine has; 8 GiB where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 8 * 2**30


def told_size(count: float) -> str:
    """Bytes in words: "2.5 MB"."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def find(entry: Path, cache: Path, fill: Callable[[Path | None], Arrays], *, need: int, memory: str, whole: int) -> tuple[Arrays, str, str]:
    """The arrays of an entry, "meta" among them; why they are where they are; and what became of the cache.

    What is not there, or damaged, is made by `fill` in the folder it is given; without a folder it works in memory, for a cache that cannot
    be written. need: bytes expected. memory: "ram", "mmap", or "auto" (mapped above a quarter of the `whole` bytes of memory).
    Raises InputError if neither the cache nor the memory will do.
    """
    mapped = memory == "mmap" or (memory == "auto" and need > MMAP_SHARE * whole)
    why = "asked for" if memory != "auto" else f"{told_size(need)}, {'above' if mapped else 'below'} a quarter of {told_size(whole)} memory"
    arrays, damage = load(entry, mapped)
    note = "found, nothing decoded again"
    if arrays is None:
        note = f"written to {entry}" + (f" (the one there was {damage})" if damage else "")
        try:
            build(entry, fill)
            arrays, damage = load(entry, mapped)
            if arrays is None:
                raise CacheFailed(damage or "it vanished")
        except CacheFailed as failure:
            if need > 0.5 * whole:
                raise InputError(
                    f"the cache {cache} cannot be used ({failure}) and {told_size(need)} do not fit in memory; choose another cache folder"
                ) from None
            note, mapped = f"not used, decoded into memory: {failure}", False
            why = "the cache cannot be written" if memory == "mmap" else why
            arrays = fill(None)
    return arrays, f"{'mapped from the cache file' if mapped else 'in memory'}: {why}", note


def load(entry: Path, mapped: bool) -> tuple[Arrays | None, str]:
    """The arrays of an entry, or None and what is wrong with it ("" when there simply is none)."""
    try:
        raw = (entry / "meta.json").read_bytes()
        meta = json.loads(raw)
        if meta["format"] != FORMAT:
            return None, f"of format {meta['format']}"
        arrays: Arrays = {"meta": np.frombuffer(raw, dtype=np.uint8)}
        for name, wanted in meta["files"].items():
            place = entry / name
            if place.stat().st_size != wanted["bytes"]:
                return None, f"damaged: {name} has {place.stat().st_size} bytes, not {wanted['bytes']}"
            array = read_array(place, name, wanted["shape"], mapped, wanted.get("dtype"))
            kind = "spot" if isinstance(array, np.memmap) else "sum"  # a mapped file is not read whole just to check it
            if sum_of(array, kind) != wanted[kind]:
                return None, f"damaged: the sum of {name} does not match"
            arrays[name] = array
        return arrays, ""
    except FileNotFoundError:
        return None, "incomplete" if entry.exists() else ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return None, f"damaged: {error}"


def read_array(place: Path, name: str, shape: list[int], mapped: bool, kind: str | None = None) -> np.ndarray:
    """One array of an entry, read or mapped."""
    dtype = np.dtype(np.uint8 if name.endswith(".x") else "<f8" if kind == "<f8" else "<i8")
    if mapped and name.endswith(".x") and shape[0]:
        return np.memmap(place, dtype=dtype, mode="c", shape=tuple(shape))  # "c": writes, if any, stay private
    return np.fromfile(place, dtype=dtype).reshape(shape)


def sum_of(array: np.ndarray, kind: str) -> str:
    """SHA-256 of all bytes ("sum") or of blocks spread over them ("spot")."""
    flat = array.reshape(-1).view(np.uint8)
    if kind == "spot":  # 64 blocks of 4 kB, spread evenly
        starts = np.linspace(0, max(0, len(flat) - 4096), 64).astype(np.int64)
        return hashlib.sha256(b"".join(flat[s : s + 4096].tobytes() for s in starts)).hexdigest()
    return hashlib.sha256(flat.data).hexdigest()


def build(entry: Path, fill: Callable[[Path | None], object]) -> None:
    """Make an entry in a folder of its own, filled by `fill`, and rename it into place. Raises CacheFailed."""
    stage = entry.parent / f"stage-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        try:
            stage.mkdir(parents=True)
            _sweep(entry.parent)
        except OSError as error:
            raise CacheFailed(f"{entry.parent}: {error.strerror}") from None
        fill(stage)
        try:
            if entry.exists():
                if load(entry, True)[0] is not None:
                    return  # another process was faster
                entry.rename(entry.parent / f"{stage.name}-old")
            stage.rename(entry)
            flush(entry.parent)
        except OSError as error:
            if load(entry, True)[0] is None:
                raise CacheFailed(f"{entry}: {error.strerror}") from None
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        shutil.rmtree(entry.parent / f"{stage.name}-old", ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Remove what processes that were killed left behind more than a day ago."""
    for left in folder.glob("stage-*"):
        try:
            if time.time() - left.stat().st_mtime > 86_400:
                shutil.rmtree(left, ignore_errors=True)
        except OSError:
            continue


def flush(folder: Path) -> None:
    """Bring a folder's list of files to the disk."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write(place: Path, raw: bytes) -> None:
    """Write a file through to the disk."""
    with open(place, "wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())


def sums_of(arrays: Mapping[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """What meta.json says of each array: bytes, shape, two sums, and its type where it is float."""
    return {
        name: {"bytes": array.nbytes, "shape": list(array.shape), "sum": sum_of(array, "sum"), "spot": sum_of(array, "spot")}
        | ({"dtype": "<f8"} if array.dtype == np.float64 else {})
        for name, array in arrays.items()
    }
