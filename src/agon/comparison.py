"""Runs side by side: what each reached, over seeds, and what it cost. Reads records only and never imports torch.

Runs that are alike but for the seed are one entry: mean ± standard deviation. A run with the same seed too is the same run again, a copy of
its folder or its repetition, and counts once. Scores stand in one row only if they were taken by one
protocol (metric, extractor, resize, reference, number of samples, weights, settings); otherwise `compare_runs` refuses, says what differs
and which command mends it.
"""

from __future__ import annotations

import json
import re
import shlex
import statistics
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agon.errors import InputError, suggest
from agon.records import read_jsonl
from agon.report.gap import beside_likelihood
from agon.report.journal import SCORES, Journal, mapping, read_journal, stamp_text
from agon.report.markup import finite, flat

# Fields of a protocol that must agree, each with the reason why figures differ where it differs.
WHY = {
    "metric": "they are different metrics",
    "extractor": "another network looks at other features",
    "extractor_hash": "the network that looks was trained or loaded with other weights",
    "resize": "the filter that brings pictures to size changes every feature",
    "reference": "they are measured against other real samples",
    "reference_hash": "they are measured against other real samples",
    "num_samples": "the figure depends on how many samples are drawn: a Fréchet distance falls as they become more",
    "weights": "averaged and present weights are two generators",
    "settings": "the metric itself was set otherwise",
    "version": "the metric changed between versions of Agon",
}
_SAME = ("game", "batch", "microbatch", "rounds", "precision", "space")  # and the data's content: what makes runs alike but for the seed
_STATE = re.compile(r"^\d{8,}\.safetensors$")


@dataclass(frozen=True)
class Figure:
    """A score of an entry: the mean over its runs, the standard deviation (None for one run), the mean floor."""

    values: tuple[float, ...]
    floor: float | None
    higher: bool

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def spread(self) -> float | None:
        return statistics.stdev(self.values) if len(self.values) > 1 else None


@dataclass
class Member:
    """One run of an entry: its records, and the chosen rows of metrics.jsonl by score name, by round."""

    path: Path
    journal: Journal
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def run(self) -> dict[str, Any]:
        return self.journal.run

    @property
    def tick(self) -> Mapping[str, Any]:
        """The last tick."""
        return self.journal.ticks[-1] if self.journal.ticks else {}


@dataclass
class Entry:
    """Runs alike but for the seed; a line of the table."""

    name: str
    members: list[Member]
    sampling: dict[str, Any]  # fields of the game that were changed for sampling only
    figures: dict[str, Figure] = field(default_factory=dict)
    speed: float | None = None  # samples a CPU-second, one thread
    parameters: dict[str, int] = field(default_factory=dict)  # by player

    @property
    def seeds(self) -> list[Any]:
        return [member.run.get("seed") for member in self.members]

    def cost(self, name: str) -> float | None:
        """Mean over the runs of the last tick's `name`: seen, seconds, cpu_seconds; the largest memory_mb of any tick."""
        if name == "memory_mb":
            told = [max((v for row in m.journal.ticks if (v := finite(row.get(name))) is not None), default=None) for m in self.members]
        else:
            told = [finite(member.tick.get(name)) for member in self.members]
        known = [value for value in told if value is not None]
        return statistics.fmean(known) if known else None


@dataclass
class Comparison:
    """The table: entries best first, the scores they share, the protocol of each, and what a reader must know."""

    entries: list[Entry]
    names: list[str]
    protocols: dict[str, str]
    notes: list[str]
    data: str


