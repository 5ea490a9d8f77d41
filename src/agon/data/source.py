"""Sources: what lies at a path, item by item, before anything is decoded.

A `Source` lists names, labels and a split, and reads one item at a time: the bytes of a picture file, pixels, or a film.
This file has folders and zips of pictures or films (which files make films: `layouts`) and finds the right kind for a path;
arrays (idx, npz) are in `arrays`, tables (parquet, hub) in `tables`, label files in `labels`.
"""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from agon.data import containers
from agon.data.columns import Kind, Table
from agon.data.film import Film
from agon.data.labels import Labelling, class_table, find_labels, text_table
from agon.data.layouts import Layout, Shelf, find_layout
from agon.errors import InputError, suggest
from agon.spaces import Unreadable

_PICTURES = "png jpg jpeg webp gif bmp tif tiff avif jpe jfif dib ppm pgm pbm pnm tga ico jp2 j2k jpx qoi heic heif"
EXTENSIONS = frozenset("." + word for word in _PICTURES.split())
MAX_FILE_BYTES = 512 * 2**20  # a larger "picture" is refused unread
TRUST_STAT_ABOVE = 256 * 2**20  # sets above this many bytes are recognised by size and times instead of read to hash
_PLAIN = frozenset({"", ".md", ".rst", ".tex", ".log", ".srt"})  # likely text, but nothing says that a line is a sample
_EXPECTED = "expected images (png jpg webp gif bmp tiff avif …), videos (mp4 webm mkv avi mov …) or text (txt jsonl csv tsv)"
_SPLITS = {"train": False, "training": False, "test": True, "val": True, "valid": True, "validation": True}


@dataclass
class Source:
    """Items in a fixed order, read one at a time; reading in order is cheap for every kind."""

    kind: str  # for people: "folder of images"
    path: str
    names: Sequence[str]  # displayable, one an item
    read: Callable[[int], bytes | np.ndarray | Film]  # file bytes, or uint8 [H, W] / [H, W, C], or a film; raises Unreadable
    identity: Callable[[], str]  # a hash over the content, or over sizes and times for large sets
    labels: np.ndarray | None = None  # classes int64 [N], -1 where there is none; tags or numbers float64 [N, k], NaN where there is none
    classes: tuple[str, ...] = ()  # names of the classes, tags or numbers
    label_kind: Kind = "classes"
    label_origin: str = ""  # "sub-folders", "labels.csv" ...
    tables: Callable[[], list[Table]] = list  # what samples could be conditioned on too, the likeliest first
    table_first: bool = False  # the first of them comes before `labels`
    held: np.ndarray | None = None  # bool [N]: the set's own test split
    split_origin: str = ""
    unreadable: list[tuple[str, str]] = field(default_factory=list)  # found while listing
    ignored: Counter[str] = field(default_factory=Counter)  # suffix -> how many files that are not pictures
    notes: list[str] = field(default_factory=list)
    used_files: list[str] = field(default_factory=list)  # those among `ignored` that were not
    shape: tuple[int, ...] | None = None  # (H, W) or (H, W, C) when every item is an array of one shape
    moving: bool = False  # every item is a film

    def __len__(self) -> int:
        return len(self.names)


