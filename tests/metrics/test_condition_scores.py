"""Tags and numbers read back from samples: by hand, on ladders of damage and disobedience, and through `agon eval`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from agon.data import Data, DataSet, Samples, open_data
from agon.errors import InputError
from agon.metrics import Score, condition_reader, evaluate, make_extractor
from agon.metrics.condition_reader import Reader
from agon.metrics.contract import Features, reduce
from agon.metrics.number_error import NumberError
from agon.metrics.tag_accuracy import TagAccuracy
from agon.spaces import Image
from commandline import printed
from ladders import OF_PICTURES, blurred, hold_to_their_claims, noisy, thinned

N = 400


def aloud(kind: str, *names: str) -> Reader:
    """Reads the first pixels of a picture [n, 1, 1, k]: what stands there less 100."""
    return Reader(kind, names, torch.ones(len(names), dtype=torch.bool), "0" * 12, lambda x: x[:, 0, 0, : len(names)].double() - 100)


def shown(read: list[list[float]], asked: list[list[float]]) -> Features:
    x = torch.tensor(read)[:, None, None] + 100
    return Features(torch.zeros(len(x), 0), samples=x, condition=torch.tensor(asked))


def test_tag_accuracy_by_hand() -> None:
    metric = TagAccuracy(replace(aloud("tags", "hat", "smile", "beard"), legible=torch.tensor([True, True, False])))
    metric.update(shown([[3, 2, 1], [-1, 2, 1]], [[1, 1, 1], [1, 0, 1]]))
    metric.update(shown([[-1, -2, 1], [5, -2, 1]], [[0, 0, 1], [0, 0, 0]]))
    # hat: one of two with it, one of two without; smile: its only one, two of three without; beard is not legible.
    assert metric.compute() == {"tag_accuracy": pytest.approx((0.5 + (1 + 2 / 3) / 2) / 2)}
    assert metric.detail() == {"by_tag": {"hat": {"accuracy": 0.5}, "smile": {"accuracy": 0.8333}}}
    assert metric.remark("tag_accuracy") == "worst: hat, 0.5"
    assert metric.settings() == "2 tags, reader@000000"
    never = TagAccuracy(aloud("tags", "hat"))
    never.update(shown([[1.0], [1.0]], [[1.0], [1.0]]))
    assert math.isnan(never.compute()["tag_accuracy"]), "nobody was asked to be without"


def test_words_of_captions_are_tags() -> None:
    metric = TagAccuracy(aloud("words", "a", "red", "ring"))
    x = torch.tensor([[1, 1, -1], [1, -1, 1]])[:, None, None] + 100
    metric.update(Features(torch.zeros(2, 0), samples=x, condition=torch.tensor([[1, 2, 0], [1, 3, 3]])))  # 0 is the padding
    assert metric.detail() == {"by_tag": {"red": {"accuracy": 1.0}, "ring": {"accuracy": 1.0}}}, "'a' stands in both"


def test_number_error_by_hand() -> None:
    metric = NumberError(aloud("numbers", "age", "height"), sd=(10.0, 0.1))
    metric.update(shown([[1, 0], [0, 1]], [[0.5, 1], [-0.5, 0]]))
    metric.update(shown([[-1, 0]], [[-2, 0]]))
    assert metric.compute() == {"number_error": pytest.approx((2 / 3 + 2 / 3) / 2)}
    told = metric.detail()["by_number"]
    assert (told["age"]["own"], told["height"]["own"]) == (pytest.approx(6.667), pytest.approx(0.06667))
    asked, read = torch.tensor([0.5, -0.5, -2.0]), torch.tensor([1.0, 0.0, -1.0])
    assert told["age"]["correlation"] == pytest.approx(float(torch.corrcoef(torch.stack([asked, read]))[0, 1]), abs=1e-3)
    assert metric.remark("number_error").startswith("worst: ")


@pytest.mark.parametrize("kind", ["tags", "numbers"])
def test_states_of_two_ranks_add_up_and_intervals_hold_the_figure(kind: str) -> None:
    g = torch.Generator().manual_seed(0)
    read = torch.randn(300, 2, generator=g)
    asked = (read + torch.randn(300, 2, generator=g) > 0).float() if kind == "tags" else read + torch.randn(300, 2, generator=g)

    def metric() -> Any:
        return (TagAccuracy if kind == "tags" else NumberError)(aloud(kind, "a", "b"))

    def take(rows: Tensor) -> Any:
        one = metric()
        for some in rows.split(70):
            one.update(shown(read[some].tolist(), asked[some].tolist()))
        return one

    whole, joined = take(torch.arange(300)), metric()
    joined.load(reduce([take(torch.arange(0, 300, 2)).state(), take(torch.arange(1, 300, 2)).state()]))
    assert joined.compute() == pytest.approx(whole.compute())
    (name, value), ((low, high),) = next(iter(whole.compute().items())), whole.intervals().values()
    assert name and low < value < high
    if kind == "numbers":  # means of independent samples: the plain standard error
        error = (read - asked).abs().mean(1)
        assert (high - low) / 2 == pytest.approx(2.09 * float(error.std()) / 300**0.5, rel=0.4)


# -- on pictures ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def climbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Score]]]:
    """Scores of shapes asked for tags and numbers, by fault and rung; "ignored": half of the wishes, then all, are another sample's."""
    cache = tmp_path_factory.mktemp("conditions")
    every: dict[str, list[dict[str, Score]]] = {fault: [{}, {}, {}] for fault in (*OF_PICTURES, "ignored")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(condition_reader, "_SEEN", 50_000)  # an eighth of a minute each; claims of exactness are not made here
        for columns, condition, metric in ((("colour", "size"), "tags", "tag_accuracy"), (("x", "y"), "numbers", "number_error")):
            data_set = open_data(Data(path="shapes", size=16, holdout=0.1, columns=columns, condition=condition))  # type: ignore[arg-type]
            x, y, train = data_set.held.x[:N], data_set.held.y[:N], data_set.train  # type: ignore[index]
            few = torch.randperm(N, generator=torch.Generator().manual_seed(3))[:60][torch.arange(N) % 60]
            left = (
                [y[:, 0] > y[:, 0].median() - step for step in (0.0, 0.5)]
                if condition == "numbers"
                else [y[:, 0] < 0.5, y[:, :2].sum(1) < 0.5]
            )
            missing = [kept.nonzero().flatten()[torch.arange(N) % int(kept.sum())] for kept in left]
            rungs = {
                "blur": [(blurred_rgb(x, sd), y) for sd in (0, 1.0, 2.5)],
                "noise": [(noisy(x, amount), y) for amount in (0, 40, 120)],
                "missing modes": [(x, y), *((x[kept], y[kept]) for kept in missing)],
                "duplicates": [(x, y), (x[few], y[few]), (thinned(x, 20), thinned(y, 20))],
                "memorised copies": [(x, y), *((torch.cat([train.x[:n], x[n:]]), torch.cat([train.y[:n], y[n:]])) for n in (N // 3, N))],
                "ignored": [(x, y), (x, torch.cat([y[N // 2 :].flip(0), y[N // 2 :]])), (x, y.roll(7, 0))],
            }  # fmt: skip
            for fault, steps in rungs.items():
                for rung, (samples, asked) in enumerate(steps):
                    every[fault][rung][metric] = scored(data_set, metric, cache, samples, asked)
    return every


def blurred_rgb(x: Tensor, sd: float) -> Tensor:
    return torch.cat([blurred(x[:, c : c + 1], sd) for c in range(x.shape[1])], 1)


def scored(data_set: DataSet, metric: str, cache: Path, x: Tensor, y: Tensor) -> Score:
    place = 0

    def draw(n: int) -> tuple[Tensor, Tensor]:
        nonlocal place
        place += n
        return x[place - n : place], y[place - n : place]

    how: dict[str, Any] = {"extractor": make_extractor("pixels", data_set), "num_samples": len(x), "cache": cache}
    return evaluate(draw, data_set, [metric], conditioned=True, **how)[0]


@pytest.mark.parametrize("fault", OF_PICTURES)
def test_each_sees_what_it_claims_to_see(climbed: dict[str, list[dict[str, Score]]], fault: str) -> None:
    hold_to_their_claims(climbed[fault], fault)


def test_disobedience_is_seen_and_chance_is_where_it_is_said_to_be(climbed: dict[str, list[dict[str, Score]]]) -> None:
    real, half, none = climbed["ignored"]
    assert real["tag_accuracy"].value > 0.95 and real["number_error"].value < 0.15
    assert real["tag_accuracy"].value == pytest.approx(real["tag_accuracy"].floor, abs=0.03)
    assert 0.65 < half["tag_accuracy"].value < 0.85 and 0.4 < half["number_error"].value < 0.75
    assert none["tag_accuracy"].value == pytest.approx(0.5, abs=0.05)
    assert none["number_error"].value == pytest.approx(1.14, abs=0.12)
    told = real["number_error"].extra["by_number"]
    assert set(told) == {"x", "y"} and told["x"]["correlation"] > 0.97
    assert set(real["tag_accuracy"].extra["by_tag"]) >= {"red", "blue", "large"}
    low, high = real["number_error"].low, real["number_error"].high
    assert low is not None and high is not None and low < real["number_error"].value < high


def test_the_reader_is_the_same_every_time_and_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(condition_reader, "_EPOCHS", 1)
    data_set, told = open_data(Data(path="digits", condition="numbers", columns=("ink",))), []
    held = data_set.held
    assert held.y is not None
    torch.manual_seed(1)
    before = torch.get_rng_state()
    stamps = []
    for cache in ("a", "a", "b"):
        how: dict[str, Any] = {"extractor": make_extractor("pixels", data_set), "cache": tmp_path / cache, "num_samples": len(held)}
        (score,) = evaluate(
            lambda n: (held.x[:n], held.y[:n]), data_set, ["number_error"], conditioned=True, batch=1_000,  # type: ignore[index]
            say=lambda what, text: told.append(what), **how,
        )  # fmt: skip
        stamps.append((str(score.protocol), score.value))
    assert stamps[0] == stamps[1] == stamps[2]
    assert told.count("reader") == 2, "once a cache, though scores and floors both ask for it"
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("metric", "change", "expected"), [
    ("tag_accuracy", {}, "metric 'tag_accuracy' needs a conditional generator, and this one is asked for nothing"),
    ("number_error", {"tags": ("a", "b")}, "metric 'number_error' reads numbers from pictures and clips, and the data are"),
    ("number_error", {"tags": ("a", "b")}, "; use tag_accuracy."),
    ("tag_accuracy", {"numbers": ("a", "b")}, "; use number_error."),
    ("tag_accuracy", {"classes": ("a", "b")}, "; use class_accuracy."),
    ("tag_accuracy", {"tags": ("a", "b")}, "needs 50 training samples with one of them and without it; there are 60 in all."),
    ("number_error", {"numbers": ("a", "b")}, "needs 50 training samples that differ in one; there are 60 in all."),
])  # fmt: skip
def test_what_cannot_be_read_is_refused(metric: str, change: dict[str, Any], expected: str, tmp_path: Path) -> None:
    y = torch.arange(60) % 2 if "classes" in change else torch.zeros(60, 2)
    x = torch.zeros(60, 1, 8, 8, dtype=torch.uint8)
    data_set = DataSet(Image(channels=1, height=8, width=8, **change), Samples(x, y), Samples(x[:4], y[:4]), {}, {}, "content")
    draw: Callable[[int], Any] = lambda n: (x[:n], y[:n])  # noqa: E731
    with pytest.raises(InputError) as caught:
        evaluate(
            draw, data_set, [metric], extractor=make_extractor("pixels", data_set), num_samples=4, cache=tmp_path, conditioned=bool(change)
        )
    assert expected in str(caught.value)


def test_labels_that_the_game_does_not_show_are_named(tmp_path: Path) -> None:
    x, y = torch.zeros(60, 1, 8, 8, dtype=torch.uint8), torch.zeros(60, 2)
    data_set = DataSet(Image(channels=1, height=8, width=8, tags=("a", "b")), Samples(x, y), Samples(x[:4], y[:4]), {}, {}, "content")
    with pytest.raises(InputError, match="train with --game.conditional true: the data have tags"):
        evaluate(lambda n: x[:n], data_set, ["tag_accuracy"], extractor=make_extractor("pixels", data_set), num_samples=4, cache=tmp_path)


def test_a_run_with_tags_is_scored_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(condition_reader, "_EPOCHS", 1)
    run = tmp_path / "run"
    status, text = printed(
        capsys, "train", "shapes", "--size", "16", "--columns", "colour,size", "--condition", "tags", "--rounds", "2", "--out", run
    )
    assert status == 0, text
    status, text = printed(capsys, "eval", run, "-m", "tag_accuracy", "-m", "number_error", "--num-samples", "64")
    assert status == 0, text
    assert "score  tag_accuracy 0." in text and "8 tags, reader@" in text and "note: worst: " in text
    assert "left out  number_error: metric 'number_error' reads numbers" in text
    assert printed(capsys, "report", run)[0] == 0
    page = (run / "report.html").read_text("utf-8")
    assert "Scores by tag at round 2, the worst first (8)" in page and ">purple<" in page
