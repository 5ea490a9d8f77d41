"""DCGAN: convolutional players with batch normalisation and the non-saturating loss.

Radford, Metz, Chintala 2015, "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks",
arXiv:1511.06434; the loss is that of Goodfellow et al. 2014, arXiv:1406.2661.

Equations:
  Goodfellow (1)    -E log D(x) - E log(1 - D(G(z)))    -> critic, losses.logistic_d
  Goodfellow sec. 3 -E log D(G(z))                      -> generator, losses.logistic_g
  Radford sec. 4    Adam, learning rate 0.0002, β1 0.5  -> optim

Differs: logits instead of a sigmoid; an averaged generator for sampling; other image sizes by cropping the last stage. `PeerDCGAN` is the
network of a widely copied tutorial repository, kept as the baseline that our figures are compared with. Labels are not used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor, nn

from agon import losses
from agon.game import Batch, Clock, Game, Players, Terms, Turn
from agon.networks.dcgan import DCGAN as Network
from agon.networks.dcgan import PeerDCGAN
from agon.optim import Adam, Average
from agon.spaces import Space


@dataclass(frozen=True, kw_only=True)
class DCGAN(Game):
    """Non-saturating GAN with batch-normalised convolutional players; unconditional."""

    conditional: ClassVar[bool] = False
    z_dim: int = 100  # dimension of the Gaussian latent
    net: Network | PeerDCGAN = field(default_factory=Network)
    optim: Mapping[str, Adam] = field(default_factory=lambda: {k: Adam(lr=2e-4, betas=(0.5, 0.999)) for k in "GD"})
    ema: Mapping[str, Average] = field(default_factory=lambda: {"G": Average(half_life=10_000)})

    def players(self, space: Space) -> dict[str, nn.Module]:
        return {"G": self.net.generator(self.z_dim, space), "D": self.net.critic(space)}

    def turns(self) -> list[Turn]:
        return [Turn(self.critic, "D"), Turn(self.generator, "G")]

    def critic(self, p: Players, real: Batch, t: Clock) -> Terms:
        fake = self.sample(p, len(real["x"]))
        return {"adv": losses.logistic_d(p.D(real["x"]), p.D(fake))}

    def generator(self, p: Players, real: Batch, t: Clock) -> Terms:
        return {"adv": losses.logistic_g(p.D(self.sample(p, len(real["x"]))))}

    def latents(self, p: Players, n: int) -> Tensor:
        return p.randn(n, self.z_dim)

    def sample(self, p: Players, n: int, *, z: Tensor | None = None, given: Batch | None = None) -> Tensor:
        return p.G(self.latents(p, n) if z is None else z)

    def judge(self, p: Players, x: Tensor, given: Batch | None = None) -> Tensor:
        return p.D(x)
