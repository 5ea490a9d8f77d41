"""Self-BLEU-2 to 5: how alike samples are, each against all the others (Zhu et al. 2018, arXiv:1802.01886; leave-one-out, `ngrams.py`).

Lower is more diverse, but neither end is good: noise has the lowest. Grows with the number of samples. The floor (the human row) is as many training
sentences. The interval leaves out a tenth of the samples at a time; a bootstrap would copy sentences, which is what self-BLEU measures.
"""

from __future__ import annotations

import torch
from torch import Tensor

from agon.metrics import ngrams
from agon.metrics.contract import Family
from agon.metrics.jackknife import interval
from agon.metrics.protocols import PLAIN, named
from agon.metrics.sentences import Measured, OfSentences, groups_of, kind_of, need_tokens
from agon.metrics.setting import Setting

NAMES = tuple(f"self_bleu{n}" for n in ngrams.ORDERS)
GROUPS = 10


def build(setting: Setting, expected: int) -> OfSentences:
    """Of the samples among themselves. Raises InputError for what is no text."""
    space, protocol = need_tokens(setting, "self_bleu"), setting.protocol or PLAIN

    def measure(x: Tensor) -> Measured:
        words = protocol.said(space, x)
        values = ngrams.self_bleu_each(words).mean(0)
        if len(words) < 2 * GROUPS:
            return Measured(dict(zip(NAMES, values.tolist(), strict=True)))
        group = groups_of(len(words), GROUPS).tolist()
        without = torch.stack([
            torch.from_numpy(ngrams.self_bleu_each([s for s, g in zip(words, group, strict=True) if g != away]).mean(0)) for away in range(GROUPS)
        ])  # fmt: skip
        ends = {name: interval(float(values[k]), without[:, k], least=0.0, most=1.0) for k, name in enumerate(NAMES)}
        return Measured(dict(zip(NAMES, values.tolist(), strict=True)), ends)

    by = f"{kind_of(space)}, leave-one-out, method 1, nearest length{named(setting)}"
    return OfSentences(space, expected, measure, dict.fromkeys(NAMES, False), by=by, against="samples")


FAMILY = Family(
    name="self_bleu",
    outputs=NAMES,
    build=build,
    features=False,
    real="train",
    one_sided=NAMES,
    sight={"text": dict.fromkeys(NAMES, "bbggb")},
)
