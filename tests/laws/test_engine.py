"""The engine: freezing, lazy correction, averaging, clipping, skipping and what it says to a game that is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from agon.device import choose_device, choose_precision
from agon.engine import Engine
from agon.errors import InputError
from agon.estimators import Moments, MovingBaseline
from agon.game import Batch, Clock, Dice, Game, Players, Turn, lazily, mix
from agon.optim import SGD, Adam, Average, advance, build
from agon.props import Running
from agon.schedule import Cosine, Exponential, Linear, Warmup, at
from agon.spaces import Vector
from agon.testing import random_batch

SPACE = Vector(dim=2)
MIXED = 3384391416029321617  # what every platform and version must give, or old runs would not resume


@dataclass(frozen=True, kw_only=True)
class Line(Game):
    """One weight w per player; the loss is whatever the test says."""

    loss: Callable[[Players, Batch, Clock], Any] = field(default=lambda p, real, t: {"square": (p.G.weight - 1).square().sum()})
    moves: str = "G"
    options: dict[str, Any] = field(default_factory=dict)
    optim: dict[str, Adam] = field(default_factory=lambda: {"G": Adam(lr=0.1)})
    ema: dict[str, Average] = field(default_factory=lambda: {"G": Average(half_life=16, ramp=None)})

    def players(self, space: Any) -> dict[str, nn.Module]:
        return {"G": nn.Linear(2, 1, bias=False), "D": nn.Linear(2, 1, bias=False)}

    def turns(self) -> list[Turn]:
        return [Turn(self.loss, self.moves, **self.options)]

    def sample(self, p: Players, n: int, *, z: Tensor | None = None, given: Batch | None = None) -> Tensor:
        return p.randn(n, 2)


def play(game: Game, rounds: int = 1, **options: Any) -> Engine:
    engine = Engine(game, SPACE, **options)
    for index in range(rounds):
        engine.round([random_batch(SPACE, 8, seed=index)])
    return engine


def test_averaging_has_the_half_life_it_says() -> None:
    engine = Engine(Line(), SPACE)
    first = engine.players.G.weight.detach().clone()
    engine.round([random_batch(SPACE, 16)])
    expected = 0.5 * first + 0.5 * engine.players.G.weight
    torch.testing.assert_close(engine.players.ema.G.weight, expected)


def test_averaging_ramps_up() -> None:
    average = Average(half_life=1000, ramp=0.05)
    assert average.decay(8, Clock(1, 8)) == pytest.approx(0.5 ** (8 / 0.4))
    assert average.decay(8, Clock(9999, 1_000_000)) == pytest.approx(0.5 ** (8 / 1000))


def test_lazy_turns_correct_the_optimiser() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    spec = Adam(lr=1e-3, betas=(0.0, 0.99))
    optimiser = build(spec, [parameter], torch.device("cpu"))
    assert advance(optimiser, spec, Clock(), lazy=16) == pytest.approx(1e-3 * 16 / 17)
    assert optimiser.param_groups[0]["betas"] == pytest.approx((0.0, 0.99 ** (16 / 17)))
    turn = lazily(lambda p, real, t: {}, "G", every=16)
    assert (turn.gain, turn.every, turn.lazy) == (16.0, 16, True)


def test_turns_are_played_when_they_say() -> None:
    turn = Turn(lambda p, real, t: {}, "G", every=2, start=2, stop=6)
    assert [r for r in range(9) if turn.played(r)] == [2, 4]


def test_adam_step_has_the_closed_form() -> None:
    """Adam's first step is lr · sign(g), whatever the gradient's size (Kingma & Ba 2015, sec. 2.1)."""
    engine = Engine(Line(), SPACE)
    before = engine.players.G.weight.detach().clone()
    engine.round([random_batch(SPACE, 8)])
    torch.testing.assert_close(engine.players.G.weight, before - 0.1 * (before - 1).sign(), atol=1e-5, rtol=1e-5)


def test_gain_scales_the_gradient_and_clip_limits_it() -> None:
    seen: list[float] = []

    def spy(engine: Engine) -> None:
        seen.append(engine.stats.flush()["G/grad"])

    for gain in (1.0, 3.0):
        spy(play(Line(options={"gain": gain})))
    assert seen[1] == pytest.approx(3 * seen[0], rel=1e-5)
    clipped = Engine(Line(optim={"G": SGD(lr=1.0, clip=1e-3)}), SPACE)  # type: ignore[dict-item]
    before = clipped.players.G.weight.detach().clone()
    clipped.round([random_batch(SPACE, 8)])
    assert (clipped.players.G.weight - before).norm().item() == pytest.approx(1e-3, rel=1e-3)


def test_nonfinite_updates_are_skipped_and_counted() -> None:
    def sometimes(p: Players, real: Batch, t: Clock) -> dict[str, Tensor]:
        loss = (p.G.weight - 1).square().sum()
        return {"square": loss * (float("nan") if t.round == 1 else 1.0)}

    engine = Engine(Line(loss=sometimes), SPACE)
    weights = []
    for index in range(3):
        engine.round([random_batch(SPACE, 8, seed=index)])
        weights.append(engine.players.G.weight.detach().clone())
        assert engine.streak == (1 if index == 1 else 0)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2])
    assert engine.skipped == 1
    assert ("skip", {"player": "G", "in_a_row": 1, "skipped": 1}) in engine.notes
    assert engine.healthy()


def test_deferred_skipping_equals_immediate() -> None:
    """The path of devices that must not be read every step, exercised with the fused optimiser on the CPU."""

    def sometimes(p: Players, real: Batch, t: Clock) -> dict[str, Tensor]:
        return {"square": (p.G.weight - 1).square().sum() * (float("inf") if t.round in (1, 2) else 1.0)}

    at_once, deferred = Engine(Line(loss=sometimes), SPACE), Engine(Line(loss=sometimes), SPACE)
    deferred._deferred = torch.zeros(2)
    for index in range(3):
        at_once.round([random_batch(SPACE, 8, seed=index)])
        deferred.round([random_batch(SPACE, 8, seed=index)])
    deferred.settle()
    assert (deferred.streak, deferred.skipped) == (at_once.streak, at_once.skipped) == (2, 2)
    assert torch.equal(deferred.players.G.weight, at_once.players.G.weight)


@dataclass(frozen=True, kw_only=True)
class Two(Line):
    """G always steps; D's updates are never finite."""

    optim: dict[str, Adam] = field(default_factory=lambda: {k: Adam(lr=0.1) for k in "GD"})

    def turns(self) -> list[Turn]:
        return [Turn(lambda p, real, t: {"bad": p.D.weight.square().sum() * float("inf")}, "D", repeat=2), *super().turns()]


