"""Recipes of text games that follow likelihood by a critic's or a mediator's word: policy gradients, cooperation, expert iteration.

A phase of likelihood comes first where the paper has one, as long as the recipe `likelihood` and at most `SHARE` of the rounds, at a rate that falls;
the rate it ends at is that of the game. Compare them with `likelihood` at equal compute; where they stand is in docs/benchmarks.md.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from agon.games.cot import CoT
from agon.games.maligan import MaliGAN
from agon.games.selfgan import SelfGAN
from agon.games.seqgan import SeqGAN
from agon.games.textgail import TextGAIL
from agon.networks.text.conv import ConvCritic
from agon.networks.text.recurrent import RecurrentCritic
from agon.optim import Adam, Average
from agon.recipes import Recipe, Situation, Suggestion
from agon.recipes.text import EPOCHS, _space, _suggest, epochs_of, rate_of, speaker_of
from agon.schedule import Cosine, Linear

SHARE = 0.6  # of the rounds, before the critic learns, at most
GAME = 4.0  # times through the sentences after that, where no number of rounds was asked for
CRITIC = 0.1  # of the rounds, in which it learns alone
BATCH = 64


def _phases(situation: Situation, plays: int) -> tuple[int, int, int]:
    """(rounds, of these of likelihood, of these of the critic alone) at `plays` batches a round."""
    one = situation.count / ((situation.batch or BATCH) * plays)  # rounds to go through the sentences once
    before = epochs_of(_space(situation, "text")) * one
    rounds = situation.rounds or max(100, round((before + GAME * one) / (1 - CRITIC)))
    return rounds, round(min(before, SHARE * rounds)), round(CRITIC * rounds)


def _adams(situation: Situation, pretraining: int, plays: int, *, then: float, critic: float = 1e-3) -> dict[str, Adam]:
    """The speaker's rate falls to `then` during likelihood and stays there; the critic's is constant."""
    span = max(1, pretraining * plays) * (situation.batch or BATCH)
    start = max(3e-3, rate_of(_space(situation, "text")))
    speaker = Adam(lr=Cosine(start=start, end=then, span=span), betas=(0.9, 0.999), clip=5.0)
    return {"G": speaker, "D": Adam(lr=critic, betas=(0.5, 0.999), clip=5.0)}


def _told(situation: Situation, game: Any, rounds: int, plays: int, reasons: dict[str, str]) -> Suggestion:
    """The suggestion, with its rounds and phases told."""
    found = _suggest(situation, game, BATCH, EPOCHS, reasons)
    batch = found.batch
    told = dict(found.reasons)
    if situation.rounds is None:
        told["rounds"] = (
            f"{rounds:,}: {rounds * plays * batch / situation.count:.3g} times through {situation.count:,} sentences, {plays} batches a round"
        )
    return replace(found, rounds=rounds, reasons=told)


def seqgan(situation: Situation) -> Suggestion:
    """REINFORCE with roll-outs after likelihood (arXiv:1609.05473); fewer roll-outs than the paper's 16 where sentences are long."""
    space, plays = _space(situation, "seqgan"), 5
    rounds, first, then = _phases(situation, plays)
    rollouts = 16 if space.length <= 20 else 4
    game = SeqGAN(
        net=speaker_of(space), judge_net=ConvCritic(), pretrain=first, critic_pretrain=then, n_critic=plays, rollouts=rollouts,
        optim=_adams(situation, first, plays, then=1e-4),
    )  # fmt: skip
    reasons = {
        "pretrain": f"{first:,} rounds of likelihood, then {then:,} of the critic alone",
        "rollouts": f"{rollouts}: the paper's"
        if rollouts == 16
        else f"{rollouts}: {space.length} tokens, and each roll-out costs their square",
    }
    return _told(situation, game, rounds, plays, reasons)


def maligan(situation: Situation) -> Suggestion:
    """Own sentences weighed by importance, after likelihood (arXiv:1702.07983)."""
    space = _space(situation, "maligan")
    plays = 2
    rounds, first, then = _phases(situation, plays)
    game = MaliGAN(
        net=speaker_of(space), pretrain=first, critic_pretrain=then, n_critic=plays, optim=_adams(situation, first, plays, then=1e-4),
        baseline=Linear(start=0.0, end=1.0, span=rounds * plays * (situation.batch or BATCH)),
    )  # fmt: skip
    return _told(situation, game, rounds, plays, {"pretrain": f"{first:,} rounds of likelihood, then {then:,} of the critic alone"})


def cot(situation: Situation) -> Suggestion:
    """Cooperative training from scratch, by a mediator (arXiv:1804.03782)."""
    space = _space(situation, "cot")
    epochs = 30 if situation.rounds is None else situation.rounds * (situation.batch or BATCH) / situation.count
    lr = Cosine(start=5e-3, end=5e-4, span=epochs * situation.count)
    adam, net = Adam(lr=lr, betas=(0.9, 0.999), clip=5.0), speaker_of(space)
    game = CoT(net=replace(net, dropout=0.0), mediator_net=net, optim={"G": adam, "M": adam}, ema={"G": Average(half_life=5_000)})
    return _suggest(situation, game, BATCH, epochs, {"net": "rnn: the speaker and the mediator alike, the latter with dropout"})


def textgail(situation: Situation) -> Suggestion:
    """Pairs, proximal policy optimisation and demonstrations (arXiv:2004.13796), on a small speaker after likelihood instead of a pretrained one."""
    space = _space(situation, "textgail")
    plays = 4
    rounds, first, then = _phases(situation, plays)
    game = TextGAIL(
        net=speaker_of(space), judge_net=RecurrentCritic(width=128), pretrain=first, critic_pretrain=then, parts=plays,
        demos=Linear(start=0.6, end=0.0, span=rounds * plays * (situation.batch or BATCH)),
        optim=_adams(situation, first, plays, then=1e-4, critic=5e-4),
    )  # fmt: skip
    return _told(situation, game, rounds, plays, {"pretrain": f"{first:,} rounds of likelihood, then {then:,} of the critic alone"})


def selfgan(situation: Situation) -> Suggestion:
    """The best of four by the critic, learnt by likelihood beside the data (the type of arXiv:2106.06363)."""
    space = _space(situation, "selfgan")
    plays = 1
    rounds, first, then = _phases(situation, plays)
    game = SelfGAN(net=speaker_of(space), pretrain=first, critic_pretrain=then, optim=_adams(situation, first, plays, then=3e-4))
    return _told(situation, game, rounds, plays, {"pretrain": f"{first:,} rounds of likelihood, then {then:,} of the critic alone"})


RECIPES = (
    Recipe(name="seqgan", title="SeqGAN: REINFORCE with roll-outs", paper="arXiv:1609.05473", build=seqgan),
    Recipe(name="maligan", title="MaliGAN: own sentences weighed by importance", paper="arXiv:1702.07983", build=maligan),
    Recipe(name="cot", title="Cooperative training by a mediator", paper="arXiv:1804.03782", build=cot),
    Recipe(name="textgail", title="TextGAIL: pairs, PPO, demonstrations", paper="arXiv:2004.13796", build=textgail),
    Recipe(name="selfgan", title="SelfGAN type: the best of k, learnt by likelihood", paper="arXiv:2106.06363", build=selfgan),
)
