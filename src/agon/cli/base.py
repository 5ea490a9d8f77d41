"""What every verb shares: the app, the words of its arguments, printing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from agon.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from agon.trained import Trained

app = typer.Typer(
    name="agon", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="One adversarial engine for images, text and video: train, sample, score, report and ship GANs.",
)  # fmt: skip


def _version(wanted: bool) -> None:
    if wanted:
        from agon import __version__

        typer.echo(f"agon {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")] = False,
) -> None: ...


Extra = {"allow_extra_args": True, "ignore_unknown_options": True}
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory made by `agon train`.")]
Trust = Annotated[bool, typer.Option("--trust", help="Execute the game.py a foreign run carries; read it first.")]
State = Annotated[str, typer.Option(help="latest, best, or the round of a saved state.")]


def _budget(seconds: float | None) -> float | None:
    if seconds is not None and not seconds >= 0:
        raise InputError(f"--cpu-seconds is {seconds}; expected seconds of processor time, 0 or more.")
    return seconds


CpuSeconds = Annotated[
    float | None, typer.Option(help="Stop and save after this much processor time in training; of many runs, in each.", callback=_budget)
]


def screen(quiet: bool = False) -> Console:
    """Where verbs print."""
    from rich.console import Console

    console = Console(quiet=quiet)
    console.on_broken_pipe = _reader_gone  # type: ignore[method-assign]  # rich's own ends with status 1
    return console


def _reader_gone() -> NoReturn:
    raise BrokenPipeError


def line(where: Console, name: str, text: str, width: int = 10) -> None:
    """Print one named line."""
    from rich.markup import escape

    where.print(f"[bold]{escape(name):>{width}}[/]  {escape(text)}", highlight=False, soft_wrap=True)


def note(text: str) -> None:
    """Print what a person should know on standard error, as what is made may be read by another program."""
    from rich.console import Console

    line(Console(stderr=True), "note", text)


def opened(run: Path, **how: Any) -> Trained:
    """A run for use, as `agon.trained.load` opens it; what it has to say is printed."""
    from agon.trained import load

    trained = load(run, **how)
    for text in trained.notes:
        note(text)
    return trained
