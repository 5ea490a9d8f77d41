"""What a run is guarded against while it is played: signals to stop, disks that are full or read-only, and a second trainer."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import signal
from collections.abc import Callable, Iterator
from typing import Any

from agon import ranks
from agon.directory import RunDirectory
from agon.errors import InputError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def stop_signal() -> Iterator[Callable[[], bool]]:
    """Within this, the first SIGINT or SIGTERM is a wish to stop; a second SIGINT interrupts at once."""
    asked = False

    def ask(number: int, frame: Any) -> None:
        nonlocal asked
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked = True

    previous = {}
    with contextlib.suppress(ValueError):  # not in the main thread: signals are its owner's business
        previous = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def disk_errors(directory: RunDirectory) -> Iterator[None]:
    """Turn a full or read-only disk into a message; what was saved before stays whole."""
    try:
        yield
    except OSError as error:
        if error.errno not in (*_FULL, errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        states = directory.states()
        remedy = "Make room" if error.errno in _FULL else "Make it writable, or copy it to where it is"
        kept = f"The state of round {states[-1][0]:,} is whole" if states else "No state was saved yet"
        raise InputError(
            f"cannot write to '{directory.path}': {error.strerror or error}. {kept}. "
            f"{remedy}, then go on with `agon train {shlex.quote(str(directory.path))}`."
        ) from None


@contextlib.contextmanager
def only_trainer(directory: RunDirectory) -> Iterator[None]:
    """Within this, nobody else trains the run: two would write each other's states. Raises InputError if somebody does.

    The lock is on the folder itself, so it leaves no file behind and ends with the process, however that ends. Where the system has no such locks
    (Windows, some network disks) there is none.
    """
    handle, taken = None, False
    if ranks.is_main():
        try:
            import fcntl

            handle = os.open(directory.path, os.O_RDONLY)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            taken = True
        except (ImportError, OSError):
            pass
    try:
        if ranks.any_true(taken):
            raise InputError(
                f"another process is training '{directory.path}'. Wait for it or stop it (Ctrl-C), or begin another run with --out."
            )
        yield
    finally:
        if handle is not None:
            os.close(handle)
