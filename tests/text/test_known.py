"""Runs on languages of known likelihood: what is sampled at a temperature is scored at it, likelihood's curve, the way above it, the verdict."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from agon.data import Data
from agon.decoding import Choice, Tempered, log_probs
from agon.directory import RunDirectory
from agon.engine import Engine
from agon.errors import InputError
from agon.games.likelihood import Likelihood
from agon.known import Ground, Place, above, place_of_scores, verdict, verdict_of
from agon.metrics import Score, Stamp
from agon.metrics.divergences import Divergences, Estimate
from agon.networks.text.recurrent import Recurrent
from agon.run import play, prepare
from agon.sampling import draw
from agon.scoring import open_likelihood
from agon.spaces import Tokens
from agon.spaces.tokens import END, PAD
from agon.trained import load
from commandline import printed

SMALL = {
    "rounds": 3, "batch": 8, "device": "cpu", "tensorboard": False, "score_every": 0, "metrics": [], "threads": 1, "game.net.width": 8,
    "game.net.embed": 8,
}  # fmt: skip
NET = Recurrent(width=6, embed=5)


def every(space: Tokens) -> Tensor:
    """All sentences that can be said, once each: int64 [N, L]."""
    words = range(space.vocabulary)
    rows = [row for row in itertools.product(words, repeat=space.length) if _said(row, space)]
    return torch.tensor(rows)


def _said(row: tuple[int, ...], space: Tokens) -> bool:
    if not space.ends:
        return min(row) > 2
    stop = row.index(END) if END in row else len(row) - 1
    return PAD not in row[: stop + 1] and not any(row[stop + 1 :])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7])
@pytest.mark.parametrize("space", [Tokens(length=3, vocabulary=6), Tokens(length=3, vocabulary=7, ends=False)], ids=["ends", "full"])
def test_likelihood_at_a_temperature_against_all_sentences(space: Tokens, temperature: float) -> None:
    """Probabilities are softmax(logits / τ) and add up to 1, and divergences of samples agree with the sums over all sentences."""
    engines = [Engine(Likelihood(net=NET, choice=Choice(temperature=t)), space, seed=seed) for seed, t in ((0, 1.0), (1, temperature))]
    for engine in engines:  # speakers begin nearly uniform; these have tastes
        with torch.no_grad():
            for weights in engine.players.G.parameters():
                weights.mul_(4)
    sentences = every(space)
    oracle, model = (open_likelihood(e.game, e.players, space) for e in engines)
    assert oracle is not None
    assert model is not None
    p, q = (log(sentences, None).sum(1) for log in (oracle, model))
    assert float(q.exp().sum()) == pytest.approx(1, abs=1e-5)
    logits = engines[1].players.G(sentences).double() / temperature
    by_hand = logits.log_softmax(2).gather(2, sentences[..., None])[..., 0]
    assert torch.allclose(q, torch.where(sentences != PAD, by_hand, 0.0).sum(1), atol=1e-5)
    drawn = [draw(e.game, e.players, space, 20_000, seed=3).long() for e in engines]
    found = Divergences.of(*(log(x, None).sum(1) for x in drawn for log in (oracle, model)))
    exact = {
        "nll_oracle": -(q.exp() @ p), "nll_test": -(p.exp() @ q), "entropy": -(q.exp() @ q), "kl_model_oracle": q.exp() @ (q - p),
        "kl_oracle_model": p.exp() @ (p - q),
    }  # fmt: skip
    for name, value in exact.items():
        estimate = getattr(found, name)
        assert abs(estimate.value - float(value)) < 4 * estimate.error + 1e-6, name


@torch.no_grad()
def test_a_tempered_speaker_that_copies() -> None:
    """Where a speaker gives log probabilities rather than logits, the temperature makes them anew."""
    space = Tokens(length=3, vocabulary=6, source=Tokens(length=3, vocabulary=6))
    torch.manual_seed(0)
    speaker = replace(NET, copy=True).speaker(space).eval()
    x, y = every(Tokens(length=3, vocabulary=6)), torch.tensor([[3, 4, 1]])
    told = log_probs(Tempered(speaker, 0.6), x, y.expand(len(x), -1))
    assert float(told.sum(1).exp().sum()) == pytest.approx(1, abs=1e-5)
    assert torch.allclose(
        log_probs(Tempered(speaker, 1.0), x, y.expand(len(x), -1)), log_probs(speaker, x, y.expand(len(x), -1)), atol=1e-5
    )


# -- places, curves ---------------------------------------------------------------------------------------------------------------------------


def at(nll_oracle: float, coverage: float, temperature: float | None = None, error: float = 0.0, valid: float | None = None) -> Place:
    """A place of these figures, each with this standard error."""
    values = {
        "nll_oracle": nll_oracle,
        "nll_test": coverage + 6,
        "entropy": 7.0,
        "kl_model_oracle": nll_oracle - 7,
        "kl_oracle_model": coverage,
    }
    return Place("x", temperature, 100, {name: Estimate(value, error) for name, value in values.items()}, 1.0, 1.0, valid)


def test_the_way_above_the_curve() -> None:
    line = [at(9.0, 2.4, 0.8), at(10.0, 1.8, 1.0), at(11.0, 2.0, 1.2)]
    assert above(at(9.5, 2.2), line).value == pytest.approx(0.1)
    assert above(at(10.5, 1.8), line[::-1]).value == pytest.approx(-0.1)
    found = above(at(9.5, 2.2, error=0.01), line)
    assert found.high - found.value == pytest.approx(1.96 * 0.01 * math.hypot(1, 0.6))
    assert "NLL-oracle 8.000 lies outside the curve, 9.000 to 11.000" in str(above(at(8.0, 2.0), line))
    assert str(above(at(9.5, math.nan), line)) == "no likelihood, so its KL(P‖G) is not known"
    grammar = [at(math.inf, 0.4, 0.8, valid=0.9), at(math.inf, 0.2, 1.0, valid=0.8)]
    assert above(at(math.inf, 0.35, valid=0.85), grammar).value == pytest.approx(0.05)
    assert "share of ungrammatical sentences 0.300 lies outside" in str(above(at(math.inf, 0.35, valid=0.7), grammar))
    kept = at(math.inf, 2.0, 0.8, valid=0.9)
    assert Place.from_json(json.loads(json.dumps(kept.to_json()))) == kept
    assert verdict(at(9.0, 2.2, error=0.01), at(9.5, 2.0, error=0.01)).word == "collapsed"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunDirectory]:
    """Likelihood and a game without one, on sentences of eight words of the oracle and on arithmetic."""
    place, found = tmp_path_factory.mktemp("known"), {}
    for name, path, recipe in (
        ("oracle", "oracle", "likelihood"),
        ("residual", "oracle", "residual"),
        ("grammar", "arithmetic", "likelihood"),
    ):
        length = 8 if path == "oracle" else None
        directory, _ = prepare(Data(path=path, limit=100, length=length), out=place / name, recipe=recipe, settings=SMALL)
        play(directory)
        found[name] = directory
    return found


def test_a_place_has_the_figures_of_the_metrics(runs: dict[str, RunDirectory]) -> None:
    for name in ("oracle", "grammar"):
        trained = load(runs[name].path)
        ground = Ground(trained.data())
        place = ground.place(trained, num_samples=60)
        scored = {s.name: s for s in trained.evaluate(["oracle", "nll", "unique"] + ["valid"] * (name == "grammar"), num_samples=60)}
        assert place.figures["kl_oracle_model"].value == pytest.approx(scored["kl_oracle_model"].value, rel=1e-6)
        assert place.figures["nll_test"].value == pytest.approx(scored["nll_test"].value, rel=1e-6)
        assert place.figures["entropy"].value == pytest.approx(scored["generator_entropy"].value, rel=1e-6)
        again = place_of_scores("likelihood", list(scored.values()))
        assert again.figures["kl_oracle_model"].error == pytest.approx(place.figures["kl_oracle_model"].error, rel=0.03)
        places = ground.curve(trained, (0.0, 0.5, 1.0), num_samples=60)
        assert [p.temperature for p in places] == [0.5, 1.0]
        assert places[1].to_json()["figures"] == place.to_json()["figures"], "the run's own temperature is 1"
        if name == "oracle":  # sentences of one length
            assert places[0].figures["entropy"].value < places[1].figures["entropy"].value
        assert (place.valid is None) == (name == "oracle")
    with pytest.raises(InputError, match="divergences need text whose probability is known"):
        Ground(replace(trained.data(), card={"path": "x.txt"}))


def test_a_run_without_a_likelihood_cannot_be_judged_and_is_written(
    runs: dict[str, RunDirectory], capsys: pytest.CaptureFixture[str]
) -> None:
    run = runs["residual"].path
    status, text = printed(capsys, "curve", run, "--temperatures", "0.8,1,1.3", "-n", 60, "--likelihood", runs["oracle"].path)
    assert status == 0, text
    assert "cannot be judged: it has no likelihood" in text
    assert "no likelihood, so its KL(P‖G) is not known" in text
    kept: dict[str, Any] = json.loads((run / "curve.json").read_text())
    assert kept["known"]["verdict"]["word"] == "cannot be judged"
    assert [p["temperature"] for p in kept["known"]["points"]] == [0.8, 1.0, 1.3]
    status, text = printed(capsys, "report", run)
    assert status == 0, text


# -- the verdict ------------------------------------------------------------------------------------------------------------------------------


def scores(**values: float) -> list[Score]:
    """Scores of these values, each ± 0.02."""
    usual = {"nll_oracle": 9.0, "kl_model_oracle": 1.5, "kl_oracle_model": 2.0, "js_oracle": 0.6, "nll_test": 8.0, "generator_entropy": 7.5}
    stamp = Stamp(
        metric="oracle",
        extractor="samples",
        extractor_hash="",
        resize="",
        reference="held-out",
        reference_hash="0",
        num_samples=100,
        seed=0,
    )
    return [
        Score(name=name, value=value, floor=None, protocol=stamp, higher_is_better=False, low=value - 0.02, high=value + 0.02)
        for name, value in (usual | values).items()
    ]


def test_a_verdict_of_scores() -> None:
    likelihood = scores()
    assert verdict_of(scores(nll_oracle=8.5, kl_oracle_model=2.01), likelihood).word == "not told apart"
    assert verdict_of(scores(nll_oracle=9.5, kl_oracle_model=12.0), likelihood).word == "worse on one, not better on the other"
    assert verdict_of(scores(nll_oracle=11.1, kl_oracle_model=2.5, kl_model_oracle=2.6), likelihood).word == "worse on both"
    said = verdict_of(scores(nll_oracle=7.196, kl_oracle_model=14.4, generator_entropy=3.0), likelihood)
    assert said.word == "collapsed"
    assert "NLL_oracle 7.196" in said.why
    silent = scores(nll_oracle=9.0, kl_oracle_model=math.nan, kl_model_oracle=math.nan)[:4]
    assert verdict_of(silent, likelihood).word == "cannot be judged"
    few = replace(likelihood[0], name="unique", value=0.18, floor=1.0)
    assert verdict_of([*silent, few], likelihood).word == "collapsed"
    with pytest.raises(InputError, match="the gate needs the scores oracle and nll"):
        verdict_of(scores()[:2], likelihood)


def test_a_kept_score_that_was_infinite() -> None:
    """JSON has no infinity: of a grammar NLL-oracle is null there, and the shares of grammatical sentences are compared."""
    base = scores(nll_oracle=math.nan, kl_model_oracle=math.nan)
    sides = [[*base, replace(base[0], name="valid", value=share)] for share in (0.2, 0.9)]
    assert verdict_of(*sides).word == "worse on one, not better on the other"
    assert verdict_of(*sides[::-1]).word == "better on one, not worse on the other"
