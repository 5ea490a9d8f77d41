"""Batch normalisation of averaged weights: statistics of their own, wherever the average is shown, scored, saved or loaded; never in training."""

from __future__ import annotations

import copy
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import agon
from agon import standing
from agon.conditions import Conditions
from agon.data import Data
from agon.directory import RunDirectory, read_state, write_state
from agon.engine import Engine
from agon.game import Players
from agon.games.gan import GAN
from agon.networks import DCGAN, BigGAN, R3Lean
from agon.optim import Adam, Average
from agon.run import play, prepare
from agon.sampling import CHUNK, draw
from agon.spaces import Image

SPACE = Image(channels=1, height=16, width=16, classes=("a", "b"))
NOTHING = lambda n, y: None  # noqa: E731 (no clips here)


def engine_of(game: Any, rounds: int = 3, seed: int = 0) -> Engine:
    engine = Engine(game, game.sees(SPACE), seed=seed)
    for round in range(rounds):
        g = torch.Generator().manual_seed(round)
        engine.round([{"x": torch.rand(16, 1, 16, 16, generator=g) * 2 - 1, "y": torch.randint(2, (16,), generator=g)}])
    return engine


def taken(engine: Engine) -> dict[str, Tensor]:
    space = engine.game.sees(SPACE)
    return standing.take(engine.game, engine.players, space, Conditions(space, share=(0.5, 0.5)), NOTHING)


@pytest.mark.parametrize("game", [
    GAN(net=DCGAN(width=8), z_dim=8), GAN(net=BigGAN(widths=(16, 8), critic_widths=(16, 8), label_dim=4), z_dim=24, conditional=True),
], ids=["dcgan", "biggan"])  # fmt: skip
def test_taking_them_leaves_everything_as_it_was(game: GAN) -> None:
    engine = engine_of(game)
    before = {k: v.clone() for k, v in engine.state()[0].items()}
    modes = {k: m.training for name, net in engine.players.items() for k, m in net.named_modules(prefix=name)}
    torch.manual_seed(5)
    numbers = torch.get_rng_state()
    found = taken(engine)
    assert found and all(torch.isfinite(v).all() for v in found.values() if v.is_floating_point())
    assert torch.equal(torch.get_rng_state(), numbers)
    after = engine.state()[0]
    assert before.keys() == after.keys() and all(torch.equal(before[k], after[k]) for k in before)
    assert modes == {k: m.training for name, net in engine.players.items() for k, m in net.named_modules(prefix=name)}
    assert all(m.momentum is not None and not m.training for m in standing.norms(engine.players).values())
    assert all(torch.equal(v, taken(engine)[k]) for k, v in found.items()), "the same every time"


def test_they_are_the_mean_of_what_the_averaged_copy_does() -> None:
    engine = engine_of(GAN(net=DCGAN(width=8), z_dim=8))
    average = engine.players.averages["G"]
    name, norm = next(iter(standing.norms(engine.players).items()))
    seen: list[Tensor] = []
    hook = norm.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    found = taken(engine)
    hook.remove()
    assert len(seen) == standing.PICTURES // CHUNK == int(found[f"{name}.num_batches_tracked"])
    torch.testing.assert_close(found[f"{name}.running_mean"], torch.stack([x.mean((0, 2, 3)) for x in seen]).mean(0))
    torch.testing.assert_close(found[f"{name}.running_var"], torch.stack([x.var((0, 2, 3)) for x in seen]).mean(0))
    with standing.given(engine.players, found):
        assert torch.equal(norm.running_mean, found[f"{name}.running_mean"])  # type: ignore[arg-type]
    raw = dict(engine.players.G.named_buffers())
    assert all(torch.equal(value, raw[key]) for key, value in average.named_buffers()), "in training it has those of the present weights"


def test_without_batch_normalisation_there_are_none() -> None:
    assert taken(engine_of(GAN(net=R3Lean(widths=(16, 8)), z_dim=8))) == {}
    plain = GAN(net=DCGAN(width=8), z_dim=8)
    assert taken(engine_of(replace(plain, ema={}))) == {}


def test_a_copy_that_sampling_has_no_use_for_keeps_its_running_statistics() -> None:
    engine = engine_of(GAN(net=DCGAN(width=8), z_dim=8))
    encoder = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
    players = Players({**dict(engine.players.items()), "E": encoder}, {**engine.players.averages, "E": copy.deepcopy(encoder).eval()})
    space = engine.game.sees(SPACE)
    assert "E/1" in standing.norms(players)
    found = standing.take(engine.game, players, space, Conditions(space), NOTHING)
    assert {name.split("/")[0] for name in found} == {"G"}


def test_a_part_that_never_trains_keeps_what_it_came_with() -> None:
    engine = engine_of(GAN(net=DCGAN(width=8), z_dim=8))
    whole = taken(engine)
    engine.players.G.norms[0].eval()  # as an image generator within a walk is
    assert {name.rpartition(".")[0] for name in whole} - {name.rpartition(".")[0] for name in taken(engine)} == {"G/norms.0"}


def run(path: Path, rounds: int = 60, **settings: Any) -> RunDirectory:
    base = {"threads": 1, "metrics": [], "score_every": 0, "tick": 20, "save_every": 20, "tensorboard": False, "batch": 32, "seed": 1}
    directory, data_set = prepare(Data(path="digits"), out=path, recipe="dcgan", settings={**base, "rounds": rounds, **settings})
    play(directory, data_set)
    return directory


