"""The pool of earlier fakes: nothing is lost, nothing is made up, and a saved pool goes on as it would have."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agon.props import Pool


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6), st.lists(st.integers(1, 5), min_size=1, max_size=6), st.integers(0, 10_000))
def test_what_goes_in_comes_out_or_stays(size: int, batches: list[int], seed: int) -> None:
    draws = torch.Generator().manual_seed(seed)
    pool, shown, out = Pool(size, (2,)), [], []
    for n in batches:
        x = torch.randn(n, 2, generator=draws)
        coin, slot = torch.rand(n, generator=draws), torch.rand(n, generator=draws)
        filling = max(0, size - len(shown))
        given_back = pool.exchange(x, coin, slot)
        assert torch.equal(given_back[:filling], x[:filling])  # stored and returned
        late = coin[filling:] >= 0.5
        assert torch.equal(given_back[filling:][late], x[filling:][late])
        shown += x.tolist()
        out += given_back[filling:].tolist()
    kept = pool.items[: int(pool.count)].tolist()
    assert int(pool.count) == min(size, len(shown))
    assert sorted(kept + out) == sorted(shown)


def test_a_full_pool_swaps_half_of_the_time_and_resumes() -> None:
    pool = Pool(50, ())
    pool.exchange(torch.arange(50.0), torch.zeros(50), torch.zeros(50))
    coin, slot = torch.rand(2, 2_000, generator=torch.Generator().manual_seed(0))
    saved = {name: tensor.clone() for name, tensor in pool.state_dict().items()}
    x = torch.arange(50.0, 2_050.0)
    out = pool.exchange(x, coin, slot)
    assert torch.equal(out != x, coin < 0.5) and 0.45 < (out != x).float().mean() < 0.55
    assert (out[out != x] < x[out != x]).all()  # older ones
    other = Pool(50, ())
    other.load_state_dict(saved)
    assert torch.equal(other.exchange(x, coin, slot), out) and torch.equal(other.items, pool.items)
