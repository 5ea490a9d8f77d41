"""What samples can be asked to be: classes, tags, numbers, captions or sources, drawn as the training set has them or named by a person in own units.

A run keeps up to 1,024 rows of its training set's tags, numbers, captions or sources (conditions.json; of classes, shares in run.json). So scores draw
from the joint distribution of the data, and sampling needs no data. What a wish leaves open is taken from the rows nearest to it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from agon.data.captions import decode, encode
from agon.directory import RunDirectory
from agon.errors import InputError, suggest
from agon.game import mix
from agon.records import atomic_write
from agon.sampling import class_id, labels_for
from agon.spaces import Space
from agon.spaces.tokens import SPECIAL, UNKNOWN

FILE = "conditions.json"
ROWS = 1024  # rows of tags, numbers, captions or sources kept of a training set
NEAREST = 32  # rows an open wish is filled from

Tags = str | Sequence[str] | Mapping[str, bool]
Numbers = Mapping[str, "float | tuple[float, float]"]


@dataclass(frozen=True)
class Conditions:
    """The conditions of a run. rows: as players see them, float32 [m, k] (numbers less `mean`, by `sd`), captions or sources int64 [m, L]; share:
    of each class. The vocabulary of captions and the tokeniser of sources are the space's."""

    space: Space
    share: tuple[float, ...] | None = None
    rows: Tensor = field(default_factory=lambda: torch.zeros(0, 0))
    mean: tuple[float, ...] = ()
    sd: tuple[float, ...] = ()

    @classmethod
    def of(cls, space: Space, y: Tensor | None, labels: Mapping[str, Any]) -> Conditions:
        """Of a training set: its labels y as stored, and the data card's word on them. space: as the game sees it."""
        if y is None or not space.condition_dim:
            return cls(space)
        if space.classes:
            counts = torch.bincount(y, minlength=space.num_classes)
            return cls(space, share=tuple((counts / counts.sum()).tolist()))
        rows = some_rows(y)
        return cls(space, rows=rows.long() if space.source else rows, mean=tuple(labels.get("mean", ())), sd=tuple(labels.get("sd", ())))

    @classmethod
    def read(cls, directory: RunDirectory, content: Mapping[str, Any], space: Space) -> Conditions:
        """Of a run directory. Raises InputError if conditions.json is missing or damaged where it is needed."""
        if space.classes or not space.condition_dim:
            share = content.get("class_share")
            return cls(space, share=tuple(share) if share else None)
        kept = directory.read(FILE)
        try:
            made = cls(space, mean=tuple(map(float, kept.get("mean") or ())), sd=tuple(map(float, kept.get("sd") or ())))
            if space.source:
                return cls(space, rows=_sources(space, kept["rows"]))
            if space.words:
                return cls(space, rows=torch.stack([encode(str(text), space.words, _length(space)) for text in kept["rows"]]))
            rows = torch.tensor(kept["rows"], dtype=torch.float64).reshape(-1, space.condition_dim)
        except (KeyError, TypeError, ValueError, RuntimeError, InputError) as error:
            raise InputError(f"'{directory.path / FILE}' is damaged ({error}); copy it from another copy of the run.") from None
        return cls(space, rows=made._standard(rows), mean=made.mean, sd=made.sd)

    def write(self, directory: RunDirectory) -> None:
        """Keep the rows, in the data's own units, one a line; of classes there is nothing to keep."""
        if not len(self.rows):
            return
        space = self.space
        head: dict[str, Any]
        told: list[Any]
        if space.source:
            head, told = {"kind": "sources"}, _told(space, self.rows)
        elif space.words:
            head, told = {"kind": "captions", "words": len(space.words)}, [decode(row, space.words) for row in self.rows.tolist()]
        else:
            head = {
                "kind": "tags" if space.tags else "numbers",
                "names": list(space.tags or space.numbers),
                "mean": self.mean,
                "sd": self.sd,
            }
            rows = self._plain(self.rows).tolist()
            told = [[float(f"{value:.9g}") if space.numbers else int(value) for value in row] for row in rows]
        lines = ",\n  ".join(json.dumps(row, ensure_ascii=False) for row in told)
        atomic_write(directory.path / FILE, json.dumps(head, ensure_ascii=False)[:-1] + f', "rows": [\n  {lines}\n]}}\n')

    def _standard(self, rows: Tensor) -> Tensor:
        """Rows [n, k] in own units as players see them."""
        if self.space.numbers:
            rows = (rows - torch.tensor(self.mean, dtype=torch.float64)) / torch.tensor(self.sd, dtype=torch.float64)
        return rows.float()

    def _plain(self, rows: Tensor) -> Tensor:
        """Rows [n, k] as players see them in own units, float64."""
        rows = rows.double()
        return (
            rows * torch.tensor(self.sd, dtype=torch.float64) + torch.tensor(self.mean, dtype=torch.float64) if self.space.numbers else rows
        )

    # -- drawing -----------------------------------------------------------------------------------------------------------------

    def draw(self, n: int, *, seed: int = 0) -> Tensor | None:
        """Conditions of n samples as the training set has them; None for an unconditional space."""
        return labels_for(self.space, n, seed=seed, share=self.share, rows=self.rows)

    def ask(
        self, n: int, *, seed: int = 0, label: str | int | Sequence[str | int] | None = None, tags: Tags | None = None,
        numbers: Numbers | None = None, text: str | Sequence[str] | None = None, alike: bool = False,
    ) -> Tensor | None:  # fmt: skip
        """Conditions of n samples as wished: a class or a text (or one a sample), tags that are on ("!hat": off), numbers in own units.

        A number may be a pair (from, to), which is walked through over the n samples. Tags and numbers that are not named are those of
        training samples near the wish, so that they go together as they do in the data. alike: all n are asked the same.
        Raises InputError, with a suggestion.
        """
        if alike:
            one = self.ask(1, seed=seed, label=label, tags=tags, numbers=numbers, text=text)
            return None if one is None else one.expand(n, *one.shape[1:])
        wishes = (("class", label), ("tags", tags), ("numbers", numbers), ("text", text))
        given = [name for name, wish in wishes if wish is not None]
        if len(given) > 1:
            raise InputError(f"{' and '.join(given)} were asked for together; a run knows one kind of condition: {self.describe()}.")
        if label is not None:
            self._is("class", self.space.classes, label)
            each = [label] * n if isinstance(label, (str, int)) else list(label)
            if len(each) != n:
                raise InputError(f"{len(each)} classes were given for {n} samples; expected one class, or one a sample.")
            return torch.tensor([class_id(self.space, one) for one in each], dtype=torch.int64)
        if tags is not None:
            return self._tags(n, seed, tags)
        if numbers is not None:
            return self._numbers(n, seed, numbers)
        if text is not None:
            texts = [text] * n if isinstance(text, str) else list(text)
            if len(texts) != n:
                raise InputError(f"{len(texts)} texts were given for {n} samples; expected one text, or one a sample.")
            if self.space.source:
                return _sources(self.space, texts)
            words = self._is("text", self.space.words, text)
            return torch.stack([encode(one, words, _length(self.space)) for one in texts])
        return self.draw(n, seed=seed)

    def _tags(self, n: int, seed: int, wish: Tags) -> Tensor:
        names = self._is("tags", self.space.tags, wish)
        words = wish.split(",") if isinstance(wish, str) else wish
        on = dict(words) if isinstance(words, Mapping) else {word.strip().lstrip("!"): not word.strip().startswith("!") for word in words}
        places = torch.tensor([self._place("tag", names, name) for name in on])
        values = torch.tensor([float(value) for value in on.values()])
        if not len(places):
            return self.rows.new_zeros(n, len(names))
        wrong = (self.rows[:, places] != values).sum(1)
        near = self.rows[wrong == wrong.min()] if len(self.rows) else torch.zeros(1, len(names))
        y = near[_pick(len(near), n, seed)]
        y[:, places] = values
        return y

    def _numbers(self, n: int, seed: int, wish: Numbers) -> Tensor:
        names = self._is("numbers", self.space.numbers, wish)
        if not wish:
            raise InputError(f"numbers name nothing; expected some of {_listing(names)}, such as {names[0]}={self.mean[0]:.3g}.")
        places = torch.tensor([self._place("number", names, name) for name in wish])
        ends = [value if isinstance(value, tuple) else (value, value) for value in wish.values()]
        if not all(torch.isfinite(torch.tensor(end)).all() for end in ends):
            raise InputError(f"numbers are {dict(wish)}; expected finite values.")
        walked = torch.stack([torch.linspace(low, high, n, dtype=torch.float64) for low, high in ends], dim=1)
        own = torch.zeros(n, len(names), dtype=torch.float64)
        own[:, places] = walked
        values = self._standard(own)[:, places]
        if not len(self.rows) or len(places) == len(names):
            y = torch.zeros(n, len(names))
        else:
            nearest = torch.cdist(values, self.rows[:, places]).argsort(dim=1, stable=True)[:, : min(NEAREST, len(self.rows))]
            y = self.rows[nearest[torch.arange(n), _pick(nearest.shape[1], n, seed)]]
        y[:, places] = values
        return y

    def outside(self, numbers: Numbers) -> list[str]:
        """A sentence for each number that was asked for beyond what the training set holds."""
        told, own = [], self._plain(self.rows)
        for name, value in numbers.items():
            if name in self.space.numbers and len(own):
                column = own[:, self.space.numbers.index(name)]
                low, high = column.min().item(), column.max().item()
                if any(not low <= end <= high for end in (value if isinstance(value, tuple) else (value,))):
                    told.append(f"{name}={value} is beyond the training set's {low:.4g} to {high:.4g}: the run was never shown such")
        return told

    def _is(self, kind: str, names: Sequence[str], wish: object) -> Sequence[str]:
        if not names:
            raise InputError(f"{kind} {wish!r} was asked for, but this run has {self.describe()}. {self._instead()}")
        return names

    def _instead(self) -> str:
        if self.space.classes:
            return f"Use --class, such as --class {self.space.classes[0]}."
        if self.space.tags:
            return f"Use --tags, such as --tags {self.space.tags[0]}."
        if self.space.numbers:
            return f"Use --numbers, such as --numbers {self.space.numbers[0]}={self.mean[0]:.3g}."
        if self.space.source:
            return f'Use --text, such as --text "{self.caption(self.rows[0]) if len(self.rows) else "A sentence."}".'
        if self.space.words:
            return f'Use --text, such as --text "{self.caption(self.rows[0]) if len(self.rows) else self.space.words[0]}".'
        return "Sample without it, or train on labelled data."

    def _place(self, what: str, names: Sequence[str], name: str) -> int:
        if name not in names:
            raise InputError(f"{what} '{name}' is unknown; expected some of {_listing(names)}.{suggest(name, names)}")
        return list(names).index(name)

    # -- telling -----------------------------------------------------------------------------------------------------------------

    def describe(self) -> str:
        """ "10 classes", "3 tags (smile, hat, glasses)", "2 numbers (age, height)", "captions (17 words: a, …)" or "no condition: …"."""
        if self.space.classes:
            return f"{self.space.num_classes} classes"
        names = self.space.tags or self.space.numbers
        if self.space.source:
            return f"sources ({self.space.source.describe()})"
        if self.space.words:
            return f"captions ({len(self.space.words)} words: {_listing(self.space.words)})"
        if not names:
            return "no condition: it is unconditional"
        return f"{len(names)} {'tags' if self.space.tags else 'numbers'} ({_listing(names)})"

    def caption(self, y: Tensor) -> str:
        """A condition (class [] or row [k]) in a few words: "7", "smile + hat", "age 30, height 1.7"."""
        if self.space.classes:
            return self.space.classes[int(y)]
        if self.space.tags:
            return " + ".join(name for name, value in zip(self.space.tags, y.tolist(), strict=True) if value > 0.5) or "no tag"
        if self.space.source:
            return str(self.space.source.decode(y[None])[0])
        if self.space.words:
            return decode(y.tolist(), self.space.words)
        own = self._plain(y[None])[0].tolist()
        return ", ".join(f"{name} {value:.3g}" for name, value in zip(self.space.numbers, own, strict=True))

    def gallery(self) -> tuple[int, int, Tensor | None, list[str]]:
        """The fixed grid of a run: how many samples, in how many columns, their conditions, and a caption a column.

        A class a column where there are 2 to 12; of tags the 8 commonest combinations; of captions 8 in order of their words; of numbers
        8 real rows in order of the first of them. [] of captions where columns mean nothing. 8 samples a column, of clips 2.
        """
        k, clips = self.space.num_classes, len(self.space.shape) == 4
        if 2 <= k <= 12:
            rows = 2 if clips else 8 if k <= 10 else 6
            return rows * k, k, torch.arange(rows * k) % k, list(self.space.classes)
        if not len(self.rows):
            n, columns = (16, 4) if clips else (64, 8)
            return n, columns, self.draw(n), []
        if self.space.source:
            chosen = self.rows[torch.linspace(0, len(self.rows) - 1, min(32, len(self.rows))).round().long()]
            return len(chosen), 1, chosen, []
        if self.space.words:
            kinds = torch.unique(self.rows, dim=0)
            chosen = kinds[torch.linspace(0, len(kinds) - 1, min(8, len(kinds))).round().long()]
        elif self.space.tags:
            kinds, counts = torch.unique(self.rows, dim=0, return_counts=True)
            chosen = kinds[counts.argsort(descending=True, stable=True)[:8]]
        else:
            order = self.rows[:, 0].argsort(stable=True)
            chosen = self.rows[order[torch.linspace(0.02, 0.98, 8).mul(len(order) - 1).round().long()]]
        columns = len(chosen)
        rows = 2 if clips else 8
        return rows * columns, columns, chosen.repeat(rows, 1), [self.caption(y) for y in chosen]


