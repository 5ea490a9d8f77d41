"""agon doctor: of this installation, or of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from agon.cli.base import app, line, screen
from agon.errors import InputError


@app.command()
def doctor(
    run: Annotated[Path | None, typer.Argument(metavar="[RUN]", help="A run directory: print the signs its training showed.")] = None,
) -> None:
    """Say what is installed or, with RUN, what went wrong in it. Of a run: its signs over time, each with what helps."""
    if run is None:
        _installation()
        return
    from agon.report.journal import read_journal

    if not (run / "run.json").is_file():
        raise InputError(f"'{run}' is not a run: it has no run.json. Expected a directory made by `agon train`.")
    journal = read_journal(run)
    console = screen()
    rounds = journal.run.get("rounds")
    total = rounds if isinstance(rounds, int) and rounds > 0 else None
    played = journal.ticks[-1]["round"] if journal.ticks else 0
    line(console, "run", f"{run}: {played:,} rounds played" + (f" of {total:,}" if total else ""))
    for note in journal.notes:
        line(console, "note", note)
    spells = _spells(journal.events)
    for spell in spells:
        first = spell[0]
        at, sign = _when(first, total), str(first.get("sign"))
        over = f", over at {_when(spell[1], total)}" if len(spell) > 1 else ""
        if first.get("kind") == "rollback":
            line(console, "rollback", f"{at}: {first.get('sentence', '')}")
            continue
        line(console, "sign", f"{at}{over}: {sign}{' (severe)' if first.get('severe') else ''}. {first.get('sentence', '')}")
        line(console, "seen", str(first.get("evidence", "")))
        for remedy in first.get("remedies") or [first.get("remedy", "")]:
            if remedy:
                line(console, "try", str(remedy))
    if not spells:
        line(console, "signs", "none" if journal.ticks else "none: nothing has been measured yet")


def _spells(events: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Signs with the event that ended each, if any, and roll-backs, in the order they appeared."""
    spells: list[list[dict[str, Any]]] = []
    for row in events:
        kind = row.get("kind")
        if kind in ("health", "rollback"):
            spells.append([row])
        elif kind == "relief":
            for spell in reversed(spells):
                if spell[0].get("sign") == row.get("sign") and len(spell) == 1:
                    spell.append(row)
                    break
    return spells


def _when(row: dict[str, Any], total: int | None) -> str:
    at = row.get("round")
    if not isinstance(at, int):
        return "round ?"
    return f"round {at:,}" + (f" ({at / total:.0%})" if total else "")


def _installation() -> None:
    from importlib.util import find_spec

    from agon.device import choose_device, choose_precision, environment

    console = screen()
    device = choose_device()
    precision = choose_precision(device.value)
    for name, value in environment(device.value, precision.value).items():
        line(console, name, str(value))
    line(console, "device", f"{device.value}: {device.reason}")
    line(console, "precision", f"{precision.value}: {precision.reason}")
    for module, extra in (
        ("tensorboard", "tensorboard"),
        ("onnxruntime", "export"),
        ("pyarrow", "parquet"),
        ("datasets", "hub"),
        ("av", "video"),
    ):
        there = find_spec(module) is not None
        line(console, module, "installed" if there else f"not installed; pip install 'agon-gan[{extra}]'")