def test_states_carry_them_and_runs_are_loaded_with_them(tmp_path: Path) -> None:
    directory = run(tmp_path / "run")
    tensors, *_ = directory.load_state() or pytest.fail("no state")
    mine = {name.removeprefix(standing.PREFIX): value for name, value in tensors.items() if name.startswith(standing.PREFIX)}
    assert mine
    trained = agon.load(directory.path, device="cpu")
    own = trained.players["G"].state_dict()
    for name, value in mine.items():
        assert torch.equal(own[name.removeprefix("G/")], value)
    raw = agon.load(directory.path, weights="raw", device="cpu").players["G"].state_dict()
    for key, value in raw.items():
        assert torch.equal(value, tensors[f"players/G/{key}"]), "present weights keep the statistics they were trained with"
    assert any(not torch.equal(raw[k], own[k]) for k in raw if k.endswith("running_var"))
    # A state of an earlier week has none: they are taken when it is loaded.
    old = tmp_path / "old"
    shutil.copytree(directory.path, old)
    for state in (old / "states").glob("*.safetensors"):
        kept, told = read_state(state)
        write_state(state, {k: v for k, v in kept.items() if not k.startswith(standing.PREFIX)}, told)
    again = agon.load(old, device="cpu")
    assert all(torch.equal(v, own[k]) for k, v in again.players["G"].state_dict().items())
    assert torch.equal(again.sample_stored(4, seed=2), trained.sample_stored(4, seed=2))


def test_pictures_and_scores_are_taken_with_them(tmp_path: Path) -> None:
    directory = run(tmp_path / "run", metrics=["fd"], extractor="pixels", num_samples=200)
    trained = agon.load(directory.path, device="cpu")
    assert trained.evaluate(["fd"], num_samples=200, seed=0)[0].value == directory.scores()[-1]["value"]
    n, columns, labels, _ = trained.conditions.gallery()
    x = draw(trained.game, trained.players, trained.space, n, seed=0, labels=labels)
    again = trained.space.render(x, tmp_path / "again.png", columns=columns)
    assert again.read_bytes() == directory.picture(60).read_bytes()
    borrowed = agon.load(directory.path, device="cpu")
    tensors, *_ = directory.load_state() or pytest.fail("no state")
    standing.give(trained_players(borrowed), {k.removeprefix("ema/"): v for k, v in tensors.items() if k.startswith("ema/")})
    assert borrowed.evaluate(["fd"], num_samples=200, seed=0)[0].value != directory.scores()[-1]["value"], "it makes a difference"


def trained_players(trained: Any) -> Players:
    return Players(dict(trained.players.items()), {"G": trained.players["G"]})


def test_an_earlier_state_says_so(tmp_path: Path) -> None:
    directory = run(tmp_path / "run", rounds=20)
    assert agon.load(directory.path, device="cpu").notes == []
    for state in (directory.path / "states").glob("*.safetensors"):
        kept, told = read_state(state)
        write_state(state, {k: v for k, v in kept.items() if not k.startswith(standing.PREFIX)}, told)
    assert "statistics of batch normalisation of its averaged weights were taken now" in agon.load(directory.path, device="cpu").notes[0]
    assert agon.load(directory.path, weights="raw", device="cpu").notes == []


def test_looks_and_interruptions_leave_no_trace(tmp_path: Path) -> None:
    """However often the run is looked at or taken up again, weights, averages and statistics end alike."""
    often = run(tmp_path / "often", tick=10, save_every=10)
    whole = run(tmp_path / "whole", tick=60, save_every=60)
    halves = run(tmp_path / "halves", rounds=30, tick=60, save_every=60)
    halves.write("run.json", {**halves.run(), "rounds": 60})
    play(halves)
    ends = [(directory.load_state() or pytest.fail("no state"))[0] for directory in (often, whole, halves)]
    for other in ends[1:]:
        assert ends[0].keys() == other.keys() and all(torch.equal(v, other[k]) for k, v in ends[0].items())


@pytest.mark.parametrize("seed", [0, 1])
def test_averaged_activations_keep_their_variance(seed: int) -> None:
    """Divided by the present weights' deviations those of averaged weights are too small, and pictures pale; by their own they are 1."""
    game = GAN(net=DCGAN(width=8), z_dim=8, optim={"G": Adam(lr=1e-3), "D": Adam(lr=1e-3)}, ema={"G": Average(half_life=1_000, ramp=None)})
    engine = engine_of(game, rounds=80, seed=seed)
    found = taken(engine)

    def spread() -> list[float]:
        out: list[Tensor] = []
        hooks = [
            norm.register_forward_hook(
                lambda module, x, y: out.append(((y - module.bias[:, None, None]) / module.weight[:, None, None]).var((0, 2, 3)))
            )
            for norm in standing.norms(engine.players).values()
        ]
        draw(game, engine.players.ema, game.sees(SPACE), CHUNK, seed=9)
        for hook in hooks:
            hook.remove()
        return [float(var.median()) for var in out]

    borrowed = spread()
    with standing.given(engine.players, found):
        own = spread()
    assert all(abs(var - 1) < 0.1 for var in own), own
    assert borrowed[-1] < 0.85, borrowed
