"""CatGAN learns what it was asked for: on a tiny corpus of two subjects, a speaker that never sees a likelihood says words of the one it is told."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from agon.engine import Engine
from agon.games.catgan import CatGAN
from agon.networks.text.multi import MultiCritic
from agon.networks.text.recurrent import Recurrent
from agon.optim import Adam
from agon.spaces import Tokens
from agon.spaces.tokens import FIRST

WORDS, LENGTH, BATCH, ROUNDS = 8, 4, 64, 60
SPACE = Tokens(length=LENGTH, vocabulary=FIRST + WORDS, ends=False, classes=("low", "high"))


def drawn(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Sentences of the lower four words or of the upper four by class, one word in eight of any kind: int64 [n, L] and classes [n]."""
    dice = torch.Generator().manual_seed(seed)
    y = torch.randint(2, (n,), generator=dice)
    own = y[:, None] * 4 + torch.randint(4, (n, LENGTH), generator=dice)
    any_word = torch.randint(WORDS, (n, LENGTH), generator=dice)
    return FIRST + torch.where(torch.rand(n, LENGTH, generator=dice) < 1 / 8, any_word, own), y


def said(engine: Engine) -> tuple[Tensor, Tensor]:
    """400 sentences in the words' own numbers [400, L], and the class each was asked for."""
    y = torch.arange(400) % 2
    return engine.game.sample(engine.players, 400, given={"y": y}) - FIRST, y


@pytest.mark.parametrize("mismatch", [0.0, 1.0])
def test_a_speaker_says_what_its_category_is_about(mismatch: float) -> None:
    """Half of its words are of the subject asked for by chance, 15 of 16 in real sentences; and it is all words of both, not one of each."""
    game = CatGAN(
        net=Recurrent(width=24, embed=16), judge_net=MultiCritic(views=4, embed=4, filters=16, widths=(1, 2), features=24, dropout=0.0),
        mismatch=mismatch, beta=2.0, ema={},
        optim={"G": Adam(lr=5e-3, betas=(0.5, 0.999), clip=5.0), "D": Adam(lr=5e-3, betas=(0.5, 0.999))},
    )  # fmt: skip
    engine = Engine(game, SPACE, seed=0)
    words, y = said(engine)
    assert abs(float((words // 4 == y[:, None]).double().mean()) - 0.5) < 0.1
    for index in range(ROUNDS):
        x, y = drawn(BATCH, index)
        engine.round([{"x": x.int(), "y": y}] * engine.batches_per_round)
    words, y = said(engine)
    assert float((words // 4 == y[:, None]).double().mean()) > 0.85
    assert torch.bincount(words.flatten(), minlength=WORDS).min() > 20
    x, y = drawn(400, ROUNDS)
    with torch.no_grad():
        looks = float((engine.players.D(x, y) > engine.players.D(x, 1 - y)).double().mean())
    assert looks > (0.8 if mismatch else 0.5), "the critic looks at the category, and surely where it is shown wrong ones"
