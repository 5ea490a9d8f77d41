"""The pictures of a run as data URIs within a size budget: a film of sample grids, the last grid in full, real data beside, clips playing.

Grids of tiny images are kept exactly (lossless); when that is too heavy, quality goes down first and size second.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageSequence, features

FRAMES = 40  # at most this many frames in a film
FILM_BYTES = 3_400_000  # of base64 text for all frames but the last
MOVING_BYTES = 1_600_000  # of base64 text for each animation
STILL_BYTES = 800_000  # of base64 text for the last grid, which is there twice, and for the real one
FILM_SIDE = 1024  # pixels of a frame's longer side
STILL_SIDE = 2048

# (quality, scale): None is lossless. Tried in this order until a picture fits.
_STEPS: tuple[tuple[int | None, float], ...] = (
    (None, 1.0), (92, 1.0), (85, 1.0), (72, 1.0), (60, 0.75), (60, 0.5), (50, 0.25), (40, 0.12)
)  # fmt: skip


@dataclass(frozen=True)
class Frame:
    """One picture: a data URI, the size it had on disk in pixels, and the round it belongs to (None: unknown)."""

    uri: str
    width: int
    height: int
    round: int | None


@dataclass(frozen=True)
class Moving:
    """An animation: a data URI that plays, one that stands still, and the size on disk in pixels."""

    uri: str
    still: str
    width: int
    height: int
    frames: int


@dataclass
class Film:
    """Frames in order of rounds (the last one in full quality), the real grid if there is one, and what went wrong.

    Of clips also the newest grid and the real one playing, the swap of contents and motions, and time slices.
    """

    frames: list[Frame] = field(default_factory=list)
    real: Frame | None = None
    playing: Moving | None = None
    real_playing: Moving | None = None
    swap: Moving | None = None
    slices: Frame | None = None
    real_slices: Frame | None = None
    total: int = 0  # grids on disk, before thinning
    notes: list[str] = field(default_factory=list)


def film(directory: Path) -> Film:
    """Read `NNNNNNNN.png` grids (else the frames of `progress.gif`), and `real.png` if it is there; never raises on bad files."""
    made = Film()
    grids = sorted((int(path.stem), path) for path in _files(directory, "*.png") if path.stem.isdecimal())
    made.total = len(grids)
    step, bad = 0, 0
    for index, (round, path) in enumerate(chosen := spread(grids, FRAMES)):
        last = index == len(chosen) - 1
        image = _open(path)
        if image is None:
            bad += 1
            continue
        frame, step = _frame(image, round, len(chosen), step, last)
        made.frames.append(frame)
    if bad:
        made.notes.append(f"{bad} sample grid{'s' * (bad > 1)} could not be read and {'are' if bad > 1 else 'is'} left out.")
    if not made.frames:
        _from_animation(directory / "progress.gif", made)
    if (directory / "real.png").is_file() and (image := _open(directory / "real.png")) is not None:
        made.real = _frame(image, None, 1, 0, True)[0]
    made.playing = newest(directory)
    made.real_playing, made.swap = (moving(directory / f"{name}.webp") for name in ("real", "swap"))
    made.slices, made.real_slices = (still(directory / f"{name}.png", None) for name in ("slices", "real-slices"))
    return made


def newest(directory: Path) -> Moving | None:
    """The newest grid of clips, playing; None of pictures."""
    grids = sorted((int(path.stem), path) for path in _files(directory, "*.webp") if path.stem.isdecimal())
    return moving(grids[-1][1]) if grids else None


def still(path: Path, round: int | None) -> Frame | None:
    """One picture in full quality; None when it is not there or cannot be read."""
    image = _open(path) if path.is_file() else None
    return None if image is None else _frame(image, round, 1, 0, True)[0]


def moving(path: Path) -> Moving | None:
    """An animation within the budget, at less quality and then smaller where it has to be; None when it is not there or cannot be read."""
    try:
        raw = path.read_bytes()
        with Image.open(io.BytesIO(raw)) as image:
            width, height, count = *image.size, getattr(image, "n_frames", 1)
            first, uri = _plain(image), f"data:image/webp;base64,{base64.b64encode(raw).decode('ascii')}"
            for quality, scale in ((80, 1.0), (60, 1.0), (60, 0.5), (40, 0.25)):
                if len(uri) > MOVING_BYTES:
                    uri = _smaller(image, quality, (max(1, int(width * scale)), max(1, int(height * scale))))
    except Exception:  # as in `_open`
        return None
    return Moving(uri, _encode(first, STILL_BYTES // 4, 2)[0], width, height, count)


def _smaller(image: Image.Image, quality: int, size: tuple[int, int]) -> str:
    """An open animation, encoded anew."""
    pictures, lasting, out = [], [], io.BytesIO()
    for frame in ImageSequence.Iterator(image):
        frame.load()
        pictures.append(frame.convert("RGB").resize(size, Image.Resampling.LANCZOS))
        lasting.append(frame.info.get("duration", 100))
    pictures[0].save(out, "WEBP", save_all=True, append_images=pictures[1:], duration=lasting, loop=0, quality=quality, method=3)
    return f"data:image/webp;base64,{base64.b64encode(out.getvalue()).decode('ascii')}"


def spread(items: Sequence, most: int) -> list:
    """At most `most` of `items`, evenly spaced, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    if most == 1:
        return [items[-1]]
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def _files(directory: Path, pattern: str) -> list[Path]:
    try:
        return [path for path in directory.glob(pattern) if path.is_file()]
    except OSError:
        return []


