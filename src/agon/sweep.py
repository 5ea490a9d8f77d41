"""The same experiment under several seeds: runs NAME-s0, NAME-s1, …, and mean ± sd of their scores.

The interval beside a score says what other samples of one trained generator would do. What another training run would do is another question,
and usually the larger spread; only runs under other seeds answer it. A sweep that was stopped goes on where it was: finished runs are kept.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agon import ranks
from agon.comparison import likeness
from agon.config import encode
from agon.data import Data
from agon.data.request import located
from agon.directory import RunDirectory
from agon.errors import InputError
from agon.metrics import Score
from agon.metrics.contract import figure
from agon.run import play, prepare


@dataclass(frozen=True)
class Spread:
    """One figure over several runs: `values` by run (nan where a run has none), their mean and sample sd (None for fewer than two)."""

    name: str
    values: tuple[float, ...]
    mean: float
    sd: float | None
    floor: float | None
    higher_is_better: bool
    protocol: str

    def __str__(self) -> str:
        floor = "no floor" if self.floor is None else f"floor {figure(self.floor)}"
        told = sum(math.isfinite(value) for value in self.values)
        spread = "" if self.sd is None else f" ± {figure(self.sd)}"
        return f"{self.name} {figure(self.mean)}{spread} over {told} of {len(self.values)} runs ({floor}) · {self.protocol}"


def sweep(
    data: Data, *, seeds: int, out: Path | str, recipe: str | None = None, game_file: Path | str | None = None,
    settings: Mapping[str, Any] | None = None, command: str = "", say: Callable[[str, str], None] | None = None,
    watch: Callable[[RunDirectory], Any] | None = None, cpu_budget: float | None = None, trusted: bool = False,
) -> list[RunDirectory]:  # fmt: skip
    """Train OUT-s0 … OUT-s(seeds − 1), going on with those that are there, and return them.

    settings as in `prepare`, without a seed. watch(directory): a context that gives a Show while that run is trained. cpu_budget: CPU-seconds
    of training for each run. Stops early, returning what there is, when a run is stopped by a signal. Under torchrun every process calls it,
    and they train each run together. Raises InputError: fewer than 2 seeds, a run of that name from another experiment.
    """
    if seeds < 2:
        raise InputError(f"--seeds is {seeds}; expected 2 or more, 3 for a first idea of the spread.")
    settings = dict(settings or {})
    if "seed" in settings:
        raise InputError("a sweep sets the seeds itself, 0, 1, 2, …; leave out --seed.")
    made: list[RunDirectory] = []
    for seed in range(seeds):
        directory = RunDirectory(Path(f"{out}-s{seed}"))
        # Of many processes the first looks for all: another could look when the run has just been made.
        if ranks.any_true(ranks.is_main() and directory.is_run()):
            _same_experiment(directory, data, seed, recipe, settings)
        else:
            directory, _ = prepare(
                data, out=directory.path, recipe=recipe, game_file=game_file, settings={**settings, "seed": seed}, command=command,
                say=say if seed == 0 else None,
            )  # fmt: skip
        made.append(directory)
        if ranks.any_true(ranks.is_main() and finished(directory)):
            continue
        if watch is None:
            outcome = play(directory, cpu_budget=cpu_budget, trusted=trusted or game_file is not None)
        else:
            with watch(directory) as show:
                outcome = play(directory, show=show, cpu_budget=cpu_budget, trusted=trusted or game_file is not None)
        if outcome.asked:
            break
    return made


def finished(directory: RunDirectory) -> bool:
    """Whether a run has played all its rounds."""
    rounds = directory.run()["rounds"]
    return any(row.get("kind") == "done" and row.get("round", -1) >= rounds for row in directory.events())


def _same_experiment(directory: RunDirectory, data: Data, seed: int, recipe: str | None, settings: Mapping[str, Any]) -> None:
    """Raise InputError if the run that is there is not what the sweep would make."""
    content = directory.run()
    content["data"]["path"] = located(content["data"]["path"])  # older runs kept it as it was typed
    asked: dict[str, Any] = {"seed": seed, "data": {**encode(data), "path": located(data.path)}, **settings}
    if content.get("data_as_typed") == data.path:  # moved together: the content tells whether they are the same
        content["data"]["path"] = asked["data"]["path"]
    if recipe:
        asked["recipe"] = recipe
    for name, wanted in asked.items():
        there: Any = content
        for part in name.split("."):
            there = there.get(part) if isinstance(there, dict) else None
        kind = there.get("kind") if isinstance(there, dict) else None
        if json.dumps(encode(wanted), default=str) not in (json.dumps(there, default=str), json.dumps(kind)):
            raise InputError(
                f"'{directory.path}' is a run with {name} {there!r}, and this sweep has {wanted!r}; a sweep goes on only with runs of the same "
                "experiment. Choose another --out."
            )


def last_scores(directory: RunDirectory) -> dict[tuple[str, str], Score]:
    """The latest score of a run under each name and protocol (its stamp without the note)."""
    found: dict[tuple[str, str], tuple[int, Score]] = {}
    for row in directory.scores():
        try:
            score = Score.from_json(row)
        except InputError:
            continue
        key = (score.name, str(replace(score.protocol, note="")))
        if key not in found or row.get("round", 0) >= found[key][0]:
            found[key] = (row.get("round", 0), score)
    return {key: score for key, (_, score) in found.items()}


def spread(runs: Sequence[RunDirectory | Path | str]) -> list[Spread]:
    """Mean and sd of every figure that at least one of the runs has, one row for each protocol, in the first run's order.

    Figures under unlike protocols are never averaged: they make rows of their own, with nan for the runs that lack them. A run with the
    settings and the seed of an earlier one is that run again, and is left out.
    """
    opened = [run if isinstance(run, RunDirectory) else RunDirectory.open(run) for run in runs]
    contents = [directory.run() for directory in opened]
    once: dict[tuple[str, str], RunDirectory] = {}
    for directory, content in zip(opened, contents, strict=True):
        once.setdefault((likeness(content), str(content.get("seed"))), directory)
    directories = list(once.values())
    each = [last_scores(directory) for directory in directories]
    rows = []
    for key in dict.fromkeys(key for scores in each for key in scores):
        scores = [found.get(key) for found in each]
        values = tuple(math.nan if score is None else score.value for score in scores)
        told = [value for value in values if math.isfinite(value)]
        first = next(score for score in scores if score is not None)
        rows.append(Spread(
            name=key[0], values=values, mean=statistics.fmean(told) if told else math.nan,
            sd=statistics.stdev(told) if len(told) > 1 else None, floor=first.floor, higher_is_better=first.higher_is_better,
            protocol=key[1],
        ))  # fmt: skip
    return rows
