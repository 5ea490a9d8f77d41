"""The data card of the page: what was found, what is unreadable, how classes are balanced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agon.report.journal import Journal
from agon.report.markup import Markup, finite, h, number_text, quiet, section, setting_text, table

ROWS = 200  # a table of events, scores or files holds at most this many rows
BARS = 40  # a chart of class balance holds at most this many bars

_CARD = {"num_items": "Items found", "num_train": "Training samples", "num_held": "Held back", "num_sizes": "Different sizes"}
_CARD |= {"num_unreadable": "Unreadable files", "unreadable": "Unreadable files", "duplicates": "Exact duplicates"}


def short(value: Any) -> str:
    text = setting_text(value)
    return text if len(text) <= 400 else f"{text[:400]}… ({len(text):,} characters)"


def _bars(title: str, counts: Sequence[tuple[str, float]]) -> Markup:
    """A table of counts with a bar each. counts: at least one (name, count)."""
    most, total = max(count for _, count in counts) or 1.0, sum(count for _, count in counts) or 1.0
    rows = [
        [
            h("bdi", name),
            h("span", class_="bar", style=f"width:{100 * count / most:.2f}%"),
            number_text(count),
            f"{100 * count / total:.1f} %",
        ]
        for name, count in counts[:BARS]
    ]
    rest = [count for _, count in counts[BARS:]]
    more = quiet(f"and {len(rest):,} more, from {number_text(min(rest))} to {number_text(max(rest))} each") if rest else None
    return h("div", h("h3", title), table(rows, label=title, class_="bars"), more)


def _counts(names: Any, counts: Any) -> list[tuple[str, float]]:
    """(name, count) pairs of two lists, or [] if they are not names and counts."""
    if not isinstance(names, list) or not isinstance(counts, list) or not counts or len(names) != len(counts):
        return []
    told = [(setting_text(name), number) for name, count in zip(names, counts, strict=True) if (number := finite(count)) is not None]
    return told if len(told) == len(counts) and all(0 <= number < 1e15 for _, number in told) else []


def _words(value: Any) -> str:
    return number_text(value) if finite(value) is not None else short(value)


def _numbers(labels: dict[str, Any]) -> Markup | None:
    """A table of what the numbers range over; None where the card does not say."""
    lists = [labels.get(key) for key in ("names", "low", "mean", "high", "sd")]
    if not all(isinstance(item, list) and len(item) == len(lists[0] or []) for item in lists):
        return None
    rows = [[h("bdi", setting_text(name)), *map(_words, rest)] for name, *rest in zip(*lists, strict=True)]
    return h("div", h("h3", "Numbers"), table(rows, ["Number", "Lowest", "Mean", "Highest", "SD"], label="Numbers"))


def data_section(journal: Journal) -> Markup:
    plain: list[list[Any]] = []
    charts: list[Markup] = []
    lists: list[Markup] = []
    card = dict(journal.card)
    labels = card.pop("labels", None)
    if isinstance(labels, dict):
        for part, title in (("counts", "Classes"), ("held_counts", "Classes, held back")):
            if labels.get("kind") == "tags":
                title = title.replace("Classes", "Tags")
            if counts := _counts(labels.get("names") or labels.get("classes"), labels.get(part)):
                made = _bars(title, counts)
                charts.append(made if part == "counts" else h("details", h("summary", title), made))
        if labels.get("kind") == "numbers" and (numbers := _numbers(labels)) is not None:
            charts.append(numbers)
        card |= {f"labels_{name}": item for name, item in labels.items() if not isinstance(item, list)}
    for key, value in card.items():
        title = _CARD.get(key) or key.replace("_", " ").capitalize()
        counts = _counts(list(value), list(value.values())) if isinstance(value, dict) else []
        if len(counts) > 1:
            charts.append(_bars(title, counts))
        elif counts:
            plain.append([title, h("bdi", f"{counts[0][0]} ({number_text(counts[0][1])})")])
        elif isinstance(value, list) and any(isinstance(item, list) for item in value):
            rows = [[h("bdi", short(cell)) for cell in (item if isinstance(item, list) else [item])] for item in value[:ROWS]]
            of = f", the first {ROWS}" if len(value) > ROWS else ""
            lists.append(h("details", h("summary", f"{title} ({len(value):,}{of})"), table([row for row in rows if row], label=title)))
        elif value not in (None, "", {}, []):
            said = "×".join(map(_words, value)) if key == "size" and isinstance(value, list) else _words(value)
            plain.append([title, h("bdi", said)])
    if not plain and not charts and not lists:
        return section("data", "Data", quiet("No data card has been written."))
    found = h("div", h("h3", "What was found"), table(plain, label="Data card", class_="pairs")) if plain else None
    return section("data", "Data", h("div", found, h("div", charts), class_="columns"), lists)
