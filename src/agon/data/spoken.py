"""Embedded text, so that a text game can be played anywhere.

sentences   what every Python installation says about itself: sentences of `pydoc_data.topics` and of the docstrings of the standard library, in plain
            words, without code. Which they are depends on the version of Python, and the content hash tells
chapters    those of them that can be told to be of one subject, with it as their class (`chapters.py`)
arithmetic  expressions of a probabilistic grammar (`agon.languages.grammar`): every sentence's probability and the entropy are known
oracle      10,000 sentences of 20 words by a random LSTM out of 5,000 words, and 10,000 held out (`agon.languages.lstm`), the bed of
            SeqGAN (Yu et al. 2017, arXiv:1609.05473): a generator's true likelihood can be told. Tokens have no text
oracle-stream  100,000 sentences of the same oracle: read once or twice in ten minutes, so that nothing is learnt by heart (`oracle` is a test of that too)

The last three take `length`: the field has 20 and 40. It counts the end where there is one (`arithmetic`).
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agon.data import tokenisers
from agon.data.corpus import Corpus
from agon.data.entry import Arrays
from agon.data.remembered import as_bytes, as_text, remembered
from agon.data.request import Data
from agon.data.samples import DataSet, Samples, sample_hashes
from agon.errors import InputError
from agon.languages.grammar import SYMBOLS, Arithmetic
from agon.languages.lstm import LSTMOracle
from agon.spaces.tokens import END, FIRST, PAD, Tokens

# Sentences of a language, of a stream of it, held out; the seed of all never changes.
SENTENCES, STREAM, HELD, SEED = 10_000, 100_000, 10_000, 20170209
ORACLE = 0  # the oracle's own seed
LENGTH = 20  # tokens of a sentence where no length is asked for: the field's
_SENTENCE = re.compile(r"(?:(?<=[.!?]\s)|^)([A-Z][A-Za-z ,;:'()/0-9-]{18,158}[.!?])(?=\s|$)")
_CODE = r"^\s*(?:>>>|\.\.\.|\+--|==|--)|::|\t"
_BESIDE = ("test", "tests", "site-packages", "dist-packages", "lib2to3", "idlelib", "turtledemo")  # folders whose texts are left out
_RULE = 1  # of everything else that decides which sentences there are
_PLAIN = re.compile(r"[a-z]{2,} [a-z]+ .*[a-z]{3}")


def sentences(cache: Path) -> Corpus:
    """The sentences of this Python installation, found once and kept in the cache. Raises InputError where the standard library has no sources."""
    corpus = Corpus(f"sentences of Python {sys.version_info.major}.{sys.version_info.minor}", "sentences")
    mark = json.dumps(rule())
    found = remembered(
        cache,
        hashlib.sha256(mark.encode()).hexdigest()[:24],
        lambda: {"text.x": as_bytes("\n".join(dict.fromkeys(said for _, said in documented())))},
    )
    corpus.texts = as_text(found["text.x"]).split("\n")
    enough(corpus)
    return corpus


def rule() -> list[Any]:
    """What decides which sentences there are: another Python, or another rule, has others."""
    return [sys.version, sysconfig.get_paths()["stdlib"], _SENTENCE.pattern, _PLAIN.pattern, _CODE, _BESIDE, _RULE]


def enough(corpus: Corpus) -> None:
    """Raises InputError where the standard library has no sources, or next to none."""
    if len(corpus) < 1_000:
        raise InputError(
            "this Python installation carries no documentation, so there are no embedded sentences; give a file of lines instead."
        )


def documented() -> Iterator[tuple[str, str]]:
    """(where it stands, sentence) in their order, some more than once: "topics" of the language, else a module or the folder of one."""
    from pydoc_data.topics import topics

    for name in sorted(topics):
        yield from (("topics", said) for said in _said(topics[name]))
    folder = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted([*folder.glob("*.py"), *folder.glob("[a-z]*/*.py")]):
        if path.parent.name in _BESIDE:
            continue
        try:
            tree = ast.parse(path.read_text("utf-8"))
        except (OSError, SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                where = path.stem if path.parent == folder else path.parent.name
                yield from ((where, said) for said in _said(ast.get_docstring(node) or ""))


def _said(text: str) -> Iterator[str]:
    """Sentences of prose: paragraphs that are neither code nor tables, put on one line."""
    for paragraph in re.split(r"\n\s*\n", text):
        if re.search(_CODE, paragraph, re.M):
            continue
        line = " ".join(paragraph.replace("*", "").replace("`", "").replace('"', "").split())
        yield from (found for found in _SENTENCE.findall(line) if _PLAIN.search(found))


def language_of(path: str, length: int | None = None) -> Arithmetic | LSTMOracle | None:
    """The language that a data set was drawn from, by its path and the length of its space; None for text whose probabilities nobody knows."""
    if path == "arithmetic":
        return Arithmetic(length or LENGTH)
    return LSTMOracle(length=length or LENGTH, seed=ORACLE) if path in ("oracle", "oracle-stream") else None


def unpacked(x: torch.Tensor, space: Tokens) -> tuple[torch.Tensor, torch.Tensor]:
    """Sentences [n, L] of such a data set in the language's own numbers and their mask; what the language has no word for becomes a word it lacks."""
    x = x.long()
    mask, words = x != PAD, x - FIRST
    if not space.ends:
        return torch.where(words >= 0, words, 0), words >= 0
    foreign = space.vocabulary
    return torch.where(x == END, 0, torch.where(x >= FIRST, words + 1, torch.where(mask, foreign, 0))), mask


