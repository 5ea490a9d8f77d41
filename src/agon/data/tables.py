"""Tables with pictures in a column: parquet files (extra: parquet) and hub data sets (extra: hub).

A picture is the bytes of a file, in a column of bytes or of {bytes, path}, as the hub writes them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agon.data import hub
from agon.data.columns import Table, name_classes
from agon.data.rows import files_identity
from agon.data.source import Source, shown
from agon.errors import InputError
from agon.spaces import Unreadable

_LABEL_COLUMNS = ("label", "labels", "fine_label", "class", "target", "y")


def open_parquet(places: Sequence[Path], path: str) -> Source:
    """Parquet files as one source; files whose name starts with test (or validation) are the held-out split. Raises InputError."""
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise InputError("reading .parquet needs pyarrow: pip install 'agon-gan[parquet]'") from None
    label = shown(path)
    is_test = {place: place.stem.lower().split("-")[0].split("_")[0] in hub.TEST_WORDS for place in places}
    if all(is_test.values()) or not any(is_test.values()):
        is_test = dict.fromkeys(places, False)
    ordered = sorted(places, key=lambda place: (is_test[place], str(place)))
    files, groups, starts, total = [], [], [], 0  # groups: (file, row group), whose first row is item starts[k]
    held_count = 0
    for place in ordered:
        try:
            file = parquet.ParquetFile(place)
        except Exception as error:  # arrow's errors share no base with OSError
            raise InputError(f"{shown(str(place))} is not a parquet file that can be read: {str(error).splitlines()[0]}") from None
        files.append(file)
        for group in range(file.num_row_groups):
            groups.append((len(files) - 1, group))
            starts.append(total)
            total += file.metadata.row_group(group).num_rows
            held_count += file.metadata.row_group(group).num_rows if is_test[place] else 0
    if total == 0:
        raise InputError(f"{label} holds no row; expected a row an image")
    schema = files[0].schema_arrow
    image_column, label_column = _columns(schema, label)
    if any(not {image_column} <= set(file.schema_arrow.names) for file in files):
        raise InputError(f"{label}: not every file has the column {image_column!r}; give the files of one data set")
    if label_column is not None and any(label_column not in file.schema_arrow.names for file in files):
        label_column = None
    cached: dict[str, Any] = {}

    def read(index: int) -> bytes:
        which = int(np.searchsorted(starts, index, side="right")) - 1
        if cached.get("group") != which:
            number, group = groups[which]
            cached.clear()
            try:
                cached["column"] = files[number].read_row_group(group, columns=[image_column]).column(0)
            except Exception as error:
                raise Unreadable(f"its row group is damaged: {str(error).splitlines()[0]}") from None
            cached["group"] = which
        return _bytes_of(cached["column"][index - starts[which]].as_py())

    def cells(column: str) -> list[Any]:
        try:
            return [v for file in files for v in file.read(columns=[column]).column(0).to_pylist()]
        except Exception as error:
            raise InputError(f"{label}: the column {column!r} cannot be read: {str(error).splitlines()[0]}") from None

    others = _plain_columns(schema, image_column, files)
    named = {column: _class_names(schema, column) for column in others}
    table = _table(others, cells, named, f"{label}", lambda item: f"{label} row {item}")
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    if label_column is not None:
        labels, classes = _label_values(cells(label_column), _class_names(schema, label_column))
    digits = len(str(total))
    return Source(
        kind="parquet table",
        path=label,
        names=[f"row {k:0{digits}d}" for k in range(total)],
        read=read,
        identity=lambda: files_identity(ordered),
        labels=labels,
        classes=classes,
        label_origin=f"column {label_column}" if labels is not None else "",
        tables=lambda: [table] if others else [],
        held=np.arange(total) >= total - held_count if held_count else None,
        split_origin="its own test files" if held_count else "",
    )


def _columns(schema: Any, label: str) -> tuple[str, str | None]:
    import pyarrow as arrow

    def holds_pictures(kind: Any) -> bool:
        if arrow.types.is_struct(kind):
            kind = next((kind.field(k).type for k in range(kind.num_fields) if kind.field(k).name == "bytes"), None)
        return kind is not None and (arrow.types.is_binary(kind) or arrow.types.is_large_binary(kind))

    usable = [name for name in schema.names if holds_pictures(schema.field(name).type)]
    if not usable:
        listed = ", ".join(f"{name} ({schema.field(name).type})" for name in schema.names[:8])
        words = next((name for name in schema.names if arrow.types.is_string(schema.field(name).type)), None)
        text = f"; to train on the text in {words!r}, write it as .jsonl: pandas.read_parquet(FILE).to_json('NEW.jsonl', orient='records', lines=True)"
        raise InputError(
            f"{label} has no column of image bytes, only {listed or 'none'}; expected 'image' of bytes or {{bytes, path}}{text if words else ''}"
        )
    image = next((name for name in hub.IMAGE_COLUMNS if name in usable), usable[0])
    return image, next((name for name in _LABEL_COLUMNS if name in schema.names and name != image), None)


def _class_names(schema: Any, column: str) -> tuple[str, ...] | None:
    """Class names as the hub stores them in the schema's metadata."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        names = features[column]["names"]
        return tuple(str(name) for name in names) if isinstance(names, list) else None
    except (KeyError, TypeError, ValueError):
        return None


