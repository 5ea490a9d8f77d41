"""Reverse LM score: nats a token of held-out text under a language model of the samples (Zhao et al. 2018, arXiv:1706.04223; Caccia et al. 2020).

What the generator never says costs here, and so do its faults: it sees quality and diversity, though copies of the training text do well. Differs: an
interpolated Kneser–Ney 5-gram model in place of an LSTM, as in `lm.py`. Falls with the number of samples; the floor is as many training sentences.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from agon.errors import InputError
from agon.metrics.contract import Family
from agon.metrics.kneser_ney import ORDER, nats_a_token
from agon.metrics.rows import subset
from agon.metrics.sentences import Measured, OfSentences, need_tokens
from agon.metrics.setting import ROWS, Setting


def build(setting: Setting, expected: int) -> OfSentences:
    """On at most 10,000 held-out sentences. Raises InputError without any, and for what is no text."""
    space, held = need_tokens(setting, "reverse_lm"), setting.data_set.held
    if not len(held):
        raise InputError("the reverse LM score is taken on held-out sentences, and none are held back; train with --holdout 0.1.")
    real = held.x[subset(len(held), ROWS, 0)].long().numpy()

    def measure(x: Tensor) -> Measured:
        value, _ = nats_a_token(x.numpy().astype(np.int64), real, space.vocabulary)
        return Measured({"reverse_lm": value})

    by = f"Kneser-Ney {ORDER}-grams of the samples on {len(real)} sentences, nats a token"
    return OfSentences(space, expected, measure, {"reverse_lm": False}, by=by, against="held-out")


FAMILY = Family(
    name="reverse_lm", outputs=("reverse_lm",), build=build, features=False, real="train", sight={"text": {"reverse_lm": "ssssb"}}
)