def compare_runs(paths: Sequence[Path | str], metrics: Sequence[str] = ()) -> Comparison:
    """Read the runs at `paths`. metrics: score names, or metrics as `agon eval -m` knows them; all that were taken if left out.

    Raises InputError: not a run, no scores yet, different data, unlike protocols; each with the command that mends it.
    """
    places = list(dict.fromkeys(Path(path) for path in paths))
    if len(places) < 2:
        raise InputError(f"compare needs two runs or more, got {len(places)}; `agon report RUN` shows one.")
    members = [open_member(path) for path in places]
    _check_data(members)
    taken = [(member, label, rows) for member in members for label, rows in taken_scores(member.path).items()]
    names = _names([rows for _, _, rows in taken], metrics)
    for member in members:
        if not any(other is member for other, _, rows in taken if set(rows) & set(names)):
            asked = "".join(f" -m {word}" for word in metrics)
            raise InputError(
                f"'{member.path}' has no scores{' of ' + ', '.join(metrics) if metrics else ''} yet; take them: {_eval(member.path)}{asked}"
            )
    protocols: dict[str, str] = {}
    notes: list[str] = []
    groups: dict[str, Entry] = {}
    chosen: dict[str, str] = {}
    for name in names:
        try:
            chosen[name] = _common(name, [(m, label, rows[name]) for m, label, rows in taken if name in rows])
        except InputError as error:
            if metrics or name == names[0]:
                raise
            notes.append(str(error))  # one score beside others, which nobody asked for, takes no table away
    names = list(chosen)
    for member, label, rows in taken:
        entry = groups.setdefault(likeness(member.run) + label, Entry("", [], json.loads(label)))
        own = Member(member.path, member.journal, {n: rows[n][chosen[n]] for n in names if n in rows and chosen[n] in rows[n]})
        if own.rows:
            entry.members.append(own)
    entries = [entry for entry in groups.values() if entry.members]
    for entry in entries:
        entry.members = _once(entry.members, notes)
    for name in names:
        first = next(entry.members[0].rows[name][-1] for entry in entries if name in entry.members[0].rows)
        protocols[name] = stamp_text({k: v for k, v in mapping(first.get("protocol")).items() if k != "seed"})
    for entry in entries:
        _fill(entry, chosen, notes)
    notes += [f"'{member.path}': {told}" for member in members if (told := beside_likelihood(member.path, member.run))]
    _name(entries)
    entries.sort(key=lambda entry: _rank(entry, names))
    return Comparison(entries, names, protocols, notes + _remarks(entries, names), _data_text(members[0]))


# -- reading -------------------------------------------------------------------------------------------------------------------------


def open_member(path: Path) -> Member:
    if not (path / "run.json").is_file():
        what = "does not exist" if not path.exists() else "is not a run: it has no run.json"
        raise InputError(f"'{path}' {what}; expected a directory made by `agon train`.")
    journal = read_journal(path)
    if not journal.run:
        raise InputError(f"'{path / 'run.json'}' cannot be read; {' '.join(journal.notes)} Leave this run out, or train it again.")
    return Member(path, journal)


def _data_text(member: Member) -> str:
    run = member.run
    return f"{mapping(run.get('data')).get('path', '?')} (content {str(run.get('content_hash') or member.journal.card.get('content_hash') or '?')[:12]})"


def _check_data(members: Sequence[Member]) -> None:
    first = members[0]
    for member in members[1:]:
        for what, key in (("different data", "content_hash"), ("samples of different shapes", "shape")):
            a, b = (_shape(m.run) if key == "shape" else m.run.get(key) for m in (first, member))
            if a and b and a != b:
                told = [f"'{m.path}': {_data_text(m) if key == 'content_hash' else value}" for m, value in ((first, a), (member, b))]
                raise InputError(
                    f"these runs saw {what}, so their scores say nothing about each other: {'; '.join(told)}. "
                    "Train both from the same data, with the same --size and --resize."
                )


def _shape(run: Mapping[str, Any]) -> str:
    space = mapping(run.get("space"))
    return " × ".join(str(space[k]) for k in ("channels", "height", "width", "dim") if k in space)


