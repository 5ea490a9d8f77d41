"""What a metric is, what a score is, and the stamp that keeps unlike scores apart.

The same name covers different numbers: published Fréchet distances of one model differ by more than a factor of two with the
resize filter, the reference split, the number of samples and the weights of the extractor. So a `Score` carries a `Stamp`, prints it,
stands beside its real-against-real floor, and `compare` refuses scores whose stamps differ.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor

from agon.errors import InputError

VERSION = 1  # raised whenever a change here alters a published figure


@dataclass(frozen=True)
class Features:
    """What is known of n samples: `features` float64 [n, d] and, where the extractor classifies, `probabilities` float64 [n, classes]."""

    features: Tensor
    probabilities: Tensor | None = None
    asked: Tensor | None = None  # int64 [n]: the class each sample was asked for, or a real one has
    samples: Tensor | None = None  # the samples themselves, in stored form
    condition: Tensor | None = None  # [n, ...]: what each sample was asked to be, whatever the kind: classes, tags, numbers, captions

    def __len__(self) -> int:
        return len(self.features)


class Extractor(Protocol):
    """Maps stored samples (uint8 [n, C, H, W] or [n, T, C, H, W], float32 [n, d] of a vector space, int32 [n, L] of sentences) to features on the CPU."""

    @property
    def name(self) -> str:
        """Kind and depth, as in "inception-fd768"."""

    @property
    def hash(self) -> str:
        """12 hex digits over everything that decides the features."""

    @property
    def dim(self) -> int:
        """Width d of the features."""

    @property
    def resize(self) -> str:
        """How the extractor itself brings pictures to its input size; "" when it takes them as they are."""

    @property
    def num_classes(self) -> int:
        """Columns of `probabilities`; 0 without."""

    @property
    def note(self) -> str:
        """A fact a reader of the score should know, such as the accuracy of the classifier; "" when none."""

    def __call__(self, x: Tensor) -> Features:
        """Features of stored samples."""


class Metric(ABC):
    """A figure over a stream of features. Its state is a set of tensors that ranks add up: a metric knows nothing of ranks.

        parts = [metric.state() for metric in one_per_rank];  metric.load(reduce(parts));  metric.compute()

    A metric that keeps rows holds a table of zeros in which each rank fills its own rows, so adding is joining.
    """

    outputs: ClassVar[tuple[str, ...]]  # the keys of compute()
    higher_is_better: ClassVar[Mapping[str, bool]]
    reference_name: ClassVar[str] = "train"  # what the figures are taken against, for the stamp

    @abstractmethod
    def update(self, batch: Features) -> None:
        """Take in the features of some more samples."""

    @abstractmethod
    def compute(self) -> dict[str, float]:
        """The figures, by name; not-a-number where they are undefined."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Everything `compute` needs, as tensors whose sum over ranks is the state of all samples."""

    @abstractmethod
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Replace the state."""

    def settings(self) -> str:
        """The metric's own settings as they stand in the stamp, such as "k=3"."""
        return ""

    def compares(self, other: Metric) -> bool:
        """Whether figures of `other`, of this family and built for another number of samples, may stand beside these."""
        return True

    def intervals(self) -> dict[str, tuple[float, float]]:
        """95 % intervals of the figures `compute` just gave, where there is an honest one: what other samples of the same generator would do.

        The reference and the training run stay as they are; how is each metric's to say (`jackknife.py` has the usual way).
        """
        return {}

    def detail(self) -> dict[str, Any]:
        """More than a number, JSON-able: a histogram, a spread."""
        return {}

    def remark(self, name: str) -> str:
        """A few words that stand beside the figure `name` just computed, such as where it is worst; "" for none."""
        return ""


@dataclass(frozen=True)
class Probe:
    """A generator laid open, for metrics that choose latents themselves. Functions of tensors only; random state is left alone.

    latent: what `latents` gives, "z" (drawn) or "w" (mapped). labels(n, seed) -> int64 [n] or None. latents(n, labels, seed) -> [n, …].
    render(latents, labels, seed) -> float32 [n, C, H, W] in 0..255, not rounded; one seed, one noise.
    """

    latent: Literal["z", "w"]
    labels: Callable[[int, int], Tensor | None]
    latents: Callable[[int, Tensor | None, int], Tensor]
    render: Callable[[Tensor, Tensor | None, int], Tensor]


@dataclass(frozen=True, kw_only=True)
class Family:
    """What a file of this folder offers: figures taken together. Each metric file holds one as FAMILY and is found by it.

    build(setting, expected) -> the metric for `expected` samples; it raises InputError where the data, the extractor or the generator
    cannot give it. streams: it looks at samples, and so has a floor; without, it asks the probe. features: it looks at what the extractor
    makes of them; without, at the samples alone, and its protocol names no extractor. usual: N where no number is asked for.
    real: which real samples stand for generated ones in the floor: held-out ones, or training ones where the held-out ones are the reference; "":
    there is no floor. pairs: it compares what is made of held-out sources with their own targets. one_sided: figures that a fault alone can win, such
    as repeating one good sample: they may not choose the best state.
    sight: what the figures make of the faults of pictures (points too), clips and text, a letter a fault in the order of report/faults.py: s, sees
    it; g, sees it when it is gross; b, is blind to it. The ladders of damage in tests/metrics/ hold it to that. unmeasured: why there is none.
    """

    name: str
    outputs: tuple[str, ...]
    build: Callable[[Any, int], Metric]
    streams: bool = True
    features: bool = True
    usual: int | None = None
    pairs: bool = False
    real: Literal["held", "train", ""] = "held"
    one_sided: tuple[str, ...] = ()
    sight: Mapping[Literal["pictures", "clips", "text"], Mapping[str, str]] = field(default_factory=dict)
    unmeasured: str = ""


