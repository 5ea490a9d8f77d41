"""Which metrics there are: every file of this folder that holds a FAMILY. A new metric is a new file."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal

from agon.errors import InputError, suggest
from agon.metrics.contract import Family


@cache
def families() -> dict[str, Family]:
    """Families by name, in the order of their files."""
    found: dict[str, Family] = {}
    for module in sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])):
        family = getattr(importlib.import_module(f"agon.metrics.{module}"), "FAMILY", None)
        if family is not None:
            assert family.name not in found, f"two files offer the metrics '{family.name}'"
            found[family.name] = family
    return found


@cache
def names() -> tuple[str, ...]:
    """Every name that may be asked for: single figures, and families, which ask for all of theirs."""
    outputs = [output for family in families().values() for output in family.outputs]
    return tuple(dict.fromkeys([*outputs, *families()]))


def family_of(output: str) -> Family:
    """The family that gives a figure."""
    return next(family for family in families().values() if output in family.outputs)


def sights(kind: Literal["pictures", "clips", "text"]) -> dict[str, str]:
    """Of each figure that was measured on ladders of damage of this kind, its letters: see `Family`."""
    return {name: letters for family in families().values() for name, letters in family.sight.get(kind, {}).items()}


def look_at_features(asked: Sequence[str]) -> bool:
    """Whether any of these metrics needs an extractor. Raises InputError for an unknown name."""
    return any(family_of(output).features for output in expand(asked))


def expand(asked: Sequence[str]) -> list[str]:
    """Names of single figures, once each, in the order asked. Raises InputError."""
    found: list[str] = []
    for name in asked:
        if name not in names():
            raise InputError(f"metric '{name}' is unknown; expected some of {', '.join(names())}.{suggest(name, names())}")
        family = families().get(name)
        found += family.outputs if family else (name,)
    if not found:
        raise InputError(f"no metric was named; expected some of {', '.join(names())}")
    return list(dict.fromkeys(found))


def chooser(figures: Sequence[str]) -> str | None:
    """The first of these figures that no fault alone can win: the one that may choose the best state of a run."""
    return next((name for name in figures if name not in family_of(name).one_sided), None)


def may_choose_best(asked: Sequence[str]) -> None:
    """Raise InputError if the first of these metrics, which chooses the best state of a run, is one that a fault alone can win; or an unknown name."""
    first = expand(asked)[0]
    if chooser([first]) is None:
        raise InputError(
            f"--metrics begins with '{first}', and the first chooses the best state; '{first}' alone is won by a fault, such as saying one good sentence "
            f"over and over, or noise. Begin with one that sees quality and diversity: --metrics fd,{first}"
        )
