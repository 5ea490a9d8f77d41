"""Scores of each class: what a figure over all classes, or its mean over classes, does not show."""

from __future__ import annotations

from typing import Any

from agon.report.card import BARS
from agon.report.journal import Journal
from agon.report.markup import Markup, finite, h, number_text, quiet, table

_COLUMNS = (("n", "Samples"), ("fd", "Fréchet distance"), ("coverage", "Coverage"), ("accuracy", "Accuracy"))


def by_class(journal: Journal) -> Markup | None:
    """What is known of each class as last measured, the worst first; None where no score knows classes.

    Fréchet distance and coverage come from the family `classwise`, accuracy (share that a classifier puts there) from `class_accuracy`.
    """
    known: dict[str, dict[str, Any]] = {}
    round = 0
    for score in sorted(journal.scores, key=lambda score: score.last["round"]):  # later tellings hold
        for name, told in score.last["by_class"].items():
            known.setdefault(name, {}).update(told if isinstance(told, dict) else {"accuracy": told})
            round = score.last["round"]
    if not known:
        return None
    columns = [(key, title) for key, title in _COLUMNS if any(key in told for told in known.values())]

    def badness(name: str) -> tuple[float, float]:
        told = known[name]
        distance, accuracy = finite(told.get("fd")), finite(told.get("accuracy"))
        # A class of too few samples for a distance is worse than one far away.
        return (float("inf") if distance is None and "fd" in told else distance or 0.0, -(accuracy or 0.0))

    names = sorted(known, key=badness, reverse=True)
    rows = [[h("bdi", name), *(number_text(known[name].get(key)) for key, _ in columns)] for name in names[:BARS]]
    more = quiet(f"and {len(names) - BARS:,} more, each better than these") if len(names) > BARS else None
    return h(
        "details",
        h("summary", f"Scores by class at round {number_text(round)}, the worst first ({len(names):,})"),
        table(rows, ["Class", *(title for _, title in columns)], label="Scores by class"),
        more,
        open=len(names) <= 20,
    )
