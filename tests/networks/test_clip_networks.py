"""Clip networks keep their promises: shapes, frames asked alone, any length, first frames, gradients of gradients."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from agon.game import Players
from agon.layers.frames import begin_with, choose, pair
from agon.layers.labels import embedding
from agon.layers.recurrent import GRU
from agon.networks import clips
from agon.networks.clips.frames import Frames
from agon.networks.clips.gru import GRUMotion
from agon.networks.clips.motion import Motion
from agon.networks.clips.sparse import Sparse
from agon.networks.r3 import R3Lean
from agon.penalties import squared_norm, zero_centred
from agon.spaces import Video

SPACE = Video(frames=8, channels=3, height=8, width=8, classes=("a", "b"))
ODD = Video(frames=5, channels=1, height=14, width=11)
WORDS = Video(frames=6, channels=3, height=8, width=8, words=("a", "red", "square"), caption_length=4)
GENERATORS: dict[str, Any] = {"gru": GRUMotion(widths=(8, 8), motion=8, noise=4, label_dim=4)}
CRITICS: dict[str, Any] = {
    "sparse": Sparse(widths=(8, 8)),
    "motion": Motion(widths=(8, 8)),
    "motion of few": Motion(widths=(8, 8), frames=3),
    "frames": Frames(frames=2, net=R3Lean(widths=(8, 8))),
}
RANDOM_ACCESS = [name for name, net in GENERATORS.items()]


def seeded(seed: int) -> Any:
    """Noise that is a function of the block."""

    def dice(block: int, *shape: int) -> Tensor:
        return torch.randn(2, *shape, generator=torch.Generator().manual_seed(1000 * seed + block))

    return dice


def labels(space: Video, n: int) -> Tensor | None:
    if space.classes:
        return torch.arange(n) % space.num_classes
    return torch.tensor([[1, 2, 3, 0], [2, 3, 0, 0], [1, 0, 0, 0]])[torch.arange(n) % 3] if space.words else None


def inputs(module: Any, space: Video, n: int = 2) -> tuple[Tensor, Tensor, Tensor | None]:
    return torch.randn(n, 4), torch.randn(n, *module.noise_shape(space.frames)), labels(space, n)


def test_every_network_is_tried() -> None:
    assert {type(net) for net in GENERATORS.values()} == set(clips.generators())
    assert {type(net) for net in CRITICS.values()} == set(clips.critics())


@pytest.mark.parametrize("space", [SPACE, ODD, WORDS], ids=lambda s: s.describe())
@pytest.mark.parametrize("name", GENERATORS)
def test_generator(name: str, space: Video) -> None:
    torch.manual_seed(0)
    module = GENERATORS[name].generator(4, space).eval()
    z, e, y = inputs(module, space)
    x = module(z, e, y)
    assert x.shape == (2, *space.shape)
    assert x.abs().max() <= 1
    assert (x[:, 0] != x[:, -1]).any(), "nothing moves"
    at = torch.tensor([[0, 2, 4], [1, 1, 3]])
    assert torch.allclose(module(z, e, y, at=at), choose(x, at), atol=1e-5)
    if not module.fixed_length:
        longer = torch.cat(list(module.long(z, seeded(1), 37, y, chunk=5)), 1)
        assert longer.shape == (2, 37, *space.shape[1:])
        start = torch.cat(list(module.long(z, seeded(1), 20, y)), 1)
        assert torch.allclose(longer[:, :20], start, atol=1e-5), "the length of the parts changes the clip"
        other = torch.cat(list(module.long(z, seeded(2), 20, y)), 1)
        assert not torch.allclose(other, start, atol=1e-3), "the noise changes nothing"


@pytest.mark.parametrize("name", GENERATORS)
def test_condition_and_first_frame_matter(name: str) -> None:
    net = GENERATORS[name]
    module = net.generator(4, SPACE).eval()
    z, e, y = inputs(module, SPACE)
    assert y is not None
    assert not torch.allclose(module(z, e, y), module(z, e, 1 - y), atol=1e-3)
    if not net.takes_first:
        return
    module = net.generator(4, SPACE, first=True).eval()
    z, e, y = inputs(module, SPACE)
    one, two = torch.rand(2, 2, *SPACE.shape[1:]) * 2 - 1
    x = module(z, e, y, first=one)
    assert torch.equal(x[:, 0], one)
    assert not torch.allclose(x[:, 1:], module(z, e, y, first=two)[:, 1:], atol=1e-3), "later frames do not look at the first"
    assert not torch.allclose(module(z, e, y, first=one, copy=False)[:, 0], one, atol=1e-3)
    part = module(z, e, y, first=one, at=torch.tensor([[0, 3], [2, 0]]))
    assert torch.equal(part[0, 0], one[0])
    assert torch.equal(part[1, 1], one[1])
    assert torch.allclose(part[0, 1], x[0, 3], atol=1e-5)
    assert torch.equal(next(module.long(z, seeded(1), 4, y, first=one))[:, 0], one)


@pytest.mark.parametrize("space", [SPACE, ODD, WORDS], ids=lambda s: s.describe())
@pytest.mark.parametrize("name", CRITICS)
def test_critic(name: str, space: Video) -> None:
    """Positions are legal, logits are finite, and the penalty's gradient reaches every weight that the logits reach."""
    torch.manual_seed(0)
    config = CRITICS[name]
    p, n = Players({}), 64
    at = config.view(p, n, space.frames)
    if at is not None:
        assert at.dtype == torch.int64
        assert int(at.min()) >= 0
        assert int(at.max()) <= space.frames - 1
        assert bool((at.diff(dim=1) > 0).all()), "frames must be different and in order"
        assert len(at.unique()) == space.frames, "some frame is never looked at"
        at = at[:4]
    x = torch.rand(4, *space.shape) * 2 - 1
    seen = config.shrink(choose(x, at))
    module = config.critic(space)
    gaps = None if at is None else at.diff(dim=1).float()
    y = labels(space, 4)
    logits = module(seen, y, gaps)
    assert logits.shape[0] == 4
    assert logits.isfinite().all()
    squares, again = zero_centred(module, seen, y, gaps)
    assert torch.allclose(again, logits, atol=1e-5)
    squares.mean().backward()
    assert squares.min() > 0
    reached = [k for k, w in module.named_parameters() if w.grad is not None and w.grad.abs().sum() > 0]
    assert len(reached) > len(list(module.parameters())) / 3
    if y is not None:
        assert not torch.allclose(module(seen, y.flip(0), gaps), logits, atol=1e-5), "the condition is not seen"
    if gaps is not None and name != "frames":
        assert not torch.allclose(module(seen, y, gaps + 1), logits, atol=1e-5), "the gaps are not seen"


