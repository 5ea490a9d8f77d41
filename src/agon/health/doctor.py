"""The doctor of one run: keeps its vitals and the signs that are present, through resumes and roll-backs."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from agon.data import DataSet
from agon.directory import RunDirectory
from agon.engine import Engine
from agon.game import Batch, mix
from agon.health.contract import Patient, Sign, Vitals, recent
from agon.health.origin import recalled
from agon.health.signs import examine
from agon.health.vitals import Reference, measure, refer
from agon.sampling import draw, needs_first, still
from agon.schedule import at
from agon.spaces import Space, Tokens

MOST, LEAST = 256, 32  # samples looked at in a check
SHARE = 1 / 32  # at most so many samples for one that is trained on; keeps the cost below 2 % of the run, see benchmarks/doctor.py
PASSES = 1.25  # of a network a sample may take, at most, for that many samples: a sampler of many steps gives fewer
FEWEST = 8
SPOKEN = 64  # sentences, at most, and half the share: each is said token by token
NUMBERS = 1 << 24  # values of the samples looked at, at most: 64 MiB as players see them
SELDOM = 3  # ticks to a look where sentences have no critic: their rounds cost little more than a look does
ABSENT = 3  # ticks a sign must be gone before it counts as a new one


@dataclass
class Doctor:
    """Looks at a run at its ticks.

    tick, batch: rounds between two looks and samples a round; they decide how many samples a look may use.
    """

    engine: Engine
    data_set: DataSet
    space: Space  # as the game sees it
    content: Mapping[str, Any]
    out: Path
    tick: int
    batch: int
    seconds: float = 0.0  # processor time spent here
    history: list[Vitals] = field(default_factory=list)
    present: dict[str, int] = field(default_factory=dict)  # sign -> ticks since it was last seen
    _reference: Reference | None = None
    _fakes: int = 0
    _origin: nn.Module | None = None  # of sentences, the speaker as likelihood left it

    @property
    def count(self) -> int:
        """Real samples a look uses, and generated ones where a sample takes one pass of a network."""
        room = max(LEAST, NUMBERS // math.prod(self.space.shape))  # clips are long
        most, share = (SPOKEN, SHARE / 2) if isinstance(self.space, Tokens) else (MOST, SHARE)
        return max(LEAST, min(most, room, int(self.tick * self.batch * share)))

    @property
    def seldom(self) -> bool:
        """Whether only some ticks are looked at. Counted from the first round, so that a run gone on with looks where it would have."""
        return isinstance(self.space, Tokens) and not any(name in self.engine.players for name in self.engine.game.critics)

    def look(self, stats: Mapping[str, float]) -> Vitals:
        """Measure the present moment and remember it beside the tick's statistics; of sentences without a critic at every third tick."""
        began, here = time.process_time(), self.engine.clock.round
        beside = {**stats, "skipped": float(self.engine.skipped), "round": float(here)}
        if self.seldom and here % self.tick == 0 and here // self.tick % SELDOM:
            self.history.append(beside)
            return {}
        if self._reference is None:
            self._reference = refer(self.data_set, self.space, self.count, self.engine.device)
            self._fakes = max(FEWEST, min(self.count, int(self.count * PASSES / self._passes())))
        modules = list(self.engine.players.items())
        training = [module.training for _, module in modules]
        for _, module in modules:
            module.eval()
        try:
            if self._origin is None and isinstance(self.space, Tokens):
                self._origin = recalled(self.engine, self.content, self.out)
            vitals = measure(self.engine.game, self.engine.players, self._reference, self._samples(self._reference), self._origin)
        finally:
            for (_, module), was in zip(modules, training, strict=True):
                module.train(was)
        self.history.append(beside | vitals)
        self.seconds += time.process_time() - began
        return vitals

    def _passes(self) -> int:
        """How many times the busiest layer is called for one sample; counted, not timed, so that a run repeats itself. A sentence takes one pass:
        what is called for each of its tokens sees one token."""
        if isinstance(self.space, Tokens):
            return 1
        calls: Counter[int] = Counter()
        layers = [m for _, player in self.engine.players.items() for m in player.modules() if next(m.parameters(), None) is not None]
        hooks = [m.register_forward_pre_hook(lambda module, given: calls.update([id(module)])) for m in layers]
        try:
            self._draw(1)
        finally:
            for hook in hooks:
                hook.remove()
        return max(1, *calls.values()) if calls else 1

    def _samples(self, reference: Reference) -> Tensor:
        """Samples of the generator as it plays now, rounded as the data are, in the players' range."""
        space = self.space
        raw = self._draw(min(self._fakes, len(reference.real["x"])))
        # What is not finite must stay so: a picture's bytes would hide it.
        return torch.where(raw.isfinite(), space.normalise(space.to_bytes(raw)), raw).to(self.engine.device)

    def _draw(self, count: int) -> Tensor:
        assert self._reference is not None
        y = self._reference.real.get("y")
        if isinstance(self.space, Tokens):  # `draw` says a whole chunk of sentences whatever is asked for, so that a seed means the same
            with still(self.engine.players, mix(1, 0)):
                given = Batch() if y is None else Batch(y=y[:count])
                return self.engine.game.sample(self.engine.players, count, given=given).cpu()
        labels = None if y is None else y[:count].cpu()
        real = self._reference.real["x"]
        first = self.space.to_bytes(real[:count, 0]).cpu() if needs_first(self.engine.game) else None
        return draw(self.engine.game, self.engine.players, self.space, count, seed=1, labels=labels, stored=False, first=first)

    def judge(self) -> tuple[list[Sign], list[str]]:
        """Signs that appeared at this look, and names of those that are over."""
        signs = examine(self.history, self.patient())
        new = [sign for sign in signs if sign.name not in self.present]
        now = {sign.name for sign in signs}
        gone = {name: since + 1 for name, since in self.present.items() if name not in now}
        over = [name for name, since in gone.items() if since >= ABSENT]
        self.present = dict.fromkeys(sorted(now), 0) | {name: since for name, since in gone.items() if since < ABSENT}
        return new, over

    def patient(self) -> Patient:
        """The run as signs and remedies know it."""
        game, clock = self.engine.game, self.engine.clock
        gamma = getattr(game, "gamma", None)
        return Patient(
            train=len(self.data_set.train), content=self.content, out=self.out, seen=clock.seen,
            rates={name: at(spec.lr, clock) for name, spec in game.optim.items()},
            gamma=None if gamma is None else at(gamma, clock), pictures=len(self.space.shape) in (3, 4), clips=len(self.space.shape) == 4,
            text=isinstance(self.space, Tokens), critics=[name for name in game.critics if name in self.engine.players],
            needs_condition=game.refusal(self.space.unlabelled()) is not None, states=[round for round, _ in RunDirectory(self.out).states()],
            facts={**self._reference.facts, "drawn": float(self._fakes)} if self._reference else {},
        )  # fmt: skip

    def best_round(self) -> int | None:
        """Of sentences the round at which held-out ones were likeliest, whose state is worth keeping; None of other data."""
        told = [(nats, int(v["round"])) for v in self.history if "round" in v for nats in recent([v], "G/nats held", 1)]
        return min(told)[1] if told else None

    def restore(self, ticks: Iterable[Mapping[str, Any]], present: Mapping[str, int]) -> None:
        """Take up the ticks written so far and the signs that were present."""
        past = list(ticks)
        self.history = [
            {name: math.nan if value is None else float(value) for name, value in row["stats"].items()}
            | {"skipped": float(row.get("skipped") or 0), "round": float(row["round"])}
            for row in past
        ]  # fmt: skip
        self.seconds = float(past[-1].get("health_seconds") or 0.0) if past else 0.0
        self.present = dict(present)
        self._origin = None  # going back may have gone behind it
