"""Video files in containers (mp4, webm, avi, mkv, mov …), decoded by PyAV (extra: video), a frame at a time.

A frame's time is its own timestamp, so that a variable rate is no trouble. Frames come upright (rotation and mirroring in the file's display
matrix are carried out) and with square pixels. Only the first video stream that is no cover picture is read.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

from agon.data.film import MOST_FRAMES, Film, Step
from agon.errors import InputError
from agon.spaces import Unreadable
from agon.spaces.pictures import MAX_PIXELS

_WORDS = "mp4 m4v mov qt webm mkv avi mpg mpeg mp2 m2ts mts wmv asf flv f4v ogv ogg 3gp 3g2 y4m mxf vob"
EXTENSIONS = frozenset("." + word for word in _WORDS.split())
# What may open a file: no playlists or scripts, which would make one file read others.
_DEMUXERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,asf,flv,ogg,yuv4mpegpipe,mxf,h264,hevc,m4v,mpegvideo,ivf,nut,gif,obu,av1"
_MOST_FAILURES = 50  # packets in a row that cannot be decoded before a film is given up


def require_av() -> Any:
    """PyAV. Raises InputError where it is not installed."""
    try:
        import av
    except ImportError:
        raise InputError("reading video files needs PyAV: pip install 'agon-gan[video]', or give GIFs, frame folders or strips") from None
    return av


def open_container(place: Callable[[], Path | bytes], *, threads: int = 2) -> Film:
    """The film in a container; its first frame is decoded to see what the frames are like. Raises Unreadable with the reason.

    place: gives the file's path or its bytes, anew whenever the film is read. threads: for the decoder.
    """
    with _opened(place) as (container, stream, notes):
        rate = float(stream.average_rate or stream.guessed_rate or 0.0)
        mode = str(stream.codec_context.pix_fmt or "?")
        count = int(stream.frames or 0) or round(max(0.0, _seconds(container, stream) * rate))
        name = f"{stream.codec_context.name} in {container.format.name.split(',')[0]}"
        first = next((step for step in _steps(container, stream) if not isinstance(step, str)), None)
    if first is None:
        raise Unreadable("has a video stream but no frame that can be decoded")

    def frames() -> Iterator[Step]:
        with _opened(place, threads) as (container, stream, _):
            yield from _steps(container, stream)

    return Film(*first[1].size, rate if math.isfinite(rate) else 0.0, count, name, mode, frames, tuple(notes))


@contextmanager
def _opened(place: Callable[[], Path | bytes], threads: int = 1) -> Iterator[tuple[Any, Any, list[str]]]:
    """(container, its video stream, what is special about it)."""
    av = require_av()
    given = place()
    try:
        if (len(given) if isinstance(given, bytes) else given.stat().st_size) == 0:
            raise Unreadable("empty file (0 bytes)")
        source = io.BytesIO(given) if isinstance(given, bytes) else open(given, "rb")  # noqa: SIM115
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}") from None
    with source:
        try:
            container = av.open(source, "r", options={"format_whitelist": _DEMUXERS, "protocol_whitelist": ""}, metadata_errors="replace")
        except Exception as error:  # FFmpeg's errors are of many kinds; on damaged input others come too
            raise Unreadable(_unopened(given, error)) from None
        with container:
            videos = [stream for stream in container.streams.video if not _is_cover(av, stream)]
            if not videos:
                sound, cover = len(container.streams.audio), len(container.streams.video)
                what = "sound only" if sound else "no video stream"
                raise Unreadable(f"holds {what}{' and a cover picture' if cover else ''}: nothing to look at")
            notes = [f"{len(videos)} video streams: the first is used"] if len(videos) > 1 else []
            stream = videos[0]
            context = stream.codec_context
            if context is None:
                raise Unreadable("its video codec is not known to this FFmpeg")
            if context.width * context.height > MAX_PIXELS:
                raise Unreadable(
                    f"refused, too large: the header declares {context.width}×{context.height} pixels, the limit is {MAX_PIXELS}"
                )
            if abs(_aspect(stream) - 1) > 0.01:
                notes.append(f"its {context.width}×{context.height} pixels are not square: shown as the file says")
            stream.thread_type = "AUTO" if threads > 1 else "SLICE"
            context.thread_count = threads
            yield container, stream, notes


def _is_cover(av: Any, stream: Any) -> bool:
    """Whether a video stream is the picture on a song's sleeve."""
    try:
        return bool(stream.disposition & av.stream.Disposition.attached_pic)
    except AttributeError:  # an older PyAV
        return False


def _unopened(given: Path | bytes, error: Exception) -> str:
    if isinstance(given, bytes):
        head = given[:64]
    else:
        with open(given, "rb") as file:
            head = file.read(64)
    if head and all(32 <= byte < 127 or byte in b"\r\n\t" for byte in head):
        return f"not a video: it is text, starting {head.decode('ascii').splitlines()[0].strip()[:40]!r}"
    if head[4:8] == b"ftyp":
        return "truncated: its table of frames (moov), which is written last, is missing; copy or record it again"
    if head[:4] in (b"\x1aE\xdf\xa3", b"RIFF"):
        return "truncated or damaged: its header cannot be read"
    return f"damaged, or not a video format that is read here ({_reason(error).lower()})"


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__).split("\n")[0]


