"""A run on a language whose probabilities are known (`oracle`, `oracle-stream`, `arithmetic`): both divergences, the curve that likelihood draws of them as
its temperature changes, and the verdict beside likelihood.

A lower temperature lowers NLL-oracle and costs coverage, as it buys BLEU with sameness, so a game is ahead of likelihood only below its curve:

    above = KL(P‖G)(run) − KL(P‖G)(curve at the run's NLL-oracle), between two temperatures along a straight line, in nats a token

That difference is also the one of NLL-test, whose entropy of P is the same on both sides (Caccia et al. 2020, arXiv:1811.02549, fig. 4). One sentence that a
grammar cannot say makes NLL-oracle infinite, so there the share of grammatical sentences stands for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from agon.curve import Gap, Say
from agon.data import DataSet
from agon.data.spoken import language_of, unpacked
from agon.errors import InputError
from agon.game import mix
from agon.languages.grammar import Arithmetic
from agon.metrics import Score
from agon.metrics.divergences import Divergences, Estimate, Verdict, judged
from agon.metrics.nll import sums_of
from agon.metrics.rows import subset
from agon.metrics.setting import ROWS
from agon.sampling import draw
from agon.scoring import open_likelihood
from agon.spaces.tokens import real
from agon.trained import Trained

TEMPERATURES = (0.7, 0.8, 0.9, 1.0, 1.1, 1.3)
NORMAL = 1.96  # standard errors in half of a 95 % interval
NAMES = ("nll_oracle", "nll_test", "entropy", "kl_model_oracle", "kl_oracle_model")
UNKNOWN = Estimate(math.nan, math.nan)


@dataclass(frozen=True)
class Place:
    """Where a run's sentences lie at a temperature: figures of `divergences.Divergences` in nats a token, of `samples` sentences a side, the share of
    different sentences and of those that the grammar can say (None: there is none). What takes a likelihood is nan where there is none."""

    name: str
    temperature: float | None
    samples: int
    figures: dict[str, Estimate]
    unique: float
    real_unique: float
    valid: float | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON-able: each figure as its value and standard error, texts where they are not finite."""
        told = {name: [_told(found.value), _told(found.error)] for name, found in self.figures.items()}
        return {
            "name": self.name, "temperature": self.temperature, "samples": self.samples, "figures": told, "unique": self.unique,
            "real_unique": self.real_unique, "valid": self.valid,
        }  # fmt: skip

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Place:
        """The inverse of `to_json`."""
        return cls(**{**content, "figures": {name: Estimate(*map(float, pair)) for name, pair in content["figures"].items()}})

    @property
    def quality(self) -> Estimate:
        """What falls with the temperature: NLL-oracle, or the share of sentences that are not grammatical."""
        if self.valid is None:
            return self.figures["nll_oracle"]
        return Estimate(1 - self.valid, math.sqrt(self.valid * (1 - self.valid) / self.samples))

    def __str__(self) -> str:
        which = self.name if self.temperature is None else f"temperature {self.temperature:g}"
        found = {name: self.figures[name].value for name in NAMES}
        valid = "" if self.valid is None else f" · valid {self.valid:.3f}"
        return (
            f"{which}: NLL-oracle {found['nll_oracle']:.3f} · NLL-test {found['nll_test']:.3f} · KL(G‖P) {found['kl_model_oracle']:.3f} · "
            f"KL(P‖G) {found['kl_oracle_model']:.3f} · unique {self.unique:.3f}{valid}"
        )


