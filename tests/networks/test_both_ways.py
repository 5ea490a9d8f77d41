"""Reading both ways is what torch's packed sequences say, with padding that reaches nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from agon.layers.recurrent import BothWays


def packed(read: BothWays, whole: nn.LSTM | nn.GRU, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """States [n, T, 2 · width] and ends [n, 2 · width] of a packed layer with the same weights."""
    with torch.no_grad():
        for way, end in ((read.there, "_l0"), (read.back, "_l0_reverse")):
            for name, weight in way.named_parameters():
                getattr(whole, name.replace("_l0", end)).copy_(weight)
    told = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    states, last = whole(told)
    h = last[0] if isinstance(last, tuple) else last
    return nn.utils.rnn.pad_packed_sequence(states, batch_first=True, total_length=x.shape[1])[0], torch.cat([h[0], h[1]], 1)


@pytest.mark.parametrize("make", [nn.LSTM, nn.GRU])
def test_as_packed_sequences(make: type[nn.LSTM] | type[nn.GRU]) -> None:
    torch.manual_seed(0)
    read, lengths = BothWays(make, 3, 5), torch.tensor([6, 1, 4])
    x = torch.randn(3, 6, 3, requires_grad=True)
    there = (torch.arange(6) < lengths[:, None])[..., None]
    want, want_ends = packed(read, make(3, 5, batch_first=True, bidirectional=True), x, lengths)
    found, ends = torch.where(there, read(x, lengths), 0.0), read.ends(x, lengths)
    assert torch.allclose(found, want, atol=1e-6) and torch.allclose(ends, want_ends, atol=1e-6)
    slopes = [torch.autograd.grad(part.square().sum(), x, retain_graph=True)[0] for part in (found, want, ends, want_ends)]
    assert torch.allclose(slopes[0], slopes[1], atol=1e-5) and torch.allclose(slopes[2], slopes[3], atol=1e-5)
    assert torch.equal(slopes[2] * ~there, torch.zeros_like(x)), "padding reaches nothing"
    other = torch.where(there, x, 7.0)
    assert torch.equal(torch.where(there, read(other, lengths), 0.0), found) and torch.equal(read.ends(other, lengths), ends)
