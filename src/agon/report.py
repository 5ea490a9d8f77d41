"""A run directory becomes one self-contained HTML page that opens from disk, without a network and without torch.

The page is built here as plain HTML that reads well with JavaScript off; `report.js` adds the charts, the film and the
copy buttons, `report.css` the looks, `report.html` the frame. Strings are escaped by construction (`markup.h`), and the
page's content policy lets no script run but our own.
"""

from __future__ import annotations

from typing import Any

from agon.film import Frame
from agon.journal import SCORES, Journal, finite, mapping, state, whole
from agon.markup import (
    Markup,
    copyable,
    duration_text,
    finite,
    h,
    number_text,
    quiet,
    section,
    setting_text,
    table,
)  # fmt: skip

ROWS = 200  # a table of events, rounds or files holds at most this many rows
BARS = 40  # a table of balance holds at most this many bars


def _ratio(value: float, floor: float | None, higher: bool) -> str:
    """How far a score is from what real data score against real data."""
    if floor is None or floor <= 1e-9:
        return "—"
    return f"{100 * value / floor:.0f} % of it" if higher else f"{number_text(float(f'{value / floor:.3g}'))} ×"


def _headline(journal: Journal) -> Markup | None:
    if not journal.scores:
        return None
    score = journal.scores[0]
    last, best = score.last, score.best
    parts = [f"real against real: {number_text(last['floor'])}" if last["floor"] is not None else "no real-against-real floor"]
    if last["floor"] is not None and last["floor"] > 1e-9:
        parts.append(f"{_ratio(last['value'], last['floor'], score.higher)} {'' if score.higher else 'the floor'}".strip())
    if best is not last:
        parts.append(f"best {number_text(best['value'])} at round {number_text(best['round'])}")
    return h(
        "div",
        h("div", score.title, f" at round {number_text(last['round'])}", class_="label"),
        h("div", number_text(last["value"]), class_="value"),
        h("div", "; ".join(parts), class_="detail"),
        h("div", score.protocol, class_="stamp"),
        class_="headline",
    )


def _header(journal: Journal, now: float) -> Markup:
    run = journal.run
    word, sentence = state(journal, now)
    last = next((row for row in reversed(journal.events) if finite(row.get("round")) is not None), {})
    tick = journal.ticks[-1] if journal.ticks else {}
    of = f" of {number_text(run['rounds'])}" if finite(run.get("rounds")) else ""
    cpu = f" ({duration_text(tick['cpu_seconds'])} of processor)" if finite(tick.get("cpu_seconds")) else ""
    signs = sorted({str(row.get("sign", "?")) for row in journal.events if row.get("kind") == "health"})
    space = mapping(run.get("space"))
    what = " × ".join(str(space[k]) for k in ("height", "width", "channels") if k in space) or str(space.get("dim", ""))
    facts = [
        ("State", h("span", word, class_=f"state {word.replace(' ', '-')}")),
        ("Round", f"{number_text(last.get('round'))}{of}"),
        ("Samples seen", number_text(last.get("seen"))),
        ("Time", f"{duration_text(tick.get('seconds'))}{cpu}"),
        ("Data", f"{mapping(run.get('data')).get('path', '—')}" + (f" · {what} {space.get('kind', '')}" if what else "")),
        ("Health", h("a", f"{len(signs)} sign{'s' * (len(signs) > 1)} fired" if signs else "no signs fired", href="#health")),
    ]
    recipe = run.get("recipe") or mapping(run.get("game")).get("name") or "unknown recipe"
    return h(
        "header",
        h("p", "Agon run report", class_="kicker"),
        h("h1", h("bdi", journal.path.name)),
        h("p", f"Recipe {recipe}. Begun {run.get('created', '—')}. {sentence}", class_="byline"),
        h("div", _headline(journal), h("dl", [h("div", h("dt", k), h("dd", v)) for k, v in facts]), class_="front"),
        h("div", [h("p", note) for note in journal.notes], class_="notes") if journal.notes else None,
    )


