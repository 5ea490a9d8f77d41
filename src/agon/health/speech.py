"""How sentences read: how sure their speaker is, how likely it finds sentences it never saw, how alike, how repetitive and how long they are.

Every figure is of the same kind for generated and real sentences, or in nats a token, so that no threshold hangs on a vocabulary or a length.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from agon.decoding import Choice
from agon.game import Batch, Game, Players
from agon.health.contract import Vitals
from agon.health.origin import PLAYER
from agon.spaces import Tokens
from agon.spaces.tokens import END, real

JUDGED = 32  # held-out sentences whose probability is taken, at most, and half as many of each other kind: a look must stay cheap
KNOWN = 200_000  # training sentences that copies are looked for among, at most


@dataclass(frozen=True)
class Library:
    """What the doctor keeps of a corpus: the training sentences themselves, to know a copy, and what real ones read like."""

    known: frozenset[bytes]
    facts: Vitals  # "held copied": share of held-out sentences that are training sentences too
    by_chance: bool = False  # held-out sentences stand beside sources that are not theirs


def library(train: Iterable[Tensor], held: Tensor | None, *, by_chance: bool = False) -> Library:
    """train: parts [n, L] of the training sentences; held [m, L]: sentences held out, or None."""
    known: set[bytes] = set()
    for part in train:
        known.update(_rows(part))
        if len(known) >= KNOWN:
            break
    kept = frozenset(known)
    facts = {} if held is None or not len(held) else {"held copied": _share(row in kept for row in _rows(held))}
    return Library(kept, facts, by_chance)


def reading(x: Tensor, space: Tokens) -> Vitals:
    """Sentences [n, L] -> "unique": share of different ones; "repeats": share of threes of tokens that their sentence has said before; "length":
    tokens a sentence, the end included; "unended": share without an end, where there is one."""
    x = x.long().cpu()
    mask = real(x)
    rows = [row[:size] for row, size in zip(x.tolist(), mask.sum(1).tolist(), strict=True)]
    threes = [list(zip(row, row[1:], row[2:], strict=False)) for row in rows]
    said = sum(map(len, threes))
    told = {
        "unique": len({tuple(row) for row in rows}) / max(1, len(rows)),
        "repeats": 1 - sum(len(set(three)) for three in threes) / said if said else 0.0,
        "length": mask.sum(1).float().mean().item(),
    }
    return told | ({"unended": (x != END).all(1).float().mean().item()} if space.ends else {})


def speech_of(
    game: Game, p: Players, space: Tokens, fake: Tensor, seen: Batch, held: Batch | None, books: Library, origin: nn.Module | None = None,
) -> Vitals:  # fmt: skip
    """Vitals of a moment. fake [n, L]: samples asked for with the conditions of the first n sentences of `seen`, which are trained on.

    "sample/…", "real/…": see `reading`; "sample/copied": share of samples that are training sentences word for word, where they have no source.
    "G/nats own": −log G a token of its own sentences, which is its entropy, so only where it samples from its own distribution; "G/nats train",
    "G/nats held": of sentences trained on and held out, KL(data ‖ G) but for a constant; not where they stand beside
    sources that are not theirs. "G/kl pretrained": E_G[log G − log G₀] a token on
    the same own sentences, G₀ the speaker as likelihood left it (`origin`). "G/labels": nats a token that a wrong condition costs
    held-out ones.
    """
    vitals = {f"sample/{name}": figure for name, figure in reading(fake, space).items()}
    vitals |= {f"real/{name}": figure for name, figure in reading(seen["x"][: len(fake)], space).items()}
    if space.source is None:  # of a source that was trained on the right answer is a training sentence
        vitals["sample/copied"] = _share(row in books.known for row in _rows(fake))
    n = JUDGED // 2
    train = _nats(game, p, seen["x"][:n], seen)
    if train is None:
        return vitals
    if not space.dictionary:  # else sources stand in an order of their own
        vitals["G/nats train"] = train
    if getattr(game, "choice", Choice()) == Choice():
        own = vitals["G/nats own"] = _nats(game, p, fake[:n], seen) or 0.0
        if origin is not None:
            before = Players({**dict(p.items()), PLAYER: origin})
            vitals["G/kl pretrained"] = (_nats(game, before, fake[:n], seen) or 0.0) - own
    if held is not None and len(held["x"]) and not books.by_chance:
        some = Batch({name: value[:JUDGED] for name, value in held.items()})
        usual = _nats(game, p, some["x"], some) or 0.0
        vitals["G/nats held"] = usual
        if "y" in some and len(some["y"]) > 1:
            order = torch.arange(len(some["y"]), device=some["y"].device).roll(1)
            wrong = _nats(game, p, some["x"], Batch({**some, "y": some["y"][order]})) or 0.0
            vitals["G/labels"] = wrong - usual
    return vitals


def _nats(game: Game, p: Players, x: Tensor, given: Batch) -> float | None:
    """−log G a token of sentences [n, L] under their conditions; None where the game has no likelihood."""
    conditions = Batch({name: value[: len(x)] for name, value in given.items() if name != "x"})
    log_p = game.log_likelihood(p, x, conditions)
    return None if log_p is None else -log_p.cpu().double().sum().item() / max(1, int(real(x).sum()))


def _rows(x: Tensor) -> list[bytes]:
    return [row.tobytes() for row in x.to(torch.int32).cpu().contiguous().numpy()]


def _share(hits: Iterable[bool]) -> float:
    told = list(hits)
    return sum(told) / max(1, len(told))
