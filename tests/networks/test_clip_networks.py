"""Clip networks keep their promises: shapes, frames asked alone, any length, first frames, gradients of gradients."""

from __future__ import annotations

import itertools
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from agon.errors import InputError
from agon.game import Players
from agon.layers.frames import begin_with, choose, pair
from agon.layers.labels import embedding
from agon.layers.recurrent import GRU, LSTM
from agon.layers.windowed import Windowed
from agon.networks import clips
from agon.networks.clips.clip import Clip
from agon.networks.clips.decoder import place
from agon.networks.clips.dvd import DVD
from agon.networks.clips.frames import Frames
from agon.networks.clips.gru import GRUMotion
from agon.networks.clips.mocogan import MoCoGAN, PatchClip, PatchFrames
from agon.networks.clips.motion import Motion
from agon.networks.clips.sparse import Sparse
from agon.networks.clips.stylegan_v import StyleGANV
from agon.networks.clips.timeformer import Timeformer
from agon.networks.clips.vgan import VGAN
from agon.networks.clips.walk import Walk
from agon.networks.r3 import R3Lean
from agon.networks.stylegan2 import StyleGAN2
from agon.penalties import squared_norm, zero_centred
from agon.spaces import Video

SPACE = Video(frames=8, channels=3, height=8, width=8, classes=("a", "b"))
ODD = Video(frames=5, channels=1, height=14, width=11)
STYLE = StyleGAN2(base=64, most=8, w_dim=8)
WORDS = Video(frames=6, channels=3, height=8, width=8, words=("a", "red", "square"), caption_length=4)
GENERATORS: dict[str, Any] = {
    "gru": GRUMotion(widths=(8, 8), motion=8, noise=4, label_dim=4),
    "gru that draws anew": GRUMotion(widths=(8, 8), motion=8, noise=4, label_dim=4, things=0),
    "mocogan": MoCoGAN(width=4),
    "vgan": VGAN(width=4, label_dim=4),
    "dvd": DVD(widths=(8, 8), label_dim=4),
    "timeformer": Timeformer(widths=(8, 8), motion=8, heads=2, window=6, noise=4, label_dim=4),
    "stylegan-v": StyleGANV(period=4, noise=4, width=8, frequencies=4, widths=(8, 8), label_dim=4, speed=1.0),
    "stylegan-v modulated": StyleGANV(period=4, noise=4, width=8, frequencies=4, decoder="modulated", style=STYLE, speed=1.0),
    "walk": Walk(image=R3Lean(widths=(8, 8)), motion=8, noise=4, step=2.0, label_dim=4),
    "walk in w": Walk(image=STYLE, motion=8, noise=4, step=2.0, told=True),
}
CRITICS: dict[str, Any] = {
    "sparse": Sparse(widths=(8, 8)),
    "motion": Motion(widths=(8, 8)),
    "motion of few": Motion(widths=(8, 8), frames=3),
    "frames": Frames(frames=2, net=R3Lean(widths=(8, 8))),
    "clip": Clip(width=4),
    "clip strided": Clip(width=4, strided=True),
    "patch-frames": PatchFrames(width=4, norm="none", noise=0.0),
    "patch-clip": PatchClip(width=4, norm="none", noise=0.0),
}


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
    if module.fixed_length:
        with pytest.raises(InputError, match="take a generator such as 'gru'"):
            list(module.long(z, seeded(1), space.frames + 1, y))
        assert torch.equal(torch.cat(list(module.long(z, seeded(1), space.frames, y, chunk=3)), 1), x)
    else:
        longer = torch.cat(list(module.long(z, seeded(1), 37, y, chunk=5)), 1)
        assert longer.shape == (2, 37, *space.shape[1:])
        start = torch.cat(list(module.long(z, seeded(1), 20, y)), 1)
        assert torch.allclose(longer[:, :20], start, atol=1e-5), "the length of the parts changes the clip"
        other = torch.cat(list(module.long(z, seeded(2), 20, y)), 1)
        assert e.numel() == 0 or not torch.allclose(other, start, atol=1e-3), "the noise changes nothing"


