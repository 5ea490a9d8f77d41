"""Do generators obey tags and numbers? The default recipe on pictures with each, at equal processor time.

    python benchmarks/conditions.py run --mnist MNIST_FOLDER --out runs/conditions [--only shapes-tags …] [--cpu-seconds 600] [--seeds 0]
    python benchmarks/conditions.py table [--write]

shapes-tags      embedded shapes, 13 tags: five shapes, six colours, two sizes
shapes-numbers   the same by x, y and radius, shares of the side
mnist-numbers    MNIST's training digits by slant (degrees, from the second moments) and thickness (pixels, twice the mean distance of the ridge from the
                 ground, as Morpho-MNIST measures, arXiv:1809.10780), measured here; whatever the digit

`run` does what is missing, a process each, and writes it to benchmarks/results/conditions/SET-RECIPE-SEED.json. 32×32, one thread; training alone counts.
10,000 samples of the averaged weights are asked for what training samples have. FD is taken by the random network: these sets have no classes.
"""

from __future__ import annotations

import argparse
import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
from alone import alone, each_alone

from agon.data import Data, open_data
from agon.directory import RunDirectory
from agon.reproduce import LEAST_ROUNDS, NUM_SAMPLES, commit, processor, seconds_a_round, settings_for, signs, spend
from agon.run import prepare
from agon.trained import load

RESULTS = Path(__file__).parent / "results" / "conditions"
DOCS, MARKS = Path(__file__).parents[1] / "docs" / "conditions.md", ("<!-- conditions.py table -->", "<!-- end of conditions.py table -->")
SETS: dict[str, tuple[dict[str, Any], str]] = {
    "shapes-tags": ({"condition": "tags", "columns": ("shape", "colour", "size")}, "tag_accuracy"),
    "shapes-numbers": ({"condition": "numbers", "columns": ("x", "y", "radius")}, "number_error"),
    "mnist-numbers": ({"condition": "numbers"}, "number_error"),
}
SIZE = 32


def measured(picture: np.ndarray[Any, Any]) -> tuple[float, float]:
    """Slant in degrees, to the right above 0, and thickness in pixels of a bright digit uint8 [H, W] on black."""
    from scipy.ndimage import distance_transform_edt, maximum_filter, zoom

    weights = picture / picture.sum()
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]].astype(float)
    rows, columns = rows - (rows * weights).sum(), columns - (columns * weights).sum()
    slant = np.degrees(np.arctan2(-(rows * columns * weights).sum(), (rows * rows * weights).sum()))
    fine = zoom(picture.astype(float), 4, order=1) > 127  # a quarter of a pixel, so that thin strokes differ
    away = distance_transform_edt(np.pad(fine, 1))
    ridge = (away > 0) & (away == maximum_filter(away, 3))
    return float(slant), float(2 * away[ridge].mean() / 4) if ridge.any() else 0.0


def digits_with_numbers(mnist: str, path: Path) -> Path:
    """MNIST's training digits with their slant and thickness, as an npz."""
    if not path.is_file():
        x = open_data(Data(path=mnist, size=28)).train.x[:, 0].numpy()
        path.parent.mkdir(parents=True, exist_ok=True)
        y = np.array([measured(picture) for picture in x], np.float32)
        np.savez(path, x=x, y=y, numbers=np.array(["slant", "thickness"]))
    return path


