"""Self-attention over the pixels of a feature map.

Zhang et al. 2019, "Self-Attention Generative Adversarial Networks", arXiv:1805.08318, sec. 3, in the form its authors published
and BigGAN kept: keys and values are max-pooled 2x2, channels are C/8 for queries and keys and C/2 for values.
Plain products and a softmax: a double backward passes through.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SelfAttention(nn.Module):
    """x [n, c, h, w] → x + γ·o(softmax(query·key) value) of the same shape; γ starts at zero, so the layer starts as the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner, value = max(1, width // 8), max(1, width // 2)
        self.query = nn.Conv2d(width, inner, 1, bias=False)
        self.key = nn.Conv2d(width, inner, 1, bias=False)
        self.value = nn.Conv2d(width, value, 1, bias=False)
        self.out = nn.Conv2d(value, width, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        query = self.query(x).flatten(2)
        key = F.max_pool2d(self.key(x), 2, ceil_mode=True).flatten(2)
        value = F.max_pool2d(self.value(x), 2, ceil_mode=True).flatten(2)
        weights = (query.transpose(1, 2) @ key).softmax(-1)
        mixed = (value @ weights.transpose(1, 2)).reshape(-1, self.out.in_channels, *x.shape[2:])
        return x + self.gamma * self.out(mixed)
