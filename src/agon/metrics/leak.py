"""Did augmentation leak into the samples? A yardstick between real pictures as they are (0) and real pictures augmented (1).

The critic of a run with augmentation sees changed pictures only; if the generator learns the change, samples come out turned, shifted, cut
or miscoloured (Karras et al. 2020, arXiv:2006.06676, fig. 3). For each group a linear discriminant is fitted between held-out real pictures
(where fewer than 50 are held out, as of the few pictures that are augmented most, training pictures with them) and the same pictures with the
group at p = 1; the place of the samples on its axis says how augmented they look.

The discriminant sees what augmentation changes and little else: the difference of each picture from its left-right and top-bottom mirror and
from its quarter turns (flip, blit, geometry: which way up), the rows and columns next to the border against those inside (reflection), the
mean, contrast and colourfulness (colour), windows of mid-grey (cutout).

`leaks` takes pictures; the family `leak` takes a run's samples and the policy its critics were shown (`agon eval RUN -m leak`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from agon.augment import GROUPS, Group, augmented
from agon.errors import InputError
from agon.metrics.contract import Family, Features, Metric
from agon.metrics.rows import subset
from agon.metrics.setting import Setting

TELLABLE = 0.65  # area under the curve below which real and augmented pictures are alike, so that nothing can be said
LEAST = 50  # pictures of each side
MOST = 2_000  # held-out pictures that the axes are fitted on: a few hundred features need no more


@dataclass(frozen=True)
class Leak:
    """What was found for one group.

    leak: 0, samples look like real pictures; 1, like augmented ones; None where real and augmented cannot be told apart (a mirrored
        flower is a flower): then a leak would be harmless. error: standard error of `leak`. auc: how well real and augmented are told apart.
    """

    group: Group
    leak: float | None
    error: float | None
    auc: float

    def __str__(self) -> str:
        if self.leak is None:
            return f"{self.group}: cannot be told (real and augmented are alike, AUC {self.auc:.2f})"
        return f"{self.group}: leak {self.leak:+.2f} ± {self.error:.2f} (0 real, 1 augmented; AUC {self.auc:.2f})"


class _Seeded:
    """Random numbers of a seed, apart from the global ones."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def rand(self, n: int, *shape: int) -> Tensor:
        return torch.rand(n, *shape, generator=self.generator)

    def randn(self, n: int, *shape: int) -> Tensor:
        return torch.randn(n, *shape, generator=self.generator)


def leaks(samples: Tensor, real: Tensor, policy: Sequence[Group] = GROUPS, *, seed: int = 0) -> list[Leak]:
    """Leak of each group of a policy. samples, real: uint8 [n, C, H, W] or float in [-1, 1]; at least 50 each, the more the better.

    `real` should be pictures that were not trained on. Blur and other faults of samples can move them along an axis as well, so compare
    with the figure of a run without augmentation where there is one. Raises InputError for too few pictures.
    """
    if min(len(samples), len(real)) < LEAST:
        raise InputError(f"a leak needs {LEAST} pictures of each side to be seen, got {len(samples)} samples and {len(real)} real ones.")
    found = []
    for axis in _axes(real, policy, seed):
        places = axis.places(_floats(samples))
        found.append(axis.leak(len(places), float(places.mean()), float(places.var())))
    return found


@dataclass(frozen=True)
class _Axis:
    """The direction from real pictures to the same ones augmented by one group, and where held-out real ones lie on it."""

    group: Group
    middle: Tensor
    spread: Tensor
    along: Tensor
    real: Tensor  # places of the real pictures it was not fitted on
    gap: float  # from their mean to that of the same ones augmented
    auc: float

    def places(self, x: Tensor) -> Tensor:
        """Where pictures [n, C, H, W] in [-1, 1] lie, float64 [n]."""
        return ((_features(x) - self.middle) / self.spread).clamp(-8, 8) @ self.along  # one wild picture must not decide

    def leak(self, n: float, mean: float, variance: float) -> Leak:
        """Of n samples whose places have this mean and variance."""
        if self.auc < TELLABLE or self.gap <= 0:
            return Leak(self.group, None, None, self.auc)
        error = math.sqrt(max(0.0, variance) / n + float(self.real.var()) / len(self.real))
        return Leak(self.group, (mean - float(self.real.mean())) / self.gap, error / self.gap, self.auc)


