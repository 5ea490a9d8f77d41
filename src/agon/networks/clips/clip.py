"""A critic of whole clips made of 3-D convolutions.

Vondrick, Pirsiavash, Torralba 2016, "Generating Videos with Scene Dynamics", arXiv:1609.02612: 4x4x4 convolutions of stride 2 over
space and time, batch normalisation, leaky ReLU 0.2 (`strided`). Tulyakov et al. 2018 (MoCoGAN), arXiv:1707.04993, with the sizes of the
authors' program: strides over space alone, time unpadded, noise before each convolution; the last convolution gives the logit and the categories.

*Differs*: any size and length; without normalisation by default, so that penalties on single clips are well defined; the last
convolution, which covers the whole grid, is a linear map of all features (`layers.labels.CriticHead`), so that a projection may take its place.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from agon.layers.init import scaled_normal_
from agon.layers.labels import CriticHead, Head, JoinPlanes
from agon.layers.noise import Noise
from agon.layers.resample import halvings
from agon.layers.spectral import spectral_
from agon.networks.clips.mocogan import shorten_
from agon.spaces import Video

LABEL_PLANES = 4


@dataclass(frozen=True, kw_only=True)
class Clip:
    """3-D convolutions over the whole clip; see the module's text."""

    width: int = 32  # channels of the first convolution, doubled at each further one up to 8x; 64 in both papers
    strided: bool = False  # over time too (VGAN), or unpadded over time (MoCoGAN)
    norm: Literal["none", "batch", "spectral"] = "none"
    noise: float = 0.0  # σ before each convolution, in training
    kind: Literal["clip"] = "clip"
    guesses: ClassVar[bool] = True

    @property
    def couples_samples(self) -> bool:
        """Batch normalisation makes a logit depend on the other clips of its batch."""
        return self.norm == "batch"

    @property
    def spectral(self) -> bool:
        """Whether spectral normalisation bounds the critic's slope."""
        return self.norm == "spectral"

    def critic(self, space: Video, head: Head = "projection") -> nn.Module:
        return _Critic(self, space, head)

    def shrink(self, x: Tensor) -> Tensor:
        """Clips are seen as they are."""
        return x

    def view(self, p: Any, n: int, frames: int) -> None:
        """The whole clip."""
        return


class _Critic(nn.Module):
    def __init__(self, net: Clip, space: Video, head: Head) -> None:
        super().__init__()
        self.planes = JoinPlanes(space if head == "concat" else space.unlabelled(), LABEL_PLANES)
        levels = max(1, halvings(space.height, space.width))
        widths = [net.width * min(8, 2**k) for k in range(levels)]
        sources = [space.channels + self.planes.extra, *widths]
        stride, pad = (2, 1) if net.strided else (1, 0)
        batch = net.norm == "batch"
        self.convs = nn.ModuleList(
            nn.Conv3d(a, b, 4, (stride, 2, 2), (pad, 1, 1), bias=not batch or not i) for i, (a, b) in enumerate(itertools.pairwise(sources))
        )
        for index, conv in enumerate(self.convs):
            assert isinstance(conv, nn.Conv3d)
            scaled_normal_(conv.weight, slope=0.2 if index else None)
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)
        self.norms = nn.ModuleList(nn.BatchNorm3d(b) if batch and i else nn.Identity() for i, b in enumerate(widths))
        self.noise, self.strided = Noise(net.noise), net.strided
        frames, height, width = space.frames, space.height, space.width
        if not net.strided:
            shorten_(self.convs, frames)
        for conv in self.convs:
            assert isinstance(conv, nn.Conv3d)
            frames = -(-frames // 2) if net.strided else frames - conv.kernel_size[0] + 1
            height, width = -(-height // 2), -(-width // 2)
        self.head = CriticHead(widths[-1] * frames * height * width, space, head, bias=batch)
        if net.spectral:
            spectral_(self)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """What the last layer judges [n, d]."""
        n, count = x.shape[:2]
        if self.planes.embedding is not None and y is not None:
            x = self.planes(x.flatten(0, 1), y.repeat_interleave(count, 0)).unflatten(0, (n, count))
        h = x.transpose(1, 2)
        for norm, conv in zip(self.norms, self.convs, strict=True):
            h = self.noise(h)
            odd = h.shape[2] % 2 if self.strided else 0
            if odd or h.shape[3] % 2 or h.shape[4] % 2:
                h = F.pad(h, (0, h.shape[4] % 2, 0, h.shape[3] % 2, 0, odd))
            h = F.leaky_relu(norm(conv(h)), 0.2)
        return h.flatten(1)

    def forward(self, x: Tensor, y: Tensor | None = None, gaps: Tensor | None = None) -> Tensor:
        return self.head(self.features(x, y), y)

    def classify(self, x: Tensor, gaps: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(logits [n], guesses of the condition [n, k])."""
        return self.head.classify(self.features(x))
