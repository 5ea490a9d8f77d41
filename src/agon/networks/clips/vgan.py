"""VGAN's generator: a moving foreground in front of a still background, blended by a mask.

Vondrick, Pirsiavash, Torralba 2016, "Generating Videos with Scene Dynamics", arXiv:1609.02612: x = m·f + (1 − m)·b, with f a tower of
3-D transposed convolutions from z (4x4x4, stride 2, batch normalisation, ReLU, tanh at the end), m a sigmoid from the same features, b a
2-D tower from the same z, repeated over time; an L1 penalty of weight 0.1 on the mask keeps what can be still in the background.

*Differs*: any size and length: time is halved as often as space and never below one frame (the paper's 64x64x32 from 4x4x2); b is the
generator of `agon.networks.dcgan`. There is one latent: motion has no noise of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agon.errors import InputError
from agon.layers.frames import choose
from agon.layers.labels import JoinLabel
from agon.layers.resample import halvings, pyramid
from agon.networks.dcgan import DCGAN
from agon.spaces import Video


@dataclass(frozen=True, kw_only=True)
class VGAN:
    """Two streams and a mask; z has 100 numbers in the paper."""

    width: int = 32  # channels next to the frame, doubled at each halving of the grid up to 8x; 64 in the paper
    mask: float = 0.1  # weight of the mask's mean in the generator's loss
    label_dim: int = 32  # size of the condition's embedding
    kind: Literal["vgan"] = "vgan"
    couples_samples: ClassVar[bool] = True  # batch normalisation
    takes_first: ClassVar[bool] = False

    def generator(self, z_dim: int, space: Video, first: bool = False) -> nn.Module:
        return _Generator(self, z_dim, space)


class _Generator(nn.Module):
    fixed_length = True

    def __init__(self, net: VGAN, z_dim: int, space: Video) -> None:
        super().__init__()
        self.frames, self.weight = space.frames, net.mask
        self.join = JoinLabel(space, net.label_dim)
        dim = z_dim + self.join.extra
        levels = max(1, halvings(space.height, space.width))
        times = [space.frames]
        for _ in range(levels):
            times.append(-(-times[-1] // 2))
        self.sizes = [(t, *size) for t, size in zip(times[::-1], pyramid(space.height, space.width, levels), strict=True)]
        widths = [net.width * min(8, 2**k) for k in reversed(range(levels))]
        self.base = (widths[0], *self.sizes[0])
        self.project = nn.Linear(dim, widths[0] * self.sizes[0][0] * self.sizes[0][1] * self.sizes[0][2], bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm3d(width) for width in widths)
        self.ups = nn.ModuleList(_up(a, b) for a, b in itertools.pairwise(widths))
        self.front, self.mask = _up(widths[-1], space.channels), _up(widths[-1], 1)
        self.back = DCGAN(width=net.width).generator(dim, space.picture)
        for layer in (self.project, *self.ups, self.front, self.mask):
            nn.init.normal_(layer.weight, 0.0, 0.02)

    def noise_shape(self, frames: int) -> tuple[int, ...]:
        """None: z is all there is."""
        return (0,)

    def with_terms(self, z: Tensor, e: Tensor, y: Tensor | None = None, at: Tensor | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """The clips, and what the generator adds to its own loss: the mask's mean."""
        code = self.join(z, y)
        h = self.project(code).reshape(-1, *self.base)
        for norm, up, size in zip(self.norms, [*self.ups, None], self.sizes[1:], strict=True):
            h = F.relu(norm(h))
            if up is not None:
                h = _crop(up(h), size)
        front, mask = (_crop(layer(h), self.sizes[-1]) for layer in (self.front, self.mask))
        mask = mask.sigmoid()
        x = torch.lerp(self.back(code)[:, :, None].expand_as(front), front.tanh(), mask)
        return choose(x.transpose(1, 2), at), {"mask": self.weight * mask.mean()}

    def forward(
        self, z: Tensor, e: Tensor, y: Tensor | None = None, *, first: Tensor | None = None, at: Tensor | None = None, copy: bool = True
    ) -> Tensor:
        return self.with_terms(z, e, y, at)[0]

    def long(
        self, z: Tensor, dice: Callable[..., Tensor], frames: int, y: Tensor | None = None, *, first: Tensor | None = None, chunk: int = 16
    ) -> Iterator[Tensor]:
        """A clip of the length it was built for. Raises InputError for any other."""
        if frames != self.frames:
            raise InputError(
                f"'vgan' makes clips of {self.frames} frames and no others, and {frames} were asked for; take a generator such as 'gru'."
            )
        yield from self(z, z.new_zeros(z.shape[0], 0), y).split(chunk, 1)


def _up(a: int, b: int) -> nn.ConvTranspose3d:
    return nn.ConvTranspose3d(a, b, 4, 2, 1, bias=b <= 4)


def _crop(x: Tensor, size: tuple[int, int, int]) -> Tensor:
    return x[:, :, : size[0], : size[1], : size[2]]