def _axes(real: Tensor, policy: Sequence[Group], seed: int) -> list[_Axis]:
    """An axis for each group, fitted on every second of the real pictures."""
    real = _floats(real)
    order = torch.randperm(len(real), generator=torch.Generator().manual_seed(seed))
    return [_axis(real[order[::2]], real[order[1::2]], group, _Seeded(seed + 1)) for group in policy]


def _axis(fit: Tensor, test: Tensor, group: Group, source: _Seeded) -> _Axis:
    # Clamped, because samples are: a colour beyond the range would give augmentation away, and no sample could show it.
    fit_changed, test_changed = (augmented(x, (group,), 1.0, source).clamp(-1, 1) for x in (fit, test))
    plain, changed = _features(fit), _features(fit_changed)
    middle, spread = plain.mean(0), plain.std(0) + 1e-6
    plain, changed = (plain - middle) / spread, (changed - middle) / spread
    within = (plain.T.cov() + changed.T.cov()) / 2
    ridge = 0.1 * within.diagonal().mean() * torch.eye(len(within), dtype=within.dtype)
    along = torch.linalg.solve(within + ridge, changed.mean(0) - plain.mean(0))
    axis = _Axis(group, middle, spread, along, torch.zeros(0), 0.0, 0.0)
    at_real, at_changed = axis.places(test), axis.places(test_changed)
    auc = float((at_changed[:, None] > at_real[None]).double().mean())
    return replace(axis, real=at_real, gap=float(at_changed.mean() - at_real.mean()), auc=auc)


