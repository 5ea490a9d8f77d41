"""Makers of small films of every kind, good and odd, for the tests of the readers."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow


def movie(seed: int, frames: int, height: int = 16, width: int = 16) -> np.ndarray:
    """A bright patch that wanders over a coloured ground, uint8 [T, H, W, 3]; different for each seed, each frame unlike the one before."""
    dice = np.random.default_rng(seed)
    ground, ink = dice.integers(0, 120, 3), dice.integers(150, 256, 3)
    x, y = dice.uniform(0.1, 0.7, 2)
    dx, dy = dice.uniform(0.04, 0.09, 2) * dice.choice((-1, 1), 2)
    film = np.empty((frames, height, width, 3), np.uint8)
    for k in range(frames):
        film[k] = ground
        top, left = int((y + dy * k) % 0.7 * height), int((x + dx * k) % 0.7 * width)
        film[k, top : top + max(1, height // 4), left : left + max(1, width // 4)] = ink
        film[k, 0, 0] = 2 * k % 256
    return film


def png(picture: np.ndarray) -> bytes:
    """A picture [H, W] or [H, W, C] as PNG."""
    file = io.BytesIO()
    Pillow.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def strip(film: np.ndarray, *, down: bool = False) -> bytes:
    """A film as one PNG, frames side by side or one below the other."""
    return png(np.concatenate(list(film), axis=0 if down else 1))


def animation(film: np.ndarray, kind: str, duration: int | list[int] = 100) -> bytes:
    """A film as an animated GIF, WEBP or PNG; duration in ms."""
    file = io.BytesIO()
    first, *rest = [Pillow.fromarray(frame) for frame in film]
    how: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    first.save(file, kind, save_all=True, append_images=rest, duration=duration, loop=0, **how)
    return file.getvalue()


def mp4(
    place: Path, film: Iterable[np.ndarray], *, rate: float = 10, codec: str = "libx264", times: Sequence[float] | None = None,
    turn: tuple[int, bool, bool] | None = None, aspect: Fraction | None = None, sound: bool = False, second: np.ndarray | None = None,
    form: str | None = None, pixels: str = "yuv444p", **options: str,
) -> Path:  # fmt: skip
    """A film in a container of the suffix's kind. times: seconds of each frame. turn: (degrees counter-clockwise, hflip, vflip)."""
    import av

    place.parent.mkdir(parents=True, exist_ok=True)
    film = list(film)
    with av.open(str(place), "w", format=form) as container:
        streams = []
        for part in [film] + ([list(second)] if second is not None else []):
            stream = container.add_stream(codec, rate=Fraction(rate).limit_denominator(1000))
            stream.height, stream.width = part[0].shape[:2]
            stream.pix_fmt = pixels
            stream.options = {"crf": "10", "preset": "ultrafast", **options} if codec == "libx264" else options
            if times is not None:
                stream.codec_context.time_base = Fraction(1, 1000)
            if turn is not None:
                stream.set_display_rotation(*turn)
            if aspect is not None:
                stream.codec_context.sample_aspect_ratio = aspect
            streams.append((stream, part))
        if sound:
            streams.append((container.add_stream("aac", rate=8000), None))
        for stream, part in streams:
            if part is None:
                quiet = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
                quiet.sample_rate = 8000
                container.mux(stream.encode(quiet))
            for k, frame in enumerate(part if part is not None else ()):
                picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
                if times is not None:
                    picture.pts, picture.time_base = round(times[k] * 1000), Fraction(1, 1000)
                container.mux(stream.encode(picture))
            container.mux(stream.encode())
    return place


def sound_only(place: Path) -> Path:
    """A file with a sound stream and nothing else."""
    import av

    place.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(place), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        quiet = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        quiet.sample_rate = 8000
        container.mux(stream.encode(quiet))
        container.mux(stream.encode())
    return place
