"""Scores of a sampler: one pass over its samples for all metrics, each figure with its stamp, its interval and its real-against-real floor.

The reference is the training split; the floor is the same metric with held-out real samples in the place of generated ones. What real data
cost is paid once: features of the reference and floors are kept in the cache, by content.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from agon.augment import Group
from agon.errors import InputError
from agon.metrics import registry
from agon.metrics.cache import Say, digest, read_numbers, write_numbers
from agon.metrics.contract import VERSION, Extractor, Features, Metric, Probe, Score, Stamp
from agon.metrics.features import default_cache
from agon.metrics.protocols import TextProtocol
from agon.metrics.rows import subset
from agon.metrics.setting import Likelihood, Setting, Translate, labels_of
from agon.spaces import Image, Tokens, Vector, Video

NUM_SAMPLES = 10_000
NUM_POINTS = 2_500  # where the samples are vectors, after VEEGAN (toy.py)
_BATCH_NUMBERS = 2**25  # numbers in a batch of clips, 32 MB of pixels
_FEW_FILMS = 8  # held back, below which their own look weighs more in a floor than chance does
Sampler = Callable[[int], "Tensor | tuple[Tensor, Tensor | None]"]


def evaluate(
    sampler: Sampler, data_set: Any, metrics: Sequence[str], *, extractor: Extractor, num_samples: int | None = None, seed: int = 0,
    weights: str = "ema", batch: int = 250, cache: Path | None = None, say: Say | None = None, probe: Probe | None = None,
    labelled: bool = False, conditioned: bool = False, lpips: Path | str | None = None, left_out: Callable[[str, InputError], None] | None = None,
    likelihood: Likelihood | None = None, translate: Translate | None = None, back: Translate | None = None, protocol: TextProtocol | None = None,
    policy: tuple[Group, ...] = (),
) -> list[Score]:  # fmt: skip
    """Scores of `num_samples` samples that `sampler(n)` draws, n <= batch at a time: stored form, uint8 [n, C, H, W] or [n, T, C, H, W], float32
    [n, d] or int32 [n, L]; of large clips fewer at a time.

    A sampler of a conditional generator gives (samples, what they were asked to be [n, ...]); `conditioned` says so, and `labelled` that these
    are classes int64 [n]. `probe` opens the generator to
    metrics that choose latents; `likelihood` tells them log probabilities, `translate` makes texts of sources, `back` sources of texts
    and `policy` names what critics were shown pictures through, as in `Setting`. `protocol`: a published one of text, which fixes N.
    `metrics`: names of registry.names(). `num_samples` None: 10,000 (2,500 points, 26,000 stacked digits), or as
    many as there are held-out samples if those are fewer, so that score and floor have the same N; a forced number stands, and the floor then
    tells its own. `seed` draws subsets; it is the caller's who seeds the sampler with it too. `weights` ("ema" or "raw") is only stamped.
    A metric that data, extractor or generator cannot give is told to `left_out(names, why)` and the others are taken.
    Random state is not touched. Raises InputError: unknown metric, one that cannot be given if there is no `left_out` or no other metric,
    samples of the wrong shape.
    """
    wanted = registry.expand(metrics)
    if num_samples is not None and num_samples < 2:
        raise InputError(f"num_samples got {num_samples}; expected at least 2, and thousands for a figure worth comparing")
    if isinstance(data_set.space, Video):
        batch = max(1, min(batch, _BATCH_NUMBERS // math.prod(data_set.space.shape)))
    if protocol is not None:
        protocol.check(data_set)
        num_samples = protocol.samples
    conditioned = conditioned or labelled
    setting = Setting(
        data_set, extractor, seed, cache or default_cache(), batch, say, probe, labelled, lpips, conditioned, likelihood,
        translate=translate, back=back, protocol=protocol, policy=policy,
    )  # fmt: skip
    families = list(dict.fromkeys(registry.family_of(name).name for name in wanted))
    known = registry.families()
    if left_out is not None and len(families) > 1:
        families = _possible(families, wanted, setting, left_out)
        wanted = [name for name in wanted if registry.family_of(name).name in families]
    held = len(data_set.held)
    usual = max([known[f].usual or 0 for f in families] + [NUM_POINTS if isinstance(data_set.space, Vector) else NUM_SAMPLES])
    count = num_samples or (min(usual, held) if held >= 2 else usual)
    cost = dict.fromkeys(families, 0.0)
    running = {}
    floors: dict[str, dict[str, float]] = {}
    streams = [family for family in families if known[family].streams]
    looks = any(known[family].features for family in streams)
    for family in families:
        running[family] = known[family].build(setting, count)
    broken = 0
    started = time.process_time()
    for x, asked in _drawn(sampler, count if streams else 0, batch, data_set.space):
        seen = _seen(setting, x, asked, looks)
        broken += int((~torch.isfinite(seen.features).all(1)).sum())
        for family in streams:
            before = time.process_time()
            running[family].update(seen)
            cost[family] += time.process_time() - before
    shared = time.process_time() - started - sum(cost.values())
    figures, intervals = {}, {}
    for family, metric in running.items():
        before = time.process_time()
        figures[family] = metric.compute()
        intervals[family] = metric.intervals()
        cost[family] += time.process_time() - before
    floor_count = min(count, held)
    if held >= 2 and streams:
        floors = _floors(setting, {family: running[family] for family in streams}, floor_count)
    scores = []
    of_text, of_clips = isinstance(data_set.space, Tokens), isinstance(data_set.space, Video)
    kind: Literal["pictures", "clips", "text"] = "text" if of_text else "clips" if of_clips else "pictures"
    for name in wanted:
        source = registry.family_of(name)
        metric, value = running[source.name], figures[source.name][name]
        remark = metric.remark(name) or (f"undefined for these {count} samples" if math.isnan(value) and not broken else "")
        floor = floors.get(source.name, {})
        low, high = intervals[source.name].get(name, (math.nan, math.nan))
        scores.append(Score(
            name=name,
            value=value,
            floor=_number(floor.get(name)),
            protocol=_stamp(setting, metric, count, weights, name),
            higher_is_better=metric.higher_is_better[name],
            floor_samples=floor_count if floor else None,
            note=_note(remark, name, count, floor_count, broken, extractor.dim, bool(floor), data_set.card.get("num_held_films")) if source.streams else remark,
            extra={**metric.detail(), **_floor_interval(floor, name), "shared_cost_s": round(shared, 2)},
            low=_number(low),
            high=_number(high),
            cost_s=round(cost[source.name], 2),
            sight=source.sight.get(kind, {}).get(name, ""),
        ))  # fmt: skip
    return scores


def _possible(
    families: Sequence[str], wanted: Sequence[str], setting: Setting, left_out: Callable[[str, InputError], None]
) -> list[str]:  # fmt: skip
    """The families that can be had here; the others are told, or raised if that is all of them."""
    refused: dict[str, InputError] = {}
    for family in families:
        try:
            registry.families()[family].build(setting, NUM_SAMPLES)
        except InputError as error:
            refused[family] = error
    if len(refused) == len(families):
        raise InputError("none of the metrics can be taken here: " + " ".join(str(error) for error in refused.values()))
    for family, why in refused.items():
        left_out(", ".join(name for name in wanted if registry.family_of(name).name == family), why)
    return [family for family in families if family not in refused]


def _drawn(sampler: Sampler, count: int, batch: int, space: Any) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Batches of the sampler, checked, until there are `count`."""
    left, shape = count, tuple(space.shape)
    while left > 0:
        n = min(batch, left)
        given = sampler(n)
        x, asked = given if isinstance(given, tuple) else (given, None)
        pixels = len(shape) >= 3
        if tuple(x.shape) != (n, *shape) or (x.dtype == torch.uint8) != pixels:
            kind = "uint8" if pixels else "int32" if isinstance(space, Tokens) else "float"
            raise InputError(
                f"the sampler gave {x.dtype} {tuple(x.shape)}; expected {kind} {(n, *shape)}, stored samples: Space.to_bytes makes them"
            )
        left -= n
        yield x, asked


