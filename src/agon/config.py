"""Typed configuration: dataclass ↔ JSON ↔ command line, on pydantic.

The dataclass is the only schema. `encode` gives plain JSON data with every field, `decode` checks and rebuilds, `override` sets a dotted
name such as `game.optim.G.lr`. An unknown name or a wrong type is an InputError that says what would have been right.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from agon.errors import InputError, suggest

T = TypeVar("T")


def encode(value: Any) -> Any:
    """A dataclass as plain JSON data, every field included."""
    from pydantic import TypeAdapter

    return TypeAdapter(type(value)).dump_python(value, mode="json")


def decode(kind: type[T], data: Any, where: str = "") -> T:
    """Plain JSON data as a checked dataclass of type `kind`. `where` names the section in messages. Raises InputError."""
    from pydantic import TypeAdapter, ValidationError

    try:
        value = TypeAdapter(kind).validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        # Branches of a union are named in the path by their type; only field names mean something to a user.
        path = [str(part) for part in first["loc"] if not str(part)[:1].isupper() and str(part) not in ("float", "int", "str")]
        raise InputError(f"{_dotted(where, path)}: got {first['input']!r}; {first['msg'].lower()}. Change it or leave it out.") from None
    _refuse_unknown(data, encode(value), where)
    return value


def override(data: dict[str, Any], assignments: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of encoded data with dotted names set: {'game.gamma': '0.1'}. Strings are read as JSON where they are JSON.

    Raises InputError, with a suggestion, for a name that is not in `data`.
    """
    changed: dict[str, Any] = json.loads(json.dumps(data))
    for name, value in assignments.items():
        keys = name.split(".")
        place: Any = changed
        for depth, key in enumerate(keys):
            if not isinstance(place, dict) or key not in place:
                known = list(place) if isinstance(place, dict) else []
                parent = ".".join(keys[:depth])
                listing = f"{parent or 'this run'} has {', '.join(known)}" if known else f"{parent} is a single value"
                raise InputError(f"unknown option '--{name}'; {listing}.{suggest(key, known)}")
            if depth == len(keys) - 1:
                place[key] = read(value)
            else:
                place = place[key]
    return changed


def read(value: Any) -> Any:
    """A command-line string as JSON if it is JSON (numbers, true, null, lists), itself otherwise."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _refuse_unknown(data: Any, known: Any, where: str) -> None:
    if isinstance(data, dict) and isinstance(known, dict):
        for key, value in data.items():
            if key not in known:
                raise InputError(f"unknown name '{_dotted(where, [key])}'; expected one of {', '.join(known)}.{suggest(key, known)}")
            _refuse_unknown(value, known[key], _dotted(where, [key]))


def _dotted(where: str, path: list[str]) -> str:
    return ".".join([part for part in (where, *path) if part])
