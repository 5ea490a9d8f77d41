"""How far a language model is from an oracle whose likelihood is known, from both sides, in nats a sentence.

Of an oracle P and a model G that both draw sentences and say their likelihood:

    NLL_oracle  E_G[−log P]    what most papers print; a model that repeats one likely sentence has the best of all
    NLL_test    E_P[−log G]    what likelihood training lowers
    KL(G‖P)     NLL_oracle − H(G)    quality: what it says, the oracle could have said
    KL(P‖G)     NLL_test − H(P)      coverage: what the oracle says, it could have said
    JS          ½ KL(P‖M) + ½ KL(G‖M), M = ½(P + G): in [0, log 2], finite whatever the supports

All are Monte-Carlo means over independent samples, each with its standard error; those of JS are taken over both halves of the mixture.
`judged` puts a model beside plain likelihood training in words. Its gate is `collapsed`: a record NLL_oracle bought with coverage does not pass
(measured in the field: 7.196 with an NLL_test of 20.15).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from agon.errors import InputError
from agon.languages import Language


@dataclass(frozen=True)
class Estimate:
    """A Monte-Carlo mean and its standard error; infinite, with no error, where a sentence had no probability."""

    value: float
    error: float

    @classmethod
    def of(cls, each: Tensor) -> Estimate:
        """The mean of independent draws [n], n ≥ 2."""
        each = each.double()
        if not each.isfinite().all():
            return cls(float(each.mean()), math.nan)
        return cls(float(each.mean()), float(each.std() / math.sqrt(len(each))))

    def per(self, tokens: float) -> Estimate:
        """Divided by a number of tokens."""
        return Estimate(self.value / tokens, self.error / tokens)

    def __str__(self) -> str:
        return f"{self.value:.4f} ± {self.error:.4f}"


@dataclass(frozen=True)
class Divergences:
    """Of a model G from an oracle P, in nats a sentence."""

    nll_oracle: Estimate
    nll_test: Estimate
    entropy_oracle: Estimate
    entropy: Estimate
    kl_model_oracle: Estimate
    kl_oracle_model: Estimate
    js: Estimate

    @classmethod
    def of(cls, p_p: Tensor, q_p: Tensor, p_q: Tensor, q_q: Tensor) -> Divergences:
        """From log p and log q of the oracle's sentences [n], then of the model's [m]."""
        return cls(
            nll_oracle=Estimate.of(-p_q), nll_test=Estimate.of(-q_p), entropy_oracle=Estimate.of(-p_p), entropy=Estimate.of(-q_q),
            kl_model_oracle=Estimate.of(q_q - p_q), kl_oracle_model=Estimate.of(p_p - q_p), js=_jensen_shannon(p_p - q_p, q_q - p_q),
        )  # fmt: skip

    def per(self, tokens: float) -> Divergences:
        """The same in nats a token, for sentences of this (mean) length."""
        return Divergences(**{f.name: getattr(self, f.name).per(tokens) for f in fields(self)})


FEW = 0.5  # times the share of different sentences among real ones
# By how each divergence stands, −1 better, 1 worse, in order of size.
WORDS: dict[tuple[int, ...], str] = {
    (-1, -1): "better on both", (-1, 0): "better on one, not worse on the other", (0, 0): "not told apart", (-1, 1): "trades",
    (0, 1): "worse on one, not better on the other", (1, 1): "worse on both",
}  # fmt: skip


def entropy(language: Language, n: int, seed: int = 0) -> Estimate:
    """H = E[−log p] of n sentences, in nats a sentence."""
    _check(n)
    return Estimate.of(-language.log_likelihood(*language.sample(n, torch.Generator().manual_seed(seed))).detach())


def divergences(oracle: Language, model: Language, n: int = 10_000, seed: int = 0) -> Divergences:
    """Every figure from n sentences of each side. The two must write sentences of one form: the same tokens, length and use of the end token.

    The sides draw from generators of their own, so that the oracle's sentences are the same for every model of a seed.
    """
    _check(n)
    with torch.no_grad():
        said = oracle.sample(n, torch.Generator().manual_seed(2 * seed)), model.sample(n, torch.Generator().manual_seed(2 * seed + 1))
        if said[0][0].shape != said[1][0].shape:
            raise InputError(
                f"the oracle's sentences are {list(said[0][0].shape)} and the model's {list(said[1][0].shape)}; expected one length for both."
            )
        (p_p, q_p), (p_q, q_q) = ([side.log_likelihood(*sentences).double().cpu() for side in (oracle, model)] for sentences in said)
    return Divergences.of(p_p, q_p, p_q, q_q)


def _jensen_shannon(over_p: Tensor, over_q: Tensor) -> Estimate:
    """½ E_P[log 2p/(p + q)] + ½ E_Q[log 2q/(p + q)], from log p/q at P's sentences and log q/p at Q's."""
    halves = [Estimate.of(math.log(2) - torch.nn.functional.softplus(-over)) for over in (over_p, over_q)]
    return Estimate(sum(h.value for h in halves) / 2, math.hypot(*(h.error for h in halves)) / 2)


def collapsed(model: Divergences, likelihood: Divergences, errors: float = 2.0) -> str | None:
    """Why this model's NLL_oracle is no progress over plain likelihood training on the same oracle; None if nothing speaks against it.

    It is collapsed if its NLL_oracle is better and its KL(P‖G) worse, the latter by more than `errors` standard errors of the difference. An
    infinite KL(P‖G) is worse than any finite one. One sentence outside the oracle's language makes NLL_oracle infinite and tells nothing of the rest;
    then an entropy lower by more than the same margin stands for it.
    """
    if math.isinf(model.nll_oracle.value):
        better = _above(likelihood.entropy, model.entropy, errors)
    else:
        better = model.nll_oracle.value < likelihood.nll_oracle.value
    ours, theirs = model.kl_oracle_model, likelihood.kl_oracle_model
    if not better or not _above(ours, theirs, errors):
        return None
    said = "(some sentences are outside the oracle's language) against" if math.isinf(model.nll_oracle.value) else "is better than"
    return (
        f"collapsed: NLL_oracle {model.nll_oracle.value:.3f} {said} likelihood's {likelihood.nll_oracle.value:.3f}, but KL(P‖G) is "
        f"{ours.value:.3f} against {theirs.value:.3f}, and the entropy {model.entropy.value:.3f} against {likelihood.entropy.value:.3f}: "
        "the model says fewer things. Choose by both divergences."
    )


@dataclass(frozen=True)
class Verdict:
    """A model beside likelihood training: one of WORDS, and why."""

    word: str
    why: str

    def __str__(self) -> str:
        return f"{self.word}: {self.why}"


def judged(
    model: Divergences, likelihood: Divergences, *, unique: tuple[float, float] | None = None, valid: tuple[Estimate, Estimate] | None = None,
    errors: float = 2.0,
) -> Verdict:  # fmt: skip
    """The model beside plain likelihood training on the same oracle, by both divergences; differences of at most `errors` standard errors are none.

    A model without a likelihood has nan for what takes one and cannot be judged. unique: the shares of different sentences among the model's and among as
    many of the oracle's; below FEW times the latter the model is collapsed, whatever else it has. valid: shares of sentences that the oracle could have
    said, the model's and likelihood's, which stand for KL(G‖P) where that is infinite for both.
    """
    if unique is not None and unique[0] < FEW * unique[1]:
        return Verdict("collapsed", f"{unique[0]:.1%} of its sentences differ, of as many real ones {unique[1]:.1%}: it says fewer things.")
    if math.isnan(model.kl_oracle_model.value) or math.isnan(likelihood.kl_oracle_model.value):
        who = "it" if math.isnan(model.kl_oracle_model.value) else "the run it is compared with"
        return Verdict(
            "cannot be judged", f"{who} has no likelihood, so its KL(P‖G) is not known, and an NLL-oracle alone says nothing of coverage."
        )
    if (why := collapsed(model, likelihood, errors)) is not None:
        return Verdict("collapsed", why.removeprefix("collapsed: "))
    sides = [(model.kl_model_oracle, likelihood.kl_model_oracle), (model.kl_oracle_model, likelihood.kl_oracle_model)]
    if valid is not None and all(math.isinf(side.value) for side in sides[0]):
        sides[0] = (Estimate(1 - valid[0].value, valid[0].error), Estimate(1 - valid[1].value, valid[1].error))
        names = ["ungrammatical sentences", "KL(P‖G)"]
    else:
        names = ["KL(G‖P)", "KL(P‖G)"]
    worse = [int(_above(ours, theirs, errors)) - int(_above(theirs, ours, errors)) for ours, theirs in sides]
    told = ", ".join(
        f"{name} {ours.value:.3f} beside {theirs.value:.3f} ({('not told apart', 'worse', 'better')[way]})"
        for name, (ours, theirs), way in zip(names, sides, worse, strict=True)
    )
    return Verdict(WORDS[tuple(sorted(worse))], told + ".")


def _above(a: Estimate, b: Estimate, errors: float) -> bool:
    """Whether a is larger by more than so many standard errors of the difference."""
    return a.value - b.value > errors * math.hypot(*(0.0 if math.isnan(e.error) else e.error for e in (a, b)))


def _check(n: int) -> None:
    if n < 2:
        raise InputError(f"{n} sentences; expected at least 2, for a standard error.")
