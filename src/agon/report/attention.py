"""Where a translator looked: for some pairs of the newest tick a table of said pieces against pieces of the source, darker where it looked more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agon.report.journal import mapping, whole
from agon.report.markup import Markup, finite, h, number_text, quiet, section, setting_text

PAIRS, PIECES = 8, 64  # drawn at most, whatever the file holds


def attention_section(samples: Path) -> Markup | None:
    """The part of the page, or None where nothing was written; never raises on a bad file."""
    try:
        told = mapping(json.loads((samples / "attention.json").read_text("utf-8")))
    except (OSError, ValueError):
        return None
    pairs = told.get("pairs")
    tables = [made for pair in (pairs if isinstance(pairs, list) else [])[:PAIRS] if (made := _table(mapping(pair))) is not None]
    if not tables:
        return None
    about = quiet(
        f"Held-out sources, round {number_text(whole(told.get('round')))}. A row a piece that was said, a column a piece of the source; "
        "the darker, the more attention it had when the piece was said."
    )
    return section("attention", "Where it looked", about, *tables)


def _table(pair: dict[str, Any]) -> Markup | None:
    source, said, looks = pair.get("source"), pair.get("said"), pair.get("looks")
    if not (isinstance(source, list) and isinstance(said, list) and isinstance(looks, list) and len(looks) == len(said) and source):
        return None
    rows = []
    for piece, shares in list(zip(said, looks, strict=True))[:PIECES]:
        if not isinstance(shares, list) or len(shares) != len(source):
            return None
        rows.append(h("tr", h("th", h("bdi", _shown(piece)), scope="row"), [_cell(share) for share in shares[:PIECES]]))
    head = h("tr", h("th", ""), [h("th", h("span", h("bdi", _shown(piece))), scope="col") for piece in source[:PIECES]])
    return h("div", h("table", h("thead", head), h("tbody", rows)), class_="table looks")


def _shown(piece: Any) -> str:
    """A piece's name, with blanks that can be seen."""
    return setting_text(piece).replace(" ", "␣").replace("\n", "⏎")


def _cell(share: Any) -> Markup:
    seen = min(1.0, max(0.0, finite(share) or 0.0))
    return h("td", style=f"--seen:{seen:.2f}", title=f"{seen:.0%}")