@pytest.mark.parametrize("name", [name for name in CRITICS if name != "frames"])
def test_critic_sees_the_order_of_frames(name: str) -> None:
    config = CRITICS[name]
    module = config.critic(SPACE, "none")
    x = config.shrink(torch.rand(2, 3 if "few" in name or name == "sparse" else 8, *SPACE.shape[1:]))
    assert not torch.allclose(module(x), module(x.flip(1)), atol=1e-4)


def test_penalty_of_a_critic_told_captions_matches_finite_differences() -> None:
    torch.manual_seed(0)
    module = Sparse(widths=(8, 8)).critic(WORDS).double()
    x, y = torch.rand(2, 3, 3, 8, 8, dtype=torch.float64), labels(WORDS, 2)
    direction = torch.randn_like(x)
    squares, _ = zero_centred(module, x, y, None)
    gradient = torch.autograd.grad(module(x.requires_grad_(), y, None).sum(), x)[0]
    assert torch.allclose(squares, squared_norm(gradient))
    step = 1e-6
    change = (module(x + step * direction, y, None) - module(x - step * direction, y, None)) / (2 * step)
    assert torch.allclose((gradient * direction).flatten(1).sum(1), change, atol=1e-5)


def test_gru_is_torchs() -> None:
    """The same numbers as the fused one, whose gates are ordered r, z, n and which has a second offset."""
    torch.manual_seed(0)
    ours, theirs = GRU(3, 5), torch.nn.GRU(3, 5, batch_first=True)
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(ours.read.weight)
        theirs.weight_hh_l0.copy_(ours.keep.weight)
        theirs.bias_ih_l0.copy_(ours.read.bias)
        theirs.bias_hh_l0.zero_()
    x, h = torch.randn(2, 7, 3), torch.randn(2, 5)
    assert torch.allclose(ours(x, h), theirs(x, h[None])[0], atol=1e-6)


def test_padding_of_captions_is_not_read() -> None:
    module = embedding(WORDS, 6)
    assert module is not None
    short, padded = torch.tensor([[1, 2]]), torch.tensor([[1, 2, 0, 0]])
    assert torch.allclose(module(short), module(padded), atol=1e-6)
    assert not torch.allclose(module(short), module(torch.tensor([[2, 1]])), atol=1e-3), "the order of words is not read"
    spread = embedding(Video(words=tuple(map(str, range(50))), caption_length=6), 32)
    assert spread is not None
    assert 0.4 < float(spread(torch.randint(1, 51, (200, 6))).detach().std()) < 2


def test_frames_are_chosen_between_and_paired() -> None:
    x = torch.arange(5.0).reshape(1, 5, 1, 1, 1)
    assert choose(x, torch.tensor([[0.0, 1.25, 9.0]])).flatten().tolist() == [0.0, 1.25, 4.0]
    assert pair(x).flatten().tolist() == [0, 1, 2, 3, 4, 4]
    first = torch.full((1, 1, 1, 1), -1.0)
    assert begin_with(x, first, torch.tensor([[3, 0, 1, 0, 2]])).flatten().tolist() == [0, -1, 2, -1, 4]


def test_a_whole_clip_and_its_frames_share_the_first_state() -> None:
    """Every pair of a generator's asked frames comes from one clip."""
    module = GENERATORS["gru"].generator(4, SPACE).eval()
    z, e, y = inputs(module, SPACE)
    x = module(z, e, y)
    for a, b in itertools.combinations(range(0, 8, 3), 2):
        assert torch.allclose(module(z, e, y, at=torch.tensor([[a, b]] * 2)), x[:, [a, b]], atol=1e-5)
