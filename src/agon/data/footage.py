"""The packed cache of films: every frame decoded once into one plain uint8 file, from which clips of any length are cut without a copy.

    <cache>/data/<key>/meta.json  frames.x  runs  films  rates

`frames.x` is uint8 [F, C, H, W]; `runs` int64 [R, 3] of (film, first frame, frames), within which time has no hole; `films` int64 [M, 3] of (the
source's item, a hash of its frames, its group of twins); `rates` float64 [M, 2] of (frames a second before any resampling, 0 where
unknown; share of gaps between frames that are not the usual one). Clip length, stride and split are no part of it: to change them costs no decoding.
Frames pass through a few at a time, so that memory stays bounded however long a film is.
"""

from __future__ import annotations

import hashlib
import json
import os
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
from agon.data.film import Film, Step
from agon.data.picturecard import LISTED
from agon.data.samples import sample_hashes
from agon.data.source import Source
from agon.data.twins import find_twins
from agon.spaces import Image, Unreadable

_VERSION = 1  # of what is kept here and how twins are found
_GROUP_FRAMES, _GROUP_BYTES = 16, 8 * 2**20  # decoded frames on their way to their final size
SLIP, UNEVEN = 0.5, 0.05  # a gap this far from the usual one is a slip; with more slips than this a film's rate is variable
LONGEST_GAP = 60.0  # seconds: a longer pause is a hole, not a still picture
Progress = Callable[[int, int, int], None]  # films done, films in all, frames done


@dataclass
class Footage:
    """Decoded films, and what was noticed while decoding. M films, R runs."""

    frames: Tensor  # uint8 [F, C, H, W]
    runs: np.ndarray  # int64 [R, 3]: film, first frame, number of frames
    items: np.ndarray  # int64 [M]: the source's item
    marks: np.ndarray  # uint64 [M]: a hash of the film's frames
    twins: np.ndarray  # int64 [M]: films with one number show the same, maybe mirrored
    rates: np.ndarray  # float64 [M, 2]
    meta: dict[str, Any]  # unreadable and partial: [name, reason]; files with their sums
    memory: str  # reason: where the frames are
    cache: str  # reason: what became of the cache

    def lengths(self) -> np.ndarray:
        """Frames of each film, int64 [M]."""
        return np.bincount(self.runs[:, 0], self.runs[:, 2], minlength=len(self.items)).astype(np.int64)


def pack_films(
    source: Source, select: np.ndarray, space: Image, fps: float | None, *, need: int, identity: str, cache: Path, memory: str = "auto",
    progress: Progress | None = None,
) -> Footage:  # fmt: skip
    """Decode the films `select` of `source` into frames of `space`, or find them decoded.

    fps: bring films that have a time of their own to this rate. need: bytes of frames expected, for memory="auto". `identity` is the source's
    content hash. Films without a usable frame are listed in `meta`.
    """
    mark = hashlib.sha256(json.dumps([FORMAT, _VERSION, "films", space.shape, space.resize, space.filter, fps, identity]).encode())
    mark.update(np.ascontiguousarray(select).tobytes())
    arrays, where, note = find(
        cache / "data" / mark.hexdigest()[:24], cache, lambda stage: _decode_all(source, select, space, fps, stage, progress),
        need=need, memory=memory, whole=physical_memory(),
    )  # fmt: skip
    films = arrays["films"]
    return Footage(
        torch.from_numpy(arrays["frames.x"]), arrays["runs"], films[:, 0], films[:, 1].copy().view(np.uint64), films[:, 2], arrays["rates"],
        json.loads(bytes(arrays["meta"])), where, note,
    )  # fmt: skip


def resampled(steps: Iterator[Step], fps: float) -> Iterator[Step]:
    """The frames nearest to the times 0, 1/fps, 2/fps …; of two that are equally near the earlier. Begins anew after each hole.

    The last time is less than half a frame after the last frame, so that a film which has this rate already stays as it is.
    """
    before: tuple[float, Pillow.Image] | None = None
    origin = gap = 0.0
    tick = 0
    for step in steps:
        if isinstance(step, str):
            if before is not None:
                yield from _rest(before, origin, tick, gap, fps)
            before = None
            yield step
            continue
        if before is None:
            origin, tick, gap = step[0], 0, 0.0
        else:
            gap = step[0] - before[0]
            if gap > LONGEST_GAP:
                yield from _rest(before, origin, tick, 0.0, fps)
                yield f"no frame for {gap:.0f} s"
                before, origin, tick, gap = step, step[0], 0, 0.0
                continue
            while origin + tick / fps <= before[0] + gap / 2 + 1e-9:
                yield tick / fps, before[1]
                tick += 1
        before = step
    if before is not None:
        yield from _rest(before, origin, tick, gap, fps)


def _rest(last: tuple[float, Pillow.Image], origin: float, tick: int, gap: float, fps: float) -> Iterator[Step]:
    while origin + tick / fps < last[0] + max(gap / 2, 1e-6) - 1e-9:
        yield tick / fps, last[1]
        tick += 1


class _Sink:
    """Takes frames, in a file under `stage` or, without one, in memory."""

    def __init__(self, stage: Path | None, shape: tuple[int, ...]) -> None:
        self.stage, self.shape, self.count = stage, shape, 0
        self.chunks: list[np.ndarray] = []
        try:
            self.file = None if stage is None else open(stage / "frames.x", "wb")  # noqa: SIM115
        except OSError as error:
            raise CacheFailed(error.strerror) from None

    def add(self, frame: np.ndarray) -> None:
        self.count += 1
        if self.file is None:
            self.chunks.append(frame)
            return
        try:
            self.file.write(np.ascontiguousarray(frame).data)
        except OSError as error:
            raise CacheFailed(f"{self.stage}: {error.strerror}") from None

    def finish(self) -> np.ndarray:
        if self.file is None or self.stage is None:
            return np.stack(self.chunks) if self.chunks else np.zeros((0, *self.shape), np.uint8)
        try:
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()
        except OSError as error:
            raise CacheFailed(f"{self.stage}: {error.strerror}") from None
        return read_array(self.stage / "frames.x", "frames.x", [self.count, *self.shape], True)


