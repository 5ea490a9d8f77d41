"""The terminal's view of a run: a live line where there is a terminal, plain lines at ticks where there is none."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn

from agon.health import Sign
from agon.metrics import Score

QUIET_S = 5.0  # seconds between two lines where there is no terminal


def _told(stats: Mapping[str, float]) -> dict[str, float]:
    """The figures of a tick worth a line: the adversarial terms; of games without any the terms of their turns, at most three."""
    adversarial = {name: value for name, value in stats.items() if name.endswith("/adv")}
    terms = {
        name: value for name, value in stats.items()
        if "/" in name and not name.startswith(("sample/", "real/", "D/", "G/", "augment/")) and not name.endswith(("/grad", "/weights"))
    }  # fmt: skip
    held = {"nats a token, held out": stats["G/nats held"]} if "G/nats held" in stats else {}
    return (adversarial or dict(list(terms.items())[:3])) | held


class Terminal:
    """Shows ticks, scores and signs on a rich console; the live bar only on a real terminal."""

    def __init__(self, console: Console, rounds: int) -> None:
        self.console, self.rounds = console, rounds
        self._score = ""
        self._printed = 0.0
        self._bar: Progress | None = None
        self._last: tuple[float, int] | None = None

    def __enter__(self) -> Terminal:
        if self.console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.fields[text]}"))
            self._bar = Progress(*columns, console=self.console, transient=True)
            self._bar.start()
            self._task = self._bar.add_task("round", total=self.rounds, text="starting …")
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def note(self, kind: str, text: str) -> None:
        """A named line."""
        self.console.print(f"[bold]{escape(kind):>10}[/]  {escape(text)}", highlight=False, soft_wrap=True)

    def tick(self, row: Mapping[str, Any]) -> None:
        """Round, speed, time left, losses, last score."""
        stats = row["stats"]
        losses = "  ".join(f"{name} {value:.3g}" for name, value in _told(stats).items())
        rate = f"{row['rate']:,.0f}/s" if row.get("rate") else ""
        text = f"{row['round']:,}/{self.rounds:,}  {rate}  {self._left(row['round'])}  {losses}  {self._score}"
        if self._bar is not None:
            self._bar.update(self._task, completed=row["round"], text=escape(text))
        elif time.monotonic() - self._printed >= QUIET_S or row["round"] >= self.rounds:
            self._printed = time.monotonic()
            self.console.print(f"{'round':>10}  {escape(text)}", highlight=False, soft_wrap=True)

    def _left(self, round: int) -> str:
        now = time.monotonic()
        if self._last is None:
            self._last = (now, round)
            return ""
        began, first = self._last
        if round <= first:
            return ""
        seconds = (now - began) / (round - first) * (self.rounds - round)
        return f"{seconds / 60:.0f} min left" if seconds > 90 else f"{seconds:.0f} s left"

    def scores(self, scores: Sequence[Score]) -> None:
        """The first score with its protocol, the others of the same samples in a word each."""
        if not scores:
            return
        self.note("score", str(scores[0]))
        others = [s for s in scores[1:] if not math.isnan(s.value)]
        told = " · ".join(f"{s.name} {s.value:.3g}" + ("" if s.floor is None else f" ({s.floor:.3g})") for s in others)
        if told:
            self.note("", told + ("   (floor in brackets)" if any(s.floor is not None for s in others) else ""))
        undefined: dict[str, list[str]] = {}
        for score in scores[1:]:
            if math.isnan(score.value):
                undefined.setdefault(score.note, []).append(score.name)
        for why, names in undefined.items():
            self.note("left out", f"{', '.join(names)}: {why}")
        floor = "" if scores[0].floor is None else f" (floor {scores[0].floor:.3g})"
        self._score = f"{scores[0].name} {scores[0].value:.4g}{floor}"

    def sign(self, sign: Sign) -> None:
        """A health sign with its remedy."""
        self.console.print(
            f"[bold yellow]{'health':>10}[/]  [yellow]{escape(sign.name)}[/]: {escape(sign.sentence)}", highlight=False, soft_wrap=True
        )
        self.console.print(f"{'':>10}  seen: {escape(sign.evidence)}", highlight=False, soft_wrap=True)
        for index, remedy in enumerate(sign.remedies):
            self.console.print(f"{'':>10}  {'or:  ' if index else 'try: '} {escape(remedy)}", highlight=False, soft_wrap=True)
