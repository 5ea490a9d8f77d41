"""SelfGAN type: the critic helps to say better sentences, and the speaker learns these by plain likelihood. No policy gradient.

Scialom, Dray, Staiano, Lamprier, Piwowarski 2021, "To Beam Or Not To Beam: That is a Question of Cooperation for Language GANs", arXiv:2106.06363:
expert iteration (Anthony et al. 2017, arXiv:1705.08439) with a critic as the expert.

  expert     of `candidates` sentences of the speaker the one that the critic finds most real                          -> `chosen`
  speaker    −log π of those, weight `own`, and of data, weight 1 − own                                                -> speaker "own", "nll"
  critic     −log σ(D(x)) on data, −log(1 − σ(D(y))) on plain and on chosen sentences in equal parts                  -> critic "adv"

Differs: the expert is the best of k whole samples; the paper's are beams ranked anew and a tree search that asks the critic at every word. The
critic also sees plain sentences, or it would know only what was chosen. From text alone, no source sentences; likelihood first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agon.decoding import Choice, log_probs, speak, steady
from agon.estimators import best_of, imitation
from agon.game import Batch, Clock, Game, Players, Terms, Turn, label_of
from agon.games.likelihood import needs_tokens, nll, said
from agon.networks.text import Critic, Speaker
from agon.networks.text.conv import ConvCritic
from agon.networks.text.recurrent import Recurrent
from agon.optim import Adam, Average
from agon.schedule import Value, at
from agon.spaces import Space, Tokens
from agon.spaces.tokens import real


@dataclass(frozen=True, kw_only=True)
class SelfGAN(Game):
    """Likelihood of data and of own sentences chosen by the critic."""

    critics: ClassVar[tuple[str, ...]] = ("D",)
    sampling: ClassVar[tuple[str, ...]] = ("choice",)
    conditional: bool = True  # type: ignore[misc]  # False: play without labels even where the data have them
    net: Speaker = field(default_factory=Recurrent)
    judge_net: Critic = field(default_factory=ConvCritic)
    pretrain: int = 1_000  # rounds of likelihood alone
    critic_pretrain: int = 200  # rounds after it in which the critic alone learns
    candidates: int = 4  # sentences the critic chooses from
    own: Value = 0.3  # share of the chosen sentences in the speaker's likelihood
    choice: Choice = field(default_factory=Choice)  # how tokens are chosen when sampling
    optim: Mapping[str, Adam] = field(
        default_factory=lambda: {"G": Adam(lr=1e-3, betas=(0.9, 0.999), clip=5.0), "D": Adam(lr=1e-3, betas=(0.5, 0.999))}
    )
    ema: Mapping[str, Average] = field(default_factory=lambda: {"G": Average(half_life=10_000)})

    def why_not(self, space: Space) -> str | None:
        return needs_tokens(space)

    def players(self, space: Tokens) -> dict[str, nn.Module]:
        return {"G": self.net.speaker(space), "D": self.judge_net.critic(space)}

    def turns(self) -> list[Turn]:
        begin = self.pretrain + self.critic_pretrain
        return [
            Turn(self.likelihood, "G", stop=self.pretrain),
            Turn(self.critic, "D", start=self.pretrain),
            Turn(self.speaker, "G", start=begin),
        ]

    def likelihood(self, p: Players, given: Batch, t: Clock) -> Terms:
        return nll(p, given)

    @torch.no_grad()
    def chosen(self, p: Players, given: Batch) -> tuple[Tensor, Tensor]:
        """(the best, any) of k sentences for each of the batch, int64 [n, L] both."""
        n, k, y = len(given["x"]), self.candidates, label_of(given)
        conditions = None if y is None else y.repeat_interleave(k, 0)
        with steady(p.G), steady(p.D):
            said_ = speak(p.G, p.rand(n * k, p.G.length), conditions)  # type: ignore[arg-type]
            scores = p.D(said_, conditions)
        each = said_.unflatten(0, (n, k))
        return best_of(each, scores.unflatten(0, (n, k))), each[:, 0]

    def critic(self, p: Players, given: Batch, t: Clock) -> Terms:
        y = label_of(given)
        best, plain = self.chosen(p, given)
        on_fake = (F.softplus(p.D(best, y)).mean() + F.softplus(p.D(plain, y)).mean()) / 2
        return {"adv": F.softplus(-p.D(given["x"], y)).mean() + on_fake}

    def speaker(self, p: Players, given: Batch, t: Clock) -> Terms:
        share = at(self.own, t)
        best, _ = self.chosen(p, given)
        own = imitation(log_probs(p.G, best, label_of(given)), real(best))
        return {"own": share * own, "nll": (1 - share) * nll(p, given)["nll"]}

    def sample(self, p: Players, n: int, *, z: Tensor | None = None, given: Batch | None = None) -> Tensor:
        return said(p, n, self.choice, given)

    def judge(self, p: Players, x: Tensor, given: Batch | None = None) -> Tensor:
        judged: Tensor = p.D(x, label_of(given))
        return judged

    def log_likelihood(self, p: Players, x: Tensor, given: Batch | None = None) -> Tensor:
        return log_probs(p.G, x, label_of(given))
