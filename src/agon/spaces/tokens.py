"""Sentences: whole numbers of a vocabulary, one a token, up to an end."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from agon.errors import InputError
from agon.spaces.base import Space

PAD, END, UNKNOWN = 0, 1, 2  # PAD is also what is read before the first token
FIRST = 3  # the first token of the vocabulary proper
SPECIAL = ("<pad>", "<end>", "<unk>")
_SKETCH = 256
_BREAKS = frozenset("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")  # what ends a line for whoever reads the file
_BEFORE, _AFTER = re.compile(r" ([.,;:!?%)\]}…»])"), re.compile(r"([(\[{«]) ")


def real(x: Tensor) -> Tensor:
    """Where tokens [..., L] are part of a sentence, its end included: bool [..., L]."""
    return x != PAD


@dataclass(frozen=True, kw_only=True)
class Tokens(Space):
    """Sentences int32 [length] when stored, int64 for networks: tokens, END, then PAD to the full length.

    A sentence of exactly `length` tokens has no room for its end and is none; with `ends` False (languages of one length) all have that many
    and no end. tokenizer: the JSON of a tokeniser of the library `tokenizers`, by which text becomes tokens and back; "": tokens have no text and
    are shown as numbers. source: what a sentence is made from, for translation and summaries; it is the condition then, y int64 [n, source.length].
    dictionary: of a language that is learnt beside another without pairs, for each token that of the other which means most like it, 0 where none is
    known; sources have the one back. vectors: float32 [vocabulary, d] of such a language's tokens, of length 1 or zeros where nothing is known, in one
    space with those of the other; a new run begins with them, and run.json leaves them out.
    """

    length: int
    vocabulary: int  # how many tokens there are, PAD, END and UNKNOWN among them
    ends: bool = True
    tokenizer: str = ""
    source: Tokens | None = None
    dictionary: tuple[int, ...] = ()
    vectors: Any = field(default=None, repr=False, compare=False, metadata={"exclude": True})
    classes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    kind: Literal["tokens"] = "tokens"
    gallery: ClassVar[int | None] = 32
    suffixes: ClassVar[tuple[str, ...]] = (".txt",)

    @property
    def shape(self) -> tuple[int]:
        """(length,)."""
        return (self.length,)

    @property
    def condition_dim(self) -> int:
        """How many classes, tags or numbers, or tokens of a source, a conditional game knows."""
        return self.source.vocabulary if self.source else super().condition_dim

    def ready(self, batch: dict[str, Any]) -> dict[str, Any]:
        """As every space's, and sources int64."""
        made = super().ready(batch)
        return {**made, "y": made["y"].long()} if self.source and "y" in made else made

    def unlabelled(self) -> Tokens:
        """The same space without a condition."""
        return replace(self, classes=(), tags=(), numbers=(), source=None)

    def describe(self) -> str:
        """For example "sentences of up to 32 tokens out of 4,682"."""
        how = f"up to {self.length - 1}" if self.ends else f"{self.length}"
        source = f", from {self.source.describe()}" if self.source else ""
        return f"sentences of {how} tokens out of {self.vocabulary - FIRST:,}{self._class_phrase()}{source}"

    def normalise(self, x: Tensor) -> Tensor:
        """Tokens [B, L] -> int64."""
        return x.long()

    def to_bytes(self, x: Tensor) -> Tensor:
        """Tokens [B, L] of any type -> int32; the stored form of this space is not bytes. Raises ValueError for a number that is no token."""
        stored = x.detach().round().to(torch.int32)
        if stored.numel() and not (int(stored.min()) >= 0 and int(stored.max()) < self.vocabulary):
            raise ValueError(f"tokens from {int(stored.min())} to {int(stored.max())}; expected 0 to {self.vocabulary - 1}.")
        return stored

    def arbitrary(self, uniform: Tensor) -> Tensor:
        """Uniform noise [B, L] in [0, 1) -> sentences of random words and lengths in stored form."""
        x = FIRST + (uniform * (self.vocabulary - FIRST)).to(torch.int32)
        if not self.ends:
            return x
        long = 1 + (uniform[:, 0] * (self.length - 1)).long()
        place = torch.arange(self.length)[None]
        return torch.where(place < long[:, None], x, torch.where(place == long[:, None], END, PAD).to(torch.int32))

    def likeness(self, x: Tensor) -> Tensor:
        """Sentences [n, L] -> what their likeness is judged by, float [n, 256]: hashed counts of words and pairs of neighbours, of length 1."""
        x = x.long()
        follows = torch.nn.functional.pad(x[:, 1:], (0, 1))
        places = torch.cat([x * 40_503 % 65_521 % _SKETCH, (x * 31_337 + follows * 2_654_435 + 7) % 65_521 % _SKETCH], 1)
        there = torch.cat([real(x), real(x) & real(follows)], 1)
        counts = torch.zeros(len(x), _SKETCH, device=x.device).scatter_add_(1, places, there.float())
        return counts / counts.norm(dim=1, keepdim=True).clamp_min(1e-12)

    # -- text --------------------------------------------------------------------------------------------------------------------

    def encode(self, texts: Sequence[str]) -> tuple[Tensor, list[int]]:
        """(tokens int32 [n, L], how many tokens each text has); what is too long is cut and has no end. Raises InputError without a tokeniser."""
        found = self.ids(texts)
        return self.pack(found), [len(ids) for ids in found]

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Texts as tokens, as many as there are, without an end: the words <pad> and <end> of a text are unknown. Raises InputError without a tokeniser."""
        tokeniser = _tokeniser(self._json())
        encode = getattr(tokeniser, "encode_batch_fast", tokeniser.encode_batch)
        try:
            rows = [one.ids for one in encode(list(texts), add_special_tokens=False)]
        except (TypeError, UnicodeEncodeError):  # half signs, which the library does not take
            rows = [one.ids for one in encode([text.encode("utf-8", "replace").decode() for text in texts], add_special_tokens=False)]
        return [[UNKNOWN if token < UNKNOWN else token for token in row] if PAD in row or END in row else row for row in rows]

    def unknown(self, text: str) -> tuple[int, int]:
        """How many tokens of a text are not in the vocabulary, and how many it has. Raises InputError without a tokeniser."""
        row = self.ids([text])[0]
        return row.count(UNKNOWN), len(row)

    def whole(self, texts: Sequence[str]) -> tuple[Tensor, list[int]]:
        """(tokens int64 [n, L], how many tokens each text has): what is too long is cut so that its end has room. Raises InputError."""
        found = self.ids(texts)
        return self.pack([row[: self.length - self.ends] for row in found]).long(), [len(row) for row in found]

    def pack(self, ids: Sequence[Sequence[int]]) -> Tensor:
        """Lists of tokens -> int32 [n, L] with ends; what is too long is cut and has no end."""
        lengths = torch.tensor([len(row) for row in ids])[:, None]
        place = torch.arange(self.length)[None]
        x = torch.where((place == lengths) & self.ends, END, PAD).to(torch.int32)
        x[place < lengths] = torch.tensor([token for row in ids for token in row[: self.length]], dtype=torch.int32)
        return x

    def decode(self, x: Tensor) -> list[str]:
        """Sentences [n, L] as text."""
        rows = [row[: row.index(END)] if END in row else row for row in x.long().tolist()]
        rows = [[token for token in row if token != PAD] for row in rows]
        if not self.tokenizer:
            return [" ".join(str(token - FIRST) for token in row) for row in rows]
        tokeniser = _tokeniser(self.tokenizer)
        said = tokeniser.decode_batch(rows, skip_special_tokens=False)
        return [_AFTER.sub(r"\1", _BEFORE.sub(r"\1", text)) for text in said] if _splits_signs(self.tokenizer) else said

    def beside(self, source: Tensor, x: Tensor) -> list[str]:
        """Sources [n, S] and what was made of them [n, L] as "source → text"."""
        assert self.source is not None
        return [f"{asked} → {said}" for asked, said in zip(self.source.decode(source), self.decode(x), strict=True)]

    def word_for_word(self, sources: Sequence[str], entries: Sequence[int] | None = None) -> list[str]:
        """Sources by the dictionary that was learnt beside them, or by other entries for their tokens; what has none is left out."""
        assert self.source is not None and (entries or self.source.dictionary)
        found = by_entries(torch.tensor(entries or self.source.dictionary), self.source.whole(sources)[0])
        rows = [[token for token in row if token != UNKNOWN] for row in found.tolist()]
        return [self.decode(torch.tensor([row or [END]]))[0] for row in rows]

    def lines(self, x: Tensor, source: Tensor | None = None) -> list[str]:
        """Sentences [n, L] as text, one line each whatever they hold; behind "source → " if sources [n, S] are given."""
        said = self.decode(x) if source is None or self.source is None else self.beside(source, x)
        return ["".join(" ⏎ " if sign in _BREAKS else sign for sign in text.replace("\r\n", "\n")) for text in said]

    def pieces(self, x: Tensor) -> list[list[str]]:
        """Sentences [n, L] as lists of their tokens' names, without the end."""
        names = self.names()
        return [[names[token] for token in row if token not in (PAD, END)] for row in x.long().tolist()]

    def names(self) -> list[str]:
        """Every token's name, by number."""
        return _names(self.tokenizer) if self.tokenizer else [str(k - FIRST) for k in range(self.vocabulary)]

    def split(self, texts: Sequence[str]) -> list[list[str]]:
        """Texts as the names of their tokens, those that the vocabulary lacks as they are: what `pieces` would give if it knew every word."""
        tokeniser = _tokeniser(self._json())
        if _settings(self.tokenizer)["model"]["type"] != "WordLevel" or tokeniser.pre_tokenizer is None:
            return [one.tokens for one in tokeniser.encode_batch(list(texts), add_special_tokens=False)]
        normal = tokeniser.normalizer.normalize_str if tokeniser.normalizer is not None else str
        return [[word for word, _ in tokeniser.pre_tokenizer.pre_tokenize_str(normal(text))] for text in texts]

    def render(self, x: Tensor, path: Path | str, *, columns: int | None = None, source: Tensor | None = None) -> Path:
        """Write sentences [n, L], a line each, behind "source → " if that is given; .txt, or a picture of the lines as .png. Raises InputError."""
        from agon.spaces.lettering import write_lines

        return write_lines(Path(path), self.lines(x, source))

    def _json(self) -> str:
        if not self.tokenizer:
            raise InputError("this language has tokens but no text; expected a run trained on text.")
        return self.tokenizer


