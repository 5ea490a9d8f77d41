"""The first GAN: two multilayer perceptrons, one inventing, one judging.

Goodfellow et al. 2014, "Generative Adversarial Nets", arXiv:1406.2661.

Equations:
  (1)     -E log D(x) - E log(1 - D(G(z)))    -> critic, losses.logistic_d
  sec. 3  -E log D(G(z)), non-saturating      -> generator, losses.logistic_g
  (1)     E log(1 - D(G(z))), minimax         -> generator with saturating=True, losses.saturating_g

Differs: Adam instead of momentum, leaky ReLU instead of maxout, no dropout, an averaged generator for sampling.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor, nn

from agon import losses
from agon.game import Batch, Clock, Game, Players, Terms, Turn
from agon.networks.mlp import MLP
from agon.optim import Adam, Average
from agon.spaces import Space


@dataclass(frozen=True, kw_only=True)
class GAN(Game):
    """The minimax game on perceptrons; works on vectors and small images; unconditional."""

    conditional: ClassVar[bool] = False
    z_dim: int = 64  # dimension of the Gaussian latent
    saturating: bool = False  # the paper's equation 1 for the generator instead of its non-saturating form
    net: MLP = field(default_factory=MLP)
    optim: Mapping[str, Adam] = field(default_factory=lambda: {k: Adam(lr=2e-4, betas=(0.5, 0.999)) for k in "GD"})
    ema: Mapping[str, Average] = field(default_factory=lambda: {"G": Average(half_life=10_000)})

    def players(self, space: Space) -> dict[str, nn.Module]:
        return {"G": self.net.generator(self.z_dim, space), "D": self.net.critic(space)}

    def turns(self) -> list[Turn]:
        return [Turn(self.critic, "D"), Turn(self.generator, "G")]

    def critic(self, p: Players, real: Batch, t: Clock) -> Terms:
        return {"adv": losses.logistic_d(p.D(real["x"]), p.D(self.sample(p, len(real["x"]))))}

    def generator(self, p: Players, real: Batch, t: Clock) -> Terms:
        on_fake = p.D(self.sample(p, len(real["x"])))
        return {"adv": losses.saturating_g(on_fake) if self.saturating else losses.logistic_g(on_fake)}

    def latents(self, p: Players, n: int) -> Tensor:
        return p.randn(n, self.z_dim)

    def sample(self, p: Players, n: int, *, z: Tensor | None = None, given: Batch | None = None) -> Tensor:
        return p.G(self.latents(p, n) if z is None else z)

    def judge(self, p: Players, x: Tensor, given: Batch | None = None) -> Tensor:
        return p.D(x)
