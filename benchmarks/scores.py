"""What scoring costs and the floor it stands on: python benchmarks/scores.py PATH [--size 32] [--num-samples 2000 10000]

Prints the extractor's held-out accuracy, processor seconds for training it, for features and for each metric, and the figures that
real training samples and real held-out samples (the floor) reach.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch

from agon.data import Data, open_data
from agon.metrics import evaluate, make_extractor


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path")
    parser.add_argument("--size", type=int)
    parser.add_argument("--extractor", default="auto")
    parser.add_argument("--num-samples", type=int, nargs="+", default=[2000, 10_000])
    asked = parser.parse_args()
    data_set = open_data(Data(path=asked.path, size=asked.size))
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        begin = time.process_time()
        extractor = make_extractor(asked.extractor, data_set, cache=cache)
        print(f"{extractor.name} {extractor.note}: {time.process_time() - begin:.1f} CPU-s to make, {torch.get_num_threads()} thread(s)")
        begin = time.process_time()
        for index in torch.arange(len(data_set.held)).split(250):
            extractor(data_set.held.x[index])
        print(f"features of {len(data_set.held)} samples: {time.process_time() - begin:.2f} CPU-s")
        names = ["fd", "kid", "prdc"] + (["is", "classes"] if extractor.num_classes else [])
        for count in asked.num_samples:
            for name in names:
                order = iter(torch.randperm(len(data_set.train), generator=torch.Generator().manual_seed(0)).repeat(2).split(250))
                for attempt in ("first", "again"):
                    begin = time.process_time()
                    scores = evaluate(
                        lambda n, order=order: data_set.train.x[next(order)[:n]], data_set, [name], extractor=extractor,
                        num_samples=count, cache=cache,
                    )  # fmt: skip
                    seconds = time.process_time() - begin
                    print(f"{attempt} {seconds:.1f} CPU-s", *(str(score) for score in scores if attempt == "again"), sep="\n  ")


if __name__ == "__main__":
    main()
