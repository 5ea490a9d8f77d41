"""Corpora: what is read, in what order, from files, folders and zips of every kind, and what is counted and left out."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agon.data import Data, check, open_data
from agon.data.corpus import identity, is_text, read_corpus
from agon.data.textfiles import is_held, lines, twin_name
from agon.errors import InputError

SAID = [f"sentence number {k} is about {word}." for k, word in enumerate(["one", "two", "three", "four", "five", "six"] * 5)]


def corpus(path, **options):
    return read_corpus(Data(path=str(path), **options))


def write(path, text, encoding="utf-8"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


# -- lines -------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("last", [True, False])
def test_line_ends_and_encodings(tmp_path, end, encoding, last):
    texts = ["Ein Mädchen läuft.", "犬が走る", "no end"]
    path = write(tmp_path / "a.txt", end.join(texts) + end * last, encoding)
    assert corpus(path).texts == texts
    assert not corpus(path).faults


def test_signs_that_only_python_takes_for_line_ends(tmp_path):
    path = write(tmp_path / "a.txt", "one\u2028two\nthree\x0bfour\x85five\nlone\rreturn\nand\ufeff\u00a0mark\n")
    assert corpus(path).texts == ["one two", "three four five", "lone return", "and mark"]


def test_composed_and_decomposed_letters_are_one(tmp_path):
    assert len(set(corpus(write(tmp_path / "a.txt", "cafe\u0301\ncaf\u00e9\n")).texts)) == 1


def test_faults_are_counted_with_their_first_place(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"fine\n\nB\xe4r\nfine too\nz\0ro\nB\xe4r\n" + b"x " * 10_001 + b"\n" + b"y" * 200_000 + b"\n")
    found = corpus(path)
    assert found.texts == ["fine", "fine too"]
    assert found.faults == {"empty": 1, "not UTF-8": 2, "zero bytes in it": 1, "longer than 20,000 characters": 2}
    assert found.examples["not UTF-8"] == "a.txt, line 3"
    assert found.examples["longer than 20,000 characters"] == "a.txt, line 7"
    assert corpus(write(tmp_path / "b.txt", "lost \ufffd before\nfine\n")).faults == {"signs that were lost before (U+FFFD)": 1}


def test_content_says_what_is_gzipped(tmp_path):
    (tmp_path / "plain.txt.gz").write_text("not zipped\n")
    (tmp_path / "zipped.txt").write_bytes(gzip.compress(b"zipped\n"))
    assert corpus(tmp_path / "plain.txt.gz").texts == ["not zipped"]
    assert corpus(tmp_path / "zipped.txt").texts == ["zipped"]
    for name, raw in (
        ("cut", gzip.compress(b"a line\n" * 500)[:-12]),
        ("hurt", gzip.compress(b"a line\n" * 500)[:20] + b"xxxxxxxxxxxxxxxxxxxxxx"),
    ):
        (tmp_path / f"{name}.txt.gz").write_bytes(raw)
        with pytest.raises(InputError, match="cannot be read.*expected plain or gzipped text"):
            corpus(tmp_path / f"{name}.txt.gz")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(tmp_path_factory, raw):
    path = tmp_path_factory.mktemp("bytes") / "a.txt"
    path.write_bytes(raw)
    try:
        found = corpus(path)
    except InputError:
        return
    assert found.texts
    for text in found.texts:
        assert text == " ".join(text.split())
        text.encode()
    assert identity(found) == identity(corpus(path))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp", "Zs")), min_size=1, max_size=20), min_size=1, max_size=10)
)
def test_words_survive_every_kind_of_file(tmp_path_factory, words):
    """What is read from lines, records and tables is the same."""
    folder = tmp_path_factory.mktemp("kinds")
    said = [word.replace("\ufeff", "") + " x" for word in words if "\ufffd" not in word]
    if not said:
        return
    write(folder / "a.txt", "\n".join(said))
    write(folder / "a.jsonl", "".join(json.dumps({"text": text}) + "\n" for text in said))
    write(folder / "a.json", json.dumps(said))
    for name, sign in (("a.csv", ","), ("a.tsv", "\t")):
        out = io.StringIO()
        csv.writer(out, delimiter=sign).writerows([["id", "text"], *([k, text] for k, text in enumerate(said))])
        write(folder / name, out.getvalue())
    read = [corpus(folder / name).texts for name in ("a.txt", "a.jsonl", "a.json", "a.csv", "a.tsv")]
    assert all(texts == read[0] for texts in read)
    assert len(read[0]) == len(said)


@given(st.text(alphabet="ab\r\n", max_size=30))
def test_lines_lose_nothing(text):
    found = lines(text)
    assert "".join(found).replace("\r", "") == text.replace("\n", "").replace("\r", "")
    if "\r" not in text:
        assert len(found) == text.count("\n") + bool(text.rpartition("\n")[2])


# -- records -----------------------------------------------------------------------------------------------------------------------------


def test_json_lines_of_every_kind(tmp_path):
    rows = [
        '{"text": "a dog"}',
        '"a cat"',
        "{broken",
        "[1, 2]",
        '{"text": 7}',
        '{"other": "x"}',
        '{"text": ["two", "parts"]}',
        "",
        '{"text": "\\ud800"}',
        "[" * 9999,
    ]
    found = corpus(write(tmp_path / "a.jsonl", "\n".join(rows)))
    assert found.texts == ["a dog", "a cat", "two parts"]
    assert found.faults == {
        "no JSON": 2, "JSON, but no object": 1, "int where text was expected": 1, "no text": 1, "half a sign (a lone surrogate)": 1,
    }  # fmt: skip
    assert found.examples["no JSON"] == "a.jsonl, line 3"


def test_a_list_is_a_file_of_records_too(tmp_path):
    rows = [{"sentence": text, "label": k % 2} for k, text in enumerate(SAID)]
    for name, indent in (("a.json", 2), ("b.jsonl", None)):
        found = corpus(write(tmp_path / name, json.dumps(rows, indent=indent)))
        assert found.texts == SAID
        assert set(found.labels) == {"0", "1"}


def test_tables(tmp_path):
    found = corpus(write(tmp_path / "a.csv", 'id,text,label,\n1,"a dog, ""Rex""",pet,\n2,"two\nlines",pet\n3,short\n4,a cat,,\n,,,\n'))
    assert found.texts == ['a dog, "Rex"', "two lines"]
    assert found.labels == ["pet", "pet"]
    assert found.faults == {"2 cells instead of 3": 1, "no class": 1}
    found = corpus(write(tmp_path / "b.csv", "text;label\na dog, a cat;x\n"))
    assert (found.texts, found.labels) == (["a dog, a cat"], ["x"])
    assert "semicolons" in found.notes[0]


