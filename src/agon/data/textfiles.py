"""Files of text at a path: which there are in a file, a folder or a zip, which belong together, and their content as text.

A folder or zip is text when it holds nothing that Agon reads as pictures, films, arrays or tables of pictures, and most of its files are text.
Content decides how a file is unpacked (gzip or not) and decoded (UTF-8, or UTF-16 and UTF-32 by their marks). Nothing of a zip is unpacked to disk.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from agon.data import containers
from agon.data.idx import is_idx_name
from agon.data.source import EXTENSIONS, holds_run, shown, walk
from agon.errors import InputError

LINES = frozenset({".txt", ".text"})
RECORDS = frozenset({".jsonl", ".ndjson", ".csv", ".tsv"})
ARRAY = ".json"  # records too, where it is the file that was asked for; beside others it mostly holds settings
FOREIGN = EXTENSIONS | containers.EXTENSIONS | {".npz", ".npy", ".parquet", ".zip"}  # what other readers take
# Two-letter codes of languages, ISO 639-1, the suffixes of parallel files.
_CODES = (
    "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo es et eu fa ff fi fj fo fr fy "
    "ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu "
    "lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq "
    "sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu"
)
LANGUAGES = frozenset("." + code for code in _CODES.split())
NOTES = frozenset(["readme", "license", "licence", "copying", "notice", "changelog", "citation", "thumbs", "desktop"])
MOST_BYTES = 2**30  # of a file once unpacked
_HELD = re.compile(
    r"(?:^|[._-])(?:news)?(?:test|val|valid|validation|dev)(?:set)?\d*$|^(?:news)?(?:test|val|valid|validation|dev)(?:set)?(?![a-z])"
)
_PROBE = 65_536
MOST_DAMAGED = 0.1  # of the signs of a file that only its suffix, a language, says is text


@dataclass(frozen=True)
class TextFile:
    """A file: its name within the folder or zip, with "/", and how to open it."""

    name: str
    open: Callable[[], IO[bytes]] = field(repr=False)

    @property
    def suffix(self) -> str:
        """In small letters, without .gz."""
        return PurePosixPath(_bare(self.name)).suffix.lower()


@dataclass(frozen=True)
class Listing:
    """What is at a path: the text there, the files that are none by suffix, and what could not be looked at."""

    kind: str  # "file", "folder" or "zip"
    files: list[TextFile]
    others: Counter[str]
    refused: list[tuple[str, str]]


def listing(path: str, languages: Iterable[str | None] = ()) -> Listing | None:
    """The text at a path, None where it is something else or nothing. languages: suffixes that are text too, such as "en"."""
    tongues = frozenset(f".{word.lower()}" for word in languages if word)
    place = Path(path).expanduser()
    try:
        if place.is_dir():
            return None if _has_foreign(place) else _folder(place, tongues)
        if not place.is_file():
            return None
        if place.suffix.lower() == ".zip":
            return _zip(place, tongues)
    except (OSError, ValueError):
        return None
    file = _on_disk(place)
    return Listing("file", [file], Counter(), []) if file.suffix == ARRAY or _is_text(file, tongues) else None


def beside(path: str, languages: Iterable[str | None]) -> list[TextFile]:
    """The file at a path and those of its folder that have a suffix of these languages."""
    place = Path(path).expanduser()
    return [
        _on_disk(other)
        for other in sorted(place.parent.iterdir())
        if other.is_file() and any(twin_name(other.name, word) for word in languages)
    ]


def is_held(name: str) -> bool:
    """Whether a name says that the file is held out: test_2016.en, flickr.val.txt, dev/a.txt; not testimony.txt."""
    *folders, last = PurePosixPath(_bare(name)).parts
    return any(_HELD.search(part.lower()) for part in [*folders, last.rsplit(".", 1)[0]])


def twin_name(name: str, language: str | None) -> str:
    """What the names of files that belong together share, or "" if this is no file of the language: train.en.gz, train.en.txt, en.txt."""
    bare = _bare(name)
    bare = bare[: -len(".txt")] if bare.lower().endswith(".txt") else bare
    if not language:
        return ""
    if PurePosixPath(bare).name.lower() == language.lower():
        return bare[: -len(language)] + "*"
    return bare[: -len(language)] + "*" if bare.lower().endswith(f".{language.lower()}") else ""


def _bare(name: str) -> str:
    return name[:-3] if name.lower().endswith(".gz") else name


def _on_disk(place: Path, name: str | None = None) -> TextFile:
    return TextFile(name or shown(place.name), lambda: open(place, "rb"))


def _has_foreign(root: Path) -> bool:
    """Whether anything under a folder is for another reader; found at the first such file, as there may be millions."""
    seen: set[tuple[int, int]] = set()
    waiting = [str(root)]
    while waiting:
        folder = waiting.pop()
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name == "__MACOSX":
                    continue
                if entry.is_dir():
                    waiting += [] if holds_run(Path(entry.path)) else [entry.path]
                elif PurePosixPath(entry.name).suffix.lower() in FOREIGN or is_idx_name(entry.name):
                    return True
    return False


def _folder(root: Path, tongues: frozenset[str]) -> Listing | None:
    entries, refused, runs = walk(root)
    refused += [(name, "a run, whose samples are no data") for name in runs]
    return _mostly("folder", [_on_disk(entry.place, shown(entry.name)) for entry in entries], tongues, refused)


def _zip(place: Path, tongues: frozenset[str]) -> Listing | None:
    try:
        archive = zipfile.ZipFile(place)
        members = [member for member in archive.infolist() if not member.is_dir()]
    except Exception:  # the reader of other zips says what is wrong with this one
        return None
    files = []
    for member in sorted(members, key=lambda member: member.filename):
        parts = [part for part in PurePosixPath(member.filename.replace("\\", "/")).parts if part not in ("/", "..", ".")]
        if not parts or any(part.startswith(".") or part == "__MACOSX" for part in parts):
            continue
        if PurePosixPath(parts[-1]).suffix.lower() in FOREIGN or is_idx_name(parts[-1]):
            return None
        files.append(TextFile(shown("/".join(parts)), lambda member=member: archive.open(member)))  # type: ignore[misc]
    return _mostly("zip", files, tongues, [])


def _mostly(kind: str, files: list[TextFile], tongues: frozenset[str], refused: list[tuple[str, str]]) -> Listing | None:
    """The text among the files, if there is any and it is most of them."""
    files = [file for file in files if PurePosixPath(file.name).name.lower().split(".")[0] not in NOTES]
    texts = [file for file in files if _is_text(file, tongues)]
    names = {file.name for file in texts}
    others = Counter(file.suffix or "no suffix" for file in files if file.name not in names)
    return Listing(kind, texts, others, refused) if texts and len(texts) > others.total() else None


def _is_text(file: TextFile, tongues: frozenset[str]) -> bool:
    """By its suffix; a language's, which programs have too, must also begin with text: in UTF-8 all but a little, unless it was asked for (tongues)."""
    if file.suffix in LINES | RECORDS:
        return True
    if file.suffix not in LANGUAGES | tongues:
        return False
    try:
        begin = unpacked(file, _PROBE)
    except InputError:
        return False
    text = begin.decode(_encoding(begin), "replace")
    legible = file.suffix in tongues or text.count("\ufffd") <= MOST_DAMAGED * len(text)
    return legible and bool(text.strip()) and "\0" not in text


