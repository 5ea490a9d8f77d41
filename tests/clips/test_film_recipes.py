"""Every clip generator goes through sampling: films, the swap, ONNX with any number of clips; or says what it cannot."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from agon import recipes
from agon.clips import film, parted, swapped
from agon.engine import Engine
from agon.errors import InputError
from agon.export import _Call
from agon.games.video import VideoGAN
from agon.networks.clips import generators
from agon.sampling import draw, fresh_latents
from agon.spaces import Video
from agon.testing import random_batch

SPACE = Video(frames=6, channels=3, height=16, width=16, fps=12.0, classes=("a", "b", "c"))
KINDS = {kind.kind: kind for kind in generators()}


@pytest.fixture(params=sorted(KINDS))
def engine(request: pytest.FixtureRequest) -> Engine:
    return Engine(VideoGAN(z_dim=8, net=KINDS[request.param](), conditional=True), SPACE, seed=3)


def test_films_and_swaps(engine: Engine) -> None:
    game, p = engine.game, engine.players
    generator: Any = p.G
    y = torch.arange(3)
    if getattr(generator, "fixed_length", False):
        with pytest.raises(InputError, match="clips of 6 frames and no others"):
            list(film(game, p, SPACE, 3, frames=20, labels=y))
    else:
        longer = torch.cat(list(film(game, p, SPACE, 3, frames=40, labels=y, seed=1)), 1)
        assert longer.shape == (3, 40, 3, 16, 16)
        part = torch.cat(list(film(game, p, SPACE, 3, frames=19, labels=y, seed=1)), 1)
        assert (longer[:, :19].int() - part.int()).abs().max() <= 1, "a film begins as a shorter one does"
        other = torch.cat(list(film(game, p, SPACE, 3, frames=19, labels=y, seed=2)), 1)
        assert not torch.equal(other, part)
    (table,) = swapped(game, p, SPACE, 1, 2, seed=4, labels=y[:1].expand(5))
    own = draw(game, p, SPACE, 3, seed=4, labels=y[:1].expand(3))
    assert (table[[3, 1, 2]].int() - own.int()).abs().max() <= 1, "the clips that lend are the samples of the seed"


def test_continuous_generators_know_time_between_frames(engine: Engine) -> None:
    generator: Any = engine.players.G
    if not getattr(generator, "continuous", False):
        pytest.skip("whole frames only")
    plain = torch.cat(list(film(engine.game, engine.players, SPACE, 2, frames=20, labels=torch.zeros(2, dtype=torch.int64))), 1)
    twice = torch.cat(list(film(engine.game, engine.players, SPACE, 2, frames=40, fps=24, labels=torch.zeros(2, dtype=torch.int64))), 1)
    assert (twice[:, ::2].int() - plain.int()).abs().max() <= 1, "every other frame at 24 a second is one at 12"


def test_any_number_of_clips_can_be_exported(engine: Engine) -> None:
    p = engine.players
    z, e = parted(engine.game, p, fresh_latents(engine.game, p, 4), SPACE.frames)
    given = {"z": z, "e": e, "y": torch.zeros(4, dtype=torch.int64)}
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(
        _Call(p.G, tuple(given)).eval(), tuple(given.values()), dynamic_shapes=tuple({0: batch} for _ in given), strict=False
    )
    with torch.no_grad():
        one = program.module()(z[:1], e[:1], given["y"][:1])
        assert one.shape == (1, *SPACE.shape)
        assert torch.allclose(one, p.G.eval()(z[:1], e[:1], given["y"][:1]), atol=1e-4)


@pytest.mark.parametrize(("side", "frames"), [(32, 8), (16, 3)])
def test_a_gpu_judges_whole_clips_too(side: int, frames: int) -> None:
    space = Video(frames=frames, channels=3, height=side, width=side, classes=("a", "b"))
    on = {device: recipes.find("video").build(recipes.Situation(space=space, count=100, device=device)) for device in ("cpu", "cuda")}
    judges = {device: [judge.kind for judge in found.game.judges] for device, found in on.items()}  # type: ignore[attr-defined]
    assert judges == {"cpu": ["sparse", "motion"], "cuda": ["sparse", "motion", "clip"]} and on["cuda"].rounds > on["cpu"].rounds
    engine = Engine(on["cuda"].game, space)
    engine.round([random_batch(space, 2, seed=k) for k in range(engine.batches_per_round)])
    assert any("clip" in name for name in engine.stats.flush())
