"""BLEU-2 to 5 of samples against held-out sentences, by the protocol of Texygen (`ngrams.py`): quality alone.

The mean over samples of sentence BLEU, each held-out sentence a reference of every sample. A generator that repeats one good sentence wins, so this
chooses no best state; read it beside self_bleu. The floor (the human row) is training sentences in the place of samples.
"""

from __future__ import annotations

from torch import Tensor

from agon.errors import InputError
from agon.metrics import ngrams
from agon.metrics.contract import Family
from agon.metrics.protocols import PLAIN, named
from agon.metrics.sentences import Measured, OfSentences, kind_of, need_tokens, of_means
from agon.metrics.setting import Setting

NAMES = tuple(f"bleu{n}" for n in ngrams.ORDERS)


def build(setting: Setting, expected: int) -> OfSentences:
    """Against at most 10,000 held-out sentences. Raises InputError without any, and for what is no text."""
    space = need_tokens(setting, "bleu")
    protocol = setting.protocol or PLAIN
    references = protocol.compared(setting.data_set)
    if not references:
        raise InputError("BLEU is taken against held-out sentences, and none are held back; train with --holdout 0.1.")

    def measure(x: Tensor) -> Measured:
        return of_means(ngrams.bleu_each(protocol.said(space, x), references), NAMES, most=1.0)

    by = f"{len(references)} references, {kind_of(space)}, method 1, nearest length{named(setting)}"
    return OfSentences(space, expected, measure, dict.fromkeys(NAMES, True), by=by, against="held-out")


FAMILY = Family(
    name="bleu", outputs=NAMES, build=build, features=False, real="train", one_sided=NAMES, sight={"text": dict.fromkeys(NAMES, "ssbbb")}
)
