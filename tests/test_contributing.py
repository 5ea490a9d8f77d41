"""The examples in CONTRIBUTING.md work: each in its one file, as the page says."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from agon.config import decode, encode
from agon.engine import Engine
from agon.errors import InputError
from agon.game import Game
from agon.games import find_in_file
from agon.games.gan import GAN
from agon.metrics import registry
from agon.metrics.contract import Features, reduce
from agon.networks.mlp import MLP
from agon.optim import Adam, Average
from agon.spaces import Image, Vector
from agon.testing import check_json, check_movers, check_resume, random_batch
from commandline import printed

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


def test_the_example_metric_is_a_score_of_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    known = {**registry.families(), "spread": example("metrics/spread.py", tmp_path).FAMILY}
    monkeypatch.setattr(registry, "families", lambda: known)
    monkeypatch.setattr(registry, "names", registry.names.__wrapped__)  # which remembers its answer
    run = tmp_path / "run"
    assert printed(capsys, "train", "ring", "--rounds", 1, "--metrics", "[]", "--threads", 1, "--out", run)[0] == 0
    status, text = printed(capsys, "eval", run, "-m", "spread")
    assert status == 0, text
    assert re.search(r"spread [\d.]+ .*floor [\d.]+", text), text


def hinge_game(folder: Path, **changes: str) -> Path:
    """The page's example game as a file, with some of its text changed: `optim="dict[str, Adam]"` for its type."""
    found = re.search(r"```python\n(\"\"\"Hinge GAN.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert found
    source = (
        found[1]
        .replace("width=32", "width=4")
        .replace("from dataclasses", "from typing import Any\nfrom collections.abc import Mapping\nfrom dataclasses")
    )
    for name, kind in changes.items():
        source, count = re.subn(rf"    {name}: \w+ = ", f"    {name}{kind} = ", source)
        assert count == 1
    path = folder / "sngan.py"
    path.write_text(source, "utf-8")
    return path


def test_the_example_game_works(tmp_path: Path) -> None:
    game = find_in_file(hinge_game(tmp_path))()
    space = Image(channels=1, height=16, width=16)
    check_json(game)
    check_movers(game, space)
    check_resume(game, space, rounds=3)


def test_the_example_game_trains_goes_on_and_samples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    data = ("digits", "--limit", 40, "--labels", "ignore", "--metrics", "[]", "--batch", 4, "--threads", 1)
    for words in (
        (
            "train",
            *data,
            "--game",
            hinge_game(tmp_path),
            "--rounds",
            1,
            "--game.optim.G.lr",
            1e-3,
            "--game.ema.G.half-life",
            50,
            "--out",
            run,
        ),
        ("train", run, "--rounds", 2),
        ("sample", run, "-n", 4, "--out", tmp_path / "x.png"),
    ):
        status, text = printed(capsys, *words)
        assert status == 0, (words, text)
    settings = json.loads((run / "run.json").read_text())["game"]
    assert (settings["optim"]["G"]["lr"], settings["optim"]["D"]["lr"], settings["ema"]["G"]["half_life"]) == (1e-3, 2e-4, 50)


@pytest.mark.parametrize(
    "kind", ["dict", "dict[str, {}]", "Mapping", "Mapping[str, {}]", "Mapping[str, Any]", "'dict'", "'dict[str, Any]'"]
)
def test_optim_and_ema_may_be_typed_in_any_way(kind: str, tmp_path: Path) -> None:
    game = find_in_file(hinge_game(tmp_path, optim=": " + kind.format("Adam"), ema=": " + kind.format("Average")))()
    check_json(game)
    again = decode(type(game), encode(game))
    assert again.optim["G"] == Adam(lr=2e-4, betas=(0.0, 0.9))
    assert again.ema["G"] == Average(half_life=10_000)
    with pytest.raises(InputError, match="unknown name 'game.optim.G.lrr'; expected one of lr, "):
        decode(type(game), {**encode(game), "optim": {"G": {"lrr": 1, "kind": "adam"}}}, "game")


def test_an_optim_that_cannot_work_says_what_to_write(tmp_path: Path) -> None:
    game = find_in_file(hinge_game(tmp_path))
    with pytest.raises(InputError, match=r"Bare.optim is set without a type, .* write `optim: dict = field"):
        type("Bare", (Game,), {"optim": {"G": Adam()}})
    with pytest.raises(InputError, match=r"optim` is 0.1; expected Adam, RMSprop or SGD"):
        Engine(game(optim={"G": 0.1, "D": Adam()}), SPACE.unlabelled())
    with pytest.raises(InputError, match=r"ema of 'G' is 0.999; expected an Average"):
        Engine(game(ema={"G": 0.999}), SPACE.unlabelled())