def test_a_quote_that_is_not_closed_swallows_nothing(tmp_path):
    rows = "".join(f"{text},{k % 2}\n" for k, text in enumerate(SAID))
    found = corpus(write(tmp_path / "a.csv", f'text,label\n{rows}"never closed,1\n{rows}"half" closed,0\n{rows}'))
    assert found.texts == SAID * 3
    assert found.faults == {"quotes that do not balance": 2}
    assert found.examples["quotes that do not balance"] == "a.csv, line 32"
    found = corpus(write(tmp_path / "b.tsv", 'text\tlabel\n"Stop\t1\nhe said "no"\t0\n'))
    assert found.texts == ['"Stop', 'he said "no"']


@pytest.mark.parametrize(
    ("head", "match"),
    [
        ("text,text", "names 'text' twice"),
        ("text,,label", "has a column without a name"),
        (",", "column without a name"),
        ("a,b", "say which is the text: --text COLUMN"),
    ],
)
def test_heads_that_name_nothing(tmp_path, head, match):
    with pytest.raises(InputError, match=match):
        corpus(write(tmp_path / "a.csv", head + "\n" + f"x,y{',z' * (head.count(',') > 1)}\n" * 30))


def test_columns_by_name(tmp_path):
    path = write(tmp_path / "a.csv", "said,kind,label\n" + "".join(f"{text},{k % 3},x\n" for k, text in enumerate(SAID)))
    assert corpus(path, text="said", columns=("kind",)).labels[:4] == ["0", "1", "2", "0"]
    assert corpus(path, text="said", labels="ignore").labels is None
    for options, match in (
        ({"text": "sayd"}, "no column 'sayd'; its columns are said, kind, label. Did you mean 'said'"),
        ({"text": "said", "columns": ("kind", "label")}, "the class of a sentence is one column"),
        ({"text": "said", "columns": ("said",)}, "columns and text both name 'said'"),
    ):
        with pytest.raises(InputError, match=match):
            corpus(path, **options)


