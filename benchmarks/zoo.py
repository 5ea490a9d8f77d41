"""The zoo's table: every recipe on MNIST 32×32 and CIFAR-10 32×32 at equal time: of the processor, one thread, or of a GPU.

    python benchmarks/zoo.py run --set mnist=MNIST_FOLDER --set cifar10=CIFAR.npz --out runs/zoo [--recipes …] [--seeds 0 1 2] [--seconds 600]
    python benchmarks/zoo.py run --device cuda --set … --out … [--recipes r3gan-paper stylegan2 …]
    python benchmarks/zoo.py table [--write]

`run` does what is missing, one row (set, recipe, seed) after the other, and writes each to benchmarks/results/SET/RECIPE-SEED.json; it may be
stopped at any time and goes on where it stopped. Before a row it plays a few rounds to learn what one costs, and sets the number of rounds so
that the recipe's schedules span the budget; further seeds of a row play as many rounds as the first, and on where a faster machine has budget
left. Training alone counts (rounds; no scores,
no pictures). 10,000 samples of the final averaged weights are scored, or as many as the reference allows. `table` prints what is there,
and `--write` puts it into docs/benchmarks.md; benchmarks/publish.py puts it into the package. The protocol itself is agon/reproduce.py.

Rows of a GPU are a set of their own, SET-cuda, at equal seconds by the clock in the device's default precision. They tell what was computed a
second, and of devices in PEAK what share this is of what they could (model FLOP utilisation). They are not put into the package.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import statistics
from pathlib import Path
from typing import Any

from alone import alone, each_alone

from agon.directory import RunDirectory
from agon.recipes.classics import SHORT
from agon.reproduce import LEAST_ROUNDS, begin, figures, lengthen, seconds_a_round, spend, top_up, train

RESULTS = Path(__file__).parent / "results"
DOCS, MARKS = Path(__file__).parents[1] / "docs" / "benchmarks.md", ("<!-- zoo.py table -->", "<!-- end of zoo.py table -->")
ZOO = (
    "r3gan", "gan", "dcgan", "dcgan-peer", "lsgan", "wgan", "wgan-gp", "dragan", "rsgan", "ragan", "sngan", "sngan-projection", "acgan",
    "sagan", "biggan", "stylegan2", "fastgan", "autoencoder", "vae", "vae-gan", "flow",
)  # fmt: skip
RULER = {
    "mnist": "01f9b2",
    "cifar10": "88a8bb",
}  # the package's classifiers, by which rows are measured; before 2026-11-23 each machine trained its own
MARKS_MEAN = {"†": "measured by another machine's classifier", "‡": "at the papers' learning rates, which the recipe had before"}
# Of G, at the beginning and the end of a short run on a CPU: recipes that had others before 2026-11-23. Rows from before do not tell theirs.
RATES = {
    "sngan": (6e-4, 6e-5), "sngan-projection": (6e-4, 6e-5), "sagan": (3e-4, 3e-5), "biggan": (6e-4, 6e-5), "wgan": (5e-4, 5e-4),
    "stylegan2": (5e-3, 5e-3),
}  # fmt: skip
# 10¹² dense bf16 operations a second, by data sheets.
PEAK = {"H100 80GB HBM3": 989.4, "H100 PCIe": 756.0, "H200": 989.4, "A100": 312.0, "L40S": 362.0}


def one(name: str, data: str, recipe: str, seed: int, out: Path, seconds: float, device: str = "cpu") -> None:
    """Train and score one row, unless its figures are there: of the recipe as it is, by the package's classifier."""
    name += "" if device == "cpu" else f"-{device}"
    target = RESULTS / name / f"{recipe}-{seed}.json"
    if target.is_file() and not mark(json.loads(target.read_text())):
        return
    directory, like = RunDirectory(out / name / f"{recipe}-{seed}"), sister(name, recipe)
    if not directory.is_run():
        rounds = like["planned_rounds"] if like else max(LEAST_ROUNDS, round(seconds / alone(seconds_a_round, data, recipe, device)))
        begin(data, recipe, seed, rounds, directory.path, "benchmarks/zoo.py", device)
    if like:
        lengthen(directory, max(like["rounds"], directory.run()["rounds"]))
        train(directory)
        top_up(directory, seconds)
    else:
        spend(directory, seconds)
    result = figures(directory, name, recipe, seed) | {"alone": True}
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(result, indent=1) + "\n")
    print(target, result["protocol"], flush=True)


