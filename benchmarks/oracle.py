"""Entropy of the oracles: the LSTM of the field, drawn from our seeds, and the grammar.

    python benchmarks/oracle.py [--samples 4000] [--seeds 0 1 2] [--lengths 20 40]

Prints nats a token with the standard error over sentences, and processor seconds; for the grammar also the exact figure. One thread, CPU.
The published oracle has 5.747 ± .008 at length 20 and 5.731 ± .006 at length 40, log 5,000 is 8.517.
"""

from __future__ import annotations

import argparse
import time

import torch

from agon.languages.grammar import Arithmetic
from agon.languages.lstm import LSTMOracle
from agon.metrics.divergences import entropy


def main() -> None:
    """Print a row for each oracle."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=4_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--lengths", type=int, nargs="+", default=[20, 40])
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| oracle | length | seed | nats a token | samples | CPU-s |\n|---|---|---|---|---|---|")
    for seed in options.seeds:
        for length in options.lengths:
            begun = time.process_time()
            found = entropy(LSTMOracle(length=length, seed=seed), options.samples).per(length)
            print(f"| LSTM | {length} | {seed} | {found} | {options.samples} | {time.process_time() - begun:.0f} |", flush=True)
    for length in options.lengths:
        begun, grammar = time.process_time(), Arithmetic(length)
        found = entropy(grammar, options.samples).per(grammar.mean_length)
        exact = f"{found}, exact {grammar.entropy / grammar.mean_length:.4f}"
        print(
            f"| arithmetic, {grammar.mean_length:.2f} tokens a sentence | ≤ {length} | | {exact} | {options.samples} | {time.process_time() - begun:.0f} |"
        )


if __name__ == "__main__":
    main()
