"""idx, npy and npz: read as they are, refused with a reason, and never anything but InputError on random bytes."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agon.data import rows
from agon.data.labels import parse_json
from agon.data.source import open_source
from agon.data.tablefile import parse_table
from agon.errors import InputError

PICTURES = np.random.default_rng(0).integers(0, 256, (40, 16, 16), dtype=np.uint8)
LABELS = (np.arange(40) % 4).astype(np.uint8)


def mnist_like(folder: Path, make, *, compress: bool = True, dot: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    end = ".gz" if compress else ""
    for name, part in (("train", slice(0, 30)), ("t10k", slice(30, 40))):
        sign = "." if dot else "-"
        image, label = f"{name}-images{sign}idx3-ubyte", f"{name}-labels{sign}idx1-ubyte"
        (folder / f"{image}{end}").write_bytes(make.idx(PICTURES[part], compress=compress))
        (folder / f"{label}{end}").write_bytes(make.idx(LABELS[part], compress=compress))
    return folder


@pytest.mark.parametrize(("compress", "dot", "nested"), [(True, False, ""), (False, True, ""), (True, False, "MNIST/raw")])
def test_an_mnist_folder(tmp_path, make, opened, compress, dot, nested):
    mnist_like(tmp_path / "m" / nested, make, compress=compress, dot=dot)
    data_set = opened(tmp_path / "m")
    assert data_set.space.describe() == "16×16 grey images, 4 classes"
    assert (len(data_set.train), len(data_set.held)) == (30, 10)
    assert np.array_equal(data_set.train.x[:, 0].numpy(), PICTURES[:30]), "the size fits, so nothing is resampled"
    assert data_set.held.y.tolist() == LABELS[30:].tolist()
    assert "its own test part" in data_set.reasons["split"]


def test_one_idx_file_finds_its_labels(tmp_path, make, opened):
    folder = mnist_like(tmp_path / "m", make)
    data_set = opened(folder / "train-images-idx3-ubyte.gz")
    assert len(data_set.train) + len(data_set.held) == 30
    assert data_set.space.num_classes == 4
    (folder / "train-labels-idx1-ubyte.gz").unlink()
    assert opened(folder / "train-images-idx3-ubyte.gz").train.y is None


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((20, 16, 16), (1, 16, 16)), ((20, 16, 16, 3), (3, 16, 16)), ((20, 3, 16, 16), (3, 16, 16)), ((20, 16, 16, 1), (1, 16, 16))],
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_npz_layouts(tmp_path, opened, shape, expected, order):
    array = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    np.savez(tmp_path / "a.npz", x=np.asarray(array, order=order), y=np.arange(20) % 2)
    data_set = opened(tmp_path / "a.npz", channels=expected[0])
    assert data_set.train.x.shape[1:] == expected
    k = int(data_set.train.index[3])
    wanted = array[k] if shape[1] == 3 else array[k][None] if array.ndim == 3 else array[k].transpose(2, 0, 1)
    assert np.array_equal(data_set.train.x[3].numpy(), wanted)
    assert data_set.train.y.tolist() == [int(i) % 2 for i in data_set.train.index]


@pytest.mark.parametrize("names", [("x", "y"), ("images", "labels"), ("arr_0", "arr_1"), ("train_images", "train_labels")])
def test_npz_names(tmp_path, opened, names):
    np.savez_compressed(tmp_path / "a.npz", **{names[0]: PICTURES, names[1]: LABELS[:, None].astype(np.int32)})
    assert opened(tmp_path / "a.npz").space.num_classes == 4


def test_npz_with_a_test_part_and_class_names(tmp_path, opened):
    np.savez(
        tmp_path / "a.npz", x_train=PICTURES, y_train=LABELS, x_test=PICTURES[:9], y_test=LABELS[:9], classes=np.array(["a", "b", "c", "d"])
    )
    data_set = opened(tmp_path / "a.npz")
    assert (len(data_set.train), len(data_set.held)) == (40, 9)
    assert data_set.space.classes == ("a", "b", "c", "d")


def test_npy_and_an_npz_with_one_odd_name(tmp_path, opened):
    np.save(tmp_path / "a.npy", PICTURES)
    np.savez(tmp_path / "b.npz", faces=PICTURES)
    assert opened(tmp_path / "a.npy").content_hash == opened(tmp_path / "b.npz").content_hash


def test_large_arrays_are_streamed(tmp_path, monkeypatch, make):
    monkeypatch.setattr(rows, "WHOLE_BELOW", 100)
    np.savez_compressed(tmp_path / "a.npz", x=PICTURES)
    (tmp_path / "images-idx3-ubyte.gz").write_bytes(make.idx(PICTURES))
    np.savez(tmp_path / "planar.npz", x=PICTURES.reshape(40, 1, 16, 16)[:, [0, 0, 0]])
    for name in ("a.npz", "images-idx3-ubyte.gz"):
        source = open_source(str(tmp_path / name))
        for k in (0, 1, 2, 39, 5):
            assert np.array_equal(source.read(k), PICTURES[k]), (name, k)
    source = open_source(str(tmp_path / "planar.npz"))
    assert np.array_equal(source.read(7), np.repeat(PICTURES[7][..., None], 3, axis=-1))


# --- refusals ------------------------------------------------------------------------------------------------------


def save(tmp_path: Path, **named: np.ndarray) -> Path:
    np.savez(tmp_path / "a.npz", **named)
    return tmp_path / "a.npz"


@pytest.mark.parametrize(
    ("named", "why"),
    [
        ({"x": np.array([{"a": 1}] * 9, dtype=object)}, "holds Python objects"),
        ({"x": np.zeros((9, 8, 8))}, r"is float64; expected uint8 in 0..255: .x \* 255..*0..1, .*127.5.* if it is -1..1"),
        ({"x": np.zeros((9, 8, 8), bool)}, r"is bool; expected uint8 in 0..255: x.astype.'uint8'. \* 255"),
        ({"x": np.zeros((9, 8, 8), np.int16)}, r"is int16; .*if it is 0..255, .x >> 7..*if it is 0..2\*\*15-1"),
        ({"x": np.zeros((9, 8, 8), np.uint16)}, r"is uint16; .*if it is 0..255, .x >> 8..*if it is 0..2\*\*16-1"),
        ({"x": np.zeros((9, 8, 8), np.int64)}, "is int64"),
        ({"x": np.zeros((9, 64), np.uint8)}, r"shape \[9, 64\].*reshape flat rows"),
        ({"x": np.zeros((9, 8, 8, 2), np.uint8)}, "2 channels"),
        ({"x": np.zeros((0, 8, 8), np.uint8)}, r"shape \[0, 8, 8\]"),
        ({"x": np.zeros((9, 8, 8), np.uint8), "y": np.zeros(8, np.int64)}, "8 labels for 9 images"),
        ({"x": np.zeros((9, 8, 8), np.uint8), "y": np.zeros((9, 3), complex)}, "expected one integer an image"),
        ({"x": np.zeros((9, 8, 8), np.uint8), "y": np.full((9, 3), np.inf)}, "is infinite for image 0; expected finite numbers"),
        ({"x": np.zeros((9, 8, 8), np.uint8), "y": np.zeros((9, 3)), "tags": np.array(["a", "b"])}, "2 names for labels of 3 columns"),
        ({"a": np.zeros(3), "b": np.zeros(3)}, "holds a, b; expected an array called x"),
        ({"x": np.zeros((9, 8, 8), np.uint8), "x_test": np.zeros((9, 9, 9), np.uint8)}, "differ in shape"),
    ],
)
def test_npz_refusals(tmp_path, opened, named, why):
    with pytest.raises(InputError, match=why):
        opened(save(tmp_path, **named))


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"\0\0\x0d\x03" + b"\0" * 40, "starts with 00 00 0d 03; an idx file of uint8"),
        (b"\0\0\x08\x03\0\0", "ends within its header"),
        (b"\0\0\x08\x03" + b"\0\0\0\x64" + b"\0\0\0\x08" * 2 + b"\0" * 100, "declares 100 images of 64 bytes and can hold 1 at most"),
        (b"\0\0\x08\x03" + b"\xff\xff\xff\xff" + b"\0\0\0\x08" * 2 + b"\0" * 100, "declares 4294967295 images"),
        (b"\0\0\x08\x03" + b"\0\0\0\0" + b"\0\0\0\x08" * 2, "declares no image"),
        (b"\0\0\x08\x03" + b"\0\0\0\x09" + b"\0\0\0\0" * 2, "declares images of 0×0"),
        (b"\0\0\x08\x03" + b"\0\0\0\x09" + b"\x7f\xff\xff\xff" * 2, "expected sides of 1 to 16384"),
        (b"\0\0\x08\x01" + b"\0\0\0\x09" + b"\0" * 9, "holds labels"),
        (b"\x1f\x8b\x08\0garbage", "cannot be read"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_idx_refusals(tmp_path, opened, raw, why):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(raw)
    with pytest.raises(InputError, match=why):
        opened(tmp_path / "train-images-idx3-ubyte")


def test_idx_labels_that_do_not_fit(tmp_path, make, opened):
    folder = mnist_like(tmp_path / "m", make)
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(make.idx(LABELS[:29]))
    with pytest.raises(InputError, match="29 labels for 30 images"):
        opened(folder)


def test_a_cut_gzip_is_told(tmp_path, make, opened):
    folder = mnist_like(tmp_path / "m", make)
    place = folder / "train-images-idx3-ubyte.gz"
    place.write_bytes(place.read_bytes()[:-3000])
    with pytest.raises(InputError, match=r"damaged.*copy or download it again"):
        opened(folder)


def test_several_sets_in_one_folder(tmp_path, make, opened):
    for name in ("letters-train", "digits-train"):
        (tmp_path / f"{name}-images-idx3-ubyte").write_bytes(make.idx(PICTURES))
    with pytest.raises(InputError, match="give the file you want"):
        opened(tmp_path)


# --- random bytes --------------------------------------------------------------------------------------------------

quick = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _damaged(data: st.DataObject, raw: bytes) -> bytes:
    changed = bytearray(raw)
    for _ in range(data.draw(st.integers(0, 6))):
        changed[data.draw(st.integers(0, min(len(changed) - 1, 300)))] = data.draw(st.integers(0, 255))
    return bytes(changed[: data.draw(st.integers(0, len(changed)))])


def _read_all(name: str, raw: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / name
        place.write_bytes(raw)
        try:
            source = open_source(str(place))
            for k in range(min(3, len(source))):
                assert source.read(k).dtype == np.uint8
        except InputError as refusal:
            told = str(refusal)
        else:
            told = "fine"
    assert told


@quick
@given(st.data())
def test_idx_survives_anything(data):
    raw = struct.pack(">HBB3I", 0, 8, 3, 4, 16, 16) + PICTURES[:4].tobytes()
    _read_all("train-images-idx3-ubyte", _damaged(data, gzip.compress(raw, 1) if data.draw(st.booleans()) else raw))


@quick
@given(st.data())
def test_npz_survives_anything(data):
    file = io.BytesIO()
    np.savez_compressed(file, x=PICTURES[:4], y=LABELS[:4])
    _read_all("a.npz", _damaged(data, file.getvalue()))
    file = io.BytesIO()
    np.save(file, PICTURES[:4])
    _read_all("a.npy", _damaged(data, file.getvalue()))


@quick
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: ("file,label\n" + text).encode("utf-8", "replace"))))
def test_labels_csv_survives_anything(raw):
    try:
        rows = parse_table(raw, "labels.csv")
    except InputError:
        return
    assert rows.files
    assert all(len(cells) == len(rows.columns) for cells in rows.cells)


_leaf = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
_json = st.recursive(_leaf, lambda inner: st.lists(inner, max_size=4), max_leaves=8)
_files = st.fixed_dictionaries({"labels": _json}, optional={"classes": _json})


@quick
@given(st.one_of(st.binary(max_size=80), _files.map(lambda content: json.dumps(content).encode())))
def test_dataset_json_survives_anything(raw):
    try:
        pairs, _ = parse_json(raw, "dataset.json")
    except InputError:
        return
    assert pairs is None or all(isinstance(name, str) and index >= 0 for name, index in pairs)


def test_labels_are_int64(tmp_path, opened):
    np.savez(tmp_path / "a.npz", x=PICTURES, y=LABELS)
    assert opened(tmp_path / "a.npz").train.y.dtype == torch.int64
