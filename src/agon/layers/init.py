"""Initial weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def scaled_normal_(weight: Tensor, *, slope: float | None = None, scale: float = 1.0, fan_in: int | None = None) -> Tensor:
    """Fill `weight` [out, in, ...] with N(0, scale²·gain²/fan_in) in place and return it (He et al. 2015, arXiv:1502.01852).

    gain² is 2/(1 + slope²) when the input went through a leaky ReLU of that slope, 1 when `slope` is None. `fan_in` is the number
    of inputs that reach one output, by default the elements of one row of `weight`.
    """
    fan_in = fan_in or weight[0].numel()
    gain = 1.0 if slope is None else math.sqrt(2 / (1 + slope * slope))
    with torch.no_grad():
        return weight.normal_(0.0, scale * gain / math.sqrt(fan_in))


def dcgan_(module: nn.Module) -> None:
    """N(0, 0.02) for convolutions and N(1, 0.02) for batch-norm gains (Radford et al. 2015, arXiv:1511.06434, sec. 4)."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, 0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.02)
            nn.init.zeros_(layer.bias)


def orthogonal_(root: nn.Module) -> None:
    """Orthogonal weights for every convolution, linear map and embedding, zero biases (Brock et al. 2019, arXiv:1809.11096, sec. 3).

    Saxe et al. 2014, arXiv:1312.6120: with more outputs than inputs the columns are orthonormal, else the rows.
    """
    for layer in root.modules():
        if isinstance(layer, nn.modules.conv._ConvNd | nn.Linear | nn.Embedding):
            nn.init.orthogonal_(layer.weight)
            bias = getattr(layer, "bias", None)
            if isinstance(bias, Tensor):
                nn.init.zeros_(bias)


def xavier_(root: nn.Module, gain: float = 1.0) -> None:
    """Uniform weights of variance gain²·2/(fan_in + fan_out) for convolutions and linear maps, zero biases (Glorot & Bengio 2010)."""
    for layer in root.modules():
        if isinstance(layer, nn.modules.conv._ConvNd | nn.Linear):
            nn.init.xavier_uniform_(layer.weight, gain)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
