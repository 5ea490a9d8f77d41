"""What Agon says when the input is at fault: one exception, one suggestion rule.

`InputError` means the person's input is wrong; the command line prints its text and exits with status 2.
Anything else that escapes is our bug.
"""

from __future__ import annotations

from collections.abc import Iterable


class InputError(ValueError):
    """The input is at fault: says what came, what was expected and how to fix it."""


def suggest(word: str, known: Iterable[str], before: str = "") -> str:
    """Return " Did you mean 'x'?" for the closest of `known`, or "" when none is close. before: what it is typed with, such as "--"."""
    import difflib

    lowered = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
    if not close:
        return ""
    found = lowered[close[0]]
    return f" Did you mean '{before}{found.replace('_', '-') if before == '--' else found}'?"
