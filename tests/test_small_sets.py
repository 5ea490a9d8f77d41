"""What a small set of pictures gets by default, and how to change it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agon.augment import FEW, Adaptive, Augment
from agon.data import Data
from agon.games.r3gan import R3GAN
from agon.run import prepare, run_from_json

FEWEST = Data(path="shapes", size=16, channels=3, limit=100)


def chosen(tmp_path: Path, data: Data = FEWEST, **settings: Any) -> tuple[Augment | None, dict[str, str]]:
    said: dict[str, str] = {}
    directory, _ = prepare(data, out=tmp_path / "run", settings=settings, say=lambda name, text: said.__setitem__(name, text))
    game = run_from_json(directory.run(), R3GAN).game
    return game.augment, said


def test_few_pictures_are_augmented_with_a_reason(tmp_path: Path) -> None:
    augment, said = chosen(tmp_path)
    assert augment == Augment(policy=FEW, p=Adaptive())
    assert "pictures are soon learnt by heart (below 1,000); --game.augment null turns it off" in said["augment"]


def test_few_grey_pictures_are_only_shifted(tmp_path: Path) -> None:
    augment, said = chosen(tmp_path, Data(path="shapes", size=16, channels=1, limit=100))
    assert augment == Augment(policy=("shift",), p=Adaptive())
    assert said["augment"].startswith("adaptive shifts: ")


def test_many_are_not(tmp_path: Path) -> None:
    augment, said = chosen(tmp_path, Data(path="digits"))
    assert augment is None
    assert "augment" not in said


@pytest.mark.parametrize(
    ("data", "settings", "expected"),
    [
        (FEWEST, {"game.augment": "null"}, None),
        (FEWEST, {"game.augment.p": "0.3"}, Augment(p=0.3)),
        (FEWEST, {"game.augment.p.target": "0.5"}, Augment(p=Adaptive(target=0.5))),
        (FEWEST, {"game.augment.policy": '["flip"]'}, Augment(policy=("flip",))),
        (Data(path="digits"), {"game.augment": "ada"}, Augment()),
        (Data(path="digits"), {"game.augment": "ada", "game.augment.p": "0.3"}, Augment(p=0.3)),
    ],
)  # fmt: skip
def test_nested_settings_override(tmp_path: Path, data: Data, settings: dict[str, str], expected: Augment | None) -> None:
    augment, said = chosen(tmp_path, data, **settings)
    assert augment == expected
    assert said.get("augment", "asked for") == "asked for"
