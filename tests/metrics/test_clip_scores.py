"""Scores of clips: figures by hand, floors of real clips, what each refuses, and the ladder of faults that docs/video-metrics.md tells of."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from agon.data import Data, DataSet, open_data
from agon.data.moving import draw_scene, make_scene
from agon.errors import InputError
from agon.metrics import evaluate, i3d, make_extractor, registry
from agon.metrics.clipnet import open_clips
from agon.metrics.consistency import consistency
from agon.metrics.content import colours, pair_distance
from agon.metrics.contract import Features, reduce
from agon.metrics.features import open_pixels
from agon.metrics.motion import energies, wasserstein
from agon.metrics.nearest_clip import NearestClip, small
from agon.metrics.obeys import Obeys, Wishes
from agon.metrics.setting import Setting
from agon.spaces import Video

N = 100


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clip-scores")


@pytest.fixture(scope="module")
def shapes() -> DataSet:
    return open_data(Data(path="moving-shapes", limit=480, size=16, frames=8, holdout=0.25))


@pytest.fixture(scope="module")
def fresh() -> tuple[Tensor, Tensor]:
    """Clips no split has, and their directions: a perfect generator."""
    scene = make_scene(N, seed=11)
    return torch.from_numpy(draw_scene(scene, 8, 16, 16)), torch.from_numpy(scene.direction)


def taken(data_set: DataSet, cache: Path, family: str, x: Tensor, y: Tensor | None = None, *, parts: int = 1) -> dict[str, float]:
    """Figures of a family that needs no features, of these clips, by so many ranks."""
    setting = Setting(data_set, open_pixels(data_set.space), 0, cache, labelled=y is not None, conditioned=y is not None)
    build = registry.families()[family].build
    metrics = [build(setting, len(x)) for _ in range(parts)]
    for rank, metric in enumerate(metrics):
        if hasattr(metric, "rows"):
            metric.rows._next, metric.rows._stride = rank, parts
        mine = slice(rank, None, parts)
        metric.update(Features(torch.zeros(len(x[mine]), 1), samples=x[mine], condition=None if y is None else y[mine]))
    metrics[0].load(reduce([metric.state() for metric in metrics]))
    assert set(metrics[0].outputs) == set(metrics[0].higher_is_better)
    return metrics[0].compute()


def test_a_floor_of_few_films_is_told_as_such(shapes: DataSet, fresh: tuple[Tensor, Tensor], cache: Path) -> None:
    extractor = open_pixels(shapes.space)
    for films, words in ((1, "1 film only"), (7, "7 films only"), (8, "")):
        told = replace(shapes, card={**shapes.card, "num_held_films": films})
        (score,) = evaluate(lambda n: fresh[0][:n], told, ["kid"], extractor=extractor, num_samples=20, batch=20, cache=cache)
        assert words in score.note and ("only" in score.note) == bool(words), score.note


# -- by hand -------------------------------------------------------------------------------------------------------------------------


def test_motion_by_hand() -> None:
    clip = torch.zeros(1, 4, 3, 8, 8, dtype=torch.uint8)
    clip[0, 1, :, 0] = 255  # one row of eight goes on, then off
    energy, flicker = energies(clip)[0].tolist()
    assert energy == pytest.approx((1 / 8 + 1 / 8 + 0) / 3)
    assert flicker == pytest.approx((2 / 8 + 1 / 8) / 2)
    assert wasserstein(torch.zeros(50), torch.full((7,), 0.25)) == pytest.approx(0.25)
    assert wasserstein(torch.tensor([0.0, 1.0] * 40), torch.tensor([1.0, 0.0] * 10)) == pytest.approx(0, abs=0.02)


def test_content_by_hand() -> None:
    clip = torch.zeros(1, 2, 3, 4, 4, dtype=torch.uint8)
    clip[0, 0, 0, 0, :2] = torch.tensor([200, 100], dtype=torch.uint8)
    clip[0, 1, 1, 2, 2], clip[0, 1, 2, 3, 3] = 40, 24  # 24 is still ground
    assert colours(clip)[0].tolist() == [[150, 0, 0], [0, 40, 0]]
    assert pair_distance(colours(clip)).item() == pytest.approx((150**2 + 40**2) ** 0.5)
    three = torch.tensor([[[0.0], [1.0], [3.0]]])
    assert pair_distance(three).item() == pytest.approx((1 + 3 + 2) / 3)


def test_consistency_by_hand() -> None:
    picture = torch.randint(0, 256, (3, 24, 24), generator=torch.Generator().manual_seed(0)).byte()
    large = torch.randint(0, 256, (3, 40, 40), generator=torch.Generator().manual_seed(1)).byte()
    moving = torch.stack([large[:, 2 * k : 2 * k + 24, k : k + 24] for k in range(6)])
    leaping = torch.stack([large[:, 0:24, 0:24], large[:, 16:40, 16:40]] * 3)
    still, moved, leapt, noise, flat = consistency(torch.stack([
        picture.expand(6, -1, -1, -1), moving, leaping, torch.randint(0, 256, (6, 3, 24, 24), generator=torch.Generator().manual_seed(2)).byte(),
        torch.full((6, 3, 24, 24), 7, dtype=torch.uint8),
    ])).tolist()  # fmt: skip
    assert still == flat == 1
    assert 0.8 < moved < 1, "only what comes in at the border is new"
    assert max(leapt, noise) < 0.3


def test_wishes_are_read_from_every_kind_of_condition() -> None:
    captions = Wishes(words=("a", "blue", "circle", "up"))
    assert captions.attributes == ("shape", "colour", "direction")
    assert captions.of(torch.tensor([[1, 3, 0], [2, 4, 1]])).tolist() == [[1, -1, -1, -1], [-1, 4, -1, 0]]
    tags = Wishes(tags=("colour=red", "circle", "pretty"))
    assert tags.of(torch.tensor([[1.0, 0, 1], [0, 1, 0]])).tolist() == [[-1, 0, -1, -1], [1, -1, -1, -1]]
    assert Wishes(classes=("down", "left")).of(torch.tensor([1, 0])).tolist() == [[-1, -1, -1, 2], [-1, -1, -1, 1]]


def test_obedience_counts_what_was_asked() -> None:
    scene = make_scene(60, seed=3)
    x = torch.from_numpy(draw_scene(scene, 8, 16, 16))
    space = open_data(Data(path="moving-shapes", limit=400, size=16, frames=4, condition="captions")).space
    asked = torch.tensor([[space.words.index(word) + 1 for word in caption.split()] for caption in scene.columns()["caption"]])
    metric = Obeys(Wishes(words=space.words))
    metric.update(Features(torch.zeros(60, 1), samples=x, condition=asked))
    assert metric.compute()["obeys"] == 1
    asked[:15] = asked[15:30]  # other captions for a quarter
    other = Obeys(Wishes(words=space.words))
    other.update(Features(torch.zeros(60, 1), samples=x, condition=asked))
    same = (
        (asked[:15] == torch.tensor([[space.words.index(w) + 1 for w in c.split()] for c in scene.columns()["caption"][:15]])).all(1).sum()
    )
    assert other.compute()["obeys"] == pytest.approx((45 + int(same)) / 60)
    assert set(other.detail()["by_attribute"]) == {"shape", "colour", "size", "direction"}
    assert other.intervals()["obeys"][0] < other.compute()["obeys"] < other.intervals()["obeys"][1]


# -- on a set ------------------------------------------------------------------------------------------------------------------------

STILL = ("motion", "content", "consistency", "scenes", "obeys", "nearest_clip")


@pytest.mark.parametrize("family", STILL)
def test_ranks_add_up(family: str, shapes: DataSet, cache: Path, fresh: tuple[Tensor, Tensor]) -> None:
    x, y = fresh[0][:40], fresh[1][:40] if family == "obeys" else None
    one, two = taken(shapes, cache, family, x, y), taken(shapes, cache, family, x, y, parts=2)
    assert one == pytest.approx(two, nan_ok=True)


def frozen(x: Tensor) -> Tensor:
    return x[:, :1].expand_as(x).contiguous()


def shuffled(x: Tensor) -> Tensor:
    return x[:, [3, 0, 6, 1, 7, 4, 2, 5]]


def noisy(x: Tensor, sd: float = 40) -> Tensor:
    return (x + sd * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 255).byte()


def changed(x: Tensor) -> Tensor:
    return torch.cat([x[:, :4], x[:, 4:].roll(1, 2)], 1)  # other colours from half time on


def blinking(x: Tensor) -> Tensor:
    return (x.float() * torch.tensor([0.7, 1.0]).repeat(4)[:, None, None, None]).byte()


def test_faults_move_the_figures_that_are_there_for_them(shapes: DataSet, cache: Path, fresh: tuple[Tensor, Tensor]) -> None:
    x, y = fresh
    real = {family: taken(shapes, cache, family, x, y) for family in STILL}
    assert real["obeys"]["obeys"] == real["scenes"]["formed"] == 1
    assert real["scenes"]["scenes"] > 50
    still = taken(shapes, cache, "motion", frozen(x))
    assert still["motion_energy"] == still["flicker"] == 0
    assert still["motion_gap"] > 5 * real["motion"]["motion_gap"]
    half = torch.cat([frozen(x[::2]), x[1::2]])
    assert taken(shapes, cache, "motion", half)["motion_gap"] > 3 * real["motion"]["motion_gap"]
    assert taken(shapes, cache, "scenes", frozen(x))["formed"] == 0
    assert taken(shapes, cache, "obeys", x.flip(1), y)["obeys"] == 0
    assert taken(shapes, cache, "obeys", x, y.roll(1))["obeys"] < 0.5
    assert taken(shapes, cache, "consistency", shuffled(x))["temporal_consistency"] < real["consistency"]["temporal_consistency"] - 0.1
    assert taken(shapes, cache, "consistency", noisy(x))["temporal_consistency"] < real["consistency"]["temporal_consistency"] - 0.1
    assert taken(shapes, cache, "content", changed(x))["content_distance"] > 3 * real["content"]["content_distance"]
    assert taken(shapes, cache, "content", frozen(x))["content_distance"] == 0
    assert taken(shapes, cache, "motion", blinking(x))["flicker"] > 1.1 * real["motion"]["flicker"]
    one_colour = x[(colours(x).mean(1).argmax(1) == 0)]  # reds, yellows, purples
    assert taken(shapes, cache, "scenes", one_colour)["scenes_kl"] > real["scenes"]["scenes_kl"]
    copies = shapes.train.x[torch.arange(N)]
    assert taken(shapes, cache, "nearest_clip", copies)["clip_copies"] == 1
    assert taken(shapes, cache, "nearest_clip", copies)["nearest_clip"] == pytest.approx(0, abs=1e-3)
    assert taken(shapes, cache, "nearest_clip", noisy(copies, 5))["clip_copies"] > 0.9
    assert real["nearest_clip"]["clip_copies"] < 0.1


@pytest.mark.parametrize(("family", "path", "told"), [
    ("motion", "digits", "looks at clips"), ("content", "ring", "looks at clips"), ("consistency", "digits", "looks at clips"),
    ("nearest_clip", "digits", "looks at clips"), ("obeys", "moving-digits", "reads the shapes of the embedded set"),
    ("scenes", "moving-digits", "reads the shapes of the embedded set"), ("fvd", "moving-digits", "give --extractor i3d"),
    ("ppl", "moving-digits", "walks through latents|compares pictures"), ("modes", "moving-digits", "modes are known"),
    ("modes_stacked", "moving-digits", "needs pictures stacked"), ("is", "moving-digits", "needs class probabilities"),
])  # fmt: skip
def test_refusals_of_clip_scores(family: str, path: str, told: str, cache: Path) -> None:
    data_set = open_data(Data(path=path, limit=60))
    with pytest.raises(InputError, match=told):
        registry.families()[family].build(Setting(data_set, open_pixels(data_set.space), 0, cache, conditioned=True), 20)


def test_copies_are_seen_where_held_out_clips_are_training_clips() -> None:
    generator = torch.Generator().manual_seed(0)
    training = torch.rand(50, 4, generator=generator)
    to_held = torch.cat([torch.zeros(5), torch.rand(45, generator=generator) + 0.1]).double()
    metric = NearestClip(lambda x: x, training, to_held, 20)
    metric.update(Features(torch.zeros(20, 1), samples=training[:20]))
    assert metric.compute()["clip_copies"] == 1
    assert metric.settings() == "20 clips, 50 held-out (5 of them training clips) among 50, 4 numbers each"


def test_obedience_needs_a_condition_that_says_something(shapes: DataSet, cache: Path) -> None:
    with pytest.raises(InputError, match="asked for nothing; use formed and scenes"):
        registry.families()["obeys"].build(Setting(shapes, open_pixels(shapes.space), 0, cache), 20)


def test_flicker_needs_three_frames(cache: Path) -> None:
    data_set = open_data(Data(path="moving-digits", limit=40, frames=2))
    with pytest.raises(InputError, match="second differences"):
        registry.families()["motion"].build(Setting(data_set, open_pixels(data_set.space), 0, cache), 20)


# -- extractors ----------------------------------------------------------------------------------------------------------------------


def test_which_extractors_clips_take(shapes: DataSet, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(i3d.VARIABLE, raising=False)
    for name in ("inception", "classifier", "stacked", "random"):
        with pytest.raises(InputError, match=f"extractor '{name}' looks at pictures.*use auto or clips or i3d or pixels"):
            make_extractor(name, shapes, cache=cache)
    with pytest.raises(InputError, match="extractor 'clips' looks at clips"):
        make_extractor("clips", open_data(Data(path="digits", limit=50)), cache=cache)
    with pytest.raises(InputError, match="Agon downloads nothing; expected the file i3d_torchscript.pt of StyleGAN-V .51,235,320 bytes"):
        make_extractor("i3d", shapes, cache=cache)
    pixels = make_extractor("pixels", shapes)
    assert pixels(shapes.held.x[:3]).features.shape == (3, pixels.dim)
    assert pixels.dim <= 3072
    wide = open_pixels(Video(frames=16, height=20, width=80))
    assert wide(torch.zeros(1, 16, 3, 20, 80, dtype=torch.uint8)).features.shape == (1, wide.dim)
    assert "averaged to 8×" in wide.resize


def test_small_clips_keep_their_distances() -> None:
    shrink, dim = small(Video(frames=4, height=8, width=8))
    assert dim == 4 * 3 * 64
    a, b = torch.zeros(1, 4, 3, 8, 8).byte(), torch.full((1, 4, 3, 8, 8), 50).byte()
    assert (shrink(a) - shrink(b)).norm().item() == pytest.approx(50)
    assert small(Video(frames=64, height=128, width=128))[1] <= 3072


@pytest.fixture(scope="module")
def network(shapes: DataSet, cache: Path):
    return open_clips(shapes, cache=cache)


def test_the_clip_network(network, shapes: DataSet, cache: Path) -> None:
    again = open_clips(shapes, cache=cache)
    assert again.hash == network.hash, "the second time it comes from the cache"
    assert network.accuracy is not None
    assert network.accuracy > 0.8
    assert -1 < network.explained < 1, "340 clips are few; of all 4,310 it draws 60 % of held-out variance"
    assert "not comparable with FVD" in network.note
    seen = network(shapes.held.x[:9])
    assert seen.features.shape == (9, 64)
    assert torch.allclose(seen.probabilities.sum(1), torch.ones(9).double())
    assert torch.allclose(network(shapes.held.x[3:5]).features, seen.features[3:5], atol=1e-4)
    with pytest.raises(InputError, match="are too few"):
        open_clips(open_data(Data(path="moving-digits", limit=12)), cache=cache)


def test_the_clip_network_takes_any_condition_size_and_length(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agon.metrics.clipnet._SEEN", 64)
    for path, asked in (
        ("moving-shapes", {"condition": "captions", "frames": 5}), ("moving-shapes", {"columns": ("colour", "shape"), "size": (24, 70)}),
        ("moving-digits", {"labels": "ignore", "size": 20, "frames": 2}), ("moving-digits", {"frames": 33, "size": 18}),
    ):  # fmt: skip
        data_set = open_data(Data(path=path, limit=60, **asked))
        network = open_clips(data_set, cache=cache)
        seen = network(data_set.held.x)
        assert seen.features.shape == (len(data_set.held), 64)
        assert torch.isfinite(seen.features).all()
        assert seen.probabilities is None, "too few of a class, or no classes"


def test_families_of_pictures_work_on_features_of_clips(network, shapes: DataSet, cache: Path, fresh: tuple[Tensor, Tensor]) -> None:
    """Distances, neighbourhoods and classes: real clips are near their floor, damaged ones worse; each with its protocol."""
    x, y = fresh

    def scores(x: Tensor, names: tuple[str, ...]) -> dict[str, float]:
        place = iter(range(0, N, 50))

        def sampler(n: int):
            start = next(place)
            return x[start : start + n], y[start : start + n]

        found = evaluate(sampler, shapes, names, extractor=network, num_samples=N, cache=cache, batch=50, labelled=True)
        for score in found:
            assert "8 frames of 16×16 at 12/s" in str(score)
            told = "samples · lanczos" if score.name == "obeys" else "not comparable with FVD"
            assert told in str(score)
        return {score.name: score.value for score in found}

    names = ("fd", "kid", "precision", "recall", "coverage", "class_accuracy", "authenticity", "obeys")
    real = scores(x, names)
    assert real["class_accuracy"] > 0.8
    assert real["obeys"] == 1
    for fault in (frozen, shuffled, noisy):
        worse = scores(fault(x), ("fd", "kid", "coverage"))
        assert worse["fd"] > 1.5 * real["fd"], fault
        assert worse["kid"] > real["kid"], fault
        assert worse["coverage"] < real["coverage"], fault
    assert scores(x.flip(1), ("class_accuracy", "obeys")) == {"class_accuracy": pytest.approx(0, abs=0.2), "obeys": 0}


def test_no_network_is_trained_for_scores_of_samples_alone(shapes: DataSet, cache: Path, fresh: tuple[Tensor, Tensor]) -> None:
    class Never:
        name, hash, dim, resize, num_classes, note = "never", "0" * 12, 1, "", 0, ""

        def __call__(self, x: Tensor) -> Features:
            raise AssertionError("nobody needs features")

    names = ("motion_energy", "content_distance", "obeys", "scenes", "clip_copies", "temporal_consistency")
    found = evaluate(lambda n: (fresh[0][:n], fresh[1][:n]), shapes, names, extractor=Never(), num_samples=N, cache=cache, labelled=True)
    assert {score.protocol.extractor for score in found} == {"samples"}
    assert all(score.floor is not None for score in found)
    assert not registry.look_at_features(names)
    assert registry.look_at_features((*names, "fd"))


# -- I3D ---------------------------------------------------------------------------------------------------------------------------------


class _StandIn(nn.Module):
    """Not I3D: 400 fixed functions of a clip that takes what I3D's file takes, to test the way there."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.randn(3 * 4 * 16, 400, generator=torch.Generator().manual_seed(0)))

    def forward(self, x: Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False) -> Tensor:
        assert not rescale
        assert not resize
        assert return_features
        return torch.nn.functional.adaptive_avg_pool3d(x, (4, 4, 4)).flatten(1) @ self.weight


