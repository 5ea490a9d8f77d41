"""Inception-V3 up to Mixed_6e as the FID network of 2015-12-05 has it. Szegedy et al. 2015, arXiv:1512.00567.

Differs from the usual Inception-V3 where the FID graph (Heusel et al. 2017, arXiv:1706.08500) does: average pools of the A and C blocks
do not count padding, pictures are brought to 299×299 by TensorFlow 1's bilinear rule, and values become (x − 128) / 128. Batch norm is
folded into the convolutions: y = relu(conv(x) + b).

The weights are a file of 70 convolutions that ends at Mixed_6e, whose channel means are the 768 features of `pytorch-fid --dims 768`; the
2048 features of the full network, and so the published FID and Inception Score, are not supported.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from agon.errors import InputError
from agon.metrics.cache import digest
from agon.metrics.contract import Features

SIDE, DIM = 299, 768
WEIGHTS_NAME = "inception_2015_12_05_to_mixed6e_folded.npz"
WEIGHTS_SHA256 = "9cdfd9ff0859e157caec5b8dfd65a8d82147e2d1a47b9636c03f8c94a1ffa7c6"
VARIABLE = "AGON_INCEPTION"
_NUM_LAYERS = 70

# stride, padding of the convolutions that have any, by the end of their name
_STRIDED = {"Conv2d_1a_3x3", "Mixed_6a.branch3x3", "Mixed_6a.branch3x3dbl_3"}
_UNPADDED = {"Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_4a_3x3", "Mixed_6a.branch3x3", "Mixed_6a.branch3x3dbl_3"}


def find_weights(path: Path | str | None) -> Path:
    """The weights file: `path`, or the environment's AGON_INCEPTION. Raises InputError saying which file is needed."""
    named = path or os.environ.get(VARIABLE)
    wanted = f"{WEIGHTS_NAME} (sha256 {WEIGHTS_SHA256})"
    if not named:
        raise InputError(
            f"extractor 'inception' needs its weights, and Agon downloads nothing; expected the file {wanted}. "
            f"Pass --extractor-weights PATH, or set {VARIABLE}=PATH."
        )
    file = Path(named).expanduser()
    if not file.is_file():
        raise InputError(f"the Inception weights '{file}' are not a file; expected {wanted}. Pass --extractor-weights PATH.")
    return file


def load_weights(path: Path | str | None) -> dict[str, Tensor]:
    """Weights [out, in, kh, kw] and biases [out] by layer, float32, from the pinned file. Raises InputError on any other file."""
    file = find_weights(path)
    raw = file.read_bytes()
    found = hashlib.sha256(raw).hexdigest()
    if found != WEIGHTS_SHA256:
        raise InputError(
            f"the Inception weights '{file}' have sha256 {found}; expected {WEIGHTS_SHA256} ({WEIGHTS_NAME}). "
            "Other weights give other figures: use the pinned file."
        )
    with np.load(file, allow_pickle=False) as arrays:
        tensors = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    assert len(tensors) == 2 * _NUM_LAYERS, f"{len(tensors)} arrays"
    return tensors


def forward(weights: Mapping[str, Tensor], x: Tensor, upto: int = DIM) -> dict[int, Tensor]:
    """float32 [n, 3, 299, 299] in [-1, 1] -> channel means by width, {64: [n, 64], 192: [n, 192], 768: [n, 768]}, as far as `upto`."""

    def conv(name: str, x: Tensor) -> Tensor:
        weight = weights[f"{name}.weight"]
        padding = (0, 0) if name in _UNPADDED else (weight.shape[2] // 2, weight.shape[3] // 2)
        return functional.conv2d(x, weight, weights[f"{name}.bias"], 2 if name in _STRIDED else 1, padding).relu_()

    def chain(names: list[str], x: Tensor) -> Tensor:
        for name in names:
            x = conv(name, x)
        return x

    def pooled(name: str, x: Tensor) -> Tensor:
        return conv(f"{name}.branch_pool", functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False))

    found = {}
    x = chain(["Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3"], x)
    x = functional.max_pool2d(x, 3, 2)
    found[64] = x.mean((2, 3))
    if upto == 64:
        return found
    x = functional.max_pool2d(chain(["Conv2d_3b_1x1", "Conv2d_4a_3x3"], x), 3, 2)
    found[192] = x.mean((2, 3))
    for block in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
        five = chain([f"{block}.branch5x5_{k}" for k in (1, 2)], x)
        three = chain([f"{block}.branch3x3dbl_{k}" for k in (1, 2, 3)], x)
        x = torch.cat([conv(f"{block}.branch1x1", x), five, three, pooled(block, x)], 1)
    three = chain([f"Mixed_6a.branch3x3dbl_{k}" for k in (1, 2, 3)], x)
    x = torch.cat([conv("Mixed_6a.branch3x3", x), three, functional.max_pool2d(x, 3, 2)], 1)
    for block in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
        seven = chain([f"{block}.branch7x7_{k}" for k in (1, 2, 3)], x)
        double = chain([f"{block}.branch7x7dbl_{k}" for k in (1, 2, 3, 4, 5)], x)
        x = torch.cat([conv(f"{block}.branch1x1", x), seven, double, pooled(block, x)], 1)
    found[768] = x.mean((2, 3))
    return found


