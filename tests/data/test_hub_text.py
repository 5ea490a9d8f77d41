"""Text of the hub: rows of a stand-in for the library `datasets`, as its splits give them."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest

from agon.data import Data, open_data
from agon.data.hub import is_text as hub_is_text
from agon.errors import InputError


class Split:
    """Looks like a split of the datasets library as far as it is used."""

    def __init__(self, rows: list[dict[str, Any]], **names: list[str]) -> None:
        self.rows = rows
        self.features = {key: types.SimpleNamespace(names=names[key]) if key in names else object() for key in rows[0]}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: int) -> dict[str, Any]:
        return self.rows[key]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    sets: dict[str, Any] = {}
    library = types.SimpleNamespace(load_dataset=lambda name, config: sets[name], Image=dict)
    monkeypatch.setitem(sys.modules, "datasets", library)
    return sets


def rows(start: int, count: int) -> list[dict[str, Any]]:
    return [{"text": f"the dog number {'abcdefgh'[k % 8]} sees {'xyzuvw'[k % 6]}", "label": k % 2} for k in range(start, start + count)]


def test_sentences_and_their_classes(hub, cache) -> None:  # type: ignore[no-untyped-def]
    hub["some/reviews"] = {"train": Split(rows(0, 60), label=["bad", "good"]), "test": Split(rows(60, 12), label=["bad", "good"])}
    data_set = open_data(Data(path="hf:some/reviews"), cache=cache)
    assert (len(data_set.train), len(data_set.held)) == (60, 12)
    assert data_set.space.classes == ("bad", "good")
    assert data_set.held.captions[0].startswith("the dog number")
    assert "its own test split" in data_set.reasons["split"]
    assert data_set.card["kind"] == "hub data set"


def test_pairs_in_one_column_of_languages(hub, cache) -> None:  # type: ignore[no-untyped-def]
    pairs = [{"translation": {"de": f"der Hund {k % 9}", "en": f"the dog {k % 9}"}} for k in range(80)]
    hub["some/pairs"] = {"train": Split(pairs[:70]), "validation": Split(pairs[70:])}
    data_set = open_data(Data(path="hf:some/pairs", source="en", target="de"), cache=cache)
    assert data_set.space.source.decode(data_set.train.y[:1]) == ["the dog 0"]
    assert data_set.train.captions[0] == "der Hund 0"
    assert len(data_set.held) == 10


def test_withheld_classes_and_a_side_without_any(hub, cache) -> None:  # type: ignore[no-untyped-def]
    names = ["bad", "good"]
    hidden = [row | {"label": -1} for row in rows(60, 12)]
    hub["some/glue"] = {
        "train": Split(rows(0, 60), label=names),
        "test": Split(hidden, label=names),
        "validation": Split(rows(72, 9), label=names),
    }
    data_set = open_data(Data(path="hf:some/glue"), cache=cache)
    assert data_set.space.classes == ("bad", "good")
    assert len(data_set.held) == 9
    assert "its own validation split" in data_set.reasons["split"]
    plain = [{"text": row["text"]} for row in rows(0, 60)]
    hub["some/half"] = {"train": Split(plain), "test": Split(rows(60, 12), label=names)}
    data_set = open_data(Data(path="hf:some/half"), cache=cache)
    assert data_set.space.classes == ()
    assert "by content hash" in data_set.reasons["split"]


def test_pictures_of_any_name_are_no_text_and_are_not_read(hub, cache) -> None:  # type: ignore[no-untyped-def]
    class Image:
        names = None

    class Broken(dict):  # type: ignore[type-arg]
        def __getitem__(self, key: str) -> Any:
            assert key != "photo", "a picture was decoded"
            return super().__getitem__(key)

    part = Split([Broken(row, photo=b"") for row in rows(0, 60)], label=["bad", "good"])
    part.features["photo"] = Image()
    hub["some/photos"] = {"train": part}
    assert not hub_is_text(Data(path="hf:some/photos"))
    data_set = open_data(Data(path="hf:some/photos", text="text"), cache=cache)
    assert data_set.space.classes == ("bad", "good")


def test_what_is_wrong_with_it(hub, cache) -> None:  # type: ignore[no-untyped-def]
    hub["some/numbers"] = {"train": Split([{"a": 1, "b": 2.0}] * 30)}
    hub["some/none"] = {}
    hub["some/two"] = {"train": Split([{"question": "what is it?", "answer": "a dog"}] * 30)}
    for name, told in (
        ("hf:some/numbers", "none is called text or sentence"), ("hf:some/none", "has no split"), ("hf:some/two", "--text COLUMN"),
        ("hf:gone", "cannot be had"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=told):
            open_data(Data(path=name), cache=cache)
    with pytest.raises(InputError, match="has no column 'query'"):
        open_data(Data(path="hf:some/two", source="query", target="answer"), cache=cache)
    with pytest.raises(InputError, match="no sentence that can be read"):
        open_data(Data(path="hf:some/numbers", text="a"), cache=cache)
