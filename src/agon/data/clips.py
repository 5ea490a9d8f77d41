"""Opening films as a set of clips: how long, at what rate, which may be trained on; with a reason for every choice."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agon.data.captions import CAPTION_WORDS
from agon.data.described import as_stored, check_balance, describe_labels, with_condition
from agon.data.footage import UNEVEN, Footage, pack_films
from agon.data.picturecard import LISTED, pictured
from agon.data.request import Data
from agon.data.samples import DataSet, Samples
from agon.data.source import Source
from agon.data.splits import group_marks, groups_of, held_groups, words_of
from agon.data.survey import Survey
from agon.data.tablefile import find_word
from agon.data.windows import Windows
from agon.errors import InputError
from agon.spaces import Image, Video

USUAL_FRAMES = 16
LEAST_CLIPS = 8
LONG_ENOUGH = 0.9  # share of the films that a length chosen here must fit
USUAL_FPS = 12.0  # as films without a time of their own are shown


def choose_frames(data: Data, lengths: np.ndarray, reasons: dict[str, str]) -> int:
    """How many frames a clip has; the reason goes into `reasons`."""
    if data.frames is not None:
        reasons["frames"] = f"{data.frames}: asked for"
        return data.frames
    enough = int(np.sort(lengths)[math.floor(len(lengths) * (1 - LONG_ENOUGH) + 1e-9)]) if len(lengths) else 0
    fitting = (enough - 1) // data.stride + 1
    frames = USUAL_FRAMES if fitting >= USUAL_FRAMES else max(2, 2 ** int(math.log2(max(2, fitting))))
    short = f"; nine tenths of the films have {enough} frames or more" if frames != USUAL_FRAMES else ", usual in the field"
    reasons["frames"] = f"{frames}{short}"
    return frames


def choose_rate(data: Data, footage: Footage, reasons: dict[str, str]) -> float:
    """Frames a second of a clip, as it is shown; the reason goes into `reasons`."""
    known = footage.rates[footage.rates[:, 0] > 0]
    uneven = int((known[:, 1] > UNEVEN).sum())
    variable = f"; {uneven} of {len(footage.rates)} films have a variable rate" if uneven else ""
    if data.fps is not None:
        timeless = len(footage.rates) - len(known)
        how = "films are brought to it by the nearest timestamps" if len(known) else "these films have no time of their own"
        reasons["rate"] = f"{data.fps:g} frames a second: asked for; {how}" + (
            f", {timeless} without one are as they are" if timeless and len(known) else ""
        )
        return float(data.fps)
    if not len(known):
        reasons["rate"] = f"{USUAL_FPS:g} frames a second to show them: the films have no time of their own"
        return USUAL_FPS
    usual = float(np.median(known[:, 0]))
    low, high = float(known[:, 0].min()), float(known[:, 0].max())
    spread = f", from {low:.4g} to {high:.4g}: --fps {usual:.0f} would make them alike" if high > 1.1 * low else ""
    rate = round(usual / data.stride, 3)
    every = f", every {data.stride} frames" if data.stride > 1 else ""
    reasons["rate"] = f"{rate:g} frames a second: the films' median of {usual:.4g}{every}{spread}{variable}"
    return rate


def cut(runs: np.ndarray, frames: int, stride: int, hop: int) -> tuple[np.ndarray, np.ndarray]:
    """Where clips begin, int64 [N], and in which film each lies, int64 [N]. runs: int64 [R, 3] of (film, first frame, frames)."""
    span = (frames - 1) * stride + 1
    starts = [np.arange(start, start + length - span + 1, hop) for _, start, length in runs.tolist()]
    films = [np.full(len(at), film, np.int64) for at, film in zip(starts, runs[:, 0].tolist(), strict=True)]
    none = np.zeros(0, np.int64)
    return np.concatenate([none, *starts]), np.concatenate([none, *films])


def cut_in_time(runs: np.ndarray, share: float, span: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Runs to train on and runs to keep back, of films that are one group: the last `share` of its frames, None if either is shorter than a clip."""
    total = int(runs[:, 2].sum())
    at = total - max(span, round(share * total))
    before, after, seen = [], [], 0
    for film, start, length in runs.tolist():
        here = min(max(at - seen, 0), length)
        before.append([film, start, here])
        after.append([film, start + here, length - here])
        seen += length
    parts = [np.array([run for run in part if run[2] >= span], dtype=np.int64).reshape(-1, 3) for part in (before, after)]
    return (parts[0], parts[1]) if len(parts[0]) and len(parts[1]) else None


