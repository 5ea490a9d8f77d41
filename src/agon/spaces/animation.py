"""Moving pictures to a file, frame by frame: .mp4 as the frames come, .gif and animated .webp in one go at the end."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow
from torch import Tensor

from agon.errors import InputError
from agon.spaces.drawing import on_white, picture_of, write_grid, written_beside
from agon.spaces.pictures import BACKGROUND

SUFFIXES = (".mp4", ".gif", ".webp")
MOST_BYTES = 1 << 28  # of frames that .gif and .webp may hold in memory
Put = Callable[[np.ndarray], None]


def rate_of(frames_per_s: float | Fraction) -> Fraction:
    """A rate as a fraction a player can keep to: 29.97 is 30000/1001. Raises InputError unless it is from 1/1000 to 1000."""
    if not 1e-3 <= frames_per_s <= 1e3:
        raise InputError(f"a rate of {float(frames_per_s):g} frames a second was asked for; expected 0.001 to 1000.")
    if isinstance(frames_per_s, Fraction):
        return frames_per_s
    film = Fraction(round(frames_per_s * 1.001) * 1000, 1001)
    return film if abs(film - frames_per_s) < 1e-4 else Fraction(frames_per_s).limit_denominator(1001)


@contextmanager
def animation(target: Path, frames_per_s: float | Fraction, *, lossless: bool = False) -> Iterator[Put]:
    """An open file to put uint8 frames [C, H, W] of one size into, one after the other; whole or not there at all.

    .mp4 keeps number, size and rate of the frames exactly, at a memory that does not grow: H.264, 4:2:0 colour; with an odd side, which 4:2:0
    cannot have, 4:4:4. .gif keeps time to a hundredth of a second, .webp to a thousandth; both may join
    equal frames into one longer one. lossless: of .webp.
    Raises InputError: unknown suffix, unwritable place, no frame, PyAV missing, or a .gif or .webp that does not fit into memory.
    """
    suffix, rate = target.suffix.lower(), rate_of(frames_per_s)
    if suffix not in SUFFIXES:
        raise InputError(f"cannot write {target.name!r}: expected a name ending in {', '.join(SUFFIXES)}.")
    with written_beside(target) as path:
        writer = _mp4(path, rate) if suffix == ".mp4" else _held(path, rate, suffix, lossless)
        with writer as put:
            yield put


def write_picture(target: Path, x: Tensor, columns: int | None, frames_per_s: float) -> Path:
    """Write [N, C, H, W] uint8 as a grid or, with .gif and .mp4, as an animation of N frames. Raises InputError."""
    if target.suffix.lower() in (".gif", ".mp4"):
        return write_animation(
            target, (evened(frame.numpy()) if target.suffix.lower() == ".mp4" else frame.numpy() for frame in x), frames_per_s
        )
    return write_grid(target, x, columns)


def evened(frame: np.ndarray) -> np.ndarray:
    """[C, H, W] with white at the right and the bottom where a side is odd: every player shows even sides."""
    return np.pad(frame, ((0, 0), (0, frame.shape[1] % 2), (0, frame.shape[2] % 2)), constant_values=BACKGROUND)


def write_animation(target: Path, frames: Iterable[np.ndarray], frames_per_s: float | Fraction, *, lossless: bool = False) -> Path:
    """Write uint8 frames [C, H, W], all of one size, as `animation` does; returns the path."""
    with animation(target, frames_per_s, lossless=lossless) as put:
        for frame in frames:
            put(frame)
    return target


@contextmanager
def _mp4(path: Path, rate: Fraction) -> Iterator[Put]:
    try:
        import av
    except ImportError:
        raise InputError("writing .mp4 needs PyAV: pip install 'agon-gan[video]', or ask for .gif or .webp.") from None
    with av.open(str(path), mode="w", format="mp4") as container:
        stream: Any = None

        def put(frame: np.ndarray) -> None:
            nonlocal stream
            frame = on_white(frame)
            if stream is None:
                height, width = frame.shape[1:]
                stream = container.add_stream("libx264", rate=rate)
                stream.width, stream.height = width, height
                stream.pix_fmt = "yuv444p" if height % 2 or width % 2 else "yuv420p"
                stream.options = {"crf": "16"}
            rgb = np.ascontiguousarray(np.broadcast_to(frame, (3, *frame.shape[1:])).transpose(1, 2, 0))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))

        yield put
        if stream is None:
            raise InputError("a film without frames was to be written; expected one or more.")
        container.mux(stream.encode())


@contextmanager
def _held(path: Path, rate: Fraction, suffix: str, lossless: bool) -> Iterator[Put]:
    pictures: list[Pillow.Image] = []
    held = 0

    def put(frame: np.ndarray) -> None:
        nonlocal held
        held += frame.nbytes
        if held > MOST_BYTES:
            raise InputError(
                f"more than {MOST_BYTES >> 20} MB of frames do not go into a {suffix} file, which is written in one go; use .mp4, a shorter "
                "--length or fewer clips."
            )
        pictures.append(picture_of(on_white(frame)))

    yield put
    if not pictures:
        raise InputError("a film without frames was to be written; expected one or more.")
    unit = 10 if suffix == ".gif" else 1  # milliseconds
    ticks = [round(Fraction(1000, unit) * k / rate) for k in range(len(pictures) + 1)]  # rounding does not add up
    more: dict[str, Any] = {
        "duration": [max(1, after - before) * unit for before, after in itertools.pairwise(ticks)],
        "loop": 0, "save_all": True, "append_images": pictures[1:],
    }  # fmt: skip
    if suffix == ".gif":
        pictures[0].save(path, "GIF", optimize=False, **more)
    else:
        pictures[0].save(path, "WEBP", lossless=lossless, quality=90, method=4, **more)
