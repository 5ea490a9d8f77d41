"""Captions: words and rows, the condition "captions", asking by text, and a run directory that gives them back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agon.conditions import Conditions, read_wish
from agon.config import encode as to_json
from agon.data import Data, Loader, open_data
from agon.data.captions import LONGEST, MOST_WORDS, decode, encode, encode_known, tokenise, vocabulary
from agon.data.columns import Table, as_captions, known, read_column
from agon.directory import RunDirectory
from agon.errors import InputError
from agon.spaces import space_from_json

WORDS = ("a", "ball", "blue", "red", "rolls")


def test_words_of_a_sentence():
    assert tokenise("A red ball, that’s rolling (up-hill) — über_all 3×!") == [
        "a",
        "red",
        "ball",
        "that's",
        "rolling",
        "up-hill",
        "über",
        "all",
        "3",
    ]
    assert tokenise(" .,! ") == []
    assert vocabulary(["a red ball", "A blue ball rolls."]) == WORDS
    many = [f"w{k:05d}" for k in range(MOST_WORDS + 5)]
    assert vocabulary([" ".join(many), many[-1]])[-1] == many[-1], "the commonest stay"
    assert len(vocabulary([" ".join(many)])) == MOST_WORDS


def test_rows_and_back():
    rows = encode_known(["a red ball", "ball", "", "unknown", None, "a ball rolls unknown a"], WORDS)
    assert rows.shape == (6, 4)
    assert rows[:2].tolist() == [[1, 4, 2, 0], [2, 0, 0, 0]]
    assert known(rows).tolist() == [True, True, False, False, False, True]
    assert decode(rows[5], WORDS) == "a ball rolls a"
    assert torch.equal(encode("Red BALL", WORDS, 4), torch.tensor([4, 2, 0, 0]))
    assert encode_known(["a " * 500], WORDS).shape == (1, LONGEST)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "a rde ball",
            "the word 'rde', which this run never saw; expected some of its 5 words: a, ball, blue, red, rolls. Did you mean 'red'",
        ),
        ("a a a a a", "has 5 words; expected at most 4"),
        (" !", "has no word"),
    ],
)
def test_what_nobody_said_in_training_is_refused(text, told):
    with pytest.raises(InputError, match=told):
        encode(text, WORDS, 4)


def table(cells):
    return Table(("caption",), lambda name: cells, "captions.csv", lambda item: f"row {item}")


def test_captions_of_a_table():
    found = as_captions(*(lambda t: (t, read_column(t, "caption")))(table(["a red ball; and more", "", ["blue", "second"], "red|blue"])))
    assert found.kind == "words"
    assert found.names == ("a", "and", "ball", "blue", "more", "red")
    assert known(found.values).tolist() == [True, False, True, True]
    assert "1 samples have several captions" in found.notes[0]
    numbers = table([1.0, 2.0])
    with pytest.raises(InputError, match="holds no sentences"):
        as_captions(numbers, read_column(numbers, "caption"))


@pytest.fixture(scope="module")
def captioned():
    return open_data(Data(path="moving-shapes", limit=400, condition="captions"))


def test_the_condition_captions(captioned):
    space = captioned.space
    assert space.caption_length == 6
    assert {"a", "moving", "square", "purple", "up"} <= set(space.words)
    assert space.condition_dim == len(space.words) == 17
    assert captioned.train.y.dtype == torch.int64
    assert captioned.train.y.shape == (len(captioned.train), 6)
    assert [decode(row, space.words) for row in captioned.train.y] == captioned.train.captions
    assert space_from_json(to_json(space)) == space
    assert captioned.card["labels"]["distinct"] == len(set(captioned.train.captions))
    batch = Loader(captioned.train, batch=4, seed=0).round(0)[0]
    assert batch["y"].shape == (4, 6)
    assert open_data(Data(path="moving-shapes", limit=400, columns=("caption",))).space.words == space.words
    with pytest.raises(InputError, match="captions condition clips"):
        open_data(Data(path="shapes", limit=100, columns=("colour",), condition="captions"))
    with pytest.raises(InputError, match="has no column for it"):
        open_data(Data(path="shapes", limit=100, condition="captions"))
    with pytest.raises(InputError, match="name the one column"):
        open_data(Data(path="moving-shapes", limit=100, columns=("colour", "caption"), condition="captions"))


def test_asking_by_text(captioned):
    asked = Conditions.of(captioned.space, captioned.train.y, captioned.card["labels"])
    y = asked.ask(3, text="a Small red square moving up")
    assert [asked.caption(row) for row in y] == ["a small red square moving up"] * 3
    two = asked.ask(2, text=["a red circle", "moving left"])
    assert [asked.caption(row) for row in two] == ["a red circle", "moving left"]
    drawn = asked.draw(500, seed=3)
    assert torch.equal(drawn, asked.draw(500, seed=3))
    assert {asked.caption(row) for row in drawn} <= set(captioned.train.captions)
    assert len(drawn.unique(dim=0)) > 50
    assert "captions (17 words: a, blue" in asked.describe()
    assert read_wish(asked, None, None, None, "a red circle") == ({"text": "a red circle"}, [])
    for wish, told in (
        ({"text": "a pink circle"}, "'pink', which this run never saw"),
        ({"text": ["a", "a"]}, "2 texts were given for 3 samples"),
        ({"label": "up"}, 'Use --text, such as --text "a '),
        ({"text": "a", "tags": ["a"]}, "tags and text were asked for together"),
    ):
        with pytest.raises(InputError, match=told):
            asked.ask(3, **wish)
    with pytest.raises(InputError, match="Use --class"):
        Conditions(open_data(Data(path="moving-shapes", limit=20)).space).ask(2, text="a")


def test_a_run_keeps_its_captions(captioned, tmp_path):
    directory = RunDirectory(tmp_path)
    made = Conditions.of(captioned.space, captioned.train.y, captioned.card["labels"])
    made.write(directory)
    read = Conditions.read(directory, {}, space_from_json(to_json(captioned.space)))
    assert torch.equal(read.rows, made.rows)
    assert np.array_equal(read.draw(9, seed=1), made.draw(9, seed=1))
    assert "moving" in (tmp_path / "conditions.json").read_text()
    (tmp_path / "conditions.json").write_text('{"rows": ["a flying square"]}')
    with pytest.raises(InputError, match=r"damaged.*'flying'"):
        Conditions.read(directory, {}, captioned.space)
