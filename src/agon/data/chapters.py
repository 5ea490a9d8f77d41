"""Embedded sentences with classes: what this Python's documentation says about eight subjects, so that a generator of categories can be played anywhere.

A sentence of `sentences` (`spoken.py`) has the subject of the module it stands in, much as the chapters of the library's reference have them; what is said
of the language itself ("topics") is one more. Sentences that stand in two subjects, and those of modules that are in none, are left out. No class is a
matter of form: all are sentences of the same documentation, and it takes their words to tell them apart.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

from agon.data.corpus import Corpus
from agon.data.remembered import as_bytes, as_text, remembered
from agon.data.spoken import documented, enough, rule

# Modules of every Python from 3.11 on, and some that came or went: what is not there has no sentences.
MODULES = {
    "concurrency": "asyncio threading multiprocessing concurrent subprocess queue sched selectors _threading_local",
    "files": "tarfile zipfile gzip bz2 lzma shutil tempfile pathlib _pyio io os fileinput fnmatch glob genericpath posixpath ntpath filecmp stat dbm shelve",
    "language": "topics",
    "mail": "email mailbox smtplib imaplib poplib mimetypes quopri smtpd mailcap nntplib",
    "network": "http urllib socket ssl ftplib telnetlib xmlrpc socketserver ipaddress wsgiref cgi cgitb html webbrowser",
    "numbers": "_pydecimal statistics fractions random numbers datetime _pydatetime calendar _strptime heapq bisect",
    "tests": "unittest doctest bdb pdb traceback trace timeit profile pstats cProfile tracemalloc",
    "windows": "tkinter turtle",
}


def chapters(cache: Path) -> Corpus:
    """The sentences of each subject, found once and kept in the cache. Raises InputError where the standard library has no sources."""
    corpus = Corpus(f"sentences of Python {sys.version_info.major}.{sys.version_info.minor} by subject", "chapters")
    mark = hashlib.sha256(json.dumps([*rule(), MODULES]).encode()).hexdigest()[:24]

    def found() -> list[str]:
        subject = {module: name for name, modules in MODULES.items() for module in modules.split()}
        told: dict[str, set[str | None]] = {}
        for where, said in documented():
            told.setdefault(said, set()).add(subject.get(where))
        one = {said: next(iter(names)) for said, names in told.items() if len(names) == 1}
        return [f"{name}\t{said}" for said, name in one.items() if name is not None]

    kept = remembered(cache, mark, lambda: {"text.x": as_bytes("\n".join(found()))})
    rows = [line.partition("\t") for line in as_text(kept["text.x"]).split("\n")]
    corpus.labels, corpus.texts = [name for name, _, _ in rows], [said for _, _, said in rows]
    corpus.label_origin = "the modules they stand in"
    enough(corpus)
    return corpus