def _seen(setting: Setting, x: Tensor, y: Tensor | None, looks: bool) -> Features:
    """What is known of samples; `looks`: the extractor is asked too."""
    seen = setting.extractor(x) if looks else Features(torch.zeros(len(x), 0, dtype=torch.float64))
    return Features(
        seen.features, seen.probabilities, y if setting.labelled else None, samples=x, condition=y if setting.conditioned else None
    )  # fmt: skip


def _floors(setting: Setting, scored: Mapping[str, Metric], count: int) -> dict[str, dict[str, float]]:
    """The figures of `count` real samples, by family, and "NAME low", "NAME high" of their intervals; one pass over each split if not cached.

    scored: the metrics that took in the samples; a family whose figures at this count do not compare with them is left out.
    """
    known = registry.families()
    setting = replace(setting, likelihood=None, floor=True)
    built: dict[str, Metric] = {family: known[family].build(setting, count) for family in scored if known[family].real}
    metrics = {family: metric for family, metric in built.items() if scored[family].compares(metric)}
    paths = {}
    for family, metric in metrics.items():
        stamp = _stamp(setting, metric, count, "", family)
        paths[family] = setting.cache / f"floor-{digest(str(VERSION), str(stamp), stamp.extractor_hash, stamp.reference_hash)}.json"
    found = {family: numbers for family, path in paths.items() if (numbers := read_numbers(path)) is not None}
    missing = {family: metric for family, metric in metrics.items() if not set(metric.outputs) <= set(found.get(family, {}))}
    for part in ("held", "train"):
        here = {family: metric for family, metric in missing.items() if known[family].real == part}
        if here:
            _read_real(setting, getattr(setting.data_set, part), count, here)
    for family, metric in missing.items():
        found[family] = metric.compute()
        for name, (low, high) in metric.intervals().items():
            found[family] |= {f"{name} low": low, f"{name} high": high}
        write_numbers(paths[family], found[family], setting.say)
    return found


