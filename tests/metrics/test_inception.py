"""The FID network: its known answers, its resize, and what it says without its weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from safetensors.torch import save_file

from agon.errors import InputError
from agon.metrics import inception
from agon.metrics.frechet import Moments, frechet_distance


@pytest.fixture(scope="module")
def weights_file(request: pytest.FixtureRequest) -> Path:
    """The pinned file, or a skip."""
    folder = request.getfixturevalue("real_data") / "weights"
    if not (folder / inception.WEIGHTS_NAME).is_file():
        pytest.skip(f"no {inception.WEIGHTS_NAME} in {folder}; set AGON_DATA to a folder with weights/ in it")
    return folder / inception.WEIGHTS_NAME


def closed_form(x: np.ndarray, height: int, width: int) -> np.ndarray:
    """TF1's rule, pixel by pixel: output (i, j) reads at (i·h/height, j·w/width), the neighbours clamped to the picture."""
    h, w = x.shape
    out = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            y, z = i * h / height, j * w / width
            t, b, low, r = int(y), min(int(y) + 1, h - 1), int(z), min(int(z) + 1, w - 1)
            top = x[t, low] * (1 - (z - low)) + x[t, r] * (z - low)
            bottom = x[b, low] * (1 - (z - low)) + x[b, r] * (z - low)
            out[i, j] = top * (1 - (y - t)) + bottom * (y - t)
    return out


@pytest.mark.parametrize(("size", "goal"), [((32, 32), (299, 299)), ((7, 13), (20, 9)), ((64, 48), (31, 48)), ((1, 1), (5, 5))])
def test_resize_is_tensorflows_legacy_bilinear(size: tuple[int, int], goal: tuple[int, int]) -> None:
    x = np.random.default_rng(0).uniform(0, 255, size)
    found = inception.resize_tf1(torch.from_numpy(x)[None, None].float(), *goal)[0, 0].numpy()
    assert np.abs(found - closed_form(x, *goal)).max() < 2e-3


def test_clean_resize_is_pillows_bicubic_in_float() -> None:
    x = torch.rand(2, 3, 32, 40, generator=torch.Generator().manual_seed(0)) * 255
    found = inception.resize_clean(x, 299, 299)
    plane = Pillow.fromarray(x[1, 2].numpy()).resize((299, 299), Pillow.Resampling.BICUBIC)
    assert torch.equal(found[1, 2], torch.from_numpy(np.array(plane)).clamp(0, 255))


def test_channels_become_rgb() -> None:
    grey = torch.full((1, 1, 2, 2), 7.0)
    assert torch.equal(inception.as_rgb(grey), torch.full((1, 3, 2, 2), 7.0))
    half = torch.cat([torch.zeros(1, 3, 2, 2), torch.full((1, 1, 2, 2), 51.0)], 1)
    assert torch.allclose(inception.as_rgb(half), torch.full((1, 3, 2, 2), 204.0))


def test_known_answers(weights_file: Path) -> None:
    """The features of two formula pictures, as another implementation found them with these weights."""
    n, c, i, j = torch.meshgrid(torch.arange(2), torch.arange(3), torch.arange(299), torch.arange(299), indexing="ij")
    x = (7 * i + 13 * j + 29 * c + 53 * n + (i * j) // 17) % 256
    assert int(x.sum()) == 68381817
    answers = json.loads(weights_file.with_suffix(".json").read_text())["known_answer"]
    with torch.no_grad():
        found = inception.forward(inception.load_weights(weights_file), (x.float() - 128) / 128)
    for width in (64, 192, 768):
        for picture in (0, 1):
            features, expected = found[width][picture], answers[str(width)][picture]
            assert features[:8].tolist() == pytest.approx(expected["first8"], rel=1e-3, abs=2e-5)
            assert float(features.norm()) == pytest.approx(expected["l2"], rel=1e-4)
            assert float(features.mean()) == pytest.approx(expected["mean"], rel=1e-4)
    extractor = inception.open_inception(weights_file)
    seen = extractor(x.to(torch.uint8)).features
    assert (extractor.name, extractor.dim, seen.dtype, seen.shape) == ("inception-fd768", 768, torch.float64, (2, 768))
    assert torch.allclose(seen.float(), found[768], rtol=1e-3, atol=1e-5)
    assert inception.open_inception(weights_file, clean=True).hash != extractor.hash


@pytest.mark.slow
def test_documented_fd_of_64_features(weights_file: Path) -> None:
    """torchmetrics documents FID on 64 features of 100 noise pictures a side: 12.6388 and 12.7202 for two draws. This is a third."""
    g = torch.Generator().manual_seed(42)
    sides = [torch.randint(low, high, (100, 3, 299, 299), generator=g, dtype=torch.uint8) for low, high in ((0, 200), (100, 255))]
    weights = inception.load_weights(weights_file)

    def moments(x: torch.Tensor) -> Moments:
        return Moments.of(torch.cat([inception.forward(weights, (part.float() - 128) / 128, upto=64)[64] for part in x.split(10)]))

    with torch.no_grad():
        a, b = moments(sides[0]), moments(sides[1])
    assert frechet_distance(a.mean, a.cov, b.mean, b.cov) == pytest.approx(12.68, abs=0.12)


def test_without_weights_it_names_file_hash_and_flag(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(inception.VARIABLE, raising=False)
    with pytest.raises(InputError, match=rf"{inception.WEIGHTS_NAME} \(sha256 {inception.WEIGHTS_SHA256}\).*--extractor-weights"):
        inception.open_inception(None)
    with pytest.raises(InputError, match="are not a file"):
        inception.open_inception(tmp_path / "none.npz")
    other = tmp_path / "other.npz"
    save_file({"x": torch.zeros(1)}, other)
    monkeypatch.setenv(inception.VARIABLE, str(other))
    with pytest.raises(InputError, match=f"expected {inception.WEIGHTS_SHA256}"):
        inception.open_inception(None)
