"""DCGAN, and the small variant of it that most beginners' repositories train.

`DCGAN`: Radford et al. 2015, arXiv:1511.06434: strided convolutions only, batch normalisation in both networks except
the generator's output and the critic's input, ReLU in G, LeakyReLU 0.2 in D, tanh output, N(0, 0.02) weights. *Differs*:
logits instead of a sigmoid; any height and width (ceil-halving, see `agon.layers.resample`); widths stop doubling at
8 x `width`; optional class conditioning, by a quiet embedding beside z; the critic's norm can be spectral (Miyato et al. 2018, arXiv:1802.05957) or none.

`PeerDCGAN`: the architecture of `dcgan.py` in github.com/eriklindernoren/PyTorch-GAN, written from its description as the
baseline of our tables: nearest-neighbour upsampling and convolutions of 128 and 64 channels in G; four strided
convolutions of 16, 32, 64, 128 channels with dropout in D; batch-norm eps 0.8 where that repository has it. Its recipe:
binary cross-entropy, Adam 2e-4 with betas (0.5, 0.999), batch 64, latent 100.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from agon.layers.critic import LABEL_PLANES, image_shape
from agon.layers.init import dcgan_
from agon.layers.labels import CriticHead, Head, JoinLabel, JoinPlanes
from agon.layers.resample import crop, even, halvings, pyramid
from agon.layers.spectral import spectral_
from agon.spaces import Space

_SLOPE = 0.2
LOUD = 0.1  # of a class beside z: batch normalisation follows their linear map


@dataclass(frozen=True, kw_only=True)
class DCGAN:
    """Radford et al. 2015; width 64 is the published size at 64x64."""

    width: int = 64  # channels next to the picture; doubled at each halving of the grid, up to 8x
    critic_norm: Literal["batch", "spectral", "none"] = "batch"
    label_dim: int = 32  # size of the class embedding joined to z
    kind: Literal["dcgan"] = "dcgan"

    def generator(self, z_dim: int, space: Space) -> nn.Module:
        return _Generator(self, z_dim, space)

    def critic(self, space: Space, head: Head = "projection") -> nn.Module:
        return _Critic(self, space, head)

    @property
    def couples_samples(self) -> bool:
        """Batch normalisation makes a logit depend on the other samples of its batch."""
        return self.critic_norm == "batch"

    @property
    def spectral(self) -> bool:
        """Whether spectral normalisation bounds the critic's slope."""
        return self.critic_norm == "spectral"

    def widths(self, levels: int) -> list[int]:
        """Channels from the smallest grid up to the grid of half size, `levels` entries."""
        return [self.width * min(8, 2**index) for index in reversed(range(max(1, levels)))]


class _Generator(nn.Module):
    def __init__(self, net: DCGAN, z_dim: int, space: Space) -> None:
        super().__init__()
        channels, height, width = image_shape(space)
        self.sizes = pyramid(height, width, halvings(height, width))
        widths = net.widths(len(self.sizes) - 1)
        self.join = JoinLabel(space, net.label_dim, loud=LOUD)
        self.base = (widths[0], *self.sizes[0])
        self.project = nn.Linear(z_dim + self.join.extra, widths[0] * self.sizes[0][0] * self.sizes[0][1], bias=False)
        nn.init.normal_(self.project.weight, 0.0, 0.02)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths[: max(1, len(self.sizes) - 1)])
        targets = [*widths[1:], channels]
        self.ups = nn.ModuleList(nn.ConvTranspose2d(a, b, 4, 2, 1, bias=b is targets[-1]) for a, b in zip(widths, targets, strict=True))
        if len(self.sizes) == 1:  # too small to halve: one plain convolution
            self.ups = nn.ModuleList([nn.Conv2d(widths[0], channels, 3, 1, 1)])
        dcgan_(self)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.project(self.join(z, y)).reshape(-1, *self.base)
        sizes = self.sizes[1:] or self.sizes
        for norm, up, size in zip(self.norms, self.ups, sizes, strict=True):
            h = crop(up(F.relu(norm(h))), size)
        return h.tanh()


