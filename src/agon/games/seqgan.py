"""SeqGAN: a speaker trained by REINFORCE on the verdict of a critic of whole sentences, every token valued by how sentences that begin so turn out.

Yu, Zhang, Wang, Yu 2017, "SeqGAN: Sequence Generative Adversarial Nets with Policy Gradient", arXiv:1609.05473.

  pre-training   −log π(x_t | x_<t) of data for `pretrain` rounds; then the critic alone for `critic_pretrain`                  -> likelihood, critic
  critic         −log σ(D(x)) on data, −log(1 − σ(D(y))) on sentences of the speaker                                                   -> critic "adv"
  action values  Q(y_≤t) = the mean of σ(D) over `rollouts` sentences begun by y_≤t and gone on with by the roll-out policy; σ(D(y)) at the end  -> `values`
  speaker        −(Q(y_≤t) − b_t) log π(y_t | y_<t) summed over tokens                                                               -> speaker "reinforce"

Differs: the roll-out policy is the averaged speaker `p.ema.G`, which the paper's delayed copy is too; all beginnings of all sentences are gone on with in
one batch that reuses the state along each sentence (`decoding.complete`). A moving mean of values at each position is subtracted, which the paper
does not. Nothing behind a sentence's end is seen or rewarded. `rollouts` 0 gives every token its sentence's own score. An entropy bonus can be asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from agon.decoding import Choice, complete, log_probs, steady, token_logits, told
from agon.estimators import MovingBaseline, reinforce, rollout_rewards, surprise
from agon.game import Batch, Clock, Game, Players, Terms, Turn, label_of
from agon.games.likelihood import drawn, needs_tokens, nll, said
from agon.losses import logistic_d
from agon.networks.text import Critic, Speaker
from agon.networks.text.conv import ConvCritic
from agon.networks.text.recurrent import Recurrent
from agon.optim import Adam, Average
from agon.schedule import Value, at
from agon.spaces import Space, Tokens
from agon.spaces.tokens import real

_JUDGED = 1_024  # completed sentences that the critic reads at a time


@dataclass(frozen=True, kw_only=True)
class SeqGAN(Game):
    """REINFORCE with roll-outs, after likelihood."""

    critics: ClassVar[tuple[str, ...]] = ("D",)
    sampling: ClassVar[tuple[str, ...]] = ("choice",)
    conditional: bool = True  # type: ignore[misc]  # False: play without labels even where the data have them
    net: Speaker = field(default_factory=Recurrent)
    judge_net: Critic = field(default_factory=ConvCritic)
    pretrain: int = 1_000  # rounds of likelihood
    critic_pretrain: int = 200  # rounds after it in which the critic alone learns
    n_critic: int = 5  # critic plays a round, and plays of likelihood while that lasts
    rollouts: int = 16  # sentences by which the value of a token is told; 0: its sentence's own score
    entropy: Value = 0.0  # weight of the speaker's entropy, in nats a sentence
    decay: float = 0.9  # of the moving means of values
    choice: Choice = field(default_factory=Choice)  # how tokens are chosen when sampling
    optim: Mapping[str, Adam] = field(
        default_factory=lambda: {"G": Adam(lr=1e-3, betas=(0.9, 0.999), clip=5.0), "D": Adam(lr=1e-3, betas=(0.5, 0.999))}
    )
    ema: Mapping[str, Average] = field(default_factory=lambda: {"G": Average(half_life=1_000)})

    def why_not(self, space: Space) -> str | None:
        return needs_tokens(space)

    def players(self, space: Tokens) -> dict[str, nn.Module]:
        return {"G": self.net.speaker(space), "D": self.judge_net.critic(space), "B": MovingBaseline(self.decay, space.length)}

    def turns(self) -> list[Turn]:
        begin = self.pretrain + self.critic_pretrain
        return [
            Turn(self.likelihood, "G", repeat=self.n_critic, stop=self.pretrain),
            Turn(self.critic, "D", repeat=self.n_critic, start=self.pretrain),
            Turn(self.speaker, "G", start=begin),
            Turn(step=self.baseline, moves="B", start=begin),
        ]

    def likelihood(self, p: Players, given: Batch, t: Clock) -> Terms:
        return nll(p, given)

    def critic(self, p: Players, given: Batch, t: Clock) -> Terms:
        y = label_of(given)
        return {"adv": logistic_d(p.D(given["x"], y), p.D(drawn(p, given), y))}

    def speaker(self, p: Players, given: Batch, t: Clock) -> Terms:
        y, fake = label_of(given), drawn(p, given)
        given["values"], given["mask"] = self.values(p, fake, y), real(fake)
        advantages, weight = given["values"] - p.B.value, at(self.entropy, t)
        with steady(p.G):
            if not weight:
                return {"reinforce": reinforce(log_probs(p.G, fake, y), advantages, given["mask"])}
            logits = token_logits(p.G, fake, y)
        loss = reinforce(told(logits, fake), advantages, given["mask"])
        return {"reinforce": loss, "entropy": -weight * surprise(logits, len(fake))}

    @torch.no_grad()
    def values(self, p: Players, fake: Tensor, y: Tensor | None) -> Tensor:
        """What each token of sentences [n, L] is worth, [n, L] in [0, 1]."""
        n, length = fake.shape
        with steady(p.D), steady(p.ema.G):
            own = p.D(fake, y).sigmoid()
            if not self.rollouts:
                return torch.where(real(fake), own[:, None], 0.0)
            found = complete(p.ema.G, fake, p.rand(n, self.rollouts, length, length), y)
            there = real(found).any(-1)
            origin = torch.arange(n, device=fake.device).expand(there.shape)[there]
            parts = zip(found[there].split(_JUDGED), origin.split(_JUDGED), strict=True)
            scores = own.expand(there.shape).clone()
            scores[there] = torch.cat([own[:0], *(p.D(x, None if y is None else y[rows]).sigmoid() for x, rows in parts)])
        return rollout_rewards(scores, real(fake))

    def baseline(self, p: Players, given: Batch, t: Clock) -> Terms:
        if "values" not in given:  # the speaker's turn was not played
            fake = drawn(p, given)
            given["values"], given["mask"] = self.values(p, fake, label_of(given)), real(fake)
        p.B.update(given["values"], given["mask"])  # type: ignore[operator]
        return {"value": given["values"].sum() / given["mask"].sum()}

    def sample(self, p: Players, n: int, *, z: Tensor | None = None, given: Batch | None = None) -> Tensor:
        return said(p, n, self.choice, given)

    def judge(self, p: Players, x: Tensor, given: Batch | None = None) -> Tensor:
        judged: Tensor = p.D(x, label_of(given))
        return judged

    def log_likelihood(self, p: Players, x: Tensor, given: Batch | None = None) -> Tensor:
        return log_probs(p.G, x, label_of(given))