def test_i3d_pre_processing_is_the_references() -> None:
    x = torch.zeros(1, 2, 1, 2, 2, dtype=torch.uint8)
    x[0, 0, 0] = torch.tensor([[0, 255], [0, 255]])
    ready = i3d.prepare(x)
    assert ready.shape == (1, 3, 2, 224, 224)
    assert (ready[:, :, 1] == -1).all()
    # Half-pixel centres: source coordinate of output k is (k + 0.5) · 2 / 224 - 0.5, clamped at the border.
    wanted = 2 * torch.clamp((torch.arange(224) + 0.5) * 2 / 224 - 0.5, 0, 1) - 1
    assert torch.allclose(ready[0, 2, 0, 100], wanted, atol=1e-6)
    assert torch.allclose(i3d.prepare(torch.full((1, 1, 3, 300, 300), 255).byte()), torch.ones(()))


def test_fvd_over_a_stand_in(tmp_path: Path, cache: Path) -> None:
    """The protocol, not the figure: no weights are here to compare with the reference."""
    file = tmp_path / "standin.pt"
    torch.jit.script(_StandIn()).save(str(file))
    with pytest.raises(InputError, match="only the pinned file is opened"):
        i3d.open_i3d(file)
    extractor = i3d.open_i3d(file, sha256=hashlib.sha256(file.read_bytes()).hexdigest())
    data_set = open_data(Data(path="moving-digits", limit=24, frames=10, size=16, holdout=0.3))
    seen = extractor(data_set.held.x[:3]).features
    assert torch.equal(seen, torch.jit.load(io.BytesIO(file.read_bytes()))(i3d.prepare(data_set.held.x[:3]), False, False, True).double())
    with pytest.raises(InputError, match="10 frames or more, and these have 4"):
        extractor(data_set.held.x[:1, :4])
    x = data_set.held.x
    (score,) = evaluate(lambda n: x[:n], data_set, ["fvd"], extractor=extractor, num_samples=len(x), cache=cache)
    assert score.value == pytest.approx(score.floor)
    assert f"{len(data_set.train)} real clips, 10 frames" in str(score)
    assert "i3d-logits400" in str(score)
    assert "224 bilinear" in str(score)
    mean = [extractor(part).features.mean(0) for part in (x, data_set.train.x)]
    assert score.value >= float((mean[0] - mean[1]).square().sum()) - 1e-6, "a Fréchet distance is at least that of the means"
    (worse,) = evaluate(lambda n: 255 - x[:n], data_set, ["fvd"], extractor=extractor, num_samples=len(x), cache=cache)
    assert worse.value > 2 * score.value
