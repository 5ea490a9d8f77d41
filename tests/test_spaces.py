"""Spaces: every kind of picture file comes out right, and pictures are written as asked."""

from __future__ import annotations

import io
import json
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from pydantic import TypeAdapter

from agon.config import encode as as_json
from agon.errors import InputError
from agon.spaces import Image, Unreadable, Vector, Video, open_picture, space_from_json


def encode(picture: Pillow.Image, kind: str = "PNG", **how: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **how)
    return file.getvalue()


def ramp(width: int = 48, height: int = 40) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([columns * 5 % 256, rows * 6 % 256, (rows + columns) * 2 % 256], axis=-1).astype(np.uint8)


def png_header(width: int, height: int) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + head
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + b"\0\0\0\0IDAT" + b"\0" * 8


RGB = Pillow.fromarray(ramp())
GREY = RGB.convert("L")
DEEP = Pillow.fromarray(np.asarray(GREY).astype(np.uint16) * 257)


@pytest.mark.parametrize(
    ("picture", "kind", "expected"),
    [
        (RGB, "PNG", "RGB"),
        (GREY, "PNG", "L"),
        (GREY.convert("1"), "PNG", "L"),
        (DEEP, "PNG", "L"),
        (DEEP, "TIFF", "L"),
        (Pillow.fromarray(np.asarray(GREY).astype(np.float32) / 255), "TIFF", "L"),
        (RGB.convert("P"), "PNG", "RGB"),
        (RGB.convert("CMYK"), "JPEG", "RGB"),
        (RGB.convert("CMYK"), "TIFF", "RGB"),
        (RGB.convert("YCbCr"), "JPEG", "RGB"),
        (RGB.convert("RGBA"), "PNG", "RGBA"),
        (GREY.convert("LA"), "PNG", "RGBA"),
        (RGB, "WEBP", "RGB"),
        (RGB, "BMP", "RGB"),
        (RGB, "PPM", "RGB"),
        (RGB, "TGA", "RGB"),
    ],
)
def test_every_mode_becomes_plain(picture: Pillow.Image, kind: str, expected: str) -> None:
    plain = open_picture(encode(picture, kind))
    assert plain.mode == expected
    for channels in (1, 3, 4):
        array = Image(channels=channels, height=16, width=24).decode(encode(picture, kind))
        assert array.shape == (channels, 16, 24)
        assert array.dtype == np.uint8


def test_sixteen_bits_are_scaled_not_cut() -> None:
    back = np.asarray(open_picture(encode(DEEP)))
    assert np.array_equal(back, np.asarray(GREY))


def test_wide_tiffs() -> None:
    small = Pillow.fromarray(np.asarray(GREY).astype(np.int32))
    assert np.array_equal(np.asarray(open_picture(encode(small, "TIFF"))), np.asarray(GREY))
    wide = Pillow.fromarray(np.asarray(GREY).astype(np.int32) * 1000)
    with pytest.raises(Unreadable, match=r"32-bit pixels from .* to .*: convert to 8 or 16 bits first"):
        open_picture(encode(wide, "TIFF"))


def test_palette_with_transparency_is_seen_through() -> None:
    picture = Pillow.new("P", (8, 8), 0)
    picture.putpalette([0, 0, 0, 255, 0, 0])
    picture.paste(1, (0, 0, 4, 8))
    raw = encode(picture, "PNG", transparency=0)
    assert open_picture(raw).mode == "RGBA"
    flat = Image(channels=3, height=8, width=8).decode(raw)
    assert flat[:, 0, 0].tolist() == [255, 0, 0]
    assert flat[:, 0, 7].tolist() == [255, 255, 255], "transparent pixels become white"
    assert Image(channels=4, height=8, width=8).decode(raw)[3, 0].tolist() == [255] * 4 + [0] * 4


