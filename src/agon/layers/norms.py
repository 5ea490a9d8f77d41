"""Normalisation whose gain and offset may depend on a condition."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ConditionalBatchNorm(nn.Module):
    """Batch normalisation with gain 1 + g and offset b, where (g, b) = `affine`(condition) [n, 2·width].

    de Vries et al. 2017, arXiv:1707.00683; Dumoulin et al. 2017, arXiv:1610.07629; for GANs Miyato & Koyama 2018, arXiv:1802.05637.
    Without `affine` the gain and offset are parameters, as in plain batch normalisation. Couples the samples of a batch.
    """

    def __init__(self, width: int, affine: nn.Module | None = None, *, eps: float = 1e-5) -> None:
        super().__init__()
        self.affine = affine
        self.norm = nn.BatchNorm2d(width, eps=eps, affine=affine is None)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        x = self.norm(x)
        if self.affine is None:
            return x
        gain, offset = self.affine(condition).to(x.dtype)[:, :, None, None].chunk(2, 1)
        return torch.addcmul(x + offset, x, gain)


def pixel_norm(z: Tensor) -> Tensor:
    """z [n, d] scaled to mean square 1 (Karras et al. 2018, arXiv:1710.10196, sec. 4.2)."""
    wide = z.to(torch.promote_types(z.dtype, torch.float32))
    return (wide * (wide.square().mean(1, keepdim=True) + 1e-8).rsqrt()).to(z.dtype)


class MinibatchStd(nn.Module):
    """Joins one plane, the mean standard deviation over a group of samples: [n, c, h, w] → [n, c + 1, h, w].

    Karras et al. 2018, arXiv:1710.10196, sec. 3. A group takes every (n/group)-th sample; where `group` does not divide n, the largest
    divisor below it is taken. The samples of a batch are coupled: a penalty on each sample's own gradient is ill-defined behind it.
    """

    def __init__(self, group: int = 4) -> None:
        super().__init__()
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        group = next(k for k in range(min(self.group, n), 0, -1) if n % k == 0)
        members = x.reshape(group, n // group, -1)
        spread = ((members - members.mean(0)).square().mean(0) + 1e-8).sqrt().mean(1)
        plane = spread.repeat(group).reshape(n, 1, 1, 1).expand(n, 1, height, width)
        return torch.cat([x, plane.to(x.dtype)], 1)
