"""Asking for conditions: wishes in a person's own units, the joint distribution of the training set, the whole way of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from agon.cli import app
from agon.conditions import Conditions, nearest_rows, read_numbers, some_rows
from agon.data import Data
from agon.directory import RunDirectory
from agon.errors import InputError
from agon.export import export_run
from agon.report import write_report
from agon.run import copy_of, play, prepare
from agon.spaces import Image
from agon.trained import load

# Of these rows c goes with a, never with b.
TAGS = Conditions(Image(tags=("a", "b", "c")), rows=torch.tensor([[1.0, 0, 1], [1, 0, 1], [0, 1, 0], [0, 0, 0]]))
AGES = torch.linspace(-1.5, 1.5, 400)
NUMBERS = Conditions(Image(numbers=("age", "height")), rows=torch.stack([AGES, 2 * AGES], 1), mean=(40.0, 1.5), sd=(10.0, 0.1))
CLASSES = Conditions(Image(classes=("cat", "dog")), share=(0.9, 0.1))


def test_draws_are_rows_of_the_training_set() -> None:
    y = TAGS.draw(4000, seed=1)
    assert y is not None
    assert torch.equal(y, TAGS.draw(4000, seed=1))
    assert abs((y == torch.tensor([1.0, 0, 1])).all(1).float().mean() - 0.5) < 0.03
    assert not (y[:, 1].bool() & y[:, 2].bool()).any()
    classes = CLASSES.draw(4000)
    assert classes is not None
    assert abs((classes == 0).float().mean() - 0.9) < 0.02
    assert Conditions(Image()).draw(3) is None


def test_open_tags_go_with_the_named_ones() -> None:
    y = TAGS.ask(50, tags=["a"])
    assert y is not None
    assert (y == torch.tensor([1.0, 0, 1])).all()
    assert (TAGS.ask(50, tags="b,!c") == torch.tensor([0.0, 1, 0])).all()
    both = TAGS.ask(20, tags={"b": True, "c": True})
    assert both is not None
    assert (both[:, 1:] == 1).all(), "what is named stands, even where no sample has it"
    assert (TAGS.ask(5, tags=[]) == 0).all()


def test_numbers_are_asked_for_in_their_own_units() -> None:
    y = NUMBERS.ask(30, numbers={"age": 45.0})
    assert y is not None
    assert torch.allclose(y[:, 0], torch.tensor(0.5))
    assert (y[:, 1] - 1.0).abs().max() < 0.3, "the height is one that goes with the age"
    walked = NUMBERS.ask(5, numbers={"age": (30.0, 50.0)})
    assert walked is not None
    assert torch.allclose(walked[:, 0], torch.linspace(-1, 1, 5))
    assert NUMBERS.outside({"age": 45.0}) == []
    assert "age=90.0 is beyond the training set's 25 to 55" in NUMBERS.outside({"age": 90.0})[0]


@pytest.mark.parametrize(
    ("known", "wish", "why"),
    [
        (TAGS, {"tags": ["aa"]}, "tag 'aa' is unknown; expected some of a, b, c. Did you mean 'a'"),
        (TAGS, {"label": 1}, "class 1 was asked for, but this run has 3 tags .a, b, c.. Use --tags, such as --tags a"),
        (NUMBERS, {"numbers": {"agee": 3.0}}, "number 'agee' is unknown.*Did you mean 'age'"),
        (NUMBERS, {"numbers": {"age": float("nan")}}, "expected finite values"),
        (NUMBERS, {"tags": ["x"]}, "this run has 2 numbers .age, height.. Use --numbers, such as --numbers age=40"),
        (CLASSES, {"label": "cta"}, "class 'cta' is unknown; expected one of cat, dog. Did you mean 'cat'"),
        (CLASSES, {"label": ["cat"] * 3}, "3 classes were given for 6 samples"),
        (CLASSES, {"label": "cat", "tags": ["a"]}, "class and tags were asked for together"),
        (Conditions(Image()), {"numbers": {"age": 1.0}}, "no condition: it is unconditional. Sample without it"),
    ],
)
def test_errors_say_what_there_is(known: Conditions, wish: dict, why: str) -> None:
    with pytest.raises(InputError, match=why):
        known.ask(6, **wish)


@pytest.mark.parametrize("text", ["age", "age=", "age=1:2:3", "age=old", ""])
def test_numbers_on_the_command_line(text: str) -> None:
    assert read_numbers("age=30,height=1.5:1.9") == {"age": 30.0, "height": (1.5, 1.9)}
    with pytest.raises(InputError, match="expected name=value or name=from:to"):
        read_numbers(text)


@pytest.mark.parametrize("known", [TAGS, NUMBERS])
def test_rows_survive_the_run_directory(known: Conditions, tmp_path: Path) -> None:
    known.write(RunDirectory(tmp_path))
    again = Conditions.read(RunDirectory(tmp_path), {}, known.space)
    assert torch.allclose(again.rows, known.rows, atol=1e-6)
    assert (again.mean, again.sd) == (known.mean, known.sd)
    (tmp_path / "conditions.json").write_text('{"rows": [[1]]}')
    with pytest.raises(InputError, match=r"conditions.json' is damaged"):
        Conditions.read(RunDirectory(tmp_path), {}, known.space)


def test_the_gallery_has_a_condition_a_column() -> None:
    n, columns, y, captions = NUMBERS.gallery()
    assert (n, columns) == (64, 8)
    assert y is not None
    assert torch.equal(y[:8], y[8:16])
    assert (y[:7, 0] < y[1:8, 0]).all()
    assert captions[0].startswith("age 25")
    assert TAGS.gallery()[3][0] == "a + c"
    assert CLASSES.gallery()[3] == ["cat", "dog"]
    assert nearest_rows(TAGS.rows, torch.tensor([[1.0, 0, 1]] * 2)).tolist() == [0, 1]
    assert len(some_rows(torch.rand(5000, 2))) == 1024


SETTINGS = {
    "rounds": 2, "batch": 8, "tick": 2, "score_every": 0, "metrics": ["fd"], "num_samples": 16, "extractor": "pixels", "tensorboard": False,
    "game.net.widths": [8], "game.z_dim": 4,
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two rounds on shapes, by tags and by numbers."""
    made = {}
    for kind, columns in (("tags", ("colour", "size")), ("numbers", ("x", "radius"))):
        wish = Data(path="shapes", size=8, limit=300, condition=kind, columns=columns)
        directory, data_set = prepare(wish, out=tmp_path_factory.mktemp("runs") / kind, settings=SETTINGS)
        play(directory, data_set)
        made[kind] = directory.path
    return made


