"""Signs that show in the samples: collapse, a dead generator, divergence, saturation, memorisation, wandering, ignored conditions,
no progress."""

from __future__ import annotations

import itertools
import statistics

from agon.health import remedies
from agon.health.contract import BEGINNING, Check, History, Patient, Sign, fell, paired, recent

DEAD = 0.01  # of the data's diversity: below, samples do not depend on the latent
COLLAPSED = 0.25  # of the data's diversity
SPREADING = 1.1  # times as diverse as ten ticks before, a generator is on its way
NEARER = 0.07  # share of their distance by which samples come nearer to the data while they improve
LIKELIER = 0.005  # share of their nats a token that held-out sentences lose a tick while a speaker learns
TWINS = 0.3  # share of samples with a near-copy in the batch, above that of reals
GONE = 0.8  # the same; where so many have one for five ticks after a greater diversity, coming nearer to the data is no excuse
REMOTE = 1.15  # of the held-out samples' distance to their nearest training sample
CLASSES = 0.45  # of the held-out samples' effective number of classes
STANDING = 60_000  # samples trained on before a generator that comes no nearer counts as stuck
STEADY, SLOW = 7, 0.98  # of nine steps towards the data, and of the distance what is left: slow, not standing
FAR = 0.05  # energy distance above which samples are not like the data
UNLIKE = 0.8  # share of samples and reals that a nearest neighbour tells apart


def lost(history: History, patient: Patient) -> Sign | None:
    """Samples that are not numbers, or updates that were skipped because they were not."""
    if not history:
        return None
    last, before = history[-1], history[-2] if len(history) > 1 else {}
    new = last.get("skipped", 0.0) - before.get("skipped", 0.0)
    if last.get("sample/finite", 1.0) == 1.0 and new < 3:
        return None
    seen = "NaN or infinity in this tick's samples" if last.get("sample/finite", 1.0) < 1.0 else f"{new:.0f} updates skipped in this tick"
    return Sign(
        "non-finite values",
        "The numbers of this run have left the range of floating point; what it makes from here on is noise.",
        seen,
        remedies.some(
            remedies.slower(patient, "G"),
            remedies.clipped(patient, "D"),
            remedies.again(patient, {"precision": "fp32"}),
            remedies.steadier(patient),
        ),
        severe=True,
    )


def dead(history: History, patient: Patient) -> Sign | None:
    """The same sample whatever the latent."""
    shares = _diversity(history, 3)
    if len(history) < 4 or len(shares) < 3 or max(shares) >= DEAD or _improving(history, 4):
        return None
    return Sign(
        "dead generator",
        "The generator makes the same sample whatever the latent.",
        f"sample diversity is {shares[-1]:.2%} of the data's, for three ticks",
        remedies.some(remedies.steadier(patient), remedies.slower(patient, "G"), remedies.reseeded(patient)),
        severe=True,
    )


def collapse(history: History, patient: Patient) -> Sign | None:
    """Few different samples, by spread, by near-copies among them, by classes: after there were more, or without progress for ten ticks. A young
    generator is poor and wavers, so nothing is told of it."""
    if len(history) < 6 or patient.seen < BEGINNING:
        return None
    shares, twins, classes = (
        _diversity(history, len(history)),
        [a - b for a, b in paired(history, "sample/twins", "real/twins", len(history))],
        recent(history, "sample/classes", len(history)),
    )
    if len(shares) >= 3 and max(shares[-3:]) < DEAD:
        return None  # worse: dead
    remote = recent(history, "sample/remote", 4)  # what looks like no sample has no class
    told, chance, kinds = (
        patient.facts.get(name, other) for name, other in (("labels told", 0.0), ("labels chance", 1.0), ("classes", 1.0))
    )
    if len(shares) >= 3 and max(shares[-3:]) < COLLAPSED:
        fallen = max(shares) > 2 * max(shares[-3:])
        evidence = f"sample diversity is {shares[-1]:.0%} of the data's, for three ticks"
    elif len(twins) >= 3 and min(twins[-3:]) > TWINS:
        fallen = min(twins) < TWINS / 3
        evidence = f"{twins[-1]:.0%} more of the samples than of the real ones have a near-copy among so few others"
    elif len(classes) >= 4 and told > max(0.7, 2 * chance) and max(classes[-4:]) < CLASSES and max(remote, default=9.0) < REMOTE:
        fallen = max(classes) > 1.5 * max(classes[-4:])
        evidence = f"the samples are as varied as {classes[-1] * kinds:.1f} classes, the data as {kinds:.1f}"
    else:
        return None
    begun = len(history) <= 10 or _improving(history, 10) or (len(shares) > 10 and shares[-1] >= SPREADING * shares[-11])
    # A generator that begins with one sample and spreads has copies too, so the diversity must have been there and must not be coming.
    fell_apart = len(shares) >= 5 and max(shares) > 2 * max(shares[-3:]) and shares[-1] < SPREADING * shares[-5]
    gone = fell_apart and not patient.text and len(twins) >= 5 and min(twins[-5:]) > GONE
    if (not gone and fell(history, "sample/distance", 4, NEARER)) if fallen else begun:
        return None
    return Sign(
        "mode collapse",
        "The samples are few in kind: the generator has given up most of what the data hold, or never found it.",
        evidence,
        remedies.some(
            remedies.penalised(patient, 10), remedies.steadier(patient), remedies.slower(patient, "G"), remedies.reseeded(patient)
        ),
        severe=True,
    )


