"""Which columns a game is conditioned on, and how: what was asked for, or what the table suggests, with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from agon.data.captions import CAPTION_WORDS
from agon.data.columns import (
    Column,
    Condition,
    Table,
    as_captions,
    as_classes,
    as_numbers,
    as_tags,
    exclusive,
    find_column,
    known,
    read_column,
)
from agon.data.request import Data
from agon.data.source import Source
from agon.data.tablefile import LABEL_WORDS, find_word
from agon.errors import InputError

LEAST_A_CLASS = 4  # fewer samples a class than this on average, and "auto" leaves the labels out
TAG_WORDS = ("tags", "attributes", "keywords")
FEW_WORDS = 64  # a column with more distinct words than this is text, not a condition, unless it is asked for by name
_NO_NUMBER = ("id", "index", "idx", "row", "unnamed: 0", "split", "fold", "seed")


def choose_condition(source: Source, data: Data) -> tuple[Source, bool, str]:
    """The source with the labels to use, whether they are used, and why. Raises InputError when what was asked for is not there."""
    if data.labels == "ignore":
        return source, False, "ignored: asked for"
    asked = bool(data.columns) or data.condition != "auto"
    if asked:
        source = _with(source, _asked(source, data))
    elif source.labels is None or source.table_first:
        for place, table in enumerate(source.tables()):
            try:
                found = infer(table)
            except InputError as error:
                if place == 0 and source.table_first:
                    raise  # the table is there to condition on: to train without it is no guess to make
                source = replace(source, notes=[*source.notes, f"not used: {error}"])
                continue
            if found is not None:
                source = _with(source, found)
                break
            if source.labels is not None:
                break
    return source, *_decide(source, "use" if asked else data.labels)


def infer(table: Table) -> Condition | None:
    """What a table suggests: its label column; else its tags; else its 0/1 columns; else its numbers; else its one column of words.

    Raises InputError, with the place, for a cell that is no number in the numbers it would suggest.
    """
    label = find_word(table.names, LABEL_WORDS)
    if label is not None:
        column = read_column(table, label)
        if column.kind == "lists":
            return _as_tags([column], table)
        if column.kind == "number" and any(value is not None and value != int(value) for value in column.values):
            return as_numbers(table, [column])
        if column.spoilt and _measured(column):
            return as_numbers(table, [column])  # says which cell
        return None if column.kind == "empty" else as_classes(table, column)
    columns = [read_column(table, name) for name in table.names]
    if table.says is not None:
        return as_numbers(table, _varied(columns)) if table.says == "numbers" else _as_tags(columns, table)
    tags = find_word([column.name for column in columns if column.kind in ("lists", "words")], TAG_WORDS)
    if tags is not None:
        return _as_tags([column for column in columns if column.name == tags], table)
    binary = [column for column in columns if column.kind == "binary"]
    if binary:
        return exclusive(binary, table.origin) or _as_tags(binary, table)
    numbers = _varied(_numbers(columns))
    if numbers:
        return as_numbers(table, numbers)
    words = [column for column in columns if column.kind == "words" and _few(column)]
    return as_classes(table, words[0]) if len(words) == 1 else None


def _as_tags(columns: Sequence[Column], table: Table) -> Condition | None:
    try:
        return as_tags(columns, table.origin)
    except InputError:  # every word is too rare for a tag: nobody asked for it, so nothing is wrong
        return None


def _asked(source: Source, data: Data) -> Condition:
    tables = source.tables()
    if not tables:
        raise InputError(
            f"{_wish(data)} was asked for, but {source.path} has neither classes nor a table; give class sub-folders, or a labels.csv "
            "(file,smile,age), metadata.jsonl, a parquet file or an npz with more columns"
        )
    failure: InputError | None = None
    for table in tables:
        try:
            return _build(table, data)
        except InputError as error:
            failure = failure or error
    assert failure is not None
    raise failure


def _build(table: Table, data: Data) -> Condition:
    """The condition that was asked for, from this table. Raises InputError."""
    if data.columns:
        columns = [read_column(table, find_column(table, name)) for name in data.columns]
        kind = data.condition if data.condition != "auto" else _kind_of(table, columns)
    else:
        kind = data.condition
        columns = _suitable(table, kind)
    empty = next((column.name for column in columns if column.kind == "empty"), None)
    if data.columns and empty is not None:
        raise InputError(f"column '{empty}' of {table.origin} is empty; expected a value a sample: choose another")
    if kind == "tags":
        return as_tags(columns, table.origin)
    if kind == "captions":
        if len(columns) > 1:
            listed = ", ".join(column.name for column in columns[:8])
            raise InputError(
                f"captions from {len(columns)} columns ({listed}) of {table.origin}; name the one column that holds the sentences"
            )
        return as_captions(table, columns[0])
    if kind == "numbers":
        found = as_numbers(table, columns)
        spread = np.nanmax(found.values, axis=0) - np.nanmin(found.values, axis=0) if known(found.values).any() else np.zeros(0)
        for name, width in zip(found.names, spread, strict=False):
            if width == 0:
                raise InputError(
                    f"column '{name}' of {table.origin} has one value everywhere, which teaches nothing; leave it out of columns"
                )
        return found
    if len(columns) == 1:
        return as_classes(table, columns[0])
    one_hot = exclusive(columns, table.origin)
    if one_hot is None:
        listed = ", ".join(column.name for column in columns[:8])
        raise InputError(
            f"classes from {len(columns)} columns ({listed}) need exactly one 1 a sample; name one column, as in --columns {columns[0].name}, "
            "or use condition=tags"
        )
    return one_hot


def _kind_of(table: Table, columns: Sequence[Column]) -> str:
    if len(columns) == 1 and columns[0].name.strip().lower() in CAPTION_WORDS and columns[0].kind == "words" and not _few(columns[0]):
        return "captions"
    kinds = {"number" if column.spoilt else column.kind for column in columns} - {"empty"}
    if kinds <= {"binary"}:
        return "tags" if exclusive(columns, table.origin) is None else "classes"
    if kinds <= {"binary", "number"}:
        return "numbers"
    if kinds == {"words"} and len(columns) == 1:
        return "classes"
    if kinds <= {"binary", "lists", "words"}:
        return "tags"
    number = next(column.name for column in columns if column.kind == "number" or column.spoilt)
    word = next(column.name for column in columns if column.kind in ("words", "lists") and not column.spoilt)
    raise InputError(f"columns '{number}' (numbers) and '{word}' (words) of {table.origin} do not go together; name columns of one kind")


def _suitable(table: Table, kind: str) -> list[Column]:
    """The columns of a table that can be of the kind asked for. Raises InputError saying what is there."""
    every = [read_column(table, name) for name in table.names]
    if kind == "captions":
        named = find_word(table.names, CAPTION_WORDS)
        found = [c for c in every if c.name == named and c.kind in ("words", "lists")]
    elif kind == "numbers":
        found = _varied(_numbers(every)) or [c for c in every if c.kind == "binary"]
    elif kind == "tags":
        found = [c for c in every if c.kind in ("binary", "lists")] or [c for c in every if c.kind == "words" and _few(c)]
    else:
        label = find_word(table.names, LABEL_WORDS)
        found = [c for c in every if c.name == label and c.kind in ("binary", "number", "words")]
        found = found or [c for c in every if c.kind == "words" and _few(c)][:1] or [c for c in every if c.kind == "binary"]
    if not found:
        listed = ", ".join(f"{column.name} ({column.kind})" for column in every[:12]) + (" …" if len(every) > 12 else "")
        raise InputError(f"--condition {kind} was asked for, but {table.origin} has no column for it, only {listed or 'none'}")
    return found


def _numbers(columns: Sequence[Column]) -> list[Column]:
    return [column for column in columns if (column.kind == "number" or column.spoilt) and column.name.strip().lower() not in _NO_NUMBER]


def _measured(column: Column) -> bool:
    """Whether its numbers are measurements, not the numbers of classes: one is infinite or not whole."""
    return any(value is not None and _fractional(value) for value in column.values)


def _fractional(word: str) -> bool:
    try:
        return not float(word).is_integer()
    except ValueError:
        return False


def _varied(columns: Sequence[Column]) -> list[Column]:
    return [column for column in columns if len({value for value in column.values if value is not None}) > 1]


def _few(column: Column) -> bool:
    distinct = len(set(column.values) - {None})
    return 2 <= distinct <= min(FEW_WORDS, len(column.values) // LEAST_A_CLASS)


def _with(source: Source, found: Condition) -> Source:
    """The source labelled by this condition; what its table names in vain is told."""
    table = next((table for table in source.tables() if table.origin == found.origin), None)
    missing = [row for row in (table.missing if table else ()) if row not in source.unreadable]
    ignored = source.ignored.copy()
    if table is not None and table.file and table.file not in source.used_files:
        ignored["." + table.file.rsplit(".", 1)[-1].lower()] -= 1
    return replace(
        source, labels=found.values, classes=found.names, label_kind=found.kind, label_origin=found.origin,
        unreadable=[*source.unreadable, *missing], ignored=+ignored, notes=[*source.notes, *found.notes],
    )  # fmt: skip


def _wish(data: Data) -> str:
    return f"--columns {','.join(data.columns)}" if data.columns else f"--condition {data.condition}"


def _decide(source: Source, wanted: str) -> tuple[bool, str]:
    """Whether the labels found are used, and why. Raises InputError when they are asked for and there are none."""
    if source.labels is None:
        if wanted == "use":
            raise InputError(
                f"--labels use, but {source.path} has none; give class sub-folders, a labels.csv (file,label), "
                "a dataset.json or an array y, or leave --labels out"
            )
        return False, "none: no class sub-folders, labels.csv, dataset.json or array of labels"
    there = known(source.labels)
    total, missing = len(there), int((~there).sum())
    if not there.any():
        if wanted == "use":
            raise InputError(f"{source.label_origin} has no value for any sample of {source.path}; expected one a sample")
        return False, f"ignored: {source.label_origin} has no value for any sample"
    found, too_few = _told(source, source.labels[there])
    if wanted == "use":
        return True, f"used: {found}" + (f"; {missing} images without a label are left out" if missing else ", asked for")
    if missing:
        return False, f"ignored: {missing} of {total} images have no label ({found}); --labels use trains on the labelled ones"
    return (False, f"ignored: {too_few}") if too_few else (True, f"used: {found}")


def _told(source: Source, present: np.ndarray) -> tuple[str, str]:
    """What was found, in words, and why "auto" leaves it out ("" if it does not). present: the known labels."""
    origin = source.label_origin
    if source.label_kind == "classes":
        classes = len(np.unique(present))
        found = f"{classes} classes from {origin}"
        if classes < 2:
            return found, f"only one class ({origin})"
        if len(present) < LEAST_A_CLASS * classes:
            return found, f"{found} for {len(present)} images, fewer than {LEAST_A_CLASS} each; --labels use insists"
        return found, ""
    if source.label_kind == "tags":
        found = f"{_plural(len(source.classes), 'tag')} ({_listed(source.classes)}) from {origin}"
        return found, "" if (present != present[0]).any() else f"every image has the same tags ({origin})"
    if source.label_kind == "words":
        told = f"captions of {_plural(len(source.classes), 'word')} ({_listed(source.classes)}) from {origin}"
        return told, "" if (present != present[0]).any() else f"every sample has the same caption ({origin})"
    low, high = present.min(axis=0), present.max(axis=0)
    ranges = [f"{name} {a:g} to {b:g}" for name, a, b in zip(source.classes, low, high, strict=True)]
    return f"{_plural(len(source.classes), 'number')} ({_listed(ranges)}) from {origin}", ""


def _plural(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _listed(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (" …" if len(names) > most else "")