def test_classes_that_are_missing_in_one_file(tmp_path):
    write(tmp_path / "d" / "train.csv", "text,label\n" + "a dog,x\n" * 30)
    write(tmp_path / "d" / "test.csv", "text\n" + "a dog\n" * 30)
    with pytest.raises(InputError, match=r"'train.csv' has classes and 'test.csv' has none.*--labels ignore"):
        corpus(tmp_path / "d")
    assert len(corpus(tmp_path / "d", labels="ignore")) == 60


def test_pairs_of_records(tmp_path):
    rows = [
        {"en": ["a", "dog"], "de": ["ein Hund", "Hund"]},
        {"en": "a cat", "de": ""},
        {"en": None, "de": "x"},
        {"en": "a cow", "de": "eine Kuh"},
        {"en": "a hen", "de": [None, "die Henne", "Henne"]},
        {"en": "an ox", "de": ["", None]},
    ]
    path = write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)))
    found = corpus(path, source="en", target="de")
    assert (found.sources, found.texts) == (["a dog", "a cow", "a hen"], ["ein Hund", "eine Kuh", "die Henne"])
    assert found.faults == {"empty": 1, "no text": 1, "no target that can be read": 1}
    assert "2 sources have several targets" in found.notes[0]
    assert found.others == {0: ("Hund",), 2: ("Henne",)}


# -- folders, zips, pairs of files --------------------------------------------------------------------------------------------------------


def test_names_of_what_is_held_out():
    held = (
        "test.txt",
        "test_coco.txt.gz",
        "image_test.txt",
        "a.test.en",
        "dev.jsonl",
        "val-2.csv",
        "valid.de",
        "test/a.txt",
        "newstest2014.de",
        "Test.TXT",
        "x/validation/y.txt",
    )
    free = ("testimony.txt", "devices.csv", "values.txt", "train.txt", "contest.txt", "latest.en", "trainval/a.txt", "develop.jsonl")
    assert [name for name in held if not is_held(name)] == []
    assert [name for name in free if is_held(name)] == []


def test_names_that_belong_together():
    assert twin_name("a/train.en.gz", "en") == twin_name("a/train.de", "de") == "a/train.*"
    assert twin_name("train.EN.txt", "en") == "train.*"
    assert twin_name("en.txt", "en") == "*"
    assert twin_name("seven.txt", "en") == twin_name("train.de", "en") == twin_name("train.en", None) == ""


def folder_of_pairs(root):
    for name, count in (("train", 30), ("val", 4)):
        write(root / f"{name}.en", "".join(f"{name} word {k}\n" for k in range(count)))
        (root / f"{name}.de.gz").write_bytes(gzip.compress("".join(f"{name} Wort {k}\n" for k in range(count)).encode()))
    return root


def test_parallel_files(tmp_path):
    root = folder_of_pairs(tmp_path / "p")
    write(root / "extra.en", "alone\n")
    write(root / "README.md", "about")
    found = corpus(root, source="en", target="de")
    assert len(found) == 34
    assert sum(found.held) == 4
    assert (found.sources[0], found.texts[0]) == ("train word 0", "train Wort 0")
    assert any("1 files have no partner" in note and "extra.en" in note for note in found.notes)
    single = corpus(root / "train.de.gz", source="en", target="de")
    assert single.held is None
    assert single.texts == found.texts[:30]
    with pytest.raises(InputError, match="holds the languages de en; say which is made from which: --source de --target en"):
        corpus(root)
    with pytest.raises(InputError, match=r"no file ending in .fr; its files end in de, en"):
        corpus(root, source="en", target="fr")
    with pytest.raises(InputError, match="has no partner beside it"):
        corpus(root / "extra.en", source="en", target="de")
    write(root / "val.en", "one line\n")
    with pytest.raises(InputError, match="'val.en' has 1 lines and 'val.de.gz' 4.*shifts all that follow"):
        corpus(root, source="en", target="de")


