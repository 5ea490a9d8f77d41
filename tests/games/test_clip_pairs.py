"""Every generator of clips plays a round against every critic; what does not go together says why; all are fit for 16 bits."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from agon.engine import Engine
from agon.errors import InputError
from agon.games.video import VideoGAN
from agon.losses import Logistic, Relativistic
from agon.networks import clips
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
from agon.networks.r3 import R3Lean, R3Paper
from agon.networks.stylegan2 import StyleGAN2
from agon.penalties import R1, R2, SpectralNorm
from agon.spaces import Video
from agon.testing import random_batch

SPACE = Video(frames=4, channels=3, height=8, width=8, classes=("a", "b"))
STYLE = StyleGAN2(base=64, most=8, w_dim=8)
GENERATORS: dict[str, Any] = {
    "gru": GRUMotion(widths=(8, 8), motion=8, noise=4),
    "mocogan": MoCoGAN(width=4),
    "vgan": VGAN(width=4),
    "dvd": DVD(widths=(8, 8)),
    "timeformer": Timeformer(widths=(8, 8), motion=8, heads=2, noise=4),
    "stylegan-v": StyleGANV(widths=(8, 8), noise=4, width=8, frequencies=4),
    "stylegan-v modulated": StyleGANV(decoder="modulated", style=STYLE, noise=4, width=8, frequencies=4),
    "walk": Walk(image=STYLE, motion=8, noise=4),
}
CRITICS: dict[str, Any] = {
    "sparse": Sparse(widths=(8, 8)),
    "motion": Motion(widths=(8, 8)),
    "motion spectral": Motion(widths=(8, 8), frames=3, norm="spectral"),
    "frames": Frames(frames=2, net=R3Lean(widths=(8, 8))),
    "frames batch": Frames(frames=2, net=DCGAN(width=4)),
    "clip": Clip(width=4),
    "clip spectral": Clip(width=4, norm="spectral"),
    "clip batch": Clip(width=4, norm="batch", strided=True, noise=0.1),
    "patch-frames": PatchFrames(width=4, norm="none"),
    "patch-frames batch": PatchFrames(width=4),
    "patch-clip": PatchClip(width=4, norm="none"),
    "patch-clip batch": PatchClip(width=4),
}


def test_the_tables_are_complete() -> None:
    assert {type(net) for net in GENERATORS.values()} == set(clips.generators())
    assert {type(net) for net in CRITICS.values()} == set(clips.critics())


@pytest.mark.parametrize(("generator", "critic"), itertools.product(GENERATORS, CRITICS))
def test_pair(generator: str, critic: str) -> None:
    penalties = () if "batch" in critic else (R1(), R2())
    game = VideoGAN(
        z_dim=4, net=GENERATORS[generator], judges=(CRITICS[critic],), loss=Relativistic() if penalties else Logistic(), penalties=penalties
    )
    engine = Engine(game, SPACE)
    engine.round([random_batch(SPACE, 4)])
    stats = engine.stats.flush()
    assert all(torch.isfinite(torch.tensor(value)) for value in stats.values())
    assert stats["G/grad"] > 0
    assert ("critic/r1" in stats) is bool(penalties)
    assert not engine.notes, "an update was skipped"


@pytest.mark.parametrize("critic", [name for name in CRITICS if "batch" in name])
def test_penalties_refuse_coupled_critics(critic: str) -> None:
    with pytest.raises(InputError, match="couples the samples of a batch"):
        VideoGAN(judges=(CRITICS[critic],)).players(SPACE)


@pytest.mark.parametrize("pair", zip(itertools.cycle(GENERATORS), CRITICS, strict=False), ids=" × ".join)
def test_fit_for_sixteen_bits(pair: tuple[str, str]) -> None:
    """Reals come in 32 bits and fakes in 16; every network is in some pair."""
    generator, critic = pair
    penalties = () if "batch" in critic else (R1(),)
    game = VideoGAN(z_dim=4, net=GENERATORS[generator], judges=(CRITICS[critic],), loss=Logistic(), penalties=penalties)
    engine = Engine(game, SPACE, precision="bf16")
    engine.round([random_batch(SPACE, 4)])
    assert not engine.notes, "an update was skipped"


@pytest.mark.parametrize("net", [GRUMotion(widths=(8, 8), motion=8, noise=4), GRUMotion(widths=(8, 8), motion=8, noise=4, things=0)])
def test_a_first_frame_is_fit_for_sixteen_bits(net: Any) -> None:
    game = VideoGAN(z_dim=4, net=net, judges=(Sparse(widths=(8, 8)),), first_frame=True)
    engine = Engine(game, SPACE, precision="bf16")
    engine.round([random_batch(SPACE, 4)])
    assert not engine.notes, "an update was skipped"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"net": GRUMotion(things=-1)}, "'gru' has things -1; expected 0 or more"),
        ({"net": Timeformer(heads=5)}, "5 heads for a width of 64"),
        ({"net": Timeformer(window=0)}, "'timeformer' has window 0; expected 1 or more"),
        ({"net": StyleGANV(period=0)}, "'stylegan-v' has period 0; expected 1 or more"),
        ({"judges": (Sparse(frames=0),)}, "'sparse' has frames 0; expected 1 or more"),
        ({"judges": (Motion(pool=0),)}, "'motion' has pool 0; expected 1 or more"),
        ({"judges": (Frames(frames=0),)}, "'frames' has frames 0; expected 1 or more"),
        ({"judges": (Sparse(), Frames(frames=1)), "first_frame": True}, "give each critic two frames or more"),
    ],
)
def test_numbers_that_cannot_be_are_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        VideoGAN(z_dim=4, **changes).players(SPACE)


@pytest.mark.parametrize("critic", CRITICS)
def test_spectral_normalisation_of_any_critic_that_can_have_it(critic: str) -> None:
    game = VideoGAN(z_dim=4, net=GENERATORS["dvd"], judges=(CRITICS[critic],), loss=Relativistic(), penalties=(SpectralNorm(),))
    if "batch" in critic or "spectral" in critic:
        with pytest.raises(InputError, match="statistics of the batch|by itself"):
            game.players(SPACE)
        return
    engine = Engine(game, SPACE)
    engine.round([random_batch(SPACE, 4)])
    assert all(torch.isfinite(torch.tensor(value)) for value in engine.stats.flush().values())
    assert not engine.notes, "an update was skipped"


@pytest.mark.parametrize("net", [R3Paper(widths=(8, 8), group_width=4, blocks=1), STYLE], ids=lambda net: net.kind)
def test_critics_of_frames_say_why_their_network_cannot_have_it(net: Any) -> None:
    game = VideoGAN(z_dim=4, net=GENERATORS["dvd"], judges=(Frames(frames=2, net=net),), loss=Relativistic(), penalties=(SpectralNorm(),))
    with pytest.raises(InputError, match="divides a map by its largest singular value, and 'frames'"):
        game.players(SPACE)
