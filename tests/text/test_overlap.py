"""Rewards by overlap equal the reference implementations, sentence by sentence."""

from __future__ import annotations

import pytest
import torch

from agon.errors import InputError
from agon.overlap import bleu, rouge_l, words
from agon.spaces import Tokens

SPACE = Tokens(length=14, vocabulary=9)


def some(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x, reference = (SPACE.arbitrary(torch.rand(60, 14, generator=generator)).long() for _ in range(2))
    x[0] = reference[0]
    x[1] = 0
    return x, reference


def as_words(row: torch.Tensor) -> list[str]:
    return [str(token) for token in row[words(row[None])[0]].tolist()]


def test_bleu_is_nltks_with_one_added() -> None:
    nltk = pytest.importorskip("nltk.translate.bleu_score")
    x, reference = some(0)
    found = bleu(x, reference)
    assert found[0] == pytest.approx(1) and found[1] == 0
    for k in range(60):
        said, told = as_words(x[k]), as_words(reference[k])
        if not set(said) & set(told):
            assert found[k] == 0
            continue
        expected = nltk.sentence_bleu([told], said, smoothing_function=nltk.SmoothingFunction().method2)
        assert found[k].item() == pytest.approx(expected, abs=1e-5), (said, told)


def test_rouge_is_googles() -> None:
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rougeL"])
    x, reference = some(1)
    found = rouge_l(x, reference)
    for k in range(60):
        expected = scorer.score(" ".join(as_words(reference[k])), " ".join(as_words(x[k])))["rougeL"].fmeasure
        assert found[k].item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("score", [bleu, rouge_l])
def test_what_is_no_pair_is_refused(score: object) -> None:
    with pytest.raises(InputError, match="one reference a sentence"):
        score(torch.zeros(2, 3), torch.zeros(3, 3))  # type: ignore[operator]
