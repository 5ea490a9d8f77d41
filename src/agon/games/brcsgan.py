"""BR-CSGAN: a speaker that makes a text from another, a critic that sees both, and a reward that mixes the critic with an overlap score.

Yang, Chen, Wang, Xu 2018, "Improving Neural Machine Translation with Conditional Sequence Generative Adversarial Nets", arXiv:1703.04887;
Wu et al. 2017, "Adversarial Neural Machine Translation", arXiv:1704.06933, of the same idea.

  teacher   −log π(x_t | x_<t, source), summed over a text's tokens, in every round: likelihood alone first, between rewards later   -> "nll"
  critic    −log σ(D(source, x)) on real pairs, −log σ(−D) on the speaker's own texts and on real texts beside another's source  -> "adv", "mismatch"
  reward    R = λ (σ(D(source, y)) − b) + (1 − λ) Q(y), Q the overlap with the real text: sentence BLEU, or ROUGE-L of summaries    (`overlap`)
  speaker   −(R(y) − R(greedy)) log π(y | source): the greedy text is the baseline, so that b cancels                          -> "reinforce"
            (Rennie et al. 2017, arXiv:1612.00563; for ROUGE-L of summaries Paulus et al. 2018, arXiv:1705.04304)

`estimator` has two more: "dense", a reward for every token by a critic of prefixes, λ(2σ(D_t) − 1), and (1 − λ)Q at the last, less a moving mean; and
"best", likelihood of the best of several texts by R (SelfGAN, arXiv:2106.06363). `adversary` False is likelihood alone; λ = 0 with it is the overlap
score alone.

Differs: the papers estimate the reward of a prefix by 20 roll-outs and their critics are convolutional; mismatched pairs are ours (after Reed et al. 2016,
arXiv:1605.05396). Paulus et al. take ROUGE of words, here it is of tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agon.decoding import Choice, log_probs, speak, steady
from agon.estimators import MovingBaseline, best_of, dense_rewards, final_reward, imitation, reinforce, returns
from agon.game import Batch, Clock, Game, Players, Terms, Turn
from agon.games.likelihood import drawn, needs_tokens, said
from agon.layers.tokens import mean_of
from agon.networks.text import Critic, Speaker
from agon.networks.text.pair import PairCritic
from agon.networks.text.transformer import Transformer
from agon.optim import Adam, Average
from agon.overlap import bleu, rouge_l
from agon.schedule import Value, at
from agon.spaces import Space, Tokens
from agon.spaces.tokens import real

Reward = Literal["bleu", "rouge"]
Estimator = Literal["self-critical", "dense", "best"]


@dataclass(frozen=True, kw_only=True)
class BRCSGAN(Game):
    """Likelihood, then rewards of a critic of pairs and of overlap, likelihood going on between them."""

    critics: ClassVar[tuple[str, ...]] = ("D",)
    sampling: ClassVar[tuple[str, ...]] = ("choice",)
    net: Speaker = field(default_factory=Transformer)
    judge_net: Critic = field(default_factory=PairCritic)
    adversary: bool = True  # False: likelihood alone, for comparison
    smoothing: float = 0.1  # of the target of likelihood: share given to all other tokens
    share: Value = 0.7  # λ: the critic's share of the reward
    reward: Reward = "bleu"  # the overlap that has the rest
    estimator: Estimator = "self-critical"
    candidates: int = 4  # texts that "best" chooses from
    discount: float = 1.0  # of "dense": γ
    decay: float = 0.9  # of "dense": of the moving mean of returns
    mismatch: Value = 1.0  # weight of real texts beside another's source, as fakes
    teach: Value = 1.0  # weight of likelihood once rewards have begun
    gain: Value = 1.0  # weight of rewards
    judged_from: int = 0  # first round in which the critic learns
    rewarded_from: int = 0  # first round in which the speaker is rewarded
    choice: Choice = field(default_factory=lambda: Choice(temperature=0.0))  # how tokens are chosen when sampling
    optim: Mapping[str, Adam] = field(
        default_factory=lambda: {"G": Adam(lr=1e-3, betas=(0.9, 0.98), clip=5.0), "D": Adam(lr=3e-4, betas=(0.5, 0.98), clip=5.0)}
    )
    ema: Mapping[str, Average] = field(default_factory=lambda: {"G": Average(half_life=10_000)})

    def why_not(self, space: Space) -> str | None:
        if (reason := needs_tokens(space, source=True)) is not None:
            return reason
        for net, role in ((self.net, "speaks"), (self.judge_net, "judges")):
            if not getattr(net, "takes_source", False) and (role == "speaks" or self.adversary):
                return f"'{net.kind}' {role} without looking at a source; take the speaker 'transformer' or 'rnn', and the critic 'pair'."
        return None

    def players(self, space: Tokens) -> dict[str, nn.Module]:
        found = {"G": self.net.speaker(space), "D": self.judge_net.critic(space, each=self._dense)}
        return {**found, "B": MovingBaseline(self.decay)} if self._dense else found

    def turns(self) -> list[Turn]:
        teacher = Turn(self.teacher, "G")
        if not self.adversary:
            return [teacher]
        played = [Turn(self.critic, "D", start=self.judged_from), teacher, Turn(self.speaker, "G", start=self.rewarded_from)]
        return [*played, Turn(step=self.baseline, moves="B", start=self.rewarded_from)] if self._dense else played

    @property
    def _dense(self) -> bool:
        return self.estimator == "dense"

    # -- turns -------------------------------------------------------------------------------------------------------------------

    def teacher(self, p: Players, given: Batch, t: Clock) -> Terms:
        x = given["x"]
        weight = at(self.teach, t) if self.adversary and t.round >= self.rewarded_from else 1.0
        return {"nll": weight * imitation(log_probs(p.G, x, given["y"], smoothing=self.smoothing), real(x))}

    def critic(self, p: Players, given: Batch, t: Clock) -> Terms:
        x, y = given["x"], given["y"]
        fake = drawn(p, given)
        wrong = _neighbours(y)
        on_real, on_fake, on_wrong = self._judged(p, torch.cat([x, fake, x]), torch.cat([y, y, wrong])).chunk(3)
        other = (wrong != y).any(1)  # twins in a batch are no mismatch
        return {
            "adv": (F.softplus(-on_real) + F.softplus(on_fake)).mean(),
            "mismatch": at(self.mismatch, t) * torch.where(other, F.softplus(on_wrong), 0.0).mean(),
        }

    def speaker(self, p: Players, given: Batch, t: Clock) -> Terms:
        gain = at(self.gain, t)
        if self.estimator == "best":
            with steady(p.G), steady(p.D):
                best = self._best(p, given, t)
            return {"best": gain * imitation(log_probs(p.G, best, given["y"]), real(best))}
        with steady(p.G), steady(p.D):
            log_p, gains, mask = self._rewarded(p, given, t)
        if self._dense:
            given["returns"], given["mask"] = gains, mask
            gains = gains - p.B.value  # type: ignore[operator]
        return {"reinforce": gain * reinforce(log_p, gains, mask)}

    def baseline(self, p: Players, given: Batch, t: Clock) -> Terms:
        if "returns" not in given:  # the speaker's turn was not played
            with steady(p.G), steady(p.D):
                _, given["returns"], given["mask"] = self._rewarded(p, given, t)
        p.B.update(given["returns"], given["mask"])  # type: ignore[operator]
        return {"value": p.B.value.clone()}  # type: ignore[operator]

    # -- rewards -----------------------------------------------------------------------------------------------------------------

    def _rewarded(self, p: Players, given: Batch, t: Clock) -> tuple[Tensor, Tensor, Tensor]:
        """Fresh texts: log π of each token [n, L], what they earn [n] above the greedy text or, dense, [n, L], and where tokens are."""
        x, y = given["x"], given["y"]
        mine = said(p, len(x), Choice(), given)
        mask, log_p = real(mine), log_probs(p.G, mine, y)
        with torch.no_grad():
            if not self._dense:
                greedy = said(p, len(x), Choice(temperature=0.0), given)
                worth, usual = self._worth(p, torch.cat([mine, greedy]), torch.cat([y, y]), torch.cat([x, x]), t).chunk(2)
                return log_p, worth - usual, mask
            share = at(self.share, t)
            rewards = share * dense_rewards(p.D(mine, y), mask) + (1 - share) * final_reward(self._overlap(mine, x), mask)
            return log_p, returns(rewards, mask, self.discount), mask

    @torch.no_grad()
    def _best(self, p: Players, given: Batch, t: Clock) -> Tensor:
        """Of several texts from each source the one that is worth most: int64 [n, L]."""
        n, k, speaker = len(given["x"]), self.candidates, _speaker(p)
        y, x = (given[name].repeat_interleave(k, 0) for name in "yx")
        found = speak(speaker, p.rand(n * k, speaker.length), y)
        return best_of(found.unflatten(0, (n, k)), self._worth(p, found, y, x, t).unflatten(0, (n, k)))

    def _worth(self, p: Players, said: Tensor, y: Tensor, x: Tensor, t: Clock) -> Tensor:
        """R of texts said from y where x is the real one: [n]."""
        share = at(self.share, t)
        judged = self._judged(p, said, y).sigmoid() if share else 0.0
        return share * judged + (1 - share) * self._overlap(said, x)

    def _overlap(self, said: Tensor, x: Tensor) -> Tensor:
        return (bleu if self.reward == "bleu" else rouge_l)(said, x)

    def _judged(self, p: Players, x: Tensor, y: Tensor) -> Tensor:
        """The critic's logits [n]; of a critic of prefixes the mean over each text's tokens."""
        logits = p.D(x, y)
        return mean_of(logits, real(x)) if self._dense else logits

    # -- use ---------------------------------------------------------------------------------------------------------------------

    def sample(self, p: Players, n: int, *, z: Tensor | None = None, given: Batch | None = None) -> Tensor:
        return said(p, n, self.choice, given)

    def judge(self, p: Players, x: Tensor, given: Batch | None = None) -> Tensor | None:
        return self._judged(p, x, given["y"]) if self.adversary and given is not None else None

    def log_likelihood(self, p: Players, x: Tensor, given: Batch | None = None) -> Tensor:
        return log_probs(p.G, x, None if given is None else given["y"])


def _speaker(p: Players) -> Any:
    return p.G


def _neighbours(y: Tensor) -> Tensor:
    """Sources of the samples beside these, in pairs, so that half of a batch finds its own: int64 [n, S]."""
    return y[(torch.arange(len(y), device=y.device) ^ 1).clamp_max(len(y) - 1)]
