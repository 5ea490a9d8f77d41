"""Recipes for text games through which gradients flow. Sizes are for two processor cores; where a paper's differ, the reason says so."""

from __future__ import annotations

from dataclasses import replace

from agon.games.catgan import CatGAN
from agon.games.latent_text import LatentText
from agon.games.relgan import RelGAN
from agon.losses import Logistic
from agon.networks.text import Speaker
from agon.networks.text.memory import Memory
from agon.networks.text.multi import MultiCritic
from agon.networks.text.reader import Reader
from agon.networks.text.recurrent import Recurrent
from agon.optim import Adam, Average
from agon.recipes import Recipe, Situation, Suggestion
from agon.recipes.text import METRICS, _space, epochs_of, rate_of, speaker_of
from agon.schedule import Cosine, Exponential

BATCH = 64
ROUNDS = 300  # of the game after likelihood
LATENT = 25  # epochs of an autoencoder and its GAN
SHARE = 0.85  # of the rounds asked for that are likelihood, at most: a round of the game costs several of these


def _soft(situation: Situation, game: RelGAN | CatGAN, net: Speaker, reasons: dict[str, str]) -> Suggestion:
    """A game of soft words in two parts: likelihood with its own falling rate, then the game with β rising to its end."""
    batch = situation.batch or BATCH
    space = _space(situation, "text")
    before = max(1, round(epochs_of(space) * situation.count / batch))
    if situation.rounds is not None:
        before = min(before, int(SHARE * situation.rounds))
    rounds = situation.rounds or before + ROUNDS
    fall = Cosine(start=max(3e-3, rate_of(space)) if isinstance(net, Recurrent) else 3e-3, end=1e-4, span=before * batch)
    game = replace(
        game, net=net, pretrain=before, beta=Exponential(start=1.0, end=100.0, span=max(1, rounds - before) * batch),
        optim={"G": Adam(lr=fall, betas=(0.9, 0.999), clip=5.0), "D": Adam(lr=1e-4, betas=(0.9, 0.999), clip=5.0)},
        ema={"G": Average(half_life=2_000)},
    )  # fmt: skip
    told = {
        "batch": "asked for" if situation.batch else f"{batch}: sentences a round",
        "rounds": f"{rounds:,}: {before:,} of likelihood, {before * batch / situation.count:.3g} times through the sentences, then the game",
    }
    return Suggestion(game=game, rounds=rounds, batch=batch, metrics=METRICS, reasons={**told, **reasons})


def relgan(situation: Situation) -> Suggestion:
    """Relational memory, soft words, relativistic pairs (Nie et al. 2019)."""
    _space(situation, "relgan")
    game = RelGAN(judge_net=MultiCritic(views=8, embed=8))
    return _soft(
        situation, game, Memory(embed=64, dropout=0.2), {"net": "memory of 2 heads of 128, judged through 8 embeddings: the paper's are 2 of 256 and 64"}
    )  # fmt: skip


def gsgan(situation: Situation) -> Suggestion:
    """The plain Gumbel-softmax GAN: an LSTM, logistic loss (Kusner & Hernández-Lobato 2016, arXiv:1611.04051)."""
    net = speaker_of(_space(situation, "gsgan"))
    game = RelGAN(judge_net=MultiCritic(views=8, embed=8), loss=Logistic())
    return _soft(situation, game, net, {"net": f"rnn: one LSTM of {net.width}"})


def catgan(situation: Situation) -> Suggestion:
    """Sentences of categories, pairs within each (Liu et al. 2020, arXiv:1911.06641)."""
    _space(situation, "catgan")
    game = CatGAN(judge_net=MultiCritic(views=8, embed=8))
    return _soft(situation, game, Memory(embed=64, dropout=0.2), {"net": "memory of 2 heads of 128, judged through 8 embeddings"})


def _latent(situation: Situation, name: str, game: LatentText) -> Suggestion:
    _space(situation, name)
    net = Recurrent(width=256, embed=128, dropout=0.3, tied=True, label_dim=128)
    game = replace(game, net=net, read=Reader(dropout=0.3))
    batch = situation.batch or BATCH
    rounds = situation.rounds or max(200, round(LATENT * situation.count / (batch * game.n_critic)))
    reasons = {
        "batch": "asked for" if situation.batch else f"{batch}: sentences a play",
        "rounds": f"{rounds:,}: {rounds * batch * game.n_critic / situation.count:.3g} times through the sentences",
        "net": "a GRU each way of 256, codes of 128, an LSTM of 256",
    }
    return Suggestion(game=game, rounds=rounds, batch=batch, metrics=METRICS, reasons=reasons)


def arae(situation: Situation) -> Suggestion:
    """A GAN in the codes of a text autoencoder, Wasserstein with a bounded slope (Zhao et al. 2018, arXiv:1706.04223)."""
    return _latent(situation, "arae", LatentText())


def tilgan(situation: Situation) -> Suggestion:
    """The same with a logistic critic and the generator's weight e^D (Diao et al. 2021)."""
    return _latent(situation, "tilgan", LatentText(loss="kl", penalty=1.0))


def taylorgan(situation: Situation) -> Suggestion:
    """REINFORCE whose reward the critic's slope spreads to neighbouring words (arXiv:2011.13527), after likelihood."""
    net = speaker_of(_space(situation, "taylorgan"))
    game = RelGAN(judge_net=MultiCritic(views=8, embed=8), estimator="taylor", loss=Logistic())
    return _soft(situation, game, net, {"net": f"rnn: one LSTM of {net.width}"})


RECIPES = (
    Recipe(name="relgan", title="RelGAN: soft words against a relativistic critic", paper="ICLR 2019", build=relgan),
    Recipe(name="gsgan", title="Gumbel-softmax GAN of sentences", paper="arXiv:1611.04051", build=gsgan),
    Recipe(name="taylorgan", title="REINFORCE spread by the critic's slope", paper="arXiv:2011.13527", build=taylorgan),
    Recipe(name="catgan", title="CatGAN: sentences of categories in soft words", paper="arXiv:1911.06641", build=catgan),
    Recipe(name="arae", title="A GAN in the codes of a text autoencoder", paper="arXiv:1706.04223", build=arae),
    Recipe(name="tilgan", title="The same with the generator's weight of TILGAN", paper="ACL Findings 2021", build=tilgan),
)
