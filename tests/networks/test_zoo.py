"""What the classical families promise: published sizes, conditions of every kind, export, styles, reconstruction."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from agon.errors import InputError
from agon.game import Batch, Clock, Dice, Players
from agon.games.gan import GAN
from agon.networks import SAGAN, BigGAN, FastGAN, Head, Network, SNResNet, StyleGAN2
from agon.penalties import PathLength
from agon.spaces import Image

TINY: list[Network] = [
    SNResNet(widths=(16, 8), critic_widths=(16, 8)),
    SAGAN(widths=(16, 8), critic_widths=(16, 8), attention=8),
    BigGAN(widths=(16, 8), critic_widths=(16, 8), label_dim=4, attention=8),
    StyleGAN2(base=64, most=16, w_dim=8),
    FastGAN(widths=(16, 8), critic_widths=(16, 8), label_dim=4),
]
CONDITIONS: dict[str, tuple[dict[str, tuple[str, ...]], Tensor]] = {
    "classes": ({"classes": ("a", "b", "c")}, torch.tensor([0, 2, 1])),
    "tags": ({"tags": ("a", "b")}, torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])),
    "numbers": ({"numbers": ("age",)}, torch.tensor([[0.3], [-1.2], [0.0]])),
}


def kind_of(net: Network) -> str:
    return net.kind


def size_of(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("net", TINY, ids=kind_of)
def test_every_condition_reaches_both_players(net: Network, condition: str) -> None:
    torch.manual_seed(0)
    words, y = CONDITIONS[condition]
    space = Image(channels=3, height=12, width=16, **words)  # type: ignore[arg-type]
    generator = net.generator(8, space).eval()
    z = torch.randn(3, 8)
    x = generator(z, y)
    assert x.shape == (3, 3, 12, 16)
    assert not torch.equal(x, generator(z, y.flip(0)))
    for head in ("projection", "concat"):
        critic = net.critic(space, head=head).eval()  # type: ignore[arg-type]
        assert not torch.equal(critic(x, y), critic(x, y.flip(0))), head
    critic = net.critic(space, head="auxiliary").eval()
    logits, guesses = critic.classify(x)
    assert torch.equal(logits, critic(x))
    assert guesses.shape == (3, space.condition_dim)


def test_published_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """SNGAN: the count of the paper's table 4 network (mimicry: 4.28 M and 1.05 M). BigGAN and StyleGAN2: what the authors' code prints."""
    labels = tuple(str(k) for k in range(1000))
    expected = [
        (SNResNet.paper(), 128, Image(channels=3, height=32, width=32), 4_276_739, 1_053_825),
        (BigGAN.paper(), 120, Image(channels=3, height=128, width=128, classes=labels), 70_433_988, 87_982_370),
        (StyleGAN2.paper(), 512, Image(channels=3, height=1024, width=1024), 30_370_060, 29_012_513),
    ]
    monkeypatch.setattr("agon.layers.spectral._iterate", lambda matrix, u: u)  # on the device without numbers it only costs time
    with torch.device("meta"):
        for net, z_dim, space, generator, critic in expected:
            assert size_of(net.generator(z_dim, space)) == generator, net.kind
            assert size_of(net.critic(space)) == critic, net.kind


@pytest.mark.parametrize("net", [SNResNet(), SAGAN(), BigGAN(), StyleGAN2(), FastGAN()], ids=kind_of)
def test_pictures_start_at_the_scale_of_data(net: Network) -> None:
    """Not grey, not saturated, and different latents give different pictures."""
    torch.manual_seed(1)
    space = Image(channels=3, height=32, width=32)
    x = net.generator(64, space)(torch.randn(16, 64)).detach()
    assert 0.1 < float(x.std()) < 0.9
    assert float((x.abs() > 0.99).float().mean()) < 0.1
    assert float(x.std(0).mean()) > 0.05
    logits = net.critic(space)(x).detach()
    assert 0 < float(logits.std()) < 5
    assert float(logits.abs().max()) < 20


@pytest.mark.parametrize("net", TINY, ids=kind_of)
def test_every_weight_of_both_players_gets_a_gradient(net: Network) -> None:
    torch.manual_seed(0)
    space = Image(channels=1, height=16, width=16, classes=("a", "b"))
    y = torch.tensor([0, 1, 0, 1])
    generator, critic = net.generator(8, space), net.critic(space)
    critic(generator(torch.randn(4, 8), y), y).sum().backward()
    for module in (generator, critic):
        for name, parameter in module.named_parameters():
            if name.split(".")[0] in ("whole", "part"):  # decoders, see the test of reconstruct
                continue
            assert parameter.grad is not None, name
            # Weights behind a factor that starts at zero learn once the factor has moved.
            if "attention" not in name and ".query" not in name and ".key" not in name and ".value" not in name and ".out" not in name:
                assert float(parameter.grad.abs().max()) > 0 or name.endswith("bias"), name


@pytest.mark.parametrize("net", TINY, ids=kind_of)
def test_generator_can_be_exported_for_any_batch(net: Network) -> None:
    """One graph of plain operations with the batch as a free dimension, which is what ONNX is made from."""
    torch.manual_seed(0)
    space = Image(channels=1, height=12, width=8, classes=("a", "b"))
    generator = net.generator(8, space).eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(
        generator, (torch.randn(4, 8), torch.tensor([0, 1, 0, 1])), dynamic_shapes={"z": {0: batch}, "y": {0: batch}}
    )
    z, y = torch.randn(3, 8), torch.tensor([1, 1, 0])
    torch.testing.assert_close(program.module()(z, y), generator(z, y), rtol=1e-4, atol=1e-5)


def test_style_mixing_takes_coarse_layers_from_one_and_fine_ones_from_another() -> None:
    torch.manual_seed(0)
    space = Image(channels=3, height=16, width=16, classes=("a", "b"))
    generator = StyleGAN2(base=64, most=16, w_dim=8).generator(8, space)
    z, y = torch.randn(2, 8), torch.tensor([0, 1])
    w = generator.mapping(z, y)
    assert w.shape == (2, 8)
    assert generator.num_layers == 6
    styles = w[:, None].repeat(1, 6, 1)
    torch.testing.assert_close(generator.synthesis(styles), generator(z, y))
    for layer in range(6):
        mixed = styles.clone()
        mixed[0, layer] = w[1]
        changed = generator.synthesis(mixed)
        # A layer's picture style has no effect on features, but every layer has one on the result; the other sample is untouched.
        assert not torch.equal(changed[0], generator(z, y)[0]), layer
        torch.testing.assert_close(changed[1], generator(z, y)[1])
    with pytest.raises(InputError, match=r"takes w \[n, 8\] or \[n, 6, 8\], got \(2, 5, 8\)"):
        generator.synthesis(styles[:, :5])


def test_noise_is_a_function_of_the_network_or_of_what_is_handed_in() -> None:
    torch.manual_seed(0)
    space = Image(channels=1, height=16, width=12)
    generator = StyleGAN2(base=64, most=16, w_dim=8, noise="fixed").generator(8, space)
    z = torch.randn(2, 8)
    plain = generator(z)
    with torch.no_grad():
        for layer in generator._convolutions():
            layer.strength.fill_(0.5)
    noisy = generator(z)
    assert not torch.equal(plain, noisy)
    assert torch.equal(noisy, generator(z)), "nothing is drawn"
    assert torch.equal(noisy[:1], generator(z[:1])) or torch.allclose(noisy[:1], generator(z[:1]), atol=1e-6)
    own = [torch.zeros(2, *shape) for shape in generator.noise_shapes]
    torch.testing.assert_close(generator.synthesis(generator.mapping(z), own), plain)
    with pytest.raises(InputError, match="takes 5 pictures of noise, got 1"):
        generator.synthesis(generator.mapping(z), own[:1])
    with pytest.raises(InputError, match="built without"):
        StyleGAN2(base=64, most=16, w_dim=8).generator(8, space).synthesis(torch.zeros(1, 8), own)


class Overheard:
    """A synthesis that writes down how many pictures of noise it was handed."""

    def __init__(self, synthesis: Callable[..., Tensor], handed: list[int | None]) -> None:
        self.synthesis, self.handed = synthesis, handed

    def __call__(self, w: Tensor, noise: list[Tensor] | None = None) -> Tensor:
        self.handed.append(None if noise is None else len(noise))
        return self.synthesis(w, noise)


@pytest.mark.parametrize("mixing", [0.0, 0.9])
def test_the_game_draws_noise_in_training_and_none_in_samples(mixing: float) -> None:
    """Fakes of one latent differ by their noise; a sample is a function of its latent; networks without draw nothing."""
    torch.manual_seed(0)
    space = Image(channels=1, height=16, width=16)
    handed: list[int | None] = []
    for noise in ("drawn", "fixed", "none"):
        game = GAN(z_dim=8, net=StyleGAN2(base=64, most=16, w_dim=8, noise=noise), mixing=mixing, penalties=(PathLength(),))  # type: ignore[arg-type]
        players = game.players(space)
        generator = players["G"]
        for layer in generator._convolutions():  # type: ignore[operator]
            if noise != "none":
                torch.nn.init.constant_(layer.strength, 0.5)
        p, real = Players(players), Batch(x=torch.zeros(4, 1, 16, 16))
        generator.synthesis = Overheard(generator.synthesis, handed)  # type: ignore[assignment,arg-type]
        p.dice = Dice(3, 0, 4, 4, torch.device("cpu"))
        fakes = game._fakes(p, real)
        PathLength().term(game._view(p, real, Clock(0, 0), []))
        assert (handed[-1] is None) == (noise != "drawn")
        p.dice = Dice(3, 2, 4, 4, torch.device("cpu"))
        torch.testing.assert_close(
            game._fakes(p, Batch(x=torch.zeros(2, 1, 16, 16))), fakes[2:], msg="half of the batch is not half of the whole"
        )
        p.dice = None
        z = torch.randn(1, 8).expand(2, -1)
        same = game.sample(p, 2, z=z)
        torch.testing.assert_close(same[0], same[1])
    assert set(handed) == {5, None}


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 50), (64, 48), (8, 8)])
def test_fastgan_redraws_what_it_saw(height: int, width: int) -> None:
    torch.manual_seed(0)
    space = Image(channels=3, height=height, width=width)
    critic = FastGAN(widths=(16, 8), critic_widths=(16, 8)).critic(space).eval()
    x = torch.rand(5, 3, height, width) * 2 - 1
    half = (-(-height // 2), -(-width // 2))
    logits, pairs = critic.reconstruct(x)
    torch.testing.assert_close(logits, critic(x))
    assert [tuple(t.shape) for pair in pairs for t in pair] == [(5, 3, *half)] * 2
    logits, pairs = critic.reconstruct(x, quadrant=torch.tensor([0, 1, 2, 3, 3]))
    assert len(pairs) == (2 if min(half) > 4 else 1)
    if len(pairs) == 2:
        drawn, target = pairs[1]
        assert drawn.shape == target.shape == (5, 3, *half)
        corners = [
            x[0, :, : half[0], : half[1]],
            x[1, :, : half[0], -half[1] :],
            x[2, :, -half[0] :, : half[1]],
            x[3, :, -half[0] :, -half[1] :],
        ]
        for k, corner in enumerate(corners):
            assert torch.equal(target[k], corner)
    sum((drawn - target).abs().mean() for drawn, target in pairs).backward()  # type: ignore[union-attr]
    assert critic.critic.body.into.parametrizations.weight.original.grad is not None
    assert critic.whole.out.parametrizations.weight.original.grad is not None


def test_biggan_says_when_the_latent_is_too_short() -> None:
    with pytest.raises(InputError, match="cuts the latent into 4 pieces at 32x32, got z_dim 3"):
        BigGAN().generator(3, Image(channels=3, height=32, width=32))


def test_biggan_feeds_every_piece_of_the_latent() -> None:
    torch.manual_seed(0)
    generator = BigGAN(widths=(16, 8), label_dim=4).generator(9, Image(channels=1, height=16, width=16)).eval()
    z = torch.randn(1, 9)
    for k in range(9):
        other = z.clone()
        other[0, k] += 1
        assert not torch.equal(generator(z), generator(other)), k


@pytest.mark.parametrize("head", ["projection", "auxiliary"])
def test_the_head_of_stylegan2_is_equalised(head: Head) -> None:
    torch.manual_seed(0)
    space = Image(channels=1, height=8, width=8, classes=("a", "b"))
    critic = StyleGAN2().critic(space, head)
    second = critic.head.guess if head == "auxiliary" else critic.head.embedding
    for weight in (critic.head.linear.weight, second.weight):  # type: ignore[union-attr]
        assert 0.7 < weight.std() < 1.3, "weights of one size learn at one speed"
    logits = critic(torch.randn(64, 1, 8, 8), torch.zeros(64, dtype=torch.long))
    assert logits.std() < 5, "and the logits are no larger for it"
