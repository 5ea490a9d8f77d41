"""Recipes for text. Sizes are for two processor cores; where a paper's differ, the reason says so."""

from __future__ import annotations

from dataclasses import replace

from agon.errors import InputError
from agon.game import Game
from agon.games.likelihood import Likelihood
from agon.games.residual import Residual
from agon.games.scratchgan import ScratchGAN
from agon.networks.text.conv import ConvCritic
from agon.networks.text.pretrained import PretrainedCritic
from agon.networks.text.recurrent import Recurrent, RecurrentCritic
from agon.optim import Adam, Average
from agon.recipes import Recipe, Situation, Suggestion
from agon.schedule import Cosine
from agon.spaces import Tokens

# Cheap enough for training; the first chooses the best state, so it must see quality and diversity both.
METRICS: tuple[str, ...] = ("fd", "bleu4", "self_bleu4", "unique")
EPOCHS = 6  # of the likelihood baseline: within five minutes for ten thousand sentences on two cores
DROPOUT = 0.3  # of its speaker; .5 takes ten times through the sentences for as much (docs/log.md)
RANDOM_EPOCHS = 2.5  # in a random language, whose sentences are learnt by heart sooner than its rule (docs/log.md)
LEAST_ROUNDS = 200
JUDGED = 300  # rounds of a pretrained critic (docs/log.md)


def _space(situation: Situation, name: str) -> Tokens:
    if not isinstance(situation.space, Tokens):
        raise InputError(
            f"recipe '{name}' makes sentences, and the data are {situation.space.describe()}; give text (.txt, .jsonl, .csv, or the embedded "
            "'sentences'), or take another recipe."
        )
    return situation.space


def _suggest(
    situation: Situation, game: Game, batch: int, epochs: float, reasons: dict[str, str] | None = None
) -> Suggestion:  # fmt: skip
    """A game for so many epochs, with the rounds and the batch asked for if they were."""
    reasons = dict(reasons or {})
    size = situation.batch or batch
    rounds = situation.rounds or max(LEAST_ROUNDS, round(epochs * situation.count / size))
    reasons["batch"] = "asked for" if situation.batch else f"{size}: sentences a round"
    reasons["rounds"] = (
        "asked for"
        if situation.rounds
        else f"{rounds:,}: {rounds * size / situation.count:.3g} times through {situation.count:,} sentences"
    )
    likely = ("nll_test",) if type(game).log_likelihood is not Game.log_likelihood else ()
    return Suggestion(game=game, rounds=rounds, batch=size, metrics=METRICS + likely, reasons=reasons)


def epochs_of(space: Tokens) -> float:
    """How many times through the sentences likelihood goes, alone or before a game."""
    return EPOCHS if space.ends else RANDOM_EPOCHS


def speaker_of(space: Tokens, dropout: float = DROPOUT) -> Recurrent:
    """The speaker of likelihood and of the games after it. Random languages of one length get a small one (docs/log.md)."""
    return Recurrent(width=256, embed=128, dropout=dropout, tied=True) if space.ends else Recurrent(width=64, embed=64)


def rate_of(space: Tokens) -> float:
    """The learning rate that likelihood begins with (docs/log.md)."""
    return 5e-3 if space.ends else 1e-2


def likelihood(situation: Situation) -> Suggestion:
    """Next-token prediction, the baseline that no text GAN may be shown without (arXiv:1811.02549)."""
    space = _space(situation, "likelihood")
    batch = situation.batch or 64
    own = epochs_of(space)
    epochs = own if situation.rounds is None else situation.rounds * batch / situation.count
    span = epochs * situation.count
    adam = Adam(lr=Cosine(start=rate_of(space), end=rate_of(space) / 20, span=span), betas=(0.9, 0.999), clip=5.0)
    net = speaker_of(space)
    game = Likelihood(net=net, optim={"G": adam}, ema={"G": Average(half_life=5_000)})
    return _suggest(
        situation,
        game,
        64,
        own,
        {"net": f"rnn: one LSTM of {net.width}"},
    )


def scratchgan(situation: Situation) -> Suggestion:
    """REINFORCE with a reward a token, no pre-training (arXiv:1905.09922); its networks narrower, its batch smaller."""
    space = _space(situation, "scratchgan")
    game = ScratchGAN(net=speaker_of(space, 0.0), judge_net=RecurrentCritic(width=256))
    return _suggest(situation, game, 64, 200, {"batch": "64: the paper's is 512"})


def residual(situation: Situation) -> Suggestion:
    """Likelihood, and a critic that chooses among candidates (arXiv:2004.11714)."""
    space = _space(situation, "residual")
    batch = situation.batch or 64
    epochs = 2 * EPOCHS if situation.rounds is None else situation.rounds * batch / situation.count
    span = epochs * situation.count
    half = round(span / batch / 2)
    game = Residual(
        net=speaker_of(space), judge_net=ConvCritic(dropout=0.5), critic_start=half,
        optim={
            "G": Adam(lr=Cosine(start=rate_of(space), end=rate_of(space) / 20, span=span / 2), betas=(0.9, 0.999), clip=5.0),
            "D": Adam(lr=1e-3, betas=(0.9, 0.999), clip=5.0),
        },
        ema={"G": Average(half_life=5_000), "D": Average(half_life=5_000)},
    )  # fmt: skip
    return _suggest(situation, game, 64, 2 * EPOCHS, {"critic_start": f"{half:,}: half-way, when the speaker hardly changes any more"})


def residual_pretrained(situation: Situation) -> Suggestion:
    """The same with a critic that begins as a pretrained encoder, after the speaker, as the paper has it."""
    space = _space(situation, "residual-pretrained")
    own = max(LEAST_ROUNDS, round(EPOCHS * situation.count / (situation.batch or 64)))
    asked = situation.rounds or own + JUDGED
    half = max(1, min(own, round(asked * own / (own + JUDGED))))
    cpu = situation.device == "cpu"
    game = Residual(
        net=speaker_of(space), judge_net=PretrainedCritic(layers=3 if cpu else 0), critic_start=half, speaker_stop=half,
        optim={
            "G": Adam(lr=Cosine(start=rate_of(space), end=rate_of(space) / 20, span=half * (situation.batch or 64)), betas=(0.9, 0.999), clip=5.0),
            "D": Adam(lr=2e-4, betas=(0.9, 0.999), clip=5.0),
        },
        ema={"G": Average(half_life=5_000), "D": Average(half_life=2_000)},
    )  # fmt: skip
    reasons = {
        "critic_start": f"{half:,}: then the speaker rests",
        "judge_net.layers": "the lowest 3 of the encoder, for a processor" if cpu else "all of the encoder",
    }
    return _suggest(replace(situation, rounds=asked), game, 64, EPOCHS, reasons)


RECIPES = (
    Recipe(name="likelihood", title="Next-token prediction, the baseline of text", paper="arXiv:1811.02549", build=likelihood),
    Recipe(name="residual", title="Likelihood, and a critic that chooses among candidates", paper="arXiv:2004.11714", build=residual),
    Recipe(
        name="residual-pretrained",
        title="The same with a pretrained encoder as critic (--game.judge_net.folder)",
        paper="arXiv:2004.11714",
        build=residual_pretrained,
    ),
    Recipe(name="scratchgan", title="ScratchGAN: REINFORCE for every token, from scratch", paper="arXiv:1905.09922", build=scratchgan),
)