def open_clips(
    data: Data, source: Source, select: np.ndarray, looked: Survey, picture: Image, use_labels: bool, reasons: dict[str, str], say: Any,
    *, identity: str, cache: Path, progress: Any,
) -> DataSet:  # fmt: skip
    """The data set of clips of the films `select`, once the size of a frame is settled. Raises InputError if too few clips can be cut."""
    if picture.channels == 4:
        if data.channels == 4:
            raise InputError("channels got 4; clips have 1 (grey) or 3 (RGB): transparency is composited on white")
        picture = replace(picture, channels=3)
        reasons["channels"] = "RGB: clips have no transparency; it is composited on white"
    told = set()

    def tell() -> None:
        for choice in reasons:
            if choice not in told and choice != "data":
                say(choice, reasons[choice])
                told.add(choice)

    tell()
    need = looked.declared * int(np.prod(picture.shape))
    footage = pack_films(
        source, select, picture, data.fps, need=need, identity=identity, cache=cache, memory=data.memory, progress=progress
    )
    names = [source.names[int(item)] for item in footage.items]
    unreadable = [*map(list, source.unreadable), *([source.names[int(i)], reason] for i, reason in looked.bad.items())]
    unreadable += footage.meta["unreadable"]
    lengths = footage.lengths()
    frames = choose_frames(data, lengths, reasons)
    rate = choose_rate(data, footage, reasons)
    hop = data.hop or 1
    span = (frames - 1) * data.stride + 1
    starts, film = cut(footage.runs, frames, data.stride, hop)
    weights = np.bincount(film, minlength=len(names))
    short = [[names[k], _too_short(int(lengths[k]), span, data.stride)] for k in np.flatnonzero(weights == 0).tolist()]
    if len(starts) < LEAST_CLIPS:
        raise InputError(_too_few(len(starts), source, frames, data, short, unreadable, lengths))
    words = words_of(names, data.group, lambda column: _cells(source, column, footage.items))
    groups = groups_of(footage.twins, words)
    if source.held is not None:
        held, how = source.held[footage.items], "own"
    else:
        held, how = held_groups(groups, group_marks(groups, footage.marks, words), weights.astype(np.float64), data.holdout)
    parts = {"train": (starts[~held[film]], film[~held[film]]), "held": (starts[held[film]], film[held[film]])}
    if how == "one group" and (halves := cut_in_time(footage.runs, data.holdout, span)) is not None:
        parts, how = {part: cut(runs, frames, data.stride, hop) for part, runs in zip(parts, halves, strict=True)}, "time"

    captions, spoken_by = _captions(source)
    space = Video(
        frames=frames, channels=picture.channels, height=picture.height, width=picture.width, fps=rate, resize=picture.resize, filter=picture.filter,
    )  # fmt: skip
    if use_labels and source.labels is not None:
        space = with_condition(space, source.label_kind, source.classes, source.labels.shape[-1])
    y = {part: _labels(source.labels, footage.items[films]) for part, (_, films) in parts.items()}
    labels = describe_labels(source.label_kind, source.classes, y, used=use_labels, origin=source.label_origin)

    def samples(part: str) -> Samples:
        at, films = parts[part]
        stored = as_stored(source.label_kind, y[part], labels) if use_labels else None
        windows = Windows(footage.frames, torch.from_numpy(at), frames, data.stride)
        spoken = [captions[item] for item in footage.items[films].tolist()] if captions else None
        return Samples(windows, stored, spoken, footage.items[films])

    train, kept = samples("train"), samples("held")
    counts = [len(np.unique(films)) for _, films in parts.values()]
    reasons["clips"] = f"{len(starts)} of {frames} frames from {len(names) - len(short)} films: one begins " + (
        "at every frame" if hop == 1 else f"every {hop} frames"
    )
    if short:
        reasons["short"] = f"{_plural(len(short), 'film')} skipped: the first is {short[0][0]} ({short[0][1]})"
    reasons["split"] = _split_reason(how, source, data, counts, (len(train), len(kept)), groups, footage.twins)
    reasons["memory"], reasons["cache"] = footage.memory, footage.cache
    if unreadable:
        reasons["unreadable"] = f"{len(unreadable)} skipped: the first is {unreadable[0][0]} ({unreadable[0][1]})"
    if data.balance:
        reasons["balance"] = check_balance(space)
    tell()
    hashed = [footage.meta["files"][name]["sum"] for name in ("frames.x", "runs")]
    for part, (at, _) in parts.items():
        hashed += [
            hashlib.sha256(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()).hexdigest()
            for array in (at, y[part])
        ]
    content_hash = hashlib.sha256(json.dumps([*hashed, space.shape, data.stride, rate]).encode()).hexdigest()[:16]
    card = {
        **pictured(
            data, source, looked, space, content_hash=content_hash, train=len(train), held=len(kept), split=reasons["split"], labels=labels,
            unreadable=unreadable,
        ),
        "num_train_films": counts[0],
        "num_held_films": counts[1],
        "captions": _told_captions(captions, spoken_by, footage.items),
        "duplicates": int(len(names) - len(np.unique(footage.marks))),
        "notes": [*source.notes, *_special(source, looked)],
        "films": {
            "frames": frames, "stride": data.stride, "fps": rate, "hop": hop, "asked_fps": data.fps, "group": data.group,
            "lengths": _five(lengths), "total_frames": int(lengths.sum()), "rates": looked.rates,
            "variable": int((footage.rates[:, 1] > UNEVEN).sum()), "holes": len(footage.runs) - len(names),
            "num_short": len(short), "short": short[:LISTED], "num_partial": footage.meta["num_partial"], "partial": footage.meta["partial"],
            "twins": _twins(names, footage.twins), "num_twins": int(len(names) - len(np.unique(footage.twins))),
            "num_groups": len(np.unique(groups)),
            "leaked": _leaked(footage.twins, parts),
        },
    }  # fmt: skip
    return DataSet(space, train, kept, card, reasons, content_hash, source.names)


