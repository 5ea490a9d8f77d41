"""Share of sentences that the grammar can say, for the embedded set `arithmetic`: quality alone. The floor is 1."""

from __future__ import annotations

from torch import Tensor

from agon.data.spoken import language_of, unpacked
from agon.errors import InputError
from agon.languages.grammar import Arithmetic
from agon.metrics.contract import Family
from agon.metrics.jackknife import wilson
from agon.metrics.sentences import Measured, OfSentences, need_tokens
from agon.metrics.setting import Setting


def build(setting: Setting, expected: int) -> OfSentences:
    """Raises InputError for data without a grammar."""
    space, path = need_tokens(setting, "valid"), setting.data_set.card.get("path", "")
    grammar = language_of(path, space.length)
    if not isinstance(grammar, Arithmetic):
        raise InputError(f"metric 'valid' needs a grammar, and '{path}' has none that is known; train on arithmetic.")

    def measure(x: Tensor) -> Measured:
        share = float(grammar.valid(*unpacked(x, space)).double().mean())
        return Measured({"valid": share}, {"valid": wilson(share, len(x))})

    return OfSentences(
        space, expected, measure, {"valid": True}, by=f"{path}, up to {grammar.length} tokens", against="the grammar", least=1
    )


FAMILY = Family(name="valid", outputs=("valid",), build=build, features=False, one_sided=("valid",), unmeasured="asked of a known language")
