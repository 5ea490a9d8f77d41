"""The command line: verbs over run directories, a file per group of verbs, found by name. torch loads inside a verb, so `agon --help` answers at once."""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys

from agon.cli.base import app
from agon.errors import InputError

for _module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_module}")
_FIRST = ("train", "sample", "eval", "report", "export")  # of `agon --help`; the others follow by their files
_verbs = app.registered_commands
_verbs.sort(key=lambda verb: _FIRST.index(verb.name or verb.callback.__name__) if (verb.name or verb.callback.__name__) in _FIRST else 9)  # type: ignore[union-attr]


def main() -> None:
    """Run a verb. Status 2: the input is at fault. Status 1: we are; the traceback goes to a file."""
    try:
        app()
    except InputError as error:
        print(f"agon: {error}", file=sys.stderr)
        _leave(2)
    except KeyboardInterrupt:
        print("agon: interrupted; what was saved is whole.", file=sys.stderr)
        _leave(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _leave(0)
    except Exception as error:
        if type(error).__name__ == "OutOfMemoryError":
            reason = str(error).split(". ")[0]
            print(
                f"agon: the device has no memory left ({reason}). Add --microbatch N, half the batch or less: the result is the same.",
                file=sys.stderr,
            )
            _leave(2)
        import tempfile
        import traceback

        handle, path = tempfile.mkstemp(prefix="agon-", suffix=".log")
        with os.fdopen(handle, "w") as file:
            file.write(f"agon {' '.join(sys.argv[1:])}\n{traceback.format_exc()}")
        print(f"agon: a fault of Agon's own: {type(error).__name__}: {error}\n      Please report it with {path}.", file=sys.stderr)
        _leave(1)


def _leave(status: int) -> None:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        # Other ranks may wait in a collective; leaving at once lets torchrun end them.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    raise SystemExit(status)
