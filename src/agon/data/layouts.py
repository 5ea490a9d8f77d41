"""Which files make films: video files, animations, strips, or numbered pictures, one folder a film.

Video files are films wherever they prevail, and so are animations. Strips and numbered pictures are films only where clips are asked for:
otherwise they are pictures like any others.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np

from agon.data import containers
from agon.data.film import Film, open_animation, open_sequence, open_strip, strip_of
from agon.spaces import Unreadable, open_header

LOOKED_AT = 24  # files opened to see what kind they are
SHORTEST_STRIP = 4  # frames: squarer pictures are not taken for strips
MOST_ARE = 0.8  # share of the files looked at that must be of a kind
ANIMATED = frozenset((".gif", ".webp", ".png", ".apng", ".avif"))
_NUMBER = re.compile(r"^(.*?)(\d+)$")

Kind = Literal["video files", "animations", "strips", "frame folders"]


@dataclass(frozen=True)
class Layout:
    """What the films are. names: one a film; parts: the files of each, in order."""

    kind: Kind
    names: list[str]
    parts: list[list[str]]
    film: Callable[[int], Film]  # opens one; raises Unreadable
    used: frozenset[str]  # every file that belongs to a film


@dataclass(frozen=True)
class Shelf:
    """Files of a folder or zip. read: the bytes of one; place: its path, None within a zip. Both may raise Unreadable."""

    label: str
    names: Sequence[str]
    read: Callable[[str], bytes]
    place: Callable[[str], Path | None]


def suffix_of(name: str) -> str:
    """The suffix in lower case, with its dot."""
    return PurePosixPath(name).suffix.lower()


def find_layout(shelf: Shelf, pictures: Sequence[str], asked: bool) -> Layout | None:
    """What the films on a shelf are; None for still pictures. pictures: the names that have a picture's suffix. asked: clips are wanted."""
    videos = [name for name in shelf.names if suffix_of(name) in containers.EXTENSIONS]
    if videos and (len(videos) >= len(pictures) or asked or not _stills_prevail(videos, pictures)):
        containers.require_av()
        return _of_files("video files", videos, lambda name: _container(shelf, name))
    if not pictures:
        return None
    moving = [name for name in pictures if suffix_of(name) in ANIMATED]
    likely = moving if asked else [name for name in moving if suffix_of(name) in (".gif", ".apng")]
    if len(likely) > len(pictures) / 2 and _share(shelf, likely, _is_animated) > 0.5:
        return _of_files("animations", likely, lambda name: open_animation(shelf.read(name)))
    if not asked:
        return None
    if _share(shelf, pictures, _is_strip) >= MOST_ARE:
        return _of_files("strips", list(pictures), lambda name: open_strip(shelf.read(name)))
    return _of_sequences(shelf, pictures)


def _stills_prevail(videos: Sequence[str], pictures: Sequence[str]) -> bool:
    """Whether there are more stills than films; a picture beside each film, of its name, is a thumbnail and does not count."""
    films = {name.rsplit(".", 1)[0] for name in videos}
    return sum(name.rsplit(".", 1)[0] not in films for name in pictures) > len(videos)


def _container(shelf: Shelf, name: str) -> Film:
    place = shelf.place(name)
    return containers.open_container(lambda: place if place is not None else shelf.read(name))


def _of_files(kind: Kind, names: list[str], open_name: Callable[[str], Film]) -> Layout:
    return Layout(kind, names, [[name] for name in names], lambda index: open_name(names[index]), frozenset(names))


def _of_sequences(shelf: Shelf, pictures: Sequence[str]) -> Layout:
    """Numbered pictures: those of a folder that are called alike but for the number are a film, called as the folder is."""
    runs: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    for name in pictures:
        folder, _, file = name.rpartition("/")
        match = _NUMBER.match(file.rsplit(".", 1)[0])
        runs[folder, match[1] if match else file].append((int(match[2]) if match else 0, name))
    alone = Counter(folder for folder, _ in runs)
    names, parts, numbers = [], [], []
    for (folder, stem), files in sorted(runs.items()):
        files.sort()
        word = stem.rstrip("_-. ")
        names.append(folder if alone[folder] == 1 and folder else "/".join(filter(None, (folder, word))) or PurePosixPath(shelf.label).name)
        parts.append([name for _, name in files])
        numbers.append([number for number, _ in files])

    def film(index: int) -> Film:
        return open_sequence(numbers[index], partial(_read_part, shelf, parts[index]))

    return Layout("frame folders", names, parts, film, frozenset(pictures))


def _read_part(shelf: Shelf, names: Sequence[str], k: int) -> bytes:
    return shelf.read(names[k])


def _share(shelf: Shelf, names: Sequence[str], test: Callable[[bytes], bool]) -> float:
    """The share of the files looked at that are so; those that cannot be read do not count."""
    verdicts = []
    for k in np.unique(np.linspace(0, len(names) - 1, min(len(names), LOOKED_AT)).round().astype(int)):
        try:
            verdicts.append(test(shelf.read(names[k])))
        except Unreadable:
            continue
    return sum(verdicts) / len(verdicts) if verdicts else 0.0


def _is_animated(raw: bytes) -> bool:
    return bool(getattr(open_header(raw), "is_animated", False))


def _is_strip(raw: bytes) -> bool:
    return strip_of(*open_header(raw).size) >= SHORTEST_STRIP
