"""Where runs may be made, and runs that are moved with their data."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agon.data import Data
from agon.directory import RunDirectory
from agon.errors import InputError
from agon.games import find
from agon.run import data_of, prepare, run_from_json


def test_a_log_of_the_shell_is_no_obstacle(tmp_path: Path) -> None:
    place = tmp_path / "run"
    place.mkdir()
    (place / "train.log").touch()
    (place / ".DS_Store").touch()
    RunDirectory(place).make()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").touch()
    with pytest.raises(InputError, match=r"holds files that are no run, such as 'a\.png'"):
        RunDirectory(tmp_path / "photos").make()


def test_what_holds_a_run_or_its_states_is_taken(tmp_path: Path) -> None:
    directory, _ = prepare(Data(path="ring", limit=100), out=tmp_path / "run", settings={"rounds": 2})
    with pytest.raises(InputError, match="already holds a run"):
        directory.make()
    (directory.path / "states" / "00000002.safetensors").touch()
    (directory.path / "run.json").unlink()
    with pytest.raises(InputError, match="already holds a run"):
        directory.make()


def test_a_run_finds_data_that_moved_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "lines.txt").write_text("".join(f"a line of {n} words\n" for n in range(40)), "utf-8")
    monkeypatch.chdir(project)
    prepare(Data(path="lines.txt"), out="run", recipe="likelihood", settings={"rounds": 2})
    monkeypatch.chdir(tmp_path)
    shutil.move(project, tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path / "elsewhere")
    directory = RunDirectory(Path("run"))
    content = directory.run()
    assert Path(content["data"]["path"]).is_absolute()
    data = run_from_json(content, find(content["game"]["name"])).data
    assert data_of(directory, content, data).content_hash == content["content_hash"]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="If they have moved, say where to: agon train .* --data.path NEW"):
        data_of(directory, content, data)
