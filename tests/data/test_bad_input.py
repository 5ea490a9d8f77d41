"""Bad input of every kind: an InputError that says what came, what was expected and how to fix it; never another exception."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agon.data import Data, open_data
from agon.errors import InputError

Prepare = Callable[[Path, Any], Path]


def _text_file(root: Path, make: Any) -> Path:
    (root / "a.txt").write_text("hello")
    return root / "a.txt"


def _folder(**files: bytes) -> Prepare:
    def prepare(root: Path, make: Any) -> Path:
        (root / "p").mkdir()
        for name, raw in files.items():
            (root / "p" / name.replace("__", ".")).write_bytes(raw)
        return root / "p"

    return prepare


def _with_labels(name: str, text: str) -> Prepare:
    def prepare(root: Path, make: Any) -> Path:
        (make.fill(root / "p", 10) / name).write_text(text)
        return root / "p"

    return prepare


def _cut_zip(root: Path, make: Any) -> Path:
    place = make.zipped(root / "a.zip", {f"{k}.png": make.png(k) for k in range(9)})
    place.write_bytes(place.read_bytes()[:-60])
    return place


def _encrypted_zip(root: Path, make: Any) -> Path:
    place = make.zipped(root / "a.zip", {f"{k}.png": make.png(k) for k in range(9)})
    raw = bytearray(place.read_bytes())
    for sign, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # set the encryption bit of every header
        start = raw.find(sign)
        while start >= 0:
            raw[start + at] |= 1
            start = raw.find(sign, start + 4)
    place.write_bytes(raw)
    return place


def _nested_zip(root: Path, make: Any) -> Path:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as inner:
        inner.writestr("x.png", make.png(0))
    return make.zipped(root / "a.zip", {"inner.zip": file.getvalue()})


def _written(name: str, raw: bytes) -> Prepare:
    def prepare(root: Path, make: Any) -> Path:
        (root / name).write_bytes(raw)
        return root / name

    return prepare


CASES: dict[str, tuple[Prepare, str]] = {
    "missing": (lambda root, make: root / "nowhere", "there is nothing at .*nowhere; expected a folder of images"),
    "missing parent": (lambda root, make: root / "no" / "where", "There is no folder"),
    "misspelt": (lambda root, make: make.fill(root / "flowers", 3).parent / "flowrs", "Did you mean 'flowers'"),
    "nul in name": (lambda root, make: Path(f"{root}/a\0b"), "cannot open"),
    "text file": (_text_file, "a.txt has 1 sentence; expected 20 at least"),
    "empty file": (_written("a.zip", b""), "is empty .0 bytes."),
    "binary file": (_written("a.bin", bytes(range(256)) * 4), "is of no kind known here"),
    "one picture": (lambda root, make: make.fill(root / "p", 1) / "000.png", "is one picture; a GAN learns from many"),
    "empty folder": (_folder(), "is empty; expected images"),
    "folder of texts": (_folder(a__txt=b"x", b__txt=b"y", c__md=b"z"), "has 2 sentences; expected 20 at least"),
    "all damaged": (_folder(a__png=b"", b__png=b"", c__jpg=b"text"), "3 image files and none can be read: 2 × empty file"),
    "one image": (lambda root, make: make.fill(root / "p", 1), "has 1 usable images; a GAN needs at least 8"),
    "seven and a bad one": (lambda root, make: _seven(root, make), "7 usable images .1 could not be read, the first: bad.png"),
    "not a zip": (_written("a.zip", b"not a zip at all"), "a.zip is a text file|is not a zip"),
    "not a zip either": (_written("a.zip", bytes(range(200))), "is not a zip"),
    "truncated zip": (_cut_zip, "is a truncated zip"),
    "encrypted zip": (_encrypted_zip, "is encrypted; unpack it"),
    "empty zip": (lambda root, make: make.zipped(root / "a.zip", {}), "is empty"),
    "zip of texts": (lambda root, make: make.zipped(root / "a.zip", {"a.txt": b"x"}), "has 1 sentence; expected 20 at least"),
    "zip in zip": (_nested_zip, "It holds inner.zip: unpack it"),
    "npz not npz": (_written("a.npz", b"PK nonsense"), "is not an npz that NumPy wrote"),
    "npy not npy": (_written("a.npy", b"\x93NUMPY\x01\x00garbage"), "is not an array that NumPy wrote"),
    "parquet not parquet": (_written("a.parquet", b"PAR1 nonsense"), "not a parquet file|needs pyarrow"),
    "csv without header": (_with_labels("labels.csv", "000.png,cat\n001.png,dog\n"), "starts with '000.png,cat'; expected a header"),
    "csv with other columns": (_with_labels("labels.csv", "x,y,w\n1,2,3\n"), "starts with 'x,y,w'; expected a header"),
    "text without a suffix": (_written("corpus", b"a line\n"), "corpus is a text file; to train on its lines, rename it to corpus.txt"),
    "notes": (_folder(notes__md=b"words"), "saw 1 × .md; expected images .* or text .*; rename plain text to .txt"),
    "csv empty": (_with_labels("labels.csv", "\n"), "has no header"),
    "csv header only": (_with_labels("labels.csv", "file,label\n"), "has a header but no rows"),
    "csv short row": (_with_labels("labels.csv", "file,label\n000.png,a\n001.png\n"), "row 3 has 1 columns"),
    "csv of other files": (_with_labels("labels.csv", "file,label\nq.png,a\nr.png,b\n"), "names 2 files and none of them is there"),
    "json broken": (_with_labels("dataset.json", '{"labels": ['), "dataset.json is not JSON"),
    "json list": (_with_labels("dataset.json", "[1, 2]"), "holds a list; expected"),
    "json wrong rows": (_with_labels("dataset.json", '{"labels": [["000.png"]]}'), "label 0 is"),
    "json vectors": (
        _with_labels("dataset.json", '{"labels": [["000.png", [1, 2]], ["001.png", [1]]]}'),
        "label 1 is .1.; expected a list of 2",
    ),
    "json vector names": (
        _with_labels("dataset.json", '{"labels": [["000.png", [1]]], "numbers": ["a", "b"]}'),
        "2 names for vectors of 1",
    ),
    "csv twice a column": (_with_labels("labels.csv", "file,age,age\n000.png,1,2\n"), "two columns called 'age'"),
    "jsonl broken": (_with_labels("labels.jsonl", '{"file": "000.png", "age": 3}\n{"file"'), "labels.jsonl row 2 is not JSON"),
    "jsonl without file": (_with_labels("labels.jsonl", '{"age": 3}\n'), "expected 'file' and at least one more"),
    "jsonl without a name": (_with_labels("labels.jsonl", '{"file": 7, "age": 3}\n'), "row 1 names no picture"),
    "json of words": (_with_labels("labels.json", '["a"]'), "item 0 is a; expected an object"),
    "json negative": (_with_labels("dataset.json", '{"labels": [["000.png", -1]]}'), "expected one class index from 0 up"),
    "json too few classes": (
        _with_labels("dataset.json", '{"labels": [["000.png", 2]], "classes": ["a", "b"]}'),
        "a label is 2 but there are 2 classes",
    ),
    "json classes": (_with_labels("dataset.json", '{"labels": [["000.png", 0]], "classes": 3}'), '"classes" must be a list of names'),
    "fifo": (lambda root, make: _fifo(root), "neither a file nor a folder"),
}


def _seven(root: Path, make: Any) -> Path:
    (make.fill(root / "p", 7) / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return root / "p"


def _fifo(root: Path) -> Path:
    import os

    os.mkfifo(root / "pipe")
    return root / "pipe"


@pytest.mark.parametrize("name", CASES)
def test_bad_paths(name, tmp_path, make, opened):
    prepare, why = CASES[name]
    place = prepare(tmp_path, make)
    with pytest.raises(InputError, match=why) as refusal:
        opened(place)
    told = str(refusal.value)
    assert "\n" not in told
    assert "0x" not in told
    assert len(told) < 500


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"size": 2}, "size got 2; expected 4 to 2048"),
        ({"size": -32}, "size got -32"),
        ({"size": (32, 100_000)}, "size got 100000"),
        ({"size": (32, 32, 32)}, "expected one number or .height, width."),
        ({"channels": 2}, r"channels got 2; expected 1 \(grey\), 3 \(RGB\) or 4 \(RGBA\)"),
        ({"resize": "crop"}, "resize got 'crop'; expected one of: cover contain stretch"),
        ({"filter": "lancos"}, "Did you mean 'lanczos'"),
        ({"labels": "yes"}, "labels got 'yes'"),
        ({"memory": "disk"}, "memory got 'disk'"),
        ({"holdout": 0.9}, "holdout got 0.9; expected a share from 0 to 0.5"),
        ({"holdout": float("nan")}, "holdout got nan"),
        ({"limit": 0}, "limit got 0"),
        ({"path": ""}, "the data path is empty"),
        ({"labels": "use"}, "--labels use, but .* has none; give class sub-folders"),
    ],
    ids=str,
)
def test_bad_options(tmp_path, make, cache, options, why):
    path = str(make.fill(tmp_path / "p", 9))
    with pytest.raises(InputError, match=why):
        open_data(Data(**{"path": path, **options}), cache=cache)


def test_requests_are_json(tmp_path):
    from pydantic import TypeAdapter

    adapter = TypeAdapter(Data)
    for request in (Data(path="x"), Data(path="x", size=(8, 16), mirror=True, limit=10), Data(path="x", size=32)):
        assert adapter.validate_json(adapter.dump_json(request)) == request


def test_the_package_does_not_wait_for_torch():
    import subprocess
    import sys

    code = "import sys; from agon.data import Data, EMBEDDED; assert 'torch' not in sys.modules; Data(path='x')"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_unknown_names_of_the_package():
    import agon.data

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = agon.data.nothing
    assert all(getattr(agon.data, name) is not None for name in agon.data.__all__)


@pytest.mark.parametrize(
    "write", [lambda text: ("\n\n" + text).encode(), lambda text: text.encode("utf-16")], ids=["blank lines first", "UTF-16"]
)
def test_tables_that_are_written_oddly_are_read(write, tmp_path, make, cache):
    text = "file,label\n" + "\n".join(
        f"{path.name},{'é' if k % 2 else 'b'}" for k, path in enumerate(sorted(make.fill(tmp_path / "p", 20).iterdir()))
    )
    (tmp_path / "p" / "labels.csv").write_bytes(write(text))
    assert open_data(Data(path=str(tmp_path / "p"), labels="use"), cache=cache).space.classes == ("b", "é")
