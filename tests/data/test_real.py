"""Real data, where it lies (AGON_DATA): MNIST, flowers at 128 pixels, emoji with transparency, CIFAR-10 from its sheets."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import pytest
import torch
from PIL import Image as Pillow

from agon.data import check

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def test_mnist(real_data, opened):
    data_set = opened(real_data / "mnist", size=28)
    assert data_set.space.describe() == "28×28 grey images, 10 classes"
    assert (len(data_set.train), len(data_set.held)) == (60_000, 10_000)
    assert torch.bincount(data_set.train.y).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert torch.bincount(data_set.held.y).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert data_set.train.x.float().mean().item() / 255 == pytest.approx(0.1307, abs=1e-4)
    assert opened(real_data / "mnist", limit=64).space.shape == (1, 32, 32)


def test_flowers(real_data, tmp_path, cache):
    report = check(real_data / "flowers5" / "flowers5_128.zip", tmp_path / "flowers.png", cache=cache)
    card = report.card
    assert card["space"] == "64×64 RGB images, 5 classes"
    assert card["num_train"] + card["num_held"] == 3467
    assert card["labels"]["classes"] == ["daisy", "dandelion", "roses", "sunflowers", "tulips"]
    assert [a + b for a, b in zip(card["labels"]["counts"], card["labels"]["held_counts"], strict=True)] == [593, 858, 601, 657, 758]
    assert card["num_unreadable"] == 0
    assert Pillow.open(report.preview).size == (8 * 66 - 2, 8 * 66 - 2)


def test_openmoji(real_data, opened):
    data_set = opened(real_data / "openmoji" / "openmoji_72.zip", limit=600)
    assert data_set.space.shape == (4, 64, 64)
    assert data_set.space.num_classes == 12
    assert data_set.card["modes"] == {"P + transparency": 600}
    assert (data_set.train.x[:, 3] == 0).float().mean() > 0.2
    assert opened(real_data / "openmoji" / "openmoji_72.zip", limit=600, channels=3).train.x[:, :, 0, 0].min() > 250, "white behind"


def test_cifar_sheets(real_data, opened, tmp_path):
    spec = importlib.util.spec_from_file_location("convert", BENCHMARKS / "convert_cifar_sheets.py")
    convert = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(convert)
    x, _ = convert.read_part(real_data / "cifar10", "train")
    assert hashlib.sha256(x.tobytes()).hexdigest() == "fc115a3de050d667b88cbd5b0b9612ebf996c54230fe7758f3a14bb5af9a1c27"
    convert.convert(real_data / "cifar10", tmp_path / "cifar.npz")
    data_set = opened(tmp_path / "cifar.npz")
    assert data_set.space.describe() == "32×32 RGB images, 10 classes"
    assert data_set.space.classes[6] == "frog"
    assert (len(data_set.train), len(data_set.held)) == (10_000, 1000)
    assert torch.bincount(data_set.train.y).tolist() == [1005, 974, 1032, 1016, 999, 937, 1030, 1001, 1025, 981]
