"""What samples have that the training text has not: were sentences learned, or learned by heart?

    novel2 … novel5     share of n-grams, repeated ones counted, that the training text has nowhere
    novel_sentences     share of whole sentences that it has nowhere

Held-out sentences (the floor) are right: copies lie below, noise above.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from agon.metrics import ngrams
from agon.metrics.contract import Family
from agon.metrics.jackknife import wilson
from agon.metrics.sentences import Measured, OfSentences, kind_of, need_tokens, real_words, words_of
from agon.metrics.setting import Setting

NAMES = (*(f"novel{n}" for n in ngrams.ORDERS), "novel_sentences")


def build(setting: Setting, expected: int) -> OfSentences:
    """Against the training split. Raises InputError for what is no text."""
    space, train = need_tokens(setting, "novelty"), setting.data_set.train
    training = real_words(space, train, limit=len(train))
    known = set(map(tuple, training))

    def measure(x: Tensor) -> Measured:
        words = words_of(space, x)
        new = float(np.mean([tuple(sentence) not in known for sentence in words]))
        values = {f"novel{n}": value for n, value in ngrams.novelty(words, training).items()}
        return Measured({**values, "novel_sentences": new}, {"novel_sentences": wilson(new, len(words))})

    by = f"{kind_of(space)}, {len(training)} training sentences"
    return OfSentences(space, expected, measure, dict.fromkeys(NAMES, True), by=by)


FAMILY = Family(name="novelty", outputs=NAMES, build=build, features=False, one_sided=NAMES, sight={"text": dict.fromkeys(NAMES, "bbbss")})
