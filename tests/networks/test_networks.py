"""Shapes, sizes, parameter counts and initial state of every network family."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from agon import penalties
from agon.engine import Engine
from agon.games.gan import GAN
from agon.networks import DCGAN, MLP, SAGAN, BigGAN, FastGAN, Head, Network, PeerDCGAN, R3Lean, R3Paper, SNResNet, StyleGAN2
from agon.networks.r3 import PaperBlock
from agon.spaces import Image, Vector

SMALL: list[Network] = [
    MLP(width=32, depth=2),
    DCGAN(width=8),
    DCGAN(width=8, critic_norm="spectral"),
    DCGAN(width=8, critic_norm="none"),
    PeerDCGAN(),
    R3Paper(widths=(32, 32, 16)),
    R3Lean(widths=(16, 8)),
    R3Lean(widths=(16, 8), last="shared"),
    SNResNet(widths=(16, 8), critic_widths=(16, 8)),
    SNResNet(widths=(16, 8), critic_widths=(16, 8), norm="none"),
    SNResNet(widths=(16, 8), critic_widths=(16, 8), norm="batch", flat_blocks=0),
    SAGAN(widths=(16, 8), critic_widths=(16, 8)),
    BigGAN(widths=(16, 8), critic_widths=(16, 8), label_dim=4),
    StyleGAN2(base=64, most=16, w_dim=8),
    StyleGAN2(base=64, most=16, w_dim=8, noise="fixed", bounded=False, batch_std=2),
    FastGAN(widths=(16, 8), critic_widths=(16, 8), label_dim=4),
    FastGAN(widths=(16, 8), critic_widths=(16, 8), label_dim=4, critic_norm="batch"),
]
SIZES = [(1, 28, 28), (3, 32, 32), (3, 33, 50), (4, 7, 3), (1, 1, 1), (3, 5, 80), (2, 64, 48)]


def name_of(net: Network) -> str:
    words = (net.kind, *(str(getattr(net, word, "")) for word in ("critic_norm", "norm", "noise")))
    return "-".join(word for word in words if word)


def count(module: nn.Module) -> float:
    return sum(p.numel() for p in module.parameters()) / 1e6


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("net", SMALL, ids=name_of)
def test_any_size_and_channel_count(net: Network, size: tuple[int, int, int]) -> None:
    space = Image(channels=size[0], height=size[1], width=size[2])
    x = net.generator(8, space)(torch.randn(3, 8))
    assert x.shape == (3, *size)
    logits = net.critic(space)(x)
    assert logits.shape == (3,)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("net", [n for n in SMALL if not isinstance(n, PeerDCGAN)], ids=name_of)
def test_labels_matter_to_both_players_and_are_asked_for(net: Network) -> None:
    space = Image(channels=1, height=16, width=16, classes=("a", "b", "c"))
    generator, critic = net.generator(8, space).eval(), net.critic(space).eval()
    z, a, b = torch.randn(4, 8), torch.zeros(4, dtype=torch.long), torch.ones(4, dtype=torch.long)
    x = generator(z, a)
    assert not torch.equal(x, generator(z, b))
    assert not torch.equal(critic(x, a), critic(x, b))
    with pytest.raises(ValueError, match="got no condition"):
        generator(z)
    with pytest.raises(ValueError, match="got no condition"):
        critic(x)


@pytest.mark.parametrize("net", SMALL, ids=name_of)
def test_labels_are_ignored_without_classes(net: Network) -> None:
    space = Image(channels=1, height=16, width=16)
    generator, y = net.generator(8, space).eval(), torch.zeros(2, dtype=torch.long)
    z = torch.randn(2, 8)
    torch.testing.assert_close(generator(z, y), generator(z))


@pytest.mark.parametrize("net", SMALL[1:], ids=name_of)
def test_convolutions_refuse_points(net: Network) -> None:
    with pytest.raises(ValueError, match="use MLP"):
        net.generator(8, Vector(dim=2))


def test_points() -> None:
    net, space = MLP(width=32, depth=3), Vector(dim=2)
    assert net.generator(4, space)(torch.randn(5, 4)).shape == (5, 2)
    assert net.critic(space)(torch.randn(5, 2)).shape == (5,)


@pytest.mark.parametrize(
    ("side", "expected_g", "expected_d"),
    [(256, 23.06, 23.01), (64, 22.4, 22.4), (32, 20.7, 20.7)],
)
def test_published_sizes_of_r3gan(side: int, expected_g: float, expected_d: float) -> None:
    space = Image(channels=3, height=side, width=side)
    digits = 2 if side == 256 else 1
    with torch.device("meta"):
        generator, critic = R3Paper().generator(64, space), R3Paper().critic(space)
    assert round(count(generator), digits) == expected_g
    assert round(count(critic), digits) == expected_d


def test_peer_has_the_size_of_the_original() -> None:
    space = Image(channels=1, height=32, width=32)
    assert count(PeerDCGAN().generator(100, space)) == pytest.approx(1.05, abs=0.005)
    assert count(PeerDCGAN().critic(space)) == pytest.approx(0.098, abs=0.002)


def test_branches_are_zero_at_the_start() -> None:
    net = R3Paper(widths=(32, 32, 16))
    space = Image(channels=3, height=32, width=32)
    blocks = 0
    for module in (net.generator(8, space), net.critic(space)):
        for block in module.modules():
            if isinstance(block, PaperBlock):
                width = next(block.parameters()).shape[1]
                x = torch.randn(2, width, 4, 4)
                assert torch.equal(block(x), x)
                blocks += 1
    assert blocks >= 4


@pytest.mark.parametrize(
    "net", [R3Paper(widths=(32, 16)) if isinstance(net, R3Paper) else net for net in SMALL if not net.couples_samples], ids=name_of
)
def test_critics_for_penalties_see_samples_one_by_one(net: Network) -> None:
    """No batch statistics: a sample's logit and gradient do not depend on its neighbours; double backward is finite."""
    space = Image(channels=1, height=16, width=16)
    critic, x = net.critic(space), torch.randn(4, 1, 16, 16)
    assert not [m for m in critic.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    norms, logits = penalties.zero_centred(critic, x)
    alone, logit = penalties.zero_centred(critic, x[:1])
    torch.testing.assert_close(norms[:1], alone, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(logits[:1], logit, rtol=1e-4, atol=1e-6)
    slopes = torch.autograd.grad(norms.mean(), [p for p in critic.parameters() if p.dim() > 1], allow_unused=True)
    assert any(s is not None and float(s.abs().max()) > 0 for s in slopes)
    assert all(torch.isfinite(s).all() for s in slopes if s is not None)


@pytest.mark.parametrize("net", SMALL, ids=name_of)
def test_channels_last_changes_nothing(net: Network) -> None:
    space = Image(channels=3, height=20, width=16)
    critic, x = net.critic(space).eval(), torch.randn(2, 3, 20, 16)
    plain = critic(x)
    last = critic.to(memory_format=torch.channels_last)(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(plain, last, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("net", [n for n in SMALL if not isinstance(n, MLP)], ids=name_of)
def test_the_engine_brings_every_convolution_to_channels_last(net: Network) -> None:
    """Whatever classes a network is made of: without it convolutions take 1.3 to 1.45 times as long on a processor."""
    engine = Engine(GAN(net=net, z_dim=8), Image(channels=3, height=16, width=16))
    assert engine.channels_last
    kernels = [p for _, player in engine.players.items() for p in player.parameters() if p.dim() == 4]
    assert kernels and all(p.is_contiguous(memory_format=torch.channels_last) for p in kernels)


def test_initial_signal_is_of_order_one() -> None:
    """A start that is far from unit scale costs the first thousand rounds."""
    space = Image(channels=3, height=32, width=32)
    for net in (R3Lean(), R3Paper(widths=(64, 64, 64, 64))):
        x = net.generator(64, space)(torch.randn(64, 64))
        assert 0.05 < float(x.detach().std()) < 5


@pytest.mark.parametrize(("side", "channels"), [(64, 3), (32, 1), (50, 3)])
def test_a_shared_last_kernel_draws_no_checkerboard_whatever_the_weights(side: int, channels: int) -> None:
    """A kernel for each phase puts 10 (32x32) to 32 % (64x64) of the energy of such pictures there, and training leaves 1 %."""
    torch.manual_seed(0)
    generator = R3Lean(last="shared").generator(64, Image(channels=channels, height=side, width=side))
    with torch.no_grad():
        for weight in generator.parameters():
            weight.add_(torch.randn_like(weight), alpha=0.5 * float(weight.abs().mean()) + 0.05)
        x = generator(torch.randn(128, 64))
    energy = torch.fft.fft2(x - x.mean((2, 3), keepdim=True)).abs().square().mean((0, 1))
    nyquist = energy[side // 2].sum() + energy[:, side // 2].sum() - energy[side // 2, side // 2]
    assert nyquist / energy.sum() < 0.03  # the border and tanh leave a little


@pytest.mark.parametrize("net", [n for n in SMALL if not isinstance(n, R3Paper) and getattr(n, "bounded", True)], ids=name_of)
def test_pictures_are_bounded_and_points_are_not(net: Network) -> None:
    z = 100 * torch.randn(4, 8)
    assert float(net.generator(8, Image(channels=1, height=16, width=16))(z).detach().abs().max()) <= 1
    if isinstance(net, MLP):
        assert float(net.generator(8, Vector(dim=3))(z).detach().abs().max()) > 1


def test_lean_pictures_are_bounded_and_small() -> None:
    space = Image(channels=1, height=32, width=32)
    generator, critic = R3Lean().generator(64, space), R3Lean().critic(space)
    assert float(generator(100 * torch.randn(4, 64)).detach().abs().max()) <= 1
    assert count(generator) + count(critic) < 0.5


@pytest.mark.parametrize(
    "condition", [{"classes": ("a", "b", "c")}, {"tags": ("a", "b", "c")}, {"numbers": ("a", "b", "c")}], ids=lambda c: next(iter(c))
)
@pytest.mark.parametrize("head", ["projection", "concat", "auxiliary", "none"])
def test_heads_use_any_condition(condition: dict[str, tuple[str, ...]], head: Head) -> None:
    space = Image(channels=1, height=8, width=8, **condition)  # type: ignore[arg-type]
    one, two = (torch.tensor([k, k]) if space.classes else torch.eye(3)[[k, k]] for k in (0, 2))
    torch.manual_seed(0)
    for net in (MLP(width=8), DCGAN(width=4, critic_norm="none"), R3Lean(widths=(8, 8))):
        critic, x = net.critic(space, head), torch.randn(2, 1, 8, 8)
        same = torch.equal(critic(x, one), critic(x, two))
        assert same == (head in ("auxiliary", "none")), f"{net.kind} with head {head}"
        if head == "auxiliary":
            logits, guesses = critic.classify(x)
            assert logits.shape == (2,) and guesses.shape == (2, 3)
        generator = net.generator(4, space)
        z = torch.randn(2, 4)
        assert not torch.equal(generator(z, one), generator(z, two))
