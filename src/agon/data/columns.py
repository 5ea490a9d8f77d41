"""Columns of a table beside the samples, and what they can condition on: exclusive classes, tags, numbers, or the words of captions.

A cell is text (CSV), or a JSON value. What a column is follows from all of its cells:

binary  0/1, -1/1, true/false, yes/no         -> one tag
number  every cell is a finite number         -> one number
lists   JSON lists, or words joined by ; or | -> a tag for each distinct word
words   anything else                         -> classes, a tag for each distinct word, or captions
empty   no cell says anything
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from agon.data.captions import encode_known, vocabulary
from agon.errors import InputError, suggest

Kind = Literal["classes", "tags", "numbers", "words"]
ColumnKind = Literal["binary", "number", "lists", "words", "empty"]
MOSTLY = 0.75  # a column of words with this share of numbers was meant to hold numbers
LEAST_A_TAG = 4  # a word on fewer samples than this is no tag: nothing could be learnt of it
MOST_TAGS = 512
_NOTHING = frozenset(("", "nan", "na", "n/a", "null"))
_BINARY = {"0": 0.0, "1": 1.0, "-1": 0.0, "true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}


@dataclass
class Table:
    """Columns of values, one value a sample; None where the table says nothing of a sample."""

    names: tuple[str, ...]
    cells: Callable[[str], Sequence[Any]]  # by column name: text, numbers, booleans, lists or None, in the samples' order
    origin: str  # "labels.csv"
    where: Callable[[int], str]  # a sample in words, for messages: "labels.csv row 12 (a.png)"
    missing: tuple[tuple[str, str], ...] = ()  # what it names that is not there, and a word about it
    file: str = ""  # the file it comes from, if it is one among the samples
    says: Kind | None = None  # what the table itself calls its columns


@dataclass(frozen=True)
class Condition:
    """What samples are conditioned on."""

    kind: Kind
    names: tuple[str, ...]  # of the classes, the tags or the numbers; the vocabulary of captions
    # classes int64 [N], -1 unknown; float64, NaN unknown: tags [N, k] of 0 and 1, numbers [N, k] in their own units, captions [N, L] of
    # word numbers (captions.py)
    values: np.ndarray
    origin: str
    notes: tuple[str, ...] = ()  # what was left out, and why


@dataclass(frozen=True)
class Column:
    """A column that has been looked at. values: one a sample: float (binary, number), list of words, a word; None unknown.

    spoilt: it is words only because of a few cells among numbers, which `as_numbers` names.
    """

    name: str
    kind: ColumnKind
    values: list[Any]
    spoilt: bool = False


def known(values: np.ndarray) -> np.ndarray:
    """Which samples have a label: bool [N] of classes int64 [N] or of tags or numbers float64 [N, k]."""
    return values >= 0 if values.ndim == 1 else ~np.isnan(values).any(axis=1)


def find_column(table: Table, name: str) -> str:
    """The column called `name`, whatever the case. Raises InputError with a suggestion."""
    if name in table.names:
        return name
    same = [column for column in table.names if column.strip().lower() == name.strip().lower()]
    if len(same) == 1:
        return same[0]
    listed = ", ".join(table.names[:40]) + (" …" if len(table.names) > 40 else "")
    raise InputError(f"columns names {name!r}; {table.origin} has {listed or 'none'}.{suggest(name, table.names)}")


def read_column(table: Table, name: str) -> Column:
    """Look at every cell of a column and say what it holds."""
    cells = [_plain(cell) for cell in table.cells(name)]
    seen = {cell for cell in cells if isinstance(cell, (str, float)) and not _unsaid(cell)}
    if any(isinstance(cell, tuple) for cell in cells):
        return Column(name, "lists", [_words(cell) for cell in cells])
    if not seen:
        return Column(name, "empty", [None] * len(cells))
    spoken = {cell: _BINARY.get(_text(cell).lower()) for cell in seen}
    signs = {_text(cell) for cell in seen}
    if None not in spoken.values() and not {"0", "-1"} <= signs:
        return Column(name, "binary", [spoken.get(cell) for cell in cells])
    read = {cell: _number(cell) for cell in seen}
    finite = {cell for cell, value in read.items() if value is not None and math.isfinite(value)}
    if finite == seen:
        return Column(name, "number", [read.get(cell) for cell in cells])
    if any(";" in cell or "|" in cell for cell in seen if isinstance(cell, str)):
        return Column(name, "lists", [_words(cell) for cell in cells])
    said = [cell for cell in cells if cell in seen]
    # Infinite values alone are no words; of words, few among many numbers are taken for slips.
    spoilt = None not in read.values() or sum(cell in finite for cell in said) >= MOSTLY * len(said)
    return Column(name, "words", [_text(cell) if cell in seen else None for cell in cells], spoilt)


def as_classes(table: Table, column: Column) -> Condition:
    """One class a sample, by the distinct cells as they are written. Raises InputError for lists."""
    if column.kind == "lists":
        raise InputError(
            f"column '{column.name}' of {table.origin} holds several words a sample, which are tags, not classes: use condition=tags"
        )
    cells = [_plain(cell) for cell in table.cells(column.name)]
    present = [k for k, cell in enumerate(cells) if not _unsaid(cell)]
    values = np.full(len(cells), -1, dtype=np.int64)
    values[present], names = name_classes([_text(cells[k]) for k in present])
    return Condition("classes", names, values, table.origin)


def as_tags(columns: Sequence[Column], origin: str) -> Condition:
    """Tags of binary columns (called as the column is) and of the words in the others, rare words left out.

    A word that two columns share is called column=word in each. Raises InputError for columns of numbers, or if no tag is left.
    """
    size = len(columns[0].values)
    words = {column.name: _counted(column) for column in columns if column.kind in ("lists", "words")}
    shared = Counter(word for counts in words.values() for word in counts)
    shared.update(column.name for column in columns if column.kind == "binary")
    names: list[str] = []
    planes: list[np.ndarray] = []
    notes: list[str] = []
    unknown = np.zeros(size, dtype=bool)
    for column in columns:
        if column.kind == "number":
            raise InputError(f"column '{column.name}' of {origin} holds numbers; expected 0 and 1, or words: use condition=numbers for it")
        if column.kind == "empty":
            notes.append(f"column '{column.name}' is empty")
            continue
        unknown |= np.array([value is None for value in column.values])
        if column.kind == "binary":
            names.append(column.name)
            planes.append(np.array([value or 0.0 for value in column.values]))
            continue
        counts = words[column.name]
        kept = sorted(word for word, count in counts.most_common(MOST_TAGS) if count >= LEAST_A_TAG)
        if len(kept) < len(counts):
            notes.append(
                f"{len(counts) - len(kept)} words of '{column.name}' left out, on fewer than {LEAST_A_TAG} samples each or too many"
            )
        place = {word: k for k, word in enumerate(kept)}
        plane = np.zeros((size, len(kept)))
        for row, value in enumerate(column.values):
            for word in (value,) if isinstance(value, str) else value or ():
                if word in place:
                    plane[row, place[word]] = 1.0
        names += [word if shared[word] == 1 else f"{column.name}={word}" for word in kept]
        planes += list(plane.T)
    if not names:
        raise InputError(
            f"{origin}: no tag is on {LEAST_A_TAG} samples or more in {_list_names(columns)}; use other columns or --labels ignore"
        )
    values = np.stack(planes, axis=1)
    values[unknown] = np.nan
    return Condition("tags", tuple(names), values, origin, tuple(notes))


def as_numbers(table: Table, columns: Sequence[Column]) -> Condition:
    """One number a column, in the table's own units. Raises InputError naming the first cell that is no finite number."""
    planes = []
    for column in columns:
        if column.kind in ("words", "lists"):
            for row, cell in enumerate(table.cells(column.name)):
                plain = _plain(cell)
                value = None if isinstance(plain, tuple) else _number(plain)
                if not _unsaid(plain) and (value is None or not math.isfinite(value)):
                    raise InputError(
                        f"{table.where(row)}: '{column.name}' is {str(cell)[:60]!r}; expected a finite number, or nothing where it is "
                        f"unknown. Correct the cell, or take the column for words: --columns {column.name} --condition classes"
                    )
        cells = [_plain(cell) for cell in table.cells(column.name)]
        planes.append([math.nan if _unsaid(cell) else float(cell) for cell in cells])
    return Condition("numbers", tuple(column.name for column in columns), np.array(planes, dtype=np.float64).T, table.origin)


