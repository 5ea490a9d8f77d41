"""Exact self-BLEU of 10,000 sentences against the naive loop over NLTK: python benchmarks/self_bleu.py [--rounds 3] [--subset 3]

The loop scores each sentence by `sentence_bleu` against all the others; each of its sentences costs about the same, so it is timed on a
few and scaled to 10,000. It is given the best case: one call for all four orders. Both take orders 2 to 5 of the same synthetic sentences (4,700
words, lengths of captions), in turns, by processor time of one thread; the figures of the sentences timed must agree to 1e-12.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

from agon.metrics import ngrams

COUNT = 10_000


def sentences(count: int, seed: int) -> list[list[str]]:
    """Sentences of 7 to 16 words; frequencies fall as 1/rank."""
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, 4_701)
    return [[f"w{k}" for k in rng.choice(4_700, rng.integers(7, 17), p=share / share.sum())] for _ in range(count)]


def main() -> None:
    """Measure in turns, print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--subset", type=int, default=3, help="sentences of the loop that are timed in a round")
    asked = parser.parse_args()
    samples = sentences(COUNT, 0)
    weights = [(1 / n,) * n for n in ngrams.ORDERS]
    smoothing = SmoothingFunction(epsilon=0.1).method1
    ratios = []
    for turn in range(asked.rounds):
        begin = time.process_time()
        ours = ngrams.self_bleu_each(samples)
        fast = time.process_time() - begin
        begin = time.process_time()
        timed = range(turn * asked.subset, (turn + 1) * asked.subset)
        naive = [sentence_bleu(samples[:k] + samples[k + 1 :], samples[k], weights, smoothing) for k in timed]
        slow = (time.process_time() - begin) / asked.subset * COUNT
        np.testing.assert_allclose(ours[timed], naive, atol=1e-12, rtol=0)
        ratios.append(slow / fast)
        print(
            f"agon {fast:.2f} CPU-s, loop {slow:,.0f} CPU-s (scaled from {asked.subset} of {COUNT:,} sentences): {ratios[-1]:,.0f} times as fast",
            flush=True,
        )
    print(f"least {min(ratios):,.0f} times, wanted 50: {'holds' if min(ratios) >= 50 else 'DOES NOT HOLD'}")


if __name__ == "__main__":
    main()
