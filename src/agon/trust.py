"""Which game files this account has chosen to run: a run directory may carry Python code, and opening a stranger's must not execute it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from agon.records import atomic_write


def _file() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "agon" / "trusted.json"


def _known() -> list[str]:
    try:
        known = json.loads(_file().read_text("utf-8"))
    except (OSError, ValueError):
        return []
    return [x for x in known if isinstance(x, str)] if isinstance(known, list) else []


def has(sha256: str) -> bool:
    """Whether code of this digest was trained here before."""
    return sha256 in _known()


def add(sha256: str) -> None:
    """Remember code that its user asked to train. A home that cannot be written is no reason to stop: --trust remains."""
    if not has(sha256):
        try:
            atomic_write(_file(), json.dumps([*_known(), sha256]))
        except OSError:
            return
