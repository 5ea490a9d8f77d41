"""MoCoGAN: one code for the content of a clip, a recurrent network's path for its motion, frames drawn by a DCGAN; a patch critic of each kind.

Tulyakov, Liu, Yang, Kautz 2018, "MoCoGAN: Decomposing Motion and Content for Video Generation", arXiv:1707.04993, with the sizes of the
authors' program (github.com/sergeytulyakov/mocogan): content 50 and motion 10 numbers, the state of a GRU cell being the motion code itself,
its first state and its inputs N(0, 1), the category one-hot beside them; a generator of 64 channels next to the picture. The image critic
has four strided 4x4 convolutions, the video critic 4x4x4 ones that are strided over space alone and unpadded over time; noise N(0, σ²)
before each of them, batch normalisation, leaky ReLU 0.2; a logit a patch.

*Differs*: any size and length (ceil-halving, shorter kernels where fewer than four frames are left); the decoder is `agon.networks.dcgan`, whose
weights start as N(0, 0.02) and whose last convolution has an offset; the GRU has one offset. The critic that guesses categories is
`agon.networks.clips.clip` with batch normalisation.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agon.layers.frames import choose, fold, unfold
from agon.layers.labels import Head, JoinPlanes, embedding
from agon.layers.noise import Noise
from agon.layers.recurrent import GRU
from agon.layers.resample import even
from agon.networks.dcgan import DCGAN
from agon.spaces import Video

BLOCK = 16  # frames of a long clip whose motion noise is drawn together
LABEL_PLANES = 4


@dataclass(frozen=True, kw_only=True)
class MoCoGAN:
    """The generator; the content code is the game's z, 50 numbers in the paper."""

    width: int = 64  # channels next to the picture, doubled at each halving of the grid up to 8x
    motion: int = 10  # width of the recurrent state and of its noise
    kind: Literal["mocogan"] = "mocogan"
    couples_samples: ClassVar[bool] = True  # batch normalisation
    takes_first: ClassVar[bool] = False

    def generator(self, z_dim: int, space: Video, first: bool = False) -> nn.Module:
        return _Generator(self, z_dim, space)