def one(name: str, recipe: str, seed: int, mnist: str, out: Path, cpu_seconds: float) -> None:
    """Train and score one row, unless its figures are there."""
    target = RESULTS / f"{name}-{recipe}-{seed}.json"
    if target.is_file():
        return
    path = "shapes" if name.startswith("shapes") else str(digits_with_numbers(mnist, out / "mnist-numbers.npz"))
    condition, metric = SETS[name]
    directory = RunDirectory(out / f"{name}-{recipe}-{seed}")
    if not directory.is_run():
        rounds = max(LEAST_ROUNDS, round(cpu_seconds / alone(seconds_a_round, path, recipe)))
        data = Data(path=path, size=SIZE, **condition)
        prepare(data, out=directory.path, recipe=recipe, settings=settings_for(seed, rounds), command="benchmarks/conditions.py")
    spend(directory, cpu_seconds)
    trained = load(directory.path, device="cpu")
    scores = {s.name: s for s in trained.evaluate([metric, "fd", "prdc"], num_samples=NUM_SAMPLES, seed=0)}
    obeyed, ticks = scores[metric], [r for r in directory.events() if r["kind"] == "tick"]
    row = {
        "of": name, "recipe": recipe, "seed": seed, "metric": metric, "value": obeyed.value, "low": obeyed.low, "high": obeyed.high,
        "floor": obeyed.floor, "each": obeyed.extra.get("by_tag") or obeyed.extra["by_number"], "protocol": str(obeyed),
        "fd": scores["fd"].value, "fd_floor": scores["fd"].floor, "fd_protocol": str(scores["fd"]),
        "precision": scores["precision"].value, "recall": scores["recall"].value, "rounds": trained.round, "images": trained.seen,
        "cpu_seconds": ticks[-1]["cpu_seconds"], "signs": signs(directory), "machine": processor(),
        "date": datetime.date.today().isoformat(), "commit": commit(),
    }  # fmt: skip
    RESULTS.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(row, indent=1) + "\n", "utf-8")
    print(target, row["protocol"], flush=True)


def table() -> list[str]:
    """Markdown lines in the order of SETS."""
    rows = [json.loads(path.read_text("utf-8")) for path in sorted(RESULTS.glob("*.json"))]
    rows.sort(key=lambda row: (list(SETS).index(row["of"]), row["recipe"], row["seed"]))
    lines = [
        "| set | recipe | seed | rounds | figure | real pictures | the worst | FD (floor) | precision / recall |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        each, tags = row["each"], row["metric"] == "tag_accuracy"
        worst = min(each, key=lambda name: each[name]["accuracy"]) if tags else max(each, key=lambda name: each[name]["error"])
        told = (
            f"{each[worst]['accuracy']:.3g}" if tags else f"off by {each[worst]['own']:.3g}, correlation {each[worst]['correlation']:.3f}"
        )
        figure = f"`{row['metric']}` {row['value']:.3g} [{row['low']:.3g}, {row['high']:.3g}]"
        lines.append(
            f"| {row['of']} | {row['recipe']} | {row['seed']} | {row['rounds']:,} | {figure} | {row['floor']:.3g} | {worst}: {told} "
            f"| {row['fd']:.3g} ({row['fd_floor']:.2g}) | {row['precision']:.2f} / {row['recall']:.2f} |"
        )
    return lines


def main() -> None:
    """Run what is missing, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run")
    run.add_argument("--mnist", required=True)
    run.add_argument("--out", type=Path, required=True)
    run.add_argument("--only", nargs="+", choices=list(SETS), default=list(SETS))
    run.add_argument("--recipes", nargs="+", default=["r3gan"])
    run.add_argument("--cpu-seconds", type=float, default=600)
    run.add_argument("--seeds", type=int, nargs="+", default=[0])
    verbs.add_parser("table").add_argument("--write", action="store_true", help="put it into docs/conditions.md")
    options = parser.parse_args()
    if options.verb == "table" and options.write:
        before, rest = DOCS.read_text("utf-8").split(MARKS[0])
        DOCS.write_text("\n".join([f"{before}{MARKS[0]}", "", *table(), "", f"{MARKS[1]}{rest.split(MARKS[1])[1]}"]), "utf-8")
    elif options.verb == "table":
        print("\n".join(table()))
    else:
        each_alone(one, (
            (name, recipe, seed, options.mnist, options.out, options.cpu_seconds)
            for seed in options.seeds for recipe in options.recipes for name in options.only
        ))  # fmt: skip


if __name__ == "__main__":
    main()
