"""Quality against diversity: a run's BLEU over its self-BLEU as the temperature goes up and down, beside a likelihood run's and the human point.

Read from RUN/curve.json:

    {"protocol": "…", "points": [{"temperature", "bleu4", "self_bleu4"}, …],
     "likelihood": {"name": "…", "points": […]}, "human": {"bleu4", "self_bleu4"}}

Only "points" has to be there. A panel is `{"id", "title", "note", "x", "y", "series": [{"name", "color", "points": [[x, y, label], …]}]}`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agon.report.curves import number
from agon.report.journal import mapping
from agon.report.markup import number_text, setting_text

FILE = "curve.json"
POINTS = 200  # of a series, at most
_LABEL = 40  # letters of a name


def gap_panels(directory: Path) -> list[dict[str, Any]]:
    """The panel of a run's temperature curve in a list, or [] where there is none that can be read."""
    try:
        told = mapping(json.loads((directory / FILE).read_bytes()))
    except (OSError, ValueError, RecursionError):
        return []
    other = mapping(told.get("likelihood"))
    series = [
        {"name": "this run", "color": 1, "points": _points(told.get("points"))},
        {"name": setting_text(other.get("name") or "likelihood")[:_LABEL], "color": 0, "points": _points(other.get("points"))},
        {"name": "human", "color": 2, "points": _points([told.get("human")])},
    ]
    series = [one for one in series if one["points"]]
    if not series:
        return []
    note = "up: better sentences; left: more different ones. Numbers are temperatures. Compare at equal self-BLEU: above the other curve is better"
    protocol = setting_text(told.get("protocol") or "")
    return [{
        "id": "gap", "title": "Quality against diversity", "note": f"{note}. {protocol}" if protocol else note, "x": "self-BLEU-4", "y": "BLEU-4",
        "series": series,
    }]  # fmt: skip


def _points(found: Any) -> list[list[Any]]:
    """[[self-BLEU, BLEU, label], …] in order of temperature."""
    rows = [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
    told = [(number(row.get("temperature")), number(row.get("self_bleu4")), number(row.get("bleu4"))) for row in rows[:POINTS]]
    kept = sorted((heat if heat is not None else -1.0, x, y) for heat, x, y in told if x is not None and y is not None)
    return [[x, y, "" if heat < 0 else number_text(heat)] for heat, x, y in kept]
