"""Differentiable augmentation: the critic sees changed pictures, real and fake alike; the generator's samples never change.

Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data" (ADA), arXiv:2006.06676: the transforms, their ranges, one
coin a transform and sample, the adaptive strength. Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training",
arXiv:2006.10738: cutout, and that reals and fakes must be changed in the generator's turn as well, with gradients through the change.

| group    | what                                                                            | range, from |
|----------|---------------------------------------------------------------------------------|-------------|
| flip     | left-right mirror, one half                                                     | ADA app. B  |
| shift    | by whole pixels, U(±1/8) of the side                                            | DiffAugment, ADA app. B |
| blit     | turns by 0, 90, 180, 270° (0, 180 where not square); the same shift   | ADA app. B  |
| geometry | scale 2^N(0, 0.2), rotation U(±π), scale of one axis 2^N(0, 0.2), shift N(0, 1/8)  | ADA app. B  |
| colour   | brightness N(0, 0.2), contrast 2^N(0, 0.5), saturation 2^N(0, 1) in [-1, 1]        | ADA app. B  |
| cutout   | a grey box of half the sides, anywhere                                          | DiffAugment, ADA app. B |

Why nothing leaks into the samples while p < 1 (ADA sec. 2.2 and app. C). The game is won when *augmented* fakes are distributed as
*augmented* reals. With probability 1 - p a transform is left out, so it acts on distributions as (1 - p)·I + p·T. Mirror, turns and the
full circle of rotations, each drawn evenly over its whole group, average over that group: T is a projection, its eigenvalues are 0 and 1.
Cutouts are projections that commute, so their mixture has eigenvalues in [0, 1]. In both cases (1 - p) + p·λ ≥ 1 - p > 0: the map can be
undone, and equal augmented distributions mean equal originals. At p = 1 it cannot (nobody could tell which way is up). Shifts, scales
and colours spread about the identity and blur a distribution without destroying it, by margins that differ; ADA found leaks to begin near
p = 0.8, the limit of `Adaptive`. The weakest are turns and rotation on data with one way up (digits, faces): leave out "blit" and
"geometry" if samples come out turned, and measure with `agon.metrics.leak`. Pictures are not clamped after a change of colour, because
clamping cannot be undone.

Differs: one rotation instead of one before and one after the scaling of an axis; bilinear lookup instead of a wavelet-filtered one; no
hue, luma flip, filters or noise. The lookup is gather and arithmetic, differentiable as often as wanted in every torch (grid_sample was not
twice differentiable for most of torch 2).
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, Union

import torch
from torch import Tensor, nn

from agon.errors import InputError
from agon.schedule import Clock, Cosine, Linear, Warmup, at

Group = Literal["flip", "shift", "blit", "geometry", "colour", "cutout"]
GROUPS: tuple[Group, ...] = ("flip", "shift", "blit", "geometry", "colour", "cutout")
FEW: tuple[Group, ...] = ("shift", "colour", "cutout")  # DiffAugment's; keeps the way up of the data, and looks up whole pixels only

_UNIFORM, _NORMAL = 18, 8  # numbers drawn for each sample, whatever the policy


@dataclass(frozen=True, kw_only=True)
class Adaptive:
    """Strength that follows the critic's overfitting (ADA sec. 3): up while it tells training reals apart too well, down otherwise.

    target: of r = E[sign(D(x) - m)] on training reals, m midway between the mean logits of reals and fakes; 0 is a critic that cannot tell, 1 one
        that knows every real. ADA takes m = 0, which is the decision boundary of a logistic critic; a relativistic critic's logits have
        no zero (any constant may be added), so the boundary is taken from the logits themselves. For a balanced logistic critic both agree.
        Pictures are looked at as they are, where ADA looks at augmented ones. With plenty of data r stays between 0 and 0.5; on 100
        pictures it passes 0.6 after some 250 rounds and goes to 1 (docs/log.md).
    speed: real samples in which p can go from 0 to 1. ADA takes 500,000, a fiftieth of its runs of 25 million. A run on 100 pictures and two
        cores sees some 40,000 in all and knows them after 8,000: hence 4,000 (FD 1.25 against 1.53 with 16,000, docs/log.md).
    every: rounds between two looks. start: first p. limit: largest p (leaks begin near 0.8, ADA sec. 2.2).
    """

    target: float = 0.6
    speed: float = 4_000
    every: int = 4
    start: float = 0.0
    limit: float = 0.8
    kind: Literal["adaptive"] = "adaptive"


@dataclass(frozen=True, kw_only=True)
class Augment:
    """What the critic's pictures go through: groups of transforms, each transform on each sample with probability p.

    policy: groups out of flip, shift, blit, geometry, colour, cutout. The default is DiffAugment's, which costs little and suits data
        with one way up; ADA's own is flip, blit, geometry, colour (blit and geometry helped most there, colour next, in long runs).
    p: a number, a schedule over samples seen, or `Adaptive`.
    """

    policy: tuple[Group, ...] = FEW
    p: Union[float, Linear, Cosine, Warmup, Adaptive] = field(default_factory=Adaptive)
    kind: Literal["ada"] = "ada"

    def __post_init__(self) -> None:
        if not self.policy:
            raise InputError(f"augment.policy is empty; expected some of {', '.join(GROUPS)}, or no augmentation (--game.augment null).")
        if isinstance(self.p, (int, float)) and not 0 <= self.p <= 1:
            raise InputError(f"augment.p is {self.p:g}; expected a probability from 0 to 1 (below 0.8 nothing leaks), or 'adaptive'.")
        if isinstance(self.p, Adaptive) and not (0 <= self.p.start <= self.p.limit <= 1 and self.p.speed > 0 and self.p.every >= 1):
            raise InputError(
                f"augment.p has start {self.p.start:g}, limit {self.p.limit:g}, speed {self.p.speed:g}, every {self.p.every}; "
                "expected 0 ≤ start ≤ limit ≤ 1, speed > 0 and every ≥ 1."
            )

    def strength(self, clock: Clock, players: Any) -> float | Tensor:
        """p at this time; the adaptive one's is kept by the player `strength`."""
        return players["strength"].p if isinstance(self.p, Adaptive) else min(max(at(self.p, clock), 0.0), 1.0)


