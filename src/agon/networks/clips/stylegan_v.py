"""StyleGAN-V's generator: a clip is a function of continuous time, so any frame, at any rate and of any length, can be asked for alone.

Skorokhodov, Tulyakov, Elhoseiny 2022, "StyleGAN-V: A Continuous Video Generator with the Price, Image Quality and Perks of StyleGAN2",
arXiv:2112.14683. Noise is drawn at anchors a fixed time apart and passed through two unpadded convolutions over the anchors, so an
anchor's motion code depends on its neighbours alone and the sequence has no end. Between two anchors the time embedding is sines and cosines
whose periods and phases the left anchor chooses, less its own line between the anchors, plus a line between two learnt vectors: continuous
everywhere, periodic nowhere.

*Differs*: time is counted from the left anchor (the phase is free, so nothing is lost, and frame 10,000 is as exact as frame 0); lean sizes (the
paper: kernels of 11 anchors, 512 numbers, 256 frequencies); the condition joins the noise. `decoder`: "lean" draws frames from content and motion codes as
the other generators of this folder do; "modulated" is `agon.networks.stylegan2`, the motion code added to its constant input by a linear
map (in the paper it is concatenated to it).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agon.config import too_small
from agon.device import finest
from agon.layers.frames import begin_with, choose, unfold
from agon.layers.init import scaled_normal_
from agon.layers.labels import embedding
from agon.layers.modulated import EqualLinear
from agon.networks.clips.decoder import Content, decoded, decoder_for
from agon.networks.clips.frames import still
from agon.networks.stylegan2 import StyleGAN2
from agon.spaces import Video


@dataclass(frozen=True, kw_only=True)
class StyleGANV:
    """Motion codes in continuous time; see the module's text."""

    period: int = 16  # frames between two anchors; the main knob of motion
    kernel: int = 3  # anchors that a convolution takes in; 11 in the paper
    noise: int = 16  # numbers of noise at an anchor
    width: int = 64  # of the motion codes
    frequencies: int = 16  # log-spaced from 1/period to 1/longest
    longest: int = 256  # frames
    speed: float = 0.01  # learning-rate multiplier of the convolutions over anchors
    decoder: Literal["lean", "modulated"] = "lean"
    widths: tuple[int, ...] = (128, 64, 32)  # of the lean decoder
    things: int = 2  # pictures that a clip keeps and moves over its ground; 0: whole frames are drawn anew
    loud: float | None = None  # part of the condition that what a clip keeps is told; None: 1.0 of captions, 0.1 of all else
    style: StyleGAN2 = field(default_factory=StyleGAN2)  # of the modulated one
    label_dim: int = 32  # size of the condition's embedding
    kind: Literal["stylegan-v"] = "stylegan-v"
    couples_samples: ClassVar[bool] = False
    takes_first: ClassVar[bool] = True  # with the lean decoder

    def generator(self, z_dim: int, space: Video, first: bool = False) -> nn.Module:
        return _Generator(self, z_dim, space, first)

    def why_not(self, space: Any, first: bool) -> str | None:
        """The modulated decoder has no place for the features of a given frame."""
        if first and self.decoder == "modulated":
            return "the modulated decoder of 'stylegan-v' has no place for a given first frame; set net.decoder to lean."
        return too_small(self, things=0, period=1, kernel=1, noise=1, width=1, frequencies=1, label_dim=1)


class Motion(nn.Module):
    """Anchor noise [n, a, noise] → motion codes [n, k, `dim`] at times [n, k] after the anchor with index `reach` of the noise."""

    frequencies: Tensor

    def __init__(self, net: StyleGANV, space: Video) -> None:
        super().__init__()
        self.period, self.reach = net.period, net.kernel - 1
        self.label = embedding(space, net.label_dim)
        extra = 0 if self.label is None else net.label_dim
        self.speed = net.speed
        sizes = (net.noise + extra, net.width, net.width)
        self.weights = nn.ParameterList(torch.randn(b, a, net.kernel) / net.speed for a, b in itertools.pairwise(sizes))
        self.biases = nn.ParameterList(torch.zeros(b) for b in sizes[1:])
        count = net.frequencies
        self.periods, self.phases, self.aligned = (EqualLinear(net.width, size) for size in (count, count, 2 * count))
        octaves = torch.linspace(math.log(net.period), math.log(max(net.longest, net.period)), count)
        self.register_buffer("frequencies", 2 * math.pi / octaves.exp())
        self.dim = 2 * count

    def codes(self, e: Tensor, y: Tensor | None) -> Tensor:
        """Motion codes of the anchors but the `reach` first and last of them, [n, a − 2·reach, width]."""
        if self.label is not None:
            e = torch.cat([e, self.label(y).to(e.dtype)[:, None].expand(-1, e.shape[1], -1)], 2)
        u = e.transpose(1, 2)
        for weight, bias in zip(self.weights, self.biases, strict=True):
            scale = self.speed / math.sqrt(weight[0].numel())
            u = F.leaky_relu(F.conv1d(u, weight * scale, bias * self.speed), 0.2) * math.sqrt(2)
        return u.transpose(1, 2)

    def forward(self, e: Tensor, y: Tensor | None, at: Tensor) -> Tensor:
        u = self.codes(e, y).float()  # 16 bits are too few for times
        place = at.float() / self.period
        index = place.floor().clamp(0, u.shape[1] - 2)
        share = (place - index)[:, :, None]
        left, right = choose(u, index.long()), choose(u, index.long() + 1)
        speed, phase = self.frequencies * (self.periods(left).float().tanh() + 1), self.phases(left).float()

        def wave(t: Tensor) -> Tensor:
            angle = speed * t + phase
            return torch.cat([angle.sin(), angle.cos()], 2)

        line = torch.lerp(wave(torch.zeros_like(share)), wave(torch.full_like(share, float(self.period))), share)
        return wave(share * self.period) - line + torch.lerp(self.aligned(left).float(), self.aligned(right).float(), share)


