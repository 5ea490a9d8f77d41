"""SAGAN: residual networks with self-attention, spectral normalisation in both players.

Zhang et al. 2019, "Self-Attention Generative Adversarial Networks", arXiv:1805.08318.

  sec. 3    o = softmax(query·key) value over the pixels, y = γ·o + x with γ = 0 at the start   -> layers.attention.SelfAttention
  sec. 4.1  spectral normalisation in G as well as in D                                        -> layers.spectral.spectral_
  sec. 5    conditional batch norm in G, a projection in D                                     -> networks.sngan.label_norm, layers.labels
  sec. 4.2  two learning rates, 1e-4 for G and 4e-4 for D                                       -> the recipe's optimisers

Blocks as in SNGAN. `SAGAN.paper()` is the 128x128 network. *Differs*: lean widths and attention at 16x16 by default; keys and values are
max-pooled (the authors' code, not their text); any height and width.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from agon.layers.attention import SelfAttention
from agon.layers.critic import Critic, image_shape
from agon.layers.labels import Head
from agon.layers.norms import ConditionalBatchNorm
from agon.layers.resample import halvings, nearest_grid, pyramid, stage_widths
from agon.layers.residual import UpBlock
from agon.layers.spectral import spectral_
from agon.networks.sngan import ResNetBody, label_norm, residual_init_
from agon.spaces import Space


@dataclass(frozen=True, kw_only=True)
class SAGAN:
    """Residual networks with one self-attention layer each; see the module's text."""

    widths: tuple[int, ...] = (128, 64, 32, 16)  # of G, from the smallest grid to the full one; then halved each time, down to 16
    critic_widths: tuple[int, ...] = (128, 64, 32)  # of D's down-blocks, from the smallest grid up; then halved each time, down to 16
    flat_blocks: int = 1  # blocks of D at its smallest grid
    attention: int = 16  # shorter side of the grid that attends to itself; the nearest one below the full grid is taken
    kind: Literal["sagan"] = "sagan"
    spectral: ClassVar[bool] = True  # spectral normalisation bounds the critic's slope

    @classmethod
    def paper(cls) -> SAGAN:
        """The published widths for 128x128, attention at 32x32."""
        return cls(widths=(1024, 1024, 512, 256, 128, 64), critic_widths=(1024, 512, 256, 128, 64), attention=32)

    def generator(self, z_dim: int, space: Space) -> nn.Module:
        return _Generator(self, z_dim, space)

    def critic(self, space: Space, head: Head = "projection") -> nn.Module:
        def body(channels: int, height: int, width: int) -> nn.Module:
            sizes = pyramid(height, width, max(1, halvings(height, width)))[:-1][::-1]
            attend = nearest_grid(sizes, self.attention)
            return ResNetBody(channels, height, width, self.critic_widths, flat=self.flat_blocks, attend=attend)

        critic = Critic(body, space, head)
        spectral_(critic)
        return critic

    @property
    def couples_samples(self) -> bool:
        """Whether a logit depends on the other samples of its batch."""
        return False


class _Generator(nn.Module):
    def __init__(self, net: SAGAN, z_dim: int, space: Space) -> None:
        super().__init__()
        channels, height, width = image_shape(space)
        self.sizes = pyramid(height, width, halvings(height, width))
        widths = stage_widths(net.widths, len(self.sizes))
        self.base = (widths[0], *self.sizes[0])
        self.project = nn.Linear(z_dim, widths[0] * self.sizes[0][0] * self.sizes[0][1])
        self.blocks = nn.ModuleList(UpBlock(a, b, lambda w: label_norm(space, w)) for a, b in itertools.pairwise(widths))
        self.attend = nearest_grid(self.sizes[:-1] or self.sizes, net.attention)
        self.attention = SelfAttention(widths[self.attend])
        self.norm = nn.BatchNorm2d(widths[-1])
        self.out = nn.Conv2d(widths[-1], channels, 3, padding=1)
        residual_init_(self)
        spectral_(self, leave=(ConditionalBatchNorm,))

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.project(z).reshape(-1, *self.base)
        if self.attend == 0:
            h = self.attention(h)
        for index, (block, size) in enumerate(zip(self.blocks, self.sizes[1:], strict=True)):
            h = block(h, y, size)
            if index + 1 == self.attend:
                h = self.attention(h)
        return self.out(F.relu(self.norm(h))).tanh()
