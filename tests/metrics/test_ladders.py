"""Degradation ladders: every metric must order the faults it claims to see, and the faults it is blind to are written down as such.

Held-out digits stand for a perfect generator; each rung damages them a little more. The claims are the table the report and the documentation
show (`Family.sight`): a metric that sees a fault gets worse on every rung, one that is blind does not get clearly worse on the last.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from agon.data import Data, DataSet, open_data
from agon.data.embedded import modes
from agon.data.stack import stack
from agon.metrics import Extractor, Probe, Score, evaluate, make_extractor, registry
from agon.metrics.contract import Family
from agon.report.faults import FAULTS, advice, seen
from ladders import CLAIMS, OF_PICTURES, blurred, copied, hold_to_their_claims, noisy, thinned

ASKED = ["fd", "fd_inf", "kid", "c2st", "is", "prdc", "classes", "memorisation", "classwise", "class_accuracy"]
N = 450
OF_CONDITIONS = {"tag_accuracy", "number_error"}  # have their ladders in test_condition_scores.py
Rung = tuple[Tensor, Tensor]  # pictures and the class each was asked for


def rungs(fault: str, x: Tensor, y: Tensor, train: Tensor, train_y: Tensor) -> list[Rung]:
    """Three rungs of a fault, the first without it: [N] pictures each."""
    if fault == "blur":
        return [(blurred(x, sd), y) for sd in (0, 0.8, 1.6)]
    if fault == "noise":
        return [(noisy(x, amount), y) for amount in (0, 25, 70)]
    if fault == "missing modes":
        found = [(x, y)]
        for most in (7, 4):
            kept = (y < most).nonzero().flatten()
            kept = kept[torch.arange(len(x)) % len(kept)]
            found.append((x[kept], y[kept]))
        return found
    if fault == "duplicates":
        picked = torch.randperm(len(x), generator=torch.Generator().manual_seed(3))
        return [(x, y), *((x[picked[torch.arange(len(x)) % few]], y[picked[torch.arange(len(x)) % few]]) for few in (60, 20))]
    assert fault == "memorised copies"
    found = [(x, y)]
    for count in (len(x) // 3, len(x)):
        found.append((torch.cat([train[:count], x[count:]]), torch.cat([train_y[:count], y[count:]])))
    return found


@pytest.fixture(scope="module")
def climbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Score]]]:
    """Scores by fault and rung."""
    began = time.process_time()
    data_set: DataSet = open_data(Data(path="digits", holdout=0.3))
    cache: Path = tmp_path_factory.mktemp("ladders")
    extractor = make_extractor("classifier", data_set, cache=cache)
    held, train = data_set.held, data_set.train
    assert held.y is not None
    assert train.y is not None
    assert len(held) >= N

    def sampler(rung: Rung) -> Callable[[int], tuple[Tensor, Tensor | None]]:
        place = 0

        def draw(n: int) -> tuple[Tensor, Tensor | None]:
            nonlocal place
            rows = slice(place, place + n)
            place += n
            return rung[0][rows], rung[1][rows]

        return draw

    every: dict[str, list[dict[str, Score]]] = {}
    for fault in OF_PICTURES:
        every[fault] = []
        for rung in rungs(fault, held.x[:N], held.y[:N], train.x, train.y):
            scores = evaluate(sampler(rung), data_set, ASKED, extractor=extractor, num_samples=N, cache=cache, labelled=True)
            every[fault].append({score.name: score for score in scores})
    assert time.process_time() - began < 120
    return every


def of_points(fault: str, ring: DataSet, x: Tensor) -> list[Tensor]:
    """The faults of points: detail within a mode is lost (blur) or too great (noise), modes are missing, points are said again."""
    centres = torch.from_numpy(modes("ring")[0]).to(x)
    nearest = torch.cdist(x, centres).argmin(1)
    if fault == "blur":
        return [centres[nearest] + (x - centres[nearest]) * kept for kept in (1, 0.5, 0)]
    if fault == "noise":
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(5))
        return [x + sd * noise for sd in (0, 0.03, 0.1)]
    if fault == "missing modes":
        return [x, *(x[nearest < most][torch.arange(len(x)) % int((nearest < most).sum())] for most in (6, 3))]
    return [x, thinned(x, 60), thinned(x, 5)] if fault == "duplicates" else copied(x, ring.train.x)


def of_stacks(fault: str, stacks: DataSet, x: Tensor, y: Tensor) -> list[Tensor]:
    """The faults of digits on each channel; y int64 [n, 3]."""
    if fault == "blur":
        return [torch.cat([blurred(x[:, c : c + 1], sd) for c in range(3)], 1) for sd in (0, 0.8, 1.6)]
    if fault == "noise":
        return [noisy(x, amount) for amount in (0, 25, 70)]
    if fault == "missing modes":
        return [x, *(x[few][torch.arange(len(x)) % int(few.sum())] for few in ((y < 8).all(1), (y < 5).all(1)))]
    return [x, thinned(x, 400), thinned(x, 60)] if fault == "duplicates" else copied(x, stacks.train.x)


def of_walks(fault: str, digits: DataSet) -> list[Probe]:
    """Generators that mix 24 digits by softmax of their latents; each fault damages what they draw, or the digits they know."""
    held, y = digits.held.x.float(), digits.held.y
    assert y is not None

    def probe(bank: Tensor, damage: Callable[[Tensor], Tensor] = lambda x: x) -> Probe:
        def latents(n: int, _: Tensor | None, seed: int) -> Tensor:
            return torch.randn(n, len(bank), generator=torch.Generator().manual_seed(seed))

        def render(z: Tensor, _: Tensor | None, seed: int) -> Tensor:
            # Not scaled by the number of digits in the bank: a generator that knows fewer is no rougher for it.
            return damage(torch.einsum("nk,kchw->nchw", (2 * z.double()).softmax(1), bank.double()).float())

        return Probe("z", lambda n, seed: None, latents, render)

    if fault == "blur":
        return [probe(held[:24]), *(probe(blurred(held[:24].to(torch.uint8), sd).float()) for sd in (0.8, 1.6))]
    if fault == "noise":
        return [probe(held[:24]), *(probe(noisy(held[:24].to(torch.uint8), amount).float()) for amount in (25, 70))]
    if fault == "missing modes":
        return [probe(held[(y < most)][:24]) for most in (10, 7, 4)]
    if fault == "duplicates":
        return [probe(thinned(held[:24], few)) for few in (24, 6, 1)]
    return [probe(bank) for bank in copied(held[:24], digits.train.x[:24].float())]


@pytest.fixture(scope="module")
def climbed_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Score]]]:
    """What digits cannot show, by fault and rung: modes of a ring, of stacks; the length of paths; a leak, of a policy of shifts."""
    place: Path = tmp_path_factory.mktemp("elsewhere")
    stack(Data(path="digits", holdout=0.3), place / "s.npz", count=3_000, held=3_000, seed=0)
    ring, stacks, digits = (open_data(Data(path=path, holdout=0.3)) for path in ("ring", str(place / "s.npz"), "digits"))
    seeing, looking = make_extractor("auto", stacks, cache=place), make_extractor("pixels", digits, cache=place)
    points = make_extractor("auto", ring, cache=place)
    seen = torch.stack([seeing.grey(stacks.held.x[:, c : c + 1]).probabilities.argmax(1) for c in range(3)], 1)  # type: ignore[attr-defined]
    held = digits.held
    assert held.y is not None and digits.train.y is not None

    def taken(data_set: DataSet, x: Tensor, metric: str, extractor: Extractor, **more: Any) -> list[Score]:
        place_ = 0

        def draw(n: int) -> Tensor:
            nonlocal place_
            place_ += n
            return x[place_ - n : place_]

        return evaluate(draw, data_set, [metric], extractor=extractor, num_samples=len(x), cache=place, **more)

    every: dict[str, list[dict[str, Score]]] = {}
    for fault in OF_PICTURES:
        pictures = [rung[0] for rung in rungs(fault, held.x[:N], held.y[:N], digits.train.x, digits.train.y)]
        ladders = zip(of_points(fault, ring, ring.held.x[:2_500]), of_stacks(fault, stacks, stacks.held.x, seen), of_walks(fault, digits),
                      pictures, strict=True)  # fmt: skip
        every[fault] = []
        for toy, stacked, probe, x in ladders:
            scores = taken(ring, toy, "modes", points) + taken(stacks, stacked, "modes_stacked", seeing)
            scores += taken(digits, x[:60], "ppl", looking, probe=probe) + taken(digits, x, "leak", looking, policy=("shift",))
            every[fault].append({score.name: score for score in scores})
    return every


@pytest.mark.parametrize("fault", OF_PICTURES)
def test_each_metric_orders_what_it_claims_to_see(climbed: dict[str, list[dict[str, Score]]], fault: str) -> None:
    hold_to_their_claims(climbed[fault], fault)


@pytest.mark.parametrize("fault", OF_PICTURES)
def test_points_stacks_paths_and_leaks_likewise(climbed_elsewhere: dict[str, list[dict[str, Score]]], fault: str) -> None:
    hold_to_their_claims(climbed_elsewhere[fault], fault)


def test_every_row_of_the_table_is_measured(
    climbed: dict[str, list[dict[str, Score]]], climbed_elsewhere: dict[str, list[dict[str, Score]]]
) -> None:
    assert {*climbed["blur"][0], *climbed_elsewhere["blur"][0]} | OF_CONDITIONS == set(CLAIMS)


def test_the_first_rung_is_the_floor(climbed: dict[str, list[dict[str, Score]]]) -> None:
    """Held-out pictures as a generator: every score lies near its floor, and its interval holds the floor or nearly."""
    for name, score in climbed["blur"][0].items():
        assert score.floor is not None, name
        if score.low is not None and score.high is not None:
            reach = score.high - score.low
            assert score.low - reach <= score.floor <= score.high + reach, str(score)
        assert score.cost_s is not None, "every score tells its cost"


@pytest.mark.parametrize("family", registry.families().values(), ids=registry.families())
def test_every_figure_was_measured_or_says_why_not(family: Family) -> None:
    measured = {name for rows in family.sight.values() for name in rows}
    assert measured == (set() if family.unmeasured else set(family.outputs)), "a new metric says in its FAMILY what it sees"
    assert all(len(letters) == len(FAULTS[kind]) for kind, rows in family.sight.items() for letters in rows.values())


@pytest.mark.parametrize("kind", FAULTS)
def test_every_fault_has_someone_who_sees_it(kind: Any) -> None:
    sights = registry.sights(kind)
    for fault in FAULTS[kind]:
        assert any(fault in seen(sights.get(name, ""), kind, "s") for name in registry.expand([advice(fault, kind)])), fault


def test_what_is_seen_is_told() -> None:
    assert seen("ssgbb", "pictures", "b") == ("duplicates", "memorised copies")
    assert seen("ssgbb", "pictures", "g") == ("missing modes",)
    assert seen("", "clips", "b") == ()
    assert {name for name, letters in CLAIMS.items() if "memorised copies" in seen(letters, "pictures", "s")} == {
        "authenticity",
        "copies",
        "copying",
    }


@pytest.mark.parametrize(("kind", "page"), [("pictures", "metrics"), ("clips", "video-metrics"), ("text", "text-metrics")])
def test_the_documentation_shows_the_same_table(kind: Any, page: str) -> None:
    """A row for each figure, with the words of the table."""
    text = (Path(__file__).resolve().parents[2] / "docs" / f"{page}.md").read_text("utf-8")
    rows = [[cell.strip("` ") for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    wide = len(FAULTS[kind]) + 1
    place = next(at for at, row in enumerate(rows) if row[1:wide] == list(FAULTS[kind])) + 2
    sights, words = registry.sights(kind), {"s": "sees", "g": "gross", "b": "blind"}
    assert {row[0]: row[1:wide] for row in rows[place : place + len(sights)]} == {n: [words[c] for c in s] for n, s in sights.items()}


def test_few_samples_keep_the_order(tmp_path: Path) -> None:
    """24 held-out pictures, eight times: blurred and noisy ones are farther than real ones on average, and the stamp says how it was done."""
    data_set = open_data(Data(path="digits", holdout=0.3))
    extractor = make_extractor("pixels", data_set)
    few = DataSet(data_set.space, data_set.train, type(data_set.held)(data_set.held.x[:24]), data_set.card, data_set.reasons, "few")

    def mean(change: Callable[[Tensor], Tensor]) -> float:
        total = 0.0
        for start in range(24, 24 * 9, 24):
            x = change(data_set.held.x[start : start + 24])
            (score,) = evaluate(lambda n, x=x: x[:n], few, ["fd"], extractor=extractor, cache=tmp_path)  # type: ignore[misc]
            assert score.protocol.num_samples == 24
            assert "8 of 256 directions" in score.protocol.settings
            total += score.value / 8
        return total

    real = mean(lambda x: x)
    assert real < 0.9 * mean(lambda x: noisy(x, 40))
    assert real < 0.9 * mean(lambda x: blurred(x, 1.2))
