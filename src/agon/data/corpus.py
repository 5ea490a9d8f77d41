"""Corpora: sentences at a path, before anything is tokenised.

    lines       .txt, .text or no known suffix but text; a line is a sample. Also .en, .de and the like
    records     .jsonl, .ndjson, .csv, .tsv; a column is the text, another may be its class
    pairs       two columns of records (`source`, `target`), or two files or the files of a folder whose lines belong together
    a folder    its .txt and .jsonl files; those called test…, val… or dev… are held out

Any of them may be compressed by gzip. What cannot be read is counted with its reason (`faults`) and left out; a pair falls as a whole.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agon.data.request import Data
from agon.errors import InputError, suggest

LINES = frozenset({".txt", ".text"})
RECORDS = frozenset({".jsonl", ".ndjson", ".csv", ".tsv"})
TEXT_COLUMNS = ("text", "sentence", "sentences", "caption", "content", "line", "review", "target", "summary")
CLASS_COLUMNS = ("label", "class", "category", "labels", "topic", "sentiment")
MOST_BYTES = 4 * 2**30  # of a file once unpacked
LONGEST = 20_000  # characters of a sample; a longer line is no sentence
HELD = ("test", "val", "valid", "validation", "dev")
_PROBE = 65_536


@dataclass
class Corpus:
    """Samples in the order they were read: texts, and the source, class and side of each where there are any."""

    kind: str  # for people: "lines of text"
    path: str
    texts: list[str] = field(default_factory=list)
    sources: list[str] | None = None
    labels: list[str] | None = None
    held: list[bool] | None = None
    split_origin: str = ""
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


def is_text(path: str) -> bool:
    """Whether there is text at this path: a file of a known suffix, or a folder with such files and no others that Agon reads."""
    place = Path(path)
    if place.is_dir():
        return bool(_members(place))
    return place.is_file() and (_suffix(place) in LINES | RECORDS or _is_lines(place))


def read_corpus(data: Data) -> Corpus:
    """Read everything at `data.path`. Raises InputError when there is nothing to read, or a column or partner is missing."""
    place = Path(data.path)
    corpus = Corpus("", str(place), text_name=data.target or data.text or "")
    parts = _parts(place, data)
    for files, held in parts:
        before = len(corpus)
        if len(files) == 2:
            _read_parallel(corpus, *files)
        elif _suffix(files[0]) in RECORDS:
            _read_records(corpus, files[0], data)
        else:
            _read_lines(corpus, files[0])
        if held is not None:
            corpus.held = [*(corpus.held or [False] * before), *[held] * (len(corpus) - before)]
        elif corpus.held is not None:
            corpus.held += [False] * (len(corpus) - before)
    if corpus.held is not None:
        if all(corpus.held) or not any(corpus.held):
            corpus.held = None
        else:
            corpus.split_origin = "files called test, val or dev"
    if not len(corpus):
        told = "; ".join(f"{count} × {what}" for what, count in corpus.faults.most_common(3))
        raise InputError(
            f"{data.path} has no sentence that can be read{': ' + told if told else ', it is empty'}; expected a line each, in UTF-8."
        )
    return corpus


def identity(corpus: Corpus) -> str:
    """A hash over everything that was read."""
    mark = hashlib.sha256()
    for column in (corpus.texts, corpus.sources or [], corpus.labels or [], [str(h) for h in corpus.held or []]):
        for entry in column:
            mark.update(entry.encode("utf-8", "surrogatepass") + b"\0")
        mark.update(b"\1")
    return mark.hexdigest()


# -- what files there are --------------------------------------------------------------------------------------------------------------


def _plain(path: Path) -> Path:
    """The name without .gz."""
    return path.with_suffix("") if path.suffix.lower() == ".gz" else path


def _suffix(path: Path) -> str:
    return _plain(path).suffix.lower()


def _members(folder: Path) -> list[Path]:
    """Text files of a folder by name; [] if it holds anything else than text and notes about it."""
    files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith((".", "README", "LICENSE", "Thumbs", "desktop")))
    if any(p.is_dir() for p in folder.iterdir() if not p.name.startswith(".")):
        return []
    return files if files and all(_suffix(p) in LINES | RECORDS or _is_lines(p) for p in files) else []


def _is_lines(path: Path) -> bool:
    """Whether a file without a suffix that is known looks like text: no control signs in its beginning, which is UTF-8."""
    if not 0 < len(_suffix(path)) <= 4 or not _suffix(path)[1:].isalpha():
        return False
    try:
        with _bytes(path) as file:
            begin = file.read(_PROBE)
        text = begin.decode("utf-8", "strict" if len(begin) < _PROBE else "ignore")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError):
        return False
    # The languages of parallel files have suffixes of their own, .en and .de; programs and pages have too.
    return bool(text.strip()) and len(_suffix(path)) == 3 and _suffix(path)[1:] not in {"py", "js", "md", "sh", "rb"} and "\0" not in text


def _held(path: Path) -> bool:
    stem = _plain(path).name.lower()
    return any(stem.startswith(word) or stem.split(".")[0].split("_")[-1] == word for word in HELD)


def _parts(place: Path, data: Data) -> list[tuple[tuple[Path, ...], bool | None]]:
    """Files that are read together, and whether they are held out (None: by content)."""
    if not place.exists():
        raise InputError(f"'{place}' does not exist; expected a file of lines, .jsonl, .csv or .tsv, or a folder of them.")
    if place.is_file():
        if data.source and data.target and _suffix(place) not in RECORDS:
            return [(_partners(place, data.source, data.target), None)]
        return [((place,), None)]
    files = _members(place)
    if not files:
        raise InputError(f"the folder '{place}' holds no text, or other files beside it; expected .txt, .jsonl, .csv or .tsv files.")
    if data.source and data.target and not all(_suffix(p) in RECORDS for p in files):
        pairs = [p for p in files if _suffix(p) == f".{data.target}"]
        if not pairs:
            found = ", ".join(sorted({_suffix(p)[1:] for p in files}))
            raise InputError(
                f"the folder '{place}' has no file ending in .{data.target}; its languages are {found}.{suggest(data.target, found.split(', '))}"
            )
        parts: list[tuple[tuple[Path, ...], bool | None]] = [(_partners(p, data.source, data.target), _held(p)) for p in pairs]
    else:
        languages = {_suffix(p) for p in files} - LINES - RECORDS
        if len(languages) > 1:
            named = " ".join(sorted(word[1:] for word in languages))
            raise InputError(
                f"the folder '{place}' holds the languages {named}; say which is made from which: --source {named.split()[0]} --target {named.split()[1]}"
            )
        parts = [((p,), _held(p)) for p in files]
    return parts if any(held for _, held in parts) and not all(held for _, held in parts) else [(paths, None) for paths, _ in parts]


def _partners(path: Path, source: str, target: str) -> tuple[Path, Path]:
    """The files of the source and of the target language: `train.en.gz` and `train.de.gz`."""
    plain, zipped = _plain(path), path.suffix if path.suffix.lower() == ".gz" else ""
    found = []
    for language in (source, target):
        names = [plain.with_suffix(f".{language}").name + ending for ending in dict.fromkeys((zipped, "", ".gz"))]
        there = next((path.with_name(name) for name in names if path.with_name(name).is_file()), None)
        if there is None:
            raise InputError(
                f"'{path}' has no partner '{names[0]}' beside it; expected one file a language, their lines belonging together."
            )
        found.append(there)
    return found[0], found[1]


# -- reading -----------------------------------------------------------------------------------------------------------------------------


def _bytes(path: Path) -> Any:
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else open(path, "rb")


def _text(path: Path) -> str:
    """A file as text; UTF-16 by its mark, else UTF-8, with U+FFFD where bytes are neither. Raises InputError."""
    try:
        with _bytes(path) as file:
            raw = file.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"'{path}' cannot be read: {getattr(error, 'strerror', None) or error}; expected plain or gzipped text.") from None
    if len(raw) > MOST_BYTES:
        raise InputError(f"'{path}' is larger than {MOST_BYTES // 2**30} GiB once unpacked; split it, or take a part of it.")
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", "replace")
    if b"\0" in raw[:_PROBE]:
        raise InputError(f"'{path}' is no text: it holds zero bytes; expected lines in UTF-8.")
    return raw.decode("utf-8-sig", "replace")


def _clean(corpus: Corpus, text: Any, where: str) -> str | None:
    """A sentence with its white space put in order, or None with the reason counted."""
    if text is None:
        corpus.fault("no text", where)
        return None
    if not isinstance(text, str):
        if isinstance(text, list) and all(isinstance(part, str) for part in text):
            text = " ".join(text)
        else:
            corpus.fault(f"{type(text).__name__} where text was expected", where)
            return None
    said = " ".join("".join(" " if unicodedata.category(sign) == "Cc" else sign for sign in unicodedata.normalize("NFC", text)).split())
    if not said:
        corpus.fault("empty", where)
    elif "�" in said:
        corpus.fault("not UTF-8", where)
    elif len(said) > LONGEST:
        corpus.fault(f"longer than {LONGEST:,} characters", where)
    else:
        return said
    return None


def _split(text: str) -> list[str]:
    """Lines as editors count them; other signs that Python takes for an end of line are part of a sentence."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines[:-1] if lines and not lines[-1] else lines