def _diversity(history: History, count: int) -> list[float]:
    return [own / max(usual, 1e-12) for own, usual in paired(history, "sample/diversity", "real/diversity", count)]


def _improving(history: History, ticks: int) -> bool:
    """The samples have come nearer to the data, or held-out sentences likelier: a generator that has just begun is not one that collapsed."""
    return fell(history, "sample/distance", ticks, NEARER) or fell(history, "G/nats held", ticks, LIKELIER * ticks)


def standing(history: History, patient: Patient) -> Sign | None:
    """Samples that are easily told from the data and have come no nearer to them for ten ticks, neither on the whole nor at their best. Not asked
    of sentences, which a nearest neighbour tells apart by their words."""
    distances, apart = recent(history, "sample/distance", 10), recent(history, "sample/told apart", 10)
    if patient.text or patient.seen < STANDING or len(distances) < 10 or len(apart) < 10 or min(distances) < FAR or min(apart) < UNLIKE:
        return None
    before, now = statistics.median(distances[:5]), statistics.median(distances[5:])
    if now < (1 - NEARER) * before or min(distances[5:]) < (1 - NEARER) * min(distances[:5]):
        return None
    if sum(after < at for at, after in itertools.pairwise(distances)) >= STEADY and distances[-1] < SLOW * distances[0]:
        return None
    return Sign(
        "standing still",
        "The samples are far from the data and come no nearer: with these settings longer training seems of no use.",
        f"distance to the data {now:.2f}, {before:.2f} five ticks before (0: none, 1: as far apart as two real samples); "
        f"a nearest neighbour tells {apart[-1]:.0%} of samples and reals apart",
        remedies.some(remedies.steadier(patient), remedies.penalised(patient, 10), remedies.slower(patient, "D"), remedies.look(patient)),
    )


def divergence(history: History, patient: Patient) -> Sign | None:
    """Samples that were near the data and moved away for good, or left the data's scale."""
    distances, sizes = recent(history, "sample/distance", len(history)), recent(history, "sample/size", 2)
    evidence = ""
    if len(distances) >= 5:
        best = min(distances[:-2])
        if min(distances[-3:]) > max(3 * best, best + 0.4):
            evidence = f"distance to the data {distances[-1]:.2f} for three ticks, {best:.2f} at best (0: none, 1: as far apart as two real samples)"
    if not evidence and len(history) > 3 and len(sizes) == 2 and min(sizes) > 10:
        evidence = f"the samples' values are {sizes[-1]:.3g} times as large as the data's"
    if not evidence:
        return None
    return Sign(
        "divergence",
        "The samples have moved away from the data and do not come back.",
        evidence,
        remedies.some(remedies.slower(patient, "G"), remedies.best(patient), remedies.steadier(patient), remedies.reseeded(patient)),
        severe=True,
    )