def _decode_all(
    source: Source, select: np.ndarray, space: Image, fps: float | None, stage: Path | None, progress: Progress | None
) -> Arrays:
    sink = _Sink(stage, space.shape)
    runs: list[list[int]] = []
    films: list[list[int]] = []
    rates: list[list[float]] = []
    hashes: list[np.ndarray] = []  # of the frames, film by film
    unreadable: list[list[str]] = []
    partial: list[list[str]] = []
    threads = min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    try:
        with ThreadPoolExecutor(threads, thread_name_prefix="agon-decode") as pool:
            for done, item in enumerate(select.tolist()):
                times: list[float] = []
                marks: list[np.ndarray] = []
                holes: list[str] = []
                rate, whole, reason = 0.0, True, "has no frame that can be decoded"
                try:
                    film = source.read(item)
                    assert isinstance(film, Film)
                    rate = film.rate
                    steps = _noted(film.frames(), times)
                    for frame in _fitted(resampled(steps, fps) if fps and rate else steps, space, pool, threads):
                        if isinstance(frame, str):
                            holes.append(frame)
                            whole = True
                            continue
                        if whole:
                            runs.append([len(films), sink.count, 0])
                            whole = False
                        sink.add(frame)
                        runs[-1][2] += 1
                        marks.append(sample_hashes(frame[None]))
                        if progress is not None and sink.count % 64 == 0:
                            progress(done, len(select), sink.count)
                except Unreadable as refusal:
                    reason = str(refusal)
                    if marks:
                        holes.append(reason)
                if holes and marks:
                    more = f" ({len(holes)} such places)" if len(holes) > 1 else ""
                    partial.append([source.names[item], holes[0] + more])
                if marks:
                    hashes.append(np.concatenate(marks))
                    films.append([item, int(sample_hashes(hashes[-1][None]).view(np.int64)[0]), 0])
                    rates.append(_rates(times, rate) if rate else [0.0, 0.0])
                else:
                    unreadable.append([source.names[item], reason])
                if progress is not None:
                    progress(done + 1, len(select), sink.count)
        frames = sink.finish()
    finally:
        if sink.file is not None:
            sink.file.close()
    arrays: Arrays = {
        "frames.x": frames,
        "runs": np.array(runs, dtype="<i8").reshape(-1, 3),
        "films": np.array(films, dtype="<i8").reshape(-1, 3),
        "rates": np.array(rates, dtype="<f8").reshape(-1, 2),
    }
    if films:
        arrays["films"][:, 2] = find_twins(torch.from_numpy(frames), arrays["runs"], hashes)
    meta = {
        "format": FORMAT, "files": sums_of(arrays), "unreadable": unreadable, "partial": partial[:LISTED], "num_partial": len(partial),
    }  # fmt: skip
    raw = json.dumps(meta).encode()
    if stage is not None:
        try:
            for name in ("runs", "films", "rates"):
                write(stage / name, arrays[name].tobytes())
            write(stage / "meta.json", raw)
            flush(stage)
        except OSError as error:
            raise CacheFailed(f"{stage}: {error.strerror}") from None
    return {**arrays, "meta": np.frombuffer(raw, dtype=np.uint8)}


def _noted(steps: Iterator[Step], times: list[float]) -> Iterator[Step]:
    for step in steps:
        if not isinstance(step, str):
            times.append(step[0])
        yield step


def _rates(times: list[float], said: float) -> list[float]:
    """Frames a second, holes and slips left out where the rate is even; and the share of gaps that are not the usual one.

    said: the rate in the header, which is exact where timestamps are rounded: it counts if it is within 1 % of theirs.
    """
    gaps = np.diff(times)
    if not len(gaps):
        return [said, 0.0]
    usual = float(np.median(gaps))
    even = np.abs(gaps - usual) <= SLIP * usual
    share = 1.0 - float(even.mean())
    rate = 1.0 / max(float(gaps[even].mean() if share <= UNEVEN else gaps.mean()), 1e-6)
    return [said if abs(rate / said - 1) < 0.01 else rate, share]


def _fitted(steps: Iterator[Step], space: Image, pool: ThreadPoolExecutor, threads: int) -> Iterator[np.ndarray | str]:
    """The frames at their final size, in order, brought there on a few threads; few full-size frames are alive at a time."""

    def work(group: list[Pillow.Image]) -> list[np.ndarray]:
        return [space.fit(picture) for picture in group]

    waiting: deque[Future[list[np.ndarray]]] = deque()
    group: list[Pillow.Image] = []
    weight = 0
    for step in steps:
        if not isinstance(step, str):
            group.append(step[1])
            weight += step[1].width * step[1].height * 3
            if len(group) < _GROUP_FRAMES and weight < _GROUP_BYTES:
                continue
        if group:
            waiting.append(pool.submit(work, group))
            group, weight = [], 0
        while len(waiting) > threads or (waiting and isinstance(step, str)):
            yield from waiting.popleft().result()
        if isinstance(step, str):
            yield step
    if group:
        waiting.append(pool.submit(work, group))
    while waiting:
        yield from waiting.popleft().result()
