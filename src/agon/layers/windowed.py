"""A Transformer over time whose every position sees a fixed window of the past: clips of any length in constant memory.

Vaswani et al. 2017, arXiv:1706.03762 (attention, feed-forward), normalised ahead of each branch (Xiong et al. 2020, arXiv:2002.04745); places
by rotation (Su et al. 2021, arXiv:2104.09864), so that only distances matter; a window as in Beltagy et al. 2020, arXiv:2004.05150.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agon.device import finest

Kept = list[tuple[Tensor, Tensor]]  # keys and values [n, heads, t, d] of the last positions, for each layer


def rotated(x: Tensor, start: int) -> Tensor:
    """Pairs of channels of x [n, heads, t, d] turned by an angle in proportion to the position, the first being `start`."""
    half = x.shape[-1] // 2
    octaves = torch.arange(half, device=x.device, dtype=finest(x.device)) / max(1, half)
    angle = torch.arange(start, start + x.shape[2], device=x.device, dtype=finest(x.device))[:, None] * 10_000.0**-octaves
    sine, cosine = angle.sin().to(x.dtype), angle.cos().to(x.dtype)
    one, two = x[..., :half], x[..., half : 2 * half]
    return torch.cat([one * cosine - two * sine, one * sine + two * cosine, x[..., 2 * half :]], -1)


class Block(nn.Module):
    """x + attention(norm x), then x + feed-forward(norm x); [n, t, width]."""

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.read, self.write = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, start: int, kept: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        n, count, width = x.shape
        query, key, value = self.read(self.norm1(x)).reshape(n, count, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        query, key = rotated(query, start), rotated(key, start)
        if kept is not None:
            key, value = torch.cat([kept[0], key], 2), torch.cat([kept[1], value], 2)
        past = key.shape[2] - count
        distance = torch.arange(past, past + count, device=x.device)[:, None] - torch.arange(past + count, device=x.device)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=(distance >= 0) & (distance < self.window))
        x = x + self.write(mixed.transpose(1, 2).reshape(n, count, width))
        keep = self.window - 1
        return x + self.feed(self.norm2(x)), (
            key[:, :, key.shape[2] - min(keep, key.shape[2]) :],
            value[:, :, -keep:] if keep else value[:, :, :0],
        )


class Windowed(nn.Module):
    """Blocks behind one another, [n, t, width] → [n, t, width]; a call may go on from where another stopped."""

    def __init__(self, width: int, depth: int, heads: int, window: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, heads, window) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, start: int = 0, kept: Kept | None = None) -> tuple[Tensor, Kept]:
        """start: position of the first entry; kept: what the call before returned. Both together give the same numbers as one long call."""
        now: Kept = []
        for index, block in enumerate(self.blocks):
            x, remembered = block(x, start, None if kept is None else kept[index])
            now.append(remembered)
        return self.norm(x), now
