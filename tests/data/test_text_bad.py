"""Bad corpora at the command line: status 2, an error that says what, where and how to fix it, no traceback, nothing written and nothing lost."""

from __future__ import annotations

import gzip
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from commandline import printed

Made = tuple[Path, tuple[str, ...]]  # what is given to the verb: a path and settings
GOOD = [f"a man rides the {word} number {k}" for k, word in enumerate(["horse", "bicycle", "bus", "train"] * 15)]


def lines(path: Path, texts: list[str] | None = None, name: str = "a.txt") -> Path:
    place = path / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("".join(f"{text}\n" for text in (GOOD if texts is None else texts)), "utf-8")
    return place


def raw(path: Path, content: bytes, name: str = "a.txt") -> Path:
    (path / name).write_bytes(content)
    return path / name


def table(path: Path, head: str, row: str = "{text},{k}") -> Path:
    return lines(path, [head, *(row.format(text=text, k=k) for k, text in enumerate(GOOD))], "a.csv")


def records(path: Path, rows: list[object]) -> Path:
    return lines(path, [row if isinstance(row, str) else json.dumps(row) for row in rows], "a.jsonl")


def pair(path: Path, source: int = 60, target: int = 60, folder: str = "p") -> Path:
    lines(path, GOOD[:source], f"{folder}/train.en")
    lines(path, GOOD[:target], f"{folder}/train.de")
    return path / folder


def mixed(path: Path) -> Path:
    lines(path / "d")
    table(path / "d", "text,label")
    return path / "d"


def half_labelled(path: Path) -> Path:
    lines(path, ["text,label", *(f"{text},{k % 2}" for k, text in enumerate(GOOD))], "d/train.csv")
    lines(path, ["text", *GOOD], "d/test.csv")
    return path / "d"


