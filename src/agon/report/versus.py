"""Runs side by side as one self-contained HTML page: the table, the grids of each run next to each other, the scores as curves."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agon.comparison import Comparison, Entry, Member
from agon.report.columns import rows
from agon.report.curves import number
from agon.report.film import Frame, Moving, moving, newest, still
from agon.report.frame import chart, chart_tools, document, picture, playing, write_page
from agon.report.journal import SCORES, mapping
from agon.report.markup import Markup, copyable, finite, h, moment_text, number_text, quiet, section, table

_AXES = (("seen", "samples seen"), ("cpu_seconds", "CPU-seconds of training"), ("seconds", "time"), ("round", "rounds"))
_PARTS = (("scores", "Scores and cost"), ("samples", "Samples"), ("curves", "Curves"), ("record", "Repeating it"))
_SHARES = 12  # as many classes as a sample grid gives a column each


def write_comparison(comparison: Comparison, out: Path | str) -> Path:
    """Write the page to `out` and return its path. Raises InputError if it cannot be written."""
    axes, panels = _panels(comparison)
    content = {"axes": axes, "panels": panels, "marks": [], "by": "seen"}
    sections = [_table(comparison), _samples(comparison), _curves(panels), _record(comparison)]
    names = ", ".join(entry.name for entry in comparison.entries)
    count = sum(len(entry.members) for entry in comparison.entries)
    header = h(
        "header",
        h("p", "Agon comparison", class_="kicker"),
        h("h1", " · ".join(dict.fromkeys(entry.name for entry in comparison.entries))),
        h("p", f"{count} runs on {comparison.data}, best first.", class_="byline"),
        h("div", [h("p", note) for note in comparison.notes], class_="notes") if comparison.notes else None,
    )
    footer = f"Made by Agon on {moment_text(time.time())} UTC. This file stands alone: it needs no network."
    return write_page(Path(out), document(f"{names} — Agon comparison", header, _PARTS, sections, footer, content))


def _title(name: str) -> str:
    return SCORES.get(name, (name, ""))[0]


def _table(comparison: Comparison) -> Markup:
    heads, body = rows(comparison)
    best = {
        name: (max if figures[0].higher else min)(figure.mean for figure in figures)
        for name in comparison.names
        if (figures := [entry.figures[name] for entry in comparison.entries if name in entry.figures])
    }
    arrows = {name: next(e.figures[name].higher for e in comparison.entries if name in e.figures) for name in best}
    marked: list[list[Any]] = []
    for entry, cells in zip(comparison.entries, body, strict=True):
        line: list[Any] = [h("span", cells[0], title="; ".join(str(member.path) for member in entry.members))]
        for head, cell in zip(heads[1:], cells[1:], strict=True):
            leads = head in best and head in entry.figures and entry.figures[head].mean == best[head]
            line.append(h("b", cell) if leads else cell)
        marked.append(line)
    shown = [
        h("span", _title(head), " ", h("span", "↑" if arrows[head] else "↓", class_="way")) if head in arrows else head for head in heads
    ]
    caption = "Mean ± standard deviation over seeds; bold: best. The floor is the first score of real data against real data."
    stamps = [h("p", h("b", _title(name)), " ", text, class_="stamp") for name, text in comparison.protocols.items()]
    cut = heads.index("samples/CPU-s")
    costs = [[line[0], *line[cut:]] for line in marked]
    return section(
        "scores",
        "Scores and cost",
        table([line[:cut] for line in marked], shown[:cut], caption=caption, class_="wide"),
        stamps,
        table(costs, ["run", *heads[cut:]], caption="Size, speed and cost: means over seeds; memory is the peak."),
    )


def _samples(comparison: Comparison) -> Markup:
    figures = []
    for entry in comparison.entries:
        if entry.sampling:
            continue  # the grids were drawn as the run samples by itself
        member = entry.members[0]
        grids = sorted((int(p.stem), p) for p in (member.path / "samples").glob("*.png") if p.stem.isdecimal())
        frame = newest(member.path / "samples") or (still(grids[-1][1], grids[-1][0]) if grids else None)
        figures.append(_figure(entry.name, frame, _said(member, grids[-1][0]) if grids else "No sample grid has been written."))
    real = next((frame for e in comparison.entries for m in e.members if (frame := _real(m.path / "samples"))), None)
    if real is not None:
        figures.append(_figure("real data", real, "For comparison."))
    classed = [_columns(entry.members[0]) for entry in comparison.entries]
    told = "Every run draws the same fixed seed; nothing was picked."
    if any(classed):
        told += " Classes stand in columns" + ("." if all(classed) else ", but not where a run was trained without labels.")
    return section("samples", "Samples", quiet(told), h("div", figures, class_="versus"))


def _real(folder: Path) -> Frame | Moving | None:
    return moving(folder / "real.webp") or still(folder / "real.png", None)


def _said(member: Member, round: int) -> str:
    row = next((row for row in member.journal.ticks if row.get("round") == round), {})
    seen = f", {number_text(row['seen'])} samples seen" if finite(row.get("seen")) is not None else ""
    return f"seed {member.run.get('seed', '?')}, round {number_text(round)}{seen}"


def _columns(member: Member) -> bool:
    """Whether this run's grid has a class a column."""
    classes = mapping(member.run.get("space")).get("classes")
    return isinstance(classes, list) and 2 <= len(classes) <= _SHARES