@pytest.mark.parametrize("name", GENERATORS)
def test_condition_and_first_frame_matter(name: str) -> None:
    net = GENERATORS[name]
    module = net.generator(4, SPACE).eval()
    z, e, y = inputs(module, SPACE)
    assert y is not None
    assert not torch.allclose(module(z, e, y), module(z, e, 1 - y), atol=1e-3)
    if not net.takes_first or "modulated" in name:
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
    assert logits.dim() == (2 if "patch" in name else 1)
    assert logits.isfinite().all()
    squares, again = zero_centred(module, seen, y, gaps)
    assert torch.allclose(again, logits, atol=1e-5)
    squares.mean().backward()
    assert squares.min() > 0
    reached = [k for k, w in module.named_parameters() if w.grad is not None and w.grad.abs().sum() > 0]
    assert len(reached) > len(list(module.parameters())) / 3
    if y is not None:
        assert not torch.allclose(module(seen, y.flip(0), gaps), logits, atol=1e-5), "the condition is not seen"
    if gaps is not None and "frames" not in name:
        assert not torch.allclose(module(seen, y, gaps + 1), logits, atol=1e-5), "the gaps are not seen"


@pytest.mark.parametrize("name", [name for name in CRITICS if "frames" not in name])
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


@pytest.mark.parametrize("name", GENERATORS)
def test_a_frame_asked_alone_is_that_frame(name: str) -> None:
    """Each frame by itself, and each pair, comes from one clip."""
    torch.manual_seed(0)
    module = GENERATORS[name].generator(4, SPACE).eval()
    z, e, y = inputs(module, SPACE)
    x = module(z, e, y)
    for some in [(t,) for t in range(8)] + list(itertools.combinations(range(0, 8, 3), 2)):
        assert torch.allclose(module(z, e, y, at=torch.tensor([some] * 2)), x[:, list(some)], atol=1e-5)


@pytest.mark.parametrize("name", ["stylegan-v", "stylegan-v modulated"])
def test_continuous_time(name: str) -> None:
    """A frame asked alone is that of a long clip; between frames, and across anchors, nothing jumps; nothing repeats."""
    torch.manual_seed(0)
    module = GENERATORS[name].generator(4, SPACE).eval()
    z, _, y = inputs(module, SPACE)
    clip = torch.cat(list(module.long(z, seeded(1), 130, y, chunk=7)), 1)
    for t in (0, 3, 4, 50, 129):
        alone = module.anywhere(z, seeded(1), torch.tensor([t]), y)
        assert torch.allclose(alone[:, 0], clip[:, t], atol=1e-5), t
    faster = torch.cat(list(module.long(z, seeded(1), 65, y, chunk=7, step=2.0)), 1)
    assert torch.allclose(faster, clip[:, ::2], atol=1e-5), "twice the step is every second frame"
    mixed = module.anywhere(z, seeded(1), torch.tensor([100, 2, 101, 2]), y)
    assert torch.allclose(mixed, clip[:, [100, 2, 101, 2]], atol=1e-5)
    fine = module.anywhere(z, seeded(1), torch.arange(0, 12.01, 0.01), y)
    assert torch.allclose(fine[:, ::100], clip[:, :13], atol=1e-4)
    steps, whole = fine.diff(dim=1).abs().amax((0, 2, 3, 4)), clip[:, :13].diff(dim=1).abs().max()
    assert steps.max() < 0.1 * whole, "a jump"
    assert (clip[:, :4] - clip[:, 4:8]).abs().max() > 1e-3, "periodic"
    e = torch.stack([seeded(1)(k, 4) for k in range(module.noise_shape(8)[0])], 1)
    assert torch.allclose(module(z, e, y), clip[:, :8], atol=1e-5), "training and long clips see other anchors"


