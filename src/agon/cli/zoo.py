"""The zoo: its recipes with their published scores, and a row repeated."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agon.cli.base import app, line, screen
from agon.errors import InputError


@app.command()
def recipes(as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with every figure.")] = False) -> None:
    """List the recipes: paper, data, score, cost, date and hardware."""
    import json

    from agon.catalogue import cards, rows

    published = rows()
    if as_json:
        listed = [
            {"name": c.name, "title": c.title, "paper": c.paper, "rows": [r.to_json() for r in published if r.recipe == c.name]}
            for c in cards()
        ]
        typer.echo(json.dumps(listed, indent=1, ensure_ascii=False))
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    console = screen()
    view = Table("recipe", "what", "paper", box=SIMPLE_HEAD)
    for card in cards():
        view.add_row(card.name, card.title, card.paper)
    console.print(view)
    if not published:
        line(console, "scores", "none published yet; python benchmarks/zoo.py run, then publish", width=6)
        return
    view = Table(title="Scores, lower FD is better", title_justify="left", box=SIMPLE_HEAD)
    for title in ("data/recipe", "FD ± sd", "prec. / rec.", "CPU-s", "img/CPU-s", "date"):
        view.add_column(title, no_wrap=title == "data/recipe")
    for row in published:
        figures = row.figures
        score = f"{row.fd:.3g}" + (f" ± {row.fd_sd:.2g}" if row.fd_sd is not None else " (1 seed)")
        both = f"{figures.get('precision', float('nan')):.2f} / {figures.get('recall', float('nan')):.2f}"
        cost, rate = f"{figures['cpu_seconds']:.0f}", f"{figures['images_per_cpu_second']:.0f}"
        view.add_row(row.name, score, both, cost, rate, figures["date"])
    console.print(view)
    for name, key in (("hardware", "machine"), ("torch", "torch"), ("commit", "commit")):
        line(console, name, "; ".join(dict.fromkeys(str(row.figures[key]) for row in published)), width=8)
    line(console, "repeat", "agon reproduce DATA/RECIPE --data PATH", width=8)


@app.command(context_settings={"allow_extra_args": True})
def reproduce(
    context: typer.Context,
    row: Annotated[str, typer.Argument(metavar="DATA/RECIPE", help="A published row of `agon recipes`, such as mnist/r3gan.")],
    data: Annotated[str, typer.Option(help="Where the set's data lie; nothing is downloaded.")],
    seeds: Annotated[str | None, typer.Option("--seeds", "--seed", help="Seeds to play, such as 0 1 2; default: those published.")] = None,
    budget_scale: Annotated[float | None, typer.Option(help="Share of the rounds and samples, for a shorter, incomparable run.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Short for --budget-scale 0.02.")] = False,
    out: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs/reproduce"),
) -> None:  # fmt: skip
    """Repeat a published row with the same settings and compare."""
    from agon.catalogue import row as published

    chosen, scores = _whole([*(seeds.replace(",", " ").split() if seeds else []), *context.args]), published(row)
    if quick and budget_scale is not None:
        raise InputError("--quick is a budget scale already; give one of --quick and --budget-scale.")
    from agon.reproduce import QUICK, repeat

    console = screen()
    scale = QUICK if quick else 1.0 if budget_scale is None else budget_scale
    done = repeat(scores, data, out, seeds=chosen or None, scale=scale, say=lambda n, t: line(console, n, t))
    for name, text in done.lines():
        line(console, name, text)


def _whole(words: list[str]) -> list[int]:
    for word in words:
        if not word.isdigit():
            raise InputError(f"seed '{word}' is no whole number; expected --seeds 0 1 2.")
    return [int(word) for word in words]
