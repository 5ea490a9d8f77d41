"""Tables beside pictures: CSV, TSV, JSON and JSON lines, with a column that names the picture and columns that say something of it.

labels.csv                          file,smile,hat,age
                                    a.png,1,0,31
metadata.jsonl                      {"file_name": "a.png", "tags": ["smile"], "age": 31}
metadata.json                       [{"file": "a.png", "tags": "smile;hat"}] or {"a.png": {"age": 31}}
dataset.json (StyleGAN's layout)    {"labels": [["a.png", [0.3, 1.5]]], "numbers": ["age", "height"]}
list_attr_celeba.txt                a count, a line of names, and then "a.jpg -1 1 -1" a picture
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agon.data.columns import Kind, Table
from agon.errors import InputError

FILE_WORDS = ("file", "filename", "file_name", "path", "image", "image_id", "name", "id")
LABEL_WORDS = ("label", "class", "category", "target", "labels", "y")
_STEMS = (  # the first is used before folder names
    "labels",
    "metadata",
    "attributes",
    "conditions",
    "tags",
    "numbers",
    "annotations",
    "list_attr_celeba",
    "captions",
)
_SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".txt")
TABLE_FILES = tuple(stem + suffix for stem in _STEMS for suffix in _SUFFIXES if (suffix != ".txt" or stem == "list_attr_celeba"))


@dataclass(frozen=True)
class Rows:
    """A table as it is written: `columns` without the one that names the picture, and for each row its file, cells and place."""

    columns: tuple[str, ...]
    files: list[str]
    cells: Sequence[Sequence[Any]]
    places: list[str]  # "row 3", "item 3"
    says: Kind | None = None


def find_word(names: Sequence[str], words: Sequence[str]) -> str | None:
    """The first of `words` among `names`, whatever the case, as it is written there."""
    lower = [name.strip().lower() for name in names]
    return next((names[lower.index(word)] for word in words if word in lower), None)


def parse_table(raw: bytes, name: str) -> Rows:
    """The rows of a table file, its kind by the name's suffix. Raises InputError naming the file and the row."""
    suffix = os.path.splitext(name)[1].lower()
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raw = raw.decode("utf-16", "replace").encode()
    if suffix == ".jsonl":
        return _parse_lines(raw, name)
    if suffix == ".json":
        return _parse_json(raw, name)
    return _parse_celeba(raw, name) if suffix == ".txt" else _parse_csv(raw, name)


def _parse_csv(raw: bytes, name: str) -> Rows:
    text = os.fsdecode(raw.removeprefix(b"\xef\xbb\xbf")).lstrip("\r\n")
    first = text.split("\n", 1)[0]
    if not first.strip():
        raise InputError(f"{name} has no header; expected a first line 'file,label' and then one line an image")
    delimiter = max(",;\t", key=first.count)
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row]
    except csv.Error as error:
        raise InputError(f"{name} is not a table that can be read ({error}); expected lines 'file,label'") from None
    header = [word.strip() for word in rows[0]]
    file_column = find_word(header, FILE_WORDS)
    others = [k for k, word in enumerate(header) if word and word != file_column]
    if file_column is None or not others:
        raise InputError(
            f"{name} starts with {first.strip()[:80]!r}; expected a header with the column file and others, such as file,label or file,smile,age"
        )
    _refuse_twice([header[k] for k in others], name)
    at, files, cells, places = header.index(file_column), [], [], []
    for line, row in enumerate(rows[1:], start=2):
        if len(row) <= max(at, *others):
            raise InputError(f"{name} row {line} has {len(row)} columns: {row!r}; expected {len(header)} as in the header")
        files.append(row[at].strip())
        cells.append([row[k].strip() for k in others])
        places.append(f"row {line}")
        if any("\udc80" <= letter <= "\udcff" for cell in cells[-1] if not cell.isascii() for letter in cell):
            # Names of files may hold any bytes; words may not, because unlike letters would become one class.
            shown = ", ".join(cells[-1])[:60].encode("utf-8", "replace").decode()
            raise InputError(
                f"{name} row {line} is not UTF-8: {shown!r}; expected UTF-8 text. Save it so: iconv -f latin1 -t utf-8 OLD > NEW"
            )
    if not files:
        raise InputError(f"{name} has a header but no rows; add a line 'file,label' an image, or remove it")
    return Rows(tuple(header[k] for k in others), files, cells, places)


def _parse_celeba(raw: bytes, name: str) -> Rows:
    lines = os.fsdecode(raw).splitlines()
    if len(lines) < 3 or not lines[0].strip().isdigit():
        raise InputError(f"{name} starts with {(lines or [''])[0][:80]!r}; expected a count, a line of names, and a line a picture")
    columns = tuple(lines[1].split())
    _refuse_twice(columns, name)
    rows = [(line, words) for line, text in enumerate(lines[2:], start=3) if (words := text.split())]
    for line, words in rows:
        if len(words) != len(columns) + 1:
            raise InputError(f"{name} row {line} has {len(words)} columns; expected a file and {len(columns)} values")
    return Rows(columns, [words[0] for _, words in rows], [words[1:] for _, words in rows], [f"row {line}" for line, _ in rows])


