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

from agon.data.entry import FORMAT, Arrays, CacheFailed, find, flush, physical_memory, read_array, sums_of, write
from agon.data.samples import held_out, held_out_few, sample_hashes
from agon.data.source import Source
from agon.spaces import Image, Unreadable

LEAST_HELD = 2
_GROUP_ITEMS, _GROUP_BYTES = 32, 16 * 2**20
_PARTS = ("train", "held")
Progress = Callable[[int, int], None]


@dataclass
class Packed:
    """Decoded samples, and what was noticed while decoding."""

    x: dict[str, Tensor]  # "train" and "held": uint8 [N, C, H, W]
    y: dict[str, np.ndarray]  # classes int64 [N], -1 where there is none; tags or numbers float64 [N, k], NaN where there is none
    index: dict[str, np.ndarray]  # int64 [N]
    meta: dict[str, Any]  # unreadable, duplicates, split, content_hash, sums
    memory: str  # reason: where the samples are
    cache: str  # reason: what became of the cache


def pack(
    source: Source, select: np.ndarray, space: Image, *, holdout: float, identity: str, cache: Path, memory: str = "auto",
    progress: Progress | None = None,
) -> Packed:  # fmt: skip
    """Decode the items `select` of `source` into `space`, or find them decoded; split by the source's own test part or by content.

    memory: "ram", "mmap", or "auto" (the file when it exceeds a quarter of memory). `identity` is the source's content hash.
    Raises InputError only when the source itself breaks; unreadable items are listed in `meta`.
    """
    need = len(select) * int(np.prod(space.shape))
    entry = cache / "data" / _key(source, select, space, holdout, identity)
    arrays, where, note = find(
        entry, cache, lambda stage: _decode_all(source, select, space, holdout, stage, progress),
        need=need, memory=memory, whole=physical_memory(),
    )  # fmt: skip
    meta = json.loads(bytes(arrays.pop("meta")))
    return Packed(
        x={part: torch.from_numpy(arrays[f"{part}.x"]) for part in _PARTS},
        y={part: arrays[f"{part}.y"] for part in _PARTS},
        index={part: arrays[f"{part}.index"] for part in _PARTS},
        meta=meta,
        memory=where,
        cache=note,
    )


def _key(source: Source, select: np.ndarray, space: Image, holdout: float, identity: str) -> str:
    mark = hashlib.sha256()
    options = [FORMAT, space.shape, space.resize, space.filter, holdout if source.held is None else None, source.classes, identity]
    mark.update(json.dumps(options).encode())
    for array in (select, source.labels, source.held):
        mark.update(b"-" if array is None else np.ascontiguousarray(array).tobytes() + b"+")
    return mark.hexdigest()[:24]


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
                raise CacheFailed(error.strerror) from None

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
            raise CacheFailed(f"{self.stage}: {error.strerror}") from None

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
                arrays[f"{part}.x"] = read_array(self.stage / f"{part}.x", f"{part}.x", shape, True)
                for what in ("y", "index"):
                    write(self.stage / f"{part}.{what}", arrays[f"{part}.{what}"].tobytes())
        except OSError as error:
            raise CacheFailed(f"{self.stage}: {error.strerror}") from None
        finally:
            self.close()
        return arrays


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
    sums = sums_of(arrays)
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
            write(stage / "meta.json", raw)
            flush(stage)
        except OSError as error:
            raise CacheFailed(f"{stage}: {error.strerror}") from None
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
