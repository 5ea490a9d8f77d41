"""Perceptual path length: how far a picture moves, to the eye, for a small step in the latents. Karras et al. 2019, arXiv:1812.04948, §4.1.

    l_Z = E[ d( G(slerp(z₁, z₂; t)), G(slerp(z₁, z₂; t + ε)) ) / ε² ]            sec. 4.1
    l_W = E[ d( g(lerp(w₁, w₂; t)), g(lerp(w₁, w₂; t + ε)) ) / ε² ]              the same, where the generator has a mapping and a synthesis

with t uniform in [0, 1), ε = 10⁻⁴, d a squared perceptual distance: LPIPS-squeeze where its weights are given (lpips.py), else the squared
distance of the extractor's features. As in the authors' code, the lowest and the highest 1 % are left out: a jump between modes would
otherwise be the whole figure. Both ends have the same class and the same noise. Pictures are not rounded to bytes, which would swallow the step.

*Differs*: published figures are LPIPS on VGG16, over 100,000 pairs, of pictures averaged down to 256 pixels; with LPIPS-squeeze or with features
the figure compares with none of them. Values beyond [-1, 1] are clamped, as where a sample is shown, so that a step out there has no length; the
authors' code does not clamp.

ε in float32: rounding moves a feature by about 10⁻⁷ of its size, the step by 10⁻⁴ times the slope, so the rounding's share of d is 10⁻⁶ over the
squared slope: below a thousandth down to lengths of about 10⁻³ of the features' squared size. A test holds ε = 10⁻⁴ in float32 against float64.

Smoothness is no quality: a constant generator has length 0. There is no floor: real pictures have no latents.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import ClassVar

import torch
from torch import Tensor

from agon.errors import InputError
from agon.metrics import jackknife, lpips
from agon.metrics.contract import Family, Features, Metric, Probe
from agon.metrics.setting import Setting

PAIRS = 2_000
EPSILON = 1e-4
_TAIL = 0.01
_BATCH = 50
Distance = Callable[[Tensor, Tensor], Tensor]  # float32 [n, C, H, W] in 0..255, twice -> float64 [n]


def lerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """a + t (b − a) for rows: t [n]."""
    return a + (b - a) * t.reshape(-1, *[1] * (a.dim() - 1))


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """From a to b along the great circle of their directions, as the paper's code: both are normalised first, so lengths are √d throughout."""
    size = math.sqrt(a[0].numel())
    a, b = (x.flatten(1) / x.flatten(1).norm(dim=1, keepdim=True) for x in (a, b))
    cosine = (a * b).sum(1, keepdim=True).clamp(-1, 1)
    angle = t[:, None].to(a) * torch.acos(cosine)
    side = torch.nn.functional.normalize(b - cosine * a, dim=1)
    return size * (a * angle.cos() + side * angle.sin())


def lengths(probe: Probe, distance: Distance, pairs: int, *, epsilon: float = EPSILON, seed: int = 0) -> Tensor:
    """d / ε² for `pairs` random places, float64 [pairs]."""
    between = lerp if probe.latent == "w" else slerp
    found = []
    for start in range(0, pairs, _BATCH):
        n, part = min(_BATCH, pairs - start), seed * 1_000_003 + start
        labels = probe.labels(n, part)
        a, b = probe.latents(n, labels, 2 * part + 1), probe.latents(n, labels, 2 * part + 2)
        # In float64, or the step itself would be rounded: t has seven digits in float32, and t + ε keeps three of ε's.
        t = torch.rand(n, generator=torch.Generator().manual_seed(part), dtype=torch.float64).to(a.device)
        here, there = (between(a.double(), b.double(), s).reshape(a.shape).to(a.dtype) for s in (t, t + epsilon))
        found.append(distance(probe.render(here, labels, part), probe.render(there, labels, part)).double().cpu() / epsilon**2)
    return torch.cat(found)


def trimmed_mean(values: Tensor) -> float:
    """Mean of what lies between the 1st and the 99th percentile; nan where something is not finite."""
    if len(values) == 0 or not bool(torch.isfinite(values).all()):
        return math.nan
    low, high = values.quantile(_TAIL, interpolation="lower"), values.quantile(1 - _TAIL, interpolation="higher")
    return float(values[(values >= low) & (values <= high)].mean())


class PathLength(Metric):
    """PPL of a probed generator; it looks at no samples, so its state is what it has measured."""

    outputs: ClassVar[tuple[str, ...]] = ("ppl",)
    higher_is_better: ClassVar[Mapping[str, bool]] = {"ppl": False}
    reference_name: ClassVar[str] = "none"

    def __init__(self, probe: Probe, distance: Distance, name: str, pairs: int = PAIRS, *, seed: int = 0) -> None:
        self.probe, self.distance, self.name, self.pairs, self.seed = probe, distance, name, pairs, seed
        self.lengths = torch.empty(0, dtype=torch.float64)

    def update(self, batch: Features) -> None:
        """Samples are not looked at."""

    def compute(self) -> dict[str, float]:
        """{"ppl": trimmed mean}, measured at the first call."""
        if len(self.lengths) == 0:
            self.lengths = lengths(self.probe, self.distance, self.pairs, seed=self.seed)
        return {"ppl": trimmed_mean(self.lengths)}

    def intervals(self) -> dict[str, tuple[float, float]]:
        """By the jackknife."""
        group = torch.arange(len(self.lengths)) % jackknife.GROUPS
        without = [trimmed_mean(self.lengths[group != g]) for g in range(jackknife.GROUPS)]
        return {"ppl": jackknife.interval(self.compute()["ppl"], torch.tensor(without, dtype=torch.float64), least=0.0)}

    def settings(self) -> str:
        """Space, step, pairs and distance."""
        return f"{self.probe.latent.upper()}, ε={EPSILON:g}, {self.pairs} pairs, {self.name}, middle 98 %"

    def state(self) -> dict[str, Tensor]:
        """lengths [pairs]."""
        return {"lengths": self.lengths}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Replace the lengths."""
        self.lengths = state["lengths"]


def build(setting: Setting, expected: int) -> PathLength:
    """For games with latents. Raises InputError otherwise."""
    if setting.probe is None:
        raise InputError("metric 'ppl' walks through latents, and this generator has none (or was given as samples only); leave it out.")
    if len(setting.data_set.space.shape) != 3:
        raise InputError(f"metric 'ppl' compares pictures, and the data are {setting.data_set.space.describe()}; leave it out.")
    network = lpips.open_lpips(setting.lpips)
    pairs = max(2 * jackknife.GROUPS, min(PAIRS, expected))
    if network is not None:
        device = getattr(setting.extractor, "device", "cpu")
        return PathLength(setting.probe, network.to(device).bytes_distance, network.name, pairs, seed=setting.seed)

    def distance(a: Tensor, b: Tensor) -> Tensor:
        # Cloned: an extractor may scale its input in place.
        return (setting.extractor(a.clone()).features - setting.extractor(b.clone()).features).square().sum(1)

    return PathLength(setting.probe, distance, f"{setting.extractor.name} features", pairs, seed=setting.seed)


FAMILY = Family(name="ppl", outputs=PathLength.outputs, build=build, streams=False, sight={"pictures": {"ppl": "bgbbb"}})
