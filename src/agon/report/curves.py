"""Ticks and scores become panels of curves: scores, losses by turn, logits, gradient norms, diversity, throughput, memory.

A panel is a plain mapping that `page.js` (or any other reader) draws:
`{"id", "title", "note", "series": [{"name", "x", "color", "values", "floor"?, "best"?}]}`; `x` names an axis
`{"round", "seen", "seconds"}` of lists as long as the values, which hold None where nothing was said.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from agon.report.journal import Scores

POINTS = 1500  # a curve holds at most this many points; longer ones are averaged

# The last part of a statistic's name -> the panel it belongs to. What is not named here is a term of a turn.
_PANEL_OF = {
    "real": "logits", "fake": "logits", "held": "logits", "gap": "logits",
    "grad": "gradients", "grad_norm": "gradients", "norm": "gradients",
    "lr": "rates", "strength": "strength",
    "repeats": "repeats", "unique": "unique", "copied": "copied", "unended": "unended", "length": "length", "nats own": "nats", "nats held": "nats",
    "nats train": "nats", "kl pretrained": "kl",
    "motion": "motion", "ways": "ways", "flicker": "flicker", "drift": "drift",
}  # fmt: skip
_VITALS = ("real", "sample", "held", "augment")  # owners of statistics beside the players, which have capital letters: no terms of a turn
_TITLES = {
    "logits": ("Logits", "the critic's mean output on real, generated and held-out data"),
    "accuracy": ("Accuracy of the critic", "share of real, generated and held-out data told right"),
    "gradients": ("Gradient norms", "by player, before clipping"),
    "diversity": ("Diversity", "generated samples against real ones"),
    "saturation": ("Saturation", "share of values at the range's ends"),
    "motion": ("Motion", "mean change of clips from frame to frame"),
    "ways": ("Ways of moving", "how unlike the directions of clips are: 0 all alike, 1 nothing in common"),
    "flicker": ("Flicker", "second difference in time of the typical pixel"),
    "drift": ("Content drift", "change of colours from the first to the last quarter of a clip"),
    "nats": ("Nats a token", "its own sentences (entropy), held-out and training ones"),
    "kl": ("KL to likelihood", "nats a token from the speaker that likelihood made to the present one, on its own sentences"),
    "repeats": ("Repeated phrases", "runs of three tokens that their sentence has said before"),
    "unique": ("Different sentences", "share of different ones among so many"),
    "copied": ("Copies", "share of samples that are training sentences word for word"),
    "unended": ("Sentences without an end", "share"),
    "length": ("Length", "tokens a sentence, the end included"),
    "rates": ("Learning rates", "by player"),
    "strength": ("Strength", "of augmentation"),
    "throughput": ("Throughput", "real samples a second"),
    "memory": ("Memory", "peak, MiB"),
}
_COLORS = {"real": 0, "D": 0, "fake": 1, "sample": 1, "G": 1, "held": 2}
_SHARES = ("precision", "recall", "density", "coverage")
_ORDER = ["", *_TITLES]  # losses come first


def number(value: Any) -> float | None:
    """`value` as a finite float to six digits, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(f"{value:.6g}") if math.isfinite(value) else None
    except OverflowError:
        return None


