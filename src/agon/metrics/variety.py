"""How much there is among samples: different sentences, different n-grams, entropy of words.

    unique             different sentences over sentences
    distinct1 … 3      different n-grams over n-grams, of all samples together (Li et al. 2016, arXiv:1510.03055)
    unigram_entropy    −Σ f log f over the frequencies of words, in nats

All depend on the number of samples; above the floor, which is as many training sentences, they are noise and no merit.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from torch import Tensor

from agon.metrics import ngrams
from agon.metrics.contract import Family
from agon.metrics.jackknife import wilson
from agon.metrics.protocols import PLAIN, named
from agon.metrics.sentences import Measured, OfSentences, kind_of, need_tokens
from agon.metrics.setting import Setting

NAMES = ("unique", "distinct1", "distinct2", "distinct3", "unigram_entropy")


def build(setting: Setting, expected: int) -> OfSentences:
    """Of the samples among themselves. Raises InputError for what is no text."""
    space, protocol = need_tokens(setting, "variety"), setting.protocol or PLAIN

    def measure(x: Tensor) -> Measured:
        words = protocol.said(space, x)
        counts = np.array(list(Counter(word for sentence in words for word in sentence).values()), np.float64)
        share = counts / counts.sum() if len(counts) else np.ones(1)
        unique = ngrams.unique_share(words)
        values = {f"distinct{n}": value for n, value in ngrams.distinct(words).items()}
        values |= {"unique": unique, "unigram_entropy": abs(float((share * np.log(share)).sum()))}
        return Measured({name: values[name] for name in NAMES}, {"unique": wilson(unique, len(words))})

    return OfSentences(space, expected, measure, dict.fromkeys(NAMES, True), by=kind_of(space) + named(setting), against="samples")


FAMILY = Family(
    name="variety", outputs=NAMES, build=build, features=False, real="train", one_sided=NAMES, sight={"text": dict.fromkeys(NAMES, "bbssb")}
)
