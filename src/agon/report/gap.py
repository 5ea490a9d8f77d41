"""Quality against diversity: BLEU over self-BLEU as the temperature goes up and down, the point of real sentences, the gap to likelihood.

Read from RUN/curve.json, as `agon curve` writes it: "points" of this run or, where "likelihood" names another, of that one, with "run", where this
run lies beside it, and "gap". On a language whose probabilities are known there is a second panel, of "known": KL(P‖G) over NLL-oracle.
A panel is `{"id", "title", "note", "x", "y", "series": [{"name", "color", "points": [[x, y, label], …]}]}`.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agon.report.curves import number
from agon.report.journal import mapping, whole
from agon.report.markup import number_text, setting_text

FILE = "curve.json"
POINTS = 200  # at most
ORDER = "4"  # of the n-grams

Place = tuple[float | None, float | None]  # of a row on the plane


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
    """The panels of a run's temperature curve, or [] where there is none that can be read."""
    told = _kept(directory)
    known, own = mapping(told.get("known")), told.get("likelihood") is None
    note = (
        "up: better sentences; left: more different ones. Numbers are temperatures. Compare at equal self-BLEU: what lies higher is better."
    )
    more = [*_gap(mapping(told.get("gap"))), setting_text(told.get("protocol") or "")]
    panels = [
        {
            "id": "gap", "title": "Quality against diversity", "note": " ".join([note, *more]).strip(), "x": f"self-BLEU-{ORDER}",
            "y": f"BLEU-{ORDER}", "series": _series(told, _bleu, own),
        },
        {
            "id": "known", "title": "Quality against coverage", "note": " ".join([_KNOWN, *_verdict(known)]), "x": _axis(known),
            "y": "KL(P‖G), nats a token", "series": _series(known, _divergence, own),
        },
    ]  # fmt: skip
    return [panel for panel in panels if panel["series"]]


_KNOWN = "left: likelier sentences; down: more of the language covered. Numbers are temperatures. Compare at equal quality: what lies lower is better."


def _series(told: Mapping[str, Any], place: Callable[[dict[str, Any]], Place], own: bool) -> list[dict[str, Any]]:
    """The curve, the run beside it and the human point, as far as they are there. own: the curve is of the run itself."""
    found = told.get("points")
    rows = [row for row in found if isinstance(row, dict)][:POINTS] if isinstance(found, list) else []
    curve, human = ([row for row in rows if (number(row.get("temperature")) is None) == alone] for alone in (False, True))
    series = [
        {"name": "this run", "color": 1, "points": _points(curve if own else [mapping(told.get("run"))], place)},
        {"name": "likelihood", "color": 0, "points": _points([] if own else curve, place)},
        {"name": "human", "color": 2, "points": _points(human, place)},
    ]
    return [one for one in series if one["points"]]


def _gap(told: dict[str, Any]) -> list[str]:
    value, low, high = (number(told.get(name)) for name in ("value", "low", "high"))
    if value is None:
        return [f"{setting_text(told['why'])}."] if told.get("why") else []
    between = f" [{low:+.3f}, {high:+.3f}]" if low is not None and high is not None else ""
    return [f"At equal self-BLEU this run has {value:+.3f}{between} BLEU beside likelihood."]


def _verdict(known: Mapping[str, Any]) -> list[str]:
    gap, said = mapping(known.get("gap")), mapping(known.get("verdict"))
    value, low, high = (number(gap.get(name)) for name in ("value", "low", "high"))
    between = f" [{low:+.3f}, {high:+.3f}]" if low is not None and high is not None else ""
    above = [] if value is None else [f"At equal quality this run has {value:+.3f}{between} KL(P‖G) beside likelihood."]
    return [*above, *([f"{setting_text(said['word'])}: {setting_text(said.get('why') or '')}"] if said.get("word") else [])]


def _axis(known: Mapping[str, Any]) -> str:
    points = known.get("points")
    grammar = isinstance(points, list) and any(mapping(row).get("valid") is not None for row in points)
    return "share of ungrammatical sentences" if grammar else "NLL-oracle, nats a token"


def _points(rows: list[dict[str, Any]], place: Callable[[dict[str, Any]], Place]) -> list[list[Any]]:
    """[[x, y, label], …] in order of temperature."""
    told = [(number(row.get("temperature")), *place(row)) for row in rows]
    kept = sorted((heat if heat is not None else -1.0, x, y) for heat, x, y in told if x is not None and y is not None)
    return [[x, y, "" if heat < 0 else number_text(heat)] for heat, x, y in kept]


def _bleu(row: dict[str, Any]) -> Place:
    x, y = (number(mapping(row.get(name)).get(ORDER)) for name in ("self_bleu", "bleu"))
    return x, y


def _divergence(row: dict[str, Any]) -> Place:
    x, y = (_first(mapping(row.get("figures")).get(name)) for name in ("nll_oracle", "kl_oracle_model"))
    valid = number(row.get("valid"))
    return x if valid is None else number(1 - valid), y


def _first(pair: Any) -> float | None:
    return number(pair[0]) if isinstance(pair, list) and pair else None
