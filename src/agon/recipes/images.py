"""R3GAN for pictures. Numbers of `r3gan` are from our sweep on two CPU cores (docs/log.md); `r3gan-paper` is the paper's."""

from __future__ import annotations

from typing import Literal

from agon.augment import Augment
from agon.games.r3gan import R3GAN
from agon.networks.r3 import R3Lean, R3Paper
from agon.optim import Adam, Average
from agon.recipes import Recipe, Situation, Suggestion, no_text, only_pictures
from agon.schedule import Cosine, Warmup

METRICS = ("fd", "prdc")
FEW = 1_000  # training pictures below which the critic is shown augmented ones

SMALL = 2_048  # pixels of a picture up to which each phase of the last layer has its own kernel


def gamma_for(pixels: int) -> float:
    """The weight of R1 and R2 for pictures of so many pixels: 1 at 32×32, in proportion to the number of pixels.

    The penalties sum over pixels, so γ must grow with their number (R3GAN: 0.05 at 32², 2 at 64², 150 at 256², with batches of 256 and more).
    At 32² and batch 32 our sweep found 1 and 3 alike and 0.3 clearly worse.
    """
    return pixels / 1024


def length(situation: Situation, batch: int, images: float) -> tuple[int, str]:
    """Rounds for about so many images, and the reason."""
    if situation.rounds:
        return situation.rounds, "asked for"
    rounds = max(200, round(images / batch))
    return rounds, f"{rounds:,}: {rounds * batch:,} images seen"


def for_few(situation: Situation) -> tuple[Augment | None, dict[str, str]]:
    """What the critic's pictures go through where there are fewer than FEW, and the reason; None, and no reason, for more."""
    if situation.count >= FEW:
        return None, {}
    # Grey pictures are only shifted: on 100 MNIST threes shifts helped, changes of colour harmed and cutouts harmed most (docs/small-data.md).
    grey = situation.space.shape[0] < 3
    kind = "adaptive shifts" if grey else "adaptive"
    why = f"{kind}: {situation.count:,} pictures are soon learnt by heart (below {FEW:,}); --game.augment null turns it off"
    return Augment(policy=("shift",)) if grey else Augment(), {"augment": why}


def r3gan(situation: Situation) -> Suggestion:
    """RpGAN + R1 + R2 with the lean network on a CPU and the paper's on a GPU."""
    no_text(situation, "r3gan")
    if situation.device == "cuda" and situation.count >= 5_000:
        return r3gan_paper(situation)
    batch = situation.batch or 32
    images = min(128_000 if situation.pixels >= 1024 else 64_000, max(32_000, 150 * situation.count))
    rounds, why = length(situation, batch, images)
    span = rounds * batch
    gamma = gamma_for(situation.pixels)
    last: Literal["own", "shared"] = "shared" if situation.pixels > SMALL else "own"
    augment, why_augmented = for_few(situation)
    lr = Warmup(then=Cosine(start=2e-3, end=2e-4, span=span), span=min(3_200, 0.1 * span))
    adam = Adam(lr=lr, betas=(0.0, Cosine(start=0.9, end=0.99, span=span)))
    game = R3GAN(
        z_dim=64, gamma=Cosine(start=gamma, end=gamma / 10, span=span), net=R3Lean(last=last), optim={"G": adam, "D": adam},
        ema={"G": Average(half_life=10_000, ramp=0.05)}, augment=augment,
    )  # fmt: skip
    reasons = {
        "net": f"lean: made for a {situation.device}; --recipe r3gan-paper takes the paper's",
        "gamma": f"{gamma:.3g} falling to {gamma / 10:.3g}: 1 at 32×32, in proportion to the pixels, here {situation.pixels:,}",
        "net.last": f"{last}: own kernels of the last layer are better up to 32×32, and draw a checkerboard on larger grids (docs/log.md)",
        "batch": "asked for" if situation.batch else f"{batch}: the batch our sweep was made with",
        "rounds": why,
        **why_augmented,
    }
    return Suggestion(game=game, rounds=rounds, batch=batch, metrics=METRICS, reasons=reasons)


def r3gan_paper(situation: Situation) -> Suggestion:
    """R3GAN at its published widths for CIFAR-10 and ImageNet-like sizes (arXiv:2501.05441, appendix); made for GPUs."""
    only_pictures(situation, "r3gan-paper")
    widths = {32: (768,) * 4, 64: (768, 768, 768, 768, 384), 256: (768, 768, 768, 768, 384, 192, 96)}
    side = max(situation.space.shape[1:])
    chosen = widths[min(widths, key=lambda s: abs(s - side))]
    batch = situation.batch or (512 if side <= 32 else 256)
    rounds, why = length(situation, batch, 20e6)
    span = rounds * batch
    gamma = {32: 0.05, 64: 2.0, 256: 150.0}[min(widths, key=lambda s: abs(s - side))]
    adam = Adam(lr=Cosine(start=2e-4, end=5e-5, span=span), betas=(0.0, Cosine(start=0.9, end=0.99, span=span)))
    augment, why_augmented = for_few(situation)
    game = R3GAN(
        z_dim=64, gamma=Cosine(start=gamma, end=gamma / 10, span=span), net=R3Paper(widths=chosen), optim={"G": adam, "D": adam},
        ema={"G": Average(half_life=5e6 if side <= 32 else 5e5)}, augment=augment,
    )  # fmt: skip
    reasons = {
        "net": "paper: as asked for, or a GPU with enough data",
        "gamma": f"{gamma:g} falling to {gamma / 10:g}: the paper's",
        "rounds": why,
        **why_augmented,
    }
    return Suggestion(game=game, rounds=rounds, batch=batch, metrics=METRICS, reasons=reasons)


RECIPES = (
    Recipe(name="r3gan", title="relativistic pair, R1 + R2, lean network", paper="arXiv:2501.05441", build=r3gan),
    Recipe(name="r3gan-paper", title="R3GAN at its published size, for GPUs", paper="arXiv:2501.05441", build=r3gan_paper),
)
