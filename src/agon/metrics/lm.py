"""LM score: nats a token of samples under a language model of the training text (Caccia et al. 2020, arXiv:1811.02549): quality alone.

Differs: the model is not a trained LSTM but an interpolated Kneser–Ney 5-gram model (`kneser_ney.py`), so that the score needs no training and no
seed; its nats are more than an LSTM's and no figure of the paper's compares. Lower is more usual text: repeating one common sentence wins, which is why
`reverse_lm` stands beside it. The floor is held-out sentences.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from agon.metrics.contract import Family
from agon.metrics.jackknife import student
from agon.metrics.kneser_ney import ORDER, nats_a_token, ratio_interval
from agon.metrics.sentences import Measured, OfSentences, need_tokens
from agon.metrics.setting import Setting


def build(setting: Setting, expected: int) -> OfSentences:
    """Under a model of the whole training split. Raises InputError for what is no text."""
    space = need_tokens(setting, "lm")
    training = setting.data_set.train.x[:].long().numpy()

    def measure(x: Tensor) -> Measured:
        value, sums = nats_a_token(training, x.numpy().astype(np.int64), space.vocabulary)
        ends = ratio_interval(sums, student(len(sums) - 1))
        return Measured({"lm": value}, {"lm": ends} if np.isfinite(ends).all() else {})

    by = f"Kneser-Ney {ORDER}-grams of {len(training)} sentences, nats a token"
    return OfSentences(space, expected, measure, {"lm": False}, by=by)


FAMILY = Family(name="lm", outputs=("lm",), build=build, features=False, one_sided=("lm",), sight={"text": {"lm": "ssbbb"}})
