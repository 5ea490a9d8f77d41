"""Mode coverage in the plane: ring of 8 and grid of 25, three seeds each, with the default recipe.

    python benchmarks/toys.py [--seeds 0 1 2]

Prints modes covered, the share of samples within three standard deviations of a mode, and processor seconds. One thread.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch

from agon.data import Data
from agon.run import play, prepare
from agon.trained import load


def main() -> None:
    """Train and score each set and seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--sets", nargs="+", default=["ring", "grid"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| set | seed | modes | high-quality share | CPU-s |\n|---|---|---|---|---|")
    for name in options.sets:
        for seed in options.seeds:
            with tempfile.TemporaryDirectory() as folder:
                settings = {"seed": seed, "score_every": 0, "threads": 1, "tensorboard": False}
                directory, data_set = prepare(Data(path=name), out=Path(folder) / "run", settings=settings)
                play(directory, data_set)
                scores = {s.name: s.value for s in load(directory.path).evaluate(num_samples=10_000)}
                tick = [r for r in directory.events() if r["kind"] == "tick"][-1]
                print(f"| {name} | {seed} | {scores['modes']:.0f} | {scores['quality']:.3f} | {tick['cpu_seconds']:.0f} |", flush=True)


if __name__ == "__main__":
    main()
