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
    """Set runs side by side, as a table and as one HTML page. Scores over seeds, floor, speed, size, cost."""
    import json

    from agon.comparison import compare_runs, to_json
    from agon.report.columns import GAP, laid_out, rows
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
    import textwrap

    from rich.markup import escape
    from rich.table import Table

    for number, (heads, body) in enumerate(laid_out(*rows(found), console.width)):
        if number:
            console.print()
        table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="bold")
        for head, *cells in zip(heads, *body, strict=True):
            table.add_column(head, overflow="fold", min_width=max(map(len, cells)))
        for cells in body:
            table.add_row(*map(escape, cells))
        console.print(table)
    console.print()
    for protocol in dict.fromkeys(found.protocols.values()):
        names = ", ".join(name for name, text in found.protocols.items() if text == protocol)
        told = f"{names}: {protocol}"
        console.print(textwrap.fill(told, console.width, subsequent_indent="  ", break_long_words=False), highlight=False, markup=False)
    for note in found.notes:
        line(console, "note", note)
    line(console, "wrote", str(page))
