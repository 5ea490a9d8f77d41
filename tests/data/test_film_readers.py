"""Films of every kind: the frames come out as they went in, upright and in time; damage is told and never stops the rest."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from movies import animation, movie, mp4, png, sound_only, strip
from PIL import Image as Pillow

from agon.data.film import Film, Step, open_animation, open_array, open_sequence, open_strip, strip_of
from agon.data.footage import LONGEST_GAP, _rates, resampled
from agon.spaces import Unreadable

Given = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def seen(film: Film) -> tuple[list[float], np.ndarray, list[str]]:
    """Times, frames [T, H, W, 3] and holes of a film."""
    steps: list[Step] = list(film.frames())
    frames = [step for step in steps if not isinstance(step, str)]
    pixels = np.stack([np.asarray(picture.convert("RGB")) for _, picture in frames]) if frames else np.zeros((0, 1, 1, 3), np.uint8)
    return [time for time, _ in frames], pixels, [step for step in steps if isinstance(step, str)]


# -- made of pictures ------------------------------------------------------------------------------------------------------------------


@Given
@given(count=st.integers(1, 9), side=st.integers(1, 9), down=st.booleans(), seed=st.integers(0, 99))
def test_strips_hold_their_frames(count, side, down, seed):
    film = np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    opened = open_strip(strip(film, down=down))
    assert (opened.width, opened.height, opened.count, opened.rate) == (side, side, count, 0.0)
    times, pixels, holes = seen(opened)
    assert np.array_equal(pixels, film) and times == list(range(count)) and holes == []


@Given
@given(width=st.integers(1, 200), height=st.integers(1, 200))
def test_what_is_no_strip_is_refused(width, height):
    whole = max(width, height) % min(width, height) == 0
    assert strip_of(width, height) == (max(width, height) // min(width, height) if whole else 0)
    if not whole:
        with pytest.raises(Unreadable, match=f"a picture of {width}×{height} is no strip"):
            open_strip(png(np.zeros((height, width), np.uint8)))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_animations_keep_their_frames_and_delays(kind):
    film = movie(3, 6, 12, 20)
    times, pixels, holes = seen(open_animation(animation(film, kind, [100, 100, 300, 100, 100, 100])))
    assert np.abs(pixels.astype(int) - film).max() <= (8 if kind == "GIF" else 0)
    assert times == pytest.approx([0, 0.1, 0.2, 0.5, 0.6, 0.7]) and holes == []


def test_a_gif_that_asks_for_no_delay_plays_as_browsers_play_it():
    times, _, _ = seen(open_animation(animation(movie(1, 4), "GIF", 0)))
    assert times == pytest.approx([0, 0.1, 0.2, 0.3])


def test_a_still_gif_is_a_film_of_one_frame():
    film = open_animation(animation(movie(1, 1), "GIF"))
    assert (film.count, film.rate, len(seen(film)[0])) == (1, 0.0, 1)


def test_a_cut_animation_gives_what_is_left_or_a_reason():
    raw = animation(np.random.default_rng(0).integers(0, 256, (10, 24, 24, 3), dtype=np.uint8), "GIF")
    got = [0, 0]
    for share in (0.02, 0.3, 0.6, 0.9):
        try:
            times, _, _ = seen(open_animation(raw[: int(len(raw) * share)]))
            assert 1 <= len(times) <= 10
            got[0] += 1
        except Unreadable as reason:
            assert str(reason)
            got[1] += 1
    assert got[0] >= 2


@Given
@given(data=st.data())
def test_animations_survive_anything(data):
    raw = bytearray(animation(movie(1, 4, 8, 8), data.draw(st.sampled_from(["GIF", "WEBP", "PNG"]))))
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.integers(0, len(raw)))] if data.draw(st.booleans()) else raw
    try:
        seen(open_animation(bytes(raw)))
    except Unreadable as reason:
        assert str(reason)


def test_a_gifs_frame_that_reaches_out_of_its_screen_is_cut_off():
    raw = bytearray(animation(movie(1, 4, 8, 8), "GIF"))
    control = [k for k in range(len(raw) - 9) if raw[k : k + 3] == b"\x21\xf9\x04" and raw[k + 8 : k + 9] == b","]
    raw[control[1] + 9] = 200  # the second frame begins 200 pixels to the right
    _, pixels, _ = seen(open_animation(bytes(raw)))
    assert pixels.shape[1:3] == (8, 8)


@Given
@given(numbers=st.lists(st.integers(0, 60), min_size=1, max_size=20, unique=True).map(sorted))
def test_holes_lie_where_numbers_are_missing(numbers):
    pictures = [png(np.full((3, 5), number, np.uint8)) for number in numbers]
    steps = list(open_sequence(numbers, pictures.__getitem__).frames())
    shown = [np.asarray(step[1])[0, 0] for step in steps if not isinstance(step, str)]
    assert shown == numbers, "no picture is lost"
    differences = np.diff(numbers)
    usual = np.bincount(differences).argmax() if len(differences) else 1
    assert sum(isinstance(step, str) for step in steps) == int((differences != usual).sum())


def test_a_damaged_picture_is_a_hole():
    pictures = [png(np.zeros((4, 4), np.uint8)) for _ in range(5)]
    pictures[2] = b"no picture"
    _, pixels, holes = seen(open_sequence(range(5), pictures.__getitem__))
    assert len(pixels) == 4 and holes == ["picture 2: not an image: it is text, starting 'no picture'"]


@pytest.mark.parametrize("channels", [None, 1, 3, 4])
def test_arrays_of_any_channels(channels):
    rows = np.random.default_rng(0).integers(0, 256, (4, 5, 6, *([channels] if channels else [])), dtype=np.uint8)
    film = open_array(lambda: iter(rows), rows.shape)
    assert (film.width, film.height, film.count) == (6, 5, 4)
    assert all(np.array_equal(np.asarray(step[1]).reshape(rows[0].shape), row) for step, row in zip(film.frames(), rows, strict=True))


# -- time ------------------------------------------------------------------------------------------------------------------------------


def timed(times: list[float]) -> list[Step]:
    """Frames at these times, each a pixel that tells which it is."""
    return [(time, Pillow.new("L", (1, 1), k)) for k, time in enumerate(times)]


def which(steps: list[Step]) -> list[int]:
    return [step[1].getpixel((0, 0)) for step in steps if not isinstance(step, str)]


@Given
@given(gaps=st.lists(st.floats(0.01, 2.0), min_size=1, max_size=40), fps=st.floats(0.5, 60))
def test_resampling_takes_the_nearest_frame(gaps, fps):
    times = np.r_[0.0, np.cumsum(gaps)]
    steps = list(resampled(iter(timed(times.tolist())), fps))
    chosen = which(steps)
    for tick, frame in enumerate(chosen):
        apart = np.abs(times - tick / fps)
        assert apart[frame] <= apart.min() + 1e-6
    end = times[-1] + gaps[-1] / 2
    assert (len(chosen) - 1) / fps <= end + 1e-6 and len(chosen) / fps >= min(end, times[-1]) - 1e-6


@pytest.mark.parametrize("rate", [5, 12.5, 24, 25, 29.97, 30, 60])
def test_a_film_that_has_the_rate_stays_as_it_is(rate):
    times = [k / rate for k in range(50)]
    assert which(list(resampled(iter(timed(times)), rate))) == list(range(50))
    assert which(list(resampled(iter(timed(times)), rate / 5))) == list(range(0, 50, 5))


def test_resampling_begins_anew_after_a_hole_and_never_fills_a_long_pause():
    steps = [*timed([0.0, 0.1, 0.2]), "cut", *timed([9.0, 9.1]), *timed([9.1 + LONGEST_GAP + 1, 9.2 + LONGEST_GAP + 1])]
    out = list(resampled(iter(steps), 10))
    assert [step if isinstance(step, str) else round(step[0], 6) for step in out] == [
        0,
        0.1,
        0.2,
        "cut",
        0,
        0.1,
        "no frame for 61 s",
        0,
        0.1,
    ]


def test_rates_of_even_and_uneven_films():
    even = [k / 25 for k in range(100)]
    assert _rates(even, 24.0) == pytest.approx([25, 0])
    assert _rates([round(time, 3) for time in (k / 30 for k in range(40))], 30.0)[0] == 30.0, "timestamps in whole milliseconds"
    slipped = even[:50] + [time + 3 for time in even[50:]]
    assert _rates(slipped, 25.0) == pytest.approx([25, 1 / 99]), "one slip makes no other rate"
    assert _rates([0, 0.1, 0.5, 0.6, 1.0, 1.1], 10.0)[0] == pytest.approx(5 / 1.1)
    assert _rates([0, 0.1, 0.5, 0.6, 1.0, 1.1], 10.0)[1] > 0.3
    assert _rates([0.0], 10.0) == [10.0, 0.0]


# -- containers ------------------------------------------------------------------------------------------------------------------------

av = pytest.importorskip("av", reason="video files need PyAV")
from agon.data.containers import open_container  # noqa: E402


def opened(place: Path) -> Film:
    return open_container(lambda: place)


@pytest.mark.parametrize(
    ("suffix", "codec", "pixels"),
    [("mp4", "libx264", "yuv444p"), ("mkv", "libx264", "yuv444p"), ("mov", "libx264", "yuv444p"), ("avi", "mpeg4", "yuv420p"),
     ("webm", "libvpx-vp9", "yuv444p"), ("mkv", "ffv1", "bgr0"), ("avi", "mjpeg", "yuvj444p")],
)  # fmt: skip
def test_containers_give_every_frame_in_time(tmp_path, suffix, codec, pixels):
    film = movie(1, 14, 24, 40)
    how = {"q:v": "2"} if codec in ("mpeg4", "mjpeg") else {"crf": "8", "b:v": "0"} if codec == "libvpx-vp9" else {}
    found = opened(mp4(tmp_path / f"a.{suffix}", film, rate=12.5, codec=codec, pixels=pixels, **how))
    times, shown, holes = seen(found)
    assert (found.width, found.height, found.rate) == (40, 24, 12.5) and holes == []
    assert shown.shape == film.shape and np.abs(shown.astype(int) - film).mean() < (0.1 if codec == "ffv1" else 6)
    assert times == pytest.approx([k / 12.5 for k in range(14)], abs=2e-3)


@pytest.mark.parametrize(("height", "width"), [(17, 33), (1, 1), (2, 31)])
def test_odd_sizes_are_kept(tmp_path, height, width):
    film = movie(1, 5, height, width)
    _, shown, _ = seen(opened(mp4(tmp_path / "a.mkv", film, codec="ffv1", pixels="bgr0")))
    assert np.array_equal(shown, film)


@pytest.mark.parametrize(
    "turn", [(90, False, False), (180, False, False), (-90, False, False), (0, True, False), (0, False, True), (90, True, False)]
)
def test_films_come_upright(tmp_path, turn):
    if not hasattr(av.VideoStream, "set_display_rotation"):
        pytest.skip("this PyAV writes no display matrix")
    film = movie(1, 3, 18, 32)
    found = opened(mp4(tmp_path / "a.mp4", film, turn=turn))
    degrees, across, down = turn
    wanted = np.rot90(film, degrees // 90, axes=(1, 2))
    wanted = wanted[:, :, ::-1] if across else wanted
    wanted = wanted[:, ::-1] if down else wanted
    _, shown, _ = seen(found)
    assert (found.height, found.width) == wanted.shape[1:3]
    assert np.abs(shown.astype(int) - wanted).mean() < 2


def test_pixels_become_square(tmp_path):
    found = opened(mp4(tmp_path / "a.mp4", movie(1, 3, 16, 32), aspect=Fraction(2, 1)))
    assert (found.width, found.height) == (64, 16)
    assert found.notes == ("its 32×16 pixels are not square: shown as the file says",)


def test_a_variable_rate_is_read_by_its_timestamps(tmp_path):
    times = [0, 0.1, 0.2, 0.6, 0.7, 1.4]
    found = opened(mp4(tmp_path / "a.mkv", movie(1, 6), times=times))
    assert seen(found)[0] == pytest.approx(times, abs=2e-3)
    assert len(which(list(resampled(iter(timed(times)), 10)))) == 18


def test_grey_and_clear_films(tmp_path):
    film = movie(1, 3)
    grey = opened(mp4(tmp_path / "g.mkv", film, codec="ffv1", pixels="gray"))
    assert {step[1].mode for step in grey.frames()} == {"L"}
    clear = opened(mp4(tmp_path / "c.mkv", film, codec="ffv1", pixels="bgra"))
    assert {step[1].mode for step in clear.frames()} == {"RGBA"}


def test_two_streams_and_sound(tmp_path):
    found = opened(mp4(tmp_path / "a.mp4", movie(1, 8), second=movie(2, 3, 8, 8), sound=True))
    assert found.notes == ("2 video streams: the first is used",)
    assert len(seen(found)[0]) == 8 and (found.width, found.height) == (16, 16)


def no_frames(place: Path) -> Path:
    """A film with a header and nothing else."""
    with av.open(str(place), "w", options={"movflags": "empty_moov+frag_keyframe"}) as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        container.start_encoding()
    return place


def test_refusals_say_why(tmp_path):
    def why(place: Path) -> str:
        with pytest.raises(Unreadable) as told:
            opened(place)
        return str(told.value)

    def written(name: str, raw: bytes) -> Path:
        (tmp_path / name).write_bytes(raw)
        return tmp_path / name

    assert why(sound_only(tmp_path / "s.mp4")) == "holds sound only: nothing to look at"
    assert why(written("e.mp4", b"")) == "empty file (0 bytes)"
    assert why(written("t.mp4", b"hello\nyou")) == "not a video: it is text, starting 'hello'"
    assert why(written("r.mp4", bytes(range(256)))).startswith("damaged, or not a video format that is read here")
    whole = mp4(tmp_path / "w.mp4", movie(1, 30)).read_bytes()
    assert why(written("c.mp4", whole[: len(whole) // 2])).startswith("truncated: its table of frames (moov)")
    whole = mp4(tmp_path / "w.mkv", movie(1, 30)).read_bytes()
    assert why(written("c.mkv", whole[:100])) == "truncated or damaged: its header cannot be read"
    assert why(tmp_path / "gone.mp4") == "cannot be read: No such file or directory"
    assert "no frame" in why(no_frames(tmp_path / "n.mp4")) or "no video stream" in why(no_frames(tmp_path / "n.mp4"))
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nw.mp4\n"
    assert "not a video: it is text" in why(written("hls.mp4", playlist)), "a file never makes another one be read"


@pytest.mark.parametrize("suffix", ["mkv", "webm", "avi"])
def test_a_truncated_film_gives_what_is_left_and_says_so(tmp_path, suffix):
    codec = {"mkv": "libx264", "webm": "libvpx-vp9", "avi": "mpeg4"}[suffix]
    whole = mp4(tmp_path / f"a.{suffix}", movie(1, 60, 64, 64), codec=codec, pixels="yuv420p")
    whole.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.8)])
    times, shown, holes = seen(opened(whole))
    assert 5 <= len(times) < 60
    assert len(holes) == 1 and ("ends after" in holes[0] or "the rest is left out" in holes[0])
    assert np.abs(shown.astype(int) - movie(1, 60, 64, 64)[: len(shown)]).mean() < 12


def test_after_damage_the_next_key_frame_is_waited_for(tmp_path):
    film = movie(1, 60, 32, 32)
    place = mp4(tmp_path / "a.mp4", film, pixels="yuv420p", g="20", bf="0", sc_threshold="0")
    with av.open(str(place)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    raw = bytearray(place.read_bytes())
    start, size = packets[25]
    raw[start + 4 : start + size] = bytes(255 for _ in range(size - 4))
    place.write_bytes(raw)
    times, shown, holes = seen(opened(place))
    assert len(holes) == 1 and holes[0].startswith("after frame 2") and "next key frame" in holes[0]
    assert times[-20:] == pytest.approx([k / 10 for k in range(40, 60)]), "the last group of pictures is whole"
    assert len(times) <= 46
    for time, frame in zip(times, shown, strict=True):
        assert np.abs(frame.astype(int) - film[round(time * 10)]).mean() < 12, "no garbled frame is let through"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_containers_survive_anything(data, tmp_path):
    suffix, codec = data.draw(st.sampled_from([("mp4", "libx264"), ("mkv", "libx264"), ("avi", "mpeg4")]))
    place = tmp_path / f"a.{suffix}"
    if not place.exists():
        mp4(place, movie(1, 10), codec=codec, pixels="yuv420p")
    raw = bytearray(place.read_bytes())
    for _ in range(data.draw(st.integers(1, 12))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.integers(0, len(raw)))] if data.draw(st.booleans()) else raw
    try:
        times, _, holes = seen(open_container(lambda: bytes(raw)))
        assert all(a < b for a, b in pairwise(times)), "time never goes back"
        assert all(holes)
    except Unreadable as reason:
        assert str(reason)
