"""What there is: settings of recipes, the demonstration."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agon.cli.base import app, line, screen
from agon.cli.settings import flat
from agon.errors import InputError, suggest

if TYPE_CHECKING:
    from agon.recipes import Suggestion
    from agon.spaces import Space

DEVICES = ("cpu", "cuda", "mps")


@app.command()
def demo(out: Annotated[Path, typer.Option(help="Where the run is made.")] = Path("runs/demo")) -> None:
    """Train on embedded digits for about two minutes. Then samples, scores, animation and report."""
    from agon.demonstration import demonstrate

    demonstrate(out, screen())


@app.command()
def show(name: Annotated[str, typer.Argument(help="A recipe.")], size: int = 32, count: int = 10_000, device: str = "cpu") -> None:
    """Print what a recipe would set for usual data. Every name can be given to `agon train`, its value as it stands here.

    --size is that of pictures and clips, --count how many samples there are.
    """
    from agon.config import encode

    space, suggestion = suggested(name, size, count, device)
    console = screen()
    line(console, "for", f"{count:,} {space.describe()}", width=36)
    for key, value in flat({"batch": suggestion.batch, "rounds": suggestion.rounds, "game": encode(suggestion.game)}):
        line(console, f"--{key}", shlex.quote(value if isinstance(value, str) else json.dumps(value)), width=36)
    for key, why in suggestion.reasons.items():
        line(console, key, why, width=36)


def suggested(name: str, size: int = 32, count: int = 10_000, device: str = "cpu") -> tuple[Space, Suggestion]:
    """What a recipe sets for usual data of its kind, and which data these are. Raises InputError."""
    from agon.data.request import SIZE_LIMITS
    from agon.recipes import Situation, find

    low, high = SIZE_LIMITS
    if not low <= size <= high:
        raise InputError(f"--size is {size}; expected {low} to {high} pixels a side.")
    if count < 1:
        raise InputError(f"--count is {count}; expected 1 or more samples.")
    if device not in DEVICES:
        raise InputError(f"device '{device}' is unknown; expected {', '.join(DEVICES)}.{suggest(device, DEVICES)}")
    recipe, refusals = find(name), []
    for space in _usual(name, size):
        try:
            return space, recipe.build(Situation(space=space, count=count, device=device))
        except InputError as refusal:
            refusals.append(refusal)
    raise refusals[0]


def _usual(name: str, size: int) -> list[Space]:
    """A space of each kind that the recipe may be for: points by its name, else pictures, clips, sentences, and sentences made from others."""
    from agon.spaces import Image, Tokens, Vector, Video

    if name.endswith("points"):
        return [Vector()]
    text = Tokens(length=32, vocabulary=5_000)
    clips = Video(frames=16, height=size, width=size)
    both = replace(text, source=text)
    none, alike = (0,) * text.vocabulary, tuple(range(text.vocabulary))
    spaces: list[Space] = [Image(height=size, width=size), clips, replace(clips, words=("a", "b"), caption_length=8), text, both]
    return [*spaces, *(replace(both, dictionary=known) for known in (none, alike))]
