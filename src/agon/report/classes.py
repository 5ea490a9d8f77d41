"""Scores of each class, tag or number: what a figure over all of them, or its mean, does not show."""

from __future__ import annotations

from typing import Any

from agon.report.card import BARS
from agon.report.journal import Journal
from agon.report.markup import Markup, finite, h, number_text, quiet, table

_COLUMNS = (
    ("n", "Samples"), ("fd", "Fréchet distance"), ("coverage", "Coverage"), ("accuracy", "Accuracy"), ("error", "Error, sd"),
    ("own", "Error, own unit"), ("correlation", "Correlation"),
)  # fmt: skip
_KINDS = ("class", "tag", "number")


def by_condition(journal: Journal) -> list[Markup]:
    """A table of the classes, one of the tags and one of the numbers, of those that scores know."""
    return [told for what in _KINDS if (told := _table(journal, what)) is not None]


def _table(journal: Journal, what: str) -> Markup | None:
    """What is known of each class, tag or number as last measured, the worst first; None where no score knows any.

    Of classes, Fréchet distance and coverage come from the family `classwise`, accuracy (share that a classifier puts there) from `class_accuracy`; of tags
    and numbers all comes from `tag_accuracy` and `number_error`.
    """
    known: dict[str, dict[str, Any]] = {}
    round = 0
    for score in sorted(journal.scores, key=lambda score: score.last["round"]):  # later tellings hold
        for name, told in score.last[f"by_{what}"].items():
            known.setdefault(name, {}).update(told if isinstance(told, dict) else {"accuracy": told})
            round = score.last["round"]
    if not known:
        return None
    columns = [(key, title) for key, title in _COLUMNS if any(key in told for told in known.values())]

    def badness(name: str) -> tuple[float, float]:
        told = known[name]
        far = finite(told.get("fd", told.get("error")))
        # A class of too few samples for a distance is worse than one far away.
        return (float("inf") if far is None and "fd" in told else far or 0.0, -(finite(told.get("accuracy")) or 0.0))

    names = sorted(known, key=badness, reverse=True)
    rows = [[h("bdi", name), *(number_text(known[name].get(key)) for key, _ in columns)] for name in names[:BARS]]
    more = quiet(f"and {len(names) - BARS:,} more, each better than these") if len(names) > BARS else None
    return h(
        "details",
        h("summary", f"Scores by {what} at round {number_text(round)}, the worst first ({len(names):,})"),
        table(rows, [what.capitalize(), *(title for _, title in columns)], label=f"Scores by {what}"),
        more,
        open=len(names) <= 20,
    )
