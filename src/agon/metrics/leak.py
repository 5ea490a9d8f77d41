"""Did augmentation leak into the samples? A yardstick between real pictures as they are (0) and real pictures augmented (1).

The critic of a run with augmentation sees changed pictures only; if the generator learns the change, samples come out turned, shifted, cut
or miscoloured (Karras et al. 2020, arXiv:2006.06676, fig. 3). For each group a linear discriminant is fitted between held-out real pictures
and the same pictures with the group at p = 1; the place of the samples on its axis says how augmented they look.

The discriminant sees what augmentation changes and little else: the difference of each picture from its left-right and top-bottom mirror and
from its quarter turns (flip, blit, geometry: which way up), the rows and columns next to the border against those inside (reflection), the
mean, contrast and colourfulness (colour), windows of mid-grey (cutout).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from agon.augment import GROUPS, Group, augmented
from agon.errors import InputError

TELLABLE = 0.65  # area under the curve below which real and augmented pictures are alike, so that nothing can be said


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
    if min(len(samples), len(real)) < 50:
        raise InputError(f"a leak needs 50 pictures of each side to be seen, got {len(samples)} samples and {len(real)} real ones.")
    samples, real = _floats(samples), _floats(real)
    order = torch.randperm(len(real), generator=torch.Generator().manual_seed(seed))
    fit, test = real[order[::2]], real[order[1::2]]
    return [_leak(samples, fit, test, group, _Seeded(seed + 1)) for group in policy]


def _leak(samples: Tensor, fit: Tensor, test: Tensor, group: Group, source: _Seeded) -> Leak:
    # Clamped, because samples are: a colour beyond the range would give augmentation away, and no sample could show it.
    fit_changed, test_changed = (augmented(x, (group,), 1.0, source).clamp(-1, 1) for x in (fit, test))
    plain, changed = _features(fit), _features(fit_changed)
    middle, spread = plain.mean(0), plain.std(0) + 1e-6
    plain, changed = (plain - middle) / spread, (changed - middle) / spread
    within = (plain.T.cov() + changed.T.cov()) / 2
    ridge = 0.1 * within.diagonal().mean() * torch.eye(len(within), dtype=within.dtype)
    axis = torch.linalg.solve(within + ridge, changed.mean(0) - plain.mean(0))

    def places(x: Tensor) -> Tensor:
        return ((_features(x) - middle) / spread).clamp(-8, 8) @ axis  # one wild picture must not decide

    at_real, at_changed, at_samples = places(test), places(test_changed), places(samples)
    auc = float((at_changed[:, None] > at_real[None]).double().mean())
    gap = float(at_changed.mean() - at_real.mean())
    if auc < TELLABLE or gap <= 0:
        return Leak(group, None, None, auc)
    error = (at_samples.var() / len(at_samples) + at_real.var() / len(at_real)).sqrt()
    return Leak(group, float(at_samples.mean() - at_real.mean()) / gap, float(error) / gap, auc)


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
