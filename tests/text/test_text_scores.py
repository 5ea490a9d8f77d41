"""Scores of a text run at the command line and while it trains."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from agon.data import Data
from agon.directory import RunDirectory
from agon.errors import InputError
from agon.game import Game
from agon.recipes import Situation, find, table
from agon.run import play, prepare
from agon.scoring import open_likelihood
from agon.spaces import Tokens
from agon.trained import load
from commandline import printed

SMALL = {
    "rounds": 4, "batch": 8, "device": "cpu", "tensorboard": False, "score_every": 2, "num_samples": 50, "threads": 1,
    "game.net.width": 8, "game.net.embed": 8,
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A few rounds of likelihood on arithmetic."""
    directory, _ = prepare(
        Data(path="arithmetic", limit=300), out=tmp_path_factory.mktemp("text") / "run", recipe="likelihood", settings=SMALL
    )
    play(directory)
    return directory


def test_a_run_scores_itself_as_it_trains(run: RunDirectory) -> None:
    rows = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert {row["name"] for row in rows if row["round"] == 4} >= {"fd", "bleu4", "self_bleu4", "unique", "nll_test"}
    assert rows[0]["name"] == "fd", "the first chooses the best state"
    assert (run.path / "states" / "best.safetensors").is_file()
    fd = next(row for row in rows if row["name"] == "fd")
    assert fd["floor"] is not None
    assert "sentences" in fd["protocol"]["extractor"]


@pytest.mark.parametrize(("metrics", "chooses"), [("nll,bleu", None), ("nll,bleu,fd", "fd")])
def test_no_fault_chooses_the_best_state_where_the_first_score_does_not_apply(metrics: str, chooses: str | None, tmp_path: Path) -> None:
    """This game has no likelihood, so nll is left out, and BLEU would be the first."""
    small = {f"game.{name}": 8 for name in ("z_dim", "code_dim", "latent_net.width", "net.width", "net.embed", "read.width", "read.embed")}
    settings = {k: v for k, v in SMALL.items() if not k.startswith("game.")} | small | {"metrics": metrics.split(",")}
    directory, _ = prepare(Data(path="arithmetic", limit=300), out=tmp_path / "run", recipe="arae", settings=settings)
    play(directory)
    assert (directory.path / "states" / "best.safetensors").is_file() == (chooses is not None)
    said = [row["sentence"] for row in directory.events() if row.get("kind") == "scores"]
    assert len(said) == (chooses is None), "once, though it scored twice"
    values = [row["value"] for row in directory.scores() if row["name"] == chooses]
    if chooses:
        assert directory.load_state("best")[1]["best"] == min(values)


def test_eval_at_the_command_line(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    asked = [
        "bleu",
        "self_bleu",
        "variety",
        "novelty",
        "nearest_sentence",
        "nll",
        "lm",
        "reverse_lm",
        "oracle",
        "valid",
        "fd",
        "kid",
        "prdc",
    ]
    status, text = printed(capsys, "eval", run.path, *[word for name in asked for word in ("-m", name)], "--num-samples", 60)
    assert status == 0, text
    for name in ("bleu2", "self_bleu5", "unique", "novel4", "nll_test", "kl_oracle_model", "js_oracle", "valid", "fd", "precision"):
        assert f"{name} " in text, name
    status, text = printed(capsys, "eval", run.path, "-m", "nll", "-m", "unique", "--num-samples", 30, "--game.choice.temperature", "0.5")
    assert status == 0, text
    assert "nll_test " in text
    assert "left out" not in text
    status, text = printed(capsys, "eval", run.path, "-m", "nll", "-m", "unique", "--num-samples", 30, "--game.choice.top_k", 3)
    assert status == 0, text
    assert "left out  nll_test" in text
    assert "leave out --game.choice" in text
    status, text = printed(capsys, "eval", run.path, "-m", "bleu", "--extractor", "inception", "-m", "fd")
    assert status == 2
    assert "is not for text" in text


def test_a_run_whose_words_are_cut_off_goes_on_without_its_likelihood(tmp_path: Path) -> None:
    settings = SMALL | {"rounds": 1, "game.choice.top_p": 0.5}
    directory, _ = prepare(Data(path="arithmetic", limit=300), out=tmp_path / "x", recipe="likelihood", settings=settings)
    assert play(directory).end == "done"
    assert {row["name"] for row in directory.scores()} == {"fd", "bleu4", "self_bleu4", "unique"}


def test_no_best_by_bleu(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--metrics begins with 'bleu4'"):
        prepare(Data(path="arithmetic", limit=300), out=tmp_path / "x", recipe="likelihood", settings=SMALL | {"metrics": ["bleu4", "fd"]})


def test_every_text_recipe_begins_with_a_figure_that_sees_both_sides() -> None:
    situation = Situation(space=Tokens(length=8, vocabulary=20), count=500, device="cpu")
    asked = 0
    for name in table():
        try:
            suggestion = find(name).build(situation)
        except (InputError, AttributeError, IndexError, AssertionError, ValueError):
            continue
        if suggestion.game.why_not(situation.space) is None and "bleu4" in suggestion.metrics:
            asked += 1
            assert suggestion.metrics[0] == "fd", name
    assert asked >= 2


def test_likelihood_is_of_tokens_as_they_were_learned(run: RunDirectory) -> None:
    trained = load(run.path)
    likelihood = open_likelihood(trained.game, trained.players, trained.space)
    assert likelihood is not None
    x = trained.sample_stored(5)
    state = torch.get_rng_state()
    told = likelihood(x, None)
    assert torch.equal(torch.get_rng_state(), state)
    assert told.shape == x.shape
    assert bool((told[x == 0] == 0).all())
    every = likelihood(torch.tensor([[k, *[0] * (x.shape[1] - 1)] for k in range(1, trained.space.vocabulary)]), None)[:, 0]
    assert float(every.exp().sum()) == pytest.approx(1, abs=1e-4)
    for refused in ({"top_k": 3}, {"top_p": 0.5}, {"temperature": 0.0}, {"no_repeat": 2}, {"beam": 2}):
        other = replace(trained.game, choice=replace(trained.game.choice, **refused))  # type: ignore[attr-defined,call-arg]
        assert open_likelihood(other, trained.players, trained.space) is None

    class Silent(type(trained.game)):  # type: ignore[misc]
        log_likelihood = Game.log_likelihood

    assert open_likelihood(Silent(), trained.players, trained.space) is None
    assert math.isfinite(float(told.sum()))
