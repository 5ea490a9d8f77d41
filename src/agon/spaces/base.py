"""What every space is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from torch import Tensor

SpaceT = TypeVar("SpaceT", bound="Space")


class Space(ABC):
    """What one sample is: its shape, its way from file to network and back to something a person can look at."""

    classes: tuple[str, ...]  # names of exclusive classes: y is int64 [n]
    tags: tuple[str, ...]  # names of labels that may go together: y is float [n, k] of 0 and 1
    numbers: tuple[str, ...]  # names of measured values: y is float [n, k], standardised
    words: tuple[str, ...] = ()  # vocabulary of captions: y is int64 [n, L], word k as k + 1, padded with 0
    source: Any = None  # space of what a sample is made from: y is a batch of that space
    kind: str
    gallery: ClassVar[int | None] = None  # samples in a run's fixed picture; None: a grid that shows the conditions
    bounded: ClassVar[bool] = False  # values as networks see them lie in [-1, 1]
    suffixes: ClassVar[tuple[str, ...]] = (".png",)  # the files in which a run shows its samples

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample, without the batch."""

    @abstractmethod
    def normalise(self, x: Tensor) -> Tensor:
        """Stored samples [B, *shape] -> what networks see, float32, on the device of `x`."""

    def ready(self, batch: dict[str, Any]) -> dict[str, Any]:
        """A stored batch on the device as the players see it: "x" normalised, "y" only where the space has a condition, the rest as it is."""
        shown = {k: v for k, v in batch.items() if k != "y" or self.condition_dim}
        return {**shown, "x": self.normalise(batch["x"])}

    @abstractmethod
    def to_bytes(self, x: Tensor) -> Tensor:
        """What networks give [B, *shape] -> the stored form, the inverse of `normalise` up to rounding."""

    def arbitrary(self, uniform: Tensor) -> Tensor:
        """Uniform noise [B, *shape] in [0, 1) -> samples in stored form that mean nothing, for tests."""
        return self.to_bytes(uniform * 2 - 1)

    def likeness(self, x: Tensor) -> Tensor:
        """What players see [n, *shape] -> what distances between samples are taken of, float [n, ...]: the values themselves, unless they are names."""
        return x

    @abstractmethod
    def render(self, x: Tensor, path: Path | str, *, columns: int | None = None) -> Path:
        """Write a picture of samples, the format chosen by the suffix of `path`; returns the path."""

    @abstractmethod
    def describe(self) -> str:
        """One phrase for people: "32×32 grey images, 10 classes"."""

    @property
    def num_classes(self) -> int:
        """How many classes a conditional game sees; 0 when unlabelled."""
        return len(self.classes)

    @property
    def condition_dim(self) -> int:
        """How many classes, tags, numbers or words a conditional game knows; at most one of the four is there."""
        return len(self.classes or self.tags or self.numbers or self.words)

    def unlabelled(self: SpaceT) -> SpaceT:
        """The same space without a condition."""
        fields = ("classes", "tags", "numbers", "words")
        return replace(self, **{name: () for name in fields if getattr(self, name)})  # type: ignore[type-var]

    def _class_phrase(self) -> str:
        named = (("classes", self.classes), ("tags", self.tags), ("numbers", self.numbers), ("caption words", self.words))
        return "".join(f", {len(names)} {word}" for word, names in named if names)
