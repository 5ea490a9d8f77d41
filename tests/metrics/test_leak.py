"""The leak measure: 0 for real pictures, 1 for augmented ones, silent where the two are alike."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from agon.augment import GROUPS, Group, augmented
from agon.errors import InputError
from agon.metrics.contract import Features, reduce
from agon.metrics.leak import Leaking, build, leaks


class Draws:
    """torch's global generator as a source."""

    def rand(self, n: int, *shape: int) -> Tensor:
        return torch.rand(n, *shape)

    def randn(self, n: int, *shape: int) -> Tensor:
        return torch.randn(n, *shape)


def landscapes(n: int, seed: int) -> Tensor:
    """Colour pictures with one way up and no handedness: sky above, meadow below, a sun in the middle of varying size; [n, 3, 16, 16]."""
    generator = torch.Generator().manual_seed(seed)
    ruler = torch.linspace(-1, 1, 16)
    ground = torch.sigmoid(8 * (ruler[:, None] - 0.3 * torch.rand(n, 1, 1, generator=generator))).expand(n, 16, 16)
    sun = (ruler[:, None] ** 2 + ruler**2 < 0.1 + 0.2 * torch.rand(n, 1, 1, generator=generator)).float()
    x = torch.stack([sun - 0.6, 0.2 + 0.4 * ground, 0.7 - 1.4 * ground], 1)
    return (x + 0.1 * torch.randn(n, 3, 16, 16, generator=generator)).clamp(-1, 1)


@pytest.mark.parametrize("group", GROUPS)
def test_the_leak_of_real_is_0_and_of_augmented_1(group: Group) -> None:
    torch.manual_seed(0)
    real, other = landscapes(600, 0), landscapes(300, 1)
    (clean,) = leaks(other, real, (group,))
    (leaked,) = leaks(augmented(other, (group,), 1.0, Draws()).clamp(-1, 1), real, (group,))
    (half,) = leaks(augmented(other, (group,), 0.5, Draws()).clamp(-1, 1), real, (group,))
    if group == "flip":
        assert clean.leak is None, "nobody can tell a mirrored landscape of this kind"
        assert "cannot be told" in str(clean)
        return
    assert clean.leak is not None
    assert leaked.leak is not None
    assert half.leak is not None
    assert clean.leak == pytest.approx(0.0, abs=0.15)
    assert leaked.leak == pytest.approx(1.0, abs=0.25)
    assert clean.leak < half.leak < leaked.leak
    assert "0 real, 1 augmented" in str(leaked)


def test_bytes_and_grey_pictures_are_taken() -> None:
    grey = landscapes(200, 0).mean(1, keepdim=True)
    stored = grey.add(1).mul(127.5).round().to(torch.uint8)
    for found, again in zip(leaks(stored[:100], stored[100:]), leaks(grey[:100], grey[100:]), strict=True):
        assert found.group == again.group
        assert found.auc == pytest.approx(again.auc, abs=0.02)


def test_a_stream_of_samples_in_parts_gives_what_the_whole_gives() -> None:
    stored = (landscapes(300, 0) * 127.5 + 127.5).round().to(torch.uint8)
    samples = (augmented(landscapes(100, 1), ("shift",), 1.0, Draws()).clamp(-1, 1) * 127.5 + 127.5).round().to(torch.uint8)
    parts = [Leaking(stored, ("shift", "flip")) for _ in range(2)]
    for metric, half in zip(parts, samples.chunk(2), strict=True):
        metric.update(Features(torch.zeros(50, 0), samples=half))
    whole = Leaking(stored, ("shift", "flip"))
    whole.load(reduce([metric.state() for metric in parts]))
    shift, flip = leaks(samples, stored, ("shift", "flip"))
    assert shift.leak is not None and flip.leak is None
    assert whole.compute()["leak"] == pytest.approx(shift.leak)
    low, high = whole.intervals()["leak"]
    assert (high - low) / 2 == pytest.approx(1.96 * float(shift.error or 0))
    assert "flip: cannot be told" in whole.remark("leak")


def test_too_few_pictures_are_refused() -> None:
    with pytest.raises(InputError, match="needs 50 pictures of each side to be seen, got 20 samples and 100 real ones"):
        leaks(landscapes(20, 0), landscapes(100, 1))


def data_of(train: int, held: int) -> SimpleNamespace:
    """A data set of that many landscapes."""
    samples = [SimpleNamespace(x=(landscapes(n, seed) * 127.5 + 127.5).round().to(torch.uint8)) for seed, n in enumerate((train, held))]
    return SimpleNamespace(space=SimpleNamespace(shape=(3, 16, 16)), train=samples[0], held=samples[1])


def test_of_few_pictures_training_ones_serve_beside_the_held_out_ones() -> None:
    def setting(train: int, held: int) -> Any:
        return SimpleNamespace(data_set=data_of(train, held), policy=("shift",), seed=0)

    assert build(setting(90, 60), 100).settings().endswith("axes of 60 held-out pictures")
    metric = build(setting(90, 10), 100)
    assert metric.reference_name == "held and train"
    assert metric.settings().endswith("axes of 10 held-out and 90 training pictures")
    metric.update(Features(torch.zeros(80, 0), samples=augmented(landscapes(80, 2), ("shift",), 1.0, Draws()).clamp(-1, 1)))
    assert metric.compute()["leak"] > 0.6, "shifts are seen by these axes as well"
    with pytest.raises(InputError, match="needs 50 real pictures to learn what augmented ones look like, and there are 45 in all"):
        build(setting(40, 5), 100)