def some_rows(y: Tensor, most: int = ROWS) -> Tensor:
    """At most `most` rows of y [n, k], always the same ones of the same set."""
    if len(y) <= most:
        return y.clone()
    return y[torch.randperm(len(y), generator=torch.Generator().manual_seed(0))[:most].sort().values]


def nearest_rows(y: Tensor, wanted: Tensor) -> Tensor:
    """For each of `wanted` (int64 [m] or float [m, k]) a row of y that is like it, another one at each repeat: int64 [m]."""
    found, used = [], dict[tuple[float, ...], int]()
    for one in wanted:
        key = tuple(one.reshape(-1).tolist())
        nth = used[key] = used.get(key, -1) + 1
        if y.dim() == 1:
            of_class = (y == one).nonzero().flatten()
            found.append(int(of_class[nth % len(of_class)]) if len(of_class) else 0)
        else:
            apart = (y - one).square().sum(1) if y.is_floating_point() else (y != one).sum(1)  # of captions and sources: words that differ
            found.append(int(apart.argsort(stable=True)[nth % len(y)]))
    return torch.tensor(found)


def read_wish(
    known: Conditions, label: str | None, tags: str | None, numbers: str | None, text: str | None = None
) -> tuple[dict[str, Any], list[str]]:  # fmt: skip
    """The command line's --class, --tags, --numbers and --text as `ask` takes them ({} for none), and what to warn of."""
    asked: dict[str, Any] = {} if label is None else {"label": label}
    if tags is not None:
        asked["tags"] = read_tags(tags)
    if numbers is not None:
        asked["numbers"] = read_numbers(numbers)
    if text is not None:
        asked["text"] = text
    return asked, known.outside(asked.get("numbers", {}))


