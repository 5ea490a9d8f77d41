"""Labels beside pictures: labels.csv and other tables, dataset.json (the StyleGAN layout), or class sub-folders."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from agon.data.columns import Kind, Table, name_classes
from agon.data.tablefile import TABLE_FILES, match, parse_table
from agon.errors import InputError
from agon.spaces import Unreadable

MAX_LABEL_FILE_BYTES = 256 * 2**20
_FIRST = tuple(name for name in TABLE_FILES if name.startswith("labels."))  # these are used before folder names, the others when asked for


@dataclass
class Labelling:
    """Labels in the order of the pictures; `labels` is None where nothing gives any."""

    labels: np.ndarray | None = None  # int64 [N], -1 where there is none
    classes: tuple[str, ...] = ()
    origin: str = ""
    missing: list[tuple[str, str]] = field(default_factory=list)  # named by the label file, but not there
    used_files: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: list[Callable[[], Table]] = field(default_factory=list)  # tables beside the pictures, unread
    table_first: bool = False  # the first of them comes before `labels`
    _read: list[Table] | None = None

    def tables(self) -> list[Table]:
        """The tables beside the pictures, read once. Raises InputError where one that comes first cannot be understood; notes others."""
        if self._read is None:
            found: list[Table] = []
            for k, read in enumerate(self.files):
                try:
                    found.append(read())
                except InputError as error:
                    if k == 0 and self.table_first:
                        raise
                    self.notes.append(f"not used: {error}")
            self._read = found
        return self._read


def find_labels(bare: Sequence[str], pictures: Sequence[str], names: Sequence[str], read_name: Callable[[str], bytes]) -> Labelling:
    """Labels for `pictures` (full names; `bare` are the same without a shared or split prefix), from the best source.

    A labels file (.csv, .tsv, .jsonl, .json) or dataset.json anywhere above the pictures is used before folder names. `names` are all
    files; `read_name` gives the bytes of one. Raises InputError when a dataset.json is there but cannot be understood.
    """
    files: list[str] = []
    notes: list[str] = []
    for wanted in (*_FIRST, "dataset.json", *TABLE_FILES[len(_FIRST) :]):
        candidates = sorted((name for name in names if name.split("/")[-1].lower() == wanted), key=lambda name: (name.count("/"), name))
        files += candidates[:1]
        if len(candidates) > 1:
            notes.append(f"{len(candidates)} files are called {wanted}; {candidates[0]} is used")
    found = Labelling()
    first = files[0] if files else ""
    if first.split("/")[-1].lower() == "dataset.json" and not _holds_vectors(raw := _bytes_of(first, read_name)):
        rows, classes = parse_json(raw, first)
        files = files[1:]
        if rows is not None:
            found = _match(rows, classes, pictures, first)
            found.used_files = [first]
    if found.labels is None:
        found = _from_folders(bare)
    found.files = [partial(_read_table, name, pictures, read_name) for name in files]
    found.table_first = bool(files) and files[0].split("/")[-1].lower() in (*_FIRST, "dataset.json")
    found.notes += notes
    return found


def class_table(labels: np.ndarray | None, classes: Sequence[str], column: str, origin: str, items: Sequence[str]) -> list[Table]:
    """The classes that were found, as a table of one column: folders called 10, 20 and 30 can be numbers. [] without classes."""
    if labels is None:
        return []
    cells = [classes[k] if k >= 0 else None for k in labels.tolist()]
    return [Table((column,), lambda name: cells, origin, lambda item: items[item])]


def text_table(items: Sequence[str], names: Sequence[str], read_name: Callable[[str], bytes]) -> list[Table]:
    """Captions in text files called as the items are (a.mp4 and a.txt), where at least half of the items have one; else []."""
    there = set(names)
    beside = [item + ".txt" if item + ".txt" in there else item.rsplit(".", 1)[0] + ".txt" for item in items]
    if sum(name in there for name in beside) * 2 < len(items):
        return []

    def cells(column: str) -> list[str | None]:
        return [_sentence(read_name, name) if name in there else None for name in beside]

    return [Table(("caption",), cells, "text files", lambda item: beside[item])]


def _sentence(read_name: Callable[[str], bytes], name: str) -> str | None:
    """The first line that says anything."""
    lines = _bytes_of(name, read_name).removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").splitlines()
    return next((line.strip() for line in lines if line.strip()), None)


def matrix_table(values: np.ndarray, columns: tuple[tuple[str, ...], Kind | None], origin: str, path: str) -> Table:
    """Labels float64 [N, k] as a table; a column without a name is called by its number."""
    width, (names, says) = values.shape[1], columns
    if names and len(names) != width:
        raise InputError(f"{path}: {len(names)} names for labels of {width} columns; expected a name a column")
    names = names or (("y",) if width == 1 else tuple(f"y{k}" for k in range(width)))
    places = {name: k for k, name in enumerate(names)}
    if len(places) < width:
        raise InputError(f"{path}: two columns of labels have one name; expected a name of its own for each")
    return Table(names, lambda name: values[:, places[name]].tolist(), origin, lambda item: f"{path}, image {item}", says=says)


def _bytes_of(name: str, read_name: Callable[[str], bytes]) -> bytes:
    try:
        raw = read_name(name)
    except (OSError, Unreadable) as error:
        raise InputError(f"the label file {name} cannot be read: {error}; repair it or remove it") from None
    if len(raw) > MAX_LABEL_FILE_BYTES:
        raise InputError(f"the label file {name} has {len(raw)} bytes; the limit is {MAX_LABEL_FILE_BYTES}")
    return raw


def _holds_vectors(raw: bytes) -> bool:
    """Whether the first label of a dataset.json is a list, so that it is a table of tags or numbers."""
    try:
        labels = json.loads(raw)["labels"]
        return isinstance((list(labels.items()) if isinstance(labels, dict) else labels)[0][1], list)
    except (ValueError, RecursionError, KeyError, TypeError, IndexError):
        return False  # classes, or damaged: `parse_json` tells


def _read_table(name: str, pictures: Sequence[str], read_name: Callable[[str], bytes]) -> Table:
    return match(parse_table(_bytes_of(name, read_name), name), pictures, name)


def parse_json(raw: bytes, name: str) -> tuple[list[tuple[str, int]] | None, tuple[str, ...] | None]:
    """dataset.json -> ([(file, class index)] or None, class names or None). Raises InputError."""
    expected = 'expected {"labels": [["a.png", 0], ...]} with optional "classes": ["cat", ...]'
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is not JSON ({error}); {expected}") from None
    if not isinstance(content, dict):
        raise InputError(f"{name} holds a {type(content).__name__}; {expected}")
    rows = content.get("labels")
    if rows is None:  # StyleGAN's tool writes null for an unlabelled set
        return None, None
    rows = list(rows.items()) if isinstance(rows, dict) else rows
    if not isinstance(rows, list):
        raise InputError(f'{name}: "labels" is a {type(rows).__name__}; {expected}')
    pairs = []
    for k, row in enumerate(rows):
        if not (isinstance(row, (list, tuple)) and len(row) == 2 and isinstance(row[0], str)):
            raise InputError(f"{name}: label {k} is {str(row)[:80]}; {expected}")
        if isinstance(row[1], bool) or not isinstance(row[1], int) or not 0 <= row[1] < 2**31:
            raise InputError(f"{name}: the label of {row[0]!r} is {str(row[1])[:80]}; expected one class index from 0 up an image")
        pairs.append((row[0], row[1]))
    classes = content.get("classes")
    if classes is not None:
        if not isinstance(classes, list) or not all(isinstance(word, str) for word in classes):
            raise InputError(f'{name}: "classes" must be a list of names, got {str(classes)[:80]}')
        highest = max((index for _, index in pairs), default=-1)
        if highest >= len(classes):
            raise InputError(f"{name}: a label is {highest} but there are {len(classes)} classes; expected 0 to {len(classes) - 1}")
    return pairs, tuple(classes) if classes is not None else None


def _match(rows: Sequence[tuple[str, str | int]], classes: tuple[str, ...] | None, pictures: Sequence[str], name: str) -> Labelling:
    folder = name[: -len(name.split("/")[-1])]
    exact = {picture: k for k, picture in enumerate(pictures)}
    last: dict[str, int | None] = {}
    for k, picture in enumerate(pictures):
        base = picture.split("/")[-1]
        last[base] = None if base in last else k  # an ambiguous bare name matches nothing
    wanted: dict[int, str | int] = {}
    missing = []
    for file, value in rows:
        file = file.replace("\\", "/").removeprefix("./")
        place = exact.get(folder + file, exact.get(file, last.get(file)))
        if place is None:
            missing.append((file, f"named by {name} but not there"))
        elif wanted.setdefault(place, value) != value:
            raise InputError(f"{name} gives {file!r} two labels: {wanted[place]!r} and {value!r}; keep one line an image")
    if not wanted:
        raise InputError(
            f"{name} names {len(missing)} files and none of them is there (the first: {missing[0][0] if missing else 'none'!r}); "
            "expected names relative to its own folder"
        )
    labels = np.full(len(pictures), -1, dtype=np.int64)
    places = sorted(wanted)
    if classes is None:
        indices, classes = name_classes([wanted[k] for k in places])
    else:
        indices = np.array([int(wanted[k]) for k in places], dtype=np.int64)
    labels[places] = indices
    return Labelling(labels=labels, classes=classes, origin=name.split("/")[-1], missing=missing)


def _from_folders(bare: Sequence[str]) -> Labelling:
    heads = [name.split("/")[0] if "/" in name else None for name in bare]
    names = {head for head in heads if head is not None}
    if len(names) < 2:
        return Labelling()
    indices, classes = name_classes([head for head in heads if head is not None])
    labels = np.full(len(bare), -1, dtype=np.int64)
    labels[[k for k, head in enumerate(heads) if head is not None]] = indices
    return Labelling(labels=labels, classes=classes, origin="sub-folders")