def open_language(data: Data, cache: Path) -> DataSet:
    """`arithmetic`, `oracle` or `oracle-stream` as a data set of SENTENCES or STREAM to train and HELD to hold out, or `limit`; of `length` tokens."""
    language = language_of(data.path, data.length)
    assert language is not None, data.path
    grammar = language if isinstance(language, Arithmetic) else None
    sizes = [min(count, data.limit or count) for count in (STREAM if data.path == "oracle-stream" else SENTENCES, HELD)]

    def drawn() -> Arrays:
        generator = torch.Generator().manual_seed(SEED)
        both = [_packed(*language.sample(count, generator), language.length, ends=grammar is not None) for count in sizes]
        return {"x": torch.cat(both).long().numpy()}

    if sizes[0] * language.length > SENTENCES * LENGTH:
        mark = json.dumps([data.path, language.length, *sizes, SEED, ORACLE, torch.__version__])
        found = remembered(cache, hashlib.sha256(mark.encode()).hexdigest()[:24], drawn)
    else:
        found = drawn()
    parts = list(torch.from_numpy(np.array(found["x"])).to(torch.int32).split(sizes))
    if grammar is not None:
        words = [word for word in SYMBOLS if word != "<end>"]
        space = Tokens(length=language.length, vocabulary=FIRST + len(words), tokenizer=tokenisers.of_words(words))
        told = f"entropy {grammar.entropy:.4f} nats a sentence"
    else:
        space = Tokens(length=language.length, vocabulary=FIRST + language.vocabulary, ends=False)
        told = f"an LSTM with random weights, seed {ORACLE}"
    reasons = {"data": f"{data.path}: embedded, {told}", "split": f"{len(parts[0]):,} to train, {len(parts[1]):,} held back: drawn apart"}
    why = "the field's; --length N takes another" if data.length is None else "asked for"
    reasons["length"] = f"{space.length} tokens{', the end among them' if space.ends else ''}: {why}"
    labels: dict[str, Any] = {"used": False, "kind": None, "origin": "", "classes": []}
    card: dict[str, Any] = {
        "path": data.path, "kind": "embedded language", "space": space.describe(), "num_items": len(parts[0]) + len(parts[1]),
        "num_train": len(parts[0]), "num_held": len(parts[1]), "split": reasons["split"], "labels": labels, "vocabulary": space.vocabulary,
        "length": space.length, "faults": {}, "examples": {}, "num_unreadable": 0, "notes": [told],
    }  # fmt: skip
    card["content_hash"] = f"{int(sample_hashes(torch.cat(parts).flatten()[None].numpy())[0]):016x}"
    return DataSet(space, Samples(parts[0]), Samples(parts[1]), card, reasons, card["content_hash"])


def _packed(tokens: torch.Tensor, mask: torch.Tensor, length: int, *, ends: bool) -> torch.Tensor:
    """A language's own numbers as tokens of a space: its end (0, where there is one) is END, its words follow FIRST."""
    words = tokens - 1 + FIRST if ends else tokens + FIRST
    return torch.where(mask, torch.where((tokens == 0) & ends, 1, words), 0).to(torch.int32)
