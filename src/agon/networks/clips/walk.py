"""MoCoGAN-HD's generator: a clip is a walk through the latents of a trained image generator, which stays as it is.

Tian et al. 2021, "A Good Image Generator Is What You Need for High-Resolution Video Synthesis", arXiv:2104.15069: an LSTM cell reads the
first latent, another is fed fresh noise at each frame, and its states are steps along the principal directions of the latents,
w_t = w_{t−1} + λ·(step)·V with λ = 0.2; noise must be told from the states (mutual information, their cosine), so that it is not ignored.
Only the LSTM learns.

*Differs*: any image run of Agon serves; the walk is in w where its generator has a mapping, else in z. Directions are scaled by
the standard deviation along them, so that λ means the same for every generator (512 directions of unit length there, all of w's here). The
image generator lies in the player G as tensors that no optimiser sees. Its weights come from the run named by --from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agon.layers.frames import choose, unfold
from agon.layers.labels import embedding
from agon.layers.recurrent import LSTM
from agon.networks import Network
from agon.networks.clips.frames import still
from agon.networks.r3 import R3Lean
from agon.spaces import Video

BLOCK = 16  # frames of a long clip whose motion noise is drawn together
_SEEN = 4096  # latents that the directions are taken from


@dataclass(frozen=True, kw_only=True)
class Walk:
    """A frozen image generator and an LSTM that walks in its latent space; the image part is filled in from the run it starts from."""

    image: Network = field(default_factory=R3Lean)
    told: bool = False  # the image generator takes the clips' condition
    directions: int = 64  # at most so many; the paper has 384 of 512
    step: float = 0.2  # λ
    motion: int = 64  # width of the LSTM; 384 in the paper
    noise: int = 16  # fresh noise a frame
    heard: float = 1.0  # weight of the cosine between noise and what is read of it from the states
    label_dim: int = 32  # size of the condition's embedding
    kind: Literal["walk"] = "walk"
    couples_samples: ClassVar[bool] = False
    takes_first: ClassVar[bool] = False

    def why_not(self, space: Any, first: bool) -> str | None:
        """A clip without steps is no walk."""
        return (
            None
            if space.frames > 1
            else "a walk goes from frame to frame, and clips of one frame have no steps; take clips of two frames or more."
        )

    def generator(self, z_dim: int, space: Video, first: bool = False) -> nn.Module:
        return _Generator(self, z_dim, space)


class _Generator(nn.Module):
    directions: Tensor
    fixed_length = False

    def __init__(self, net: Walk, z_dim: int, space: Video) -> None:
        super().__init__()
        self.frames, self.noise, self.step, self.heard, self.told = space.frames, net.noise, net.step, net.heard, net.told
        self.classes = space.num_classes
        picture = still(space)
        image: Any = net.image.generator(z_dim, picture if net.told else picture.unlabelled())
        self.styled = hasattr(image, "mapping")
        dim = image.w_dim if self.styled else z_dim
        self.z_dim, self.image = z_dim, _frozen(image)
        count = min(net.directions, dim)
        self.register_buffer("directions", torch.eye(dim)[:count])
        self.label = embedding(space, net.label_dim)
        extra = 0 if self.label is None else net.label_dim
        self.read = LSTM(dim + extra, net.motion)
        self.walk = LSTM(net.noise + extra, net.motion)
        self.turn = nn.Linear(net.motion, count)
        self.listen = nn.Sequential(nn.Linear(net.motion, net.motion), nn.LeakyReLU(0.2), nn.Linear(net.motion, net.noise))

    def train(self, mode: bool = True) -> _Generator:
        """The image generator never trains: its batch statistics stay as they are."""
        super().train(mode)
        self.image.eval()
        return self

    def survey(self) -> None:
        """Find the principal directions of the latents; once, when the image generator has its weights. The same on every machine of a run."""
        z = torch.randn(_SEEN, self.z_dim, generator=torch.Generator().manual_seed(0)).to(self.directions.device)
        if not self.styled or (self.told and not self.classes):  # a normal latent has no directions of its own
            return
        y = torch.arange(_SEEN, device=z.device) % self.classes if self.told else None
        w = self.image.mapping(z, y)  # type: ignore[operator]
        for part in [slice(None)] if y is None else [y == k for k in range(self.classes)]:
            w[part] = w[part] - w[part].mean(0)  # spread within a class: a walk does not lead from one to another
        _, spread, rows = torch.linalg.svd(w, full_matrices=False)
        count = len(self.directions)
        self.directions.copy_(rows[:count] * (spread[:count, None] / _SEEN**0.5))

    def noise_shape(self, frames: int) -> tuple[int, ...]:
        """Noise of each frame but the first."""
        return frames - 1, self.noise

    def _beside(self, e: Tensor, y: Tensor | None) -> Tensor:
        return e if self.label is None else torch.cat([e, self.label(y).to(e.dtype)[:, None].expand(-1, e.shape[1], -1)], 2)

    def _start(self, z: Tensor, y: Tensor | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The first latent, and the state after reading it."""
        w = self.image.mapping(z, y if self.told else None) if self.styled else z  # type: ignore[operator]
        zero = w.new_zeros(w.shape[0], self.walk.keep.in_features)
        return w, self.read(self._beside(w[:, None], y), (zero, zero))[1]

    def _path(self, w: Tensor, states: Tensor) -> Tensor:
        """From a latent on, [n, t, dim]; it is not among them itself."""
        return w[:, None] + self.step * (self.turn(states) @ self.directions).cumsum(1)

    def _draw(self, w: Tensor, y: Tensor | None) -> Tensor:
        count = w.shape[1]
        y = y.repeat_interleave(count, 0) if y is not None and self.told else None
        flat = w.flatten(0, 1)
        return unfold(self.image.synthesis(flat) if self.styled else self.image(flat, y), count)  # type: ignore[operator]

    def with_terms(
        self, z: Tensor, e: Tensor, y: Tensor | None = None, at: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:  # fmt: skip
        """The clips, and what the generator adds to its own loss: minus the cosine between noise and what is read of it from the states."""
        w, state = self._start(z, y)
        states = self.walk(self._beside(e, y), state)[0]
        x = self._draw(choose(torch.cat([w[:, None], self._path(w, states)], 1), at), y)
        return x, {"noise": -self.heard * F.cosine_similarity(self.listen(states), e, dim=2).mean()}

    def forward(
        self, z: Tensor, e: Tensor, y: Tensor | None = None, *, first: Tensor | None = None, at: Tensor | None = None, copy: bool = True
    ) -> Tensor:
        return self.with_terms(z, e, y, at)[0]

    def long(
        self, z: Tensor, dice: Callable[..., Tensor], frames: int, y: Tensor | None = None, *, first: Tensor | None = None, chunk: int = 16
    ) -> Iterator[Tensor]:
        """Clips of any length, at most `chunk` frames at a time; the noise of frames 16·b + 1 to 16·b + 16 is `dice(b, 16, d)`."""
        w, state = self._start(z, y)
        yield self._draw(w[:, None], y)
        for low in range(1, frames, BLOCK):
            states, state = self.walk(self._beside(dice(low // BLOCK, BLOCK, self.noise), y), state)
            path = self._path(w, states)
            w = path[:, -1]
            for part in path[:, : frames - low].split(chunk, 1):
                yield self._draw(part, y)


def _frozen(module: nn.Module) -> nn.Module:
    """The module with its parameters turned into buffers: saved and moved with it, seen by no optimiser."""
    for part in module.modules():
        for name, parameter in list(part._parameters.items()):
            if parameter is not None:
                del part._parameters[name]
                part.register_buffer(name, parameter.detach())
    return module.eval()