def _read_lines(corpus: Corpus, path: Path) -> None:
    corpus.kind = corpus.kind or "lines of text"
    for number, line in enumerate(_split(_text(path)), 1):
        said = _clean(corpus, line, f"{path.name}, line {number}")
        if said is not None:
            corpus.texts.append(said)


def _read_parallel(corpus: Corpus, source: Path, target: Path) -> None:
    corpus.kind = "parallel lines"
    one, other = _split(_text(source)), _split(_text(target))
    if len(one) != len(other):
        raise InputError(
            f"'{source.name}' has {len(one):,} lines and '{target.name}' {len(other):,}; expected as many, the n-th of one belonging to the n-th of the other. "
            "A line that is missing in one of them shifts all that follow."
        )
    corpus.sources = corpus.sources or []
    for number, (asked, said) in enumerate(zip(one, other, strict=True), 1):
        pair = [_clean(corpus, asked, f"{source.name}, line {number}"), _clean(corpus, said, f"{target.name}, line {number}")]
        if pair[0] is not None and pair[1] is not None:
            corpus.sources.append(pair[0])
            corpus.texts.append(pair[1])


def _read_records(corpus: Corpus, path: Path, data: Data) -> None:
    records = _json_lines(corpus, path) if _suffix(path) in (".jsonl", ".ndjson") else _table(corpus, path)
    rows = list(records)
    columns = list(dict.fromkeys(name for _, row in rows for name in row))
    if not rows:
        return
    corpus.kind = corpus.kind or f"{'JSON lines' if 'json' in _suffix(path) else 'a table'}"
    text = _column(path, columns, data.target or data.text, TEXT_COLUMNS, rows)
    corpus.text_name = text
    source = _column(path, columns, data.source, (), rows) if data.source else None
    label = None if source or data.labels == "ignore" else _label(path, columns, data, text)
    for where, row in rows:
        said = _clean(corpus, _first(row.get(text)) if source else row.get(text), where)
        asked = _clean(corpus, row.get(source), where) if source else ""
        if said is None or asked is None:
            continue
        if label is not None:
            value = row.get(label)
            if value is None or not str(value).strip():
                corpus.fault("no class", where)
                continue
            corpus.labels = corpus.labels if corpus.labels is not None else []
            corpus.labels.append(str(value).strip())
        if source:
            corpus.sources = corpus.sources if corpus.sources is not None else []
            corpus.sources.append(asked)
        corpus.texts.append(said)


