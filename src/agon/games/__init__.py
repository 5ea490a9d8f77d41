"""Games, a file per paper. A game is found by the name of its file, by an entry point of the group `agon.games`, or in a file of yours."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from agon.errors import InputError, suggest
from agon.game import Game

_OWN = "agon_game_"  # how the modules of files of the user's begin
FORMER = {"dcgan": "gan"}  # names of games that have become presets of another


def names() -> list[str]:
    """Names of the games that can be played here."""
    own = [m.name for m in pkgutil.iter_modules(__path__)]
    return sorted({*own, *(e.name for e in entry_points(group="agon.games"))})


def find(name: str) -> type[Game]:
    """The game class called `name`. Raises InputError, with a suggestion, for an unknown one."""
    for entry in entry_points(group="agon.games"):
        if entry.name == name:
            return entry.load()
    name = FORMER.get(name, name)
    if name not in names():
        raise InputError(f"game '{name}' is unknown; expected {', '.join(names())}, or a path such as ./mygan.py.{suggest(name, names())}")
    return _only_game(importlib.import_module(f"{__name__}.{name}"))


def settings_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A run's game as JSON data without its name and file; what older runs wrote is put as it is written today."""
    settings = {k: v for k, v in entry.items() if k not in ("name", "file", "sha256")}
    if entry.get("name") == "gan" and "saturating" in settings:
        settings["loss"] = {"kind": "logistic", "saturating": settings.pop("saturating")}
    return settings


def find_in_file(path: Path) -> type[Game]:
    """The one Game defined in a Python file, which is executed. Raises InputError if there is none or more than one."""
    if not path.is_file():
        raise InputError(f"game file '{path}' does not exist; expected a Python file that defines one Game.")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    name = f"{_OWN}{path.stem}_{digest}"
    if name in sys.modules:
        return _only_game(sys.modules[name])
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"game file '{path}' is not a Python file; expected a name that ends in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
        return _only_game(module)
    except InputError:
        del sys.modules[name]
        raise
    except Exception as error:
        del sys.modules[name]
        own = (path.name, error.lineno) if isinstance(error, SyntaxError) else own_line(error)
        line = f" (line {own[1]})" if own else ""
        raise InputError(f"game file '{path}' could not be run: {type(error).__name__}: {error}{line}. Mend the file.") from error


def own_line(error: BaseException) -> tuple[str, int] | None:
    """File and line of the last place in a game file of the user's that an exception came through; None where it came through none."""
    trace, place = error.__traceback__, None
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__", "").startswith(_OWN):
            place = (Path(trace.tb_frame.f_code.co_filename).name, trace.tb_lineno)
        trace = trace.tb_next
    return place


def _only_game(module: ModuleType) -> type[Game]:
    found = [
        c for c in vars(module).values()
        if inspect.isclass(c) and issubclass(c, Game) and not inspect.isabstract(c) and c.__module__ == module.__name__
    ]  # fmt: skip
    if len(found) != 1:
        listed = ", ".join(c.__name__ for c in found) or "none"
        raise InputError(f"'{module.__file__}' must define exactly one Game; it defines {listed}.")
    return found[0]
