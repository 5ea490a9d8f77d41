"""A speaker by likelihood, and a critic of whole sentences that chooses among what it says.

Deng, Bakhtin, Ott, Szlam, Ranzato 2020, "Residual Energy-Based Models for Text Generation", arXiv:2004.11714: the model is P(x) ∝ P_G(x)·exp(D(x)), where
D is trained by noise-contrastive estimation with the speaker as the noise; samples are several of the speaker's, one of which is kept.

  speaker    −log π(x_t | x_<t) summed over a sentence's tokens, mean over sentences          -> speaker "nll"
  critic     −log σ(D(x)) on data, −log σ(−D(y)) on the averaged speaker's sentences          -> critic "adv"; at its best D = log P_data − log P_G
  samples    one of k sentences, with chances in proportion to exp(D)                         -> `sample`

So the critic mends what token-by-token training leaves: sentences that begin well and end elsewhere; and as chances are in proportion, not the best of k
taken, variety is not bought with quality. With enough candidates the two players sample what the data are where D is right.

With `critic_start` and `speaker_stop` at one round the two are trained one after the other, as in the paper, and with the critic `pretrained` that begins as
a pretrained encoder, as there. Differs: our speaker is small and begins from nothing; the critic meets the averaged speaker, which is the one that is sampled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor, nn

from agon.decoding import Choice, log_probs
from agon.estimators import best_of, gumbel, imitation
from agon.game import Batch, Clock, Game, Players, Terms, Turn, label_of
from agon.games.likelihood import needs_tokens, said
from agon.losses import Logistic
from agon.networks.text import Critic, Speaker
from agon.networks.text.recurrent import Recurrent, RecurrentCritic
from agon.optim import Adam, Average
from agon.spaces import Space, Tokens
from agon.spaces.tokens import real


@dataclass(frozen=True, kw_only=True)
class Residual(Game):
    """Likelihood, corrected by a critic that chooses among candidates."""

    critics: ClassVar[tuple[str, ...]] = ("D",)
    sampling: ClassVar[tuple[str, ...]] = ("choice", "candidates")
    conditional: bool = True  # type: ignore[misc]  # False: play without labels even where the data have them
    net: Speaker = field(default_factory=Recurrent)
    judge_net: Critic = field(default_factory=RecurrentCritic)
    candidates: int = 8  # sentences of which one is kept
    critic_start: int = 0  # round from which the critic is trained
    speaker_stop: int | None = None  # round from which the speaker rests
    critic_plays: int = 1  # plays of the critic in a round
    choice: Choice = field(default_factory=Choice)  # how candidates are said
    optim: Mapping[str, Adam] = field(
        default_factory=lambda: {"G": Adam(lr=1e-3, betas=(0.9, 0.999), clip=5.0), "D": Adam(lr=1e-3, betas=(0.5, 0.999), clip=5.0)}
    )
    ema: Mapping[str, Average] = field(default_factory=lambda: {"G": Average(half_life=10_000), "D": Average(half_life=10_000)})

    def why_not(self, space: Space) -> str | None:
        if self.candidates < 1:
            return f"candidates is {self.candidates}; expected 1 or more sentences to choose from."
        return needs_tokens(space)

    def players(self, space: Tokens) -> dict[str, nn.Module]:
        return {"G": self.net.speaker(space), "D": self.judge_net.critic(space)}

    def turns(self) -> list[Turn]:
        rest = math.inf if self.speaker_stop is None else self.speaker_stop
        return [Turn(self.speaker, "G", stop=rest), Turn(self.critic, "D", start=self.critic_start, repeat=self.critic_plays)]

    def speaker(self, p: Players, given: Batch, t: Clock) -> Terms:
        x = given["x"]
        return {"nll": imitation(log_probs(p.G, x, label_of(given)), real(x))}

    def critic(self, p: Players, given: Batch, t: Clock) -> Terms:
        x, y = given["x"], label_of(given)
        return {"adv": Logistic().critic(p.D(x, y), p.D(self._candidates(p, len(x), given), y))}

    def _candidates(self, p: Players, n: int, given: Batch | None) -> Tensor:
        """n sentences of the averaged speaker; the copy is in evaluation mode, so nothing is dropped."""
        return said(p.ema, n, self.choice, given)

    def sample(self, p: Players, n: int, *, z: Tensor | None = None, given: Batch | None = None) -> Tensor:
        k = self.candidates
        if k == 1:
            return said(p, n, self.choice, given)
        many = None if given is None else Batch({name: value.repeat_interleave(k, 0) for name, value in given.items()})
        x = said(p, n * k, self.choice, many)
        merit = p.D(x, label_of(many)).unflatten(0, (n, k))
        return best_of(x.unflatten(0, (n, k)), merit + gumbel(p.rand(n, k)))

    def judge(self, p: Players, x: Tensor, given: Batch | None = None) -> Tensor:
        return p.D(x, label_of(given))
