"""What there is: settings of recipes, the demonstration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agon.cli.base import app, line, screen
from agon.cli.settings import flat


@app.command()
def demo(out: Annotated[Path, typer.Option(help="Where the run is made.")] = Path("runs/demo")) -> None:
    """Train on embedded digits for about two minutes; then samples, scores, animation and report."""
    from agon.demonstration import demonstrate

    demonstrate(out, screen())


@app.command()
def show(name: Annotated[str, typer.Argument(help="A recipe.")], size: int = 32, count: int = 10_000, device: str = "cpu") -> None:
    """Print what a recipe would set, for pictures of a size and number: every name can be given to `agon train`."""
    from agon.config import encode
    from agon.recipes import Situation, find
    from agon.spaces import Image, Vector

    space = Vector() if name.endswith("points") else Image(height=size, width=size)
    suggestion = find(name).build(Situation(space=space, count=count, device=device))
    console = screen()
    for key, value in flat({"batch": suggestion.batch, "rounds": suggestion.rounds, "game": encode(suggestion.game)}):
        line(console, f"--{key}", str(value), width=36)
    for key, why in suggestion.reasons.items():
        line(console, key, why, width=36)
