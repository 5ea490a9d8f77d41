"""A frozen encoder of sentences, counted from the training text: what Fréchet distances, kernels and neighbourhoods of sentences are taken in.

    PPMI(a, b) = max(0, log n_ab N / (n_a n_b)) · n_ab / (n_ab + 10),  PPMI ≈ L Rᵀ      Levy & Goldberg 2014; pairs at distances 1, 2, and 1 to 4
    words      mean of word vectors from the wide window: what a sentence is about
    course     the same, weighted by cos(π t / T) and cos(2π t / T): what stands where
    pairs      mean over neighbours (a, b) of L_a ∘ R_b from the narrow window: which words follow which; shuffling destroys it
    gaps       the same of words one apart
    shape      length, different words, a word said twice, rare words; unknown ones, which a generator cannot say, count as usual ones

The last factor shrinks what was seen a few times: without it held-out sentences of COCO captions lie three times as far from the training text, because
the encoder knows that text's own pairs by heart.
No gradient and no chance is in it: a corpus has one encoder, and the stamp has its hash. Figures compare on one corpus and tokeniser only, never with the
FED of papers, which is taken in the Universal Sentence Encoder (de Masson d'Autume et al. 2019, arXiv:1905.09922). Every block counts by its own variance on
the training text. Words that a rare sentence turns on weigh little; fluent nonsense whose neighbours fit is not seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agon.metrics.cache import Say, digest, read_tensors, write_tensors
from agon.metrics.contract import Features
from agon.metrics.rows import subset
from agon.spaces.tokens import END, UNKNOWN, real

VERSION = "sentences-1"
CENTRES = 1_000  # words whose pairs are decomposed; others are folded in
SENTENCES = 60_000  # of the training text that are counted, at most
FEW = 10.0  # times a pair must be seen to count half
WORDS, COURSE, PAIRS, GAPS = 40, 8, 48, 16  # dimensions of each block; COURSE of each of two waves
_WINDOW = 4
_PAIRS = 100_000  # pairs folded in at once


@dataclass
class SentenceEncoder:
    """Sentences int [n, L] -> float64 [n, dim]. tables: word vectors by name [V, k], logs of word frequencies, centre and scale of the features."""

    tables: dict[str, Tensor]
    hash: str
    dim: int
    name: str = "sentences"
    resize: str = ""
    num_classes: int = 0
    note: str = field(default="counted from the training text; not comparable with published FED")

    def __call__(self, x: Tensor) -> Features:
        """Features of stored sentences."""
        return Features((_features(x.cpu().long(), self.tables) - self.tables["centre"]) / self.tables["scale"])


def open_sentences(data_set: Any, *, cache: Path, say: Say | None = None) -> SentenceEncoder:
    """The encoder of a data set's training split, from the cache or counted now."""
    mark = digest(VERSION, data_set.content_hash, str((CENTRES, SENTENCES, FEW, WORDS, COURSE, PAIRS, GAPS, _WINDOW)))
    path = cache / f"{VERSION}-{mark}.safetensors"
    stored = read_tensors(path, say)
    if stored is None:
        train = data_set.train.x
        if say:
            say("encoder", f"words and their neighbours in {min(len(train), SENTENCES):,} training sentences are counted, once")
        x = train[subset(len(train), SENTENCES, 0)].long()
        tables = count(x, data_set.space.vocabulary)
        write_tensors(path, tables, {}, say)
    else:
        tables = stored[0]
    return SentenceEncoder(tables, mark, len(tables["centre"]))


def count(x: Tensor, vocabulary: int) -> dict[str, Tensor]:
    """The tables of an encoder, from sentences int64 [n, L]."""
    often = torch.bincount(x[real(x)], minlength=vocabulary).double()
    rarity = -((often + 1) / (often.sum() + vocabulary)).log()
    rarity[UNKNOWN] = (rarity * often).sum() / often.sum()
    tables = {"rarity": rarity}
    for name, gaps, k in (("topic", range(1, _WINDOW + 1), WORDS), ("next", (1,), PAIRS), ("gap", (2,), GAPS)):
        left, right = _vectors(x, vocabulary, often, gaps, k)
        tables |= {f"{name} left": left, f"{name} right": right}
    tables["topic left"] = tables["topic left"] + tables.pop("topic right")
    rows = torch.cat([_features(part, tables) for part in x.split(1_000)])
    tables["centre"] = rows.mean(0)
    # Each block is divided by the mean spread of its own dimensions: within a block the leading directions keep their weight.
    spread = rows.std(0, correction=0)
    scale, begin = torch.ones_like(spread), 0
    for size in (*_sizes(tables), *[1] * _SHAPE):
        part = spread[begin : begin + size]
        mean = part.square().mean().sqrt()
        scale[begin : begin + size] = mean if mean > 1e-8 else 1.0  # such as the length, in a language of one length
        begin += size
    tables["scale"] = scale
    return tables


