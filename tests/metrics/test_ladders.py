"""Degradation ladders: every metric must order the faults it claims to see, and the faults it is blind to are written down as such.

Held-out digits stand for a perfect generator; each rung damages them a little more. The claims are the table the report and the documentation
show (`agon.report.faults`): a metric that sees a fault gets worse on every rung, one that is blind does not get clearly worse on the last.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from agon.data import Data, DataSet, open_data
from agon.metrics import Score, evaluate, make_extractor, registry
from agon.report.faults import CLIP_FAULTS, CLIP_SIGHT, FAULTS, SIGHT, TEXT_FAULTS, TEXT_SIGHT, UNMEASURED, advice, blind_to, seen_by

ASKED = ["fd", "fd_inf", "kid", "c2st", "is", "prdc", "classes", "memorisation", "classwise", "class_accuracy"]
N = 450
CHANCE = {"copying": 2.0, "c2st": 0.12}  # what rungs differ by without a cause; c2st has a spread of 0.022 here, and the first rung is low
Rung = tuple[Tensor, Tensor]  # pictures and the class each was asked for


def blurred(x: Tensor, sd: float) -> Tensor:
    if sd == 0:
        return x
    at = torch.arange(-4, 5).float()
    kernel = torch.exp(-at.square() / (2 * sd**2))
    kernel = kernel / kernel.sum()
    y = functional.pad(x.float(), (4, 4, 4, 4), mode="replicate")
    y = functional.conv2d(functional.conv2d(y, kernel[None, None, :, None]), kernel[None, None, None, :])
    return y.round().clamp(0, 255).to(torch.uint8)


def noisy(x: Tensor, amount: float) -> Tensor:
    g = torch.Generator().manual_seed(5)
    return (x.float() + amount * torch.randn(x.shape, generator=g)).clamp(0, 255).to(torch.uint8)


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
    for copied in (len(x) // 3, len(x)):
        found.append((torch.cat([train[:copied], x[copied:]]), torch.cat([train_y[:copied], y[copied:]])))
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
    for fault in FAULTS:
        every[fault] = []
        for rung in rungs(fault, held.x[:N], held.y[:N], train.x, train.y):
            scores = evaluate(sampler(rung), data_set, ASKED, extractor=extractor, num_samples=N, cache=cache, labelled=True)
            every[fault].append({score.name: score for score in scores})
    assert time.process_time() - began < 120
    return every


def worse(scores: list[Score]) -> list[float]:
    """How much worse each rung is than the first, in the metric's own units; undefined is as bad as can be."""
    sign = -1.0 if scores[0].higher_is_better else 1.0
    return [float("inf") if s.value != s.value else sign * (s.value - scores[0].value) for s in scores]


@pytest.mark.parametrize("fault", FAULTS)
def test_each_metric_orders_what_it_claims_to_see(climbed: dict[str, list[dict[str, Score]]], fault: str) -> None:
    for name in climbed[fault][0]:
        rungs = [rung[name] for rung in climbed[fault]]
        steps, sight = worse(rungs), SIGHT[name][fault]
        low, high = rungs[0].low, rungs[0].high
        noise = max(0.2 * abs(rungs[0].value), 0.0 if low is None or high is None else (high - low) / 2, CHANCE.get(name, 0.0))
        values = [round(s.value, 4) for s in rungs]
        if sight == "sees":
            assert 0 < steps[1] <= steps[2], f"{name} claims to see {fault}: {values}"
        elif sight == "gross":
            assert steps[2] > 0, f"{name} claims to see gross {fault}: {values}"
        else:
            assert steps[2] <= noise, f"{name} is not blind to {fault} after all: {values}; say so in report/faults.py"


def test_the_first_rung_is_the_floor(climbed: dict[str, list[dict[str, Score]]]) -> None:
    """Held-out pictures as a generator: every score lies near its floor, and its interval holds the floor or nearly."""
    for name, score in climbed["blur"][0].items():
        assert score.floor is not None, name
        if score.low is not None and score.high is not None:
            reach = score.high - score.low
            assert score.low - reach <= score.floor <= score.high + reach, str(score)
        assert score.cost_s is not None, "every score tells its cost"


def test_every_figure_has_its_row_and_every_fault_someone_who_sees_it() -> None:
    outputs = {name for family in registry.families().values() for name in family.outputs}
    assert outputs == {*SIGHT, *CLIP_SIGHT, *TEXT_SIGHT, *UNMEASURED}, "a new metric says in report/faults.py what it sees"
    for fault in FAULTS:
        assert seen_by(fault, SIGHT), fault
    for fault in CLIP_FAULTS:
        assert set(registry.expand([advice(fault, clips=True)])) & set(seen_by(fault, CLIP_SIGHT, clips=True)), fault
    for fault in TEXT_FAULTS:
        assert set(registry.expand([advice(fault, text=True)])) & set(seen_by(fault, TEXT_SIGHT, text=True)), fault
    assert "copies" in blind_to("fd", text=True)
    assert "reversed" in blind_to("fd", clips=True)
    assert "memorised copies" in blind_to("fd")
    assert seen_by("memorised copies", ["fd", "precision", "authenticity"]) == ("authenticity",)
    assert "missing modes" in blind_to("precision")


def test_the_documentation_shows_the_same_table() -> None:
    """docs/metrics.md has a row for each figure, with the words of the table."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "metrics.md").read_text("utf-8")
    rows = {cells[1].strip("` "): [c.strip() for c in cells[2:7]] for line in text.splitlines() if len(cells := line.split("|")) > 7}
    for name, sight in SIGHT.items():
        assert rows.get(name) == list(sight.values()), f"docs/metrics.md, row `{name}`: expected {list(sight.values())}"


def test_the_documentation_shows_the_table_of_clips() -> None:
    """docs/video-metrics.md likewise."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "video-metrics.md").read_text("utf-8")
    lines = [[cell.strip("` ") for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.count("|") == len(CLIP_FAULTS) + 2]
    assert lines[0][1:] == list(CLIP_FAULTS)
    rows = {cells[0]: cells[1:] for cells in lines[2:]}
    assert rows == {name: list(sight.values()) for name, sight in CLIP_SIGHT.items()}


def test_the_documentation_shows_the_table_of_text() -> None:
    """docs/text-metrics.md likewise."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "text-metrics.md").read_text("utf-8")
    rows = [[cell.strip("` ") for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.count("|") == len(TEXT_FAULTS) + 2]
    place = rows.index(["", *TEXT_FAULTS])
    assert {row[0]: row[1:] for row in rows[place + 2 : place + 2 + len(TEXT_SIGHT)]} == {
        n: list(s.values()) for n, s in TEXT_SIGHT.items()
    }


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
