"""Runs of clips for the tests of this folder, trained once."""

from __future__ import annotations

from pathlib import Path

import pytest
from clip_data import DIRECTIONS, answered_by, clip_data, small, train

from agon.data import DataSet


@pytest.fixture(scope="session")
def squares() -> DataSet:
    """Squares that move in four directions, which are their classes."""
    return clip_data(small(classes=tuple(DIRECTIONS)))


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory, squares: DataSet) -> Path:
    """A conditional run on them, eight rounds long. Not to be changed: ask for `run`."""
    home = tmp_path_factory.getbasetemp() / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(home / "cache"))
        patch.setenv("XDG_STATE_HOME", str(home / "state"))
        return train(tmp_path_factory.mktemp("clips") / "run", patch, squares, metrics=[])


@pytest.fixture
def run(trained_run: Path, squares: DataSet, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The run, with its data behind the name that it knows them by."""
    answered_by(squares, monkeypatch)
    return trained_run
