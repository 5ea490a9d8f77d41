"""What the data card says of a text beyond its size: lengths, words that training never saw, repeats, what lies on both sides, pairs that look wrong."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from agon.data.corpus import Corpus
from agon.data.tokenisers import WORD

EDGES = (5, 10, 20, 40, 80)  # words; the last bin is open
ODD = 3.0  # times longer or shorter than pairs are in the middle, at least, to look wrong
EXAMPLES, SHOWN = 3, 60


def described(corpus: Corpus, used: dict[str, np.ndarray], *, lower: bool) -> dict[str, Any]:
    """The card's words on the sentences that are used, "train" and "held" being their places in the corpus; of pairs only where there are any."""
    train, held = ([corpus.texts[k] for k in used[part].tolist() if k not in corpus.again] for part in ("train", "held"))
    pairs = [k for k in range(len(corpus)) if k not in corpus.apart] if corpus.sources is not None else []
    if lower:
        train, held = [text.lower() for text in train], [text.lower() for text in held]
    every = train + held
    folded = {text.casefold() for text in train}
    known, kept = set(train), set(re.findall(WORD, "\n".join(train)))
    words = Counter(re.findall(WORD, "\n".join(held)))
    unseen = {word: count for word, count in words.items() if word not in kept}
    counts = Counter(every)
    return {
        "words": _lengths(every),
        "unseen_words": {
            "share": round(sum(unseen.values()) / max(1, words.total()), 6),
            "distinct": len(unseen),
            "examples": sorted(unseen, key=lambda word: (-unseen[word], word))[:EXAMPLES],
        },
        "duplicates": len(every) - len(counts),
        "duplicates_folded": len(every) - len({text.casefold() for text in every}),
        "commonest": [[count, _short(text)] for text, count in counts.most_common(EXAMPLES) if count > 1],
        "overlap": sum(text in known for text in held),
        "overlap_folded": sum(text.casefold() in folded for text in held),
        "overlap_examples": [_short(text) for text in held if text in known][:EXAMPLES],
    } | ({"pairs": _pairs([corpus.sources[k] for k in pairs], [corpus.texts[k] for k in pairs])} if corpus.sources and pairs else {})


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _lengths(texts: Sequence[str]) -> dict[str, Any]:
    """Words between spaces: mean, median, most, and how many sentences have 1 to 5, 6 to 10 … of them."""
    lengths = np.array([text.count(" ") + 1 for text in texts] or [0])
    bins = np.searchsorted(EDGES, lengths)
    names = [f"{low + 1} to {high}" for low, high in zip((0, *EDGES), EDGES, strict=False)] + [f"over {EDGES[-1]}"]
    return {
        "mean": round(float(lengths.mean()), 2), "median": int(np.median(lengths)), "most": int(lengths.max()),
        "histogram": [[name, int((bins == k).sum())] for k, name in enumerate(names)],
    }  # fmt: skip


def _pairs(sources: Sequence[str], texts: Sequence[str]) -> dict[str, Any]:
    """Pairs whose sides are the same, and those whose lengths do not go together as those of the others do."""
    same = [_short(one) for one, other in zip(sources, texts, strict=True) if one == other]
    ratio = np.log([(len(other) + 1) / (len(one) + 1) for one, other in zip(sources, texts, strict=True)] or [0.0])
    middle = float(np.median(ratio))
    # 1.4826 times the median deviation is the standard deviation of a normal distribution.
    far = max(math.log(ODD), 4 * 1.4826 * float(np.median(np.abs(ratio - middle))))
    apart = np.abs(ratio - middle)
    odd = [int(k) for k in np.argsort(-apart, kind="stable") if apart[k] > far]
    return {
        "count": len(texts), "same": len(same), "same_examples": same[:EXAMPLES], "odd_lengths": len(odd), "middle_ratio": round(math.exp(middle), 3),
        "odd_examples": [[_short(sources[k]), _short(texts[k])] for k in odd[:EXAMPLES]],
        "several_targets": len(sources) - len(set(sources)),
    }  # fmt: skip