def sister(name: str, recipe: str) -> dict[str, Any] | None:
    """The figures of the first seed that has no mark. The others play as many rounds, and on where the machine has become faster."""
    found = [json.loads(path.read_text()) for path in sorted((RESULTS / name).glob(f"{recipe}-[0-9]*.json"))]
    return next((row for row in found if row.get("planned_rounds") and not mark(row)), None)


def by_ruler(row: dict[str, Any]) -> bool:
    """Whether a row was measured by the package's classifier; of sets that have none, any row is."""
    return f"classifier@{RULER.get(row['set'].partition('-')[0], '')}" in row["protocol"]


def mark(row: dict[str, Any]) -> str:
    """What keeps a row apart: ‡ of an earlier recipe, † measured by another machine's classifier; nothing if it is as it should be."""
    rates = row.get("rates", {}).get("G")
    found = (rates.get("start"), rates.get("end")) if isinstance(rates, dict) else (rates, rates)
    # On a GPU and in long runs the published rates are the recipe's.
    own = found if "device" in row or (row.get("planned_rounds") or 0) >= SHORT else RATES.get(row["recipe"], found)
    return ("" if by_ruler(row) else "†") + ("‡" if found != own else "")


def everything() -> list[dict[str, Any]]:
    """Every row's figures by set, recipe and seed; results of other benchmarks beside them are passed over. Seeds of different marks are not put
    together: of each recipe those with the least of them are kept."""
    found = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*/*.json"))]
    rows = [r for r in found if isinstance(r, dict) and {"set", "recipe", "seed", "fd", "cpu_seconds"} <= r.keys()]
    order = ["", "‡", "†", "†‡"]
    least: dict[tuple[str, str], int] = {}
    for r in rows:
        key = (r["set"], r["recipe"])
        least[key] = min(least.get(key, len(order)), order.index(mark(r)))
    return [r for r in rows if order.index(mark(r)) == least[r["set"], r["recipe"]]]


def table(name: str) -> list[str]:
    """The table of one set as Markdown lines, best first."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in everything():
        if row["set"] == name:
            rows.setdefault(row["recipe"], []).append(row)
    on_gpu = any("device" in r for results in rows.values() for r in results)
    unit, key = ("s", "second") if on_gpu else ("CPU-s", "cpu_second")
    more = ["TFLOP/s", "of peak"] if on_gpu else []
    head = [
        "recipe", "seeds", "FD ± sd", "precision / recall", "density / coverage", "class asked for", unit, "images seen", f"images/{unit}",
        f"samples/{unit}", "peak MB", "parameters", *more,
    ]  # fmt: skip
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]

    def mean(results: list[dict[str, Any]], key: str) -> float:
        return statistics.mean(r[key] for r in results)

    for recipe, results in sorted(rows.items(), key=lambda item: mean(item[1], "fd")):
        spread = f" ± {statistics.stdev([r['fd'] for r in results]):.2g}" if len(results) > 1 else ""
        cells = [
            f"{recipe} {mark(results[0])}".rstrip(),
            f"{len(results)}",
            f"{mean(results, 'fd'):.3g}{spread}",
            f"{mean(results, 'precision'):.2f} / {mean(results, 'recall'):.2f}",
            f"{mean(results, 'density'):.2f} / {mean(results, 'coverage'):.2f}",
            asked(results),
            reach([r[f"{key}s"] for r in results]),
            f"{mean(results, 'images'):,.0f}",
            f"{mean(results, f'images_per_{key}'):.0f}",
            f"{mean(results, f'samples_per_{key}'):,.0f}",
            peak(results),
            f"{sum(results[0]['parameters'].values()) / 1e6:.2f} M",
        ]
        if on_gpu:
            cells += [f"{mean(results, 'flops_per_second') / 1e12:.3g}", utilisation(results)]
        lines.append(f"| {' | '.join(cells)} |")
    if rows:
        first = next((r for results in rows.values() for r in results if by_ruler(r)), next(iter(rows.values()))[0])
        fewer = re.search(r"at N=(\d+)", first["protocol"])  # said where there are not as many held-out pictures as samples
        lines.append("")
        lines.append(
            f"Floor (real against real) {first['floor']:.3g}{f', of the {int(fewer[1]):,} held-out pictures there are' if fewer else ''}."
            + "".join(f" {sign} {MARKS_MEAN[sign]}." for sign in MARKS_MEAN if any(sign in mark(results[0]) for results in rows.values()))
        )
        lines += ["", doctor([r for results in rows.values() for r in results])]
    return lines


def utilisation(results: list[dict[str, Any]]) -> str:
    """Model FLOP utilisation: the share of a GPU's bf16 peak that the rounds' own operations were; – where that is not known."""
    peaks = {tflops for r in results for name, tflops in PEAK.items() if name in r["device"] and r["arithmetic"] == "bf16"}
    if len(peaks) != 1:
        return "–"
    return f"{statistics.mean(r['flops_per_second'] for r in results) / peaks.pop() / 1e12:.2%}".replace("%", " %")


def reach(values: list[float]) -> str:
    """The least and the greatest of some figures, rounded; one figure where they are the same."""
    least, most = f"{min(values):.0f}", f"{max(values):.0f}"
    return least if least == most else f"{least}–{most}"


def doctor(results: list[dict[str, Any]]) -> str:
    """What the doctor told during the rows that keep it, and what share of the processor time its looks took."""
    kept = [r for r in results if "signs" in r]
    if not kept:
        return "No row keeps what the doctor told."
    told = [
        f"{r['recipe']} (seed {r['seed']}) {', '.join(f'{name} at {at:.0%}' for name, at in r['signs'].items())}"
        for r in kept
        if r["signs"]
    ]
    shares = [r["doctor_share"] for r in kept]
    return (
        f"Signs the doctor told in the {len(kept)} rows that keep them: {'; '.join(told) or 'none'}. "
        f"Its looks took {min(shares):.2%} to {max(shares):.2%} of the processor time."
    ).replace("%", " %")


def asked(results: list[dict[str, Any]]) -> str:
    """The share of samples in the class they were asked for, over the seeds whose share is known."""
    if not results[0]["conditional"]:
        return "–"
    known = [r["class_accuracy"] for r in results if "class_accuracy" in r]
    return f"{statistics.mean(known):.1%}".replace("%", " %") if known else "labels used"


def peak(results: list[dict[str, Any]]) -> str:
    """The peak of memory of the seeds that had a process of their own; of others it may be that of what the process played before."""
    alone = [r["memory_mb"] for r in results if r.get("alone")]
    return f"{statistics.mean(alone):.0f}" if alone else f"≤ {min(r['memory_mb'] for r in results):.0f}"


def tables() -> str:
    """The tables of every set under their headings."""
    return "\n\n".join("\n".join([f"### {name}", "", *table(name)]) for name in sorted({r["set"] for r in everything()}))


def written(page: str) -> str:
    """A page with the tables of now between its marks."""
    before, rest = page.split(MARKS[0])
    return f"{before}{MARKS[0]}\n{tables()}\n\n{MARKS[1]}{rest.split(MARKS[1])[1]}"


def main() -> None:
    """Run what is missing, or print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run")
    run.add_argument("--set", dest="sets", action="append", required=True, help="NAME=PATH")
    run.add_argument("--out", type=Path, required=True)
    run.add_argument("--seconds", type=float, default=600)
    run.add_argument("--device", choices=["cpu", "cuda", "mps"], default="cpu")
    run.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    run.add_argument("--recipes", nargs="+", default=list(ZOO))
    verbs.add_parser("table").add_argument("--write", action="store_true", help="put it into docs/benchmarks.md")
    options = parser.parse_args()
    if options.verb == "table":
        if options.write:
            DOCS.write_text(written(DOCS.read_text()))
        else:
            print(tables())
        return
    sets = [entry.partition("=")[::2] for entry in options.sets]
    rows = itertools.product(options.seeds, options.recipes, sets)
    each_alone(one, ((*named, recipe, seed, options.out, options.seconds, options.device) for seed, recipe, named in rows))


if __name__ == "__main__":
    main()