def _figure(name: str, frame: Frame | Moving | None, text: str) -> Markup:
    shown = f"Samples of {name}"
    image = playing(frame, shown) if isinstance(frame, Moving) else picture(frame, shown, "grid") if frame is not None else None
    return h("figure", image, h("figcaption", h("b", name), " ", h("span", text, class_="quiet")))


def _panels(comparison: Comparison) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Axes and panels: a panel a score, a curve a run; runs of one entry share a colour."""
    axes: dict[str, Any] = {}
    panels: list[dict[str, Any]] = []
    for name in comparison.names:
        series: list[dict[str, Any]] = []
        for color, entry in enumerate(comparison.entries):
            for member in entry.members:
                if name in member.rows:
                    axis = f"{len(axes)}"
                    axes[axis] = {key: [_at(member, row, key) for row in member.rows[name]] for key, _ in _AXES}
                    values = [number(row["value"]) for row in member.rows[name]]
                    series.append({"name": _curve(entry, member), "x": axis, "color": color, "values": values})
        floor = next((e.figures[name].floor for e in comparison.entries if name in e.figures), None)
        higher = next(e.figures[name].higher for e in comparison.entries if name in e.figures)
        if series and floor is not None:
            series[0]["floor"] = number(floor)
        note = f"{'higher' if higher else 'lower'} is better" + ("; dashed: floor" if floor is not None else "")
        panels.append({"id": f"score {name}", "title": _title(name), "note": note, "series": series})
    return axes, panels


def _curve(entry: Entry, member: Member) -> str:
    return entry.name if len(entry.members) == 1 else f"{entry.name}, seed {member.run.get('seed', '?')}"


def _at(member: Member, row: Mapping[str, Any], key: str) -> float | None:
    """Where a score stands on an axis; `agon eval` writes no times, so those come from the tick of its round."""
    value = number(row.get(key))
    if value is not None:
        return value
    here = finite(row.get("round"))
    return next((number(tick.get(key)) for tick in reversed(member.journal.ticks) if here is not None and tick["round"] <= here), None)


def _curves(panels: list[dict[str, Any]]) -> Markup:
    return section("curves", "Curves", chart_tools(_AXES), h("div", [chart(panel) for panel in panels], class_="charts"))


def _record(comparison: Comparison) -> Markup:
    members = [member for entry in comparison.entries for member in entry.members]
    again = shlex.join(["agon", "compare", *dict.fromkeys(str(member.path) for member in members)])
    begun = [
        copyable(str(member.run["command"]), str(member.path))
        for member in {str(m.path): m for m in members}.values()
        if str(member.run.get("command") or "").startswith(("agon ", "torchrun ", "python"))
    ]
    return section("record", "Repeating it", copyable(again, "This page"), h("h3", "The runs were begun with") if begun else None, begun)
