"""The labels of a packed set: in numbers for the data card, and as the tensors a game is shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agon.data.captions import decode
from agon.data.columns import Kind, known
from agon.errors import InputError
from agon.spaces import Space, SpaceT

_COMMONEST = 8  # captions in the card
_PARTS = {"train": "counts", "held": "held_counts"}


def describe_labels(kind: Kind, names: Sequence[str], y: Mapping[str, np.ndarray], *, used: bool, origin: str) -> dict[str, Any]:
    """The card's word on labels. y: "train" and "held", classes int64 [N] or tags, numbers in their own units or captions float64 [N, k].

    Classes and tags are counted; so are captions ("captions": the commonest and how often, "distinct"), whose "names" are the vocabulary
    and whose "length" is that of the longest; numbers have "mean" and "sd" over the training samples, by which they are standardised,
    their range and quartiles.
    """
    card: dict[str, Any] = {
        "used": used,
        "kind": kind if names else None,
        "origin": origin,
        "classes": list(names) if kind == "classes" else [],
    }
    if not names:
        return card
    if kind == "classes":
        for part, key in _PARTS.items():
            card[key] = np.bincount(y[part][y[part] >= 0], minlength=len(names)).tolist()
        # Of all pictures: a class whose only one was held back is the rarest, not absent.
        filled = [count for count in map(sum, zip(*(card[key] for key in _PARTS.values()), strict=True)) if count > 0]
        return {**card, "balance": round(min(filled) / max(filled), 4) if filled else None}
    card["names"] = list(names)
    there = {part: y[part][known(y[part])] for part in _PARTS}
    if kind == "tags":
        return {**card, **{key: there[part].sum(axis=0).astype(int).tolist() for part, key in _PARTS.items()}}
    rows = there["train"]
    if kind == "words":
        counts = Counter(decode(row, names) for row in rows)
        return {
            **card,
            "length": y["train"].shape[1],
            "distinct": len(counts),
            "captions": [list(item) for item in counts.most_common(_COMMONEST)],
        }
    if len(rows) == 0:
        return card
    sd = rows.std(axis=0)
    quartiles = np.quantile(rows, (0.25, 0.5, 0.75), axis=0).T
    return {
        **card, "mean": rows.mean(axis=0).tolist(), "sd": np.where(sd > 0, sd, 1.0).tolist(), "low": rows.min(axis=0).tolist(),
        "high": rows.max(axis=0).tolist(), "quartiles": quartiles.tolist(),
    }  # fmt: skip


def with_condition(space: SpaceT, kind: Kind, names: Sequence[str], length: int = 0) -> SpaceT:
    """The space with these classes, tags or numbers, or with this vocabulary of captions of at most `length` words. Raises InputError."""
    if kind == "words":
        if "caption_length" not in {field.name for field in fields(space)}:  # type: ignore[arg-type]
            raise InputError(
                f"captions condition clips, and this data is {space.describe()}; use --condition tags or classes, or --labels ignore"
            )
        return replace(space, words=tuple(names), caption_length=length)  # type: ignore[type-var]
    return replace(space, **{kind: tuple(names)})  # type: ignore[type-var]


def as_stored(kind: Kind, y: np.ndarray, card: Mapping[str, Any]) -> Tensor:
    """Labels as players see them: classes int64 [N], tags float32 [N, k] of 0 and 1, numbers float32 [N, k] less mean, by sd,
    captions int64 [N, L]."""
    if kind == "classes":
        return torch.from_numpy(y)
    if kind == "words":
        return torch.from_numpy(y.astype(np.int64))
    if kind == "numbers" and len(y):
        y = (y - np.array(card["mean"])) / np.array(card["sd"])
    return torch.from_numpy(y.astype(np.float32))


def check_balance(space: Space) -> str:
    """The reason for balanced batches. Raises InputError where there are no classes to balance."""
    if space.num_classes < 2:
        raise InputError("--balance draws every class equally often, but this data has no classes in use; leave it out")
    return f"every batch draws the {space.num_classes} classes equally often, asked for; scores keep the classes' own shares"
