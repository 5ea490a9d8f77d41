"""Baselines that are not GANs, for pictures and points; lengths are for two CPU cores. `docs/baselines.md` says why they are here."""

from __future__ import annotations

from agon.games.autoencoder import Autoencoder
from agon.games.flow import Flow
from agon.games.vae import VAE
from agon.games.vaegan import VAEGAN
from agon.networks.codec import Codec, FlatCodec
from agon.networks.unet import FlatVelocity, UNet
from agon.optim import Adam, Average
from agon.recipes import Recipe, Situation, Suggestion, no_text
from agon.schedule import Cosine, Warmup


def _plan(situation: Situation, batch: int, images: int, points: int = 500_000) -> tuple[int, int, dict[str, str]]:
    """Batch, rounds, and the reasons: about so many samples seen."""
    size = situation.batch or (batch if situation.pixels else 256)
    wanted = images if situation.pixels else points
    rounds = situation.rounds or max(200, round(wanted / size))
    return size, rounds, {
        "batch": "asked for" if situation.batch else f"{size}: the batch the rates were tried with",
        "rounds": "asked for" if situation.rounds else f"{rounds:,}: {rounds * size:,} samples seen",
    }  # fmt: skip


def _metrics(situation: Situation) -> tuple[str, ...]:
    return ("fd", "prdc") if situation.pixels else ("modes",)


def _falling(rounds: int, batch: int, start: float, betas: tuple[float, float], clip: float | None = 10.0) -> Adam:
    span = rounds * batch
    lr = Warmup(then=Cosine(start=start, end=start / 50, span=span), span=min(3_200, 0.1 * span))
    return Adam(lr=lr, betas=betas, clip=clip)


def autoencoder(situation: Situation) -> Suggestion:
    """Reconstruction, and a Gaussian on the codes (arXiv:1903.12436)."""
    no_text(situation, "autoencoder")
    batch, rounds, reasons = _plan(situation, 64, 200_000)
    adam = _falling(rounds, batch, 2e-3, (0.9, 0.99))
    game = Autoencoder(
        z_dim=16 if situation.pixels else 2, net=Codec() if situation.pixels else FlatCodec(), optim={"E": adam, "G": adam}
    )  # fmt: skip
    return Suggestion(game=game, rounds=rounds, batch=batch, metrics=_metrics(situation), reasons=reasons)


def vae(situation: Situation) -> Suggestion:
    """The bound on the likelihood with a learnt scale (arXiv:1312.6114, 2006.13202)."""
    no_text(situation, "vae")
    batch, rounds, reasons = _plan(situation, 64, 200_000)
    adam = _falling(rounds, batch, 2e-3, (0.9, 0.99))
    beta = 4.0 if situation.pixels else 1.0
    reasons["beta"] = f"{beta:g}: " + (
        "above 1, so that codes fill the prior and fewer samples fall between them" if beta > 1 else "the bound"
    )
    game = VAE(
        beta=beta, z_dim=16 if situation.pixels else 2, net=Codec() if situation.pixels else FlatCodec(), optim={"E": adam, "G": adam}
    )
    return Suggestion(game=game, rounds=rounds, batch=batch, metrics=_metrics(situation), reasons=reasons)


def vae_gan(situation: Situation) -> Suggestion:
    """A VAE judged in a critic's feature space (arXiv:1512.09300)."""
    no_text(situation, "vae-gan")
    batch, rounds, reasons = _plan(situation, 32, 96_000)
    adam = _falling(rounds, batch, 2e-3, (0.0, 0.99))
    gamma = situation.pixels / 1024 if situation.pixels else 0.05
    game = VAEGAN(
        z_dim=32 if situation.pixels else 2, r1=Cosine(start=gamma, end=gamma / 10, span=rounds * batch),
        net=Codec() if situation.pixels else FlatCodec(), optim=dict.fromkeys("EGD", adam),
    )  # fmt: skip
    reasons["r1"] = f"{gamma:.3g} falling to {gamma / 10:.3g}: as in the recipe r3gan"
    return Suggestion(game=game, rounds=rounds, batch=batch, metrics=_metrics(situation), reasons=reasons)


def flow(situation: Situation) -> Suggestion:
    """Flow matching on straight paths (arXiv:2210.02747, 2209.03003)."""
    no_text(situation, "flow")
    batch, rounds, reasons = _plan(situation, 64, 128_000, points=1_000_000)
    adam = _falling(rounds, batch, 2e-3, (0.9, 0.99), clip=1.0)
    half_life = min(10_000, 0.05 * rounds * batch)
    game = Flow(net=UNet() if situation.pixels else FlatVelocity(), optim={"G": adam}, ema={"G": Average(half_life=half_life)})
    reasons["steps"] = (
        f"{game.steps} of {game.solver}, {2 * game.steps} evaluations of the network a sample; --game.steps changes it, also after training"
    )
    return Suggestion(game=game, rounds=rounds, batch=batch, metrics=_metrics(situation), reasons=reasons)


RECIPES = (
    Recipe(name="autoencoder", title="no GAN: reconstruction, Gaussian on the codes", paper="arXiv:1903.12436", build=autoencoder),
    Recipe(name="vae", title="no GAN: bound on the likelihood, learnt scale", paper="arXiv:1312.6114", build=vae),
    Recipe(name="vae-gan", title="half a GAN: VAE judged by a critic's features", paper="arXiv:1512.09300", build=vae_gan),
    Recipe(name="flow", title="no GAN: flow matching, few-step sampling", paper="arXiv:2210.02747", build=flow),
)
