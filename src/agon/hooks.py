"""What watches a run: statistics, sample grids, health, scores and saved states, each at its cadence.

Hooks observe. They never change a parameter, and they draw with the random state forked, so a run with hooks and one without end in the
same weights. Records come before the state they belong to: whoever resumes finds every record up to that state, and drops later ones.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from agon import firsts, health, ranks, standing
from agon.clips import makes_clips, swapped
from agon.conditions import Conditions, nearest_rows
from agon.data import DataSet
from agon.device import memory_mb
from agon.directory import RunDirectory, write_state
from agon.engine import Engine
from agon.errors import InputError
from agon.health import origin
from agon.metrics import Extractor, Score
from agon.metrics.registry import chooser
from agon.nearby import FILE as NEAR
from agon.nearby import Nearby, look
from agon.records import atomic_path, truncate_after
from agon.sampling import draw, needs_first
from agon.scoring import Budget, open_extractor, take_scores
from agon.spaces import Space, Tokens, Video
from agon.stats import Log

if TYPE_CHECKING:
    from agon.run import Run

ANIMATION_FRAMES = 60
SLICED = 8  # clips of which time slices are shown
SWAPPED = 3, 4  # contents and motions of the swap table


class Show(Protocol):
    """Someone who is told how a run goes: the terminal's progress, a notebook, nobody."""

    def note(self, kind: str, text: str) -> None:
        """A thing worth a line: a resume, a roll-back, a saved state, a compile fallback."""

    def tick(self, row: Mapping[str, Any]) -> None:
        """The row just written to events.jsonl."""

    def scores(self, scores: Sequence[Score]) -> None:
        """Scores just taken."""

    def sign(self, sign: health.Sign) -> None:
        """A health sign that just fired."""


class Quiet:
    """Nobody watches."""

    def note(self, kind: str, text: str) -> None: ...

    def tick(self, row: Mapping[str, Any]) -> None: ...

    def scores(self, scores: Sequence[Score]) -> None: ...

    def sign(self, sign: health.Sign) -> None: ...