def as_captions(table: Table, column: Column) -> Condition:
    """The words of one sentence a sample, the first where a cell has several. Raises InputError for numbers and where there is no word."""
    if column.kind in ("number", "binary", "empty"):
        raise InputError(f"column '{column.name}' of {table.origin} holds no sentences ({column.kind}); expected a caption a sample")
    cells = [_plain(cell) for cell in table.cells(column.name)]
    several = sum(isinstance(cell, tuple) and len(cell) > 1 for cell in cells)
    first = [(cell[0] if cell else None) if isinstance(cell, tuple) else None if _unsaid(cell) else _text(cell) for cell in cells]
    words = vocabulary(caption for caption in first if caption)
    if not words:
        raise InputError(f"column '{column.name}' of {table.origin} has no words; expected a caption a sample")
    notes = (f"{several} samples have several captions; the first of each is used",) if several else ()
    return Condition("words", words, encode_known(first, words), table.origin, notes)


def exclusive(columns: Sequence[Column], origin: str) -> Condition | None:
    """Several binary columns of which exactly one is 1 on every sample are classes written as one-hot; None if they are not."""
    if len(columns) < 2 or any(column.kind != "binary" for column in columns):
        return None
    values = np.array([[math.nan if v is None else v for v in column.values] for column in columns]).T
    there = known(values)
    if not there.any() or not (values[there].sum(axis=1) == 1).all():
        return None
    which = np.where(there, np.nan_to_num(values).argmax(axis=1), -1).astype(np.int64)
    return Condition("classes", tuple(column.name for column in columns), which, origin, ("one-hot columns",))


