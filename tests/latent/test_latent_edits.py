"""The file of named edits: a round trip, and any other content refused in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agon.errors import InputError
from agon.latent import Edit, named, read_amounts, read_edits, save_edits
from agon.latent.edits import FILE, from_json, to_json

finite = st.floats(allow_nan=False, allow_infinity=False, width=32)
edits = st.builds(
    Edit, name=st.text(min_size=1), space=st.sampled_from(["z", "w"]), direction=st.lists(finite, min_size=1, max_size=4).map(tuple),
    scale=finite, method=st.text(min_size=1), weights=st.text(min_size=1), note=st.text(),
    layers=st.none() | st.lists(st.integers(0, 30), max_size=3).map(tuple),
)  # fmt: skip
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)  # fmt: skip


@given(st.lists(edits, max_size=4))
@settings(max_examples=60, deadline=None)
def test_edits_survive_json(found: list[Edit]) -> None:
    assert from_json(json.loads(json.dumps(to_json(found))), "x") == found


@given(
    anything,
    st.sampled_from(["", "format", "edits", "entry", "name", "space", "direction", "scale", "layers", "weights", "note", "method"]),
)
@settings(max_examples=300, deadline=None)
def test_any_other_content_is_refused_in_words(value: object, place: str) -> None:
    good = {"name": "a", "space": "z", "direction": [1.0], "scale": 1.0, "method": "m", "weights": "w", "layers": None, "note": ""}
    content: object = {"format": 1, "edits": [good]}
    if place == "":
        content = value
    elif place in ("format", "edits"):
        content = {**content, place: value}  # type: ignore[dict-item]
    elif place == "entry":
        content = {"format": 1, "edits": [value]}
    else:
        content = {"format": 1, "edits": [{**good, place: value}]}
    try:
        found = from_json(content, "edits.json")
    except InputError as error:
        assert "edits.json" in str(error)
    else:
        assert all(isinstance(edit, Edit) for edit in found)
        assert from_json(json.loads(json.dumps(to_json(found))), "again") == found


def test_a_run_keeps_its_edits_and_the_newest_of_a_name(tmp_path: Path) -> None:
    assert read_edits(tmp_path) == []
    first = Edit(name="a", space="z", direction=(1.0, 0.0), scale=1.0, method="m", weights="w")
    other = Edit(name="b", space="z", direction=(0.0, 1.0), scale=1.0, method="m", weights="w")
    save_edits(tmp_path, [first, other])
    newer = Edit(name="a", space="z", direction=(0.0, 1.0), scale=2.0, method="m", weights="w")
    save_edits(tmp_path, [newer])
    assert read_edits(tmp_path) == [other, newer]
    assert named(read_edits(tmp_path), "a").scale == 2.0
    with pytest.raises(InputError, match="edit 'c' is unknown; this run has b, a"):
        named(read_edits(tmp_path), "c")
    with pytest.raises(InputError, match="none yet"):
        named([], "c")
    (tmp_path / FILE).write_text("{")
    with pytest.raises(InputError, match="Mend or delete the file"):
        read_edits(tmp_path)
    with pytest.raises(InputError, match="'scale' is 'inf'"):
        from_json({"format": 1, "edits": [{**to_json([first])["edits"][0], "direction": [1], "scale": float("inf")}]}, "x")


def test_amounts_are_read() -> None:
    assert read_amounts(["sefa-0=2.5", "bold"]) == [("sefa-0", 2.5), ("bold", 1.0)]
    for word in ("a=b", "=1", "a=nan"):
        with pytest.raises(InputError, match="expected NAME=AMOUNT"):
            read_amounts([word])
