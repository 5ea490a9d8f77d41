"""Likelihood: the baseline of every text GAN, a speaker trained to predict the next token.

Bengio et al. 2003, "A Neural Probabilistic Language Model"; its temperature swept, it beat nearly every published text GAN (Caccia et al. 2020,
"Language GANs Falling Short", arXiv:1811.02549), so it stands beside each of ours.

  −log π(x_t | x_<t) summed over a sentence's tokens, mean over sentences  -> speaker "nll", in nats a sentence

Differs: nothing is asked of a critic; there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor, nn

from agon.decoding import Choice, beam, log_probs, speak, steady
from agon.estimators import imitation
from agon.game import Batch, Clock, Game, Players, Terms, Turn, label_of
from agon.networks.text import Speaker
from agon.networks.text.recurrent import Recurrent
from agon.optim import Adam, Average
from agon.spaces import Space, Tokens
from agon.spaces.tokens import real


@dataclass(frozen=True, kw_only=True)
class Likelihood(Game):
    """A speaker, and the sentences it should find likely."""

    critics: ClassVar[tuple[str, ...]] = ()
    sampling: ClassVar[tuple[str, ...]] = ("choice",)
    conditional: bool = True  # type: ignore[misc]  # False: play without labels even where the data have them
    net: Speaker = field(default_factory=Recurrent)
    choice: Choice = field(default_factory=Choice)  # how tokens are chosen when sampling
    optim: Mapping[str, Adam] = field(default_factory=lambda: {"G": Adam(lr=1e-3, betas=(0.9, 0.999), clip=5.0)})
    ema: Mapping[str, Average] = field(default_factory=lambda: {"G": Average(half_life=10_000)})

    def why_not(self, space: Space) -> str | None:
        return needs_tokens(space)

    def players(self, space: Tokens) -> dict[str, nn.Module]:
        return {"G": self.net.speaker(space)}

    def turns(self) -> list[Turn]:
        return [Turn(self.speaker, "G")]

    def speaker(self, p: Players, given: Batch, t: Clock) -> Terms:
        return nll(p, given)

    def sample(self, p: Players, n: int, *, z: Tensor | None = None, given: Batch | None = None) -> Tensor:
        return said(p, n, self.choice, given)

    def log_likelihood(self, p: Players, x: Tensor, given: Batch | None = None) -> Tensor:
        return log_probs(p.G, x, label_of(given))


def nll(p: Players, given: Batch) -> Terms:
    """The speaker G's likelihood of the batch: the pre-training of many games."""
    x = given["x"]
    return {"nll": imitation(log_probs(p.G, x, label_of(given)), real(x))}


def drawn(p: Players, given: Batch) -> Tensor:
    """As many sentences of G as the batch has, for its conditions: drawn from G's own distribution, without dropout."""
    with steady(p.G):
        return speak(p.G, p.rand(len(given["x"]), p.G.length), label_of(given))  # type: ignore[arg-type]


def said(p: Players, n: int, choice: Choice, given: Batch | None) -> Tensor:
    """n sentences int64 [n, L] of the speaker G, for the conditions "y" and from the beginnings "begun" of `given`; L is that of its language."""
    begun, y = None if given is None else given.get("begun"), label_of(given)
    if choice.beam and y is not None and y.dim() > 1 and begun is None:
        return beam(p.G, p.G.length, y, width=choice.beam, penalty=choice.penalty, no_repeat=choice.no_repeat)  # type: ignore[arg-type]
    return speak(p.G, p.rand(n, p.G.length), y, choice=choice, begun=begun)  # type: ignore[arg-type]


def needs_tokens(space: Space, *, source: bool = False, unpaired: bool = False) -> str | None:
    """Why a game of sentences cannot be played on this space; None if it can. unpaired: sources need not belong to their sentences."""
    if not isinstance(space, Tokens):
        return f"this game makes sentences, and the data are {space.describe()}; give text (.txt, .jsonl, .csv), or take another recipe."
    if source and space.source is None:
        return f"this game makes sentences from others, and the data are {space.describe()}; give pairs: --source COLUMN --target COLUMN."
    if space.dictionary and not unpaired:
        return "this game learns from pairs, and these sources and targets do not belong together; leave out --unpaired, or take another recipe."
    return None