class Ground:
    """The language of a data set, and its held-out sentences, which it is asked about once. Raises InputError for text of unknown probability."""

    def __init__(self, data_set: DataSet) -> None:
        space, path = data_set.space, data_set.card.get("path", "")
        language = language_of(path, getattr(space, "length", None))
        if language is None:
            raise InputError(
                f"divergences need text whose probability is known, and that of '{path}' is not; train on oracle or arithmetic."
            )
        self.data_set, self.space, self.language = data_set, space, language
        self.tokens = language.mean_length if isinstance(language, Arithmetic) else float(language.length)
        self.held = data_set.held.x[subset(len(data_set.held), ROWS, 0)]
        if len(self.held) < 2:
            raise InputError(f"{len(self.held)} held-out sentences; divergences are taken on at least 2.")
        self._held_log = self._log(self.held)

    def _log(self, x: Tensor) -> Tensor:
        return self.language.log_likelihood(*unpacked(x, self.space)).double().cpu()  # type: ignore[arg-type]

    def place(self, trained: Trained, temperature: float | None = None, *, num_samples: int | None = None, seed: int = 0) -> Place:
        """Where a run's sentences lie, as its game says them or at another temperature. num_samples: as many as are held out, at most 10,000."""
        game, count = trained.game, num_samples or min(10_000, len(self.held))
        if temperature is not None:
            game = replace(game, choice=replace(game.choice, temperature=float(temperature)))  # type: ignore[call-arg,attr-defined]
        x = draw(game, trained.players, trained.space, count, seed=mix(seed, 11, 0))
        likelihood = open_likelihood(game, trained.players, trained.space)

        def model(x: Tensor) -> Tensor:
            return torch.full((len(x),), math.nan, dtype=torch.float64) if likelihood is None else -sums_of(likelihood, x, None)[:, 0]

        whole = Divergences.of(self._held_log, model(self.held), self._log(x), model(x))
        # A grammar's sentences differ in length: what is said of one side alone is a token of that side, as the metric `nll` has it.
        own = {
            name: getattr(whole, name).per(float(real(side).sum(1).double().mean()))
            for name, side in (("nll_test", self.held), ("entropy", x))
        }
        per = whole.per(self.tokens)
        valid = float(self.language.valid(*unpacked(x, self.space)).double().mean()) if isinstance(self.language, Arithmetic) else None  # type: ignore[arg-type]
        return Place(
            trained.run.recipe, temperature, count, {name: own.get(name, getattr(per, name)) for name in NAMES}, _different(x),
            _different(self.data_set.held.x[subset(len(self.data_set.held), count, 0)]), valid,
        )  # fmt: skip

    def curve(
        self, trained: Trained, temperatures: Sequence[float] = TEMPERATURES, *, num_samples: int | None = None, seed: int = 0, say: Say | None = None
    ) -> list[Place]:  # fmt: skip
        """A place for each temperature above 0. Raises InputError for a run that cannot be sampled colder."""
        if not hasattr(trained.game, "choice"):
            raise InputError(
                f"{type(trained.game).__name__} has no temperature to change; its samples are one point: agon eval RUN -m oracle."
            )
        places = []
        for temperature in temperatures:
            if temperature > 0:  # at 0 one sentence is said and the rest have no probability
                places.append(self.place(trained, temperature, num_samples=num_samples, seed=seed))
                if say:
                    say("curve", str(places[-1]))
        return places


def ground_of(trained: Trained, data_set: DataSet | None = None) -> Ground:
    """The ground of a run. Raises InputError for text of unknown probability, and where the data changed."""
    return Ground(data_set or trained.data())


def above(run: Place, points: Sequence[Place]) -> Gap:
    """How far KL(P‖G) of a run lies above a curve at equal NLL-oracle (of a grammar: at an equal share of grammatical sentences), in nats a token:
    below 0 is better than the curve. The interval takes the sides as independent, and they share the held-out sentences: it is wide rather than narrow."""
    mine, axis = run.figures["kl_oracle_model"], "NLL-oracle" if run.valid is None else "share of ungrammatical sentences"
    if math.isnan(mine.value):
        return Gap(math.nan, why="no likelihood, so its KL(P‖G) is not known")
    x = run.quality
    ordered = sorted(points, key=lambda p: p.quality.value)
    for low, high in pairwise(ordered):
        (x0, y0), (x1, y1) = ((p.quality, p.figures["kl_oracle_model"]) for p in (low, high))
        if x0.value <= x.value <= x1.value and x1.value > x0.value:
            share = (x.value - x0.value) / (x1.value - x0.value)
            slope = (y1.value - y0.value) / (x1.value - x0.value)
            value = mine.value - (y0.value + share * (y1.value - y0.value))
            error = math.hypot(mine.error, (1 - share) * y0.error, share * y1.error)
            error = math.hypot(error, slope * x.error, slope * (1 - share) * x0.error, slope * share * x1.error)
            return Gap(value, value - NORMAL * error, value + NORMAL * error)
    ends = f"{ordered[0].quality.value:.3f} to {ordered[-1].quality.value:.3f}" if ordered else "of no temperature"
    return Gap(math.nan, why=f"{axis} {x.value:.3f} lies outside the curve, {ends}")