@pytest.mark.parametrize("language", ["a/b", "..", ".en", "x" * 300, "\0"])
def test_odd_languages_are_refused(tmp_path, language):
    with pytest.raises(InputError):
        corpus(folder_of_pairs(tmp_path / "p"), source=language, target="de")
    with pytest.raises(InputError):
        corpus(tmp_path / "p" / "train.de.gz", source=language, target="de")


def test_other_suffixes_of_pairs(tmp_path):
    write(tmp_path / "p" / "train.modern", "you go\n" * 30)
    write(tmp_path / "p" / "train.shakespeare", "thou goest\n" * 30)
    assert not is_text(Data(path=str(tmp_path / "p")))
    assert corpus(tmp_path / "p", source="modern", target="shakespeare").texts[0] == "thou goest"


def test_a_short_file_of_a_language_in_an_old_encoding_is_text(tmp_path):
    for name, word in (("a/t.en", "she goes over there"), ("a/t.de", "sie geht hinüber"), ("b/t.en", "she goes"), ("b/t.tlh", "üäöß")):
        write(tmp_path / name, f"{word}\n" * 30, "latin1")
    (tmp_path / "c.so").write_bytes(bytes(range(1, 256)))
    for folder, target in (("a", "de"), ("b", "tlh")):
        with pytest.raises(InputError, match="30 × not UTF-8.*iconv"):
            corpus(tmp_path / folder, source="en", target=target)
    assert is_text(Data(path=str(tmp_path / "a" / "t.de"))) and not is_text(Data(path=str(tmp_path / "c.so")))


def test_a_pair_falls_as_a_whole(tmp_path):
    write(tmp_path / "a.en", "one\n\nthree\nfour\n")
    (tmp_path / "a.de").write_bytes("eins\nzwei\n\xe4\nvier\n".encode("latin1"))
    found = corpus(tmp_path / "a.en", source="en", target="de")
    assert (found.sources, found.texts) == (["one", "four"], ["eins", "vier"])
    assert found.examples == {"empty": "a.en, line 2", "not UTF-8": "a.de, line 3"}


def test_folders(tmp_path):
    root = tmp_path / "d"
    write(root / "train.txt", "\n".join(SAID))
    write(root / "sub" / "more.txt", "deeper\n")
    write(root / "test.txt", "held\n")
    write(root / ".hidden.txt", "no\n")
    write(root / "README.txt", "no\n")
    write(root / "notes.pdf", "no\n")
    write(root / "empty.txt", "")
    (root / "loop").symlink_to(root, target_is_directory=True)
    (root / "gone.txt").symlink_to(root / "nowhere")
    (root / "again.txt").symlink_to(root / "test.txt")
    found = corpus(root)
    assert found.texts == ["held", "deeper", "held", *SAID]
    assert sum(found.held) == 1
    assert "gone.txt (a link to nothing)" in found.notes[0]
    assert "1 × .pdf" in found.notes[1]


def test_sub_folders_are_classes(tmp_path):
    for side in ("train", "test"):
        for kind in ("pos", "neg"):
            for k in range(12):
                write(tmp_path / "d" / side / kind / f"{k}.txt", f"{side} {kind} film {k}")
    found = corpus(tmp_path / "d")
    assert len(found) == 48
    assert sum(found.held) == 24
    assert {label for label, text in zip(found.labels, found.texts, strict=True) if "pos" in text} == {"pos"}
    assert corpus(tmp_path / "d", labels="ignore").labels is None
    data_set = open_data(Data(path=str(tmp_path / "d")))
    assert data_set.space.classes == ("neg", "pos")
    assert data_set.reasons["labels"] == "2 classes from sub-folders: neg, pos"


