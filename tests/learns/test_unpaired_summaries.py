"""Summaries are learnt without a pair: of documents of ten words two say what matters, and summaries of others show of which kind these are."""

from __future__ import annotations

import torch
from torch import Tensor

from agon.decoding import Choice, speak
from agon.engine import Engine
from agon.games.retelling import Retelling
from agon.networks.text.recurrent import Recurrent, RecurrentCritic
from agon.optim import Adam
from agon.spaces import Tokens
from agon.spaces.tokens import END, FIRST

NAMES, THINGS, OTHERS, LONG = 8, 8, 24, 10
VOCABULARY = FIRST + NAMES + THINGS + OTHERS
SAME = (0, 0, 0, *range(FIRST, VOCABULARY))
SPACE = Tokens(length=3, vocabulary=VOCABULARY, dictionary=SAME, source=Tokens(length=LONG + 1, vocabulary=VOCABULARY, dictionary=SAME))


def drawn(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Documents int64 [n, LONG + 1] with a name and a thing somewhere, and their summaries [n, 3]: the name, the thing, the end."""
    dice = torch.Generator().manual_seed(seed)
    name = FIRST + torch.randint(NAMES, (count,), generator=dice)
    thing = FIRST + NAMES + torch.randint(THINGS, (count,), generator=dice)
    y = FIRST + NAMES + THINGS + torch.randint(OTHERS, (count, LONG), generator=dice)
    y[:, 0], y[:, 1] = name, thing
    y = y.gather(1, torch.rand(count, LONG, generator=dice).argsort(1))
    end = torch.full((count, 1), END)
    return torch.cat([y, end], 1), torch.cat([name[:, None], thing[:, None], end], 1)


def test_what_matters_is_found() -> None:
    net = Recurrent(width=64, embed=32, tied=True, copy=True)
    adam = Adam(lr=3e-3, betas=(0.9, 0.98), clip=5.0)
    game = Retelling(
        net=net, retell_net=net, judge_net=RecurrentCritic(width=32, embed=32, dropout=0.0), judged_from=120, rewarded_from=130,
        optim={"G": adam, "R": adam, "D": Adam(lr=1e-3, betas=(0.5, 0.98), clip=5.0)},
    )  # fmt: skip
    engine = Engine(game, SPACE, seed=0)
    documents, summaries = drawn(2_000, 1)[0], drawn(2_000, 2)[1]
    asked, want = drawn(200, 3)
    for index in range(160):
        rows = torch.randint(2_000, (2, 32), generator=torch.Generator().manual_seed(index))
        engine.round([{"x": summaries[rows[0]], "y": documents[rows[1]]} for _ in range(engine.batches_per_round)])
    with torch.no_grad():
        said = speak(engine.players["G"], torch.zeros(200, 3), asked, choice=Choice(temperature=0.0))
    assert float((said == want).all(1).float().mean()) > 0.8, float((said == want).all(1).float().mean())
