"""Summaries without pairs: a speaker shortens documents so that another can tell them again from the summary, and a critic knows real summaries.

Wang, Lee 2018, "Learning to Encode Text as Human-Readable Summaries using Generative Adversarial Networks", arXiv:1810.02851;
the beginning after Févry, Phang 2018, "Unsupervised Sentence Compression using Denoising Auto-Encoders", arXiv:1809.02669.

  teacher        −log π(x | x hidden among words of a document): real summaries are found again, in every round            -> "denoise"
  critic         −log σ(D_t) on real summaries, −log σ(−D_t) on the speaker's, a logit for every token                     -> "adv"
  reconstructor  −log ρ(document | summary that the speaker made of it)                                                    -> "retell"
  speaker        −A_t log π(ŷ_t | document), A_t = R_t − b_t + w·(log ρ(document | ŷ) − log ρ(document | greedy))            -> "reinforce"
                 R_t the discounted sum of 2σ(D_t) − 1 to come, b_t its moving mean at that place, log ρ a mean over the document's words

The rewards of the critic are those of the authors' released code, which took them from ScratchGAN (arXiv:1905.09922). Differs from it: the generator begins
there with pseudo-pairs of another corpus and hears rewards alone later; the advantage is centred on the batch, here on a moving mean, so that halves of a batch
equal the whole; R reads the greedy summary there, here a drawn one, as is rewarded; there is no coverage loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agon.decoding import Choice, log_probs, steady
from agon.estimators import MovingBaseline, dense_rewards, imitation, reinforce, returns
from agon.game import Batch, Clock, Game, Players, Terms, Turn
from agon.games.likelihood import drawn, needs_tokens, said
from agon.layers.tokens import mean_of
from agon.networks.text import Critic, Speaker
from agon.networks.text.conv import ConvCritic
from agon.networks.text.multi import MultiCritic
from agon.networks.text.recurrent import Recurrent, RecurrentCritic
from agon.networks.text.transformer import TransformerCritic
from agon.optim import Adam, Average
from agon.schedule import Value, at
from agon.spaces import Space, Tokens
from agon.spaces.tokens import END, PAD, real


def _both() -> Recurrent:
    return Recurrent(width=256, embed=128, tied=True, copy=True)


@dataclass(frozen=True, kw_only=True)
class Retelling(Game):
    """A speaker of summaries G, a critic of summaries D, and a reconstructor R that tells documents again from them."""

    critics: ClassVar[tuple[str, ...]] = ("D",)
    sampling: ClassVar[tuple[str, ...]] = ("choice",)
    net: Speaker = field(default_factory=_both)
    judge_net: Critic = field(default_factory=lambda: RecurrentCritic(width=128))
    retell_net: Speaker = field(default_factory=_both)
    adversary: bool = True  # False: real summaries found among other words alone, for comparison
    among: float = 0.5  # share of a document's words that hide a summary, in pieces too
    dropped: float = 0.1  # share of a summary's words that are missing there
    piece: float = 2.0  # words of a summary that stay together there, on average
    teach: Value = 1.0  # weight of finding summaries once rewards have begun
    gain: Value = 1.0  # weight of rewards
    faithful: Value = 5.0  # w: nats a word of the document that the summary saves, in rewards
    discount: float = 0.3  # γ
    decay: float = 0.9  # of the moving mean of returns
    judged_from: int = 0  # first round in which the critic and the reconstructor learn
    rewarded_from: int = 0  # first round in which the speaker is rewarded
    choice: Choice = field(default_factory=lambda: Choice(temperature=0.0))  # how tokens are chosen when sampling
    optim: Mapping[str, Adam] = field(
        default_factory=lambda: {
            "G": Adam(lr=1e-3, betas=(0.9, 0.98), clip=5.0), "R": Adam(lr=1e-3, betas=(0.9, 0.98), clip=5.0),
            "D": Adam(lr=1e-3, betas=(0.5, 0.98), clip=5.0),
        }
    )  # fmt: skip
    ema: Mapping[str, Average] = field(default_factory=lambda: {"G": Average(half_life=10_000)})

    def why_not(self, space: Space) -> str | None:
        if (reason := needs_tokens(space, source=True, unpaired=True)) is not None:
            return reason
        assert isinstance(space, Tokens) and space.source is not None
        if not space.dictionary:
            return "this game shortens documents whose summaries are not known, and these data are pairs; add --unpaired, or take the recipe 'summary'."
        if (space.source.tokenizer, space.source.vocabulary) != (space.tokenizer, space.vocabulary):
            return "this game hides summaries among the words of documents, so both need one tokeniser; add --shared true."
        if space.source.length <= space.length:
            return f"documents of {space.source.length} tokens hide no summaries of {space.length}; expected longer sources than targets."
        if not all(getattr(net, "takes_source", False) for net in (self.net, self.retell_net)):
            return "a speaker here reads a text and tells another; take 'rnn' or 'transformer' for net and retell_net."
        if not isinstance(self.judge_net, RecurrentCritic | TransformerCritic | ConvCritic | MultiCritic):
            return f"'{self.judge_net.kind}' has no logit for every word of a summary; take 'rnn', 'transformer' or 'cnn' for judge_net."
        return None

    def players(self, space: Tokens) -> dict[str, nn.Module]:
        assert space.source is not None
        back = replace(space.source, dictionary=(), source=replace(space, dictionary=(), source=None))
        return {
            "G": self.net.speaker(space), "D": self.judge_net.critic(replace(space, source=None), each=True), "R": self.retell_net.speaker(back),
            "B": MovingBaseline(self.decay, length=space.length),
        }  # fmt: skip

    def turns(self) -> list[Turn]:
        teacher = Turn(self.teacher, "G")
        if not self.adversary:
            return [teacher]
        return [
            Turn(self.critic, "D", start=self.judged_from),
            Turn(self.reconstructor, "R", start=self.judged_from),
            teacher,
            Turn(self.speaker, "G", start=self.rewarded_from),
            Turn(step=self.baseline, moves="B", start=self.rewarded_from),
        ]

    # -- turns -------------------------------------------------------------------------------------------------------------------

    def teacher(self, p: Players, given: Batch, t: Clock) -> Terms:
        x = given["x"]
        weight = at(self.teach, t) if self.adversary and t.round >= self.rewarded_from else 1.0
        return {"denoise": weight * imitation(log_probs(p.G, x, self.hidden(p, x, given["y"])), real(x))}

    def critic(self, p: Players, given: Batch, t: Clock) -> Terms:
        x, fake = given["x"], drawn(p, given)
        return {"adv": (mean_of(F.softplus(-p.D(x)), real(x)) + mean_of(F.softplus(p.D(fake)), real(fake))).mean()}

    def reconstructor(self, p: Players, given: Batch, t: Clock) -> Terms:
        return {"retell": -_retold(p, given["y"], drawn(p, given)).mean()}

    def speaker(self, p: Players, given: Batch, t: Clock) -> Terms:
        with steady(p.G), steady(p.D), steady(p.R):
            fake, given["returns"] = self._rewarded(p, given)
            with torch.no_grad():
                greedy = said(p, len(fake), Choice(temperature=0.0), given)
                saved = _retold(p, given["y"], fake) - _retold(p, given["y"], greedy)
            advantages = given["returns"] - p.B.value + at(self.faithful, t) * saved[:, None]
            given["mask"] = real(fake)
            return {"reinforce": at(self.gain, t) * reinforce(log_probs(p.G, fake, given["y"]), advantages, given["mask"])}

    def baseline(self, p: Players, given: Batch, t: Clock) -> Terms:
        if "returns" not in given:  # the speaker's turn was not played
            with steady(p.D):
                fake, given["returns"] = self._rewarded(p, given)
            given["mask"] = real(fake)
        p.B.update(given["returns"], given["mask"])  # type: ignore[operator]
        return {"value": p.B.value.mean()}  # type: ignore[operator]

    @torch.no_grad()
    def _rewarded(self, p: Players, given: Batch) -> tuple[Tensor, Tensor]:
        """Fresh summaries int64 [n, L], and what the critic will give each token from there on [n, L]."""
        fake = drawn(p, given)
        return fake, returns(dense_rewards(p.D(fake), real(fake)), real(fake), self.discount)

    def hidden(self, p: Players, x: Tensor, y: Tensor) -> Tensor:
        """Summaries int64 [n, L] in pieces among some words of documents [n, S], which are not theirs: int64 [n, S]."""
        n, length = x.shape
        dice, chance = p.rand(n, 3, length), p.rand(n, 2, y.shape[1])
        place = torch.arange(y.shape[1], device=x.device, dtype=torch.float32)
        words, others = real(x) & (x != END), real(y) & (y != END)
        long = others.sum(1, keepdim=True).clamp_min(1)
        # A piece begins where the dice say so; all its words take the place that its first one drew.
        stands = (dice[:, 1] * long).gather(1, _begun(dice[:, 0] * self.piece < 1))
        # Other words come and go in pieces as well, or what is whole would be known to be the summary's.
        chance = chance[:, 0].gather(1, _begun(chance[:, 1] * 2 * self.piece < 1))
        shown, beside = words & (dice[:, 2] >= self.dropped), others & (chance < self.among)
        beside &= beside.cumsum(1) < y.shape[1] - shown.sum(1, keepdim=True)  # the summary and an end have room
        kept = torch.cat([shown, beside], 1)
        order = torch.where(kept, torch.cat([stands, place.expand(n, -1)], 1), torch.inf).argsort(dim=1, stable=True)[:, : y.shape[1] - 1]
        found = torch.where(kept, torch.cat([x, y], 1), PAD).gather(1, order)
        stop = torch.arange(y.shape[1], device=x.device) == (found != PAD).sum(1, keepdim=True)
        return torch.where(stop, END, F.pad(found, (0, 1)))

    # -- use ---------------------------------------------------------------------------------------------------------------------

    def sample(self, p: Players, n: int, *, z: Tensor | None = None, given: Batch | None = None) -> Tensor:
        return said(p, n, self.choice, given)

    def judge(self, p: Players, x: Tensor, given: Batch | None = None) -> Tensor | None:
        return mean_of(p.D(x), real(x)) if self.adversary else None

    def log_likelihood(self, p: Players, x: Tensor, given: Batch | None = None) -> Tensor:
        return log_probs(p.G, x, None if given is None else given["y"])


def _begun(first: Tensor) -> Tensor:
    """For each place the place at which its piece began: int64, of bool [n, L]."""
    return torch.where(first, torch.arange(first.shape[1], device=first.device), 0).cummax(1).values


def _retold(p: Players, y: Tensor, told: Tensor) -> Tensor:
    """log ρ(document | summary), a mean over the document's words: [n]."""
    return log_probs(p.R, y, told).sum(1) / real(y).sum(1).clamp_min(1)
