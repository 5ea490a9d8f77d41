"""Likelihood of held-out sentences under the generator itself, and its own entropy, in nats a token.

    nll_test           −log G a token on held-out sentences, each token after the real ones before it: what the generator does not cover costs
    perplexity         exp(nll_test)
    generator_entropy  −log G a token on the generator's own samples: how much it says

For games whose generator knows its likelihood. The end of a sentence is a token, padding is none; unknown words of real text are one token, so
figures under different tokenisers do not compare. Real sentences have no likelihood of their own, so there is no floor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import ClassVar

import torch
from torch import Tensor

from agon.errors import InputError
from agon.metrics.contract import Family, Features, Metric
from agon.metrics.jackknife import student
from agon.metrics.kneser_ney import ratio_interval
from agon.metrics.rows import Rows, subset
from agon.metrics.sentences import need_tokens
from agon.metrics.setting import ROWS, Likelihood, Setting, need_pairs
from agon.spaces.tokens import real

NAMES = ("nll_test", "perplexity", "generator_entropy")
_BATCH = 250


def need_likelihood(setting: Setting, metric: str) -> Likelihood:
    """The likelihood. Raises InputError for a generator without one."""
    if setting.likelihood is None:
        raise InputError(
            f"metric '{metric}' needs the generator's own likelihood, and there is none here: the game has none, or its tokens are cut off, looked for or "
            "the likeliest. Leave the metric out, or leave out --game.choice but for a temperature above 0."
        )
    return setting.likelihood


def sums_of(likelihood: Likelihood, x: Tensor, y: Tensor | None) -> Tensor:
    """(−log G, tokens) of each sentence, float64 [n, 2]."""
    parts = []
    for index in torch.arange(len(x)).split(_BATCH):
        told = likelihood(x[index], None if y is None else y[index])
        parts.append(torch.stack([-told.double().sum(1), real(x[index]).sum(1).double()], 1))
    return torch.cat(parts) if parts else torch.zeros(0, 2, dtype=torch.float64)


class NLL(Metric):
    """All three; held() gives (−log G, tokens) of each of `count` held-out sentences, float64 [count, 2], and is asked once."""

    outputs: ClassVar[tuple[str, ...]] = NAMES
    higher_is_better: ClassVar[Mapping[str, bool]] = {"nll_test": False, "perplexity": False, "generator_entropy": True}
    reference_name: ClassVar[str] = "held-out"

    def __init__(
        self, likelihood: Likelihood, held: Callable[[], Tensor], count: int, expected: int, *, share: tuple[int, int] = (0, 1)
    ) -> None:  # fmt: skip
        self.likelihood, self.count, self.held = likelihood, count, cache(held)
        self.rows = Rows(2, expected, expected, share=share)

    def update(self, batch: Features) -> None:
        """Ask for the likelihood of the samples."""
        assert batch.samples is not None, "a metric of sentences was shown no samples"
        self.rows.add(sums_of(self.likelihood, batch.samples, batch.condition))

    def compute(self) -> dict[str, float]:
        """The three."""
        real_side = self.held().sum(0)
        nll = float(real_side[0] / real_side[1])
        said = self.rows.values.sum(0)
        return {
            "nll_test": nll, "perplexity": math.exp(min(nll, 700.0)), "generator_entropy": float(said[0] / said[1]) if said[1] > 0 else math.nan
        }  # fmt: skip

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Of the entropy, the only one that samples decide."""
        said = self.rows.values
        if len(said) < 2 or not bool(torch.isfinite(said).all()):
            return {}
        return {"generator_entropy": ratio_interval(said.numpy(), student(len(said) - 1))}

    def settings(self) -> str:
        """On how much text."""
        return f"nats a token, {self.count} held-out sentences"

    def state(self) -> dict[str, Tensor]:
        """The table of sums."""
        return self.rows.state()

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Replace the table."""
        self.rows.load(state)


def build(setting: Setting, expected: int) -> NLL:
    """On at most 10,000 held-out sentences. Raises InputError without any, for what is no text, and for a generator without a likelihood."""
    need_tokens(setting, "nll")
    likelihood, held = need_likelihood(setting, "nll"), setting.data_set.held
    if not len(held):
        raise InputError("NLL is taken on held-out sentences, and none are held back; train with --holdout 0.1.")
    index = subset(len(held), ROWS, 0)
    if setting.conditioned:
        need_pairs(setting.data_set, "nll")
    y = held.y[index] if setting.conditioned and held.y is not None else None
    return NLL(likelihood, lambda: sums_of(likelihood, held.x[index], y), len(index), expected)


FAMILY = Family(
    name="nll",
    outputs=NAMES,
    build=build,
    features=False,
    pairs=True,
    real="",
    one_sided=("generator_entropy",),
    unmeasured="asked of a generator's likelihood, which damaged samples have not",
)