@pytest.mark.parametrize("on_device", [False, True])
def test_a_player_whose_steps_are_good_does_not_hide_one_whose_are_not(on_device: bool) -> None:
    engine = Engine(Two(), SPACE)
    engine._deferred = torch.zeros(3) if on_device else None
    for index in range(3):
        engine.round([random_batch(SPACE, 8, seed=index)])
    engine.settle()
    assert (engine.streak, engine.skipped) == (6, 6)
    assert engine.notes[-1] == ("skip", {"player": "D", "in_a_row": 6, "skipped": 6})
    tensors, rest = engine.state()
    resumed = Engine(Two(), SPACE)
    resumed.load_state(tensors, rest)
    assert (resumed.streaks, resumed.skipped) == ({"G": 0, "D": 6}, 6)


def test_states_saved_with_one_streak_of_all_players_load() -> None:
    tensors, rest = play(Two(), 1).state()
    rest["streak"] = 4
    del rest["streaks"]
    engine = Engine(Two(), SPACE)
    engine.load_state(tensors, rest)
    assert (engine.streak, engine.skipped) == (4, 2)
    engine.round([random_batch(SPACE, 8)])
    assert engine.streaks == {"G": 0, "D": 6}


@dataclass(frozen=True, kw_only=True)
class Keeping(Line):
    """A step takes numbers of the batch into a prop, which has seen one whole batch before an infinity comes along."""

    prop: Callable[[], nn.Module] = field(default=Running)
    take: Callable[[Any, Tensor], Any] = field(default=lambda prop, x: prop.update(x.mean()))

    def players(self, space: Any) -> dict[str, nn.Module]:
        return {**super().players(space), "B": self.prop()}

    def turns(self) -> list[Turn]:
        return [*super().turns(), Turn(step=self.keep, moves="B")]

    def keep(self, p: Players, real: Batch, t: Clock) -> None:
        self.take(p.B, real["x"][:, 0])


