"""What the answers of a study say: error rates, preferences, ratings, and whether participants agree. Needs neither torch nor the pictures.

    HYPE      share of pictures judged wrongly, 0.5 where fake and real cannot be told apart    Zhou et al. 2019, arXiv:1904.01121 (HYPE∞)
    share     wins over wins and losses, a tie half of each; Wilson's interval
    strength  Bradley & Terry 1952 by Hunter's 2004 MM algorithm, in log units around 0; half a win each way in every pair that met
    α         Krippendorff's alpha 1970: 1 − observed / expected disagreement; 1 agreement, 0 chance

Intervals of error rates, ratings and strengths resample participants with replacement (they, not answers, are independent), 1,000 times.
"""

from __future__ import annotations

import math
import random
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agon.study.format import REAL, Response, Study, read_responses, read_study

RESAMPLES = 1000
_Z = 1.959963984540054


@dataclass(frozen=True)
class Figure:
    """A figure with its 95 % interval (nan where there is none) and the number of answers behind it."""

    name: str
    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        interval = "" if math.isnan(self.low) else f" [{self.low:.3f}, {self.high:.3f}]"
        return f"{self.name} {self.value:.3f}{interval}, {self.n} answers"


def score_study(folder: Path | str, responses: Path | str) -> list[Figure]:
    """All figures of a study's answers. Raises InputError where study or answers are not whole."""
    study = read_study(folder)
    return figures(study, read_responses(responses, study))


def figures(study: Study, responses: Sequence[Response], *, seed: int = 0) -> list[Figure]:
    """The same from what was read: by kind of trial, then agreement."""
    kinds = {trial.id: trial.kind for trial in study.trials}
    by_kind = {kind: [r for r in responses if kinds[r.trial] == kind] for kind in ("real-or-fake", "preference", "rating")}
    found: list[Figure] = []
    if answers := by_kind["real-or-fake"]:
        found += _errors(study, answers, seed)
    if answers := by_kind["preference"]:
        found += _preferences(study, answers, seed)
    if answers := by_kind["rating"]:
        found += _ratings(study, answers, seed)
    for kind, answers in by_kind.items():
        if answers:
            table: dict[str, list[Any]] = defaultdict(list)
            for r in answers:
                table[r.trial].append(r.answer)
            alpha = krippendorff(list(table.values()), interval=kind == "rating")
            found.append(Figure(f"{kind}: Krippendorff's alpha", alpha, math.nan, math.nan, len(answers)))
    return found


def _source(study: Study, response: Response, side: int = 0) -> str:
    trial = study.trial(response.trial)
    assert trial is not None, "responses are checked against the study"
    return study.truth[trial.stimuli[side]]


def _errors(study: Study, answers: Sequence[Response], seed: int) -> list[Figure]:
    """HYPE of each run (its fakes and the real pictures, weighed alike), and both sides apart."""
    truth = {r.trial: _source(study, r) for r in answers}

    def wrong(rows: Sequence[Response], source: str) -> float:
        mine = [r for r in rows if truth[r.trial] == source]
        return math.nan if not mine else sum((r.answer == "real") != (source == REAL) for r in mine) / len(mine)

    sources = sorted(set(truth.values()), key=lambda s: (s != REAL, s))
    found = []
    for source in sources:
        if source != REAL and REAL in sources:
            n = sum(truth[r.trial] in (source, REAL) for r in answers)
            low, high = resampled(answers, lambda rows, s=source: (wrong(rows, s) + wrong(rows, REAL)) / 2, seed)  # type: ignore[misc]
            found.append(Figure(f"{source}: HYPE error rate", (wrong(answers, source) + wrong(answers, REAL)) / 2, low, high, n))
    for source in sources:
        n = sum(truth[r.trial] == source for r in answers)
        low, high = resampled(answers, lambda rows, s=source: wrong(rows, s), seed)  # type: ignore[misc]
        name = "real pictures taken for fake" if source == REAL else f"{source}: fakes taken for real"
        found.append(Figure(name, wrong(answers, source), low, high, n))
    return found


def _preferences(study: Study, answers: Sequence[Response], seed: int) -> list[Figure]:
    """Shares of every pair, and strengths of all where more than two met."""

    def wins(rows: Sequence[Response]) -> dict[tuple[str, str], float]:
        table: dict[tuple[str, str], float] = defaultdict(float)
        for r in rows:
            left, right = _source(study, r, 0), _source(study, r, 1)
            table[left, right] += {"left": 1.0, "right": 0.0, "tie": 0.5}[str(r.answer)]
            table[right, left] += {"left": 0.0, "right": 1.0, "tie": 0.5}[str(r.answer)]
        return table

    table = wins(answers)
    found = []
    for a, b in sorted({tuple(sorted(pair)) for pair in table}):
        n = table[a, b] + table[b, a]
        low, high = wilson(table[a, b] / n, n)
        found.append(Figure(f"{a} preferred to {b}", table[a, b] / n, low, high, round(n)))
    names = sorted({name for pair in table for name in pair})
    if len(names) > 2:
        strengths = bradley_terry(table)
        for name in names:
            low, high = resampled(answers, lambda rows, s=name: bradley_terry(wins(rows)).get(s, math.nan), seed, times=200)  # type: ignore[misc]
            n = round(sum(value for pair, value in table.items() if name in pair))
            found.append(Figure(f"{name}: Bradley–Terry strength", strengths[name], low, high, n))
    return found


