"""The classifier Agon trains: good, the same every time, kept by content, remade when damaged."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from agon.data import Data, DataSet, Samples, open_data
from agon.errors import InputError
from agon.metrics import classifier
from agon.metrics.cache import read_tensors
from agon.metrics.classifier import DIM, open_classifier
from agon.spaces import Image


@pytest.fixture(scope="module")
def digits() -> DataSet:
    return open_data(Data(path="digits"))


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the training, where quality is not the point."""
    monkeypatch.setattr(classifier, "_EPOCHS", 2)


def labelled(n: int, shape: tuple[int, int, int], classes: int = 2, seed: int = 0) -> DataSet:
    """Pictures whose brightness is their class."""
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % classes
    x = (torch.rand((n, *shape), generator=g) * 60 + y.view(-1, 1, 1, 1) * 190 / (classes - 1)).to(torch.uint8)
    space = Image(channels=shape[0], height=shape[1], width=shape[2], classes=tuple("abcdefgh"[:classes]))
    return DataSet(space, Samples(x, y), Samples(x[:50], y[:50]), {}, {}, f"content{n}{shape}{seed}")


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package's own classifiers."""
    monkeypatch.setattr(classifier, "SHIPPED", tmp_path / "nothing")


@pytest.mark.usefixtures("alone")
def test_digits_within_its_budget(digits: DataSet, tmp_path: Path) -> None:
    told: list[str] = []
    begin = time.process_time()
    extractor = open_classifier(digits, cache=tmp_path, say=lambda name, text: told.append(text))
    assert time.process_time() - begin < 60, "about 8 s of one quiet core"
    assert extractor.accuracy is not None
    assert extractor.accuracy >= 0.97
    assert any("held-out samples right" in text for text in told)
    assert extractor.note.endswith("% held-out accuracy")
    seen = extractor(digits.held.x[:20])
    assert (seen.features.shape, seen.features.dtype) == ((20, DIM), torch.float64)
    assert seen.probabilities is not None
    assert torch.allclose(seen.probabilities.sum(1), torch.ones(20).double())
    told.clear()
    again = open_classifier(digits, cache=tmp_path, say=lambda name, text: told.append(text))
    assert (again.hash, again.accuracy, told) == (extractor.hash, extractor.accuracy, [])


def test_published_sets_are_measured_by_the_same_classifier_everywhere(
    digits: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = sorted(classifier.SHIPPED.glob("*.safetensors"))
    assert len(shipped) == 4 and all(read_tensors(path) is not None for path in shipped), "whole, by their own checksums"
    told: list[str] = []
    extractor = open_classifier(digits, cache=tmp_path / "cache", say=lambda name, text: told.append(text))
    assert (extractor.hash[:6], extractor.note, told) == ("2f92f1", "99.5% held-out accuracy", [])
    assert not (tmp_path / "cache").exists()
    # A damaged one costs time, not the score.
    (tmp_path / "broken").mkdir()
    for path in shipped:
        (tmp_path / "broken" / path.name).write_bytes(path.read_bytes()[:1000])
    monkeypatch.setattr(classifier, "SHIPPED", tmp_path / "broken")
    again = open_classifier(digits, cache=tmp_path / "cache", say=lambda name, text: told.append(text))
    assert "is damaged and will be made again" in told[0] and again.accuracy is not None
    assert len(list((tmp_path / "cache").iterdir())) == 1 and len(list((tmp_path / "broken").iterdir())) == 4


@pytest.mark.slow
def test_mnist_is_measured_by_the_package(real_data: Path, tmp_path: Path) -> None:
    """The hash by which docs/benchmarks.md has its rows."""
    mnist = open_data(Data(path=str(real_data / "mnist"), size=32))
    assert open_classifier(mnist, cache=tmp_path).hash[:6] == "01f9b2"


@pytest.mark.usefixtures("brief")
def test_two_trainings_are_equal_bit_for_bit_and_touch_no_random_state(digits: DataSet, tmp_path: Path) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = open_classifier(digits, cache=tmp_path / "a")
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with torch.no_grad():
            two = open_classifier(digits, cache=tmp_path / "b")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert one.hash == two.hash
    assert all(torch.equal(a, b) for a, b in zip(one.network.state_dict().values(), two.network.state_dict().values(), strict=True))


@pytest.mark.usefixtures("brief")
def test_other_content_other_classifier(tmp_path: Path) -> None:
    first = open_classifier(labelled(200, (1, 8, 8)), cache=tmp_path)
    second = open_classifier(labelled(200, (1, 8, 8), seed=1), cache=tmp_path)
    assert first.hash != second.hash
    assert len(list(tmp_path.glob("classifier-*.safetensors"))) == 2


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("damage", ["cut", "flipped", "text", "empty"])
def test_a_damaged_cache_is_remade(damage: str, tmp_path: Path) -> None:
    data_set = labelled(200, (1, 8, 8))
    first = open_classifier(data_set, cache=tmp_path)
    (path,) = tmp_path.glob("classifier-*.safetensors")
    raw = path.read_bytes()
    flipped = raw[:-9] + bytes([raw[-9] ^ 64]) + raw[-8:]
    path.write_bytes({"cut": raw[: len(raw) // 2], "flipped": flipped, "text": b"hello", "empty": b""}[damage])
    told: list[str] = []
    again = open_classifier(data_set, cache=tmp_path, say=lambda name, text: told.append(text))
    assert again.hash == first.hash
    assert "is damaged and will be made again" in told[0]
    assert open_classifier(data_set, cache=tmp_path, say=lambda name, text: told.append(text)).hash == first.hash
    assert sum("training on" in text for text in told) == 1, "once"


@pytest.mark.usefixtures("brief")
def test_a_cache_that_cannot_be_written_only_costs_time(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    told: list[str] = []
    extractor = open_classifier(labelled(200, (1, 8, 8)), cache=blocked / "cache", say=lambda name, text: told.append(text))
    assert extractor.accuracy == 1
    assert any("cannot write" in text for text in told)


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 9), (4, 16, 16), (3, 33, 47), (1, 64, 64), (3, 130, 70)])
def test_any_size_and_channels(shape: tuple[int, int, int], tmp_path: Path) -> None:
    data_set = labelled(120, shape)
    seen = open_classifier(data_set, cache=tmp_path)(data_set.held.x)
    assert seen.features.shape == (50, DIM)
    assert bool(torch.isfinite(seen.features).all())


def test_data_it_cannot_learn_from_is_refused_with_the_reason(tmp_path: Path) -> None:
    data_set = labelled(120, (1, 8, 8))
    few, one = labelled(98, (1, 8, 8)), labelled(120, (1, 8, 8))
    one.train.y = torch.zeros(120, dtype=torch.int64)
    unlabelled = replace(data_set, train=Samples(data_set.train.x))
    for broken, why in [(unlabelled, "has no labels"), (one, "has 1 class"), (few, "the rarest class has 49 training samples")]:
        with pytest.raises(InputError, match=why):
            open_classifier(broken, cache=tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("alone")
def test_mnist_within_its_budget(real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """60 s and 99 % on a quiet core with all of the training; here a fifth of it and its share of the time, twice that as the machine may be busy."""
    monkeypatch.setattr(classifier, "_SEEN", 24_000)
    mnist = open_data(Data(path=str(real_data / "mnist"), size=32))
    begin = time.process_time()
    extractor = open_classifier(mnist, cache=tmp_path)
    assert time.process_time() - begin < 30
    assert extractor.accuracy is not None
    assert extractor.accuracy >= 0.97
