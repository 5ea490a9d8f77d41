"""Noise inside a network in training: a critic's own, and what a game draws for a generator that draws nothing itself."""

from __future__ import annotations

from typing import Any

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


def fresh(p: Any, generator: Any, n: int) -> list[Tensor] | None:
    """Noise [n, 1, h, w] for each convolution of a generator that `draws_noise` (see `networks.stylegan2`), by the dice of players `p`; else None.

    The dice are the players', so that halves of a batch and a resumed run see the same noise.
    """
    return [p.randn(n, *shape) for shape in generator.noise_shapes] if getattr(generator, "draws_noise", False) else None
