"""The zoo: its recipes with their published scores, and a row repeated."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agon.cli.base import app, line, screen
from agon.errors import InputError

if TYPE_CHECKING:
    from agon.catalogue import Row


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
    console = screen()
    machines = list(dict.fromkeys(_machine(row) for row in published))
    by_recipe = {card.name: [row for row in published if row.recipe == card.name] for card in cards()}
    table = [_told(row, machines) for row in published]
    # As many columns as the screen is wide; the rest is in --json.
    columns = [column for column in _COLUMNS if column not in _SPARE]
    width = {column: max([len(column), *(len(told.get(column, "")) for told in table)]) for column in _COLUMNS}
    width["recipe"] = max(map(len, by_recipe))
    for spare in _SPARE:
        if sum(width[column] + 2 for column in [*columns, spare]) - 2 <= console.width:
            columns.insert(columns.index("CPU-s"), spare)

    def put(told: dict[str, str], style: str = "") -> None:
        console.print("  ".join(told.get(c, "–").ljust(width[c]) for c in columns).rstrip(), style=style, highlight=False, soft_wrap=True)

    put({column: column for column in columns}, "bold")
    for card in cards():
        first = card.name
        for told in [_told(row, machines) for row in by_recipe[card.name]] or [{}]:
            put({**told, "recipe": first})
            first = ""
        console.print(f"    {card.title}; {card.paper}", style="dim", highlight=False, markup=False, soft_wrap=True)
    line(
        console,
        "FD",
        "classifier features of the set, lower is better; CPU-s: training only, one thread; – : not measured, or not on pictures",
        width=8,
    )
    for letter, machine in zip(_LETTERS, machines, strict=False):
        line(console, letter, machine, width=8)
    line(console, "more", "every figure, commits: agon recipes --json; text and clips: docs/benchmarks.md", width=8)
    line(console, "repeat", "agon reproduce DATA/RECIPE --data PATH", width=8)


_COLUMNS = ("recipe", "data", "FD ± sd", "CPU-s", "date", "on", "prec./rec.", "img/CPU-s")
_SPARE = ("prec./rec.", "img/CPU-s")  # shown where there is room
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _machine(row: Row) -> str:
    return f"{row.figures['machine']}, torch {row.figures['torch']}"


def _told(row: Row, machines: list[str]) -> dict[str, str]:
    """A published row, a word for each column."""
    figures = row.figures
    return {
        "data": row.set,
        "FD ± sd": f"{row.fd:.3g}" + (f" ± {row.fd_sd:.2g}" if row.fd_sd is not None else ", 1 seed"),
        "CPU-s": f"{figures['cpu_seconds']:.0f}",
        "date": str(figures["date"]),
        "on": (_LETTERS + "?" * len(machines))[machines.index(_machine(row))],
        "prec./rec.": f"{figures.get('precision', float('nan')):.2f}/{figures.get('recall', float('nan')):.2f}",
        "img/CPU-s": f"{figures['images_per_cpu_second']:.0f}",
    }


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
        if not word.isdecimal():
            raise InputError(f"seed '{word}' is no whole number; expected --seeds 0 1 2.")
    return [int(word) for word in words]
