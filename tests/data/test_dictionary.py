"""What the dictionary of two languages hears beside company: spelling, and how common a word is."""

from __future__ import annotations

import re
from collections import Counter

import pytest
import torch

from agon.data import dictionary
from agon.data.entry import default_cache
from agon.data.spoken import sentences
from agon.spaces.tokens import FIRST


def test_letters_in_common_by_hand() -> None:
    """ "ab$" and "abc$": of 6 and 9 parts of one to three letters they share a, b, $ and ab."""
    found = dictionary._spelling(["ab", "xyz"], ["abc", "xyz"])
    assert found[0, 0] == pytest.approx(2 * 4 / (6 + 9))
    assert found[1, 1] == 1
    assert found[0, 1] == pytest.approx(2 * 1 / (6 + 9))  # the end


def test_names_are_compared_without_marks_case_and_the_bytes_of_a_piece() -> None:
    assert dictionary._plain(["Straße", "Mädchen"]) == ["strasse", "madchen"]
    assert dictionary._plain(["ĠMÃ¤dchen", "Ġ", "ÃŁ"]) == [" madchen", " ", "ss"]  # pieces of byte-pair encoding
    likely = dictionary._spelling(["Wasser", "Hund"], ["water", "dog"])
    assert likely[0, 0] > dictionary.UNLIKE > likely[1, 1]


def test_spelling_and_use_find_words_of_a_dialect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every word has other vowels there and an ending, so that signs and numbers alone are written alike."""
    texts = [re.findall(r"\w+|[^\w\s]", text.lower()) for text in sentences(default_cache()).texts[:6_000]]
    dialect = str.maketrans("aeiou", "eiaou")

    def other(word: str) -> str:
        return word.translate(dialect) + "en" if word.isalpha() else word

    common = [word for word, _ in Counter(word for text in texts for word in text).most_common(400)]
    names = ["", "", "", *common], ["", "", "", *map(other, common)]
    place = {word: k for k, word in enumerate(names[0])}
    x = torch.zeros(len(texts), 30, dtype=torch.int64)
    for row, text in enumerate(texts):
        known = [place[word] for word in text if word in place][:30]
        x[row, : len(known)] = torch.tensor(known, dtype=torch.int64)
    right = {}
    for weights in ((0.0, 0.0), (dictionary.SPELLING, 0.0), (0.0, dictionary.USAGE), (dictionary.SPELLING, dictionary.USAGE)):
        monkeypatch.setattr(dictionary, "SPELLING", weights[0])
        monkeypatch.setattr(dictionary, "USAGE", weights[1])
        found = dictionary.learn((x[::2], x[1::2]), names)
        assert found is not None and found.anchors < 20
        assert all(len(side) == len(own) and not side[:FIRST].any() for side, own in zip(found.vectors, names, strict=True))
        right[weights] = sum(found.there[k] == k for k in range(FIRST, len(names[0]))) / len(common)
    neither, spelling, use, both = right.values()
    assert both > max(spelling, use) and min(spelling, use) > 1.5 * neither, right
