"""agon sweep: one experiment under several seeds, and mean ± sd of its scores."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agon.cli.base import CpuSeconds, Extra, Trust, app, line, screen
from agon.cli.settings import assignments, data_settings
from agon.errors import InputError

if TYPE_CHECKING:
    from agon.directory import RunDirectory


@app.command(context_settings=Extra)
def sweep(
    context: typer.Context,
    what: Annotated[str, typer.Argument(metavar="DATA", help="What `agon train` takes.")],
    seeds: Annotated[int, typer.Option(help="How many runs: seeds 0, 1, 2, …")] = 3,
    recipe: Annotated[str | None, typer.Option(help="One of `agon recipes`; chosen from the data if left out.")] = None,
    game: Annotated[Path | None, typer.Option(help="A Python file with your own Game; it is executed.")] = None,
    out: Annotated[Path | None, typer.Option(help="The runs are OUT-s0, OUT-s1, …; default runs/NAME.")] = None,
    cpu_seconds: CpuSeconds = None,
    trust: Trust = False,
) -> None:
    """Train under several seeds: mean ± sd of every score. A stopped sweep goes on by the same command."""
    from agon import ranks
    from agon.data import Data
    from agon.device import choose_device
    from agon.progress import Terminal
    from agon.sweep import spread
    from agon.sweep import sweep as run_sweep

    if what.startswith("--"):
        raise InputError(f"DATA comes first, settings follow it: agon sweep DATA {what} …")
    from agon.directory import RunDirectory

    if RunDirectory(Path(what)).is_run():
        raise InputError(f"'{what}' is a run, not data; a sweep trains from data: agon sweep DATA --seeds {seeds}")
    data, settings = data_settings(what, assignments(context.args))
    ranks.start(choose_device(str(settings.get("device") or "auto")).value)
    console = screen(quiet=not ranks.is_main())
    place = out or Path("runs") / (f"{Path(what).stem or 'run'}-{recipe or 'auto'}")

    def watch(directory: RunDirectory) -> Any:
        line(console, "run", str(directory.path))
        return Terminal(console, directory.run()["rounds"])

    runs = run_sweep(
        Data(**data), seeds=seeds, out=place, recipe=recipe, game_file=game, settings=settings, command=shlex.join(["agon", *sys.argv[1:]]),
        say=lambda name, text: line(console, name, text), watch=watch, cpu_budget=cpu_seconds, trusted=trust,
    )  # fmt: skip
    for row in spread(runs) if ranks.is_main() else ():
        line(console, "score", str(row))
    ranks.stop()
    if len(runs) < seeds:
        line(console, "stopped", f"after {len(runs)} of {seeds} runs; the same command goes on.")
