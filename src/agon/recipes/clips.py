"""Recipes for clips. The numbers of `video` are from our own sweep on two CPU cores (docs/log.md)."""

from __future__ import annotations

from agon.errors import InputError
from agon.games.video import VideoGAN
from agon.losses import Hinge, Logistic, Relativistic
from agon.networks.clips import ClipCritic, ClipGenerator
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
from agon.networks.sngan import SNResNet
from agon.optim import Adam, Average
from agon.penalties import R1, R2
from agon.recipes import Recipe, Situation, Suggestion
from agon.recipes.images import gamma_for
from agon.schedule import Cosine, Warmup
from agon.spaces import Video

METRICS = ("fd", "motion_gap", "content_distance")
CPU_BATCH = 16
CLIPS = 24_000  # seen by the default; twice as many were no better (docs/log.md)
GPU_CLIPS = 200_000  # and where they cost little; not measured


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


def _default(
    situation: Situation, name: str, net: ClipGenerator | None = None, judges: tuple[ClipCritic, ...] = (Sparse(), Motion(frames=4)),
    gammas: tuple[float, float] = (1.0, 0.1), **changes: object,
) -> Suggestion:  # fmt: skip
    _space(situation, name)
    batch, gpu = situation.batch or 32, situation.device == "cuda"
    judges = (*judges, Clip()) if gpu else judges
    rounds, why = _length(situation, batch, GPU_CLIPS if gpu else CLIPS)
    span = rounds * batch
    first, last = (part * gamma_for(situation.pixels) for part in gammas)
    weight = Cosine(start=first, end=last, span=span)
    lr = Warmup(then=Cosine(start=2e-3, end=2e-4, span=span), span=min(3_200, 0.1 * span))
    adam = Adam(lr=lr, betas=(0.0, Cosine(start=0.9, end=0.99, span=span)))
    game = VideoGAN(
        net=net or GRUMotion(), judges=judges, penalties=(R1(gamma=weight), R2(gamma=weight)), optim={"G": adam, "D": adam},
        ema={"G": Average(half_life=10_000, ramp=0.05)}, **changes,  # type: ignore[arg-type]
    )  # fmt: skip
    reasons = {
        "net": f"{game.net.kind}: one content code, a motion code a frame; a ground, things moved over it and a lean decoder of the frames that are looked at",
        "judges": f"{', '.join(judge.kind for judge in judges)}: three frames at full size, four at half; "
        + ("whole clips too on a GPU, which was not measured" if gpu else "whole clips cost four times as much"),
        "penalties.0.gamma": f"{first:.3g} falling to {last:.3g}: {gammas[0]:g} at 32×32, in proportion to the pixels, here {situation.pixels:,}",
        "batch": "asked for" if situation.batch else f"{batch}: the batch our sweep was made with",
        "rounds": why,
    }
    return Suggestion(game=game, rounds=rounds, batch=batch, metrics=METRICS, reasons=reasons)


def video(situation: Situation) -> Suggestion:
    """The default for clips: GRU motion, lean decoder, a sparse and a small motion critic, on a GPU a 3-D critic of whole clips too, RpGAN + R1 + R2."""
    return _default(situation, "video")


def video_text(situation: Situation) -> Suggestion:
    """The same for captions; the critics are also shown captions of other clips, half of them wrong in one word (Reed et al. 2016, arXiv:1605.05396).

    Frames are judged one by one: what a caption says of looks is learnt much sooner from single frames than from three joined, and with a lighter
    penalty (docs/log.md).
    """
    if not _space(situation, "video-text").words:
        raise InputError(
            f"recipe 'video-text' learns from captions, and the data are {situation.space.describe()}; give a file of captions beside the "
            "clips (--condition captions), or take --recipe video."
        )
    return _default(situation, "video-text", judges=(Frames(frames=3), Motion(frames=4)), gammas=(0.2, 0.05), mismatch=1.0, one_word=0.5)


def video_first(situation: Situation) -> Suggestion:
    """The same from a given first frame: it is encoded, copied to frame 0, and seen by every critic."""
    return _default(situation, "video-first", first_frame=True)


# -- published models ----------------------------------------------------------------------------------------------------------------


def _preset(
    situation: Situation, name: str, game: VideoGAN, batch: int, clips: float, reasons: dict[str, str] | None = None
) -> Suggestion:  # fmt: skip
    """A published game for about so many clips: with the batch asked for, else the paper's, else 16 on a CPU."""
    _space(situation, name)
    reasons = dict(reasons or {})
    size = batch
    if situation.device == "cpu" and batch > CPU_BATCH:
        size, reasons["batch"] = CPU_BATCH, f"{CPU_BATCH} on a cpu: more rounds in the same time; the paper's is {batch}"
    if situation.batch:
        size, reasons["batch"] = situation.batch, "asked for"
    rounds, why = _length(situation, size, clips)
    return Suggestion(game=game, rounds=rounds, batch=size, metrics=METRICS, reasons={**reasons, "rounds": why})


def _both(adam: Adam) -> dict[str, Adam]:
    return {"G": adam, "D": adam}


def mocogan(situation: Situation) -> Suggestion:
    """MoCoGAN as its authors' program has it: BCE, a critic of frames and one of clips, Adam 2e-4 (0.5, 0.999), decay 1e-5 (arXiv:1707.04993)."""
    told = bool(situation.space.classes)
    # With categories the clip critic guesses them and the frame critic does not see them; without, both judge patches.
    clip = Clip(width=64, norm="batch", noise=0.1) if told else PatchClip()
    game = VideoGAN(
        conditional=told, z_dim=50, net=MoCoGAN(), judges=(PatchFrames(), clip), loss=Logistic(), penalties=(), head="auxiliary" if told else "none",
        aux_fake=0.0, optim=_both(Adam(lr=2e-4, betas=(0.5, 0.999), weight_decay=1e-5)), ema={},
    )  # fmt: skip
    return _preset(situation, "mocogan", game, 32, 3_200_000, {"net": "mocogan: width 64, as published; 100,000 batches there"})


