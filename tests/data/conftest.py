"""Fixtures that make small data sets of every kind, and open them with a private cache."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from agon.data import Data, DataSet, open_data


@pytest.fixture
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder of this test's own."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def opened(cache: Path) -> Callable[..., DataSet]:
    """`open_data` with the private cache: opened(path, size=16, ...)."""

    def open_it(path: Path | str, **options: Any) -> DataSet:
        return open_data(Data(path=str(path), **options), cache=cache)

    return open_it


def pixels(k: int, height: int = 20, width: int = 24, channels: int = 3) -> np.ndarray:
    """Smooth random colours, different for each k."""
    dice = np.random.default_rng(k)
    coarse = dice.integers(0, 256, (3, 4, channels), dtype=np.uint8)
    planes = [np.asarray(Pillow.fromarray(coarse[..., c]).resize((width, height), Pillow.Resampling.BICUBIC)) for c in range(channels)]
    return np.stack(planes, axis=-1)


def picture(k: int, mode: str = "RGB", **how: Any) -> Pillow.Image:
    """`pixels` as a Pillow picture."""
    if mode == "RGBA":
        return Pillow.fromarray(pixels(k, channels=4, **how))
    return Pillow.fromarray(pixels(k, **how)).convert(mode)


def png(k: int, mode: str = "RGB", **how: Any) -> bytes:
    """`picture` as the bytes of a PNG file."""
    file = io.BytesIO()
    picture(k, mode, **how).save(file, "PNG")
    return file.getvalue()


def fill(folder: Path, count: int, start: int = 0, **how: Any) -> Path:
    """`count` PNG files in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(start, start + count):
        (folder / f"{k:03d}.png").write_bytes(png(k, **how))
    return folder


def zipped(place: Path, members: dict[str, bytes], **how: Any) -> Path:
    """A zip of named members."""
    with zipfile.ZipFile(place, "w", **how) as archive:
        for name, raw in members.items():
            archive.writestr(name, raw)
    return place


def idx(array: np.ndarray, *, compress: bool = True) -> bytes:
    """uint8 array as an idx file."""
    raw = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()
    return gzip.compress(raw, 1) if compress else raw


@pytest.fixture
def make() -> Any:
    """The makers above, as attributes."""
    from types import SimpleNamespace

    return SimpleNamespace(pixels=pixels, picture=picture, png=png, fill=fill, zipped=zipped, idx=idx)
