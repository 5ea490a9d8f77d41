"""Corpora: sentences at a path, before anything is tokenised.

    lines       .txt, .text; a line is a sample. Also .en, .de and the like
    records     .jsonl, .ndjson, .json (a list), .csv, .tsv; a column is the text, another may be its class
    pairs       two columns of records (`source`, `target`), or two files or the files of a folder whose lines belong together
    a folder    its text, in sub-folders too; what is called test…, val… or dev… is held out; two or more sub-folders of lines are classes
    a zip       as a folder

Any of them may be compressed by gzip. What cannot be read is counted with its reason (`faults`) and left out; a pair falls as a whole.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from agon.data.parallel import read_apart, read_parallel
from agon.data.request import Data
from agon.data.textfiles import ARRAY, LINES, RECORDS, Listing, TextFile, beside, buffer, content, is_held, lines, listing, twin_name
from agon.errors import InputError, suggest

TEXT_COLUMNS = ("text", "sentence", "sentences", "caption", "content", "line", "review", "target", "summary")
CLASS_COLUMNS = ("label", "class", "category", "labels", "topic", "sentiment")
LONGEST = 20_000  # characters of a sample; a longer line is no sentence
MOST_CLASSES = 1_000
_CONTROL = re.compile(r"[\x01-\x1f\x7f-\x9f]+")
_HALF = re.compile(r"[\ud800-\udfff]")
Row = tuple[str, dict[str, Any]]  # where it stands, and its columns


@dataclass
class Corpus:
    """Samples in the order they were read: texts, and the source, class and side of each where there are any."""

    kind: str  # for people: "lines of text"
    path: str
    texts: list[str] = field(default_factory=list)
    sources: list[str] | None = None
    labels: list[str] | None = None
    label_origin: str = ""
    others: dict[int, tuple[str, ...]] = field(default_factory=dict)  # sample -> its other targets, where a source has several
    held: list[bool] | None = None
    split_origin: str = ""
    apart: set[int] = field(default_factory=set)  # rows whose source and text were never pairs
    again: set[int] = field(default_factory=set)  # those of them whose text was read before, as the shorter side is
    by_chance: bool = False  # so are those that are held back
    faults: Counter[str] = field(default_factory=Counter)  # what is wrong -> how often
    examples: dict[str, str] = field(default_factory=dict)  # what is wrong -> the first place where
    notes: list[str] = field(default_factory=list)
    text_name: str = ""

    def __len__(self) -> int:
        return len(self.texts)

    def fault(self, what: str, where: str) -> None:
        """Count a fault and remember the first place."""
        self.faults[what] += 1
        self.examples.setdefault(what, where)

    def clean(self, text: Any, where: str, damaged: bool = False) -> str | None:
        """A sentence with its white space put in order, or None with the reason counted. damaged: U+FFFD may stand for bytes that are no UTF-8."""
        if text is None:
            self.fault("no text", where)
            return None
        if isinstance(text, list) and all(isinstance(part, str) for part in text):
            text = " ".join(text)
        if not isinstance(text, str):
            self.fault(f"{type(text).__name__} where text was expected", where)
            return None
        if len(text) > 4 * LONGEST:
            self.fault(f"longer than {LONGEST:,} characters", where)
            return None
        plain = text if text.isascii() else unicodedata.normalize("NFC", text.replace("\ufeff", ""))
        said = " ".join(_CONTROL.sub(" ", plain).split())
        if not said:
            self.fault("empty", where)
        elif "\0" in said:
            self.fault("zero bytes in it", where)
        elif "\ufffd" in said:
            self.fault("not UTF-8" if damaged else "signs that were lost before (U+FFFD)", where)
        elif _HALF.search(said):
            self.fault("half a sign (a lone surrogate)", where)
        elif len(said) > LONGEST:
            self.fault(f"longer than {LONGEST:,} characters", where)
        else:
            return said
        return None


@dataclass(frozen=True)
class Part:
    """Files that are read together: one, or a source's and a target's; whether they are held out, and their class."""

    files: tuple[TextFile, ...]
    held: bool = False
    label: str | None = None


def is_text(data: Data) -> bool:
    """Whether there is text at `data.path`: a file of a known suffix, or a folder or zip that is mostly such files."""
    return listing(data.path, (data.source, data.target)) is not None


def read_corpus(data: Data) -> Corpus:
    """Read everything at `data.path`. Raises InputError when there is nothing to read, or a column or partner is missing."""
    found = listing(data.path, (data.source, data.target))
    if found is None:
        raise InputError(f"there is no text at '{data.path}'; expected a file of lines, .jsonl, .csv or .tsv, or a folder or zip of them.")
    corpus = Corpus("", data.path, text_name=data.target or data.text or "")
    parts = _parts(found, data, corpus)
    sides, unlabelled, labelled = [], "", ""
    apart = [part for part in parts if data.unpaired and len(part.files) == 2 and not part.held]
    for part in parts:
        before = len(corpus)
        if part in apart:
            continue  # what is held back of them depends on whether pairs were read
        if len(part.files) == 2:
            read_parallel(corpus, *part.files)
        elif part.files[0].suffix in RECORDS | {ARRAY}:
            _read_records(corpus, part.files[0], data)
        else:
            _read_lines(corpus, part.files[0], part.label)
        added = len(corpus) - before
        sides += [part.held] * added
        if added and corpus.labels is not None and len(corpus.labels) == len(corpus):
            labelled = labelled or part.files[0].name
        elif added:
            unlabelled = unlabelled or part.files[0].name
    pairs = any(sides)
    if apart:
        sides += read_apart(corpus, *zip(*(part.files for part in apart), strict=True), share=0.0 if pairs else data.holdout)
    corpus.by_chance = bool(apart) and not pairs and any(sides)
    if corpus.labels is not None and len(corpus.labels) < len(corpus):
        raise InputError(
            f"'{labelled or parts[-1].files[0].name}' has classes and '{unlabelled}' has none; expected them in every file, or --labels ignore."
        )
    if any(sides) and not all(sides):
        corpus.held = sides
        corpus.split_origin = (
            f"of each language by content hash, holdout {data.holdout:g}" if corpus.by_chance else "files called test, val or dev"
        )
    if found.refused:
        corpus.notes.append(f"{len(found.refused)} files not looked at; the first: {found.refused[0][0]} ({found.refused[0][1]})")
    if found.others:
        corpus.notes.append("not text, left alone: " + ", ".join(f"{count} × {suffix}" for suffix, count in found.others.most_common(4)))
    if not len(corpus):
        raise InputError(_nothing(corpus))
    return corpus


def _nothing(corpus: Corpus) -> str:
    told = "; ".join(f"{count:,} × {what}, first at {corpus.examples[what]}" for what, count in corpus.faults.most_common(3))
    convert = " Save it so: iconv -f latin1 -t utf-8 OLD > NEW, or from what else it is in." if "not UTF-8" in corpus.faults else ""
    return f"{corpus.path} has no sentence that can be read{': ' + told if told else ', it is empty'}; expected a line each, in UTF-8.{convert}"


def identity(corpus: Corpus) -> str:
    """A hash over everything that was read."""
    mark = hashlib.sha256()
    for column in (corpus.texts, corpus.sources or [], corpus.labels or [], [str(h) for h in corpus.held or []]):
        for entry in column:
            mark.update(entry.encode("utf-8", "surrogatepass") + b"\0")
        mark.update(b"\1")
    for row, texts in corpus.others.items():
        mark.update("\0".join([str(row), *texts]).encode("utf-8", "surrogatepass") + b"\1")
    return mark.hexdigest()


# -- which files belong together -------------------------------------------------------------------------------------------------------


def _parts(found: Listing, data: Data, corpus: Corpus) -> list[Part]:
    """What to read, file by file or pair by pair."""
    files = found.files
    records = [file for file in files if file.suffix in RECORDS | {ARRAY}]
    if data.source and data.target and len(records) < len(files):
        return _pairs(found, data, data.source, data.target, corpus)
    if records and len(records) < len(files):
        others = next(file for file in files if file not in records)
        raise InputError(
            f"{data.path} mixes tables and plain lines ('{records[0].name}' and '{others.name}'); give one of them, or a folder of one kind."
        )
    if not records:
        if data.text or data.columns:
            word = "text" if data.text else "columns"
            raise InputError(f"{word} names a column, and {data.path} has plain lines; leave it out, or give .jsonl, .csv or .tsv.")
        languages = sorted({file.suffix[1:] for file in files} - {suffix[1:] for suffix in LINES})
        if len(languages) > 1:
            raise InputError(
                f"{data.path} holds the languages {' '.join(languages)}; say which is made from which: --source {languages[0]} --target {languages[1]}"
            )
    classes = _classes_of(files) if not records and data.labels != "ignore" else {}
    if classes:
        corpus.label_origin = "sub-folders"
    return [Part((file,), found.kind != "file" and is_held(file.name), classes.get(file.name)) for file in files]


def _classes_of(files: Sequence[TextFile]) -> dict[str, str]:
    """The class of each file by its name: the folder it lies in, where there are two or more besides those of a split."""
    homes = {file.name: [part for part in PurePosixPath(file.name).parts[:-1] if not _is_side(part)] for file in files}
    last = {name: folders[-1] for name, folders in homes.items() if folders}
    return last if len(last) == len(files) and 2 <= len(set(last.values())) <= MOST_CLASSES else {}


def _is_side(folder: str) -> bool:
    return folder.lower() in ("train", "training") or is_held(folder + "/x.txt")


def _pairs(found: Listing, data: Data, source: str, target: str, corpus: Corpus) -> list[Part]:
    """Pairs of files whose names differ in the language alone."""
    files = beside(data.path, (source, target)) if found.kind == "file" else found.files
    sides = [{twin_name(file.name, language): file for file in files} for language in (source, target)]
    keys = [key for key in sides[1] if key and key in sides[0]]
    if found.kind == "file":
        keys = [key for key in keys if found.files[0].name in (sides[0][key].name, sides[1][key].name)]
    if not keys:
        if found.kind == "file":
            raise InputError(
                f"'{data.path}' has no partner beside it; expected files of one name ending in .{source} and .{target}, their lines belonging together."
            )
        for language, side in zip((source, target), sides, strict=True):
            if set(side) <= {""}:
                known = sorted({file.suffix[1:] for file in files} - {""})
                raise InputError(
                    f"{data.path} has no file ending in .{language}; its files end in {', '.join(known)}.{suggest(language, known)}"
                )
        one = next(file.name for key, file in sides[1].items() if key)
        raise InputError(
            f"{data.path}: no file ending in .{source} has the name of '{one}'; expected pairs such as train.{source} and train.{target}."
        )
    alone = [file.name for k in (0, 1) for key, file in sides[k].items() if key and key not in sides[1 - k]] if found.kind != "file" else []
    if alone:
        corpus.notes.append(f"{len(alone)} files have no partner and are left out; the first: {alone[0]}")
    return [Part((sides[0][key], sides[1][key]), found.kind != "file" and is_held(key)) for key in keys]


# -- reading -----------------------------------------------------------------------------------------------------------------------------


def _read_lines(corpus: Corpus, file: TextFile, label: str | None) -> None:
    corpus.kind = corpus.kind or "lines of text"
    text, damaged = content(file)
    for number, line in enumerate(lines(text), 1):
        said = corpus.clean(line, f"{file.name}, line {number}", damaged)
        if said is not None:
            corpus.texts.append(said)
            if label is not None:
                corpus.labels = corpus.labels if corpus.labels is not None else []
                corpus.labels.append(label)


def _read_records(corpus: Corpus, file: TextFile, data: Data) -> None:
    text, damaged = content(file)
    rows = _table(corpus, file, text) if file.suffix in (".csv", ".tsv") else _json_rows(corpus, file, text)
    corpus.kind = corpus.kind or ("a table" if file.suffix in (".csv", ".tsv") else "JSON records") if rows else corpus.kind
    take_records(corpus, file.name, rows, data, damaged)


def take_records(corpus: Corpus, name: str, rows: list[Row], data: Data, damaged: bool = False) -> None:
    """Add the text of records, its source and class, from the columns that `data` names or the usual ones. `name`: where they are from. Raises InputError."""
    columns = list(dict.fromkeys(name for _, row in rows for name in row))
    if not rows:
        return
    wanted = _column(name, columns, data.target or data.text, TEXT_COLUMNS, rows)
    corpus.text_name = wanted
    source = _column(name, columns, data.source, (), rows) if data.source else None
    label = None if source or data.labels == "ignore" else _label(name, columns, data, wanted)
    if source and data.columns:
        raise InputError("columns names a class, and these are pairs, made from their source; leave it out.")
    corpus.label_origin = f"column '{label}'" if label else corpus.label_origin
    several = 0
    for where, row in rows:
        asked = corpus.clean(row.get(source), where, damaged) if source else ""
        target = row.get(wanted)
        values = target if source and isinstance(target, list) and target else [target]
        ledger = corpus if len(values) == 1 else Corpus("", "")  # one bad target of several is no fault
        cleaned = [] if asked is None else [ledger.clean(value, where, damaged) for value in values]
        readable = [text for text in cleaned if text is not None]
        said = readable[0] if readable else None
        if len(values) > 1 and not readable and asked is not None:
            corpus.fault("no target that can be read", where)
        if said is None or asked is None:
            continue
        if label is not None:
            named = _class_name(corpus, row.get(label), where)
            if named is None:
                continue
            corpus.labels = corpus.labels if corpus.labels is not None else []
            corpus.labels.append(named)
        if source:
            corpus.sources = corpus.sources if corpus.sources is not None else []
            corpus.sources.append(asked)
        others = tuple(readable[1:])
        if others:
            corpus.others[len(corpus)] = others
            several += 1
        corpus.texts.append(said)
    if several:
        corpus.notes.append(f"{name}: {several:,} sources have several targets: the first is learnt from, scores compare with all")


def _class_name(corpus: Corpus, value: Any, where: str) -> str | None:
    name = str(value).strip() if isinstance(value, str | int | float | bool) else ""
    if name and not _HALF.search(name) and "\0" not in name:
        return name
    corpus.fault("no class" if value is None or isinstance(value, str) else f"{type(value).__name__} where a class was expected", where)
    return None


def _label(where: str, columns: list[str], data: Data, text: str) -> str | None:
    if not data.columns:
        return next((name for name in columns if name.lower() in CLASS_COLUMNS and name != text), None)
    if len(data.columns) > 1:
        raise InputError(f"columns names {', '.join(data.columns)}; the class of a sentence is one column.")
    if data.columns[0] == text:
        raise InputError(f"columns and text both name '{text}'; the class of a sentence is another column.")
    return _column(where, columns, data.columns[0], (), [])


def _column(where: str, columns: list[str], asked: str | None, usual: tuple[str, ...], rows: list[Row]) -> str:
    """The column asked for, else the one with a usual name, else the only one. Raises InputError."""
    if asked is not None:
        if asked in columns:
            return asked
        raise InputError(f"'{where}' has no column '{asked}'; its columns are {', '.join(columns)}.{suggest(asked, columns)}")
    named = [name for wanted in usual for name in columns if name.lower() == wanted]
    if named:
        return named[0]
    texts = [name for name in columns if any(isinstance(row.get(name), str) for _, row in rows[:100])]
    if len(texts) == 1:
        return texts[0]
    shown = ", ".join(name[:40] for name in columns[:12])
    raise InputError(
        f"'{where}' has the columns {shown}, and none is called {' or '.join(usual[:3])}; say which is the text: --text COLUMN"
    )


def _json_rows(corpus: Corpus, file: TextFile, text: str) -> list[Row]:
    """A list of records, or a record a line."""
    found: list[tuple[str, Any]] = []
    whole = None
    if text.lstrip().startswith("["):
        try:
            whole = json.loads(text)
        except (ValueError, RecursionError):
            whole = None
    if isinstance(whole, list) and (file.suffix == ARRAY or len(whole) > 1):
        found = [(f"{file.name}, item {number}", row) for number, row in enumerate(whole, 1)]
    else:
        for number, line in enumerate(lines(text), 1):
            where = f"{file.name}, line {number}"
            try:
                if line.strip():
                    found.append((where, json.loads(line)))
            except (ValueError, RecursionError):
                corpus.fault("no JSON", where)
    rows = []
    for where, row in found:
        if isinstance(row, str):
            row = {"text": row}
        if isinstance(row, dict):
            rows.append((where, row))
        else:
            corpus.fault("JSON, but no object", where)
    return rows


def _table(corpus: Corpus, file: TextFile, text: str) -> list[Row]:
    """Rows of a table whose first line names the columns; where quotes do not balance, every line for itself, so that one does not swallow the rest."""
    sign = "\t" if file.suffix == ".tsv" else ","
    first = text.lstrip("\ufeff\r\n").split("\n", 1)[0]
    if sign == "," and "," not in first:
        sign = ";" if ";" in first else "\t" if "\t" in first else ","
        if sign != ",":
            corpus.notes.append(f"{file.name}: cells are taken to be separated by {'semicolons' if sign == ';' else 'tabs'}")
    limit = csv.field_size_limit(2**27)
    try:
        rows = _rows(corpus, file, text, sign)
    finally:
        csv.field_size_limit(limit)
    if not rows:
        return []
    head = [name.strip() for name in rows[0][1]]
    while head and not head[-1]:
        head.pop()
    twice = next((name for k, name in enumerate(head) if name in head[:k]), None)
    if not all(head) or twice is not None or not head:
        what = f"names '{twice[:40]}' twice" if twice else "has a column without a name"
        raise InputError(f"the first line of '{file.name}' {what}: {', '.join(head)[:80]}; expected a name for each column, each once.")
    found = []
    for number, row in rows[1:]:
        where = f"{file.name}, line {number}"
        if not any(cell.strip() for cell in row):
            continue
        if len(row) < len(head) or any(cell.strip() for cell in row[len(head) :]):
            corpus.fault(f"{len(row)} cells instead of {len(head)}", where)
            continue
        found.append((where, dict(zip(head, row, strict=False))))
    return found


def _rows(corpus: Corpus, file: TextFile, text: str, sign: str) -> list[tuple[int, list[str]]]:
    """Each row with the number of the line it ends in."""
    reader = csv.reader(buffer(text), delimiter=sign, strict=True)
    try:
        return [(reader.line_num, row) for row in reader if row]
    except csv.Error:
        pass
    found = []
    corpus.notes.append(f"{file.name}: its quotes do not balance, so each line is read for itself")
    for number, line in enumerate(lines(text), 1):
        try:
            found += [(number, row) for row in csv.reader([line], delimiter=sign, strict=True) if row]
        except csv.Error:
            if sign == "\t":
                found.append((number, line.split("\t")))  # tables between tabs often mean their quotes as they stand
            else:
                corpus.fault("quotes that do not balance", f"{file.name}, line {number}")
    return found
