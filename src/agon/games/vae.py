"""Variational autoencoder: an encoder proposes codes, a decoder explains the data by them, a bound on the likelihood is raised.

Kingma & Welling 2014, "Auto-Encoding Variational Bayes", arXiv:1312.6114.

Equations:
  sec. 2.2            -E_q log p(x|z) + KL(q(z|x) ‖ N(0, I))                          -> bound: "nll", "kl"
  sec. 3 and app. B   KL = ½ Σ (μ² + σ² - 1 - log σ²)                                 -> likelihoods.divergence
  sec. 2.4            z = μ + σ ε                                                      -> bound
  Higgins et al. 2017 β KL                                                             -> beta
  Rybkin et al. 2021, arXiv:2006.13202, sec. 4: one learnt scale for all pixels        -> Decoder.log_scale, likelihoods.gaussian
  Salimans et al. 2017, arXiv:1701.05517, sec. 2.1, one component: mass of a grey level   -> likelihoods.discretised_logistic

Differs: both terms are divided by the number of values of a sample, so that learning rates carry over between sizes; convolutions; an
averaged decoder for sampling. The scale of the likelihood is learnt: with it fixed at 1, as in much code, the KL term wins over the
reconstruction of pixels in [-1, 1] and samples are grey blobs. Samples are the decoder's mean; pixel noise is not added. Labels, where
there are any, enter both players.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from agon.errors import InputError
from agon.game import Batch, Clock, Game, Players, Terms, Turn, label_of, needs_pictures
from agon.likelihoods import discretised_logistic, divergence, gaussian, posterior
from agon.networks.codec import Codec, FlatCodec
from agon.optim import Adam, Average
from agon.schedule import Value, at
from agon.spaces import Space


@dataclass(frozen=True, kw_only=True)
class VAE(Game):
    """The bound on the likelihood, with Gaussian codes."""

    critics: ClassVar[tuple[str, ...]] = ()
    conditional: bool = True  # type: ignore[misc]  # False: play without labels even where the data have them
    z_dim: int = 32  # dimension of the codes
    beta: Value = 1.0  # weight of the KL term; 1 is the bound
    likelihood: Literal["gaussian", "logistic"] = "gaussian"  # logistic: discretised on the 256 grey levels, for pictures
    net: Codec | FlatCodec = field(default_factory=Codec)
    optim: Mapping[str, Adam] = field(default_factory=lambda: {k: Adam(lr=1e-3, betas=(0.9, 0.99), clip=10.0) for k in "EG"})
    ema: Mapping[str, Average] = field(default_factory=lambda: {"G": Average(half_life=10_000)})

    def why_not(self, space: Space) -> str | None:
        return needs_pictures(self.net, space, "flat-codec")

    def players(self, space: Space) -> dict[str, nn.Module]:
        if self.likelihood == "logistic" and len(space.shape) != 3:
            raise InputError(f"--game.likelihood logistic is for pictures of 256 grey levels, got {space.describe()}; take gaussian.")
        return {"E": self.net.encoder(2 * self.z_dim, space), "G": Decoder(self.net.decoder(self.z_dim, space))}

    def turns(self) -> list[Turn]:
        return [Turn(self.bound, ("E", "G"))]

    def bound(self, p: Players, real: Batch, t: Clock) -> Terms:
        x, y = real["x"], label_of(real)
        mean, log_variance = posterior(p.E(x, y))
        z = mean + (log_variance / 2).exp() * self.latents(p, len(x))
        likelihood = gaussian if self.likelihood == "gaussian" else discretised_logistic
        nll = likelihood(x, p.G(z, y).float(), p.G.scale())  # type: ignore[operator]
        kl = divergence(mean, log_variance).mean() / x[0].numel()
        return {"nll": nll.mean(), "kl": at(self.beta, t) * kl}

    def latents(self, p: Players, n: int) -> Tensor:
        return p.randn(n, self.z_dim)

    def sample(self, p: Players, n: int, *, z: Tensor | None = None, given: Batch | None = None) -> Tensor:
        return p.G(self.latents(p, n) if z is None else z, label_of(given))


class Decoder(nn.Module):
    """A decoder z, y → mean of the data, and the log of the likelihood's scale."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        # Below the data's own spread: begun at 1, codes do not pay for their KL and the encoder falls silent.
        self.log_scale = nn.Parameter(torch.full((), -0.15))

    def scale(self) -> Tensor:
        """log σ. Ten times the parameter, so that a learning rate made for weights finds it within some hundred rounds."""
        return 10 * self.log_scale

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return self.net(z, y)
