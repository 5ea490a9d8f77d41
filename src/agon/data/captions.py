"""Captions: sentences as rows of word numbers, by a vocabulary that a run keeps.

Words are runs of letters and digits in lower case, joined by ' or - inside; other signs separate them. Word k of the vocabulary is k + 1 in a
row, 0 fills it up. What a person asks for must consist of known words; in data, words beyond the 4,096 commonest are passed over.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from agon.errors import InputError, suggest

CAPTION_WORDS = ("caption", "captions", "text", "sentence", "description", "prompt")  # what a column of captions is called
MOST_WORDS, LONGEST = 4096, 64  # of a vocabulary, and words of a caption; what is beyond is left out, and told
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


def tokenise(text: str) -> list[str]:
    """The words of a sentence, in lower case."""
    return [word.replace("’", "'") for word in _WORD.findall(text.lower())]


def vocabulary(captions: Iterable[str]) -> tuple[str, ...]:
    """Every word of the captions in the order of the alphabet, or the MOST_WORDS commonest."""
    counts = Counter(word for caption in captions for word in tokenise(caption))
    return tuple(sorted(word for word, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_WORDS]))


def encode_known(captions: Sequence[str | None], words: Sequence[str]) -> np.ndarray:
    """Captions of a data set as rows float64 [N, L], as long as the longest (LONGEST at most); NaN where there is no known word."""
    place = {word: k + 1.0 for k, word in enumerate(words)}
    rows = [[place[word] for word in tokenise(caption or "") if word in place][:LONGEST] for caption in captions]
    values = np.zeros((len(rows), max([1, *map(len, rows)])))
    for row, ids in zip(values, rows, strict=True):
        row[: len(ids)] = ids or np.nan
        if not ids:
            row[:] = np.nan
    return values


def encode(text: str, words: Sequence[str], length: int) -> Tensor:
    """A sentence someone asks for as a row int64 [length]. Raises InputError for unknown words, with a suggestion, and for too many or none."""
    asked = tokenise(text)
    if not asked:
        raise InputError(f"the text {text!r} has no word; expected words such as {_some(words)}.")
    for word in asked:
        if word not in words:
            raise InputError(
                f"the text {text!r} has the word '{word}', which this run never saw; expected some of its {len(words)} words: {_some(words)}."
                f"{suggest(word, words)}"
            )
    if len(asked) > length:
        raise InputError(
            f"the text {text!r} has {len(asked)} words; expected at most {length}, as many as the longest caption of this run."
        )
    row = torch.zeros(length, dtype=torch.int64)
    row[: len(asked)] = torch.tensor([words.index(word) + 1 for word in asked])
    return row


def decode(row: Tensor | Sequence[int], words: Sequence[str]) -> str:
    """A row of word numbers [L] as a sentence."""
    return " ".join(words[int(k) - 1] for k in row if 0 < int(k) <= len(words))


def _some(words: Sequence[str], most: int = 30) -> str:
    return ", ".join(words[:most]) + (" …" if len(words) > most else "")
