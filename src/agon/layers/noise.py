"""Noise inside a network in training, as some critics have it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Noise(nn.Module):
    """x + σ·N(0, 1) in training, x otherwise. Draws from torch's own generator, as dropout does: halves of a batch do not equal the whole."""

    def __init__(self, sigma: float) -> None:
        super().__init__()
        self.sigma = sigma

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.sigma == 0:
            return x
        return x + self.sigma * torch.randn_like(x)