def saturation(history: History, patient: Patient) -> Sign | None:
    """Nearly every value at the end of its range, where the data's are not."""
    ends, usual = recent(history, "sample/saturation", 2), patient.facts.get("saturation", 0.0)
    # What is left in between must be under a tenth of what the data have there: dark backgrounds are no fault.
    if not patient.facts.get("bounded") or len(ends) < 2 or min(ends) < max(0.95, 1 - (1 - usual) / 10):
        return None
    return Sign(
        "saturated output",
        "Nearly every value of the samples sits at the end of its range, where the output layer passes no gradient.",
        f"{ends[-1]:.1%} of the values, {usual:.1%} in the data",
        remedies.some(remedies.slower(patient, "G"), remedies.clipped(patient, "G"), remedies.steadier(patient)),
    )


def memorisation(history: History, patient: Patient) -> Sign | None:
    """Samples next to one training sample and far from the next, much more often than held-out reals."""
    copies, usual = recent(history, "sample/copies", 3), patient.facts.get("held copies")
    if usual is None or len(copies) < 3 or min(copies) <= max(0.2, 3 * usual + 0.1):
        return None
    return Sign(
        "memorisation",
        "The generator repeats training samples instead of making new ones.",
        f"{copies[-1]:.0%} of the samples lie at less than half the distance to their nearest training sample than to the second; "
        f"{usual:.0%} of held-out reals do ({patient.train:,} training samples)",
        remedies.some(
            remedies.augmented(patient),
            remedies.mirrored(patient),
            remedies.dropped(patient),
            remedies.best(patient),
            remedies.look(patient),
        ),
    )


def wandering(history: History, patient: Patient) -> Sign | None:
    """The samples' mean goes to and fro between ticks, as far as the data are wide, and they come no nearer."""
    axes = [recent(history, name, 8) for name in sorted({n for v in history[-1:] for n in v if n.startswith("sample/axis")})]
    if len(history) < 8 or not axes or min(len(a) for a in axes) < 8 or patient.seen < BEGINNING:
        return None  # a young generator turns this way and that: a healthy DCGAN did at ticks of 640 samples
    steps = [_length([a[i + 1] - a[i] for a in axes]) for i in range(7)]
    path, way = sum(steps), _length([a[-1] - a[0] for a in axes])
    # The mean of few samples moves without the generator's going anywhere: by 2 / n of a variance a direction, from tick to tick.
    usual = (WANDER**2 + 2 * len(axes) / max(1.0, patient.facts.get("drawn", 256.0))) ** 0.5
    if statistics.median(steps) < usual or way > 0.5 * path or _improving(history, 7):
        return None
    return Sign(
        "oscillation",
        "The generator runs from one part of the data to another and back instead of covering them.",
        f"from tick to tick the samples' mean moves by {statistics.median(steps):.2f} standard deviations of the data; "
        f"{path:.1f} in seven ticks, to end {way:.1f} from where it began",
        remedies.some(remedies.slower(patient, "G"), remedies.penalised(patient, 5), remedies.steadier(patient)),
    )


WANDER = 1.0  # standard deviations a tick; healthy runs on colour pictures, short of ticks, reach 0.9 while they begin


def _length(step: list[float]) -> float:
    return sum(x * x for x in step) ** 0.5


LIKE = 0.4  # energy distance below which samples are like the data, by and large


def unheeded(history: History, patient: Patient) -> Sign | None:
    """Conditions that neither player heeds, though they can be told from the data."""
    told, chance = patient.facts.get("labels told", 0.0), patient.facts.get("labels chance", 1.0)
    agreement, gaps = recent(history, "sample/agreement", 5), recent(history, "D/labels", 5)
    if patient.seen < BEGINNING or len(agreement) < 5 or told < max(0.6, (1 + chance) / 2):  # of two classes: 75 %
        return None
    if max(agreement) > chance + 0.25 * (told - chance) or (gaps and max(gaps) > 0.05):
        return None
    if any(distance > LIKE for distance in recent(history, "sample/distance", 5)):
        return None  # what is not yet like the data has no class to show
    return Sign(
        "conditions ignored",
        "The samples do not show the class that was asked for, though the classes can be told apart.",
        f"{agreement[-1]:.0%} of the samples have the class asked for, {told:.0%} of held-out reals do; by chance {chance:.0%}",
        remedies.some(remedies.steadier(patient), remedies.unlabelled(patient), remedies.look(patient)),
    )


CHECKS: tuple[Check, ...] = (lost, dead, collapse, divergence, saturation, memorisation, wandering, unheeded, standing)
