"""Quality against diversity: BLEU over self-BLEU as the temperature goes up and down, the point of real sentences, the gap to likelihood.

Read from RUN/curve.json, as `agon curve` writes it: "points" of this run or, where "likelihood" names another, of that one, with "run", where this
run lies beside it, and "gap". A panel is `{"id", "title", "note", "x", "y", "series": [{"name", "color", "points": [[x, y, label], …]}]}`.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agon.report.curves import number
from agon.report.journal import mapping, whole
from agon.report.markup import number_text, setting_text

FILE = "curve.json"
POINTS = 200  # at most
ORDER = "4"  # of the n-grams


def beside_likelihood(directory: Path, content: Mapping[str, Any]) -> str | None:
    """How a run of text stands beside likelihood, or the command that would tell; None of runs on other data, or from a source. content: run.json."""
    space = mapping(content.get("space"))
    if space.get("kind") != "tokens" or space.get("source"):
        return None
    told, path = _kept(directory), shlex.quote(str(directory))
    if mapping(content.get("game")).get("name") == "likelihood":
        return None if told.get("points") else f"no temperature curve yet: agon curve {path}"
    gap = " ".join(_gap(mapping(told.get("gap"))))
    if not gap:
        return f"not compared with likelihood yet: agon curve {path} --likelihood LIKELIHOOD_RUN"
    at = f", round {whole(told['round']):,}" if number(told.get("round")) is not None else ""
    return f"{gap} (agon curve beside {setting_text(told.get('likelihood') or 'another run')}{at})"


def _kept(directory: Path) -> dict[str, Any]:
    """What `agon curve` left; {} where it left nothing that can be read."""
    try:
        return mapping(json.loads((directory / FILE).read_bytes()))
    except (OSError, ValueError, RecursionError):
        return {}


def gap_panels(directory: Path) -> list[dict[str, Any]]:
    """The panel of a run's temperature curve in a list, or [] where there is none that can be read."""
    told = _kept(directory)
    found = told.get("points")
    rows = [row for row in found if isinstance(row, dict)][:POINTS] if isinstance(found, list) else []
    own, other = mapping(told.get("run")), told.get("likelihood")
    curve, human = ([row for row in rows if (number(row.get("temperature")) is None) == alone] for alone in (False, True))
    series = [
        {"name": "this run", "color": 1, "points": _points([own] if other else curve)},
        {"name": "likelihood", "color": 0, "points": _points(curve if other else [])},
        {"name": "human", "color": 2, "points": _points(human)},
    ]
    series = [one for one in series if one["points"]]
    if not series:
        return []
    note = (
        "up: better sentences; left: more different ones. Numbers are temperatures. Compare at equal self-BLEU: what lies higher is better."
    )
    more = [*_gap(mapping(told.get("gap"))), setting_text(told.get("protocol") or "")]
    return [{
        "id": "gap", "title": "Quality against diversity", "note": " ".join([note, *more]).strip(), "x": f"self-BLEU-{ORDER}", "y": f"BLEU-{ORDER}",
        "series": series,
    }]  # fmt: skip


def _gap(told: dict[str, Any]) -> list[str]:
    value, low, high = (number(told.get(name)) for name in ("value", "low", "high"))
    if value is None:
        return [f"{setting_text(told['why'])}."] if told.get("why") else []
    between = f" [{low:+.3f}, {high:+.3f}]" if low is not None and high is not None else ""
    return [f"At equal self-BLEU this run has {value:+.3f}{between} BLEU beside likelihood."]


def _points(rows: list[dict[str, Any]]) -> list[list[Any]]:
    """[[self-BLEU, BLEU, label], …] in order of temperature."""
    told = [(number(row.get("temperature")), _figure(row, "self_bleu"), _figure(row, "bleu")) for row in rows]
    kept = sorted((heat if heat is not None else -1.0, x, y) for heat, x, y in told if x is not None and y is not None)
    return [[x, y, "" if heat < 0 else number_text(heat)] for heat, x, y in kept]


def _figure(row: dict[str, Any], name: str) -> float | None:
    return number(mapping(row.get(name)).get(ORDER))
