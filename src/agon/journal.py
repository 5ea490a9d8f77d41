"""A run directory read back: settings, data card, events, scores, in shapes that readers can trust.

Files may be missing, partial or foreign (a run still going, a torn line, a hand-edited number), so nothing here raises on
what it finds; what could not be read is said in `notes`. Needs neither torch nor Pillow.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agon.markup import finite, moment_text, setting_text
from agon.records import read_jsonl

# name -> (long name, what it says); direction comes with each score.
SCORES = {
    "fd": ("Fréchet distance", "distance of feature means and covariances"),
    "kid": ("Kernel distance", "squared maximum mean discrepancy of features"),
    "is": ("Inception-type score", "sharp and varied class predictions"),
    "precision": ("Precision", "share of samples that lie among the real ones"),
    "recall": ("Recall", "share of real ones that lie among the samples"),
    "density": ("Density", "how densely samples sit where real ones are"),
    "coverage": ("Coverage", "share of real ones with a sample near"),
    "modes": ("Modes covered", "modes of the toy set that got samples"),
    "quality": ("High-quality share", "share of samples close to a mode"),
}


def mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def whole(value: Any) -> int:
    return int(finite(value) or 0)


@dataclass
class Scores:
    """All scores of one name under one protocol, by round."""

    name: str
    protocol: str
    higher: bool
    rows: list[dict[str, Any]]  # each: round, seen, seconds, value, floor

    @property
    def last(self) -> dict[str, Any]:
        return self.rows[-1]

    @property
    def best(self) -> dict[str, Any]:
        return (max if self.higher else min)(self.rows, key=lambda row: row["value"])

    @property
    def title(self) -> str:
        return SCORES.get(self.name, (self.name, ""))[0]


@dataclass
class Journal:
    """What the run directory says, in the shapes the sections need."""

    path: Path
    run: dict[str, Any] = field(default_factory=dict)
    card: dict[str, Any] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    ticks: list[dict[str, Any]] = field(default_factory=list)
    scores: list[Scores] = field(default_factory=list)
    film: Film = field(default_factory=Film)
    notes: list[str] = field(default_factory=list)

    def command(self, verb: str, *rest: str) -> str:
        return shlex.join(["agon", verb, *rest])


def read_journal(path: Path) -> Journal:
    record = Journal(path)
    for name in ("run", "data"):
        source = path / f"{name}.json"
        try:
            content = mapping(json.loads(source.read_bytes()))
        except FileNotFoundError:
            record.notes.append(f"{name}.json is not there.")
            continue
        except (OSError, ValueError, RecursionError) as error:
            record.notes.append(f"{name}.json could not be read: {error}")
            continue
        if name == "run":
            record.run = content
        else:
            record.card = content
    record.events = read_jsonl(path / "events.jsonl")
    for row in record.events:
        if row.get("kind") == "tick" and finite(row.get("round")) is not None:
            # After a rollback or a resume the same rounds are told again: the later telling holds.
            while record.ticks and whole(record.ticks[-1]["round"]) >= whole(row["round"]):
                record.ticks.pop()
            record.ticks.append(row)
    record.scores = _scores(read_jsonl(path / "metrics.jsonl"))
    record.film = film(path / "samples")
    record.notes += record.film.notes
    return record


def _scores(rows: Iterable[Mapping[str, Any]]) -> list[Scores]:
    """Group by name and protocol (unlike protocols never share a line), one row a round, the latest telling."""
    groups: dict[tuple[str, str], Scores] = {}
    for row in rows:
        value = finite(row.get("value"))
        if value is None:
            continue
        name, protocol = str(row.get("name", "?")), _stamp(row.get("protocol"))
        higher = row.get("higher_is_better") is True
        group = groups.setdefault((name, protocol), Scores(name, protocol, higher, []))
        at = {key: whole(row.get(key)) for key in ("round", "seen")} | {"seconds": finite(row.get("seconds")) or 0.0}
        group.rows = [r for r in group.rows if r["round"] != at["round"]]
        group.rows.append({**at, "value": value, "floor": finite(row.get("floor"))})
    order = list(SCORES)
    for group in groups.values():
        group.rows.sort(key=lambda r: r["round"])
    return sorted(groups.values(), key=lambda g: (order.index(g.name) if g.name in order else len(order), g.name))


def _stamp(protocol: Any) -> str:
    """A protocol as one line."""
    if isinstance(protocol, dict):
        return " · ".join(f"{key} {setting_text(value)}" for key, value in protocol.items() if value is not None)
    return "" if protocol is None else str(protocol)


def state(record: Journal, now: float) -> tuple[str, str]:
    """(word, sentence): finished, stopped, running, interrupted or not started."""
    turning = [row for row in record.events if row.get("kind") in ("start", "resume", "stop", "done")]
    if not record.events:
        return "not started", "No event has been written yet."
    kind = turning[-1]["kind"] if turning else "start"
    last = finite(record.events[-1].get("time")) or 0.0
    if kind in ("stop", "done"):
        return ("finished" if kind == "done" else "stopped"), f"Last event {moment_text(last)} UTC."
    times = [t for row in record.ticks[-20:] if (t := finite(row.get("time")))]
    gaps = sorted(b - a for a, b in zip(times, times[1:], strict=False))
    quiet = max(600.0, 10 * gaps[len(gaps) // 2] if gaps else 0.0)
    if now - last > quiet:
        return "interrupted", f"No word since {moment_text(last)} UTC, and the run did not say that it stopped."
    return "running", f"Last event {moment_text(last)} UTC; this page shows the run as it was then."


