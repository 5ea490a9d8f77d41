"""Scores: metrics over pluggable features, each figure with its protocol and its real-against-real floor.

extractor = make_extractor("auto", data_set)
for score in evaluate(sampler, data_set, ["fd", "prdc"], extractor=extractor, num_samples=10_000, seed=0):
    print(score)
"""

from __future__ import annotations

from agon.metrics.contract import Extractor, Family, Features, Metric, Probe, Score, Stamp, compare, reduce
from agon.metrics.evaluate import evaluate
from agon.metrics.features import EXTRACTORS, make_extractor

__all__ = [
    "EXTRACTORS", "Extractor", "Family", "Features", "Metric", "Probe", "Score", "Stamp", "compare", "evaluate", "make_extractor", "reduce",
]  # fmt: skip
