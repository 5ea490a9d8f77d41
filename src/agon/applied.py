"""A trained run applied to text that somebody has: a line in, a line out, in batches, however many there are.

A window of lines is sorted by length, so that a batch holds lines that are about as long, and given back in the order it came: memory holds one
window. What a line becomes depends on the line, its number and the seed, and to rounding on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from agon.decoding import Choice, beam, speak
from agon.errors import InputError
from agon.game import Batch, Game, Players, mix
from agon.layers.tokens import longest
from agon.sampling import still
from agon.spaces import Space, Tokens
from agon.spaces.tokens import real

BATCH = 64  # lines said at once
WINDOW = 8  # batches read ahead
RERANKED = 4  # width of the beam that a critic chooses from, where none is asked for

Cut = Callable[[int, int], None]  # told the number of a line that was cut, from 1, and how many tokens it has


def apply(
    game: Game, p: Players, space: Space, lines: Iterable[str], *, choice: Choice | None = None, rerank: bool = False, seed: int = 0,
    batch: int = BATCH, cut: Cut | None = None,
) -> Iterator[str]:  # fmt: skip
    """What is made of each line, in order; empty lines stay empty. choice: how tokens are chosen, else as the game says.

    rerank: of each line's beam the text that the game's critic takes for the most real. Raises InputError where the game makes no text of
    another, or has no critic.
    """
    choice = checked(game, p, space, choice, rerank)
    assert isinstance(space, Tokens) and space.source is not None
    number, stream = 0, iter(lines)
    while window := list(islice(stream, batch * WINDOW)):
        texts = [" ".join(line.split()) for line in window]
        y, lengths = space.source.whole(texts)
        for k, length in enumerate(lengths):
            if length >= space.source.length and cut is not None:
                cut(number + k + 1, length)
        made = [""] * len(texts)
        order = sorted((k for k, length in enumerate(lengths) if length), key=lengths.__getitem__)
        for low in range(0, len(order), batch):
            part = order[low : low + batch]
            x = made_from(game, p, y[part], choice=choice, rerank=rerank, seeds=[mix(seed, number + k) for k in part])
            for k, text in zip(part, space.decode(x), strict=True):
                made[k] = " ".join(text.split())
        number += len(texts)
        yield from made


def made_from(
    game: Game, p: Players, y: Tensor, *, choice: Choice, rerank: bool = False, seeds: Iterable[int] | None = None
) -> Tensor:  # fmt: skip
    """Texts int64 [n, L] made of sources int64 [n, S], on the CPU; seeds: of each, needed where tokens are drawn."""
    speaker: Any = p.G
    with still(p, 0):
        y = y[:, : longest(real(y))].to(p.device)
        if rerank or choice.beam:
            width = choice.beam or RERANKED

            def judge(x: Tensor) -> Tensor:
                found = game.judge(p, x, Batch(x=x, y=y.repeat_interleave(width, 0)))
                assert found is not None
                return found

            return beam(
                speaker, speaker.length, y, width=width, penalty=choice.penalty, no_repeat=choice.no_repeat, judge=judge if rerank else None
            ).cpu()
        noise = torch.zeros(len(y), speaker.length)
        if choice.temperature and seeds is not None:
            noise = torch.stack([torch.rand(speaker.length, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
        return speak(speaker, noise.to(p.device), y, choice=choice).cpu()


def translator(game: Game, p: Players, space: Space) -> Callable[[Tensor], list[str]] | None:
    """What makes texts of sources int64 [n, S], for scores; None for a game that makes none."""
    choice = getattr(game, "choice", None)
    if not isinstance(space, Tokens) or space.source is None or not isinstance(choice, Choice):
        return None

    def translate(y: Tensor) -> list[str]:
        order, made = real(y).sum(1).argsort(stable=True), [""] * len(y)
        for part in order.split(BATCH):
            x = made_from(game, p, y[part], choice=choice, seeds=[mix(0, k) for k in part.tolist()])
            for k, text in zip(part.tolist(), space.decode(x), strict=True):
                made[k] = text
        return made

    return translate


def checked(game: Game, p: Players, space: Space, choice: Choice | None, rerank: bool) -> Choice:
    """How tokens are chosen. Raises InputError where no text is made of another, or nobody judges."""
    own = getattr(game, "choice", None)
    if not isinstance(space, Tokens) or space.source is None or not isinstance(own, Choice):
        raise InputError(
            f"this run makes {space.describe()} out of nothing, so there is nothing to apply it to. Train on pairs of text: "
            "agon train pairs.jsonl --source COLUMN --target COLUMN."
        )
    if rerank:
        few = torch.full((1, 2), 3, device=p.device)
        with still(p, 0):
            if game.judge(p, few, Batch(x=few, y=few)) is None:
                raise InputError(f"{type(game).__name__} has no critic that could choose among texts; leave out --rerank.")
    return choice or own