def test_a_zip_reads_as_its_folder(tmp_path):
    root = folder_of_pairs(tmp_path / "p")
    with zipfile.ZipFile(tmp_path / "p.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in root.iterdir():
            archive.write(path, f"data/{path.name}")
        archive.writestr("__MACOSX/data/._train.en", b"\0\0")
        archive.writestr("../../evil.txt", "x")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="no partner|holds the languages|mixes"):
        corpus(tmp_path / "p.zip")
    found = corpus(tmp_path / "p.zip", source="en", target="de")
    assert (found.texts, found.held) == (corpus(root, source="en", target="de").texts, corpus(root, source="en", target="de").held)
    assert sorted(tmp_path.rglob("*")) == before


def test_pictures_and_their_tables_stay_pictures(tmp_path, make):
    folder = make.fill(tmp_path / "p", 12)
    write(folder / "labels.csv", "file,label\n" + "".join(f"{k:03d}.png,{k % 2}\n" for k in range(12)))
    write(folder / "captions.txt", "a\n" * 40)
    for k in range(30):
        write(folder / "notes" / f"{k}.txt", "note")
    make.zipped(tmp_path / "p.zip", {"a.txt": b"x\n" * 40, "b.txt": b"y\n" * 40, "a.png": make.png(1)})
    write(tmp_path / "labels.parquet.txt", "x")
    for path in (folder, tmp_path / "p.zip", tmp_path / "nothing", "digits", "hf:someone/something", "", "x" * 5000, "a\0b"):
        assert not is_text(Data(path=str(path)))
    (tmp_path / "idx").mkdir()
    (tmp_path / "idx" / "train-images-idx3-ubyte.gz").write_bytes(make.idx(__import__("numpy").zeros((3, 4, 4), "uint8")))
    write(tmp_path / "idx" / "note.txt", "x\ny\n")
    assert not is_text(Data(path=str(tmp_path / "idx")))


def test_programs_are_no_corpus(tmp_path):
    for name in ("a.py", "b.rs", "c.md", "d.html"):
        write(tmp_path / "d" / name, "text\n")
    write(tmp_path / "d" / "requirements.txt", "numpy\n")
    (tmp_path / "d" / "lib.so").write_bytes(b"\x7fELF\0\0\0")
    assert not is_text(Data(path=str(tmp_path / "d")))
    assert not is_text(Data(path=str(tmp_path / "d" / "lib.so")))


# -- opening -----------------------------------------------------------------------------------------------------------------------------


def test_limit_and_split(tmp_path):
    root = tmp_path / "d"
    write(root / "train.txt", "".join(f"train {k}\n" for k in range(500)))
    write(root / "test.txt", "".join(f"test {k}\n" for k in range(100)))
    data_set = open_data(Data(path=str(root), limit=50))
    assert (len(data_set.train), len(data_set.held)) == (50, 50)
    assert {text.split()[0] for text in data_set.held.captions} == {"test"}
    same = open_data(Data(path=str(write(tmp_path / "same.txt", "always this\n" * 50)), tokenizer="word"))
    assert (len(same.train), len(same.held)) == (50, 0)
    assert "all sentences are the same" in same.reasons["split"]


def test_capitals_stay_on_one_side(tmp_path):
    path = write(tmp_path / "a.txt", "".join(f"{text}\n{text.upper()}\n" for text in (f"a word and {k}" for k in range(200))))
    data_set = open_data(Data(path=str(path), tokenizer="word"))
    assert not {text.lower() for text in data_set.train.captions} & {text.lower() for text in data_set.held.captions}


def test_classes_are_counted_as_used(tmp_path):
    path = write(
        tmp_path / "a.csv",
        "text,label\n" + "".join(f"{text} {k},{'rare' if k % 10 == 0 else 'common'}\n" for k, text in enumerate(SAID * 10)),
    )
    data_set = open_data(Data(path=str(path), balance=True))
    labels = data_set.card["labels"]
    assert labels["classes"] == ["common", "rare"]
    assert sum(labels["counts"]) == len(data_set.train)
    assert data_set.train.y.bincount().tolist() == labels["counts"]
    assert "equally often" in data_set.reasons["balance"]
    one = open_data(Data(path=str(write(tmp_path / "b.csv", "text,label\n" + "".join(f"{text} {k},x\n" for k, text in enumerate(SAID))))))
    assert one.train.y is None
    assert "one class alone, 'x'" in one.reasons["labels"]