def _parse_lines(raw: bytes, name: str) -> Rows:
    records = []
    for line, text in enumerate(raw.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        if not text.strip():
            continue
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{name} row {line} is not JSON ({error}); expected an object a line") from None
        records.append((f"row {line}", record))
    return _of_records(records, name)


def _parse_json(raw: bytes, name: str) -> Rows:
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is not JSON ({error})") from None
    if isinstance(content, dict) and "labels" in content:
        return _parse_vectors(content, name)
    if isinstance(content, dict) and all(isinstance(value, dict) for value in content.values()):
        content = [{**value, "file": file} for file, value in content.items()]
    if not isinstance(content, list):
        raise InputError(f'{name} holds a {type(content).__name__}; expected [{{"file": "a.png", …}}, …] or {{"a.png": {{…}}, …}}')
    return _of_records([(f"item {k}", record) for k, record in enumerate(content)], name)


def _of_records(records: Sequence[tuple[str, Any]], name: str) -> Rows:
    columns: dict[str, None] = {}
    for place, record in records:
        if not isinstance(record, dict):
            raise InputError(f'{name} {place} is {str(record)[:60]}; expected an object such as {{"file": "a.png", "age": 31}}')
        columns |= dict.fromkeys(str(key) for key in record)
    file_column = find_word(list(columns), FILE_WORDS)
    others = tuple(column for column in columns if column != file_column)
    if file_column is None or not others:
        raise InputError(f"{name} has the names {', '.join(list(columns)[:8]) or 'none'}; expected 'file' and at least one more")
    files = []
    for place, record in records:
        if not isinstance(record.get(file_column), str):
            raise InputError(f"{name} {place} names no picture; expected a text under {file_column!r}")
        files.append(record[file_column])
    return Rows(others, files, [[record.get(column) for column in others] for _, record in records], [place for place, _ in records])


def _parse_vectors(content: dict[str, Any], name: str) -> Rows:
    """StyleGAN's layout with a vector a picture; "tags" or "numbers" may name its components."""
    labels = content["labels"]
    pairs = list(labels.items()) if isinstance(labels, dict) else labels
    if not isinstance(pairs, list) or not pairs or not all(isinstance(row, (list, tuple)) and len(row) == 2 for row in pairs):
        raise InputError(f'{name}: expected {{"labels": [["a.png", [0.1, 1.5]], …]}}, a vector a picture')
    width = len(pairs[0][1]) if isinstance(pairs[0][1], list) else 0
    for k, (file, vector) in enumerate(pairs):
        good = isinstance(vector, list) and all(isinstance(v, (int, float)) for v in vector)
        if not isinstance(file, str) or not good or len(vector) != width or width == 0:
            raise InputError(
                f"{name}: label {k} is {str(vector)[:60]}; expected a list of {width or 'some'} numbers, as many as the first has"
            )
    given = content.get("tags") or content.get("numbers") or [f"label {k}" for k in range(width)]
    if not isinstance(given, list) or len(given) != width or not all(isinstance(word, str) for word in given):
        raise InputError(
            f"{name}: {len(given) if isinstance(given, list) else given!r} names for vectors of {width}; expected a name a component"
        )
    _refuse_twice(given, name)
    says: Kind | None = "tags" if content.get("tags") else "numbers" if content.get("numbers") else None
    return Rows(tuple(given), [file for file, _ in pairs], [vector for _, vector in pairs], [f"label {k}" for k in range(len(pairs))], says)


def _refuse_twice(columns: Sequence[str], name: str) -> None:
    twice = next((column for k, column in enumerate(columns) if column in columns[:k]), None)
    if twice is not None:
        raise InputError(f"{name} has two columns called {twice!r}; expected a name of its own for each")


def match(rows: Rows, pictures: Sequence[str], name: str) -> Table:
    """The table by picture. Raises InputError when it names none of the pictures."""
    folder = name[: -len(name.split("/")[-1])]
    exact = {picture: k for k, picture in enumerate(pictures)}
    bare: dict[str, int | None] = {}
    for k, picture in enumerate(pictures):
        base = picture.split("/")[-1]
        for key in {base, base.rsplit(".", 1)[0]}:
            bare[key] = None if key in bare else k  # an ambiguous bare name matches nothing
    row_of = np.full(len(pictures), -1, dtype=np.int64)
    again: list[tuple[int, int]] = []  # a picture and a further row of it
    missing = []
    for row, file in enumerate(rows.files):
        file = file.replace("\\", "/").removeprefix("./")
        place = exact.get(folder + file, exact.get(file, bare.get(file)))
        if place is None:
            missing.append((file, f"named by {name} but not there"))
        elif row_of[place] < 0:
            row_of[place] = row
        else:
            again.append((place, row))
    if not (row_of >= 0).any():
        raise InputError(
            f"{name} names {len(missing)} files and none of them is there (the first: {missing[0][0] if missing else 'none'!r}); "
            "expected names relative to its own folder"
        )

    def cells(column: str) -> list[Any]:
        at = rows.columns.index(column)
        for place, row in again:
            one, other = rows.cells[row_of[place]][at], rows.cells[row][at]
            if one != other:
                what = "labels" if column.lower() in LABEL_WORDS else f"values of '{column}'"
                raise InputError(f"{name} gives {rows.files[row]!r} two {what}: {one!r} and {other!r}; keep one line an image")
        return [rows.cells[row][at] if row >= 0 else None for row in row_of.tolist()]

    def where(item: int) -> str:
        row = int(row_of[item])
        return f"{name} {rows.places[row]} ({rows.files[row]})" if row >= 0 else f"{name}, {pictures[item]}"

    return Table(rows.columns, cells, name.split("/")[-1], where, tuple(missing), name, rows.says)
