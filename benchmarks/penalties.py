"""What restrains a critic, side by side: DCGAN on MNIST 16×16 with one thing after the other, at equal processor time, three seeds.

    python benchmarks/penalties.py run --data MNIST_FOLDER --out runs/penalties [--cpu-seconds 40] [--seeds 0 1 2] [--arms …]
    python benchmarks/penalties.py table

`run` does what is missing, a process each, and writes it to benchmarks/results/penalties/ARM-SEED.json. Training alone counts; 10,000 samples of the
averaged weights are scored, as in the zoo (agon/reproduce.py). One thread.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
from pathlib import Path
from typing import Any

from alone import each_alone

from agon.data import Data
from agon.directory import RunDirectory
from agon.reproduce import figures, lengthen, settings_for, spend, spent_seconds, train
from agon.run import prepare

RESULTS = Path(__file__).parent / "results" / "penalties"
SIZE = 16
FIRST = 100  # rounds before their number is settled; DCGAN's rate is constant, so no schedule hangs on it
BARE = {"game.net.critic_norm": "none"}
ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    "nothing": ("nothing", BARE),
    "batch": ("batch normalisation, as the recipe has it", {}),
    "spectral": ("spectral normalisation", {"game.net.critic_norm": "spectral"}),
    "r1": ("R1, γ 1", BARE | {"game.penalties": "r1"}),
    "r1-lazy": ("R1 in every 16th round", BARE | {"game.penalties": "r1", "game.penalties.0.every": 16}),
    "r1-r2": ("R1 and R2", BARE | {"game.penalties": "r1,r2"}),
    "lecam": ("LeCam, weight 0.3", BARE | {"game.penalties": "lecam"}),
    "batch-lecam": ("batch normalisation and LeCam", {"game.penalties": "lecam"}),
}


def one(arm: str, seed: int, data: str, out: Path, cpu_seconds: float) -> None:
    """Train and score one row, unless its figures are there."""
    target = RESULTS / f"{arm}-{seed}.json"
    if target.is_file():
        return
    directory = RunDirectory(out / f"{arm}-{seed}")
    if not directory.is_run():
        wish = settings_for(seed, FIRST) | {"tick": 25, "save_every": 10_000} | ARMS[arm][1]
        prepare(Data(path=data, size=SIZE), out=directory.path, recipe="dcgan", settings=wish, command="benchmarks/penalties.py")
        train(directory)
        lengthen(directory, round(FIRST * cpu_seconds / spent_seconds(directory)))
    spend(directory, cpu_seconds)
    # Not a row of the zoo: its set is another.
    row = {key: value for key, value in figures(directory, "", "dcgan", seed).items() if key != "set"}
    RESULTS.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(row | {"arm": arm}, indent=1) + "\n", "utf-8")
    print(arm, seed, row["protocol"], flush=True)


def table() -> list[str]:
    """Markdown lines, best first."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(RESULTS.glob("*.json")):
        row = json.loads(path.read_text("utf-8"))
        rows.setdefault(row["arm"], []).append(row)

    def over(arm: str, key: str) -> float:
        return statistics.mean(row[key] for row in rows[arm])

    lines = [
        "| the critic is held by | seeds | FD ± sd | precision / recall | density / coverage | images/CPU-s |",
        "|---|---|---|---|---|---|",
    ]
    for arm in sorted(rows, key=lambda arm: over(arm, "fd")):
        spread = f" ± {statistics.stdev(row['fd'] for row in rows[arm]):.2g}" if len(rows[arm]) > 1 else ""
        lines.append(
            f"| {ARMS[arm][0]} | {len(rows[arm])} | {over(arm, 'fd'):.3g}{spread} | {over(arm, 'precision'):.2f} / {over(arm, 'recall'):.2f} "
            f"| {over(arm, 'density'):.2f} / {over(arm, 'coverage'):.2f} | {over(arm, 'images_per_cpu_second'):.0f} |"
        )
    return lines


def main() -> None:
    """Run what is missing, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run")
    run.add_argument("--data", required=True)
    run.add_argument("--out", type=Path, required=True)
    run.add_argument("--cpu-seconds", type=float, default=40)
    run.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    run.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    verbs.add_parser("table")
    options = parser.parse_args()
    if options.verb == "table":
        print("\n".join(table()))
        return
    rows = itertools.product(options.arms, options.seeds)
    each_alone(one, ((*row, options.data, options.out, options.cpu_seconds) for row in rows))


if __name__ == "__main__":
    main()
