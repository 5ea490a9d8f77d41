"""100 pictures of one kind: the default recipe with and without adaptive augmentation, at equal CPU-seconds.

    python benchmarks/small.py --data MNIST_FOLDER --kind 3 --out runs/small [--cpu-seconds 150] [--seeds 0 1 2] [--set game.net.widths=[64,32,16]]

The pictures of one class of a labelled set, 32×32: 100 to train on (the same for every run), all others held out. Both arms get the same processor
seconds of training; the learning-rate schedule of each spans what it is expected to see in them (--rates). Scored on the averaged generator: FD
against all held-out pictures by a classifier trained on the whole labelled set, the leak of each transform, and how near samples lie to training
pictures. One thread. A run that is there goes on where it stopped. Writes one JSON a run to --results, and prints the table.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import torch
from PIL import Image as Pillow
from torch import Tensor

from agon.data import Data, open_data
from agon.directory import RunDirectory
from agon.metrics import make_extractor
from agon.metrics.frechet import Moments, frechet_distance
from agon.metrics.leak import leaks
from agon.run import play, prepare
from agon.trained import Trained, load

BATCH = 32
ARMS: dict[str, dict[str, None]] = {
    "without": {"game.augment": None},
    "adaptive": {},
}  # adaptive: what the recipe takes for so few pictures


def split(data: str, kind: str, size: int, out: Path) -> tuple[Path, Tensor, Tensor, Any]:
    """A folder with the training pictures, those, the held-out ones (uint8 [n, C, H, W]) and the extractor."""
    whole = open_data(Data(path=data, size=size))
    label = whole.space.classes.index(kind)
    parts = [part.x[part.y == label] for part in (whole.train, whole.held) if part.y is not None]
    x = torch.cat(parts)
    x = x[torch.randperm(len(x), generator=torch.Generator().manual_seed(0))]
    folder = out / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for index, picture in enumerate(x[:100]):
        path = folder / f"{index:03d}.png"
        if not path.exists():
            array = picture.permute(1, 2, 0).squeeze().numpy()
            Pillow.fromarray(array).save(path)
    return folder, x[:100], x[100:], make_extractor("classifier", whole, say=lambda name, text: print(name, text, flush=True))


def one(folder: Path, out: Path, arm: str, seed: int, cpu_seconds: float, rate: float, size: int, settings: dict[str, Any]) -> None:
    """Train one run for its budget."""
    directory = RunDirectory(out)
    if not directory.is_run():
        rounds = round(rate * cpu_seconds)
        chosen = {
            "seed": seed, "threads": 1, "tensorboard": False, "batch": BATCH, "rounds": rounds, "score_every": 0, "metrics": [],
            "tick": max(1, rounds // 20), "save_every": max(1, rounds // 10), **ARMS[arm], **settings,
        }  # fmt: skip
        if arm == "without":
            chosen = {k: v for k, v in chosen.items() if not k.startswith("game.augment.")}
        prepare(Data(path=str(folder), size=size, labels="ignore", holdout=0.0), out=out, recipe="r3gan", settings=chosen)
    play(directory, cpu_budget=cpu_seconds)


def score(out: Path, train: Tensor, held: Tensor, extractor: Any) -> dict[str, Any]:
    """Figures of a finished run."""
    run = load(out)
    samples = run.sample_stored(min(len(held), 2000), seed=0)

    def fd(x: Tensor, y: Tensor) -> float:
        a, b = (Moments.of(extractor(part).features) for part in (x, y))
        return frechet_distance(a.mean, a.cov, b.mean, b.cov)

    ticks = [row for row in run.directory.events() if row["kind"] == "tick"]
    strength = [(row["seen"], row["stats"]["augment/p"]) for row in ticks if "augment/p" in row["stats"]]
    flat = [x.flatten(1).float() / 255 for x in (samples, train, held)]
    to_train, to_held = (torch.cdist(flat[0], other).amin(1).mean().item() for other in (flat[1], flat[2][:100]))
    half = len(held) // 2
    return {
        "fd": fd(samples, held), "fd_training_pictures": fd(train, held), "fd_floor_halves": fd(held[:half], held[half:]),
        "samples": len(samples), "leak": {f.group: [f.leak, f.error, f.auc] for f in leaks(samples, held)},
        "leak_training_pictures": {f.group: [f.leak, f.error, f.auc] for f in leaks(train, held)},
        "logits": {name: logit(run, x) for name, x in (("training", train), ("held out", held), ("samples", samples))},
        "nearest_training_over_held": to_train / to_held, "strength": strength, "rounds": run.round, "images": run.seen,
        "cpu_seconds": ticks[-1]["cpu_seconds"], "extractor": f"{extractor.name} {extractor.hash} ({extractor.note})",
        "D": {k: v for k, v in ticks[-1]["stats"].items() if k.startswith(("D/", "sample/", "real/"))}, "held_out": len(held),
    }  # fmt: skip


@torch.no_grad()
def logit(run: Trained, x: Tensor) -> float:
    """The critic's mean logit for pictures as they are, uint8 [n, C, H, W]."""
    return float(torch.cat([run.players.D(run.space.normalise(part)) for part in x.split(250)]).mean())


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--kind", default="3")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results/small"))
    parser.add_argument("--cpu-seconds", type=float, default=150)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", default=list(ARMS))
    parser.add_argument(
        "--rates",
        type=float,
        nargs=2,
        default=(13.0, 11.5),
        help="rounds a CPU-second expected without and with; the defaults are of the narrow network",
    )
    parser.add_argument("--set", nargs="*", default=[], help="settings as name=value")
    options = parser.parse_args()
    torch.set_num_threads(1)
    settings = dict(pair.split("=", 1) for pair in options.set)
    folder, train, held, extractor = split(options.data, options.kind, options.size, options.out)
    table: dict[str, list[float]] = {arm: [] for arm in options.arms}
    for seed in options.seeds:
        for arm in options.arms:
            out, results = options.out / f"{arm}-{seed}", options.results / f"{options.kind}-{arm}-{seed}.json"
            if not results.is_file():
                rate = options.rates[list(ARMS).index(arm)]
                one(folder, out, arm, seed, options.cpu_seconds, rate, options.size, settings)
                results.parent.mkdir(parents=True, exist_ok=True)
                results.write_text(json.dumps(score(out, train, held, extractor), indent=1))
            figures = json.loads(results.read_text())
            table[arm].append(figures["fd"])
            leak = ", ".join(f"{k} {v[0]:+.2f}" for k, v in figures["leak"].items() if v[0] is not None)
            p = f"p {figures['strength'][-1][1]:.2f}" if figures["strength"] else ""
            print(
                f"{arm} seed {seed}: FD {figures['fd']:.2f} rounds {figures['rounds']} CPU-s {figures['cpu_seconds']:.0f} {p} leak {leak} "
                f"logits {figures['logits']}",
                flush=True,
            )
    print("| arm | FD ± sd | runs |\n|---|---|---|")
    for arm, values in table.items():
        print(f"| {arm} | {statistics.mean(values):.2f} ± {statistics.stdev(values) if len(values) > 1 else 0:.2f} | {len(values)} |")
    if len(table) == 2:
        a, b = (statistics.mean(values) for values in table.values())
        print(f"lower by {1 - b / a:.0%}")


if __name__ == "__main__":
    main()
