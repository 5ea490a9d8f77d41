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

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

from torch import nn

from agon.layers.critic import Critic
from agon.layers.labels import Head
from agon.layers.norms import ConditionalBatchNorm
from agon.layers.spectral import spectral_
from agon.networks.sngan import ResNetBody, ResNetGenerator
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
        generator = ResNetGenerator(self.widths, z_dim, space, attention=self.attention)
        spectral_(generator, leave=(ConditionalBatchNorm,))
        return generator

    def critic(self, space: Space, head: Head = "projection") -> nn.Module:
        body = partial(ResNetBody, widths=self.critic_widths, flat=self.flat_blocks, attention=self.attention)
        critic = Critic(body, space, head)
        spectral_(critic)
        return critic

    @property
    def couples_samples(self) -> bool:
        """Whether a logit depends on the other samples of its batch."""
        return False
