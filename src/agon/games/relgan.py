"""RelGAN: sentences of soft words, through which a critic's gradient reaches the speaker; pre-trained by likelihood.

Nie, Narodytska, Patel 2019, "RelGAN: Relational Generative Adversarial Networks for Text Generation", ICLR (openreview rJedV3R5tm). The plain Gumbel-softmax
GAN (Kusner & Hernández-Lobato 2016, arXiv:1611.04051) is the same game with --game.loss logistic and another net.

  before     −log π(x_t | x_<t) for `pretrain` rounds                                                            -> likelihood "nll"
  soft words y_t = softmax(β (logits + Gumbel noise)), the next input is the word they lean to                   -> `decoding.speak_softly`
  β          β_max^(n/N): from 1, soft, to `beta.end`, almost whole, counted from the end of pre-training        -> `beta`
  critic     −log σ(D(x) − D(y)), or another loss                                                                -> critic "adv"
  speaker    −log σ(D(y) − D(x))                                                                                 -> speaker "adv"
  straight   the critic sees whole words, the gradient is that of soft ones (arXiv:1308.3432)                    -> `estimator`
  taylor     REINFORCE on whole words, neighbours rewarded by the critic's slope (TaylorGAN, arXiv:2011.13527)   -> speaker "taylor", baseline
  penalty    weight · (‖∇D‖ − 1)², the slope by soft words between real and own sentences (arXiv:1704.00028)     -> critic "penalty"

Differs: sentences have their own length; nothing behind their end is seen or said. The speaker says its sentences, and the critic rewards them, without
dropout. Any speaker and critic may play. Averaged weights are for samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from agon.decoding import Choice, log_probs, speak_softly, steady, token_logits
from agon.estimators import MovingBaseline, imitation, taylor
from agon.game import Batch, Clock, Game, Players, Terms, Turn, label_of
from agon.games.likelihood import drawn, needs_tokens, said
from agon.layers.twice import twice_differentiable
from agon.losses import Loss, Relativistic
from agon.networks.text import Critic, Speaker
from agon.networks.text.memory import Memory
from agon.networks.text.multi import MultiCritic
from agon.optim import Adam, Average
from agon.penalties import input_gradient, interpolate
from agon.schedule import Exponential, Value, at
from agon.spaces import Space, Tokens
from agon.spaces.tokens import real


@dataclass(frozen=True, kw_only=True)
class RelGAN(Game):
    """A speaker of soft words against a critic of whole sentences."""

    critics: ClassVar[tuple[str, ...]] = ("D",)
    sampling: ClassVar[tuple[str, ...]] = ("choice",)
    conditional: bool = True  # type: ignore[misc]  # False: play without labels even where the data have them
    net: Speaker = field(default_factory=Memory)
    judge_net: Critic = field(default_factory=MultiCritic)
    loss: Loss = field(default_factory=Relativistic)
    estimator: Literal["gumbel", "straight", "taylor"] = "gumbel"  # how the critic's gradient reaches the speaker
    beta: Value = field(default_factory=lambda: Exponential(start=1.0, end=100.0, span=200_000.0))  # 1 / temperature of soft words
    bandwidth: float = 0.5  # of taylor: how far words are neighbours, in the critic's embedding
    penalty: Value = 0.0  # weight of the critic's slope; a Wasserstein loss needs one, such as 10
    pretrain: int = 0  # rounds of likelihood before the game
    n_critic: int = 1  # critic plays per round; likelihood is played as often
    choice: Choice = field(default_factory=Choice)  # how tokens are chosen when sampling
    optim: Mapping[str, Adam] = field(
        default_factory=lambda: {"G": Adam(lr=1e-4, betas=(0.9, 0.999), clip=5.0), "D": Adam(lr=1e-4, betas=(0.9, 0.999), clip=5.0)}
    )
    ema: Mapping[str, Average] = field(default_factory=lambda: {"G": Average(half_life=10_000)})

    def why_not(self, space: Space) -> str | None:
        if self.loss.lipschitz and not self.penalty:
            return f"the loss '{self.loss.kind}' needs a critic of bounded slope; add --game.penalty 10."
        if self.estimator == "taylor" and getattr(self.loss, "averaged", False):
            return "taylor rewards each sentence for itself, and averaged relativistic losses couple them; take --game.loss.averaged false."
        return needs_tokens(space)

    def players(self, space: Tokens) -> dict[str, nn.Module]:
        players = {"G": self.net.speaker(space), "D": self.judge_net.critic(space)}
        return {**players, "B": MovingBaseline()} if self.estimator == "taylor" else players

    def turns(self) -> list[Turn]:
        first = [Turn(self.likelihood, "G", stop=self.pretrain, repeat=self.n_critic)] if self.pretrain else []
        turns = [Turn(self.critic, "D", start=self.pretrain, repeat=self.n_critic), Turn(self.speaker, "G", start=self.pretrain)]
        if self.estimator == "taylor":
            turns.append(Turn(step=self.baseline, moves="B", start=self.pretrain))
        return first + turns

    def likelihood(self, p: Players, given: Batch, t: Clock) -> Terms:
        x = given["x"]
        return {"nll": imitation(log_probs(p.G, x, label_of(given)), real(x))}

    def critic(self, p: Players, given: Batch, t: Clock) -> Terms:
        x, y = given["x"], label_of(given)
        fake, mask = self._drawn(p, given, t)
        terms = {"adv": self.loss.critic(p.D(x, y), p.D.judge(fake, mask, y))}  # type: ignore[operator]
        if weight := at(self.penalty, t):
            terms["penalty"] = weight * slope_penalty(p, x, fake, mask, y, p.rand(len(x)))
        return terms

    def speaker(self, p: Players, given: Batch, t: Clock) -> Terms:
        x, y = given["x"], label_of(given)
        if self.estimator == "taylor":
            fake, merits, slopes, words = self._rewarded(p, given)
            mask = given["mask"] = real(fake)
            given["merits"] = merits
            with steady(p.G):
                return {"taylor": taylor(token_logits(p.G, fake, y), fake, merits - p.B.value, slopes, words, mask, self.bandwidth)}  # type: ignore[operator]
        fake, mask = self._drawn(p, given, t)
        with steady(p.D):
            return {"adv": self.loss.generator(p.D(x, y) if self.loss.pairs else None, p.D.judge(fake, mask, y))}  # type: ignore[operator]

    def _drawn(self, p: Players, given: Batch, t: Clock) -> tuple[Tensor, Tensor]:
        """As many sentences in the critic's embedding [n, L, d], of soft or whole words, and where there are any, bool [n, L]."""
        if self.estimator == "taylor":
            fake = drawn(p, given)
            return p.D.embed(fake), real(fake)  # type: ignore[operator]
        return softly(p, len(given["x"]), at(self.beta, since(t, self.pretrain)), label_of(given), hard=self.estimator == "straight")

    def _rewarded(self, p: Players, given: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Fresh sentences [n, L], minus the loss of each [n], the slope of that by the critic's embeddings [n, L, d], and these embeddings [V, d]."""
        x, y = given["x"], label_of(given)
        fake, words = drawn(p, given), words_of(p).detach()
        with steady(p.D):
            on_real = p.D(x, y).detach() if self.loss.pairs else None

            def merits(e: Tensor) -> Tensor:
                return -each(self.loss, on_real, p.D.judge(e, real(fake), y))  # type: ignore[operator]

            slopes, value = input_gradient(merits, words[fake])
        return fake, value.detach(), slopes, words

    def baseline(self, p: Players, given: Batch, t: Clock) -> Terms:
        if "merits" not in given:  # the speaker's turn was not played
            fake, given["merits"], _, _ = self._rewarded(p, given)
            given["mask"] = real(fake)
        p.B.update(given["merits"], given["mask"])  # type: ignore[operator]
        return {"value": p.B.value.clone()}  # type: ignore[operator]

    def sample(self, p: Players, n: int, *, z: Tensor | None = None, given: Batch | None = None) -> Tensor:
        return said(p, n, self.choice, given)

    def judge(self, p: Players, x: Tensor, given: Batch | None = None) -> Tensor:
        return p.D(x, label_of(given))

    def log_likelihood(self, p: Players, x: Tensor, given: Batch | None = None) -> Tensor:
        return log_probs(p.G, x, label_of(given))


def softly(p: Players, n: int, beta: float, y: Tensor | None, *, hard: bool = False) -> tuple[Tensor, Tensor]:
    """n sentences of the speaker in soft words of temperature 1/β, in the critic's embedding [n, L, d], and where there are any, bool [n, L]."""
    speaker: Any = p.G
    with steady(speaker):
        soft = speak_softly(speaker, p.rand(n, speaker.length, speaker.embed.num_embeddings), 1 / beta, y, hard=hard)
    return soft.embedded(p.D.embed), real(soft.said)  # type: ignore[arg-type]


def since(t: Clock, start: int) -> Clock:
    """The clock as it would stand had the run begun with round `start`; every round sees as many samples."""
    late = max(t.round - start, 0)
    return Clock(late, t.seen * late // max(t.round, 1))


def each(loss: Loss, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
    """The generator's loss of each sample [n]: of losses that are means over samples."""
    if real_logits is None:
        return torch.vmap(lambda fake: loss.generator(None, fake))(fake_logits)
    return torch.vmap(loss.generator)(real_logits, fake_logits)


def words_of(p: Players) -> Tensor:
    """The critic's embedding of every word [V, d]."""
    return p.D.embed(torch.arange(p.G.embed.num_embeddings, device=p.device))  # type: ignore[operator,union-attr,arg-type]


def slope_penalty(p: Players, x: Tensor, fake: Tensor, mask: Tensor, y: Tensor | None, mix: Tensor) -> Tensor:
    """Mean of (‖∇D‖ − 1)² at mixtures of real sentences int64 [n, L] and others in D's embedding [n, L, d]; mix [n]: the share of the real one.

    The slope is that by the soft words: where it is g by the embeddings W, its square is gᵀ(WᵀW)g, and nothing of the size [n, L, V] is made.
    """
    words, there = words_of(p), real(x)
    made, told = [torch.where(place[..., None], e, 0.0) for e, place in ((fake, mask), (p.D.embed(x), there))]  # type: ignore[operator]
    with twice_differentiable(p.D):
        slope, _ = input_gradient(lambda e: p.D.judge(e, mask | there, y), interpolate(told, made, mix))  # type: ignore[operator]
    # Summed in 32 bits; the products may have 16, whose rounding can take a square below 0.
    squares = (slope @ (words.T @ words) * slope).sum((1, 2)).clamp_min(0)
    return ((squares + 1e-12).sqrt() - 1).square().mean()
