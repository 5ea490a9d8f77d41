"""Classifiers that measure: those the package carries, and how much the figures of the same samples hang on which was trained.

    python benchmarks/rulers.py ship mnist=MNIST_FOLDER@16 mnist=MNIST_FOLDER@32 cifar10=CIFAR.npz@32 digits=digits@16
    python benchmarks/rulers.py spread mnist=MNIST_FOLDER@32 --runs runs/zoo/mnist/gan-1 … [--seeds 0 1 2 3]

A set is NAME=PATH@SIZE. `ship` puts the classifier of each into src/agon/metrics/classifiers, trained here or from the cache; one that is there stays, as
published figures are measured by it. `spread` draws 10,000 samples of each run and scores them by classifiers that differ in the seed of
their training alone, as they would by the rounding of another processor. One thread.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from agon.data import Data, open_data
from agon.metrics import classifier
from agon.metrics.frechet import Moments, frechet_distance
from agon.trained import load

SAMPLES = 10_000


def opened(entry: str) -> Any:
    """The data set of NAME=PATH@SIZE."""
    path, _, size = entry.partition("=")[2].rpartition("@")
    return open_data(Data(path=path, size=int(size)))


def ship(entries: list[str]) -> None:
    """Put a classifier of each set into the package, unless it is there."""
    classifier.SHIPPED.mkdir(exist_ok=True)
    for entry in entries:
        with tempfile.TemporaryDirectory() as folder:
            found = classifier.open_classifier(opened(entry), cache=Path(folder), say=lambda name, text: print(name, text, flush=True))
            for path in Path(folder).glob("*.safetensors"):
                shutil.copyfile(path, classifier.SHIPPED / path.name)
            print(entry, found.hash, found.note, flush=True)


def spread(entry: str, runs: list[Path], seeds: list[int]) -> None:
    """Print the Fréchet distances of the same samples by classifiers of several seeds, and their spread."""
    data_set = opened(entry)
    drawn = {run.name: load(run).sample_stored(SAMPLES, seed=0) for run in runs}
    found: dict[str, list[float]] = {name: [] for name in drawn}
    print("| seed of training | held-out accuracy | " + " | ".join(drawn) + " |\n" + "|---" * (2 + len(drawn)) + "|")
    for seed in seeds:
        nowhere = Path(tempfile.gettempdir()) / "no such folder"
        with patch.object(classifier, "_SEED", seed), patch.object(classifier, "SHIPPED", nowhere), tempfile.TemporaryDirectory() as folder:
            ruler = classifier.open_classifier(data_set, cache=Path(folder))
        real = moments(ruler, data_set.train.x[:SAMPLES])
        for name, x in drawn.items():
            fake = moments(ruler, x)
            found[name].append(frechet_distance(fake.mean, fake.cov, real.mean, real.cov))
        print(f"| {seed} | {ruler.accuracy:.2%} | " + " | ".join(f"{values[-1]:.3g}" for values in found.values()) + " |", flush=True)
    shares = (f"{statistics.stdev(values) / statistics.mean(values):.0%}" for values in found.values())
    print("| sd, share of the mean | | " + " | ".join(shares) + " |")


def moments(ruler: Any, x: torch.Tensor) -> Moments:
    """Mean and covariance of the features of uint8 [n, C, H, W]."""
    return Moments.of(torch.cat([ruler(part).features for part in x.split(500)]))


def main() -> None:
    """Ship, or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    put = verbs.add_parser("ship")
    put.add_argument("sets", nargs="+", metavar="NAME=PATH@SIZE")
    beside = verbs.add_parser("spread")
    beside.add_argument("set", metavar="NAME=PATH@SIZE")
    beside.add_argument("--runs", type=Path, nargs="+", required=True)
    beside.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3])
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.verb == "ship":
        ship(options.sets)
    else:
        spread(options.set, options.runs, options.seeds)


if __name__ == "__main__":
    main()
