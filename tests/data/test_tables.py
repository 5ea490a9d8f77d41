"""Parquet and hub data sets: columns found, labels named, splits kept, bad rows skipped."""

from __future__ import annotations

import builtins
import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from agon.errors import InputError

arrow = pytest.importorskip("pyarrow", reason="needs the parquet extra")
parquet = pytest.importorskip("pyarrow.parquet")


def write(place: Path, rows: dict[str, Any], *, names: list[str] | None = None, group: int = 5) -> Path:
    table = arrow.table(rows)
    if names is not None:
        features = {"label": {"names": names, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({b"huggingface": json.dumps({"info": {"features": features}}).encode()})
    place.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, place, row_group_size=group)
    return place


def as_struct(raws: list[bytes | None]) -> list[dict[str, Any]]:
    return [{"bytes": raw, "path": f"{k}.png"} for k, raw in enumerate(raws)]


def test_bytes_and_labels(tmp_path, make, opened):
    place = write(tmp_path / "a.parquet", {"image": [make.png(k) for k in range(17)], "label": [k % 2 for k in range(17)]})
    data_set = opened(place)
    assert len(data_set.train) + len(data_set.held) == 17
    assert data_set.space.classes == ("0", "1")
    assert data_set.train.y.tolist() == [int(i) % 2 for i in data_set.train.index]


def test_the_hub_layout_with_splits_and_class_names(tmp_path, make, opened):
    for part, count, start in (("train", 14, 0), ("test", 9, 50)):
        rows = {"img": as_struct([make.png(start + k) for k in range(count)]), "label": [k % 2 for k in range(count)]}
        write(tmp_path / "d" / "data" / f"{part}-00000-of-00001.parquet", rows, names=["cat", "dog"])
    data_set = opened(tmp_path / "d")
    assert (len(data_set.train), len(data_set.held)) == (14, 9)
    assert data_set.space.classes == ("cat", "dog")
    assert data_set.card["labels"]["origin"] == "column label"


def test_bad_rows_are_skipped(tmp_path, make, opened):
    raws = [make.png(k) for k in range(10)]
    place = write(tmp_path / "a.parquet", {"image": as_struct([*raws, None, b"text", make.png(3)[:60]])})
    bad = opened(place).card["unreadable"]
    assert [name for name, _ in bad] == ["row 10", "row 11", "row 12"]
    assert bad[0][1] == "no image bytes in this row"


def test_words_as_labels(tmp_path, make, opened):
    rows = {"picture": [make.png(k) for k in range(12)], "class": ["owl" if k < 6 else "fox" for k in range(12)]}
    assert opened(write(tmp_path / "a.parquet", rows)).space.classes == ("fox", "owl")


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (
            {"text": ["a", "b"], "label": [0, 1]},
            r"has no column of image bytes, only text \(string\), label.*to train on the text in 'text', write it as .jsonl",
        ),
        ({"image": arrow.array([], arrow.binary())}, "holds no row"),
    ],
)
def test_refusals(tmp_path, opened, rows, why):
    with pytest.raises(InputError, match=why):
        opened(write(tmp_path / "a.parquet", rows))


def test_a_damaged_file(tmp_path, make, opened):
    place = write(tmp_path / "a.parquet", {"image": [make.png(k) for k in range(9)]})
    place.write_bytes(place.read_bytes()[:-20])
    with pytest.raises(InputError, match="not a parquet file that can be read"):
        opened(place)


def test_without_the_libraries(tmp_path, make, opened, monkeypatch):
    place = write(tmp_path / "a.parquet", {"image": [make.png(k) for k in range(9)]})
    real = builtins.__import__

    def refuse(name: str, *rest: Any, **how: Any) -> Any:
        if name.split(".")[0] in ("pyarrow", "datasets"):
            raise ImportError(name)
        return real(name, *rest, **how)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(InputError, match=r"pip install 'agon-gan\[parquet\]'"):
        opened(place)
    with pytest.raises(InputError, match=r"pip install 'agon-gan\[hub\]'"):
        opened("hf:mnist")


class FakeSplit:
    """Looks like a split of the datasets library as far as it is used."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows
        self.features = {"image": object(), "label": types.SimpleNamespace(names=["even", "odd"])}
        self._fingerprint = f"{len(rows)}"

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Any) -> Any:
        return [row[key] for row in self.rows] if isinstance(key, str) else self.rows[key]

    def cast_column(self, column: str, feature: Any) -> FakeSplit:
        assert column == "image"
        assert feature == {"decode": False}
        return self


def test_a_hub_data_set(make, opened, monkeypatch):
    def rows(start: int, count: int) -> list[dict[str, Any]]:
        return [{"image": {"bytes": make.png(start + k), "path": None}, "label": k % 2} for k in range(count)]

    def load_dataset(name: str, config: str | None) -> dict[str, FakeSplit]:
        if name != "someone/set":
            raise ConnectionError("no network")
        assert config == "small"
        return {"train": FakeSplit(rows(0, 12)), "test": FakeSplit(rows(40, 8))}

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset, Image=dict))
    data_set = opened("hf:someone/set:small")
    assert (len(data_set.train), len(data_set.held)) == (12, 8)
    assert data_set.space.classes == ("even", "odd")
    assert "its own test split" in data_set.reasons["split"]
    with pytest.raises(InputError, match=r"cannot be had: no network; check its name and the network"):
        opened("hf:nowhere")
    with pytest.raises(InputError, match="names no data set"):
        opened("hf:")
