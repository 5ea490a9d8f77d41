"""Signs that show in the motion of clips: none, the same in all, flicker, colours that drift. What was measured on real clips is in docs/video.md."""

from __future__ import annotations

from agon.health import remedies
from agon.health.contract import BEGINNING, Check, History, Patient, Sign, fell, paired

FROZEN = 0.1  # of the real clips' change from frame to frame
ALIKE = 0.4  # of the real clips' variety of directions; half of real sets differ by 2 %, clips that all move one way have a tenth
STILL = 2e-3  # change from frame to frame below which real clips hardly move themselves, in the range -1 to 1
SETTLED = 6_000  # clips trained on before flicker and drift count: at first things are not yet held together


def frozen(history: History, patient: Patient) -> Sign | None:
    """Clips that stand still although the real ones move: after they moved, or without progress for ten ticks."""
    shares = _shares(history, "motion")
    if len(history) < 6 or len(shares) < 3 or max(shares[-3:]) >= FROZEN or not _lost(shares, history, patient, FROZEN):
        return None
    return Sign(
        "frozen motion",
        "The clips stand still: the generator paints one picture over and over.",
        f"from frame to frame the samples change by {shares[-1]:.0%} of what real clips do, for three ticks",
        remedies.some(remedies.judged(patient), remedies.steadier(patient), remedies.slower(patient, "G"), remedies.reseeded(patient)),
    )


def alike(history: History, patient: Patient) -> Sign | None:
    """Clips that all move in one way although the real ones go different ways."""
    usual, moving = paired(history, "sample/ways", "real/ways", 1), _shares(history, "motion")
    shares = [own / max(real, 1e-12) for own, real in paired(history, "sample/ways", "real/ways", len(history))]
    if len(history) < 6 or len(shares) < 3 or usual[0][1] < 0.3 or len(moving) < 3 or min(moving[-3:]) < FROZEN:
        return None
    if max(shares[-3:]) >= ALIKE or not _lost(shares, history, patient, ALIKE):
        return None
    return Sign(
        "motion collapse",
        "All clips move in one and the same way, whatever they show: the generator has one motion, not many.",
        f"the directions of the samples are {shares[-1]:.0%} as varied as those of real clips, for three ticks",
        remedies.some(remedies.judged(patient), remedies.steadier(patient), remedies.slower(patient, "G"), remedies.reseeded(patient)),
    )


def flicker(history: History, patient: Patient) -> Sign | None:
    """Brightness or pixels that jump to and fro from frame to frame, much more than in real clips."""
    return _too_much(
        history, patient, "flicker", 3.0, 0.02, "flicker",
        "The clips flicker: from frame to frame values jump to and fro instead of moving on.",
        "the second difference in time of the typical pixel or of the whole frame is",
    )  # fmt: skip


def drift(history: History, patient: Patient) -> Sign | None:
    """Colours that change from the beginning to the end of a clip, much more than in real ones."""
    return _too_much(
        history, patient, "drift", 2.5, 0.01, "content drift",
        "What the clips show does not stay what it is: colours at the end are not those of the beginning.",
        "between the first and the last quarter of a clip the values change by",
    )  # fmt: skip


def _too_much(
    history: History, patient: Patient, name: str, times: float, more: float, sign: str, sentence: str, seen: str
) -> Sign | None:  # fmt: skip
    """More than `times` the real clips' figure and `more` on top for four ticks, without having come down by a seventh meanwhile."""
    pairs = paired(history, f"sample/{name}", f"real/{name}", 5)
    if patient.seen < SETTLED or len(history) < 8 or len(pairs) < 5 or any(own <= times * real + more for own, real in pairs[-4:]):
        return None
    if pairs[-1][0] < 0.86 * pairs[0][0]:
        return None
    own, real = pairs[-1]
    return Sign(
        sign, sentence, f"{seen} {own:.3g} (of a range of 2), in real clips {real:.3g}, for four ticks",
        remedies.some(remedies.judged(patient), remedies.slower(patient, "G"), remedies.steadier(patient), remedies.best(patient)),
    )  # fmt: skip


def _shares(history: History, name: str) -> list[float]:
    """The samples' figure over the real clips', where those move at all."""
    return [
        own / real for own, real in paired(history, f"sample/{name}", f"real/{name}", len(history)) if name != "motion" or real >= STILL
    ]


def _lost(shares: list[float], history: History, patient: Patient, limit: float) -> bool:
    """Whether what is missing was there before, or did not come in time. A generator that has just begun is not one that failed."""
    if max(shares) > 2 * limit:
        return not _improving(history)
    return patient.seen >= BEGINNING and len(history) > 10 and shares[-1] < 1.15 * shares[max(0, len(shares) - 11)] + 0.1 * limit


def _improving(history: History) -> bool:
    return fell(history, "sample/distance", 4, 0.07)


CHECKS: tuple[Check, ...] = (frozen, alike, flicker, drift)
