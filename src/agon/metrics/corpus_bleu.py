"""BLEU and chrF of a whole corpus of translations against held-out targets, by sacreBLEU (Post 2018, arXiv:1804.08771), in points of 100.

Every held-out source is put through the generator, its tokens chosen as the game says, and the texts are compared with the targets as they stood in
the data; of several targets of a source all are references. The signature of sacreBLEU is in the stamp: figures under different ones do not compare.
The interval is sacreBLEU's bootstrap over sentences. What copying the source would score stands beside, and where a dictionary was learnt without pairs
what putting word for word by it would: a translator below either has learned little.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from agon.errors import InputError
from agon.metrics.contract import Family, Features, Metric, figure
from agon.metrics.setting import Setting

NAMES = ("corpus_bleu", "chrf")
RESAMPLES = 1_000


class CorpusBLEU(Metric):
    """Both, of texts [n] against targets [n]."""

    outputs: ClassVar[tuple[str, ...]] = NAMES
    higher_is_better: ClassVar[Mapping[str, bool]] = {"corpus_bleu": True, "chrf": True}
    reference_name: ClassVar[str] = "held-out"

    def __init__(self, setting: Setting, expected: int) -> None:
        try:
            from sacrebleu.metrics import BLEU, CHRF
        except ImportError:
            raise InputError("corpus BLEU needs the package 'sacrebleu'. Install it: pip install 'agon-gan[text]'") from None
        setting.need_translations("corpus_bleu")
        self.setting, self.expected = setting, expected
        self.scorers = {"corpus_bleu": BLEU(), "chrf": CHRF()}
        self._found: dict[str, Any] = {}
        self._beside: dict[str, dict[str, float]] = {}

    def update(self, batch: Features) -> None:
        """Samples say nothing here."""

    def compute(self) -> dict[str, float]:
        """Translate and compare."""
        made, targets, sources = self.setting.translations(self.expected)
        most = max(map(len, targets), default=1)
        streams: list[Any] = [
            [one[k] if k < len(one) else None for one in targets] for k in range(most)
        ]  # None: this source has no k-th target
        self._found = {name: scorer.corpus_score(made, streams, n_bootstrap=RESAMPLES) for name, scorer in self.scorers.items()}
        space = self.setting.data_set.space
        others = {"copying": sources} | ({"word for word": space.word_for_word(sources)} if space.source.dictionary else {})
        self._beside = {
            name: {how: scorer.corpus_score(texts, streams).score for how, texts in others.items()} for name, scorer in self.scorers.items()
        }
        return {name: float(found.score) for name, found in self._found.items()}

    def intervals(self) -> dict[str, tuple[float, float]]:
        """sacreBLEU's 95 % intervals over sentences."""
        return {name: (float(found._mean - found._ci), float(found._mean + found._ci)) for name, found in self._found.items()}

    def settings(self) -> str:
        """The signature of BLEU, less what the interval adds."""
        return " ".join(str(scorer.get_signature()) for scorer in self.scorers.values())

    def detail(self) -> dict[str, Any]:
        """What the sources themselves score, and what they do word for word."""
        return {f"{name} of {how}": score for name, found in self._beside.items() for how, score in found.items()}

    def remark(self, name: str) -> str:
        """What the sources score by it as they are, and word for word."""
        return ", ".join(f"{how} has {figure(score)}" for how, score in self._beside.get(name, {}).items())

    def state(self) -> dict[str, Tensor]:
        """Nothing is gathered."""
        return {}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Nothing to replace."""


FAMILY = Family(
    name="translation",
    outputs=NAMES,
    build=CorpusBLEU,
    streams=False,
    features=False,
    pairs=True,
    real="",
    unmeasured="asked of outputs for given sources",
)
