"""A dictionary of two languages learnt from texts that are no translations of each other.

Artetxe, Labaka, Agirre 2018, "A robust self-learning method for fully unsupervised cross-lingual mappings of word embeddings", arXiv:1805.06297; begun
from what is written alike in both (Artetxe et al. 2017, "Learning bilingual word embeddings with (almost) no bilingual data").

  vectors     of each language's tokens: positive pointwise mutual information with the tokens around, contexts smoothed by the power 3/4, in few
              dimensions (Levy, Goldberg, Dagan 2015, "Improving distributional similarity with lessons learned from word embeddings"); of length 1,
              their mean taken away, of length 1 again
  map         W = U V' of the singular value decomposition of X' Y over the pairs believed so far, both sides turned, each axis by the root of its strength
  pairs       of each token the likeliest of the other language, both ways round, among the `FREQUENT` commonest; each pair is looked at with a chance
              that grows from 0.1 to 1
  likelier    by cross-domain similarity (CSLS, Conneau et al. 2018, arXiv:1710.04087); the more, the more their spelling has in common (Riley, Gildea
              2018, "Orthographic Features for Bilingual Lexicon Induction"); the less, the further apart they are in how common they are
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tokenizers import decoders
from torch import Tensor
from torch.nn import functional as F

from agon.game import mix
from agon.spaces.tokens import UNKNOWN

WINDOW, DIMENSIONS = 8, 200  # tokens around that count, at one through their distance; and of vectors
MOST, FREQUENT = 4_000, 2_500  # commonest tokens that get vectors, and that pairs are believed of on the way
LEAST_USES = 5  # of a token that is looked up
NEIGHBOURS = 10  # of CSLS
SPELLING, UNLIKE = 0.7, 0.3  # weight of the letters in common, and share of them that words have by chance
USAGE = 0.1  # weight of how much commoner one is, in nats
RULE = 5  # of everything that decides what is found; a new one makes what the cache holds anew
ROUNDS, CHANCE, GROWTH = 8, 0.1, 1.5  # rounds at each chance of being looked at
NEVER = -9.0  # below all that is likely
_ALIKE = 4  # letters from which on a word written alike in both is taken for the same


@dataclass(frozen=True)
class Dictionary:
    """For every token of one language that of the other which means most like it, 0 where none is known; how many began it, and how sure it is.

    likeness: the mean of CSLS over the pairs of commonest tokens, to compare dictionaries of like sizes. vectors: float32 [tokens, d] of either language, in
    one space; of length 1, zeros for tokens that have none.
    """

    there: list[int]
    back: list[int]
    vectors: tuple[Tensor, Tensor]
    anchors: int
    likeness: float


def learn(one: Sequence[Tensor], names: tuple[Sequence[str], Sequence[str]], *, seed: int = 0) -> Dictionary | None:
    """The dictionary of two languages from sentences int [n, L] of each, and the names of their tokens; None where nothing is written alike."""
    orders, shares, vectors = zip(
        *(_vectors(x, len(own), mix(seed, k)) for k, (x, own) in enumerate(zip(one, names, strict=True))), strict=True
    )
    common = [[own[k] for k in order] for own, order in zip(names, orders, strict=True)]
    anchors = _anchors(*common)
    if not len(anchors):
        return None
    prior = SPELLING * (_spelling(*common) - UNLIKE).clamp_min(0) - USAGE * (shares[0].log()[:, None] - shares[1].log()[None]).abs()
    dice = torch.Generator().manual_seed(mix(seed, 2))
    pairs, chance, likeness = anchors, CHANCE, 0.0
    while True:
        for _ in range(ROUNDS):
            x, y = _turned(vectors, pairs)
            near = _csls(x[:FREQUENT] @ y[:FREQUENT].T)
            likeness = float(near.max(1).values.mean())
            likely = near + prior[:FREQUENT, :FREQUENT]
            seen = torch.where(torch.rand(near.shape, generator=dice) < chance, likely, NEVER)
            pairs = torch.cat([_best(seen), _best(seen.T).flip(1), anchors])
        if chance == 1:
            break
        chance = min(1.0, chance * GROWTH)
    near = _csls(x @ y.T) + prior
    there, back = ([0] * len(own) for own in names)
    for (row, column), into in ((_best(near).T, there), (_best(near.T).T, back)):
        for a, b in zip(row.tolist(), column.tolist(), strict=True):
            first, second = (orders[0][a], orders[1][b]) if into is there else (orders[1][a], orders[0][b])
            into[first] = second
    spread = [torch.zeros(len(own), side.shape[1]) for own, side in zip(names, (x, y), strict=True)]
    for table, order, side in zip(spread, orders, (x, y), strict=True):
        table[order] = side
    return Dictionary(there, back, (spread[0], spread[1]), len(anchors), likeness)


def _vectors(x: Tensor, vocabulary: int, seed: int) -> tuple[list[int], Tensor, Tensor]:
    """The commonest tokens of sentences [n, L], their shares of all tokens [m], and their vectors [m, DIMENSIONS] of length 1."""
    x = x.long()
    uses = torch.bincount(x.flatten(), minlength=vocabulary)
    uses[: UNKNOWN + 1] = 0
    order = uses.argsort(descending=True, stable=True)[:MOST]
    order = order[uses[order] >= LEAST_USES]
    size = len(order)
    place = torch.full((vocabulary,), size)
    place[order] = torch.arange(size)
    x = place[x]
    counts = torch.zeros((size + 1) ** 2)
    for step in range(1, min(WINDOW, x.shape[1] - 1) + 1):
        near = (x[:, :-step] * (size + 1) + x[:, step:]).flatten()
        counts += torch.bincount(near, minlength=len(counts)) / step
    table = counts.view(size + 1, size + 1)[:size, :size]
    table = table + table.T
    context = table.sum(0) ** 0.75
    expected = table.sum(1, keepdim=True) * (context / context.sum().clamp_min(1e-12))
    told = (table / expected.clamp_min(1e-12)).clamp_min(1).log()
    vectors = _few(told, min(DIMENSIONS, size), seed)
    vectors = F.normalize(vectors, dim=1)
    return order.tolist(), uses[order] / uses.sum(), F.normalize(vectors - vectors.mean(0), dim=1)


def _few(table: Tensor, rank: int, seed: int) -> Tensor:
    """U √S of the largest singular values of a matrix [n, n]: [n, rank], by powers of a random range (Halko et al. 2011, arXiv:0909.4061)."""
    room = torch.randn(table.shape[1], min(table.shape[0], rank + 20), generator=torch.Generator().manual_seed(seed))
    for _ in range(6):
        room = torch.linalg.qr(table @ room).Q
        room = torch.linalg.qr(table.T @ room).Q
    left, strength, _ = torch.linalg.svd(table @ room, full_matrices=False)
    return left[:, :rank] * strength[:rank].sqrt()


def _anchors(one: Sequence[str], other: Sequence[str]) -> Tensor:
    """Pairs int64 [k, 2] of what is written alike: words of `_ALIKE` letters or more, and what is no word."""
    known: dict[str, int] = {}
    for place, name in enumerate(other):
        known.setdefault(name.lower(), place)
    found = [(place, known[name.lower()]) for place, name in enumerate(one) if name.lower() in known and _tells(name)]
    return torch.tensor(found, dtype=torch.int64).view(-1, 2)


def _tells(name: str) -> bool:
    letters = name.lstrip("Ġ")  # which stands for the space before a piece of byte-pair encoding
    return len(letters) >= _ALIKE or not letters.isalpha()


def _spelling(one: Sequence[str], other: Sequence[str]) -> Tensor:
    """Dice coefficients [n, m] of the one, two and three letters that stand together in two words, from 0 to 1."""
    cut = [[_cut(name) for name in side] for side in (_plain(one), _plain(other))]
    known: dict[str, int] = {}
    for side in cut:
        for parts in side:
            for part in parts:
                known.setdefault(part, len(known))
    tables = [torch.zeros(len(side), len(known)) for side in cut]
    for table, side in zip(tables, cut, strict=True):
        for row, parts in enumerate(side):
            table[row, [known[part] for part in parts]] = 1
    return 2 * tables[0] @ tables[1].T / (tables[0].sum(1)[:, None] + tables[1].sum(1)[None])


def _plain(names: Sequence[str]) -> list[str]:
    """Names of tokens as they are read: small letters without marks, a space before it as one."""
    if any(name.startswith("Ġ") for name in names):  # pieces of byte-pair encoding, whose names are of bytes
        bytewise = decoders.ByteLevel()
        names = [bytewise.decode([name]) for name in names]
    apart = (unicodedata.normalize("NFKD", name.casefold()) for name in names)
    return ["".join(letter for letter in name if not unicodedata.combining(letter)) for name in apart]


def _cut(name: str) -> set[str]:
    name += "$"
    return {name[k : k + size] for size in (1, 2, 3) for k in range(len(name) - size + 1)}


def _turned(vectors: Sequence[Tensor], pairs: Tensor) -> tuple[Tensor, Tensor]:
    """Both languages' vectors in one space, of length 1."""
    x, y = vectors
    left, strength, right = torch.linalg.svd(x[pairs[:, 0]].T @ y[pairs[:, 1]])
    root = strength.sqrt()
    return F.normalize(x @ left[:, : len(root)] * root, dim=1), F.normalize(y @ right[: len(root)].T * root, dim=1)


def _csls(near: Tensor) -> Tensor:
    """Cosines [n, m] less the mean of each side's nearest, so that what is near everything is near nothing."""
    k = min(NEIGHBOURS, *near.shape)
    return 2 * near - near.topk(k, 1).values.mean(1)[:, None] - near.topk(k, 0).values.mean(0)[None]


def _best(near: Tensor) -> Tensor:
    """Of each row its best column: pairs int64 [n, 2]."""
    return torch.stack([torch.arange(len(near)), near.argmax(1)], 1)