def _open(path: Path) -> Image.Image | None:
    """A picture in a mode that every format below can hold, or None when it cannot be read (torn, foreign, a bomb)."""
    try:
        with Image.open(path) as image:
            return _plain(image)
    except Exception:  # Pillow's decoders raise whatever their parsers do; a bad picture must not cost the report
        return None


def _plain(image: Image.Image) -> Image.Image:
    image.load()
    if image.mode in ("L", "RGB", "RGBA"):
        return image.copy()
    transparent = "A" in image.mode or "transparency" in image.info
    return image.convert("RGBA" if transparent else "L" if image.mode[0] in "1I" else "RGB")


def _from_animation(path: Path, made: Film) -> None:
    """Fill `made` from an animation, whose frames do not know their rounds."""
    try:
        with Image.open(path) as image:
            count = getattr(image, "n_frames", 1)
            wanted = set(spread(range(count), FRAMES))
            frames = [_plain(f) for i, f in _stills(image) if i in wanted]
    except Exception:  # as above
        return
    step, made.total = 0, count
    for index, still in enumerate(frames):
        frame, step = _frame(still, None, len(frames), step, index == len(frames) - 1)
        made.frames.append(frame)


def _stills(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    yield from enumerate(ImageSequence.Iterator(image))


def _frame(image: Image.Image, round: int | None, share: int, step: int, still: bool) -> tuple[Frame, int]:
    """Encode within the budget's share, beginning at `step`; the step that fitted comes back for the next frame."""
    width, height = image.size
    side, budget = (STILL_SIDE, STILL_BYTES) if still else (FILM_SIDE, FILM_BYTES // share)
    if max(image.size) > side:
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
    uri, used = _encode(image, budget, 0 if still else step)
    return Frame(uri, width, height, round), used


def _encode(image: Image.Image, budget: int, step: int) -> tuple[str, int]:
    """The first data URI, from `step` on, of at most `budget` characters; the smallest one if none fits."""
    uri = ""
    for index in range(step, len(_STEPS)):
        quality, scale = _STEPS[index]
        size = (max(1, int(image.width * scale)), max(1, int(image.height * scale)))
        sized = image if scale == 1.0 else image.resize(size, Image.Resampling.LANCZOS)
        uri = _uri(sized, quality)
        if len(uri) <= budget:
            return uri, index
    return uri, len(_STEPS) - 1


def _uri(image: Image.Image, quality: int | None) -> str:
    out = io.BytesIO()
    if features.check("webp"):
        kind = "webp"
        image.save(out, "WEBP", lossless=quality is None, quality=80 if quality is None else quality, method=3)
    elif quality is None:
        kind = "png"
        image.save(out, "PNG", optimize=True)
    else:
        kind = "jpeg"
        flat = image
        if image.mode == "RGBA":
            flat = Image.new("RGB", image.size, "white")
            flat.paste(image, mask=image.getchannel("A"))
        flat.save(out, "JPEG", quality=quality)
    return f"data:image/{kind};base64,{base64.b64encode(out.getvalue()).decode('ascii')}"
