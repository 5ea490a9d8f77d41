"""Text as a data set: from a corpus, or an embedded language, to sentences of tokens.

A sentence is held out by its content, so that the same sentence is always on one side; pairs by their source. The tokeniser and the length are
learned from the training side alone. Sentences that are longer are left out, and counted: a cut one would teach sentences without an end. Sources
are cut. Where most words of a text stand in its source already, as in summaries, both share one tokeniser, so that words can be copied; without pairs,
where most stand in some source.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agon.data import dictionary, tokenisers
from agon.data.chapters import chapters
from agon.data.corpus import MOST_CLASSES, Corpus, identity, read_corpus
from agon.data.described import check_balance, describe_labels
from agon.data.entry import Arrays, default_cache
from agon.data.headlines import headlines
from agon.data.hub import SIGN, read_hub
from agon.data.remembered import as_bytes, as_text, remembered
from agon.data.request import DOCUMENTED, Data
from agon.data.samples import DataSet, Samples, held_out_surely, text_hashes
from agon.data.spoken import sentences
from agon.data.textcard import described
from agon.errors import InputError
from agon.spaces.tokens import END, FIRST, PAD, UNKNOWN, Tokens, real

Say = Callable[[str, str], None]
LEAST = 20  # sentences
MOST_TOKENS = 128  # of a sentence, where no length is asked for
MOST_SOURCE = 400  # tokens of a source, where no length is asked for: what See et al. 2017 read of an article (arXiv:1704.04368)
COVERED = 0.995  # share of the sentences that the length found holds
ALIKE = 0.5  # share of a text's words that its source holds, from which on both share a tokeniser
# The same without pairs, share that all sources together hold: close languages have more words in common than a pair has.
ALIKE_ANYWHERE = 0.7
LARGE = 2**20  # characters of a text above which its tokens are kept in the cache
LISTED = 8
_RULE = "1"  # of learning and encoding; a new one makes the cache anew


@dataclass(frozen=True)
class Side:
    """One language of a corpus in tokens: its space, int32 [N, L], and how many tokens each text has, to know what was cut."""

    space: Tokens
    x: Tensor
    lengths: np.ndarray


def open_text(data: Data, say: Say, cache: Path | None = None) -> DataSet:
    """Read, split, learn a tokeniser, encode. Raises InputError when the corpus cannot be used."""
    folder = cache if cache is not None else default_cache()
    _refuse(data)
    corpus = (
        sentences(folder)
        if data.path == "sentences"
        else chapters(folder)
        if data.path == "chapters"
        else headlines(apart=data.unpaired)
        if data.path == "headlines"
        else read_hub(data)
        if data.path.startswith(SIGN)
        else read_corpus(data)
    )
    read = len(corpus)
    reasons = {"data": f"{corpus.path}: {corpus.kind}, {read:,} sentences" + (f" of '{corpus.text_name}'" if corpus.text_name else "")}
    say("data", reasons["data"])
    if lost := corpus.faults.total():
        what, count = corpus.faults.most_common(1)[0]
        reasons["left out"] = f"{lost:,} that cannot be used; {count:,} × {what}, first at {corpus.examples[what]}"
    if data.labels == "use" and corpus.labels is None:
        raise InputError(f"--labels use, and the sentences of {data.path} have no classes; name their column: --columns NAME")
    if data.limit is not None:
        corpus = _thinned(corpus, data.limit)
        if len(corpus) < read:
            reasons["limit"] = f"{len(corpus):,} of {read:,}: spread evenly, asked for"
    if len(corpus) < LEAST:
        lost_told = f" ({reasons['left out']})" if lost else ""
        raise InputError(
            f"{data.path} has {len(corpus)} sentence{'s' * (len(corpus) != 1)}{lost_told}; expected {LEAST} at least, and thousands for a model of any use."
        )
    held, reasons["split"] = _split(corpus, data.holdout)
    train = np.flatnonzero(~held)
    texts = [corpus.texts[k] for k in train]
    y: Tensor | None = None
    if corpus.sources is None:
        said = _side(corpus.texts, train, _language(texts, data, folder, reasons, ""), data.length, MOST_TOKENS, folder, reasons, "")
        space, keep = said.space, said.lengths > 0
    else:
        sources = [corpus.sources[k] for k in train]
        if _shared(sources, texts, data, reasons):
            one = other = _language([*sources, *texts], data, folder, reasons, "")
        else:
            parts = (("target ", texts), ("source ", sources))
            kinds = _kinds([part for _, part in parts], data)
            other, one = (_language(part, data, folder, reasons, which, kind) for (which, part), kind in zip(parts, kinds, strict=True))
        said = _side(corpus.texts, train, other, data.length, MOST_TOKENS, folder, reasons, "target ")
        asked = _side(corpus.sources, train, one, data.source_length, MOST_SOURCE, folder, reasons, "source ", cut=True)
        space, y, keep = replace(said.space, source=asked.space), asked.x, (said.lengths > 0) & (asked.lengths > 0)
        if cut := int((asked.lengths >= asked.space.length).sum()):
            reasons["cut"] = f"{cut:,} sources with more tokens are cut"
    keep &= said.lengths < space.length
    long = int((~keep).sum())
    if long:
        reasons["too long"] = f"{long:,} sentences with more tokens are left out; --length N takes longer ones"
    used = {"train": np.flatnonzero(keep & ~held), "held": np.flatnonzero(keep & held)}
    if len(used["train"]) < LEAST // 2:
        raise InputError(
            f"{data.path} has {len(used['train'])} sentences of at most {space.length - 1} tokens to train on, and {long:,} longer ones; "
            "give a larger --length."
        )
    if data.unpaired and y is not None:
        short = 2 * np.median(said.lengths[train]) <= np.median(asked.lengths[train])
        space, y = _unpaired(space, said.x, y, used["train"], folder, reasons, short=bool(short))
        beside = (
            "stand beside each other by chance, so none is compared with what is made of it: files called test are taken for pairs"
            if corpus.by_chance
            else "are taken to belong together"
        )
        reasons["unpaired"] = f"sources and targets are trained on in orders of their own; those held back {beside}"
    labels: dict[str, Any] = {"used": False, "kind": None, "origin": "", "classes": []}
    if corpus.labels is not None and data.labels != "ignore":
        space, y, labels = _classes(corpus, space, used, data, reasons)
    else:
        reasons["labels"] = (
            "ignored: asked for" if data.labels == "ignore" else "none" if corpus.sources is None else "the source of each sentence"
        )
    if data.balance:
        reasons["balance"] = check_balance(space)
    if data.bucket:
        reasons["bucket"] = "asked for: sentences of like lengths share a batch; a critic is shown batches of short ones alone"
    for choice, reason in reasons.items():
        if choice != "data":
            say(choice, reason)
    unknown = {part: _unknown(said.x[used[part]]) for part in used}
    more = {"too_long": long, "unknown_share": unknown["train"], "held_unknown_share": unknown["held"], "by_chance": corpus.by_chance}
    return _data_set(data, corpus, space, said.x, y, used, labels, reasons, more)


def _unpaired(
    space: Tokens, x: Tensor, y: Tensor, train: np.ndarray, cache: Path, reasons: dict[str, str], *, short: bool
) -> tuple[Tokens, Tensor]:  # fmt: skip
    """The space with the dictionary of its two languages, and sources [N, S] of which those to train on stand in another order.

    short: of one language and much shorter than their sources, as summaries are, so that every token stands for itself.
    """
    assert space.source is not None
    if short and space.source.tokenizer == space.tokenizer:
        same = (*[0] * FIRST, *range(FIRST, space.vocabulary))
        space = replace(space, source=replace(space.source, dictionary=same), dictionary=same)
        reasons["dictionary"] = "short texts in the words of their sources: every token stands for itself"
    else:
        space = _learnt(space, x[train], y[train], cache, reasons)
    y = y.clone()
    order = np.random.default_rng(0).permutation(len(train))
    y[torch.from_numpy(train)] = y[torch.from_numpy(train[order])]
    return space, y


def _learnt(space: Tokens, x: Tensor, y: Tensor, cache: Path, reasons: dict[str, str]) -> Tokens:
    """The space with dictionary and vectors, learnt from targets [N, L] and sources [N, S] and remembered. Raises InputError if nothing is written alike."""
    assert space.source is not None
    sides, names = (x, y), (space.names(), space.source.names())

    def learnt() -> Arrays:
        found = dictionary.learn(sides, names)
        if found is None:
            return {"there": np.zeros(0, np.int64), "told": np.zeros(2, np.int64)}
        told = np.array([found.anchors, round(1_000 * found.likeness)], np.int64)
        vectors = {f"vectors {k}.x": table.numpy().view(np.uint8).ravel() for k, table in enumerate(found.vectors)}
        return {"there": np.array(found.there, np.int64), "back": np.array(found.back, np.int64), "told": told, **vectors}

    mark = hashlib.sha256(json.dumps([dictionary.RULE, *names]).encode())
    for side in sides:
        mark.update(side.numpy().tobytes())
    found = remembered(cache, mark.hexdigest()[:24], learnt)
    if not len(found["there"]):
        raise InputError(
            "no word is written alike in both languages, so no dictionary can be begun; expected some names, numbers or signs in common: "
            "write both in one alphabet, or give pairs and leave out --unpaired."
        )
    anchors, likeness = (int(k) for k in found["told"])
    known = [int((found[name] > 0).sum()) for name in ("back", "there")]
    reasons["dictionary"] = (
        f"{known[0]:,} tokens of the source and {known[1]:,} of the target, learnt from {anchors:,} written alike; likeness {likeness / 1_000:.3f}"
    )
    one, other = (torch.from_numpy(found[f"vectors {k}.x"].copy().view(np.float32).reshape(len(own), -1)) for k, own in enumerate(names))
    source = replace(space.source, dictionary=tuple(found["back"].tolist()), vectors=other)
    return replace(space, dictionary=tuple(found["there"].tolist()), vectors=one, source=source)


def _refuse(data: Data) -> None:
    """Words of the request that mean nothing for text. Raises InputError."""
    if data.condition not in ("auto", "classes"):
        raise InputError(f"--condition {data.condition} is for pictures and clips; sentences have classes, or a source: leave it out.")
    if data.path in DOCUMENTED and (data.text or data.columns or data.source or data.target):
        raise InputError(f"text, columns, source and target name columns, and '{data.path}' has none; leave them out.")


def _unknown(x: Tensor) -> float:
    """Which share of the tokens [n, L] are unknown words."""
    return round(float((x == UNKNOWN).sum()) / max(1, int(real(x).sum())), 6)


def _thinned(corpus: Corpus, count: int) -> Corpus:
    """At most so many of the training side and of the side of its own that is held out, spread evenly, as of pictures."""
    every = np.arange(len(corpus))
    sides = [every] if corpus.held is None else [np.flatnonzero(~np.array(corpus.held)), np.flatnonzero(corpus.held)]
    rows = np.sort(np.concatenate([side[np.arange(count) * len(side) // count] if len(side) > count else side for side in sides])).tolist()

    def some(column: list[Any] | None) -> list[Any] | None:
        return None if column is None else [column[k] for k in rows]

    others = {new: corpus.others[old] for new, old in enumerate(rows) if old in corpus.others}
    apart, again = ({new for new, old in enumerate(rows) if old in marked} for marked in (corpus.apart, corpus.again))
    return replace(
        corpus, texts=some(corpus.texts) or [], others=others, sources=some(corpus.sources), labels=some(corpus.labels), held=some(corpus.held),
        apart=apart, again=again,
    )  # fmt: skip


def _split(corpus: Corpus, share: float) -> tuple[np.ndarray, str]:
    if corpus.held is not None:
        held = np.array(corpus.held)
        return held, f"{(~held).sum():,} to train, {held.sum():,} held back: {corpus.split_origin}"
    if share == 0:
        return np.zeros(
            len(corpus), bool
        ), f"{len(corpus):,} to train, none held back: holdout 0, so scores will compare with what was trained on"
    hashes = text_hashes(corpus.texts if corpus.sources is None else corpus.sources)
    held, enough = held_out_surely(hashes, share)
    how = f"by content hash, holdout {share:g}"
    if not enough:
        how = "by content hash; the set is so small that chance would leave too few on one side"
    if not held.any():
        how = "all sentences are the same, so none can be held back"
    return held, f"{(~held).sum():,} to train, {held.sum():,} held back: {how}"


def _shared(sources: Sequence[str], texts: Sequence[str], data: Data, reasons: dict[str, str]) -> bool:
    """Whether sources and texts have one tokeniser: asked for, or most words of a text stand in its source."""
    if data.shared is not None:
        reasons["shared"] = f"{'one tokeniser' if data.shared else 'a tokeniser each'} for source and target: asked for"
        return data.shared
    step = max(1, len(texts) // 2_000)
    asked, said = ([text.lower().split() for text in side[::step]] for side in (sources, texts))
    known = [{word for words in asked for word in words}] * len(said) if data.unpaired else list(map(set, asked))
    share = sum(word in there for there, words in zip(known, said, strict=True) for word in words) / max(1, sum(map(len, said)))
    where, bar = ("somewhere in the sources", ALIKE_ANYWHERE) if data.unpaired else ("in its source", ALIKE)
    reasons["shared"] = f"{'one tokeniser' if share >= bar else 'a tokeniser each'}: {share:.0%} of a target's words stand {where}"
    return share >= bar


def _kept(cache: Path, texts: Sequence[str], what: list[Any], make: Callable[[], Arrays]) -> Arrays:
    """What is made of these texts in the way `what` says; of large ones the cache remembers it."""
    if sum(map(len, texts)) <= LARGE:
        return make()
    mark = hashlib.sha256(json.dumps([_RULE, tokenisers.library(), *what]).encode())
    for text in texts:
        mark.update(text.encode() + b"\0")
    return remembered(cache, mark.hexdigest()[:24], make)


def _kinds(parts: Sequence[Sequence[str]], data: Data) -> list[tuple[tokenisers.Kind, str]]:
    """The kind of tokeniser of each of these texts, and why."""
    if data.tokenizer != "auto":
        return [(data.tokenizer, "asked for")] * len(parts)
    found = [tokenisers.choose(part, lower=data.lower) for part in parts]
    if data.unpaired and any(kind == "bpe" for kind, _ in found):
        beside = "words of one and pieces of the other would never be written alike"
        found = [(kind, why) if kind == "bpe" else ("bpe", beside) for kind, why in found]
    return found


def _language(
    learned: Sequence[str], data: Data, cache: Path, reasons: dict[str, str], which: str, chosen: tuple[tokenisers.Kind, str] | None = None
) -> Tokens:  # fmt: skip
    """Learn a tokeniser, of the kind and for the reason `chosen`; its space has no length yet."""
    kind, why = chosen or _kinds([learned], data)[0]
    found = _kept(
        cache, learned, [kind, data.vocabulary, data.lower],
        lambda: {"tokenizer.x": as_bytes(tokenisers.train(learned, kind, size=data.vocabulary, lower=data.lower))},
    )  # fmt: skip
    content = as_text(found["tokenizer.x"])
    vocabulary = 1 + max(json.loads(content)["model"]["vocab"].values())
    reasons[f"{which}tokenizer"] = f"{kind}, {vocabulary:,} tokens: {why}"
    return Tokens(length=1, vocabulary=vocabulary, tokenizer=content)


def _side(
    texts: Sequence[str], train: np.ndarray, probe: Tokens, asked: int | None, most: int, cache: Path, reasons: dict[str, str], which: str, *,
    cut: bool = False,
) -> Side:  # fmt: skip
    """Find a length for these texts, which was asked for or is at most `most`, and encode all. cut: what is longer keeps room for its end."""

    def encoded() -> Arrays:
        ids = probe.ids(texts)
        lengths = np.array([len(row) for row in ids], dtype=np.int64)
        return {"lengths": lengths, "ids": np.fromiter(chain.from_iterable(ids), np.int64, int(lengths.sum()))}

    found = _kept(cache, texts, [probe.tokenizer], encoded)
    lengths = found["lengths"]
    longest = int(lengths[train].max(initial=1))
    if asked is not None:
        length, why = asked, "asked for"
    elif longest <= most // 2:
        length, why = longest, "the longest training sentence"
    else:
        length = min(most, int(np.quantile(lengths[train], COVERED)) + 1)
        why = f"{(lengths[train] <= length).mean():.1%} of the training sentences are no longer, the longest has {longest:,}"
    reasons[f"{which}length"] = f"{length} tokens and an end: {why}"
    return Side(replace(probe, length=length + 1), _packed(found["ids"], lengths, length + 1, cut), lengths)


def _packed(ids: np.ndarray, lengths: np.ndarray, length: int, cut: bool) -> Tensor:
    """Tokens one after the other and how many each sentence has -> int32 [N, length] with ends. What is too long has no end, or, cut, one sooner."""
    place, stop = np.arange(length)[None], np.minimum(lengths, length - 1 if cut else length)
    x = np.where(place == stop[:, None], END, PAD).astype(np.int32)
    within = np.arange(len(ids)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    x[place < stop[:, None]] = ids[within < np.repeat(stop, lengths)]
    return torch.from_numpy(x)


def _classes(
    corpus: Corpus, space: Tokens, used: dict[str, np.ndarray], data: Data, reasons: dict[str, str]
) -> tuple[Tokens, Tensor | None, dict[str, Any]]:  # fmt: skip
    assert corpus.labels is not None
    names = tuple(sorted({corpus.labels[k] for part in used.values() for k in part}))
    if len(names) > MOST_CLASSES:
        raise InputError(
            f"the classes of {data.path} ({corpus.label_origin}) are {len(names):,} different values; expected at most {MOST_CLASSES:,}. "
            "Leave them out: --labels ignore"
        )
    number = {name: k for k, name in enumerate(names)}
    y = np.array([number.get(label, -1) for label in corpus.labels], dtype=np.int64)
    told = ", ".join(name if len(name) <= 40 else name[:39] + "…" for name in names[:LISTED])
    many = len(names) >= 2
    card = describe_labels("classes", names, {part: y[rows] for part, rows in used.items()}, used=many, origin=corpus.label_origin)
    if not many:
        reasons["labels"] = f"not used: {corpus.label_origin} has one class alone, '{told}'"
        return space, None, card
    reasons["labels"] = f"{len(names)} classes from {corpus.label_origin}: {told}{' …' if len(names) > LISTED else ''}"
    return replace(space, classes=names), torch.from_numpy(y), card


def _data_set(
    data: Data, corpus: Corpus, space: Tokens, x: Tensor, y: Tensor | None, used: dict[str, np.ndarray], labels: dict[str, Any],
    reasons: dict[str, str], more: dict[str, Any],
) -> DataSet:  # fmt: skip
    mark = hashlib.sha256(identity(corpus).encode())
    mark.update(json.dumps([space.tokenizer, space.length, data.holdout, data.limit, data.labels]).encode())
    mark.update(used["train"].tobytes())
    if data.unpaired:
        mark.update(b"unpaired")

    def samples(part: str) -> Samples:
        rows = torch.from_numpy(used[part])
        texts = [corpus.texts[k] for k in used[part]]
        several = [(corpus.texts[k], *corpus.others.get(int(k), ())) for k in used[part]] if corpus.others else None
        return Samples(x[rows], None if y is None else y[rows], captions=texts, index=used[part], references=several)

    train, held = samples("train"), samples("held")
    card = {
        "path": corpus.path, "kind": corpus.kind, "space": space.describe(), "content_hash": mark.hexdigest()[:16], "num_items": len(corpus),
        "num_train": len(train), "num_held": len(held), "split": reasons["split"], "labels": labels, "vocabulary": space.vocabulary,
        "length": space.length, "faults": dict(corpus.faults.most_common()), "examples": corpus.examples, "num_unreadable": corpus.faults.total(),
        "notes": corpus.notes, **described(corpus, used, lower=data.lower), **more,
    }  # fmt: skip
    return DataSet(space, train, held, card, reasons, card["content_hash"], corpus.texts)
