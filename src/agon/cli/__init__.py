"""The command line: verbs over run directories, a file per group of verbs, found by name. torch loads inside a verb, so `agon --help` answers at once."""

from __future__ import annotations

import errno
import importlib
import io
import os
import pkgutil
import sys
from typing import Any

import typer

from agon.cli.base import app
from agon.errors import InputError

_Usage: Any = typer.BadParameter.__base__  # click's UsageError, which newer typers carry inside and do not name
_FIRST = ("train", "sample", "eval", "report", "export")  # of `agon --help`; the others follow by their files

for _module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_module}")


def _place(verb: Any) -> int:
    name = verb.name or verb.callback.__name__
    return _FIRST.index(name) if name in _FIRST else len(_FIRST)


app.registered_commands.sort(key=_place)


def main() -> None:
    """Run a verb. Status 2: the input is at fault. Status 1: we are; the traceback goes to a file."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            # A terminal without █ gets ?, not half a report; a file or a pipe gets every letter, as --out does.
            if stream.isatty() or stream is sys.stderr:
                stream.reconfigure(errors="replace")
            else:
                stream.reconfigure(encoding="utf-8")
    try:
        # Not app(): it would answer Ctrl-C and closed pipes itself, without a word.
        command = typer.main.get_command(app)
        with command.make_context("agon", sys.argv[1:]) as context:
            command.invoke(context)
        sys.stdout.flush()
    except InputError as error:
        print(f"agon: {error}", file=sys.stderr)
        _leave(2)
    except typer.Exit as end:
        _leave(end.exit_code)
    except _Usage as error:
        error.show()
        _leave(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        print("agon: interrupted; what was saved is whole.", file=sys.stderr)
        _leave(130)
    except BrokenPipeError:
        _drop_output()
        _leave(0)
    except Exception as error:
        _leave(_told(error))


def _told(error: Exception) -> int:
    """Say what ended a verb, with the whole story in a file where somebody has to look for the cause; the status."""
    if type(error).__name__ == "OutOfMemoryError":
        reason = str(error).split(". ")[0]
        print(
            f"agon: the device has no memory left ({reason}). Add --microbatch N, half the batch or less: the result is the same.",
            file=sys.stderr,
        )
        return 2
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        _drop_output()
        print(
            f"agon: cannot write to {error.filename or 'the output'}: {error.strerror}. Make room and repeat the command.", file=sys.stderr
        )
        return 2
    import tempfile
    import traceback

    handle, path = tempfile.mkstemp(prefix="agon-", suffix=".log")
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(f"agon {' '.join(sys.argv[1:])}\n{''.join(traceback.format_exception(error))}")
    what = f"{type(error).__name__}: {error}"
    own = sys.modules["agon.games"].own_line(error) if "agon.games" in sys.modules else None
    if own is not None:
        print(f"agon: your game, {own[0]} line {own[1]}, raised {what}\n      The whole trace is in {path}.", file=sys.stderr)
        return 2
    print(f"agon: a fault of Agon's own: {what}\n      Please report it with {path}.", file=sys.stderr)
    return 1


def _drop_output() -> None:
    """Let what is still to be printed go nowhere: the interpreter would try again as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _leave(status: int) -> None:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        # Other ranks may wait in a collective; leaving at once lets torchrun end them.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    raise SystemExit(status)
