"""Windows: clips that are looked at, not copied. Many clips of a few long films share the films' frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


class Windows:
    """Clips [N, T, C, H, W] of uint8 as places in frames that are stored once; stands where a tensor of clips would.

    frames: uint8 [F, C, H, W], in memory or mapped from a file. starts: int64 [N], the first frame of each clip. A clip is the frames
    start, start + stride, … (length of them); that none reaches beyond its film is the business of who makes the starts.
    Indexing copies the clips asked for, and only those, into a dense tensor; assignment is not possible.
    """

    dtype, device = torch.uint8, torch.device("cpu")

    def __init__(self, frames: Tensor, starts: Tensor, length: int, stride: int = 1) -> None:
        """Raises ValueError where a clip would begin before the first frame or end behind the last."""
        if length < 1 or stride < 1:
            raise ValueError(f"length and stride got {length} and {stride}; expected 1 or more")
        if len(starts) and not 0 <= int(starts.min()) <= int(starts.max()) <= len(frames) - (length - 1) * stride - 1:
            raise ValueError(f"starts reach beyond the {len(frames)} frames with {length} frames {stride} apart")
        self.frames, self.starts, self.length, self.stride = frames, starts.long(), length, stride
        self._steps = torch.arange(length) * stride

    @property
    def shape(self) -> torch.Size:
        """(N, T, C, H, W)."""
        return torch.Size((len(self.starts), self.length, *self.frames.shape[1:]))

    @property
    def ndim(self) -> int:
        """5."""
        return 5

    def dim(self) -> int:
        """5."""
        return 5

    def size(self, dim: int | None = None) -> Any:
        """`shape`, or one axis of it."""
        return self.shape if dim is None else self.shape[dim]

    def __len__(self) -> int:
        return len(self.starts)

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        """The clips `index` int64 [n] -> uint8 [n, T, C, H, W]. Raises IndexError for another axis than 0."""
        if dim != 0:
            raise IndexError(f"windows are chosen along axis 0, not {dim}")
        places = self.starts.index_select(0, index)[:, None] + self._steps
        return self.frames.index_select(0, places.flatten()).unflatten(0, (len(index), self.length))

    def __getitem__(self, which: int | slice | Tensor | np.ndarray | list[int]) -> Tensor:
        """One clip uint8 [T, C, H, W] by a whole number; clips [n, T, C, H, W] by a slice, indices or a mask."""
        if isinstance(which, (int, np.integer)):
            return self.index_select(0, self.starts.new_tensor([range(len(self))[which]]))[0]
        return self.index_select(0, torch.arange(len(self))[which])

    def take(self, which: Tensor) -> Windows:
        """Some of the clips, still as windows on the same frames."""
        return Windows(self.frames, self.starts[which], self.length, self.stride)