def test_exif_orientation_is_applied() -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise to be upright
    plain = open_picture(encode(RGB, "JPEG", exif=exif, quality=95))
    assert plain.size == (RGB.height, RGB.width)
    upright = np.asarray(RGB.rotate(-90, expand=True)).astype(int)
    assert np.abs(np.asarray(plain).astype(int) - upright).mean() < 12


def test_first_frame_of_an_animation() -> None:
    frames = [Pillow.new("RGB", (9, 9), colour) for colour in ((200, 0, 0), (0, 200, 0))]
    raw = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert Image(height=9, width=9).decode(raw)[:, 4, 4].tolist() == [200, 0, 0]


def test_resize_policies_differ_as_stated() -> None:
    wide = np.zeros((20, 60, 3), dtype=np.uint8)
    wide[:, 20:40] = 200  # the middle third
    raw = encode(Pillow.fromarray(wide))
    cover = Image(height=20, width=20, resize="cover").decode(raw)
    contain = Image(height=20, width=20, resize="contain").decode(raw)
    stretch = Image(height=20, width=20, resize="stretch").decode(raw)
    assert (cover == 200).all(), "cover keeps the middle square"
    assert (contain[:, 0] == 255).all(), "contain pads with white above and below"
    assert (contain[:, 10, 9:11] > 190).all()
    assert (contain[:, 10, 0] < 10).all()
    assert (stretch[:, :, 9:11] > 190).all()
    assert (stretch[:, :, 0] < 10).all()
    assert Image(channels=4, height=20, width=20, resize="contain").decode(raw)[3, 0, 0] == 0, "transparent bars for RGBA"


def test_reduction_is_antialiased() -> None:
    stripes = np.tile(np.array([0, 255], dtype=np.uint8), (64, 32))
    for name in ("lanczos", "bicubic", "bilinear", "box"):
        small = Image(channels=1, height=8, width=8, filter=name).decode(encode(Pillow.fromarray(stripes)))
        assert abs(small.astype(int).mean() - 127.5) < 4, name
        assert small.std() < 20, name


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "empty file"),
        (b"hello, this is a text\n", "it is text, starting 'hello, this is a text'"),
        (bytes(range(256)), "not an image format"),
        (encode(RGB)[:70], "truncated"),
        (encode(RGB, "JPEG")[:700], "truncated"),
        (png_header(20_000, 20_000), "too large"),
        (png_header(12_000, 12_000), "12000×12000"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "it is text"),
    ],
    ids=["empty", "text", "noise", "cut png", "cut jpeg", "20k header", "12k header", "eps"],
)
@pytest.mark.filterwarnings("ignore")
def test_unreadable_says_why(raw: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        Image().decode(raw)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damage_never_raises_anything_else(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "TGA"]))
    raw = bytearray(encode(RGB, kind))
    for _ in range(data.draw(st.integers(1, 12))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.integers(0, len(raw)))]
    try:
        array = Image(height=8, width=8).decode(bytes(raw))
    except Unreadable:
        return
    assert array.shape == (3, 8, 8)


def test_bytes_and_floats_round_trip() -> None:
    space, every = Image(channels=1, height=16, width=16), torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    x = space.normalise(every)
    assert x.dtype == torch.float32
    assert (x.min().item(), x.max().item()) == (-1.0, 1.0)
    assert torch.equal(space.to_bytes(x), every)
    assert space.to_bytes(torch.tensor([-9.0, 9.0, float("nan")])).tolist() == [0, 255, 0]
    vector = Vector(scale=4.0)
    points = torch.tensor([[2.0, -4.0]])
    assert torch.equal(vector.to_bytes(vector.normalise(points)), points)