def taken_scores(path: Path) -> dict[str, dict[str, dict[str, list[dict[str, Any]]]]]:
    """Scores of a run: sampling label → score name → protocol → rows by round, the latest telling of a round."""
    found: dict[str, dict[str, dict[str, dict[float, dict[str, Any]]]]] = {}
    for row in read_jsonl(path / "metrics.jsonl"):
        if finite(row.get("value")) is None or not isinstance(row.get("protocol"), dict):
            continue
        label = json.dumps(mapping(row.get("sampling")), sort_keys=True)
        named = found.setdefault(label, {}).setdefault(str(row.get("name", "?")), {})
        named.setdefault(_mark(row["protocol"]), {})[finite(row.get("round")) or 0.0] = row
    return {
        label: {name: {mark: [rows[at] for at in sorted(rows)] for mark, rows in marks.items()} for name, marks in names.items()}
        for label, names in found.items()
    }


def _mark(protocol: Mapping[str, Any]) -> str:
    """What must agree: everything but the note, which follows from the extractor, and the seed of the samples."""
    return json.dumps({k: v for k, v in protocol.items() if k not in ("note", "seed")}, sort_keys=True)


def _names(taken: Sequence[Mapping[str, Mapping[str, Any]]], metrics: Sequence[str]) -> list[str]:
    """Score names in reading order; `metrics` may name a score (recall) or the metric that gives it (prdc)."""
    order = list(SCORES)
    known = {name: json.loads(next(iter(marks))).get("metric") for rows in taken for name, marks in rows.items()}
    for word in metrics:
        if known and word not in known and word not in known.values():
            options = sorted({*known, *(str(metric) for metric in known.values())})
            raise InputError(
                f"no run has a score '{word}'; they have {', '.join(options)}.{suggest(word, options)} Take it: agon eval RUN -m {word}"
            )
    wanted = [name for name, metric in known.items() if not metrics or name in metrics or metric in metrics]
    return sorted(wanted, key=lambda name: order.index(name) if name in order else len(order))


def _eval(path: Path) -> str:
    return f"agon eval {shlex.quote(str(path))}"


def _common(name: str, taken: Sequence[tuple[Member, str, Mapping[str, list[dict[str, Any]]]]]) -> str:
    """The protocol that all runs with this score share, the one with most samples if there are more. Raises InputError if none is."""
    shared = set(taken[0][2])
    for member, _, marks in taken[1:]:
        if not shared & set(marks):
            _refuse(name, taken[0][0], sorted(shared)[0], member, sorted(marks)[0])
        shared &= set(marks)
    return max(sorted(shared), key=lambda mark: finite(json.loads(mark).get("num_samples")) or 0.0)


def _refuse(name: str, one: Member, mark: str, other: Member, other_mark: str) -> None:
    a, b = json.loads(mark), json.loads(other_mark)
    wrong = [key for key in WHY if a.get(key) != b.get(key)] or sorted(k for k in a.keys() | b.keys() if a.get(k) != b.get(k))
    key = wrong[0]
    metric = str(a.get("metric") or name)
    # The run with fewer samples is scored again; elsewhere the second follows the first.
    again, like = (one, b) if key == "num_samples" and (finite(b.get(key)) or 0) > (finite(a.get(key)) or 0) else (other, a)
    flags = {"num_samples": f" --num-samples {like.get('num_samples')}", "weights": f" --weights {like.get('weights')}",
             "extractor": f" --extractor {str(like.get('extractor')).split('-')[0]}"}  # fmt: skip
    mend = f"{_eval(again.path)} -m {metric}" + "".join(flag for field_, flag in flags.items() if field_ in wrong)
    if key in ("reference", "reference_hash", "resize"):
        mend = f"train both from the same data with the same --size, --resize and --holdout; if that is so already: {mend}"
    raise InputError(
        f"the '{name}' of '{one.path}' and '{other.path}' cannot be compared: {key} differs, {a.get(key)} and {b.get(key)}; "
        f"{WHY.get(key, 'the protocols are not one')}. Score them alike: {mend}"
    )


# -- grouping ------------------------------------------------------------------------------------------------------------------------


