"""What comes back of held-out sentences that are put into the other language and back again, by sacreBLEU, in points of 100: it needs no pairs.

    round_trip = ½ E_y BLEU(y, back(there(y))) + ½ E_x BLEU(x, there(back(x)))

Lample, Conneau, Denoyer, Ranzato 2018, "Unsupervised Machine Translation Using Monolingual Corpora Only", arXiv:1711.00043, section 3.4, which chooses the
model of a run by it. y: held-out sources, x: held-out targets, neither the translation of the other; at most MOST of each.

A translator that leaves sentences as they are comes back whole, so a translation that is its own source counts as lost. A cipher that both ways agree on
is not seen: fd of the translations sees one that is no language, and only pairs one that says other things. Each way's BLEU stands beside (`extra`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from agon.errors import InputError
from agon.metrics.contract import Family, Features, Metric
from agon.metrics.rows import subset
from agon.metrics.sentences import need_tokens
from agon.metrics.setting import Setting, Translate
from agon.spaces import Tokens

MOST = 500  # sentences of each language: four translations are made for two that come back
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
                "metric 'round_trip' needs a translator of both ways, such as --unpaired trains; this run knows one way at most."
            )
        if not len(setting.data_set.held):
            raise InputError("a round trip is made from held-out sentences, and none are held back; train with --holdout 0.1.")
        self.setting, self.space, self.source = setting, space, space.source
        self.ways: tuple[tuple[Translate, Translate, Tokens, Tokens, str], ...] = (
            (setting.translate, setting.back, space.source, space, "y"), (setting.back, setting.translate, space, space.source, "x"),
        )  # fmt: skip
        self.index = subset(len(setting.data_set.held), min(MOST, expected, len(setting.data_set.held)), _SUBSET_SEED)
        self.scorer = BLEU()
        self._found: list[Any] = []
        self._alike: list[float] = []

    def update(self, batch: Features) -> None:
        """Samples say nothing here."""

    def compute(self) -> dict[str, float]:
        """Go there and back from both sides."""
        self._found, self._alike = [], []
        for there, back, near, far, name in self.ways:
            sentences = getattr(self.setting.data_set.held, name)[self.index].long()
            texts = near.decode(sentences)
            said = there(sentences)
            again = back(far.whole(said)[0])
            same = [_plain(a) == _plain(b) for a, b in zip(texts, said, strict=True)]
            kept = ["" if copied else text for text, copied in zip(again, same, strict=True)]
            self._found.append(self.scorer.corpus_score(kept, [texts], n_bootstrap=RESAMPLES))
            self._alike.append(sum(same) / max(1, len(same)))
        return {"round_trip": sum(float(found.score) for found in self._found) / 2}

    def intervals(self) -> dict[str, tuple[float, float]]:
        """sacreBLEU's 95 % intervals over the sentences of each side, which are drawn apart."""
        middle = sum(float(found._mean) for found in self._found) / 2
        reach = sum(float(found._ci) ** 2 for found in self._found) ** 0.5 / 2
        return {"round_trip": (middle - reach, middle + reach)}

    def settings(self) -> str:
        """How many sentences, and the signature of BLEU, less what the interval adds."""
        return f"{len(self.index)} sentences of each language {self.scorer.get_signature()}"

    def detail(self) -> dict[str, Any]:
        """Either side's BLEU, and the share of translations that are their own sources."""
        names = ("from sources", "from targets")
        scores = {f"BLEU {name}": float(found.score) for name, found in zip(names, self._found, strict=True)}
        return scores | {f"left as they are, {name}": share for name, share in zip(names, self._alike, strict=True)}

    def state(self) -> dict[str, Tensor]:
        """Nothing is gathered."""
        return {}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Nothing to replace."""


def _plain(text: str) -> Sequence[str]:
    return text.lower().split()


FAMILY = Family(
    name="round_trip",
    outputs=("round_trip",),
    build=RoundTrip,
    streams=False,
    features=False,
    real="",
    unmeasured="asked of a translator of both ways, not of samples",
)
