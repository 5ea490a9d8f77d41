"""Embedded data: what needs no file. Handwritten digits, coloured shapes with captions, and 2-D toys with known modes.

digits   1,797 handwritten digits, 8×8 grey, 10 classes: the test part of "Optical Recognition of Handwritten Digits"
         (E. Alpaydin, C. Kaynak, UCI 1998, CC BY 4.0) as scikit-learn (BSD-3-Clause) ships it; values 0..16 scaled to 0..255.
         `digits.npz` is written by benchmarks/make_digits.py.
shapes   drawn here: 5 shapes × 6 colours × 2 sizes × 9 places on light grounds, a caption each; the shape is the label.
ring     8 Gaussians on a circle of radius 2, sd 0.02. The two Gaussian sets are those of VEEGAN (arXiv:1705.07761) and PacGAN.
grid     25 Gaussians, 5×5 with spacing 2, sd 0.05.
spirals  2 arms of one and a half turns, sd 0.05.
Clips: moving-shapes in `moving.py`, moving-digits in `bouncing.py`.

Each has columns to condition on beside its label: digits ink (share of full brightness); shapes shape, colour, size, place (words), and x, y,
radius (shares of the side); the toys mode, angle (degrees, from -22.5 on) and radius.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as Pillow

from agon.data.bouncing import open_dance
from agon.data.columns import known
from agon.data.conditions import choose_condition
from agon.data.described import as_stored, check_balance, describe_labels, with_condition
from agon.data.digits import load_digits
from agon.data.moving import open_shapes, table_of
from agon.data.request import MOVING, Data
from agon.data.samples import DataSet, Samples, held_out_surely, sample_hashes
from agon.data.source import Source
from agon.errors import InputError, suggest
from agon.spaces import Image, Space, Vector

TOYS = ("ring", "grid", "spirals")
SHAPES = ("circle", "square", "triangle", "ring", "cross")
COLOUR_WORDS = {
    "red": (214, 39, 40), "green": (44, 150, 60), "blue": (31, 100, 190),
    "yellow": (240, 200, 30), "purple": (130, 70, 180), "orange": (245, 125, 20),
}  # fmt: skip
SIZE_WORDS = {"small": 0.15, "large": 0.26}  # radius, share of the side
PLACES = (
    "top left", "top", "top right", "left", "centre", "right", "bottom left", "bottom", "bottom right",
)  # fmt: skip
NUM_POINTS, NUM_SHAPES = 50_000, 10_000
_SEED = 20140610  # any number would do; this one never changes, so the sets never do


def open_embedded(data: Data) -> DataSet:
    """The embedded set `data.path`; the options of `Data` apply as far as they mean something. Raises InputError."""
    reasons: dict[str, str] = {"data": ""}  # first, filled below
    captions = cells = None
    space: Space
    columns: dict[str, list[Any]]
    if data.path in TOYS:
        points, y = draw_toy(data.path)
        rows, space = points, Vector(scale=float(np.sqrt(8.0 if data.path == "grid" else 2.0)))
        reasons["data"] = f"{data.path}: embedded points, {NUM_POINTS} drawn once and for all"
        classes = tuple(str(k) for k in range(int(y.max()) + 1))
        angle = (np.degrees(np.arctan2(points[:, 1], points[:, 0])) + 22.5) % 360 - 22.5
        columns = {"mode": y.tolist(), "angle": angle.round(3).tolist(), "radius": np.hypot(*points.T.astype(np.float64)).round(4).tolist()}
        if data.mirror or data.size or data.channels or data.frames or data.fps:
            raise InputError(
                f"{data.path} holds points in the plane; mirror, size, channels, frames and fps are for images: leave them out"
            )
    elif data.path in MOVING:
        opened = open_shapes(data, reasons) if data.path == "moving-shapes" else open_dance(data, reasons)
        space, scene, rows, cells = opened
        (y, classes), columns = scene.label, scene.columns()
        reasons["split"] = scene.held_by
        captions = columns["caption"]
    elif data.frames or data.fps:
        raise InputError(f"{data.path} holds still pictures; frames and fps are for clips: leave them out, or take {MOVING[0]}")
    elif data.path == "digits":
        pictures, y = load_digits()
        space = _image_space(data, 16, 1, "bicubic" if data.filter == "lanczos" else data.filter, reasons)
        rows = np.stack([space.fit(Pillow.fromarray(picture)) for picture in pictures])
        classes = tuple("0123456789")
        columns = {"digit": y.tolist(), "ink": (pictures.mean(axis=(1, 2), dtype=np.float64) / 255).round(4).tolist()}
        reasons["data"] = "digits: embedded, 1797 handwritten digits of 8×8 pixels"
    else:
        space = _image_space(data, 32, 3, data.filter, reasons)
        drawn, y, captions = draw_shapes(NUM_SHAPES, space.height, space.width)
        columns = describe_shapes(NUM_SHAPES)
        if space.channels == 3:
            rows = drawn.transpose(0, 3, 1, 2).copy()
        else:
            rows = np.stack([space.fit(Pillow.fromarray(picture)) for picture in drawn])
        classes = SHAPES
        reasons["data"] = f"shapes: embedded, {NUM_SHAPES} pictures drawn at {space.height}×{space.width}"
        reasons["resize"] = "none: drawn at the size asked for"
    if Path(data.path).exists():
        reasons["data"] += f" (not the {data.path} in this folder: write ./{data.path} for that)"
    table = table_of(columns, data.path)
    source = Source(
        kind="embedded set", path=data.path, names=[f"{data.path} {k}" for k in range(len(rows))], read=rows.__getitem__, identity=str,
        labels=y, classes=classes, label_origin="embedded", tables=lambda: [table],
    )  # fmt: skip
    asked = bool(data.columns) or data.condition != "auto"
    if data.path in TOYS and data.labels == "auto" and not asked:
        use, reasons["labels"] = False, "ignored: the modes are what a game has to find"
    else:
        source, use, told = choose_condition(source, data)
        default = "used: the mode of each point, asked for" if data.path in TOYS else f"used: {len(classes)} classes"
        reasons["labels"] = default if use and not asked else told
    return _assemble(data, space, rows, source, use, captions, cells, reasons)


def _image_space(data: Data, side: int, channels: int, sampling: Any, reasons: dict[str, str]) -> Image:
    height, width = (side, side) if data.size is None else (data.size, data.size) if isinstance(data.size, int) else data.size
    channels = data.channels or channels
    reasons["size"] = f"{height}×{width}: " + ("asked for" if data.size else f"the default of {data.path}")
    reasons["channels"] = {1: "grey", 3: "RGB", 4: "RGBA"}[channels] + (": asked for" if data.channels else f": {data.path} is so")
    reasons["resize"] = f"{data.resize} with antialiased {sampling}"
    return Image(channels=channels, height=height, width=width, resize=data.resize, filter=sampling)


def _assemble(
    data: Data, space: Any, rows: np.ndarray, source: Source, use: bool, captions: list[str] | None, cells: np.ndarray | None,
    reasons: dict[str, str],
) -> DataSet:  # fmt: skip
    """Split, count and describe. cells uint64 [N]: rows with equal ones stay on one side of the split; None: those with equal content do."""
    assert source.labels is not None
    y, index = source.labels, np.arange(len(rows))
    if use and not known(y).all():
        index = np.flatnonzero(known(y))
        rows, y = rows[index], y[index]
    if data.limit is not None and data.limit < len(rows):
        chosen = np.arange(data.limit) * len(rows) // data.limit
        reasons["limit"] = f"{data.limit} of {len(rows)}: spread evenly, asked for"
        rows, y, index = rows[chosen], y[chosen], index[chosen]
    hashes = sample_hashes(rows)
    alike = hashes if cells is None else cells[index]
    held, _ = held_out_surely(alike, data.holdout)
    if use:
        space = with_condition(space, source.label_kind, source.classes, y.shape[-1])
    parts = {"train": y[~held], "held": y[held]}
    labels = describe_labels(source.label_kind, source.classes, parts, used=use, origin=source.label_origin)

    def samples(mask: np.ndarray) -> Samples:
        told = [captions[k] for k in index[mask]] if captions is not None else None
        stored = as_stored(source.label_kind, y[mask], labels) if use else None
        return Samples(torch.from_numpy(rows[mask]), stored, told, index[mask])

    train, kept = samples(~held), samples(held)
    by = reasons.pop("split", "content hash")
    reasons["split"] = f"{len(train)} to train, {len(kept)} held back: by {by}, holdout {data.holdout:g}"
    reasons["memory"] = "in memory: embedded sets are small"
    if data.balance:
        reasons["balance"] = check_balance(space)
    running = hashlib.sha256(np.ascontiguousarray(rows).data)
    running.update(y.astype("<i8" if y.ndim == 1 else "<f8").tobytes() + held.tobytes())
    mark = running.hexdigest()[:16]
    card: dict[str, Any] = {
        "path": data.path,
        "kind": "embedded set",
        "space": space.describe(),
        "content_hash": mark,
        "num_items": len(rows),
        "num_train": len(train),
        "num_held": len(kept),
        "split": reasons["split"],
        "size": list(space.shape[-2:]) if len(space.shape) > 1 else None,
        "channels": space.shape[-3] if len(space.shape) > 1 else None,
        "resize": data.resize,
        "filter": getattr(space, "filter", None),
        "mirror": data.mirror,
        "labels": labels,
        "median_short_side": None, "sizes": {}, "num_sizes": 1, "modes": {}, "formats": {}, "animated": 0,
        "num_unreadable": 0, "unreadable": [], "ignored": {}, "notes": source.notes,
        "duplicates": int(len(hashes) - len(np.unique(hashes))),
    }  # fmt: skip
    return DataSet(space, train, kept, card, reasons, mark, source.names)


def modes(name: str) -> tuple[np.ndarray, float]:
    """The known modes of a toy set: centres float64 [K, 2] in data units, and the sd of each around its centre.

    ring K=8, grid K=25; spirals K=200, points along the arms 0.11 apart. Raises InputError for another name.
    """
    if name == "ring":
        angles = 2 * np.pi * np.arange(8) / 8
        return 2.0 * np.stack([np.cos(angles), np.sin(angles)], axis=1), 0.02
    if name == "grid":
        axis = 2.0 * np.arange(-2, 3)
        return np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(25, 2), 0.05
    if name == "spirals":
        along = (np.arange(100) + 0.5) / 100
        return np.concatenate([_spiral(along, arm) for arm in (0, 1)]), 0.05
    raise InputError(f"modes are known for {' '.join(TOYS)}, not for {name!r}.{suggest(name, TOYS)}")


def _spiral(along: np.ndarray, arm: int) -> np.ndarray:
    """Points [N, 2] at a share `along` in 0..1 of an arm's length (nearly: the radius grows as its square root's inverse)."""
    turn = 3 * np.pi * np.sqrt(0.02 + 0.98 * along)  # the arc length of r = turn grows as turn², so this spreads points evenly
    radius = turn / (3 * np.pi) * 2.0
    angle = turn + np.pi * arm
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def draw_toy(name: str, count: int = NUM_POINTS, seed: int = _SEED) -> tuple[np.ndarray, np.ndarray]:
    """Points of a toy set: float32 [count, 2] in data units, and their mode (for spirals: arm) int64 [count]."""
    dice = np.random.Generator(np.random.PCG64(seed))
    centres, sd = modes(name)
    noise = dice.standard_normal((count, 2)) * sd
    if name == "spirals":
        which = dice.integers(0, 2, count)
        along = dice.random(count)
        centre = np.where(which[:, None] == 0, _spiral(along, 0), _spiral(along, 1))
    else:
        which = dice.integers(0, len(centres), count)
        centre = centres[which]
    fine = 2.0**16  # rounded, so that the last bit of a machine's cosine does not change the content hash
    return (np.rint((centre + noise) * fine) / fine).astype(np.float32), which.astype(np.int64)


def draw_shapes(count: int, height: int, width: int, seed: int = _SEED) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Coloured shapes: uint8 [count, height, width, 3], shape index int64 [count], captions ("a small red circle at the top left").

    Edges are antialiased by signed distance: a pixel's cover is its distance inside the outline, clipped to 0..1.
    """
    dice, shape, colour, size, place, (across, down), share = _shape_parameters(count, seed)
    radius = share * min(height, width)
    ground = dice.uniform(205, 250, (count, 1)) + dice.uniform(-8, 8, (count, 3))
    ink = np.array(list(COLOUR_WORDS.values()), dtype=np.float64)[colour] + dice.uniform(-10, 10, (count, 3))
    centre_x, centre_y = across * width, down * height
    x = np.empty((count, height, width, 3), dtype=np.uint8)
    rows, columns = np.mgrid[0:height, 0:width] + 0.5
    for kind in range(len(SHAPES)):
        members = np.flatnonzero(shape == kind)
        for start in range(0, len(members), 512):
            part = members[start : start + 512]
            dx, dy = columns - centre_x[part, None, None], rows - centre_y[part, None, None]
            cover = np.clip(_distance_inside(dx, dy, radius[part, None, None], kind) + 0.5, 0, 1)[..., None]
            paint = ground[part, None, None] * (1 - cover) + ink[part, None, None] * cover
            x[part] = np.clip(np.rint(paint), 0, 255).astype(np.uint8)
    colours, sizes = list(COLOUR_WORDS), list(SIZE_WORDS)
    captions = [
        f"a {sizes[size[k]]} {colours[colour[k]]} {SHAPES[shape[k]]} "
        + (f"in the {PLACES[place[k]]}" if PLACES[place[k]] == "centre" else f"at the {PLACES[place[k]]}")
        for k in range(count)
    ]
    return x, shape.astype(np.int64), captions