@dataclass
class Scene:
    """A run being played, as its observers see it."""

    run: Run
    engine: Engine
    data_set: DataSet
    directory: RunDirectory
    log: Log
    show: Show
    content: Mapping[str, Any]
    seconds: float = 0.0  # wall-clock spent in rounds
    cpu_seconds: float = 0.0  # processor time spent in rounds
    best: float | None = None
    budget: Budget = field(default_factory=lambda: Budget(0.1))
    setbacks: int = 0  # times this run went back because of a sign
    alarm: health.Sign | None = None  # a severe sign that just appeared, on the process that looks
    alarmed: bool = False  # on every process: the run must not simply go on
    spoiled: bool = False  # likewise: the state was not good enough to be saved, so the run must go back
    _extractor: Extractor | None = None
    _doctor: health.Doctor | None = None
    _nearby: Nearby | None = None  # of sentences
    _told_of_no_best: bool = False
    _marked: tuple[float, int] = (0.0, 0)  # seconds and samples seen at the last tick
    _standing: dict[str, Tensor] = field(default_factory=dict)  # statistics of the averages
    _standing_at: tuple[int, int] = (-1, -1)  # the round and attempt they were taken at

    @property
    def space(self) -> Space:
        """The data's space as the game sees it."""
        return self.run.game.sees(self.data_set.space)

    @property
    def conditions(self) -> Conditions:
        """What samples are asked to be."""
        return Conditions.of(self.space, self.data_set.train.y, self.data_set.card.get("labels", {}))

    @property
    def standing_now(self) -> dict[str, Tensor]:
        """Statistics of batch normalisation of the averages as they are now, taken once a round."""
        engine, begin = self.engine, partial(firsts.frames_of, self.data_set)
        at = engine.clock.round, engine.attempt
        if self._standing_at != at:
            self._standing, self._standing_at = standing.take(self.run.game, engine.players, self.space, self.conditions, begin), at
        return self._standing

    @property
    def doctor(self) -> health.Doctor:
        """Who keeps the vitals and the signs of this run."""
        if self._doctor is None:
            run = self.run
            self._doctor = health.Doctor(
                self.engine, self.data_set, self.space, self.content, self.directory.path, tick=run.tick, batch=run.batch
            )
        return self._doctor

    # -- cadence -----------------------------------------------------------------------------------------------------------------

    def due(self, round: int) -> bool:
        """Whether records are made at a round, so that its times must be those of the work done."""
        run = self.run
        return (
            round >= run.rounds
            or round % run.tick == 0
            or round % run.save_every == 0
            or bool(run.score_every and round % run.score_every == 0)
        )

    def observe(self, *, last: bool, resumed: bool) -> bool:
        """Do what is due at this round; return whether a state was saved. last: the run ends here. resumed: its records are there already."""
        if resumed:
            if not self._owes_score():
                return False
            self.score()
            return self.save()  # the state is to know of the best
        run, here = self.run, self.engine.clock.round
        if ranks.is_main():
            origin.keep(self.engine, self.content, self.directory.path)
        if here % run.tick == 0 or last:
            self.tick()
            self.alarmed = run.on_collapse != "warn" and ranks.any_true(self.alarm is not None)
            if self.alarmed:
                return False
        return self.keep(last=last)

    def keep(self, *, last: bool) -> bool:
        """Take scores and save the state where they are due; return whether a state was saved."""
        run, here = self.run, self.engine.clock.round
        if here > 0 and (here >= run.rounds or (run.score_every and here % run.score_every == 0 and self._affordable())):
            try:
                self.score()
            except Exception as error:
                if ranks.size() > 1:
                    raise  # the others wait for this process at the end of the score, and cannot save with it
                self.save()
                if not isinstance(error, InputError):
                    raise
                saved = max((round for round, _ in self.directory.states()), default=0)
                raise InputError(
                    f"{error}\n      The rounds up to {saved:,} are saved. Mend it and go on, or with other scores: "
                    f"agon train {shlex.quote(str(self.directory.path))} --extractor auto --metrics fd"
                ) from None
        if here % run.save_every == 0 or last:
            return self.save()
        return False

    def _owes_score(self) -> bool:
        """Whether all rounds are played and saved, but the last score could not be taken."""
        here = self.engine.clock.round
        owed = here >= self.run.rounds and bool(self.run.metrics) and not any(row["round"] == here for row in self.directory.scores())
        return ranks.any_true(ranks.is_main() and owed)

    def tick(self) -> None:
        """Write statistics and vitals, draw the fixed grid, look for signs."""
        engine = self.engine
        self.settle()
        stats = engine.stats.flush()
        if ranks.is_main():
            vitals = self.doctor.look(stats)
            seconds, seen = self._marked
            rate = (engine.clock.seen - seen) / (self.seconds - seconds) if self.seconds > seconds else None
            self._marked = (self.seconds, engine.clock.seen)
            row = self.log.event(
                "tick", engine.clock.round, engine.clock.seen, stats={**stats, **vitals}, rate=rate, seconds=round(self.seconds, 3),
                cpu_seconds=round(self.cpu_seconds, 3), memory_mb=round(memory_mb(engine.device), 1), skipped=engine.skipped,
                health_seconds=round(self.doctor.seconds, 3),
            )  # fmt: skip
            self._picture()
            self.show.tick(row)
            self._signs()
        ranks.barrier()

    def settle(self) -> None:
        """Learn of skipped updates and record them. Every process must: whether the run goes back depends on it."""
        self.engine.settle()
        self.record_notes()

    def record_notes(self) -> None:
        """Write what the engine noted up to this round."""
        engine = self.engine
        for kind, fields in engine.notes:
            self.log.event(kind, engine.clock.round, engine.clock.seen, **fields)
            if kind == "compile":
                self.show.note(kind, f"turn '{fields['turn']}' runs eagerly: {fields['reason']}")
        engine.notes.clear()

    def _signs(self) -> None:
        clock = self.engine.clock
        signs, over = self.doctor.judge()
        for name in over:
            self.log.event("relief", clock.round, clock.seen, sign=name)
        for sign in signs:
            self.log.event("health", clock.round, clock.seen, **health.told(sign))
            self.show.sign(sign)
        self.alarm = next((sign for sign in signs if sign.severe), None)

    # -- looking -----------------------------------------------------------------------------------------------------------------

    def _picture(self) -> None:
        space, train = self.space, self.data_set.train
        conditions = self.conditions
        n, columns, labels, _ = conditions.gallery()
        if space.source is not None:
            # What was never trained on tells more: a source that was may be known by heart.
            train = self.data_set.held if len(self.data_set.held) else train
            n = min(n, len(train))
            labels = torch.as_tensor(train.y)[torch.linspace(0, len(train) - 1, n).long()].long()
        elif space.gallery is not None:
            n, labels = space.gallery, conditions.draw(space.gallery)
        first = firsts.frames_of(self.data_set, n, labels) if needs_first(self.run.game) else None
        with standing.given(self.engine.players, self.standing_now):
            x = draw(self.run.game, self.engine.players.ema, space, n, seed=0, labels=labels, first=first)
        self._render(x, self.directory.picture(self.engine.clock.round), columns, labels)
        if isinstance(space, Tokens):
            self._nearby = self._nearby or Nearby(self.data_set, space, self.directory.path / "samples")
            self._nearby.write(self.engine.clock.round, x)
            if space.source is not None and labels is not None and "G" in self.engine.players.ema:
                look(self.engine.players.ema.G, space, self.directory.path / "samples", self.engine.clock.round, x, labels)
        beside = self.directory.path / "samples" / f"real{space.suffixes[0]}"
        if not beside.exists():
            index = torch.linspace(0, len(train) - 1, min(n, len(train))).long()
            if labels is not None and train.y is not None and space.gallery is None:
                index = nearest_rows(train.y, labels)
            self._render(train.x[index], beside, columns, labels)

    def _render(self, x: Tensor, path: Path, columns: int, labels: Tensor | None = None) -> None:
        """A grid; of clips a contact sheet, the same clips playing, and time slices of the newest; of sentences a line each, behind their source."""
        more: dict[str, Any] = {} if self.space.source is None or labels is None else {"source": labels}
        for target in (path.with_suffix(suffix) for suffix in self.space.suffixes):
            with atomic_path(target) as temporary:
                picture = self.space.render(x, temporary.with_name(temporary.name + target.suffix), columns=columns, **more)
                picture.replace(temporary)
        if isinstance(self.space, Video):
            self.space.slices(x[:SLICED], path.with_name("slices.png" if path.stem.isdigit() else f"{path.stem}-slices.png"))

    def _swap(self) -> None:
        """samples/swap.webp: contents × motions, of games that keep them apart."""
        game, p, space = self.run.game, self.engine.players.ema, self.space
        if not isinstance(space, Video) or not makes_clips(game, p, space):
            return
        rows, columns = SWAPPED
        cells = (rows + 1) * (columns + 1) - 1
        labels = self.conditions.ask(cells, alike=True)
        first = firsts.repeated(firsts.frames_of(self.data_set, 1), cells) if needs_first(game) else None
        with standing.given(self.engine.players, self.standing_now):
            (table,) = swapped(game, p, space, rows, columns, labels=labels, first=first)
        space.render(table, self.directory.path / "samples" / "swap.webp", columns=columns + 1)

    # -- scores ------------------------------------------------------------------------------------------------------------------

    def _affordable(self) -> bool:
        """Whether scoring is within its share of the run's time; says so, once, when it is not."""
        allowed = ranks.is_main() and self.budget.allows(self.seconds)
        if ranks.is_main() and self.budget.put_off == 1:
            sentence = self.budget.sentence(self.seconds)
            self.log.event("scores", self.engine.clock.round, self.engine.clock.seen, sentence=sentence)
            self.show.note("scores", sentence)
        return ranks.any_true(allowed)

    def score(self) -> None:
        """Take the run's scores, write them, and keep the state if it is the best so far by the first that no fault alone can win."""
        self.settle()
        if ranks.is_main():
            began, first = time.perf_counter(), self._extractor is None
            if self._extractor is None and self.run.metrics:
                self._extractor = open_extractor(self.run, self.data_set, device=self.engine.device, say=self.show.note)
            with standing.given(self.engine.players, self.standing_now):
                scores = take_scores(
                    self.run, self.data_set, self.engine.players.ema, self.content, self._extractor, say=self.show.note,
                    left_out=lambda names, why: self.show.note("left out", f"{names}: {why}"),
                )  # fmt: skip
            self.budget.spent += 0.0 if first else time.perf_counter() - began
            clock = self.engine.clock
            for score in scores:
                times = {"seconds": round(self.seconds, 3), "cpu_seconds": round(self.cpu_seconds, 3)}
                self.log.score({"round": clock.round, "seen": clock.seen, **times, **score.to_json()})
            self.show.scores(scores)
            self._choose(scores)
        ranks.barrier()

    def _choose(self, scores: Sequence[Score]) -> None:
        """Keep the state if it is the best so far; where none of these scores may choose, say so once."""
        name = chooser([score.name for score in scores])
        choice = next((score for score in scores if score.name == name), None)
        if choice is not None and self._improves(choice):
            self.best = choice.value
            write_state(self.directory.path / "states" / "best.safetensors", *self._state())
        if scores and choice is None and not self._told_of_no_best:
            self._told_of_no_best = True
            sentence = (
                f"no best state is kept: of the scores that apply ({', '.join(score.name for score in scores)}) each is won by a fault alone. "
                "Name one that sees quality and diversity: --metrics fd,…"
            )
            self.log.event("scores", self.engine.clock.round, self.engine.clock.seen, sentence=sentence)
            self.show.note("scores", sentence)

    def _improves(self, score: Score) -> bool:
        better = (lambda a, b: a > b) if score.higher_is_better else (lambda a, b: a < b)
        return score.value == score.value and (self.best is None or better(score.value, self.best))

    # -- saving ------------------------------------------------------------------------------------------------------------------

    def save(self) -> bool:
        """Save the state if it is good to go back to: finite, and not from amid too many skipped updates. Return whether it was saved."""
        self.settle()
        healthy = self.engine.healthy() and self.engine.streak < self.run.patience
        if ranks.is_main() and healthy:
            sparse, near = self.run.on_collapse == "rollback", self.doctor.best_round()
            self.directory.save_state(*self._state(), keep=self.run.keep, sparse=sparse, near=near)
            self.log.event("save", self.engine.clock.round, self.engine.clock.seen)
        self.spoiled = not healthy
        ranks.barrier()
        return healthy

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors, engine = self.engine.state()
        rest = {
            "round": engine["round"], "seconds": self.seconds, "cpu_seconds": self.cpu_seconds, "best": self.best,
            "score_seconds": self.budget.spent, "engine": engine, "signs": self.doctor.present, "setbacks": self.setbacks,
        }  # fmt: skip
        return tensors | {f"{standing.PREFIX}{name}": value.cpu() for name, value in self.standing_now.items()}, rest

    def restore(self, rest: Mapping[str, Any]) -> None:
        """Take up what a state knows beside the engine's part, and the vitals written up to it."""
        self.seconds, self.cpu_seconds, self.best = rest["seconds"], rest["cpu_seconds"], rest["best"]
        self.budget.spent = rest.get("score_seconds", 0.0)
        self.setbacks = rest.get("setbacks", 0)
        past = [row for row in self.directory.events() if row.get("kind") == "tick" and row["round"] <= rest["round"]]
        self.doctor.restore(past, rest.get("signs", {}))
        self._marked = (self.seconds, rest["engine"]["seen"])

    def truncate(self, round: int) -> None:
        """Drop records later than `round`, which a resumed run is about to make again, and what a killed one had half written."""
        for folder in ("states", "samples"):
            for left in (self.directory.path / folder).glob(".agon-*.tmp*"):
                left.unlink(missing_ok=True)
        for name in ("events.jsonl", "metrics.jsonl", f"samples/{NEAR}"):
            truncate_after(self.directory.path / name, round)
        for path in (self.directory.path / "samples").glob("[0-9]*.*"):
            if path.suffix in (".png", ".webp", ".txt") and path.stem.isdigit() and int(path.stem) > round:
                path.unlink()

    def ended(self, round: int) -> bool:
        """Whether it is on record that the run ended at this round."""
        rows = [row for row in self.directory.events() if row.get("kind") in ("start", "resume", "done", "stop")]
        return bool(rows) and rows[-1]["kind"] == "done" and rows[-1]["round"] == round

    def finish(self, end: str, **fields: Any) -> None:
        """Record the end; make the animation of a finished run, and of clips the table of contents × motions."""
        if ranks.is_main():
            self._swap()
            if end == "done":
                animate(self.directory)
        self.log.event("done" if end == "done" else "stop", self.engine.clock.round, self.engine.clock.seen, **fields)


def animate(directory: RunDirectory) -> None:
    """samples/progress.gif from the grids of a run, thinned to a minute of frames, the last one held."""
    from PIL import Image

    paths = sorted((directory.path / "samples").glob("[0-9]*.png"))
    if len(paths) < 2:
        return
    step = max(1, -(-len(paths) // ANIMATION_FRAMES))
    chosen = paths[::step] if paths[::step][-1] == paths[-1] else [*paths[::step], paths[-1]]
    frames = [Image.open(p).convert("P", palette=Image.Palette.ADAPTIVE) for p in chosen]
    with atomic_path(directory.path / "samples" / "progress.gif") as temporary:
        frames[0].save(
            temporary, format="GIF", save_all=True, append_images=frames[1:], duration=[150] * (len(frames) - 1) + [2500], loop=0
        )
