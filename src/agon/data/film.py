"""Films: moving pictures of any kind, read frame by frame, so that a long one never lies in memory.

A `Film` is the head of one moving picture and a way to go through its frames. This file opens those made of pictures: animations (GIF,
WebP, PNG, AVIF), strips, numbered pictures, arrays. Containers (mp4 and kin) are in `containers`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image as Pillow

from agon.spaces import Unreadable, open_header, open_picture
from agon.spaces.pictures import plain_mode

LEAST_DELAY = 0.02  # seconds: browsers show GIF frames that ask for less for a tenth of a second
SHOWN_DELAY = 0.1
MOST_FRAMES = 2_000_000  # of one film: what comes after is left out

Step = tuple[float, Pillow.Image] | str
"""A frame: seconds since the first, and the upright picture in mode L, RGB or RGBA. Or, in words, why time has a hole here."""


@dataclass(frozen=True)
class Film:
    """One moving picture. `frames` opens it anew each time and gives its frames in order."""

    width: int  # pixels, as shown: upright, with square pixels
    height: int
    rate: float  # frames a second, 0.0 where it has no time of its own
    count: int  # frames, by its header or by its length and rate; 0 where it says neither
    format: str  # "h264 in mp4", "GIF", "strip of PNG" ...
    mode: str  # of the pixels: RGB, L, yuv420p ...
    frames: Callable[[], Iterator[Step]]
    notes: tuple[str, ...] = ()  # what is special about it


def open_animation(raw: bytes) -> Film:
    """The frames of an animated picture file, by their delays. Raises Unreadable."""
    picture = open_header(raw)
    width, height = picture.size
    try:
        count = int(getattr(picture, "n_frames", 1))
    except Exception as error:  # counting a GIF's frames reads them all; each plugin fails in its own way
        raise Unreadable(f"damaged: {str(error) or type(error).__name__}") from None

    def frames() -> Iterator[Step]:
        animation, now = open_header(raw), 0.0
        for k in range(min(count, MOST_FRAMES)):
            try:
                animation.seek(k)
                animation.load()
                shown = plain_mode(animation.copy())
            except Exception as error:
                if k == 0:
                    raise Unreadable(f"damaged: {str(error) or type(error).__name__}") from None
                yield f"frame {k} of {count} is damaged ({str(error) or type(error).__name__}); what follows it is left out"
                return
            if shown.size != (width, height):  # a GIF's frame may reach out of its screen, and Pillow then enlarges the picture
                shown = shown.crop((0, 0, width, height))
            yield now, shown
            now += _delay(animation)

    return Film(width, height, _rate_of(picture, count), count, picture.format or "?", picture.mode, frames)


def _delay(picture: Pillow.Image) -> float:
    seconds = float(picture.info.get("duration") or 0.0) / 1000
    return seconds if seconds >= LEAST_DELAY else SHOWN_DELAY


def _rate_of(picture: Pillow.Image, count: int) -> float:
    if count < 2:
        return 0.0
    try:
        picture.seek(1)  # WebP and AVIF tell the delay only with the frame
        picture.load()
        return 1.0 / _delay(picture)
    except Exception:  # the damage is told where the frames are read
        return 0.0


def strip_of(width: int, height: int) -> int:
    """How many square frames lie side by side, or one below the other, in a picture of this size; 0 if it is no strip."""
    short, long = sorted((width, height))
    return long // short if short and long % short == 0 else 0


def open_strip(raw: bytes) -> Film:
    """Square frames side by side or one below the other in one picture, as MoCoGAN's data are. Raises Unreadable."""
    picture = open_header(raw)
    (width, height), kind = picture.size, picture.format or "?"
    count, side = strip_of(width, height), min(width, height)
    if count < 1:
        raise Unreadable(f"a picture of {width}×{height} is no strip of square frames: {max(width, height)} is no multiple of {side}")

    def frames() -> Iterator[Step]:
        whole = open_picture(raw)
        across = whole.width >= whole.height
        for k in range(count):
            left, top = (k * side, 0) if across else (0, k * side)
            yield float(k), whole.crop((left, top, left + side, top + side))

    return Film(side, side, 0.0, count, f"strip of {kind}", picture.mode, frames)


def open_sequence(numbers: Sequence[int], read: Callable[[int], bytes]) -> Film:
    """Numbered pictures, one a frame; read gives the bytes of the k-th. Where a number is left out, time has a hole. Raises Unreadable.

    Numbers may go up in steps (0, 5, 10 …): the commonest step is no hole.
    """
    steps = np.diff(np.asarray(numbers, np.int64))
    usual = int(np.bincount(np.clip(steps, 0, 10_000)).argmax()) if len(steps) else 1
    first = open_header(read(0))

    def frames() -> Iterator[Step]:
        for k in range(min(len(numbers), MOST_FRAMES)):
            if k and steps[k - 1] != usual:
                yield f"pictures are missing between {numbers[k - 1]} and {numbers[k]}"
            try:
                shown = open_picture(read(k))
            except Unreadable as reason:
                yield f"picture {numbers[k]}: {reason}"
                continue
            yield float(k), shown

    return Film(first.width, first.height, 0.0, len(numbers), f"{first.format or '?'} pictures", first.mode, frames)


def open_array(pixels: Callable[[], Iterable[np.ndarray]], shape: Sequence[int]) -> Film:
    """Frames uint8 [H, W] or [H, W, C] as a film; `pixels` goes through them, shape is (T, H, W) or (T, H, W, C)."""
    count, height, width = shape[:3]
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[shape[3] if len(shape) == 4 else 1]

    def frames() -> Iterator[Step]:
        for k, frame in enumerate(pixels()):
            flat = frame[..., 0] if mode == "L" and frame.ndim == 3 else frame
            yield float(k), Pillow.fromarray(np.ascontiguousarray(flat))

    return Film(width, height, 0.0, count, "array", mode, frames)
