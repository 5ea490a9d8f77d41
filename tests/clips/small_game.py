"""A game on clips as small as they come, for tests of what shows clips: GRU motion, convolutional decoder, critic of frames and their change."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from agon import losses
from agon.game import Batch, Clock, Game, Players, Terms, Turn
from agon.optim import Adam, Average, Optimiser
from agon.spaces import Video

MOTION = 6


class Generator(nn.Module):
    """Content z is fixed over a clip, motion noise [T, 6] goes through a GRU; 2-D deconvolutions paint each frame."""

    def __init__(self, z_dim: int, space: Video) -> None:
        super().__init__()
        self.space, self.classes = space, space.num_classes or len(space.words)
        joined = z_dim + MOTION + (16 if self.classes else 0) + (16 if True else 0)
        self.cell = nn.GRUCell(MOTION, MOTION)
        self.embed = nn.Embedding(self.classes + 1, 16) if self.classes else None
        self.look = nn.Sequential(nn.Flatten(), nn.LazyLinear(16))
        self.look(torch.zeros(1, *space.shape[1:]))
        self.low = (math.ceil(space.height / 4), math.ceil(space.width / 4))
        self.open = nn.Linear(joined, 8 * self.low[0] * self.low[1])
        self.paint = nn.Sequential(
            nn.ReLU(), nn.ConvTranspose2d(8, 8, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(8, space.channels, 4, 2, 1), nn.Tanh()
        )

    def noise_shape(self, frames: int) -> tuple[int, ...]:
        return (frames, MOTION)

    def _still(self, z: Tensor, y: Tensor | None, first: Tensor | None) -> Tensor:
        parts = [z]
        if self.embed is not None:
            parts.append(self.embed(y if y.dim() == 1 else y.max(1).values))
        parts.append(z.new_zeros(z.shape[0], 16) if first is None else self.look(first))
        return torch.cat(parts, 1)

    def _paint(self, codes: Tensor) -> Tensor:
        n, t = codes.shape[:2]
        x = self.paint(self.open(codes.flatten(0, 1)).unflatten(1, (8, *self.low)))
        return x[..., : self.space.height, : self.space.width].unflatten(0, (n, t))

    def forward(self, z: Tensor, e: Tensor, y: Tensor | None = None, *, first: Tensor | None = None, at: Tensor | None = None) -> Tensor:
        still, h, steps = self._still(z, y, first), z.new_zeros(z.shape[0], MOTION), []
        for k in range(e.shape[1]):
            h = self.cell(e[:, k], h)
            steps.append(torch.cat([still, h], 1))
        codes = torch.stack(steps, 1)
        if at is not None:
            codes = codes[torch.arange(z.shape[0])[:, None], at]
        x = self._paint(codes)
        return x if first is None or at is not None else torch.cat([first[:, None], x[:, 1:]], 1)

    def long(
        self, z: Tensor, dice: Any, frames: int, y: Tensor | None = None, *, first: Tensor | None = None, chunk: int = 16
    ) -> Iterator[Tensor]:
        still, h, done = self._still(z, y, first), z.new_zeros(z.shape[0], MOTION), 0
        while done < frames:
            noise, steps = dice(done // chunk, chunk, MOTION), []
            for k in range(min(chunk, frames - done)):
                h = self.cell(noise[:, k], h)
                steps.append(torch.cat([still, h], 1))
            x = self._paint(torch.stack(steps, 1))
            if first is not None and done == 0:
                x = torch.cat([first[:, None], x[:, 1:]], 1)
            done += x.shape[1]
            yield x


class Critic(nn.Module):
    def __init__(self, space: Video) -> None:
        super().__init__()
        self.classes = space.num_classes or len(space.words)
        self.see = nn.Sequential(nn.Conv2d(2 * space.channels, 8, 3, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(8, 16, 3, 2, 1), nn.LeakyReLU(0.2))
        self.deep = nn.Conv3d(space.channels, 4, (2, 4, 4), (1, 4, 4))  # 5-d weights: not to be brought to channels_last
        self.head, self.embed = nn.Linear(20, 1), nn.Embedding(self.classes + 1, 20) if self.classes else None

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        pairs = torch.cat([x[:, 1:], x[:, 1:] - x[:, :-1]], 2)
        flat = self.see(pairs.flatten(0, 1)).mean((2, 3)).unflatten(0, pairs.shape[:2]).mean(1)
        flat = torch.cat([flat, self.deep(x.transpose(1, 2)).mean((2, 3, 4))], 1)
        told = self.head(flat).squeeze(1)
        return told if self.embed is None else told + (flat * self.embed(y if y.dim() == 1 else y.max(1).values)).sum(1)


@dataclass(frozen=True, kw_only=True)
class SmallClips(Game):
    """Logistic losses; for tests only."""

    z_dim: int = 8
    first_frame: bool = False
    conditional: bool = True  # type: ignore[misc]
    optim: Mapping[str, Optimiser] = field(default_factory=lambda: {k: Adam(lr=2e-3, betas=(0.5, 0.9)) for k in "GD"})
    ema: Mapping[str, Average] = field(default_factory=lambda: {"G": Average(half_life=200)})

    def players(self, space: Video) -> dict[str, nn.Module]:
        return {"G": Generator(self.z_dim, space), "D": Critic(space)}

    def turns(self) -> list[Turn]:
        return [Turn(self.critic, "D"), Turn(self.generator, "G")]

    def _fake(self, p: Players, real: Batch) -> Tensor:
        given = Batch({k: v for k, v in real.items() if k == "y"} | ({"first": real["x"][:, 0]} if self.first_frame else {}))
        return self.sample(p, len(real["x"]), given=given)

    def critic(self, p: Players, real: Batch, t: Clock) -> Terms:
        on_fake = p.D(self._fake(p, real).detach(), real.get("y"))
        return {"adv": losses.Logistic().critic(p.D(real["x"], real.get("y")), on_fake)}

    def generator(self, p: Players, real: Batch, t: Clock) -> Terms:
        return {"adv": losses.Logistic().generator(None, p.D(self._fake(p, real), real.get("y")))}

    def latents(self, p: Players, n: int) -> Tensor:
        generator: Any = p.G
        return p.randn(n, self.z_dim + math.prod(generator.noise_shape(generator.space.frames)))

    def sample(self, p: Players, n: int, *, z: Tensor | None = None, given: Batch | None = None) -> Tensor:
        given, flat, generator = given or Batch(), self.latents(p, n) if z is None else z, p.G
        shape = generator.noise_shape(generator.space.frames)  # type: ignore[operator,union-attr]
        first = {"first": given["first"]} if self.first_frame else {}
        return generator(flat[:, : self.z_dim], flat[:, self.z_dim :].reshape(len(flat), *shape), given.get("y"), **first)

    def judge(self, p: Players, x: Tensor, given: Batch | None = None) -> Tensor:
        return p.D(x, None if given is None else given.get("y"))
