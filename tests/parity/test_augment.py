"""Augmentation: exact where it must be, differentiable twice, spread as it says, and seen by nobody but the critic in a turn."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from agon import losses, penalties
from agon.augment import GROUPS, Adaptive, Augment, Group, Lens, _looked_up, augmented
from agon.config import decode, encode
from agon.engine import Engine
from agon.errors import InputError
from agon.game import Batch, Clock, Game, Players, Turn
from agon.games.gan import GAN
from agon.games.r3gan import R3GAN
from agon.networks.mlp import MLP
from agon.networks.r3 import R3Lean
from agon.optim import Adam, Average
from agon.props import Strength
from agon.schedule import Linear
from agon.spaces import Image, Vector
from agon.testing import check_game, random_batch


class Draws:
    """torch's global generator as a source, for tests alone."""

    def rand(self, n: int, *shape: int) -> Tensor:
        return torch.rand(n, *shape)

    def randn(self, n: int, *shape: int) -> Tensor:
        return torch.randn(n, *shape)


def after(x: Tensor, *policy: Group, p: float | Tensor = 1.0, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    return augmented(x, policy or GROUPS, p, Draws())


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_strength_zero_is_the_identity(channels: int) -> None:
    x = torch.rand(8, channels, 9, 7) * 2 - 1
    assert torch.equal(after(x, p=torch.tensor(0.0)), x)
    assert after(x, p=0.0) is x


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_changes_about_a_share_p_of_samples(group: Group) -> None:
    x = torch.randn(2000, 3, 8, 8)
    out = after(x, group, p=0.3)
    assert out.shape == x.shape
    assert out.isfinite().all()
    changed = (out != x).flatten(1).any(1).float().mean().item()
    # A mirror shows for half the coins; a blit for 3 of 4 turns and most of the shifts; geometry has four coins and colour three.
    turn, shift = 0.3 * 3 / 4, 0.3 * (1 - 1 / 9)
    expected = {
        "flip": 0.15,
        "shift": shift,
        "blit": 1 - (1 - turn) * (1 - shift),
        "geometry": 1 - 0.7**4,
        "colour": 1 - 0.7**3,
        "cutout": 0.3,
    }[group]
    assert changed == pytest.approx(expected, abs=0.05)


def test_exact_transforms_only_rearrange_pixels() -> None:
    x = torch.randn(64, 3, 8, 8)
    mirrored = after(x, "flip")
    same, flipped = ((mirrored == y).flatten(1).all(1) for y in (x, x.flip(3)))
    assert (same | flipped).all()
    assert 10 < int(flipped.sum()) < 54
    turned = torch.stack([torch.rot90(x, k, (2, 3)) for k in range(4)])
    out = augmented(x, ("blit",), torch.tensor([1.0]), NoShift())
    hits = (out == turned).flatten(2).all(2)
    assert hits.any(0).all()
    assert (hits.sum(1) > 4).all(), "every quarter turn occurs"


class NoShift(Draws):
    """Even draws, but every shift is zero."""

    def rand(self, n: int, *shape: int) -> Tensor:
        u = torch.rand(n, *shape)
        u[:, 5:7] = 0.5
        return u


def test_a_shift_moves_whole_pixels_and_reflects() -> None:
    """A ramp along the width: the middle moves by at most an eighth, and the border repeats what is beside it."""
    x = torch.arange(16.0).expand(200, 1, 5, 16).clone()

    class OnlyShift(Draws):
        def rand(self, n: int, *shape: int) -> Tensor:
            u = torch.rand(n, *shape)
            u[:, 3] = 0.0  # no turn
            return u

    out = augmented(x, ("blit",), 1.0, OnlyShift())
    moved = out[:, 0, 0, 8] - 8
    assert set(moved.tolist()) == {-2.0, -1.0, 0.0, 1.0, 2.0}
    right = out[moved == 2][0, 0, 0]
    assert right.tolist() == [*range(2, 16), 14, 13]


def test_lookup_agrees_with_the_reference() -> None:
    x, place = torch.randn(4, 3, 6, 9, dtype=torch.float64), torch.randn(4, 2, 6, 9, dtype=torch.float64) * 9
    grid = torch.stack([place[:, 1] / 8 * 2 - 1, place[:, 0] / 5 * 2 - 1], -1)
    expected = nn.functional.grid_sample(x, grid, padding_mode="reflection", align_corners=True)
    torch.testing.assert_close(_looked_up(x, place, bilinear=True), expected)


def test_a_rotation_keeps_a_round_thing() -> None:
    """A disc about the middle is invariant to mirror, turns and rotation; a bar is not."""
    ruler = torch.arange(33.0) - 16
    disc = torch.sigmoid(5 - (ruler[:, None] ** 2 + ruler**2).sqrt()).expand(32, 1, 33, 33)

    class OnlyRotation(Draws):
        def randn(self, n: int, *shape: int) -> Tensor:
            return torch.zeros(n, *shape)

    torch.manual_seed(0)
    assert (augmented(disc, ("flip", "geometry"), 1.0, OnlyRotation()) - disc).abs().max() < 0.05
    bar = (ruler.abs() < 2).float().expand(32, 1, 33, 33)
    assert (augmented(bar, ("geometry",), 1.0, OnlyRotation()) - bar).abs().mean() > 0.1


def test_colour_is_affine_and_keeps_opacity() -> None:
    x = torch.rand(64, 4, 5, 5, dtype=torch.float64) * 2 - 1
    out = after(x, "colour")
    assert torch.equal(out[:, 3], x[:, 3])
    for k in range(8):  # every pixel of a sample by one matrix and offset: a least-squares fit leaves nothing
        source = torch.cat([x[k, :3].flatten(1), torch.ones(1, 25, dtype=torch.float64)])
        fit = torch.linalg.lstsq(source.T, out[k, :3].flatten(1).T)
        torch.testing.assert_close(source.T @ fit.solution, out[k, :3].flatten(1).T, atol=1e-6, rtol=1e-6)
    grey = torch.rand(64, 1, 5, 5) * 2 - 1
    spread = after(grey, "colour").flatten(1).std(1) / grey.flatten(1).std(1)
    assert spread.log2().std().item() == pytest.approx(0.5, abs=0.12), "contrast alone: 2^N(0, 0.5)"


def test_a_cutout_is_a_grey_box_of_half_the_sides() -> None:
    out = after(torch.ones(500, 2, 16, 12), "cutout")
    holes = (out == 0).float().mean((1, 2, 3))
    assert torch.equal((out == 0)[:, 0], (out == 0)[:, 1])
    assert holes.max().item() == pytest.approx(0.25)
    assert holes.mean().item() == pytest.approx(0.1914, abs=0.02), "0.4375² of the area, because boxes hang over the edge"


@pytest.mark.parametrize("group", GROUPS)
def test_differentiable_twice(group: Group) -> None:
    x = torch.randn(2, 2, 4, 3, dtype=torch.float64, requires_grad=True)

    def bent(pictures: Tensor) -> Tensor:
        return after(pictures, group, seed=4).square()

    assert torch.autograd.gradcheck(bent, (x,))
    assert torch.autograd.gradgradcheck(bent, (x,))


def test_a_penalty_through_the_lens_equals_autograd() -> None:
    """R1 by torch.func.grad through augmentation, and its gradient by the critic's weights, against plain double backward."""
    critic = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 36, 1), nn.Flatten(0)).double()
    x = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    squares, logits = penalties.zero_centred(Lens(critic, lambda pictures: after(pictures, seed=1)), x)
    ours = torch.autograd.grad(squares.mean() + logits.sum(), list(critic.parameters()))
    free = x.clone().requires_grad_()
    direct = critic(after(free, seed=1))
    (slope,) = torch.autograd.grad(direct.sum(), free, create_graph=True)
    expected = torch.autograd.grad(slope.square().flatten(1).sum(1).mean() + direct.sum(), list(critic.parameters()))
    for a, b in zip(ours, expected, strict=True):
        torch.testing.assert_close(a, b)