@pytest.mark.parametrize("microbatch", [None, 4])
@pytest.mark.parametrize(
    "game",
    [
        Keeping(),
        Keeping(prop=Moments, take=lambda prop, x: prop.update(x)),
        Keeping(prop=MovingBaseline, take=lambda prop, x: prop.update(x[:, None], torch.ones(len(x), 1, dtype=torch.bool))),
    ],
    ids=["running", "moments", "baseline"],
)
def test_a_prop_takes_in_nothing_that_is_not_finite(game: Keeping, microbatch: int | None) -> None:
    engine = play(game, 1, microbatch=microbatch)
    kept = {k: v.clone() for k, v in engine.players.B.state_dict().items()}
    batch = random_batch(SPACE, 8, seed=1)
    for bad in (float("inf"), float("nan")):
        x = batch["x"].clone()
        x[0] = bad
        engine.round([Batch(x=x)])
        assert all(torch.equal(v, kept[k]) for k, v in engine.players.B.state_dict().items())
    engine.round([batch])
    assert any(not torch.equal(v, kept[k]) for k, v in engine.players.B.state_dict().items())
    assert engine.healthy()


def test_a_prop_is_changed_in_place() -> None:
    class Replaced(Running):
        def replace(self, x: Tensor) -> None:
            self.total = self.total + x.mean()

    with pytest.raises(InputError, match=r"turn 'keep' put a new tensor in the place of a buffer; change it in place"):
        play(Keeping(prop=Replaced, take=lambda prop, x: prop.replace(x)), 1)


def test_a_state_with_a_number_that_is_not_finite_is_not_healthy() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Buffered(Line):
        def players(self, space: Any) -> dict[str, nn.Module]:
            players = super().players(space)
            players["G"].register_buffer("mask", torch.tensor([0.0, -torch.inf]))  # on purpose, from the beginning
            players["D"].register_buffer("mean", torch.zeros(2))
            return players

    engine = play(Buffered())
    assert engine.healthy()
    engine.players.D.mean[1] = torch.nan
    assert not engine.healthy()


def test_statistics_are_means_over_microbatches() -> None:
    def loss(p: Players, real: Batch, t: Clock) -> dict[str, Tensor]:
        return {"x": real["x"].mean() + 0 * p.G.weight.sum()}

    whole, parts = play(Line(loss=loss)), play(Line(loss=loss), microbatch=3)
    assert whole.stats.flush()["loss/x"] == pytest.approx(parts.stats.flush()["loss/x"], rel=1e-5)


def test_dice_do_not_depend_on_the_cut() -> None:
    device = torch.device("cpu")
    whole = Dice(5, 0, 8, 8, device)
    left, right = Dice(5, 0, 4, 8, device), Dice(5, 4, 8, 8, device)
    for _ in range(2):
        a, b, c = (d.roll(torch.randn, n, (3,)) for d, n in ((whole, 8), (left, 4), (right, 4)))
        assert torch.equal(a, torch.cat([b, c]))
    assert torch.equal(whole.roll(torch.rand, 16, ()), torch.cat([left.roll(torch.rand, 8, ()), right.roll(torch.rand, 8, ())]))


def test_mix_is_stable() -> None:
    assert mix(0, 1, 2) == MIXED
    assert len({mix(a, b) for a in range(50) for b in range(50)}) == 2500


@pytest.mark.parametrize(
    ("game", "message"),
    [
        (Line(moves="H"), "moves 'H'; players are G, D"),
        (Line(moves="D"), "'D', which has no optimiser"),
        (Line(loss=lambda p, real, t: {"adv": p.G.weight}), r"must be a scalar, got 'adv' of shape \(1, 2\)"),
        (Line(loss=lambda p, real, t: p.G.weight.sum()), "must return its terms by name"),
        (Line(loss=lambda p, real, t: {}), "must return its terms by name"),
        (Line(loss=lambda p, real, t: {"adv": p.D.weight.sum()}), "do not depend on G, which it moves"),
        (Line(loss=lambda p, real, t: {"adv": p.Q.weight.sum()}), "no player 'Q'; this game has G, D"),
        (Line(loss=lambda p, real, t: {"adv": real["fake"].sum()}), "the batch has no 'fake'; it has x"),
        (Line(ema={"H": Average()}), "ema names 'H', which is no player"),
        (Line(optim={"G": Adam(), "GG": Adam()}), "optim names 'GG', which is no player"),
    ],
)
def test_a_wrong_game_is_told_so(game: Game, message: str) -> None:
    with pytest.raises(InputError, match=message):
        play(game)


