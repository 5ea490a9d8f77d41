"""LPIPS v0.1 on SqueezeNet 1.1: a learned perceptual distance of two pictures. Zhang et al. 2018, arXiv:1801.03924, sec. 3.

    d(x, y) = Σ_l  1/(H_l W_l) Σ_hw ‖ w_l ⊙ (ŷ_l − x̂_l) ‖²,   features ŷ_l of unit length over channels at each place

The network is SqueezeNet 1.1 (Iandola et al. 2016, arXiv:1602.07360) up to its last fire module, looked at in seven places; w_l ≥ 0 are the
authors' linear layers. Weights come from two local files, a folder given by AGON_LPIPS: `squeezenet1_1_features_torchvision.pth` and
`lpips_v0.1/squeeze.pth` (or `squeeze.pth`). Pure functions of tensors: differentiable, so a projection may descend on it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from agon.errors import InputError
from agon.metrics.cache import digest

VARIABLE = "AGON_LPIPS"
BACKBONE, LINEAR = "squeezenet1_1_features_torchvision.pth", ("lpips_v0.1/squeeze.pth", "squeeze.pth")
SMALLEST = 64  # pixels; smaller pictures are enlarged, or the last layers would see nothing of them
# The scale of ImageNet's statistics for pictures in [-1, 1].
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_FIRES = (3, 4, 6, 7, 9, 10, 11, 12)
_POOLS_BEFORE = (3, 6, 9)
_LOOKED = (0, 4, 7, 9, 10, 11, 12)  # after the first convolution, before the two later pools, after each of the last fire modules


@dataclass
class LPIPS:
    """The distance and its weights; `hash` is of both files' numbers."""

    backbone: dict[str, Tensor]
    linear: list[Tensor]
    hash: str
    name: str = "LPIPS-squeeze v0.1"

    def to(self, device: torch.device | str) -> LPIPS:
        """The same on another device."""
        return LPIPS({k: v.to(device) for k, v in self.backbone.items()}, [w.to(device) for w in self.linear], self.hash, self.name)

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Distances [n] of pictures [n, 3, H, W] in [-1, 1], at least 17 pixels a side."""
        total = x.new_zeros(len(x))
        for a, b, weight in zip(self.features(x), self.features(y), self.linear, strict=True):
            total = total + functional.conv2d((_unit(a) - _unit(b)).square(), weight).mean((1, 2, 3))
        return total

    def features(self, x: Tensor) -> list[Tensor]:
        """The seven feature maps of pictures [n, 3, H, W] in [-1, 1]."""
        x = (x - x.new_tensor(_SHIFT)[None, :, None, None]) / x.new_tensor(_SCALE)[None, :, None, None]
        x = functional.conv2d(x, self.backbone["0.weight"], self.backbone["0.bias"], stride=2).relu()
        found = [x]
        for index in _FIRES:
            if index in _POOLS_BEFORE:
                x = functional.max_pool2d(x, 3, 2, ceil_mode=True)
            x = self._fire(x, index)
            if index in _LOOKED:
                found.append(x)
        return found

    def _fire(self, x: Tensor, index: int) -> Tensor:
        """Squeeze to few channels, expand by 1×1 and 3×3."""

        def convolved(x: Tensor, part: str, padding: int = 0) -> Tensor:
            return functional.conv2d(
                x, self.backbone[f"{index}.{part}.weight"], self.backbone[f"{index}.{part}.bias"], padding=padding
            ).relu()

        x = convolved(x, "squeeze")
        return torch.cat([convolved(x, "expand1x1"), convolved(x, "expand3x3", 1)], 1)

    def bytes_distance(self, x: Tensor, y: Tensor) -> Tensor:
        """Distances [n] of pictures float [n, 1, 3 or 4 channels, H, W] in 0..255; small ones are enlarged to 64 pixels first."""
        from agon.metrics.inception import as_rgb

        device = self.backbone["0.weight"].device
        with torch.no_grad():
            a, b = (enlarged(as_rgb(p.to(device).float())) / 127.5 - 1 for p in (x, y))
            return self(a, b)


def enlarged(x: Tensor) -> Tensor:
    """Pictures whose shorter side has at least 64 pixels, bilinear."""
    shorter = min(x.shape[2:])
    if shorter >= SMALLEST:
        return x
    return functional.interpolate(x, scale_factor=SMALLEST / shorter, mode="bilinear", align_corners=False)


def _unit(x: Tensor) -> Tensor:
    return x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)


def open_lpips(folder: Path | str | None = None) -> LPIPS | None:
    """The distance from the weights in `folder` (None: the environment's AGON_LPIPS); None where neither is given.

    Raises InputError if a file is missing or is not these weights.
    """
    given = folder or os.environ.get(VARIABLE)
    if not given:
        return None
    root = Path(given)
    second = next((root / name for name in LINEAR if (root / name).is_file()), root / LINEAR[0])
    for path in (root / BACKBONE, second):
        if not path.is_file():
            raise InputError(f"'{path}' is not there; {VARIABLE} names a folder that holds {BACKBONE} and {LINEAR[0]} (LPIPS v0.1).")
    backbone, linear = _read(root / BACKBONE), _read(second)
    backbone = {name.removeprefix("features."): value for name, value in backbone.items()}
    wanted = {"0.weight", "0.bias"} | {
        f"{i}.{p}.{k}" for i in _FIRES for p in ("squeeze", "expand1x1", "expand3x3") for k in ("weight", "bias")
    }
    heads = [linear.get(f"lin{k}.model.1.weight") for k in range(len(_LOOKED))]
    weights = [head for head in heads if head is not None]
    if not wanted <= set(backbone) or len(weights) != len(heads):
        raise InputError(
            f"the files in '{root}' are not SqueezeNet 1.1 and LPIPS v0.1's squeeze layers; expected {BACKBONE} and {LINEAR[0]}."
        )
    kept = {name: backbone[name] for name in sorted(wanted)}
    return LPIPS(kept, weights, digest(kept, {str(k): w for k, w in enumerate(weights)}))


def _read(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises several classes of its own for files that are not its own
        raise InputError(f"'{path}' cannot be read as weights: {str(error).splitlines()[0]}. Copy it again.") from None
    if not isinstance(content, dict):
        raise InputError(f"'{path}' holds no named weights; expected a state dictionary.")
    return {str(name): value.float() for name, value in content.items() if isinstance(value, Tensor)}
