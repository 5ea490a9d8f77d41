"""Sentences on the page: those of each tick, each beside its nearest training sentence, and held-out ones for comparison.

Sentences come from other people's files and from generators: they reach the page through `markup.h` alone, which escapes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path
from statistics import mean
from typing import Any

from agon.records import read_jsonl
from agon.report.film import spread
from agon.report.journal import Journal, whole
from agon.report.markup import Markup, finite, h, number_text, quiet, section, setting_text

MOMENTS = 40  # at most so many ticks on the page
SHOWN = 64  # sentences of a tick
LETTERS = 600  # of a sentence
PHRASE = 3  # words
CLOSE = 0.15  # edits over the length of the longer: up to here a sentence is all but a copy


@dataclass(frozen=True)
class Said:
    """A sentence, the nearest training sentence if one is known, and how far that is: 0 a copy, 1 nothing in place."""

    text: str
    near: str | None = None
    far: float | None = None


@dataclass
class Sentences:
    """The sentences of a run's ticks in order of rounds, held-out ones, and real ones of the training set."""

    moments: list[tuple[int, list[Said]]] = field(default_factory=list)
    held: list[Said] = field(default_factory=list)
    real: list[str] = field(default_factory=list)
    total: int = 0  # ticks on disk, before thinning
    among: int = 0  # training sentences that were looked among
    of: int = 0
    notes: list[str] = field(default_factory=list)


def sentences(directory: Path) -> Sentences:
    """Read `NNNNNNNN.txt`, `real.txt` and `near.jsonl`; never raises on bad files."""
    made = Sentences()
    try:
        files = sorted((int(path.stem), path) for path in directory.glob("*.txt") if path.stem.isdecimal() and path.is_file())
        rows = read_jsonl(directory / "near.jsonl")
    except OSError as error:
        made.notes.append(f"sentences could not be read: {error}")
        return made
    near = {whole(row.get("round")): row["near"] for row in rows if isinstance(row.get("near"), list)}
    made.total = len(files)
    for round, path in spread(files, MOMENTS):
        lines = _lines(path)
        if lines is None:
            made.notes.append(f"{path.name} could not be read and is left out.")
        else:
            made.moments.append((round, [_said(text, beside) for text, beside in _beside(lines, near.get(round, []))]))
    for row in rows:
        if isinstance(row.get("held"), list):
            made.held = [_said(setting_text(told[0]), told[1:]) for told in row["held"] if isinstance(told, list) and len(told) == 3][
                :SHOWN
            ]
            made.among, made.of = whole(row.get("among")), whole(row.get("of"))
    made.real = (_lines(directory / "real.txt") or [])[:SHOWN]
    return made


def _lines(path: Path) -> list[str] | None:
    try:
        return path.read_bytes().decode("utf-8", "replace").removesuffix("\n").split("\n")
    except OSError:
        return None


def _beside(lines: Sequence[str], near: Sequence[Any]) -> list[tuple[str, Any]]:
    return [(text, near[k] if k < len(near) else None) for k, text in enumerate(lines[:SHOWN])]


def _said(text: str, beside: Any) -> Said:
    if isinstance(beside, list) and len(beside) == 2 and (far := finite(beside[0])) is not None:
        return Said(text, setting_text(beside[1]), far)
    return Said(text)