def _settings(run: Mapping[str, Any]) -> dict[str, Any]:
    """What two runs of an entry have in common, as dotted names."""
    content = {key: run.get(key) for key in _SAME}
    if run.get("planned_rounds"):  # what the schedules were made for; a budget of time ends such runs a few rounds apart
        content["rounds"] = run["planned_rounds"]
    # What `train --from` took: weights, not a seed, tell such runs apart.
    content["start"] = mapping(run.get("start")).get("sha256", "nothing")
    content["data"] = {k: v for k, v in mapping(run.get("data")).items() if k not in ("path", "memory")}
    return dict(flat(content))


def likeness(run: Mapping[str, Any]) -> str:
    """What runs that differ by their seed alone have in common, of run.json."""
    return json.dumps(_settings(run), sort_keys=True)


def _once(members: Sequence[Member], notes: list[str]) -> list[Member]:
    """Runs with one seed are one run: of those the one with the most scores, then the one that went furthest, is kept, and it is said."""
    by_seed: dict[str, list[Member]] = {}
    for number, member in enumerate(members):
        seed = member.run.get("seed")
        by_seed.setdefault(f"unknown {number}" if seed is None else str(seed), []).append(member)
    kept = []
    for same in by_seed.values():
        best = max(same, key=lambda member: (len(member.rows), finite(member.tick.get("round")) or 0.0))
        kept.append(best)
        others = [f"'{member.path}'" for member in same if member is not best]
        if others:
            note = f"{' and '.join(others)}: the same seed ({best.run.get('seed')}) and settings as '{best.path}', so the same run; it counts once."
            if note not in notes:
                notes.append(note)
    return kept


def _name(entries: Sequence[Entry]) -> None:
    """Call each entry by its recipe; where that is not enough, by the settings that tell it from its namesakes, or its directory."""
    by_recipe: dict[str, list[Entry]] = {}
    for entry in entries:
        run = entry.members[0].run
        by_recipe.setdefault(str(run.get("recipe") or mapping(run.get("game")).get("name") or "run"), []).append(entry)
    for recipe, alike in by_recipe.items():
        settings = [{**_settings(entry.members[0].run), **{f"{k} when sampling": v for k, v in entry.sampling.items()}} for entry in alike]
        keys = sorted({key for one in settings for key in one if any(one.get(key) != other.get(key) for other in settings)})
        for entry, own in zip(alike, settings, strict=True):
            telling = ", ".join(f"{key.removeprefix('game.')} {own[key]}" for key in keys if key in own)
            entry.name = (
                recipe
                if len(alike) == 1
                else f"{recipe} ({telling})"
                if 0 < len(telling) <= 60
                else f"{recipe} ({entry.members[0].path.name})"
            )


def _missing(member: Member, name: str, protocol: Mapping[str, Any]) -> str:
    """Why a run has no such figure, or how to take it like the others'."""
    if any(row.get("name") == name for row in read_jsonl(member.path / "metrics.jsonl")):
        return f"'{member.path}' has no {name}: it was taken and gave no number, for which its own line in agon eval has the reason"
    count = f" --num-samples {protocol['num_samples']}" if protocol.get("num_samples") else ""
    return f"'{member.path}' has no {name}; where it applies to the run: {_eval(member.path)} -m {protocol.get('metric') or name}{count}"


def _fill(entry: Entry, chosen: Mapping[str, str], notes: list[str]) -> None:
    """Take the last score of each run, the speed and the parameters. chosen: the protocol of each score."""
    for name, mark in chosen.items():
        rows = [member.rows[name][-1] for member in entry.members if name in member.rows]
        for member in entry.members:
            if name not in member.rows:
                notes.append(_missing(member, name, json.loads(mark)))
        if rows:
            floors = [floor for row in rows if (floor := finite(row.get("floor"))) is not None]
            entry.figures[name] = Figure(
                tuple(float(row["value"]) for row in rows),
                statistics.fmean(floors) if floors else None,
                rows[0].get("higher_is_better") is True,
            )
    speeds = []
    for member in entry.members:
        told = [row for row in member.journal.events if row.get("kind") == "speed" and mapping(row.get("sampling")) == entry.sampling]
        speeds += [speed for row in told[-1:] if (speed := finite(row.get("samples_per_cpu_second"))) is not None]
    entry.speed = statistics.fmean(speeds) if speeds else None
    entry.parameters = _parameters(entry.members[0].path)


