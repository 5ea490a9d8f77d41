"""One pass from sampler to scores: extractors chosen with a reason, floors, caches, notes, and the order that damage must give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor

from agon.data import Data, DataSet, Samples, open_data
from agon.errors import InputError
from agon.metrics import evaluate, inception, make_extractor
from agon.metrics.contract import Extractor
from agon.metrics.features import open_pixels, open_random
from agon.progress import Terminal
from agon.spaces import Image, Vector


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scores")


@pytest.fixture(scope="module")
def digits() -> DataSet:
    return open_data(Data(path="digits", holdout=0.3))


@pytest.fixture(scope="module")
def extractor(digits: DataSet, cache: Path) -> Extractor:
    return make_extractor("auto", digits, cache=cache)


@pytest.fixture(scope="module")
def ring() -> DataSet:
    return open_data(Data(path="ring", limit=8000))


def photos(n: int = 60, held: int = 20) -> DataSet:
    """Unlabelled noise pictures."""
    x = torch.randint(0, 256, (n + held, 3, 24, 40), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return DataSet(Image(channels=3, height=24, width=40), Samples(x[:n]), Samples(x[n:]), {}, {}, f"photos{n}-{held}")


def drawing(x: Tensor, change: Callable[[Tensor], Tensor] = lambda x: x) -> Callable[[int], Tensor]:
    """A sampler that walks through `x`, changed."""
    place = 0

    def sampler(n: int) -> Tensor:
        nonlocal place
        index = torch.arange(place, place + n) % len(x)
        place += n
        return change(x[index])

    return sampler


def noisy(amount: float) -> Callable[[Tensor], Tensor]:
    g = torch.Generator().manual_seed(5)
    return lambda x: (x.float() + amount * torch.randn(x.shape, generator=g)).clamp(0, 255).to(torch.uint8)


def test_auto_chooses_with_a_reason(
    digits: DataSet, ring: DataSet, extractor: Extractor, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(inception.VARIABLE, raising=False)
    told: list[str] = []

    def say(name: str, text: str) -> None:
        told.append(f"{name} {text}")

    assert extractor.name == "classifier"
    assert make_extractor("auto", ring, say=say).name == "pixels"
    assert make_extractor("auto", photos(), say=say).name == "random-conv"
    assert "no Inception weights are given" in told[-1]
    assert "not comparable with published FID" in told[-1]
    monkeypatch.setenv(inception.VARIABLE, "/nowhere.npz")
    with pytest.raises(InputError, match="are not a file"):
        make_extractor("auto", photos(), say=say)
    assert "extractor inception" in told[-1]


def test_misuse_is_explained(digits: DataSet, ring: DataSet, extractor: Extractor, cache: Path) -> None:
    pixels = open_pixels(digits.space)
    real = drawing(digits.train.x)

    def bad(*args: object, **kwargs: object) -> None:
        evaluate(*args, cache=cache, **kwargs)  # type: ignore[arg-type]

    with pytest.raises(InputError, match=r"extractor 'clasifier' is unknown.*Did you mean 'classifier'"):
        make_extractor("clasifier", digits)
    with pytest.raises(InputError, match="is for images, and the data holds points"):
        make_extractor("inception", ring)
    with pytest.raises(InputError, match=r"metric 'fid' is unknown.*Did you mean 'fd'"):
        bad(real, digits, ["fid"], extractor=extractor)
    with pytest.raises(InputError, match="no metric was named"):
        bad(real, digits, [], extractor=extractor)
    with pytest.raises(InputError, match="needs class probabilities, and pixels gives none"):
        bad(real, digits, ["is"], extractor=pixels)
    with pytest.raises(InputError, match="needs a set whose modes are known"):
        bad(real, digits, ["modes"], extractor=extractor)
    with pytest.raises(InputError, match="num_samples got 1"):
        bad(real, digits, ["fd"], extractor=extractor, num_samples=1)
    with pytest.raises(InputError, match=r"the sampler gave torch.float32 .*expected uint8 \(100, 1, 16, 16\)"):
        bad(lambda n: torch.zeros(n, 1, 16, 16), digits, ["fd"], extractor=extractor, num_samples=100)


def test_damage_shows_in_every_figure(digits: DataSet, extractor: Extractor, cache: Path) -> None:
    """Real, a little noise, much noise; and classes left out: each worse than the last in what it should be worse in."""
    asked = ["fd", "kid", "prdc", "is", "classes"]
    x, y = digits.held.x, digits.held.y
    assert y is not None

    def figures(sampler: Callable[[int], Tensor]) -> dict[str, float]:
        return {s.name: s.value for s in evaluate(sampler, digits, asked, extractor=extractor, num_samples=400, cache=cache)}

    real, some, much = (figures(drawing(x, noisy(amount))) for amount in (0.0, 25.0, 90.0))
    assert real["fd"] < some["fd"] < much["fd"]
    assert real["kid"] < some["kid"] < much["kid"]
    assert real["precision"] > some["precision"] > much["precision"]
    assert real["coverage"] > some["coverage"] > much["coverage"]
    assert real["is"] > much["is"]
    missing = figures(drawing(x[y < 5]))
    assert missing["fd"] > 3 * real["fd"]
    assert missing["recall"] < real["recall"]
    assert missing["classes"] == 5
    assert missing["precision"] > 0.8, "what is there is still good"


def test_scores_carry_floor_and_protocol(digits: DataSet, extractor: Extractor, cache: Path) -> None:
    scores = evaluate(drawing(digits.train.x), digits, ["prdc", "fd", "classes", "fd"], extractor=extractor, weights="raw", cache=cache)
    assert [score.name for score in scores] == ["precision", "recall", "density", "coverage", "fd", "classes"]
    for score in scores:
        assert score.protocol.num_samples == len(digits.held), "fewer are held than 10,000: score and floor have the same N"
        assert score.floor_samples == len(digits.held)
        assert score.floor is not None
        assert (score.protocol.extractor_hash, score.protocol.reference_hash) == (extractor.hash, digits.content_hash)
        assert (score.protocol.resize, score.protocol.weights, score.protocol.metric) == ("bicubic", "raw", score.name)
    assert "bicubic" in str(scores[4])
    assert scores[5].extra["histogram"]["7"] == pytest.approx(0.1, abs=0.03)
    floor = evaluate(drawing(digits.held.x), digits, ["fd"], extractor=extractor, cache=cache)[0]
    assert floor.value == pytest.approx(floor.floor, rel=1e-6), "held-out samples as the sampler: the score is the floor"


def test_a_score_in_all_directions_has_no_floor_in_few(tmp_path: Path) -> None:
    x = torch.randn(700, 64, generator=torch.Generator().manual_seed(0))
    points = DataSet(Vector(dim=64), Samples(x[:640]), Samples(x[640:]), {}, {}, "points of 64")
    for count, floored in ((None, True), (50, True), (64, False), (400, False)):
        score = evaluate(drawing(x), points, ["fd"], extractor=open_pixels(points.space), num_samples=count, cache=tmp_path)[0]
        assert (score.floor is not None) == floored, str(score)
        assert ("the 60 held-out samples are too few" in score.note) != floored


def test_forced_numbers_stand_and_the_floor_tells_its_own(digits: DataSet, extractor: Extractor, cache: Path) -> None:
    score = evaluate(drawing(digits.train.x), digits, ["fd"], extractor=extractor, num_samples=900, cache=cache)[0]
    assert score.protocol.num_samples == 900
    assert f"at N={len(digits.held)})" in str(score)
    few = evaluate(drawing(digits.train.x), digits, ["fd"], extractor=extractor, num_samples=30, cache=cache)[0]
    assert "30 samples are few for 64 features" in few.note
    assert few.floor_samples == 30


def test_without_held_out_samples_there_is_no_floor(tmp_path: Path) -> None:
    data_set = photos(60, 0)
    score = evaluate(drawing(data_set.train.x), data_set, ["fd"], extractor=open_random(), num_samples=50, cache=tmp_path)[0]
    assert score.floor is None
    assert "no held-out samples, so no floor" in score.note


def test_real_side_is_paid_once_and_remade_when_damaged(tmp_path: Path) -> None:
    data_set = photos()
    calls: list[int] = []

    class Counting:
        def __getattr__(self, name: str) -> object:
            return getattr(open_random(), name)

        def __call__(self, x: Tensor) -> object:
            calls.append(len(x))
            return open_random()(x)

    def run() -> tuple[int, list[float | None]]:
        calls.clear()
        scores = evaluate(drawing(data_set.train.x), data_set, ["fd", "kid", "prdc"], extractor=Counting(), num_samples=20, cache=tmp_path)  # type: ignore[arg-type]
        return sum(calls), [value for score in scores for value in (score.value, score.floor)]

    first = run()
    assert first[0] == 20 + 60 + 20
    second = run()
    assert second == (20, first[1])
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-20])
    assert run() == first


def test_batches_do_not_matter_and_random_state_is_left_alone(digits: DataSet, extractor: Extractor, cache: Path) -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    asked = ["fd", "kid", "prdc", "is"]

    def scores(batch: int) -> list[float]:
        found = evaluate(drawing(digits.train.x), digits, asked, extractor=extractor, num_samples=300, batch=batch, cache=cache)
        return [score.value for score in found]

    assert scores(250) == pytest.approx(scores(77), rel=1e-4, abs=1e-6)
    assert torch.equal(torch.get_rng_state(), before)


def test_ring_modes_and_quality(ring: DataSet, cache: Path) -> None:
    pixels = make_extractor("auto", ring)
    modes, quality = evaluate(drawing(ring.train.x), ring, ["modes"], extractor=pixels, cache=cache)
    assert (modes.name, modes.value, modes.floor) == ("modes", 8, 8)
    assert quality.value == pytest.approx(0.989, abs=0.01)
    assert "of 8, within 3 sd, covered by ≥ 1" in str(modes)
    half = ring.train.x[ring.train.x[:, 0] > 0.5]
    lost, still = evaluate(drawing(half), ring, ["modes", "quality"], extractor=pixels, cache=cache)
    assert lost.value == 3
    assert still.value > 0.97
    broken = drawing(ring.train.x, lambda x: torch.where(x > 1, torch.nan, x))
    scores = evaluate(broken, ring, ["quality", "fd"], extractor=pixels, num_samples=500, cache=cache)
    assert scores[0].value < 0.9
    assert scores[1].value != scores[1].value
    assert "hold numbers that are not finite" in scores[1].note


def test_pixels() -> None:
    small = open_pixels(Image(channels=3, height=32, width=32))
    assert (small.dim, small.resize) == (3072, "")
    x = torch.tensor([[[[0, 255]]]], dtype=torch.uint8)
    assert open_pixels(Image(channels=1, height=1, width=2))(x).features.tolist() == [[-1.0, 1.0]]
    large = open_pixels(Image(channels=3, height=128, width=96))
    assert large.dim <= 3072
    seen = large(torch.zeros(2, 3, 128, 96, dtype=torch.uint8)).features
    assert seen.shape == (2, large.dim)
    assert large.resize.startswith("averaged to ")
    assert open_pixels(Vector(dim=5)).dim == 5


def test_random_network_is_always_the_same() -> None:
    one, two = open_random(), open_random()
    x = photos().train.x[:4]
    assert one.hash == two.hash == "48a29ae64cf1"
    assert torch.equal(one(x).features, two(x).features)
    assert one(x).features.shape == (4, one.dim)
    assert one(x[:, :1]).features.shape == (4, one.dim)
    assert "not comparable with published FID" in one.note


def test_an_undefined_figure_says_why(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, wanted = photos(40, 2), ["fd", "prdc", "c2st"]
    scores = evaluate(drawing(data.train.x), data, wanted, extractor=open_pixels(data.space), num_samples=2, cache=cache)
    notes = {score.name: score.note for score in scores}
    assert "needs more than 5 samples a side, there are 2" in notes["precision"] and "needs 20 samples a side, there are 2" in notes["c2st"]
    Terminal(Console(width=200), 1).scores(scores)
    told = capsys.readouterr().out
    assert "left out  precision, recall, density, coverage: needs more than 5" in told and "nan" not in told and "brackets" not in told
