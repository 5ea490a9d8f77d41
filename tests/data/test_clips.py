"""Clips: from video files, strips, animations, frame folders and arrays to windows, with a reason for each choice."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from agon.data.windows import Windows
from agon.spaces import Video


def movie(seed: int, frames: int, height: int = 16, width: int = 16) -> np.ndarray:
    """A bright patch that wanders over a coloured ground, uint8 [T, H, W, 3]; different for each seed."""
    dice = np.random.default_rng(seed)
    ground, ink = dice.integers(0, 120, 3), dice.integers(150, 256, 3)
    x, y = dice.uniform(0.1, 0.7, 2)
    dx, dy = dice.uniform(-0.02, 0.02, 2)
    film = np.empty((frames, height, width, 3), np.uint8)
    for k in range(frames):
        film[k] = ground
        top, left = int((y + dy * k) % 0.7 * height), int((x + dx * k) % 0.7 * width)
        film[k, top : top + max(1, height // 4), left : left + max(1, width // 4)] = ink
    return film


def strip(film: np.ndarray, *, down: bool = False) -> bytes:
    """A film as one PNG, frames side by side or one below the other."""
    file = io.BytesIO()
    Pillow.fromarray(np.concatenate(list(film), axis=0 if down else 1)).save(file, "PNG")
    return file.getvalue()


def test_strips_in_a_zip(opened, tmp_path):
    films = {f"{k % 2}/{k:03d}.png": movie(k, 8 + k) for k in range(12)}
    with zipfile.ZipFile(tmp_path / "strips.zip", "w") as archive:
        for k, (name, film) in enumerate(films.items()):
            archive.writestr(name, strip(film, down=k % 3 == 0))
    data_set = opened(tmp_path / "strips.zip", frames=6, size=16)
    assert isinstance(data_set.space, Video) and data_set.space.classes == ("0", "1")
    assert isinstance(data_set.train.x, Windows)
    assert data_set.card["kind"] == "zip of strips"
    assert len(data_set.train) + len(data_set.held) == sum(8 + k - 5 for k in range(12))
    for samples in (data_set.train, data_set.held):
        for k in range(len(samples)):
            film = films[data_set.names[samples.index[k]]]
            first = [
                start
                for start in range(len(film) - 5)
                if torch.equal(samples.x[k], torch.from_numpy(film[start : start + 6].transpose(0, 3, 1, 2)))
            ]
            assert first, "every window is six frames of its film in a row, pixel for pixel"
        assert samples.y.tolist() == [int(data_set.names[i][0]) for i in samples.index]
    assert not set(data_set.train.index) & set(data_set.held.index), "a film is on one side"


def test_mocogan_actions(real_data, opened):
    place = real_data / "mocogan" / "weizmann_actions_64.zip"
    if not place.exists():
        pytest.skip(f"MoCoGAN's strips are not at {place}")
    data_set = opened(place, frames=16, size=64)
    assert data_set.space.shape == (16, 3, 64, 64)
    assert data_set.space.classes == ("0", "1", "3", "4")
    assert data_set.card["films"]["total_frames"] == 2645
    assert len(data_set.train) + len(data_set.held) == 2645 - 36 * 15
    with zipfile.ZipFile(place) as archive:
        name = data_set.names[data_set.train.index[0]]
        whole = np.asarray(Pillow.open(io.BytesIO(archive.read(name))).convert("RGB"))
    assert np.array_equal(data_set.train.x[0][0].numpy().transpose(1, 2, 0), whole[:, :64]), "pixels as they are in the file"


def test_real_videos(real_data, opened):
    folder: Path = real_data / "video_clips" / "asl_gestures"
    if not folder.is_dir():
        pytest.skip(f"no video files at {folder}")
    pytest.importorskip("av")
    data_set = opened(folder, frames=16, size=32, limit=4)
    assert data_set.space.fps == pytest.approx(30, abs=0.1)
    assert data_set.card["formats"] == {"h264 in matroska": 4}
    assert data_set.card["sizes"] == {"640×480": 4}
