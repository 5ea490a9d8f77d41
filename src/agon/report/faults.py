"""Which score sees which fault of a generator, so that a reader is never left to believe that one good figure says all is well.

s, sees it: worse with every step of the fault. g, gross: notices it when it is gross. b, blind: does not get worse, or gets better. Each metric says
so of its figures (`Family.sight`), a letter a fault in the order below, and scores carry it. Every letter is measured on ladders of damage: of
pictures, points and stacked digits in tests/metrics/test_ladders.py, of moving-shapes over the extractor `clips` by benchmarks/clip_ladder.py,
of captions in tests/metrics/test_sentence_scores.py. Figures that are best where real clips are see a fault that moves them either way.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

FAULTS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "pictures": ("blur", "noise", "missing modes", "duplicates", "memorised copies"),  # and points
    "clips": (
        "shuffled frames", "frozen", "reversed", "noise", "blur", "flicker", "content changes", "missing colours", "duplicates", "copies",
    ),
    "text": ("words dropped", "shuffled", "duplicates", "safest only", "copies"),  # "safest only": the likeliest alone are said
})  # fmt: skip
# The first that a run of this kind can take is named to whoever lacks one.
_ADVICE: Mapping[str, Mapping[str, str]] = {
    "pictures": {"blur": "fd", "noise": "fd", "missing modes": "recall", "duplicates": "coverage", "memorised copies": "memorisation"},
    "clips": {
        "shuffled frames": "motion", "frozen": "motion", "reversed": "class_accuracy", "noise": "motion", "blur": "motion", "flicker": "motion",
        "content changes": "content", "missing colours": "recall", "duplicates": "coverage", "copies": "memorisation",
    },
    "text": {"words dropped": "fd", "shuffled": "fd", "duplicates": "variety", "safest only": "variety", "copies": "novelty"},
}  # fmt: skip


def kind_of(space: str | None) -> str:
    """Whose faults are asked of data of this space, as run.json names it."""
    return "clips" if space == "video" else "text" if space == "tokens" else "pictures"


def seen(sight: str, kind: str, letter: str) -> tuple[str, ...]:
    """The faults of which a score's letters say this; () for a score that has none."""
    return tuple(fault for fault, at in zip(FAULTS[kind], sight, strict=False) if at == letter)


def advice(fault: str, kind: str) -> str:
    """A metric of `agon eval -m` that sees a fault."""
    return _ADVICE[kind][fault]
