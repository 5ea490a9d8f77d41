"""What a metric is built from: data, extractor, and what the real side looks like to that extractor, kept in the cache by content.

`reference` is the training split in sums and a fixed subset of rows; `training` and `held` are the rows themselves, for metrics that look
for nearest neighbours. Each is computed when it is first asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
from torch import Tensor

from agon.augment import Group
from agon.errors import InputError
from agon.metrics.cache import Say, digest, read_tensors, write_tensors
from agon.metrics.contract import VERSION, Extractor, Probe
from agon.metrics.features import default_cache
from agon.metrics.moments import Moments
from agon.metrics.rows import subset

if TYPE_CHECKING:
    from agon.metrics.protocols import TextProtocol

ROWS = 10_000  # real samples that neighbourhoods and kernels see
TRAINING_ROWS = 60_000  # training samples among which copies are looked for
_SUBSET_SEED = 0
Made = TypeVar("Made")
Likelihood = Callable[[Tensor, "Tensor | None"], Tensor]
Translate = Callable[[Tensor], list[str]]  # sources [n, S] -> the text made of each


@dataclass
class Reference:
    """The training split as an extractor sees it: sums over all of it, and `rows` float64 [m, d], a fixed subset of at most ROWS."""

    moments: Moments
    rows: Tensor


@dataclass
class Setting:
    """Data, extractor, seed and where to keep things; `probe` is None where no generator is laid open; `labelled`: samples come with classes,
    `conditioned`: with a condition of any kind. `likelihood`: (stored samples, conditions or None) -> log probability [n, L] of each part under
    the generator, None where it has none. `floor`: the samples to come are real ones. `translate`: what the generator makes of sources,
    `back`: what it makes of samples the other way round, None where it knows one way alone.
    `protocol`: a published one that scores of text keep to.
    `policy`: the groups of transforms that the run's critics were shown pictures through; () without augmentation."""

    data_set: Any
    extractor: Extractor
    seed: int
    cache: Path
    batch: int = 250
    say: Say | None = None
    probe: Probe | None = None
    labelled: bool = False
    lpips: Path | str | None = None
    conditioned: bool = False
    likelihood: Likelihood | None = None
    floor: bool = False
    translate: Translate | None = None
    back: Translate | None = None
    protocol: TextProtocol | None = None
    policy: tuple[Group, ...] = ()
    _made: dict[int, tuple[list[str], list[tuple[str, ...]], list[str]]] = field(default_factory=dict, repr=False)
    _once: dict[str, Any] = field(default_factory=dict, repr=False)
    _reference: Reference | None = field(default=None, repr=False)
    _rows: dict[str, Tensor] = field(default_factory=dict, repr=False)

    @property
    def reference(self) -> Reference:
        """Sums and rows of the training split."""
        if self._reference is None:
            self._reference = read_reference(self.data_set, self.extractor, cache=self.cache, batch=self.batch, say=self.say)
        return self._reference

    @property
    def classes(self) -> Tensor | None:
        """The class int64 [m] of each row of the reference; None without exclusive labels."""
        y = labels_of(self.data_set.train)
        return None if y is None else y[subset(len(y), ROWS, _SUBSET_SEED)]

    @property
    def training(self) -> Tensor:
        """Features float32 [m, d] of at most TRAINING_ROWS training samples."""
        if len(self.data_set.train) <= ROWS:
            return self.reference.rows.float()
        return self._kept("training", self.data_set.train.x, TRAINING_ROWS)

    @property
    def held(self) -> Tensor:
        """Features float32 [m, d] of at most ROWS held-out samples; [0, d] without any."""
        return self._kept("held", self.data_set.held.x, ROWS)

    def need_translations(self, metric: str) -> None:
        """Raises InputError where no text is made of another, or none is held out to compare with."""
        if self.translate is None:
            raise InputError(f"metric '{metric}' compares texts made of held-out sources with their targets; there are no sources here.")
        need_pairs(self.data_set, metric)
        if not len(self.data_set.held):
            raise InputError(f"metric '{metric}' is taken on held-out pairs, and none are held back; train with --holdout 0.1.")

    def translations(self, most: int) -> tuple[list[str], list[tuple[str, ...]], list[str]]:
        """(what the generator makes of held-out sources, the real targets of each, the sources as text) of at most `most` pairs; made once."""
        if most not in self._made:
            held, space = self.data_set.held, self.data_set.space
            index = subset(len(held), min(most, len(held)), _SUBSET_SEED)
            assert self.translate is not None and held.y is not None
            sources = held.y[index].long()
            if held.references is not None:
                told = [held.references[k] for k in index.tolist()]
            else:
                told = [(text,) for text in ([held.captions[k] for k in index.tolist()] if held.captions else space.decode(held.x[index]))]
            self._made[most] = (self.translate(sources), told, space.source.decode(sources))
        return self._made[most]

    def measured(self, name: str, part: str, measure: Callable[[Tensor], Tensor], limit: int) -> Tensor:
        """`measure` (stored samples [n, ...] -> rows [n, d]) of at most `limit` samples of the "train" or "held" split, float32 [m, d].

        Kept in the cache under `name`, which has to change when `measure` does.
        """
        key = f"{name} {part} {limit}"
        if key not in self._rows:
            x = getattr(self.data_set, part).x
            path = self.cache / f"measured-{digest(key, str(VERSION), self.data_set.content_hash, str(_SUBSET_SEED))}.safetensors"
            stored = read_tensors(path, self.say)
            if stored is None:
                index = subset(len(x), limit, _SUBSET_SEED)
                self._rows[key] = (
                    torch.cat([measure(x[some]).float() for some in index.split(self.batch)]) if len(index) else torch.empty(0, 1)
                )
                write_tensors(path, {"rows": self._rows[key]}, {}, self.say)
            else:
                self._rows[key] = stored[0]["rows"]
        return self._rows[key]

    def once(self, name: str, make: Callable[[], Made]) -> Made:
        """What `make` gives, made at the first call by this name; scores and floors share it."""
        if name not in self._once:
            self._once[name] = make()
        return cast(Made, self._once[name])

    def _kept(self, part: str, x: Tensor, limit: int) -> Tensor:
        if part not in self._rows:
            key = digest(f"{part}-{VERSION}", self.data_set.content_hash, self.extractor.hash, str(limit), str(_SUBSET_SEED))
            path = self.cache / f"{part}-{key}.safetensors"
            stored = read_tensors(path, self.say)
            if stored is None:
                index = subset(len(x), limit, _SUBSET_SEED)
                if self.say and len(index):
                    self.say(part, f"{self.extractor.name} features of {len(index):,} {part} samples, once")
                parts = [self.extractor(x[some]).features.float() for some in index.split(self.batch)] if len(index) else []
                rows = torch.cat(parts) if parts else torch.empty(0, self.extractor.dim)
                write_tensors(path, {"rows": rows}, {}, self.say)
            else:
                rows = stored[0]["rows"]
            self._rows[part] = rows
        return self._rows[part]


def need_pairs(data_set: Any, metric: str) -> None:
    """Raises InputError where held-out sources and targets stand beside each other by chance."""
    if data_set.by_chance:
        raise InputError(
            f"metric '{metric}' is taken on held-out pairs, and those held back stand beside each other by chance. Files called test or val, such as "
            "test.en and test.de, are taken for pairs; without any take fd, and round_trip of a translator of both ways: --metrics round_trip,fd"
        )


def labels_of(samples: Any) -> Tensor | None:
    """Exclusive classes int64 [N] of samples, None where there are none (no labels, tags or numbers instead)."""
    y = samples.y
    return y if isinstance(y, Tensor) and y.ndim == 1 and not y.is_floating_point() else None


def class_names(space: Any, count: int) -> Sequence[str]:
    """Names of the classes of a space, or their numbers where it has others."""
    names = tuple(getattr(space, "classes", ()))
    return names if len(names) == count else tuple(str(k) for k in range(count))


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
