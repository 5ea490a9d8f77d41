"""The packed cache: every sample decoded once into plain uint8 files, found again by content and options.

    <cache>/data/<key>/meta.json  train.x train.y train.index  held.x held.y held.index

`x` is uint8 [N, C, H, W]; `y` int64 [N] of classes (-1: none) or float64 [N, k] of tags or of numbers in their own units; `index` int64 [N]
(the source's item). An entry is built in a folder of its own and renamed into place, so a half-written one is never read; sums in meta.json
find damage. Items pass through in small groups: memory stays bounded whatever the size of the set.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as Pillow
from torch import Tensor

from agon.data.samples import held_out, held_out_few, sample_hashes
from agon.data.source import Source
from agon.errors import InputError
from agon.spaces import Image, Unreadable

FORMAT = 1
MMAP_SHARE = 0.25  # of physical memory: larger sets stay in the file
LEAST_HELD = 2
_GROUP_ITEMS, _GROUP_BYTES = 32, 16 * 2**20
_PARTS = ("train", "held")
Arrays = dict[str, np.ndarray]  # "train.x", "train.y", "train.index", "held.x" ...
Progress = Callable[[int, int], None]


class _CacheFailed(Exception):
    """Writing the cache went wrong (full, not writable); its text is the reason."""


@dataclass
class Packed:
    """Decoded samples, and what was noticed while decoding."""

    x: dict[str, Tensor]  # "train" and "held": uint8 [N, C, H, W]
    y: dict[str, np.ndarray]  # classes int64 [N], -1 where there is none; tags or numbers float64 [N, k], NaN where there is none
    index: dict[str, np.ndarray]  # int64 [N]
    meta: dict[str, Any]  # unreadable, duplicates, split, content_hash, sums
    memory: str  # reason: where the samples are
    cache: str  # reason: what became of the cache


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


def pack(
    source: Source, select: np.ndarray, space: Image, *, holdout: float, identity: str, cache: Path, memory: str = "auto",
    progress: Progress | None = None,
) -> Packed:  # fmt: skip
    """Decode the items `select` of `source` into `space`, or find them decoded; split by the source's own test part or by content.

    memory: "ram", "mmap", or "auto" (the file when it exceeds a quarter of memory). `identity` is the source's content hash.
    Raises InputError only when the source itself breaks; unreadable items are listed in `meta`.
    """
    need = len(select) * int(np.prod(space.shape))
    whole = physical_memory()
    mapped = memory == "mmap" or (memory == "auto" and need > MMAP_SHARE * whole)
    why = "asked for" if memory != "auto" else f"{_size(need)}, {'above' if mapped else 'below'} a quarter of {_size(whole)} memory"
    entry = cache / "data" / _key(source, select, space, holdout, identity)
    arrays, damage = _load(entry, mapped)
    note = "found, nothing decoded again"
    if arrays is None:
        note = f"written to {entry}" + (f" (the one there was {damage})" if damage else "")
        try:
            _build(source, select, space, holdout, entry, progress)
            arrays, damage = _load(entry, mapped)
            if arrays is None:
                raise _CacheFailed(damage or "it vanished")
        except _CacheFailed as failure:
            if need > 0.5 * whole:
                raise InputError(
                    f"the cache {cache} cannot be used ({failure}) and {_size(need)} do not fit in memory; choose another cache folder"
                ) from None
            note, mapped = f"not used, decoded into memory: {failure}", False
            why = "the cache cannot be written" if memory == "mmap" else why
            arrays = _decode_all(source, select, space, holdout, None, progress)
    meta = json.loads(bytes(arrays.pop("meta")))
    return Packed(
        x={part: torch.from_numpy(arrays[f"{part}.x"]) for part in _PARTS},
        y={part: arrays[f"{part}.y"] for part in _PARTS},
        index={part: arrays[f"{part}.index"] for part in _PARTS},
        meta=meta,
        memory=f"{'mapped from the cache file' if mapped else 'in memory'}: {why}",
        cache=note,
    )


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def _key(source: Source, select: np.ndarray, space: Image, holdout: float, identity: str) -> str:
    mark = hashlib.sha256()
    options = [FORMAT, space.shape, space.resize, space.filter, holdout if source.held is None else None, source.classes, identity]
    mark.update(json.dumps(options).encode())
    for array in (select, source.labels, source.held):
        mark.update(b"-" if array is None else np.ascontiguousarray(array).tobytes() + b"+")
    return mark.hexdigest()[:24]


# --- reading an entry ----------------------------------------------------------------------------------------------


def _load(entry: Path, mapped: bool) -> tuple[Arrays | None, str]:
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
            array = _read_array(place, name, wanted["shape"], mapped, wanted.get("dtype"))
            kind = "spot" if isinstance(array, np.memmap) else "sum"  # a mapped file is not read whole just to check it
            if _sum_of(array, kind) != wanted[kind]:
                return None, f"damaged: the sum of {name} does not match"
            arrays[name] = array
        return arrays, ""
    except FileNotFoundError:
        return None, "incomplete" if entry.exists() else ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return None, f"damaged: {error}"


def _read_array(place: Path, name: str, shape: list[int], mapped: bool, kind: str | None = None) -> np.ndarray:
    dtype = np.dtype(np.uint8 if name.endswith(".x") else "<f8" if kind == "<f8" else "<i8")
    if mapped and name.endswith(".x") and shape[0]:
        return np.memmap(place, dtype=dtype, mode="c", shape=tuple(shape))  # "c": writes, if any, stay private
    return np.fromfile(place, dtype=dtype).reshape(shape)


def _sum_of(array: np.ndarray, kind: str) -> str:
    flat = array.reshape(-1).view(np.uint8)
    if kind == "spot":  # 64 blocks of 4 kB, spread evenly
        starts = np.linspace(0, max(0, len(flat) - 4096), 64).astype(np.int64)
        return hashlib.sha256(b"".join(flat[s : s + 4096].tobytes() for s in starts)).hexdigest()
    return hashlib.sha256(flat.data).hexdigest()


# --- building one --------------------------------------------------------------------------------------------------


def _build(source: Source, select: np.ndarray, space: Image, holdout: float, entry: Path, progress: Progress | None) -> None:
    stage = entry.parent / f"stage-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        try:
            stage.mkdir(parents=True)
            _sweep(entry.parent)
        except OSError as error:
            raise _CacheFailed(f"{entry.parent}: {error.strerror}") from None
        _decode_all(source, select, space, holdout, stage, progress)
        try:
            if entry.exists():
                if _load(entry, True)[0] is not None:
                    return  # another process was faster
                entry.rename(entry.parent / f"{stage.name}-old")
            stage.rename(entry)
            _flush(entry.parent)
        except OSError as error:
            if _load(entry, True)[0] is None:
                raise _CacheFailed(f"{entry}: {error.strerror}") from None
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


def _flush(folder: Path) -> None:
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


class _Sink:
    """Takes decoded groups, in files under `stage` or, without one, in memory."""

    def __init__(self, stage: Path | None, shape: tuple[int, ...], labels: np.ndarray) -> None:
        self.stage, self.shape, self.labels = stage, shape, labels
        self.chunks: dict[str, list[np.ndarray]] = {f"{part}.{what}": [] for part in _PARTS for what in ("x", "y", "index")}
        self.counts = dict.fromkeys(_PARTS, 0)
        self.files = {}
        if stage is not None:
            try:
                self.files = {part: open(stage / f"{part}.x", "wb") for part in _PARTS}  # noqa: SIM115
            except OSError as error:
                raise _CacheFailed(error.strerror) from None

    def add(self, part: str, x: np.ndarray, y: np.ndarray, index: np.ndarray) -> None:
        if not len(x):
            return
        self.counts[part] += len(x)
        self.chunks[f"{part}.y"].append(y)
        self.chunks[f"{part}.index"].append(index)
        if self.stage is None:
            self.chunks[f"{part}.x"].append(x)
            return
        try:
            self.files[part].write(np.ascontiguousarray(x).data)
        except OSError as error:
            raise _CacheFailed(f"{self.stage}: {error.strerror}") from None

    def close(self) -> None:
        for file in self.files.values():
            with contextlib.suppress(OSError):  # on a full disk closing fails again; the first failure is the one told
                file.close()

    def finish(self) -> Arrays:
        """All arrays; those in files are flushed to disk and mapped."""
        arrays: Arrays = {}
        try:
            for part in _PARTS:
                for what, none in (("y", self.labels), ("index", np.zeros(0, "<i8"))):
                    arrays[f"{part}.{what}"] = np.concatenate([none, *self.chunks[f"{part}.{what}"]])
                shape = [self.counts[part], *self.shape]
                if self.stage is None:
                    arrays[f"{part}.x"] = np.concatenate([np.zeros((0, *self.shape), np.uint8), *self.chunks[f"{part}.x"]])
                    self.chunks[f"{part}.x"].clear()
                    continue
                self.files[part].flush()
                os.fsync(self.files[part].fileno())
                arrays[f"{part}.x"] = _read_array(self.stage / f"{part}.x", f"{part}.x", shape, True)
                for what in ("y", "index"):
                    _write(self.stage / f"{part}.{what}", arrays[f"{part}.{what}"].tobytes())
        except OSError as error:
            raise _CacheFailed(f"{self.stage}: {error.strerror}") from None
        finally:
            self.close()
        return arrays


def _write(place: Path, raw: bytes) -> None:
    with open(place, "wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())


def _decode_all(source: Source, select: np.ndarray, space: Image, holdout: float, stage: Path | None, progress: Progress | None) -> Arrays:
    """One pass over the items; a second one where a very small set needs its split chosen after all hashes are known."""
    held = source.held

    def by_content(hashes: np.ndarray, index: np.ndarray) -> np.ndarray:
        return held[index] if held is not None else held_out(hashes, holdout)

    split = "own" if held is not None else "content" if holdout > 0 else "none"
    arrays, hashes, index, bad = _one_pass(source, select, space, by_content, stage, progress)
    few = min(len(arrays["held.index"]), len(arrays["train.index"])) < LEAST_HELD
    if split == "content" and few and len(index):
        kept_back = index[held_out_few(hashes, holdout, LEAST_HELD)]
        split = "lowest" if len(kept_back) else "impossible"
        arrays, hashes, index, bad = _one_pass(source, select, space, lambda _, i: np.isin(i, kept_back), stage, None)
    order = np.argsort(hashes, kind="stable")
    twins = order[1:][hashes[order][1:] == hashes[order][:-1]]
    sums = {
        name: {"bytes": array.nbytes, "shape": list(array.shape), "sum": _sum_of(array, "sum"), "spot": _sum_of(array, "spot")}
        | ({"dtype": "<f8"} if array.dtype == np.float64 else {})
        for name, array in arrays.items()
    }
    parts = [sums[f"{part}.{what}"]["sum"] for part in _PARTS for what in ("x", "y")]
    meta = {
        "format": FORMAT,
        "files": sums,
        "unreadable": bad,
        "duplicates": len(twins),
        "split": split,
        "content_hash": hashlib.sha256(json.dumps([*parts, space.shape]).encode()).hexdigest()[:16],
    }
    raw = json.dumps(meta).encode()
    if stage is not None:
        try:
            _write(stage / "meta.json", raw)
            _flush(stage)
        except OSError as error:
            raise _CacheFailed(f"{stage}: {error.strerror}") from None
    return {**arrays, "meta": np.frombuffer(raw, dtype=np.uint8)}


def _one_pass(
    source: Source, select: np.ndarray, space: Image, is_held: Callable[[np.ndarray, np.ndarray], np.ndarray],
    stage: Path | None, progress: Progress | None,
) -> tuple[Arrays, np.ndarray, np.ndarray, list[list[str]]]:  # fmt: skip
    """Decode, split and store; also the hash and the item of every usable sample, and [name, reason] of the others."""
    labels = np.full(len(source), -1, dtype="<i8") if source.labels is None else source.labels
    labels = labels.astype("<i8" if labels.ndim == 1 else "<f8")
    sink = _Sink(stage, space.shape, labels[:0])
    hashes, kept = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    bad: list[list[str]] = []
    done = 0
    try:
        for group in _quietly(_decoded(source, select, space)):
            good = [(index, array) for index, array in group if isinstance(array, np.ndarray)]
            bad += [[source.names[index], str(reason)] for index, reason in group if not isinstance(reason, np.ndarray)]
            if good:
                x = np.stack([array for _, array in good])
                index = np.array([i for i, _ in good], dtype=np.int64)
                y = labels[index]
                marks = sample_hashes(x)
                held = is_held(marks, index)
                sink.add("train", x[~held], y[~held], index[~held])
                sink.add("held", x[held], y[held], index[held])
                hashes.append(marks)
                kept.append(index)
            done += len(group)
            if progress is not None:
                progress(done, len(select))
        return sink.finish(), np.concatenate(hashes), np.concatenate(kept), bad
    finally:
        sink.close()


Result = list[tuple[int, "np.ndarray | Unreadable"]]


def _decoded(source: Source, select: np.ndarray, space: Image) -> Iterator[Result]:
    """Groups of (item, uint8 [C, H, W] or the reason it has none), in order; read here, decoded on a few threads."""
    threads = min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)

    def work(group: list[tuple[int, Any]]) -> Result:
        return [(index, item if isinstance(item, Unreadable) else _decode_one(space, item)) for index, item in group]

    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="agon-decode") as pool:
        group: list[tuple[int, Any]] = []
        weight = 0
        for index in select.tolist():
            try:
                item: Any = source.read(index)
                weight += item.nbytes if isinstance(item, np.ndarray) else len(item)
            except Unreadable as reason:
                item = reason
            group.append((index, item))
            if len(group) >= _GROUP_ITEMS or weight >= _GROUP_BYTES:
                waiting.append(pool.submit(work, group))
                group, weight = [], 0
                if len(waiting) > 2 * threads:
                    yield waiting.popleft().result()
        if group:
            waiting.append(pool.submit(work, group))
        while waiting:
            yield waiting.popleft().result()


def _quietly(groups: Iterator[Result]) -> Iterator[Result]:
    """Pillow warns of odd metadata on the terminal, once a file; what matters is listed with the unreadable instead."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield from groups


def _decode_one(space: Image, item: bytes | np.ndarray) -> np.ndarray | Unreadable:
    try:
        if isinstance(item, bytes):
            return space.decode(item)
        pixels = item[..., 0] if item.ndim == 3 and item.shape[2] == 1 else item
        return space.fit(Pillow.fromarray(np.ascontiguousarray(pixels)))
    except Unreadable as reason:
        return reason
