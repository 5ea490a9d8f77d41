"""Windows stand where a tensor of clips would, and copy only what is asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agon.data import Loader, Samples
from agon.data.windows import Windows


@pytest.fixture
def windows() -> Windows:
    frames = torch.arange(20, dtype=torch.uint8).reshape(20, 1, 1, 1).expand(20, 3, 4, 5).contiguous()
    return Windows(frames, torch.tensor([0, 3, 10]), length=4, stride=2)


def dense(windows: Windows) -> torch.Tensor:
    """The same clips as a plain tensor, made the slow way."""
    rows = [[windows.frames[start + k * windows.stride] for k in range(windows.length)] for start in windows.starts.tolist()]
    return torch.stack([torch.stack(row) for row in rows])


def test_shape_and_indexing_are_those_of_a_tensor(windows):
    plain = dense(windows)
    assert windows.shape == plain.shape == (3, 4, 3, 4, 5)
    assert (len(windows), windows.ndim, windows.dim(), windows.size(1), windows.dtype) == (3, 5, 5, 4, torch.uint8)
    assert windows[1][:, 0, 0, 0].tolist() == [3, 5, 7, 9]
    whichever = (0, -1, slice(1, 3), slice(None, None, 2), torch.tensor([2, 0, 2]), torch.tensor([True, False, True]), [1], np.int64(2))
    for which in whichever:
        assert torch.equal(windows[which], plain[which]), which
    assert torch.equal(windows.index_select(0, torch.tensor([1, 1])), plain[[1, 1]])
    assert torch.equal(windows.take(torch.tensor([2, 1]))[:], plain[[2, 1]])
    assert windows[torch.zeros(0, dtype=torch.long)].shape == (0, 4, 3, 4, 5)
    with pytest.raises(IndexError):
        windows[3]
    with pytest.raises(IndexError, match="axis 0"):
        windows.index_select(1, torch.tensor([0]))


def test_what_is_given_out_is_a_copy(windows):
    windows[0].zero_()
    assert windows[0].max() == 6


@pytest.mark.parametrize("starts", [[-1], [14], [0, 99]])
def test_no_clip_reaches_beyond_the_frames(windows, starts):
    with pytest.raises(ValueError, match="reach beyond the 20 frames"):
        Windows(windows.frames, torch.tensor(starts), length=4, stride=2)
    assert len(Windows(windows.frames, torch.tensor([13]), length=4, stride=2)) == 1


def test_the_loader_takes_them_and_mirrors_whole_clips(windows):
    frames = torch.randint(0, 256, (30, 3, 4, 6), dtype=torch.uint8)
    windows = Windows(frames, torch.arange(24), 5)
    plain = Samples(windows[:], torch.arange(24))
    lazy = Samples(windows, torch.arange(24))
    for mirror in (False, True):
        a, b = (Loader(samples, 8, 3, mirror=mirror).round(1)[0] for samples in (plain, lazy))
        assert torch.equal(a["x"], b["x"]) and torch.equal(a["y"], b["y"])
    kept = windows[b["y"]]
    turned = (b["x"] == kept.flip(-1)).flatten(1).all(1)
    assert ((b["x"] == kept).flatten(1).all(1) ^ turned).all(), "a clip is flipped as a whole or not at all"
    assert 0 < turned.sum() < 8