def _steps(container: Any, stream: Any) -> Iterator[Step]:
    """Every frame that decodes cleanly; where some do not, a word about it stands in their place.

    After damage the next key frame is waited for: what lies between may be drawn from what is lost, and no decoder says so.
    """
    start: float | None = None
    count = failures = lost = 0
    last = -math.inf
    rate = float(stream.average_rate or stream.guessed_rate or 0.0) or 25.0
    hole, aspect = "", _aspect(stream)
    turns: list[Pillow.Transpose] | None = None
    for frames in _packets(container, stream):
        if isinstance(frames, str):
            failures += 1
            hole = hole or frames
            if failures > _MOST_FAILURES:
                break
            continue
        for frame in frames:
            if frame.is_corrupt or (hole and not frame.key_frame):
                hole = hole or "damaged"
                continue
            time = frame.time
            start = time if start is None else start
            now = count / rate if time is None or start is None else float(time - start)
            if now <= last:  # a clock that stands still or jumps back is no clock
                now = last + 1.0 / rate
            if turns is None:  # once: to look at a frame's side data makes a cycle, which keeps the frame until garbage is collected
                turns = _turns(frame)
            picture = _upright(frame, aspect, turns)
            if hole and count:
                yield f"after frame {count}: {hole}; left out until the next key frame"
                lost += 1
            hole, failures, last = "", 0, now
            yield now, picture
            count += 1
            if count >= MOST_FRAMES:
                return
    declared, seconds = int(stream.frames or 0), _seconds(container, stream)
    if hole and count:
        yield f"after frame {count}: {hole}; the rest is left out"
    elif lost:
        return
    elif 0 < count < 0.95 * declared - 1:
        yield f"ends after {count} of the {declared} frames that its header declares"
    elif count and last + 1.0 / rate < 0.9 * seconds - 0.5:
        yield f"ends after {last:.1f} of the {seconds:.1f} seconds that its header declares"


def _seconds(container: Any, stream: Any) -> float:
    """How long the header says the pictures go on; 0.0 where it does not say, or where the sound may be what it means."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    return (container.duration or 0) / 1e6 if len(container.streams.video) == len(container.streams) else 0.0


def _packets(container: Any, stream: Any) -> Iterator[list[Any] | str]:
    """The frames of each packet, or why it has none. Damage never stops what can still be read."""
    try:
        for packet in container.demux(stream):
            try:
                yield packet.decode()
            except Exception as error:  # InvalidDataError and its kin; Python's own on odd streams
                yield f"cannot be decoded ({_reason(error)})"
    except Exception as error:
        yield f"cannot be read further ({_reason(error)})"


def _upright(frame: Any, aspect: float, turns: Sequence[Pillow.Transpose]) -> Pillow.Image:
    """A decoded frame as a picture in mode L, RGB or RGBA, with square pixels, turned as the file says. aspect: of a pixel, width / height."""
    if frame.width * frame.height > MAX_PIXELS:
        raise Unreadable(f"refused, too large: a frame of {frame.width}×{frame.height} pixels, the limit is {MAX_PIXELS}")
    if frame.format.name == "gray":
        picture = Pillow.fromarray(frame.to_ndarray())
    else:
        clear = frame.format.name.startswith(("yuva", "rgba", "bgra", "argb", "abgr", "gbrap"))
        picture = Pillow.fromarray(frame.to_ndarray(format="rgba" if clear else "rgb24"))
    if abs(aspect - 1) > 0.01:
        wide, high = max(aspect, 1.0), max(1 / aspect, 1.0)
        picture = picture.resize((round(picture.width * wide), round(picture.height * high)), Pillow.Resampling.BICUBIC)
    for turn in turns:
        picture = picture.transpose(turn)
    return picture


def _aspect(stream: Any) -> float:
    """Width over height of a pixel; 1.0 where the file says nothing that could be true."""
    ratio = float(stream.sample_aspect_ratio or 1.0)
    return ratio if 0.2 <= ratio <= 5.0 else 1.0


def _turns(frame: Any) -> list[Pillow.Transpose]:
    """What brings a frame upright, by the display matrix [a b u; c d v; x y w] in 16.16 fixed point: x to (a, b), y to (c, d), y downwards."""
    for data in frame.side_data:
        if getattr(data.type, "name", "") == "DISPLAYMATRIX":
            a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].astype(np.float64)
            mirrored = a * d - b * c < 0
            a, b = (-a, -b) if mirrored else (a, b)  # what remains when the picture is mirrored first
            quarter = round(math.degrees(math.atan2(b, a)) / 90) % 4  # clockwise
            turn = {1: Pillow.Transpose.ROTATE_270, 2: Pillow.Transpose.ROTATE_180, 3: Pillow.Transpose.ROTATE_90}.get(quarter)
            return ([Pillow.Transpose.FLIP_LEFT_RIGHT] if mirrored else []) + ([turn] if turn is not None else [])
    return []
