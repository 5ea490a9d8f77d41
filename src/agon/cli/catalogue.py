"""What there is: settings of recipes, this installation, the demonstration."""

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


@app.command()
def doctor() -> None:
    """Print what this installation has: versions, device, precision, extras."""
    from importlib.util import find_spec

    from agon.device import choose_device, choose_precision, environment

    console = screen()
    device = choose_device()
    precision = choose_precision(device.value)
    for name, value in environment(device.value, precision.value).items():
        line(console, name, str(value))
    line(console, "device", f"{device.value}: {device.reason}")
    line(console, "precision", f"{precision.value}: {precision.reason}")
    for module, extra in (
        ("tensorboard", "tensorboard"),
        ("onnxruntime", "export"),
        ("pyarrow", "parquet"),
        ("datasets", "hub"),
        ("av", "video"),
    ):
        there = find_spec(module) is not None
        line(console, module, "installed" if there else f"not installed; pip install 'agon-gan[{extra}]'")
