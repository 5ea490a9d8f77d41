"""Killed at any moment, a run goes on to the very weights it would have had; no half-written file is ever read."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch

from agon.data import Data
from agon.directory import RunDirectory, read_state, write_state
from agon.errors import InputError
from agon.hooks import Quiet
from agon.records import read_jsonl
from agon.run import play, prepare
from agon.stats import Log

SETTINGS = {
    "rounds": 120, "batch": 16, "tick": 7, "save_every": 3, "score_every": 0, "metrics": [], "seed": 3, "tensorboard": False, "keep": 2,
    "game.net.width": 16,
}  # fmt: skip
KILLS = 20


def fresh(path: Path) -> RunDirectory:
    return prepare(Data(path="ring", limit=400), out=path, settings=SETTINGS)[0]


def in_child(directory: RunDirectory) -> int:
    """Play in a forked process, so that a kill costs no import; return its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            torch.set_num_threads(1)
            play(directory)
            os._exit(0)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
    return pid


def final(directory: RunDirectory) -> dict[str, torch.Tensor]:
    tensors, rest = read_state(directory.states()[-1][1])
    assert rest["round"] == SETTINGS["rounds"]
    return tensors


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_twenty_times_equals_never(tmp_path: Path) -> None:
    alone, killed = fresh(tmp_path / "alone"), fresh(tmp_path / "killed")
    began = time.monotonic()
    assert os.waitpid(in_child(alone), 0)[1] == 0
    seconds = time.monotonic() - began
    chance = random.Random(0)
    kills = 0
    for _ in range(40 * KILLS):
        pid = in_child(killed)
        deadline = time.monotonic() + chance.uniform(0.02, 0.35) * seconds
        while time.monotonic() < deadline:
            finished, status = os.waitpid(pid, os.WNOHANG)
            if finished:
                assert status == 0, "a resumed run failed"
                break
            time.sleep(0.002)
        else:
            os.kill(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            kills += os.WIFSIGNALED(status)
        for _, state in killed.states():
            read_state(state)  # whatever is there is whole
        for name in ("events.jsonl", "metrics.jsonl"):
            read_jsonl(killed.path / name)
        if kills >= KILLS:
            break
        if killed.states() and killed.states()[-1][0] == SETTINGS["rounds"]:
            # Finished early: take the last states and their records away and be killed some more on the way there again.
            for _, state in killed.states():
                state.unlink()
            (killed.path / "events.jsonl").unlink()
    assert kills == KILLS
    assert os.waitpid(in_child(killed), 0)[1] == 0
    one, other = final(alone), final(killed)
    assert one.keys() == other.keys()
    assert [k for k in one if not torch.equal(one[k], other[k])] == []
    ticks = [[r["round"] for r in read_jsonl(d.path / "events.jsonl") if r["kind"] == "tick"] for d in (alone, killed)]
    assert ticks[0] == ticks[1], "records of rounds that were played twice are there once"


def test_sigterm_finishes_the_round_and_saves(tmp_path: Path) -> None:
    directory = fresh(tmp_path / "run")
    pid = in_child(directory)
    while not directory.states() or directory.states()[-1][0] == 0:
        time.sleep(0.01)
    os.kill(pid, signal.SIGTERM)
    assert os.waitpid(pid, 0)[1] == 0
    last = read_jsonl(directory.path / "events.jsonl")[-1]
    assert last["kind"] in ("stop", "done")
    assert directory.states()[-1][0] == last["round"]
    outcome = play(directory)
    alone = fresh(tmp_path / "alone")
    play(alone)
    assert outcome.end == "done"
    assert all(torch.equal(a, b) for a, b in zip(final(alone).values(), final(directory).values(), strict=True))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_run_has_one_trainer_at_a_time(tmp_path: Path) -> None:
    directory = prepare(Data(path="ring", limit=400), out=tmp_path / "run", settings={**SETTINGS, "rounds": 1_000_000})[0]
    pid = in_child(directory)
    while not directory.states():
        time.sleep(0.01)
    with pytest.raises(InputError, match="another process is training .*run'. Wait for it or stop it"):
        play(directory)
    os.kill(pid, signal.SIGKILL)  # a killed one holds nothing
    os.waitpid(pid, 0)
    before = directory.states()[-1][0]
    assert play(directory, cpu_budget=0.0).round == before


def test_damaged_newest_state_is_passed_over(tmp_path: Path) -> None:
    directory = fresh(tmp_path / "run")
    play(directory)
    expected = final(directory)
    newest = directory.states()[-1][1]
    newest.write_bytes(newest.read_bytes()[:1000])
    with pytest.raises(InputError, match="cannot be read"):
        read_state(newest)
    told: list[str] = []

    class Told(Quiet):
        def note(self, kind: str, text: str) -> None:
            told.append(f"{kind}: {text}")

    play(directory, cpu_budget=0.0, show=Told())
    assert told[:2] == [
        "damaged: a newer state could not be read; what there is of it is kept as 00000120.safetensors.damaged",
        "resume: from round 117",
    ]
    assert [round for round, _ in directory.states()] == [117]
    play(directory)
    assert all(torch.equal(a, b) for a, b in zip(expected.values(), final(directory).values(), strict=True))


def test_a_state_outlives_a_damaged_one_of_a_later_round(tmp_path: Path) -> None:
    directory = fresh(tmp_path / "run")
    (directory.path / "states" / "00000200.safetensors").write_bytes(b"torn")
    for round in (100, 150, 160):
        directory.save_state({"w": torch.ones(1)}, {"round": round}, keep=1)
        found = directory.load_state()
        assert found is not None and found[1]["round"] == round
    assert [round for round, _ in directory.states()] == [160, 200]


def test_a_run_whose_states_are_gone_keeps_its_records(tmp_path: Path) -> None:
    directory = fresh(tmp_path / "run")
    play(directory)
    for _, state in directory.states():
        state.unlink()
    before = {path: path.read_bytes() for path in directory.path.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=r"tells of one of round 120; expected 00000120.safetensors.*agon train .*run.json --out NEW"):
        play(directory)
    assert {path: path.read_bytes() for path in directory.path.rglob("*") if path.is_file()} == before


def test_a_run_killed_before_its_first_state_begins_anew(tmp_path: Path) -> None:
    directory = fresh(tmp_path / "run")
    log = Log(directory.path, tensorboard=False)
    for kind in ("start", "tick"):
        log.event(kind, 0, 0)
    assert play(directory).end == "done"
    kinds = [row["kind"] for row in directory.events()]
    assert (kinds.count("start"), kinds[:3]) == (1, ["start", "tick", "save"])


def test_full_disk_keeps_the_last_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = fresh(tmp_path / "run")
    calls = 0

    def full(path: Path, tensors: object, rest: object) -> None:
        nonlocal calls
        calls += 1
        if calls > 2:
            raise OSError(28, "No space left on device")
        write_state(path, tensors, rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr("agon.directory.write_state", full)
        with pytest.raises(InputError, match=r"No space left on device. The state of round 3 is whole. Make room, then .*agon train"):
            play(directory)
    assert [r for r, _ in directory.states()] == [0, 3]
    alone = fresh(tmp_path / "alone")
    play(alone)
    play(directory)
    assert all(torch.equal(a, b) for a, b in zip(final(alone).values(), final(directory).values(), strict=True))


def test_changed_data_is_refused(tmp_path: Path) -> None:
    directory = fresh(tmp_path / "run")
    content = directory.run()
    directory.write("run.json", {**content, "content_hash": "0" * 16})
    with pytest.raises(InputError, match="changed since .* began"):
        play(directory)


def test_divergence_rolls_back_then_gives_up(tmp_path: Path) -> None:
    settings = {**SETTINGS, "patience": 2, "game.optim.G.lr": 1e30, "game.optim.D.lr": 1e30, "game.ema": {}}
    directory, data_set = prepare(Data(path="ring", limit=400), out=tmp_path / "run", settings=settings)
    with pytest.raises(InputError, match="training diverged.*going back 3 times did not help.*--game.optim.G.lr"):
        play(directory, data_set)
    kinds = [row["kind"] for row in read_jsonl(directory.path / "events.jsonl")]
    assert kinds.count("rollback") == 3
    tensors, _ = read_state(directory.states()[-1][1])
    assert all(t.isfinite().all() for t in tensors.values() if t.is_floating_point())


def test_what_was_recorded_before_the_first_round_is_recorded_once(tmp_path: Path) -> None:
    directory = fresh(tmp_path / "run")
    play(directory, cpu_budget=0.0)  # saves the state of round 0 and stops
    assert [round for round, _ in directory.states()] == [0]
    play(directory)
    rounds = [row["round"] for row in directory.events() if row["kind"] == "tick"]
    assert rounds == sorted(set(rounds)) == [*range(0, SETTINGS["rounds"], SETTINGS["tick"]), SETTINGS["rounds"]]
