"""The loader: a pure function of (seed, round), equal over ranks, every sample once an epoch."""

from __future__ import annotations

import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agon.data import Loader, Samples
from agon.errors import InputError


def numbered(count: int) -> Samples:
    """Samples whose first pixel says which one it is."""
    x = torch.zeros(count, 1, 2, 3, dtype=torch.uint8)
    x[:, 0, 0, 0] = torch.arange(count) % 256
    return Samples(x, torch.arange(count))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(1, 12), st.sampled_from([1, 2, 3, 4]), st.integers(1, 3), st.integers(0, 40), st.integers(0, 9))
def test_the_slices_of_the_ranks_are_the_batch(count, share, world, per_round, index, seed):
    samples = numbered(count)
    how = {"batch": share * world, "seed": seed, "batches_per_round": per_round, "mirror": True}
    whole = Loader(samples, **how).round(index)
    parts = [Loader(samples, rank=rank, world=world, **how).round(index) for rank in range(world)]
    assert len(whole) == per_round
    for k in range(per_round):
        for key in ("x", "y"):
            assert torch.equal(whole[k][key], torch.cat([part[k][key] for part in parts]))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 50), st.integers(1, 70), st.integers(0, 5))
def test_every_sample_comes_once_an_epoch(count, batch, seed):
    loader = Loader(numbered(count), batch, seed)
    epochs = 3
    rounds = -(-count * epochs // batch)
    stream = torch.cat([loader.round(k)[0]["y"] for k in range(rounds)])[: count * epochs].view(epochs, count)
    assert (stream.sort(1).values == torch.arange(count)).all()
    assert count < 8 or not torch.equal(stream[0], stream[1])


def test_a_round_does_not_depend_on_the_ones_before():
    first, second = (Loader(numbered(50), 16, 3, mirror=True) for _ in range(2))
    forward = [first.round(k)[0] for k in range(30)]
    for k in (29, 3, 17, 0, 29):
        assert torch.equal(second.round(k)[0]["x"], forward[k]["x"])
        assert torch.equal(second.round(k)[0]["y"], forward[k]["y"])
    assert not torch.equal(Loader(numbered(50), 16, 4).round(0)[0]["y"], Loader(numbered(50), 16, 3).round(0)[0]["y"])


def test_batches_of_a_round_are_consecutive():
    one, three = Loader(numbered(40), 8, 0), Loader(numbered(40), 8, 0, batches_per_round=3)
    for k, batch in enumerate(three.round(2)):
        assert torch.equal(batch["y"], one.round(6 + k)[0]["y"])


def test_random_state_is_left_alone():
    import numpy as np

    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    Loader(numbered(20), 8, 1, mirror=True).round(5)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002


def test_mirror_turns_about_half_anew_each_epoch_and_leaves_the_set_alone():
    samples = numbered(400)
    kept = samples.x.clone()
    loader = Loader(samples, 400, 0, mirror=True)
    flips = []
    for k in range(2):
        batch = loader.round(k)[0]
        original = samples.x[batch["y"]]
        turned = (batch["x"] == original.flip(-1)).flatten(1).all(1) & (original[:, 0, 0, 0] > 0)
        assert ((batch["x"] == original).flatten(1).all(1) | turned).all()
        flips.append(set(batch["y"][turned].tolist()))
        assert 150 < len(flips[-1]) < 250
    assert flips[0] != flips[1]
    assert torch.equal(samples.x, kept)


def test_unlabelled_and_points():
    assert set(Loader(Samples(torch.randn(9, 2)), 4, 0).round(0)[0]) == {"x"}


def test_refusals():
    with pytest.raises(InputError, match="no sample"):
        Loader(numbered(0), 4, 0)
    with pytest.raises(InputError, match="multiple of 3"):
        Loader(numbered(9), 4, 0, world=3)
    with pytest.raises(InputError, match="batch got -4"):
        Loader(numbered(9), -4, 0)
    with pytest.raises(InputError, match="mirror is for pictures"):
        Loader(Samples(torch.randn(9, 2)), 4, 0, mirror=True)


def test_a_round_is_cheap_in_a_large_set():
    loader = Loader(numbered(200_000), 64, 0, mirror=True)
    loader.round(0)  # draws the permutation
    start = time.process_time()
    for k in range(1, 201):
        loader.round(k)
    assert time.process_time() - start < 1.0, "a round must not cost a permutation"
