"""Signs of a failing run, each with a name, a plain sentence, its evidence and a remedy.

`Vitals` is what is measured at a tick, from a few forward passes on fixed batches; `examine` looks at the vitals of a run so far and names
what is wrong. Both only observe: the random state is forked and no parameter changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from agon.game import Batch, Game, Players


@dataclass(frozen=True)
class Sign:
    """Something wrong: its name, what it means, what was seen, and what to try."""

    name: str
    sentence: str
    evidence: str
    remedy: str


@dataclass(frozen=True)
class Patient:
    """What a remedy must know of the run: its training samples, the command that repeats it, and γ if the game has one."""

    train: int
    command: str
    gamma: float | None = None

    def with_gamma(self, times: float) -> str:
        """The command with γ raised, or another game where there is none."""
        if self.gamma is None:
            return f"{self.command} --recipe r3gan"
        return f"{self.command} --game.gamma {self.gamma * times:g}"


Vitals = dict[str, float]


@torch.no_grad()
def measure(game: Game, p: Players, real: Batch, held: Batch, fake: Tensor) -> Vitals:
    """Vitals of a moment. real, held: normalised batches; fake: samples in the players' range, drawn for the classes of `real`.

    "D/real", "D/held", "D/fake": mean logits; "D/accuracy …": share judged right about the midpoint of real and fake; "sample/diversity" and
    "real/diversity": mean distance of random pairs per dimension (root mean square); "sample/saturation": share of values at the range's ends.
    """
    vitals: Vitals = {}
    with torch.random.fork_rng(devices=[]):
        x = real["x"]
        fake_given = Batch({k: v[: len(fake)] for k, v in real.items() if k != "x"})
        logits = game.judge(p, x, real)
        if logits is not None:
            on_fake, on_held = game.judge(p, fake, fake_given), game.judge(p, held["x"], held)
            assert on_fake is not None and on_held is not None
            middle = (logits.mean() + on_fake.mean()) / 2
            vitals |= {
                "D/real": logits.mean().item(),
                "D/fake": on_fake.mean().item(),
                "D/held": on_held.mean().item(),
                "D/accuracy real": (logits > middle).float().mean().item(),
                "D/accuracy fake": (on_fake <= middle).float().mean().item(),
                "D/accuracy held": (on_held > middle).float().mean().item(),
            }
        vitals["sample/diversity"] = diversity(fake)
        vitals["real/diversity"] = diversity(x)
        vitals["sample/saturation"] = (fake.abs() > 0.999).float().mean().item()
        vitals["real/saturation"] = (x.abs() > 0.999).float().mean().item()
        vitals["sample/finite"] = float(fake.isfinite().all().item())
    return vitals


def diversity(x: Tensor) -> float:
    """Mean root-mean-square distance between each sample and its neighbour in the batch, per dimension. x: [n, …]."""
    flat = x.flatten(1).float()
    return (flat - flat.roll(1, 0)).square().mean(1).sqrt().mean().item()


def examine(history: Sequence[Vitals], patient: Patient) -> list[Sign]:
    """Signs shown by the vitals so far, oldest first."""
    return [sign for check in CHECKS if (sign := check(history, patient)) is not None]


def _gradient_explosion(history: Sequence[Vitals], patient: Patient) -> Sign | None:
    for player in ("G", "D"):
        norms = [v[f"{player}/grad"] for v in history if f"{player}/grad" in v]
        if len(norms) >= 3 and norms[-1] > 1e3 and norms[-1] > 100 * sorted(norms[:-1])[len(norms[:-1]) // 2]:
            return Sign(
                "exploding gradients",
                f"The gradient of {player} has grown a hundredfold; the next steps may destroy it.",
                f"gradient norm {norms[-1]:.3g}, median before {sorted(norms[:-1])[len(norms[:-1]) // 2]:.3g}",
                f"{patient.command} --game.optim.{player}.clip 1.0",
            )
    return None


def _vanished_gradient(history: Sequence[Vitals], patient: Patient) -> Sign | None:
    norms = [v["G/grad"] for v in history if "G/grad" in v]
    if len(norms) >= 3 and all(n < 1e-7 for n in norms[-3:]):
        return Sign(
            "vanished gradient",
            "The generator learns nothing any more: the critic gives it no slope.",
            f"gradient norm of G {norms[-1]:.3g} for three ticks",
            f"{patient.command} --recipe r3gan",
        )
    return None


def _collapse(history: Sequence[Vitals], patient: Patient) -> Sign | None:
    shares = [v["sample/diversity"] / max(v["real/diversity"], 1e-12) for v in history if "sample/diversity" in v]
    if len(shares) >= 4 and max(shares[-2:]) < 0.3:
        return Sign(
            "mode collapse",
            "The samples hardly differ from one another, while the data do.",
            f"sample diversity is {shares[-1]:.0%} of the data's, for two ticks",
            patient.with_gamma(10),
        )
    return None


def _overfitting(history: Sequence[Vitals], patient: Patient) -> Sign | None:
    recent = [v for v in history if "D/held" in v][-3:]
    if len(history) < 6 or len(recent) < 3:
        return None
    # Where on the way from fakes to reals the critic puts reals it has never seen: 1 is honest, 0 is "fake".
    places = [(v["D/held"] - v["D/fake"]) / gap for v in recent if (gap := v["D/real"] - v["D/fake"]) > 0.5]
    if len(places) == 3 and max(places) < 0.4:
        return Sign(
            "discriminator overfitting",
            "The critic has learnt the training samples by heart: it takes unseen real ones for fakes.",
            f"held-out reals lie {places[-1]:.0%} of the way from fakes to training reals ({patient.train:,} training samples)",
            f"{patient.with_gamma(4)} --mirror",
        )
    return None


def _saturation(history: Sequence[Vitals], patient: Patient) -> Sign | None:
    recent = [v for v in history if "sample/saturation" in v][-2:]
    if len(recent) == 2 and all(v["sample/saturation"] > max(0.98, v["real/saturation"] + 0.2) for v in recent):
        return Sign(
            "saturated output",
            "Nearly every value of the samples sits at the end of its range.",
            f"{recent[-1]['sample/saturation']:.0%} of values, {recent[-1]['real/saturation']:.0%} in the data",
            f"{patient.command} --game.optim.G.lr 1e-4",
        )
    return None


def _lost(history: Sequence[Vitals], patient: Patient) -> Sign | None:
    if history and history[-1].get("sample/finite", 1.0) < 1.0:
        return Sign(
            "non-finite samples",
            "The generator's output holds NaN or infinity.",
            "found in the samples of this tick",
            f"{patient.command} --precision fp32 --game.optim.G.lr 1e-4",
        )
    return None


Check = Callable[[Sequence[Vitals], Patient], "Sign | None"]
CHECKS: tuple[Check, ...] = (_lost, _gradient_explosion, _vanished_gradient, _collapse, _overfitting, _saturation)
