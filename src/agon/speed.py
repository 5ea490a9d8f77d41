"""How fast a trained run samples: measured on one thread, in processor time, and written to its records."""

from __future__ import annotations

import json
import time
from pathlib import Path

import torch

from agon.comparison import open_member, taken_scores
from agon.errors import InputError
from agon.records import append_jsonl
from agon.sampling import CHUNK
from agon.trained import load


def measure(path: Path | str, *, trust: bool = False, seconds: float = 1.0) -> float:
    """Samples a CPU-second on one thread, drawn as `agon sample` does; written to events.jsonl, with every sampling that has scores.

    Returns the figure of the run as it was trained. Raises InputError if the run has no state.
    """
    place = open_member(Path(path)).path
    labels = sorted(taken_scores(place), key=lambda label: label != "{}")
    threads, plain = torch.get_num_threads(), 0.0
    torch.set_num_threads(1)
    try:
        for label in labels if "{}" in labels else ["{}", *labels]:
            sampling = json.loads(label)
            trained = load(place, device="cpu", trust=trust, settings={f"game.{k}": v for k, v in sampling.items()})
            trained.sample_stored(CHUNK, seed=0)  # memory is laid out at the first call
            begun, drawn = time.process_time(), 0
            while drawn == 0 or time.process_time() - begun < seconds:
                drawn += len(trained.sample_stored(CHUNK, seed=drawn))
            rate = drawn / (time.process_time() - begun)
            plain = rate if not sampling else plain
            try:
                append_jsonl(place / "events.jsonl", {
                    "time": round(time.time(), 3), "round": trained.round, "seen": trained.seen, "kind": "speed", "threads": 1, "n": drawn,
                    "samples_per_cpu_second": round(rate, 2), "sampling": sampling,
                })  # fmt: skip
            except OSError as error:
                raise InputError(
                    f"cannot write to '{place}': {error.strerror or error}; what is measured is kept in the run. Make it writable, or leave out --measure."
                ) from None
    finally:
        torch.set_num_threads(threads)
    return plain
