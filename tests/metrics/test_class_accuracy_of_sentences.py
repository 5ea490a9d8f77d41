"""Which class a sentence has, told by its words: naive Bayes as another library has it, and class_accuracy of sentences by the frame of `agon eval`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from agon.data import Data, DataSet, open_data
from agon.errors import InputError
from agon.metrics import Score, evaluate, make_extractor
from agon.metrics.naive_bayes import ALPHA, learn
from agon.spaces.tokens import END, FIRST, PAD, UNKNOWN

OF = {"sea": "ship wave salt harbour", "wood": "tree leaf bird root", "town": "street house market tower"}
FRAME = ["we saw a {} there", "the {} is old", "nobody told us of the {}", "a {} and another {}"]


def written(path: Path, *, shuffled: bool = False) -> DataSet:
    """600 sentences of three subjects in the same frames, one in ten with a word of another subject; shuffled: classes at random."""
    dice, rows = np.random.default_rng(0), []
    names = list(OF)
    for _ in range(600):
        name = names[dice.integers(3)]
        about = OF[names[dice.integers(3)] if dice.random() < 0.1 else name].split()
        said = FRAME[dice.integers(len(FRAME))].format(*(about[dice.integers(4)] for _ in range(2)))
        rows.append(f"{said} {dice.integers(1_000)},{names[dice.integers(3)] if shuffled else name}")
    path.write_text("text,label\n" + "\n".join(rows) + "\n", "utf-8")
    return open_data(Data(path=str(path), tokenizer="word", vocabulary=60, holdout=0.4))


def scored(x: Tensor, y: Tensor, data_set: DataSet, cache: Path, **more: Any) -> Score:
    """class_accuracy of these sentences, asked for these classes."""
    parts = iter(zip(x.split(100), y.split(100), strict=True))
    how = {
        "extractor": make_extractor("auto", data_set, cache=cache),
        "num_samples": len(x),
        "cache": cache,
        "batch": 100,
        "labelled": True,
        **more,
    }
    return evaluate(lambda n: next(parts), data_set, ["class_accuracy"], **how)[0]


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return written(tmp_path_factory.mktemp("subjects") / "subjects.csv")


def test_naive_bayes_is_scikit_learns() -> None:
    bayes = pytest.importorskip("sklearn.naive_bayes").MultinomialNB
    dice = torch.Generator().manual_seed(0)
    x, y = torch.randint(PAD, FIRST + 20, (300, 8), generator=dice), torch.randint(3, (300,), generator=dice)
    x[y == 1, 0], x[:5, 0], x[5:9, 1] = FIRST + 4, END, UNKNOWN
    there = np.zeros((300, FIRST + 20))
    np.put_along_axis(there, x.numpy(), 1, 1)
    theirs = bayes(alpha=ALPHA).fit(there[:200, FIRST:], y[:200].numpy())
    ours = learn(x[:200], y[:200], FIRST + 20, 3)
    np.testing.assert_allclose(ours.words[FIRST:].T, theirs.feature_log_prob_, atol=1e-12)
    np.testing.assert_allclose(ours.shares, theirs.class_log_prior_, atol=1e-12)
    assert ours(x[200:]).tolist() == theirs.predict(there[200:, FIRST:]).tolist()


def test_a_word_said_twice_counts_once_and_a_class_without_sentences_is_never_told() -> None:
    x = torch.tensor([[3, 4, END], [4, 4, END], [5, END, PAD]])
    told = learn(x, torch.tensor([0, 0, 2]), 7, 4)
    assert torch.equal(told(torch.tensor([[3, 3, END], [5, 5, 5], [UNKNOWN, END, PAD]])), torch.tensor([0, 2, 0]))
    assert (told.words[:FIRST] == 0).all()
    assert len(told(x[:0])) == 0


def test_real_sentences_reach_the_floor_and_exchanged_classes_fail(subjects: DataSet, tmp_path: Path) -> None:
    """Nine of ten keep to the words of their subject, so no classifier is above .95, and one that learnt it is above .85."""
    held = subjects.held
    assert held.y is not None
    real = scored(held.x, held.y, subjects, tmp_path)
    assert 0.85 < real.value < 0.97
    assert real.value == pytest.approx(real.floor or -1)
    assert f"3 classes, naive Bayes of words ({100 * real.value:.1f}% held-out accuracy)" in str(real.protocol)
    assert real.low is not None
    assert real.low < real.value
    assert set(real.extra["by_class"]) == set(OF)
    assert scored(held.x, (held.y + 1) % 3, subjects, tmp_path).value < 0.1
    deaf = scored(held.x, held.y[torch.randperm(len(held), generator=torch.Generator().manual_seed(0))], subjects, tmp_path)
    assert deaf.value == pytest.approx(1 / 3, abs=0.1)


def test_shuffled_classes_teach_nothing(tmp_path: Path) -> None:
    random = written(tmp_path / "random.csv", shuffled=True)
    assert random.held.y is not None
    found = scored(random.held.x, random.held.y, random, tmp_path)
    assert found.value == pytest.approx(1 / 3, abs=0.1)
    assert found.floor == pytest.approx(1 / 3, abs=0.1)


def test_it_says_what_is_missing(subjects: DataSet, tmp_path: Path) -> None:
    held = subjects.held
    assert held.y is not None
    with pytest.raises(InputError, match="needs a class-conditional generator"):
        scored(held.x, held.y, subjects, tmp_path, labelled=False)
    lines = tmp_path / "plain.txt"
    lines.write_text("\n".join(f"a sentence of {k} words" for k in range(100)), "utf-8")
    plain = open_data(Data(path=str(lines), tokenizer="word"))
    with pytest.raises(InputError, match="these have none; expected a column of classes"):
        scored(plain.held.x, torch.zeros(len(plain.held), dtype=torch.int64), plain, tmp_path)
