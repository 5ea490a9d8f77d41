"""Learning rates for short runs: classical recipes with both players' published rates multiplied, at equal processor time.

    python benchmarks/rates.py run --set mnist=MNIST_FOLDER --out runs/rates --recipes sagan … [--times 1 3 10] [--falls 1 10] [--cpu-seconds 200] [--seeds 0]
    python benchmarks/rates.py table [--write]

The papers' rates are for hundreds of thousands of rounds; ten minutes of a processor are a thousand. A rate is the published one times --times;
where --falls is above 1 it falls along a cosine to that part of it over the run. `run` does what is missing, a process each, and writes it to
benchmarks/results/rates/SET-RECIPE-TIMES-FALLS-SEED.json, so another budget wants another name of the set (mnist-600=…). 32×32; training alone
counts; 10,000 samples of the averaged weights are scored, as in the zoo (agon/reproduce.py). One thread.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
from pathlib import Path
from typing import Any

from alone import alone, each_alone

from agon.directory import RunDirectory
from agon.reproduce import LEAST_ROUNDS, begin, figures, seconds_a_round, spend

RESULTS = Path(__file__).parent / "results" / "rates"
DOCS, MARKS = Path(__file__).parents[1] / "docs" / "benchmarks.md", ("<!-- rates.py table -->", "<!-- end of rates.py table -->")
PUBLISHED = {
    "dcgan": (2e-4, 2e-4), "lsgan": (2e-4, 2e-4), "wgan": (5e-5, 5e-5), "wgan-gp": (1e-4, 1e-4), "dragan": (2e-4, 2e-4), "rsgan": (2e-4, 2e-4),
    "ragan": (2e-4, 2e-4), "acgan": (2e-4, 2e-4), "sngan": (2e-4, 2e-4), "sngan-projection": (2e-4, 2e-4), "sagan": (1e-4, 4e-4),
    "biggan": (2e-4, 2e-4), "fastgan": (2e-4, 2e-4), "stylegan2": (2.5e-3, 2.5e-3), "gan": (2e-4, 2e-4),
}  # fmt: skip  # of G and D; biggan's and gan's are usual ones, as the papers' go with batches of 2,048 and are not told


def one(name: str, data: str, recipe: str, times: float, falls: float, seed: int, out: Path, cpu_seconds: float) -> None:
    """Train and score one row, unless its figures are there."""
    called = f"{name}-{recipe}-{times:g}-{falls:g}-{seed}"
    target = RESULTS / f"{called}.json"
    if target.is_file():
        return
    directory = RunDirectory(out / called)
    if not directory.is_run():
        rounds = max(LEAST_ROUNDS, round(cpu_seconds / alone(seconds_a_round, data, recipe)))
        content = begin(data, recipe, seed, rounds, directory.path, "benchmarks/rates.py").run()
        for player, rate in zip("GD", PUBLISHED[recipe], strict=True):
            fall = {"kind": "cosine", "start": times * rate, "end": times * rate / falls, "span": rounds * content["batch"]}
            content["game"]["optim"][player]["lr"] = fall if falls > 1 else times * rate
        content["reasons"]["lr"] = f"{times:g} times the published" + (f", falling to {1 / falls:g} of that" if falls > 1 else "")
        directory.write("run.json", content)
    spend(directory, cpu_seconds)
    # Not a row of the zoo: its set is another.
    row = {key: value for key, value in figures(directory, "", recipe, seed).items() if key != "set"}
    RESULTS.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(row | {"of": name, "times": times, "falls": falls}, indent=1) + "\n", "utf-8")
    print(called, row["protocol"], flush=True)


def table() -> list[str]:
    """Markdown lines by set and recipe."""
    rows: dict[tuple[str, str, float, float], list[dict[str, Any]]] = {}
    for path in sorted(RESULTS.glob("*.json")):
        row = json.loads(path.read_text("utf-8"))
        rows.setdefault((row["of"], row["recipe"], row["times"], row["falls"]), []).append(row)

    def over(found: list[dict[str, Any]], key: str) -> float:
        return statistics.mean(row[key] for row in found)

    lines = [
        "| set | recipe | published rates × | rounds | seeds | FD ± sd | precision / recall | class asked for |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (name, recipe, times, falls), found in sorted(rows.items()):
        spread = f" ± {statistics.stdev(row['fd'] for row in found):.2g}" if len(found) > 1 else ""
        asked = f"{over(found, 'class_accuracy'):.0%}".replace("%", " %") if found[0]["conditional"] else "–"
        rate = f"{times:g}" if falls == 1 else f"{times:g} falling to {times / falls:.2g}"
        lines.append(
            f"| {name} | {recipe} | {rate} | {over(found, 'rounds'):,.0f} | {len(found)} | {over(found, 'fd'):.3g}{spread} "
            f"| {over(found, 'precision'):.2f} / {over(found, 'recall'):.2f} | {asked} |"
        )
    return lines


def written(page: str) -> str:
    """A page with the table of now between its marks."""
    before, rest = page.split(MARKS[0])
    return "\n".join([f"{before}{MARKS[0]}", "", *table(), "", f"{MARKS[1]}{rest.split(MARKS[1])[1]}"])


def main() -> None:
    """Run what is missing, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run")
    run.add_argument("--set", dest="sets", action="append", required=True, help="NAME=PATH")
    run.add_argument("--out", type=Path, required=True)
    run.add_argument("--recipes", nargs="+", required=True, choices=list(PUBLISHED))
    run.add_argument("--times", type=float, nargs="+", default=[1, 3, 10])
    run.add_argument("--falls", type=float, nargs="+", default=[1])
    run.add_argument("--cpu-seconds", type=float, default=200)
    run.add_argument("--seeds", type=int, nargs="+", default=[0])
    verbs.add_parser("table").add_argument("--write", action="store_true", help="put it into docs/benchmarks.md")
    options = parser.parse_args()
    if options.verb == "table":
        if options.write:
            DOCS.write_text(written(DOCS.read_text("utf-8")), "utf-8")
        else:
            print("\n".join(table()))
        return
    sets = [entry.partition("=")[::2] for entry in options.sets]
    rows = itertools.product(options.seeds, sets, options.recipes, options.falls, options.times)
    each_alone(one, ((*named, recipe, times, falls, seed, options.out, options.cpu_seconds) for seed, named, recipe, falls, times in rows))


if __name__ == "__main__":
    main()