def _vectors(x: Tensor, vocabulary: int, often: Tensor, gaps: Any, k: int) -> tuple[Tensor, Tensor]:
    """Vectors of the word on the left and of the word on the right, float64 [V, k] each, from the pairs that stand these gaps apart."""
    a = torch.cat([x[:, :-g].flatten() if g < x.shape[1] else x[:0, 0] for g in gaps])
    b = torch.cat([x[:, g:].flatten() if g < x.shape[1] else x[:0, 0] for g in gaps])
    there = (a != 0) & (b != 0)
    pair, times = torch.unique(a[there] * vocabulary + b[there], return_counts=True)
    a, b, times = pair // vocabulary, pair % vocabulary, times.double()
    of_a, of_b = (torch.zeros(vocabulary, dtype=torch.float64).index_add_(0, who, times) for who in (a, b))
    weight = (times * times.sum() / (of_a[a] * of_b[b])).log().clamp_min(0) * times / (times + FEW)
    centres = often.argsort(descending=True, stable=True)[:CENTRES].sort().values
    place = torch.full((vocabulary,), -1)
    place[centres] = torch.arange(len(centres))
    inner = (place[a] >= 0) & (place[b] >= 0)
    core = torch.zeros(len(centres), len(centres), dtype=torch.float64)
    core[place[a[inner]], place[b[inner]]] = weight[inner]
    values, right = torch.linalg.eigh(core.T @ core)
    k = min(k, len(centres))
    right = right[:, -k:].flip(1)
    size = values[-k:].flip(0).clamp_min(0).sqrt()
    # An eigenvector's sign is arbitrary; its largest entry is made positive so that a corpus has one encoder.
    right = right * right.gather(0, right.abs().argmax(0, keepdim=True)).sign()
    left = core @ right / size.clamp_min(1e-9)
    every = torch.zeros(vocabulary, k, dtype=torch.float64)
    on_left, on_right = (every.index_copy(0, centres, side) for side in (right, left))
    summed_left, summed_right = every.clone(), every.clone()
    for some in torch.arange(len(weight)).split(_PAIRS):
        summed_left.index_add_(0, a[some], weight[some, None] * on_left[b[some]])
        summed_right.index_add_(0, b[some], weight[some, None] * on_right[a[some]])
    # L = M R / √s and R = Mᵀ L / √s: words beyond the centres are placed by the company they keep with these.
    root = size.sqrt().clamp_min(1e-9)
    return summed_left / root, summed_right / root


_SHAPE = 5


def _sizes(tables: dict[str, Tensor]) -> tuple[int, ...]:
    k = tables["topic left"].shape[1]
    return k, min(COURSE, k), min(COURSE, k), tables["next left"].shape[1], tables["gap left"].shape[1]


def _features(x: Tensor, tables: dict[str, Tensor]) -> Tensor:
    """Raw features float64 [n, dim] of sentences int64 [n, L]."""
    there = real(x)
    mask, count = there[..., None].double(), there.sum(1).double().clamp_min(1)
    topic = tables["topic left"][x] * mask
    time = torch.arange(x.shape[1]).double()[None] / count[:, None]
    waves = [(topic[..., :COURSE] * (turns * torch.pi * time).cos()[..., None]).sum(1) / count[:, None] for turns in (1, 2)]
    blocks = [topic.sum(1) / count[:, None], *waves]
    for name, gap in (("next", 1), ("gap", 2)):
        left, right = tables[f"{name} left"], tables[f"{name} right"]
        both = torch.zeros(len(x), left.shape[1], dtype=torch.float64)
        if x.shape[1] > gap:
            pairs = there[:, gap:]
            both = (left[x[:, :-gap]] * right[x[:, gap:]] * pairs[..., None]).sum(1) / pairs.sum(1, keepdim=True).clamp_min(1)
        blocks.append(both)
    rarity = tables["rarity"][x] * there
    words = there & (x != END)
    ordered = torch.where(words, x, -1).sort(1).values
    kinds = ((ordered[:, 1:] != ordered[:, :-1]) & (ordered[:, 1:] >= 0)).sum(1) + (ordered[:, 0] >= 0)
    twice = ((x[:, 1:] == x[:, :-1]) & words[:, 1:]).sum(1)
    mean = rarity.sum(1) / count
    shape = torch.stack([
        count.log(), kinds / words.sum(1).clamp_min(1), twice / count, mean, rarity.amax(1),
    ], 1)  # fmt: skip
    return torch.cat([*blocks, shape.double()], 1)
