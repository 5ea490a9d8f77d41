"""Which score sees which fault of a generator. A table, so that a reader is never left to believe that one good figure says all is well.

"sees": worse with every step of the fault. "gross": notices when the fault is gross. "blind": does not get worse, or gets better. Every row is
measured on ladders of damage (tests/metrics/test_ladders.py): digits, a ring's points, stacked digits, mixtures of digits as a generator.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

Sight = Literal["sees", "gross", "blind"]
FAULTS = ("blur", "noise", "missing modes", "duplicates", "memorised copies")

_ROWS: dict[str, str] = {
    "fd": "ssssb", "fd_inf": "ssssb", "kid": "ssssb", "c2st": "ssssb", "is": "ssssb",
    "precision": "ssbbb", "recall": "ssssb", "density": "ssbbb", "coverage": "ssssb",
    "classes": "ggsgb", "class_accuracy": "ssbbb", "class_fd": "ssssb", "class_coverage": "ssssb",
    "authenticity": "bbbbs", "copies": "bbbbs", "copying": "bbbbs",
    "modes": "bbsgb", "quality": "bsbbb", "stacked_modes": "ggssb", "stacked_kl": "ggssb", "ppl": "bgbbb",
    "leak": "ssbbb",
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
    "fd": "ssbggggggb", "kid": "ssbggggggb", "c2st": "ssbssgggsb", "precision": "ssbsggsbgb", "recall": "gsbggggssb",
    "density": "ssbsggsbbb", "coverage": "ssbsggsgsb", "authenticity": "bbbbbbbbbs", "copies": "bbbbbbbbbs",
    "copying": "bbbbbbbbbg", "class_accuracy": "sgsbbbsbbb", "motion_energy": "ssbsgsssbb", "motion_gap": "ssbsgsssgb",
    "flicker": "ssbsssssbb", "temporal_consistency": "ssbsbsbbbb", "content_distance": "bsbgssssbb", "nearest_clip": "ssbggbssbs",
    "clip_copies": "bbbbbbbbbs", "obeys": "sssggbsbbb", "formed": "ssbggbsbbb", "scenes": "gsbggbgsgb",
    "scenes_kl": "ssbgsbsssb",
}  # fmt: skip
CLIP_SIGHT: dict[str, dict[str, Sight]] = {
    name: {fault: _WORDS[letter] for fault, letter in zip(CLIP_FAULTS, letters, strict=True)} for name, letters in _CLIP_ROWS.items()
}
# The same for text, measured on COCO captions (tests/metrics/test_sentence_scores.py). "safest only": the likeliest alone are said.
TEXT_FAULTS = ("words dropped", "shuffled", "duplicates", "safest only", "copies")
_TEXT_ROWS: dict[str, str] = {
    "fd": "ssssb", "c2st": "ssssb", **dict.fromkeys(("bleu2", "bleu3", "bleu4", "bleu5"), "ssbbb"),
    **dict.fromkeys(("self_bleu2", "self_bleu3", "self_bleu4", "self_bleu5"), "bbggb"),
    **dict.fromkeys(("unique", "distinct1", "distinct2", "distinct3", "unigram_entropy"), "bbssb"),
    **dict.fromkeys(("novel2", "novel3", "novel4", "novel5"), "bbbss"), "novel_sentences": "bbbss", "nearest_sentence": "bbbss",
    "lm": "ssbbb", "reverse_lm": "ssssb",
}  # fmt: skip
TEXT_SIGHT: dict[str, dict[str, Sight]] = {
    name: {fault: _WORDS[letter] for fault, letter in zip(TEXT_FAULTS, letters, strict=True)} for name, letters in _TEXT_ROWS.items()
}
# No weights were at hand; or asked of a generator's likelihood or a known language, or of outputs for given sources, which damaged samples are not.
UNMEASURED = (
    "fvd", "nll_test", "perplexity", "generator_entropy", "nll_oracle", "kl_model_oracle", "kl_oracle_model", "js_oracle", "valid",
    "corpus_bleu", "chrf", "rouge1", "rouge2", "rougeL",
)  # fmt: skip
# The first that a run of this kind can take is named to whoever lacks one.
_ADVICE = {
    "blur": "fd", "noise": "fd", "missing modes": "recall", "duplicates": "coverage", "memorised copies": "memorisation",
    "shuffled frames": "motion", "frozen": "motion", "reversed": "class_accuracy", "flicker": "motion", "content changes": "content",
    "missing colours": "recall", "copies": "memorisation",
}  # fmt: skip
_CLIP_ADVICE = {"blur": "motion", "noise": "motion"}
_TEXT_ADVICE = {"words dropped": "fd", "shuffled": "fd", "duplicates": "variety", "safest only": "variety", "copies": "novelty"}


def faults(*, clips: bool = False, text: bool = False) -> tuple[str, ...]:
    """The faults of pictures, of clips, or of text."""
    return TEXT_FAULTS if text else CLIP_FAULTS if clips else FAULTS


def _table(clips: bool, text: bool) -> dict[str, dict[str, Sight]]:
    return TEXT_SIGHT if text else CLIP_SIGHT if clips else SIGHT


def blind_to(name: str, *, clips: bool = False, text: bool = False) -> tuple[str, ...]:
    """Faults that a score does not see; () for a score that is not in the table."""
    return tuple(fault for fault, sight in _table(clips, text).get(name, {}).items() if sight == "blind")


def seen_by(fault: str, among: Iterable[str], *, clips: bool = False, text: bool = False) -> tuple[str, ...]:
    """Those of the scores that see a fault, in their order."""
    return tuple(name for name in among if _table(clips, text).get(name, {}).get(fault) == "sees")


def advice(fault: str, *, clips: bool = False, text: bool = False) -> str:
    """A metric of `agon eval -m` that sees a fault."""
    return (_TEXT_ADVICE if text else _CLIP_ADVICE if clips else {}).get(fault) or _ADVICE[fault]
