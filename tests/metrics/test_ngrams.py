"""Scores of token sequences: equal to NLTK's sentence BLEU, exact against brute force, defined at every edge, and the COCO captions' human rows."""

from __future__ import annotations

import gzip
import math
import os
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.tokenize import NLTKWordTokenizer
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

from agon.errors import InputError
from agon.metrics import ngrams

WORDS = st.integers(0, 3)  # few, so that n-grams are shared and repeated
SENTENCES = st.lists(st.lists(WORDS, max_size=8), min_size=1, max_size=7)
quick = settings(max_examples=40, deadline=None)


def by_nltk(sample: list, references: list, orders: tuple[int, ...] = ngrams.ORDERS) -> list[float]:
    """Sentence BLEU of every order (two or more) by NLTK."""
    return sentence_bleu(references, sample, [(1 / n,) * n for n in orders], SmoothingFunction(epsilon=0.1).method1)


def corpus(seed: int, count: int, vocabulary: int = 30, longest: int = 14) -> list[list[str]]:
    """Sentences of words whose frequencies fall as language's do, some of them empty or of one word."""
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, vocabulary + 1)
    return [[f"w{k}" for k in rng.choice(vocabulary, rng.integers(0, longest + 1), p=share / share.sum())] for _ in range(count)]


def edits(a: list, b: list) -> int:
    """Edit distance by the textbook recursion."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        new = [i]
        for j, y in enumerate(b, start=1):
            new.append(min(row[j] + 1, new[-1] + 1, row[j - 1] + (x != y)))
        row = new
    return row[-1]


@pytest.mark.parametrize("seed", range(4))
def test_bleu_is_nltks(seed: int) -> None:
    samples, references = corpus(seed, 40), corpus(100 + seed, 25)
    np.testing.assert_allclose(ngrams.bleu_each(samples, references), [by_nltk(s, references) for s in samples], atol=1e-12, rtol=0)
    others = [samples[:k] + samples[k + 1 :] for k in range(len(samples))]
    np.testing.assert_allclose(
        ngrams.self_bleu_each(samples), [by_nltk(s, o) for s, o in zip(samples, others, strict=True)], atol=1e-12, rtol=0
    )


@quick
@given(SENTENCES, SENTENCES)
def test_bleu_is_nltks_at_every_edge(samples: list, references: list) -> None:
    orders = (1, 2, 3, 4, 5)
    np.testing.assert_allclose(
        ngrams.bleu_each(samples, references, orders), [by_nltk(s, references, orders) for s in samples], atol=1e-12, rtol=0
    )


@quick
@given(st.lists(st.lists(WORDS, max_size=8), min_size=2, max_size=7))
def test_self_bleu_leaves_one_out(samples: list) -> None:
    brute = [ngrams.bleu_each([s], samples[:k] + samples[k + 1 :])[0] for k, s in enumerate(samples)]
    np.testing.assert_allclose(ngrams.self_bleu_each(samples), brute, atol=1e-12, rtol=0)


@quick
@given(SENTENCES, SENTENCES, st.randoms())
def test_order_of_samples_does_not_matter(samples: list, references: list, random) -> None:
    mixed, other = random.sample(samples, len(samples)), random.sample(references, len(references))
    for score in (
        lambda s, r: ngrams.bleu(s, r),
        lambda s, r: ngrams.self_bleu(s),
        lambda s, r: ngrams.novelty(s, r),
        lambda s, r: ngrams.distinct(s),
    ):
        assert score(mixed, other) == pytest.approx(score(samples, references), abs=1e-12, nan_ok=True)
    assert ngrams.unique_share(mixed) == ngrams.unique_share(samples)
    assert sorted(ngrams.nearest(mixed, other).distance) == sorted(ngrams.nearest(samples, references).distance)


@quick
@given(st.lists(WORDS, max_size=8), SENTENCES)
def test_a_sentence_among_its_references_scores_one(sentence: list, references: list) -> None:
    """Where it is long enough: orders it does not have count as a tenth each, as NLTK does."""
    scores = ngrams.bleu([sentence], [*references, sentence])
    for order, score in scores.items():
        lacking = max(0, order - len(sentence))
        assert score == pytest.approx(0.1 ** (lacking / order) if sentence else 0, abs=1e-12)
    assert ngrams.self_bleu([sentence, sentence, *references])[2] <= 1
    np.testing.assert_allclose(ngrams.self_bleu_each([sentence, sentence])[0], list(scores.values()), atol=1e-12)
    near = ngrams.nearest([sentence], [*references, sentence])
    assert near.distance[0] == 0 and [*references, sentence][near.which[0]] == sentence


@quick
@given(SENTENCES, SENTENCES)
def test_bounds(samples: list, references: list) -> None:
    every = [*ngrams.bleu(samples, references).values(), *ngrams.self_bleu(samples).values(), *ngrams.novelty(samples, references).values()]
    every += [*ngrams.distinct(samples).values(), ngrams.unique_share(samples), *ngrams.nearest(samples, references).distance]
    assert all(math.isnan(value) or 0 <= value <= 1 + 1e-12 for value in every)


def test_a_tie_in_length_goes_to_the_shorter() -> None:
    """References of 3 and 5 words are as near to 4: the shorter takes no penalty; leave-one-out alike."""
    samples = [list("abcd"), list("abc"), list("abcde")]
    assert ngrams.bleu_each(samples[:1], samples[1:], (1,)).item() == 1
    assert ngrams.bleu_each(samples[:1], samples[2:], (1,)).item() == pytest.approx(math.exp(1 - 5 / 4))
    np.testing.assert_allclose(ngrams.self_bleu_each(samples, (1,))[:, 0], [1, math.exp(1 - 4 / 3), 4 / 5])


def test_counts_are_clipped_by_the_best_reference() -> None:
    """Papineni's example: seven times `the` against two sentences that hold it twice and once is 2/7."""
    references = [["the", "cat", "is", "on", "the", "mat"], ["there", "is", "a", "cat", "on", "the", "mat"]]
    assert ngrams.bleu([["the"] * 7], references, (1,))[1] == pytest.approx(2 / 7)