# -- content -----------------------------------------------------------------------------------------------------------------------------


def unpacked(file: TextFile, most: int | None = None) -> bytes:
    """The bytes of a file, of gzip those inside; `most` of them if given, else all. Raises InputError."""
    try:
        with file.open() as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            content = (gzip.GzipFile(fileobj=raw) if zipped else raw).read(most or MOST_BYTES + 1)
    except NotImplementedError as error:  # an odd compression in a zip
        raise InputError(f"'{file.name}' cannot be read: {error}; unpack the zip and give the folder.") from None
    except RuntimeError:
        raise InputError(f"'{file.name}' is encrypted; unpack the zip with its password and give the folder.") from None
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"'{file.name}' cannot be read: {why}; expected plain or gzipped text. Copy or download it again.") from None
    if len(content) > MOST_BYTES:
        raise InputError(f"'{file.name}' is larger than {MOST_BYTES // 2**30} GiB once unpacked; split it, or take a part of it.")
    return content


def _encoding(raw: bytes) -> str:
    if raw[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        return "utf-32"
    return "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def content(file: TextFile) -> tuple[str, bool]:
    """A file as text, with U+FFFD where bytes are none, and whether there were such bytes. Raises InputError."""
    raw = unpacked(file)
    encoding = _encoding(raw)
    if encoding == "utf-8-sig" and raw[:_PROBE].count(0) * 10 > len(raw[:_PROBE]):
        raise InputError(
            f"'{file.name}' is no text in UTF-8: it is full of zero bytes. If it is UTF-16, save it with its mark, or as UTF-8."
        )
    try:
        return raw.decode(encoding), False
    except UnicodeDecodeError:
        return raw.decode(encoding, "replace"), True


def lines(text: str) -> list[str]:
    """Lines without their ends. Only a file without any line feed ends its lines at carriage returns; other signs that Python takes for an end of
    line are part of a sentence, so that parallel files stay together."""
    found = text.split("\n") if "\n" in text else text.split("\r")
    if found and not found[-1]:
        found.pop()
    return [line.removesuffix("\r") for line in found]


def buffer(text: str) -> io.StringIO:
    """Text as a file whose line ends are kept, for `csv`."""
    return io.StringIO(text, newline="")
