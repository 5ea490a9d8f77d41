"""Signs that show in the data: a wrong range, next to nothing in it, copies of one sample, labels that say nothing."""

from __future__ import annotations

from agon.health import remedies
from agon.health.contract import Check, History, Patient, Sign, recent

REPEATED = 0.8  # share of training samples that repeat earlier ones; short sentences repeat half the time and are no fault


def wrong_scale(history: History, patient: Patient) -> Sign | None:
    """Values out of the range that players are made for, or hardly any contrast."""
    facts = patient.facts
    if "low" not in facts or patient.text:  # words are numbers without a scale
        return None
    low, high, spread = facts["low"], facts["high"], facts["spread"]
    most = max(abs(low), abs(high))
    evidence = ""
    if most > (1.5 if facts.get("bounded") else 30.0):
        evidence = f"values from {low:.3g} to {high:.3g}"
    elif facts.get("bounded") and low > -0.02 and high > 0.5:
        evidence = f"values from {low:.3g} to {high:.3g}: the lower half of the range is empty"
    elif spread < 0.02 and facts.get("identical", 0.0) < REPEATED:
        evidence = f"standard deviation over samples {spread:.3g}, values from {low:.3g} to {high:.3g}"
    if not evidence:
        return None
    return Sign(
        "wrong scale",
        "The data do not fill the range that the players work in, about -1 to 1.",
        evidence,
        remedies.some(remedies.look(patient)),
    )


def identical(history: History, patient: Patient) -> Sign | None:
    """Most training samples are copies of others."""
    share = patient.facts.get("identical", 0.0)
    if share < REPEATED:
        return None
    return Sign(
        "identical samples",
        "Most training samples are copies of one another; there is next to nothing to learn from.",
        f"{share:.0%} of up to 2,000 training samples repeat another one exactly",
        remedies.some(remedies.look(patient)),
    )


FEWEST = 64  # held-out samples without which nothing can be said about labels


def empty_labels(history: History, patient: Patient) -> Sign | None:
    """Labels that neither a nearest neighbour nor the critic can tell from chance, on held-out samples."""
    told, chance, gaps = patient.facts.get("labels told"), patient.facts.get("labels chance", 1.0), recent(history, "D/labels", 5)
    if told is None or chance > 0.9 or len(history) < 6 or len(gaps) < 5:
        return None
    looked = patient.facts.get("looked at", 256.0)
    if looked < FEWEST:
        return None
    error = (chance * (1 - chance) / looked) ** 0.5
    # A critic that does not look at labels has a gap of exactly 0 and is no witness.
    if told > chance + 3 * error or all(gap == 0 for gap in gaps) or sum(gaps) / len(gaps) > 0.1:
        return None
    return Sign(
        "labels say nothing",
        "The labels seem to have nothing to do with the samples: shuffled, shifted, or read from the wrong place.",
        f"the nearest training sample has the class of a held-out one in {told:.0%} of cases, by chance {chance:.0%}; "
        f"a wrong label costs a held-out sample {sum(gaps) / len(gaps):.2f} standard deviations of the critic's logits",
        remedies.some(remedies.look(patient), remedies.unlabelled(patient)),
    )


CHECKS: tuple[Check, ...] = (wrong_scale, identical, empty_labels)