GREY = Image(channels=1, height=16, width=16)
NET = R3Lean(widths=(16, 8))


@dataclass(frozen=True, kw_only=True)
class Peeping(Game):
    """A user's own game: no judge, `sample` without keywords, a critic method; notes what the critic saw."""

    seen: ClassVar[dict[str, list[Tensor]]] = {"pictures": [], "features": []}
    optim: dict[str, Adam] = field(default_factory=lambda: {k: Adam() for k in "GD"})
    ema: dict[str, Average] = field(default_factory=lambda: {"G": Average()})

    def players(self, space: Image) -> dict[str, nn.Module]:
        return {"G": NET.generator(4, space), "D": Watcher(NET.critic(space), self.seen)}

    def turns(self) -> list[Turn]:
        return [Turn(self.critic, "D"), Turn(self.generator, "G")]

    def critic(self, p: Players, real: Batch, t: Clock) -> dict[str, Tensor]:
        assert next(iter(p.D.parameters())) is next(p._modules["D"].parameters()), "weights are the critic's own"
        fake = self.sample(p, len(real["x"]))
        return {"adv": losses.hinge_d(p.D(real["x"]), p.D(fake)), "doubled": p.D.doubled(fake).mean()}  # type: ignore[operator]

    def generator(self, p: Players, real: Batch, t: Clock) -> dict[str, Tensor]:
        return {"adv": losses.hinge_g(p.D(self.sample(p, len(real["x"]))))}

    def sample(self, p: Players, n: int) -> Tensor:  # type: ignore[override]
        return p.G(p.randn(n, 4))