def verdict(run: Place, likelihood: Place) -> Verdict:
    """`divergences.judged` of two places on the same language."""
    sides = [_divergences(place) for place in (run, likelihood)]
    valid = (
        None
        if run.valid is None or likelihood.valid is None
        else (_share(run.valid, run.samples), _share(likelihood.valid, likelihood.samples))
    )
    return judged(*sides, unique=(run.unique, run.real_unique), valid=valid)


def verdict_of(run: Sequence[Score], likelihood: Sequence[Score]) -> Verdict:
    """The same of scores: `oracle`, and where they are there `nll`, `unique` and `valid`. Raises InputError without `oracle`."""
    unique, *valid = (
        next((s for s in run if s.name == "unique"), None),
        *(next((s for s in side if s.name == "valid"), None) for side in (run, likelihood)),
    )
    shares = [_share(s.value, s.protocol.num_samples) for s in valid if s is not None]
    return judged(
        *(_from_scores(side) for side in (run, likelihood)), valid=(shares[0], shares[1]) if len(shares) == 2 else None,
        unique=None if unique is None or unique.floor is None else (unique.value, unique.floor),
    )  # fmt: skip


def place_of_scores(name: str, scores: Sequence[Score]) -> Place:
    """The place of a run by its scores. Raises InputError without `oracle` and `unique`."""
    found, told = {score.name: score for score in scores}, _from_scores(scores)
    if "unique" not in found:
        raise InputError(
            "a place needs the scores oracle and unique, and unique is not among them; take them by agon eval -m oracle -m unique."
        )
    unique, valid = found["unique"], found.get("valid")
    return Place(
        name, None, unique.protocol.num_samples, {name: getattr(told, name) for name in NAMES}, unique.value,
        math.nan if unique.floor is None else unique.floor, None if valid is None else valid.value,
    )  # fmt: skip


def _share(value: float, count: int) -> Estimate:
    return Estimate(value, math.sqrt(max(0.0, value * (1 - value)) / max(1, count)))


def _divergences(place: Place) -> Divergences:
    found = place.figures
    return Divergences(
        nll_oracle=found["nll_oracle"], nll_test=found["nll_test"], entropy=found["entropy"], entropy_oracle=UNKNOWN, js=UNKNOWN,
        kl_model_oracle=found["kl_model_oracle"], kl_oracle_model=found["kl_oracle_model"],
    )  # fmt: skip


def _from_scores(scores: Sequence[Score]) -> Divergences:
    """In nats a token; standard errors from the scores' intervals. A kept score that is not a number was infinite where KL(P‖G) is known."""
    found = {score.name: score for score in scores}
    missing = [name for name in ("nll_oracle", "kl_model_oracle", "kl_oracle_model", "js_oracle") if name not in found]
    if missing:
        raise InputError(
            f"the gate needs the scores oracle and nll, and {', '.join(missing)} is not among them; take them by agon eval -m oracle -m nll."
        )

    def estimate(name: str) -> Estimate:
        if name not in found:
            return UNKNOWN
        score = found[name]
        known = score.low is not None and score.high is not None
        return Estimate(score.value, (score.high - score.low) / (2 * NORMAL) if known else math.nan)  # type: ignore[operator]

    told = {name: estimate(name) for name in ("nll_oracle", "kl_model_oracle", "kl_oracle_model")}
    if math.isnan(told["nll_oracle"].value):
        told["nll_oracle"] = Estimate(math.inf, math.nan)
        if not math.isnan(told["kl_oracle_model"].value):
            told["kl_model_oracle"] = Estimate(math.inf, math.nan)
    return Divergences(
        **told, nll_test=estimate("nll_test"), entropy=estimate("generator_entropy"), js=estimate("js_oracle"),
        entropy_oracle=Estimate(found["nll_oracle"].extra.get("entropy_oracle", math.nan), math.nan),
    )  # fmt: skip


def _different(x: Tensor) -> float:
    return len(torch.unique(x, dim=0)) / len(x)


def _told(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)
