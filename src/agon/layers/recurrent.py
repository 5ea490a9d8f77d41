"""Recurrent cells in plain operations: they pass through torch.func and through a second backward on every device, as fused ones do not."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from agon.layers.init import scaled_normal_


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
            h = self.step(told, h)
            states.append(h)
        return torch.stack(states, 1)

    def step(self, told: Tensor, h: Tensor) -> Tensor:
        """One step: told [n, 3·width], an input already mapped by `read`."""
        kept = self.keep(h)
        width = 2 * self.width
        r, u = (told[:, :width] + kept[:, :width]).sigmoid().chunk(2, 1)
        return torch.lerp((told[:, width:] + r * kept[:, width:]).tanh(), h, u)
