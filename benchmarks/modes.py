"""How many modes the default recipe covers: ring of 8 and grid of 25 in the plane, and Stacked MNIST's 1000, three seeds each.

    python benchmarks/modes.py [--sets ring grid] [--seeds 0 1 2]
    python benchmarks/modes.py --sets stacked --grey MNIST_FOLDER

Plays what is not in benchmarks/results/modes yet, a process each, and prints the tables. In the plane 10,000 samples are scored, and the share within
three standard deviations of a mode is told; of the stacked set 26,000, and the divergence of their shares from the set's. The recipe gets no labels,
as the stacked set has none. One thread, scores after training alone.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch
from alone import each_alone

from agon.data import Data
from agon.data.stack import stack
from agon.reproduce import commit, processor, train
from agon.run import prepare
from agon.trained import load

RESULTS = Path(__file__).parent / "results" / "modes"
STACKED = "stacked"
PLANE = {"modes": "modes", "quality": "quality"}  # our name of a figure: the score's
OF_STACKS = {"modes": "stacked_modes", "kl": "stacked_kl"}


def one(name: str, seed: int, grey: str | None) -> None:
    """Train and score one set and seed, unless its figures are there."""
    path = path_of(name, seed)
    if path.is_file():
        return
    with tempfile.TemporaryDirectory() as folder:
        data, kept = name, {"score_every": 0, "threads": 1, "tensorboard": False, "seed": seed}
        if name == STACKED:
            data, kept = str(stack(Data(path=str(grey)), Path(folder) / "stacked.npz")), kept | {"metrics": ["modes_stacked"]}
        directory, _ = prepare(Data(path=data), out=Path(folder) / "run", settings=kept)
        train(directory)
        row = figures(directory, name, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(row, indent=1) + "\n", "utf-8")


def path_of(name: str, seed: int) -> Path:
    """Where a row is kept."""
    return RESULTS / f"{name}-{seed}.json"


def figures(directory: Any, name: str, seed: int) -> dict[str, Any]:
    """The scores of a finished run and what they cost."""
    trained = load(directory.path)
    outputs, metrics, count = (OF_STACKS, ["modes_stacked"], 26_000) if name == STACKED else (PLANE, None, 10_000)
    scores = {score.name: score for score in trained.evaluate(metrics, num_samples=count, seed=0)}
    first = scores[outputs["modes"] if name == STACKED else "quality"]
    tick = [row for row in directory.events() if row["kind"] == "tick"][-1]
    return {ours: scores[score].value for ours, score in outputs.items()} | {
        "set": name, "recipe": directory.run()["recipe"], "seed": seed, "protocol": str(first), "batch": trained.run.batch,
        "rounds": trained.round, "planned_rounds": trained.run.rounds, "seen": trained.seen, "cpu_seconds": tick["cpu_seconds"],
        "seen_per_cpu_second": trained.seen / tick["cpu_seconds"], "memory_mb": tick["memory_mb"],
        "parameters": {k: sum(p.numel() for p in m.parameters()) for k, m in trained.players.items()},
        "content_hash": trained.content["content_hash"], "torch": torch.__version__, "machine": processor(),
        "date": datetime.date.today().isoformat(), "commit": commit(), "alone": True,
    } | ({"floor": scores["stacked_kl"].floor} if name == STACKED else {})  # fmt: skip


def table(name: str) -> list[str]:
    """A row a seed, and the mean ± sd of both figures."""
    other, head = ("kl", "KL") if name == STACKED else ("quality", "high-quality share")
    rows = [json.loads(path.read_text("utf-8")) for path in sorted(RESULTS.glob(f"{name}-*.json"))]
    floor = f" (floor {rows[0]['floor']:.4f})" if rows and name == STACKED else ""
    lines = [f"| {name}, seed | modes | {head}{floor} | CPU-s |", "|---|---|---|---|"]
    lines += [f"| {row['seed']} | {row['modes']:.0f} | {row[other]:.4f} | {row['cpu_seconds']:.0f} |" for row in rows]
    if len(rows) > 1:
        both = (
            f"{statistics.mean(row[key] for row in rows):.4g} ± {statistics.stdev(row[key] for row in rows):.2g}"
            for key in ("modes", other)
        )
        lines.append(f"| mean ± sd | {' | '.join(both)} | {statistics.mean(row['cpu_seconds'] for row in rows):.0f} |")
    return lines


def main() -> None:
    """Play what is missing, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--sets", nargs="+", default=["ring", "grid"], choices=["ring", "grid", STACKED])
    parser.add_argument("--grey", metavar="MNIST_FOLDER", help="what the stacked set is made of")
    options = parser.parse_args()
    if STACKED in options.sets and not options.grey:
        parser.error("the stacked set is made of MNIST; give its folder by --grey")
    each_alone(one, ((*row, options.grey) for row in itertools.product(options.sets, options.seeds)))
    print("\n\n".join("\n".join(table(name)) for name in options.sets))


if __name__ == "__main__":
    main()
