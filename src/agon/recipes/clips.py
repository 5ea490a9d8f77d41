"""Recipes for clips. The numbers of `video` are from our own sweep on two CPU cores (docs/log.md)."""

from __future__ import annotations

from agon.errors import InputError
from agon.games.video import VideoGAN
from agon.networks.clips.gru import GRUMotion
from agon.networks.clips.motion import Motion
from agon.networks.clips.sparse import Sparse
from agon.optim import Adam, Average
from agon.penalties import R1, R2
from agon.recipes import Recipe, Situation, Suggestion
from agon.recipes.images import gamma_for
from agon.schedule import Cosine, Warmup
from agon.spaces import Video

METRICS: tuple[str, ...] = ()


def _space(situation: Situation, name: str) -> Video:
    if not isinstance(situation.space, Video):
        raise InputError(
            f"recipe '{name}' makes clips, and the data are {situation.space.describe()}; say how many frames a clip has "
            "(--frames 16), or take a recipe for pictures such as --recipe r3gan."
        )
    return situation.space


def _length(situation: Situation, batch: int, clips: float) -> tuple[int, str]:
    if situation.rounds:
        return situation.rounds, "asked for"
    rounds = max(200, round(clips / batch))
    return rounds, f"{rounds:,}: {rounds * batch:,} clips seen"


def _default(situation: Situation, name: str, **changes: object) -> Suggestion:
    _space(situation, name)
    batch = situation.batch or 32
    rounds, why = _length(situation, batch, min(96_000, max(32_000, 200 * situation.count)))
    span = rounds * batch
    gamma = gamma_for(situation.pixels)
    weight = Cosine(start=gamma, end=gamma / 10, span=span)
    lr = Warmup(then=Cosine(start=2e-3, end=2e-4, span=span), span=min(3_200, 0.1 * span))
    adam = Adam(lr=lr, betas=(0.0, Cosine(start=0.9, end=0.99, span=span)))
    game = VideoGAN(
        net=GRUMotion(), judges=(Sparse(), Motion(frames=8)), penalties=(R1(gamma=weight), R2(gamma=weight)), optim={"G": adam, "D": adam},
        ema={"G": Average(half_life=10_000, ramp=0.05)}, **changes,  # type: ignore[arg-type]
    )  # fmt: skip
    reasons = {
        "net": "gru: one content code, recurrent motion, a lean decoder of the frames that are looked at",
        "judges": "sparse, motion: three frames at full size, eight at half size; whole clips at full size cost four times as much",
        "penalties.0.gamma": f"{gamma:.3g} falling to {gamma / 10:.3g}: 1 at 32×32, in proportion to the pixels, here {situation.pixels:,}",
        "batch": "asked for" if situation.batch else f"{batch}: the batch our sweep was made with",
        "rounds": why,
    }
    return Suggestion(game=game, rounds=rounds, batch=batch, metrics=METRICS, reasons=reasons)


def video(situation: Situation) -> Suggestion:
    """The default for clips on a CPU: GRU motion, lean decoder, a sparse and a small motion critic, RpGAN + R1 + R2."""
    return _default(situation, "video")


def video_text(situation: Situation) -> Suggestion:
    """The same for captions; the critics are also shown captions of other clips (Reed et al. 2016, arXiv:1605.05396)."""
    if not _space(situation, "video-text").words:
        raise InputError(
            f"recipe 'video-text' learns from captions, and the data are {situation.space.describe()}; give a file of captions beside the "
            "clips (--condition captions), or take --recipe video."
        )
    return _default(situation, "video-text", mismatch=1.0)


def video_first(situation: Situation) -> Suggestion:
    """The same from a given first frame: it is encoded, copied to frame 0, and seen by every critic."""
    return _default(situation, "video-first", first_frame=True)


RECIPES = (
    Recipe(name="video", title="clips: GRU motion, lean decoder, sparse and motion critics", paper="arXiv:1707.04993", build=video),
    Recipe(name="video-text", title="clips from captions, mismatched pairs", paper="arXiv:1605.05396", build=video_text),
    Recipe(name="video-first", title="clips from a first frame", paper="arXiv:1907.06571", build=video_first),
)
