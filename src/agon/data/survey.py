"""A survey: a look at every header and at some pixels, before size and channels are chosen. Decodes as little as it can."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from agon.data.film import Film
from agon.data.source import Source
from agon.spaces import Unreadable, open_header, open_picture

LOOK_CLOSELY = 128  # pictures decoded to see whether colour is grey and alpha is real
WATCH_CLOSELY, WATCHED = 24, 24  # films, and of each how many frames, at three of which the same is looked at
GLIMPSE = 256  # pixels a side
COLOUR_NOISE = 6  # of 255: what compression does to the colour of grey films
_ORIENTATION = 0x0112  # EXIF tag; 5 to 8 turn the picture by a quarter


@dataclass
class Survey:
    """What the items are, counted. JSON-able, so that it can be kept beside the cache."""

    count: int  # items looked at
    short_side: float = 0.0  # median, pixels
    sizes: dict[str, int] = field(default_factory=dict)  # "width×height" -> how many, upright
    modes: dict[str, int] = field(default_factory=dict)  # Pillow's words: L RGB RGBA P CMYK I;16 ...
    formats: dict[str, int] = field(default_factory=dict)
    animated: int = 0
    looked: int = 0  # how many were decoded for the two shares
    grey_share: float = 0.0  # of those: no colour in any pixel
    alpha_share: float = 0.0  # of those: some pixel is not opaque
    bad: dict[str, str] = field(default_factory=dict)  # item index -> reason
    rates: dict[str, int] = field(default_factory=dict)  # of films: frames a second, as the header says -> how many
    declared: int = 0  # of films: frames that the headers declare, all together
    special: dict[str, list[str]] = field(default_factory=dict)  # of films: item index -> what is special about it


def survey(source: Source, select: np.ndarray, *, keep: Path | None = None, progress: Callable[[int, int], None] | None = None) -> Survey:
    """Look at the items `select` of `source`. With `keep`, a JSON file: use what is there, else write it."""
    if source.shape is not None:
        return _of_arrays(source, select)
    if keep is not None:
        try:
            return Survey(**json.loads(keep.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            pass  # none yet, or damaged: look again
    found = (_of_films if source.moving else _of_pictures)(source, select, progress)
    if keep is not None:
        try:
            beside = keep.with_suffix(".tmp")
            beside.write_text(json.dumps(asdict(found)), encoding="utf-8")
            beside.replace(keep)
        except OSError:
            pass  # only a saving of time
    return found


def _spread(count: int, wanted: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).round().astype(np.int64)) if count else np.zeros(0, np.int64)


def _of_arrays(source: Source, select: np.ndarray) -> Survey:
    height, width, *rest = source.shape or ()
    channels = rest[0] if rest else 1
    count = len(select)
    found = Survey(
        count=count,
        short_side=float(min(height, width)),
        sizes={f"{width}×{height}": count},
        modes={{1: "L", 3: "RGB", 4: "RGBA"}[channels]: count},
        formats={"array": count},
    )
    grey = alpha = 0
    for k in _spread(count, LOOK_CLOSELY):
        item = source.read(int(select[k]))
        assert isinstance(item, np.ndarray)
        pixels = item.reshape(height, width, channels)
        grey += _is_grey(pixels)
        alpha += _is_translucent(pixels)
        found.looked += 1
    found.grey_share, found.alpha_share = grey / max(1, found.looked), alpha / max(1, found.looked)
    return found


def _of_pictures(source: Source, select: np.ndarray, progress: Callable[[int, int], None] | None) -> Survey:
    found = Survey(count=len(select))
    sizes: Counter[str] = Counter()
    modes: Counter[str] = Counter()
    formats: Counter[str] = Counter()
    shorts: list[int] = []
    closely = set(_spread(len(select), LOOK_CLOSELY).tolist())
    grey = alpha = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of large headers and odd metadata; refusals are listed instead
        for k, index in enumerate(select.tolist()):
            if progress is not None:
                progress(k, len(select))
            try:
                raw = source.read(index)
                assert isinstance(raw, bytes)
                picture = open_header(raw)
                width, height = _upright_size(picture)
                if k in closely:
                    small = np.asarray(open_picture(raw, draft=64))
                    small = small.reshape(*small.shape[:2], -1)
                    grey += _is_grey(small)
                    alpha += _is_translucent(small)
                    found.looked += 1
            except Unreadable as reason:
                found.bad[str(index)] = str(reason)
                continue
            sizes[f"{width}×{height}"] += 1
            modes[picture.mode + (" + transparency" if "transparency" in picture.info else "")] += 1
            formats[picture.format or "?"] += 1
            found.animated += bool(getattr(picture, "is_animated", False))
            shorts.append(min(width, height))
    found.sizes, found.modes, found.formats = dict(sizes.most_common()), dict(modes.most_common()), dict(formats.most_common())
    found.short_side = float(np.median(shorts)) if shorts else 0.0
    found.grey_share, found.alpha_share = grey / max(1, found.looked), alpha / max(1, found.looked)
    return found


def _of_films(source: Source, select: np.ndarray, progress: Callable[[int, int], None] | None) -> Survey:
    found = Survey(count=len(select))
    sizes: Counter[str] = Counter()
    modes: Counter[str] = Counter()
    formats: Counter[str] = Counter()
    rates: Counter[str] = Counter()
    shorts: list[int] = []
    closely = set(_spread(len(select), WATCH_CLOSELY).tolist())
    grey = alpha = 0
    for k, index in enumerate(select.tolist()):
        if progress is not None:
            progress(k, len(select))
        try:
            film = source.read(index)
            assert isinstance(film, Film)
            if k in closely:
                small = _glimpses(film)
                grey += bool(small) and all(_is_grey(pixels, COLOUR_NOISE) for pixels in small)
                alpha += any(_is_translucent(pixels) for pixels in small)
                found.looked += 1
        except Unreadable as reason:
            found.bad[str(index)] = str(reason)
            continue
        sizes[f"{film.width}×{film.height}"] += 1
        modes[film.mode] += 1
        formats[film.format] += 1
        rates[f"{film.rate:.4g}/s" if film.rate else "no rate"] += 1
        found.animated += 1
        found.declared += film.count
        shorts.append(min(film.width, film.height))
        if film.notes:
            found.special[str(index)] = list(film.notes)
    found.sizes, found.modes, found.formats = dict(sizes.most_common()), dict(modes.most_common()), dict(formats.most_common())
    found.rates = dict(rates.most_common())
    found.short_side = float(np.median(shorts)) if shorts else 0.0
    found.grey_share, found.alpha_share = grey / max(1, found.looked), alpha / max(1, found.looked)
    return found


def _glimpses(film: Film) -> list[np.ndarray]:
    """Three of the first frames, uint8 [H, W, C], thinned out where they are large."""
    seen = []
    for k, step in enumerate(islice(film.frames(), WATCHED)):
        if k % (WATCHED // 3) == 0 and not isinstance(step, str):
            size = min(step[1].width, GLIMPSE), min(step[1].height, GLIMPSE)
            pixels = np.asarray(step[1].resize(size, Pillow.Resampling.NEAREST))
            seen.append(pixels.reshape(*pixels.shape[:2], -1))
    return seen


def _upright_size(picture: Pillow.Image) -> tuple[int, int]:
    width, height = picture.size
    if picture.format in ("JPEG", "MPO", "WEBP", "TIFF"):  # elsewhere EXIF may follow the pixels, which would decode them
        try:
            orientation = picture.getexif().get(_ORIENTATION, 1)
        except Exception:  # damaged metadata does not make the pixels unusable
            orientation = 1
        if orientation in (5, 6, 7, 8):
            return height, width
    return width, height


def _is_grey(pixels: np.ndarray, tolerance: int = 0) -> bool:
    if pixels.shape[2] < 3:
        return True
    colours = pixels[..., :3]
    if pixels.shape[2] == 4:
        colours = colours[pixels[..., 3] > 0]
    if tolerance:
        return bool((colours.max(-1).astype(np.int16) - colours.min(-1) <= tolerance).all())
    return bool((colours[..., :1] == colours).all())


def _is_translucent(pixels: np.ndarray) -> bool:
    return pixels.shape[2] == 4 and bool((pixels[..., 3] < 255).any())
