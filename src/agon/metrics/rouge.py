"""ROUGE-1, ROUGE-2 and ROUGE-L of summaries of held-out texts (Lin 2004): F1 of the package `rouge_score` with its stemmer, in points of 100.

Every held-out source is put through the generator, its tokens chosen as the game says. Beside stand (`extra`) what the first sentence of the source
would score, and the whole source. Where a source has several targets each figure is that of the best (`score_multi` of the package). The interval is that
of a mean over summaries.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from agon.errors import InputError
from agon.metrics.contract import Family, Features, Metric, figure
from agon.metrics.jackknife import student
from agon.metrics.setting import Setting

NAMES = ("rouge1", "rouge2", "rougeL")
_SENTENCE = re.compile(r"(?<=[.!?])\s")


def lead(text: str) -> str:
    """The first sentence."""
    return _SENTENCE.split(text, maxsplit=1)[0]


def rouge(made: Sequence[str], targets: Sequence[Sequence[str]]) -> Tensor:
    """F1 of each text with the target that is best for it, float64 [n, 3] in 0..100. Raises InputError without the package."""
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError:
        raise InputError("ROUGE needs the package 'rouge-score'. Install it: pip install 'agon-gan[text]'") from None
    scorer = RougeScorer(list(NAMES), use_stemmer=True)
    found = [scorer.score_multi(several, text) for text, several in zip(made, targets, strict=True)]
    return 100 * torch.tensor([[one[name].fmeasure for name in NAMES] for one in found], dtype=torch.float64).reshape(-1, 3)


class Rouge(Metric):
    """All three."""

    outputs: ClassVar[tuple[str, ...]] = NAMES
    higher_is_better: ClassVar[Mapping[str, bool]] = dict.fromkeys(NAMES, True)
    reference_name: ClassVar[str] = "held-out"

    def __init__(self, setting: Setting, expected: int) -> None:
        setting.need_translations("rouge")
        rouge([], [])  # says so if the package is missing
        self.setting, self.expected = setting, expected
        self._each, self._several = torch.zeros(0, 3, dtype=torch.float64), False
        self._beside: dict[str, list[float]] = {}

    def update(self, batch: Features) -> None:
        """Samples say nothing here."""

    def compute(self) -> dict[str, float]:
        """Sum up and compare."""
        made, targets, sources = self.setting.translations(self.expected)
        self._several = any(len(one) > 1 for one in targets)
        self._each = rouge(made, targets)
        self._beside = {
            "the first sentence": rouge([lead(text) for text in sources], targets).mean(0).tolist(),
            "the whole source": rouge(sources, targets).mean(0).tolist(),
        }
        return dict(zip(NAMES, self._each.mean(0).tolist(), strict=True))

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Of the means over summaries."""
        count = len(self._each)
        if count < 2:
            return {}
        reach = student(count - 1) * self._each.std(0) / count**0.5
        ends = torch.stack([self._each.mean(0) - reach, self._each.mean(0) + reach], 1).tolist()
        return {name: (low, high) for name, (low, high) in zip(NAMES, ends, strict=True)}

    def settings(self) -> str:
        """How words are compared, and with how many targets."""
        return "F1, stemmed" + (", best of several targets" if self._several else "")

    def detail(self) -> dict[str, Any]:
        """What the first sentence of the source and the whole of it score: ROUGE-1, -2, -L."""
        return dict(self._beside)

    def remark(self, name: str) -> str:
        """What the first sentence of the source and the whole of it score by it."""
        return ", ".join(f"{how} has {figure(scores[NAMES.index(name)])}" for how, scores in self._beside.items())

    def state(self) -> dict[str, Tensor]:
        """Nothing is gathered."""
        return {}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Nothing to replace."""


FAMILY = Family(
    name="rouge",
    outputs=NAMES,
    build=Rouge,
    streams=False,
    features=False,
    pairs=True,
    real="",
    unmeasured="asked of outputs for given sources",
)