def vgan(situation: Situation) -> Suggestion:
    """VGAN: a moving foreground over a still background, one 3-D critic, BCE, Adam 2e-4 (0.5, 0.999), batch 64 (arXiv:1609.02612)."""
    width = 64 if situation.device == "cuda" else 32
    game = VideoGAN(
        conditional=False, z_dim=100, net=VGAN(width=width), judges=(Clip(width=width, strided=True, norm="batch"),), loss=Logistic(),
        penalties=(), head="none", optim=_both(Adam(lr=2e-4, betas=(0.5, 0.999))), ema={},
    )  # fmt: skip
    return _preset(situation, "vgan", game, 64, 400_000, {"net": f"width {width} on a {situation.device}; the paper's is 64"})


def dvd_gan(situation: Situation) -> Suggestion:
    """DVD-GAN, scaled: hinge, a critic of frames and one of the pooled clip, projection, Adam 1e-4 and 5e-4 (0, 0.999), two plays (arXiv:1907.06571)."""
    gpu = situation.device == "cuda"
    judge = SNResNet(critic_widths=(128, 64, 32))
    game = VideoGAN(
        z_dim=120 if gpu else 64, net=DVD(widths=(512, 256, 128) if gpu else (128, 64, 32)),
        judges=(Frames(frames=8 if gpu else 4, net=judge), Motion(norm="spectral")),
        loss=Hinge(), penalties=(), n_critic=2 if gpu else 1, ema={"G": Average(half_life=10_000)},
        optim={"G": Adam(lr=1e-4, betas=(0.0, 0.999)), "D": Adam(lr=5e-4, betas=(0.0, 0.999))},
    )  # fmt: skip
    return _preset(
        situation,
        "dvd-gan",
        game,
        512,
        200_000,
        {"judges": "frames, motion: the paper's pair, its 3-D blocks as strided 2-D ones over pairs of frames"},
    )


def stylegan_v(situation: Situation) -> Suggestion:
    """StyleGAN-V: continuous time, one critic of three frames, non-saturating loss, R1; any length and rate (arXiv:2112.14683)."""
    gpu = situation.device == "cuda"
    net = StyleGANV(decoder="modulated", kernel=11, noise=64, width=128, frequencies=64, longest=1024) if gpu else StyleGANV()
    gamma = gamma_for(situation.pixels)
    game = VideoGAN(
        z_dim=128 if gpu else 64, net=net, judges=(Sparse(),), loss=Logistic() if gpu else Relativistic(),
        penalties=(R1(gamma=gamma, every=16),) if gpu else (R1(gamma=gamma), R2(gamma=gamma)), ema={"G": Average(half_life=10_000)},
        optim=_both(Adam(lr=2e-3, betas=(0.0, 0.99))),
    )  # fmt: skip
    reasons = {
        "net": f"{net.decoder} decoder: made for a {situation.device}",
        "penalties": "R1 lazily, as published" if gpu else "R1 and R2 with pairs, as in video",
    }
    return _preset(situation, "stylegan-v", game, 64, 25e6 if gpu else 96_000, reasons)


def video_former(situation: Situation) -> Suggestion:
    """The default with a Transformer in time for the recurrence."""
    return _default(situation, "video-former", net=Timeformer())


def mocogan_hd(situation: Situation) -> Suggestion:
    """MoCoGAN-HD: a walk in the latents of a trained image run (--from RUN), a critic of pairs and one of clips (arXiv:2104.15069)."""
    gamma = gamma_for(situation.pixels)
    game = VideoGAN(
        net=Walk(), judges=(Sparse(frames=2), Motion()), penalties=(R1(gamma=gamma), R2(gamma=gamma)), optim=_both(Adam(lr=1e-3, betas=(0.0, 0.99))),
        ema={"G": Average(half_life=5_000)},
    )  # fmt: skip
    return _preset(situation, "mocogan-hd", game, 16, 32_000, {"net": "walk: its image generator is that of the run named by --from"})


RECIPES = (
    Recipe(name="video", title="clips: GRU motion, lean decoder, sparse and motion critics", paper="arXiv:1707.04993", build=video),
    Recipe(name="video-text", title="clips from captions, mismatched pairs", paper="arXiv:1605.05396", build=video_text),
    Recipe(name="video-first", title="clips from a first frame", paper="arXiv:1907.06571", build=video_first),
    Recipe(name="video-former", title="clips: a Transformer in time", paper="arXiv:1706.03762", build=video_former),
    Recipe(name="mocogan", title="MoCoGAN as published: content, motion, two critics", paper="arXiv:1707.04993", build=mocogan),
    Recipe(name="vgan", title="VGAN: 3-D foreground, still background", paper="arXiv:1609.02612", build=vgan),
    Recipe(name="dvd-gan", title="DVD-GAN, scaled: spatial and temporal critic", paper="arXiv:1907.06571", build=dvd_gan),
    Recipe(name="stylegan-v", title="StyleGAN-V: continuous time, any length", paper="arXiv:2112.14683", build=stylegan_v),
    Recipe(name="mocogan-hd", title="a walk through a trained image generator", paper="arXiv:2104.15069", build=mocogan_hd),
)
