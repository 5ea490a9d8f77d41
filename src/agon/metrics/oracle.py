"""Distance from a language whose probabilities are known, from both sides (`divergences.py`): for the embedded sets `oracle` and `arithmetic`.

    nll_oracle       E_G[−log P], nats a token: what papers print; repeating one likely sentence has the best of all
    kl_model_oracle  KL(G‖P), nats a token: what it says, the oracle could have said
    kl_oracle_model  KL(P‖G), nats a token: what the oracle says, it could have said
    js_oracle        Jensen–Shannon, nats a sentence, in [0, log 2]

P's sentences are the held-out ones, G's are the samples. Without a likelihood of the generator the last three are not numbers. −log P of an ungrammatical
sentence is infinite. The floor is held-out sentences, which were drawn from P: its entropy, and zeros.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, ClassVar

import torch
from torch import Tensor

from agon.data.spoken import language_of, unpacked
from agon.errors import InputError
from agon.languages.grammar import Arithmetic
from agon.metrics.contract import Family, Features, Metric
from agon.metrics.divergences import Divergences, Estimate
from agon.metrics.jackknife import student
from agon.metrics.nll import sums_of
from agon.metrics.rows import Rows, subset
from agon.metrics.sentences import need_tokens
from agon.metrics.setting import ROWS, Setting

NAMES = ("nll_oracle", "kl_model_oracle", "kl_oracle_model", "js_oracle")
Log = Callable[[Tensor, "Tensor | None"], Tensor]  # sentences, conditions -> log probability of each [n]


class OracleDistance(Metric):
    """All four; `oracle` and `model` give log p and log q of sentences, held() both of the held-out ones: [m, 2], asked once."""

    outputs: ClassVar[tuple[str, ...]] = NAMES
    higher_is_better: ClassVar[Mapping[str, bool]] = dict.fromkeys(NAMES, False)
    reference_name: ClassVar[str] = "held-out"

    def __init__(
        self, oracle: Log, model: Log, held: Callable[[], Tensor], tokens: float, expected: int, *, by: str = "", share: tuple[int, int] = (0, 1)
    ) -> None:  # fmt: skip
        self.oracle, self.model, self.tokens, self.by, self.held = oracle, model, tokens, by, cache(held)
        self.rows = Rows(2, expected, expected, share=share)

    def update(self, batch: Features) -> None:
        """Ask both sides about the samples."""
        assert batch.samples is not None, "a metric of sentences was shown no samples"
        self.rows.add(torch.stack([self.oracle(batch.samples, batch.condition), self.model(batch.samples, batch.condition)], 1))

    def found(self) -> dict[str, Estimate]:
        """The figures with their standard errors; none for fewer than two samples."""
        said, real = self.rows.values, self.held()
        if min(len(said), len(real)) < 2:
            return {}
        whole = Divergences.of(real[:, 0], real[:, 1], said[:, 0], said[:, 1])
        per = whole.per(self.tokens)
        return dict(zip(NAMES, (per.nll_oracle, per.kl_model_oracle, per.kl_oracle_model, whole.js), strict=True))

    def compute(self) -> dict[str, float]:
        """All four."""
        found = self.found()
        return {name: found[name].value if name in found else math.nan for name in NAMES}

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Normal, from the standard errors over sentences of both sides."""
        reach = student(max(1, len(self.rows.values) - 1))
        return {
            name: (e.value - reach * e.error, e.value + reach * e.error) for name, e in self.found().items() if math.isfinite(e.error)
        }  # fmt: skip

    def settings(self) -> str:
        """The oracle, and per what the nats are."""
        return self.by

    def detail(self) -> dict[str, Any]:
        """The oracle's entropy on the held-out sentences, in nats a token."""
        return {"entropy_oracle": -float(self.held()[:, 0].mean()) / self.tokens}

    def state(self) -> dict[str, Tensor]:
        """The table of log probabilities."""
        return self.rows.state()

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Replace the table."""
        self.rows.load(state)


def build(setting: Setting, expected: int) -> OracleDistance:
    """On at most 10,000 held-out sentences. Raises InputError for data of unknown probability."""
    space, held = need_tokens(setting, "oracle"), setting.data_set.held
    path = setting.data_set.card.get("path", "")
    language = language_of(path, space.length)
    if language is None:
        raise InputError(
            f"metric 'oracle' needs text whose probability is known, and that of '{path}' is not; train on oracle or arithmetic."
        )

    def oracle(x: Tensor, y: Tensor | None) -> Tensor:
        return language.log_likelihood(*unpacked(x, space)).double().cpu()

    def model(x: Tensor, y: Tensor | None) -> Tensor:
        if setting.floor:
            return oracle(x, y)
        if setting.likelihood is None:
            return torch.full((len(x),), math.nan, dtype=torch.float64)
        return -sums_of(setting.likelihood, x, y)[:, 0]

    def both() -> Tensor:
        x = held.x[subset(len(held), ROWS, 0)]
        return torch.stack([oracle(x, None), model(x, None)], 1)

    tokens = language.mean_length if isinstance(language, Arithmetic) else float(language.length)
    by = f"{path}, nats a token of {tokens:.4g} a sentence, {min(len(held), ROWS)} sentences of the oracle"
    return OracleDistance(oracle, model, both, tokens, expected, by=by)


FAMILY = Family(
    name="oracle",
    outputs=NAMES,
    build=build,
    features=False,
    one_sided=("nll_oracle", "kl_model_oracle"),
    unmeasured="asked of a generator's likelihood and a known language",
)
