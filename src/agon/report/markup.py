"""HTML escaped by construction, and numbers, times and settings in words.

`h("p", text, class_="note")` escapes every string that is not `Markup` already, so names, labels and paths from other
people's files cannot become markup.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any


class Markup(str):
    """Text that is HTML already."""


def h(tag: str, *children: Any, **attributes: Any) -> Markup:
    """One element. Strings are escaped, lists walked, None and False left out; `class_` is class, `data_x` is data-x."""

    def inner(child: Any) -> str:
        if child is None or child is False:
            return ""
        if isinstance(child, Markup):
            return child
        if isinstance(child, (list, tuple)):
            return "".join(inner(item) for item in child)
        return html.escape(str(child))

    parts = [tag]
    for name, value in attributes.items():
        if value is not None and value is not False:
            key = name.rstrip("_").replace("_", "-")
            parts.append(key if value is True else f'{key}="{html.escape(str(value))}"')
    opening = f"<{' '.join(parts)}>"
    return Markup(opening if tag in ("img", "input", "br", "source") else f"{opening}{inner(children)}</{tag}>")


def finite(value: Any) -> float | None:
    """`value` as a finite float, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def number_text(value: Any) -> str:
    """A number to four digits, with thousands separated; "—" for none."""
    number = finite(value)
    if number is None:
        return "—"
    if isinstance(value, int) or (number.is_integer() and abs(number) < 1e15):
        return f"{int(number):,}"
    if abs(number) >= 1e7 or abs(number) < 1e-3:
        return f"{number:.3g}"
    return f"{number:,.0f}" if abs(number) >= 1e4 else f"{number:,.1f}" if abs(number) >= 1e3 else f"{number:.4g}"


def duration_text(seconds: Any) -> str:
    """Seconds as "9.5 s", "12 min 3 s", "3 h 7 min" or "2 d 4 h"; "—" for none."""
    number = finite(seconds)
    if number is None:
        return "—"
    whole = int(number)
    if whole < 60:
        return f"{number:.1f} s"
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    return f"{days} d {hours} h" if days else f"{hours} h {minutes} min" if hours else f"{minutes} min {whole % 60} s"


def moment_text(seconds: Any) -> str:
    """Unix seconds as a UTC date and time."""
    number = finite(seconds)
    try:
        return datetime.fromtimestamp(number, timezone.utc).strftime("%Y-%m-%d %H:%M:%S") if number else "—"
    except (OverflowError, OSError, ValueError):
        return "—"


def setting_text(value: Any) -> str:
    """A setting as a person would write it."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, (int, float)):
        return repr(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def flat(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested mappings as dotted names; what is neither a mapping nor a list stays as it is."""
    rows: list[tuple[str, Any]] = []
    for key, item in value.items():
        if isinstance(item, dict) and item and prefix.count(".") < 20:
            rows += flat(item, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", item))
    return rows


def table(rows: Iterable[Iterable[Any]], head: Iterable[Any] = (), *, caption: str = "", label: str = "", class_: str = "") -> Markup:
    """A table whose first column holds row headers, in a box of its own that scrolls sideways; `label` names it where no caption does."""
    body = [h("tr", [h("td" if i else "th", cell, scope=None if i else "row") for i, cell in enumerate(row)]) for row in rows]
    heads = [h("th", cell, scope="col") for cell in head]
    inner = h("table", h("thead", h("tr", heads)) if heads else None, h("tbody", body))
    box = h("div", inner, class_=f"table {class_}".strip(), tabindex=0, role="region", aria_label=caption or label or "Table")
    # The caption stands outside of the box: it must not scroll away, nor be wider than the screen.
    return Markup(h("p", caption, class_="quiet") + box) if caption else box


def section(name: str, title: str, *content: Any) -> Markup:
    """A part of the page, with its heading; `name` is its anchor."""
    return h("section", h("h2", title), *content, id=name)


def copyable(command: str, label: str) -> Markup:
    """A command with a button that copies it."""
    button = h("button", "Copy", type="button", class_="copy script", aria_label=f"Copy: {label}")
    words = h("code", [[" " if i else "", h("span", word)] for i, word in enumerate(command.split(" "))])
    return h("div", h("span", label, class_="label"), h("pre", words, tabindex=0), button, class_="command")


def quiet(text: str) -> Markup:
    """A remark in small type."""
    return h("p", text, class_="quiet")