def text_section(journal: Journal, told: Sentences) -> Markup:
    """The part of the page: one tick large, a slider over all of them, real sentences beside."""
    if not told.moments:
        return section("samples", "Samples", quiet("No sentence has been written yet."))
    seen = {whole(row["round"]): row.get("seen") for row in journal.ticks}
    usual = _figures(told.held)

    def label(round: int) -> str:
        more = f", {number_text(seen[round])} sentences seen" if finite(seen.get(round)) is not None else ""
        return f"round {number_text(round)}{more}"

    moments = [(label(round), said) for round, said in told.moments]
    last = len(moments) - 1
    steps = h("input", type="range", min=0, max=last, value=last, aria_label="Moment of training")
    play = h("button", "Play", type="button", class_="play", aria_pressed="false")
    caption = h("p", h("span", moments[-1][0], class_="at", aria_live="polite"), ". The same random numbers at every moment.")
    big = h(
        "div",
        h("div", play, steps, class_="film script") if last else None,
        caption,
        h("div", _moment(moments[-1][1], usual), class_="said"),
        class_="reader",
    )
    of = f"{len(moments)} of {told.total} ticks, evenly spaced" if told.total > len(moments) else f"all {len(moments)} ticks"
    earlier = h(
        "details",
        h("summary", f"Every moment: {of}"),
        [h("details", h("summary", name), h("div", _moment(said, usual), class_="said"), data_moment=name) for name, said in moments],
        class_="moments",
    )
    return section("samples", "Samples", _legend(told), big, earlier if last else None, _real(told))


def _legend(told: Sentences) -> Markup:
    if not any(said.near is not None for _, part in told.moments for said in part):
        return quiet("The nearest training sentences of this run's samples were not written, and cannot be found without its data.")
    among = f" (among {told.among:,} of {told.of:,} training sentences)" if 0 < told.among < told.of else ""
    return quiet(
        "Under each sentence stands the training sentence nearest to it by edits of tokens"
        f"{among}; the number is the share of tokens in place. Where the two have a phrase of three words or more in common, it is marked."
    )


def _real(told: Sentences) -> Markup | None:
    if told.held:
        return h(
            "details", h("summary", "Held-out sentences, never trained on, for comparison"), h("div", _moment(told.held, ""), class_="said")
        )
    if told.real:
        rows = [h("li", h("p", h("bdi", _short(text)))) for text in told.real]
        return h("details", h("summary", "Real sentences, for comparison"), h("ol", rows, class_="said"))
    return None


def _figures(said: Sequence[Said]) -> str:
    """How near sentences are to training sentences, in words; "" where it is not known."""
    far = [one.far for one in said if one.far is not None]
    copies = sum(f == 0 for f in far)
    return f"{1 - mean(far):.0%} of tokens in place, {copies} {'copy' if copies == 1 else 'copies'}" if far else ""


def _moment(said: Sequence[Said], usual: str) -> list[Markup]:
    """The sentences of a moment with a line about them."""
    first: dict[str, int] = {}
    rows = []
    for number, one in enumerate(said, 1):
        earlier = first.setdefault(one.text, number)
        rows.append(_row(one, earlier if earlier != number else None))
    own = _figures(said)
    compared = f" (held-out sentences: {usual})" if own and usual else ""
    about = f"{len(said)} sentences, {len(first)} different{f'; nearest training sentences: {own}{compared}' if own else ''}."
    return [quiet(about), h("ol", rows)]


def _row(one: Said, earlier: int | None) -> Markup:
    marks = [
        h("b", "copy", class_="badge") if one.far == 0 else h("b", "near copy", class_="badge") if (one.far or 1.0) <= CLOSE else None,
        h("b", f"same as {earlier}", class_="badge") if earlier else None,
    ]
    words: list[Any] = [_short(one.text) or h("i", "nothing")]
    beside = None
    if one.near is not None and one.far is not None and one.far > 0:
        words = _marked(_short(one.text), one.near) or words
        beside = h("p", h("span", f"{1 - one.far:.0%}", class_="share"), " ", h("bdi", _short(one.near)), class_="near")
    return h("li", h("p", h("bdi", words), *([" ", mark] for mark in marks if mark)), beside)


def _marked(text: str, near: str) -> list[Any]:
    """A sentence with the phrases marked that its nearest training sentence has too."""
    words, made, done = text.split(" "), [], 0
    for block in SequenceMatcher(None, words, near.split(" "), autojunk=False).get_matching_blocks():
        if block.size >= PHRASE:
            made += [" ".join([*words[done : block.a], ""]), h("mark", " ".join(words[block.a : block.a + block.size])), " "]
            done = block.a + block.size
    return [*made, " ".join(words[done:])]


def _short(text: str) -> str:
    return text if len(text) <= LETTERS else f"{text[:LETTERS]}…"
