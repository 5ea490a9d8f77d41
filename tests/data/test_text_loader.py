"""Batches of sentences of like lengths: every sample once an epoch, a pure function of the round, equal over ranks, less padding."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agon.data import Data, Loader, Samples, open_data
from agon.directory import read_state
from agon.errors import InputError
from agon.run import play, prepare


def sentences(count: int, seed: int = 0) -> Samples:
    """Sentences of 1 to 20 tokens; y says which one it is."""
    lengths = torch.randint(1, 21, (count, 1), generator=torch.Generator().manual_seed(seed))
    return Samples((torch.arange(20)[None] < lengths).to(torch.int32), torch.arange(count))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.integers(1, 12), st.sampled_from([1, 2, 3]), st.integers(1, 3), st.integers(0, 60), st.integers(0, 9))
def test_the_slices_of_the_ranks_are_the_batch(count, share, world, per_round, index, seed):
    how = {"batch": share * world, "seed": seed, "batches_per_round": per_round, "alike": True}
    whole = Loader(sentences(count), **how).round(index)
    parts = [Loader(sentences(count), rank=rank, world=world, **how).round(index) for rank in range(world)]
    for k in range(per_round):
        for key in ("x", "y"):
            assert torch.equal(whole[k][key], torch.cat([part[k][key] for part in parts]))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 120), st.integers(1, 50), st.integers(0, 5))
def test_every_sample_comes_once_an_epoch(count, batch, seed):
    loader = Loader(sentences(count), batch, seed, alike=True)
    rounds = -(-count * 3 // batch)
    forward = [loader.round(k)[0]["y"] for k in range(rounds)]
    stream = torch.cat(forward)[: count * 3].view(3, count)
    assert (stream.sort(1).values == torch.arange(count)).all()
    again = Loader(sentences(count), batch, seed, alike=True)
    for k in reversed(range(rounds)):
        assert torch.equal(again.round(k)[0]["y"], forward[k])


def test_batches_hold_less_padding_and_come_in_no_order():
    samples = sentences(4_096)
    longest = {}
    for alike in (False, True):
        loader = Loader(samples, 32, 0, alike=alike)
        longest[alike] = torch.tensor([int((loader.round(k)[0]["x"] != 0).sum(1).max()) for k in range(128)]).float()
    mean = (samples.x != 0).sum(1).float().mean()
    assert longest[False].mean() > 19
    assert longest[True].mean() < mean + 1.5
    assert torch.corrcoef(torch.stack([longest[True][1:], longest[True][:-1]]))[0, 1].abs() < 0.3
    first, second = (torch.cat([Loader(samples, 32, 0, alike=True).round(e * 128 + k)[0]["y"] for k in range(4)]) for e in (0, 1))
    assert not torch.equal(first, second)


def test_what_has_no_lengths_is_refused():
    with pytest.raises(InputError, match="alike is for sentences"):
        Loader(Samples(torch.zeros(9, 2)), 3, 0, alike=True)
    with pytest.raises(InputError, match="alike is for sentences"):
        Loader(Samples(torch.ones(9, 5, dtype=torch.int32), torch.arange(9) % 2), 3, 0, alike=True, balance=True)


def test_a_run_in_buckets_goes_on_as_if_never_stopped(tmp_path: Path) -> None:
    lines = [" ".join(f"w{(k * 7 + j) % 30}" for j in range(1 + k % 9)) for k in range(200)]
    (tmp_path / "lines.txt").write_text("\n".join(lines), "utf-8")
    data = Data(path=str(tmp_path / "lines.txt"), tokenizer="word", bucket=True)
    assert open_data(data).reasons["bucket"].startswith("asked for")
    small = {
        "rounds": 6,
        "batch": 8,
        "tick": 3,
        "save_every": 2,
        "keep": 9,
        "device": "cpu",
        "tensorboard": False,
        "score_every": 0,
        "metrics": [],
    }
    states = {}
    for name, bucket in (("plain", False), ("buckets", True)):
        run, _ = prepare(
            Data(path=data.path, tokenizer="word", bucket=bucket),
            out=tmp_path / name,
            recipe="likelihood",
            settings={**small, "game.net.width": 8},
        )
        play(run)
        states[name] = read_state(run.states()[-1][1])[0]
    run.drop_states(after=2)
    play(run)
    again = read_state(run.states()[-1][1])[0]
    assert all(torch.equal(again[key], value) for key, value in states["buckets"].items())
    assert not all(torch.equal(states["plain"][key], value) for key, value in states["buckets"].items())


def test_buckets_are_of_sentences() -> None:
    with pytest.raises(InputError, match="bucket"):
        open_data(Data(path="digits", bucket=True))
    with pytest.raises(InputError, match="bucket puts sentences of like lengths into a batch, balance sentences of all classes"):
        open_data(Data(path="sentences", bucket=True, balance=True))
