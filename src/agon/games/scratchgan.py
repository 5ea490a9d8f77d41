"""ScratchGAN: a speaker trained by REINFORCE alone, from scratch, against a critic of every token.

de Masson d'Autume, Rosca, Rae, Mohamed 2019, "Training Language GANs from Scratch", arXiv:1905.09922.

  critic     −log σ(D(x_≤t)) on data, −log σ(−D(y_≤t)) on its own sentences; mean over each sentence's tokens         -> critic "adv"
  rewards    r_t = 2σ(D(y_≤t)) − 1, returns R_t = Σ_s γ^(s−t) r_s with γ = .23, less a moving mean of returns             (`estimators`)
  speaker    −(R_t − b) log π(y_t | y_<t) summed over tokens                                                              -> speaker "reinforce"

Differs: sentences have their own length, and nothing behind their end is seen, said or rewarded. The critic's loss is a mean over each sentence, so
that halves of a batch equal the whole. The paper's embeddings are frozen GloVe vectors beside learnt ones; ours are all learnt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agon.decoding import Choice, log_probs
from agon.estimators import MovingBaseline, dense_rewards, reinforce, returns
from agon.game import Batch, Clock, Game, Players, Terms, Turn, label_of
from agon.games.likelihood import needs_tokens, said
from agon.layers.tokens import mean_of
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
    decay: float = 0.08  # of the moving mean of returns
    entropy: Value = 0.0  # reward for surprise: −log π(y_t) times this is added to each reward
    choice: Choice = field(
        default_factory=Choice
    )  # how tokens are chosen when sampling; training samples are always drawn at temperature 1
    optim: Mapping[str, Adam] = field(
        default_factory=lambda: {"G": Adam(lr=1e-4, betas=(0.5, 0.999), clip=10.0), "D": Adam(lr=1e-3, betas=(0.5, 0.999), clip=10.0)}
    )
    ema: Mapping[str, Average] = field(default_factory=lambda: {"G": Average(half_life=10_000)})

    def why_not(self, space: Space) -> str | None:
        return needs_tokens(space)

    def players(self, space: Tokens) -> dict[str, nn.Module]:
        return {"G": self.net.speaker(space), "D": self.judge_net.critic(space, each=True), "B": MovingBaseline(self.decay)}

    def turns(self) -> list[Turn]:
        return [Turn(self.critic, "D"), Turn(self.speaker, "G"), Turn(step=self.baseline, moves="B")]

    def critic(self, p: Players, given: Batch, t: Clock) -> Terms:
        x, y = given["x"], label_of(given)
        fake = said(p, len(x), Choice(), given)
        on_real, on_fake = p.D(x, y), p.D(fake, y)
        return {"adv": (mean_of(F.softplus(-on_real), real(x)) + mean_of(F.softplus(on_fake), real(fake))).mean()}

    def speaker(self, p: Players, given: Batch, t: Clock) -> Terms:
        log_p, gains, mask = self._rewarded(p, given, t)
        given["returns"], given["mask"] = gains, mask
        return {"reinforce": reinforce(log_p, gains - p.B.value, mask)}  # type: ignore[operator]

    def _rewarded(self, p: Players, given: Batch, t: Clock) -> tuple[Tensor, Tensor, Tensor]:
        """Fresh sentences: log π of each token, what it will have earned, and where there are any; [n, L] each."""
        y = label_of(given)
        fake = said(p, len(given["x"]), Choice(), given)
        mask, log_p = real(fake), log_probs(p.G, fake, y)
        with torch.no_grad():
            rewards = dense_rewards(p.D(fake, y), mask) - at(self.entropy, t) * log_p
            return log_p, returns(rewards, mask, self.discount), mask

    def baseline(self, p: Players, given: Batch, t: Clock) -> Terms:
        if "returns" not in given:  # the speaker's turn was not played
            _, given["returns"], given["mask"] = self._rewarded(p, given, t)
        p.B.update(given["returns"], given["mask"])  # type: ignore[operator]
        return {"value": p.B.value.clone()}  # type: ignore[operator]

    def sample(self, p: Players, n: int, *, z: Tensor | None = None, given: Batch | None = None) -> Tensor:
        return said(p, n, self.choice, given)

    def judge(self, p: Players, x: Tensor, given: Batch | None = None) -> Tensor:
        return mean_of(p.D(x, label_of(given)), real(x))

    def log_likelihood(self, p: Players, x: Tensor, given: Batch | None = None) -> Tensor:
        return log_probs(p.G, x, label_of(given))
