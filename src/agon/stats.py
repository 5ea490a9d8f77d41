"""Statistics that cost nothing until a tick, and where they are written.

`Stats.report` keeps sums on the device; `Stats.flush`, called once a tick, is the only synchronisation. `Log` appends the rows to
`events.jsonl` and, when TensorBoard is installed, to TensorBoard as well.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agon import ranks
from agon.records import append_jsonl


class Stats:
    """Means of named scalars since the last flush."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._weights: dict[str, float] = {}

    def report(self, name: str, value: Tensor | float, weight: float = 1.0) -> None:
        """Add a scalar (a detached tensor on any device, or a number) to the mean of `name`."""
        x = value.detach().float() if isinstance(value, Tensor) else torch.tensor(float(value))
        x = x * weight if weight != 1.0 else x
        known = self._sums.get(name)
        self._sums[name] = x.clone() if known is None else known.add_(x)
        self._weights[name] = self._weights.get(name, 0.0) + weight

    def flush(self) -> dict[str, float]:
        """Return the means over all ranks since the last flush and start anew. One device synchronisation."""
        if not self._sums:
            return {}
        device = next(iter(self._sums.values())).device
        names = sorted(self._sums)
        means = torch.stack([self._sums[n].to(device) / self._weights[n] for n in names])
        ranks.mean_([means])
        self._sums.clear()
        self._weights.clear()
        return dict(zip(names, means.tolist(), strict=True))


class Log:
    """Appends events to the run directory; rank 0 only."""

    def __init__(self, directory: Path, tensorboard: bool = True) -> None:
        self.directory = directory
        self._writer: Any = None
        if tensorboard and ranks.is_main():
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                return
            self._writer = SummaryWriter(str(directory / "tensorboard"))

    def event(self, kind: str, round: int, seen: int, **fields: Any) -> dict[str, Any]:
        """Append a row to events.jsonl and return it."""
        row = {"time": round_to(time.time()), "round": round, "seen": seen, "kind": kind, **fields}
        if ranks.is_main():
            append_jsonl(self.directory / "events.jsonl", row)
            if self._writer is not None:
                for name, value in fields.get("stats", {}).items():
                    self._writer.add_scalar(name, value, seen)
                self._writer.flush()
        return row

    def score(self, row: dict[str, Any]) -> None:
        """Append a row to metrics.jsonl."""
        if ranks.is_main():
            append_jsonl(self.directory / "metrics.jsonl", row)
            if self._writer is not None and row.get("value") is not None:
                self._writer.add_scalar(f"score/{row['name']}", row["value"], row["seen"])

    def close(self) -> None:
        """Close TensorBoard's writer."""
        if self._writer is not None:
            self._writer.close()


def round_to(seconds: float) -> float:
    """A time stamp in seconds, to the millisecond."""
    return round(seconds, 3)
