"""Reading moving-shapes back from pixels: shape, colour, size and direction of a clip, without any network.

In each frame, brightness over that of the brightest pixels is the share of a pixel that the shape covers; its sum is the area, its mean place
the centre. A square and a circle of that area are drawn there, and the one that leaves less over is the shape; a frame that neither explains
holds none. Colour is that of the brightest pixels, by hue; direction is the line through the centres over time. What is not clear is
NONE: no shape in a quarter of the frames, a colour between two or one that changes, a clip that stands still, goes slantwise or to and fro.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from agon.data.moving import COLOURS, DIRECTIONS, SHAPES, SIZES, cover_of

NONE = -1
DARK = 24.0  # a pixel darker than this in every channel (0..255) is ground, as for MoCoGAN's content distance
ATTRIBUTES = {"shape": SHAPES, "colour": tuple(COLOURS), "size": tuple(SIZES), "direction": tuple(DIRECTIONS)}
_BRIGHTEST = 0.009  # share of a frame whose brightest pixels give its shade: a third of the smallest shape's inside
_LEFT_OVER = 0.4  # a frame holds a shape where the drawn one leaves less than this share of its area unexplained
_FRAMES = 0.75  # share of the frames that must hold one
_AREAS = (0.02, 0.0697, 0.25)  # least, border between small and large (geometric mean of the nearest real ones), most: shares of the side²
_HUE = 0.3  # farthest a colour, scaled to a largest channel of 1, may be from a named one; named ones are 0.55 apart at least
_AGREE = 0.8  # share of frames of one colour, and of steps that go forward
_TRAVEL, _SLANT = 0.2, 0.5  # least travel, share of the side, real ones have 0.4; most travel across, share of that along
_CHUNK = 64


@dataclass(frozen=True)
class Reading:
    """What was read from n clips: indices int64 [n] of the words in ATTRIBUTES, NONE where it is not clear.

    left_over: float32 [n], share of the shape's area that the best drawn shape leaves unexplained, mean over frames.
    """

    shape: Tensor
    colour: Tensor
    size: Tensor
    direction: Tensor
    left_over: Tensor

    @property
    def formed(self) -> Tensor:
        """Which clips are clear in everything: bool [n]."""
        return torch.stack([getattr(self, name) >= 0 for name in ATTRIBUTES]).all(0)


def read_shapes(x: Tensor) -> Reading:
    """Read clips uint8 [n, T, 3, H, W] with T >= 2."""
    parts = [_read(part.cpu().float()) for part in x.split(_CHUNK)]
    return Reading(*(torch.cat([getattr(part, name) for part in parts]) for name in (*ATTRIBUTES, "left_over")))


def _read(x: Tensor) -> Reading:
    n, _, _, height, width = x.shape
    side = min(height, width)
    bright, chosen = x.amax(2).flatten(2).topk(max(4, round(_BRIGHTEST * side**2)))  # [n, T, k]
    peak = bright.mean(2)
    hues = x.flatten(3).gather(3, chosen[:, :, None].expand(-1, -1, 3, -1)).mean(3)  # [n, T, 3]
    light = x.amax(2)
    cover = torch.where(light > DARK, light / peak.clamp_min(1)[..., None, None], 0.0).clamp_max_(1)
    area = cover.sum((2, 3)).clamp_min(1e-6)
    across = (cover.sum(2) * (torch.arange(width) + 0.5)).sum(2) / area
    down = (cover.sum(3) * (torch.arange(height) + 0.5)).sum(2) / area
    centre = torch.stack([across, down], 2)
    left = _unexplained(cover, centre, area)  # [shapes, n, T]
    shares = area / side**2
    held = (left.amin(0) < _LEFT_OVER) & (peak > 2 * DARK) & (shares > _AREAS[0] / 2) & (shares < _AREAS[2])
    there = held.float().mean(1) >= _FRAMES
    shares = shares.mean(1)
    size = torch.where(shares < _AREAS[1], 0, 1)
    nothing = torch.full((n,), NONE)
    return Reading(
        shape=torch.where(there, left.mean(2).argmin(0), nothing),
        colour=torch.where(there, _colour(hues), nothing),
        size=torch.where(there & (shares > _AREAS[0]) & (shares < _AREAS[2]), size, nothing),
        direction=torch.where(there, _direction(centre / torch.tensor([width, height])), nothing),
        left_over=left.amin(0).mean(1),
    )


def _unexplained(cover: Tensor, centre: Tensor, area: Tensor) -> Tensor:
    """What each shape of this area at this centre leaves over, as a share of the area: [shapes, n, T]."""
    height, width = cover.shape[2:]
    halves = {"square": area.sqrt() / 2, "circle": (area / torch.pi).sqrt()}
    left = []
    for k, name in enumerate(SHAPES):
        drawn = torch.from_numpy(cover_of(np.full((1, 1), k), centre.numpy(), halves[name].numpy(), height, width))
        left.append((cover - drawn).abs().sum((2, 3)) / area)
    return torch.stack(left)


def _colour(hues: Tensor) -> Tensor:
    """Colours int64 [n] of the mean colours [n, T, 3] of the frames."""
    named = torch.tensor(list(COLOURS.values()), dtype=torch.float32)
    named = named / named.amax(1, keepdim=True)
    frames = hues / hues.amax(2, keepdim=True).clamp_min(1)
    far, nearest = torch.cdist(frames.flatten(0, 1), named).min(1)
    nearest = torch.where(far < _HUE, nearest, NONE).reshape(hues.shape[:2])
    found = nearest.mode(1).values
    return torch.where((nearest == found[:, None]).float().mean(1) >= _AGREE, found, NONE)


def _direction(centre: Tensor) -> Tensor:
    """Directions int64 [n] of centres [n, T, 2], shares of the sides: by the slope of the line through them."""
    t = torch.arange(centre.shape[1], dtype=torch.float32)
    t = t - t.mean()
    travel = (centre * t[:, None]).sum(1) / t.square().sum() * (len(t) - 1)  # [n, 2]
    ways = torch.tensor(list(DIRECTIONS.values()), dtype=torch.float32)
    along, found = (travel @ ways.T).max(1)
    way = ways[found]
    across = (travel - along[:, None] * way).abs().sum(1)
    forward = ((centre.diff(dim=1) * way[:, None]).sum(2) > 0).float().mean(1)
    clear = (along >= _TRAVEL) & (across <= _SLANT * along) & (forward >= _AGREE)
    return torch.where(clear, found, NONE)
