"""What comes back of held-out sentences that are put into the other language and back again, by sacreBLEU, in points of 100: it needs no pairs.

    round_trip = ½ E_y BLEU(y, back(there(y))) + ½ E_x BLEU(x, there(back(x)))

Lample, Conneau, Denoyer, Ranzato 2018, "Unsupervised Machine Translation Using Monolingual Corpora Only", arXiv:1711.00043, section 3.2, which chooses the
model of a run by it. y: held-out sources, x: other held-out targets, none the translation of another; at most MOST of each.

Differs: a translator that leaves sentences nearly as they are would come back whole, so a translation that shares ALIKE of its words with its source counts as
lost; and unknown words, which are one token, match nothing. A cipher that both ways agree on is not seen: fd of the translations sees one that is no
language, and only pairs one that says other things. Each way's BLEU, and how much was left as it was, stand beside (`extra`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from agon.errors import InputError
from agon.metrics.contract import Family, Features, Metric
from agon.metrics.rows import subset
from agon.metrics.sentences import need_tokens
from agon.metrics.setting import Setting, Translate
from agon.spaces import Tokens
from agon.spaces.tokens import SPECIAL, UNKNOWN

MOST = 500  # sentences of each language: four translations are made for two that come back
ALIKE = 0.8  # share of words in common from which on a translation is its source
RESAMPLES = 1_000
_SUBSET_SEED = 0


class RoundTrip(Metric):
    """There and back again, from both sides."""

    outputs: ClassVar[tuple[str, ...]] = ("round_trip",)
    higher_is_better: ClassVar[Mapping[str, bool]] = {"round_trip": True}
    reference_name: ClassVar[str] = "held-out"

    def __init__(self, setting: Setting, expected: int) -> None:
        try:
            from sacrebleu.metrics import BLEU
        except ImportError:
            raise InputError("a round trip is scored by the package 'sacrebleu'. Install it: pip install 'agon-gan[text]'") from None
        space = need_tokens(setting, "round_trip")
        if setting.translate is None or setting.back is None or space.source is None:
            raise InputError(
                "metric 'round_trip' needs a translator of both ways, which the recipe translation-unpaired makes; this run knows one way at most."
            )
        if not len(setting.data_set.held):
            raise InputError("a round trip is made from held-out sentences, and none are held back; train with --holdout 0.1.")
        self.setting, self.space, self.source = setting, space, space.source
        self.ways: tuple[tuple[Translate, Translate, Tokens, Tokens, str], ...] = (
            (setting.translate, setting.back, space.source, space, "y"), (setting.back, setting.translate, space, space.source, "x"),
        )  # fmt: skip
        held = len(setting.data_set.held)
        self.index = subset(
            held, min(2 * MOST, 2 * expected, held), _SUBSET_SEED
        )  # every other of them is a source, so that no two are a pair
        self.scorer = BLEU()
        self._found: list[Any] = []
        self._alike: list[float] = []

    def update(self, batch: Features) -> None:
        """Samples say nothing here."""

    def compute(self) -> dict[str, float]:
        """Go there and back from both sides."""
        self._found, self._alike = [], []
        for k, (there, back, near, far, name) in enumerate(self.ways):
            sentences = getattr(self.setting.data_set.held, name)[self.index[k::2]].long()
            texts = near.decode(sentences)
            said = there(sentences)
            again = [text.replace(SPECIAL[UNKNOWN], "") for text in back(far.whole(said)[0])]
            alike = [in_common(a, b) >= ALIKE for a, b in zip(texts, said, strict=True)]
            kept = ["" if left else text for text, left in zip(again, alike, strict=True)]
            self._found.append(self.scorer.corpus_score(kept, [texts], n_bootstrap=RESAMPLES))
            self._alike.append(sum(alike) / max(1, len(alike)))
        return {"round_trip": sum(float(found.score) for found in self._found) / 2}

    def intervals(self) -> dict[str, tuple[float, float]]:
        """sacreBLEU's 95 % intervals over the sentences of each side, which are drawn apart."""
        middle = sum(float(found._mean) for found in self._found) / 2
        reach = sum(float(found._ci) ** 2 for found in self._found) ** 0.5 / 2
        return {"round_trip": (max(0.0, middle - reach), min(100.0, middle + reach))}

    def settings(self) -> str:
        """How many sentences, and the signature of BLEU, less what the interval adds."""
        return f"{len(self.index[1::2])} sentences of each language {self.scorer.get_signature()}"

    def detail(self) -> dict[str, Any]:
        """Either side's BLEU, and the share of translations that are nearly their own sources."""
        names = ("from sources", "from targets")
        scores = {f"BLEU {name}": float(found.score) for name, found in zip(names, self._found, strict=True)}
        return scores | {f"left as they are, {name}": share for name, share in zip(names, self._alike, strict=True)}

    def state(self) -> dict[str, Tensor]:
        """Nothing is gathered."""
        return {}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Nothing to replace."""


def in_common(one: str, other: str) -> float:
    """Dice coefficient of the words of two texts, capitals aside, each as often as it is there: 0 to 1; of two empty ones 1."""
    a, b = (Counter(text.lower().split()) for text in (one, other))
    return 2 * (a & b).total() / (a.total() + b.total()) if a or b else 1.0


FAMILY = Family(
    name="round_trip",
    outputs=("round_trip",),
    build=RoundTrip,
    streams=False,
    features=False,
    real="",
    unmeasured="asked of a translator of both ways, not of samples",
)
