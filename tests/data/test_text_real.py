"""Real corpora, where AGON_DATA has them: counts that are known."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agon.data import Data, check, open_data

ROOT = Path(os.environ.get("AGON_DATA", "/nowhere"))


def at(name: str) -> str:
    if not (ROOT / name).is_dir():
        pytest.skip(f"AGON_DATA has no {name}")
    return str(ROOT / name)


def test_coco_has_the_words_of_the_papers(cache):
    data_set = open_data(Data(path=at("text_coco")), cache=cache)
    assert (len(data_set.train), len(data_set.held)) == (10_000, 10_000)
    assert data_set.space.describe() == "sentences of up to 37 tokens out of 4,682"
    assert data_set.card["overlap"] == 15
    assert data_set.card["num_unreadable"] == 0
    again = open_data(Data(path=at("text_coco")), cache=cache)
    assert again.content_hash == data_set.content_hash
    assert len(list((cache / "text").iterdir())) == 1


def test_multi30k_has_its_pairs_and_two_that_are_damaged(cache):
    report = check(Data(path=at("multi30k_en_de"), source="en", target="de"), cache=cache)
    assert (report.card["num_train"], report.card["num_held"]) == (29_000, 2_014)
    assert report.card["pairs"]["odd_lengths"] == 2
    assert [target for _, target in report.card["pairs"]["odd_examples"]] == ["@@", "@@"]
    assert report.warnings == []


def test_scitldr_has_its_summaries(cache):
    data_set = open_data(Data(path=at("scitldr"), source="source", target="target"), cache=cache)
    assert data_set.card["num_items"] == 3_229
    assert data_set.card["too_long"] < 40
    assert any("several targets" in note for note in data_set.card["notes"])