def test_things_are_placed_by_whole_pixels_and_between_them() -> None:
    things = torch.randn(2, 3, 10, 4, 7)
    where = torch.zeros(2, 5, 3, 4)
    assert torch.allclose(place(things, where), things[:, None].expand(-1, 5, -1, -1, -1, -1), atol=1e-6)
    where[:, 1, :, 0], where[:, 2, :, 1], where[:, 3, :, 0] = 2 / 10 / 0.3, -1 / 7 / 0.3, 0.5 / 10 / 0.3
    moved = place(things, where)
    assert torch.allclose(moved[:, 1, :, 2:], things[:, :, :-2], atol=1e-5), "two pixels down"
    assert not moved[:, 1, :, :2].abs().max() > 1e-5, "nothing comes in from outside"
    assert torch.allclose(moved[:, 2, ..., :-1], things[..., 1:], atol=1e-5), "one pixel to the left"
    assert torch.allclose(moved[:, 3, :, 1:], (things[:, :, 1:] + things[:, :, :-1]) / 2, atol=1e-5), "half a pixel down"
    flat = torch.ones(1, 1, 16, 1, 16)
    for size in (0.55, 0.76, 0.9, 1.0, 1.4):
        at = torch.tensor([0.013, -0.02, math.log(size) / 0.25, math.log(size) / 0.25]).expand(1, 1, 1, 4)
        assert place(flat, at)[0, 0, 0, 6:10, 0, 6:10].sub(1).abs().max() < 1e-5, "a cover of one stays one at any scale and place"
    half = place(flat, torch.tensor([0.0, 0.0, math.log(0.5) / 0.25, math.log(0.5) / 0.25]).expand(1, 1, 1, 4))
    assert float(half.sum()) == pytest.approx(64, rel=1e-3), "at half the scale a quarter of the area"
    assert float(half[0, 0, 0, 8, 0, 8]) == pytest.approx(1, abs=1e-4)
    where = torch.randn(1, 2, 1, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(place, (torch.randn(1, 1, 5, 2, 4, dtype=torch.float64, requires_grad=True), where))


def test_captions_are_heard_as_loud_as_the_latent_and_classes_a_tenth() -> None:
    """Unless said otherwise: a loud class makes one picture of all its clips, a quiet caption leaves looks to chance (docs/log.md)."""
    for net in ("gru", "timeformer", "stylegan-v"):
        assert GENERATORS[net].generator(6, WORDS).decode.loudness.tolist() == [1.0] * 10
        assert GENERATORS[net].generator(6, SPACE).decode.loudness.tolist() == pytest.approx([1.0] * 6 + [0.1] * 4)
    assert replace(GENERATORS["gru"], loud=0.5).generator(6, WORDS).decode.loudness[-1] == 0.5


def test_what_a_clip_keeps_does_not_change_along_it() -> None:
    """With what is drawn anew hidden, a thing's colours are those of its picture in every frame, wherever it is."""
    torch.manual_seed(0)
    module = GRUMotion(widths=(8, 8), motion=8, noise=4, label_dim=4, things=1).generator(4, SPACE).eval()
    z, e, y = inputs(module, SPACE)
    with torch.no_grad():
        module.decode.out.bias[-1] = -400.0
        ground, thing = module.decode._kept(module.content(z, y, None)[0] * module.decode.loudness, [])
        x = module(z, e, y)
    lowest, highest = (
        (thing[..., :-1, :] / thing[..., -1:, :]).amin((2, 4)).squeeze(1),
        (thing[..., :-1, :] / thing[..., -1:, :]).amax((2, 4)).squeeze(1),
    )
    lowest, highest = torch.minimum(lowest, ground.amin((1, 3))), torch.maximum(highest, ground.amax((1, 3)))
    assert (x.amin((3, 4)) >= lowest[:, None].clamp(-1, 1) - 1e-4).all()
    assert (x.amax((3, 4)) <= highest[:, None].clamp(-1, 1) + 1e-4).all()


def test_windows_of_attention_go_on_exactly() -> None:
    torch.manual_seed(0)
    module = Windowed(8, 2, 2, 5).eval()
    x = torch.randn(2, 23, 8)
    whole, _ = module(x)
    parts, kept, low = [], None, 0
    for count in (4, 1, 9, 2, 7):
        part, kept = module(x[:, low : low + count], low, kept)
        parts.append(part)
        low += count
    assert torch.allclose(torch.cat(parts, 1), whole, atol=1e-5)
    assert max(key.shape[2] for key, _ in kept) == 4, "memory grows"
    changed = x.clone()
    changed[:, 10, 0] += 1
    moved = (module(changed)[0] - whole).abs().amax((0, 2)) > 1e-6
    assert moved.nonzero().flatten().tolist() == list(range(10, 10 + 2 * 4 + 1)), "two layers of a window of five reach eight frames on"


def test_lstm_is_torchs() -> None:
    torch.manual_seed(0)
    ours, theirs = LSTM(3, 5), torch.nn.LSTM(3, 5, batch_first=True)
    with torch.no_grad():  # ours: input, keep, show, fresh; theirs: input, forget, cell, output
        order = torch.cat([torch.arange(0, 10), torch.arange(15, 20), torch.arange(10, 15)])
        theirs.weight_ih_l0.copy_(ours.read.weight[order])
        theirs.weight_hh_l0.copy_(ours.keep.weight[order])
        theirs.bias_ih_l0.copy_(ours.read.bias[order])
        theirs.bias_hh_l0.zero_()
    x, h, c = torch.randn(2, 7, 3), torch.randn(2, 5), torch.randn(2, 5)
    states, (_, cell) = ours(x, (h, c))
    expected, (_, last) = theirs(x, (h[None], c[None]))
    assert torch.allclose(states, expected, atol=1e-6)
    assert torch.allclose(cell, last[0], atol=1e-6)


def test_walk_moves_along_principal_directions_and_never_trains_its_images() -> None:
    torch.manual_seed(0)
    module = Walk(image=STYLE, motion=8, noise=4, directions=3).generator(4, SPACE)
    assert not [name for name, _ in module.named_parameters() if name.startswith("image")]
    assert [name for name, _ in module.named_buffers() if name.startswith("image")]
    module.survey()
    w = module.image.mapping(torch.randn(4096, 4, generator=torch.Generator().manual_seed(1)), None)
    spread = ((w - w.mean(0)) @ torch.nn.functional.normalize(module.directions, dim=1).T).std(0)
    assert torch.allclose(spread, module.directions.norm(dim=1), rtol=0.1)
    assert bool((spread.diff() <= 1e-4).all()), "the widest direction comes first"
    z, e, y = inputs(module, SPACE)
    assert torch.allclose(module(z, e, y)[:, 0], module.image(z), atol=1e-5), "the first frame is the image itself"
    assert not module.train().image.training


def test_directions_of_a_told_image_generator_are_those_within_a_class() -> None:
    torch.manual_seed(0)
    module = Walk(image=STYLE, motion=8, noise=4, directions=3, told=True).generator(4, SPACE)
    module.survey()
    assert not torch.equal(module.directions, torch.eye(8)[:3])
    z, y = torch.randn(4096, 4, generator=torch.Generator().manual_seed(1)), torch.arange(4096) % 2
    w = module.image.mapping(z, y).detach()
    inside = torch.cat([w[y == k] - w[y == k].mean(0) for k in range(2)])
    spread = (inside @ torch.nn.functional.normalize(module.directions, dim=1).T).std(0)
    assert torch.allclose(spread, module.directions.norm(dim=1), rtol=0.1)


def test_vgan_blends_by_its_mask() -> None:
    """With the mask shut the clip is the still background; the mask's mean is the generator's own term."""
    torch.manual_seed(0)
    module = GENERATORS["vgan"].generator(4, SPACE).eval()
    z, e, y = inputs(module, SPACE)
    with torch.no_grad():
        module.mask.bias.fill_(-100.0)
    with torch.no_grad():
        x, terms = module.with_terms(z, e, y)
    assert torch.allclose(x, x[:, :1].expand_as(x), atol=1e-6)
    assert float(terms["mask"]) < 1e-6
    with torch.no_grad():
        module.mask.bias.fill_(100.0)
        assert float(module.with_terms(z, e, y)[1]["mask"]) == pytest.approx(0.1)


def test_mocogan_has_the_published_sizes() -> None:
    """At 64x64 and 16 frames: content 50, motion 10; patches 4x4 of a frame, 4x4x4 of a clip; the clip critic ends in one number."""
    space = Video(frames=16, channels=3, height=64, width=64)
    generator = MoCoGAN().generator(50, space)
    assert generator.noise_shape(16) == (17, 10)
    deconvolutions = 60 * 512 * 16 + 512 * 256 * 16 + 256 * 128 * 16 + 128 * 64 * 16 + 64 * 3 * 16
    assert sum(w.numel() for w in generator.parameters() if w.dim() > 1) == deconvolutions + 6 * 100
    x = torch.zeros(1, 16, 3, 64, 64)
    assert PatchFrames().critic(space)(x[:, :1]).shape == (1, 16)
    assert PatchClip().critic(space)(x).shape == (1, 64)
    convolutions = (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512 * 1) * 64
    critic = Clip(width=64, norm="batch").critic(space)
    assert sum(w.numel() for w in critic.parameters() if w.dim() > 1) == convolutions


@pytest.mark.parametrize("name", ["gru", "timeformer", "stylegan-v"])
def test_long_clips_need_no_more_memory(name: str) -> None:
    """Two thousand frames in parts: what is resident does not grow by a tenth of what the clip would take."""

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")

    if not Path("/proc/self/statm").exists():
        pytest.skip("resident memory is read from /proc")
    space = Video(frames=8, channels=3, height=24, width=24)
    module = GENERATORS[name].generator(4, space).eval()
    count, before = 0, 0
    with torch.no_grad():
        for part in module.long(torch.randn(2, 4), seeded(1), 2000):
            assert part.shape[1] <= 16
            count += part.shape[1]
            before = before or (resident() if count > 200 else 0)
    assert count == 2000
    assert resident() - before < 0.1 * 2000 * 2 * 3 * 24 * 24 * 4 + 2**21
