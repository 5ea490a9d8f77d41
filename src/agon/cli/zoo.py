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
        console, "FD", "of pictures: features of the set's classifier; of sentences and clips: of an own network; lower is better", width=8
    )
    if any("‡" in row.score.name for row in published):
        line(console, "‡", "played at the paper's learning rates; the recipe's are higher in short runs now", width=8)
    if any("†" in row.score.name for row in published):
        line(console, "†", "by another network than the set's other rows, so a tenth or more apart from them", width=8)
    line(console, "KL", "exact, nats a token: KL(P‖G) is what G leaves out, KL(G‖P) what it makes up; lower is better", width=8)
    line(console, "gap", "BLEU-4 above likelihood's curve at equal self-BLEU-4", width=8)
    line(console, "CPU-s", "training only, one thread; rows of one set compare, rows of two do not; –: not measured", width=8)
    for letter, machine in zip(_LETTERS, machines, strict=False):
        line(console, letter, machine, width=8)
    line(console, "more", "every figure, seeds, commits: agon recipes --json; what they say: docs/benchmarks.md", width=8)
    line(console, "repeat", "agon reproduce DATA/RECIPE --data PATH, which names the command for text and clips", width=8)


_COLUMNS = ("recipe", "data", "score ± sd", "CPU-s", "date", "on", "beside it", "seen/CPU-s")
_SPARE = ("beside it", "seen/CPU-s")  # shown where there is room
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _machine(row: Row) -> str:
    return ", torch ".join(str(row.figures[k]) for k in ("machine", "torch") if k in row.figures)


def _told(row: Row, machines: list[str]) -> dict[str, str]:
    """A published row, a word for each column."""
    pace = row.figures.get("seen_per_cpu_second")
    return {
        "data": row.set,
        "score ± sd": f"{row.score}" + (", 1 seed" if row.score.sd is None else ""),
        "CPU-s": f"{row.figures['cpu_seconds']:.0f}",
        "date": str(row.figures["date"]),
        "on": (_LETTERS + "?" * len(machines))[machines.index(_machine(row))],
        "beside it": ", ".join(f"{figure.name} {figure.mean:.3g}" for figure in row.beside) or "–",
        "seen/CPU-s": "–" if pace is None else f"{pace:.3g}" if pace < 10 else f"{pace:.0f}",
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