class Watcher(nn.Module):
    def __init__(self, inner: nn.Module, seen: dict[str, list[Tensor]]) -> None:
        super().__init__()
        self.inner, self.seen = inner, seen

    def forward(self, x: Tensor) -> Tensor:
        self.seen["pictures"].append(x.detach())
        return self.inner(x)

    def doubled(self, x: Tensor) -> Tensor:
        self.seen["features"].append(x.detach())
        return 2 * self.inner(x)


def test_a_users_game_is_augmented_in_turns_and_nowhere_else() -> None:
    game = Peeping(augment=Augment(policy=("cutout",), p=1.0))
    engine = Engine(game, GREY)
    game.seen["pictures"].clear()
    game.seen["features"].clear()
    batch = Batch(x=torch.full((8, 1, 16, 16), 200, dtype=torch.uint8))
    engine.round([batch])
    boxes = [bool((x == 0).flatten(1).any(1).all()) for x in (*game.seen["pictures"], *game.seen["features"])]
    assert len(boxes) == 4
    assert all(boxes), "real, fake and the generator's fake, by call and by method"
    x = GREY.normalise(batch["x"])
    engine.players.D(x)
    assert torch.equal(game.seen["pictures"][-1], x), "outside a turn the critic sees pictures as they are"
    assert engine.stats.flush()["augment/p"] == pytest.approx(1.0)


def test_a_users_game_obeys_the_laws_when_adaptive() -> None:
    check_game(Peeping(augment=Augment(p=Adaptive(start=0.4))), GREY)


def test_an_average_of_the_critic_is_augmented_too() -> None:
    critic = nn.Flatten()
    p = Players({"D": critic}, {"D": critic}).through(lambda name, module: Lens(module, torch.neg))
    x = torch.ones(1, 1, 2, 2)
    assert p.D(x).sum() == p.ema.D(x).sum() == -4


def test_adaptive_strength_goes_up_against_a_critic_that_knows_and_down_otherwise() -> None:
    strength = Strength(0.2, 0.6)
    knows, lost = torch.full((8,), 1e6 + 3), torch.tensor([1.0, -1.0] * 4)
    strength.move(0, target=0.6, speed=1000, limit=0.8)
    assert strength.look(knows, knows - 1) == 1, "a constant in all logits is no matter"
    strength.move(100, target=0.6, speed=1000, limit=0.8)
    assert strength.p.item() == pytest.approx(0.3)
    for _ in range(3):
        strength.look(lost, lost)
    strength.move(300, target=0.6, speed=1000, limit=0.8)
    assert strength.p.item() == pytest.approx(0.1)
    for seen, expected in ((400, 0.0), (900, 0.0)):
        strength.move(seen, target=0.6, speed=1000, limit=0.8)
        assert strength.p.item() == pytest.approx(expected, abs=1e-6)
    for _ in range(20):
        strength.look(knows, knows - 1)
    strength.move(2900, target=0.6, speed=1000, limit=0.8)
    assert strength.p.item() == pytest.approx(0.8)


