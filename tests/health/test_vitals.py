"""What is measured: closed forms, other spaces, other conditions, games without a critic, and that looking changes nothing."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from agon.data.samples import DataSet, Samples
from agon.engine import Engine
from agon.games.gan import GAN
from agon.games.r3gan import R3GAN
from agon.health import Doctor, vitals
from agon.networks.mlp import MLP
from agon.spaces import Image, Space, Vector


def data_set(space: Space, n: int = 60, *, seed: int = 0) -> DataSet:
    generator = torch.Generator().manual_seed(seed)

    def some(count: int) -> Samples:
        x = space.to_bytes(torch.rand(count, *space.shape, generator=generator) * 2 - 1)
        y: torch.Tensor | None = None
        if space.classes:
            y = torch.randint(len(space.classes), (count,), generator=generator)
        elif space.condition_dim:
            y = torch.rand(count, space.condition_dim, generator=generator).round()
        return Samples(x, y)

    return DataSet(space, some(n), some(n // 3), {}, {}, "0" * 16)


def doctor_for(game: Any, space: Space, path: Path) -> Doctor:
    return Doctor(Engine(game, game.sees(space), seed=0), data_set(space), game.sees(space), {}, path, tick=10, batch=16)


NET = MLP(width=8, depth=1)


@pytest.mark.parametrize(
    ("game", "space"),
    [
        (GAN(net=NET), Image(channels=1, height=16, width=20)),
        (GAN(net=NET), Image(channels=1, height=8, width=8, classes=("a", "b"))),
        (R3GAN(net=NET), Image(channels=3, height=8, width=8, classes=("a", "b", "c"))),
        (R3GAN(net=NET), Image(channels=1, height=8, width=8, tags=("a", "b"))),
        (R3GAN(net=NET), Vector(dim=3, numbers=("a",))),
        (GAN(net=NET), Vector(dim=1)),
    ],
    ids=["picture", "unseen classes", "classes", "tags", "numbers", "points"],
)
def test_every_space_and_condition(game: Any, space: Space, tmp_path: Path) -> None:
    doctor = doctor_for(game, space, tmp_path)
    before = torch.get_rng_state()
    weights = [p.clone() for _, m in doctor.engine.players.items() for p in m.parameters()]
    seen = doctor.look({"G/grad": 1.0})
    assert torch.equal(before, torch.get_rng_state())
    assert all(
        torch.equal(a, b) for a, b in zip(weights, (p for _, m in doctor.engine.players.items() for p in m.parameters()), strict=True)
    )
    assert all(m.training for _, m in doctor.engine.players.items())
    assert all(math.isfinite(v) for v in seen.values()), seen
    assert seen == doctor.look({}), "the same moment, the same figures"
    assert ("D/labels" in seen) == bool(game.sees(space).condition_dim)
    assert ("sample/agreement" in seen) == bool(game.sees(space).classes)
    assert ("sample/classes" in seen) == bool(space.classes), "seen or not"


def test_a_small_step_beside_large_weights_is_seen(tmp_path: Path) -> None:
    doctor = doctor_for(GAN(net=NET), Vector(dim=1), tmp_path)
    large, small = list(doctor.engine.players["G"].parameters())[:2]
    with torch.no_grad():
        large.fill_(1e4 / large.numel() ** 0.5)
        small.fill_(1.0)
        before = doctor.look({})["G/weights"]
        small.add_(1e-5)
    assert doctor.look({})["G/weights"] > before


def test_a_game_without_judge(tmp_path: Path) -> None:
    class Blind(GAN):
        def judge(self, p: Any, x: Any, given: Any = None) -> None:
            return None

    seen = doctor_for(Blind(net=NET), Vector(), tmp_path).look({})
    assert "sample/diversity" in seen and not any(name.startswith("D/s") or name == "D/real" for name in seen)


def test_a_sampler_of_many_steps_gives_fewer_samples(tmp_path: Path) -> None:
    class Slow(GAN):
        def sample(self, p: Any, n: int, *, z: Any = None, given: Any = None) -> Any:
            z = self.latents(p, n) if z is None else z
            return sum(p.G(z) for _ in range(16)) / 16

    few, many = doctor_for(Slow(net=NET), Vector(), tmp_path), doctor_for(GAN(net=NET), Vector(), tmp_path)
    few.look({}), many.look({})
    assert (few._fakes, many._fakes) == (8, 32)
    assert not few.engine.players.G._forward_pre_hooks, "the count leaves nothing behind"


def test_samples_that_are_no_numbers(tmp_path: Path) -> None:
    doctor = doctor_for(GAN(net=NET), Vector(), tmp_path)
    with torch.no_grad():
        next(doctor.engine.players.G.parameters()).fill_(math.nan)
    assert doctor.look({})["sample/finite"] == 0.0
    assert [sign.name for sign in doctor_signs(doctor)] == ["non-finite values"]


def doctor_signs(doctor: Doctor) -> list[Any]:
    doctor.content = {"data": {"path": "ring"}, "recipe": "gan", "seed": 0, "game": {"name": "gan", "optim": {}}}  # type: ignore[assignment]
    return doctor.judge()[0]


def test_sketches_keep_distances() -> None:
    x = torch.randn(40, 3, 40, 40, generator=torch.Generator().manual_seed(0)).cumsum(3)
    true, kept = torch.cdist(x.flatten(1), x.flatten(1)), torch.cdist(vitals.sketch(x), vitals.sketch(x))
    off = ~torch.eye(40, dtype=torch.bool)
    assert (kept[off] / true[off] - 1).abs().mean() < 0.12
    small = torch.randn(5, 7)
    assert torch.equal(vitals.sketch(small), small)


def test_closed_forms() -> None:
    assert vitals.separation(torch.tensor([2.0, 3.0]), torch.tensor([1.0, 2.0])) == pytest.approx((1 + 0.5 + 1 + 1) / 4)
    assert vitals.effective(torch.tensor([0, 0, 1, 1]), 5) == pytest.approx(2.0)
    assert vitals.effective(torch.tensor([3, 3, 3]), 5) == pytest.approx(1.0)
    # the nearest at 1 and the second at 3: a copy; at 1 and 1.5: none
    assert vitals.copies(torch.tensor([[1.0, 3.0, 9.0], [1.5, 1.0, 9.0]])) == 0.5
    x = torch.tensor([[0.0], [0.0], [1.0], [1.0]])
    assert vitals.diversity(x, torch.tensor([0, 0, 1, 1])) == 0.0
    assert vitals.diversity(x) == pytest.approx(0.5)
    points = torch.tensor([[0.0], [1.0], [4.0]])
    inner = torch.cdist(points, points)
    assert vitals.nearest(inner).tolist() == [1.0, 1.0, 3.0]
    assert vitals.mean_distance(inner).item() == pytest.approx((1 + 4 + 3) * 2 / 6)


def test_two_samples_of_one_thing_and_of_two() -> None:
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(200, 4, generator=g), torch.randn(200, 4, generator=g)

    def apart(x: torch.Tensor, y: torch.Tensor) -> float:
        return vitals.told_apart(torch.cdist(x, x), torch.cdist(x, y), torch.cdist(y, y))

    assert abs(apart(a, b) - 0.5) < 0.1
    assert apart(a, b + 9) == 1.0


def test_facts_of_data_broken_on_purpose() -> None:
    space = Image(channels=1, height=8, width=8, classes=("a", "b"))
    good = data_set(space)
    facts = vitals.refer(good, space, 32).facts
    assert facts["bounded"] == 1 and facts["identical"] == 0 and facts["spread"] > 0.4
    assert abs(facts["labels told"] - facts["labels chance"]) < 0.35, "random labels"
    good.train.x[:] = good.train.x[:1].clone()
    assert vitals.refer(good, space, 32).facts["identical"] > 0.95, "all but the first repeat it"


def test_samples_that_stand_twice_are_not_all_alike() -> None:
    space = Image(channels=1, height=8, width=8, classes=("a", "b"))
    good = data_set(space)
    half = len(good.train.x) // 2
    good.train.x[half : 2 * half] = good.train.x[:half].clone()
    assert 0.4 < vitals.refer(good, space, 32).facts["identical"] < 0.6
