"""agon train: from data or a run directory to a trained run."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from agon.cli.base import CpuSeconds, Extra, Trust, app, line, screen
from agon.cli.settings import DATA_WORDS, RUN_WORDS, amendments, assignments, data_settings, listed
from agon.cli.sweep import sweep
from agon.data.request import EMBEDDED
from agon.errors import InputError


@app.command(context_settings=Extra, epilog=f"Settings of the run: {listed(RUN_WORDS)}. Of the data: {listed(DATA_WORDS)}.")
def train(
    context: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            metavar="PATH",
            help="Data: a folder or zip of pictures, videos or text, idx, npz, parquet, a video, .txt, .jsonl, .csv, .tsv, hf:NAME, "
            f"or an embedded set ({', '.join(EMBEDDED)}). Or a run directory to go on with, or a run.json to repeat.",
        ),
    ],
    recipe: Annotated[str | None, typer.Option(help="One of `agon recipes`; chosen from the data if left out.")] = None,
    game: Annotated[Path | None, typer.Option(help="A Python file with your own Game; it is executed.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run directory to make; default runs/NAME.")] = None,
    start: Annotated[Path | None, typer.Option("--from", help="A run whose weights to start from; the optimisers are fresh.")] = None,
    from_state: Annotated[str, typer.Option(help="Which state of --from: latest, best or a round.")] = "latest",
    cpu_seconds: CpuSeconds = None,
    seeds: Annotated[int | None, typer.Option(help="Train under so many seeds, 0, 1, 2, …: what `agon sweep` does.")] = None,
    trust: Trust = False,
) -> None:
    """Train on a folder or file, or go on with a run.

    Any setting of the run can be given by name, those of the data and the game with a dot:
    --rounds 5000 --batch 32 --seed 1 --device cpu --data.size 64 --game.gamma 0.1 --game.optim.G.lr 1e-4.
    Those of the data need no dot: --size 64. `agon show RECIPE` lists those of a recipe's game.
    """  # fmt: skip
    from agon import ranks
    from agon.data import Data
    from agon.device import choose_device
    from agon.directory import RunDirectory
    from agon.progress import Terminal
    from agon.run import copy_of, play, prepare

    if what.startswith("--"):
        raise InputError(f"PATH comes first, settings follow it: agon train PATH {what} …")
    settings = assignments(context.args)
    path, data_set, changes = Path(what), None, None
    resumed = RunDirectory(path).is_run()
    device = settings.get("device") or (RunDirectory(path).run().get("device") if resumed else None) or "auto"
    ranks.start(choose_device(str(device)).value)
    console = screen(quiet=not ranks.is_main())
    if seeds is not None:
        if resumed or path.name == "run.json" or start is not None:
            raise InputError(
                f"--seeds trains from data under several seeds, without --from; '{what}' with --seeds: agon train DATA --seeds {seeds}"
            )
        line(console, "sweep", f"{seeds} seeds, as `agon sweep` does; the runs are OUT-s0, OUT-s1, …")
        sweep(context, what, seeds=seeds, recipe=recipe, game=game, out=out, cpu_seconds=cpu_seconds, trust=trust)
        return
    if resumed or path.name == "run.json":
        if recipe or game:
            raise InputError("a run keeps its recipe and game; leave out --recipe and --game, or train from data in a new directory.")
        if start is not None:
            raise InputError(f"'{path}' has weights of its own, so --from does not apply; train from data: agon train DATA --from {start}")
        if resumed and out is not None:
            raise InputError(
                f"'{path}' is a run to go on with, so --out does not apply. To repeat it elsewhere: agon train {path}/run.json --out NEW"
            )
        if resumed:
            directory = RunDirectory(path)
            changes = amendments(directory, settings, trusted=trust)
        else:
            if out is None:
                raise InputError("repeating a run.json needs a place: add --out NEW_DIRECTORY.")
            directory = RunDirectory(out)
            if directory.is_run():
                raise InputError(f"'{out}' already holds a run; choose another --out.")
            origin = RunDirectory.open(path.parent)
            changed = amendments(origin, settings, trusted=trust, repeat=True)
            if ranks.is_main():
                copy_of(origin, out, changed)
            ranks.barrier()
    else:
        data, settings = data_settings(what, settings)
        command = shlex.join(["agon", *sys.argv[1:]])
        directory, data_set = prepare(
            Data(**data), out=out, recipe=recipe, game_file=game, settings=settings, start=start, start_state=from_state, command=command,
            say=lambda n, t: line(console, n, t),
        )  # fmt: skip
        line(console, "run", str(directory.path))
    with Terminal(console, {**directory.run(), **(changes or {})}["rounds"]) as terminal:
        outcome = play(
            directory, data_set, show=terminal, cpu_budget=cpu_seconds, trusted=trust or game is not None, changes=changes
        )  # fmt: skip
    place = shlex.quote(str(directory.path))
    if outcome.end == "stopped":
        line(console, "stopped", f"after round {outcome.round:,}; all is saved. Go on with: agon train {place}")
    else:
        line(
            console,
            "done",
            f"{outcome.round:,} rounds. Next: agon sample {place} · agon eval {place} · agon report {place} · agon export {place}",
        )
    ranks.stop()
