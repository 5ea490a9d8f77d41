"""Sequences read both ways, and recurrent cells in plain operations: these pass through torch.func and a second backward everywhere, as fused ones do not."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from agon.layers.init import scaled_normal_


class BothWays(nn.Module):
    """Sequences [n, T, a] of so many places, int64 [n], read from either end by a layer each (torch's LSTM or GRU, one with a fast path).

    What is behind a sequence's end reaches nothing: the second layer reads each sequence turned around within its own length. Packed sequences would say
    the same, but their backward on a processor makes a whole sequence of zeros for each step: 13 times the time at n 16, T 400, 1.6 times at n 64, T 16.
    """

    def __init__(self, make: type[nn.LSTM] | type[nn.GRU], inputs: int, width: int) -> None:
        super().__init__()
        self.there, self.back = (make(inputs, width, batch_first=True) for _ in range(2))

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """States [n, T, 2 · width], those of the way there first."""
        return torch.cat([self.there(x)[0], _turned(self.back(_turned(x, lengths))[0], lengths)], 2)

    def ends(self, x: Tensor, lengths: Tensor) -> Tensor:
        """The last state of each way [n, 2 · width]."""
        last = (lengths - 1)[:, None, None]
        ways = self.there(x)[0], self.back(_turned(x, lengths))[0]
        return torch.cat([way.gather(1, last.expand(-1, -1, way.shape[2]))[:, 0] for way in ways], 1)


def _turned(x: Tensor, lengths: Tensor) -> Tensor:
    """Sequences [n, T, d] backwards within their lengths; what is behind stays."""
    place = torch.arange(x.shape[1], device=x.device)
    other = torch.where(place < lengths[:, None], lengths[:, None] - 1 - place, place)
    return x.gather(1, other[..., None].expand_as(x))


class GRU(nn.Module):
    """Inputs [n, T, a] and a first state [n, width] → states [n, T, width] (Cho et al. 2014, arXiv:1406.1078).

    r = σ(W_r x + U_r h), u = σ(W_u x + U_u h), h' = u·h + (1 − u)·tanh(W x + r·(U h)); all inputs are mapped at once, ahead of the steps.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.read = nn.Linear(inputs, 3 * width)
        self.keep = nn.Linear(width, 3 * width, bias=False)
        scaled_normal_(self.read.weight)
        nn.init.zeros_(self.read.bias)
        with torch.no_grad():
            for gate in self.keep.weight.chunk(3):
                nn.init.orthogonal_(gate)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        states = []
        for told in self.read(x).unbind(1):
            h = self.step(told, h.to(told.dtype))
            states.append(h)
        return torch.stack(states, 1)

    def step(self, told: Tensor, h: Tensor) -> Tensor:
        """One step: told [n, 3·width], an input already mapped by `read`."""
        kept = self.keep(h)
        width = 2 * self.width
        r, u = (told[:, :width] + kept[:, :width]).sigmoid().chunk(2, 1)
        return torch.lerp((told[:, width:] + r * kept[:, width:]).tanh(), h, u)


class ConvGRU(nn.Module):
    """Maps [n, T, a, h, w] and a first state [n, width, h, w] → states [n, T, width, h, w] (Ballas et al. 2016, arXiv:1511.06432).

    A GRU whose matrices are 3x3 convolutions; the candidate passes a ReLU instead of tanh, as in DVD-GAN (arXiv:1907.06571).
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.gates = nn.Conv2d(inputs + width, 2 * width, 3, padding=1)
        self.fresh = nn.Conv2d(inputs + width, width, 3, padding=1)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        states = []
        for told in x.unbind(1):
            r, u = self.gates(torch.cat([told, h], 1)).sigmoid().chunk(2, 1)
            fresh = self.fresh(torch.cat([told, r * h], 1)).relu()
            h = torch.lerp(fresh, h.to(fresh.dtype), u)
            states.append(h)
        return torch.stack(states, 1)


class LSTM(nn.Module):
    """Inputs [n, T, a] and a first (state, cell), each [n, width] → states [n, T, width] and the last (state, cell) (Hochreiter & Schmidhuber 1997)."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.read = nn.Linear(inputs, 4 * width)
        self.keep = nn.Linear(width, 4 * width, bias=False)
        scaled_normal_(self.read.weight)
        nn.init.zeros_(self.read.bias)
        with torch.no_grad():
            self.read.bias[width : 2 * width] = 1.0  # what a cell holds is kept at first
            for gate in self.keep.weight.chunk(4):
                nn.init.orthogonal_(gate)

    def forward(self, x: Tensor, start: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        h, c = start
        states = []
        for told in self.read(x).unbind(1):
            let, keep, show, fresh = (told + self.keep(h)).chunk(4, 1)
            c = keep.sigmoid() * c.to(keep.dtype) + let.sigmoid() * fresh.tanh()
            h = show.sigmoid() * c.tanh()
            states.append(h)
        return torch.stack(states, 1), (h, c)
