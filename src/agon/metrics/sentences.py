"""Sentences as metrics read them: kept as tokens, so that ranks can add them up; counted as words.

A word is what a sentence is scored by. Of word and character tokenisers it is a token, and real text is cut by the same rule with nothing unknown; of
byte-pair pieces, which fall otherwise in every corpus, it is a word of the text they spell. The stamp says which.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from agon.data.tokenisers import SIGN, WORD
from agon.errors import InputError
from agon.metrics.contract import Features, Metric
from agon.metrics.jackknife import student
from agon.metrics.rows import Rows, subset
from agon.metrics.setting import ROWS, Setting
from agon.spaces import Tokens

Words = list[list[str]]
Intervals = dict[str, tuple[float, float]]
_SUBSET_SEED = 0


def need_tokens(setting: Setting, metric: str) -> Tokens:
    """The space of the data. Raises InputError where it does not hold sentences."""
    space = setting.data_set.space
    if not isinstance(space, Tokens):
        raise InputError(f"metric '{metric}' reads sentences, and the data are {space.describe()}; use fd, kid or prdc.")
    return space


def kind_of(space: Tokens) -> str:
    """What a word of this space is, for stamps."""
    if not space.tokenizer:
        return "numbered words"
    content = json.loads(space.tokenizer)
    if content["model"]["type"] != "WordLevel":
        return "words of the text"
    pattern = (content.get("pre_tokenizer") or {}).get("pattern") or {}
    return "characters" if pattern.get("Regex") == SIGN else "words"


def words_of(space: Tokens, x: Tensor) -> Words:
    """Sentences [n, L] in words."""
    if space.tokenizer and kind_of(space) == "words of the text":
        return [re.findall(WORD, text) for text in space.decode(x)]
    return space.pieces(x)


def real_words(space: Tokens, samples: Any, limit: int = ROWS) -> Words:
    """At most `limit` real samples in words; from their text where there is one, so that no word is unknown."""
    index = subset(len(samples), limit, _SUBSET_SEED)
    if samples.captions is None or not space.tokenizer:
        return words_of(space, samples.x[index])
    texts = [samples.captions[k] for k in index.tolist()]
    if kind_of(space) == "words of the text":
        lower = (json.loads(space.tokenizer).get("normalizer") or {}).get("type") == "Lowercase"
        return [re.findall(WORD, text.lower() if lower else text) for text in texts]
    return space.split(texts)


@dataclass
class Measured:
    """What a whole set of sentences gave: figures by name, their intervals, and what is told beside them."""

    values: dict[str, float]
    intervals: Intervals = field(default_factory=dict)
    detail: dict[str, Any] = field(default_factory=dict)


class OfSentences(Metric):
    """Figures of a set of `expected` sentences by one function of all of them, int64 [n, L] -> Measured; nan for fewer than `least`."""

    outputs: ClassVar[tuple[str, ...]] = ()
    higher_is_better: ClassVar[Mapping[str, bool]] = {}

    def __init__(
        self, space: Tokens, expected: int, measure: Callable[[Tensor], Measured], better: Mapping[str, bool], *, by: str, against: str = "train",
        least: int = 2, share: tuple[int, int] = (0, 1),
    ) -> None:  # fmt: skip
        self.outputs, self.higher_is_better, self.reference_name = tuple(better), better, against  # type: ignore[misc]
        self.measure, self.by, self.least = measure, by, least
        self.rows = Rows(space.length, expected, expected, share=share)
        self._found: Measured | None = None

    def update(self, batch: Features) -> None:
        """Keep the sentences."""
        assert batch.samples is not None, "a metric of sentences was shown no samples"
        self.rows.add(batch.samples.double())
        self._found = None

    def compute(self) -> dict[str, float]:
        """All figures."""
        return self._measured().values

    def intervals(self) -> Intervals:
        """As `measure` gives them."""
        return self._measured().intervals

    def detail(self) -> dict[str, Any]:
        """As `measure` gives it."""
        return self._measured().detail

    def settings(self) -> str:
        """How it is measured."""
        return self.by

    def state(self) -> dict[str, Tensor]:
        """The table of tokens."""
        return self.rows.state()

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Replace the table."""
        self.rows.load(state)
        self._found = None

    def _measured(self) -> Measured:
        if self._found is None:
            x = self.rows.values.long()
            self._found = self.measure(x) if len(x) >= self.least else Measured(dict.fromkeys(self.outputs, math.nan))
        return self._found


def of_means(columns: np.ndarray, names: Sequence[str], *, least: float = 0.0, most: float = math.inf) -> Measured:
    """Means of independent figures [n, k] of n sentences, with normal intervals within [least, most]."""
    mean = columns.mean(0)
    reach = student(max(1, len(columns) - 1)) * columns.std(0, ddof=1) / math.sqrt(len(columns))
    values = {name: float(m) for name, m in zip(names, mean, strict=True)}
    ends = {n: (max(least, float(m - r)), min(most, float(m + r))) for n, m, r in zip(names, mean, reach, strict=True)}
    return Measured(values, ends)


def groups_of(n: int, groups: int) -> Tensor:
    """Which group of a jackknife each of n sentences is in: int64 [n]."""
    return torch.arange(n) % groups
