"""Scores of a sampler: one pass over its samples for all metrics, each figure with its stamp and its real-against-real floor.

The reference is the training split; the floor is the same metric with held-out real samples in the place of generated ones. What real data
cost is paid once: features of the reference and floors are kept in the cache, by content.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agon.errors import InputError, suggest
from agon.metrics import kernel, prdc, toy
from agon.metrics.cache import Say, digest, read_numbers, read_tensors, write_numbers, write_tensors
from agon.metrics.contract import VERSION, Extractor, Metric, Score, Stamp
from agon.metrics.features import default_cache
from agon.metrics.frechet import Frechet, Moments
from agon.metrics.inception_score import Classes, InceptionScore
from agon.metrics.rows import subset
from agon.spaces import Image, Vector

NUM_SAMPLES = 10_000
ROWS = 10_000  # real samples that neighbours and kernels see
_SUBSET_SEED = 0
assert min(kernel.LIMIT, prdc.LIMIT) >= ROWS

_FAMILY = {
    "fd": "fd", "kid": "kid", "is": "is", "classes": "classes", "modes": "modes", "quality": "modes",
    "precision": "prdc", "recall": "prdc", "density": "prdc", "coverage": "prdc",
}  # fmt: skip
METRICS = (*_FAMILY, "prdc")  # prdc asks for its four


@dataclass
class Reference:
    """The training split as an extractor sees it: sums over all of it, and `rows` float64 [m, d], a fixed subset of at most ROWS."""

    moments: Moments
    rows: Tensor


@dataclass
class _Job:
    """What a metric is built from."""

    data_set: Any
    extractor: Extractor
    seed: int
    cache: Path
    batch: int
    say: Say | None
    _reference: Reference | None = field(default=None, repr=False)

    @property
    def reference(self) -> Reference:
        if self._reference is None:
            self._reference = read_reference(self.data_set, self.extractor, cache=self.cache, batch=self.batch, say=self.say)
        return self._reference

    def metric(self, family: str, expected: int) -> Metric:
        if family == "fd":
            return Frechet(self.reference.moments)
        if family == "kid":
            return kernel.KernelDistance(self.reference.rows, expected, seed=self.seed)
        if family == "prdc":
            return prdc.PRDC(self.reference.rows, expected, seed=self.seed)
        if family == "modes":
            return toy.Modes(*_modes(self.data_set))
        if self.extractor.num_classes == 0:
            raise InputError(
                f"metric '{family}' needs class probabilities, and {self.extractor.name} gives none; use --extractor classifier"
            )
        if family == "is":
            return InceptionScore(self.extractor.num_classes)
        return Classes(self.extractor.num_classes, tuple(self.data_set.space.classes))


def evaluate(
    sampler: Callable[[int], Tensor], data_set: Any, metrics: Sequence[str], *, extractor: Extractor, num_samples: int | None = None,
    seed: int = 0, weights: str = "ema", batch: int = 250, cache: Path | None = None, say: Say | None = None,
) -> list[Score]:  # fmt: skip
    """Scores of `num_samples` samples that `sampler(n)` draws, n <= batch at a time: stored form, uint8 [n, C, H, W] or float32 [n, d].

    `metrics`: names of METRICS. `num_samples` None: 10,000 (2,500 points), or as many as there are held-out samples if those are fewer, so
    that score and floor have the same N; a forced number stands, and the floor then tells its own. `seed` draws subsets; it is the caller's
    who seeds the sampler with it too. `weights` ("ema" or "raw") is only stamped. Random state is not touched.
    Raises InputError: unknown metric, one that this data or extractor cannot give, samples of the wrong shape.
    """
    wanted = _expand(metrics)
    if num_samples is not None and num_samples < 2:
        raise InputError(f"num_samples got {num_samples}; expected at least 2, and thousands for a figure worth comparing")
    job = _Job(data_set, extractor, seed, cache or default_cache(), batch, say)
    held = len(data_set.held)
    usual = toy.NUM_SAMPLES if isinstance(data_set.space, Vector) else NUM_SAMPLES
    count = num_samples or (min(usual, held) if held >= 2 else usual)
    families = list(dict.fromkeys(_FAMILY[name] for name in wanted))
    running = {family: job.metric(family, count) for family in families}
    broken = 0
    for x in _drawn(sampler, count, batch, tuple(data_set.space.shape)):
        seen = extractor(x)
        broken += int((~torch.isfinite(seen.features).all(1)).sum())
        for metric in running.values():
            metric.update(seen)
    figures = {family: metric.compute() for family, metric in running.items()}
    floor_count = min(count, held)
    floors = _floors(job, families, floor_count) if held >= 2 else {}
    return [
        Score(
            name=name,
            value=figures[_FAMILY[name]][name],
            floor=_number(floors.get(_FAMILY[name], {}).get(name)),
            protocol=_stamp(job, _FAMILY[name], running[_FAMILY[name]], count, weights, name),
            higher_is_better=running[_FAMILY[name]].higher_is_better[name],
            floor_samples=floor_count if floors else None,
            note=_note(name, count, floor_count if floors else 0, broken, extractor.dim),
            extra=running[_FAMILY[name]].detail(),
        )
        for name in wanted
    ]


def read_reference(
    data_set: Any, extractor: Extractor, *, cache: Path | None = None, batch: int = 250, say: Say | None = None
) -> Reference:
    """Moments of the whole training split and a fixed subset of its features, from the cache or computed now."""
    key = digest(f"reference-{VERSION}", data_set.content_hash, extractor.hash, str(ROWS), str(_SUBSET_SEED))
    path = (cache or default_cache()) / f"reference-{key}.safetensors"
    stored = read_tensors(path, say)
    if stored is not None:
        tensors = stored[0]
        return Reference(Moments(tensors["n"], tensors["total"], tensors["outer"]), tensors["rows"].double())
    train = data_set.train.x
    if say:
        say("reference", f"{extractor.name} features of {len(train):,} training samples, once")
    moments, rows = Moments.empty(extractor.dim), []
    chosen = torch.zeros(len(train), dtype=torch.bool)
    chosen[subset(len(train), ROWS, _SUBSET_SEED)] = True
    for start in range(0, len(train), batch):
        index = torch.arange(start, min(start + batch, len(train)))
        features = extractor(train[index]).features
        moments.add(features)
        rows.append(features[chosen[index]])
    kept = torch.cat(rows)
    # Features of a float32 network lose nothing in float32; only pixels, which are cheap, come out of the cache rounded.
    tensors = {"n": moments.n, "total": moments.total, "outer": moments.outer, "rows": kept.float()}
    write_tensors(path, tensors, {}, say)
    return Reference(moments, kept.float().double())


def _expand(metrics: Sequence[str]) -> list[str]:
    """Names of single figures, once each, in the order asked."""
    names: list[str] = []
    for name in metrics:
        if name not in METRICS:
            raise InputError(f"metric '{name}' is unknown; expected some of {', '.join(METRICS)}.{suggest(name, METRICS)}")
        names += prdc.PRDC.outputs if name == "prdc" else toy.Modes.outputs if name == "modes" else (name,)
    if not names:
        raise InputError(f"no metric was named; expected some of {', '.join(METRICS)}")
    return list(dict.fromkeys(names))


def _modes(data_set: Any) -> tuple[Tensor, float]:
    path = str(data_set.card.get("path", ""))
    known = ("ring", "grid", "spirals")
    if not isinstance(data_set.space, Vector) or path not in known:
        raise InputError(f"metric 'modes' needs a set whose modes are known: {', '.join(known)}; got '{path}'. Use fd, kid or prdc.")
    from agon.data import modes

    centres, sd = modes(path)
    return torch.from_numpy(centres), sd


def _drawn(sampler: Callable[[int], Tensor], count: int, batch: int, shape: tuple[int, ...]) -> Iterator[Tensor]:
    """Batches of the sampler, checked, until there are `count`."""
    left = count
    while left > 0:
        n = min(batch, left)
        x = sampler(n)
        image = len(shape) == 3
        if tuple(x.shape) != (n, *shape) or (x.dtype == torch.uint8) != image:
            kind = "uint8" if image else "float"
            raise InputError(
                f"the sampler gave {x.dtype} {tuple(x.shape)}; expected {kind} {(n, *shape)}, stored samples: Space.to_bytes makes them"
            )
        left -= n
        yield x


def _floors(job: _Job, families: Sequence[str], count: int) -> dict[str, dict[str, float]]:
    """The figures of `count` held-out samples, by family; what is not in the cache is computed in one pass."""
    metrics = {family: job.metric(family, count) for family in families}
    paths = {}
    for family, metric in metrics.items():
        stamp = _stamp(job, family, metric, count, "", family)
        paths[family] = job.cache / f"floor-{digest(str(VERSION), str(stamp), stamp.extractor_hash, stamp.reference_hash)}.json"
    found = {family: numbers for family, path in paths.items() if (numbers := read_numbers(path)) is not None}
    missing = {family: metric for family, metric in metrics.items() if set(found.get(family, {})) != set(metric.outputs)}
    if missing:
        held = job.data_set.held.x
        index = subset(len(held), count, job.seed)
        for start in range(0, count, job.batch):
            seen = job.extractor(held[index[start : start + job.batch]])
            for metric in missing.values():
                metric.update(seen)
        for family, metric in missing.items():
            found[family] = metric.compute()
            write_numbers(paths[family], found[family], job.say)
    return found


def _stamp(job: _Job, family: str, metric: Metric, count: int, weights: str, name: str) -> Stamp:
    space, extractor = job.data_set.space, job.extractor
    filters = [space.filter if isinstance(space, Image) else "", extractor.resize]
    return Stamp(
        metric=name,
        extractor=extractor.name,
        extractor_hash=extractor.hash,
        resize=", ".join(part for part in filters if part),
        reference="modes" if family == "modes" else "train",
        reference_hash=job.data_set.content_hash,
        num_samples=count,
        seed=job.seed,
        weights=weights,
        settings=metric.settings(),
        note=extractor.note,
    )


def _note(name: str, count: int, floor_count: int, broken: int, dim: int) -> str:
    notes = []
    if broken:
        notes.append(f"{broken} of {count} samples hold numbers that are not finite")
    if floor_count == 0:
        notes.append("no held-out samples, so no floor")
    if name == "fd" and count < max(500, 5 * dim):
        notes.append(f"{count} samples are few for {dim} features: read it against the floor only")
    return "; ".join(notes)


def _number(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value
