"""Cooperative training: a mediator learns the mixture of data and speaker by likelihood, and the speaker moves towards it at every step. No critic.

Lu, Yu, Feng, Zhu, Yu, Zhang 2019, "CoT: Cooperative Training for Generative Modeling of Discrete Data", arXiv:1804.03782.

  mediator   −½ log M(x) on data − ½ log M(y) on sentences of the speaker; at its best M = ½(P + G)                                  -> mediator "nll"
  speaker    Σ_t Σ_v π(v | y_<t) (log π(v | y_<t) − log M(v | y_<t)) along its own sentences: every word of the vocabulary weighed,
             none drawn; at the best mediator a descent on the Jensen–Shannon divergence                                              -> speaker "divergence"

No pre-training, no reward, no baseline. Differs: sentences have their own length, and nothing behind their end is seen. Dropout is off where the mediator
is asked and where the speaker is moved. `forcing` mixes in likelihood of the data, which the paper does not (0).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from agon.decoding import Choice, log_probs, steady, token_logits
from agon.estimators import cooperative, imitation
from agon.game import Batch, Clock, Game, Players, Terms, Turn, label_of
from agon.games.likelihood import drawn, needs_tokens, nll, said
from agon.networks.text import Speaker
from agon.networks.text.recurrent import Recurrent
from agon.optim import Adam, Average
from agon.schedule import Value, at
from agon.spaces import Space, Tokens
from agon.spaces.tokens import real


@dataclass(frozen=True, kw_only=True)
class CoT(Game):
    """A speaker and a mediator, both speakers."""

    critics: ClassVar[tuple[str, ...]] = ()
    sampling: ClassVar[tuple[str, ...]] = ("choice",)
    conditional: bool = True  # type: ignore[misc]  # False: play without labels even where the data have them
    net: Speaker = field(default_factory=Recurrent)
    mediator_net: Speaker = field(default_factory=Recurrent)
    n_mediator: int = 1  # mediator plays a round
    forcing: Value = 0.0  # weight of the likelihood of the data in the speaker's turn
    choice: Choice = field(default_factory=Choice)  # how tokens are chosen when sampling
    optim: Mapping[str, Adam] = field(
        default_factory=lambda: {"G": Adam(lr=1e-3, betas=(0.9, 0.999), clip=5.0), "M": Adam(lr=1e-3, betas=(0.9, 0.999), clip=5.0)}
    )
    ema: Mapping[str, Average] = field(default_factory=lambda: {"G": Average(half_life=10_000)})

    def why_not(self, space: Space) -> str | None:
        return needs_tokens(space)

    def players(self, space: Tokens) -> dict[str, nn.Module]:
        return {"G": self.net.speaker(space), "M": self.mediator_net.speaker(space)}

    def turns(self) -> list[Turn]:
        return [Turn(self.mediator, "M", repeat=self.n_mediator), Turn(self.speaker, "G")]

    def mediator(self, p: Players, given: Batch, t: Clock) -> Terms:
        y = label_of(given)
        halves = [imitation(log_probs(p.M, x, y), real(x)) for x in (given["x"], drawn(p, given))]
        return {"nll": (halves[0] + halves[1]) / 2}

    def speaker(self, p: Players, given: Batch, t: Clock) -> Terms:
        y, fake = label_of(given), drawn(p, given)
        with torch.no_grad(), steady(p.M):
            towards = token_logits(p.M, fake, y)
        with steady(p.G):
            own = token_logits(p.G, fake, y)
        terms = {"divergence": cooperative(own, towards, len(fake))}
        if weight := at(self.forcing, t):
            terms["nll"] = weight * nll(p, given)["nll"]
        return terms

    def sample(self, p: Players, n: int, *, z: Tensor | None = None, given: Batch | None = None) -> Tensor:
        return said(p, n, self.choice, given)

    def log_likelihood(self, p: Players, x: Tensor, given: Batch | None = None) -> Tensor:
        return log_probs(p.G, x, label_of(given))
