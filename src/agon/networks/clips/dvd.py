"""DVD-GAN's generator, scaled: convolutional recurrent networks unrolled over the frames, residual blocks between them, one latent a clip.

Clark, Donahue, Simonyan 2019, "Adversarial Video Generation on Complex Datasets", arXiv:1907.06571: z and the class embedding are mapped
to a 4x4 grid, which is the input of a convolutional GRU at every step; each of its states passes two residual blocks with batch normalisation
conditioned on [z, embedding], the second of which doubles the grid; the next group begins with a GRU of its own. The critics of the paper are
`agon.networks.clips.frames` and `agon.networks.clips.motion`.

*Differs*: lean widths; captions, tags and numbers may be the condition; orthogonal weights with spectral normalisation as in
`agon.networks.biggan`; no self-attention; the last two groups at most have recurrence (`recurrent`), where the paper has it in all.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agon.layers.frames import choose, fold, unfold
from agon.layers.init import orthogonal_
from agon.layers.labels import JoinLabel
from agon.layers.norms import ConditionalBatchNorm
from agon.layers.recurrent import ConvGRU
from agon.layers.resample import stage_widths
from agon.layers.residual import UpBlock
from agon.layers.spectral import spectral_
from agon.networks.clips.decoder import grids
from agon.spaces import Video


@dataclass(frozen=True, kw_only=True)
class DVD:
    """Groups of a convolutional GRU and two residual blocks; see the module's text."""

    widths: tuple[int, ...] = (128, 64, 32)  # from the smallest grid up; then halved each time, down to 16
    recurrent: int = 2  # grids, from the smallest up, that have a GRU
    label_dim: int = 32  # size of the condition's embedding
    kind: Literal["dvd"] = "dvd"
    couples_samples: ClassVar[bool] = True  # batch normalisation
    takes_first: ClassVar[bool] = False

    def generator(self, z_dim: int, space: Video, first: bool = False) -> nn.Module:
        return _Generator(self, z_dim, space)


def _norm(dim: int, width: int) -> ConditionalBatchNorm:
    return ConditionalBatchNorm(width, nn.Linear(dim, 2 * width, bias=False))


class _Same(nn.Module):
    """The residual block that keeps the grid."""

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = _norm(dim, width), _norm(dim, width)
        self.conv1, self.conv2 = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        h = self.conv1(F.relu(self.norm1(x, condition)))
        return x + self.conv2(F.relu(self.norm2(h, condition)))


class _Generator(nn.Module):
    fixed_length = False

    def __init__(self, net: DVD, z_dim: int, space: Video) -> None:
        super().__init__()
        self.frames, self.sizes = space.frames, grids(space)
        widths = stage_widths(net.widths, len(self.sizes))
        self.join = JoinLabel(space, net.label_dim)
        dim = z_dim + self.join.extra
        self.base = (widths[0], *self.sizes[0])
        self.project = nn.Linear(dim, widths[0] * self.sizes[0][0] * self.sizes[0][1])
        chosen = list(itertools.pairwise(widths))
        self.walks = nn.ModuleList(ConvGRU(a, a) for a, _ in chosen[: max(1, net.recurrent)])
        self.sames = nn.ModuleList(_Same(a, dim) for a, _ in chosen)
        self.ups = nn.ModuleList(UpBlock(a, b, partial(_norm, dim)) for a, b in chosen)
        self.norm = nn.BatchNorm2d(widths[-1])
        self.out = nn.Conv2d(widths[-1], space.channels, 3, padding=1)
        orthogonal_(self)
        spectral_(self, embeddings=False)

    def noise_shape(self, frames: int) -> tuple[int, ...]:
        """None: the paper's clips are functions of z alone."""
        return (0,)

    def _states(self, code: Tensor, count: int, kept: list[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        """The states of the last GRU over `count` frames [n, count, c, h, w], and the last state of each, to go on from."""
        x = self.project(code).reshape(-1, *self.base)
        steps = x[:, None].expand(-1, count, -1, -1, -1)
        last = []
        for level, walk in enumerate(self.walks):
            if level:
                steps = unfold(self._blocks(level - 1, fold(steps), code.repeat_interleave(count, 0)), count)
            steps = walk(steps, torch.zeros_like(steps[:, 0]) if kept is None else kept[level])
            last.append(steps[:, -1])
        return steps, last

    def _blocks(self, level: int, h: Tensor, condition: Tensor) -> Tensor:
        return self.ups[level](self.sames[level](h, condition), condition, self.sizes[level + 1])

    def _draw(self, code: Tensor, states: Tensor) -> Tensor:
        """States of the last GRU [n, k, …] → frames [n, k, C, H, W]; each frame by itself."""
        count = states.shape[1]
        h, condition = fold(states), code.repeat_interleave(count, 0)
        for level in range(len(self.walks) - 1, len(self.ups)):
            h = self._blocks(level, h, condition)
        return unfold(self.out(F.relu(self.norm(h))).tanh(), count)

    def forward(
        self, z: Tensor, e: Tensor, y: Tensor | None = None, *, first: Tensor | None = None, at: Tensor | None = None, copy: bool = True
    ) -> Tensor:
        code = self.join(z, y)
        return self._draw(code, choose(self._states(code, self.frames, None)[0], at))

    def long(
        self, z: Tensor, dice: Callable[..., Tensor], frames: int, y: Tensor | None = None, *, first: Tensor | None = None, chunk: int = 16
    ) -> Iterator[Tensor]:
        """Clips of any length, at most `chunk` frames at a time; the dice are not rolled."""
        code, kept = self.join(z, y), None
        for low in range(0, frames, chunk):
            states, kept = self._states(code, min(chunk, frames - low), kept)
            yield self._draw(code, states)
