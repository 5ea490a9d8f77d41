"""agon apply: a trained run on lines of text, from a file or a pipe to a file or a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from agon.cli.base import RunPath, State, Trust, app, opened
from agon.errors import InputError

TOLD_S = 10.0  # seconds between two lines of progress
NAMED = 3  # lines that were cut are named up to so many


@app.command()
def apply(
    run: RunPath,
    source: Annotated[str, typer.Argument(metavar="[INPUT]", help="Lines of text, .gz too; - or nothing: standard input.")] = "-",
    out: Annotated[Path | None, typer.Option(help="Where to write; default: standard output.")] = None,
    beam: Annotated[int | None, typer.Option(help="Width of the beam; 0: none. Default: as the run's game says.")] = None,
    penalty: Annotated[float | None, typer.Option(help="Of the beam: log p / tokens^penalty decides; above 1 longer texts.")] = None,
    temperature: Annotated[float | None, typer.Option(help="0 takes the likeliest token, above it tokens are drawn.")] = None,
    top_k: Annotated[int | None, typer.Option(help="Draw among the k likeliest tokens.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Draw among the likeliest that make up this share.")] = None,
    no_repeat: Annotated[
        int | None, typer.Option(help="No run of so many tokens is said twice; 0: any may be. Default: as the run's game says.")
    ] = None,
    rerank: Annotated[bool, typer.Option("--rerank", help="Of the beam take what the run's critic finds most real.")] = False,
    back: Annotated[
        bool,
        typer.Option(
            "--back", help="The other way round, from the target's language to the source's; translators without pairs know both."
        ),
    ] = False,
    seed: Annotated[int, typer.Option(help="Of drawn tokens.")] = 0,
    batch: Annotated[int, typer.Option(help="Lines said at once.")] = 64,
    weights: Annotated[str, typer.Option(help="ema (averaged) or raw.")] = "ema",
    state: State = "latest",
    trust: Trust = False,
) -> None:
    """Make a text of each line: translate it, sum it up. A line in, a line out, in order; empty lines stay empty."""
    trained = opened(run, state=state, weights=weights, trust=trust)
    given: dict[str, Any] = {
        "beam": beam, "penalty": penalty, "temperature": temperature, "top_k": top_k, "top_p": top_p, "no_repeat": no_repeat,
    }  # fmt: skip
    if temperature and beam:
        raise InputError("--temperature draws tokens and --beam looks for the likeliest; give one of the two.")
    if temperature is not None and beam is None and not rerank:
        given["beam"] = 0
    tell = _Progress()
    try:
        with ExitStack() as stack:
            lines = tell.read(_lines(source, stack))
            if out is not None and source != "-" and out.exists() and out.samefile(source):
                raise InputError(f"--out is the input itself, '{out}'; choose another name.")
            made = trained.apply(
                lines, rerank=rerank, back=back, seed=seed, batch=batch, cut=tell.cut, **{k: v for k, v in given.items() if v is not None}
            )  # fmt: skip
            target: IO[str] = sys.stdout if out is None else stack.enter_context(open(out, "w", encoding="utf-8", newline="\n"))
            for text in made:
                target.write(f"{text}\n")
                tell.one()
            target.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InputError(f"cannot read '{source}' or write '{out or 'standard output'}': {error.strerror or error}.") from None
    tell.end()


def _lines(source: str, stack: ExitStack) -> Iterator[str]:
    """Lines of a file or of standard input, one at a time; bytes that are no UTF-8 become U+FFFD."""
    import gzip
    import io

    if source == "-":
        raw: Any = sys.stdin.buffer
        return iter(io.TextIOWrapper(raw, encoding="utf-8-sig", errors="replace"))
    path = Path(source)
    if not path.is_file():
        raise InputError(f"'{source}' is no file; expected lines of text, or - for standard input.")
    opened: Any = gzip.open if path.suffix == ".gz" else open
    return iter(stack.enter_context(opened(path, "rt", encoding="utf-8-sig", errors="replace")))


class _Progress:
    """Words on standard error: how far, how fast, what was cut."""

    def __init__(self) -> None:
        self.count, self.cuts, self.foreign, self.began = 0, 0, 0, time.monotonic()
        self.told = self.began

    def read(self, lines: Iterator[str]) -> Iterator[str]:
        """The same lines, those that are not UTF-8 counted. Raises InputError for bytes that are no text at all."""
        for number, text in enumerate(lines, 1):
            if "\0" in text:
                raise InputError(f"line {number:,} of the input holds zero bytes, so it is no text in UTF-8; expected lines of text.")
            self.foreign += "\ufffd" in text
            yield text

    def one(self) -> None:
        self.count += 1
        now = time.monotonic()
        if now - self.told >= TOLD_S:
            self.told = now
            self._say("lines", f"{self.count:,}, {self.count / (now - self.began):.1f} a second")

    def cut(self, number: int, length: int) -> None:
        self.cuts += 1
        if self.cuts <= NAMED:
            self._say("note", f"line {number:,} has {length:,} tokens, more than the run reads; its end is cut off")

    def end(self) -> None:
        if self.cuts > NAMED:
            self._say("note", f"{self.cuts:,} lines in all were cut")
        if self.foreign:
            self._say("note", f"{self.foreign:,} lines are not UTF-8; convert them first: iconv -f latin1 -t utf-8 OLD > NEW")
        seconds = time.monotonic() - self.began
        self._say("done", f"{self.count:,} lines in {seconds:.1f} s")

    def _say(self, name: str, text: str) -> None:
        print(f"{name:>10}  {text}", file=sys.stderr, flush=True)