def _shape_parameters(count: int, seed: int) -> tuple[Any, ...]:
    """(the dice after, shape, colour, size, place [count], (x, y), radius as shares of the side)."""
    dice = np.random.Generator(np.random.PCG64(seed))
    shape, colour = dice.integers(0, len(SHAPES), count), dice.integers(0, len(COLOUR_WORDS), count)
    size, place = dice.integers(0, len(SIZE_WORDS), count), dice.integers(0, len(PLACES), count)
    jitter = dice.uniform(-0.03, 0.03, (count, 2))
    radius = np.array(list(SIZE_WORDS.values()))[size] * dice.uniform(0.92, 1.08, count)
    centre = 0.29 + 0.21 * (place % 3) + jitter[:, 0], 0.29 + 0.21 * (place // 3) + jitter[:, 1]
    return dice, shape, colour, size, place, centre, radius


def describe_shapes(count: int = NUM_SHAPES, seed: int = _SEED) -> dict[str, list[Any]]:
    """What is on each picture of `draw_shapes`: shape, colour, size, place (words); x, y, radius (shares of the side)."""
    _, shape, colour, size, place, (x, y), radius = _shape_parameters(count, seed)
    words = {"shape": (SHAPES, shape), "colour": (list(COLOUR_WORDS), colour), "size": (list(SIZE_WORDS), size), "place": (PLACES, place)}
    told = {name: [known_words[k] for k in which] for name, (known_words, which) in words.items()}
    return {**told, "x": x.round(4).tolist(), "y": y.round(4).tolist(), "radius": radius.round(4).tolist()}


def _distance_inside(dx: np.ndarray, dy: np.ndarray, radius: np.ndarray, kind: int) -> np.ndarray:
    """Distance inside the outline of SHAPES[kind] (negative outside), pixels [n, H, W]."""
    name = SHAPES[kind]
    if name == "circle":
        return radius - np.hypot(dx, dy)
    if name == "square":
        return 0.86 * radius - np.maximum(np.abs(dx), np.abs(dy))
    if name == "triangle":
        below = dy - 0.15 * radius
        return 0.55 * radius - np.maximum(below, np.sqrt(0.75) * np.abs(dx) - 0.5 * below)
    if name == "ring":
        return 0.22 * radius - np.abs(np.hypot(dx, dy) - 0.78 * radius)
    arm = 0.36 * radius
    upright = np.minimum(arm - np.abs(dx), radius - np.abs(dy))
    return np.maximum(upright, np.minimum(radius - np.abs(dx), arm - np.abs(dy)))
