"""agon data stack: three grey pictures as the channels of one, for counting modes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agon.cli.base import Extra, line, screen
from agon.cli.data import data_app
from agon.cli.settings import DATA_WORDS, assignments, data_settings
from agon.errors import InputError, suggest


@data_app.command("stack", context_settings=Extra)
def data_stack(
    context: typer.Context,
    path: Annotated[str, typer.Argument(metavar="GREY", help="A labelled grey set: MNIST's folder or file, digits, …")],
    out: Annotated[Path, typer.Option(help="The npz file to write.")],
    count: Annotated[int, typer.Option(help="Stacks to train on.")] = 60_000,
    held: Annotated[int | None, typer.Option(help="Held-out stacks; default 26,000 or --count.")] = None,
    seed: Annotated[int, typer.Option(help="Of the choice of pictures.")] = 0,
) -> None:
    """Make a stacked set (Stacked-MNIST): pictures of three random grey ones, whose 1000 modes the metric modes_stacked counts."""
    from agon.data import Data
    from agon.data.stack import stack

    data, rest = data_settings(path, assignments(context.args))
    if rest:
        raise InputError(f"unknown option '--{next(iter(rest))}' for data stack.{suggest(next(iter(rest)), DATA_WORDS)}")
    console = screen()
    written = stack(Data(**data), out, count=count, held=held, seed=seed, say=lambda name, text: line(console, name, text))
    line(console, "wrote", f'{written}. Next: agon train {written} --metrics \'["modes_stacked", "fd"]\'')
