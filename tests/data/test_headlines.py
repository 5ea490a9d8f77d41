"""The embedded reports: each has one headline, which can be read from it, and neither its first sentence nor chance gives it."""

from __future__ import annotations

from pathlib import Path

import pytest

from agon import recipes
from agon.data import Data, open_data
from agon.data.headlines import HELD, TRAIN, headline, headlines
from agon.errors import InputError
from agon.spaces import Tokens


def test_every_headline_follows_from_its_report() -> None:
    corpus = headlines()
    assert corpus.sources is not None and corpus.held is not None
    assert [headline(report) for report in corpus.sources] == corpus.texts
    assert (len(corpus), sum(corpus.held)) == (TRAIN + HELD, HELD)
    assert len(set(corpus.sources)) == len(corpus), "none stands twice"
    assert headlines().sources == corpus.sources


def test_neither_the_first_sentence_nor_another_report_gives_it() -> None:
    corpus = headlines()
    assert corpus.sources is not None
    told = [set(text.split()) for text in corpus.texts[:2_000]]
    lead = [set(report.split(" .")[0].split()) for report in corpus.sources[:2_000]]
    share = sum(len(a & b) / len(a) for a, b in zip(told, lead, strict=True)) / len(told)
    assert share < 0.45, "the first sentence has less than half of the words"
    assert len(set(corpus.texts)) > 0.95 * len(corpus)


def test_a_text_that_is_no_report_is_refused() -> None:
    with pytest.raises(ValueError, match="no report"):
        headline("the sun was shining .")


def test_they_open_as_pairs_and_take_the_recipe_for_summaries(tmp_path: Path) -> None:
    found = open_data(Data(path="headlines", limit=500), cache=tmp_path)
    space = found.space
    assert space.source is not None
    assert space.source.tokenizer == space.tokenizer, "their words are those of their sources"
    assert (len(found.train), len(found.held)) == (500, 500)
    name, _ = recipes.pick(recipes.Situation(space=space, count=500, device="cpu"))
    assert name == "summary"
    assert headline(space.source.decode(found.train.y[:1])[0]) == space.decode(found.train.x[:1])[0]
    assert found.card["held_unknown_share"] == 0


def test_without_pairs_reports_and_headlines_have_nothing_in_common(tmp_path: Path) -> None:
    found = open_data(Data(path="headlines", unpaired=True), cache=tmp_path)
    space, train = found.space, found.train
    assert space.source is not None and train.y is not None
    assert space.source.dictionary == space.dictionary == (0, 0, 0, *range(3, space.vocabulary)), "every word stands for itself"
    asked, said = space.source.decode(train.y), set(space.decode(train.x))
    there = [headline(report) in said for report in asked]
    assert len(asked) == TRAIN // 2 and sum(there) < 0.02 * len(there), "but for headlines that two reports have"
    assert found.held.y is not None and len(found.held) == HELD
    assert headline(space.source.decode(found.held.y[:1])[0]) == space.decode(found.held.x[:1])[0]
    name, _ = recipes.pick(recipes.Situation(space=space, count=TRAIN // 2, device="cpu"))
    assert name == "summary-unpaired"
    with pytest.raises(InputError, match="leave out --unpaired"):
        open_and_build(space, "summary")


def open_and_build(space: Tokens, recipe: str) -> None:
    """Build a recipe's game on a space, as a run does."""
    game = recipes.find(recipe).build(recipes.Situation(space=space, count=1_000, device="cpu")).game
    if (reason := game.why_not(space)) is not None:
        raise InputError(reason)


def test_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'headlines' has none"):
        open_data(Data(path="headlines", source="en", target="de"), cache=tmp_path)
