"""VAE-GAN: a variational autoencoder whose reconstructions are judged in the feature space of a critic.

Larsen, Sønderby, Larochelle, Winther 2016, "Autoencoding beyond pixels using a learned similarity metric", arXiv:1512.09300.

Equations:
  sec. 2.1  L_prior = KL(q(z|x) ‖ N(0, I))                                   -> encoder "kl"
  sec. 2.3  L_like  = -E_q log N(D_l(x); D_l(x~), I), x~ = G(z), z ~ q       -> encoder and decoder "likeness"
  sec. 2.3  L_GAN   = log D(x) + log(1 - D(G(z_p))) + log(1 - D(x~))         -> critic "adv", decoder "adv"
  alg. 1    E on L_like + L_prior; G on γ L_like - L_GAN; D on L_GAN       -> turns: three turns, each computes what it needs afresh

Differs: the decoder's adversarial term is the non-saturating one; R1 and R2 (weight `r1`) instead of batch normalisation, so that samples
of a batch stay apart; the KL is divided by the number of features and weighted by `beta`, since the scale of the features is the critic's
own; L_GAN takes the mean over samples and reconstructions together, so each of its two terms on fakes has half the paper's weight against the
term on reals, and so in the decoder; three recomputing turns instead of one shared graph cost about a third more and need no detached copies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from agon import losses, penalties
from agon.game import Batch, Clock, Game, Players, Terms, Turn, label_of, needs_pictures
from agon.likelihoods import divergence, posterior
from agon.networks.codec import Codec, FlatCodec
from agon.optim import Adam, Average
from agon.schedule import Value, at
from agon.spaces import Space


@dataclass(frozen=True, kw_only=True)
class VAEGAN(Game):
    """Encoder, decoder and critic; E(x) and G(E(x)) give codes and reconstructions, G alone gives samples."""

    conditional: bool = True  # type: ignore[misc]  # False: play without labels even where the data have them
    z_dim: int = 32  # dimension of the codes
    beta: Value = 1.0  # weight of the KL term
    likeness: Value = 1.0  # γ, weight of the likeness in the decoder's loss
    r1: Value = 1.0  # weight of the critic's zero-centred gradient penalties
    net: Codec | FlatCodec = field(default_factory=Codec)
    optim: Mapping[str, Adam] = field(default_factory=lambda: {k: Adam(lr=1e-3, betas=(0.0, 0.99), clip=10.0) for k in "EGD"})
    ema: Mapping[str, Average] = field(default_factory=lambda: {"G": Average(half_life=10_000)})

    def why_not(self, space: Space) -> str | None:
        return needs_pictures(self.net, space, "flat-codec")

    def players(self, space: Space) -> dict[str, nn.Module]:
        net = self.net
        return {"E": net.encoder(2 * self.z_dim, space), "G": net.decoder(self.z_dim, space), "D": net.critic(space)}

    def turns(self) -> list[Turn]:
        return [Turn(self.critic, "D"), Turn(self.encoder, "E"), Turn(self.decoder, "G")]

    def critic(self, p: Players, real: Batch, t: Clock) -> Terms:
        x, y = real["x"], label_of(real)
        again, _ = self.reconstruct(p, real)
        fake = self.sample(p, len(x), given=real)
        three = None if y is None else torch.cat([y, y, y])
        norms, logits = penalties.zero_centred(p.D, torch.cat([x, again, fake]), three)
        (on_real, on_again, on_fake), (r1, *r2) = logits.chunk(3), norms.chunk(3)
        half = at(self.r1, t) / 2
        adv = losses.logistic_d(on_real, torch.cat([on_again, on_fake]))
        return {"adv": adv, "r1": half * r1.mean(), "r2": half * torch.cat(r2).mean()}

    def encoder(self, p: Players, real: Batch, t: Clock) -> Terms:
        again, kl = self.reconstruct(p, real)
        likeness, num_features = self.unlike(p, real["x"], again)
        return {"likeness": likeness, "kl": at(self.beta, t) * kl / num_features}

    def decoder(self, p: Players, real: Batch, t: Clock) -> Terms:
        y = label_of(real)
        again, _ = self.reconstruct(p, real)
        fake = self.sample(p, len(again), given=real)
        adv = losses.logistic_g(torch.cat([p.D(again, y), p.D(fake, y)]))
        return {"likeness": at(self.likeness, t) * self.unlike(p, real["x"], again)[0], "adv": adv}

    def reconstruct(self, p: Players, real: Batch) -> tuple[Tensor, Tensor]:
        """Reconstructions x~ [n, *shape] of a batch, and the mean KL of their codes in nats."""
        x, y = real["x"], label_of(real)
        mean, log_variance = posterior(p.E(x, y))
        z = mean + (log_variance / 2).exp() * self.latents(p, len(x))
        return p.G(z, y), divergence(mean, log_variance).mean()

    def unlike(self, p: Players, x: Tensor, again: Tensor) -> tuple[Tensor, int]:
        """½ (D_l(x) - D_l(x~))², the mean over features, and their number."""
        a, b = p.D.pair(x, again)  # type: ignore[operator]
        return 0.5 * (a - b).float().square().mean(), a.shape[1]

    def latents(self, p: Players, n: int) -> Tensor:
        return p.randn(n, self.z_dim)

    def sample(self, p: Players, n: int, *, z: Tensor | None = None, given: Batch | None = None) -> Tensor:
        return p.G(self.latents(p, n) if z is None else z, label_of(given))

    def judge(self, p: Players, x: Tensor, given: Batch | None = None) -> Tensor:
        return p.D(x, label_of(given))
