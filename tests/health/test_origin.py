"""How far a game has led the speaker from what likelihood made of it: kept when likelihood ends, measured at ticks, the same after a resume."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from agon.data import Data
from agon.decoding import log_probs, speak
from agon.directory import RunDirectory, read_state
from agon.engine import Engine
from agon.game import Batch, Players
from agon.games.gan import GAN
from agon.games.likelihood import Likelihood
from agon.games.relgan import RelGAN
from agon.games.residual import Residual
from agon.games.seqgan import SeqGAN
from agon.health.contract import Patient
from agon.health.origin import FILE, begins
from agon.health.speech import Library, speech_of
from agon.health.text import past
from agon.hooks import Quiet
from agon.networks.text.recurrent import Recurrent
from agon.report.curves import panels
from agon.run import play, prepare
from agon.spaces import Tokens
from agon.spaces.tokens import real
from agon.testing import random_batch

SETTINGS: dict[str, Any] = {
    "rounds": 12, "batch": 8, "tick": 3, "save_every": 3, "keep": 50, "device": "cpu", "tensorboard": False, "score_every": 0, "metrics": [],
    "game.net.width": 12, "game.net.embed": 12, "game.judge_net.filters": 4, "game.pretrain": 5, "game.critic_pretrain": 1, "game.n_critic": 1,
    "game.rollouts": 1, "game.optim.G.lr": 0.01,
}  # fmt: skip


def test_which_games_have_a_beginning() -> None:
    assert begins(SeqGAN(pretrain=7), {}) == 7
    assert begins(RelGAN(pretrain=0), {}) is None
    assert begins(RelGAN(pretrain=0), {"start": {"path": "runs/likelihood"}}) == 0
    for game in (Likelihood(), GAN(), Residual()):
        assert begins(game, {"start": {"path": "x"}}) is None


def test_it_is_the_mean_log_ratio_on_its_own_sentences() -> None:
    space = Tokens(length=7, vocabulary=12)
    engine = Engine(Likelihood(net=Recurrent(width=8, embed=6)), space, seed=1)
    speaker = engine.players.G.eval()
    other = copy.deepcopy(speaker)
    with torch.no_grad():
        for weights in other.parameters():
            weights.mul_(2)
        fake = speak(speaker, torch.rand(400, 7, generator=torch.Generator().manual_seed(0)))
        seen, books = Batch(random_batch(space, 32)), Library(frozenset(), {})
        found = speech_of(engine.game, engine.players, space, fake, seen, None, books, other)
        some = fake[:16]
        ratio = (log_probs(speaker, some) - log_probs(other, some)).sum() / real(some).sum()
        assert found["G/kl pretrained"] == pytest.approx(float(ratio), abs=1e-6)
        assert speech_of(engine.game, engine.players, space, fake, seen, None, books, speaker)["G/kl pretrained"] == 0
        assert "G/kl pretrained" not in speech_of(engine.game, engine.players, space, fake, seen, None, books)
    assert isinstance(engine.players, Players) and engine.players.G is speaker


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run of five rounds of likelihood and seven of the game, all states kept."""
    place = tmp_path_factory.mktemp("origin")
    lines = [
        f"the {a} {b} the {c} ." for a in ("cat", "dog", "man") for b in ("sees", "eats", "likes") for c in ("sun", "bone", "fish", "car")
    ]
    (place / "lines.txt").write_text("\n".join(lines * 3 + [f"{line} {k}" for k, line in enumerate(lines)]), "utf-8")
    directory, data_set = prepare(
        Data(path=str(place / "lines.txt"), tokenizer="word"), out=place / "run", recipe="seqgan", settings=SETTINGS
    )
    play(directory, data_set, show=Quiet())
    return directory


def ticks(directory: RunDirectory) -> list[dict[str, Any]]:
    return [{"round": row["round"], **row["stats"]} for row in directory.events() if row["kind"] == "tick"]


def test_it_begins_where_likelihood_ends(whole: RunDirectory) -> None:
    told = {row["round"]: row.get("G/kl pretrained") for row in ticks(whole)}
    assert [told[0], told[3]] == [None, None]
    assert told[6] is not None and told[6] > -0.5
    assert told[12] is not None and told[12] != told[9]
    kept, rest = read_state(whole.path / "states" / FILE)
    assert rest["round"] == 5
    three, six = (read_state(whole.path / "states" / f"{round:08d}.safetensors")[0] for round in (3, 6))
    assert all(f"players/G/{name}" in six for name in kept)
    assert not torch.equal(kept["embed.weight"], three["players/G/embed.weight"])
    # The sixth round was the critic's alone.
    assert torch.equal(kept["embed.weight"], six["players/G/embed.weight"])
    assert told[6] == 0
    rows = [row for row in whole.events() if row["kind"] == "tick"]
    assert any(panel["id"] == "kl" and panel["series"][0]["name"] == "G" for panel in panels(rows)[1])


@pytest.mark.parametrize("last", [3, 6, 9])
def test_a_resume_measures_the_same(whole: RunDirectory, last: int) -> None:
    """Gone on from before and after the end of likelihood: the same figures at every tick, and the same last state, bit for bit."""
    before, final = ticks(whole), read_state(whole.states()[-1][1])[0]
    whole.drop_states(after=last)
    if last < 5:
        (whole.path / "states" / FILE).unlink()  # killed before it was written
    play(whole, show=Quiet())
    for was, now in zip(before, ticks(whole), strict=True):
        assert {k: v for k, v in was.items() if "second" not in k} == {k: v for k, v in now.items() if "second" not in k}
    again = read_state(whole.states()[-1][1])[0]
    assert all(torch.equal(final[name], again[name]) for name in final)


def test_it_is_evidence_of_past_its_best() -> None:
    rows = [{"round": 100.0 * k, "G/nats held": nats} for k, nats in enumerate([8.0, 6.0, 5.0, 4.5, 4.3, 4.6, 4.8, 5.0, 5.2])]
    content = {
        "data": {"path": "x"}, "recipe": "seqgan", "seed": 0, "rounds": 900, "settings": {}, "space": {"kind": "tokens"},
        "game": {"name": "seqgan", "entropy": 0.0, "net": {"dropout": 0.0}, "optim": {"G": {"lr": 1e-4}}},
    }  # fmt: skip
    patient = Patient(train=900, content=content, out=Path("runs/a"), rates={"G": 1e-4}, text=True)
    plain = past(rows, patient)
    assert plain is not None and "KL" not in plain.evidence
    for k, row in enumerate(rows):
        row["G/kl pretrained"] = 0.1 * k
    sign = past(rows, patient)
    assert sign is not None
    assert sign.evidence.endswith("; KL to the speaker that likelihood made 0.80 nats a token, 0.40 then")
    calm = [{**row, "G/nats held": 4.3, "G/kl pretrained": 9.0} for row in rows]
    assert past(calm, patient) is None  # no alarm of its own
