"""Divergences by Monte Carlo against all sentences of a tiny model, and the gate against collapse."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from agon.errors import InputError
from agon.languages.grammar import SYMBOLS, Arithmetic
from agon.languages.tiny import Tiny
from agon.metrics.divergences import Divergences, Estimate, collapsed, divergences, entropy, judged


def exact(oracle: Tiny, model: Tiny) -> dict[str, float]:
    """Every figure by summing over all sentences."""
    tokens, mask = oracle.sentences()
    with torch.no_grad():
        log_p, log_q = oracle.log_likelihood(tokens, mask), model.log_likelihood(tokens, mask)
    p, q = log_p.exp(), log_q.exp()
    mixed = ((p + q) / 2).log()

    def mean(weight: Tensor, value: Tensor) -> float:
        return float(weight @ value)

    return {
        "nll_oracle": -mean(q, log_p), "nll_test": -mean(p, log_q), "entropy_oracle": -mean(p, log_p), "entropy": -mean(q, log_q),
        "kl_model_oracle": mean(q, log_q - log_p), "kl_oracle_model": mean(p, log_p - log_q),
        "js": (mean(p, log_p - mixed) + mean(q, log_q - mixed)) / 2,
    }  # fmt: skip


@pytest.mark.parametrize("end", [None, 4])
def test_every_figure_against_enumeration(end: int | None) -> None:
    oracle, model = Tiny(5, 3, end), Tiny(5, 3, end, seed=1)
    found = divergences(oracle, model, 20_000)
    for name, value in exact(oracle, model).items():
        estimate = getattr(found, name)
        assert 0 < estimate.error < 0.05
        assert abs(estimate.value - value) < 4 * estimate.error, name
    assert found.per(3).js.value == pytest.approx(found.js.value / 3)
    assert found.per(3).js.error == pytest.approx(found.js.error / 3)


def test_the_standard_errors_are_those_of_repetition() -> None:
    """Forty repetitions scatter as each of them says, within a third."""
    oracle, model = Tiny(5, 3), Tiny(5, 3, seed=1)
    runs = [divergences(oracle, model, 500, seed=seed) for seed in range(40)]
    for name in ("kl_oracle_model", "kl_model_oracle", "js", "nll_oracle"):
        values = torch.tensor([getattr(run, name).value for run in runs])
        said = sum(getattr(run, name).error for run in runs) / len(runs)
        assert float(values.std()) == pytest.approx(said, rel=0.34), name


def test_a_model_that_is_the_oracle() -> None:
    found = divergences(Tiny(5, 3), Tiny(5, 3), 500)
    assert found.kl_oracle_model.value == found.kl_model_oracle.value == 0
    assert found.js.value == pytest.approx(0, abs=1e-12)


def sharpened(oracle: Tiny, by: float) -> Tiny:
    """The oracle with its logits multiplied: it says its likeliest sentences alone."""
    model = Tiny(oracle.vocabulary, oracle.length, oracle.end)
    with torch.no_grad():
        for mine, theirs in zip(model.parameters(), oracle.parameters(), strict=True):
            mine.copy_(by * theirs)
    return model


def test_a_collapsed_model_does_not_pass() -> None:
    """One that sharpens the oracle eightfold has the record of NLL_oracle; the gate names it, and lets honest progress through."""
    oracle = Tiny(5, 3)
    likelihood = divergences(oracle, sharpened(oracle, 0.8), 4_000)
    record = divergences(oracle, sharpened(oracle, 8), 4_000)
    honest = divergences(oracle, sharpened(oracle, 0.95), 4_000)
    assert record.nll_oracle.value < honest.nll_oracle.value < likelihood.nll_oracle.value
    verdict = collapsed(record, likelihood)
    assert verdict is not None
    assert verdict.startswith("collapsed: NLL_oracle ")
    assert verdict.endswith("Choose by both divergences.")
    assert collapsed(honest, likelihood) is None
    assert collapsed(likelihood, record) is None  # a worse NLL_oracle claims nothing
    assert collapsed(likelihood, likelihood) is None


def at(quality: float, coverage: float, nll_oracle: float = 9.0, error: float = 0.01) -> Divergences:
    """Divergences of these values, each with this standard error."""
    names = [f.name for f in dataclasses.fields(Divergences)]
    values = dict.fromkeys(names, 1.0) | {"kl_model_oracle": quality, "kl_oracle_model": coverage, "nll_oracle": nll_oracle}
    return Divergences(**{name: Estimate(value, error) for name, value in values.items()})


@pytest.mark.parametrize(
    ("quality", "coverage", "nll_oracle", "word"),
    [
        (1.9, 1.9, 8.9, "better on both"),
        (1.9, 2.01, 9.1, "better on one, not worse on the other"),
        (2.0, 1.9, 8.9, "better on one, not worse on the other"),
        (2.02, 2.02, 9.1, "not told apart"),
        (1.9, 2.1, 9.1, "trades"),
        (2.1, 1.9, 8.9, "trades"),
        (2.02, 2.04, 9.1, "worse on one, not better on the other"),
        (2.1, 2.1, 9.1, "worse on both"),
        (2.1, 2.1, 8.9, "collapsed"),
        (1.9, 2.1, 8.9, "collapsed"),
        (math.nan, math.nan, 8.0, "cannot be judged"),
        (math.inf, 2.1, math.inf, "worse on both"),
    ],
)
def test_the_verdict_looks_at_both_divergences(quality: float, coverage: float, nll_oracle: float, word: str) -> None:
    """Two standard errors of a difference are .028."""
    found = judged(at(quality, coverage, nll_oracle), at(2.0, 2.0))
    assert found.word == word
    assert str(found).startswith(f"{word}: ")


def test_few_different_sentences_are_a_collapse_whatever_else() -> None:
    found = judged(at(math.nan, math.nan, 9.3), at(2.0, 2.0), unique=(0.179, 1.0))
    assert str(found) == "collapsed: 17.9% of its sentences differ, of as many real ones 100.0%: it says fewer things."
    assert judged(at(1.9, 1.9), at(2.0, 2.0), unique=(0.2, 0.3)).word == "better on both", "real ones are alike too"
    assert "has no likelihood, so its KL(P‖G) is not known" in judged(at(math.nan, math.nan), at(2.0, 2.0), unique=(0.986, 1.0)).why


def test_grammar_stands_for_an_infinite_divergence() -> None:
    infinite = at(math.inf, 2.0, math.inf)
    for share, word in (
        (0.9, "better on one, not worse on the other"),
        (0.5, "worse on one, not better on the other"),
        (0.71, "not told apart"),
    ):
        found = judged(infinite, infinite, valid=(Estimate(share, 0.01), Estimate(0.7, 0.01)))
        assert found.word == word
        assert f"ungrammatical sentences {1 - share:.3f} beside 0.300" in found.why


def test_one_impossible_sentence_does_not_let_a_collapsed_model_pass() -> None:
    """An infinite NLL_oracle says nothing of the rest: the entropy stands for it, so a narrow model is named and a wide one is not."""
    oracle = Tiny(5, 3)
    likelihood = divergences(oracle, sharpened(oracle, 0.8), 4_000)
    impossible = Estimate(math.inf, math.nan)
    narrow = dataclasses.replace(divergences(oracle, sharpened(oracle, 8), 4_000), nll_oracle=impossible)
    wide = dataclasses.replace(divergences(oracle, sharpened(oracle, 0.7), 4_000), nll_oracle=impossible)
    assert "outside the oracle's language" in (collapsed(narrow, likelihood) or "")
    assert collapsed(wide, likelihood) is None


def test_what_cannot_be_said_is_infinitely_far() -> None:
    """A grammar that never nests cannot say brackets: KL(P‖G) is infinite, JS stays below log 2, and the gate counts it as worse."""
    full, flat = Arithmetic(12), Arithmetic(12, nested=1e-12)

    class Flat:
        def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
            return flat.sample(n, generator)

        def log_likelihood(self, tokens: Tensor, mask: Tensor) -> Tensor:
            nested = ((tokens == SYMBOLS.index("(")) & mask).any(1)
            return flat.log_likelihood(tokens, mask).masked_fill(nested, -torch.inf)

    found = divergences(full, Flat(), 1_000)
    assert found.kl_oracle_model.value == math.inf
    assert math.isnan(found.kl_oracle_model.error)
    assert math.isfinite(found.kl_model_oracle.value)
    assert 0 < found.js.value < math.log(2)
    fine: Divergences = dataclasses.replace(divergences(full, full, 1_000), nll_oracle=found.nll_test)
    assert collapsed(found, fine) is not None


def test_entropy() -> None:
    grammar = Arithmetic(20)
    estimate = entropy(grammar, 2_000)
    assert abs(estimate.value - grammar.entropy) < 4 * estimate.error
    with pytest.raises(InputError, match="1 sentences; expected at least 2"):
        entropy(grammar, 1)
    with pytest.raises(InputError, match="expected one length for both"):
        divergences(grammar, Arithmetic(12), 10)