class _Critic(nn.Module):
    def __init__(self, net: DCGAN, space: Space, head: Head) -> None:
        super().__init__()
        channels, height, width = image_shape(space)
        levels = halvings(height, width)
        widths = net.widths(levels)[::-1]
        self.planes = JoinPlanes(space if head == "concat" else space.unlabelled(), LABEL_PLANES)
        sources = [channels + self.planes.extra, *widths[:-1]]
        shape: tuple[int, int, int] = (4, 2, 1) if levels else (3, 1, 1)
        self.halving = levels > 0
        spectral = net.critic_norm == "spectral"
        batch = net.critic_norm == "batch"
        self.downs = nn.ModuleList(
            nn.Conv2d(a, b, *shape, bias=not batch or not i) for i, (a, b) in enumerate(zip(sources, widths, strict=True))
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) if batch and i else nn.Identity() for i, b in enumerate(widths))
        base = pyramid(height, width, levels)[0]
        self.head = CriticHead(widths[-1] * base[0] * base[1], space, head, bias=True)
        dcgan_(self)
        if spectral:
            spectral_(self)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """What the last layer judges [n, d]."""
        x = self.planes(x, y)
        for down, norm in zip(self.downs, self.norms, strict=True):
            if self.halving:
                x = even(x)
            x = F.leaky_relu(norm(down(x)), _SLOPE)
        return x.flatten(1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.head(self.features(x, y), y)

    def classify(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(logits [n], guesses of the condition [n, k])."""
        return self.head.classify(self.features(x))


@dataclass(frozen=True, kw_only=True)
class PeerDCGAN:
    """The baseline of our tables: PyTorch-GAN's `dcgan.py`, latent 100, 32x32; unconditional."""

    dropout: float = 0.25
    kind: Literal["peer-dcgan"] = "peer-dcgan"
    conditional: ClassVar[bool] = False  # neither player has a place for a condition

    def generator(self, z_dim: int, space: Space) -> nn.Module:
        return _PeerGenerator(z_dim, space)

    def critic(self, space: Space, head: Head = "none") -> nn.Module:
        return _PeerCritic(self, space)

    @property
    def couples_samples(self) -> bool:
        """Batch normalisation makes a logit depend on the other samples of its batch."""
        return True


class _PeerGenerator(nn.Module):
    def __init__(self, z_dim: int, space: Space) -> None:
        super().__init__()
        channels, height, width = image_shape(space)
        self.sizes = pyramid(height, width, 2)
        self.project = nn.Linear(z_dim, 128 * self.sizes[0][0] * self.sizes[0][1])
        self.norm0 = nn.BatchNorm2d(128)
        self.conv1 = nn.Conv2d(128, 128, 3, 1, 1)
        self.norm1 = nn.BatchNorm2d(128, eps=0.8)
        self.conv2 = nn.Conv2d(128, 64, 3, 1, 1)
        self.norm2 = nn.BatchNorm2d(64, eps=0.8)
        self.out = nn.Conv2d(64, channels, 3, 1, 1)
        dcgan_(self)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.norm0(self.project(z).reshape(-1, 128, *self.sizes[0]))
        h = F.leaky_relu(self.norm1(self.conv1(crop(F.interpolate(h, scale_factor=2), self.sizes[1]))), _SLOPE)
        h = F.leaky_relu(self.norm2(self.conv2(crop(F.interpolate(h, scale_factor=2), self.sizes[2]))), _SLOPE)
        return self.out(h).tanh()


class _PeerCritic(nn.Module):
    def __init__(self, net: PeerDCGAN, space: Space) -> None:
        super().__init__()
        channels, height, width = image_shape(space)
        widths = [16, 32, 64, 128]
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in zip([channels, *widths[:-1]], widths, strict=True))
        self.drop = nn.Dropout2d(net.dropout)
        self.norms = nn.ModuleList(nn.BatchNorm2d(b, eps=0.8) if i else nn.Identity() for i, b in enumerate(widths))
        base = pyramid(height, width, 4)[0]
        self.head = nn.Linear(128 * base[0] * base[1], 1)
        dcgan_(self)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = norm(self.drop(F.leaky_relu(conv(x), _SLOPE)))
        return self.head(x.flatten(1)).squeeze(1)
