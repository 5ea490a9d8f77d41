"""The classical image GANs as presets of one game: a loss, penalties and a network each.

Learning rates, betas, batches and plays of the critic are the papers'. Where a CPU asks for others (fewer plays, smaller batches, higher rates in
short runs), a reason printed with the run says so.
"""

from __future__ import annotations

from dataclasses import replace

from agon.games.gan import GAN
from agon.losses import Hinge, LeastSquares, Relativistic, Wasserstein
from agon.networks import Network
from agon.networks.biggan import BigGAN
from agon.networks.dcgan import DCGAN, PeerDCGAN
from agon.networks.fastgan import FastGAN
from agon.networks.mlp import MLP
from agon.networks.sagan import SAGAN
from agon.networks.sngan import SNResNet
from agon.networks.stylegan2 import StyleGAN2
from agon.optim import Adam, Optimiser, RMSprop
from agon.penalties import DRAGAN, R1, GradientPenalty, Orthogonal, PathLength, Reconstruction, WeightClip
from agon.recipes import Recipe, Situation, Suggestion, no_text, only_pictures
from agon.recipes.images import METRICS, for_few, gamma_for, length
from agon.schedule import Cosine

POINT_METRICS = ("modes",)


def _both(optimiser: Adam | RMSprop) -> dict[str, Adam | RMSprop]:
    return {"G": optimiser, "D": optimiser}


CPU_BATCH = 32
# Times the papers' learning rates, with which short runs begin and end; measured by benchmarks/rates.py.
AS_PUBLISHED, SLOW, CLIPPED, STYLED = (1.0, 1.0), (3.0, 0.3), (10.0, 10.0), (2.0, 2.0)
SHORT = 50_000  # rounds; the papers' rates are for this many or more


def _suggestion(
    situation: Situation, game: GAN, batch: int, images: float, reasons: dict[str, str] | None = None, *,
    haste: tuple[float, float] = AS_PUBLISHED,
) -> Suggestion:  # fmt: skip
    """A run of this game over about so many images: with the batch asked for, else the paper's, else fewer on a CPU or for few samples; with the
    game's learning rates, in a short run on a CPU `haste` times these at its beginning and end."""
    size, why_batch = _batch(situation, batch)
    rounds, why = length(situation, size, images)
    metrics = METRICS if situation.pixels else POINT_METRICS
    augment, why_augmented = for_few(situation) if situation.pixels else (None, {})
    every = {**(reasons or {}), **why_batch, **why_augmented, "rounds": why}
    if situation.pixels and situation.device != "cuda" and rounds < SHORT and haste != AS_PUBLISHED:
        game, why = _hastened(game, haste, rounds, rounds * size)
        every["lr"] = f"{why}; {every['lr']}" if "lr" in every else why
    return Suggestion(game=replace(game, augment=augment), rounds=rounds, batch=size, metrics=metrics, reasons=every)


def _hastened(game: GAN, haste: tuple[float, float], rounds: int, span: float) -> tuple[GAN, str]:
    """The game with its learning rates `haste` times what they are, from the first to the last round, and the reason."""
    rates, quick = dict[str, str](), dict[str, Optimiser]()
    for name, spec in game.optim.items():
        assert isinstance(spec.lr, float)
        start, end = (float(f"{times * spec.lr:.2g}") for times in haste)
        rates[name] = f"{start:g} falling to {end:g}" if end < start else f"{start:g}"
        quick[name] = replace(spec, lr=Cosine(start=start, end=end, span=span) if end < start else start)
    alike = len(set(rates.values())) == 1
    told = rates["G"] if alike else ", ".join(f"{name} {rate}" for name, rate in rates.items())
    begins = "begins" if haste[1] < haste[0] else "is"
    why = f"{told}: it {begins} at {haste[0]:g} times what is published, for far longer runs than {rounds:,} rounds (docs/benchmarks.md)"
    return replace(game, optim=quick), why


