"""Every game obeys the laws, on every kind of space it is made for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
import torch
from sixteen_bits import check_fit_for_a_gpu
from torch import Tensor, nn

from agon import losses
from agon.augment import GROUPS, Adaptive, Augment
from agon.errors import InputError
from agon.game import Batch, Clock, Game, Players, Turn, lazily
from agon.games.autoencoder import Autoencoder
from agon.games.flow import Flow
from agon.games.gan import GAN
from agon.games.r3gan import R3GAN
from agon.games.vae import VAE
from agon.games.vaegan import VAEGAN
from agon.losses import Hinge, Logistic, Relativistic, Wasserstein
from agon.networks.codec import Codec, FlatCodec
from agon.networks.dcgan import DCGAN as ConvNet
from agon.networks.dcgan import PeerDCGAN
from agon.networks.fastgan import FastGAN
from agon.networks.mlp import MLP
from agon.networks.r3 import R3Lean, R3Paper
from agon.networks.stylegan2 import StyleGAN2
from agon.networks.unet import FlatVelocity, UNet
from agon.optim import Adam, RMSprop
from agon.penalties import DRAGAN, R1, R2, GradientPenalty, LeCam, Orthogonal, PathLength, Reconstruction, SpectralNorm, WeightClip
from agon.spaces import Image, Space, Vector
from agon.testing import check_game, check_microbatch, check_movers, check_ranks, check_resume, check_space

GREY = Image(channels=1, height=16, width=16)
CLASSES = Image(channels=3, height=16, width=16, classes=("a", "b", "c"))
TAGS = Image(channels=1, height=16, width=16, tags=("smile", "hat", "glasses"))
NUMBERS = Image(channels=1, height=16, width=16, numbers=("age", "height"))
ANGLES = Vector(dim=2, numbers=("angle",))
ODD = Image(channels=1, height=14, width=11)
POINTS = Vector(dim=2)
SLOW = {k: RMSprop(lr=5e-5) for k in "GD"}
STYLED = StyleGAN2(base=64, most=8, w_dim=8)
LEAN, PERCEPTRON = R3Lean(widths=(16, 8)), MLP(width=32, depth=2)
CODEC, FLAT = Codec(widths=(16, 8)), FlatCodec(width=32, depth=2)
SMALL = UNet(widths=(8, 16), embed_dim=16)

CASES = {
    "r3gan lean": (R3GAN(net=LEAN), GREY),
    "r3gan lean, classes": (R3GAN(net=LEAN), CLASSES),
    "r3gan lean, tags": (R3GAN(net=LEAN), TAGS),
    "r3gan lean, numbers": (R3GAN(net=LEAN), NUMBERS),
    "r3gan points, numbers": (R3GAN(net=PERCEPTRON), ANGLES),
    "r3gan lean, odd size": (R3GAN(net=LEAN), ODD),
    "r3gan paper": (R3GAN(net=R3Paper(widths=(32, 16, 16), group_width=8)), GREY),
    "r3gan points": (R3GAN(net=PERCEPTRON), POINTS),
    "gan pictures": (GAN(net=PERCEPTRON), GREY),
    "gan points": (GAN(net=PERCEPTRON), POINTS),
    "gan saturating": (GAN(net=PERCEPTRON, loss=Logistic(saturating=True)), POINTS),
    "wgan": (GAN(net=PERCEPTRON, loss=Wasserstein(), penalties=(WeightClip(),), n_critic=3, optim=SLOW), POINTS),
    "wgan-gp": (GAN(net=PERCEPTRON, loss=Wasserstein(), penalties=(GradientPenalty(),), n_critic=2), POINTS),
    "lazy r1, lecam": (GAN(net=PERCEPTRON, conditional=True, penalties=(R1(every=4), LeCam())), CLASSES),
    "lazy lecam, spectral": (GAN(net=LEAN, conditional=True, loss=Wasserstein(), penalties=(SpectralNorm(), LeCam(every=3))), CLASSES),
    "acgan, both slopes": (GAN(net=LEAN, conditional=True, head="auxiliary", penalties=(R1(), R2())), CLASSES),
    "dragan, orthogonal": (GAN(net=LEAN, conditional=True, head="concat", penalties=(DRAGAN(), Orthogonal(every=2))), CLASSES),
    "stylegan2": (GAN(net=STYLED, conditional=True, mixing=0.9, penalties=(R1(every=3), PathLength(every=2))), CLASSES),
    "stylegan2, noise": (GAN(net=replace(STYLED, noise="drawn"), mixing=0.9, penalties=(PathLength(every=2),)), GREY),
    "stylegan2, noise, not mixed": (GAN(net=replace(STYLED, noise="drawn")), GREY),
    "fastgan": (GAN(net=FastGAN(widths=(8,), critic_widths=(8,)), loss=Hinge(), penalties=(Reconstruction(),)), GREY),
    "rsgan": (GAN(net=ConvNet(width=8, critic_norm="spectral"), loss=Relativistic()), GREY),
    "dcgan": (GAN(net=ConvNet(width=8)), GREY),
    "dcgan peer": (GAN(net=PeerDCGAN()), GREY),
    "autoencoder": (Autoencoder(net=CODEC, z_dim=4), ODD),
    "autoencoder, classes": (Autoencoder(net=CODEC, z_dim=4), CLASSES),
    "vae": (VAE(net=CODEC, z_dim=4), ODD),
    "vae, classes, grey levels": (VAE(net=CODEC, z_dim=4, likelihood="logistic"), CLASSES),
    "vae points": (VAE(net=FLAT, z_dim=2), POINTS),
    "vae-gan": (VAEGAN(net=CODEC, z_dim=4), ODD),
    "vae-gan, classes": (VAEGAN(net=CODEC, z_dim=4), CLASSES),
    "flow": (Flow(net=SMALL, steps=2, solver="heun"), ODD),
    "flow, classes, guided": (Flow(net=SMALL, steps=2, guidance=2.0), CLASSES),
    "flow points": (Flow(net=FlatVelocity(width=32), solver="euler", time="uniform"), POINTS),
    "r3gan augmented": (R3GAN(net=LEAN, augment=Augment(policy=GROUPS, p=0.5)), CLASSES),
    "r3gan adaptive": (R3GAN(net=LEAN, augment=Augment(policy=GROUPS, p=Adaptive(start=0.5, speed=500))), ODD),
    "acgan augmented": (GAN(net=LEAN, conditional=True, head="auxiliary", penalties=(R1(),), augment=Augment(p=0.5)), CLASSES),
    "vae-gan augmented": (VAEGAN(net=CODEC, z_dim=4, augment=Augment(p=0.5)), GREY),
    "gan adaptive": (GAN(net=PERCEPTRON, augment=Augment(p=Adaptive(start=0.5))), GREY),
}


@pytest.mark.parametrize("name", CASES)
def test_game_obeys_the_laws(name: str) -> None:
    game, space = CASES[name]
    check_game(game, space)


@pytest.mark.parametrize("name", CASES)
def test_game_is_fit_for_a_gpu(name: str) -> None:
    check_fit_for_a_gpu(*CASES[name])


def test_points_are_told_which_network_to_take() -> None:
    for game, network in ((Flow(), "flat-velocity"), (Autoencoder(), "flat-codec"), (VAE(), "flat-codec"), (VAEGAN(), "flat-codec")):
        with pytest.raises(InputError, match=f"take the network '{network}'"):
            game.cast(POINTS)


def test_likeness_compares_pictures_changed_alike() -> None:
    """A perfect reconstruction has no distance to its picture, however strongly both are augmented."""
    game = VAEGAN(net=CODEC, z_dim=4, augment=Augment(policy=GROUPS, p=1.0))
    p = Players(game.cast(GREY))
    x = torch.rand(4, *GREY.shape)
    found = game._through(lambda p, real, t: (game.unlike(p, real["x"], real["x"].clone())[0], p.D.features(real["x"])))
    distance, bent = found(p, Batch(x=x), Clock())
    assert float(distance.detach()) == 0
    assert not torch.allclose(bent, p.D.features(x))  # type: ignore[operator]


@pytest.mark.parametrize("space", [GREY, CLASSES, TAGS, NUMBERS, ODD, POINTS], ids=lambda s: s.describe())
def test_space_obeys_the_laws(space: Space) -> None:
    check_space(space)


RANKS = {
    "r3gan lean, classes": 2, "r3gan points, numbers": 2, "gan points": 2, "dcgan": 2, "autoencoder, classes": 2, "flow points": 2,
    "lazy r1, lecam": 2, "rsgan": 2, "r3gan augmented": 6, "r3gan adaptive": 6,
}  # fmt: skip


def test_two_ranks_equal_one() -> None:
    check_ranks([*(CASES[name] for name in RANKS), (Phases(), POINTS)], rounds=[*RANKS.values(), 4])


@dataclass(frozen=True, kw_only=True)
class Phases(Game):
    """Every device of the engine in one game: repeats, lazy turns, start and stop, clipping, a weight-clipping step."""

    optim: dict[str, Adam] = field(default_factory=lambda: {k: Adam(clip=1.0) for k in "GD"})

    def players(self, space: Space) -> dict[str, nn.Module]:
        return {"G": PERCEPTRON.generator(4, space), "D": PERCEPTRON.critic(space)}

    def turns(self) -> list[Turn]:
        return [
            Turn(self.critic, "D", repeat=2),
            lazily(self.decay, "D", every=3),
            Turn(step=self.clip, moves="D"),
            Turn(self.generator, "G", start=1, stop=5),
        ]

    def critic(self, p: Players, real: Batch, t: Clock) -> dict[str, Tensor]:
        real["fake"] = self.sample(p, len(real["x"])).detach()
        return {"adv": losses.hinge_d(p.D(real["x"]), p.D(real["fake"]))}

    def decay(self, p: Players, real: Batch, t: Clock) -> dict[str, Tensor]:
        return {"squares": 1e-3 * sum(w.square().sum() for w in p.D.parameters())}  # type: ignore[dict-item]

    def clip(self, p: Players, real: Batch, t: Clock) -> None:
        for w in p.D.parameters():
            w.clamp_(-0.5, 0.5)

    def generator(self, p: Players, real: Batch, t: Clock) -> dict[str, Tensor]:
        return {"adv": losses.hinge_g(p.D(self.sample(p, len(real["x"]))))}

    def sample(self, p: Players, n: int, *, z: Tensor | None = None, given: Batch | None = None) -> Tensor:
        return p.G(p.randn(n, 4))


def test_phases_obey_the_laws() -> None:
    check_resume(Phases(), POINTS, rounds=7)
    check_microbatch(Phases(), POINTS)


@dataclass(frozen=True, kw_only=True)
class Leaky(Phases):
    """Breaks a law on purpose: moves a frozen player through `.data`."""

    def turns(self) -> list[Turn]:
        return [Turn(self.cheat, "G")]

    def cheat(self, p: Players, real: Batch, t: Clock) -> dict[str, Tensor]:
        next(p.D.parameters()).data.add_(1.0)
        return {"adv": losses.hinge_g(p.D(self.sample(p, len(real["x"]))))}


@dataclass(frozen=True, kw_only=True)
class Careless(Phases):
    """Draws from torch's own generator, so halves cannot equal the whole."""

    def turns(self) -> list[Turn]:
        return [Turn(self.generator, "G")]

    def sample(self, p: Players, n: int, *, z: Tensor | None = None, given: Batch | None = None) -> Tensor:
        return p.G(torch.randn(n, 4) * torch.rand(n, 1))


def test_a_broken_game_is_found_out() -> None:
    with pytest.raises(AssertionError, match="changed 'D', which it does not move"):
        check_movers(Leaky(), POINTS)
    with pytest.raises(AssertionError, match="two halves of a batch"):
        check_microbatch(Careless(), POINTS)


def test_drawing_an_odd_number_says_what_to_do() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Odd(Phases):
        def turns(self) -> list[Turn]:
            return [Turn(self.odd, "G")]

        def odd(self, p: Players, real: Batch, t: Clock) -> dict[str, Tensor]:
            return {"adv": p.G(p.randn(3, 4)).mean()}

    with pytest.raises(InputError, match="drew noise for 3 samples from a .micro.batch of 8"):
        check_resume(Odd(), POINTS)
