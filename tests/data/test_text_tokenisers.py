"""Tokenisers: what is encoded, decoded and encoded again is the same, whatever the text; the kind is chosen by what can be counted."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agon.data import tokenisers
from agon.errors import InputError
from agon.spaces.tokens import FIRST, UNKNOWN, Tokens

LEARNED = [
    f"a man, who is {k} years old (nearly), rides the dog's bicycle: {word}!"
    for k, word in enumerate(["fast", "slow", "Ärger", "ΟΔΟΣ", "naïve"] * 8)
]
APART = [f"a man rides the {word} , and falls ." for word in ["fast", "slow", "red", "green"] * 10]
ANY = st.lists(st.text(max_size=40), min_size=1, max_size=4)


def space(texts, kind, **options):
    content = tokenisers.train(texts, kind, **options)
    return Tokens(length=1, vocabulary=1 + max(json.loads(content)["model"]["vocab"].values()), tokenizer=content)


@pytest.fixture(scope="module", params=["word", "word apart", "word lower", "bpe", "bpe lower", "character", "character lower"])
def language(request):
    kind, _, how = request.param.partition(" ")
    return space(APART if how == "apart" else LEARNED, kind, lower=how == "lower", size=300 if kind == "bpe" else None)


@settings(max_examples=120, deadline=None)
@given(texts=ANY)
def test_encoding_is_stable(language, texts):
    said = [" ".join(text.replace("\0", "").encode("utf-8", "replace").decode().split()) for text in texts]
    ids = language.ids(said)
    assert all(UNKNOWN <= token < language.vocabulary for row in ids for token in row)
    wide = Tokens(length=400, vocabulary=language.vocabulary, tokenizer=language.tokenizer)
    decoded = wide.decode(wide.pack(ids))
    assert wide.ids(decoded) == ids


@settings(max_examples=60, deadline=None)
@given(texts=ANY)
def test_bytes_lose_nothing(texts):
    said = [text.encode("utf-8", "replace").decode() for text in texts]
    language = space(LEARNED, "bpe", size=300)
    wide = Tokens(length=400, vocabulary=language.vocabulary, tokenizer=language.tokenizer)
    assert wide.decode(wide.pack(wide.ids(said))) == said


@pytest.mark.parametrize("kind", ["word", "bpe", "character"])
@pytest.mark.parametrize("lower", [False, True])
def test_the_training_text_is_known_whole(kind, lower):
    language = space(LEARNED, kind, lower=lower, size=300 if kind == "bpe" else None)
    assert not any(UNKNOWN in row for row in language.ids(LEARNED))
    wide = Tokens(length=200, vocabulary=language.vocabulary, tokenizer=language.tokenizer)
    said = wide.decode(wide.pack(wide.ids(LEARNED)))
    assert [text.casefold() for text in said] == [text.casefold().replace("σ", "σ") for text in LEARNED]
    assert tokenisers.train(LEARNED, kind, lower=lower) == tokenisers.train(LEARNED, kind, lower=lower)


@pytest.mark.parametrize("kind", ["word", "bpe", "character"])
def test_the_words_of_padding_in_a_text_are_no_padding(kind):
    texts = [f"a <pad> b <end> c <unk> {k} ." for k in range(60)]
    for these in (texts, [text.replace(" .", "") for text in texts]):
        language = space(these, kind)
        for row in language.ids(these):
            assert min(row) >= UNKNOWN
        assert len(language.pieces(Tokens.pack(Tokens(length=60, vocabulary=9), language.ids(these)))) == 60
    if kind == "word":
        assert all(row.count(UNKNOWN) >= 1 for row in space(texts, kind).ids(texts))


def test_halves_of_signs_become_something():
    language = space(LEARNED, "bpe", size=300)
    assert language.ids(["a \ud800 man"]) == language.ids(["a ? man"])


def test_sizes():
    assert space(LEARNED, "word", size=10).vocabulary == 10
    assert space(LEARNED, "bpe", size=270).vocabulary == 270
    assert space(APART, "character").vocabulary < 30
    for kind, size in (("word", 3), ("bpe", 258)):
        with pytest.raises(InputError, match="vocabulary got"):
            tokenisers.train(LEARNED, kind, size=size)


def test_signs_that_stand_apart_stay_apart():
    assert tokenisers.apart(APART)
    assert not tokenisers.apart(LEARNED)
    language = space(APART, "word")
    wide = Tokens(length=20, vocabulary=language.vocabulary, tokenizer=language.tokenizer)
    assert wide.decode(wide.pack(wide.ids(APART))) == APART


def test_the_kind_is_chosen_by_counts():
    assert tokenisers.choose(["Anna", "Bert", "Carla"] * 10)[0] == "character"
    assert tokenisers.choose(LEARNED * 3)[0] == "word"
    rare = [f"word{chr(97 + k % 26)}{chr(97 + k // 26)}x stands here only once or so" for k in range(300)]
    kind, why = tokenisers.choose(rare)
    assert kind == "bpe"
    assert "unknown in new sentences" in why


def test_lower_case_counts_capitals_once():
    texts = [f"{word} Word again and again" for word in ("The", "the", "THE")] * 10
    assert space(texts, "word", lower=True).vocabulary == FIRST + 4
    assert space(texts, "word").vocabulary == FIRST + 6


def test_without_texts():
    assert space(LEARNED, "word").ids([]) == []
