"""Learning rates for short runs: classical recipes with both players' rates multiplied, at equal processor time.

    python benchmarks/rates.py run --set mnist=MNIST_FOLDER --out runs/rates --recipes sagan sngan … [--times 1 3 10] [--cpu-seconds 200] [--seeds 0]
    python benchmarks/rates.py table

The papers' rates go with hundreds of thousands of rounds; ten minutes of a processor are a thousand. `run` does what is missing, a process each,
and writes it to benchmarks/results/rates/SET-RECIPE-TIMES-SEED.json; a row keeps the rates that it was played at. 32×32; training alone counts;
10,000 samples of the averaged weights are scored, as in the zoo (agon/reproduce.py). One thread.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from alone import each_alone

from agon.data import Data
from agon.directory import RunDirectory
from agon.reproduce import SIZE, figures, lengthen, settings_for, spend, spent_seconds, train
from agon.run import prepare

RESULTS = Path(__file__).parent / "results" / "rates"
FIRST = 60  # rounds before their number is settled; these recipes' rates are constant, so no schedule hangs on it


def rates(data: str, recipe: str) -> dict[str, float]:
    """The learning rates of a recipe by player."""
    with tempfile.TemporaryDirectory() as folder:
        directory, _ = prepare(Data(path=data, size=SIZE), out=Path(folder) / "run", recipe=recipe, settings=settings_for(0, FIRST))
        return {player: spec["lr"] for player, spec in directory.run()["game"]["optim"].items()}


def one(name: str, data: str, recipe: str, times: float, seed: int, out: Path, cpu_seconds: float) -> None:
    """Train and score one row, unless its figures are there."""
    called = f"{name}-{recipe}-{times:g}-{seed}"
    target = RESULTS / f"{called}.json"
    if target.is_file():
        return
    directory = RunDirectory(out / called)
    if not directory.is_run():
        wish = settings_for(seed, FIRST) | {"tick": 20, "save_every": 10_000}
        wish |= {f"game.optim.{player}.lr": times * rate for player, rate in rates(data, recipe).items()}
        prepare(Data(path=data, size=SIZE), out=directory.path, recipe=recipe, settings=wish, command="benchmarks/rates.py")
        train(directory)
        lengthen(directory, round(FIRST * cpu_seconds / spent_seconds(directory)))
    spend(directory, cpu_seconds)
    # Not a row of the zoo: its set is another.
    row = {key: value for key, value in figures(directory, "", recipe, seed).items() if key != "set"}
    played = {player: spec["lr"] for player, spec in directory.run()["game"]["optim"].items()}
    RESULTS.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(row | {"of": name, "times": times, "rates": played}, indent=1) + "\n", "utf-8")
    print(called, row["protocol"], flush=True)


def table() -> list[str]:
    """Markdown lines by set and recipe."""
    rows: dict[tuple[str, str, float], list[dict[str, Any]]] = {}
    for path in sorted(RESULTS.glob("*.json")):
        row = json.loads(path.read_text("utf-8"))
        rows.setdefault((row["of"], row["recipe"], row["rates"]["G"]), []).append(row)

    def over(found: list[dict[str, Any]], key: str) -> float:
        return statistics.mean(row[key] for row in found)

    lines = [
        "| set | recipe | rates of G, D | seeds | rounds | FD ± sd | precision / recall | class asked for |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (name, recipe, _), found in sorted(rows.items()):
        spread = f" ± {statistics.stdev(row['fd'] for row in found):.2g}" if len(found) > 1 else ""
        asked = f"{over(found, 'class_accuracy'):.0%}".replace("%", " %") if found[0]["conditional"] else "–"
        told = ", ".join(f"{rate:.2g}" for rate in found[0]["rates"].values())
        lines.append(
            f"| {name} | {recipe} | {told} | {len(found)} | {over(found, 'rounds'):,.0f} | {over(found, 'fd'):.3g}{spread} "
            f"| {over(found, 'precision'):.2f} / {over(found, 'recall'):.2f} | {asked} |"
        )
    return lines


def main() -> None:
    """Run what is missing, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run")
    run.add_argument("--set", dest="sets", action="append", required=True, help="NAME=PATH")
    run.add_argument("--out", type=Path, required=True)
    run.add_argument("--recipes", nargs="+", required=True)
    run.add_argument("--times", type=float, nargs="+", default=[1, 3, 10])
    run.add_argument("--cpu-seconds", type=float, default=200)
    run.add_argument("--seeds", type=int, nargs="+", default=[0])
    verbs.add_parser("table")
    options = parser.parse_args()
    if options.verb == "table":
        print("\n".join(table()))
        return
    sets = [entry.partition("=")[::2] for entry in options.sets]
    rows = itertools.product(options.seeds, sets, options.recipes, options.times)
    each_alone(one, ((*named, recipe, times, seed, options.out, options.cpu_seconds) for seed, named, recipe, times in rows))


if __name__ == "__main__":
    main()
