"""Translation without pairs learns more than its dictionary knows: words that it has wrong are put right by what stands around them.

A language of 24 words, each followed by one of three others, and the same with other words; of the dictionary six words are exchanged. No sentence of one
side is a translation of one of the other.
"""

from __future__ import annotations

import torch
from torch import Tensor

from agon.decoding import Choice, speak
from agon.engine import Engine
from agon.games.umt import UMT, by_word
from agon.networks.text.transformer import Transformer
from agon.optim import Adam
from agon.schedule import Linear, Warmup
from agon.spaces import Tokens
from agon.spaces.tokens import END, FIRST, PAD

WORDS, LENGTH, WRONG, BATCH, ROUNDS = 24, 10, 6, 32, 260


def dice(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sentences(count: int, seed: int) -> Tensor:
    """Sentences of the first language, of 4 to 8 words: int64 [count, LENGTH]."""
    follows = torch.stack([torch.randperm(WORDS, generator=dice(k))[:3] for k in range(WORDS)])
    generator = dice(seed)
    word, long = torch.randint(WORDS, (count,), generator=generator), torch.randint(4, LENGTH - 1, (count,), generator=generator)
    x = torch.zeros(count, LENGTH, dtype=torch.int64)
    for t in range(LENGTH):
        x[:, t] = torch.where(t < long, word + FIRST, torch.where(t == long, END, PAD))
        word = follows[word, torch.multinomial(torch.tensor([0.6, 0.3, 0.1]), count, True, generator=generator)]
    return x


OTHER = torch.randperm(WORDS, generator=dice(9))  # what each word is in the second language


def translated(x: Tensor) -> Tensor:
    return torch.where(x >= FIRST, OTHER[(x - FIRST).clamp_min(0)] + FIRST, x)


def space() -> Tokens:
    """Both languages, with a dictionary that has the first WRONG words exchanged."""
    mixed = OTHER.clone()
    mixed[:WRONG] = OTHER[:WRONG].roll(-1)
    back = torch.cat([torch.zeros(FIRST, dtype=torch.int64), mixed + FIRST])
    there = torch.cat([torch.zeros(FIRST, dtype=torch.int64), mixed.argsort() + FIRST])
    source = Tokens(length=LENGTH, vocabulary=FIRST + WORDS, dictionary=tuple(back.tolist()))
    return Tokens(length=LENGTH, vocabulary=FIRST + WORDS, dictionary=tuple(there.tolist()), source=source)


def test_wrong_words_are_put_right() -> None:
    lr = Warmup(then=Linear(start=2e-3, end=2e-4, span=ROUNDS * BATCH), span=1_000)
    game = UMT(
        net=Transformer(width=64, layers=1), by_word_until=80,
        optim={"G": Adam(lr=lr, betas=(0.9, 0.98), clip=5.0), "D": Adam(lr=5e-4, betas=(0.5, 0.98))},
    )  # fmt: skip
    engine = Engine(game, space(), seed=0)
    x, y, asked = translated(sentences(4_000, 1)), sentences(4_000, 2), sentences(200, 3)
    want, hard = translated(asked), (asked >= FIRST) & (asked < FIRST + WRONG)

    def right(said: Tensor, where: Tensor) -> float:
        return float((said[where] == want[where]).float().mean())

    known = right(by_word(engine.players["G"], asked, 1), want >= FIRST)
    for index in range(ROUNDS):
        rows = torch.randint(len(x), (2, BATCH), generator=dice(index))
        engine.round([{"x": x[rows[0]], "y": y[rows[1]]} for _ in range(engine.batches_per_round)])
    with torch.no_grad():
        said = speak(engine.players.ema["G"], torch.zeros(len(asked), LENGTH), asked, choice=Choice(temperature=0.0))
    assert known < 0.75
    assert right(said, want >= FIRST) > 0.8 and right(said, hard) > 0.6, (right(said, want >= FIRST), right(said, hard))
