"""Labels beside pictures: labels.csv (file,label), dataset.json (the StyleGAN layout), or class sub-folders."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from agon.errors import InputError
from agon.spaces import Unreadable

_FILE_WORDS = ("file", "filename", "file_name", "path", "image", "name", "id")
_LABEL_WORDS = ("label", "class", "category", "target", "labels", "y")
MAX_LABEL_FILE_BYTES = 256 * 2**20


@dataclass
class Labelling:
    """Labels in the order of the pictures; `labels` is None where nothing gives any."""

    labels: np.ndarray | None = None  # int64 [N], -1 where there is none
    classes: tuple[str, ...] = ()
    origin: str = ""
    missing: list[tuple[str, str]] = field(default_factory=list)  # named by the label file, but not there
    used_files: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_labels(bare: Sequence[str], pictures: Sequence[str], names: Sequence[str], read_name: Callable[[str], bytes]) -> Labelling:
    """Labels for `pictures` (full names; `bare` are the same without a shared or split prefix), from the best source.

    A labels.csv or dataset.json anywhere above the pictures is used before folder names. `names` are all files;
    `read_name` gives the bytes of one. Raises InputError when a label file is there but cannot be understood.
    """
    for wanted, parse in (("labels.csv", parse_csv), ("dataset.json", parse_json)):
        candidates = [name for name in names if name.split("/")[-1].lower() == wanted]
        candidates.sort(key=lambda name: (name.count("/"), name))
        if candidates:
            name = candidates[0]
            try:
                raw = read_name(name)
            except (OSError, Unreadable) as error:
                raise InputError(f"the label file {name} cannot be read: {error}; repair it or remove it") from None
            if len(raw) > MAX_LABEL_FILE_BYTES:
                raise InputError(f"the label file {name} has {len(raw)} bytes; the limit is {MAX_LABEL_FILE_BYTES}")
            rows, classes = parse(raw, name)
            if rows is not None:
                found = _match(rows, classes, pictures, name)
                found.used_files = [name]
                if len(candidates) > 1:
                    found.notes.append(f"{len(candidates)} files are called {wanted}; {name} is used")
                return found
    return _from_folders(bare)


def parse_csv(raw: bytes, name: str) -> tuple[list[tuple[str, str]], tuple[str, ...] | None]:
    """labels.csv -> ([(file, label)], None). A header names the columns; comma, semicolon or tab. Raises InputError."""
    text = os.fsdecode(raw.removeprefix(b"\xef\xbb\xbf"))
    first = text.split("\n", 1)[0]
    if not first.strip():
        raise InputError(f"{name} has no header; expected a first line 'file,label' and then one line an image")
    delimiter = max(",;\t", key=first.count)
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row]
    except csv.Error as error:
        raise InputError(f"{name} is not a table that can be read ({error}); expected lines 'file,label'") from None
    header = [word.strip().lower() for word in rows[0]]
    columns = [next((header.index(w) for w in words if w in header), None) for words in (_FILE_WORDS, _LABEL_WORDS)]
    file_column, label_column = columns
    if file_column is None or label_column is None or file_column == label_column:
        raise InputError(f"{name} starts with {first.strip()[:80]!r}; expected a header with the columns file and label: file,label")
    pairs = []
    for line, row in enumerate(rows[1:], start=2):
        if len(row) <= max(file_column, label_column):
            raise InputError(f"{name} row {line} has {len(row)} columns: {row!r}; expected {len(header)} as in the header")
        pairs.append((row[file_column].strip(), row[label_column].strip()))
    if not pairs:
        raise InputError(f"{name} has a header but no rows; add a line 'file,label' an image, or remove it")
    return pairs, None


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


def name_classes(values: Sequence[str | int]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Label values -> (class index of each, int64 [N]; class names), numbers in number order, words in alphabet order."""
    texts = [str(value) for value in values]
    distinct = set(texts)
    numeric = all(text.lstrip("-").isascii() and text.lstrip("-").isdigit() for text in distinct)
    ordered = sorted(distinct, key=lambda text: (int(text), text)) if numeric else sorted(distinct)
    place = {text: k for k, text in enumerate(ordered)}
    return np.array([place[text] for text in texts], dtype=np.int64), tuple(ordered)


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
