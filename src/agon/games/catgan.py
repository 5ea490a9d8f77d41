"""CatGAN: sentences of categories, each real one against one the speaker made for the same category, in soft words.

Liu, Wang, Liang 2020, "CatGAN: Category-aware Generative Adversarial Networks with Hierarchical Evolutionary Learning for Category Text Generation",
arXiv:1911.06641.

  before     −log π(x_t | x_<t, category) for `pretrain` rounds                                      -> likelihood "nll"
  soft words y_t = softmax(β (logits + Gumbel noise)), β rising                                      -> `relgan.softly`
  critic     the loss of a real sentence and one made for its category, over all categories          -> critic "adv"
             the same of a real sentence and itself told another category, if asked for              -> critic "mismatch"
  speaker    the same with both exchanged                                                            -> speaker "adv"

Differs: no hierarchical evolution: the speaker is not mutated by several losses and the fittest kept. The critic is told the category (`told`), the paper's
is not: one that is not told cannot see two categories exchanged. One that is told need not look, and in short games it does not (docs/papers/catgan.md);
`mismatch` makes it: sentences with a wrong category beside the fakes, as Reed et al. 2016 have it for captions (arXiv:1605.05396). Categories count by
their share of the data, equally with --balance true.
The speaker says its sentences, and the critic rewards them, without dropout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from agon.decoding import Choice, log_probs, steady
from agon.estimators import imitation
from agon.game import Batch, Clock, Game, Players, Terms, Turn, label_of
from agon.games.likelihood import needs_tokens, said
from agon.games.relgan import since, softly
from agon.losses import Loss, Relativistic
from agon.networks.text import Critic, Speaker
from agon.networks.text.memory import Memory
from agon.networks.text.multi import MultiCritic
from agon.optim import Adam, Average
from agon.schedule import Exponential, Value, at
from agon.spaces import Space, Tokens
from agon.spaces.tokens import real


@dataclass(frozen=True, kw_only=True)
class CatGAN(Game):
    """A speaker that is told a category, and a critic of pairs within one."""

    critics: ClassVar[tuple[str, ...]] = ("D",)
    sampling: ClassVar[tuple[str, ...]] = ("choice",)
    net: Speaker = field(default_factory=Memory)
    judge_net: Critic = field(default_factory=MultiCritic)
    loss: Loss = field(default_factory=Relativistic)
    told: bool = True  # the critic knows the category
    mismatch: Value = 0.0  # weight of telling a sentence from itself with a wrong category; 0: the paper's game
    beta: Value = field(default_factory=lambda: Exponential(start=1.0, end=100.0, span=200_000.0))  # 1 / temperature of soft words
    pretrain: int = 0  # rounds of likelihood before the game
    n_critic: int = 1  # critic plays per round; likelihood is played as often
    choice: Choice = field(default_factory=Choice)  # how tokens are chosen when sampling
    optim: Mapping[str, Adam] = field(default_factory=lambda: {k: Adam(lr=1e-4, betas=(0.9, 0.999), clip=5.0) for k in "GD"})
    ema: Mapping[str, Average] = field(default_factory=lambda: {"G": Average(half_life=10_000)})

    def why_not(self, space: Space) -> str | None:
        if reason := needs_tokens(space):
            return reason
        if space.num_classes < 2:
            return f"this game makes sentences of categories, and the data are {space.describe()}; give a table with a column of classes: --condition classes."
        if self.loss.lipschitz:
            return f"the loss '{self.loss.kind}' needs a critic of bounded slope, which this game has not; take 'relativistic' or 'hinge'."
        if self.mismatch != 0 and not self.told:
            return "mismatch shows the critic wrong categories, and told=False hides all of them from it; leave one of the two out."
        return None

    def players(self, space: Tokens) -> dict[str, nn.Module]:
        return {"G": self.net.speaker(space), "D": self.judge_net.critic(space if self.told else space.unlabelled())}

    def turns(self) -> list[Turn]:
        first = [Turn(self.likelihood, "G", stop=self.pretrain, repeat=self.n_critic)] if self.pretrain else []
        return [*first, Turn(self.critic, "D", start=self.pretrain, repeat=self.n_critic), Turn(self.speaker, "G", start=self.pretrain)]

    def likelihood(self, p: Players, given: Batch, t: Clock) -> Terms:
        x = given["x"]
        return {"nll": imitation(log_probs(p.G, x, label_of(given)), real(x))}

    def critic(self, p: Players, given: Batch, t: Clock) -> Terms:
        on_real, on_fake = self._judged(p, given, t)
        terms = {"adv": self.loss.critic(on_real, on_fake)}
        if self.mismatch != 0:
            y = given["y"]
            # Of the sentences beside these, in pairs, so that half of a batch finds its own; where it is the same category the fake stays.
            wrong = y[(torch.arange(len(y), device=y.device) ^ 1).clamp_max(len(y) - 1)]
            on_wrong = torch.where(wrong == y, on_fake, p.D(given["x"], wrong))
            terms["mismatch"] = at(self.mismatch, t) * self.loss.critic(on_real, on_wrong)
        return terms

    def speaker(self, p: Players, given: Batch, t: Clock) -> Terms:
        with steady(p.D):
            return {"adv": self.loss.generator(*self._judged(p, given, t))}

    def _judged(self, p: Players, given: Batch, t: Clock) -> tuple[Tensor, Tensor]:
        """Logits [n] of real sentences, and of as many made for the same categories, pair by pair."""
        x, y = given["x"], label_of(given)
        fake, mask = softly(p, len(x), at(self.beta, since(t, self.pretrain)), y)
        told = y if self.told else None
        return p.D(x, told), p.D.judge(fake, mask, told)  # type: ignore[operator]

    def sample(self, p: Players, n: int, *, z: Tensor | None = None, given: Batch | None = None) -> Tensor:
        return said(p, n, self.choice, given)

    def judge(self, p: Players, x: Tensor, given: Batch | None = None) -> Tensor:
        return p.D(x, label_of(given) if self.told else None)

    def log_likelihood(self, p: Players, x: Tensor, given: Batch | None = None) -> Tensor:
        return log_probs(p.G, x, label_of(given))
