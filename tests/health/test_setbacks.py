"""--on-collapse: warn, roll back, stop; what a resume keeps of the signs; and small things of the same code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from agon.data import Data, open_data
from agon.directory import RunDirectory, _sparse, read_state
from agon.engine import Engine
from agon.errors import InputError
from agon.games.gan import GAN
from agon.health import Patient, Sign, doctor
from agon.hooks import Quiet, Scene
from agon.networks.mlp import MLP
from agon.run import play, prepare, run_from_json
from agon.spaces import Vector
from agon.stats import Log

SETTINGS = {
    "rounds": 60, "batch": 16, "tick": 2, "save_every": 2, "score_every": 0, "metrics": [], "tensorboard": False, "game.net.width": 8,
}  # fmt: skip


def fresh(path: Path, **more: Any) -> RunDirectory:
    return prepare(Data(path="ring", limit=200), out=path, recipe="gan", settings={**SETTINGS, **more})[0]


def kinds(directory: RunDirectory) -> list[str]:
    return [row["kind"] for row in directory.events()]


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scene, "_picture", lambda self: None)


@pytest.fixture
def ill_from(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Signs at will: {"severe": first tick with a severe sign, "mild": one with a mild one, "only attempt": n}."""
    plan: dict[str, Any] = {}

    def examine(history: list[dict[str, float]], patient: Patient) -> list[Sign]:
        ticks, found = len(history), []
        if plan.get("severe", 10**9) <= ticks <= plan.get("until", 10**9):
            found.append(Sign("mode collapse", "It collapsed.", f"tick {ticks}", ("agon train x",), severe=True))
        if plan.get("mild", 10**9) <= ticks:
            found.append(Sign("memorisation", "It copies.", f"tick {ticks}"))
        return found

    monkeypatch.setattr(doctor, "examine", examine)
    return plan


def test_warn_goes_on(tmp_path: Path, ill_from: dict[str, Any]) -> None:
    ill_from |= {"severe": 10, "until": 12}
    directory = fresh(tmp_path / "a")
    assert play(directory).end == "done"
    rows = directory.events()
    signs = [row for row in rows if row["kind"] == "health"]
    assert [(row["sign"], row["round"], row["severe"], row["remedies"]) for row in signs] == [("mode collapse", 18, True, ["agon train x"])]
    assert [row["round"] for row in rows if row["kind"] == "relief"] == [28], "over when gone for three ticks"


def test_stop_saves_and_says_why(tmp_path: Path, ill_from: dict[str, Any]) -> None:
    ill_from |= {"severe": 10, "mild": 4}
    directory = fresh(tmp_path / "a", on_collapse="stop")
    outcome = play(directory)
    assert (outcome.end, outcome.round) == ("stopped", 18), "the mild sign at 6 only warns"
    last = directory.events()[-1]
    assert last["kind"] == "stop" and last["sign"] == "mode collapse" and "agon train x" in last["sentence"]
    assert directory.states()[-1][0] == 18
    again = play(directory)
    assert again.end == "done", "who goes on with it has seen the sign: it does not act twice"
    assert kinds(directory).count("health") == 2


def test_rollback_goes_further_back_each_time_and_then_ends(tmp_path: Path, ill_from: dict[str, Any]) -> None:
    ill_from |= {"severe": 20}
    directory = fresh(tmp_path / "a", on_collapse="rollback")
    outcome = play(directory)
    assert (outcome.end, outcome.round) == ("stopped", 38)
    rows = directory.events()
    last = rows[-1]
    assert last["kind"] == "stop" and "after going back 3 times" in last["sentence"]
    rollbacks = [row for row in rows if row["kind"] == "rollback"]
    # Later roll-backs go before earlier ones and take their records with them.
    assert rollbacks and all(row["failed"] == 38 and row["round"] <= 38 - 8 for row in rollbacks)
    assert len(rollbacks) == 1 and rollbacks[0]["round"] <= 38 - 4 * 2 * 2**2, "the last one reaches furthest"
    tensors, rest = read_state(directory.states()[-1][1])
    assert rest["engine"]["attempt"] == 3 and rest["setbacks"] == 3
    assert all(t.isfinite().all() for t in tensors.values() if t.is_floating_point())
    assert directory.states()[0][0] == 0


