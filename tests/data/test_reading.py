"""The reader of moving-shapes: right on real clips at any size and length, and silent or wrong, as it should be, on damaged ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from agon.data.moving import COLOURS, DIRECTIONS, draw_scene, make_scene
from agon.data.reading import ATTRIBUTES, NONE, read_shapes

SCENE = make_scene()[np.arange(0, 4800, 24)]
CLIPS = torch.from_numpy(draw_scene(SCENE, 16, 32, 32))
LEAST = 0.995


def right(reading, name):
    return float((getattr(reading, name).numpy() == getattr(SCENE, name)).mean())


@pytest.mark.parametrize(("frames", "height", "width"), [(16, 32, 32), (4, 32, 32), (16, 16, 16), (6, 24, 40), (4, 64, 64)])
def test_real_clips_are_read(frames, height, width):
    scene = SCENE[np.arange(0, len(SCENE), 2)]
    reading = read_shapes(torch.from_numpy(draw_scene(scene, frames, height, width)))
    for name in ATTRIBUTES:
        assert (getattr(reading, name).numpy() == getattr(scene, name)).mean() >= LEAST, name
    assert reading.formed.float().mean() >= LEAST
    assert reading.left_over.max() < 0.06


def test_a_little_noise_and_a_grey_ground_do_not_matter():
    dice = torch.Generator().manual_seed(0)
    noisy = (CLIPS + 5 * torch.randn(CLIPS.shape, generator=dice)).clamp(0, 255).to(torch.uint8)
    for clips in (noisy, CLIPS.clamp(min=12)):
        reading = read_shapes(clips)
        assert min(right(reading, name) for name in ATTRIBUTES) >= LEAST


def test_time_reversed_moves_the_other_way():
    reading = read_shapes(CLIPS.flip(1))
    other = {"up": "down", "down": "up", "left": "right", "right": "left"}
    names = list(DIRECTIONS)
    assert [names[k] for k in reading.direction] == [other[names[k]] for k in SCENE.direction]
    assert right(reading, "colour") == 1


def test_another_colour_is_told():
    reading = read_shapes(CLIPS.flip(2))  # red for blue
    swapped = {"red": "blue", "yellow": "cyan", "white": "white"}
    names = list(COLOURS)
    for before, after in swapped.items():
        chosen = torch.from_numpy(SCENE.colour) == names.index(before)
        assert (reading.colour[chosen] == names.index(after)).float().mean() >= LEAST
    assert right(reading, "shape") == 1


def _turned(x):
    return x.transpose(3, 4)


DAMAGED = {
    "static": (lambda x: x[:, :1].expand_as(x), "direction"),
    "stops half way": (lambda x: torch.cat([x[:, :8], x[:, 7:8].expand(-1, 8, -1, -1, -1)], 1), "direction"),
    "frames in any order": (lambda x: x[:, torch.randperm(16, generator=torch.Generator().manual_seed(1))], "direction"),
    "to and fro": (lambda x: torch.cat([x[:, ::2], x[:, ::2].flip(1)], 1), "direction"),
    "slantwise": (lambda x: torch.stack([x[:, k].roll((k, k), (-2, -1)) for k in range(16)], 1)[:100], None),
    "colour changes": (lambda x: torch.cat([x[:, :8], x[:, 8:].roll(1, 2)], 1), "colour"),
    "black": (torch.zeros_like, "shape"),
    "grey": (lambda x: torch.full_like(x, 128), "shape"),
    "noise": (lambda x: torch.randint(0, 256, x.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(2)), "shape"),
    "noise, sd 40": (lambda x: (x + 40 * torch.randn(x.shape, generator=torch.Generator().manual_seed(3))).clamp(0, 255).byte(), "shape"),
    "blurred away": (lambda x: functional.avg_pool2d(x.float().flatten(0, 1), 9, 1, 4).reshape(x.shape).byte(), "shape"),
    "two at once": (lambda x: torch.maximum(x, x.flip(3).roll(1, 0)), "shape"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_clips_do_not_pass(damage):
    make, lost = DAMAGED[damage]
    reading = read_shapes(make(CLIPS))
    if lost is None:  # the direction of some still shows
        assert reading.formed.float().mean() < 0.7
        return
    share = float((getattr(reading, lost) == NONE).float().mean())
    least = {"two at once": 0.5, "colour changes": 0.8, "blurred away": 0.8}.get(damage, 0.97)  # two may overlap; white stays white
    assert share >= least, share
    assert reading.formed.float().mean() <= 1 - least


def test_transposed_clips_move_along_the_other_axis():
    reading = read_shapes(_turned(CLIPS))
    names = list(DIRECTIONS)
    other = {"up": "left", "left": "up", "down": "right", "right": "down"}
    assert [names[k] for k in reading.direction] == [other[names[k]] for k in SCENE.direction]
