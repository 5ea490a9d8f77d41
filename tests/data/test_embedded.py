"""Embedded sets: always the same, with the modes and captions they claim."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch

from agon.data import EMBEDDED, Data, modes, open_data
from agon.data.digits import load_digits
from agon.data.embedded import COLOUR_WORDS, PLACES, SHAPES, SIZE_WORDS, draw_shapes, draw_toy
from agon.errors import InputError

# The content hashes of version 1 of these sets. A change here makes old scores incomparable: declare it in the change log.
FROZEN = {
    "digits": "fdbec1bae81d9cc0",
    "shapes": "140500104c1a3987",
    "ring": "8d16607b0bfe7576",
    "grid": "b17299dc51bf795c",
    "spirals": "b2ffcc0fe6b711cc",
    "moving-shapes": "ff1124f0270d19d3",
    "moving-digits": "090db44f39533b68",
    "headlines": "51da118749b0cbbd",
    "arithmetic": "64c3bf279d3b1dd6",
}
FREE = ("sentences", "chapters", "oracle", "oracle-stream")  # as the version of Python has them, and as its floating point draws them


@pytest.mark.parametrize("name", EMBEDDED)
def test_they_open_and_never_change(name):
    asked = Data(path=name, limit=10_100 if name == "oracle-stream" else None)
    data_set = open_data(asked)
    assert next(iter(data_set.reasons)) == "data"
    assert len(data_set.held) > 0.05 * len(data_set.train)
    json.dumps(data_set.card)
    assert data_set.content_hash == open_data(asked).content_hash
    assert name in FREE or data_set.content_hash == FROZEN[name]


def test_digits():
    x, y = load_digits()
    assert x.shape == (1797, 8, 8)
    assert (x.min(), x.max()) == (0, 255)
    sklearn = pytest.importorskip("sklearn.datasets")
    original = sklearn.load_digits()
    assert np.array_equal(x, np.rint(original.images * 255 / 16))
    assert np.array_equal(y, original.target)
    data_set = open_data(Data(path="digits"))
    assert data_set.space.describe() == "16×16 grey images, 10 classes"
    assert data_set.space.filter == "bicubic"
    assert open_data(Data(path="digits", size=32, channels=3, labels="ignore")).train.x.shape[1:] == (3, 32, 32)


def test_shapes_are_what_their_captions_say():
    data_set = open_data(Data(path="shapes", limit=600))
    assert data_set.space.describe() == "32×32 RGB images, 5 classes"
    assert data_set.space.classes == SHAPES
    pattern = rf"a ({'|'.join(SIZE_WORDS)}) ({'|'.join(COLOUR_WORDS)}) ({'|'.join(SHAPES)}) (?:at|in) the ({'|'.join(PLACES)})"
    for x, y, caption in zip(data_set.train.x, data_set.train.y.tolist(), data_set.train.captions, strict=True):
        size, colour, shape, place = re.fullmatch(pattern, caption).groups()
        assert shape == SHAPES[y]
        picture = x.numpy().astype(int)
        ground = picture[:, 0, 31] if "left" in place else picture[:, 31, 0]
        ink = np.abs(picture - ground[:, None, None]).max(0) > 60
        rows, columns = np.nonzero(ink)
        middle = lambda word, low, high: -1 if low in word else 1 if high in word else 0  # noqa: E731
        assert round((columns.mean() / 31 - 0.5) / 0.21) == middle(place, "left", "right"), caption
        assert round((rows.mean() / 31 - 0.5) / 0.21) == middle(place, "top", "bottom"), caption
        assert (np.ptp(columns) > 11) == (size == "large"), caption
        apart = np.abs(picture - ground[:, None, None]).sum(0)
        pure = picture[:, apart >= np.quantile(apart[ink], 0.8)].mean(1)  # edges are mixed with the ground
        wanted = {name: np.abs(pure - rgb).sum() for name, rgb in COLOUR_WORDS.items()}
        assert min(wanted, key=wanted.get) == colour, caption


def test_shapes_are_drawn_at_the_size_asked_for():
    x, _, captions = draw_shapes(7, 48, 64, seed=1)
    again = draw_shapes(7, 48, 64, seed=1)
    assert x.shape == (7, 48, 64, 3)
    assert np.array_equal(x, again[0])
    assert captions == again[2]
    assert open_data(Data(path="shapes", size=(24, 40), channels=1, limit=50)).train.x.shape[1:] == (1, 24, 40)


@pytest.mark.parametrize(("name", "count"), [("ring", 8), ("grid", 25), ("spirals", 200)])
def test_toys_lie_on_their_modes(name, count):
    centres, sd = modes(name)
    assert centres.shape == (count, 2)
    points, _ = draw_toy(name, 5000, seed=3)
    apart = np.linalg.norm(points[:, None] - centres[None], axis=-1)
    assert (apart.min(1) < 3 * sd).mean() > 0.96
    assert len(np.unique(apart.argmin(1))) == count
    data_set = open_data(Data(path=name))
    assert len(data_set.train) + len(data_set.held) == 50_000
    assert data_set.train.x.dtype == torch.float32
    assert data_set.train.y is None
    spread = data_set.space.normalise(data_set.train.x).std(0)
    assert ((spread > 0.5) & (spread < 1.5)).all()


def test_toy_labels_on_request():
    data_set = open_data(Data(path="ring", labels="use"))
    assert data_set.space.num_classes == 8
    centres, _ = modes("ring")
    nearest = torch.cdist(data_set.train.x.double(), torch.from_numpy(centres)).argmin(1)
    assert torch.equal(nearest, data_set.train.y)


def test_refusals():
    with pytest.raises(InputError, match="mirror, size, channels, frames and fps are for images"):
        open_data(Data(path="ring", mirror=True))
    with pytest.raises(InputError, match=r"not for 'rings'\. Did you mean 'ring'\?"):
        modes("rings")
    with pytest.raises(InputError, match=r"Did you mean 'digits'\?"):
        open_data(Data(path="digitz"))


def test_a_folder_of_the_same_name_is_pointed_at(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert "write ./digits" in open_data(Data(path="digits")).reasons["data"]


def test_chapters_are_sentences_with_the_subject_they_stand_in():
    chapters, plain = open_data(Data(path="chapters")), open_data(Data(path="sentences"))
    assert chapters.space.classes == ("concurrency", "files", "language", "mail", "network", "numbers", "tests", "windows")
    told = [*chapters.train.captions, *chapters.held.captions]
    assert len(set(told)) == len(told)
    assert set(told) <= {*plain.train.captions, *plain.held.captions}
    counts = torch.bincount(chapters.train.y)
    assert 3 * counts.min() > counts.max()
    windows = [text for text, k in zip(chapters.train.captions, chapters.train.y, strict=True) if k == 7]
    assert sum("widget" in text.lower() for text in windows) > 50
    assert open_data(Data(path="chapters", labels="ignore")).train.y is None
    with pytest.raises(InputError, match="'chapters' has none"):
        open_data(Data(path="chapters", columns=("topic",)))