def test_rollback_helps_when_the_sign_stays_away(tmp_path: Path, ill_from: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """One collapse; with other noise the run goes through, to other weights, and is repeatable."""
    seen = 0

    def examine(history: list[dict[str, float]], patient: Patient) -> list[Sign]:
        nonlocal seen
        if len(history) == 15 and not seen:
            seen = 1
            return [Sign("mode collapse", "It collapsed.", "1", severe=True)]
        return []

    finals = []
    for name, mode in (("a", "rollback"), ("b", "rollback"), ("c", "warn")):
        seen = 0
        monkeypatch.setattr(doctor, "examine", examine)
        directory = fresh(tmp_path / name, on_collapse=mode)
        assert play(directory).end == "done"
        finals.append(read_state(directory.states()[-1][1])[0])
        assert kinds(directory).count("rollback") == (mode == "rollback")
        ticks = [row["round"] for row in directory.events() if row["kind"] == "tick"]
        assert ticks == list(range(0, 61, 2)), "each round is on record once"
    assert all(torch.equal(finals[0][k], finals[1][k]) for k in finals[0])
    assert any(not torch.equal(finals[0][k], finals[2][k]) for k in finals[0])


def test_a_sign_that_was_present_does_not_fire_again_after_a_resume(tmp_path: Path, ill_from: dict[str, Any]) -> None:
    ill_from |= {"severe": 5}
    directory = fresh(tmp_path / "a")
    for part in range(1, 200):
        if play(directory, cpu_budget=0.04 * part).end == "done":
            break
    assert kinds(directory).count("resume") >= 1
    assert kinds(directory)[-1] == "done"
    assert kinds(directory).count("health") == 1


def test_a_finished_run_is_not_finished_twice(tmp_path: Path) -> None:
    directory = fresh(tmp_path / "a")
    play(directory)
    before = kinds(directory)
    assert play(directory).end == "done"
    assert kinds(directory) == before and before.count("done") == 1
    directory.write("run.json", {**directory.run(), "rounds": 70})
    play(directory)
    assert kinds(directory).count("done") == 2, "more rounds make another end"


def test_the_count_of_skipped_updates_goes_on_after_a_roll_back() -> None:
    engine = Engine(GAN(net=MLP(width=8)), Vector(), seed=0)
    tensors, rest = engine.state()
    engine._deferred = torch.tensor([9.0, 0.0, 9.0])  # as on a device that counts for itself
    engine.settle()
    assert engine.skipped == 9
    engine.load_state(tensors, rest)
    engine.reseed(4, 9)
    engine._deferred += torch.tensor([1.0, 0.0, 1.0])
    engine.settle()
    assert (engine.attempt, engine.skipped, engine.streaks) == (4, 10, {"G": 1, "D": 0})


@pytest.fixture
def counts_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every engine counts skipped updates as on a device that must not be read each round."""
    begin = Engine.__init__

    def deferred(self: Engine, *given: Any, **settings: Any) -> None:
        begin(self, *given, **settings)
        self._deferred = torch.zeros(len(self.streaks) + 1)

    monkeypatch.setattr(Engine, "__init__", deferred)


@pytest.mark.usefixtures("counts_for_itself")
@pytest.mark.parametrize("moment", ["save", "score"])
def test_every_process_learns_of_skips_when_a_state_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    """Or the one that writes would go back alone, and wait for the others for ever."""
    directory = fresh(tmp_path / "a")
    content = directory.run()
    run = run_from_json(content, GAN)
    data_set = open_data(run.data)
    engine = Engine(run.game, data_set.space)
    engine._deferred = torch.tensor([0.0, 12.0, 12.0])
    scene = Scene(
        run=run, engine=engine, data_set=data_set, directory=directory, log=Log(directory.path, False), show=Quiet(), content=content
    )  # fmt: skip
    monkeypatch.setattr("agon.ranks.is_main", lambda: False)
    getattr(scene, moment)()
    assert engine.streaks == {"G": 0, "D": 12}


@pytest.mark.usefixtures("counts_for_itself")
def test_skips_that_a_tick_finds_are_recorded_at_its_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    played = Engine.round

    def skipping(self: Engine, batches: Any) -> None:
        played(self, batches)
        if self.clock.round in (31, 60):
            assert self._deferred is not None
            self._deferred[-1] += 1

    monkeypatch.setattr(Engine, "round", skipping)
    directory = fresh(tmp_path / "a")
    assert play(directory).end == "done"
    rows = [(row["kind"], row["round"]) for row in directory.events() if row["kind"] in ("skip", "tick", "done")]
    assert [row for row in rows if row[0] == "skip"] == [("skip", 32), ("skip", 60)]
    assert rows[-3:] == [("skip", 60), ("tick", 60), ("done", 60)]


@pytest.mark.parametrize("save_every", [1, 2])
@pytest.mark.parametrize("on_device", [False, True])
def test_saving_often_does_not_pass_for_progress(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, on_device: bool, save_every: int
) -> None:
    if on_device:
        request.getfixturevalue("counts_for_itself")
    norm = torch.nn.utils.get_total_norm
    monkeypatch.setattr("torch.nn.utils.get_total_norm", lambda gradients: norm(gradients) * torch.nan)
    directory = fresh(tmp_path / "a", save_every=save_every)
    with pytest.raises(InputError, match="training diverged.*going back 3 times did not help"):
        play(directory)
    assert kinds(directory).count("rollback") == 3


def test_a_state_that_is_not_finite_is_not_saved_and_the_run_goes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = Engine.healthy
    monkeypatch.setattr(Engine, "healthy", lambda self: sound(self) and (self.clock.round != 20 or self.attempt > 0))
    directory = fresh(tmp_path / "a")
    assert play(directory).end == "done"
    (back,) = [row for row in directory.events() if row["kind"] == "rollback"]
    assert (back["failed"], back["round"]) == (21, 18)
    assert back["sentence"] == "the state was not finite; back from round 21 to 18 with other noise"


def test_states_thin_out_with_age() -> None:
    kept: list[int] = []
    for now in range(0, 400, 5):
        kept.append(now)
        wanted = _sparse(kept)
        kept = [r for r in kept if r in wanted or r in kept[-2:]]
        ages = sorted((now - r) // 5 for r in kept)
        for reach in (4, 8, 16):
            if now >= 5 * 2 * reach:
                assert any(reach <= age <= 4 * reach for age in ages), f"at {now}: nothing about {reach} states old in {ages}"
    assert kept[0] == 0 and len(kept) < 14
