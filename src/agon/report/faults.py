"""Which score sees which fault of a generator. A table, so that a reader is never left to believe that one good figure says all is well.

"sees": worse with every step of the fault. "gross": notices when the fault is gross. "blind": does not get worse, or gets better. What can be
put on a ladder of damaged digits is tested there (tests/metrics/test_ladders.py); the rest follows from the definitions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

Sight = Literal["sees", "gross", "blind"]
FAULTS = ("blur", "noise", "missing modes", "duplicates", "memorised copies")

_ROWS: dict[str, str] = {
    "fd": "ssssb", "fd_inf": "ssssb", "kid": "ssssb", "is": "ssssb",
    "precision": "ssbbb", "recall": "ssssb", "density": "ssbbb", "coverage": "ssssb",
    "classes": "ggsgb", "class_accuracy": "ssbbb", "class_fd": "ssssb", "class_coverage": "ssssb",
    "authenticity": "bbbbs", "copies": "bbbbs", "copying": "bbbbs",
    "modes": "bbsgb", "quality": "bsbbb", "stacked_modes": "bbsgb", "stacked_kl": "ggsgb", "ppl": "bbbbb",
}  # fmt: skip
_WORDS: dict[str, Sight] = {"s": "sees", "g": "gross", "b": "blind"}
SIGHT: dict[str, dict[str, Sight]] = {
    name: {fault: _WORDS[letter] for fault, letter in zip(FAULTS, letters, strict=True)} for name, letters in _ROWS.items()
}
# The same for clips, measured on moving-shapes over the extractor `clips` (docs/video-metrics.md). Figures that are best where real clips are see a
# fault that moves them either way.
CLIP_FAULTS = (
    "shuffled frames", "frozen", "reversed", "noise", "blur", "flicker", "content changes", "missing colours", "duplicates", "copies",
)  # fmt: skip
_CLIP_ROWS: dict[str, str] = {
    "fd": "ssbggggggb", "kid": "ssbggggggb", "precision": "ssbsggsbgb", "recall": "gsbggggssb",
    "density": "ssbsggsbbb", "coverage": "ssbsggsgsb", "authenticity": "bbbbbbbbbs", "copies": "bbbbbbbbbs",
    "copying": "bbbbbbbbbg", "class_accuracy": "sgsbbbsbbb", "motion_energy": "ssbsgsssbb", "motion_gap": "ssbsgsssgb",
    "flicker": "ssbsssssbb", "temporal_consistency": "ssbsbsbbbb", "content_distance": "bsbgssssbb", "nearest_clip": "ssbggbssbs",
    "clip_copies": "bbbbbbbbbs", "obeys": "sssggbsbbb", "formed": "ssbggbsbbb", "scenes": "gsbggbgsgb",
    "scenes_kl": "ssbgsbsssb",
}  # fmt: skip
CLIP_SIGHT: dict[str, dict[str, Sight]] = {
    name: {fault: _WORDS[letter] for fault, letter in zip(CLIP_FAULTS, letters, strict=True)} for name, letters in _CLIP_ROWS.items()
}
UNMEASURED = ("fvd",)  # no weights were at hand
# The first that a run of this kind can take is named to whoever lacks one.
_ADVICE = {
    "blur": "fd", "noise": "fd", "missing modes": "recall", "duplicates": "coverage", "memorised copies": "memorisation",
    "shuffled frames": "motion", "frozen": "motion", "reversed": "class_accuracy", "flicker": "motion", "content changes": "content",
    "missing colours": "recall", "copies": "memorisation",
}  # fmt: skip
_CLIP_ADVICE = {"blur": "motion", "noise": "motion"}


def faults(*, clips: bool = False) -> tuple[str, ...]:
    """The faults of pictures, or of clips."""
    return CLIP_FAULTS if clips else FAULTS


def blind_to(name: str, *, clips: bool = False) -> tuple[str, ...]:
    """Faults that a score does not see; () for a score that is not in the table."""
    return tuple(fault for fault, sight in (CLIP_SIGHT if clips else SIGHT).get(name, {}).items() if sight == "blind")


def seen_by(fault: str, among: Iterable[str], *, clips: bool = False) -> tuple[str, ...]:
    """Those of the scores that see a fault, in their order."""
    table = CLIP_SIGHT if clips else SIGHT
    return tuple(name for name in among if table.get(name, {}).get(fault) == "sees")


def advice(fault: str, *, clips: bool = False) -> str:
    """A metric of `agon eval -m` that sees a fault."""
    return (_CLIP_ADVICE if clips else {}).get(fault, _ADVICE[fault])