def test_turns_check_themselves() -> None:
    with pytest.raises(InputError, match="either a loss or a step; got neither"):
        Turn()
    with pytest.raises(InputError, match="moves nobody"):
        Turn(lambda p, real, t: {})
    with pytest.raises(InputError, match="got 0, 1, 0"):
        Turn(lambda p, real, t: {}, "G", every=0)


def test_shared_parameters_are_refused() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Shared(Line):
        def players(self, space: Any) -> dict[str, nn.Module]:
            layer = nn.Linear(2, 1)
            return {"G": layer, "D": nn.Sequential(layer)}

    with pytest.raises(InputError, match="both own the parameter '0.weight'"):
        play(Shared())


def test_a_state_of_other_players_is_refused() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Wide(Line):
        def players(self, space: Any) -> dict[str, nn.Module]:
            return {"G": nn.Linear(2, 3, bias=False), "D": nn.Linear(2, 1, bias=False)}

    with pytest.raises(InputError, match="does not fit player 'G'"):
        Engine(Wide(), SPACE).load_state(*play(Line()).state())


def test_schedules() -> None:
    half = Clock(0, 50)
    assert at(Linear(start=1.0, end=3.0, span=100), half) == pytest.approx(2.0)
    assert at(Cosine(start=1.0, end=0.0, span=100), half) == pytest.approx(0.5)
    assert at(Cosine(start=1.0, end=0.2, span=100), Clock(0, 10**9)) == pytest.approx(0.2)
    assert at(Warmup(then=Cosine(start=1.0, end=0.0, span=100), span=100), half) == pytest.approx(0.25)
    rising = Exponential(start=1.0, end=100.0, span=100)
    assert [at(rising, Clock(0, seen)) for seen in (0, 50, 100, 10**9)] == pytest.approx([1, 10, 100, 100])
    with pytest.raises(InputError, match="expected positive numbers"):
        Exponential(start=1.0, end=0.0, span=100)
    assert at(0.3, half) == 0.3


def test_choices_say_why() -> None:
    assert choose_precision("cpu").value == "fp32"
    assert "slower" in choose_precision("cpu").reason
    with pytest.raises(InputError, match="precision 'fp23' is unknown.* Did you mean 'fp32'"):
        choose_precision("cpu", "fp23")
    with pytest.raises(InputError, match="device 'gpu' is unknown"):
        choose_device("gpu")


def test_a_turn_that_cannot_be_compiled_runs_eagerly(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gives the same weights, and the reason is kept for the record."""

    def refuse(loss: Any) -> Any:
        def compiled(p: Players, real: Batch, t: Clock) -> Any:
            p.randn(len(real["x"]), 2)  # draws before it breaks, as a graph might
            raise RuntimeError("no such operator\nwith details")

        return compiled

    def noisy(p: Players, real: Batch, t: Clock) -> dict[str, Tensor]:
        return {"square": (p.G(real["x"] + p.randn(len(real["x"]), 2)) - 1).square().mean()}

    eager = play(Line(loss=noisy), 2)
    monkeypatch.setattr(torch, "compile", refuse)
    fallen = play(Line(loss=noisy), 2, compile=True)
    assert torch.equal(eager.players.G.weight, fallen.players.G.weight)
    assert fallen.notes == [("compile", {"turn": "noisy", "fallback": "eager", "reason": "no such operator"})]


@pytest.mark.slow
def test_a_compiled_penalty_equals_the_eager_one() -> None:
    """R1 + R2 inside a compiled turn (torch.func.grad), against eager: same weights to rounding."""
    from agon.games.r3gan import R3GAN
    from agon.networks.mlp import MLP

    # SGD, because Adam's first steps are signs of gradients and blow rounding up.
    game = R3GAN(net=MLP(width=16, depth=2), optim={k: SGD(lr=0.05) for k in "GD"})  # type: ignore[dict-item]
    eager, compiled = play(game, 2), play(game, 2, compile=True)
    assert not compiled.notes
    for a, b in zip(eager.players.D.parameters(), compiled.players.D.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)
