"""BigGAN: wide residual networks with a shared class embedding, the latent fed to every block, and self-attention.

Brock et al. 2019, "Large Scale GAN Training for High Fidelity Natural Image Synthesis", arXiv:1809.11096, sec. 3 and appendix B.

  app. B   z is cut into one piece for the first grid and one for each block                              -> _Generator.forward
  sec. 3   one embedding of the class, joined to each block's piece, mapped linearly to gain and offset    -> _Generator.shared, _block_norm
  sec. 3   orthogonal weights                                                                              -> layers.init.orthogonal_
  sec. 2   spectral norm in both players, self-attention, projection in D                                  -> layers.spectral, layers.attention
  sec. 3.1 orthogonal regularisation                                                                       -> a penalty, not a property of the network

The truncation trick is a way of sampling; `BigGAN.paper()` is the 128x128 network of table 4 (70.4 M and 88.0 M parameters with 1,000 classes,
a latent of 120). *Differs*: lean widths by default; one linear map gives both gain and offset; any height and width; without conditions the
pieces of z alone modulate. The averaged generator has "standing statistics" (`agon.standing`), as published.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agon.errors import InputError
from agon.layers.attention import SelfAttention
from agon.layers.critic import Critic, image_shape
from agon.layers.init import orthogonal_
from agon.layers.labels import Head, embedding
from agon.layers.norms import ConditionalBatchNorm
from agon.layers.resample import halvings, nearest_grid, pyramid, stage_widths
from agon.layers.residual import UpBlock
from agon.layers.spectral import spectral_
from agon.networks.sngan import ResNetBody
from agon.spaces import Space


@dataclass(frozen=True, kw_only=True)
class BigGAN:
    """Residual networks modulated by the latent and a shared embedding; see the module's text."""

    widths: tuple[int, ...] = (128, 64, 32, 16)  # of G, from the smallest grid to the full one; then halved each time, down to 16
    critic_widths: tuple[int, ...] = (128, 64, 32)  # of D's down-blocks, from the smallest grid up; then halved each time, down to 16
    flat_blocks: int = 1  # blocks of D at its smallest grid
    attention: int = 16  # shorter side of the grid that attends to itself; the nearest one below the full grid is taken
    label_dim: int = 32  # size of the shared embedding
    kind: Literal["biggan"] = "biggan"
    spectral: ClassVar[bool] = True  # spectral normalisation bounds the critic's slope

    @classmethod
    def paper(cls) -> BigGAN:
        """The published widths for 128x128 (96 times 16-16-8-4-2-1), attention at 64x64; play it with a latent of 120."""
        return cls(widths=(1536, 1536, 768, 384, 192, 96), critic_widths=(1536, 768, 384, 192, 96), attention=64, label_dim=128)

    def generator(self, z_dim: int, space: Space) -> nn.Module:
        return _Generator(self, z_dim, space)

    def critic(self, space: Space, head: Head = "projection") -> nn.Module:
        body = partial(ResNetBody, widths=self.critic_widths, flat=self.flat_blocks, wide=True, attention=self.attention)
        critic = Critic(body, space, head)
        orthogonal_(critic)
        spectral_(critic)
        return critic

    @property
    def couples_samples(self) -> bool:
        """Whether a logit depends on the other samples of its batch."""
        return False


def _block_norm(dim: int, width: int) -> ConditionalBatchNorm:
    """Batch norm whose gain and offset are linear in a vector of this dimension."""
    return ConditionalBatchNorm(width, nn.Linear(dim, 2 * width, bias=False))


class _Generator(nn.Module):
    def __init__(self, net: BigGAN, z_dim: int, space: Space) -> None:
        super().__init__()
        channels, height, width = image_shape(space)
        self.sizes = pyramid(height, width, halvings(height, width))
        widths = stage_widths(net.widths, len(self.sizes))
        if z_dim < len(self.sizes):
            raise InputError(f"BigGAN cuts the latent into {len(self.sizes)} pieces at {height}x{width}, got z_dim {z_dim}. Raise z_dim.")
        self.pieces = [len(piece) for piece in torch.arange(z_dim).tensor_split(len(self.sizes))]
        self.shared = embedding(space, net.label_dim)
        label_dim = 0 if self.shared is None else net.label_dim
        self.base = (widths[0], *self.sizes[0])
        self.project = nn.Linear(self.pieces[0], widths[0] * self.sizes[0][0] * self.sizes[0][1])
        self.blocks = nn.ModuleList(
            UpBlock(a, b, partial(_block_norm, piece + label_dim))
            for (a, b), piece in zip(itertools.pairwise(widths), self.pieces[1:], strict=True)
        )
        self.attend = nearest_grid(self.sizes[:-1] or self.sizes, net.attention)
        self.attention = SelfAttention(widths[self.attend])
        self.norm = nn.BatchNorm2d(widths[-1])
        self.out = nn.Conv2d(widths[-1], channels, 3, padding=1)
        orthogonal_(self)
        spectral_(self, embeddings=False)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        first, *pieces = z.split(self.pieces, 1)
        if self.shared is not None:
            told = self.shared(y).to(z.dtype)
            pieces = [torch.cat([told, piece], 1) for piece in pieces]
        h = self.project(first).reshape(-1, *self.base)
        if self.attend == 0:
            h = self.attention(h)
        for index, (block, piece, size) in enumerate(zip(self.blocks, pieces, self.sizes[1:], strict=True)):
            h = block(h, piece, size)
            if index + 1 == self.attend:
                h = self.attention(h)
        return self.out(F.relu(self.norm(h))).tanh()
