"""What `agon data check` says of films: how many and how long, what was skipped and why, which are twins, and a contact sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from agon.data.samples import DataSet
from agon.data.windows import Windows

FEW_FILMS = 20
SHEET_CLIPS = 16
LISTED_LINES = 8


def film_rows(card: dict[str, Any], reasons: dict[str, str]) -> list[tuple[str, str]]:
    """(heading, text) pairs in reading order."""
    films = card["films"]
    low, _, middle, _, high = films["lengths"]
    rows = [("lengths", f"{low:g} to {high:g} frames, median {middle:g}; {films['total_frames']} in all")]
    rates = ", ".join(f"{count} × {rate}" for rate, count in list(films["rates"].items())[:6])
    more = f", … ({len(films['rates'])} kinds)" if len(films["rates"]) > 6 else ""
    uneven = f"; {films['variable']} of variable rate" if films["variable"] else ""
    rows.append(("rates", rates + more + uneven))
    rows.append(("clips", reasons["clips"]))
    rows += _listed("too short", films["num_short"], films["short"])
    rows += _listed("damaged in part", films["num_partial"], films["partial"])
    rows.append(("twins", _told_twins(films)))
    rows += [("  alike", "  ".join(group)) for group in films["twins"][:LISTED_LINES]]
    captions = card.get("captions")
    if captions:
        rows.append(("captions", f"{captions['count']} films have one, from {captions['origin']}; for example {captions['example']!r}"))
    return rows


def _told_twins(films: dict[str, Any]) -> str:
    told = (
        f"{films['num_twins']} films show what another one shows, mirrored or not, or share half of it: they stay on one side of the split"
    )
    leaked = f"; {films['leaked']} held-back films have a twin that is trained on" if films["leaked"] else ""
    return (told if films["num_twins"] else "none, mirrored or not") + leaked


def _listed(heading: str, count: int, which: list[list[str]]) -> list[tuple[str, str]]:
    rows = [(heading, str(count))] if count else []
    rows += [("  skipped" if heading == "too short" else "  film", f"{name}: {reason}") for name, reason in which[:LISTED_LINES]]
    return rows + ([("  …", f"and {count - LISTED_LINES} more, all in the JSON report")] if count > LISTED_LINES else [])


def film_warnings(card: dict[str, Any]) -> list[str]:
    """What is worth a warning, each with what to do about it."""
    films, told = card["films"], []
    usable = card["num_train_films"] + card["num_held_films"]
    if usable < FEW_FILMS:
        told.append(f"only {usable} films: the critic will soon know them by heart; more films, or --mirror, help")
    if films["num_short"] > 0.1 * max(1, usable + films["num_short"]):
        told.append(
            f"{films['num_short']} films are shorter than a clip of {films['frames']} frames and left out: fewer frames or a smaller stride keep them"
        )
    if films["variable"] and films["asked_fps"] is None:
        told.append(f"{films['variable']} films have a variable rate: motion will be uneven; --fps {films['fps']:.0f} makes it even")
    if films["leaked"]:
        told.append(f"{films['leaked']} held-back films have a twin in training, by the set's own split: scores against them will flatter")
    if card["num_held"] and card["num_held_films"] < 2:
        told.append("one film alone is held back: scores against it say little about others; more films, or a larger holdout, help")
    return told


def contact_sheet(data_set: DataSet, target: Path) -> Path:
    """A clip from the middle of each of up to 16 films, spread over the set, classes together: a row a clip (.png .jpg), or playing."""
    x, y, index = data_set.train.x, data_set.train.y, data_set.train.index
    if index is None:
        index = np.arange(len(x))
    films, first, count = np.unique(index, return_index=True, return_counts=True)
    middle = first + count // 2
    if y is not None and y.ndim == 1:
        middle = middle[np.argsort(y.numpy()[middle], kind="stable")]
    chosen = middle[np.linspace(0, len(films) - 1, min(len(films), SHEET_CLIPS)).round().astype(np.int64)]
    return data_set.space.render(x[torch.from_numpy(chosen)], target)


def is_films(data_set: DataSet) -> bool:
    """Whether the set was cut from films."""
    return isinstance(data_set.train.x, Windows)
