"""Obedience on moving-shapes: is on the clip what was asked for? Read from the pixels (`agon.data.reading`), without a network.

    obeys  share of clips that are right in every attribute their condition names: shape, colour, size, direction. The detail has the share of
           each attribute and of each word. An attribute that cannot be read counts as wrong

The condition may be classes (`columns=direction`), tags or captions. Real clips are read rightly, so the floor is 1 and the figure is what the
generator does. Read it beside `scenes`: a generator with one clip a condition obeys.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from agon.data.reading import ATTRIBUTES, NONE, read_shapes
from agon.errors import InputError
from agon.metrics.clips import need_clips, samples_of
from agon.metrics.contract import Family, Features, Metric
from agon.metrics.jackknife import wilson
from agon.metrics.setting import Setting

WORDS = [(attribute, k, word) for attribute, words in ATTRIBUTES.items() for k, word in enumerate(words)]


class Wishes:
    """Conditions of a space as attributes: `of(y)` -> int64 [n, attributes], NONE where nothing is asked."""

    def __init__(self, classes: Sequence[str] = (), tags: Sequence[str] = (), words: Sequence[str] = ()) -> None:
        self.captions, self.tags = bool(words), bool(tags)
        self.places = {k: _place(name) for k, name in enumerate(classes or tags or words) if _place(name) is not None}

    @property
    def attributes(self) -> tuple[str, ...]:
        """Those that can be asked for, in the order of ATTRIBUTES."""
        asked = {place[0] for place in self.places.values() if place is not None}
        return tuple(name for k, name in enumerate(ATTRIBUTES) if k in asked)

    def of(self, y: Tensor) -> Tensor:
        """Classes int64 [n], tags float [n, k] or captions int64 [n, L]."""
        wanted = torch.full((len(y), len(ATTRIBUTES)), NONE)
        for k, place in self.places.items():
            assert place is not None
            there = (y == k + 1).any(1) if self.captions else y[:, k] > 0.5 if self.tags else y == k
            wanted[there, place[0]] = place[1]
        return wanted


def _place(name: str) -> tuple[int, int] | None:
    """Attribute and value that a class, tag (`red` or `colour=red`) or word names."""
    word = name.rsplit("=", 1)[-1].strip().lower()
    return next(((list(ATTRIBUTES).index(attribute), k) for attribute, k, known in WORDS if known == word), None)


def read_attributes(x: Tensor) -> Tensor:
    """The attributes of clips uint8 [n, T, 3, H, W]: int64 [n, attributes], NONE where unclear."""
    reading = read_shapes(x)
    return torch.stack([getattr(reading, name) for name in ATTRIBUTES], 1)


class Obeys(Metric):
    """Counts of what was asked and what was right: of clips, and of each word."""

    outputs: ClassVar[tuple[str, ...]] = ("obeys",)
    higher_is_better: ClassVar[Mapping[str, bool]] = {"obeys": True}

    def __init__(self, wishes: Wishes) -> None:
        self.wishes = wishes
        self.clips, self.asked, self.right = torch.zeros(2, dtype=torch.float64), *torch.zeros(2, len(WORDS), dtype=torch.float64)

    def update(self, batch: Features) -> None:
        """Read and compare."""
        assert batch.condition is not None, "samples come without what they were asked to be"
        wanted, seen = self.wishes.of(batch.condition.cpu()), read_attributes(samples_of(batch))
        named = wanted != NONE
        right = wanted == seen
        clips = named.any(1)
        self.clips = self.clips + torch.stack([clips.sum(), (clips & (right | ~named).all(1)).sum()]).double()
        for k, (attribute, value, _) in enumerate(WORDS):
            column = list(ATTRIBUTES).index(attribute)
            there = wanted[:, column] == value
            self.asked[k] += there.sum()
            self.right[k] += (there & right[:, column]).sum()

    def compute(self) -> dict[str, float]:
        """{"obeys": share}; not-a-number where nothing was asked."""
        return {"obeys": float(self.clips[1] / self.clips[0]) if self.clips[0] > 0 else math.nan}

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Wilson's."""
        return {"obeys": wilson(self.compute()["obeys"], float(self.clips[0]))}

    def settings(self) -> str:
        """The attributes asked for."""
        return f"asked {', '.join(self.wishes.attributes)}"

    def detail(self) -> dict[str, Any]:
        """The share that is right of each attribute and of each word."""
        by_attribute = {}
        for name in self.wishes.attributes:
            mine = torch.tensor([attribute == name for attribute, _, _ in WORDS])
            by_attribute[name] = _share(self.right[mine].sum(), self.asked[mine].sum())
        by_word = {word: _share(self.right[k], self.asked[k]) for k, (_, _, word) in enumerate(WORDS) if self.asked[k] > 0}
        return {"by_attribute": by_attribute, "by_word": by_word}

    def state(self) -> dict[str, Tensor]:
        """clips [2], asked and right [words]."""
        return {"clips": self.clips, "asked": self.asked, "right": self.right}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Replace the counts."""
        self.clips, self.asked, self.right = state["clips"], state["asked"].clone(), state["right"].clone()


def _share(right: Tensor, asked: Tensor) -> float:
    return round(float(right / asked.clamp_min(1)), 4)


def need_shapes(setting: Setting, metric: str) -> None:
    """Raises InputError for anything but moving-shapes."""
    space = need_clips(setting, metric)
    if setting.data_set.card.get("path") != "moving-shapes" or space.channels != 3:
        raise InputError(
            f"metric '{metric}' reads the shapes of the embedded set moving-shapes, and the data are {setting.data_set.card.get('path')}; "
            "use class_accuracy with --extractor clips for other labelled clips."
        )


def build(setting: Setting, expected: int) -> Obeys:
    """For conditional generators of moving-shapes. Raises InputError otherwise."""
    need_shapes(setting, "obeys")
    if not setting.conditioned:
        raise InputError("metric 'obeys' needs a conditional generator, and this one is asked for nothing; use formed and scenes.")
    space = setting.data_set.space
    wishes = Wishes(space.classes, space.tags, space.words)
    if not wishes.attributes:
        raise InputError(f"metric 'obeys' needs a condition that names {', '.join(ATTRIBUTES)}; this one is {space.describe()}.")
    return Obeys(wishes)


FAMILY = Family(name="obeys", outputs=Obeys.outputs, build=build, features=False, sight={"clips": {"obeys": "sssggbsbbb"}})