def _scores_section(journal: Journal) -> Markup:
    if not journal.scores:
        return section("scores", "Scores", quiet("No score has been taken yet."))
    rows, every = [], []
    for score in journal.scores:
        last, best = score.last, score.best
        name = [score.title, " ", h("span", "↑ higher is better" if score.higher else "↓ lower is better", class_="way")]
        rows.append(
            [
                h("span", *name, title=SCORES.get(score.name, ("", ""))[1]),
                h("b", number_text(last["value"])),
                number_text(last["floor"]),
                _ratio(last["value"], last["floor"], score.higher),
                number_text(last["round"]),
                [number_text(best["value"]), h("span", f" at {number_text(best['round'])}", class_="way")],
                h("span", score.protocol, class_="stamp"),
            ]
        )
        for row in score.rows:
            star = h("b", f"{number_text(row['value'])} ★") if row is best else number_text(row["value"])
            ratio = _ratio(row["value"], row["floor"], score.higher)
            every.append((row["round"], [number_text(row["round"]), score.title, star, number_text(row["floor"]), ratio, duration_text(row["seconds"])]))
    every.sort(key=lambda pair: pair[0])
    head = ["Score", "Latest", "Floor", "Latest to floor", "At round", "Best", "Protocol"]
    caption = "The floor is the same score between two sets of real data: no generator can be trusted to do better."
    shown = [cells for _, cells in every[-ROWS:]]
    return section(
        "scores",
        "Scores",
        table(rows, head, caption=caption, class_="wide"),
        h("div", class_="charts", data_charts="scores"),
        h(
            "details",
            h("summary", f"Every score taken ({len(every):,}{', the last ' + str(ROWS) if len(every) > ROWS else ''}; ★ best)"),
            table(shown, ["Round", "Score", "Value", "Floor", "To floor", "After"]),
        ),
    )


def _image(frame: Frame, alt: str, class_: str, label: str = "") -> Markup:
    tiny = " tiny" if max(frame.width, frame.height) <= 560 else ""
    return h(
        "img", src=frame.uri, alt=alt, class_=class_ + tiny, width=frame.width, height=frame.height, data_label=label or None
    )


def _samples_section(journal: Journal) -> Markup:
    film = journal.film
    if not film.frames:
        return section("samples", "Samples", quiet("No sample grid has been written yet."))
    seen = {whole(row["round"]): row.get("seen") for row in journal.ticks}

    def label(index: int, frame: Frame) -> str:
        if frame.round is None:
            return f"frame {index + 1} of {len(film.frames)}"
        more = f", {number_text(seen[frame.round])} samples seen" if finite(seen.get(frame.round)) else ""
        return f"round {number_text(frame.round)}{more}"

    labels = [label(i, frame) for i, frame in enumerate(film.frames)]
    thumbs = [
        h("li", _image(frame, f"Samples, {text}", "thumb", text), h("span", text.split(",  ")[0].split(" samples")[0] if frame.round is None else number_text(frame.round)))
        for frame, text in zip(film.frames, labels, strict=True)
    ]
    final = film.frames[-1]
    big = h(
        "figure",
        _image(final, f"Grid of generated samples, {labels[-1]}", "grid"),
        h(
            "div",
            h("button", "Play", type="button", class_="play", aria_pressed="false"),
            h("input", type="range", min=0, max=len(thumbs) - 1, value=len(thumbs) - 1, aria_label="Sample grid over training"),
            class_="film script",
        ),
        h("figcaption", h("span", labels[-1], class_="at", aria_live="polite"), " — the same latents at every tick."),
        class_="viewer",
    )
    real = None
    if film.real:
        real = h("figure", _image(film.real, "Grid of real samples", "grid"), h("figcaption", "Real data, for comparison."))
    thinned = f"{len(thumbs)} of {film.total} grids, evenly spaced" if film.total > len(thumbs) else "every grid"
    sheet = h("ol", thumbs, class_="sheet", aria_label="All frames")
    return section(
        "samples", "Samples", h("div", big, real, class_="pictures"), h("details", h("summary", f"Contact sheet ({thinned})"), sheet, open=True)
    )


def _health_section(journal: Journal) -> Markup:
    fired: dict[str, list[dict[str, Any]]] = {}
    for row in journal.events:
        if row.get("kind") == "health":
            fired.setdefault(str(row.get("sign", "unnamed sign")), []).append(row)
    if not fired:
        told = "No signs fired." if journal.ticks else "No signs fired; nothing has been measured yet."
        return section("health", "Health", h("p", told, class_="well"))
    items = []
    for sign, rows in fired.items():
        last = rows[-1]
        first, final = number_text(rows[0].get("round")), number_text(last.get("round"))
        when = f"at round {final}" if len(rows) == 1 else f"{len(rows)} times, rounds {first} to {final}"
        items.append(
            h(
                "article",
                h("h3", sign, " ", h("span", when, class_="way")),
                h("p", last.get("sentence") or "The run gave no sentence for this sign."),
                h("p", h("b", "Evidence. "), setting_text(last["evidence"])) if last.get("evidence") else None,
                copyable(setting_text(last["remedy"]), "Remedy") if last.get("remedy") else None,
                class_="sign",
            )
        )
    return section("health", "Health", items)