def read_tags(text: str) -> list[str]:
    """`smile,!hat` as a list of wishes."""
    return [word.strip() for word in text.split(",") if word.strip()]


def read_numbers(text: str) -> dict[str, float | tuple[float, float]]:
    """`age=30,height=1.5:1.9` as wishes; from:to is walked through. Raises InputError."""
    wishes: dict[str, float | tuple[float, float]] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        try:
            ends = [float(end) for end in value.split(":")]
        except ValueError:
            ends = []
        if not equals or len(ends) not in (1, 2):
            raise InputError(f"--numbers got '{part}'; expected name=value or name=from:to, such as age=30 or age=20:60.")
        wishes[name.strip()] = ends[0] if len(ends) == 1 else (ends[0], ends[1])
    return wishes


def _sources(space: Space, texts: Sequence[str | Sequence[int]]) -> Tensor:
    """Texts, or rows of tokens where they have no text, as sources int64 [n, L], those that are too long cut. Raises InputError for an empty one."""
    given = list(texts)
    if given and not isinstance(given[0], str):
        return torch.tensor(given, dtype=torch.int64)
    y, lengths = space.source.whole([" ".join(str(text).split()) for text in given])
    if 0 in lengths:
        raise InputError("the text to make something from is empty; expected a sentence.")
    return y


def _told(space: Space, rows: Tensor) -> list[Any]:
    """Sources as text that reads back as the same tokens: an unknown word is a sign that no vocabulary knows."""
    if not space.source.tokenizer:
        return rows.tolist()
    return [text.replace(SPECIAL[UNKNOWN], "�") for text in space.source.decode(rows)]


def _length(space: Space) -> int:
    """Words of the longest caption of a space."""
    return int(getattr(space, "caption_length", 0))


def _pick(count: int, n: int, seed: int) -> Tensor:
    return torch.randint(count, (n,), generator=torch.Generator().manual_seed(mix(seed, 7)))


def _listing(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (" …" if len(names) > 20 else "")
