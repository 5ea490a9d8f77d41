"""The verb that sets runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agon.cli.base import Trust, app, line, screen


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN …", help="Two run directories or more; seeds of one setting become one line.")],
    metrics: Annotated[list[str] | None, typer.Option("--metric", "-m", help="Compare this score only; may be repeated.")] = None,
    measure: Annotated[bool, typer.Option("--measure", help="Draw samples on one thread and write samples per CPU-second to each run.")] = False,
    out: Annotated[Path | None, typer.Option(help="The side-by-side page; default: comparison.html beside the first run.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of the table.")] = False,
    trust: Trust = False,
) -> None:  # fmt: skip
    """Set runs side by side: scores over seeds, floor, speed, size, cost; as a table and as one HTML page."""
    import json

    from agon.comparison import compare_runs, rows, to_json
    from agon.report.versus import write_comparison

    console = screen(quiet=as_json)
    if measure:
        from agon import speed

        for run in runs:
            line(console, "measured", f"{run}: {speed.measure(run, trust=trust):.3g} samples per CPU-second")
    found = compare_runs(runs, metrics or ())
    page = write_comparison(found, out or runs[0].resolve().parent / "comparison.html")
    if as_json:
        typer.echo(json.dumps({**to_json(found), "page": str(page)}, indent=1, ensure_ascii=False))
        return
    from rich.table import Table

    heads, body = rows(found)
    wide = sum(2 + max(len(line) for cell in column for line in cell.split("\n")) for column in zip(heads, *body, strict=True))
    if wide > console.width:  # a column a run, which a narrow terminal still shows whole
        heads, *body = (list(column) for column in zip(heads, *body, strict=True))
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for index, head in enumerate(heads):
        table.add_column(head, overflow="fold", no_wrap=index == 1, justify="left")
    for cells in body:
        table.add_row(*cells)
    console.print(table)
    for name, protocol in found.protocols.items():
        line(console, name, protocol)
    for note in found.notes:
        line(console, "note", note)
    line(console, "wrote", str(page))
