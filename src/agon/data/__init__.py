"""Data: from a file on disk or an embedded set to samples a game can train on.

    data_set = open_data(Data(path="./photos"))
    batches = Loader(data_set.train, batch=64, seed=0).round(0)        # [{"x": uint8 [64, C, H, W], "y": int64 [64]}]

`open_data` lists what is there (`source`), looks at it (`survey`), chooses size, channels and labels with a reason for
each (`opening`), and decodes it once into a packed cache keyed by content (`pack`). Names load on first use, so that
`from agon.data import Data` does not wait for torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agon.data.embedded import modes
    from agon.data.entry import default_cache
    from agon.data.inspection import Report, check
    from agon.data.loader import Batch, Loader
    from agon.data.opening import open_data
    from agon.data.request import EMBEDDED, Data
    from agon.data.samples import DataSet, Samples

__all__ = [
    "EMBEDDED", "Batch", "Data", "DataSet", "Loader", "Report", "Samples", "check", "default_cache", "modes", "open_data",
]  # fmt: skip

_HOME = {
    "EMBEDDED": "request", "Data": "request", "DataSet": "samples", "Samples": "samples", "open_data": "opening",
    "Batch": "loader", "Loader": "loader", "modes": "embedded", "default_cache": "entry", "Report": "inspection",
    "check": "inspection",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Find a public name in the module that owns it."""
    if name not in _HOME:
        raise AttributeError(f"module 'agon.data' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"agon.data.{_HOME[name]}"), name)
