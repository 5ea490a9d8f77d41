"""agon study …: let people judge samples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agon.cli.base import Trust, app, line, screen

study_app = typer.Typer(no_args_is_help=True, help="Human evaluation: make a study from runs, score its answers.")
app.add_typer(study_app, name="study")


@study_app.command("make")
def study_make(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Runs on the same data.")],
    out: Annotated[Path, typer.Option(help="A new folder.")],
    kind: Annotated[str, typer.Option(help="real-or-fake, preference or rating.")] = "real-or-fake",
    trials: Annotated[int, typer.Option(help="How many questions.")] = 100,
    show_ms: Annotated[int | None, typer.Option(help="Milliseconds a picture is shown; default: as long as wanted.")] = None,
    seed: Annotated[int, typer.Option(help="Of the samples and their order.")] = 0,
    weights: Annotated[str, typer.Option(help="ema or raw.")] = "ema",
    trust: Trust = False,
) -> None:
    """Write pictures, study.json and, apart, truth.json."""
    from agon.study import make_study

    study = make_study(runs, out, kind=kind, trials=trials, seed=seed, weights=weights, show_ms=show_ms, trust=trust)
    line(screen(), "wrote", f"{out}: {len(study.trials)} trials, {len(study.files)} pictures. Keep truth.json from participants.")


@study_app.command("score")
def study_score(
    folder: Annotated[Path, typer.Argument(metavar="STUDY", help="A folder made by `agon study make`.")],
    responses: Annotated[Path, typer.Argument(help="Answers, one JSON object a line.")],
) -> None:
    """Error rates, preferences, ratings and agreement, with 95 % intervals."""
    from agon.study.analysis import score_study

    console = screen()
    for figure in score_study(folder, responses):
        line(console, "score", str(figure))