def name_classes(values: Sequence[str | int]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Label values -> (class index of each, int64 [N]; class names), numbers in number order, words in alphabet order."""
    texts = [str(value) for value in values]
    distinct = set(texts)
    numeric = all(text.lstrip("-").isascii() and text.lstrip("-").isdigit() for text in distinct)
    ordered = sorted(distinct, key=lambda text: (int(text), text)) if numeric else sorted(distinct)
    place = {text: k for k, text in enumerate(ordered)}
    return np.array([place[text] for text in texts], dtype=np.int64), tuple(ordered)


def _counted(column: Column) -> Counter[str]:
    return Counter(word for value in column.values if value is not None for word in ((value,) if isinstance(value, str) else value))


def _list_names(columns: Sequence[Column]) -> str:
    return ", ".join(repr(column.name) for column in columns[:8])


def _plain(cell: Any) -> Any:
    """A cell as text, float, a tuple of words, or None; a text that is a JSON list counts as that list."""
    if cell is None or isinstance(cell, float):
        return cell
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, (int, np.integer)):
        return str(int(cell))
    if isinstance(cell, np.floating):
        return float(cell)
    if isinstance(cell, str):
        text = cell.strip()
        if text.startswith("[") and text.endswith("]"):
            try:
                content = json.loads(text)
            except (ValueError, RecursionError):
                return text
            return _plain(content) if isinstance(content, list) else text
        return text
    if isinstance(cell, (list, tuple)):
        return tuple(str(word).strip() for word in cell if word is not None and str(word).strip())
    return str(cell)


def _unsaid(cell: Any) -> bool:
    return cell is None or (isinstance(cell, float) and math.isnan(cell)) or (isinstance(cell, str) and cell.lower() in _NOTHING)


def _text(cell: Any) -> str:
    """A cell as a name: 3.0 and 3 are one."""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return str(int(cell))
    return str(cell)


def _number(cell: Any) -> float | None:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return None


def _words(cell: Any) -> tuple[str, ...] | None:
    """The words of a cell: no words in an empty one; None where nothing is said."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return None
    if isinstance(cell, tuple):
        return tuple(dict.fromkeys(cell))
    separator = ";" if ";" in str(cell) else "|"
    return tuple(dict.fromkeys(word.strip() for word in str(cell).split(separator) if word.strip()))
