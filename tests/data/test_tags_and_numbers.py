"""Tags and numbers beside pictures: read from tables of every kind, chosen with a reason, standardised, kept in the pack."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agon.data import Data, Loader, Samples, check, open_data
from agon.data.columns import Table, as_numbers, as_tags, known, read_column
from agon.data.conditions import infer
from agon.data.described import describe_labels
from agon.data.tablefile import match, parse_table
from agon.errors import InputError

PICTURES = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)


def table(**columns):
    return Table(tuple(columns), columns.__getitem__, "t.csv", lambda k: f"t.csv row {k + 2}")


def beside(make, tmp_path, name, text):
    folder = make.fill(tmp_path / "p", 24)
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def rows(header, line):
    return header + "\n" + "".join(f"{k:03d}.png,{line(k)}\n" for k in range(24))


# --- what is found ---------------------------------------------------------------------------------------------------


def test_columns_of_zeros_and_ones_are_tags(tmp_path, make, opened):
    folder = beside(make, tmp_path, "labels.csv", rows("file,smile,hat", lambda k: f"{k % 2},{-1 if k % 3 else 1}"))
    data_set = opened(folder)
    assert data_set.space.tags == ("smile", "hat")
    assert data_set.space.describe() == "16×16 RGB images, 2 tags"
    for part in (data_set.train, data_set.held):
        assert part.y.dtype == torch.float32
        assert part.y.tolist() == [[float(i % 2), float(i % 3 == 0)] for i in part.index]
    assert data_set.reasons["labels"] == "used: 2 tags (smile, hat) from labels.csv"
    labels = data_set.card["labels"]
    assert [a + b for a, b in zip(labels["counts"], labels["held_counts"], strict=True)] == [12, 8]


@pytest.mark.parametrize("sign", [";", "|"])
def test_words_in_one_cell_are_tags(tmp_path, make, opened, sign):
    folder = beside(make, tmp_path, "labels.csv", rows("file,label", lambda k: sign.join(["a"] * (k % 2) + ["b"] + ["rare"] * (k == 1))))
    data_set = opened(folder)
    assert data_set.space.tags == ("a", "b")
    assert data_set.train.y[:, 0].tolist() == [float(i % 2) for i in data_set.train.index]
    assert any("1 words of 'label' left out" in note for note in data_set.card["notes"])


def test_numbers_are_standardised_by_the_training_samples(tmp_path, make, opened):
    folder = beside(make, tmp_path, "metadata.jsonl", "".join(
        json.dumps({"file_name": f"{k:03d}.png", "age": 20 + k, "height": 1.5 + 0.01 * (k % 7), "caption": f"nr {k}"}) + "\n"
        for k in range(24)))  # fmt: skip
    data_set = opened(folder)
    assert data_set.space.numbers == ("age", "height")
    y, labels = data_set.train.y, data_set.card["labels"]
    assert y.mean(0).abs().max() < 1e-5
    assert (y.std(0, correction=0) - 1).abs().max() < 1e-5
    again = y.double() * torch.tensor(labels["sd"]) + torch.tensor(labels["mean"])
    assert np.allclose(again[:, 0], [20 + i for i in data_set.train.index], atol=1e-4)
    assert labels["low"][0] >= 20
    assert "age 20 to 43" in data_set.reasons["labels"]


def test_one_hot_columns_are_classes_unless_tags_are_asked_for(tmp_path, make, opened):
    folder = beside(make, tmp_path, "labels.csv", rows("file,cat,dog", lambda k: f"{k % 2},{1 - k % 2}"))
    assert opened(folder).space.classes == ("cat", "dog")
    assert opened(folder).train.y.tolist() == [1 - int(i) % 2 for i in opened(folder).train.index]
    assert opened(folder, condition="tags").space.tags == ("cat", "dog")


def test_columns_are_chosen_by_name(tmp_path, make, opened):
    folder = beside(make, tmp_path, "labels.csv", rows("file,label,age,hat", lambda k: f"{'ab'[k % 2]},{k},{k % 3 % 2}"))
    assert opened(folder).space.classes == ("a", "b")
    assert opened(folder, columns=("age",)).space.numbers == ("age",)
    assert opened(folder, columns=("age", "hat")).space.numbers == ("age", "hat")
    assert opened(folder, columns=("hat",)).space.tags == ("hat",)
    assert opened(folder, columns=("label", "hat")).space.tags == ("a", "b", "hat")
    assert opened(folder, condition="numbers").space.numbers == ("age",)
    assert opened(folder, columns=("age",)).content_hash != opened(folder).content_hash
    with pytest.raises(InputError, match=r"columns names 'aeg'; labels.csv has label, age, hat. Did you mean 'age'"):
        opened(folder, columns=("aeg",))
    with pytest.raises(InputError, match="do not go together"):
        opened(folder, columns=("age", "label"))
    with pytest.raises(InputError, match="holds numbers; expected 0 and 1, or words"):
        opened(folder, columns=("age",), condition="tags")


def test_folders_called_by_numbers_can_be_numbers(tmp_path, make, opened):
    for k in (10, 20, 40):
        make.fill(tmp_path / "p" / str(k), 8, start=k)
    data_set = opened(tmp_path / "p", condition="numbers")
    assert data_set.space.numbers == ("folder",)
    assert set(data_set.card["labels"]["quartiles"][0]) <= {10.0, 20.0, 40.0}


def test_folder_classes_come_before_a_metadata_file(tmp_path, make, opened):
    for k, name in enumerate(("cat", "dog")):
        make.fill(tmp_path / "p" / name, 10, start=10 * k)
    lines = [f"{name}/{k:03d}.png,{k}" for name, start in (("cat", 0), ("dog", 10)) for k in range(start, start + 10)]
    (tmp_path / "p" / "metadata.csv").write_text("file,age\n" + "\n".join(lines))
    assert opened(tmp_path / "p").space.classes == ("cat", "dog")
    assert opened(tmp_path / "p", columns=("age",)).space.numbers == ("age",)


def test_celeba_attributes(tmp_path, make, opened):
    text = "24\nSmiling Male\n" + "".join(f"{k:03d}.png {1 if k % 2 else -1}  {-1 if k % 5 else 1}\n" for k in range(24))
    assert opened(beside(make, tmp_path, "list_attr_celeba.txt", text)).space.tags == ("Smiling", "Male")


def test_vectors_in_dataset_json(tmp_path, make, opened):
    content = {"labels": [[f"{k:03d}.png", [k / 7, 1 - k]] for k in range(24)], "numbers": ["a", "b"]}
    assert opened(beside(make, tmp_path, "dataset.json", json.dumps(content))).space.numbers == ("a", "b")


def test_npz_matrices(tmp_path, opened):
    tags = np.random.default_rng(1).integers(0, 2, (40, 3))
    np.savez(tmp_path / "a.npz", x=PICTURES, y=tags.astype(np.float32), tags=np.array(["a", "b", "c"]))
    data_set = opened(tmp_path / "a.npz")
    assert data_set.space.tags == ("a", "b", "c")
    assert np.array_equal(data_set.train.y.numpy(), tags[data_set.train.index])
    np.savez(tmp_path / "b.npz", x=PICTURES, y=np.linspace(0, 1, 40), x_test=PICTURES[:9], y_test=np.linspace(0, 1, 9))
    assert opened(tmp_path / "b.npz").space.numbers == ("y",)
    np.savez(tmp_path / "c.npz", x=PICTURES, y=np.arange(40) % 4)
    assert opened(tmp_path / "c.npz", condition="numbers").space.numbers == ("label",)


def test_parquet_columns(tmp_path, make, opened):
    arrow = pytest.importorskip("pyarrow", reason="needs the parquet extra")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {
        "image": [make.png(k) for k in range(24)], "tags": [["a"] * (k % 2) + ["b"] for k in range(24)], "age": [float(k) for k in range(24)],
        "caption": [f"number {k}" for k in range(24)],
    }  # fmt: skip
    parquet.write_table(arrow.table(columns), tmp_path / "a.parquet", row_group_size=7)
    assert opened(tmp_path / "a.parquet").space.tags == ("a", "b")
    assert opened(tmp_path / "a.parquet", columns=("age",)).space.numbers == ("age",)


def test_embedded_sets_have_columns(opened):
    assert opened("shapes", size=8, columns=("colour",)).space.num_classes == 6
    tags = opened("shapes", size=8, columns=("colour", "size"), condition="tags")
    assert len(tags.space.tags) == 8
    assert (tags.train.y.sum(1) == 2).all()
    for y, caption in zip(tags.train.y[:50], tags.train.captions[:50], strict=True):
        assert all((name in caption) == bool(on) for name, on in zip(tags.space.tags, y.tolist(), strict=True))
    ring = opened("ring", columns=("angle",))
    assert ring.space.numbers == ("angle",)
    angle = ring.train.y[:, 0].double() * ring.card["labels"]["sd"][0] + ring.card["labels"]["mean"][0]
    assert torch.allclose(torch.atan2(ring.train.x[:, 1], ring.train.x[:, 0]).cos().double(), torch.deg2rad(angle).cos(), atol=1e-3)


# --- what is missing or wrong ----------------------------------------------------------------------------------------


def test_missing_values(tmp_path, make, opened):
    folder = beside(make, tmp_path, "labels.csv", rows("file,age", lambda k: "" if k < 3 else k))
    assert opened(folder).train.y is None
    assert "3 of 24 images have no label" in opened(folder).reasons["labels"]
    used = opened(folder, columns=("age",))
    assert len(used.train) + len(used.held) == 21
    assert "3 images without a label are left out" in used.reasons["labels"]


@pytest.mark.parametrize(
    ("line", "options", "why"),
    [
        (
            lambda k: "old" if k == 5 else k,
            {"columns": ("age",), "condition": "numbers"},
            r"row 7 \(005.png\): 'age' is 'old'; expected a finite",
        ),
        (lambda k: "inf" if k == 2 else k, {"columns": ("age",), "condition": "numbers"}, r"row 4 \(002.png\): 'age' is 'inf'"),
        (lambda k: 7, {"columns": ("age",)}, "has one value everywhere"),
        (lambda k: "", {"columns": ("age",)}, "is empty; expected a value"),
        (lambda k: k, {"condition": "tags"}, r"no column for it, only age \(number\)"),
        (lambda k: k, {"labels": "ignore", "columns": ("age",)}, "--labels ignore leaves no condition"),
        (lambda k: k, {"balance": True}, "has no classes in use"),
    ],
)
def test_refusals(tmp_path, make, opened, line, options, why):
    with pytest.raises(InputError, match=why):
        opened(beside(make, tmp_path, "labels.csv", rows("file,age", line)), **options)


@pytest.mark.parametrize("cell", ["old", "inf", "-Infinity", "1e999"])
@pytest.mark.parametrize("options", [{}, {"condition": "numbers"}, {"columns": ("age",)}, {"labels": "use"}])
@pytest.mark.parametrize("header", ["file,age", "file,label", "file,height,age"])
def test_a_cell_that_is_no_number_is_named(tmp_path, make, opened, cell, options, header):
    column = header.split(",")[-1]
    if options.get("columns"):
        options = {"columns": (column,)}
    before = "1.5," if header.count(",") == 2 else ""
    folder = beside(make, tmp_path, "labels.csv", rows(header, lambda k: f"{before}{cell if k == 5 else k + 0.5}"))
    with pytest.raises(InputError) as told:
        opened(folder, **options)
    for part in ("labels.csv row 7 (005.png)", f"'{column}' is '{cell}'", "expected a finite number, or nothing", "--condition classes"):
        assert part in str(told.value)


def test_a_slip_in_a_table_that_is_not_called_labels_is_noted(tmp_path, make, opened):
    folder = beside(make, tmp_path, "metadata.csv", rows("file,age", lambda k: "old" if k == 5 else k))
    data_set = opened(folder)
    assert data_set.train.y is None
    assert any("metadata.csv row 7 (005.png): 'age' is 'old'" in note for note in data_set.card["notes"])


def test_nan_is_a_value_that_is_not_known_and_words_among_class_numbers_are_classes(tmp_path, make, opened):
    assert (
        "1 of 24 images have no label"
        in opened(beside(make, tmp_path, "labels.csv", rows("file,age", lambda k: "nan" if k == 5 else k))).reasons["labels"]
    )
    folder = beside(make, tmp_path / "q", "labels.csv", rows("file,label", lambda k: "other" if k % 4 == 0 else k % 4))
    assert opened(folder).space.classes == ("1", "2", "3", "other")


def test_two_rows_that_differ_are_refused(tmp_path, make, opened):
    text = rows("file,age", lambda k: k) + "003.png,99\n"
    with pytest.raises(InputError, match="two values of 'age': '3' and '99'"):
        opened(beside(make, tmp_path, "labels.csv", text))


def test_a_folder_without_a_table_says_how_to_make_one(tmp_path, make, opened):
    with pytest.raises(InputError, match="--columns hat was asked for, but .* has neither classes nor a table; give class sub-folders"):
        opened(make.fill(tmp_path / "p", 9), columns=("hat",))


def test_check_reports_balance(tmp_path, make, cache):
    folder = beside(make, tmp_path, "labels.csv", rows("file,smile,hat", lambda k: f"{k % 2},{int(k > 20)}"))
    lines = check(Data(path=str(folder)), cache=cache).lines()
    assert any("smile: 12 of 24 (50.0%)" in line for line in lines)
    assert any(line.startswith("labels") and "2 tags (smile, hat)" in line for line in lines)
    report = check(Data(path="shapes", size=8, columns=("x", "radius")), cache=cache)
    assert any(line.startswith("number") and "x: 0.26" in line for line in report.lines())
    json.dumps(report.to_json())


# --- laws ------------------------------------------------------------------------------------------------------------

quick = settings(max_examples=80, deadline=None)
_cell = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.floats(), st.text(max_size=6), st.lists(st.text(max_size=3), max_size=3))


@quick
@given(st.lists(st.lists(_cell, min_size=12, max_size=12), min_size=1, max_size=4))
def test_any_cells_become_a_sound_condition_or_none(columns):
    made = table(**{f"c{k}": cells for k, cells in enumerate(columns)})
    try:
        found = infer(made)
    except InputError as error:
        assert "expected a finite number" in str(error)
        return
    if found is None:
        return
    assert len(found.values) == 12
    there = found.values[known(found.values)]
    if found.kind == "classes":
        assert set(np.unique(there)) == set(range(len(found.names)))
    else:
        assert found.values.shape == (12, len(found.names))
        assert len(set(found.names)) == len(found.names)
        assert np.isfinite(there).all()
        assert found.kind == "numbers" or set(np.unique(there)) <= {0.0, 1.0}


@quick
@given(st.lists(st.sets(st.sampled_from("abcd")), min_size=16, max_size=16))
def test_tags_survive_being_written(wanted):
    texts = [";".join(sorted(words)) for words in wanted]
    column = read_column(table(tags=[json.dumps(sorted(words)) for words in wanted]), "tags")
    plain = read_column(table(tags=texts), "tags")
    for one in (column, plain) if any(";" in text for text in texts) else (column,):
        try:
            found = as_tags([one], "t")
        except InputError:
            assert all(sum(word in words for words in wanted) < 4 for word in "abcd")
            continue
        for row, words in zip(found.values, wanted, strict=True):
            assert {name for name, on in zip(found.names, row, strict=True) if on} == words & set(found.names)


@quick
@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=4, max_size=20))
def test_numbers_survive_being_written(values):
    made = table(v=["" if value is None else repr(value) for value in values])
    found = as_numbers(made, [read_column(made, "v")]).values[:, 0]
    assert all(np.isnan(a) if b is None else a == b for a, b in zip(found, values, strict=True))


@quick
@given(st.sampled_from([".csv", ".jsonl", ".json", ".txt"]), st.one_of(st.binary(max_size=120), st.text(max_size=120).map(str.encode)))
def test_table_files_survive_anything(suffix, raw):
    try:
        parsed = parse_table(raw, "labels" + suffix)
        made = match(parsed, ["a.png", "b.png"], "labels" + suffix)
        infer(made)
    except InputError:
        return
    assert len(parsed.files) == len(parsed.cells)


# --- balanced batches ------------------------------------------------------------------------------------------------


def _skewed(counts):
    y = torch.cat([torch.full((count,), k) for k, count in enumerate(counts)])
    return Samples(torch.arange(len(y), dtype=torch.uint8).reshape(-1, 1, 1, 1).repeat(1, 1, 1, 2), y)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.sampled_from([1, 2]), st.integers(1, 5), st.integers(0, 20))
def test_balanced_batches_hold_every_class_equally_often(counts, world, share, index):
    samples, k = _skewed(counts), len(counts)
    how = {"batch": share * world, "seed": 1, "mirror": True, "balance": True}
    whole = Loader(samples, **how).round(index)[0]
    parts = [Loader(samples, rank=rank, world=world, **how).round(index)[0] for rank in range(world)]
    assert torch.equal(whole["x"], torch.cat([part["x"] for part in parts]))
    stream = torch.cat([Loader(samples, **{**how, "batch": 6 * k}).round(number)[0]["y"] for number in range(3)])
    assert (stream.reshape(-1, k).sort(1).values == torch.arange(k)).all()
    alone = Loader(samples, batch=k * max(counts), seed=1, balance=True).round(0)[0]
    for c, count in enumerate(counts):
        chosen = alone["x"][alone["y"] == c].flatten(1)[:count, 0]
        assert len(set(chosen.tolist())) == count, "each sample of a class once before one comes again"


def test_balance_needs_classes():
    with pytest.raises(InputError, match="balance is for classes"):
        Loader(Samples(torch.zeros(9, 1, 2, 2), torch.zeros(9, 2)), 3, 0, balance=True)


def test_embedded_classes_can_be_balanced():
    assert "10 classes equally often" in open_data(Data(path="digits", balance=True)).reasons["balance"]


def test_balance_is_of_all_pictures():
    y = {"train": np.array([0] * 30 + [2] * 33), "held": np.array([0] * 3 + [1] + [2] * 4)}
    told = describe_labels("classes", ("a", "b", "c"), y, used=True, origin="folders")
    assert (told["counts"], told["held_counts"], told["balance"]) == ([30, 0, 33], [3, 1, 4], round(1 / 37, 4))