def resize_tf1(x: Tensor, height: int, width: int) -> Tensor:
    """Bilinear resize of TensorFlow 1 with align_corners=False and no half-pixel centres: float32 [n, C, h, w] -> [n, C, height, width].

    Output pixel i reads at i·(h / height): the FID graph's own rule, neither antialiased nor centred.
    """

    def taps(size: int, goal: int) -> tuple[Tensor, Tensor, Tensor]:
        at = torch.arange(goal, dtype=torch.float32, device=x.device) * (size / goal)
        low = at.floor()
        return low.long(), (low.long() + 1).clamp_max(size - 1), at - low

    if x.shape[2:] == (height, width):
        return x
    top, bottom, down = taps(x.shape[2], height)
    left, right, across = taps(x.shape[3], width)
    rows = x[:, :, :, left] + (x[:, :, :, right] - x[:, :, :, left]) * across
    return rows[:, :, top] + (rows[:, :, bottom] - rows[:, :, top]) * down[:, None]


def resize_clean(x: Tensor, height: int, width: int) -> Tensor:
    """Antialiased bicubic resize by Pillow, channel by channel in float, clipped to 0..255. Parmar et al. 2022, arXiv:2104.11222."""
    from PIL import Image

    if x.shape[2:] == (height, width):
        return x
    flat = x.cpu().numpy().reshape(-1, *x.shape[2:])
    resized = [np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC)) for plane in flat]
    return torch.from_numpy(np.stack(resized)).clamp_(0, 255).reshape(*x.shape[:2], height, width).to(x.device)


def as_rgb(x: Tensor) -> Tensor:
    """Float pictures in 0..255 with 1, 3 or 4 channels -> 3 channels: grey is repeated, transparency is laid on white."""
    if x.shape[1] == 1:
        return x.expand(-1, 3, -1, -1)
    if x.shape[1] == 4:
        alpha = x[:, 3:] / 255
        return x[:, :3] * alpha + 255 * (1 - alpha)
    return x


@dataclass
class Inception:
    """The network as an extractor of 768 features."""

    weights: dict[str, Tensor]
    hash: str
    name: str
    resize: str
    device: torch.device
    dim: int = DIM
    num_classes: int = 0
    note: str = ""

    def __call__(self, x: Tensor) -> Features:
        """uint8 [n, C, H, W] -> features [n, 768]."""
        with torch.no_grad():
            pictures = as_rgb(x.to(self.device).float())
            pictures = (resize_clean if "antialiased" in self.resize else resize_tf1)(pictures, SIDE, SIDE)
            pictures = ((pictures - 128) / 128).contiguous(memory_format=torch.channels_last)
            return Features(torch.cat([forward(self.weights, part)[DIM] for part in pictures.split(50)]).cpu().double())


def open_inception(path: Path | str | None, *, clean: bool = False, device: torch.device | str = "cpu") -> Inception:
    """The extractor "inception-fd768" ("inception-clean-fd768" with an antialiased resize). Raises InputError without the weights."""
    device = torch.device(device)
    weights = load_weights(path)
    kind = "inception-clean" if clean else "inception"
    resize = "299 antialiased bicubic" if clean else "299 tf1-bilinear"
    mark = digest(kind, WEIGHTS_SHA256)
    moved = {k: v.to(device, memory_format=torch.channels_last) if v.ndim == 4 else v.to(device) for k, v in weights.items()}
    return Inception(moved, mark, f"{kind}-fd{DIM}", resize, device)