class Source(Protocol):
    """Where random numbers come from: the players of a turn."""

    def rand(self, n: int, *shape: int) -> Tensor:
        """Uniform in [0, 1), [n, *shape]."""

    def randn(self, n: int, *shape: int) -> Tensor:
        """Normal, [n, *shape]."""


def augmented(
    x: Tensor, policy: tuple[Group, ...], p: float | Tensor, source: Source, *, width: int | None = None, alike: int = 1
) -> Tensor:
    """Pictures [n, C, H, W] in [-1, 1] after the policy's transforms, each on each sample with probability p; the same shape.

    Clips [n, T, C, H, W] are changed in all their frames alike: a draw for each frame would be a flicker that reals do not have, and the critic
    would have to look past it (StyleGAN-V, arXiv:2112.14683, found quality to drop without).

    width: samples of one kind; n is a multiple of it (reals and fakes behind one another), and each block gets draws of its own, so that a
    sample's draws do not depend on how a batch is cut. alike: x is that many equal batches behind one another, changed alike. Values may leave
    [-1, 1]. Affine in x for given draws.
    """
    if isinstance(p, float) and p == 0.0:
        return x
    if x.dim() == 5:  # frame after frame of the whole batch: as many equal batches behind one another
        n, frames = x.shape[:2]
        width = width if width and (n // alike) % width == 0 else n // alike
        x = x.unflatten(0, (alike, -1)).movedim(2, 1).flatten(0, 2)
        x = augmented(x, policy, p, source, width=width, alike=alike * frames)
        return x.unflatten(0, (alike, frames, -1)).movedim(1, 2).flatten(0, 1)
    n = len(x) // alike
    width = width if width and n % width == 0 else n
    blocks = [(source.rand(width, _UNIFORM), source.randn(width, _NORMAL)) for _ in range(n // width)]
    u, g = (torch.cat(parts * alike) for parts in zip(*blocks, strict=True))
    spatial = [group for group in policy if group in ("flip", "shift", "blit", "geometry")]
    if spatial:
        x = _moved(x, spatial, p, u, g)
    if "colour" in policy:
        x = _coloured(x, p, u[:, 10:13], g[:, 4:7])
    if "cutout" in policy:
        x = _cut(x, p, u[:, 13:16])
    return x


def _moved(x: Tensor, groups: Sequence[Group], p: float | Tensor, u: Tensor, g: Tensor) -> Tensor:
    """Mirror, turns, shifts, scales and rotation as one lookup: for each output pixel the place it comes from.

    `a` [n, 2, 2] and `b` [n, 2] map an output place (row, column; in pixels from the middle) to its source. Borders reflect.
    """
    n, _, height, width = x.shape
    device = x.device
    a = torch.eye(2, device=device).expand(n, 2, 2)
    b = torch.zeros(n, 2, device=device)
    side = torch.stack([torch.full((), float(length), device=device) for length in (height, width)])  # no copy from the host, so no wait
    if "flip" in groups:
        mirror = torch.where((u[:, 0] < p) & (u[:, 1] < 0.5), -1.0, 1.0)
        a = a * torch.stack([torch.ones_like(mirror), mirror], 1)[:, None]
    if "blit" in groups:
        quarter = (u[:, 3] * 4).floor() if height == width else (u[:, 3] * 2).floor() * 2
        quarter = torch.where(u[:, 2] < p, quarter, torch.zeros_like(quarter))
        odd = quarter.remainder(2)
        a = _product(a, _rotation((1 - quarter) * (1 - odd), (2 - quarter) * odd))
    if "blit" in groups or "shift" in groups:
        b = b + ((u[:, 5:7] * 2 - 1) * side / 8).round() * (u[:, 4:5] < p)
    if "geometry" in groups:
        scale = torch.exp2(0.2 * g[:, 0] * (u[:, 7] < p))
        angle = (2 * u[:, 9] - 1) * math.pi * (u[:, 8] < p)
        one_axis = torch.exp2(0.2 * g[:, 1] * (u[:, 16] < p))
        a = _product(a, _rotation(angle.cos(), angle.sin())) * torch.stack([scale * one_axis, scale / one_axis], 1)[:, None]
        b = b + g[:, 2:4] * side / 8 * (u[:, 17:18] < p)
    middle = (side - 1) / 2
    rows = torch.arange(height, device=device, dtype=torch.float32) - middle[0]
    columns = torch.arange(width, device=device, dtype=torch.float32) - middle[1]
    # Source row and column of each output pixel: [n, 2, H, W].
    place = a[:, :, :1, None] * rows[:, None] + a[:, :, 1:, None] * columns + (b + middle)[:, :, None, None]
    return _looked_up(x, place, bilinear="geometry" in groups)


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Matrices [n, 2, 2] times matrices; written out, because under autocast a matrix product is taken in 16 bits."""
    return a[:, :, :1] * b[:, :1] + a[:, :, 1:] * b[:, 1:]


def _rotation(cosine: Tensor, sine: Tensor) -> Tensor:
    return torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1)


def _looked_up(x: Tensor, place: Tensor, *, bilinear: bool) -> Tensor:
    """x [n, C, H, W] at source places [n, 2, H, W] (row, column), exact where they are whole numbers."""
    channels, height, width = x.shape[1:]
    flat = x.flatten(2)
    row, column = _reflected(place[:, 0], height), _reflected(place[:, 1], width)
    if not bilinear:
        index = (row * width + column).flatten(1).round().long()
        return flat.gather(2, index[:, None].expand(-1, channels, -1)).reshape(x.shape)
    top, left = row.floor(), column.floor()
    down, right = (row - top).flatten(1)[:, None].to(x.dtype), (column - left).flatten(1)[:, None].to(x.dtype)
    rows, columns = (top, (top + 1).clamp_max(height - 1)), (left, (left + 1).clamp_max(width - 1))
    index = torch.cat([(r * width + c).flatten(1) for r in rows for c in columns], 1).long()
    corners = flat.gather(2, index[:, None].expand(-1, channels, -1)).unflatten(2, (4, height * width)).unbind(2)
    upper, lower = torch.lerp(corners[0], corners[1], right), torch.lerp(corners[2], corners[3], right)
    return torch.lerp(upper, lower, down).reshape(x.shape)


def _reflected(place: Tensor, side: int) -> Tensor:
    """Places reflected into [0, side - 1] at the first and last pixel's middle, so that no border shows; whole numbers stay whole."""
    if side == 1:
        return torch.zeros_like(place)
    last = float(side - 1)
    place = place - 2 * last * (place / (2 * last)).floor()
    return last - (place - last).abs()


def _coloured(x: Tensor, p: float | Tensor, coin: Tensor, g: Tensor) -> Tensor:
    """Brightness, contrast and saturation; the opacity of RGBA stays, and grey has no saturation."""
    used = coin < p
    brightness, contrast, saturation = (part[:, None, None, None] for part in (g * used).unbind(1))
    colours = x[:, :3] if x.shape[1] == 4 else x
    out = (colours + 0.2 * brightness) * torch.exp2(0.5 * contrast)
    if out.shape[1] > 1:
        grey = out.mean(1, keepdim=True)
        # Written as a sum so that an unused coin leaves the picture exact.
        out = out + (torch.exp2(saturation) - 1) * (out - grey)
    return torch.cat([out, x[:, 3:]], 1) if x.shape[1] == 4 else out


def _cut(x: Tensor, p: float | Tensor, u: Tensor) -> Tensor:
    """A box of half the height and width about an even place, set to 0, the middle of the range."""
    used = (u[:, 0] < p)[:, None]
    inside = []
    for k, side in ((1, x.shape[2]), (2, x.shape[3])):
        place = (torch.arange(side, device=x.device) + 0.5) / side
        inside.append((place - u[:, k : k + 1]).abs() < 0.25)
    keep = ~(used[:, :, None] & inside[0][:, :, None] & inside[1][:, None, :])
    return x * keep[:, None].to(x.dtype)


class Lens(nn.Module):
    """A critic that sees its pictures through `bend`: calls, and its own methods, whose first argument is a batch [n, C, H, W] or [n, T, C, H, W].

    A method that compares, whose first two arguments are batches of one shape, sees both bent alike. Parameters and every other attribute
    are the critic's own. Made anew for each turn; nothing outside a turn sees it.
    """

    def __init__(self, critic: nn.Module, bend: Callable[..., Tensor]) -> None:
        super().__init__()
        self.critic = critic
        self.bend = bend
        self.training = critic.training

    def forward(self, x: Any, *rest: Any, **named: Any) -> Any:
        """The critic's answer to the bent pictures."""
        return self.critic(self._bent(x), *rest, **named)

    def _bent(self, x: Any) -> Any:
        return self.bend(x) if _picture(x) else x

    def __getattr__(self, name: str) -> Any:
        if name in ("critic", "bend", "_modules"):
            return super().__getattr__(name)
        found = getattr(self.critic, name)
        if not (inspect.ismethod(found) and found.__self__ is self.critic):
            return found

        def method(x: Any = None, *rest: Any, **named: Any) -> Any:
            if rest and _picture(x) and _picture(rest[0]) and x.shape == rest[0].shape:
                return found(*self.bend(torch.cat([x, rest[0]]), alike=2).chunk(2), *rest[1:], **named)
            return found(*([] if x is None else [self._bent(x)]), *rest, **named)

        return method


def _picture(x: Any) -> bool:
    return isinstance(x, Tensor) and x.dim() in (4, 5) and x.is_floating_point()
