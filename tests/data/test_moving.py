"""Embedded clips: what their words say is what moves on them, drawn alike at any size and length, and no near twin is held out."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from agon.data import Data, open_data
from agon.data.bouncing import MOTIONS, draw_dance, make_dance
from agon.data.moving import DIRECTIONS, NUM_CLIPS, draw_scene, make_scene
from agon.errors import InputError
from agon.spaces import Video


def test_shapes_open_as_clips():
    data_set = open_data(Data(path="moving-shapes", limit=200))
    assert data_set.space == Video(frames=16, channels=3, height=32, width=32, fps=12, classes=tuple(DIRECTIONS))
    assert data_set.train.x.shape[1:] == (16, 3, 32, 32)
    assert data_set.train.x.dtype == torch.uint8
    assert data_set.train.captions[0].startswith("a ")
    assert len(data_set.train) + len(data_set.held) == 200
    json.dumps(data_set.card)
    longer = open_data(Data(path="moving-shapes", limit=20, size=(24, 40), frames=9, fps=8))
    assert longer.space.shape == (9, 3, 24, 40)
    assert longer.space.fps == 8


def test_columns_condition_them():
    data_set = open_data(Data(path="moving-shapes", limit=300, columns=("colour",)))
    assert data_set.space.num_classes == 7
    for y, caption in zip(data_set.train.y.tolist(), data_set.train.captions, strict=True):
        assert data_set.space.classes[y] in caption
    assert open_data(Data(path="moving-shapes", limit=300, labels="ignore")).space.condition_dim == 0


def test_every_path_stays_inside_and_goes_the_way_it_is_called():
    scene = make_scene()
    assert len(scene) == NUM_CLIPS
    centres = scene.centres(33)
    assert (centres - scene.width[:, None, None] / 2).min() > 0
    assert (centres + scene.width[:, None, None] / 2).max() < 1
    way = np.array(list(DIRECTIONS.values()))[scene.direction]
    moved = centres[:, -1] - centres[:, 0]
    along = (moved * way).sum(1)
    assert (along > 0.39).all()
    assert np.abs(moved - along[:, None] * way).max() < 1e-3  # across, it comes back to where it was
    assert ((centres[:, 1:] - centres[:, :-1]) * way[:, None]).sum(2).min() > 0
    aside = np.abs((centres - centres[:, :1]) * (1 - np.abs(way))[:, None]).max((1, 2))
    assert aside.max() > 0.2
    assert aside.max() < 0.23


def test_more_clips_begin_with_fewer_and_size_keeps_the_path():
    few, many = make_scene(5), make_scene(9)
    assert np.array_equal(few.path, many.path[:5])
    small, large = draw_scene(few, 4, 32, 32), draw_scene(few, 4, 64, 64)
    pooled = torch.nn.functional.avg_pool2d(torch.from_numpy(large).float().flatten(0, 1), 2).reshape(small.shape)
    assert (pooled - torch.from_numpy(small).float()).abs().mean() < 0.5


def test_no_clip_has_a_near_twin_on_the_other_side():
    data_set = open_data(Data(path="moving-shapes", limit=2000))
    cells = {part: {tuple(row) for row in make_scene().cell[_items(getattr(data_set, part))]} for part in ("train", "held")}
    assert not cells["train"] & cells["held"]
    assert len(data_set.held) > 100
    assert data_set.card["duplicates"] == 0


def _items(samples):
    return np.arange(2000)[samples.index] * NUM_CLIPS // 2000


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"mirror": True}, "left of right"),
        ({"channels": 1}, "told apart by colour"),
        ({"size": 8}, "at least 16 pixels"),
        ({"frames": 1}, "expected 2 to 1024 frames"),
        ({"fps": 0.0}, "fps got"),
        ({"columns": ("color",)}, "Did you mean 'colour'"),
    ],
)
def test_refusals_of_clips(asked, told):
    with pytest.raises(InputError, match=told):
        open_data(Data(path="moving-shapes", limit=50, **asked))


def test_frames_are_refused_where_nothing_moves():
    with pytest.raises(InputError, match="holds still pictures"):
        open_data(Data(path="digits", frames=8))
    with pytest.raises(InputError, match="points in the plane"):
        open_data(Data(path="ring", fps=8.0))


def test_digits_open_as_clips():
    data_set = open_data(Data(path="moving-digits", limit=300))
    assert data_set.space == Video(frames=16, channels=1, height=32, width=32, fps=12, classes=MOTIONS)
    assert open_data(Data(path="moving-digits", limit=300, columns=("digits",))).space.tags == tuple("0123456789")
    captions = open_data(Data(path="moving-digits", limit=300, condition="captions"))
    assert captions.space.caption_length == 13
    assert set(captions.space.words) == {*"0123456789", "digit", "moves", "left", "right", "up", "down", "and"}
    with pytest.raises(InputError, match="moving-digits are grey"):
        open_data(Data(path="moving-digits", limit=50, channels=3))


def test_digits_do_what_their_captions_say():
    dance = make_dance(240)
    x = draw_dance(dance, 16, 32, 32)[:, :, 0].astype(np.float64)
    columns = dance.columns()
    alone = np.flatnonzero(dance.picture[:, 1] < 0)
    assert 80 < len(alone) < 160
    for k in alone:
        mass = x[k].sum((1, 2))
        assert mass.std() < 0.03 * mass.mean(), "one digit stays the same all the way"
        centre = np.stack([(x[k].sum(1) * np.arange(32)).sum(1), (x[k].sum(2) * np.arange(32)).sum(1)]) / mass
        moved = np.ptp(centre, axis=1)
        axis = MOTIONS.index(columns["motion"][k])
        assert moved[axis] > 8
        assert moved[1 - axis] < 0.3
        steps = np.sign(np.diff(centre[axis]).round(2))
        assert {1.0, -1.0} <= set(steps), "to and fro"
        assert columns["caption"][k] == f"digit {dance.digit[k, 0]} moves {MOTIONS[axis]}"
        assert columns["digits"][k] == f"{dance.digit[k, 0]};"
    both = [k for k, motion in enumerate(columns["motion"]) if motion == "both"]
    assert both
    assert all("left and right" in columns["caption"][k] and "up and down" in columns["caption"][k] for k in both)


def test_no_handwriting_is_on_both_sides():
    data_set = open_data(Data(path="moving-digits", limit=1200))
    pictures = make_dance().picture
    seen = {part: set(pictures[np.asarray(getattr(data_set, part).index) * NUM_CLIPS // 1200].flat) - {-1} for part in ("train", "held")}
    assert not seen["train"] & seen["held"]
    assert len(seen["held"]) > 50