def zipped(path: Path) -> Path:
    with zipfile.ZipFile(path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", "\n".join(GOOD))
    return path / "a.zip"


def locked_zip(path: Path) -> Path:
    content = bytearray(zipped(path).read_bytes())
    content[6] |= 1  # in the member's own head and in the table of contents
    content[content.index(b"PK\x01\x02") + 8] |= 1
    return raw(path, bytes(content), "a.zip")


def damaged_zip(path: Path) -> Path:
    content = bytearray(zipped(path).read_bytes())
    content[60:70] = b"\xff" * 10
    return raw(path, bytes(content), "a.zip")


Case = tuple[str, Callable[[Path], Path], tuple[object, ...], str]
BAD: list[Case] = [
    ("empty file", lambda p: raw(p, b""), (), "a.txt has no sentence that can be read, it is empty"),
    ("blank lines", lambda p: raw(p, b"\n  \n\t\n" * 9), (), "no sentence that can be read: 27 × empty, first at a.txt, line 1"),
    ("one sentence", lambda p: lines(p, ["hello"]), (), "a.txt has 1 sentence; expected 20 at least"),
    ("binary", lambda p: raw(p, bytes(range(16)) * 400 + b"\0" * 900), (), "full of zero bytes"),
    ("UTF-16 without a mark", lambda p: raw(p, "\n".join(GOOD).encode("utf-16-le")), (), "If it is UTF-16, save it with its mark, or as UTF-8"),
    ("Latin-1", lambda p: raw(p, "schöne Bären\n".encode("latin1") * 60), (), "60 × not UTF-8, first at a.txt, line 1; expected.*in UTF-8. Save it so: iconv"),
    ("lines without an end", lambda p: raw(p, b"word " * 100_000), (), "1 × longer than 20,000 characters, first at a.txt, line 1"),
    ("gzip cut short", lambda p: raw(p, gzip.compress("\n".join(GOOD).encode())[:-20], "a.txt.gz"), (), "cannot be read.*Copy or download it again"),
    ("gzip damaged", lambda p: raw(p, gzip.compress("\n".join(GOOD).encode())[:30] + b"~" * 90, "a.txt.gz"), (), "cannot be read.*Copy or download"),
    ("table without rows", lambda p: lines(p, ["text,label"], "a.csv"), (), "a.csv has no sentence that can be read"),
    ("column twice", lambda p: table(p, "text,text"), (), "first line of 'a.csv' names 'text' twice.*expected a name for each column, each once"),
    ("column without a name", lambda p: table(p, ",text"), (), "has a column without a name"),
    ("which column", lambda p: table(p, "one,two"), (), "has the columns one, two, and none is called.*--text COLUMN"),
    ("unknown column", lambda p: table(p, "text,k"), ("--text", "txet"), "no column 'txet'; its columns are text, k.*Did you mean 'text'"),
    ("unknown class column", lambda p: table(p, "text,k"), ("--columns", "kind"), "no column 'kind'; its columns are text, k"),
    ("rows of other widths", lambda p: table(p, "text,k", "{text},{k},more,cells"), (), "60 × 4 cells instead of 2, first at a.csv, line 2"),
    ("JSON that is broken", lambda p: records(p, ["{'text': 1}"] * 60), (), "60 × no JSON, first at a.jsonl, line 1"),
    ("JSON of numbers", lambda p: records(p, [{"text": k} for k in range(60)]), (), "60 × int where text was expected"),
    ("JSON without a text", lambda p: records(p, [{"a": {"b": "c"}}] * 60), (), "has the columns a, and none is called"),
    ("JSON list that is broken", lambda p: raw(p, b'["a", "b"', "a.json"), (), "a.json has no sentence that can be read"),
    ("lines that do not go together", lambda p: pair(p, 60, 59), ("--source", "en", "--target", "de"), "'train.en' has 60 lines and 'train.de' 59"),
    ("no partner", lambda p: lines(p, None, "a.en"), ("--source", "en", "--target", "de"), "has no partner beside it"),
    ("unknown language", pair, ("--source", "en", "--target", "fr"), "no file ending in .fr; its files end in de, en"),
    ("languages not named", pair, (), "holds the languages de en; say which is made from which: --source de --target en"),
    ("source without target", pair, ("--source", "en"), "source was given without target"),
    ("source is target", pair, ("--source", "en", "--target", "en"), "source and target are both 'en'"),
    ("tables and lines", mixed, (), "mixes tables and plain lines.*give one of them"),
    ("classes in one file", half_labelled, (), "'train.csv' has classes and 'test.csv' has none.*--labels ignore"),
    ("too many classes", lambda p: lines(p, ["text,label", *(f"word {k},{k}" for k in range(1_100))], "a.csv"), (), "1,100 different values.*--labels ignore"),
    ("no class in any row", lambda p: table(p, "text,label", "{text},"), (), "60 × no class"),
    ("balance without classes", lines, ("--balance",), "--balance.*has no classes"),
    ("labels without classes", lines, ("--labels", "use"), "--labels use, and the sentences of .* have no classes"),
    ("columns of lines", lines, ("--columns", "label"), "columns names a column, and .* has plain lines"),
    ("tags", lambda p: table(p, "text,label"), ("--condition", "tags"), "--condition tags is for pictures and clips"),
    ("all too long", lines, ("--length", "3"), "0 sentences of at most 3 tokens to train on, and 60 longer ones; give a larger --length"),
    ("length of nothing", lines, ("--length", "1"), "length got 1; expected 2 to"),
    ("vocabulary too small", lines, ("--vocabulary", "2"), "vocabulary got 2; expected 4 or more"),
    ("bytes do not fit", lines, ("--tokenizer", "bpe", "--vocabulary", "100"), "byte-pair encoding starts from 256 bytes"),
    ("unknown tokeniser", lines, ("--tokenizer", "words"), "tokenizer"),
    ("limit too small", lines, ("--limit", "5"), "has 5 sentences; expected 20"),
    ("word of pictures", lines, ("--size", "32"), "size is for pictures or clips, and .* is text"),
    ("word of sources", lines, ("--source-length", "32"), "source_length and shared are for a text made from another"),
    ("encrypted zip", locked_zip, (), "is encrypted; unpack the zip with its password"),
    ("damaged zip", damaged_zip, (), "'a.txt' cannot be read.*Copy or download it again"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "words", "message"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_bad_corpora(
    make: Callable[[Path], Path], words: tuple[object, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    place = make(tmp_path / "in")
    before = {path: path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()}
    for verb, extra in ((("data", "check"), ()), (("train",), ("--out", tmp_path / "run", "--rounds", 1))):
        status, text = printed(capsys, *verb, place, *words, *extra)
        assert status == 2, text
        assert re.search(message, text.replace("\n", " ")), text
        assert "Traceback" not in text
    assert {path: path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()} == before
    assert not (tmp_path / "run").exists()


SMALL = ("--rounds", 2, "--batch", 8, "--metrics", "[]", "--recipe", "likelihood", "--game.net.width", 8, "--game.net.embed", 8)


def test_faults_among_good_sentences_are_counted_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = ("\n".join(GOOD) + "\n").encode()
    place = raw(tmp_path, content + b"B\xe4r\n\nz\0ro\n" + b"y" * 30_000 + b"\n" + "犬 猫\r\n".encode() + content.upper())
    status, text = printed(capsys, "data", "check", place)
    assert status == 0, text
    assert "121" in text
    for told in ("1 × not UTF-8, first at a.txt, line 61", "1 × empty, first at a.txt, line 62", "1 × zero bytes in it", "1 × longer than"):
        assert told in text, text
    status, text = printed(capsys, "train", place, *SMALL, "--out", tmp_path / "run")
    assert status == 0, text
    card = json.loads((tmp_path / "run" / "data.json").read_text())
    assert card["num_unreadable"] == 4
    assert card["num_train"] + card["num_held"] == 121


def test_classes_of_a_table_are_trained_and_sampled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = lines(tmp_path, ["text,mood", *(f"{text},{'bad' if k % 6 == 0 else 'good'}" for k, text in enumerate(GOOD * 3))], "a.csv")
    status, text = printed(capsys, "train", place, "--columns", "mood", "--balance", *SMALL, "--out", tmp_path / "run")
    assert status == 0, text
    card = json.loads((tmp_path / "run" / "data.json").read_text())
    assert card["labels"]["classes"] == ["bad", "good"]
    status, text = printed(capsys, "sample", tmp_path / "run", "-n", 3, "--class", "bad", "--out", tmp_path / "x.txt")
    assert status == 0, text
    assert len((tmp_path / "x.txt").read_text().splitlines()) == 3
    status, text = printed(capsys, "train", place, "--columns", "mood", "--labels", "ignore", *SMALL, "--out", tmp_path / "b")
    assert status == 2
    assert "--labels ignore leaves no condition" in text
    status, text = printed(capsys, "train", place, "--labels", "ignore", *SMALL, "--out", tmp_path / "c")
    assert status == 0, text
    assert json.loads((tmp_path / "c" / "data.json").read_text())["labels"]["used"] is False
