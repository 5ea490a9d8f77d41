"""Text games learn: on a small language whose every probability is known, the divergences that each of them promises to lower fall.

The language is an LSTM with random weights of 12 words and length 5; figures are exact sums over samples of the oracle and of the speaker. All begin
from the same speaker after a little likelihood, except CoT, which begins from nothing.
"""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import Tensor

from agon.decoding import log_probs, speak
from agon.engine import Engine
from agon.game import Game
from agon.games.cot import CoT
from agon.games.maligan import MaliGAN
from agon.games.selfgan import SelfGAN
from agon.games.seqgan import SeqGAN
from agon.games.textgail import TextGAIL
from agon.languages.lstm import LSTMOracle
from agon.networks.text.conv import ConvCritic
from agon.networks.text.recurrent import Recurrent
from agon.optim import Adam
from agon.spaces import Tokens
from agon.spaces.tokens import FIRST

WORDS, LENGTH, BATCH = 12, 5, 64
SPACE = Tokens(length=LENGTH, vocabulary=FIRST + WORDS, ends=False)
NET, JUDGE = Recurrent(width=24, embed=16), ConvCritic(embed=16, filters=24, widths=(1, 2, 3), dropout=0.0)
RATES = {"G": Adam(lr=2e-3, betas=(0.9, 0.999), clip=5.0), "D": Adam(lr=5e-3, betas=(0.5, 0.999))}
FAST = {name: Adam(lr=1e-2, betas=(0.9, 0.999), clip=5.0) for name in ("G", "M")}
FIRST_ROUNDS = 30  # of likelihood
AFTER = {"pretrain": FIRST_ROUNDS, "critic_pretrain": 20}
CASES: dict[str, tuple[Game, int, int]] = {  # the game, rounds before the first look, rounds until the second
    "seqgan": (SeqGAN(net=NET, judge_net=JUDGE, n_critic=2, rollouts=2, optim=RATES, **AFTER), 50, 80),
    "seqgan, one reward": (SeqGAN(net=NET, judge_net=JUDGE, n_critic=2, rollouts=0, optim=RATES, **AFTER), 50, 80),
    "maligan": (MaliGAN(net=NET, judge_net=JUDGE, optim=RATES, baseline=1.0, **AFTER), 50, 80),
    "cot": (CoT(net=NET, mediator_net=NET, optim=FAST), 1, 60),
    "textgail": (TextGAIL(net=NET, judge_net=JUDGE, parts=2, demos=0.0, optim=RATES, **AFTER), 50, 60),
    "selfgan": (SelfGAN(net=NET, judge_net=JUDGE, own=0.7, optim=RATES, **AFTER), 50, 80),
}


@cache
def language() -> tuple[LSTMOracle, Tensor]:
    """The oracle, and sentences of it in the space's numbers."""
    oracle = LSTMOracle(vocabulary=WORDS, length=LENGTH, seed=3, width=8)
    return oracle, oracle.sample(6_000, torch.Generator().manual_seed(0))[0] + FIRST


@torch.no_grad()
def divergences(engine: Engine) -> tuple[float, float]:
    """KL(G‖P) and KL(P‖G), nats a sentence, at 2,000 samples of each."""
    oracle, data = language()
    speaker = engine.players.G
    said = speak(speaker, torch.rand(2_000, LENGTH, generator=torch.Generator().manual_seed(1)))
    told = data[-2_000:]
    over = [
        oracle.log_likelihood(x - FIRST, torch.ones_like(x, dtype=torch.bool)) - log_probs(speaker, x).sum(1).double() for x in (said, told)
    ]
    return -float(over[0].mean()), float(over[1].mean())


def play(engine: Engine, rounds: int) -> None:
    data = language()[1][:-2_000]
    for _ in range(rounds):
        generator = torch.Generator().manual_seed(engine.clock.round)
        engine.round([{"x": data[torch.randint(len(data), (BATCH,), generator=generator)].int()} for _ in range(engine.batches_per_round)])


@pytest.mark.parametrize("name", CASES)
def test_its_divergence_falls(name: str) -> None:
    """KL(G‖P), the quality that critics ask for, by a fifth at least; and nothing is bought with coverage: KL(P‖G) does not rise by half."""
    game, first, then = CASES[name]
    engine = Engine(game, SPACE, seed=0)
    play(engine, first)
    before = divergences(engine)
    play(engine, then)
    after = divergences(engine)
    assert after[0] < 0.8 * before[0], (before, after)
    assert after[1] < 1.5 * before[1], (before, after)
