"""All signs, and what a run's vitals show of them."""

from __future__ import annotations

from agon.health import clips, critics, inputs, samples, text
from agon.health.contract import Check, History, Patient, Sign

CHECKS: tuple[Check, ...] = (*inputs.CHECKS, *text.CHECKS, *samples.CHECKS, *clips.CHECKS, *critics.CHECKS)


def examine(history: History, patient: Patient) -> list[Sign]:
    """Signs shown by the vitals so far (oldest first), one of each name."""
    found: dict[str, Sign] = {}
    for check in CHECKS:
        sign = check(history, patient)
        if sign is not None:
            found.setdefault(sign.name, sign)
    return list(found.values())