def _plain_columns(schema: Any, image: str, files: Sequence[Any]) -> tuple[str, ...]:
    """Columns of booleans, numbers, words or lists of words that every file has."""
    import pyarrow as arrow

    def plain(kind: Any) -> bool:
        of_words = arrow.types.is_string(kind) or arrow.types.is_large_string(kind) or arrow.types.is_dictionary(kind)
        return of_words or arrow.types.is_boolean(kind) or arrow.types.is_integer(kind) or arrow.types.is_floating(kind)

    def usable(kind: Any) -> bool:
        return plain(kind) or ((arrow.types.is_list(kind) or arrow.types.is_large_list(kind)) and plain(kind.value_type))

    names = [name for name in schema.names if name != image and usable(schema.field(name).type)]
    return tuple(name for name in names if all(name in file.schema_arrow.names for file in files))


def _table(
    columns: tuple[str, ...], cells: Callable[[str], list[Any]], named: Mapping[str, tuple[str, ...] | None], origin: str,
    where: Callable[[int], str],
) -> Table:  # fmt: skip
    """The columns beside the pictures; where the file names the values of a whole-number column, as the names."""

    def told(column: str) -> list[Any]:
        values, names = cells(column), named.get(column)
        if not names:
            return values
        return [names[v] if isinstance(v, int) and 0 <= v < len(names) else None if v == -1 else v for v in values]

    return Table(columns, told, origin, where)


def _label_values(values: list[Any], names: tuple[str, ...] | None) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Classes int64 [N] and their names; None where the column holds something else, which its table then tells."""
    present = [k for k, value in enumerate(values) if value is not None]
    if not present:
        return None, ()
    if any(not isinstance(values[k], (int, str)) or (isinstance(values[k], str) and set(values[k]) & {";", "|"}) for k in present):
        return None, ()
    labels = np.full(len(values), -1, dtype=np.int64)
    if names and all(isinstance(values[k], int) and -1 <= values[k] < len(names) for k in present):
        labels[present] = [values[k] for k in present]
        return labels, names
    labels[present], classes = name_classes([values[k] for k in present])
    return labels, classes


def _bytes_of(value: Any) -> bytes:
    raw = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(raw, bytes):
        raise Unreadable("no image bytes in this row")
    return raw


def open_hub(name: str) -> Source:
    """A data set of the Hugging Face hub, "NAME" or "NAME:CONFIG", through `datasets`. Raises InputError if it cannot be had."""
    splits, train, test = hub.splits_of(name)
    features = splits[train].features
    column = next((key for key in hub.IMAGE_COLUMNS if key in features), None)
    if column is None:
        raise InputError(f"the hub data set {name!r} has no image column, only {', '.join(list(features)[:8])}; expected 'image'")
    from datasets import Image as HubImage  # type: ignore[import-not-found,unused-ignore]

    undecoded = HubImage(decode=False)
    parts = [splits[key].cast_column(column, undecoded) for key in (train, test) if key]
    label_column = next((key for key in _LABEL_COLUMNS if key in features), None)
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    if label_column is not None:
        values = [value for part in parts for value in part[label_column]]
        names = getattr(features[label_column], "names", None)
        labels, classes = _label_values(values, tuple(names) if names else None)
    first, total = len(parts[0]), sum(len(part) for part in parts)
    others = tuple(key for key in features if key != column and all(key in part.features for part in parts))
    named = {key: tuple(getattr(features[key], "names", None) or ()) for key in others}
    table = _table(
        others, lambda key: [value for part in parts for value in part[key]], named, f"hf:{name}", lambda item: f"hf:{name} row {item}"
    )

    def read(index: int) -> bytes:
        part, row = (parts[0], index) if index < first else (parts[1], index - first)
        return _bytes_of(part[row][column])

    prints = [str(getattr(part, "_fingerprint", "")) for part in parts]
    return Source(
        kind="hub data set",
        path=f"hf:{name}",
        names=[f"{train} {k}" if k < first else f"{test} {k - first}" for k in range(total)],
        read=read,
        identity=lambda: hashlib.sha256(f"{name} {total} {prints}".encode()).hexdigest(),
        labels=labels,
        classes=classes,
        label_origin=f"column {label_column}" if labels is not None else "",
        tables=lambda: [table] if others else [],
        held=np.arange(total) >= first if len(parts) > 1 else None,
        split_origin=f"its own {test} split" if len(parts) > 1 else "",
    )
