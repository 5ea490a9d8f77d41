"""The frame that pages share: one HTML file with looks, script and data inside, and the places of charts and pictures in it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from agon.errors import InputError
from agon.records import atomic_write
from agon.report.film import Frame, Moving
from agon.report.markup import Markup, h, number_text, table

TINY = 640  # a grid of at most this many pixels is enlarged without smoothing


def document(
    title: str, header: Markup, parts: Sequence[tuple[str, str]], sections: Iterable[str], footer: str, content: Mapping[str, Any]
) -> str:
    """The whole page. parts: (anchor, title) of the sections; content: what `page.js` draws, {"axes", "panels", "marks", "by"?}."""
    package = files("agon.report")
    style, script = (package.joinpath(f"page.{kind}").read_text("utf-8") for kind in ("css", "js"))
    slots = {
        "title": h("title", title),
        "style": style,
        "script": script,
        "digest": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "header": header,
        "nav": h(
            "nav",
            [[" " if i else "", h("a", text, href=f"#{name}")] for i, (name, text) in enumerate(parts)],
            aria_label="Parts of the report",
        ),
        "main": "\n".join(sections),
        "footer": h("p", footer),
        # "<" alone could end the element or open a comment in it.
        "data": json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c").replace(">", "\\u003e"),
    }
    frame = package.joinpath("page.html").read_text("utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: slots[match[1]], frame)  # one pass: what is filled in is not searched again


def write_page(target: Path, page: str) -> Path:
    """Write a page, atomically. Raises InputError if the place cannot be written."""
    if target.is_dir():
        raise InputError(f"'{target}' is a directory; expected a file name for the page, such as '{target / 'report.html'}'.")
    try:
        return atomic_write(target, page)
    except OSError as error:
        raise InputError(f"cannot write the report to '{target}': {error.strerror or error}; give another place with --out.") from None


def chart(panel: Mapping[str, Any]) -> Markup:
    """The place of a chart: its title, room for `page.js` to draw in, and its values in words."""

    def row(series: Mapping[str, Any]) -> list[str]:
        told = [value for value in series["values"] if value is not None]
        return [series["name"], *(number_text(value) for value in (told[0], told[-1], min(told), max(told)))]

    values = table([row(series) for series in panel["series"]], ["Curve", "First", "Last", "Lowest", "Highest"], label=panel["title"])
    return h(
        "figure",
        h("figcaption", h("b", panel["title"]), " ", h("span", panel["note"], class_="way")),
        h("div", class_="plot script"),
        h("details", h("summary", "Values"), values, open=True),
        class_="chart",
        data_panel=panel["id"],
    )


def plane(panel: Mapping[str, Any]) -> Markup:
    """The place of a chart of points, one figure against another: room for `page.js` to draw in, and its points in words."""
    rows = [
        [series["name"], label or "—", number_text(x), number_text(y)] for series in panel["series"] for x, y, label in series["points"]
    ]
    values = table(rows, ["Series", "Temperature", panel["x"], panel["y"]], label=panel["title"])
    return h(
        "figure",
        h("figcaption", h("b", panel["title"]), " ", h("span", panel["note"], class_="way")),
        h("div", class_="plot script"),
        h("details", h("summary", "Values"), values, open=True),
        class_="chart wide",
        data_plane=panel["id"],
    )


def chart_tools(axes: Iterable[tuple[str, str]]) -> Markup:
    """The bar that chooses the axis and the scale of all charts. axes: (name, words), the first chosen."""

    def box(name: str, text: str) -> Markup:
        return h("label", h("input", type="checkbox", name=name), " ", text)

    axis = h("select", [h("option", text, value=value) for value, text in axes], name="axis")
    return h("div", h("label", "Against ", axis), box("log", "log scale"), box("smooth", "smooth"), class_="tools script", role="group",
             aria_label="Charts")  # fmt: skip


def picture(frame: Frame, alt: str, class_: str, label: str | None = None) -> Markup:
    """One picture of the page."""
    looks = " tiny" if max(frame.width, frame.height) <= TINY else ""
    looks += " tall" if class_ == "grid" and frame.height > 2 * frame.width else ""
    return h("img", src=frame.uri, alt=alt, class_=class_ + looks, width=frame.width, height=frame.height, data_label=label)


def playing(film: Moving, alt: str, class_: str = "grid") -> Markup:
    """An animation with a button that halts it; it stands still for readers who asked for less motion."""
    tiny = " tiny" if max(film.width, film.height) <= TINY else ""
    image = h("img", src=film.uri, alt=alt, class_=class_ + tiny, width=film.width, height=film.height, data_still=film.still)
    button = h("button", "Halt", type="button", class_="halt script", aria_pressed="false", aria_label=f"Halt: {alt}")
    return h("div", h("picture", h("source", srcset=film.still, media="(prefers-reduced-motion: reduce)"), image), button, class_="moving")