def _ratings(study: Study, answers: Sequence[Response], seed: int) -> list[Figure]:
    """Mean rating of each source."""
    found = []
    for source in sorted({_source(study, r) for r in answers}):

        def mean(rows: Sequence[Response], source: str = source) -> float:
            mine = [float(r.answer) for r in rows if _source(study, r) == source]
            return statistics.fmean(mine) if mine else math.nan

        low, high = resampled(answers, mean, seed)
        found.append(Figure(f"{source}: mean rating", mean(answers), low, high, sum(_source(study, r) == source for r in answers)))
    return found


def resampled(
    answers: Sequence[Response], statistic: Callable[[Sequence[Response]], float], seed: int, *, times: int = RESAMPLES
) -> tuple[float, float]:
    """95 % percentile interval over participants drawn with replacement; (nan, nan) with fewer than two of them."""
    by_participant: dict[str, list[Response]] = defaultdict(list)
    for response in answers:
        by_participant[response.participant].append(response)
    people = sorted(by_participant)
    if len(people) < 2:
        return math.nan, math.nan
    dice = random.Random(seed)
    values = []
    for _ in range(times):
        rows = [row for person in dice.choices(people, k=len(people)) for row in by_participant[person]]
        value = statistic(rows)
        if math.isfinite(value):
            values.append(value)
    if len(values) < times / 2:
        return math.nan, math.nan
    values.sort()
    return values[int(0.025 * len(values))], values[min(len(values) - 1, int(0.975 * len(values)))]


def wilson(share: float, n: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of n answers."""
    z2 = _Z**2 / n
    centre, reach = (share + z2 / 2) / (1 + z2), _Z / (1 + z2) * math.sqrt(share * (1 - share) / n + z2 / (4 * n))
    return max(0.0, centre - reach), min(1.0, centre + reach)


def bradley_terry(wins: Mapping[tuple[str, str], float], *, steps: int = 500) -> dict[str, float]:
    """Log strengths, mean 0: P(a beats b) = 1 / (1 + exp(s_b − s_a)). wins[a, b]: how often a was preferred to b.

    Half a win each way is added to every pair that met, so that a run that always wins has a finite strength. Runs that are not connected
    by comparisons are not comparable; their strengths are then relative to their own group.
    """
    met = {(a, b) for a, b in wins} | {(b, a) for a, b in wins}
    names = sorted({name for pair in met for name in pair})
    won = {a: sum(wins.get((a, b), 0.0) + 0.5 for b in names if (a, b) in met) for a in names}
    games = {(a, b): wins.get((a, b), 0.0) + wins.get((b, a), 0.0) + 1.0 for a, b in met}
    strength = dict.fromkeys(names, 1.0)
    for _ in range(steps):
        after = {a: won[a] / sum(games[a, b] / (strength[a] + strength[b]) for b in names if (a, b) in met) for a in names}
        centre = math.exp(statistics.fmean(math.log(value) for value in after.values()))
        after = {name: value / centre for name, value in after.items()}
        still = max(abs(math.log(after[name] / strength[name])) for name in names) < 1e-12
        strength = after
        if still:
            break
    return {name: math.log(value) for name, value in strength.items()}


def krippendorff(units: Sequence[Sequence[Any]], *, interval: bool = False) -> float:
    """Alpha over units (trials), each a list of the answers it got; nominal, or squared differences. nan where nothing can disagree."""
    pairable = [unit for unit in units if len(unit) > 1]
    every = Counter(value for unit in pairable for value in unit)
    n = sum(every.values())
    if n < 2:
        return math.nan

    def apart(a: Any, b: Any) -> float:
        return float(a - b) ** 2 if interval else float(a != b)

    observed = 0.0
    for unit in pairable:
        counts = Counter(unit)
        observed += sum(apart(a, b) * x * y for a, x in counts.items() for b, y in counts.items()) / (len(unit) - 1)
    expected = sum(apart(a, b) * x * y for a, x in every.items() for b, y in every.items()) / (n - 1)
    return math.nan if expected == 0 else 1 - observed / expected