def shown(name: str) -> str:
    """A file name made fit for printing and JSON: bytes that are not UTF-8 become \\xNN, control signs are escaped."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def open_source(path: str, *, clips: bool = False) -> Source:
    """List what is at `path`. clips: where it could be either, it is films. Raises InputError when there is nothing that can be read."""
    from agon.data import tables

    if path.startswith("hf:"):
        return tables.open_hub(path[3:])
    place = Path(path).expanduser()
    try:
        status = place.stat()
    except FileNotFoundError:
        raise InputError(_missing(place)) from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot open {shown(str(place))}: {getattr(error, 'strerror', None) or error}") from None
    if stat.S_ISDIR(status.st_mode):
        return _open_directory(place, clips)
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{shown(str(place))} is neither a file nor a folder; give a folder, .zip, .npz, idx, .parquet or a video")
    if status.st_size == 0:
        raise InputError(f"{shown(str(place))} is empty (0 bytes); give a folder, .zip, .npz, idx, .parquet or text")
    return _open_file(place, clips)


def _missing(place: Path) -> str:
    parent, word = place.parent, place.name
    from agon.data.request import EMBEDDED

    try:
        beside = [shown(name) for name in os.listdir(parent) if not name.startswith(".")]
        hint = suggest(word, [*beside, *EMBEDDED])
    except OSError:
        hint = f" There is no folder {shown(str(parent))} either."
    return (
        f"there is nothing at {shown(str(place))}; expected a folder of images, videos or text, a .zip, .npz, idx, .parquet, video or text "
        f"file (.txt .jsonl .csv .tsv), hf:NAME, or an embedded set ({' '.join(EMBEDDED)}).{hint}"
    )


def _open_file(place: Path, clips: bool) -> Source:
    from agon.data import arrays, idx, tables

    with _opened(place) as file:
        head = file.read(512)
    suffix = place.suffix.lower()
    if suffix == ".npy" or head.startswith(b"\x93NUMPY"):
        return arrays.open_npy(place, clips)
    if suffix == ".npz":
        return arrays.open_npz(place, clips)
    if suffix == ".parquet" or head.startswith(b"PAR1"):
        return tables.open_parquet([place], str(place))
    if idx.is_idx_name(place.name) or head[:3] == b"\x00\x00\x08":
        return idx.open_idx(place)
    if suffix == ".zip" or zipfile.is_zipfile(place):
        return _open_zip(place, clips)
    name = shown(str(place))
    if suffix in containers.EXTENSIONS or suffix in EXTENSIONS:
        status = place.stat()
        alone = Shelf(str(place), [place.name], lambda _: _read_file(place, status), lambda _: place)
        layout = find_layout(alone, alone.names if suffix in EXTENSIONS else [], clips)
        if layout is not None:
            return _of_items("video", place, list(alone.names), layout.names, layout.film, lambda: _identity([(place.name, place, status)]),
                             lambda _: b"", [], frozenset(alone.names), moving=True)  # fmt: skip
    if suffix in EXTENSIONS:
        raise InputError(f"{name} is one picture; a GAN learns from many: give the folder or a zip that holds them")
    if b"\0" not in head:
        raise InputError(
            f"{name} is a text file; to train on its lines, rename it to {shown(place.stem)}.txt; else give a folder of images or videos, "
            "a .zip, .npz, idx, .parquet or video file"
        )
    raise InputError(f"{name} is of no kind known here; expected a folder of images or videos, a .zip, .npz, idx, .parquet or video file")


def _opened(place: Path):
    try:
        return open(place, "rb")
    except OSError as error:
        raise InputError(f"cannot read {shown(str(place))}: {error.strerror}") from None


# --- folders -------------------------------------------------------------------------------------------------------


@dataclass
class _Entry:
    name: str  # relative, with "/", as the file system spells it
    place: Path
    status: os.stat_result


def holds_run(folder: Path) -> bool:
    """Whether a run lies here. What lies in it was made from data, and is none itself: with its samples the data would change as it trains."""
    return (folder / "run.json").is_file() and (folder / "states").is_dir()


def walk(root: Path) -> tuple[list[_Entry], list[tuple[str, str]], list[str]]:
    """Every regular file under `root`, sorted by name; what could not be entered; and the runs passed over. Links are followed, once."""
    found: list[_Entry] = []
    refused: list[tuple[str, str]] = []
    runs: list[str] = []
    seen: set[tuple[int, int]] = set()
    waiting: list[tuple[str, Path]] = [("", root)]
    while waiting:
        prefix, folder = waiting.pop()
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in seen:  # a link back up, or the same folder linked twice
                continue
            seen.add((status.st_dev, status.st_ino))
            names = os.listdir(folder)
        except OSError as error:
            refused.append((shown(prefix or str(root)), f"cannot be entered: {error.strerror}"))
            continue
        for name in names:
            if name.startswith(".") or name == "__MACOSX":
                continue
            place, relative = folder / name, prefix + name
            try:
                status = place.stat()
            except OSError as error:
                broken = "a link to nothing" if place.is_symlink() else f"cannot be looked at: {error.strerror}"
                refused.append((shown(relative), broken))
                continue
            if stat.S_ISDIR(status.st_mode) and holds_run(place):
                runs.append(shown(relative))
            elif stat.S_ISDIR(status.st_mode):
                waiting.append((relative + "/", place))
            elif stat.S_ISREG(status.st_mode):
                found.append(_Entry(relative, place, status))
            else:
                refused.append((shown(relative), "not a regular file"))
    found.sort(key=lambda entry: os.fsencode(entry.name))
    return found, sorted(refused), sorted(runs)


def _open_directory(place: Path, clips: bool) -> Source:
    from agon.data import idx, tables

    entries, refused, runs = walk(place)
    pictures = [entry.name for entry in entries if _suffix(entry.name) in EXTENSIONS]
    by_name = {entry.name: entry for entry in entries}
    shelf = Shelf(
        str(place), [entry.name for entry in entries], lambda name: _read_file(by_name[name].place, by_name[name].status),
        lambda name: by_name[name].place,
    )  # fmt: skip
    layout = find_layout(shelf, pictures, clips)
    if layout is None and not pictures:
        if any(idx.is_idx_name(entry.place.name) for entry in entries):
            return idx.open_idx_folder([entry.place for entry in entries], place)
        parquet = [entry.place for entry in entries if entry.name.lower().endswith(".parquet")]
        if parquet:
            return tables.open_parquet(parquet, str(place))
        archives = [entry.place for entry in entries if _suffix(entry.name) in (".zip", ".npz", ".npy")]
        if len(archives) == 1:
            return _open_file(archives[0], clips)
        more = f"; give one of its archives, for example {shown(str(archives[0]))}" if archives else ""
        if runs and not entries:
            told = f"{len(runs)} run{'s' * (len(runs) > 1)}, such as {runs[0]}, whose samples are no data; give its folder samples if you mean them"
            raise InputError(f"the folder {shown(str(place))} holds nothing but {told}; {_EXPECTED}")
        raise InputError(_nothing_usable(f"the folder {shown(str(place))}", [e.name for e in entries], refused) + more)
    used = layout.used if layout is not None else frozenset(pictures)
    source = _of_shelf(
        "folder", place, shelf, pictures, layout, lambda: _identity([(e.name, e.place, e.status) for e in entries if e.name in used]),
        lambda name: by_name[name].place.read_bytes(), refused,
    )  # fmt: skip
    if runs:
        source.notes.append(
            f"passed over {len(runs)} run{'s' * (len(runs) > 1)}, whose samples are no data: {runs[0]}{' …' * (len(runs) > 1)}"
        )
    return source


def _read_file(place: Path, status: os.stat_result) -> bytes:
    if status.st_size > MAX_FILE_BYTES:
        raise Unreadable(f"refused, too large: {status.st_size} bytes, the limit is {MAX_FILE_BYTES}")
    try:
        return place.read_bytes()
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}") from None


def _identity(files: Sequence[tuple[str, Path, os.stat_result]]) -> str:
    """A hash over names and content, or over names, sizes and times where there is much of it."""
    total = sum(status.st_size for _, _, status in files)
    mark = hashlib.sha256()
    for name, place, status in files:
        mark.update(os.fsencode(name) + b"\0")
        if total > TRUST_STAT_ABOVE:
            mark.update(stat_mark(status))
            continue
        try:
            mark.update(hashlib.sha256(_read_file(place, status)).digest())
        except Unreadable:
            mark.update(b"unreadable")
    return mark.hexdigest()


def stat_mark(status: os.stat_result) -> bytes:
    """What changes when a file changes: its size and both times."""
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}\0".encode()


# --- zips ----------------------------------------------------------------------------------------------------------


def _open_zip(place: Path, clips: bool) -> Source:
    label = shown(str(place))
    try:
        archive = zipfile.ZipFile(place)
        members = [member for member in archive.infolist() if not member.is_dir()]
    except zipfile.BadZipFile as error:
        with _opened(place) as file:
            is_zip_start = file.read(4) == b"PK\x03\x04"
        why = "is a truncated zip: its table of contents at the end is missing" if is_zip_start else "is not a zip"
        raise InputError(f"{label} {why} ({error}); copy or download it again") from None
    except (OSError, ValueError, NotImplementedError, EOFError, IndexError, UnicodeError) as error:
        raise InputError(f"cannot read the zip {label}: {error}") from None
    strange = [m.filename for m in members if ".." in PurePosixPath(m.filename).parts or m.filename.startswith("/")]
    kept = {_safe_name(m.filename): m for m in members}
    kept = {name: m for name, m in kept.items() if name and not _hidden(name)}
    names = sorted(kept, key=os.fsencode)
    pictures = [name for name in names if _suffix(name) in EXTENSIONS]

    def read_member(name: str) -> bytes:
        member = kept[name]
        if member.flag_bits & 1:
            raise Unreadable("encrypted")
        if member.file_size > MAX_FILE_BYTES:
            raise Unreadable(f"refused, too large: {member.file_size} bytes, the limit is {MAX_FILE_BYTES}")
        try:
            with archive.open(member) as file:
                raw = file.read(MAX_FILE_BYTES + 1)
        except Exception as error:  # a damaged member fails as BadZipFile, zlib.error, EOFError, struct.error ...
            raise Unreadable(f"damaged in the zip: {error or type(error).__name__}") from None
        if len(raw) > MAX_FILE_BYTES:
            raise Unreadable(f"refused, too large: over {MAX_FILE_BYTES} bytes unpacked")
        return raw

    shelf = Shelf(str(place), names, read_member, lambda name: None)
    layout = find_layout(shelf, pictures, clips)
    if layout is None and not pictures:
        arrays_inside = [name for name in names if _suffix(name) in (".npz", ".npy")]
        if len(arrays_inside) == 1 and _suffix(arrays_inside[0]) == ".npz":
            return _open_inner(place, arrays_inside[0], read_member, clips)
        inner = [name for name in names if name.lower().endswith((".npz", ".npy", ".parquet", ".zip"))]
        more = f" It holds {shown(inner[0])}: unpack it and give that file." if inner else ""
        raise InputError(_nothing_usable(f"the zip {label}", names, []) + more)
    if all(kept[name].flag_bits & 1 for name in (pictures if layout is None else layout.used)):
        raise InputError(f"the zip {label} is encrypted; unpack it with its password and give the folder")
    used = layout.used if layout is not None else frozenset(pictures)

    def identity() -> str:
        mark = hashlib.sha256()
        for name in (name for name in names if name in used):  # the table of contents holds each member's size and checksum
            mark.update(os.fsencode(name) + f"\0{kept[name].file_size} {kept[name].CRC}\0".encode())
        return mark.hexdigest()

    source = _of_shelf("zip", place, shelf, pictures, layout, identity, read_member, [])
    if strange:
        source.notes.append(
            f"{len(strange)} members have names that point outside the zip (the first: {shown(strange[0])}); "
            "nothing is unpacked, so they are harmless"
        )
    return source


def _open_inner(place: Path, name: str, read_member: Callable[[str], bytes], clips: bool) -> Source:
    """An npz in a zip."""
    from agon.data import arrays

    try:
        return arrays.open_npz(place, clips, (name, read_member(name)))
    except Unreadable as reason:
        raise InputError(f"{shown(name)} in the zip {shown(str(place))} cannot be used: {reason}") from None


def _safe_name(name: str) -> str:
    return "/".join(part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("/", "..", "."))


def _hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


# --- what folders and zips share -----------------------------------------------------------------------------------


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _nothing_usable(where: str, names: list[str], refused: list[tuple[str, str]]) -> str:
    if not names and not refused:
        return f"{where} is empty; {_EXPECTED}"
    kinds = Counter(_suffix(name) or "no suffix" for name in names).most_common(4)
    saw = ", ".join(f"{count} × {suffix}" for suffix, count in kinds) or "no files"
    more = f"; not entered: {refused[0][0]} ({refused[0][1]})" if refused else ""
    rename = "; rename plain text to .txt to train on its lines" if any(_suffix(name) in _PLAIN for name in names) else ""
    return f"{where} holds no usable image: saw {saw}{more}; {_EXPECTED}{rename}"


def _of_shelf(
    word: str, place: Path, shelf: Shelf, pictures: list[str], layout: Layout | None, identity: Callable[[], str],
    read_name: Callable[[str], bytes], refused: list[tuple[str, str]],
) -> Source:  # fmt: skip
    """The pictures or films of a folder or zip."""
    names = list(shelf.names)
    if layout is None:
        return _of_items(
            f"{word} of images", place, names, pictures, lambda index: shelf.read(pictures[index]), identity, read_name, refused,
            frozenset(pictures),
        )  # fmt: skip
    return _of_items(
        f"{word} of {layout.kind}", place, names, layout.names, layout.film, identity, read_name, refused, layout.used, moving=True
    )


def _of_items(
    kind: str,
    place: Path,
    names: list[str],
    items: list[str],
    read: Callable[[int], bytes | np.ndarray | Film],
    identity: Callable[[], str],
    read_name: Callable[[str], bytes],
    refused: list[tuple[str, str]],
    used: frozenset[str],
    moving: bool = False,
) -> Source:
    """Labels and splits by the names; `names` are all files, `items` the pictures or films, `used` the files they are made of, all sorted."""
    held, split_origin, bare = _own_split(items)
    found: Labelling = find_labels(bare, items, names, read_name)
    spoken = text_table(items, names, read_name) if moving else []
    told = {name for name in names if spoken and _suffix(name) == ".txt"}
    ignored = Counter(_suffix(name) or "no suffix" for name in names if name not in used and name not in told)
    for name in found.used_files:
        ignored[_suffix(name)] -= 1
    return Source(
        kind=kind,
        path=shown(str(place)),
        names=[shown(name) for name in items],
        read=read,
        identity=identity,
        labels=found.labels,
        classes=tuple(shown(name) for name in found.classes),
        label_origin=found.origin,
        table_first=found.table_first,
        tables=lambda: [*found.tables(), *spoken, *class_table(found.labels, found.classes, "folder", found.origin, items)],
        held=held,
        split_origin=split_origin,
        unreadable=[*refused, *((shown(name), reason) for name, reason in found.missing)],
        ignored=+ignored,
        notes=found.notes,
        used_files=found.used_files,
        moving=moving,
    )


def _own_split(pictures: list[str]) -> tuple[np.ndarray | None, str, list[str]]:
    """A first folder level of exactly train and test (or val) is a split; returns names without the shared prefix."""
    parts = [name.split("/") for name in pictures]
    depth = 0
    while len(parts) > 1 and all(len(p) > depth + 1 for p in parts) and len({p[depth] for p in parts}) == 1:
        depth += 1
    heads = {p[depth].lower() for p in parts if len(p) > depth + 1}
    complete = all(len(p) > depth + 1 for p in parts)
    if complete and len(heads) > 1 and heads <= set(_SPLITS) and {_SPLITS[head] for head in heads} == {True, False}:
        held = np.array([_SPLITS[p[depth].lower()] for p in parts])
        origin = " and ".join(sorted({p[depth] for p in parts}, key=lambda head: _SPLITS[head.lower()])) + " folders"
        return held, origin, ["/".join(p[depth + 1 :]) for p in parts]
    return None, "", ["/".join(p[depth:]) for p in parts]
