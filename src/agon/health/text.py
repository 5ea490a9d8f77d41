"""Signs that show in sentences: a speaker that narrows, repeats itself, never ends or breaks off, copies, or was better before; a critic always right."""

from __future__ import annotations

from agon.health import remedies
from agon.health.contract import BEGINNING, Check, History, Patient, Sign, fell, paired, recent

NARROW = 0.5  # of the nats a token that training sentences have under the speaker
LEARNED = 0.1  # share by which held-out sentences must have become likelier before anything is lost again
LOST, LOST_SHARE = 0.05, 0.02  # nats a token above the best, and that share of it
RIGHT = 0.995  # separation of a critic that is always right
SURE = 4.0  # logits by which it is sure of every fake: a reward of less than .02
SHORT, LONG = 0.4, 2.5  # of the real sentences' mean length


def narrowed(history: History, patient: Patient) -> Sign | None:
    """A speaker much surer of its own sentences than of those it was trained on."""
    pairs = paired(history, "G/nats own", "G/nats train", 3)
    if len(history) < 6 or len(pairs) < 3 or any(own >= NARROW * train for own, train in pairs) or _likelier(history, 4):
        return None
    own, train = pairs[-1]
    return Sign(
        "narrowed speech",
        "The generator is sure of the few things it says and has given up the rest of the language.",
        f"its own sentences have {own:.2f} nats a token, training sentences {train:.2f}, for three ticks (entropy falls, divergence from the data grows)",
        remedies.some(
            remedies.back(patient, _best(history)), remedies.entropic(patient), remedies.slower(patient, "G"), remedies.steadier(patient)
        ),
        severe=True,
    )


def repeating(history: History, patient: Patient) -> Sign | None:
    """Sentences that say the same three words over and over."""
    pairs = paired(history, "sample/repeats", "real/repeats", 3)
    if len(history) < 6 or len(pairs) < 3 or any(own <= 3 * usual + 0.1 for own, usual in pairs):
        return None
    if fell(history, "sample/repeats", 4, 0.07) or _likelier(history, 4):
        return None
    own, usual = pairs[-1]
    return Sign(
        "repeated phrases",
        "The sentences go round in circles: they say again what they have just said.",
        f"{own:.0%} of the runs of three tokens stood in the same sentence before, {usual:.0%} in real sentences, for three ticks",
        remedies.some(
            remedies.back(patient, _best(history)), remedies.entropic(patient), remedies.slower(patient, "G"), remedies.steadier(patient)
        ),
    )


def misshapen(history: History, patient: Patient) -> Sign | None:
    """Sentences much shorter or longer than the data's, after the beginning and without getting better."""
    shares = [own / max(usual, 1e-9) for own, usual in paired(history, "sample/length", "real/length", 6)]
    if patient.seen < BEGINNING or len(history) <= 10 or len(shares) < 6:
        return None
    off = [max(share, 1 / max(share, 1e-9)) for share in shares]
    short, long = all(share < SHORT for share in shares[-4:]), all(share > LONG for share in shares[-4:])
    if not (short or long) or off[-1] < 0.93 * off[0]:
        return None
    own, usual = paired(history, "sample/length", "real/length", 1)[0]
    endless = recent(history, "sample/unended", 1)
    more = f", and {endless[0]:.0%} of them have no end" if endless and endless[0] > 0.05 else ""
    return Sign(
        "sentences break off" if short else "sentences do not end",
        "The generator has learnt to stop at once." if short else "The generator has not learnt where a sentence ends.",
        f"{own:.1f} tokens a sentence, {usual:.1f} in real ones, for four ticks{more}",
        remedies.some(remedies.back(patient, _best(history)), remedies.steadier(patient), remedies.slower(patient, "G")),
    )


def copying(history: History, patient: Patient) -> Sign | None:
    """Training sentences said word for word, much more often than held-out ones happen to be training sentences."""
    copied, usual = recent(history, "sample/copied", 3), patient.facts.get("held copied")
    if usual is None or len(copied) < 3 or min(copied) <= max(0.2, 3 * usual + 0.1):
        return None
    return Sign(
        "memorisation",
        "The generator repeats training sentences instead of making new ones.",
        f"{copied[-1]:.0%} of the samples are training sentences word for word, {usual:.0%} of held-out ones are "
        f"({patient.train:,} training sentences)",
        remedies.some(remedies.back(patient, _best(history)), remedies.dropped(patient), remedies.best(patient), remedies.smaller(patient)),
    )


