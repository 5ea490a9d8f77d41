"""Embedded clips: handwritten digits that bounce between the borders, after Moving MNIST.

moving-digits  one or two of the embedded 8×8 digits, grey on black, each to and fro along one axis at its own pace (Srivastava et al. 2015,
               arXiv:1502.04681, §4.1; sentences as in Mittal et al. 2017, arXiv:1611.10314, §4): "digit 3 moves left and right and digit 5
               moves up and down". 4,800 clips of 16 frames at 32×32. Columns: motion (left and right, up and down, or both: the label),
               count (one, two), digits (which are there, usable as tags), caption. Digits lie over each other by the brighter pixel.

The 1,797 pictures are dealt to 100 packs, a clip takes its digits from one pack, and packs are held out whole: no handwriting is on both sides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from agon.data.digits import load_digits
from agon.data.moving import LEAST_SIDE, NUM_CLIPS, SIDE, cell_hashes, moving_space, spread
from agon.data.request import Data
from agon.errors import InputError
from agon.spaces import Video

MOTIONS = ("left and right", "up and down", "both")
GLYPH = 0.42  # width of a digit, share of the shorter side
_SEED, _PACKS, _CHUNK = 20150216, 100, 128
_PACE = (1.25, 2.2)  # ways from border to border in a clip: at least a quarter of one is gone back


@dataclass(frozen=True)
class Dance:
    """What is on n clips: for each of two digits its picture int64 [n, 2] (-1: no second one), class int64 [n, 2], axis int64 [n, 2] (0: left
    and right, 1: up and down), and floats [n, 2]: where it starts along (0..2, a way and back), its pace, its place across (0..1)."""

    picture: np.ndarray
    digit: np.ndarray
    axis: np.ndarray
    start: np.ndarray
    pace: np.ndarray
    across: np.ndarray
    pack: np.ndarray  # int64 [n, 1]
    held_by: ClassVar[str] = "packs of handwriting, so that no digit is on both sides"

    def __len__(self) -> int:
        return len(self.pack)

    def __getitem__(self, chosen: np.ndarray) -> Dance:
        """Some of the clips."""
        return Dance(**{name: value[chosen] for name, value in vars(self).items()})

    @property
    def label(self) -> tuple[np.ndarray, tuple[str, ...]]:
        """The motion: index int64 [n] of the names."""
        two = self.picture[:, 1] >= 0
        return np.where(two & (self.axis[:, 0] != self.axis[:, 1]), 2, self.axis[:, 0]), MOTIONS

    def columns(self) -> dict[str, list[str]]:
        """The words of each clip, by column."""
        motion, names = self.label
        there = [[k for k in (0, 1) if pictures[k] >= 0] for pictures in self.picture]
        told = [
            [f"digit {digit[k]} moves {MOTIONS[axis[k]]}" for k in on] for digit, axis, on in zip(self.digit, self.axis, there, strict=True)
        ]
        return {
            "motion": [names[k] for k in motion], "count": [("one", "two")[len(on) - 1] for on in there],
            "digits": [";".join(sorted({str(digit[k]) for k in on})) + ("" if len(on) > 1 else ";") for digit, on in zip(self.digit, there, strict=True)],
            "caption": [" and ".join(parts) for parts in told],
        }  # fmt: skip

    def corners(self, frames: int) -> np.ndarray:
        """Top left corner of each digit in each frame: float64 [n, 2, frames, 2], (across, down) as shares of the room, 0..1."""
        t = np.linspace(0, 1, frames) if frames > 1 else np.zeros(1)
        along = (self.start[..., None] + self.pace[..., None] * t) % 2
        along = 1 - np.abs(1 - along)
        aside = np.broadcast_to(self.across[..., None], along.shape)
        sideways = (self.axis == 0)[..., None]
        return np.stack([np.where(sideways, along, aside), np.where(sideways, aside, along)], axis=-1)


def make_dance(count: int = NUM_CLIPS, seed: int = _SEED) -> Dance:
    """The first `count` clips of a seed."""
    dice = np.random.Generator(np.random.PCG64(seed))
    _, classes = load_digits()
    dealt = dice.permutation(len(classes)) % _PACKS
    packs = [np.flatnonzero(dealt == pack) for pack in range(_PACKS)]
    drawn = dice.random((count, 12))
    pack = (drawn[:, 0] * _PACKS).astype(np.int64)
    members = [packs[k] for k in pack]
    picture = np.array([[mine[int(u * len(mine))] for u in row] for mine, row in zip(members, drawn[:, 1:3], strict=True)]).reshape(-1, 2)
    digit = classes[picture]
    picture[:, 1] = np.where(drawn[:, 3] < 0.5, picture[:, 1], -1)
    return Dance(
        picture, digit, (drawn[:, 4:6] * 2).astype(np.int64), 2 * drawn[:, 6:8],
        _PACE[0] + (_PACE[1] - _PACE[0]) * drawn[:, 8:10], drawn[:, 10:12], pack[:, None],
    )  # fmt: skip


def draw_dance(dance: Dance, frames: int, height: int, width: int) -> np.ndarray:
    """Clips uint8 [n, frames, 1, height, width]; a digit is enlarged bilinearly, at places finer than a pixel.

    Weights are whole 128ths, so that every sum is exact and no processor's order of adding changes a pixel.
    """
    pictures, _ = load_digits()
    glyphs = pictures[dance.picture].astype(np.float32) * (dance.picture >= 0)[..., None, None]
    side = GLYPH * min(height, width)
    corners = dance.corners(frames) * (width - side, height - side)
    x = np.empty((len(dance), frames, 1, height, width), dtype=np.uint8)
    for start in range(0, len(dance), _CHUNK):
        part = slice(start, start + _CHUNK)
        columns, rows = (_weights(corners[part, ..., k], side, pixels) for k, pixels in ((0, width), (1, height)))
        painted = rows @ glyphs[part][:, :, None] @ columns.swapaxes(-1, -2)  # [n, 2, T, H, W]
        x[part, :, 0] = np.rint(painted.max(axis=1))
    return x


def _weights(corner: np.ndarray, side: float, pixels: int) -> np.ndarray:
    """How much of each of 8 glyph pixels is at each pixel of an axis: float32 [..., pixels, 8], corner in pixels [...]."""
    at = (np.arange(pixels) + 0.5 - corner[..., None]) * 8 / side - 0.5
    return (np.rint(128 * np.clip(1 - np.abs(at[..., None] - np.arange(8)), 0, 1)) / 128).astype(np.float32)


def open_dance(data: Data, reasons: dict[str, str]) -> tuple[Video, Dance, np.ndarray, np.ndarray]:
    """(space, what is on the clips, the clips uint8 [n, T, 1, H, W], packs by which they are held out uint64 [n]). Raises InputError."""
    if data.channels not in (None, 1):
        raise InputError(f"channels got {data.channels}; moving-digits are grey: leave channels out, or give 1")
    space = moving_space(data, SIDE, 1, reasons)
    if min(space.height, space.width) < LEAST_SIDE:
        raise InputError(f"size got {space.height}×{space.width}; moving-digits need at least {LEAST_SIDE} pixels a side to be read")
    dance = make_dance()
    dance = dance[spread(len(dance), data, reasons)]
    reasons["data"] = f"moving-digits: embedded, {len(dance)} clips drawn at {space.height}×{space.width}"
    return space, dance, draw_dance(dance, space.frames, space.height, space.width), cell_hashes(dance.pack)
