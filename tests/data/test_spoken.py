"""Embedded languages: sentences of the length asked for, and what they are not asked."""

from __future__ import annotations

import re

import pytest
import torch

from agon.data import Data, open_data, spoken
from agon.errors import InputError
from agon.languages.grammar import Arithmetic


@pytest.mark.parametrize("name", ["oracle", "oracle-stream"])
def test_the_oracle_speaks_at_any_length(name, cache, monkeypatch):
    """The first words are those of the length of 20 under one noise; entropy a token and the stamp are of the length asked for."""
    monkeypatch.setattr(spoken, "STREAM", 80)
    long = open_data(Data(path=name, limit=60, length=40), cache=cache)
    assert (long.space.length, long.card["length"], tuple(long.train.x.shape)) == (40, 40, (60, 40))
    assert bool((long.train.x > 2).all())
    assert long.reasons["length"] == "40 tokens: asked for"
    short = open_data(Data(path=name, limit=60), cache=cache)
    assert short.reasons["length"] == "20 tokens: the field's; --length N takes another"
    assert len({long.content_hash, short.content_hash}) == 2
    language = spoken.language_of(name, 40)
    told = language.log_likelihood(*spoken.unpacked(long.train.x, long.space))
    assert float(-told.mean()) / 40 == pytest.approx(5.9, abs=0.3)


def test_streams_of_two_lengths_are_two_entries(cache, monkeypatch):
    monkeypatch.setattr(spoken, "SENTENCES", 20)
    monkeypatch.setattr(spoken, "STREAM", 60)
    monkeypatch.setattr(spoken, "HELD", 20)
    found = [open_data(Data(path="oracle-stream", length=length), cache=cache) for length in (5, 30, 30, 31)]
    assert [data_set.train.x.shape[1] for data_set in found] == [5, 30, 30, 31]
    assert torch.equal(found[1].train.x, found[2].train.x)
    assert len(list((cache / "text").iterdir())) == 2, "5 tokens of 60 sentences are drawn again rather than kept"


def test_the_grammar_has_its_entropy_at_any_length(cache):
    data_set = open_data(Data(path="arithmetic", limit=50, length=12), cache=cache)
    assert data_set.reasons["length"] == "12 tokens, the end among them: asked for"
    assert data_set.card["notes"] == [f"entropy {Arithmetic(12).entropy:.4f} nats a sentence"]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"length": 1}, "length got 1; expected 2 to 4,096 tokens"),
        ({"length": 201}, "length got 201; expected 2 to 200 tokens a sentence of oracle"),
        (
            {"vocabulary": 100},
            "vocabulary is for text that is read, and oracle is drawn from a language with words of its own; leave it out",
        ),
        ({"size": 8}, "size is for pictures or clips, and oracle is text"),
    ],
)
def test_what_a_language_is_not_asked(asked, expected, cache):
    with pytest.raises(InputError, match=re.escape(expected)):
        open_data(Data(path="oracle", **asked), cache=cache)
