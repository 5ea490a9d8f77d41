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
_LEAST = {"z_dim": 1, "width": 1, "widths": 1, "critic_widths": 1, "layers": 0, "depth": 0, "lr": 0}


def too_small(config: object, **least: float) -> str | None:
    """What is wrong with the first field of `config` that is below its least value; None where all are high enough."""
    found = ((name, getattr(config, name), bound) for name, bound in least.items())
    return next((f"'{config.kind}' has {name} {value}; expected {bound} or more." for name, value, bound in found if value < bound), None)  # type: ignore[attr-defined]


def encode(value: Any) -> Any:
    """A dataclass as plain JSON data, every field included."""
    from pydantic import TypeAdapter

    return TypeAdapter(type(value)).dump_python(value, mode="json", warnings=False)  # a game of the user's may narrow a type


def decode(kind: type[T], data: Any, where: str = "") -> T:
    """Plain JSON data as a checked dataclass of type `kind`. `where` names the section in messages. Raises InputError."""
    from pydantic import TypeAdapter, ValidationError

    try:
        value = TypeAdapter(kind).validate_python(data)
    except ValidationError as error:
        first, unknown = _first_error(error.errors())
        if unknown is not None:
            where = _dotted(where, _path_in(data, first["loc"][:-1], missing=False))
            raise InputError(
                f"{where}: '{first['input']}' is unknown; expected one of {', '.join(unknown)}.{suggest(str(first['input']), unknown)}"
            ) from None
        path = _path_in(data, first["loc"], missing=first["type"] == "missing")
        cause = first.get("ctx", {}).get("error")
        if first["type"] == "value_error" and cause is not None:
            # A dataclass that checks itself has said it all: what came, what was expected, how to mend it.
            raise InputError(f"{_dotted(where, path)}: {cause}") from None
        if first["type"] == "missing":
            raise InputError(f"{_dotted(where, path)} is missing, and it has no default. Give it a value.") from None
        if first["type"] in ("tuple_type", "list_type"):
            raise InputError(f'{_dotted(where, path)}: got {first["input"]!r}; expected a list, such as \'["a", "b"]\'.') from None
        raise InputError(f"{_dotted(where, path)}: got {first['input']!r}; {first['msg'].lower()}. Change it or leave it out.") from None
    _refuse_unknown(data, encode(value), where)
    return value


def _path_in(data: Any, location: tuple[Any, ...], *, missing: bool) -> list[str]:
    """The names of an error's location that are in the data; pydantic names the branches of a union in it as well."""
    path: list[str] = []
    for part in location:
        if (isinstance(data, dict) and part in data) or (isinstance(data, list | tuple) and isinstance(part, int)):
            path.append(str(part))
            data = data[part]
    return [*path, str(location[-1])] if missing else path


def _first_error(errors: list[Any]) -> tuple[Any, list[str] | None]:
    """The error a user should read. Of a union only the branch whose `kind` was given counts; if it is no branch's, the kinds that exist."""
    kinds = [e for e in errors if e["type"] == "literal_error" and e["loc"][-1:] == ("kind",)]
    others = [e for e in errors if not any(e["loc"][: len(k["loc"]) - 1] == k["loc"][:-1] for k in kinds)]
    if others or not kinds:
        return (others or errors)[0], None
    return kinds[0], [k["ctx"]["expected"].strip("'") for k in kinds if k["loc"][:-2] == kinds[0]["loc"][:-2]]


def choose_kinds(kind: type[T], data: dict[str, Any], assignments: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Replace parts by others of the named kind: {'net': 'sngan', 'penalties': 'r1,r2'}, with their defaults filled in.

    Returns the data and the assignments that are left for `override`. A list of parts is named with commas; 'none' empties it.
    Raises InputError for a kind that does not exist.
    """
    rest: dict[str, Any] = {}
    place: Any
    for name, given in assignments.items():
        value, place = read(given), data
        *parents, last = name.split(".")
        for key in parents:
            place = _inside(place, key)
        if not isinstance(place, dict) or last not in place or not isinstance(value, str):
            rest[name] = value
            continue
        now = place[last]
        if isinstance(now, dict) and "kind" in now:
            chosen: Any = {"kind": value}
        elif isinstance(now, list) and _parts(kind, parents, last):
            chosen = [] if value == "none" else [{"kind": word.strip()} for word in value.split(",")]
        elif now is None and _parts(kind, parents, last):
            chosen = {"kind": value}
        else:
            rest[name] = value
            continue
        changed = json.loads(json.dumps(data))
        place = changed
        for key in parents:
            place = _inside(place, key)
        place[last] = chosen
        data = encode(decode(kind, changed))
    return data, rest


def _inside(place: Any, key: str) -> Any:
    """What stands under a name, or at a position of a list; None where there is nothing."""
    if isinstance(place, list):
        return place[int(key)] if key.isdigit() and int(key) < len(place) else None
    return place.get(key) if isinstance(place, dict) else None


def _parts(kind: type[Any], parents: list[str], last: str) -> bool:
    """Whether the field holds parts told apart by their kind."""
    if parents:
        return False
    from pydantic import TypeAdapter

    schema = TypeAdapter(kind).json_schema()
    field = json.dumps(schema.get("properties", {}).get(last, {}))
    names = [name for name in schema.get("$defs", {}) if f'"#/$defs/{name}"' in field]
    return any("kind" in schema["$defs"][name].get("properties", {}) for name in names)


def override(data: dict[str, Any], assignments: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of encoded data with dotted names set: {'game.gamma': '0.1'}. Strings are read as JSON where they are JSON.

    Raises InputError, with a suggestion, for a name that is not in `data`.
    """
    changed: dict[str, Any] = json.loads(json.dumps(data))
    for name, value in assignments.items():
        keys = name.split(".")
        place: Any = changed
        for depth, key in enumerate(keys):
            if isinstance(place, list):
                # A list of parts is addressed by position: game.penalties.0.gamma.
                key = int(key) if key.isdigit() and int(key) < len(place) else key  # type: ignore[assignment]
                missing, known = not isinstance(key, int), [str(i) for i in range(len(place))]
            else:
                missing = not isinstance(place, dict) or key not in place
                known = list(place) if isinstance(place, dict) else []
            if missing:
                parent = ".".join(keys[:depth])
                listing = f"{parent or 'this run'} has {', '.join(known)}" if known else f"{parent} is a single value"
                raise InputError(f"unknown option '--{name}'; {listing}.{suggest(str(key), known, f'--{parent}.' if parent else '--')}")
            if depth == len(keys) - 1:
                given = read(value)
                if isinstance(given, bool) and isinstance(place[key], int | float) and not isinstance(place[key], bool):
                    raise InputError(f"--{name} got {json.dumps(given)}; expected a number, such as --{name} {place[key]}.")
                place[key] = given
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


def refuse_low(value: Any, where: str, low: float | None = None) -> None:
    """Raise InputError for sizes that no network has and rates that train backwards, wherever a field has their name, schedules included."""
    if isinstance(value, dict):
        for key, part in value.items():
            refuse_low(part, _dotted(where, [key]), _LEAST.get(key, low))
    elif isinstance(value, list | tuple) and low is not None:
        if not value:
            raise InputError(f"{where} is empty; expected numbers of {low} or more.")
        for part in value:
            refuse_low(part, where, low)
    elif isinstance(value, int | float) and not isinstance(value, bool) and low is not None and not value >= low:
        raise InputError(f"{where} is {value}; expected {low} or more.")


def _dotted(where: str, path: list[str]) -> str:
    return ".".join([part for part in (where, *path) if part])