class Leaking(Metric):
    """The worst leak of the groups that a run's critics were shown, from sums of the samples' places on each group's axis."""

    outputs: ClassVar[tuple[str, ...]] = ("leak",)
    reference_name: ClassVar[str] = "held"
    higher_is_better: ClassVar[Mapping[str, bool]] = {"leak": False}

    def __init__(self, real: Tensor, policy: Sequence[Group], *, trained_on: int = 0, seed: int = 0) -> None:
        self.axes, self.num_real, self.trained_on = _axes(real, policy, seed), len(real), trained_on
        if trained_on:
            self.reference_name = "held and train"  # type: ignore[misc]
        self._state = {"sums": torch.zeros(len(policy), 3, dtype=torch.float64)}  # of each group: n, places, their squares

    def update(self, batch: Features) -> None:
        """Place the samples on every axis."""
        assert batch.samples is not None, "looks at the samples themselves"
        places = torch.stack([axis.places(_floats(batch.samples)) for axis in self.axes])
        more = torch.stack(
            [torch.full((len(places),), float(places.shape[1]), dtype=torch.float64), places.sum(1), places.square().sum(1)], 1
        )
        self._state = {"sums": self._state["sums"] + more}

    def leaks(self) -> list[Leak]:
        """What is found for each group so far."""
        found = []
        for axis, (n, total, squares) in zip(self.axes, self._state["sums"].tolist(), strict=True):
            if n < 2:
                return []
            found.append(axis.leak(n, total / n, (squares - total**2 / n) / (n - 1)))
        return found

    def _worst(self) -> Leak | None:
        return max((found for found in self.leaks() if found.leak is not None), key=lambda found: found.leak or 0.0, default=None)

    def compute(self) -> dict[str, float]:
        """{"leak": the largest}; not-a-number where no group can be told from real pictures."""
        worst = self._worst()
        return {"leak": math.nan if worst is None or worst.leak is None else worst.leak}

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Of the worst group, two standard errors either way; both sides of the yardstick are in it."""
        worst = self._worst()
        if worst is None or worst.leak is None or worst.error is None:
            return {}
        return {"leak": (worst.leak - 1.96 * worst.error, worst.leak + 1.96 * worst.error)}

    def remark(self, name: str) -> str:
        """Each group's."""
        return "; ".join(map(str, self.leaks()))

    def settings(self) -> str:
        """The groups, and which pictures the axes come from."""
        also = f" and {self.trained_on} training" if self.trained_on else ""
        return f"worst of {', '.join(axis.group for axis in self.axes)}; axes of {self.num_real - self.trained_on} held-out{also} pictures"

    def detail(self) -> dict[str, Any]:
        """leak, error and auc of each group."""
        return {"by_group": {found.group: {"leak": found.leak, "error": found.error, "auc": found.auc} for found in self.leaks()}}

    def state(self) -> dict[str, Tensor]:
        """sums [groups, 3]."""
        return dict(self._state)

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Replace the sums."""
        self._state = dict(state)


def build(setting: Setting, expected: int) -> Leaking:
    """For runs whose critics see augmented pictures. Raises InputError otherwise, and for too few pictures."""
    if not setting.policy:
        raise InputError(
            "metric 'leak' asks whether augmentation has got into the samples, and this run's critics see pictures as they are (game.augment is "
            "null); leave it out."
        )
    if len(setting.data_set.space.shape) != 3:
        raise InputError(f"metric 'leak' looks at pictures, and the data are {setting.data_set.space.describe()}; leave it out.")
    held, train = setting.data_set.held.x, setting.data_set.train.x
    if expected < LEAST:
        raise InputError(f"metric 'leak' needs {LEAST} samples, and {expected} were asked for; ask for more by --num-samples.")
    if len(held) >= LEAST:
        return Leaking(held[subset(len(held), MOST, 0)], setting.policy, seed=setting.seed)
    if len(held) + len(train) < LEAST:
        raise InputError(
            f"metric 'leak' needs {LEAST} real pictures to learn what augmented ones look like, and there are {len(held) + len(train)} in all; leave it out."
        )
    also = train[subset(len(train), MOST, 0)]
    return Leaking(torch.cat([held, also]), setting.policy, trained_on=len(also), seed=setting.seed)


def _floats(x: Tensor) -> Tensor:
    return x.double() / 127.5 - 1 if x.dtype == torch.uint8 else x.double()


def _features(x: Tensor) -> Tensor:
    """float64 [n, d] of pictures [n, C, H, W]: a small picture, its differences from mirrors, borders, colour and greyness."""
    small = functional.adaptive_avg_pool2d(x, (min(6, x.shape[2]), min(6, x.shape[3])))
    rows, columns = (x[:, :, 1:] - x[:, :, :-1]).abs().mean((1, 3)), (x[..., 1:] - x[..., :-1]).abs().mean((1, 2))
    edge = min(4, rows.shape[1], columns.shape[1])
    detail = torch.cat([rows[:, :edge], rows[:, -edge:], columns[:, :edge], columns[:, -edge:]], 1)
    # A reflected border repeats what is beside it: x[k - i] = x[k + i].
    folds = [
        (x.narrow(d, k - 1, 1) - x.narrow(d, k + 1, 1)).abs().mean((1, 2, 3)) for d in (2, 3) for k in (1, 2, 3, -2, -3, -4)
        if 0 < k % x.shape[d] < x.shape[d] - 1 for k in (k % x.shape[d],)
    ]  # fmt: skip
    channels = x.mean((2, 3))
    spread = x.std((2, 3))
    colourful = (x - x.mean(1, keepdim=True)).abs().mean((1, 2, 3))
    ends = (x.abs() > 0.99).double().mean((1, 2, 3))
    window = (max(2, x.shape[2] // 4), max(2, x.shape[3] // 4))
    flat = functional.avg_pool2d((x.abs() < 0.05).all(1, keepdim=True).double(), window, 1).flatten(1)
    grey = [flat.mean(1), flat.amax(1), (flat > 0.9).double().mean(1)]
    loud = [spread.mean(1).clamp_min(1e-3).log(), colourful.clamp_min(1e-3).log(), channels.abs().mean(1), channels.mean(1).square()]
    return torch.cat([small.flatten(1), detail, channels, spread, torch.stack([*folds, colourful, ends, *grey, *loud], 1)], 1)


# One-sided: samples can be as little augmented as they like and show nothing. The floor is the training split in the samples' place.
FAMILY = Family(
    name="leak",
    outputs=Leaking.outputs,
    build=build,
    features=False,
    real="train",
    one_sided=Leaking.outputs,
    sight={"pictures": {"leak": "ssbbb"}},
)
