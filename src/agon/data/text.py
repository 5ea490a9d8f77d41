"""Text as a data set: from a corpus, or an embedded language, to sentences of tokens.

A sentence is held out by its content, so that the same sentence is always on one side; pairs by their source. The tokeniser and the length are
learned from the training side alone. Sentences that are longer are left out, and counted: a cut one would teach sentences without an end. Sources
are cut. Where most words of a text stand in its source already, as in summaries, both share one tokeniser, so that words can be copied.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agon.data import tokenisers
from agon.data.corpus import Corpus, identity, read_corpus
from agon.data.request import Data
from agon.data.samples import DataSet, Samples, held_out, held_out_few
from agon.data.spoken import sentences
from agon.errors import InputError
from agon.spaces.tokens import UNKNOWN, Tokens, real

Say = Callable[[str, str], None]
LEAST = 20  # sentences
MOST_TOKENS = 128  # of a sentence, where no length is asked for
MOST_SOURCE = 400  # tokens of a source, where no length is asked for: what See et al. 2017 read of an article (arXiv:1704.04368)
COVERED = 0.995  # share of the sentences that the length found holds
ALIKE = 0.5  # share of a text's words that its source holds, from which on both share a tokeniser
LISTED = 8


@dataclass(frozen=True)
class Side:
    """One language of a corpus in tokens: its space, int32 [N, L], and how many tokens each text has, to know what was cut."""

    space: Tokens
    x: Tensor
    lengths: np.ndarray


def open_text(data: Data, say: Say) -> DataSet:
    """Read, split, learn a tokeniser, encode. Raises InputError when the corpus cannot be used."""
    corpus = sentences() if data.path == "sentences" else read_corpus(data)
    reasons = {
        "data": f"{corpus.path}: {corpus.kind}, {len(corpus):,} sentences" + (f" of '{corpus.text_name}'" if corpus.text_name else "")
    }
    say("data", reasons["data"])
    if data.limit is not None and data.limit < len(corpus):
        corpus = _thinned(corpus, data.limit)
        reasons["limit"] = f"{len(corpus):,}: spread evenly, asked for"
    if len(corpus) < LEAST:
        raise InputError(f"{data.path} has {len(corpus)} sentences; expected {LEAST} at least, and thousands for a model of any use.")
    held, reasons["split"] = _split(corpus, data.holdout)
    train = np.flatnonzero(~held)
    texts = [corpus.texts[k] for k in train]
    y: Tensor | None = None
    if corpus.sources is None:
        said = _side(corpus.texts, train, _language(texts, data, reasons, ""), data.length, MOST_TOKENS, reasons, "")
        space = said.space
    else:
        sources = [corpus.sources[k] for k in train]
        if _shared(sources, texts, data, reasons):
            one = other = _language([*sources, *texts], data, reasons, "")
        else:
            other, one = (_language(part, data, reasons, which) for part, which in ((texts, "target "), (sources, "source ")))
        said = _side(corpus.texts, train, other, data.length, MOST_TOKENS, reasons, "target ")
        asked = _side(corpus.sources, train, one, data.source_length, MOST_SOURCE, reasons, "source ")
        space, y = replace(said.space, source=asked.space), asked.space.whole(corpus.sources)[0].to(torch.int32)
        if cut := int((asked.lengths >= asked.space.length).sum()):
            reasons["cut"] = f"{cut:,} sources with more tokens are cut"
    keep = said.lengths < said.space.length
    labels: dict[str, Any] = {"used": False, "kind": None, "origin": "", "classes": []}
    if corpus.labels is not None and data.labels != "ignore":
        space, y, labels = _classes(corpus, space, held, data, reasons)
    empty = ~real(said.x).any(1).numpy() if not space.ends else (said.lengths == 0)
    long, keep = int((~keep).sum()), keep & ~empty
    if long:
        reasons["too long"] = f"{long:,} sentences with more tokens are left out"
    used = {"train": np.flatnonzero(keep & ~held), "held": np.flatnonzero(keep & held)}
    if len(used["train"]) < LEAST // 2:
        raise InputError(
            f"{data.path} has {len(used['train'])} sentences of at most {space.length - 1} tokens to train on; give a larger --length."
        )
    unknown = float((said.x[used["train"]] == UNKNOWN).sum() / real(said.x[used["train"]]).sum())
    for choice, reason in reasons.items():
        if choice != "data":
            say(choice, reason)
    return _data_set(data, corpus, space, said.x, y, used, labels, reasons, {"too_long": long, "unknown_share": round(unknown, 6)})


def _thinned(corpus: Corpus, count: int) -> Corpus:
    rows = (np.arange(count) * len(corpus) // count).tolist()

    def some(column: list[Any] | None) -> list[Any] | None:
        return None if column is None else [column[k] for k in rows]

    return replace(
        corpus, texts=some(corpus.texts) or [], sources=some(corpus.sources), labels=some(corpus.labels), held=some(corpus.held)
    )  # fmt: skip


def text_hashes(texts: Sequence[str]) -> np.ndarray:
    """A 64-bit hash uint64 [N] of each text, by which it is held out; capitals do not count."""
    digests = b"".join(hashlib.blake2b(text.casefold().encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in texts)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def _split(corpus: Corpus, share: float) -> tuple[np.ndarray, str]:
    if corpus.held is not None:
        held = np.array(corpus.held)
        return held, f"{(~held).sum():,} to train, {held.sum():,} held back: {corpus.split_origin}"
    if share == 0:
        return np.zeros(
            len(corpus), bool
        ), f"{len(corpus):,} to train, none held back: holdout 0, so scores will compare with what was trained on"
    hashes = text_hashes(corpus.texts if corpus.sources is None else corpus.sources)
    held, how = held_out(hashes, share), f"by content hash, holdout {share:g}"
    if min(held.sum(), (~held).sum()) < 2:
        held, how = held_out_few(hashes, share, 2), "by content hash; the set is so small that chance would leave too few on one side"
    return held, f"{(~held).sum():,} to train, {held.sum():,} held back: {how}"


def _shared(sources: Sequence[str], texts: Sequence[str], data: Data, reasons: dict[str, str]) -> bool:
    """Whether sources and texts have one tokeniser: asked for, or most words of a text stand in its source."""
    if data.shared is not None:
        reasons["shared"] = f"{'one tokeniser' if data.shared else 'a tokeniser each'} for source and target: asked for"
        return data.shared
    step = max(1, len(texts) // 2_000)
    pairs = [(set(a.lower().split()), b.lower().split()) for a, b in zip(sources[::step], texts[::step], strict=True)]
    share = sum(word in there for there, said in pairs for word in said) / max(1, sum(len(said) for _, said in pairs))
    reasons["shared"] = f"{'one tokeniser' if share >= ALIKE else 'a tokeniser each'}: {share:.0%} of a target's words stand in its source"
    return share >= ALIKE


def _language(learned: Sequence[str], data: Data, reasons: dict[str, str], which: str) -> Tokens:
    """Learn a tokeniser; its space has no length yet."""
    kind, why = tokenisers.choose(learned) if data.tokenizer == "auto" else (data.tokenizer, "asked for")
    content = tokenisers.train(learned, kind, size=data.vocabulary, lower=data.lower)
    vocabulary = 1 + max(json.loads(content)["model"]["vocab"].values())
    reasons[f"{which}tokenizer"] = f"{kind}, {vocabulary:,} tokens: {why}"
    return Tokens(length=1, vocabulary=vocabulary, tokenizer=content)


def _side(
    texts: Sequence[str], train: np.ndarray, probe: Tokens, asked: int | None, most: int, reasons: dict[str, str], which: str
) -> Side:  # fmt: skip
    """Find a length for these texts, which was asked for or is at most `most`, and encode all."""
    ids = probe.ids(texts)
    lengths = np.array([len(row) for row in ids])
    longest = int(lengths[train].max(initial=1))
    if asked is not None:
        length, why = asked, "asked for"
    elif longest <= most // 2:
        length, why = longest, "the longest training sentence"
    else:
        length = min(most, int(np.quantile(lengths[train], COVERED)) + 1)
        why = f"{(lengths[train] <= length).mean():.1%} of the training sentences are no longer, the longest has {longest:,}"
    reasons[f"{which}length"] = f"{length} tokens and an end: {why}"
    space = replace(probe, length=length + 1)
    return Side(space, space.pack(ids), lengths)


def _classes(
    corpus: Corpus, space: Tokens, held: np.ndarray, data: Data, reasons: dict[str, str]
) -> tuple[Tokens, Tensor, dict[str, Any]]:  # fmt: skip
    assert corpus.labels is not None
    counts = Counter(label for label, out in zip(corpus.labels, held, strict=True) if not out)
    if len(counts) > 1_000:
        raise InputError(
            f"the classes of {data.path} are {len(counts):,} different values; expected at most 1,000. Leave them out: --labels ignore"
        )
    names = tuple(sorted(set(corpus.labels)))
    y = torch.tensor([names.index(label) for label in corpus.labels])
    reasons["labels"] = f"{len(names)} classes: {', '.join(names[:LISTED])}{' …' if len(names) > LISTED else ''}"
    card = {
        "used": True, "kind": "classes", "origin": corpus.kind, "classes": list(names), "counts": torch.bincount(y[~held], minlength=len(names)).tolist(),
        "held_counts": torch.bincount(y[held], minlength=len(names)).tolist(),
    }  # fmt: skip
    return replace(space, classes=names), y, card


def _data_set(
    data: Data, corpus: Corpus, space: Tokens, x: Tensor, y: Tensor | None, used: dict[str, np.ndarray], labels: dict[str, Any],
    reasons: dict[str, str], more: dict[str, Any],
) -> DataSet:  # fmt: skip
    mark = hashlib.sha256(identity(corpus).encode())
    mark.update(json.dumps([space.tokenizer, space.length, data.holdout, data.limit, data.labels]).encode())
    mark.update(used["train"].tobytes())

    def samples(part: str) -> Samples:
        rows = torch.from_numpy(used[part])
        return Samples(x[rows], None if y is None else y[rows], captions=[corpus.texts[k] for k in used[part]], index=used[part])

    train, held = samples("train"), samples("held")
    known = {corpus.texts[k] for k in used["train"]}
    card = {
        "path": corpus.path, "kind": corpus.kind, "space": space.describe(), "content_hash": mark.hexdigest()[:16], "num_items": len(corpus),
        "num_train": len(train), "num_held": len(held), "split": reasons["split"], "labels": labels, "vocabulary": space.vocabulary,
        "length": space.length, "faults": dict(corpus.faults.most_common()), "examples": corpus.examples, "num_unreadable": corpus.faults.total(),
        "duplicates": len(corpus) - len(set(corpus.texts)), "overlap": sum(corpus.texts[k] in known for k in used["held"]), "notes": corpus.notes, **more,
    }  # fmt: skip
    return DataSet(space, train, held, card, reasons, card["content_hash"], corpus.texts)
