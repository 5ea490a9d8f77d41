"""What the command line says of itself: summaries in full, every setting named, and `agon show` in the words that `agon train` takes."""

from __future__ import annotations

import re
import shlex
from dataclasses import fields

import pytest

import agon
from agon.cli.catalogue import suggested
from agon.cli.settings import DATA_WORDS, RUN_WORDS, assignments
from agon.config import choose_kinds, decode, encode, override
from agon.data.request import EMBEDDED, Data
from agon.recipes import table
from agon.run import Run
from commandline import printed


def test_help_says_everything_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    status, told = printed(capsys, "--help")
    assert status == 0 and "..." not in told.split("Commands:")[1]
    verbs = re.findall(r"^  (\w+)  ", told.split("Commands:")[1], re.M)
    assert verbs[:5] == ["train", "sample", "eval", "report", "export"]
    assert printed(capsys, "-h") == (0, told)
    assert printed(capsys, "--version") == (0, f"agon {agon.__version__}\n")


def test_help_of_training_names_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(RUN_WORDS) == {field.name for field in fields(Run)} - {"game", "data", "recipe"}
    assert set(DATA_WORDS) == {field.name for field in fields(Data)} - {"path"}
    told = " ".join(printed(capsys, "train", "-h")[1].split())
    assert [word for word in (*RUN_WORDS, *DATA_WORDS) if f"--{word.replace('_', '-')}" not in told] == []
    assert [name for name in EMBEDDED if name not in told.replace("- ", "-")] == []  # a line may end at a hyphen


@pytest.mark.parametrize("recipe", list(table()))
def test_what_is_shown_of_a_recipe_is_taken_back(recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, suggestion = suggested(recipe)
    status, told = printed(capsys, "show", recipe)
    assert status == 0
    typed = [line.strip() for line in told.splitlines() if line.strip().startswith("--")]
    settings = assignments([word for line in typed for word in shlex.split(line)])
    assert (settings.pop("batch"), settings.pop("rounds")) == (suggestion.batch, suggestion.rounds)
    kind, game = type(suggestion.game), encode(suggestion.game)
    parts, rest = choose_kinds(kind, game, {name.removeprefix("game."): value for name, value in settings.items()})
    assert decode(kind, override(parts, rest), "game") == suggestion.game


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--device", "foo"), "device 'foo' is unknown; expected cpu, cuda, mps"),
        (("--size", 0), "--size is 0; expected 4"),
        (("--count", -1), "--count is -1"),
    ],
)
def test_show_refuses_what_cannot_be(words: tuple[object, ...], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, told = printed(capsys, "show", "r3gan", *words)
    assert status == 2 and expected in told
