"""Tokenisers: trained on the training sentences, by the library `tokenizers`, and kept as its JSON.

    word       words, numbers and signs, each a token, for small vocabularies; unknown words become one token. Of a corpus whose signs stand
               apart already, whatever stands between spaces
    bpe        pieces of words by byte-pair encoding over bytes (Sennrich et al. 2016, arXiv:1508.07909): nothing is unknown
    character  every sign a token, for names and other short strings

The order of the vocabulary is fixed: by frequency, then by the alphabet, so that a corpus has one tokeniser.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from agon.errors import InputError
from agon.spaces.tokens import SPECIAL

Kind = Literal["word", "bpe", "character"]
WORD = r"<unk>|[^\W\d_]+(?:['’-][^\W\d_]+)*|\d+(?:[.,]\d+)*|[^\s]"
SIGN = r"<unk>|[\s\S]"
MOST_WORDS, PIECES = 10_000, 4_000  # of a vocabulary, where none is asked for
_SHORT = 12  # median characters of a sentence up to which signs are tokens
_NEW_WORDS = 0.05  # most of the words of new sentences that may be unknown, for a vocabulary of words


def choose(texts: Sequence[str], *, lower: bool = False) -> tuple[Kind, str]:
    """The kind that suits these sentences, and why."""
    some = texts[:: max(1, len(texts) // 20_000)]
    lengths = sorted(len(text) for text in some)
    median = lengths[len(lengths) // 2]
    if median <= _SHORT:
        return "character", f"the sentences are short, {median} characters in the middle"
    words = Counter(word for text in some for word in re.findall(WORD, text.lower() if lower else text))
    # Of as many new words again, so many were never seen as were seen once (Good 1953).
    new = sum(count == 1 for count in words.values()) / max(1, words.total())
    told = f"{len(words):,} words, {words.total() / max(1, len(words)):.3g} uses of each, about {new:.1%} unknown in new sentences"
    if len(words) <= MOST_WORDS and new <= _NEW_WORDS:
        return "word", told
    return "bpe", f"{told}: pieces of words are learned better"


def apart(texts: Sequence[str]) -> bool:
    """Whether signs stand apart from words already, as in corpora that were tokenised before."""
    ends = Counter(text[-2:-1] == " " for text in texts if text[-1:] in ".!?" and len(text) > 2)
    commas = Counter(bool(re.search(r" [,;]", text)) for text in texts if re.search(r"[,;]", text))
    return ends[True] + commas[True] > 20 * (ends[False] + commas[False])


def library() -> str:
    """The version of the library that learns and encodes; "" without it."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("tokenizers")
    except PackageNotFoundError:
        return ""


def of_words(words: Sequence[str]) -> str:
    """The JSON of a tokeniser that knows these words alone, between spaces."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokeniser = Tokenizer(models.WordLevel({word: k for k, word in enumerate([*SPECIAL, *words])}, unk_token=SPECIAL[2]))
    tokeniser.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return str(tokeniser.to_str())


def train(texts: Sequence[str], kind: Kind, *, size: int | None = None, lower: bool = False) -> str:
    """The JSON of a tokeniser of at most `size` tokens. Raises InputError without the library or for a size that is too small."""
    try:
        from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    except ImportError:
        raise InputError("text needs the package 'tokenizers', which is not installed. Install it: pip install 'agon-gan[text]'") from None
    if size is not None and size < len(SPECIAL) + 1:
        raise InputError(f"vocabulary got {size}; expected {len(SPECIAL) + 1} or more tokens.")
    before: Any
    after: Any
    small = (
        normalizers.Lowercase()
    )  # of single signs, so that the vocabulary is learned as it is used: Python's own looks at the end of words
    if lower:
        texts = [small.normalize_str(text) for text in texts]
    if kind == "bpe":
        least = 256 + len(SPECIAL)
        if size is not None and size < least:
            raise InputError(f"vocabulary got {size}; byte-pair encoding starts from 256 bytes: expected {least} or more tokens.")
        learner = Tokenizer(models.BPE())
        learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        trainer = trainers.BpeTrainer(
            vocab_size=(size or PIECES) - len(SPECIAL), initial_alphabet=alphabet, show_progress=False, special_tokens=[]
        )  # fmt: skip
        learner.train_from_iterator(texts, trainer)
        learned = json.loads(learner.to_str())["model"]
        pieces = sorted(learned["vocab"], key=learned["vocab"].__getitem__)
        model: Any = models.BPE(
            {piece: k for k, piece in enumerate([*SPECIAL, *pieces])}, [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in learned["merges"]],
        )  # fmt: skip
        tokeniser = Tokenizer(model)
        before, after = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    else:
        if kind == "character":
            before, after = pre_tokenizers.Split(Regex(SIGN), "isolated"), decoders.Fuse()
        elif apart(texts):
            before, after = pre_tokenizers.WhitespaceSplit(), None
        else:
            before, after = pre_tokenizers.Split(Regex(WORD), "removed", invert=True), None
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(word for word, _ in before.pre_tokenize_str(text))
        words = [word for word, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if word not in SPECIAL]
        words = words[: (size or MOST_WORDS) - len(SPECIAL)]
        tokeniser = Tokenizer(models.WordLevel({word: k for k, word in enumerate([*SPECIAL, *words])}, unk_token=SPECIAL[2]))
    tokeniser.pre_tokenizer = before
    if lower:
        tokeniser.normalizer = small
    if after is not None:
        tokeniser.decoder = after
    return str(tokeniser.to_str())
