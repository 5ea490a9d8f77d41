"""Signs that show in gradients, weights and the critic's judgement: exploding, vanishing, standing still, overfitting, too strong, too weak."""

from __future__ import annotations

import statistics

from agon.health import remedies
from agon.health.contract import BEGINNING, YOUNG, Check, History, Patient, Sign, paired, recent

EVEN = 0.56  # separation of real and fake up to which a critic sees no difference
APART = 0.8  # and where it plainly tells them apart


def exploding(history: History, patient: Patient) -> Sign | None:
    """Gradients, weights or logits that have grown out of all proportion."""
    if len(history) < 4:
        return None
    for player in _players(history):
        norms, weights = recent(history, f"{player}/grad", len(history)), recent(history, f"{player}/weights", len(history))
        evidence = ""
        if len(norms) >= 4:
            usual = statistics.median(norms[: max(3, len(norms) // 2)])
            if min(norms[-2:]) > max(1e3, 100 * usual):
                evidence = f"gradient norm of {player} {norms[-1]:.3g} for two ticks, {usual:.3g} at first"
        if not evidence and len(weights) >= 3 and weights[-1] > 20 * max(weights[0], 1.0):
            evidence = f"weights of {player} have norm {weights[-1]:.3g}, {weights[0]:.3g} at first"
        if evidence:
            return Sign(
                "exploding gradients",
                f"The gradients of {player} or what they built grow without bound; the next steps may destroy it.",
                evidence,
                remedies.some(
                    remedies.tamed(patient), remedies.clipped(patient, player), remedies.slower(patient, player), remedies.steadier(patient)
                ),
                severe=True,
            )
    gaps = [abs(a - b) for a, b in paired(history, "D/real", "D/fake", 2)]
    if len(gaps) == 2 and min(gaps) > 1e3:
        return Sign(
            "exploding gradients",
            "The critic's logits grow without bound: nothing holds its slope.",
            f"real and fake lie {gaps[-1]:.3g} apart",
            remedies.some(remedies.steadier(patient), remedies.penalised(patient, 10), remedies.slower(patient, "D")),
            severe=True,
        )
    return None


def vanished(history: History, patient: Patient) -> Sign | None:
    """A generator without a gradient. A critic's may vanish for a good reason: it has won, or the game is even."""
    for player in _players(history):
        norms = recent(history, f"{player}/grad", len(history))
        if player.startswith("D") or len(norms) < 4:
            continue
        most = max(norms[:-3])
        if max(norms[-3:]) < 1e-7 or max(norms[-3:]) < 1e-3 * most:
            return Sign(
                "vanishing gradients",
                f"{player} learns nothing any more: its critic gives it no slope.",
                f"gradient norm of {player} {norms[-1]:.3g} for three ticks, {most:.3g} before",
                remedies.some(
                    remedies.unsaturated(patient), remedies.steadier(patient), remedies.slower(patient, "D"), remedies.reseeded(patient)
                ),
            )
    return None


def still(history: History, patient: Patient) -> Sign | None:
    """A player whose weights do not change although it steps."""
    for player in _players(history):
        stepped = [v for v in history[-3:] if f"{player}/grad" in v and f"{player}/weights" in v]
        if len(stepped) < 3 or len({v[f"{player}/weights"] for v in stepped}) > 1:
            continue
        rate = patient.rates.get(player)
        # A hinge that is satisfied moves nothing, until the other player has moved.
        idle = rate and all(v[f"{player}/grad"] == 0 for v in stepped)
        if idle and patient.seen < YOUNG:
            continue
        cure = (
            remedies.again(patient, {f"game.optim.{player}.lr": 2e-4})
            if not rate and remedies.knows(patient, f"optim.{player}.lr") else None
        )  # fmt: skip
        return Sign(
            "frozen player",
            f"The weights of {player} do not change although it takes its turns" + (": its loss gives it no gradient." if idle else "."),
            f"norm {stepped[-1][f'{player}/weights']:.12g} at three ticks, learning rate {'unknown' if rate is None else f'{rate:.3g}'}, "
            f"gradient norm {stepped[-1][f'{player}/grad']:.3g}",
            remedies.some(cure, remedies.slower(patient, "D") if idle else None, remedies.steadier(patient), remedies.reseeded(patient)),
        )
    return None


def overfitting(history: History, patient: Patient) -> Sign | None:
    """A critic that takes held-out reals for fakes."""
    last = [v for v in history if "D/held" in v][-3:]
    # What was not read twice is not known by heart: held-out films may just be other films.
    if len(history) < 6 or len(last) < 3 or patient.seen < 2 * patient.train:
        return None
    # Where on the way from fakes to reals the critic puts reals it has never seen: 1 is honest, 0 is "fake".
    places = [(v["D/held"] - v["D/fake"]) / gap if (gap := v["D/real"] - v["D/fake"]) > 1e-6 else 1.0 for v in last]
    sure = all(v["D/real"] - v["D/held"] > 2.5 * v.get("D/held error", 0.0) for v in last)
    if max(places) >= 0.6 or not sure:
        return None
    return Sign(
        "discriminator overfitting",
        "The critic has learnt the training samples by heart: it takes unseen real ones for fakes.",
        f"held-out reals lie {places[-1]:.0%} of the way from fakes to training reals ({patient.train:,} training samples)",
        remedies.some(
            remedies.augmented(patient), remedies.penalised(patient, 4), remedies.mirrored(patient), remedies.slower(patient, "D")
        ),
    )


def too_strong(history: History, patient: Patient) -> Sign | None:
    """A critic that is always right, with the generator's gradient fading."""
    last, norms = history[-5:], recent(history, "G/grad", len(history))
    if len(history) < 8 or len(norms) < 8 or any("D/separation" not in v for v in last):
        return None
    fading = max(norms[-3:]) < 0.05 * statistics.median(norms[:4])
    if not fading or min(v["D/separation"] for v in last) < 0.995:
        return None
    return Sign(
        "critic too strong",
        "The critic is always right and the generator's gradient fades: it is told that it is wrong, and no longer how to be less so.",
        f"separation {last[-1]['D/separation']:.3f} for five ticks, gradient norm of G {norms[-1]:.3g}, {statistics.median(norms[:4]):.3g} at first",
        remedies.some(remedies.penalised(patient, 5), remedies.steadier(patient), remedies.slower(patient, "D")),
    )


def too_weak(history: History, patient: Patient) -> Sign | None:
    """A critic that sees no difference where a nearest neighbour sees it at once, while the samples come no nearer."""
    # One that has told them apart before may be led astray for a while, and finds its way back: a young one more than once.
    knew = any(v.get("D/separation", 0.0) > APART for v in history[:-6])
    if knew and patient.seen < BEGINNING:
        return None
    last = history[-12:] if knew else history[-6:]
    if len(history) < (13 if knew else 8) or any("D/separation" not in v or "sample/told apart" not in v for v in last):
        return None
    distances = recent(history, "sample/distance", 6)
    apart = min(v["sample/told apart"] for v in last)
    if max(v["D/separation"] for v in last) > EVEN or apart < 0.95 or min(distances[3:]) < 0.8 * max(distances[:3]):
        return None
    return Sign(
        "critic too weak",
        "The critic sees no difference between real and fake where there is a plain one, and the samples come no nearer to the data.",
        f"separation at most {max(v['D/separation'] for v in last):.2f} (0.5: none) for {len(last)} ticks; "
        f"a nearest neighbour tells them apart in {apart:.0%} of cases",
        remedies.some(remedies.faster(patient, "D"), remedies.steadier(patient), remedies.slower(patient, "G")),
    )


def swinging(history: History, patient: Patient) -> Sign | None:
    """Now the critic wins, now the generator, in turns."""
    seen = recent(history, "D/separation", 10)
    if len(history) < 10 or len(seen) < 10 or patient.seen < YOUNG:
        return None
    swings, side = 0, 0
    for value in seen:
        new = 1 if value > 0.9 else -1 if value < 0.4 else 0
        if new and side and new != side:
            swings += 1
        side = new or side
    if swings < 3:
        return None
    return Sign(
        "oscillation",
        "Critic and generator win in turns: each unlearns what it had against the other.",
        f"the critic's separation of real and fake changed sides {swings} times in ten ticks ({min(seen):.2f} to {max(seen):.2f})",
        remedies.some(remedies.slower(patient, "G"), remedies.penalised(patient, 5), remedies.steadier(patient)),
    )


def _players(history: History) -> list[str]:
    return sorted({name.removesuffix("/grad") for name in (history[-1] if history else {}) if name.endswith("/grad")})


CHECKS: tuple[Check, ...] = (exploding, vanished, still, overfitting, too_strong, too_weak, swinging)
