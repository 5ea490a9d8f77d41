"""Mode coverage in the plane: ring of 8 and grid of 25, three seeds each, with the default recipe.

    python benchmarks/toys.py [--seeds 0 1 2]

Plays what is not in benchmarks/results/points yet, and prints of every seed the modes covered, the share of samples within three standard deviations
of a mode, and processor seconds. One thread.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from alone import each_alone

from agon.data import Data
from agon.reproduce import commit, processor, train
from agon.run import prepare
from agon.trained import load

RESULTS = Path(__file__).parent / "results" / "points"
SAMPLES = 10_000


def one(name: str, seed: int) -> None:
    """Train and score one set and seed, unless its figures are there."""
    path = path_of(name, seed)
    if path.is_file():
        return
    row = figures(name, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(row, indent=1) + "\n", "utf-8")


def path_of(name: str, seed: int) -> Path:
    """Where a row is kept."""
    return RESULTS / f"{name}-{seed}.json"


def figures(name: str, seed: int) -> dict[str, Any]:
    """Train and score."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"seed": seed, "score_every": 0, "threads": 1, "tensorboard": False}
        directory, _ = prepare(Data(path=name), out=Path(folder) / "run", settings=settings)
        train(directory)
        trained = load(directory.path)
        scores = {score.name: score for score in trained.evaluate(num_samples=SAMPLES)}
        tick = [row for row in directory.events() if row["kind"] == "tick"][-1]
        return {
            "set": name, "recipe": directory.run()["recipe"], "seed": seed, "modes": scores["modes"].value, "quality": scores["quality"].value,
            "protocol": str(scores["quality"]), "batch": trained.run.batch, "rounds": trained.round, "planned_rounds": trained.run.rounds,
            "seen": trained.seen, "cpu_seconds": tick["cpu_seconds"], "seen_per_cpu_second": trained.seen / tick["cpu_seconds"],
            "memory_mb": tick["memory_mb"], "parameters": {k: sum(p.numel() for p in m.parameters()) for k, m in trained.players.items()},
            "content_hash": trained.content["content_hash"], "torch": torch.__version__, "machine": processor(),
            "date": datetime.date.today().isoformat(), "commit": commit(), "alone": True,
        }  # fmt: skip


def main() -> None:
    """Play what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--sets", nargs="+", default=["ring", "grid"])
    options = parser.parse_args()
    rows = list(itertools.product(options.sets, options.seeds))
    each_alone(one, rows)
    print("| set | seed | modes | high-quality share | CPU-s |\n|---|---|---|---|---|")
    for name, seed in rows:
        row = json.loads(path_of(name, seed).read_text("utf-8"))
        print(f"| {name} | {seed} | {row['modes']:.0f} | {row['quality']:.3f} | {row['cpu_seconds']:.0f} |")


if __name__ == "__main__":
    main()
