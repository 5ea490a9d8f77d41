"""The examples in CONTRIBUTING.md work: each in its one file, as the page says."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from agon.engine import Engine
from agon.games import find_in_file
from agon.games.gan import GAN
from agon.metrics.contract import Features, reduce
from agon.networks.mlp import MLP
from agon.spaces import Image, Vector
from agon.testing import check_movers, check_resume, random_batch

PAGE = Path(__file__).resolve().parent.parent / "CONTRIBUTING.md"
SOURCE = PAGE.parent / "src" / "agon"
SPACE = Image(channels=1, height=8, width=8, classes=("a", "b"))


def example(name: str, folder: Path) -> ModuleType:
    """The page's example for this file, appended to the file if there is one, as a module of its own."""
    found = re.search(rf"```python\n# {re.escape(name)}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert found, f"CONTRIBUTING.md has no example for {name}"
    before = (SOURCE / name).read_text("utf-8") if (SOURCE / name).exists() else ""
    path = folder / Path(name).name
    path.write_text(f"{before}\n\n{found[1]}", "utf-8")
    spec = importlib.util.spec_from_file_location(f"contributed_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def played(space: Any = SPACE, **choices: Any) -> dict[str, float]:
    """Statistics of one round with these choices."""
    engine = Engine(GAN(conditional=True, z_dim=4, **{"net": MLP(width=16, depth=1), **choices}), space)
    engine.round([random_batch(space, 4)])
    return engine.stats.flush()


def test_the_example_loss_works(tmp_path: Path) -> None:
    choice = example("losses.py", tmp_path).Exponential()
    real, fake = torch.tensor([0.0, 1.0]), torch.tensor([2.0, 0.0])
    assert float(choice.critic(real, fake)) == pytest.approx((1 + 1 / 2.718281828 + 7.389056099 + 1) / 2, rel=1e-6)
    assert played(loss=choice)["generator/adv"] > 0


def test_the_example_penalty_works(tmp_path: Path) -> None:
    stats = played(penalties=(example("penalties.py", tmp_path).Drift(weight=1.0),))
    assert stats["critic/drift"] > 0


@pytest.mark.parametrize("head", ["projection", "auxiliary"])
def test_the_example_network_works(head: str, tmp_path: Path) -> None:
    net = example("networks/plain.py", tmp_path).Plain(width=16)
    assert played(net=net, head=head)["G/grad"] > 0
    assert played(Vector(dim=2), net=net)["G/grad"] > 0


def test_the_example_metric_works(tmp_path: Path) -> None:
    spread = example("metrics/spread.py", tmp_path).Spread
    x, parts = torch.randn(20, 3, dtype=torch.float64), []
    for half in x.chunk(2):
        metric = spread(3)
        metric.update(Features(half))
        parts.append(metric.state())
    metric.load(reduce(parts))
    assert metric.compute()["spread"] == pytest.approx(float((x - x.mean(0)).square().sum(1).mean().sqrt()))


def test_the_example_game_works(tmp_path: Path) -> None:
    source = re.search(r"```python\n(\"\"\"Hinge GAN.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert source
    (tmp_path / "sngan.py").write_text(source[1])
    game = find_in_file(tmp_path / "sngan.py")()
    space = Image(channels=1, height=16, width=16)
    check_movers(game, space)
    check_resume(game, space, rounds=3)
