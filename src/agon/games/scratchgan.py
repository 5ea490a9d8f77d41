"""ScratchGAN: a speaker trained by REINFORCE alone, from scratch, against a critic of every token.

de Masson d'Autume, Rosca, Rae, Mohamed 2019, "Training Language GANs from Scratch", arXiv:1905.09922.

  critic     −log σ(D(x_≤t)) on data, −log σ(−D(y_≤t)) on its own sentences; mean over each sentence's tokens         -> critic "adv"
  rewards    r_t = 2σ(D(y_≤t)) − 1, returns R_t = Σ_s γ^(s−t) r_s with γ = .23, less a moving mean of returns             (`estimators`)
  speaker    −(R_t − b) log π(y_t | y_<t) summed over tokens                                                              -> speaker "reinforce"
  value      ½(V(y_<t) − R_t)² summed over tokens, with baseline "critic", whose b is V(y_<t) and whose advantages are cut at ±5   -> value "regression"

The learned critic is that of "Language GANs Falling Short" (Caccia et al. 2020, arXiv:1811.02549), by regression on the returns themselves.

Differs: sentences have their own length, and nothing behind their end is seen, said or rewarded. The critic's loss is a mean over each sentence, so
that halves of a batch equal the whole. The paper's embeddings are frozen GloVe vectors beside learnt ones; ours are all learnt. Sentences are drawn,
scored and rewarded without dropout, or the gradient would be of another policy than the one that spoke; the critic learns with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agon.decoding import Choice, log_probs, steady
from agon.estimators import MovingBaseline, critic_advantages, critic_loss, dense_rewards, reinforce, returns
from agon.game import Batch, Clock, Game, Players, Terms, Turn, label_of
from agon.games.likelihood import drawn, needs_tokens, said
from agon.layers.tokens import before, mean_of
from agon.networks.text import Critic, Speaker
from agon.networks.text.recurrent import Recurrent, RecurrentCritic
from agon.optim import Adam, Average
from agon.schedule import Value, at
from agon.spaces import Space, Tokens
from agon.spaces.tokens import real


@dataclass(frozen=True, kw_only=True)
class ScratchGAN(Game):
    """REINFORCE with a reward for every token, without pre-training."""

    critics: ClassVar[tuple[str, ...]] = ("D",)
    sampling: ClassVar[tuple[str, ...]] = ("choice",)
    conditional: bool = True  # type: ignore[misc]  # False: play without labels even where the data have them
    net: Speaker = field(default_factory=lambda: Recurrent(tied=True))
    judge_net: Critic = field(default_factory=RecurrentCritic)
    discount: float = 0.23  # γ
    baseline: Literal["mean", "critic"] = "mean"  # what returns are measured against: their moving mean, or a network's guess at each token
    decay: float = 0.08  # of the moving mean of returns
    value_net: Critic = field(default_factory=lambda: RecurrentCritic(width=128, dropout=0.0))  # of baseline "critic"
    entropy: Value = 0.0  # reward for surprise: −log π(y_t) times this is added to each reward
    choice: Choice = field(
        default_factory=Choice
    )  # how tokens are chosen when sampling; training samples are always drawn at temperature 1
    optim: Mapping[str, Adam] = field(
        default_factory=lambda: {"G": Adam(lr=1e-4, betas=(0.5, 0.999), clip=10.0), "D": Adam(lr=1e-3, betas=(0.5, 0.999), clip=10.0)}
    )
    ema: Mapping[str, Average] = field(default_factory=lambda: {"G": Average(half_life=10_000)})

    def __post_init__(self) -> None:
        # Only with this baseline is there a player V; its rate is the critic's unless it is given.
        if self.baseline == "critic" and "V" not in self.optim and "D" in self.optim:
            object.__setattr__(self, "optim", {**self.optim, "V": self.optim["D"]})

    def why_not(self, space: Space) -> str | None:
        return needs_tokens(space)

    def players(self, space: Tokens) -> dict[str, nn.Module]:
        told = {"V": self.value_net.critic(space, each=True)} if self.baseline == "critic" else {"B": MovingBaseline(self.decay)}
        return {"G": self.net.speaker(space), "D": self.judge_net.critic(space, each=True), **told}

    def turns(self) -> list[Turn]:
        learns = Turn(self.value, "V") if self.baseline == "critic" else Turn(step=self.mean, moves="B", name="baseline")
        return [Turn(self.critic, "D"), Turn(self.speaker, "G"), learns]

    def critic(self, p: Players, given: Batch, t: Clock) -> Terms:
        x, y = given["x"], label_of(given)
        fake = drawn(p, given)
        on_real, on_fake = p.D(x, y), p.D(fake, y)
        return {"adv": (mean_of(F.softplus(-on_real), real(x)) + mean_of(F.softplus(on_fake), real(fake))).mean()}

    def speaker(self, p: Players, given: Batch, t: Clock) -> Terms:
        log_p = self._rewarded(p, given, t)
        gains, mask = given["returns"], given["mask"]
        advantages = critic_advantages(gains, self._expected(p, given), mask) if self.baseline == "critic" else gains - p.B.value
        return {"reinforce": reinforce(log_p, advantages, mask)}

    def _rewarded(self, p: Players, given: Batch, t: Clock) -> Tensor:
        """Fresh sentences, what each token will have earned and where there are any, left in the batch; log π of each token [n, L]."""
        y, fake = label_of(given), drawn(p, given)
        given["said"], given["mask"] = fake, real(fake)
        with steady(p.G), steady(p.D):
            log_p = log_probs(p.G, fake, y)
            with torch.no_grad():
                rewards = dense_rewards(p.D(fake, y), given["mask"]) - at(self.entropy, t) * log_p
        given["returns"] = returns(rewards, given["mask"], self.discount)
        return log_p

    def _expected(self, p: Players, given: Batch) -> Tensor:
        """V(y_<t) of the sentences that were said: what is expected before each token is known, [n, L]."""
        guess: Tensor = p.V(before(given["said"]), label_of(given), given["mask"])
        return guess

    def value(self, p: Players, given: Batch, t: Clock) -> Terms:
        if "returns" not in given:  # the speaker's turn was not played
            with torch.no_grad():
                self._rewarded(p, given, t)
        return {"regression": critic_loss(self._expected(p, given), given["returns"], given["mask"])}

    def mean(self, p: Players, given: Batch, t: Clock) -> Terms:
        if "returns" not in given:  # the speaker's turn was not played
            self._rewarded(p, given, t)
        p.B.update(given["returns"], given["mask"])  # type: ignore[operator]
        return {"value": p.B.value.clone()}  # type: ignore[operator]

    def sample(self, p: Players, n: int, *, z: Tensor | None = None, given: Batch | None = None) -> Tensor:
        return said(p, n, self.choice, given)

    def judge(self, p: Players, x: Tensor, given: Batch | None = None) -> Tensor:
        return mean_of(p.D(x, label_of(given)), real(x))

    def log_likelihood(self, p: Players, x: Tensor, given: Batch | None = None) -> Tensor:
        return log_probs(p.G, x, label_of(given))