def reduce(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Add the states of several ranks: the state of one metric that saw all the samples."""
    return {name: torch.stack([state[name] for state in states]).sum(0) for name in states[0]}


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """The protocol of a score: what must agree before two figures may be compared.

    `resize`: filter that brought files to the space, then the extractor's own. `reference`: split the figures are taken against.
    `note` is told beside the stamp and follows from the extractor; it takes no part in the comparison.
    """

    metric: str
    extractor: str
    extractor_hash: str
    resize: str
    reference: str
    reference_hash: str
    num_samples: int
    seed: int
    weights: str = "ema"
    settings: str = ""
    version: int = VERSION
    note: str = field(default="", compare=False)

    def __str__(self) -> str:
        mark = f"@{self.extractor_hash[:6]}" if self.extractor_hash else ""
        extractor = self.extractor + mark + (f" ({self.note})" if self.note else "")
        parts = [extractor, self.resize, f"{self.reference}@{self.reference_hash[:6]}", f"N={self.num_samples}", self.settings]
        version = f"v{self.version}" if self.version != VERSION else ""
        return " · ".join(part for part in (*parts, f"seed {self.seed}", self.weights, version) if part)


@dataclass(frozen=True, kw_only=True)
class Score:
    """A figure, the figure real held-out samples reach under the same protocol (`floor`), and that protocol.

    `floor_samples`: N of the floor when it had to differ from the score's. `note`: a plain warning or remark. `extra`: JSON-able detail.
    `low`, `high`: 95 % interval over samples of this generator. `cost_s`: processor time of its family of figures, beside drawing the
    samples and looking at them, which all figures share. `sight`: which faults it sees, the letters of its `Family`; "" where none was measured.
    """

    name: str
    value: float
    floor: float | None
    protocol: Stamp
    higher_is_better: bool
    floor_samples: int | None = None
    note: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
    low: float | None = None
    high: float | None = None
    cost_s: float | None = None
    sight: str = ""

    def __str__(self) -> str:
        floor = "no floor" if self.floor is None else f"floor {figure(self.floor)}"
        if self.floor is not None and self.floor_samples not in (None, self.protocol.num_samples):
            floor += f" at N={self.floor_samples}"
        between = "" if self.low is None or self.high is None else f" [{figure(self.low)}, {figure(self.high)}]"
        cost = "" if self.cost_s is None else f" · {self.cost_s:.1f} CPU-s"
        note = f" · note: {self.note}" if self.note else ""
        return f"{self.name} {figure(self.value)}{between} ({floor}) · {self.protocol}{cost}{note}"

    def to_json(self) -> dict[str, Any]:
        """JSON-able; numbers that are not finite become null."""
        told = {name: _finite(getattr(self, name)) for name in ("value", "floor", "low", "high", "cost_s")}
        return {**asdict(self), **told}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Score:
        """The inverse of `to_json`; other keys of a metrics.jsonl row are left aside. Raises InputError on a missing one."""
        try:
            known = {f.name: content[f.name] for f in fields(cls) if f.name in content}
            value = math.nan if known["value"] is None else float(known["value"])
            told = {f.name: known["protocol"][f.name] for f in fields(Stamp) if f.name in known["protocol"]}
            return cls(**{**known, "value": value, "protocol": Stamp(**told)})
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"this is not a score: {error}; expected what Score.to_json writes, a row of metrics.jsonl") from None


def compare(scores: Iterable[Score], *, across: Sequence[str] = ()) -> list[Score]:
    """Scores best first, if their stamps agree; `across` names stamp fields that may differ (`seed`, for a spread over seeds).

    Raises InputError naming the first field that differs and what the scores have there.
    """
    ordered = list(scores)
    names = [f.name for f in fields(Stamp) if f.compare]
    unknown = [name for name in across if name not in names]
    if unknown:
        raise InputError(f"across got '{unknown[0]}'; expected fields of the stamp: {', '.join(names)}")
    for name in names:
        values = list(dict.fromkeys(getattr(score.protocol, name) for score in ordered))
        if len(values) > 1 and name not in across:
            shown = " and ".join(f"'{value}'" if isinstance(value, str) else str(value) for value in values[:3])
            raise InputError(
                f"these scores cannot be compared: {name} differs, {shown}; expected one protocol. "
                f"Score them again alike, or pass across=('{name}',) if you know why the difference is harmless."
            )
    sign = -1.0 if ordered and ordered[0].higher_is_better else 1.0
    return sorted(ordered, key=lambda score: math.inf if math.isnan(score.value) else sign * score.value)


def figure(value: float) -> str:
    """A number for people: four significant digits, no exponent in the usual range."""
    if value != 0 and math.isfinite(value) and not 1e-4 <= abs(value) < 1e5:
        return f"{value:.3e}"
    return f"{value:.4g}"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
