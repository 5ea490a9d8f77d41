"""A comparison as a table of text, and how it is laid out in a terminal of so many columns."""

from __future__ import annotations

from collections.abc import Sequence

from agon.comparison import Comparison, Figure
from agon.report.markup import duration_text, number_text

COSTS = ("samples/CPU-s", "parameters", "seen", "CPU time", "wall time", "memory")
GAP = 2  # blank columns between two columns
NAME = 20  # a run's name over its column may take so much before it is broken into lines


def figure_text(figure: Figure | None) -> str:
    """Mean ± standard deviation; "—" for none."""
    if figure is None:
        return "—"
    return number_text(figure.mean) + (f" ± {number_text(float(f'{figure.spread:.2g}'))}" if figure.spread is not None else "")


def count_text(count: float | None) -> str:
    """A large number in thousands or millions."""
    if count is None:
        return "—"
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.3g}"


Cells = tuple[list[str], list[list[str]]]  # heads, and rows as long


def rows(comparison: Comparison) -> Cells:
    """The table as text: heads and rows."""
    heads = ["run", "seeds"]
    for name in comparison.names:
        heads += [name, "floor"] if name == comparison.names[0] else [name]
    heads += COSTS
    made = []
    for entry in comparison.entries:
        cells = [entry.name, str(len(entry.members))]
        for name in comparison.names:
            figure = entry.figures.get(name)
            cells.append(figure_text(figure))
            if name == comparison.names[0]:
                cells.append(number_text(figure.floor) if figure else "—")
        parameters = ", ".join(f"{player} {count_text(count)}" for player, count in entry.parameters.items())
        memory = entry.cost("memory_mb")
        cells += [
            number_text(float(f"{entry.speed:.3g}")) if entry.speed is not None else "—", parameters or "—", count_text(entry.cost("seen")),
            duration_text(entry.cost("cpu_seconds")), duration_text(entry.cost("seconds")), f"{memory:,.0f} MiB" if memory else "—",
        ]  # fmt: skip
        made.append(cells)
    return heads, made


def laid_out(heads: Sequence[str], body: Sequence[Sequence[str]], width: int) -> list[Cells]:
    """The table cut into such as fit `width`: whole; or scores and costs apart; or runs in columns, as many side by side as there is room for.

    Columns in which no run has anything are left out. Cells are never broken, except the names of runs that stand over a column.
    """
    told = [k for k in range(len(heads)) if any(line[k] != "—" for line in body)]
    heads, body = [heads[k] for k in told], [[line[k] for k in told] for line in body]
    whole: Cells = (list(heads), [list(line) for line in body])
    if _width(*whole) <= width:
        return [whole]
    scores = [k for k, head in enumerate(heads) if head not in COSTS]
    costs = [0, *(k for k, head in enumerate(heads) if head in COSTS)]
    apart = [([heads[k] for k in part], [[line[k] for k in part] for line in body]) for part in (scores, costs)]
    if all(_width(*part) <= width for part in apart):
        return apart
    first = max(map(len, heads))
    columns = [max(min(len(line[0]), NAME), *map(len, line[1:])) for line in body]
    parts: list[list[int]] = []
    left = 0
    for k, column in enumerate(columns):
        if left < GAP + column:
            parts.append([])
            left = width - first
        parts[-1].append(k)
        left -= GAP + column
    return [([heads[0], *(body[k][0] for k in part)], [[head, *(body[k][row] for k in part)] for row, head in enumerate(heads) if row])
            for part in parts]  # fmt: skip


def _width(heads: Sequence[str], body: Sequence[Sequence[str]]) -> int:
    return sum(GAP + max(map(len, column)) for column in zip(heads, *body, strict=True)) - GAP