def unanswerable(history: History, patient: Patient) -> Sign | None:
    """A critic that is always right and sure of it, while the sentences come no nearer: every reward is the same."""
    last = history[-6:]
    if (
        not patient.text
        or patient.seen < BEGINNING
        or len(history) <= 10
        or any("D/separation" not in v or "D/fake" not in v for v in last)
    ):
        return None
    if min(v["D/separation"] for v in last) < RIGHT or max(v["D/fake"] for v in last) > -SURE or _nearer(history, 10):
        return None
    return Sign(
        "critic always right",
        "The critic is sure that every sentence is made up, so all are rewarded alike and the speaker is not told which is the better one.",
        f"separation {last[-1]['D/separation']:.3f} for six ticks, mean logit of fakes {last[-1]['D/fake']:.1f}, and the sentences came no nearer",
        remedies.some(remedies.slower(patient, "D"), remedies.steadier(patient), remedies.faster(patient, "G")),
    )


def past(history: History, patient: Patient) -> Sign | None:
    """Held-out sentences were likelier before: the answer to "when do I stop?"."""
    told = [(v["round"], v["G/nats held"]) for v in history if "round" in v and recent([v], "G/nats held", 1)]
    if len(told) < 8:
        return None
    round, best = min(told, key=lambda pair: pair[1])
    if told[0][1] - best < LEARNED * told[0][1]:
        return None  # it never learnt to say likely things: nothing was lost
    if min(nats for _, nats in told[-4:]) < best + max(LOST, LOST_SHARE * best):
        return None
    train = recent(history, "G/nats train", 1)
    heart = bool(train) and told[-1][1] - train[0] > 2 * max(0.05, _gap_at(history, round))
    sentence = (
        "The training sentences are being learnt by heart, and other sentences become less likely: stop where it was best."
        if heart
        else "The sentences have moved away from the language: what the generator gained in polish it pays for in variety. Stop where it was best."
        if train
        else "Sentences that were not trained on become less likely again: stop where it was best."
    )
    return Sign(
        "past its best",
        sentence,
        f"held-out sentences have {told[-1][1]:.2f} nats a token, {best:.2f} at round {round:,.0f}"
        + (f"; training sentences {train[0]:.2f}" if train else "")
        + _moved(history, round),
        remedies.some(
            remedies.back(patient, round),
            remedies.dropped(patient) if heart or not train else remedies.slower(patient, "G"),
            remedies.steadier(patient),
        ),
    )


def deaf(history: History, patient: Patient) -> Sign | None:
    """A speaker to whom the condition says nothing, where neighbours can tell it or where it learnt well otherwise."""
    gains = recent(history, "G/labels", 5)
    held = recent(history, "G/nats held", len(history))
    if len(history) < 9 or len(gains) < 5 or patient.seen < BEGINNING or max(map(abs, gains)) > 0.01:
        return None
    if len(held) < 9 or held[0] - held[-1] < 2 * LEARNED * held[0]:
        return None
    return Sign(
        "conditions ignored",
        "What was asked for makes no difference to the sentences: the generator does not heed it, or it has nothing to do with them.",
        f"a wrong condition costs held-out sentences {gains[-1]:.3f} nats a token, less than 0.01 at five ticks",
        remedies.some(remedies.look(patient), remedies.unlabelled(patient)),
    )


def _best(history: History) -> float | None:
    """The round at which held-out sentences were likeliest."""
    told = [(v["G/nats held"], v["round"]) for v in history if "round" in v and recent([v], "G/nats held", 1)]
    return min(told)[1] if told else None


def _moved(history: History, round: float) -> str:
    """How far the game has led the speaker from what likelihood made of it, now and at a round, where that is measured; evidence, no alarm."""
    told = {v["round"]: v["G/kl pretrained"] for v in history if "round" in v and recent([v], "G/kl pretrained", 1)}
    if not told:
        return ""
    then = f", {told[round]:.2f} then" if round in told else ""
    return f"; KL to the speaker that likelihood made {told[max(told)]:.2f} nats a token{then}"


def _gap_at(history: History, round: float) -> float:
    """Nats a token between held-out and training sentences at a round."""
    return next(
        (held - train for v in history if v.get("round") == round for train, held in paired([v], "G/nats train", "G/nats held", 1)), 0.0
    )


def _likelier(history: History, ticks: int) -> bool:
    """Held-out sentences have become likelier: it is still learning."""
    return fell(history, "G/nats held", ticks, 0.02)


def _nearer(history: History, ticks: int) -> bool:
    return fell(history, "sample/distance", ticks, 0.07) or _likelier(history, ticks)


CHECKS: tuple[Check, ...] = (narrowed, repeating, misshapen, copying, unanswerable, past, deaf)