def _parameters(path: Path) -> dict[str, int]:
    """Trained numbers by player, from the header of the newest state; empty without one."""
    folder = path / "states"
    states = sorted(p for p in folder.iterdir() if _STATE.match(p.name)) if folder.is_dir() else []
    for state in reversed(states):
        try:
            with open(state, "rb") as file:
                (length,) = struct.unpack("<Q", file.read(8))
                header = json.loads(file.read(min(length, 1 << 26)))
            held: dict[str, int] = {}
            moved: dict[str, dict[str, int]] = {}
            for key, entry in header.items():
                parts = key.split("/")
                if parts[0] not in ("players", "optim"):
                    continue
                size = 1
                for side in entry["shape"]:
                    size *= side
                if parts[0] == "players":
                    held[parts[1]] = held.get(parts[1], 0) + size
                elif parts[3] in ("exp_avg", "square_avg", "momentum_buffer"):
                    moved.setdefault(parts[1], {})[parts[2]] = size
        except (OSError, ValueError, KeyError, IndexError, TypeError, struct.error):
            continue
        # The optimiser's moments have the shape of what is trained; a state before the first step has only everything held.
        return {name: sum(moved[name].values()) if name in moved else size for name, size in held.items() if name in moved or not moved}
    return {}


def _rank(entry: Entry, names: Sequence[str]) -> tuple[bool, float]:
    figure = entry.figures.get(names[0]) if names else None
    return (figure is None, 0.0 if figure is None else -figure.mean if figure.higher else figure.mean)


def _remarks(entries: Sequence[Entry], names: Sequence[str]) -> list[str]:
    """What the figures cannot tell by themselves."""
    said = []
    single = [entry.name for entry in entries if len(entry.members) == 1]
    if single:
        said.append(f"One seed only, so no spread is known: {', '.join(single)}. Train again with other values of --seed.")
    pairs = [(e, f) for e in entries if names and (f := e.figures.get(names[0])) is not None]
    if len(pairs) > 1:
        (one, a), (two, b) = pairs[:2]
        if a.spread is not None and b.spread is not None and abs(a.mean - b.mean) < a.spread + b.spread:
            said.append(f"{one.name} and {two.name} differ in {names[0]} by less than their spreads: these runs do not tell them apart.")
    for name, words in (("cpu_seconds", "CPU-seconds of training"), ("seen", "samples seen")):
        costs = [cost for entry in entries if (cost := entry.cost(name))]
        if len(costs) == len(entries) and max(costs) > 1.5 * min(costs):
            said.append(f"{words} differ by a factor of {max(costs) / min(costs):.1f}; the curves show the scores at equal cost.")
    devices = {
        json.dumps([mapping(m.run.get("environment")).get(k) for k in ("device", "cpu", "threads")]) for e in entries for m in e.members
    }
    if len(devices) > 1:
        said.append("The runs were made on different machines or numbers of threads: compare costs with care.")
    if any(entry.speed is None for entry in entries):
        said.append("Samples per CPU-second are measured by adding --measure.")
    return said


def to_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison as plain data, for other programs."""
    return {
        "data": comparison.data, "protocols": comparison.protocols, "notes": comparison.notes,
        "entries": [
            {
                "name": e.name, "runs": [str(m.path) for m in e.members], "seeds": e.seeds, "sampling": e.sampling,
                "scores": {
                    n: {"values": list(f.values), "mean": f.mean, "sd": f.spread, "floor": f.floor, "higher_is_better": f.higher}
                    for n, f in e.figures.items()
                },
                "samples_per_cpu_second": e.speed, "parameters": e.parameters,
                **{name: e.cost(name) for name in ("seen", "cpu_seconds", "seconds", "memory_mb")},
            }
            for e in comparison.entries
        ],
    }  # fmt: skip
