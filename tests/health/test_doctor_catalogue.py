"""A part of the doctor's catalogue, shortened: the right sign in the first third of broken runs, none in healthy ones."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from agon.hooks import Scene

SOURCE = Path(__file__).resolve().parents[2] / "benchmarks" / "doctor.py"


def catalogue() -> ModuleType:
    """benchmarks/doctor.py as a module."""
    if "doctor_catalogue" not in sys.modules:
        spec = importlib.util.spec_from_file_location("doctor_catalogue", SOURCE)
        assert spec is not None and spec.loader is not None
        module = sys.modules["doctor_catalogue"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules["doctor_catalogue"]


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scene, "_picture", lambda self: None)


def shortened(case: Any, rounds: int, **more: Any) -> Any:
    return replace(case, settings={**case.settings, "rounds": rounds, **more})


@pytest.mark.parametrize(
    ("name", "rounds"),
    [
        ("D too fast", 480), ("bytes fed as they are", 240), ("copies of one picture", 240), ("dead layer", 240),
        ("frozen critic", 240), ("learnt by heart", 600), ("rates beyond floating point", 240),
    ],
)  # fmt: skip
def test_broken_on_purpose(name: str, rounds: int, tmp_path: Path) -> None:
    book = catalogue()
    case = next(case for case in book.BROKEN if case.name == name)
    row = book.play_case(shortened(case, rounds), tmp_path)
    assert book.passed(row), f"expected {' or '.join(case.expected)} by a third of the run; fired: {row['fired']}"


@pytest.mark.parametrize(("recipe", "rounds"), [("gan", 600), ("r3gan-points", 300)])
def test_healthy(recipe: str, rounds: int, tmp_path: Path) -> None:
    book = catalogue()
    case = next(case for case in book.healthy("digits") if case.recipe == recipe)
    row = book.play_case(shortened(case, rounds), tmp_path)
    assert row["fired"] == {}
    assert row["played"] == rounds


def test_the_catalogue_is_what_the_issue_asks_for() -> None:
    book = catalogue()
    assert len(book.BROKEN) >= 10 and len(book.healthy("digits")) >= 15
    names = [case.name for case in (*book.BROKEN, *book.healthy("digits"))]
    assert len(names) == len(set(names))