def test_descriptions_and_json() -> None:
    space = Image(channels=1, height=32, width=32, classes=tuple("0123456789"))
    assert space.describe() == "32×32 grey images, 10 classes"
    assert space.unlabelled().describe() == "32×32 grey images"
    assert space.num_classes == 10
    assert space.shape == (1, 32, 32)
    assert Vector().describe() == "points in 2 dimensions"
    for made in (space, Vector(scale=2.0)):
        adapter = TypeAdapter(type(made))
        assert adapter.validate_json(adapter.dump_json(made)) == made


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_grids(tmp_path: Path, suffix: str, channels: int) -> None:
    space = Image(channels=channels, height=16, width=8)
    x = torch.randint(0, 256, (10, channels, 16, 8), dtype=torch.uint8)
    place = space.render(x, tmp_path / "deep" / f"grid{suffix}", columns=5, scale=1)
    picture = Pillow.open(place)
    assert picture.size == (5 * 8 + 4 * 2, 2 * 16 + 2)
    if suffix == ".png":
        corner = np.asarray(picture)[:16, :8].reshape(16, 8, channels).transpose(2, 0, 1)
        assert np.array_equal(corner, x[0].numpy())


def test_small_pictures_are_enlarged_and_floats_taken(tmp_path: Path) -> None:
    picture = Pillow.open(Image(channels=1, height=16, width=16).render(torch.zeros(4, 1, 16, 16), tmp_path / "g.png"))
    assert picture.size == (130, 130)
    assert np.asarray(picture)[0, 0] == 128


def test_walks(tmp_path: Path) -> None:
    x = torch.randint(0, 256, (6, 3, 33, 31), dtype=torch.uint8)
    gif = Pillow.open(Image().render(x, tmp_path / "walk.gif", scale=1))
    assert (gif.n_frames, gif.size) == (6, (31, 33))
    av = pytest.importorskip("av")
    with av.open(str(Image().render(x, tmp_path / "walk.mp4", scale=1))) as film:
        frames = list(film.decode(video=0))
    assert (len(frames), frames[0].width, frames[0].height) == (6, 32, 34), "odd sides are padded"


def test_scatter_plots(tmp_path: Path) -> None:
    points = torch.randn(2000, 2)
    picture = np.asarray(Pillow.open(Vector().render(points, tmp_path / "p.png")))
    assert picture.shape == (384, 384, 3)
    assert (picture < 120).any(), "there is ink"
    assert Pillow.open(Vector().render(torch.randn(3, 50, 2), tmp_path / "p.gif")).n_frames == 3
    Vector().render(torch.tensor([[float("nan"), 1.0], [9e9, 0.0]]), tmp_path / "odd.png")


