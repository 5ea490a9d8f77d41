"""Every video game obeys the laws; what cannot be played says why; a critic sees what its view says and nothing else is generated."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from sixteen_bits import check_fit_for_a_gpu
from torch import Tensor

from agon.augment import GROUPS, Adaptive, Augment, augmented
from agon.engine import Engine
from agon.errors import InputError
from agon.game import Batch, Clock, Players
from agon.games.r3gan import R3GAN
from agon.games.video import VideoGAN
from agon.losses import Hinge, Logistic, Wasserstein
from agon.networks.clips.clip import Clip
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
from agon.networks.dcgan import DCGAN
from agon.networks.r3 import R3Lean
from agon.networks.stylegan2 import StyleGAN2
from agon.penalties import DRAGAN, R1, R2, GradientPenalty, LeCam, Orthogonal, PathLength, WeightClip
from agon.schedule import Linear
from agon.spaces import Image, Space, Vector, Video
from agon.testing import check_game, check_ranks, random_batch

PLAIN = Video(frames=6, channels=1, height=8, width=8)
CLASSES = Video(frames=6, channels=3, height=8, width=8, classes=("up", "down", "left"))
TAGS = Video(frames=6, channels=1, height=8, width=8, tags=("red", "round"))
NUMBERS = Video(frames=5, channels=1, height=9, width=7, numbers=("speed", "size"))
WORDS = Video(frames=6, channels=3, height=8, width=8, words=("a", "red", "square", "up"), caption_length=4)
STYLE = StyleGAN2(base=64, most=8, w_dim=8)
NET = GRUMotion(widths=(8, 8), motion=8, noise=4, label_dim=4)
SPARSE, MOTION, FRAMES = Sparse(widths=(8, 8)), Motion(widths=(8, 8)), Frames(frames=2, net=R3Lean(widths=(8, 8)))


def small(**fields: Any) -> VideoGAN:
    return VideoGAN(**{"z_dim": 4, "net": NET, "judges": (SPARSE, MOTION), **fields})


CASES: dict[str, tuple[VideoGAN, Space]] = {
    "default": (small(), PLAIN),
    "sparse alone, classes": (small(judges=(SPARSE,)), CLASSES),
    "few frames, classes, mismatch": (small(judges=(SPARSE, Motion(widths=(8, 8), frames=3)), mismatch=0.5), CLASSES),
    "dual, tags, hinge": (small(judges=(FRAMES, MOTION), loss=Hinge(), mismatch=0.5), TAGS),
    "numbers, odd size, lazily": (small(penalties=(R1(every=3),), loss=Logistic()), NUMBERS),
    "captions, mismatch": (small(mismatch=1.0), WORDS),
    "captions, mismatch by a word": (small(judges=(FRAMES, Motion(widths=(8, 8), frames=3)), mismatch=1.0, one_word=0.5), WORDS),
    "captions, concat": (small(head="concat", mismatch=1.0), WORDS),
    "auxiliary": (small(head="auxiliary", judges=(SPARSE, FRAMES, MOTION)), CLASSES),
    "first frame": (small(first_frame=True), PLAIN),
    "first frame, classes, few frames": (small(first_frame=True, judges=(SPARSE,)), CLASSES),
    "wgan-gp": (small(loss=Wasserstein(), penalties=(GradientPenalty(),), n_critic=2), PLAIN),
    "clipped": (small(loss=Wasserstein(), penalties=(WeightClip(),), n_critic=2), PLAIN),
    "lecam": (small(loss=Hinge(), penalties=(LeCam(), R1(every=2))), PLAIN),
    "dragan, orthogonal": (small(loss=Hinge(), penalties=(DRAGAN(), Orthogonal(every=2))), PLAIN),
    "mocogan": (
        small(net=MoCoGAN(width=4), judges=(PatchFrames(width=4), PatchClip(width=4)), loss=Logistic(), penalties=(), ema={}),
        PLAIN,
    ),
    "mocogan, categories": (
        small(
            net=MoCoGAN(width=4),
            judges=(PatchFrames(width=4), Clip(width=4, norm="batch", noise=0.1)),
            loss=Logistic(),
            penalties=(),
            head="auxiliary",
        ),
        CLASSES,
    ),
    "vgan": (small(net=VGAN(width=4), judges=(Clip(width=4, strided=True),)), PLAIN),
    "dvd": (small(net=DVD(widths=(8, 8)), judges=(FRAMES, Motion(widths=(8, 8), norm="spectral")), loss=Hinge(), penalties=()), CLASSES),
    "stylegan-v": (small(net=StyleGANV(period=4, noise=4, width=8, frequencies=4, widths=(8, 8)), judges=(SPARSE,)), CLASSES),
    "stylegan-v modulated": (
        small(
            net=StyleGANV(period=4, noise=4, width=8, frequencies=4, decoder="modulated", style=STYLE),
            judges=(SPARSE,),
            penalties=(R1(every=2),),
        ),
        WORDS,
    ),
    "timeformer, first frame": (small(net=Timeformer(widths=(8, 8), motion=8, heads=2, noise=4), first_frame=True), PLAIN),
    "walk": (small(net=Walk(image=STYLE, motion=8, noise=4, step=2.0), judges=(Sparse(frames=2, widths=(8, 8)), MOTION)), CLASSES),
    "patches, wgan-gp": (
        small(
            judges=(PatchFrames(width=4, norm="none", noise=0.0), PatchClip(width=4, norm="none", noise=0.0)),
            loss=Wasserstein(),
            penalties=(GradientPenalty(),),
        ),
        CLASSES,
    ),
    "twice the same": (small(judges=(SPARSE, Sparse(frames=2, widths=(8, 8)))), PLAIN),
    "augmented": (small(augment=Augment(policy=GROUPS, p=0.5)), CLASSES),
    "augmented, adaptive, first frame": (small(first_frame=True, augment=Augment(p=Adaptive(start=0.5, speed=500))), PLAIN),
}


@pytest.mark.parametrize("name", CASES)
def test_video_game_obeys_the_laws(name: str) -> None:
    game, space = CASES[name]
    check_game(game, space)


@pytest.mark.parametrize("name", CASES)
def test_video_game_is_fit_for_a_gpu(name: str) -> None:
    check_fit_for_a_gpu(*CASES[name])


def test_two_ranks_equal_one() -> None:
    chosen = ("default", "few frames, classes, mismatch", "captions, mismatch", "lecam", "augmented")
    check_ranks([CASES[name] for name in chosen])


def test_terms_are_named_by_critic() -> None:
    def terms(game: VideoGAN) -> set[str]:
        engine = Engine(game, CLASSES)
        engine.round([random_batch(CLASSES, 4)])
        return {name for name in engine.stats.flush() if "/grad" not in name}

    assert terms(small(judges=(SPARSE,))) == {"critic/adv", "critic/r1", "critic/r2", "generator/adv"}
    two = terms(small(mismatch=1.0, penalties=(R1(),), first_frame=True))
    assert two == {f"critic/{judge}/{term}" for judge in ("sparse", "motion") for term in ("adv", "r1", "mismatch")} | {
        "generator/sparse/adv", "generator/motion/adv", "generator/first",
    }  # fmt: skip


def test_only_frames_that_are_looked_at_are_generated() -> None:
    asked: list[Any] = []

    class Watched(torch.nn.Module):
        frames = 6

        def noise_shape(self, frames: int) -> tuple[int, ...]:
            return (frames,)

        def forward(self, z: Tensor, e: Tensor, y: Any = None, *, first: Any = None, at: Any = None, copy: bool = True) -> Tensor:
            asked.append(at)
            return torch.zeros(len(z), 6 if at is None else at.shape[1], 1, 8, 8)

    for judges, count in (((SPARSE,), 3), ((Sparse(frames=2, widths=(8, 8)), Sparse(widths=(8, 8))), 5), ((SPARSE, MOTION), None)):
        game = small(judges=judges)
        players = Players({**game.players(PLAIN), "G": Watched()})
        x = torch.zeros(4, *PLAIN.shape)
        game.critic(players, Batch(x=x), Clock())
        assert (None if asked[-1] is None else asked[-1].shape[1]) == count


def test_real_and_fake_are_seen_at_the_same_frames() -> None:
    """A generator that returns the reals cannot be told from them by any critic."""

    class Copy(torch.nn.Module):
        frames = 6

        def noise_shape(self, frames: int) -> tuple[int, ...]:
            return (frames,)

        def forward(self, z: Tensor, e: Tensor, y: Any = None, *, first: Any = None, at: Any = None, copy: bool = True) -> Tensor:
            from agon.layers.frames import choose

            return choose(x, at)

    for judges in ((SPARSE,), (SPARSE, MOTION), (FRAMES, Motion(widths=(8, 8), frames=3))):
        game = small(judges=judges)
        players = Players({**game.players(PLAIN), "G": Copy()})
        x = torch.rand(4, *PLAIN.shape) * 2 - 1
        for _, view, _ in game._views(players, Batch(x=x), Clock()):
            assert torch.allclose(view.logits("real"), view.logits("fake"))


def test_a_wrong_condition_is_never_the_right_one() -> None:
    game = small(mismatch=1.0)
    p = Players(game.players(CLASSES))
    y = torch.arange(300) % 3
    wrong, equal = game._other(p, y)
    assert bool((wrong != y).all())
    assert not equal.any()
    assert len(wrong.unique()) == 3
    captions = torch.tensor([[1, 2], [3, 0], [1, 2], [1, 2], [4, 4]])
    wrong, equal = game._other(p, captions)
    assert wrong.tolist() == [[3, 0], [1, 2], [1, 2], [1, 2], [4, 4]]
    assert equal.tolist() == [False, False, True, True, True]


def test_a_wrong_caption_may_differ_by_one_word() -> None:
    """It is the neighbour's word at a place where both have one and differ; without such a place the whole caption is the neighbour's."""
    game = small(mismatch=1.0, one_word=1.0)
    p = Players(game.players(WORDS))
    captions = torch.tensor([[1, 2, 3], [4, 2, 5], [1, 2, 0], [1, 2, 3], [4, 4, 4], [4, 4, 4]]).repeat(50, 1)
    wrong, equal = game._other(p, captions)
    told = {tuple(row) for row in wrong[::6].tolist()}
    assert told == {(4, 2, 3), (1, 2, 5)}, "each place in turn"
    assert {tuple(row) for row in wrong[2::6].tolist()} == {(1, 2, 3)}, "only the length differs"
    assert equal.view(-1, 6).tolist() == [[False, False, False, False, True, True]] * 50
    half, _ = small(mismatch=1.0, one_word=0.5)._other(p, captions)
    share = ((half != captions).sum(1)[::6] == 1).float().mean()
    assert 0.25 < float(share) < 0.75
    tags = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert game._other(p, tags)[0].tolist() == [[0.0, 1.0], [1.0, 0.0]], "of captions alone"


def test_mismatched_pairs_teach_the_condition() -> None:
    """A critic that sees real clips alone, right and wrong, learns to prefer the right class."""
    game = small(judges=(SPARSE,), mismatch=1.0, penalties=(), loss=Hinge())
    engine = Engine(game, CLASSES, seed=0)
    y = torch.arange(12) % 3
    x = (y.float() / 2 * 255).to(torch.uint8)[:, None, None, None, None].expand(-1, *CLASSES.shape).contiguous()
    for _ in range(30):
        engine.round([Batch(x=x, y=y)])
    p, shown = engine.players, CLASSES.normalise(x)
    right, wrong = game.judge(p, shown, Batch(y=y)), game.judge(p, shown, Batch(y=(y + 1) % 3))
    assert float((right > wrong).float().mean()) > 0.9


def test_clips_are_augmented_alike_in_all_frames() -> None:
    """Every group changes a still clip into a still clip, two clips differently, and like the picture it repeats."""
    p = Players({})
    pictures = torch.rand(6, 3, 8, 8) * 2 - 1
    clips = pictures[:, None].expand(-1, 4, -1, -1, -1)
    for group in GROUPS:
        torch.manual_seed(0)
        bent = augmented(clips, (group,), 1.0, p, width=3)
        torch.manual_seed(0)
        alone = augmented(pictures, (group,), 1.0, p, width=3)
        assert torch.allclose(bent, alone[:, None].expand_as(bent), atol=1e-6), group  # some processors add up more frames in another order
        if group != "flip":
            assert not torch.equal(bent, clips)
    torch.manual_seed(0)
    same = augmented(torch.cat([clips[:3], clips[:3]]), ("geometry",), 1.0, p, width=3, alike=2)
    assert torch.allclose(same[:3], same[3:], atol=1e-6), "two batches that are to be compared were bent differently"


ILLEGAL: dict[str, tuple[dict[str, Any], Space, str]] = {
    "pictures": ({}, Image(height=8, width=8), "--frames 16"),
    "points": ({}, Vector(dim=2), "--frames 16"),
    "no critic": ({"judges": ()}, PLAIN, "there is no critic"),
    "captions guessed": ({"head": "auxiliary"}, WORDS, "the data have captions"),
    "mismatch without labels": ({"mismatch": 1.0}, PLAIN, "mismatched pairs need a condition"),
    "mismatch unseen": ({"mismatch": 1.0, "head": "auxiliary"}, CLASSES, "mismatched pairs need a condition"),
    "mismatch later": (
        {"mismatch": Linear(start=0.0, end=1.0, span=9.0)},
        replace(CLASSES, classes=("up",)),
        "mismatched pairs need a condition",
    ),
    "mismatch later, unseen": (
        {"mismatch": Linear(start=0.0, end=1.0, span=9.0), "head": "auxiliary"},
        CLASSES,
        "mismatched pairs need a condition",
    ),
    "no labels": ({"head": "auxiliary"}, PLAIN, "take the head 'none' or labelled data"),
    "unseen labels": ({"head": "none"}, CLASSES, "no critic sees"),
    "unbounded": ({"loss": Wasserstein(), "penalties": ()}, PLAIN, "nothing here bounds it"),
    "coupled": ({"judges": (SPARSE, Frames(net=DCGAN(width=4)))}, PLAIN, "couples the samples of a batch"),
    "patches guess nothing": ({"judges": (PatchFrames(width=4), PatchClip(width=4)), "head": "auxiliary"}, CLASSES, "none of the critics"),
    "no first frame": ({"net": VGAN(), "first_frame": True}, PLAIN, "'vgan' cannot go on from a given frame"),
    "modulated": ({"net": StyleGANV(decoder="modulated"), "first_frame": True}, PLAIN, "set net.decoder to lean"),
    "no styles": ({"penalties": (PathLength(),)}, PLAIN, "has no mapping network"),
    "both slopes": ({"penalties": (R2(), DRAGAN())}, PLAIN, "Keep one of them"),
}


@pytest.mark.parametrize("name", ILLEGAL)
def test_illegal_choices_say_why(name: str) -> None:
    fields, space, reason = ILLEGAL[name]
    game = small(**fields)
    with pytest.raises(InputError, match=reason) as refusal:
        game.players(space)  # type: ignore[arg-type]
    assert str(refusal.value) == game.why_not(space)
    assert str(refusal.value).endswith(".")


def test_a_missing_first_frame_and_a_game_for_pictures_say_what_to_do() -> None:
    game = small(first_frame=True)
    with pytest.raises(InputError, match="--first picture.png"):
        game.sample(Players(game.players(PLAIN)), 2)
    with pytest.raises(InputError, match="--recipe video"):
        R3GAN().cast(PLAIN)
