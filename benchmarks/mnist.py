"""The headline: classifier-FD on MNIST 32×32 at equal CPU-seconds, the default recipe against a much-copied tutorial DCGAN.

    python benchmarks/mnist.py --data MNIST_FOLDER --out runs/mnist [--cpu-seconds 600] [--seeds 0 1 2] [--recipes r3gan dcgan-peer]

One thread. A run gets so many processor seconds of training (rounds only; scores and pictures are not counted), then 10,000 samples of its
final weights are scored. A run that is there already goes on where it stopped, so the benchmark may be interrupted. Prints a table.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

import torch

from agon.data import Data, open_data
from agon.directory import RunDirectory
from agon.run import play, prepare
from agon.trained import load

METRICS = ["fd", "prdc", "classes"]


def one(data: str, out: Path, recipe: str, seed: int, cpu_seconds: float, rounds: int | None, labels: str) -> dict[str, float]:
    """Train one run for its budget and score it; return the figures."""
    figures = out / "figures.json"
    if figures.is_file():
        return json.loads(figures.read_text())
    directory = RunDirectory(out)
    if not directory.is_run():
        settings = {"seed": seed, "threads": 1, "metrics": METRICS, "score_every": 0, "tensorboard": False}
        if rounds:
            settings["rounds"] = rounds
        prepare(Data(path=data, size=32, labels=labels), out=out, recipe=recipe, settings=settings, command="benchmarks/mnist.py")  # type: ignore[arg-type]
    # The recipe's own number of rounds is made for this budget; the budget ends it if the machine is slower.
    play(directory, cpu_budget=cpu_seconds)
    trained = load(out)
    scores = {s.name: s for s in trained.evaluate(METRICS, num_samples=10_000, seed=0)}
    tick = [r for r in directory.events() if r["kind"] == "tick"][-1]
    result = {name: s.value for name, s in scores.items()} | {
        "floor": scores["fd"].floor, "rounds": trained.round, "images": trained.seen, "cpu_seconds": tick["cpu_seconds"],
        "images_per_cpu_second": trained.seen / tick["cpu_seconds"],
    }  # fmt: skip
    figures.write_text(json.dumps(result, indent=1))
    print(out, json.dumps(result), str(scores["fd"]), flush=True)
    return result


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cpu-seconds", type=float, default=600)
    parser.add_argument("--rounds", type=int, default=None, help="instead of the recipe's own")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--recipes", nargs="+", default=["r3gan", "dcgan-peer"])
    parser.add_argument("--labels", default="auto", help="ignore: train without labels")
    options = parser.parse_args()
    torch.set_num_threads(1)
    open_data(Data(path=options.data, size=32))
    rows = {}
    for recipe in options.recipes:
        name = recipe if options.labels == "auto" else f"{recipe}-unlabelled"
        rows[name] = [
            one(options.data, options.out / f"{name}-{seed}", recipe, seed, options.cpu_seconds, options.rounds, options.labels)
            for seed in options.seeds
        ]
    print("| recipe | FD mean ± sd (each) | floor | precision / recall | density / coverage | classes | images seen | images/CPU-s |")
    print("|---|---|---|---|---|---|---|---|")
    for name, results in rows.items():
        fd = [r["fd"] for r in results]
        spread = statistics.stdev(fd) if len(fd) > 1 else 0.0
        mean = {k: statistics.mean(r[k] for r in results) for k in results[0] if isinstance(results[0][k], (int, float))}
        print(
            f"| {name} | {statistics.mean(fd):.3g} ± {spread:.2g} ({', '.join(f'{x:.3g}' for x in fd)}) | {mean['floor']:.3g} "
            f"| {mean['precision']:.2f} / {mean['recall']:.2f} | {mean['density']:.2f} / {mean['coverage']:.2f} | {min(r['classes'] for r in results):.0f} "
            f"| {mean['images']:,.0f} | {mean['images_per_cpu_second']:.0f} |"
        )


if __name__ == "__main__":
    main()
