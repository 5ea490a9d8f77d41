"""Named edits: directions with their size, kept as JSON in the run so that they can be found once and used by name.

    RUN/edits.json   {"format": 1, "edits": [{"name", "space", "direction", "layers", "scale", "method", "weights", "note"}, …]}

An edit of amount a moves a code by a · scale · direction. `weights` is the sha256 of the weights it was found on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from agon.errors import InputError, suggest
from agon.records import atomic_write

FILE = "edits.json"
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Edit:
    """A direction with a name. direction: of length 1; layers: of w it is applied to, None for all; scale: what an amount of 1 is."""

    name: str
    space: Literal["z", "w"]
    direction: tuple[float, ...]
    scale: float
    method: str
    weights: str
    layers: tuple[int, ...] | None = None
    note: str = ""


def to_json(edits: Iterable[Edit]) -> dict[str, Any]:
    """Edits as JSON data."""
    return {"format": FORMAT, "edits": [asdict(edit) for edit in edits]}


def from_json(content: Any, where: str) -> list[Edit]:
    """What `to_json` gave. Raises InputError, naming the place, for anything else."""
    if not isinstance(content, dict) or content.get("format") != FORMAT or not isinstance(content.get("edits"), list):
        raise InputError(
            f'\'{where}\' holds no edits of format {FORMAT}; expected an object with "format" and "edits". Find them again with --method.'
        )
    return [_one(entry, f"'{where}', edit {index}") for index, entry in enumerate(content["edits"])]


def _one(entry: Any, where: str) -> Edit:
    def must(good: bool, field: str, expected: str) -> None:
        if not good:
            raise InputError(f"{where}: '{field}' is {str(entry.get(field))[:60]!r}; expected {expected}. Mend the file, or find it again.")

    if not isinstance(entry, dict):
        raise InputError(f"{where} is {str(entry)[:60]!r}; expected an object. Mend the file, or find the directions again.")
    for field in ("name", "method", "weights"):
        must(isinstance(entry.get(field), str) and bool(entry[field]), field, "a text")
    must(entry.get("space") in ("z", "w"), "space", "z or w")
    direction, layers = entry.get("direction"), entry.get("layers")
    must(isinstance(direction, list) and bool(direction) and all(map(_number, direction)), "direction", "a list of finite numbers")
    must(_number(entry.get("scale")), "scale", "a finite number")
    must(layers is None or (isinstance(layers, list) and all(type(v) is int and v >= 0 for v in layers)), "layers", "null or layer numbers")
    must(isinstance(entry.get("note", ""), str), "note", "a text")
    return Edit(
        name=entry["name"], space=entry["space"], direction=tuple(map(float, direction)), scale=float(entry["scale"]), method=entry["method"],  # type: ignore[arg-type]
        weights=entry["weights"], layers=None if layers is None else tuple(layers), note=entry.get("note", ""),
    )  # fmt: skip


def _number(value: Any) -> bool:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:  # JSON's whole numbers have no limit
        return False


def read_edits(run: Path | str) -> list[Edit]:
    """The edits of a run, [] without a file. Raises InputError for a damaged one."""
    path = Path(run) / FILE
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"cannot read '{path}': {error}. Mend or delete the file, and find the edits again.") from None
    return from_json(content, str(path))


def save_edits(run: Path | str, edits: Sequence[Edit]) -> Path:
    """Add edits to a run's file, replacing those of the same names. Raises InputError where it cannot be written."""
    path, names = Path(run) / FILE, {edit.name for edit in edits}
    kept = [edit for edit in read_edits(run) if edit.name not in names]
    try:
        return atomic_write(path, json.dumps(to_json([*kept, *edits]), ensure_ascii=False) + "\n")
    except OSError as error:
        raise InputError(f"cannot write '{path}': {error.strerror or error}. Make room or permission there.") from None


def named(edits: Sequence[Edit], name: str) -> Edit:
    """The edit of this name. Raises InputError, with a suggestion."""
    for edit in edits:
        if edit.name == name:
            return edit
    names = [edit.name for edit in edits]
    listing = ", ".join(names) if names else "none yet; find some with `agon edit RUN --method sefa`"
    raise InputError(f"edit '{name}' is unknown; this run has {listing}.{suggest(name, names)}")


def read_amounts(words: Sequence[str]) -> list[tuple[str, float]]:
    """["sefa-0=2.5", "smile"] as [("sefa-0", 2.5), ("smile", 1.0)]. Raises InputError."""
    found = []
    for word in words:
        name, equals, amount = word.partition("=")
        try:
            value = float(amount) if equals else 1.0
        except ValueError:
            value = math.nan
        if not name or not math.isfinite(value):
            raise InputError(f"--apply {word}: expected NAME=AMOUNT, such as sefa-0=2.5.")
        found.append((name, value))
    return found
