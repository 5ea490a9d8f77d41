"""MaliGAN: a speaker that raises the likelihood of its own sentences, each weighed by how much likelier the data are than it, as the critic tells.

Che, Li, Zhang, Hjelm, Li, Song, Bengio 2017, "Maximum-Likelihood Augmented Discrete Generative Adversarial Networks", arXiv:1702.07983.

  critic      −log σ(D(x)) on data, −log(1 − σ(D(y))) on sentences of the speaker                                    -> critic "adv"
  weights     r(y) = σ(D)/(1 − σ(D)), which at the optimal critic is p_data/π; w_i = r(y_i)/mean(r), of mean 1         -> weigh, `importance_weights`
  speaker     −(w_i − b) log π(y_i), b rising from 0 to 1                                                            -> speaker "reinforce"

Differs: the mean of r is taken over the whole batch, whatever parts it was cut into, by a turn of its own; logits beyond ±20 are cut. The paper's
mixed training, whose sentences begin with words of the data, and its roll-outs are left out. Likelihood first, as the paper does on text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from agon.decoding import Choice, log_probs, steady
from agon.estimators import Moments, importance_weights, odds, reinforce
from agon.game import Batch, Clock, Game, Players, Terms, Turn, label_of
from agon.games.likelihood import drawn, needs_tokens, nll, said
from agon.losses import logistic_d
from agon.networks.text import Critic, Speaker
from agon.networks.text.conv import ConvCritic
from agon.networks.text.recurrent import Recurrent
from agon.optim import Adam, Average
from agon.schedule import Linear, Value, at
from agon.spaces import Space, Tokens
from agon.spaces.tokens import real


@dataclass(frozen=True, kw_only=True)
class MaliGAN(Game):
    """Own sentences, weighed by importance, after likelihood."""

    critics: ClassVar[tuple[str, ...]] = ("D",)
    sampling: ClassVar[tuple[str, ...]] = ("choice",)
    conditional: bool = True  # type: ignore[misc]  # False: play without labels even where the data have them
    net: Speaker = field(default_factory=Recurrent)
    judge_net: Critic = field(default_factory=ConvCritic)
    pretrain: int = 1_000  # rounds of likelihood
    critic_pretrain: int = 200  # rounds after it in which the critic alone learns
    n_critic: int = 2  # critic plays a round, and plays of likelihood while that lasts
    baseline: Value = field(default_factory=lambda: Linear(start=0.0, end=1.0, span=200_000))  # b
    choice: Choice = field(default_factory=Choice)  # how tokens are chosen when sampling
    optim: Mapping[str, Adam] = field(
        default_factory=lambda: {"G": Adam(lr=1e-3, betas=(0.9, 0.999), clip=5.0), "D": Adam(lr=1e-3, betas=(0.5, 0.999))}
    )
    ema: Mapping[str, Average] = field(default_factory=lambda: {"G": Average(half_life=10_000)})

    def why_not(self, space: Space) -> str | None:
        return needs_tokens(space)

    def players(self, space: Tokens) -> dict[str, nn.Module]:
        return {"G": self.net.speaker(space), "D": self.judge_net.critic(space), "R": Moments()}

    def turns(self) -> list[Turn]:
        begin = self.pretrain + self.critic_pretrain
        return [
            Turn(self.likelihood, "G", repeat=self.n_critic, stop=self.pretrain),
            Turn(self.critic, "D", repeat=self.n_critic, start=self.pretrain),
            Turn(step=self.weigh, moves="R", start=begin),
            Turn(self.speaker, "G", start=begin),
        ]

    def likelihood(self, p: Players, given: Batch, t: Clock) -> Terms:
        return nll(p, given)

    def critic(self, p: Players, given: Batch, t: Clock) -> Terms:
        y = label_of(given)
        return {"adv": logistic_d(p.D(given["x"], y), p.D(drawn(p, given), y))}

    def weigh(self, p: Players, given: Batch, t: Clock) -> Terms:
        """Say sentences and take in what the critic finds of them, so that the mean over the whole batch is known."""
        given["fake"] = drawn(p, given)
        given["logits"] = self._judged(p, given["fake"], given)
        p.R.update(odds(given["logits"]))  # type: ignore[operator]
        return {"odds": odds(given["logits"]).mean()}

    @torch.no_grad()
    def _judged(self, p: Players, fake: Tensor, given: Batch) -> Tensor:
        with steady(p.D):
            logits: Tensor = p.D(fake, label_of(given))
        return logits

    def speaker(self, p: Players, given: Batch, t: Clock) -> Terms:
        weighed = "logits" in given
        fake = given["fake"] if weighed else drawn(p, given)
        logits = given["logits"] if weighed else self._judged(p, fake, given)
        weights = importance_weights(logits, p.R.mean if weighed else None)  # type: ignore[arg-type]
        with steady(p.G):
            log_p = log_probs(p.G, fake, label_of(given))
        return {"reinforce": reinforce(log_p, weights - at(self.baseline, t), real(fake))}

    def sample(self, p: Players, n: int, *, z: Tensor | None = None, given: Batch | None = None) -> Tensor:
        return said(p, n, self.choice, given)

    def judge(self, p: Players, x: Tensor, given: Batch | None = None) -> Tensor:
        judged: Tensor = p.D(x, label_of(given))
        return judged

    def log_likelihood(self, p: Players, x: Tensor, given: Batch | None = None) -> Tensor:
        return log_probs(p.G, x, label_of(given))
