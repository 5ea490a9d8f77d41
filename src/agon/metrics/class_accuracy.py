"""Class accuracy: the share of samples that a classifier, trained on real ones alone, puts in the class they were asked for.

The classification accuracy score's cousin (Ravuri & Vinyals 2019, arXiv:1905.10887, train the other way round); used since AC-GAN (Odena et
al. 2017, arXiv:1610.09585, §4). The classifier is Agon's own extractor: it took no part in training the generator. The floor is its
accuracy on held-out samples, which a generator can pass by drawing only easy ones: read it beside class_coverage. Sentences are told by their words
(`naive_bayes.py`), whatever the extractor: beside it read self_bleu and unique.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from agon.errors import InputError
from agon.metrics.classes import classifying, probabilities_of
from agon.metrics.contract import Family, Features, Metric
from agon.metrics.jackknife import wilson
from agon.metrics.naive_bayes import NaiveBayes, learn
from agon.metrics.rows import subset
from agon.metrics.setting import ROWS, TRAINING_ROWS, Setting, class_names, labels_of
from agon.spaces import Tokens


class ClassAccuracy(Metric):
    """Counts of asked class against seen class."""

    outputs: ClassVar[tuple[str, ...]] = ("class_accuracy",)
    higher_is_better: ClassVar[Mapping[str, bool]] = {"class_accuracy": True}

    def __init__(self, num_classes: int, names: tuple[str, ...] = (), told: NaiveBayes | None = None, held: float = math.nan) -> None:
        """told: names the class of stored sentences, in the place of the extractor's probabilities; held: its share right of held-out ones."""
        self.told, self.held = told, held
        self.names = names or tuple(str(k) for k in range(num_classes))
        self.table = torch.zeros(num_classes, num_classes, dtype=torch.float64)

    def update(self, batch: Features) -> None:
        """Count pairs (asked, seen)."""
        assert batch.asked is not None, "samples come without the class they were asked for"
        k = len(self.table)
        if self.told is None:
            seen = probabilities_of(batch).argmax(1)
        else:
            assert batch.samples is not None, "the sentences themselves are needed"
            seen = self.told(batch.samples)
        pairs = batch.asked * k + seen
        self.table = self.table + torch.bincount(pairs, minlength=k * k).reshape(k, k)

    def compute(self) -> dict[str, float]:
        """{"class_accuracy": share}."""
        total = float(self.table.sum())
        return {"class_accuracy": float(self.table.trace()) / total if total else math.nan}

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Wilson's."""
        return {"class_accuracy": wilson(self.compute()["class_accuracy"], float(self.table.sum()))}

    def settings(self) -> str:
        """How many classes; of sentences what tells them, and how often it is right of held-out ones."""
        how = "" if self.told is None else ", naive Bayes of words"
        right = "" if math.isnan(self.held) else f" ({100 * self.held:.1f}% held-out accuracy)"
        return f"{len(self.table)} classes{how}{right}"

    def detail(self) -> dict[str, Any]:
        """Accuracy of each class that was asked for."""
        asked = self.table.sum(1)
        every = zip(self.names, self.table.diagonal(), asked, strict=True)
        return {"by_class": {name: round(float(right / n), 4) for name, right, n in every if n > 0}}

    def state(self) -> dict[str, Tensor]:
        """table [asked, seen]."""
        return {"table": self.table}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Replace the table."""
        self.table = state["table"]


def build(setting: Setting, expected: int) -> ClassAccuracy:
    """For a conditional generator and an extractor that classifies. Raises InputError otherwise."""
    if not setting.labelled:
        raise InputError("metric 'class_accuracy' needs a class-conditional generator, and this one is asked for no class; use classes.")
    if isinstance(setting.data_set.space, Tokens):
        return _of_sentences(setting)
    count = classifying(setting, "class_accuracy")
    return ClassAccuracy(count, tuple(class_names(setting.data_set.space, count)))


def _of_sentences(setting: Setting) -> ClassAccuracy:
    """By words, learnt from the training split: a pass over it, about a second for 10,000 sentences."""
    train, held, space = setting.data_set.train, setting.data_set.held, setting.data_set.space
    y, asked = labels_of(train), labels_of(held)
    if y is None:
        raise InputError(
            "metric 'class_accuracy' learns what the classes look like from the training sentences, and these have none; expected a column of classes."
        )
    some, few = subset(len(train), TRAINING_ROWS, 0), subset(len(held), ROWS, 0)
    told = learn(train.x[some], y[some], space.vocabulary, space.num_classes)
    right = float((told(held.x[few]) == asked[few]).double().mean()) if asked is not None and len(held) else math.nan
    return ClassAccuracy(space.num_classes, tuple(class_names(space, space.num_classes)), told, right)


FAMILY = Family(
    name="class_accuracy",
    outputs=ClassAccuracy.outputs,
    build=build,
    sight={"pictures": {"class_accuracy": "ssbbb"}, "clips": {"class_accuracy": "sgsbbbsbbb"}},
)
