"""Agon as it is typed, in this process: no new interpreter, so a verb takes milliseconds."""

from __future__ import annotations

import sys

import pytest

from agon.cli import main


def typed(*words: object) -> int:
    """Run `agon WORDS`; its status. What it printed is the caller's capsys's."""
    sys.argv = ["agon", *map(str, words)]
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def printed(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    """Run `agon WORDS`; its status and everything it printed."""
    capsys.readouterr()
    status = typed(*words)
    captured = capsys.readouterr()
    return status, captured.out + captured.err