def test_a_run_samples_without_its_data(runs: dict[str, Path]) -> None:
    trained = load(runs["numbers"])
    assert trained.sample(3, numbers={"x": 0.5}).shape == (3, 8, 8, 3)
    assert np.array_equal(trained.sample(3, seed=1), trained.sample(3, seed=1))
    assert trained.walk(2, frames=2, label={"numbers": {"x": 0.5}}).shape[0] == 4
    assert load(runs["tags"]).sample(3, tags=["red", "!small"]).shape == (3, 8, 8, 3)
    with pytest.raises(InputError, match="has 8 tags"):
        load(runs["tags"]).sample(3, label=0)
    copied = copy_of(RunDirectory(runs["tags"]), runs["tags"].with_name("again"))
    assert (copied.path / "conditions.json").read_bytes() == (runs["tags"] / "conditions.json").read_bytes()


@pytest.mark.parametrize(
    ("kind", "words", "told"),
    [
        ("tags", ["--tags", "red,!small", "-n", "4"], "4 samples"),
        ("tags", ["--tags", "rde", "-n", "4"], "Did you mean 'red'"),
        ("numbers", ["--numbers", "x=0.3:0.7", "-n", "8"], "8 samples"),
        ("numbers", ["--numbers", "x=9", "-n", "4"], "beyond the training set's"),
        ("numbers", ["--classes", "0,1"], "has 2 numbers"),
    ],
)
def test_the_command_line_asks(runs: dict[str, Path], kind: str, words: list[str], told: str) -> None:
    result = CliRunner().invoke(app, ["sample", str(runs[kind]), *words])
    assert told in " ".join((result.output + str(result.exception or "")).split())


@pytest.mark.parametrize("kind", ["tags", "numbers"])
def test_report_and_export_know_the_condition(runs: dict[str, Path], kind: str) -> None:
    page = write_report(runs[kind], None).read_text("utf-8")
    assert "Columns from left to right" in page
    pytest.importorskip("onnxruntime", reason="needs the export extra")
    pytest.importorskip("onnxscript", reason="needs the export extra")
    written = dict(export_run(runs[kind], onnx=True))
    card = (runs[kind] / "export" / "game.json").read_text("utf-8")
    assert f'"kind": "{kind}"' in card
    assert any(path.suffix == ".onnx" for path in written)


def test_classes_a_row_each(tmp_path: Path) -> None:
    wish = Data(path="digits", size=8, limit=200, balance=True)
    directory, data_set = prepare(wish, out=tmp_path / "run", settings=SETTINGS)
    play(directory, data_set)
    trained = load(directory.path)
    assert trained.sample_rows(["0", 3], 4).shape == (8, 8, 8, 1)
    assert trained.sample(2, label=["1", "7"]).shape[0] == 2
    result = CliRunner().invoke(app, ["sample", str(directory.path), "--classes", "all", "--per-class", "2"])
    assert "20 samples" in result.output, result.output
    pictures = []
    for word in ("--class", "--label"):
        assert (
            CliRunner().invoke(app, ["sample", str(directory.path), word, "3", "-n", "2", "--out", str(tmp_path / f"{word}.npz")]).exit_code
            == 0
        )
        pictures.append(np.load(tmp_path / f"{word}.npz")["x"])
    assert np.array_equal(*pictures), "two names of one option"
    assert np.array_equal(pictures[0], trained.sample(2, label=3))
