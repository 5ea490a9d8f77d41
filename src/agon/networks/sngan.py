"""The residual networks of SNGAN, with spectral normalisation as a property of the critic.

Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks", arXiv:1802.05957, tables 4-6; the blocks are those of
Gulrajani et al. 2017, arXiv:1704.00028; classes after Miyato & Koyama 2018, arXiv:1802.05637.

  fig. 8, left   G: linear to the smallest grid, up-blocks, norm, ReLU, 3x3 convolution, tanh      -> _Generator, layers.residual.UpBlock
  fig. 8, right  D: down-blocks, blocks without resampling, ReLU, sum over pixels, linear          -> ResNetBody, layers.residual.DownBlock
  alg. 1         W/σ(W) for every map of D, the embedding of its head among them                   -> layers.spectral
  1610.07629     batch norm whose gain and offset are looked up by condition, in G                 -> layers.norms.ConditionalBatchNorm

`norm` chooses the critic's: "spectral" (the paper), "none" (for gradient penalties, as in WGAN-GP), "batch" (couples the samples).
`SNResNet.paper()` is the 32x32 network of table 4 (4.28 M and 1.05 M parameters), `SNResNet.paper(128)` the ImageNet network.

*Differs*: lean widths by default; convolutions are fused with the resampling beside them (the same function); any height and width; one power
iteration per update instead of one per forward pass.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from agon.layers.attention import SelfAttention
from agon.layers.critic import Critic, image_shape
from agon.layers.init import xavier_
from agon.layers.labels import Head, embedding
from agon.layers.norms import ConditionalBatchNorm
from agon.layers.resample import halvings, nearest_grid, pyramid, stage_widths
from agon.layers.residual import DownBlock, UpBlock
from agon.layers.spectral import spectral_
from agon.spaces import Space


@dataclass(frozen=True, kw_only=True)
class SNResNet:
    """Residual generator and critic; see the module's text."""

    widths: tuple[int, ...] = (128, 64, 32, 16)  # of G, from the smallest grid to the full one; then halved each time, down to 16
    critic_widths: tuple[int, ...] = (128, 64, 32)  # of D's down-blocks, from the smallest grid up; then halved each time, down to 16
    critic_grid: int = 4  # D halves the picture until its shorter side is about this
    flat_blocks: int = 1  # blocks at that grid, without resampling
    norm: Literal["none", "spectral", "batch"] = "spectral"  # of the critic
    kind: Literal["sngan"] = "sngan"

    @classmethod
    def paper(cls, side: int = 32) -> SNResNet:
        """The published widths: table 4 for 32x32, table 6 for 128x128 and above."""
        if side <= 48:
            return cls(widths=(256, 256, 256, 256), critic_widths=(128, 128), critic_grid=8, flat_blocks=2)
        return cls(widths=(1024, 1024, 512, 256, 128, 64), critic_widths=(1024, 512, 256, 128, 64))

    def generator(self, z_dim: int, space: Space) -> nn.Module:
        return ResNetGenerator(self.widths, z_dim, space)

    def critic(self, space: Space, head: Head = "projection") -> nn.Module:
        body = partial(
            ResNetBody, widths=self.critic_widths, grid=self.critic_grid, flat=self.flat_blocks, batch_norm=self.norm == "batch"
        )  # fmt: skip
        critic = Critic(body, space, head)
        if self.norm == "spectral":
            spectral_(critic)
        return critic

    @property
    def spectral(self) -> bool:
        """Whether spectral normalisation bounds the critic's slope."""
        return self.norm == "spectral"

    @property
    def couples_samples(self) -> bool:
        """Batch normalisation makes a logit depend on the other samples of its batch."""
        return self.norm == "batch"


def label_norm(space: Space, width: int) -> ConditionalBatchNorm:
    """Batch norm whose gain 1 + g and offset b, g and b near zero at the start, belong to the condition; plain without conditions."""
    table = embedding(space, 2 * width)
    if table is not None:
        for parameter in table.parameters():
            nn.init.normal_(parameter, 0.0, 0.02)
    return ConditionalBatchNorm(width, table)


class ResNetGenerator(nn.Module):
    """z [n, z_dim] and y → x [n, *space.shape] in [-1, 1]: up-blocks under the label's norm, norm, ReLU, 3x3, tanh. Used by SNGAN and SAGAN.

    widths: from the smallest grid up. attention: shorter side of the grid that attends to itself, below the full one (None: none does).
    """

    def __init__(self, widths: tuple[int, ...], z_dim: int, space: Space, *, attention: int | None = None) -> None:
        super().__init__()
        channels, height, width = image_shape(space)
        self.sizes = pyramid(height, width, halvings(height, width))
        wide = stage_widths(widths, len(self.sizes))
        self.base = (wide[0], *self.sizes[0])
        self.project = nn.Linear(z_dim, wide[0] * self.sizes[0][0] * self.sizes[0][1])
        self.blocks = nn.ModuleList(UpBlock(a, b, lambda w: label_norm(space, w)) for a, b in itertools.pairwise(wide))
        self.attend = None if attention is None else nearest_grid(self.sizes[:-1] or self.sizes, attention)
        if self.attend is not None:
            self.attention = SelfAttention(wide[self.attend])
        self.norm = nn.BatchNorm2d(wide[-1])
        self.out = nn.Conv2d(wide[-1], channels, 3, padding=1)
        residual_init_(self)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.project(z).reshape(-1, *self.base)
        for index, size in enumerate(self.sizes):
            if index:
                h = self.blocks[index - 1](h, y, size)
            if index == self.attend:
                h = self.attention(h)
        return self.out(F.relu(self.norm(h))).tanh()


class ResNetBody(nn.Module):
    """x [n, c, h, w] → features [n, width]: down-blocks, flat blocks, ReLU, sum over pixels. Used by SNGAN, SAGAN and BigGAN.

    widths: from the smallest grid up. attention: shorter side of the grid that attends to itself, below the full one (None: none does).
    wide: the width between a block's convolutions is that of its output instead of its input (BigGAN).
    """

    def __init__(
        self,
        channels: int,
        height: int,
        width: int,
        widths: tuple[int, ...],
        *,
        grid: int = 4,
        flat: int = 1,
        batch_norm: bool = False,
        wide: bool = False,
        attention: int | None = None,
    ) -> None:
        super().__init__()
        downs = max(1, halvings(height, width, grid))
        outward = stage_widths(widths, downs)[::-1]
        attend = None if attention is None else nearest_grid(pyramid(height, width, downs)[:-1][::-1], attention)
        blocks: list[nn.Module] = []
        for index, (a, b) in enumerate(zip([channels, *outward[:-1]], outward, strict=True)):
            first = index == 0
            blocks.append(DownBlock(a, b, inner=b if wide or first else a, first=first, batch_norm=batch_norm))
            if index == attend:
                blocks.append(SelfAttention(b))
        blocks += [DownBlock(outward[-1], outward[-1], down=False, batch_norm=batch_norm) for _ in range(flat)]
        self.blocks = nn.Sequential(*blocks)
        self.width = outward[-1]
        residual_init_(self)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.blocks(x)).sum((2, 3))


def residual_init_(root: nn.Module) -> None:
    """Xavier weights: gain √2 for the 3x3 convolutions inside blocks, 1 for shortcuts and the ends (the authors' code)."""
    xavier_(root)
    for block in root.modules():
        if isinstance(block, UpBlock | DownBlock):
            xavier_(block.conv1, 2**0.5)
            xavier_(block.conv2, 2**0.5)
