"""What stands beside a run's sentences: the nearest training sentence of each, written at every tick, so that the page needs no data.

samples/near.jsonl holds a row a tick, {"round", "near": [[edits over the length of the longer, training sentence], …]} in the order of the
tick's lines, and first a row of held-out sentences, {"held": [[sentence, edits, training sentence], …], "among", "of"}: how near real ones are.
Where a source is attended to, samples/attention.json has for some pairs of the newest tick the pieces of both sides, and for each said piece the
shares of its attention, {"round", "pairs": [{"source": […], "said": […], "looks": [[…], …]}, …]}.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agon.data import DataSet
from agon.metrics.ngrams import nearest
from agon.records import append_jsonl, atomic_write, read_jsonl
from agon.spaces import Tokens

FILE, ATTENTION = "near.jsonl", "attention.json"
LOOKED, PIECES = 4, 40  # pairs, and tokens of either side, whose attention is shown
KEPT = 2_000_000  # tokens of training sentences that are looked among, at most; of larger corpora sentences spread evenly
WITNESSES = 32  # held-out sentences


@dataclass
class Nearby:
    """Finds the nearest training sentences of a run's samples and writes them to its samples/near.jsonl."""

    data_set: DataSet
    space: Tokens
    folder: Path
    _among: Tensor | None = None

    @property
    def among(self) -> Tensor:
        """The training sentences int [m, L] that are looked among."""
        if self._among is None:
            train = self.data_set.train
            step = max(1, -(-len(train) * self.space.length // KEPT))
            self._among = train.x[torch.arange(0, len(train), step)]
        return self._among

    def write(self, round: int, x: Tensor) -> None:
        """A row for the samples int [n, L] of a round, and the held-out sentences' before the first."""
        target = self.folder / FILE
        if not any("held" in row for row in read_jsonl(target)):
            held = self.data_set.held
            some = held.x[torch.linspace(0, len(held) - 1, min(WITNESSES, len(held))).long()] if len(held) else x[:0]
            told = [[text, *found] for text, found in zip(self._lines(some), self._found(some), strict=True)]
            append_jsonl(target, {"held": told, "among": len(self.among), "of": len(self.data_set.train)})
        append_jsonl(target, {"round": round, "near": self._found(x)})

    def _found(self, x: Tensor) -> list[list[float | str]]:
        rows = [_said(row) for row in x.numpy()]
        found = nearest(rows, [_said(row) for row in self.among.numpy()])
        beside = self._lines(self.among[torch.from_numpy(found.which)]) if len(rows) else []
        return [[round(float(far), 4), text] for far, text in zip(found.distance, beside, strict=True)]

    def _lines(self, x: Tensor) -> list[str]:
        return self.space.lines(x)


def look(speaker: Any, space: Tokens, folder: Path, round: int, x: Tensor, source: Tensor) -> None:
    """Write where a speaker looked in its sources int [n, S] for what it said, int [n, L]; only one that `looks`."""
    if not hasattr(speaker, "looks") or space.source is None:
        return
    device = next(speaker.parameters()).device
    x, source = (t[:LOOKED].long().to(device) for t in (x, source))
    with torch.no_grad():
        shares = speaker.looks(x, source).float().cpu()
    pairs = []
    for row, (said, read) in enumerate(zip(space.pieces(x.cpu()), space.source.pieces(source.cpu()), strict=True)):
        said, read = said[:PIECES], read[:PIECES]
        looks = [[float(f"{share:.3f}") for share in place] for place in shares[row, : len(said), : len(read)].tolist()]
        pairs.append({"source": read, "said": said, "looks": looks})
    atomic_write(folder / ATTENTION, json.dumps({"round": round, "pairs": pairs}, ensure_ascii=False) + "\n")


def _said(row: np.ndarray) -> list[int]:
    return row[row != 0].tolist()