def _captions(source: Source) -> tuple[list[str], str]:
    """A sentence for each item of the source, "" where there is none, and where they are from; [] if no table has any."""
    try:
        tables = source.tables()
    except InputError:  # it was told where labels were looked for, unless nobody wants any
        return [], ""
    for table in tables:
        column = find_word(table.names, CAPTION_WORDS)
        if column is not None:
            cells = [cell[0] if isinstance(cell, (list, tuple)) and cell else cell for cell in table.cells(column)]
            return [str(cell).strip() if cell else "" for cell in cells], table.origin
    return [], ""


def _cells(source: Source, column: str, items: np.ndarray) -> list[str | None] | None:
    """The cells of a column of any table beside the films, as text; None if there is no such column."""
    for table in source.tables():
        if column in table.names:
            cells = [None if cell is None or str(cell).strip() == "" else str(cell).strip() for cell in table.cells(column)]
            return [cells[item] for item in items.tolist()]
    return None


def _told_captions(captions: list[str], origin: str, items: np.ndarray) -> dict[str, Any] | None:
    said = [captions[item] for item in items.tolist() if captions and captions[item]]
    return {"count": len(said), "origin": origin, "example": said[0]} if said else None


def _labels(labels: np.ndarray | None, items: np.ndarray) -> np.ndarray:
    if labels is None:
        return np.full(len(items), -1, dtype="<i8")
    return labels[items].astype("<i8" if labels.ndim == 1 else "<f8")


