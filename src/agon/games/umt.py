"""Unsupervised translation: one translator for both ways between two languages, from texts that are no translations of each other.

Lample, Conneau, Denoyer, Ranzato 2018, "Unsupervised Machine Translation Using Monolingual Corpora Only", arXiv:1711.00043;
Lample, Ott, Conneau, Denoyer, Ranzato 2018, "Phrase-Based & Neural Unsupervised Machine Translation", arXiv:1804.07755 (the Transformer, its parts shared).

  denoise     −log π(x | C(x)) in each language, C dropping, blanking and shuffling words; once M is G's own                   -> "auto"
  translate   −log π(x | C(M(x))), M(x) the translation that G itself makes of x, and takes as given                            -> "back"
              at first M is word for word by the dictionary of the data, with noise
  language    a critic of the encoder's places tells the languages apart, the encoder makes it fail, `adversary` alone        -> "tell", "adv"

The encoder and the decoder are shared by both languages, each of which has a table of its own tokens for both. Tokens begin at vectors that both languages
have in one space. The adversary is off: the second paper left it out, and the ablation is in docs/benchmarks.md.

Differs: vectors and dictionary are learnt from the training texts themselves (`agon.data.dictionary`), theirs by fastText from far more text; the last state
is used, and that of the best round trip kept beside it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agon.decoding import Choice, log_probs, speak, steady
from agon.estimators import imitation
from agon.game import Batch, Clock, Game, Players, Terms, Turn
from agon.games.likelihood import needs_tokens, said
from agon.layers.tokens import Read, longest, mean_of
from agon.networks.text.transformer import Transformer
from agon.optim import Adam, Average
from agon.schedule import Value, at
from agon.spaces import Space, Tokens
from agon.spaces.tokens import END, PAD, UNKNOWN, by_entries, real

HIDDEN = 128  # of the critic of languages


@dataclass(frozen=True, kw_only=True)
class UMT(Game):
    """A translator of both directions, and with `adversary` a critic that hears in which language a sentence was."""

    critics: ClassVar[tuple[str, ...]] = ("D",)
    sampling: ClassVar[tuple[str, ...]] = ("choice",)
    net: Transformer = field(default_factory=Transformer)
    adversary: bool = False
    smoothing: float = 0.1  # of the target of likelihood: share given to all other tokens
    dropped: float = 0.1  # share of the words that noise takes away,
    blanked: float = 0.2  # makes unknown,
    moved: float = 3.0  # and below how many places it moves others: by 2 at most (the paper: 3, which is 4.0 here)
    denoise: Value = 1.0  # weight of saying a sentence again
    translate: Value = 1.0  # weight of translating back
    against: Value = 1.0  # weight of the critic
    by_word_until: int = 0  # first round in which G's own translations, not the dictionary's, are translated back, and "auto" is played
    choice: Choice = field(default_factory=lambda: Choice(temperature=0.0))  # how tokens are chosen when sampling
    optim: Mapping[str, Adam] = field(
        default_factory=lambda: {"G": Adam(lr=1e-3, betas=(0.9, 0.98), clip=5.0), "D": Adam(lr=5e-4, betas=(0.5, 0.98), clip=5.0)}
    )
    ema: Mapping[str, Average] = field(default_factory=lambda: {"G": Average(half_life=10_000)})

    def why_not(self, space: Space) -> str | None:
        if (reason := needs_tokens(space, source=True, unpaired=True)) is not None:
            return reason
        assert isinstance(space, Tokens) and space.source is not None
        if not space.dictionary or not space.source.dictionary:
            return (
                "this game begins with a dictionary, which is learnt from two languages whose lines do not belong together; add --unpaired."
            )
        return None

    def players(self, space: Tokens) -> dict[str, nn.Module]:
        widths = (self.net.width, HIDDEN, HIDDEN, HIDDEN)
        hidden = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.LeakyReLU(0.2))]
        return {"G": _translator(self.net, space), "D": nn.Sequential(*hidden, nn.Linear(HIDDEN, 1))}

    def turns(self) -> list[Turn]:
        return [Turn(self.critic, "D"), Turn(self.speaker, "G")] if self.adversary else [Turn(self.speaker, "G")]

    # -- turns -------------------------------------------------------------------------------------------------------------------

    def critic(self, p: Players, given: Batch, t: Clock) -> Terms:
        with torch.no_grad():
            places = [_encoded(p, self.noised(p, x), k) for k, x in enumerate((given["x"], given["y"]))]
        return {"tell": _told(p, places, wrong=False)}

    def speaker(self, p: Players, given: Batch, t: Clock) -> Terms:
        x, y = sides = given["x"], given["y"]
        noisy = [self.noised(p, side) for side in sides]
        terms: dict[str, Tensor] = {}
        weight = at(self.denoise, t) if t.round >= self.by_word_until else 0.0  # noisy sentences word for word are denoised already
        if weight:
            terms["auto"] = weight * (self._nll(voice(p.G, 0, 0), x, noisy[0]) + self._nll(voice(p.G, 1, 1), y, noisy[1]))
        there, back = (
            self._nll(voice(p.G, 1, 0), x, self._translated(p, x, 0, t)),
            self._nll(voice(p.G, 0, 1), y, self._translated(p, y, 1, t)),
        )
        terms["back"] = at(self.translate, t) * (there + back)
        if self.adversary:
            places = [_encoded(p, side, k) for k, side in enumerate(noisy)]
            terms["adv"] = at(self.against, t) * _told(p, places, wrong=True)
        return terms

    def _nll(self, speaker: Any, x: Tensor, y: Tensor) -> Tensor:
        return imitation(log_probs(speaker, x, y, smoothing=self.smoothing), real(x))

    def _translated(self, p: Players, x: Tensor, k: int, t: Clock) -> Tensor:
        """Sentences of language k in the other one: word for word with noise at first, then as G says them now, the likeliest words."""
        if t.round < self.by_word_until:
            return self.noised(p, by_word(p.G, x, k))
        with torch.no_grad(), steady(p.G):
            other = voice(p.G, k, 1 - k)
            return self.noised(p, speak(other, p.rand(len(x), other.length), x, choice=Choice(temperature=0.0)))

    def noised(self, p: Players, x: Tensor) -> Tensor:
        """C(x) of sentences int64 [n, L]: words dropped, but never the first, blanked and moved; the end stays the end."""
        dice = p.rand(len(x), 3, x.shape[1])
        place = torch.arange(x.shape[1], device=x.device)
        word = real(x) & (x != END)
        gone = word & (dice[:, 0] < self.dropped) & (place > 0)
        x = torch.where(word & (dice[:, 1] < self.blanked), UNKNOWN, x)
        x = torch.where(gone, PAD, x)
        # The end comes behind all words, and padding and what was dropped behind that.
        far = 2 * x.shape[1] + self.moved
        order = torch.where(word, place + self.moved * dice[:, 2], torch.where(x == END, far, 2 * far + place))
        order = torch.where(gone, 3 * far + place, order)
        return x.gather(1, order.argsort(dim=1, stable=True))

    # -- use ---------------------------------------------------------------------------------------------------------------------

    def sample(self, p: Players, n: int, *, z: Tensor | None = None, given: Batch | None = None) -> Tensor:
        return said(p, n, self.choice, given)

    def log_likelihood(self, p: Players, x: Tensor, given: Batch | None = None) -> Tensor:
        return log_probs(p.G, x, None if given is None else given["y"])

    def way_back(self, p: Players, space: Tokens) -> tuple[Players, Tokens]:
        assert space.source is not None
        other = p.through(lambda name, player: voice(player, 0, 1) if name == "G" else player)
        return other, replace(space.source, source=replace(space, source=None))


# -- the translator: languages are numbered, 0 that of the sentences, 1 that of their sources -----------------------------------------------


def _translator(net: Transformer, space: Tokens) -> nn.Module:
    """A speaker of language 0 from language 1 that has all it takes for the other way: `voice`, and word for word."""
    assert space.source is not None
    long = max(space.length, space.source.length)
    speaker: Any = net.speaker(replace(space, length=long, source=replace(space.source, length=long)))
    speaker.length, speaker.lengths = space.length, (space.length, space.source.length)
    speaker.read_back = Read(space.source, net.width, table=speaker.encode.embed if net.tied else None)
    for k, words in enumerate((space.dictionary, space.source.dictionary)):
        speaker.register_buffer(f"words_{k}", torch.tensor(words), persistent=False)
    with torch.no_grad():
        known = speaker.words_1 > 0
        speaker.encode.embed.weight[known] = speaker.embed.weight[speaker.words_1[known]]
        if space.vectors is not None and space.source.vectors is not None:
            _begin((speaker.embed.weight, speaker.encode.embed.weight), (space.vectors, space.source.vectors))
    return speaker


def _begin(tables: tuple[Tensor, Tensor], vectors: tuple[Tensor, Tensor]) -> None:
    """Rows of tables [V, width] of both languages become the vectors [V, d] of their tokens, along the width leading directions of all; of length 1."""
    known = [side.any(1) for side in vectors]
    axes = torch.linalg.svd(torch.cat([side[rows] for side, rows in zip(vectors, known, strict=True)]), full_matrices=False).Vh
    for table, side, rows in zip(tables, vectors, known, strict=True):
        width = table.shape[1]
        few = side[rows] @ axes[:width].T
        table[rows] = F.normalize(F.pad(few, (0, width - few.shape[1])), dim=1)


def by_word(speaker: Any, x: Tensor, k: int) -> Tensor:
    """Sentences int64 [n, L] of language k word for word."""
    return by_entries((speaker.words_0, speaker.words_1)[k], x)


def voice(speaker: Any, read: int, say: int) -> Any:
    """The translator as a speaker of language `say` from sentences of language `read`: other tables around the same parts, no weights of its own."""
    tables = (speaker.embed, speaker.encode.embed)
    encoder = _around(speaker.encode, embed=tables[read])
    view = _around(speaker, embed=tables[say], encode=encoder, read=(speaker.read, speaker.read_back)[say])
    view.length = speaker.lengths[say]
    return view


def _around(module: nn.Module, **parts: nn.Module) -> Any:
    """The module with some of its parts exchanged; the rest is shared."""
    view = copy.copy(module)
    view._modules = {**module._modules, **parts}
    return view


def _encoded(p: Players, noisy: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The encoder's places [n, L, width] of noisy sentences of language k, and where words are."""
    noisy = noisy[:, : longest(real(noisy))]
    return voice(p.G, k, k).encode(noisy, real(noisy)), real(noisy)


def _told(p: Players, places: list[tuple[Tensor, Tensor]], *, wrong: bool) -> Tensor:
    """Cross-entropy of what the critic says of each place, the mean over a sentence's; wrong: as if the languages were exchanged."""
    parts = []
    for k, (h, mask) in enumerate(places):
        sign = 1.0 if (k == 0) == wrong else -1.0
        parts.append(mean_of(F.softplus(sign * p.D(h)[..., 0]), mask).mean())
    return torch.stack(parts).sum()