def test_strength_is_reported_and_rises_within_a_third_of_a_small_run() -> None:
    game = R3GAN(net=R3Lean(widths=(8,)), augment=Augment(policy=("flip",)))
    engine = Engine(game, Image(channels=1, height=8, width=8))
    x = torch.zeros(128, 1, 8, 8, dtype=torch.uint8)
    for _ in range(10_700 // 128):  # a third of 32,000 images
        engine.round([Batch(x=x)])
    figures = engine.stats.flush()
    assert {"augment/p", "augment/sign"} <= figures.keys()
    assert 0.4 < engine.players.strength.p.item() < 0.8 + 1e-6  # 0.8 in single precision lies above 0.8


def test_a_schedule_of_the_strength_is_followed() -> None:
    augment = Augment(p=Linear(start=0.0, end=0.6, span=100))
    assert augment.strength(Clock(3, 50), {}) == pytest.approx(0.3)
    assert decode(Augment, encode(augment)) == augment
    assert decode(Augment, encode(Augment())) == Augment()


def test_draws_do_not_depend_on_the_cut() -> None:
    """Reals and fakes behind one another in one call: halves of the batch see what the whole sees."""
    from agon.game import Dice

    real, fake = torch.randn(8, 3, 8, 8), torch.randn(8, 3, 8, 8)

    def bent(low: int, high: int) -> Tensor:
        p = Players({})
        p.dice = Dice(3, low, high, 8, torch.device("cpu"))
        return augmented(torch.cat([real[low:high], fake[low:high]]), GROUPS, 0.7, p, width=high - low)

    whole, left, right = bent(0, 8), bent(0, 4), bent(4, 8)
    assert torch.equal(whole[:8], torch.cat([left[:4], right[:4]]))
    assert torch.equal(whole[8:], torch.cat([left[4:], right[4:]]))
    assert not torch.equal(augmented(torch.cat([real, real]), GROUPS, 0.7, _dice(), width=8)[:8], augmented(real, GROUPS, 0.7, _dice(5)))


def _dice(seed: int = 3) -> Players:
    from agon.game import Dice

    p = Players({})
    p.dice = Dice(seed, 0, 8, 8, torch.device("cpu"))
    return p


def test_mistakes_are_told() -> None:
    with pytest.raises(InputError, match="augment.p is 1.5; expected a probability from 0 to 1"):
        Augment(p=1.5)
    with pytest.raises(InputError, match="augment.policy is empty; expected some of flip, shift"):
        Augment(policy=())
    with pytest.raises(InputError, match="start 0.9, limit 0.8"):
        Augment(p=Adaptive(start=0.9))
    with pytest.raises(InputError, match="for pictures .* this data is points in 2 dimensions"):
        Engine(GAN(net=MLP(width=8), augment=Augment()), Vector(dim=2))

    @dataclass(frozen=True, kw_only=True)
    class Odd(Peeping):
        critics: ClassVar[tuple[str, ...]] = ("critic",)

    with pytest.raises(InputError, match="Odd.critics is critic, and its players are G, D. Set `critics"):
        Engine(Odd(augment=Augment()), GREY)


def test_without_augmentation_nothing_is_added() -> None:
    game = R3GAN(net=NET)
    assert set(game.cast(GREY)) == {"G", "D"}
    assert [turn.name for turn in game.programme()] == ["critic", "generator"]
    engine = Engine(game, GREY)
    engine.round([random_batch(GREY, 4)])
    assert math.isfinite(engine.stats.flush()["critic/adv"])