def _plural(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _too_short(length: int, span: int, stride: int) -> str:
    return f"{_plural(length, 'frame')}, a clip spans {span}" + (f" with stride {stride}" if stride > 1 else "")


def _too_few(
    clips: int, source: Source, frames: int, data: Data, short: list[list[str]], unreadable: list[list[str]], lengths: np.ndarray
) -> str:
    lost = f"; {len(unreadable)} could not be read, the first: {unreadable[0][0]}, {unreadable[0][1]}" if unreadable else ""
    longest = int(lengths.max()) if len(lengths) else 0
    fix = f"ask for --frames {min(longest, 16)} or fewer" if longest >= 2 else "frames must be numbered in one folder a film, or in strips"
    stride = f" {data.stride} frames apart" if data.stride > 1 else ""
    if clips:
        return (
            f"{source.path} has {clips} clips of {frames} frames{stride}{lost}; a GAN needs at least {LEAST_CLIPS} to train on and to hold some back, and "
            "hundreds to be any good: give more or longer videos, or ask for fewer frames"
        )
    return (
        f"{source.path} has no film long enough for a clip of {frames} frames{stride}: the longest of {len(short)} has {longest}{lost}; {fix}, "
        "or give longer videos"
    )


def _split_reason(
    how: str, source: Source, data: Data, films: list[int], clips: tuple[int, int], groups: np.ndarray, twins: np.ndarray
) -> str:
    counts = f"{clips[0]} clips of {_plural(films[0], 'film')} to train, {clips[1]} of {films[1]} held back"
    joined = len(groups) - len(np.unique(groups))
    alike = len(twins) - len(np.unique(twins))
    why = f"{len(np.unique(groups))} groups" + (f" by {data.group}" if data.group else "") + (f", {alike} twins joined" if alike else "")
    together = why if joined else "each film on one side"
    return {
        "own": f"{counts}: {source.split_origin}",
        "groups": f"{counts}: by content hash, {together}, holdout {data.holdout:g}",
        "lowest": f"{counts}: by content hash, {together}, as near to holdout {data.holdout:g} as whole groups come",
        "none": f"{counts}: holdout 0, so scores will compare with what was trained on",
        "time": f"{counts}: all films are one group, so its last {data.holdout:.0%} of frames are held back, and no frame is on both sides",
        "one group": f"{counts}: all films are one group and too short to divide, so none can be held back",
    }[how]


def _special(source: Source, looked: Survey) -> list[str]:
    counted: Counter[str] = Counter(note for notes in looked.special.values() for note in notes)
    first = {note: source.names[int(index)] for index, notes in reversed(looked.special.items()) for note in notes}
    return [f"{first[note]}: {note}" + (f" ({count} such films)" if count > 1 else "") for note, count in counted.most_common(8)]


def _five(lengths: np.ndarray) -> list[float]:
    return [float(value) for value in np.quantile(lengths, (0, 0.25, 0.5, 0.75, 1))]


def _twins(names: list[str], twins: np.ndarray) -> list[list[str]]:
    members: dict[int, list[str]] = {}
    for k, group in enumerate(twins.tolist()):
        members.setdefault(group, []).append(names[k])
    return [group for group in members.values() if len(group) > 1][:100]


def _leaked(twins: np.ndarray, parts: dict[str, tuple[np.ndarray, np.ndarray]]) -> int:
    """Held-back films that have a twin among those trained on."""
    train, held = (np.unique(films) for _, films in parts.values())
    return int(np.isin(twins[np.setdiff1d(held, train)], twins[train]).sum())