def test_what_is_undefined_is_nan() -> None:
    assert all(math.isnan(v) for v in ngrams.bleu([], [["a"]]).values())
    assert all(math.isnan(v) for v in ngrams.bleu([["a"]], []).values())
    assert all(math.isnan(v) for v in ngrams.self_bleu([["a", "b"]]).values())
    assert all(math.isnan(v) for v in ngrams.self_bleu([]).values())
    assert math.isnan(ngrams.unique_share([])) and math.isnan(ngrams.lengths([])["mean"])
    assert math.isnan(ngrams.distinct([["a"]], (2,))[2]) and math.isnan(ngrams.novelty([["a"]], [["a"]], (2,))[2])
    lone = ngrams.nearest([["a"], []], [])
    assert np.isnan(lone.distance).all() and lone.which.tolist() == [-1, -1]


def test_empty_sentences() -> None:
    assert ngrams.bleu([[]], [["a", "b"]])[2] == 0 and ngrams.bleu([["a"]], [[]])[2] == 0 and ngrams.bleu([[]], [[]])[2] == 0
    assert ngrams.self_bleu([[], []]) == dict.fromkeys(ngrams.ORDERS, 0.0)
    assert ngrams.nearest([[], ["a"]], [[]]).distance.tolist() == [0, 1]
    assert ngrams.unique_share([[], [], ["a"]]) == pytest.approx(2 / 3)


def test_tokens_may_be_words_numbers_rows_or_tensors() -> None:
    rows = np.random.default_rng(0).integers(0, 9, (20, 6))
    words = [[f"w{token}" for token in row] for row in rows]
    for same in (rows, rows.tolist(), torch.from_numpy(rows), [torch.from_numpy(row) for row in rows]):
        assert ngrams.self_bleu(same) == ngrams.self_bleu(words)
        assert ngrams.novelty(same, rows[:5]) == ngrams.novelty(words, words[:5])


def test_what_is_refused_and_why() -> None:
    with pytest.raises(InputError, match=r"sentence 1 is a string, not a list of tokens: 'a man'.*split"):
        ngrams.bleu([["a"], "a man"], [["a"]])
    with pytest.raises(InputError, match="got one string"):
        ngrams.self_bleu("a man")
    with pytest.raises(InputError, match=r"from 1.*got \(0, 2\)"):
        ngrams.bleu([["a"]], [["a"]], (0, 2))
    with pytest.raises(InputError, match="at least one"):
        ngrams.distinct([["a"]], ())