def panels(ticks: Sequence[Mapping[str, Any]]) -> tuple[dict[str, list[float | None]], list[dict[str, Any]], int]:
    """Return the common axis of `ticks`, the panels in reading order, and how many ticks each point averages."""
    stride = max(1, math.ceil(len(ticks) / POINTS))
    columns: dict[str, list[float | None]] = {}
    for index, row in enumerate(ticks):
        stats = row.get("stats")
        told = dict(stats) if isinstance(stats, dict) else {}
        told |= {"throughput/samples": row.get("rate"), "memory/peak": row.get("memory_mb")}
        for name, value in told.items():
            if (value := number(value)) is not None:
                columns.setdefault(str(name), [None] * len(ticks))[index] = value
    axis = {key: thin([number(row.get(key)) for row in ticks], stride, last=True) for key in ("round", "seen", "seconds")}
    made: dict[str, dict[str, Any]] = {}
    for name, values in sorted(columns.items()):
        if name.endswith("/finite") and all(value == 1.0 for value in values if value is not None):
            continue  # a flag that never fell says nothing
        key, title, note, label = _place(name)
        panel = made.setdefault(key, {"id": key, "title": title, "note": note, "series": []})
        panel["series"].append({"name": label, "x": "ticks", "values": thin(values, stride)})
    for panel in made.values():
        _paint(panel["series"])
    order = {key: index for index, key in enumerate(_ORDER)}
    return axis, sorted(made.values(), key=lambda p: (order.get(p["id"], 0), p["id"])), stride


def score_panels(scores: Sequence[Scores]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Axes and panels of the scores: a panel a name (one for the four shares), an axis and a line a protocol."""
    axes: dict[str, Any] = {}
    made: dict[str, dict[str, Any]] = {}
    for index, score in enumerate(scores):
        axis = f"score {index}"
        axes[axis] = {key: [number(row[key]) for row in score.rows] for key in ("round", "seen", "seconds")}
        key = "prdc" if score.name in _SHARES else score.name
        title = ", ".join(_SHARES).capitalize() if key == "prdc" else score.title
        note = f"{'higher' if score.higher else 'lower'} is better; dashed: floor"
        panel = made.setdefault(key, {"id": f"score {key}", "title": title, "note": note, "series": []})
        alike = sum(other.name == score.name for other in scores[:index])
        floors = [row["floor"] for row in score.rows if row["floor"] is not None]
        panel["series"].append({
            "name": f"{score.name}, protocol {alike + 1}" if alike else score.name,
            "x": axis, "color": len(panel["series"]), "values": [number(row["value"]) for row in score.rows],
            "floor": number(floors[-1]) if floors else None, "best": score.rows.index(score.best),
        })  # fmt: skip
    return axes, list(made.values())


def thin(values: Sequence[float | None], stride: int, *, last: bool = False) -> list[float | None]:
    """One value for every `stride`: their mean, or the last one when `last`; None where nothing was said."""
    if stride == 1:
        return list(values)
    out: list[float | None] = []
    for start in range(0, len(values), stride):
        told = [value for value in values[start : start + stride] if value is not None]
        out.append(None if not told else told[-1] if last else number(math.fsum(told) / len(told)))
    return out


def _place(name: str) -> tuple[str, str, str, str]:
    """(panel id, title, note, label) of the statistic `name`."""
    owner, _, leaf = name.rpartition("/")
    if owner in ("throughput", "memory"):
        return owner, *_TITLES[owner], leaf
    key = next((key for key in ("accuracy", "diversity", "saturation") if key in name), _PANEL_OF.get(leaf))
    if key == "accuracy":
        return key, *_TITLES[key], name.replace("/accuracy", "").replace("accuracy", "").strip(" /_") or name
    if key == "nats":
        return key, *_TITLES[key], leaf.removeprefix("nats ")
    if key:
        return key, *_TITLES[key], name if key == "logits" else owner or leaf
    title = f"{'Statistics' if owner in _VITALS or owner[:1].isupper() else 'Loss terms'}: {owner}" if owner else "Other statistics"
    return f"terms {owner}", title, "mean over a tick", leaf


def _paint(series: list[dict[str, Any]]) -> None:
    """Give every curve a colour number: real, generated and held-out data keep theirs on the whole page, and so do D and G."""
    free = list(range(len(series) + 3))
    wanted = [_COLORS.get(re.split(r"[/ ]", entry["name"])[-1]) for entry in series]
    for entry, color in zip(series, wanted, strict=True):
        entry["color"] = color if color in free else None
        if color in free:
            free.remove(color)
    for entry in series:
        if entry["color"] is None:
            entry["color"] = free.pop(0)