def _read_real(setting: Setting, samples: Any, count: int, metrics: dict[str, Metric]) -> None:
    """Show `count` real samples to the metrics of these families."""
    index = subset(len(samples), count, setting.seed)
    y = labels_of(samples) if setting.labelled else samples.y if setting.conditioned else None
    looks = any(registry.families()[family].features for family in metrics)
    for rows in index.split(setting.batch):
        seen = _seen(setting, samples.x[rows], None if y is None else y[rows], looks)
        for metric in metrics.values():
            metric.update(seen)


def _stamp(setting: Setting, metric: Metric, count: int, weights: str, name: str) -> Stamp:
    space, extractor = setting.data_set.space, setting.extractor
    looks = (registry.families().get(name) or registry.family_of(name)).features
    filters = [space.filter if isinstance(space, (Image, Video)) else "", _timing(space), extractor.resize if looks else ""]
    return Stamp(
        metric=name,
        extractor=extractor.name if looks else "samples",
        extractor_hash=extractor.hash if looks else "",
        resize=", ".join(part for part in filters if part),
        reference=metric.reference_name,
        reference_hash=setting.data_set.content_hash,
        num_samples=count,
        seed=setting.seed,
        weights=weights,
        settings=metric.settings(),
        note=extractor.note if looks else "",
    )


def _timing(space: Any) -> str:
    """How clips are cut: length, rate and size."""
    return f"{space.frames} frames of {space.height}×{space.width} at {space.fps:g}/s" if isinstance(space, Video) else ""


def _note(remark: str, name: str, count: int, floor_count: int, broken: int, dim: int, floored: bool, films: int | None) -> str:
    notes = [remark] if remark else []
    if broken:
        notes.append(f"{broken} of {count} samples hold numbers that are not finite")
    if floor_count < 2:
        notes.append("no held-out samples, so no floor")
    elif name == "fd" and not floored:
        notes.append(
            f"the {floor_count} held-out samples are too few to be seen in all {dim} directions, so no floor; leave out --num-samples for one"
        )
    if floored and films is not None and films < _FEW_FILMS:
        notes.append(f"held-out clips are of {films} film{'s' * (films != 1)} only: the floor tells of these more than of the data")
    if name == "fd" and count < max(500, 5 * dim):
        notes.append(f"{count} samples are few for {dim} features" + (": read it against the floor only" if floored else ""))
    return "; ".join(notes)


def _floor_interval(floor: dict[str, float], name: str) -> dict[str, Any]:
    ends = [floor.get(f"{name} low", math.nan), floor.get(f"{name} high", math.nan)]
    return {"floor_interval": ends} if all(map(math.isfinite, ends)) else {}


def _number(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value