def _first(value: Any) -> Any:
    """Of several targets of one source the first."""
    return value[0] if isinstance(value, list) and value else value


def _label(path: Path, columns: list[str], data: Data, text: str) -> str | None:
    if data.columns:
        if len(data.columns) > 1:
            raise InputError(f"columns names {', '.join(data.columns)}; the class of a sentence is one column.")
        return _column(path, columns, data.columns[0], (), [])
    return next((name for name in columns if name.lower() in CLASS_COLUMNS and name != text), None)


def _column(path: Path, columns: list[str], asked: str | None, usual: tuple[str, ...], rows: list[tuple[str, dict[str, Any]]]) -> str:
    """The column asked for, else the one with a usual name, else the only one. Raises InputError."""
    if asked is not None:
        if asked in columns:
            return asked
        raise InputError(f"'{path.name}' has no column '{asked}'; its columns are {', '.join(columns)}.{suggest(asked, columns)}")
    named = [name for wanted in usual for name in columns if name.lower() == wanted]
    if named:
        return named[0]
    texts = [name for name in columns if any(isinstance(row.get(name), str) for _, row in rows[:100])]
    if len(texts) == 1:
        return texts[0]
    raise InputError(
        f"'{path.name}' has the columns {', '.join(columns)}, and none is called {' or '.join(usual[:3])}; say which is the text: --text COLUMN"
    )


def _json_lines(corpus: Corpus, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(_split(_text(path)), 1):
        where = f"{path.name}, line {number}"
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            corpus.fault("no JSON", where)
            continue
        if isinstance(row, str):
            row = {"text": row}
        if not isinstance(row, dict):
            corpus.fault("JSON, but no object", where)
            continue
        yield where, row


def _table(corpus: Corpus, path: Path) -> Iterable[tuple[str, dict[str, Any]]]:
    text = _text(path)
    limit = csv.field_size_limit(2**27)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter="\t" if _suffix(path) == ".tsv" else ","))
    except csv.Error as error:
        raise InputError(f"'{path.name}' is no table: {error}; expected comma-separated values with a head line.") from None
    finally:
        csv.field_size_limit(limit)
    if not rows:
        return []
    head = [name.strip() for name in rows[0]]
    if not all(head) or len(set(head)) < len(head):
        raise InputError(f"the first line of '{path.name}' names its columns {', '.join(head[:8])!s}; expected a name for each, each once.")
    found = []
    for number, row in enumerate(rows[1:], 2):
        where = f"{path.name}, row {number}"
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(head):
            corpus.fault(f"{len(row)} cells instead of {len(head)}", where)
            continue
        found.append((where, dict(zip(head, row, strict=True))))
    return found