def test_render_refuses_with_reasons(tmp_path: Path) -> None:
    x = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    with pytest.raises(InputError, match=r"expected a name ending in \.png"):
        Image().render(x, tmp_path / "x.bmp")
    with pytest.raises(InputError, match=r"expected \[N, C, H, W\]"):
        Image().render(x[0], tmp_path / "x.png")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot write"):
        Image().render(x, tmp_path / "file" / "x.png")
    (tmp_path / "dir.png").mkdir()
    with pytest.raises(InputError, match="cannot write"):
        Image().render(x, tmp_path / "dir.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["dir.png", "file"], "nothing half-written stays"


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    from agon.spaces import drawing

    with pytest.raises(InputError, match="No space left"), drawing.written_beside(tmp_path / "x.png"), open("/dev/full", "wb") as full:
        full.write(b"x" * 100_000)


def test_a_space_is_read_back_from_what_was_written() -> None:
    for space in (
        Image(channels=1, classes=("a", "b")),
        Vector(dim=3),
        Video(frames=5, height=20, width=30, words=("red",), caption_length=4),
    ):
        assert space_from_json(json.loads(json.dumps(as_json(space)))) == space


def test_clips_are_written_as_sheets_and_animations(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    space = Video(frames=5, height=21, width=31, fps=10.0)
    x = torch.arange(6 * 5, dtype=torch.uint8).mul(8).reshape(6, 5, 1, 1, 1).expand(6, *space.shape)
    with Pillow.open(space.render(x, tmp_path / "sheet.png", scale=1)) as sheet:
        assert sheet.size == (5 * 33 - 2, 6 * 23 - 2)
        assert sheet.getpixel((2 * 33, 23)) == (7 * 8,) * 3  # clip 1, frame 2
    for name in ("a.gif", "a.webp"):
        with Pillow.open(space.render(x, tmp_path / name)) as film:
            assert film.n_frames == 5
    with av.open(str(space.render(x, tmp_path / "a.mp4", scale=1, columns=3))) as film:
        stream = film.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(stream)]
        assert (stream.average_rate, len(frames)) == (10, 5)
        assert frames[2].shape == (44, 98, 3)  # a side of 3 × 31 + 4 is made even
        assert abs(int(frames[2][30, 5].mean()) - (3 * 5 + 2) * 8) <= 3
    with pytest.raises(InputError, match=r"expected \[N, T, C, H, W\]"):
        space.render(x[0], tmp_path / "b.png")
    with pytest.raises(InputError, match="expected a name ending in"):
        space.render(x, tmp_path / "b.avi")


@pytest.mark.parametrize("rate", [12, 12.5, 29.97, Fraction(30000, 1001), 23.976, Fraction(1, 2)])
@pytest.mark.parametrize("sides", [(33, 35), (64, 48), (1, 7)])
def test_a_film_keeps_number_size_and_rate(tmp_path: Path, rate: float | Fraction, sides: tuple[int, int]) -> None:
    av = pytest.importorskip("av")
    space = Video(frames=7, channels=1, height=sides[0], width=sides[1])
    x = torch.randint(0, 256, (1, *space.shape), dtype=torch.uint8)
    with av.open(str(space.render(x, tmp_path / "one.mp4", frames_per_s=rate))) as film:
        stream = film.streams.video[0]
        frames = [frame.to_ndarray(format="gray") for frame in film.decode(stream)]
        assert stream.average_rate == {29.97: Fraction(30000, 1001), 23.976: Fraction(24000, 1001)}.get(rate, Fraction(rate))
    assert [frame.shape for frame in frames] == [sides] * 7


def test_a_film_that_keeps_time_though_its_format_counts_hundredths(tmp_path: Path) -> None:
    x = torch.randint(0, 256, (1, 30, 3, 8, 8), dtype=torch.uint8)
    space = Video(frames=30, height=8, width=8, fps=12.0)
    for name, tolerance in (("a.gif", 10), ("a.webp", 1)):
        with Pillow.open(space.render(x, tmp_path / name)) as film:
            lasted = 0
            for k in range(film.n_frames):
                film.seek(k)
                film.load()
                lasted += film.info["duration"]
        assert abs(lasted - 2500) <= tolerance, "thirty frames at 12/s last two and a half seconds"


def test_films_that_cannot_be(tmp_path: Path) -> None:
    from agon.spaces.animation import write_animation

    with pytest.raises(InputError, match=r"0\.001 to 1000"):
        Video().render(torch.zeros(1, *Video().shape, dtype=torch.uint8), tmp_path / "a.mp4", frames_per_s=1e4)
    with pytest.raises(InputError, match=r"\.gif file, which is written in one go"):
        write_animation(tmp_path / "a.gif", (np.zeros((3, 1024, 1200), np.uint8) for _ in range(80)), 12)
    with pytest.raises(InputError, match="without frames"):
        write_animation(tmp_path / "a.mp4", [], 12)
    assert not list(tmp_path.iterdir()), "nothing half-written stays"


def test_slices_show_a_moving_edge(tmp_path: Path) -> None:
    space = Video(frames=12, channels=1, height=20, width=30)
    x = torch.zeros(1, *space.shape, dtype=torch.uint8)
    for t in range(12):
        x[0, t, 0, 5:9, t : t + 4] = 255
    with Pillow.open(space.slices(x, tmp_path / "s.png")) as sheet:
        view = np.asarray(sheet.convert("L"))
    by = view.shape[0] // 12
    assert view.shape == (12 * by, by * (30 + 2 + 20))
    for t in (0, 5, 11):
        lit = np.flatnonzero(view[t * by, : 30 * by])
        assert (lit[0] // by, lit[-1] // by) == (t, t + 3), "a steady motion is a slanted line"
