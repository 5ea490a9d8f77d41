"""TextGAIL: a critic that tells which of two sentences is real, its verdict as the reward of proximal policy optimisation, with human demonstrations.

Wu, Li, Yu 2021, "TextGAIL: Generative Adversarial Imitation Learning for Text Generation", arXiv:2004.13796.

  critic        −log P(x is the real one of x, y) = −log σ(D(x) − D(y)), pairs of a datum and a sentence of the speaker               -> critic "adv"
  buffer        `parts` batches of sentences with their log π, rewards P(y wins against a datum), whitened; a share `demos` of them
                are data instead, with the constant reward `demo_reward`, a share that falls to none                                  -> collect
  speaker       −min(ρA, clamp(ρ, 1 ± clip) A), ρ the ratio of whole sentences' probabilities since the buffer was filled              -> speaker "ppo"

Differs: our own small speaker after likelihood stands for the paper's pretrained language model, and our critic for its pretrained encoder: a pair is judged by
the difference of two scores instead of by a layer over both. Sentences are drawn at temperature 1, so that ρ is that of the policy that
drew them. Whether a place of the buffer is a demonstration is drawn for each; rewards are whitened by moving moments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from agon.decoding import Choice, log_probs, steady
from agon.estimators import Moments, ppo
from agon.game import Batch, Clock, Game, Players, Terms, Turn, label_of
from agon.games.likelihood import drawn, needs_tokens, nll, said
from agon.losses import relativistic_d
from agon.networks.text import Critic, Speaker
from agon.networks.text.recurrent import Recurrent
from agon.networks.text.transformer import TransformerCritic
from agon.optim import Adam, Average
from agon.schedule import Linear, Value, at
from agon.spaces import Space, Tokens
from agon.spaces.tokens import real


@dataclass(frozen=True, kw_only=True)
class TextGAIL(Game):
    """Pairs, proximal policy optimisation and demonstrations, after likelihood."""

    critics: ClassVar[tuple[str, ...]] = ("D",)
    sampling: ClassVar[tuple[str, ...]] = ("choice",)
    conditional: bool = True  # type: ignore[misc]  # False: play without labels even where the data have them
    net: Speaker = field(default_factory=Recurrent)
    judge_net: Critic = field(default_factory=TransformerCritic)
    pretrain: int = 500  # rounds of likelihood
    critic_pretrain: int = 100  # rounds after it in which the critic alone learns
    parts: int = 4  # batches of a buffer: steps of the speaker and of the critic in a round, and of likelihood while that lasts
    clip: float = 0.2  # the ratio is trusted within 1 ± clip
    demos: Value = field(default_factory=lambda: Linear(start=0.3, end=0.0, span=500_000))  # share of the buffer that is data
    demo_reward: float = 2.0  # theirs, in deviations of the rewards of sentences
    decay: float = 0.9  # of the moments of rewards, a batch
    choice: Choice = field(default_factory=Choice)  # how tokens are chosen when sampling
    optim: Mapping[str, Adam] = field(
        default_factory=lambda: {"G": Adam(lr=1e-3, betas=(0.9, 0.999), clip=5.0), "D": Adam(lr=2e-4, betas=(0.9, 0.999), clip=5.0)}
    )
    ema: Mapping[str, Average] = field(default_factory=lambda: {"G": Average(half_life=10_000)})

    def why_not(self, space: Space) -> str | None:
        return needs_tokens(space)

    def players(self, space: Tokens) -> dict[str, nn.Module]:
        return {"G": self.net.speaker(space), "D": self.judge_net.critic(space), "R": Moments(self.decay)}

    def turns(self) -> list[Turn]:
        begin = self.pretrain + self.critic_pretrain
        return [
            Turn(self.likelihood, "G", repeat=self.parts, stop=self.pretrain),
            Turn(self.critic, "D", repeat=self.parts, start=self.pretrain),
            Turn(step=self.collect, moves="R", repeat=self.parts, start=begin),
            Turn(self.speaker, "G", repeat=self.parts, start=begin),
        ]

    def likelihood(self, p: Players, given: Batch, t: Clock) -> Terms:
        return nll(p, given)

    def critic(self, p: Players, given: Batch, t: Clock) -> Terms:
        y = label_of(given)
        with steady(p.D):
            return {"adv": relativistic_d(p.D(given["x"], y), p.D(drawn(p, given), y))}

    def collect(self, p: Players, given: Batch, t: Clock) -> Terms:
        """Fill this batch's part of the buffer."""
        self._collect(p, given, t)
        p.R.update(given["rewards"])  # type: ignore[operator]
        return {"reward": given["rewards"].mean(), "demos": given["shown"].float().mean()}

    @torch.no_grad()
    def _collect(self, p: Players, given: Batch, t: Clock) -> None:
        x, y = given["x"], label_of(given)
        fake, shown = drawn(p, given), p.rand(len(x)) < at(self.demos, t)
        with steady(p.D), steady(p.G):
            given["rewards"] = (p.D(fake, y) - p.D(x, y)).sigmoid()
            given["buffer"], given["shown"] = torch.where(shown[:, None], x, fake), shown
            given["old"] = log_probs(p.G, given["buffer"], y)

    def speaker(self, p: Players, given: Batch, t: Clock) -> Terms:
        if "buffer" not in given:  # the buffer was not filled
            self._collect(p, given, t)
        said_ = given["buffer"]
        gains = torch.where(given["shown"], self.demo_reward, p.R.whitened(given["rewards"]))  # type: ignore[operator]
        with steady(p.G):
            log_p = log_probs(p.G, said_, label_of(given))
        return {"ppo": ppo(log_p, given["old"], gains, real(said_), self.clip, "sequence")}

    def sample(self, p: Players, n: int, *, z: Tensor | None = None, given: Batch | None = None) -> Tensor:
        return said(p, n, self.choice, given)

    def judge(self, p: Players, x: Tensor, given: Batch | None = None) -> Tensor:
        judged: Tensor = p.D(x, label_of(given))
        return judged

    def log_likelihood(self, p: Players, x: Tensor, given: Batch | None = None) -> Tensor:
        return log_probs(p.G, x, label_of(given))
