"""What `agon sample` may be asked of clips: length, rate, the frame to begin with, the swap of content and motion."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agon.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from agon.spaces import Video
    from agon.trained import Trained

LengthOption = Annotated[
    int | None, typer.Option("--length", help="Clips: frames of each; default as trained, any number for most generators.")
]
FpsOption = Annotated[
    str | None, typer.Option("--fps", help="Clips: frames a second of the file, such as 12 or 30000/1001; default the data's.")
]
FirstOption = Annotated[Path | None, typer.Option("--first", help="Clips: a picture or a film whose first frame they begin with.")]
SwapOption = Annotated[str | None, typer.Option("--swap", help="Clips: a table of contents × motions, ROWSxCOLUMNS, such as 4x4.")]


def read_rate(text: str | None) -> Fraction | None:
    """`12`, `29.97` or `30000/1001` as a rate. Raises InputError."""
    from agon.spaces.animation import rate_of

    if text is None:
        return None
    try:
        return rate_of(Fraction(text) if "/" in text else float(text))
    except (ValueError, ZeroDivisionError, OverflowError):
        raise InputError(f"--fps is '{text}'; expected frames a second, such as 12, 29.97 or 30000/1001.") from None


def read_table(text: str, option: str) -> tuple[int, int]:
    """`4x6` as rows and columns. Raises InputError."""
    rows, _, columns = text.lower().replace("×", "x").partition("x")
    if not (rows.isdigit() and columns.isdigit() and int(rows) and int(columns)):
        raise InputError(f"{option} is '{text}'; expected ROWSxCOLUMNS, such as 4x6.")
    return int(rows), int(columns)


def read_first(space: Video, path: Path) -> Tensor:
    """The first frame uint8 [C, H, W] of a picture or a film, brought to the run's size as its data were. Raises InputError."""
    import torch

    from agon.data.containers import open_container
    from agon.spaces import Unreadable

    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror or error}; --first expects a picture or a film.") from None
    try:
        return torch.from_numpy(space.picture.decode(raw))
    except Unreadable as error:
        no_picture = str(error)
    try:
        steps = open_container(lambda: path).frames()
        return torch.from_numpy(space.picture.fit(next(step for step in steps if not isinstance(step, str))[1]))
    except (Unreadable, StopIteration) as error:
        raise InputError(f"--first '{path}' is neither a picture ({no_picture}) nor a film ({error}).") from None


def filmed(
    trained: Trained, n: int, seed: int, out: Path | None, run: Path, columns: int | None, asked: dict[str, Any], *, length: int | None,
    fps: str | None, first: Path | None, swap: str | None,
) -> tuple[Path, str, list[str]]:  # fmt: skip
    """Write clips as asked; the path, what was written in words, and what to warn of. Raises InputError."""
    from agon.clips import pace
    from agon.samplefile import save_film
    from agon.spaces import Video
    from agon.spaces.animation import rate_of

    space, rate, notes = trained.space, read_rate(fps), []
    if not isinstance(space, Video):
        raise InputError(f"--length, --fps, --first and --swap are for clips; this run makes {space.describe()}. Leave them out.")
    begin = None if first is None else read_first(space, first)
    if begin is None and trained.begin(1) is not None:
        notes.append("the clips begin with frames that the run keeps of held-out clips; --first gives others")
    frames, own = length or space.frames, rate_of(space.fps)
    if length is not None and length < 1:
        raise InputError(f"--length is {length}; expected 1 or more frames.")
    if rate is not None and rate != own and pace(trained.players, space, rate) == 1.0:
        times = float(rate / own)
        notes.append(f"made for {space.fps:g} frames a second and played at {float(rate):g}: everything moves {times:.3g} times as fast")
    if swap is not None:
        if rate is not None and pace(trained.players, space, rate) != 1.0:
            raise InputError("--swap is made at the data's own rate; leave out --fps.")
        rows, wide = read_table(swap, "--swap")
        parts, count, columns, name = (
            trained.swap(rows, wide, length=length, seed=seed, first=begin, **asked),
            rows * wide,
            wide + 1,
            "swap.webp",
        )
    else:
        parts, count, name = trained.film(n, length=length, seed=seed, fps=rate, first=begin, **asked), n, f"samples-seed{seed}.webp"
    written = save_film(parts, space, out or run / name, frames=frames, fps=rate, columns=columns)
    at = f"{rate or own} frames a second"
    return written, f"{count} clip{'s' * (count != 1)} of {frames} frames at {at}", notes
