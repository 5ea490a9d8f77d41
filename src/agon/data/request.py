"""What a person asks of the data: the `data` section of run.json. Imports nothing heavy, so the command line may read it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agon.errors import InputError, suggest

EMBEDDED = (
    "digits",
    "shapes",
    "ring",
    "grid",
    "spirals",
    "moving-shapes",
    "moving-digits",
    "sentences",
    "chapters",
    "headlines",
    "arithmetic",
    "oracle",
    "oracle-stream",
)
MOVING = ("moving-shapes", "moving-digits")  # those of EMBEDDED that are clips
LANGUAGES = ("arithmetic", "oracle", "oracle-stream")  # whose likelihoods are known
DOCUMENTED = ("sentences", "chapters", "headlines")  # those that are sentences of people's words
SPOKEN = (*DOCUMENTED, *LANGUAGES)  # and all that are text
SIZE_LIMITS = (4, 2048)  # pixels a side
FRAME_LIMITS = (2, 1024)  # frames of a clip
MOST_FPS = 1000
LENGTH_LIMITS = (2, 4096)  # tokens of a sentence
LANGUAGE_LENGTH = 200  # most tokens of a sentence of LANGUAGES: the grammar's entropy costs the cube of it


@dataclass(frozen=True, kw_only=True)
class Data:
    """Which data, and how to bring it to the network. What is None or "auto" is chosen from the data, with a reason."""

    path: str  # a file, a folder, hf:NAME, or an embedded set: one of EMBEDDED
    size: int | tuple[int, int] | None = None  # pixels: a square's side, or (height, width)
    channels: int | None = None  # 1 grey, 3 RGB, 4 RGBA
    frames: int | None = None  # length of a clip; asking for it makes videos of what could be images too
    fps: float | None = None  # frames a second: films are brought to this rate by the nearest timestamps
    resize: Literal["cover", "contain", "stretch"] = "cover"  # fill and crop, fit and pad, or distort
    filter: Literal["lanczos", "bicubic", "bilinear", "box"] = "lanczos"  # antialiased resampling
    labels: Literal["auto", "use", "ignore"] = "auto"
    # What to make of labels or columns; auto: what they look like.
    condition: Literal["auto", "classes", "tags", "numbers", "captions"] = "auto"
    columns: tuple[str, ...] = ()  # of the table beside the samples, such as ("smile", "hat"); (): chosen by their names and values
    balance: bool = False  # training draws every class equally often, however rare it is
    mirror: bool = False  # horizontal flips in training, seeded by sample and epoch
    holdout: float = 0.1  # share kept from training for honest scores; a set with its own test split uses that
    limit: int | None = None  # at most so many samples (of videos: so many films), spread evenly over the set
    memory: Literal["auto", "ram", "mmap"] = "auto"
    stride: int = 1  # frames of the source from one frame of a clip to the next
    tokenizer: Literal["auto", "word", "bpe", "character"] = "auto"  # what a token of a text is
    vocabulary: int | None = None  # most tokens of a text's vocabulary
    length: int | None = None  # most tokens of a sentence; longer ones are left out
    lower: bool = False  # text in small letters
    bucket: bool = False  # training shows sentences of like lengths together: less padding, but batches that differ in length
    text: str | None = None  # column that is the text, of .jsonl, .csv and .tsv
    source: str | None = None  # column or file suffix that a text is made from, such as en
    target: str | None = None  # column or file suffix of the text that is made, such as de
    source_length: int | None = None  # most tokens of a source; longer ones are cut
    shared: bool | None = None  # source and target have one tokeniser; None: where most words of targets stand in sources
    unpaired: bool = False  # lines of source and target do not belong together, but those of a test, val or dev part
    hop: int | None = None  # frames of the source from the start of one clip to that of the next; None: 1
    # Regular expression over names, or a column: where what it finds is equal, films stay on one side of the split.
    group: str | None = None


def located(path: str) -> str:
    """A path as it is found from any directory; a name (embedded, hf:NAME) or what is not there, as it is."""
    place = Path(path).expanduser()
    return os.path.abspath(place) if path not in EMBEDDED and not path.startswith("hf:") and place.exists() else path


def checked(data: Data) -> Data:
    """Return `data` if every field makes sense. Raises InputError naming the field, what came and what is expected."""
    if not data.path:
        raise InputError("the data path is empty; give a folder, a file, or one of: " + " ".join(EMBEDDED))
    low, high = SIZE_LIMITS
    for side in (data.size,) if isinstance(data.size, int) else (data.size or ()):
        if not low <= side <= high:
            raise InputError(f"size got {side}; expected {low} to {high} pixels a side")
    if isinstance(data.size, tuple) and len(data.size) != 2:
        raise InputError(f"size got {data.size}; expected one number or (height, width)")
    if data.channels not in (None, 1, 3, 4):
        raise InputError(f"channels got {data.channels}; expected 1 (grey), 3 (RGB) or 4 (RGBA)")
    choices = {
        "resize": ("cover", "contain", "stretch"),
        "filter": ("lanczos", "bicubic", "bilinear", "box"),
        "labels": ("auto", "use", "ignore"),
        "condition": ("auto", "classes", "tags", "numbers", "captions"),
        "memory": ("auto", "ram", "mmap"),
        "tokenizer": ("auto", "word", "bpe", "character"),
    }
    for name, known in choices.items():
        value = getattr(data, name)
        if value not in known:
            raise InputError(f"{name} got {value!r}; expected one of: {' '.join(known)}.{suggest(str(value), known)}")
    if data.labels == "ignore" and (data.columns or data.condition != "auto" or data.balance):
        raise InputError("--labels ignore leaves no condition; leave out --columns, --condition and --balance, or --labels ignore")
    twice = next((name for k, name in enumerate(data.columns) if name in data.columns[:k]), None)
    if twice is not None:
        raise InputError(f"columns names {twice!r} twice; expected each once")
    if not 0 <= data.holdout <= 0.5:
        raise InputError(f"holdout got {data.holdout}; expected a share from 0 to 0.5")
    _check_clips(data)
    _check_text(data)
    if data.limit is not None and data.limit < 1:
        raise InputError(f"limit got {data.limit}; expected a positive number of samples")
    return data


def _check_text(data: Data) -> None:
    low, high = LENGTH_LIMITS
    if data.length is not None and not low <= data.length <= high:
        raise InputError(f"length got {data.length}; expected {low} to {high:,} tokens a sentence")
    if data.path in LANGUAGES and data.length is not None and data.length > LANGUAGE_LENGTH:
        raise InputError(f"length got {data.length}; expected {low} to {LANGUAGE_LENGTH} tokens a sentence of {data.path}")
    if data.source_length is not None and not low <= data.source_length <= high:
        raise InputError(f"source_length got {data.source_length}; expected {low} to {high:,} tokens a source")
    if data.target is None and (data.source_length is not None or data.shared is not None):
        raise InputError("source_length and shared are for a text made from another; add --source en --target de, or leave them out")
    if data.target is None and data.unpaired and data.path != "headlines":
        raise InputError("unpaired is for texts made from others, such as two languages; add --source en --target de, or leave it out")
    if (data.source is None) != (data.target is None):
        given, other = ("source", "target") if data.target is None else ("target", "source")
        raise InputError(f"{given} was given without {other}; a text made from another needs both, such as --source en --target de")
    if data.source is not None and data.source == data.target:
        raise InputError(f"source and target are both {data.source!r}; expected two columns or two file suffixes")
    if data.bucket and data.balance:
        raise InputError("bucket puts sentences of like lengths into a batch, balance sentences of all classes; leave out one of the two")
    if data.text is not None and data.target is not None:
        raise InputError("text and target both say which column is made; give one of the two")


def _check_clips(data: Data) -> None:
    if data.frames is not None and not FRAME_LIMITS[0] <= data.frames <= FRAME_LIMITS[1]:
        raise InputError(f"frames got {data.frames}; expected {FRAME_LIMITS[0]} to {FRAME_LIMITS[1]} frames a clip")
    for name, value in (("stride", data.stride), ("hop", data.hop)):
        if value is not None and value < 1:
            raise InputError(f"{name} got {value}; expected 1 or more frames")
    if data.fps is not None and not 0 < data.fps <= MOST_FPS:
        raise InputError(f"fps got {data.fps:g}; expected more than 0 and at most {MOST_FPS} frames a second")
    if data.fps is not None and data.stride != 1:
        raise InputError(f"--fps {data.fps:g} and --stride {data.stride} both say which frames to take; give one of the two")
    if data.group is not None:
        try:
            re.compile(data.group)
        except re.error as error:
            raise InputError(
                f"group got {data.group!r}, which is no regular expression ({error}); expected one such as actor(\\d+)"
            ) from None
