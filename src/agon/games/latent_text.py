"""A GAN in the codes of a text autoencoder: sentences are made, walked between and edited in a space of vectors.

Zhao, Kim, Zhang, Rush, LeCun 2018, "Adversarially Regularized Autoencoders" (ARAE), arXiv:1706.04223; Diao, Shen, Shum, Song, Zhang 2021, "TILGAN:
Transformer-based Implicit Latent GAN for Diverse and Coherent Text Generation", Findings of ACL.

  encode      c = √d E(x)/|E(x)|, on a sphere                                                    -> encode
  autoencode  −log S(x | c + ε), ε ~ N(0, noise²)                                               -> autoencode "nll"
              + meet · D(c): real codes come to where the made ones are                            -> autoencode "meet"
  critic      wasserstein: E D(G(z)) − E D(c) + weight (‖∇D‖ − 1)² between them                 -> critic "adv", "penalty"
              kl: logistic, so that D is log p/q, with the same bound if it is asked for         -> critic "adv", "penalty"
  generator   wasserstein: −E D(G(z)); kl: −E clamp(e^D, ½, 2) D(G(z)), the weight without gradient  -> generator "adv"
  sample      z ~ N(0, 1) → G → a code → S says it, the likeliest word each time                    -> sample

The latent w of the tools is the code: `agon sample RUN --interpolate 4`, `agon edit`, `run.encode(["a man …"])`.

Differs: both kinds of codes lie on a sphere of radius √d, so that G need not find their length. E reads both ways with a GRU; S is any speaker, told the
code at every word. TILGAN's critics of parts of a code and its second pass through the decoder are left out. Labels are not used.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agon.decoding import Choice, log_probs, speak
from agon.estimators import imitation
from agon.game import Batch, Clock, Game, Players, Terms, Turn
from agon.games.likelihood import needs_tokens
from agon.losses import logistic_d, wasserstein_d, wasserstein_g
from agon.networks.mlp import MLP
from agon.networks.text import Speaker
from agon.networks.text.reader import Reader
from agon.networks.text.recurrent import Recurrent
from agon.optim import Adam, Average
from agon.penalties import gradient_penalty, interpolate
from agon.schedule import Value, at
from agon.spaces import Space, Tokens, Vector
from agon.spaces.tokens import real


@dataclass(frozen=True, kw_only=True)
class LatentText(Game):
    """An autoencoder E, S of sentences, and a generator G against a critic D of its codes."""

    critics: ClassVar[tuple[str, ...]] = ("D",)
    sampling: ClassVar[tuple[str, ...]] = ("choice",)
    conditional: ClassVar[bool] = False
    z_dim: int = 64  # of the noise
    code_dim: int = 128  # of the codes
    read: Reader = field(default_factory=Reader)
    net: Speaker = field(default_factory=lambda: Recurrent(label_dim=128))  # label_dim: how much of the code it is told
    latent_net: MLP = field(default_factory=MLP)  # of G and D
    loss: Literal["wasserstein", "kl"] = "wasserstein"
    noise: Value = 0.2  # on the codes that are decoded; an entry of a code is about 1 large
    meet: Value = 0.1  # weight of the critic's score of real codes, which E lowers
    penalty: Value = 10.0  # weight of the critic's slope
    n_critic: int = 2  # plays of the autoencoder and of the critic per round
    choice: Choice = field(default_factory=lambda: Choice(temperature=0.0))  # how tokens are chosen when sampling
    optim: Mapping[str, Adam] = field(
        default_factory=lambda: {
            k: Adam(lr=1e-3 if k in "ES" else 2e-4, betas=(0.9, 0.999) if k in "ES" else (0.5, 0.9), clip=5.0) for k in "ESGD"
        }
    )
    ema: Mapping[str, Average] = field(default_factory=lambda: {k: Average(half_life=5_000) for k in "ESG"})

    def why_not(self, space: Space) -> str | None:
        if self.loss == "wasserstein" and not self.penalty:
            return "the loss 'wasserstein' needs a critic of bounded slope; leave --game.penalty at 10."
        return needs_tokens(space)

    def players(self, space: Tokens) -> dict[str, nn.Module]:
        told = replace(space.unlabelled(), numbers=tuple(f"c{k}" for k in range(self.code_dim)))  # S is told the code as a condition
        codes = Vector(dim=self.code_dim)
        return {
            "E": self.read.encoder(self.code_dim, space), "S": self.net.speaker(told), "G": self.latent_net.generator(self.z_dim, codes),
            "D": self.latent_net.critic(codes),
        }  # fmt: skip

    def turns(self) -> list[Turn]:
        return [
            Turn(self.autoencode, ("E", "S"), repeat=self.n_critic),
            Turn(self.critic, "D", repeat=self.n_critic),
            Turn(self.generator, "G"),
        ]

    def autoencode(self, p: Players, given: Batch, t: Clock) -> Terms:
        x = given["x"]
        code = self.encode(p, x)
        noisy = code + at(self.noise, t) * p.randn(*code.shape)
        terms = {"nll": imitation(log_probs(p.S, x, noisy), real(x))}
        if weight := at(self.meet, t):
            terms["meet"] = weight * p.D(code).mean()
        return terms

    def critic(self, p: Players, given: Batch, t: Clock) -> Terms:
        n = len(given["x"])
        code, made = self.encode(p, given["x"]), self.mapping(p, self.latents(p, n))
        terms = {"adv": (wasserstein_d if self.loss == "wasserstein" else logistic_d)(p.D(code), p.D(made))}
        if weight := at(self.penalty, t):
            terms["penalty"] = weight * gradient_penalty(p.D, interpolate(code, made, p.rand(n)))
        return terms

    def generator(self, p: Players, given: Batch, t: Clock) -> Terms:
        score = p.D(self.mapping(p, self.latents(p, len(given["x"]))))
        weight = score.detach().exp().clamp(0.5, 2.0) if self.loss == "kl" else torch.ones_like(score)
        return {"adv": wasserstein_g(weight * score)}

    def encode(self, p: Players, x: Tensor) -> Tensor:
        """The codes [n, code_dim] of sentences int64 [n, L]."""
        return on_sphere(p.E(x))

    def mapping(self, p: Players, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Noise [n, z_dim] as codes [n, code_dim]."""
        return on_sphere(p.G(z))

    def synthesis(self, p: Players, code: Tensor, y: Tensor | None = None, *, given: Batch | None = None) -> Tensor:
        """Codes [n, code_dim] of any length as sentences int64 [n, L]."""
        begun = None if given is None else given.get("begun")
        noise = p.rand(len(code), p.S.length)  # type: ignore[arg-type]
        return speak(p.S, noise, on_sphere(code), choice=self.choice, begun=begun)

    def latents(self, p: Players, n: int) -> Tensor:
        return p.randn(n, self.z_dim)

    def sample(self, p: Players, n: int, *, z: Tensor | None = None, given: Batch | None = None) -> Tensor:
        return self.synthesis(p, self.mapping(p, self.latents(p, n) if z is None else z), given=given)

    def judge(self, p: Players, x: Tensor, given: Batch | None = None) -> Tensor:
        return p.D(self.encode(p, x))


def on_sphere(code: Tensor) -> Tensor:
    """Codes [n, d] at length √d: an entry is about 1 large."""
    return math.sqrt(code.shape[1]) * F.normalize(code, dim=1)