def test_the_cache_gives_the_same_set_and_mends_itself(tmp_path, cache, monkeypatch):
    monkeypatch.setattr("agon.data.text.LARGE", 100)
    path = write(tmp_path / "a.txt", "".join(f"{text} {k}\n" for k, text in enumerate(SAID * 10)))
    first = open_data(Data(path=str(path)), cache=cache)
    entry = next((cache / "text").iterdir())
    again = open_data(Data(path=str(path)), cache=cache)
    (entry / "ids").write_bytes(b"damaged")
    mended = open_data(Data(path=str(path)), cache=cache)
    monkeypatch.setattr("agon.data.text.LARGE", 10**9)
    fresh = open_data(Data(path=str(path)), cache=cache)
    for other in (again, mended, fresh):
        assert other.content_hash == first.content_hash
        assert other.train.x.equal(first.train.x)
    monkeypatch.setattr("agon.data.text.LARGE", 100)
    blocked = write(tmp_path / "in the way", "a file where the cache would be")
    assert open_data(Data(path=str(path)), cache=blocked).content_hash == first.content_hash


# -- the check ---------------------------------------------------------------------------------------------------------------------------


def test_the_check_of_lines(tmp_path, cache):
    texts = [f"a man with {k} {word}s" for k, word in enumerate(["dog", "cat", "cow", "hen"] * 20)]
    write(tmp_path / "d" / "train.txt", "\n".join([*texts, *texts[:9], texts[0].upper(), ""]) + "\n\n")
    with open(tmp_path / "d" / "train.txt", "ab") as file:
        file.write(b"B\xe4r\n")
    write(tmp_path / "d" / "test.txt", "\n".join([*texts[:3], *(f"zebra number {k}" for k in range(20))]))
    report = check(Data(path=str(tmp_path / "d"), tokenizer="word"), tmp_path / "out", cache=cache)
    text = "\n".join(report.lines())
    for told in (
        "12 exact, 13 but for capitals",
        "3 of 23 held-back sentences are in training",
        "1 × not UTF-8, first at train.txt, line 93",
        "of the held-back words never stood in training",
        "1 to 5",
        "would tokenizer",
        "only 113 sentences",
        "scores against them will flatter",
        "larger --vocabulary",
    ):
        assert told in text, told
    card = json.loads(json.dumps(report.to_json()))["card"]
    assert card["words"]["histogram"][0] == ["1 to 5", 113]
    assert card["faults"] == {"empty": 2, "not UTF-8": 1}
    assert report.preview == str(tmp_path / "out" / "preview.txt")
    assert len((tmp_path / "out" / "preview.txt").read_text().splitlines()) == 32


def test_the_check_of_pairs(tmp_path, cache):
    sources = [f"the source says {word} {k}" for k, word in enumerate(["dog", "cat", "cow", "hen"] * 20)]
    targets = [f"das Ziel sagt {text[16:]}" for text in sources]
    targets[3], targets[7] = "x", sources[7]
    write(tmp_path / "a.jsonl", "\n".join(json.dumps({"a": a, "b": b}) for a, b in zip(sources, targets, strict=True)))
    report = check(Data(path=str(tmp_path / "a.jsonl"), source="a", target="b"), cache=cache)
    pairs = report.card["pairs"]
    assert (pairs["odd_lengths"], pairs["odd_examples"]) == (1, [[sources[3], "x"]])
    assert (pairs["same"], pairs["same_examples"]) == (1, [sources[7]])
    text = "\n".join(report.lines())
    assert "1 of lengths that do not go together, 1 whose sides are the same" in text
    assert "whether lines are shifted" in text


def test_the_check_of_a_language(cache):
    report = check(Data(path="arithmetic", limit=200), cache=cache)
    assert "entropy 8.7996" in "\n".join(report.lines())
