"""agon data …: look at data before training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agon.cli.base import Extra, app
from agon.cli.settings import DATA_WORDS, assignments, data_settings
from agon.errors import InputError, suggest

data_app = typer.Typer(no_args_is_help=True, help="Look at data before training.")
app.add_typer(data_app, name="data")


@data_app.command("check", context_settings=Extra)
def data_check(
    context: typer.Context,
    path: Annotated[str, typer.Argument(metavar="PATH", help="Folder, zip, text, video, idx, npz, parquet, hf:NAME or an embedded set.")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write a preview here: a grid or, of clips, a contact sheet (.png), playing clips (.mp4 .gif), or sentences (.txt)."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what is there, what is wrong with it, and what training would do with it."""
    import json

    from agon.data import Data, check

    data, rest = data_settings(path, assignments(context.args))
    if rest:
        raise InputError(f"unknown option '--{next(iter(rest))}' for data check.{suggest(next(iter(rest)), DATA_WORDS)}")
    report = check(Data(**data), out)
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=1))
    else:
        for line in report.lines():
            typer.echo(line)