def _batch(situation: Situation, paper: int) -> tuple[int, dict[str, str]]:
    """The batch asked for, else the paper's, else fewer on a CPU or for few samples; and the reason."""
    if situation.batch:
        return situation.batch, {"batch": "asked for"}
    size = min(paper, max(16, situation.count // 4))
    if situation.device == "cpu" and situation.pixels and size > CPU_BATCH:
        return CPU_BATCH, {"batch": f"{CPU_BATCH} on a cpu: more rounds in the same time; the paper's is {paper}"}
    return size, {}


def _conv(situation: Situation, critic_norm: str = "batch") -> tuple[DCGAN, dict[str, str]]:
    """The DCGAN network at its published width, or half of it on a CPU."""
    if situation.device == "cuda":
        return DCGAN(critic_norm=critic_norm), {"net": "width 64: as published"}  # type: ignore[arg-type]
    return DCGAN(width=32, critic_norm=critic_norm), {"net": f"width 32 on a {situation.device}; the paper's is 64"}  # type: ignore[arg-type]


def _plays(situation: Situation, paper: int, cpu: int) -> tuple[int, str]:
    """Plays of the critic in a round, and the reason."""
    if situation.device == "cuda":
        return paper, f"{paper}: the paper's"
    return cpu, f"{cpu} on a {situation.device}, where plays are dear; the paper's is {paper}"


# -- perceptrons and DCGAN -----------------------------------------------------------------------------------------------------------


def gan(situation: Situation) -> Suggestion:
    """The first GAN: perceptrons and the non-saturating loss (arXiv:1406.2661)."""
    no_text(situation, "gan")
    return _suggestion(situation, GAN(net=MLP(width=512 if situation.pixels else 128)), 64, 600_000)


def dcgan(situation: Situation) -> Suggestion:
    """DCGAN: batch normalisation in both players, Adam 2e-4 with β1 0.5 (arXiv:1511.06434)."""
    only_pictures(situation, "dcgan")
    net, reasons = _conv(situation)
    return _suggestion(situation, GAN(z_dim=100, net=net), 128, 200_000, reasons)


def dcgan_peer(situation: Situation) -> Suggestion:
    """The DCGAN of a widely copied tutorial repository, the baseline of our benchmark; its own settings, no averaging."""
    only_pictures(situation, "dcgan-peer")
    batch = situation.batch or 64
    rounds, why = length(situation, batch, 200_000)
    game = GAN(z_dim=100, net=PeerDCGAN(), ema={})
    return Suggestion(game=game, rounds=rounds, batch=batch, metrics=METRICS, reasons={"rounds": why})


def lsgan(situation: Situation) -> Suggestion:
    """Least squares on the DCGAN network (arXiv:1611.04076, sec. 3, its 0-1 coding); Adam 2e-4, β1 0.5."""
    only_pictures(situation, "lsgan")
    net, reasons = _conv(situation)
    return _suggestion(situation, GAN(z_dim=100, loss=LeastSquares(), net=net), 64, 200_000, reasons)


def wgan(situation: Situation) -> Suggestion:
    """Wasserstein with clipped weights: c 0.01, RMSprop 5e-5, five plays of the critic, batch 64 (arXiv:1701.07875, algorithm 1)."""
    only_pictures(situation, "wgan")
    net, reasons = _conv(situation)
    game = GAN(z_dim=100, loss=Wasserstein(), penalties=(WeightClip(),), net=net, n_critic=5, optim=_both(RMSprop(lr=5e-5)))
    return _suggestion(situation, game, 64, 200_000, reasons, haste=CLIPPED)


def wgan_gp(situation: Situation) -> Suggestion:
    """Wasserstein with the one-centred gradient penalty: λ 10, Adam 1e-4 (0, 0.9), batch 64 (arXiv:1704.00028, algorithm 1)."""
    only_pictures(situation, "wgan-gp")
    net, reasons = _conv(situation, "none")
    plays, reasons["n_critic"] = _plays(situation, 5, 2)
    rate = 1e-4 if situation.device == "cuda" else 2e-4
    reasons["lr"] = f"{rate:g}" + ("" if rate == 1e-4 else ": for shorter runs; the paper's is 1e-4, and 2e-4 for its residual networks")
    game = GAN(
        z_dim=128, loss=Wasserstein(), penalties=(GradientPenalty(),), net=net, n_critic=plays, optim=_both(Adam(lr=rate, betas=(0.0, 0.9)))
    )
    return _suggestion(situation, game, 64, 200_000, reasons)


def dragan(situation: Situation) -> Suggestion:
    """Logistic with the one-centred penalty around reals: λ 10, Adam 2e-4, β1 0.5 (arXiv:1705.07215)."""
    only_pictures(situation, "dragan")
    net, reasons = _conv(situation, "none")
    return _suggestion(situation, GAN(z_dim=100, penalties=(DRAGAN(),), net=net), 64, 200_000, reasons)


def rsgan(situation: Situation) -> Suggestion:
    """Relativistic pairs on a spectrally normalised DCGAN: Adam 2e-4 (0.5, 0.999), one play, batch 32 (arXiv:1807.00734, sec. 5)."""
    only_pictures(situation, "rsgan")
    net, reasons = _conv(situation, "spectral")
    return _suggestion(situation, GAN(z_dim=128, loss=Relativistic(), net=net), 32, 200_000, reasons)


def ragan(situation: Situation) -> Suggestion:
    """Relativistic averages on a spectrally normalised DCGAN; the settings of `rsgan` (arXiv:1807.00734)."""
    only_pictures(situation, "ragan")
    net, reasons = _conv(situation, "spectral")
    return _suggestion(situation, GAN(z_dim=128, loss=Relativistic(averaged=True), net=net), 32, 200_000, reasons)


def acgan(situation: Situation) -> Suggestion:
    """An auxiliary classifier beside the critic: Adam 2e-4, β1 0.5, batch 100 (arXiv:1610.09585, appendix A)."""
    only_pictures(situation, "acgan")
    net, reasons = _conv(situation)
    game = GAN(z_dim=100, conditional=True, net=net, head="auxiliary", aux_fake=0.0)
    reasons = {**reasons, "aux_fake": "0: from fakes the critic learns the generator's convention of classes, whatever they look like"}
    return _suggestion(situation, game, 100, 200_000, reasons)


# -- residual networks, styles, few pictures --------------------------------------------------------------------------------------------


def _lean(situation: Situation, net: Network, paper: Network) -> tuple[Network, dict[str, str]]:
    """The network at its published widths on a GPU, lean elsewhere."""
    if situation.device == "cuda":
        return paper, {"net": "as published"}
    return net, {"net": f"lean widths on a {situation.device}; the paper's on a GPU"}


def _residual(situation: Situation, name: str, *, conditional: bool) -> Suggestion:
    only_pictures(situation, name)
    plays, why = _plays(situation, 5, 1)
    net, reasons = _lean(situation, SNResNet(), SNResNet.paper(max(situation.space.shape[1:])))
    game = GAN(conditional=conditional, z_dim=128, loss=Hinge(), net=net, n_critic=plays, optim=_both(Adam(lr=2e-4, betas=(0.0, 0.9))))
    return _suggestion(situation, game, 64, 200_000, {**reasons, "n_critic": why}, haste=SLOW)


def sngan(situation: Situation) -> Suggestion:
    """Spectral normalisation and hinge on residual networks: Adam 2e-4 (0, 0.9), five plays, batch 64 (arXiv:1802.05957, app. B)."""
    return _residual(situation, "sngan", conditional=False)


def sngan_projection(situation: Situation) -> Suggestion:
    """SNGAN with the class projected in the critic and conditional batch norm in the generator (arXiv:1802.05637)."""
    return _residual(situation, "sngan-projection", conditional=True)


def sagan(situation: Situation) -> Suggestion:
    """Self-attention, spectral normalisation in both players: Adam 1e-4 and 4e-4 (0, 0.9), one play (arXiv:1805.08318, sec. 4.2)."""
    only_pictures(situation, "sagan")
    net, reasons = _lean(situation, SAGAN(), SAGAN.paper())
    optim = {"G": Adam(lr=1e-4, betas=(0.0, 0.9)), "D": Adam(lr=4e-4, betas=(0.0, 0.9))}
    game = GAN(conditional=True, z_dim=128, loss=Hinge(), net=net, optim=optim)
    return _suggestion(situation, game, 64, 200_000, reasons, haste=SLOW)


def biggan(situation: Situation) -> Suggestion:
    """BigGAN with orthogonal regularisation: Adam (0, 0.999), two plays (arXiv:1809.11096, sec. 3)."""
    only_pictures(situation, "biggan")
    plays, why = _plays(situation, 2, 1)
    net, reasons = _lean(situation, BigGAN(), BigGAN.paper())
    game = GAN(
        conditional=True, z_dim=80, loss=Hinge(), penalties=(Orthogonal(),), net=net, n_critic=plays,
        optim=_both(Adam(lr=2e-4, betas=(0.0, 0.999))),
    )  # fmt: skip
    rate = "2e-4 is usual for batches of 64; the paper's 5e-5 and 2e-4 go with 2048"
    return _suggestion(situation, game, 64, 200_000, {**reasons, "n_critic": why, "lr": rate}, haste=SLOW)


def stylegan2(situation: Situation) -> Suggestion:
    """StyleGAN2: R1 every 16 rounds, path length every 8, style mixing 0.9, Adam 2.5e-3 (0, 0.99) (arXiv:1912.04958; rate: 2006.06676)."""
    only_pictures(situation, "stylegan2")
    net, reasons = _lean(situation, StyleGAN2(), StyleGAN2.paper())
    if situation.device == "cuda":
        gamma = 2e-4 * situation.pixels / _batch(situation, 32)[0]
        why = f"{gamma:.3g}: 0.0002 · pixels / batch, the published rule (arXiv:2006.06676, its code)"
    else:
        gamma = gamma_for(situation.pixels) / 10
        why = f"{gamma:.3g}: 0.1 at 32×32, in proportion to the pixels, as measured on a CPU; on a GPU the published rule, 0.0002 · pixels / batch"
    game = GAN(
        conditional=True, z_dim=64 if situation.device != "cuda" else 512, net=net, mixing=0.9,
        penalties=(R1(gamma=gamma, every=16), PathLength()), optim=_both(Adam(lr=2.5e-3, betas=(0.0, 0.99))),
    )  # fmt: skip
    reasons["gamma"] = why
    return _suggestion(situation, game, 32, 200_000, reasons, haste=STYLED)


def fastgan(situation: Situation) -> Suggestion:
    """FastGAN for few pictures: hinge, a critic that redraws reals, Adam 2e-4 (0.5, 0.999), batch 8 (arXiv:2101.04775)."""
    only_pictures(situation, "fastgan")
    net, reasons = _lean(situation, FastGAN(), FastGAN.paper())
    game = GAN(z_dim=256, loss=Hinge(), penalties=(Reconstruction(),), net=net)
    return _suggestion(situation, game, 8, 100_000, reasons)


RECIPES = (
    Recipe(name="gan", title="the first GAN: perceptrons, non-saturating", paper="arXiv:1406.2661", build=gan),
    Recipe(name="dcgan", title="convolutions with batch normalisation", paper="arXiv:1511.06434", build=dcgan),
    Recipe(name="dcgan-peer", title="a much-copied tutorial DCGAN, the baseline", paper="arXiv:1511.06434", build=dcgan_peer),
    Recipe(name="lsgan", title="least squares", paper="arXiv:1611.04076", build=lsgan),
    Recipe(name="wgan", title="Wasserstein, clipped weights", paper="arXiv:1701.07875", build=wgan),
    Recipe(name="wgan-gp", title="Wasserstein, one-centred gradient penalty", paper="arXiv:1704.00028", build=wgan_gp),
    Recipe(name="dragan", title="one-centred penalty around reals", paper="arXiv:1705.07215", build=dragan),
    Recipe(name="rsgan", title="relativistic pairs, spectral normalisation", paper="arXiv:1807.00734", build=rsgan),
    Recipe(name="ragan", title="relativistic averages, spectral normalisation", paper="arXiv:1807.00734", build=ragan),
    Recipe(name="acgan", title="auxiliary classifier, by class", paper="arXiv:1610.09585", build=acgan),
    Recipe(name="sngan", title="residual networks, spectral normalisation, hinge", paper="arXiv:1802.05957", build=sngan),
    Recipe(name="sngan-projection", title="the same, by class, with a projection", paper="arXiv:1802.05637", build=sngan_projection),
    Recipe(name="sagan", title="self-attention, two learning rates", paper="arXiv:1805.08318", build=sagan),
    Recipe(name="biggan", title="latent and class to every block, orthogonal weights", paper="arXiv:1809.11096", build=biggan),
    Recipe(name="stylegan2", title="styles, lazy R1 and path length", paper="arXiv:1912.04958", build=stylegan2),
    Recipe(name="fastgan", title="few pictures; the critic redraws them", paper="arXiv:2101.04775", build=fastgan),
)
