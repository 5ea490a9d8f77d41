"""Two text files read side by side: a source's and a target's whose lines belong together, or two languages whose lines do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agon.data.samples import held_out_surely, text_hashes
from agon.data.textfiles import TextFile, content, lines
from agon.errors import InputError

if TYPE_CHECKING:
    from agon.data.corpus import Corpus


def read_parallel(corpus: Corpus, source: TextFile, target: TextFile) -> None:
    """Two files whose n-th lines belong together. Raises InputError where they have not as many."""
    corpus.kind = "parallel lines"
    (one, hurt_one), (other, hurt_other) = content(source), content(target)
    asked, said = lines(one), lines(other)
    if len(asked) != len(said):
        raise InputError(
            f"'{source.name}' has {len(asked):,} lines and '{target.name}' {len(said):,}; expected as many, the n-th of one belonging to the n-th of "
            "the other. A line that is missing in one of them shifts all that follow. Two languages whose lines were never pairs: --unpaired."
        )
    corpus.sources = corpus.sources if corpus.sources is not None else []
    for number, pair in enumerate(zip(asked, said, strict=True), 1):
        first = corpus.clean(pair[0], f"{source.name}, line {number}", hurt_one)
        second = None if first is None else corpus.clean(pair[1], f"{target.name}, line {number}", hurt_other)
        if first is not None and second is not None:
            corpus.sources.append(first)
            corpus.texts.append(second)


def read_apart(corpus: Corpus, *languages: Sequence[TextFile], share: float) -> list[bool]:
    """The files of two languages, whose lines do not belong together; which of the rows that were added are held back: that share of either, by its content.

    The shorter side of what is trained on is read again from its start, so that each has as many; of what is held back nothing is said twice.
    Raises InputError for files without a sentence, or with one over and over.
    """
    corpus.kind = "lines of two languages"
    known, kept = [], []
    for files in languages:
        said: list[str] = []
        for file in files:
            text, damaged = content(file)
            read = (corpus.clean(line, f"{file.name}, line {number}", damaged) for number, line in enumerate(lines(text), 1))
            said += [sentence for sentence in read if sentence is not None]
        if not said:
            raise InputError(f"'{files[0].name}' has no sentence that can be read; expected a line each, in UTF-8, of both languages.")
        held, _ = held_out_surely(text_hashes(said), share)
        if share > 0 and not held.any():
            raise InputError(f"'{files[0].name}' says one sentence over and over, so none can be held back; give more, or --holdout 0.")
        known.append([sentence for sentence, back in zip(said, held, strict=True) if not back])
        kept.append(list(dict.fromkeys(sentence for sentence, back in zip(said, held, strict=True) if back)))
    corpus.sources = corpus.sources if corpus.sources is not None else []
    start = len(corpus)
    most, few = max(map(len, known)), min(map(len, kept))
    for column, own, back in zip((corpus.sources, corpus.texts), known, kept, strict=True):
        column += [own[k % len(own)] for k in range(most)] + back[:few]
    corpus.apart.update(range(start, len(corpus)))
    corpus.again.update(range(start + len(known[1]), start + most))
    if len(known[0]) != len(known[1]):
        sizes = " and ".join(f"{len(own):,} of '{files[0].name}'" for own, files in zip(known, languages, strict=True))
        corpus.notes.append(f"sentences to train on: {sizes}; the shorter is read again from its start")
    return [False] * most + [True] * few