class _Generator(nn.Module):
    fixed_length, continuous = False, True

    def __init__(self, net: StyleGANV, z_dim: int, space: Video, first: bool) -> None:
        super().__init__()
        self.frames, self.noise, self.period = space.frames, net.noise, net.period
        self.motion = Motion(net, space)
        self.modulated = net.decoder == "modulated"
        if self.modulated:
            self.decode: Any = net.style.generator(z_dim, still(space))
            self.start = nn.Linear(self.motion.dim, self.decode.start.shape[0])
            scaled_normal_(self.start.weight)
            nn.init.zeros_(self.start.bias)
        else:
            self.content = Content(net.widths, z_dim, net.label_dim, space, first=first)
            self.decode = decoder_for(net, self.content, self.motion.dim, space, first=first)

    def noise_shape(self, frames: int) -> tuple[int, ...]:
        """Noise of every anchor that the frames 0 … frames − 1 look at."""
        return (frames - 1) // self.period + 2 + 2 * self.motion.reach, self.noise

    def _draw(self, z: Tensor, motion: Tensor, y: Tensor | None, first: Tensor | None) -> Tensor:
        if not self.modulated:
            content, skips = self.content(z, y, first)
            return decoded(self.decode, content, skips, motion)
        w = self.decode.mapping(z, y).repeat_interleave(motion.shape[1], 0)
        start = self.decode.start + self.start(motion.flatten(0, 1))[:, :, None, None]
        return unfold(self.decode.synthesis(w, start=start), motion.shape[1])

    def forward(
        self, z: Tensor, e: Tensor, y: Tensor | None = None, *, first: Tensor | None = None, at: Tensor | None = None, copy: bool = True
    ) -> Tensor:
        times = torch.arange(self.frames, device=z.device).expand(z.shape[0], -1) if at is None else at
        x = self._draw(z, self.motion(e, y, times), y, first)
        return begin_with(x, first, at) if copy else x

    def anywhere(
        self, z: Tensor, dice: Callable[..., Tensor], at: Tensor, y: Tensor | None = None, *, first: Tensor | None = None
    ) -> Tensor:
        """Frames [k] at any times `at` [k] ≥ 0 of the endless clip that `long` plays: [n, k, C, H, W], each as if asked for alone.

        The noise of anchor i, at frame i·period, is `dice(i + reach, d)`.
        """
        frames = []
        for anchor in sorted({int(t // self.period) for t in at.tolist()}):
            here = (at // self.period).long() == anchor
            e = torch.stack([dice(anchor + k, self.noise) for k in range(2 * self.motion.reach + 2)], 1)
            times = (at[here] - anchor * self.period).expand(z.shape[0], -1)
            x = self._draw(z, self.motion(e, y, times), y, first)
            frames.append((here.nonzero().flatten(), begin_with(x, first, at[here].expand(z.shape[0], -1))))
        order = torch.cat([index for index, _ in frames]).argsort()
        return torch.cat([x for _, x in frames], 1)[:, order]

    def long(
        self, z: Tensor, dice: Callable[..., Tensor], frames: int, y: Tensor | None = None, *, first: Tensor | None = None, chunk: int = 16,
        step: float = 1.0,
    ) -> Iterator[Tensor]:  # fmt: skip
        """Clips of any length, at most `chunk` frames at a time; frame k lies at time k·step, so any rate can be played."""
        for low in range(0, frames, chunk):
            at = torch.arange(low, min(low + chunk, frames), device=z.device)
            yield self.anywhere(z, dice, at if step == 1.0 else at.to(finest(at.device)) * step, y, first=first)