class _Generator(nn.Module):
    fixed_length = False

    def __init__(self, net: MoCoGAN, z_dim: int, space: Video) -> None:
        super().__init__()
        self.frames, self.motion, self.classes = space.frames, net.motion, space.num_classes
        self.told = None if space.classes else embedding(space, 16)
        extra = space.num_classes if space.classes else 16 if self.told is not None else 0
        self.walk = GRU(net.motion, net.motion)
        self.decode = DCGAN(width=net.width).generator(z_dim + extra + net.motion, space.picture)

    def noise_shape(self, frames: int) -> tuple[int, ...]:
        """The first state, then the input of each frame."""
        return frames + 1, self.motion

    def _content(self, z: Tensor, y: Tensor | None) -> Tensor:
        if self.classes:
            assert y is not None, "made for classes"
            return torch.cat([z, F.one_hot(y, self.classes).to(z.dtype)], 1)
        return z if self.told is None else torch.cat([z, self.told(y).to(z.dtype)], 1)

    def _decode(self, content: Tensor, motion: Tensor) -> Tensor:
        code = torch.cat([content[:, None].expand(-1, motion.shape[1], -1), motion], 2)
        return unfold(self.decode(code.flatten(0, 1)), motion.shape[1])

    def forward(
        self, z: Tensor, e: Tensor, y: Tensor | None = None, *, first: Tensor | None = None, at: Tensor | None = None, copy: bool = True
    ) -> Tensor:
        return self._decode(self._content(z, y), choose(self.walk(e[:, 1:], e[:, 0]), at))

    def long(
        self, z: Tensor, dice: Callable[..., Tensor], frames: int, y: Tensor | None = None, *, first: Tensor | None = None, chunk: int = 16
    ) -> Iterator[Tensor]:
        """Clips of any length, at most `chunk` frames at a time; the noise of frames 16·b to 16·b + 15 is `dice(b + 1, 16, d)`."""
        content, h = self._content(z, y), dice(0, self.motion)
        for low in range(0, frames, BLOCK):
            motion = self.walk(dice(low // BLOCK + 1, BLOCK, self.motion), h)
            h = motion[:, -1]
            for part in motion[:, : frames - low].split(chunk, 1):
                yield self._decode(content, part)


@dataclass(frozen=True, kw_only=True)
class PatchFrames:
    """The image critic D_I: a few random frames, a logit for each patch of each of them."""

    frames: int = 1  # frames of each clip
    width: int = 64
    norm: Literal["batch", "none"] = "batch"
    noise: float = 0.1  # σ before each convolution, in training
    kind: Literal["patch-frames"] = "patch-frames"
    guesses: ClassVar[bool] = False

    @property
    def couples_samples(self) -> bool:
        """Batch normalisation makes a logit depend on the other clips of its batch."""
        return self.norm == "batch"

    def critic(self, space: Video, head: Head = "projection") -> nn.Module:
        return _Patches(self.width, self.norm, self.noise, space, head, clip=False)

    def shrink(self, x: Tensor) -> Tensor:
        """Frames are seen at their full size."""
        return x

    def view(self, p: Any, n: int, frames: int) -> Tensor | None:
        """Positions int64 [n, k] of k different random frames, in order; None where that is all of them."""
        if self.frames >= frames:
            return None
        return p.rand(n, frames).argsort(1)[:, : self.frames].sort(1).values


@dataclass(frozen=True, kw_only=True)
class PatchClip:
    """The video critic D_V without categories: the whole clip, a logit for each patch of space and time."""

    width: int = 64
    norm: Literal["batch", "none"] = "batch"
    noise: float = 0.1  # σ before each convolution, in training
    kind: Literal["patch-clip"] = "patch-clip"
    guesses: ClassVar[bool] = False

    @property
    def couples_samples(self) -> bool:
        """Batch normalisation makes a logit depend on the other clips of its batch."""
        return self.norm == "batch"

    def critic(self, space: Video, head: Head = "projection") -> nn.Module:
        return _Patches(self.width, self.norm, self.noise, space, head, clip=True)

    def shrink(self, x: Tensor) -> Tensor:
        """Clips are seen as they are."""
        return x

    def view(self, p: Any, n: int, frames: int) -> None:
        """The whole clip."""
        return


class _Patches(nn.Module):
    """Clips [n, k, C, H, W] → logits [n, P]; the condition, where the critic is to see it, joins the picture as constant planes."""

    def __init__(self, width: int, norm: str, noise: float, space: Video, head: Head, *, clip: bool) -> None:
        super().__init__()
        self.clip = clip
        # A patch has no vector to project a condition on, so both ways of showing it are planes.
        self.planes = JoinPlanes(space if head in ("projection", "concat") else space.unlabelled(), LABEL_PLANES)
        channels = [space.channels + self.planes.extra, width, 2 * width, 4 * width]
        kernel = (4, 4, 4) if clip else (4, 4)
        stride, pad = ((1, 2, 2), (0, 1, 1)) if clip else ((2, 2), (1, 1))
        make: Any = nn.Conv3d if clip else nn.Conv2d
        self.convs = nn.ModuleList(make(a, b, kernel, stride, pad, bias=False) for a, b in itertools.pairwise([*channels, 1]))
        normed = nn.BatchNorm3d if clip else nn.BatchNorm2d
        self.norms = nn.ModuleList(normed(b) if i and norm == "batch" else nn.Identity() for i, b in enumerate(channels[1:]))
        # The video critic of the program has no noise before its last convolution, the image critic has.
        self.noises = nn.ModuleList(Noise(noise if i < 3 or not clip else 0.0) for i in range(4))
        if clip:
            shorten_(self.convs, space.frames)

    def forward(self, x: Tensor, y: Tensor | None = None, gaps: Tensor | None = None) -> Tensor:
        n, count = x.shape[:2]
        h = fold(x)
        if self.planes.embedding is not None and y is not None:
            h = self.planes(h, y.repeat_interleave(count, 0))
        if self.clip:
            h = unfold(h, count).transpose(1, 2)
        for index, (noise, conv) in enumerate(zip(self.noises, self.convs, strict=True)):
            h = conv(even(noise(h)))
            if index < len(self.norms):
                h = F.leaky_relu(self.norms[index](h), 0.2)
        return h.reshape(n, -1)


def shorten_(convs: nn.ModuleList, frames: int) -> None:
    """Cut the temporal kernels of unpadded 3-D convolutions so that none is longer than the frames that reach it."""
    for conv in convs:
        assert isinstance(conv, nn.Conv3d)
        size = min(conv.kernel_size[0], frames)
        if size < conv.kernel_size[0]:
            conv.weight = nn.Parameter(conv.weight.detach()[:, :, :size].clone())
            conv.kernel_size = (size, *conv.kernel_size[1:])
        frames -= size - 1
