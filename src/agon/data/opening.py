"""Opening a data set: from what a person asked (`Data`) to samples, with a reason for every choice made on the way."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from agon.data import hub
from agon.data.columns import known
from agon.data.conditions import choose_condition
from agon.data.corpus import is_text
from agon.data.described import as_stored, check_balance, describe_labels, with_condition
from agon.data.embedded import open_embedded
from agon.data.entry import default_cache
from agon.data.film import strip_of
from agon.data.layouts import MOST_ARE, SHORTEST_STRIP
from agon.data.pack import Packed, pack
from agon.data.picturecard import pictured
from agon.data.request import DOCUMENTED, EMBEDDED, SIZE_LIMITS, SPOKEN, Data, checked
from agon.data.samples import DataSet, Samples
from agon.data.source import Source, open_source
from agon.data.spoken import open_language
from agon.data.survey import Survey, survey
from agon.data.text import open_text
from agon.errors import InputError
from agon.spaces import Image

Say = Callable[[str, str], None]
LEAST_IMAGES = 8
MOST_ENLARGED = 1.25  # a power of two this much above the median short side is still taken: 28 pixels become 32
GREY_SHARE, ALPHA_SHARE = 0.95, 0.5
_WORDS = {1: "grey", 3: "RGB", 4: "RGBA"}


def open_data(data: Data, *, cache: Path | None = None, say: Say | None = None, max_size: int = 64) -> DataSet:
    """Open, look at, choose and decode; the second time only read the cache.

    cache: folder for packed data (default: the platform's). say: called with (choice, "value: reason") for each choice, and
    with ("packing", …) while decoding takes long. max_size: the largest side chosen when `data.size` is None, pixels.
    Raises InputError when the request or the data as a whole cannot be used.
    """
    checked(data)
    say = say or (lambda choice, reason: None)
    if data.path in SPOKEN:
        _refuse_picture_words(data)
        if data.path in DOCUMENTED:
            return open_text(data, say, cache)
        _refuse_text_words(data, drawn=True)
        language = open_language(data, cache if cache is not None else default_cache())
        for choice, reason in language.reasons.items():
            say(choice, reason)
        return language
    if data.path in EMBEDDED:
        for name, there in (("stride", data.stride != 1), ("hop", data.hop), ("group", data.group)):
            if there:
                raise InputError(f"{name} is for films in files; {data.path} is drawn as it is asked for: leave {name} out")
        _refuse_text_words(data)
        data_set = open_embedded(data)
        for choice, reason in data_set.reasons.items():
            say(choice, reason)
        return data_set
    if is_text(data) or hub.is_text(data):
        _refuse_picture_words(data)
        return open_text(data, say, cache)
    folder = cache if cache is not None else default_cache()
    _refuse_text_words(data)
    source = open_source(data.path, clips=data.frames is not None)
    if not source.moving:
        _refuse_clip_words(data, source)
    reasons: dict[str, str] = {"data": f"{source.path}: {source.kind}, {len(source)} {'films' if source.moving else 'items'}"}
    say("data", reasons["data"])
    source, use_labels, reasons["labels"] = _choose_condition(source, data)
    select, cut = _select(source, data, use_labels)
    if cut:
        reasons["limit"] = cut
    identity = source.identity()
    looked = survey(
        source, select, keep=_survey_file(folder, identity + "films" * source.moving, select), progress=_every(say, "looking", 5.0)
    )
    skipped = {int(index) for index in looked.bad}
    readable = select[[k for k, index in enumerate(select.tolist()) if index not in skipped]] if skipped else select
    if len(readable) == 0:
        raise InputError(_all_unreadable(source, looked))
    space = choose_space(data, looked, max_size, reasons, "films" if source.moving else "images")
    if (frames := _strips(looked)) and not source.moving:
        source.notes.append(f"the pictures look like strips of {frames} frames or so: --frames {min(frames, 16)} would read them as clips")
    if source.moving:
        from agon.data.clips import open_clips

        return open_clips(
            data, source, readable, looked, space, use_labels, reasons, say, identity=identity, cache=folder, progress=_every(say, "packing", 5.0)
        )  # fmt: skip
    if use_labels and source.labels is not None:
        space = with_condition(space, source.label_kind, source.classes, source.labels.shape[-1])
    for choice in reasons:
        if choice != "data":
            say(choice, reasons[choice])
    packed = pack(
        source, readable, space, holdout=data.holdout, identity=identity, cache=folder, memory=data.memory,
        progress=_every(say, "packing", 5.0),
    )  # fmt: skip
    usable = sum(len(x) for x in packed.x.values())
    unreadable = [*map(list, source.unreadable), *([source.names[int(i)], reason] for i, reason in looked.bad.items())]
    unreadable += packed.meta["unreadable"]
    _enough(source, usable, unreadable)
    later = {"split": _split_reason(source, data, packed), "memory": packed.memory, "cache": packed.cache}
    if unreadable:
        later["unreadable"] = f"{len(unreadable)} skipped: the first is {unreadable[0][0]} ({unreadable[0][1]})"
    for choice, reason in later.items():
        say(choice, reason)
    reasons |= later

    labels = describe_labels(source.label_kind, source.classes, packed.y, used=use_labels, origin=source.label_origin)

    def samples(part: str) -> Samples:
        y = as_stored(source.label_kind, packed.y[part], labels) if use_labels else None
        return Samples(packed.x[part], y, index=packed.index[part])

    train, held = samples("train"), samples("held")
    if data.balance:
        reasons["balance"] = check_balance(space)
        say("balance", reasons["balance"])
    card = pictured(
        data, source, looked, space, content_hash=packed.meta["content_hash"], train=len(train), held=len(held), split=reasons["split"],
        labels=labels, unreadable=unreadable,
    ) | {"duplicates": packed.meta["duplicates"]}  # fmt: skip
    return DataSet(space, train, held, card, reasons, packed.meta["content_hash"], source.names)


def _choose_condition(source: Source, data: Data) -> tuple[Source, bool, str]:
    """As `choose_condition`; a column that groups films is no condition unless it is asked for."""
    if data.group is None or data.columns:
        return choose_condition(source, data)
    group, tables = data.group, source.tables
    others = replace(source, tables=lambda: [replace(t, names=tuple(name for name in t.names if name != group)) for t in tables()])
    chosen, use, why = choose_condition(others, data)
    return replace(chosen, tables=tables), use, why


def _refuse_clip_words(data: Data, source: Source) -> None:
    if data.frames is not None:
        raise InputError(
            f"--frames {data.frames} asks for clips, and the samples of {source.path} ({source.kind}) are images; leave it out, or give videos, "
            "strips, a folder of numbered pictures a film, or an npz of [N, T, H, W, C]"
        )
    given = [name for name, there in (("stride", data.stride != 1), ("fps", data.fps), ("hop", data.hop)) if there]
    if given:
        raise InputError(
            f"{given[0]} is for clips, and the samples of {source.path} ({source.kind}) are images; leave it out, or ask for clips with --frames 16"
        )
    if data.group is not None:
        raise InputError(
            f"group is for films, and the samples of {source.path} ({source.kind}) are images, split by their content; leave it out"
        )


def _refuse_picture_words(data: Data) -> None:
    given = [
        name for name, there in (
            ("size", data.size), ("channels", data.channels), ("frames", data.frames), ("fps", data.fps), ("mirror", data.mirror), ("group", data.group),
            ("stride", data.stride != 1), ("hop", data.hop),
        ) if there
    ]  # fmt: skip
    if given:
        raise InputError(f"{given[0]} is for pictures or clips, and {data.path} is text; leave it out")


def _refuse_text_words(data: Data, *, drawn: bool = False) -> None:
    """drawn: sentences of an embedded language, of any length but with words of its own."""
    names = ("vocabulary", "lower", "text", "source", "target", "source_length", "shared", *(() if drawn else ("length", "bucket")))
    given = [name for name in names if getattr(data, name)]
    if data.tokenizer != "auto":
        given.append("tokenizer")
    if given and drawn:
        raise InputError(
            f"{given[0]} is for text that is read, and {data.path} is drawn from a language with words of its own; leave it out"
        )
    if given:
        raise InputError(f"{given[0]} is for text, and {data.path} is none; leave it out, or give lines (.txt), .jsonl, .csv or .tsv")


def choose_space(data: Data, looked: Survey, max_size: int, reasons: dict[str, str], noun: str = "images") -> Image:
    """Size and channels from what was seen; each reason goes into `reasons`."""
    if data.size is not None:
        height, width = (data.size, data.size) if isinstance(data.size, int) else data.size
        reasons["size"] = f"{height}×{width}: asked for"
    else:
        short = max(1.0, looked.short_side)
        fitting = 2 ** math.floor(math.log2(short * MOST_ENLARGED))
        side = max(SIZE_LIMITS[0] * 2, min(fitting, 2 ** math.floor(math.log2(max_size)), SIZE_LIMITS[1]))
        height = width = side
        capped = f", capped at {max_size}" if fitting > max_size else ""
        reasons["size"] = f"{side}×{side}: the power of two for a median short side of {short:g} pixels{capped}"
    if data.channels is not None:
        channels, why = data.channels, "asked for"
    elif looked.alpha_share >= ALPHA_SHARE:
        channels, why = 4, f"{looked.alpha_share:.0%} of {looked.looked} looked at have transparent pixels"
    elif looked.grey_share >= GREY_SHARE:
        channels, why = 1, f"{looked.grey_share:.0%} of {looked.looked} looked at have no colour"
    else:
        channels, why = 3, f"{1 - looked.grey_share:.0%} of {looked.looked} looked at have colour"
        if looked.alpha_share > 0:
            why += f", {looked.alpha_share:.0%} transparency (composited on white)"
    reasons["channels"] = f"{_WORDS[channels]}: {why}"
    space = Image(channels=channels, height=height, width=width, resize=data.resize, filter=data.filter)
    goal = f"{width}×{height}"
    resized = sum(count for size, count in looked.sizes.items() if size != goal)
    how = {"cover": "filled, centre cropped", "contain": "fitted inside, padded", "stretch": "aspect not kept"}[data.resize]
    if resized:
        reasons["resize"] = (
            f"{data.resize} with antialiased {data.filter}: {how}; {resized} of {sum(looked.sizes.values())} {noun} are resized"
        )
    else:
        reasons["resize"] = f"none: every {noun.removesuffix('s')} is {goal} already"
    return space


def _strips(looked: Survey) -> int:
    """The commonest number of square frames, if nearly all pictures are as long as strips are; else 0."""
    sizes = {name: strip_of(*map(int, name.split("×"))) for name in looked.sizes}
    long = {name: frames for name, frames in sizes.items() if frames >= SHORTEST_STRIP}
    if sum(looked.sizes[name] for name in long) < MOST_ARE * sum(looked.sizes.values()):
        return 0
    return long[max(long, key=lambda name: looked.sizes[name])] if long else 0


def _select(source: Source, data: Data, use_labels: bool) -> tuple[np.ndarray, str]:
    """Which items are opened at all: labelled ones if labels are used, and `limit` of them, spread evenly."""
    every = np.arange(len(source))
    if use_labels and source.labels is not None:
        every = every[known(source.labels)]
    if data.limit is None:
        return every, ""
    parts = [every] if source.held is None else [every[~source.held[every]], every[source.held[every]]]
    parts = [part[np.arange(data.limit) * len(part) // data.limit] if len(part) > data.limit else part for part in parts]
    chosen = np.sort(np.concatenate(parts))
    return chosen, f"{len(chosen)} of {len(every)}: spread evenly, asked for" if len(chosen) < len(every) else ""


def _survey_file(folder: Path, identity: str, select: np.ndarray) -> Path | None:
    import hashlib

    key = hashlib.sha256(identity.encode() + select.tobytes()).hexdigest()[:24]
    try:
        (folder / "survey").mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder / "survey" / f"{key}.json"


def _every(say: Say, what: str, seconds: float) -> Callable[..., None]:
    last = time.monotonic()

    def progress(done: int, total: int, frames: int = 0) -> None:
        nonlocal last
        if time.monotonic() - last > seconds:
            last = time.monotonic()
            say(what, f"{done} of {total}" + (f", {frames:,} frames" if frames else ""))

    return progress


def _all_unreadable(source: Source, looked: Survey) -> str:
    reasons = Counter(looked.bad.values()).most_common(3)
    told = "; ".join(f"{count} × {reason}" for reason, count in reasons)
    return f"{source.path} holds {len(source)} {'films' if source.moving else 'image files'} and none can be read: {told}; replace them or give another folder"


def _enough(source: Source, usable: int, unreadable: list[list[str]]) -> None:
    if usable >= LEAST_IMAGES:
        return
    lost = f" ({len(unreadable)} could not be read, the first: {unreadable[0][0]}, {unreadable[0][1]})" if unreadable else ""
    raise InputError(
        f"{source.path} has {usable} usable images{lost}; a GAN needs at least {LEAST_IMAGES} to train on and to hold some back, "
        "and a few hundred to be any good: add images, or try an embedded set such as digits"
    )


def _split_reason(source: Source, data: Data, packed: Packed) -> str:
    counts = f"{len(packed.x['train'])} to train, {len(packed.x['held'])} held back"
    return {
        "own": f"{counts}: {source.split_origin}",
        "content": f"{counts}: by content hash, holdout {data.holdout:g}",
        "lowest": f"{counts}: by content hash; the set is so small that chance would leave too few on one side",
        "none": f"{counts}: holdout 0, so scores will compare with what was trained on",
        "impossible": f"{counts}: all images are the same, so none can be held back",
    }[packed.meta["split"]]
