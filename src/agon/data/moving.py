"""Embedded clips: shapes that move, drawn here, so that a clip's shape, colour, size and direction can be read back from its pixels.

moving-shapes  one square or circle on black, of 7 colours and 2 sizes, crosses about half of the picture up, down, left or right along a Bezier
               path that bulges to one side and comes back, as in MoCoGAN's shapes (Tulyakov et al. 2018, arXiv:1707.04993, §4); 4,800
               clips of 16 frames at 32×32. Edges are antialiased, so that motion is finer than a pixel. Columns: shape, colour, size,
               direction, caption ("a small red square moving up"); the direction is the label. Position, bulge, pace and shade vary.

The clips are drawn at the size and number of frames asked for; the path is the same, so more frames show it more slowly. Held out are whole
cells of path space: a clip on one side has no twin of like path with the same shape, colour, size and direction on the other.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from agon.data.columns import Table
from agon.data.request import Data
from agon.errors import InputError
from agon.spaces import Video

SHAPES = ("square", "circle")
COLOURS = {
    "red": (235, 45, 40), "yellow": (235, 215, 45), "green": (50, 200, 70), "cyan": (50, 205, 225), "blue": (55, 85, 240),
    "purple": (190, 65, 215), "white": (235, 235, 235),
}  # fmt: skip
SIZES = {"small": 0.22, "large": 0.36}  # width, share of the shorter side
DIRECTIONS = {"up": (0, -1), "down": (0, 1), "left": (-1, 0), "right": (1, 0)}  # (across, down)
NUM_CLIPS, FRAMES, SIDE, LEAST_SIDE = 4_800, 16, 32, 16
_SEED = 20180618  # any number would do; this one never changes, so the set never does
_MARGIN, _BULGE = 0.03, 0.22  # shares of the side: what stays free at the border, and how far a path leaves the straight line
_CELLS = (3, 6, 5)  # cells of path space by which clips are held out: start along the way, start across it, bulge
_CHUNK = 128


@dataclass(frozen=True)
class Scene:
    """What is on n clips of moving-shapes: words as indices int64 [n]; width, paths as shares of the side; shade float [n, 3] in 0..255.

    path: float [n, 4, 2], the control points (across, down) of a cubic Bezier curve.
    """

    shape: np.ndarray
    colour: np.ndarray
    size: np.ndarray
    direction: np.ndarray
    width: np.ndarray
    shade: np.ndarray
    path: np.ndarray
    cell: np.ndarray  # int64 [n, 7]: words and cell of path space
    held_by: ClassVar[str] = "what moves where, so that no clip has a near twin on the other side"

    def __len__(self) -> int:
        return len(self.shape)

    def __getitem__(self, chosen: np.ndarray) -> Scene:
        """Some of the clips."""
        return Scene(**{name: value[chosen] for name, value in vars(self).items()})

    @property
    def label(self) -> tuple[np.ndarray, tuple[str, ...]]:
        """The direction: index int64 [n] of the names."""
        return self.direction, tuple(DIRECTIONS)

    def columns(self) -> dict[str, list[str]]:
        """The words of each clip, by column."""
        words = {"shape": (SHAPES, self.shape), "colour": (tuple(COLOURS), self.colour), "size": (tuple(SIZES), self.size)}
        told = {name: [known[k] for k in which] for name, (known, which) in words.items()}
        told["direction"] = [tuple(DIRECTIONS)[k] for k in self.direction]
        each = zip(told["size"], told["colour"], told["shape"], told["direction"], strict=True)
        return {**told, "caption": [f"a {size} {colour} {shape} moving {direction}" for size, colour, shape, direction in each]}

    def centres(self, frames: int) -> np.ndarray:
        """Where the shape is in each of so many frames: float64 [n, frames, 2], (across, down) as shares of the side."""
        t = np.linspace(0, 1, frames)[:, None] if frames > 1 else np.zeros((1, 1))
        weights = np.concatenate([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], axis=1)
        return np.einsum("tk,nkd->ntd", weights, self.path)


def make_scene(count: int = NUM_CLIPS, seed: int = _SEED) -> Scene:
    """The first `count` clips of a seed."""
    dice = np.random.Generator(np.random.PCG64(seed))
    drawn = dice.random((count, 16))  # a row a clip, so that fewer clips are the first of more
    shape, colour, size, direction = (
        (drawn[:, k] * choices).astype(np.int64) for k, choices in enumerate((len(SHAPES), len(COLOURS), len(SIZES), len(DIRECTIONS)))
    )
    width = np.array(list(SIZES.values()))[size] * (0.92 + 0.16 * drawn[:, 4])
    shade = np.array(list(COLOURS.values()), dtype=np.float64)[colour] + 20 * (drawn[:, 5:8] - 0.5)
    shade *= 0.8 + 0.2 * drawn[:, 8:9]
    room = 1 - width - 2 * _MARGIN  # for the centre, on either axis
    low = width / 2 + _MARGIN
    travel = np.minimum(room, 0.40 + 0.14 * drawn[:, 9])
    start = (room - travel) * drawn[:, 10]
    across = room * drawn[:, 11]
    least, most = np.maximum(0, across - _BULGE), np.minimum(room, across + _BULGE)
    bulge = least + (most - least) * drawn[:, 12] - across
    pace = np.stack([np.zeros(count), 1 / 3 + 0.3 * (drawn[:, 13] - 0.5), 2 / 3 + 0.3 * (drawn[:, 14] - 0.5), np.ones(count)], axis=1)
    along = start[:, None] + travel[:, None] * pace
    # A cubic whose inner points lie 4/3 of the bulge aside reaches exactly the bulge, and comes back to the line it left.
    aside = across[:, None] + 4 / 3 * bulge[:, None] * np.array([0, 1, 1, 0])
    steps = np.array(list(DIRECTIONS.values()))[direction]
    forward = steps.sum(axis=1) > 0
    along = np.where(forward[:, None], along, room[:, None] - along)
    horizontal = (steps[:, 0] != 0)[:, None, None]
    path = np.where(horizontal, np.stack([along, aside], axis=2), np.stack([aside, along], axis=2)) + low[:, None, None]
    path = np.rint(path * 2.0**16) / 2.0**16  # rounded, so that the last bit of a machine's arithmetic does not change the pixels
    places = np.stack([drawn[:, 10], drawn[:, 11], (bulge + _BULGE) / (2 * _BULGE)], axis=1)
    cell = np.minimum((places * _CELLS).astype(np.int64), np.array(_CELLS) - 1)
    cell = np.concatenate([np.stack([shape, colour, size, direction], axis=1), cell], axis=1)
    return Scene(shape, colour, size, direction, width, np.rint(shade), path, cell)


def draw_scene(scene: Scene, frames: int, height: int, width: int) -> np.ndarray:
    """Clips uint8 [n, frames, 3, height, width]. A pixel is the shade times the share of it that the shape covers."""
    x = np.empty((len(scene), frames, 3, height, width), dtype=np.uint8)
    centres = (scene.centres(frames) * (width, height)).astype(np.float32)
    half = (scene.width * min(height, width) / 2).astype(np.float32)
    for start in range(0, len(scene), _CHUNK):
        part = slice(start, start + _CHUNK)
        cover = cover_of(scene.shape[part, None], centres[part], half[part, None], height, width)
        paint = cover[:, :, None] * scene.shade[part, None, :, None, None].astype(np.float32)
        x[part] = np.rint(paint).astype(np.uint8)
    return x


def cover_of(shape: np.ndarray, centre: np.ndarray, half: np.ndarray, height: int, width: int) -> np.ndarray:
    """Share of each pixel that a shape covers: float32 [..., height, width].

    shape: index of SHAPES [...], centre: pixels (across, down) [..., 2], half: half of its width in pixels [...]; the three broadcast.
    A square is exact; a circle is the distance inside its outline, clipped to 0..1.
    """
    dx = np.arange(width, dtype=np.float32) + 0.5 - centre[..., :1]
    dy = np.arange(height, dtype=np.float32) + 0.5 - centre[..., 1:]
    reach = half[..., None] + np.float32(0.5)
    square = np.clip(reach - np.abs(dy), 0, 1)[..., :, None] * np.clip(reach - np.abs(dx), 0, 1)[..., None, :]
    circle = np.clip(reach[..., None] - np.sqrt(dy[..., :, None] ** 2 + dx[..., None, :] ** 2), 0, 1)
    return np.where(shape[..., None, None] == SHAPES.index("square"), square, circle)


def open_shapes(data: Data, reasons: dict[str, str]) -> tuple[Video, Scene, np.ndarray, np.ndarray]:
    """(space, what is on the clips, the clips uint8 [n, T, 3, H, W], cells by which they are held out uint64 [n]). Raises InputError."""
    if data.channels not in (None, 3):
        raise InputError(f"channels got {data.channels}; moving-shapes are told apart by colour: leave channels out, or give 3")
    space = moving_space(data, SIDE, 3, reasons)
    if min(space.height, space.width) < LEAST_SIDE:
        raise InputError(f"size got {space.height}×{space.width}; moving-shapes need at least {LEAST_SIDE} pixels a side to be told apart")
    scene = make_scene()
    scene = scene[spread(len(scene), data, reasons)]
    reasons["data"] = f"moving-shapes: embedded, {len(scene)} clips drawn at {space.height}×{space.width}"
    return space, scene, draw_scene(scene, space.frames, space.height, space.width), cell_hashes(scene.cell)


def moving_space(data: Data, side: int, channels: int, reasons: dict[str, str]) -> Video:
    """The space of embedded clips: as asked, else the default of the set. Raises InputError."""
    if data.mirror:
        raise InputError(f"mirror would make left of right, and {data.path} tells which way things move: leave mirror out")
    height, width = (side, side) if data.size is None else (data.size, data.size) if isinstance(data.size, int) else data.size
    frames = data.frames or FRAMES
    rate = data.fps or Video.fps
    for name, asked in (("size", data.size), ("frames", data.frames), ("fps", data.fps)):
        told = {"size": f"{height}×{width}", "frames": f"{frames}", "fps": f"{rate:g} a second"}[name]
        reasons[name] = told + (": asked for" if asked else f": the default of {data.path}")
    reasons["resize"] = "none: drawn at the size asked for"
    return Video(frames=frames, channels=channels, height=height, width=width, fps=rate)


def spread(count: int, data: Data, reasons: dict[str, str]) -> np.ndarray:
    """Which of `count` clips are drawn: int64 indices, all or as many as `data.limit` asks for."""
    if data.limit is None or data.limit >= count:
        return np.arange(count)
    reasons["limit"] = f"{data.limit} of {count}: spread evenly, asked for"
    return np.arange(data.limit) * count // data.limit


def cell_hashes(cells: np.ndarray) -> np.ndarray:
    """A 64-bit hash uint64 [n] of each row of cells int64 [n, k]: equal rows stay on one side of the split."""
    digests = b"".join(hashlib.blake2b(row.astype("<i8").tobytes(), digest_size=8).digest() for row in cells)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def table_of(columns: dict[str, Any], path: str) -> Table:
    """The columns of an embedded set as a table."""
    return Table(tuple(columns), columns.__getitem__, path, lambda item: f"{path} {item}")