def by_entries(entries: Tensor, x: Tensor) -> Tensor:
    """Sentences int64 [n, L] by what stands for each token in entries int64 [V], 0 for nothing; what has no entry becomes unknown."""
    found = entries[x]
    return torch.where(real(x) & (x != END), torch.where(found > 0, found, UNKNOWN), x)


@lru_cache(maxsize=8)
def _tokeniser(content: str) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise InputError("text needs the package 'tokenizers', which is not installed. Install it: pip install 'agon-gan[text]'") from None
    try:
        return Tokenizer.from_str(content)
    except Exception as error:  # the library raises bare Exception
        raise InputError(f"the tokeniser of this run cannot be read ({error}); it is damaged. Train the run again.") from None


@lru_cache(maxsize=8)
def _names(content: str) -> list[str]:
    tokeniser = _tokeniser(content)
    return [tokeniser.id_to_token(k) or "" for k in range(1 + max(tokeniser.get_vocab().values()))]


def _splits_signs(content: str) -> bool:
    """Whether this tokeniser makes tokens of punctuation by itself, so that the spaces before it are not the text's."""
    settings = _settings(content)
    return (
        (settings.get("pre_tokenizer") or {}).get("type") == "Split"
        and settings["model"]["type"] == "WordLevel"
        and settings.get("decoder") is None
    )


@lru_cache(maxsize=8)
def _settings(content: str) -> Any:
    import json

    return json.loads(content)
