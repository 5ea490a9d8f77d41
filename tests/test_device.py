"""Devices: what each can do."""

from __future__ import annotations

import torch

from agon.device import finest
from agon.layers.windowed import rotated


def test_apples_gpus_are_not_asked_for_float64() -> None:
    assert finest(torch.device("mps")) is torch.float32
    assert {finest(torch.device(name)) for name in ("cpu", "cuda")} == {torch.float64}


def test_a_rotation_keeps_lengths_and_tells_distances_only() -> None:
    one, two = torch.randn(2, 1, 1, 1, 8)
    at = [(rotated(one, start) * rotated(two, start + 3)).sum() for start in (0, 5, 40)]
    torch.testing.assert_close(torch.stack(at), at[0].expand(3))
    torch.testing.assert_close(rotated(one, 7).norm(), one.norm())
