"""ScratchGAN: its sentences are drawn, scored and rewarded as one policy, and the learned critic guesses without the word it is subtracted for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from agon.decoding import log_probs
from agon.engine import Engine
from agon.errors import InputError
from agon.estimators import critic_advantages, dense_rewards, returns
from agon.game import Batch, Clock, Dice
from agon.games.scratchgan import ScratchGAN
from agon.networks.text.recurrent import Recurrent, RecurrentCritic
from agon.optim import Adam
from agon.spaces import Tokens
from agon.testing import random_batch

WORDS = Tokens(length=7, vocabulary=12)
WET = ScratchGAN(net=Recurrent(width=8, embed=6, dropout=0.5), judge_net=RecurrentCritic(width=8, embed=6, dropout=0.5))
LEARNED = ScratchGAN(
    net=Recurrent(width=8, embed=6), judge_net=RecurrentCritic(width=8, embed=6, dropout=0.0), baseline="critic",
    value_net=RecurrentCritic(width=8, embed=6, dropout=0.0),
)  # fmt: skip


def players(game: ScratchGAN) -> Any:
    found = Engine(game, WORDS, seed=2).players
    found.dice = Dice(3, 0, 8, 8, torch.device("cpu"))
    return found


def test_drawn_scored_and_rewarded_without_dropout() -> None:
    """In training mode, with half of the units dropped, log π and the returns are those of the steady players; and they stay in training mode."""
    p, given = players(WET), Batch(random_batch(WORDS, 8))
    WET.speaker(p, given, Clock())
    assert p.G.training
    assert p.D.drop.training
    dropped = log_probs(p.G, given["said"])
    for name in ("G", "D"):
        p[name].eval()
    steadily = log_probs(p.G, given["said"])
    assert not torch.allclose(dropped, steadily)  # the test would see dropout if there were any
    torch.testing.assert_close(given["returns"], returns(dense_rewards(p.D(given["said"]), given["mask"]), given["mask"], WET.discount))
    for net in (p.G, p.D):
        net.train()
    torch.manual_seed(5)
    again = players(WET)
    torch.testing.assert_close(WET._rewarded(again, given, Clock()), steadily)


def test_the_guess_does_not_know_its_word_nor_what_follows() -> None:
    p, given = players(LEARNED), Batch(random_batch(WORDS, 8))
    LEARNED.speaker(p, given, Clock())
    given["mask"] = torch.ones_like(given["mask"])
    before = LEARNED._expected(p, given).detach()
    for place in range(WORDS.length):
        other = given["said"].clone()
        other[:, place] = other[:, place] % 9 + 3
        after = LEARNED._expected(p, Batch({**given, "said": other})).detach()
        torch.testing.assert_close(after[:, : place + 1], before[:, : place + 1], rtol=0, atol=0)
        assert place + 1 == WORDS.length or not torch.equal(after[:, place + 1], before[:, place + 1])


def test_the_learned_critic_learns_returns_and_is_subtracted() -> None:
    """Where speaker and critic stay as they are, it comes nearer to the returns than their mean does."""
    engine = Engine(replace(LEARNED, discount=0.5, optim={**LEARNED.optim, "V": Adam(lr=1e-2)}), WORDS, seed=2)
    for net in (engine.players.G, engine.players.D):
        for weights in net.parameters():
            weights.data.mul_(3)  # so that something depends on what was said
    engine.turns, engine._losses = engine.turns[2:], engine._losses[2:]
    for index in range(120):
        engine.round([random_batch(WORDS, 32, seed=index)])
    game, p, given = engine.game, engine.players, Batch(random_batch(WORDS, 256))
    assert isinstance(game, ScratchGAN)
    p.dice = Dice(3, 0, 256, 256, torch.device("cpu"))
    told = game.speaker(p, given, Clock())["reinforce"]
    gains, mask = given["returns"], given["mask"]
    advantages = critic_advantages(gains, game._expected(p, given), mask)
    torch.testing.assert_close(told, -(advantages * log_probs(p.G, given["said"])).sum(1).mean())
    assert float(advantages[mask].square().mean()) < 0.95 * float(gains[mask].var())


def test_its_rate_is_the_critics_unless_given() -> None:
    assert LEARNED.optim["V"] == LEARNED.optim["D"]
    own = ScratchGAN(baseline="critic", optim={**WET.optim, "V": Adam(lr=3e-3)})
    assert own.optim["V"].lr == 3e-3
    assert "V" not in WET.optim
    with pytest.raises(InputError, match="optim names 'V', which is no player"):
        Engine(ScratchGAN(net=WET.net, judge_net=WET.judge_net, optim=own.optim), WORDS)
