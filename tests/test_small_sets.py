"""What a small set of pictures gets by default, and how to change it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agon.augment import FEW, Adaptive, Augment
from agon.data import Data
from agon.games.gan import GAN
from agon.games.r3gan import R3GAN
from agon.recipes import Situation, find
from agon.run import prepare, run_from_json
from agon.spaces import Image, Vector

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


@pytest.mark.parametrize("name", ["gan", "dcgan", "lsgan", "wgan-gp", "sngan", "biggan", "stylegan2", "fastgan", "r3gan", "r3gan-paper"])
def test_every_gan_of_pictures_is_augmented_below_1000(name: str) -> None:
    few, many = (find(name).build(Situation(space=Image(height=32, width=32), count=count, device="cpu")) for count in (999, 1_000))
    assert few.game.augment == Augment(policy=FEW, p=Adaptive())
    assert few.reasons["augment"].startswith("adaptive: 999 pictures are soon learnt by heart")
    assert many.game.augment is None
    assert "augment" not in many.reasons


def test_the_peer_and_points_are_left_alone() -> None:
    assert find("dcgan-peer").build(Situation(space=Image(height=32, width=32), count=100, device="cpu")).game.augment is None
    assert find("gan").build(Situation(space=Vector(dim=2), count=100, device="cpu")).game.augment is None


def test_stylegan2_takes_the_published_gamma_on_a_gpu_and_the_measured_one_elsewhere() -> None:
    def gamma(side: int, device: str, batch: int | None = None) -> tuple[float, str]:
        made = find("stylegan2").build(Situation(space=Image(height=side, width=side), count=10_000, device=device, batch=batch))
        assert isinstance(made.game, GAN)
        return made.game.penalties[0].gamma, made.reasons["gamma"]  # type: ignore[union-attr,return-value]

    assert gamma(1024, "cuda")[0] == pytest.approx(0.0002 * 1024**2 / 32)  # 6.55
    assert gamma(1024, "cuda", 8)[0] == pytest.approx(0.0002 * 1024**2 / 8)
    assert "published rule" in gamma(32, "cuda")[1]
    assert gamma(32, "cpu")[0] == pytest.approx(0.1)
    assert gamma(64, "cpu", 8)[0] == pytest.approx(0.4)
    assert "as measured on a CPU" in gamma(32, "cpu")[1]
