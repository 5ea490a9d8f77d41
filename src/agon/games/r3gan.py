"""R3GAN: a relativistic pairing loss with zero-centred gradient penalties on reals and fakes, no other trick.

Huang, Gokaslan, Kuleshov, Tompkin 2024, "The GAN is dead; long live the GAN! A Modern GAN Baseline", arXiv:2501.05441.

Equations:
  sec. 2  E softplus(-(D(x) - D(G(z))))                      -> critic "adv", losses.relativistic_d
          E softplus(-(D(G(z)) - D(x)))                      -> generator "adv", losses.relativistic_g
  sec. 2  R1 = γ/2 E ‖∇D(x)‖² on reals, R2 the same on fakes -> critic "r1", "r2", penalties.zero_centred
  app.    one cosine for learning rate, β2, γ and the average's half-life over a span of samples, then flat.

Differs: pairs of real and fake pass the critic as one batch of 2n, so that both penalties cost one double backward; `net` may be the
paper's network or the lean one (grouped convolutions with double backward are slow on CPU). Augmentation is the engine's
(`augment`), not the game's, and off unless a recipe turns it on. `signs` > 0 makes
some latent coordinates ±1: a continuous map of a connected latent must draw bridges between modes that are apart (Khayatkhoei et al. 2018,
arXiv:1806.00880; Tanielian et al. 2020, arXiv:2006.04596); the points recipe uses it, pictures do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from agon import losses, penalties
from agon.game import Batch, Clock, Game, Players, Terms, Turn, label_of, needs_pictures
from agon.networks.mlp import MLP
from agon.networks.r3 import R3Lean, R3Paper
from agon.optim import Adam, Average
from agon.schedule import Value, at
from agon.spaces import Space


@dataclass(frozen=True, kw_only=True)
class R3GAN(Game):
    """RpGAN + R1 + R2. Class-conditional where the space has classes: the label enters both players."""

    elsewhere: ClassVar[Mapping[str, str]] = {
        name: "R3GAN is one loss with one pair of penalties. Others, on its network for pictures: --recipe dcgan --game.net r3-lean "
        f"{told}…; on perceptrons, for points too: --recipe gan {told}…"
        for name, told in (
            ("loss", "--game.loss "), ("penalties", "--game.penalties "), ("n_critic", "--game.n_critic "),
            ("head", "--game.conditional true --game.head "),
        )
    }  # fmt: skip

    conditional: bool = True  # type: ignore[misc]  # False: play without labels even where the data have them

    z_dim: int = 64  # dimension of the latent
    signs: int = 0  # how many of its coordinates are ±1 instead of normal; for data that fall apart into modes
    gamma: Value = 1.0  # weight of R1 and R2; grows with resolution, see recipes.gamma_for
    net: R3Lean | R3Paper | MLP = field(default_factory=R3Lean)
    optim: Mapping[str, Adam] = field(default_factory=lambda: {k: Adam(lr=2e-4, betas=(0.0, 0.99)) for k in "GD"})
    ema: Mapping[str, Average] = field(default_factory=lambda: {"G": Average(half_life=10_000)})

    def why_not(self, space: Space) -> str | None:
        return needs_pictures(self.net, space, "mlp")

    def players(self, space: Space) -> dict[str, nn.Module]:
        return {"G": self.net.generator(self.z_dim, space), "D": self.net.critic(space)}

    def turns(self) -> list[Turn]:
        return [Turn(self.critic, "D"), Turn(self.generator, "G")]

    def critic(self, p: Players, real: Batch, t: Clock) -> Terms:
        x, y = real["x"], real.get("y")
        fake = self.sample(p, len(x), given=real)
        both = None if y is None else torch.cat([y, y])
        norms, logits = penalties.zero_centred(p.D, torch.cat([x, fake]), both)
        (r1, r2), (on_real, on_fake) = norms.chunk(2), logits.chunk(2)
        half = at(self.gamma, t) / 2
        return {"adv": losses.relativistic_d(on_real, on_fake), "r1": half * r1.mean(), "r2": half * r2.mean()}

    def generator(self, p: Players, real: Batch, t: Clock) -> Terms:
        x, y = real["x"], real.get("y")
        fake = self.sample(p, len(x), given=real)
        return {"adv": losses.relativistic_g(p.D(x, y), p.D(fake, y))}

    def latents(self, p: Players, n: int) -> Tensor:
        z = p.randn(n, self.z_dim)
        return torch.cat([z[:, : self.signs].sign(), z[:, self.signs :]], 1) if self.signs else z

    def sample(self, p: Players, n: int, *, z: Tensor | None = None, given: Batch | None = None) -> Tensor:
        return p.G(self.latents(p, n) if z is None else z, label_of(given))

    def judge(self, p: Players, x: Tensor, given: Batch | None = None) -> Tensor:
        return p.D(x, label_of(given))
