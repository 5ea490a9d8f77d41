"""Nearest sentence: mean edit distance of samples to the nearest training sentence over the length of the longer; 0 for a copy.

Held-out sentences (the floor) are right: copies and patchworks lie below, noise above. Exact, but of the first 250 samples among at most 10,000 training
sentences: where words are few it has to measure nearly all of them.
"""

from __future__ import annotations

from torch import Tensor

from agon.metrics import ngrams
from agon.metrics.contract import Family
from agon.metrics.sentences import Measured, OfSentences, kind_of, need_tokens, of_means, real_words, words_of
from agon.metrics.setting import Setting

SAMPLES, TRAINING = 250, 10_000


def build(setting: Setting, expected: int) -> OfSentences:
    """Among the training split. Raises InputError for what is no text."""
    space = need_tokens(setting, "nearest_sentence")
    training = real_words(space, setting.data_set.train, limit=TRAINING)

    def measure(x: Tensor) -> Measured:
        away = ngrams.nearest(words_of(space, x[:SAMPLES]), training).distance
        return of_means(away[:, None], ("nearest_sentence",), most=1.0)

    by = f"{kind_of(space)}, {min(SAMPLES, expected)} samples among {len(training)} training sentences"
    return OfSentences(space, expected, measure, {"nearest_sentence": True}, by=by)


FAMILY = Family(
    name="nearest_sentence",
    outputs=("nearest_sentence",),
    build=build,
    features=False,
    one_sided=("nearest_sentence",),
    sight={"text": {"nearest_sentence": "bbbss"}},
)
