"""How clips move: how much, in how many ways, how steadily, and whether what they show stays what it is. From grey thumbnails, in a few passes.

Every figure is of the same kind for generated and real clips and is read as one against the other, so no unit or threshold is absolute.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from agon.health.contract import Vitals

CLIPS = 64  # looked at, at most
SIDE = 32  # of a thumbnail, at most
PARTS = 4  # of a clip's time, in each of which its direction is estimated


def motion_of(x: Tensor) -> Vitals:
    """Clips [n, T, C, H, W] in [-1, 1] -> their figures; empty for fewer than 2 clips or 3 frames.

    "motion": mean absolute change from frame to frame. "ways": how unlike the clips' directions are, 0 where all move alike, about 1 where
    they have nothing to do with one another. "flicker": change of change, of the pixel that is the median of its clip and of the whole
    frame's brightness, whichever is larger. "drift": how far the colours of the last quarter of a clip are from those of the first.
    """
    if x.dim() != 5 or len(x) < 2 or x.shape[1] < 3:
        return {}
    small = thumbnails(x[:CLIPS])
    step = small[:, 1:] - small[:, :-1]
    bend = (step[:, 1:] - step[:, :-1]).abs().mean((1, 2))  # [n, H, W]
    level = small.mean((2, 3, 4))
    glow = (level[:, 2:] - 2 * level[:, 1:-1] + level[:, :-2]).abs().mean(1)
    return {
        "motion": step.abs().mean().item(),
        "ways": unlike(directions(small)),
        "flicker": torch.maximum(bend.flatten(1).median(1).values, glow).mean().item(),
        "drift": drift(small),
    }


def thumbnails(x: Tensor) -> Tensor:
    """Clips averaged to at most 32 pixels a side, float32 on the CPU."""
    n, frames = x.shape[:2]
    size = (min(SIDE, x.shape[-2]), min(SIDE, x.shape[-1]))
    flat = x.flatten(0, 1).float()
    return (flat if size == tuple(flat.shape[-2:]) else functional.adaptive_avg_pool2d(flat, size)).cpu().unflatten(0, (n, frames))


def directions(x: Tensor) -> Tensor:
    """The clips' leading displacement [n, 2 · parts], pixels a frame of x [n, T, C, H, W], in each part of their time.

    Least squares of the brightness constancy equation Ix·u + Iy·v + It = 0 over a part of the clip (Lucas and Kanade 1981), on frames blurred
    to the size of a step.
    """
    frames = x.shape[1]
    grey = functional.avg_pool2d(functional.avg_pool2d(x.mean(2), 3, 1, 1, count_include_pad=False), 3, 1, 1, count_include_pad=False)
    middle, it = (grey[:, 1:] + grey[:, :-1]) / 2, grey[:, 1:] - grey[:, :-1]
    iy, ix = torch.gradient(middle, dim=(2, 3))
    found = []
    for part in torch.arange(frames - 1).chunk(min(PARTS, frames - 1)):
        a, b, t = (value[:, part].flatten(1) for value in (ix, iy, it))
        xx, yy, xy, xt, yt = (a * a).mean(1), (b * b).mean(1), (a * b).mean(1), (a * t).mean(1), (b * t).mean(1)
        damp = 0.01 * (xx + yy) + 1e-7  # where there is no edge there is no direction
        det = (xx + damp) * (yy + damp) - xy * xy
        found += [-(xt * (yy + damp) - yt * xy) / det, -(yt * (xx + damp) - xt * xy) / det]
    return torch.stack(found, 1)


def unlike(ways: Tensor) -> float:
    """Vectors [n, d] -> root mean square distance of pairs over that of vectors of the same lengths in no common direction: 0 alike, 1 not."""
    n = len(ways)
    about = (ways - ways.mean(0)).square().sum() * n / max(1, n - 1)
    return (about / ways.square().sum().clamp_min(1e-12)).sqrt().item()


def drift(x: Tensor) -> float:
    """Mean distance of the sorted values of a clip's first quarter to those of its last, over channels: colours, wherever they are."""
    quarter = max(1, min(x.shape[1] // 2, x.shape[1] // 8 * 2))  # an even number of frames: flicker is no drift
    ends = []
    for part in (x[:, :quarter], x[:, -quarter:]):
        values = part.transpose(1, 2).flatten(2).sort(-1).values  # [n, C, pixels]
        ends.append(values[..., :: max(1, values.shape[-1] // 256)])
    return (ends[0] - ends[1]).abs().mean().item()
