"""Fréchet distance and coverage within each class, averaged over classes: what a figure over all classes hides.

    class_fd        mean over classes of FD(generated of the class, real of the class): intra-FID of Miyato & Koyama 2018, arXiv:1802.05637, §4
    class_coverage  mean over classes of coverage (Naeem et al. 2020, arXiv:2002.09797)

A sample belongs to the class it was asked for; samples of an unconditional generator to the one the classifier sees. Real pictures belong to
their label. A class with fewer than 10 samples counts as not covered and makes class_fd undefined; the detail has every class.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from agon.errors import InputError
from agon.metrics import jackknife
from agon.metrics.contract import Family, Features, Metric
from agon.metrics.frechet import frechet_distance
from agon.metrics.moments import Moments
from agon.metrics.prdc import K_DENSITY, prdc_without
from agon.metrics.rows import Rows
from agon.metrics.setting import Setting, class_names

LIMIT = 10_000
LEAST = 10
NOT_SEEN = -1  # the class of a row that has not come yet is this, stored plus one so that ranks may add


class Classwise(Metric):
    """Both figures of a stream of `expected` features against real rows [m, d] and their classes int64 [m]."""

    outputs: ClassVar[tuple[str, ...]] = ("class_fd", "class_coverage")
    higher_is_better: ClassVar[Mapping[str, bool]] = {"class_fd": False, "class_coverage": True}

    def __init__(
        self, real: Tensor, classes: Tensor, names: tuple[str, ...], expected: int, *, asked: bool = True, seed: int = 0,
        share: tuple[int, int] = (0, 1),
    ) -> None:  # fmt: skip
        self.real, self.classes, self.names, self.asked = real.double(), classes, names, asked
        self.rows = Rows(real.shape[1] + 1, expected, LIMIT, seed=seed, share=share)
        self._by_class: dict[str, dict[str, float]] = {}
        self._coverage: list[Tensor] = []
        self._few: list[str] = []  # classes with too few real samples
        self._values: dict[str, float] = {}

    def update(self, batch: Features) -> None:
        """Keep the rows and their classes."""
        y = batch.asked if self.asked else None
        if y is None:
            assert batch.probabilities is not None, "samples without classes need an extractor that classifies"
            y = batch.probabilities.argmax(1)
        self.rows.add(torch.cat([batch.features.double(), y[:, None].double() - NOT_SEEN], 1))

    def compute(self) -> dict[str, float]:
        """Both, and each class's in the detail."""
        rows = self.rows.values
        fake, y = rows[:, :-1], rows[:, -1].long() + NOT_SEEN
        self._by_class, self._coverage, self._few, fds, covered = {}, [], [], [], []
        finite = bool(torch.isfinite(fake).all())
        for k, name in enumerate(self.names):
            real, mine = self.real[self.classes == k], fake[y == k]
            if len(real) <= K_DENSITY:
                self._few.append(name)
            if len(real) <= K_DENSITY or not finite:
                continue
            fd = coverage = math.nan
            without: dict[str, Tensor] = {}
            if len(mine) >= LEAST:
                a, b = Moments.of(mine), Moments.of(real)
                fd = frechet_distance(a.mean, a.cov, b.mean, b.cov)
                found, without = prdc_without(real, mine, groups=5 if len(mine) >= 50 else 1)
                coverage = found["coverage"]
            fds.append(fd)
            covered.append(0.0 if math.isnan(coverage) else coverage)
            self._by_class[name] = {"n": len(mine), "fd": round(fd, 4), "coverage": round(covered[-1], 4)}
            if "coverage" in without:
                self._coverage.append(without["coverage"])
        if not fds:
            self._values = dict.fromkeys(self.outputs, math.nan)
        else:
            self._values = {"class_fd": sum(fds) / len(fds), "class_coverage": sum(covered) / len(covered)}
        return self._values

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Of coverage: the jackknives of the classes, whose samples are independent, put together."""
        if not self._coverage or len(self._coverage) < len(self._by_class):
            return {}
        variance = sum(float((w - w.mean()).square().sum()) * (len(w) - 1) / len(w) for w in self._coverage) / len(self._coverage) ** 2
        reach = jackknife.student(4 * len(self._coverage)) * math.sqrt(variance)
        value = self._values["class_coverage"]
        return {"class_coverage": (max(0.0, value - reach), min(1.0, value + reach))}

    def settings(self) -> str:
        """Whose classes, and how many rows."""
        return f"{len(self.names)} classes {'as asked' if self.asked else 'as classified'}, {len(self.rows.table)} against {len(self.real)}"

    def detail(self) -> dict[str, Any]:
        """n, fd and coverage of each class."""
        return {"by_class": self._by_class}

    def remark(self, name: str) -> str:
        """The worst class, which a mean hides."""
        if not self._by_class or name not in self.outputs:
            return ""
        few = f"; not judged, of {K_DENSITY} real samples or fewer: {', '.join(self._few)}" if self._few else ""
        worst, told = worst_first(self._by_class, "fd" if name == "class_fd" else "coverage")[0]
        if told["n"] < LEAST:
            return f"worst class '{worst}': {told['n']:.0f} samples of it, too few to judge{few}"
        return f"worst class '{worst}': " + (f"{told['fd']:.4g}" if name == "class_fd" else f"coverage {told['coverage']:.2f}") + few

    def state(self) -> dict[str, Tensor]:
        """The table of rows, the last column a class."""
        return self.rows.state()

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Replace the table."""
        self.rows.load(state)


def worst_first(by_class: Mapping[str, Mapping[str, float]], key: Literal["fd", "coverage"]) -> list[tuple[str, Mapping[str, float]]]:
    """Classes with what is known of them, the worst by this figure first; those with too few samples before all."""

    def badness(told: Mapping[str, float]) -> tuple[bool, float]:
        return (told["n"] < LEAST, -told["n"] if told["n"] < LEAST else told["fd"] if key == "fd" else -told["coverage"])

    return sorted(by_class.items(), key=lambda pair: badness(pair[1]), reverse=True)


def build(setting: Setting, expected: int) -> Classwise:
    """By asked class, or by the classifier. Raises InputError for data without classes."""
    classes = setting.classes
    if classes is None:
        raise InputError("metrics 'class_fd' and 'class_coverage' need labelled data, and this has no classes; use fd and prdc.")
    if not setting.labelled and setting.extractor.num_classes == 0:
        raise InputError(
            "metrics 'class_fd' and 'class_coverage' need to know each sample's class: this generator is asked for none, and "
            f"{setting.extractor.name} tells none; use --extractor classifier."
        )
    count = max(int(classes.max()) + 1, len(setting.data_set.space.classes))
    names = tuple(class_names(setting.data_set.space, count))
    return Classwise(setting.reference.rows, classes, names, expected, asked=setting.labelled, seed=setting.seed)


FAMILY = Family(
    name="classwise", outputs=Classwise.outputs, build=build, sight={"pictures": {"class_fd": "ssssb", "class_coverage": "ssssb"}}
)
