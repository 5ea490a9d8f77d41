"""Flow matching with straight paths (rectified flow): no critic; a network learns the velocity that carries noise to data.

Lipman, Chen, Ben-Hamu, Nickel, Le 2023, "Flow Matching for Generative Modeling", arXiv:2210.02747;
Liu, Gong, Liu 2023, "Flow Straight and Fast: Learning to Generate and Transfer Data with Rectified Flow", arXiv:2209.03003.

Equations:
  Liu sec. 2, Lipman sec. 4 with σ_min 0  x_t = (1 - t) x_0 + t x_1; minimise E ‖v(x_t, t) - (x_1 - x_0)‖²   -> velocity
  Liu sec. 2                              dx = v(x, t) dt from noise x_0 at t = 0 to a sample at t = 1         -> Transport, sample
  Ho & Salimans 2022, arXiv:2207.12598    v_blank + g (v_label - v_blank); the label is blanked in training     -> guidance, drop
  Esser et al. 2024, arXiv:2403.03206     t = σ(normal): more training where the velocity is hard to know       -> time="logit-normal"

Differs: a small U-Net without attention (networks/unet.py); few steps of a second-order solver by default; no second training on the
model's own pairs (reflow). The latent is the noise itself, as large as a sample. The player is called G: it maps noise to samples, in
`steps` evaluations (twice that for heun and midpoint), so a sample costs that many times what a GAN's of the same network costs.
`steps`, `solver` and `guidance` do not touch what is learnt: `agon sample RUN --game.steps 2` takes another choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from agon.errors import InputError
from agon.game import Batch, Clock, Game, Players, Terms, Turn, label_of, needs_pictures
from agon.layers.labels import conditioned
from agon.networks.unet import FlatVelocity, UNet
from agon.optim import Adam, Average
from agon.spaces import Space

Solver = Literal["euler", "midpoint", "heun"]


@dataclass(frozen=True, kw_only=True)
class Flow(Game):
    """Rectified flow. Class-conditional where the space has classes, with classifier-free guidance."""

    critics: ClassVar[tuple[str, ...]] = ()
    sampling: ClassVar[tuple[str, ...]] = ("steps", "solver", "guidance")

    conditional: bool = True  # type: ignore[misc]  # False: play without labels even where the data have them
    steps: int = 5  # steps of the solver from noise to sample
    solver: Solver = "midpoint"  # euler: one evaluation a step, first order; midpoint and heun: two, second order
    guidance: float = 1.0  # 1: none; above, samples keep closer to their label and vary less; doubles the cost
    drop: float = 0.1  # share of training samples whose label is blanked, which guidance needs
    time: Literal["uniform", "logit-normal"] = "logit-normal"  # how training times are drawn
    net: UNet | FlatVelocity = field(default_factory=UNet)
    optim: Mapping[str, Adam] = field(default_factory=lambda: {"G": Adam(lr=1e-3, betas=(0.9, 0.99), clip=1.0)})
    ema: Mapping[str, Average] = field(default_factory=lambda: {"G": Average(half_life=10_000)})

    def why_not(self, space: Space) -> str | None:
        return needs_pictures(self.net, space, "flat-velocity")

    def players(self, space: Space) -> dict[str, nn.Module]:
        if self.steps < 1:
            raise InputError(f"--game.steps is {self.steps}; expected 1 or more steps of the solver.")
        if self.guidance != 1.0 and not self.drop:
            raise InputError("--game.guidance other than 1 needs a network trained with blanked labels; train with --game.drop 0.1.")
        return {"G": Transport(self.net.velocity(space), space, self.steps, self.solver, self.guidance)}

    def turns(self) -> list[Turn]:
        return [Turn(self.velocity, "G")]

    def velocity(self, p: Players, real: Batch, t: Clock) -> Terms:
        data = real["x"]
        n = len(data)
        noise, when = self.latents(p, n), p.randn(n).sigmoid() if self.time == "logit-normal" else p.rand(n)
        y = label_of(real)
        keep = (p.rand(n) >= self.drop).to(data.dtype) if y is not None and self.drop else None
        at = when.reshape(n, *[1] * (data.dim() - 1))
        velocity = p.G.velocity(torch.lerp(noise, data, at), when, y, keep)  # type: ignore[operator]
        return {"velocity": (velocity.float() - (data - noise)).square().mean()}

    def latents(self, p: Players, n: int) -> Tensor:
        return p.randn(n, *p.G.shape)  # type: ignore[misc]

    def sample(self, p: Players, n: int, *, z: Tensor | None = None, given: Batch | None = None) -> Tensor:
        return p.G(self.latents(p, n) if z is None else z, label_of(given))


class Transport(nn.Module):
    """The solver around a velocity network: noise z [n, *shape] and y → samples [n, *shape]."""

    def __init__(self, velocity: nn.Module, space: Space, steps: int, solver: Solver, guidance: float) -> None:
        super().__init__()
        self.velocity = velocity
        self.shape = tuple(space.shape)
        self.steps, self.solver = steps, solver
        self.guidance = guidance if conditioned(space) else 1.0

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        x, h = z, 1 / self.steps
        for step in range(self.steps):
            t = step * h
            first = self._at(x, t, y)
            if self.solver == "euler":
                x = x + h * first
            elif self.solver == "midpoint":
                x = x + h * self._at(x + h / 2 * first, t + h / 2, y)
            else:
                x = x + h / 2 * (first + self._at(x + h * first, t + h, y))
        return x

    def _at(self, x: Tensor, t: float, y: Tensor | None) -> Tensor:
        times = torch.full_like(x.flatten(1)[:, 0], t)
        v = self.velocity(x, times, y)
        if self.guidance == 1.0:
            return v
        blank = self.velocity(x, times, y, torch.zeros_like(times))
        return blank + self.guidance * (v - blank)
