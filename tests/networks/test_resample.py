"""Pyramids of any size, and the [1, 2, 1] filter."""

from __future__ import annotations

import itertools

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agon.layers.resample import blur_down, blur_up, crop, halvings, nearest_up, pyramid, to_depth, to_space

SIDES = st.integers(1, 600)


@given(SIDES, SIDES)
def test_pyramid_starts_near_four_and_ends_at_the_picture(height: int, width: int) -> None:
    levels = halvings(height, width)
    sizes = pyramid(height, width, levels)
    assert len(sizes) == levels + 1
    assert sizes[-1] == (height, width)
    assert min(sizes[0]) <= 6
    for small, large in itertools.pairwise(sizes):
        assert all(2 * s - 1 <= b <= 2 * s for s, b in zip(small, large, strict=True))


def test_known_pyramids() -> None:
    assert pyramid(32, 32, halvings(32, 32)) == [(4, 4), (8, 8), (16, 16), (32, 32)]
    assert pyramid(28, 28, halvings(28, 28)) == [(4, 4), (7, 7), (14, 14), (28, 28)]
    assert pyramid(33, 50, halvings(33, 50)) == [(5, 7), (9, 13), (17, 25), (33, 50)]


@given(st.integers(1, 20), st.integers(1, 20))
@settings(max_examples=40, deadline=None)
def test_there_and_back(height: int, width: int) -> None:
    x = torch.randn(2, 3, height, width)
    half = (-(-height // 2), -(-width // 2))
    folded = to_depth(x)
    assert folded.shape == (2, 12, *half)
    assert torch.equal(to_space(folded, (height, width)), x)
    assert blur_down(x).shape == (2, 3, *half)
    assert blur_up(x).shape == (2, 3, 2 * height, 2 * width)
    assert nearest_up(blur_down(x), (height, width)).shape == x.shape
    assert crop(x, (height, width)) is x


def test_the_filter_keeps_a_constant_and_interpolates() -> None:
    flat = torch.ones(1, 2, 8, 8)
    assert torch.allclose(blur_down(flat)[..., 1:, 1:], torch.ones(1, 2, 3, 3))
    assert torch.allclose(blur_up(flat)[..., :-1, :-1], torch.ones(1, 2, 15, 15))
    ramp = torch.arange(6.0).expand(1, 1, 6, 6).contiguous()
    up = blur_up(ramp)[0, 0, 3, :11]
    assert torch.allclose(up, torch.arange(11.0) / 2)
