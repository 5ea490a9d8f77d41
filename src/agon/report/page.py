"""A run directory becomes one self-contained HTML page that opens from disk, without a network and without torch.

The page is built here as plain HTML that reads well with JavaScript off; `page.js` adds the charts, the film and the copy buttons,
`page.css` the looks, `page.html` the frame. Strings are escaped by construction (`markup.h`), and the page's content policy lets no
script run but our own.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from agon.errors import InputError
from agon.report.attention import attention_section
from agon.report.card import ROWS, data_section, short
from agon.report.classes import by_condition
from agon.report.clips import clips_section
from agon.report.curves import panels, score_panels
from agon.report.faults import FAULTS, advice, kind_of, seen
from agon.report.film import Film, Frame, film
from agon.report.frame import chart, chart_tools, document, picture, plane, write_page
from agon.report.gap import beside_likelihood, gap_panels
from agon.report.journal import SCORES, Journal, mapping, read_journal, state, whole
from agon.report.markup import (
    Markup,
    copyable,
    duration_text,
    finite,
    flat,
    h,
    moment_text,
    number_text,
    quiet,
    section,
    setting_text,
    table,
)
from agon.report.sentences import Sentences, sentences, text_section

_AXES = (("round", "rounds"), ("seen", "samples seen"), ("seconds", "time"))
_PARTS = (
    ("scores", "Scores"), ("samples", "Samples"), ("health", "Health"), ("curves", "Curves"), ("settings", "Settings"), ("data", "Data"),
    ("record", "Repeating it"), ("events", "Events"),
)  # fmt: skip
# run.json's keys that other parts of the page show.
_ELSEWHERE = {"game", "data", "space", "reasons", "environment", "command", "format", "agon", "created", "recipe", "class_share", "gallery"}


def write_report(run_dir: Path | str, out: Path | str | None = None) -> Path:
    """Write the report of the run at `run_dir` to `out` (default: `run_dir/report.html`) and return its path.

    Works on a run that is still going, stopped or damaged: what is missing is said on the page. Raises InputError if `run_dir` is not a
    run directory or `out` cannot be written.
    """
    directory = Path(run_dir)
    if not directory.is_dir():
        raise InputError(f"run '{directory}' does not exist; expected a run directory, as made by `agon train`.")
    if not any((directory / name).is_file() for name in ("run.json", "events.jsonl", "metrics.jsonl")):
        raise InputError(
            f"'{directory}' is not a run: it has neither run.json nor events.jsonl. Expected a directory made by `agon train`."
        )
    target = directory / "report.html" if out is None else Path(out)
    return write_page(target, _page(read_journal(directory), directory / "samples", time.time()))


def _page(journal: Journal, samples: Path, now: float) -> str:
    """The whole page."""
    text = mapping(journal.run.get("space")).get("kind") == "tokens"
    pictures, said = Film() if text else film(samples), sentences(samples) if text else Sentences()
    journal.notes += pictures.notes + said.notes
    planes = gap_panels(journal.path) if text else []
    axes, drawn, stride = panels(journal.ticks)
    score_axes, scored = score_panels(journal.scores)
    marks = [
        {"round": whole(row.get("round")), "kind": str(row["kind"])}
        for row in journal.events
        if row.get("kind") in ("resume", "rollback", "health")
    ]
    content = {"axes": {"ticks": axes, **score_axes}, "panels": [*scored, *drawn], "planes": planes, "marks": marks[-ROWS:]}
    sections = [
        _scores_section(journal, scored, planes),
        text_section(journal, said) if text else _samples_section(journal, pictures),
        *([looked] if (looked := attention_section(samples)) is not None else []),
        _health_section(journal),
        _curves_section(drawn, stride),
        _settings_section(journal.run),
        data_section(journal),
        _record_section(journal),
        _events_section(journal.events),
    ]
    return document(
        f"{journal.path.resolve().name} — Agon run report", _header(journal, now), _PARTS, sections,
        f"Made by Agon on {moment_text(now)} UTC from {journal.path}. This file stands alone: it needs no network.", content,
    )  # fmt: skip


# -- head ----------------------------------------------------------------------------------------------------------------------------


def _ratio(row: Mapping[str, Any]) -> str:
    """A score over what real data score against real data; none where the floor is of fewer samples, as both hang on how many there are."""
    value, floor = row["value"], row["floor"]
    return "—" if floor is None or floor <= 1e-9 or row["floor_samples"] else f"{number_text(float(f'{value / floor:.3g}'))} ×"


def _headline(journal: Journal) -> Markup | None:
    if not journal.scores:
        return None
    first = journal.run.get("metrics")
    chosen = [scores for scores in journal.scores if isinstance(first, list) and first[:1] == [scores.name]] or journal.scores[:1]
    score = max(chosen, key=lambda scores: scores.last["round"])
    last, best = score.last, score.best
    parts = [f"real against real {number_text(last['floor'])}" if last["floor"] is not None else "no real-against-real floor"]
    if (ratio := _ratio(last)) != "—":
        parts.append(f"{ratio} that floor")
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
    last: Mapping[str, Any] = next((row for row in reversed(journal.events) if finite(row.get("round")) is not None), {})
    tick = journal.ticks[-1] if journal.ticks else {}
    of = f" of {number_text(run['rounds'])}" if finite(run.get("rounds")) else ""
    cpu = f" (CPU {duration_text(tick['cpu_seconds'])})" if finite(tick.get("cpu_seconds")) else ""
    signs = journal.signs
    quiet = "no signs fired" if journal.ticks else "nothing has been measured yet"
    space = mapping(run.get("space"))
    sides = " × ".join(short(space[side]) for side in ("height", "width") if side in space)
    colour = {1: "grey", 3: "RGB", 4: "RGBA"}.get(whole(space.get("channels")), "")
    what = f"{sides or short(space.get('dim', ''))} {colour} {short(space.get('kind', ''))}" if space else ""
    if space.get("kind") == "video":
        what = f"{sides} {colour} clips of {number_text(space.get('frames'))} frames at {number_text(space.get('fps'))} a second"
    if space.get("kind") == "tokens":
        what = f"sentences of up to {number_text(space.get('length'))} tokens out of {number_text(space.get('vocabulary'))}"
    facts = [
        ("State", h("span", word, class_=f"state {word.replace(' ', '-')}")),
        ("Round", f"{number_text(last.get('round'))}{of}"),
        ("Samples seen", number_text(last.get("seen"))),
        ("Time", f"{duration_text(tick.get('seconds'))}{cpu}"),
        ("Data", f"{mapping(run.get('data')).get('path', '—')}" + (f", {what}" if what else "")),
        ("Health", h("a", f"{len(signs)} sign{'s' * (len(signs) > 1)} fired" if signs else quiet, href="#health")),
    ]
    recipe = run.get("recipe") or mapping(run.get("game")).get("name") or "unknown recipe"
    return h(
        "header",
        h("p", "Agon run report", class_="kicker"),
        h("h1", h("bdi", journal.path.resolve().name)),
        h("p", f"Recipe {recipe}. Begun {short(run.get('created', '—')).replace('T', ' ', 1)}. {sentence}", class_="byline"),
        h("div", _headline(journal), h("dl", [h("div", h("dt", k), h("dd", v)) for k, v in facts]), class_="front"),
        h("div", [h("p", note) for note in journal.notes], class_="notes") if journal.notes else None,
    )


# -- scores --------------------------------------------------------------------------------------------------------------------------


def _between(row: Mapping[str, Any]) -> Markup | None:
    """The 95 % interval of a score, where there is one."""
    if row["low"] is None or row["high"] is None:
        return None
    return h(
        "span",
        f" [{number_text(row['low'])}, {number_text(row['high'])}]",
        class_="way",
        title="95 % interval over samples of this generator",
    )


def _blindness(journal: Journal) -> Markup | None:
    """What the scores of this run do not see, and who would."""
    sights = {score.title: sight for score in journal.scores if (sight := score.last["sight"])}
    kind = kind_of(mapping(journal.run.get("space")).get("kind"))
    rows = [
        [fault, ", ".join(blind), ", ".join(title for title, sight in sights.items() if fault in seen(sight, kind, "s"))
         or f"none here: agon eval {shlex.quote(str(journal.path))} -m {advice(fault, kind)}"]
        for fault in FAULTS[kind]
        if (blind := [title for title, sight in sights.items() if fault in seen(sight, kind, "b")])
    ]  # fmt: skip
    if not rows:
        return None
    return h(
        "details",
        h("summary", "What these scores do not see"),
        table(rows, ["Fault", "Blind to it", "Seen by"], label="Blindness of scores"),
    )


def _scores_section(journal: Journal, drawn: Sequence[Mapping[str, Any]], planes: Sequence[Mapping[str, Any]]) -> Markup:
    beside = beside_likelihood(journal.path, journal.run)
    maps = [quiet(beside) if beside else None, h("div", [plane(panel) for panel in planes], class_="charts") if planes else None]
    if not journal.scores:
        return section("scores", "Scores", quiet("No score has been taken yet."), maps)
    rows: list[list[Any]] = []
    every: list[tuple[int, list[Any]]] = []
    letters: dict[str, str] = {}
    warnings: list[str] = []
    for score in journal.scores:
        last, best = score.last, score.best
        letter = letters.setdefault(score.protocol, chr(ord("a") + len(letters)) if len(letters) < 26 else str(len(letters)))
        way = "↑ higher is better" if score.higher else "↓ lower is better"
        of_n = h("span", f" at N={number_text(last['floor_samples'])}", class_="way") if last["floor_samples"] else None
        if last["note"]:
            warnings.append(f"{score.title}: {last['note']}")
        at_best = [number_text(best["value"]), h("span", f" at {number_text(best['round'])}", class_="way")]
        rows.append([
            h("span", score.title, " ", h("span", way, class_="way"), title=SCORES.get(score.name, ("", ""))[1] or None),
            [h("b", number_text(last["value"])), _between(last)], [number_text(last["floor"]), of_n], _ratio(last),
            number_text(last["round"]), at_best, h("i", letter),
        ])  # fmt: skip
        for row in score.rows:
            value = h("b", f"{number_text(row['value'])} ★") if row is best else number_text(row["value"])
            ratio = _ratio(row)
            cells = [
                number_text(row["round"]),
                [score.title, " ", h("i", letter)],
                value,
                number_text(row["floor"]),
                ratio,
                duration_text(row["seconds"]),
            ]
            every.append((row["round"], cells))
    every.sort(key=lambda pair: pair[0])
    caption = "The floor is the same score of real data against real data: the best that a finite number of samples can show."
    of = f", the last {ROWS}" if len(every) > ROWS else ""
    return section(
        "scores",
        "Scores",
        table(rows, ["Score", "Latest", "Floor", "To floor", "At round", "Best", "Protocol"], caption=caption, class_="wide"),
        [h("p", h("i", letter), " ", protocol or "no protocol was recorded", class_="stamp") for protocol, letter in letters.items()],
        [h("p", warning, class_="stamp") for warning in dict.fromkeys(warnings)],
        by_condition(journal),
        _blindness(journal),
        maps,
        h("div", [chart(panel) for panel in drawn], class_="charts"),
        h(
            "details",
            h("summary", f"Every score taken ({len(every):,}{of}; ★ best)"),
            table([cells for _, cells in every[-ROWS:]], ["Round", "Score", "Value", "Floor", "To floor", "After"], label="Every score"),
        ),
    )


# -- pictures ------------------------------------------------------------------------------------------------------------------------


def _samples_section(journal: Journal, pictures: Film) -> Markup:
    frames = pictures.frames
    if not frames:
        return section("samples", "Samples", quiet("No sample grid has been written yet."))
    seen = {whole(row["round"]): row.get("seen") for row in journal.ticks}

    def label(index: int, frame: Frame) -> str:
        if frame.round is None:
            return f"frame {index + 1} of {len(frames)}"
        more = f", {number_text(seen[frame.round])} samples seen" if finite(seen.get(frame.round)) is not None else ""
        return f"round {number_text(frame.round)}{more}"

    labels = [label(index, frame) for index, frame in enumerate(frames)]
    last = len(frames) - 1
    steps = h("input", type="range", min=0, max=last, value=last, aria_label="Moment of training")
    play = h("button", "Play", type="button", class_="play", aria_pressed="false")
    shown = journal.run.get("gallery")
    names = "; ".join(map(setting_text, shown)) if isinstance(shown, list) else ""
    told = f" Columns from left to right: {names}." if names else ""
    clips = pictures.playing is not None
    if clips:
        told = " A clip a row, time from left to right." + (f" Rows from above, over and over: {names}." if names else "")
    text = h("figcaption", h("span", labels[-1], class_="at", aria_live="polite"), f". The same latents at every moment.{told}")
    film_bar = h("div", play, steps, class_="film script") if last else None
    big = h("figure", picture(frames[-1], f"Grid of generated samples, {labels[-1]}", "grid"), film_bar, text, class_="viewer")
    real = None
    if pictures.real:
        real = h("figure", picture(pictures.real, "Grid of real samples", "grid"), h("figcaption", "Real data, for comparison."))
    thumbs = [
        h(
            "li",
            picture(frame, f"Samples, {text}", "thumb", text),
            h("span", index + 1 if frame.round is None else number_text(frame.round)),
        )
        for index, (frame, text) in enumerate(zip(frames, labels, strict=True))
    ]
    of = f"{len(frames)} of {pictures.total} grids, evenly spaced" if pictures.total > len(frames) else f"all {len(frames)} grids"
    sheet = h("details", h("summary", f"Contact sheet: {of}"), h("ol", thumbs, class_="sheet"), open=True) if last else None
    moving = clips_section(pictures, f"Columns from left to right: {names}." if names else "") if clips else None
    return section("samples", "Samples", moving, h("div", big, real or sheet, class_="pictures"), sheet if real else None)


# -- health and curves ---------------------------------------------------------------------------------------------------------------


def _health_section(journal: Journal) -> Markup:
    if not journal.signs:
        told = "No signs fired." if journal.ticks else "No signs fired; nothing has been measured yet."
        return section("health", "Health", h("p", told, class_="well"))
    items = []
    for sign, rows in journal.signs.items():
        last = rows[-1]
        first, final = number_text(rows[0].get("round")), number_text(last.get("round"))
        when = f"at round {final}" if len(rows) == 1 else f"{len(rows)} times, rounds {first} to {final}"
        items.append(
            h(
                "article",
                h("h3", sign, " ", h("span", when, class_="way")),
                h("p", setting_text(last.get("sentence") or "The run gave no sentence for this sign.")),
                h("p", h("b", "Evidence. "), setting_text(last["evidence"])) if last.get("evidence") else None,
                *(copyable(setting_text(remedy), "Remedy") for remedy in _remedies(last)),
                class_="sign",
            )
        )
    return section("health", "Health", items)


def _remedies(row: Mapping[str, Any]) -> list[Any]:
    told = row.get("remedies")
    return [remedy for remedy in (told if isinstance(told, list) and told else [row.get("remedy")]) if remedy]


def _curves_section(drawn: Sequence[Mapping[str, Any]], stride: int) -> Markup:
    if not drawn:
        return section("curves", "Curves", quiet("No statistics have been written yet."))

    bar = chart_tools(_AXES)
    note = f"Each point is the mean of {stride} ticks. " if stride > 1 else ""
    hint = h(
        "p",
        note,
        "Point at a chart, or focus it and use the arrow keys, to read values; names switch curves on and off.",
        class_="quiet script",
    )
    return section("curves", "Curves", bar, hint, h("div", [chart(panel) for panel in drawn], class_="charts"))


# -- settings, data, record ----------------------------------------------------------------------------------------------------------


def _settings_section(run: Mapping[str, Any]) -> Markup:
    if not run:
        return section("settings", "Settings", quiet("No settings are known: run.json is missing or unreadable."))
    chosen = []
    for name, told in mapping(run.get("reasons")).items():
        value, split, reason = setting_text(told).partition(": ")
        chosen.append([name, value if split else "", reason if split else value])
    parts = [("Game", mapping(run.get("game"))), ("Data", mapping(run.get("data"))), ("Space", mapping(run.get("space")))]
    parts.append(("Run", {key: value for key, value in run.items() if key not in _ELSEWHERE}))
    tables = [
        h("div", h("h3", title), table([[name, short(value)] for name, value in flat(content)], label=title, class_="pairs"))
        for title, content in parts
        if content
    ]
    return section(
        "settings",
        "Settings",
        table(chosen, ["Choice", "Value", "Reason"], caption="What Agon chose, and why") if chosen else None,
        h("details", h("summary", "Full configuration"), h("div", tables, class_="columns"), open=True),
    )


def _record_section(journal: Journal) -> Markup:
    run, path = journal.run, str(journal.path)
    begun = setting_text(run.get("command") or "")
    if isinstance(run.get("command"), list):
        begun = shlex.join(setting_text(word) for word in run["command"])
    commands = [
        copyable(begun, "Begun with") if begun.startswith(("agon ", "torchrun ", "python")) else None,
        copyable(shlex.join(["agon", "train", f"{path}/run.json"]), "Repeat it"),
        copyable(shlex.join(["agon", "train", path]), "Go on from the newest state"),
        copyable(shlex.join(["agon", "sample", path, "-n", "64", "--seed", "1"]), "Draw samples"),
        copyable(shlex.join(["agon", "eval", path]), "Score it again"),
    ]
    rows = [[name, short(value)] for name, value in flat(mapping(run.get("environment")))]
    rows = [*([["agon", short(run["agon"])]] if run.get("agon") else []), *rows]
    environment = table(rows, label="Environment", class_="pairs") if rows else quiet("The environment was not recorded.")
    return section("record", "Repeating it", commands, h("h3", "Environment"), environment)


def _events_section(events: Iterable[Mapping[str, Any]]) -> Markup:
    rows: list[list[Any]] = []
    quietly = {"tick": 0, "save": 0}
    skips = 0
    for row in events:
        kind = str(row.get("kind", "?"))
        if kind in quietly:
            quietly[kind] += 1
            continue
        skips = skips + 1 if kind == "skip" else 0
        said = row.get("sentence") or row.get("sign")
        rest = {key: value for key, value in row.items() if key not in ("time", "round", "seen", "kind")}
        text = said or ", ".join(f"{key} {short(value)}" for key, value in flat(rest))
        cells = [moment_text(row.get("time")), number_text(row.get("round")), f"skip × {skips}" if skips > 1 else kind, short(text)]
        if skips > 1:
            rows.pop()
        rows.append(cells)
    told = f"{quietly['tick']:,} ticks and {quietly['save']:,} saved states are not listed."
    if not rows:
        return section("events", "Events", quiet(f"Nothing happened yet. {told}"))
    left = len(rows) - ROWS
    shown = rows if left <= 0 else [*rows[:20], ["…", "", "", f"{left:,} events left out"], *rows[20 + left :]]
    return section("events", "Events", table(shown, ["Time, UTC", "Round", "Event", "What"], label="Events"), quiet(told))
