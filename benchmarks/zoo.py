"""The zoo's table: every recipe on MNIST 32×32 and CIFAR-10 32×32 at equal processor time, one thread.

    python benchmarks/zoo.py run --set mnist=MNIST_FOLDER --set cifar10=CIFAR.npz --out runs/zoo [--recipes …] [--seeds 0 1 2] [--cpu-seconds 600]
    python benchmarks/zoo.py table

`run` does what is missing, one row (set, recipe, seed) after the other, and writes each to benchmarks/results/SET/RECIPE-SEED.json; it may be
stopped at any time and goes on where it stopped. Before a row it plays a few rounds to learn what one costs, and sets the number of rounds so
that the recipe's schedules span the budget. Training alone counts (rounds; no scores, no pictures). 10,000 samples of the final averaged
weights are scored, or as many as the reference allows. `table` prints what is there.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import platform
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from agon.data import Data, open_data
from agon.directory import RunDirectory
from agon.run import play, prepare
from agon.trained import load

RESULTS = Path(__file__).parent / "results"
METRICS = ["fd", "prdc", "classes"]
PROBE = (5, 25)  # rounds played before and while the clock runs


def settings_for(seed: int, rounds: int) -> dict[str, Any]:
    """What every row shares: one thread, few ticks, no scores on the way."""
    return {
        "seed": seed, "threads": 1, "device": "cpu", "metrics": METRICS, "score_every": 0, "tensorboard": False, "rounds": rounds,
        "tick": max(1, rounds // 20), "save_every": max(1, rounds // 20),
    }  # fmt: skip


def seconds_a_round(data: str, recipe: str) -> float:
    """Processor seconds of one round, after a few to warm up."""
    with tempfile.TemporaryDirectory() as folder:
        low, high = PROBE
        directory, _ = prepare(
            Data(path=data, size=32), out=Path(folder) / "probe", recipe=recipe, settings=settings_for(0, high) | {"tick": low}
        )
        play(directory)
        ticks = {r["round"]: r["cpu_seconds"] for r in directory.events() if r["kind"] == "tick"}
    return (ticks[high] - ticks[low]) / (high - low)


def one(name: str, data: str, recipe: str, seed: int, out: Path, cpu_seconds: float) -> None:
    """Train and score one row, unless its figures are there."""
    target = RESULTS / name / f"{recipe}-{seed}.json"
    if target.is_file():
        return
    directory = RunDirectory(out / name / f"{recipe}-{seed}")
    if not directory.is_run():
        rounds = max(20, round(cpu_seconds / seconds_a_round(data, recipe)))
        prepare(
            Data(path=data, size=32), out=directory.path, recipe=recipe, settings=settings_for(seed, rounds), command="benchmarks/zoo.py"
        )
    play(directory, cpu_budget=1.1 * cpu_seconds)
    # A budget that is not used up is played on, at the end values of the schedules.
    for _ in range(4):
        content, spent = directory.run(), _spent(directory)
        if spent >= cpu_seconds:
            break
        more = math.ceil(content["rounds"] * (cpu_seconds / spent - 1)) + 1
        directory.write("run.json", {**content, "rounds": content["rounds"] + more})
        play(directory, cpu_budget=1.1 * cpu_seconds)
    trained = load(directory.path)
    began = time.process_time()
    trained.sample_stored(256, seed=1)
    sampling = 256 / (time.process_time() - began)
    scores = {s.name: s for s in trained.evaluate(METRICS, num_samples=10_000, seed=0)}
    ticks = [r for r in directory.events() if r["kind"] == "tick"]
    spent = ticks[-1]["cpu_seconds"]
    result = {s.name: s.value for s in scores.values()} | {
        "set": name, "recipe": recipe, "seed": seed, "floor": scores["fd"].floor, "protocol": str(scores["fd"]), "batch": trained.run.batch,
        "rounds": trained.round, "images": trained.seen, "cpu_seconds": spent, "images_per_cpu_second": trained.seen / spent,
        "samples_per_cpu_second": sampling, "memory_mb": max(t["memory_mb"] for t in ticks),
        "parameters": {k: sum(p.numel() for p in m.parameters()) for k, m in trained.players.items()},
        "conditional": bool(trained.game.sees(trained.space).num_classes), "content_hash": trained.content["content_hash"],
        "torch": torch.__version__, "machine": platform.processor() or platform.machine(), "date": datetime.date.today().isoformat(), "commit": _commit(),
    }  # fmt: skip
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(result, indent=1) + "\n")
    print(target, result["protocol"], flush=True)


def _spent(directory: RunDirectory) -> float:
    return float([r for r in directory.events() if r["kind"] == "tick"][-1]["cpu_seconds"])


def _commit() -> str:
    return subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent).stdout.strip()


def table(name: str) -> list[str]:
    """The table of one set as Markdown lines, best first."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for path in sorted((RESULTS / name).glob("*.json")):
        row = json.loads(path.read_text())
        rows.setdefault(row["recipe"], []).append(row)
    lines = [
        "| recipe | seeds | FD ± sd | precision / recall | density / coverage | labels | CPU-s "
        "| images seen | images/CPU-s | samples/CPU-s | peak MB | parameters |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]

    def mean(results: list[dict[str, Any]], key: str) -> float:
        return statistics.mean(r[key] for r in results)

    for recipe, results in sorted(rows.items(), key=lambda item: mean(item[1], "fd")):
        spread = f" ± {statistics.stdev([r['fd'] for r in results]):.2g}" if len(results) > 1 else ""
        lines.append(
            f"| {recipe} | {len(results)} | {mean(results, 'fd'):.3g}{spread} | {mean(results, 'precision'):.2f} / {mean(results, 'recall'):.2f} "
            f"| {mean(results, 'density'):.2f} / {mean(results, 'coverage'):.2f} | {'used' if results[0]['conditional'] else '–'} "
            f"| {mean(results, 'cpu_seconds'):.0f} | {mean(results, 'images'):,.0f} | {mean(results, 'images_per_cpu_second'):.0f} "
            f"| {mean(results, 'samples_per_cpu_second'):,.0f} | {mean(results, 'memory_mb'):.0f} | {sum(results[0]['parameters'].values()) / 1e6:.2f} M |"
        )
    if rows:
        floor = next(iter(rows.values()))[0]["floor"]
        lines.append("")
        lines.append(f"Floor (real against real) {floor:.3g}.")
    return lines


def main() -> None:
    """Run what is missing, or print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run")
    run.add_argument("--set", dest="sets", action="append", required=True, help="NAME=PATH")
    run.add_argument("--out", type=Path, required=True)
    run.add_argument("--cpu-seconds", type=float, default=600)
    run.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    run.add_argument("--recipes", nargs="+", required=True)
    verbs.add_parser("table")
    options = parser.parse_args()
    if options.verb == "table":
        for folder in sorted(p for p in RESULTS.iterdir() if p.is_dir()):
            print(f"\n### {folder.name}\n")
            print("\n".join(table(folder.name)))
        return
    torch.set_num_threads(1)
    for seed in options.seeds:
        for recipe in options.recipes:
            for entry in options.sets:
                name, _, path = entry.partition("=")
                open_data(Data(path=path, size=32))
                one(name, path, recipe, seed, options.out, options.cpu_seconds)


if __name__ == "__main__":
    main()
