"""What a measuring network learns to tell of the conditions of a data set: classes, tags, the words of captions, numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from agon.metrics.classifier import usable


def condition_of(data_set: Any) -> tuple[str, int]:
    """ "classes", "tags", "words" or "numbers", and in how many of a network's outputs they are told; ("", 0) where there is nothing to tell."""
    space, y = data_set.space, data_set.train.y
    if y is None or not space.condition_dim:
        return "", 0
    if space.classes:
        return ("", 0) if usable(data_set.train) else ("classes", space.num_classes)
    return ("words" if space.words else "tags" if space.tags else "numbers"), space.condition_dim


def as_told(kind: str, width: int, y: Tensor) -> Tensor:
    """Conditions as what is told of them, float [n, width]: tags and words 0 or 1, numbers as they are. Captions y are int64 [n, L]."""
    if kind != "words":
        return y
    # One word after the other would be [n, L, width]: gigabytes of a set with thousands of words.
    return torch.zeros(len(y), width + 1, device=y.device).scatter_(1, y, 1.0)[:, 1:]


def telling(kind: str, width: int) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of telling: (output [n, width], y) -> []."""
    if kind == "classes":
        return functional.cross_entropy
    if kind == "numbers":
        return functional.mse_loss
    return lambda out, y: functional.binary_cross_entropy_with_logits(out, as_told(kind, width, y))