def test_shares_by_hand() -> None:
    samples = [["a", "cat", "sat"], ["a", "cat", "ran"], ["a", "cat", "sat"]]
    assert ngrams.unique_share(samples) == pytest.approx(2 / 3)
    assert ngrams.distinct(samples, (1, 2, 3)) == pytest.approx({1: 4 / 9, 2: 3 / 6, 3: 2 / 3})
    assert ngrams.novelty(samples, [["a", "cat", "ran"], ["sat"]], (1, 2, 3)) == pytest.approx({1: 0, 2: 2 / 6, 3: 2 / 3})
    assert ngrams.lengths([["a"], [], ["a"] * 5]) == pytest.approx(
        {"mean": 2, "sd": math.sqrt(14 / 3), "least": 0, "median": 1, "most": 5, "empty": 1 / 3}
    )


@quick
@given(SENTENCES, SENTENCES)
def test_shares_by_counting(samples: list, training: list) -> None:
    for n in (1, 2, 3):
        own, known = (Counter(tuple(s[k : k + n]) for s in side for k in range(len(s) - n + 1)) for side in (samples, training))
        if own.total():
            assert ngrams.distinct(samples, (n,))[n] == pytest.approx(len(own) / own.total())
            assert ngrams.novelty(samples, training, (n,))[n] == pytest.approx(
                sum(c for g, c in own.items() if g not in known) / own.total()
            )
    assert ngrams.unique_share(samples) == len({tuple(s) for s in samples}) / len(samples)


@pytest.mark.parametrize("cells", [1 << 20, 50])
def test_nearest_is_exact(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against all pairs; more training sentences than are measured at first, and tables that hold few of them."""
    monkeypatch.setattr(ngrams, "_CELLS", cells)
    samples, training = corpus(1, 60), corpus(2, 300)
    found = ngrams.nearest(samples, training)
    for k, sample in enumerate(samples):
        each = [edits(sample, other) / max(len(sample), len(other), 1) for other in training]
        assert found.distance[k] == min(each) == each[found.which[k]]


@cache
def captions() -> list[list[list[str]]]:
    """COCO captions, [train, test] of 10,000 each, by NLTK's word tokenizer."""
    folder = Path(os.environ.get("AGON_DATA", "/none")) / "text_coco"
    if not folder.is_dir():
        pytest.skip("AGON_DATA names no folder with text_coco/{image,test}_coco.txt.gz")
    split = NLTKWordTokenizer().tokenize
    lines = (gzip.decompress((folder / f"{name}_coco.txt.gz").read_bytes()).decode("utf-8").splitlines() for name in ("image", "test"))
    return [[split(line) for line in text] for text in lines]


# `stop=True`: figures that were handed down without saying so, but come out only when a full stop ends every caption;
# `stop=False` are those of the captions as they are, on which Texygen's own table rests (docs/text-metrics.md).
@pytest.mark.parametrize(
    ("stop", "forth", "back", "own", "within"),
    [
        (True, (0.743, 0.526, 0.343, 0.222), (0.814, 0.611, 0.414, 0.268), (0.894, 0.751, 0.580, 0.422), 0.003),
        (False, (0.7403, 0.5202, 0.3371, 0.2180), (0.8113, 0.6051, 0.4053, 0.2630), (0.8924, 0.7473, 0.5736, 0.4157), 0.0001),
    ],
    ids=["full stop", "as they are"],
)
def test_human_rows_of_coco(stop: bool, forth: tuple, back: tuple, own: tuple, within: float) -> None:
    train, test = ([[*words, "."] if stop and words[-1:] != ["."] else words for words in text] for text in captions())
    assert len(train) == len(test) == 10_000
    assert list(ngrams.bleu(train, test).values()) == pytest.approx(forth, abs=within)
    assert list(ngrams.bleu(test, train).values()) == pytest.approx(back, abs=within)
    assert list(ngrams.self_bleu(train).values()) == pytest.approx(own, abs=within)


def test_copies_of_coco_are_found() -> None:
    train, test = captions()
    near = ngrams.nearest(train[:50] + test[:50], train)
    assert (near.distance[:50] == 0).all() and near.distance[50:].mean() > 0.3
