"""The network of the field's Fréchet video distance: I3D trained on Kinetics-400 (Carreira & Zisserman 2017, arXiv:1705.07750), its 400 logits.

FVD is FD over these (Unterthiner et al. 2018, arXiv:1812.01717). The weights are the TorchScript file that StyleGAN-V publishes (Skorokhodov et
al. 2022, arXiv:2112.14683), which repeats the original's features; they are not Agon's to ship, and Agon downloads nothing. Pre-processing is that
file's own: every frame to 224×224 bilinearly, without antialiasing or cropping, 0..255 to [-1, 1]; grey is repeated. The published protocol takes
2,048 clips of 16 frames on either side; what was taken stands in the stamp. Only the pinned file is opened: TorchScript is a program.
"""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from agon.errors import InputError
from agon.metrics.cache import digest
from agon.metrics.contract import Features
from agon.metrics.inception import as_rgb

VARIABLE = "AGON_I3D"
WEIGHTS_NAME, WEIGHTS_BYTES = "i3d_torchscript.pt", 51_235_320
WEIGHTS_SHA256 = "bec6519f66ea534e953026b4ae2c65553c17bf105611c746d904657e5860a5e2"
SIDE, DIM, LEAST_FRAMES = 224, 400, 10
_AT_ONCE = 8  # clips in a forward pass: 16 frames of 224×224 are 77 MB of floats for eight


def prepare(x: Tensor) -> Tensor:
    """Clips uint8 [n, T, C, H, W] as the network takes them: float32 [n, 3, T, 224, 224] in [-1, 1]."""
    frames = as_rgb(x.flatten(0, 1).float())
    if frames.shape[2:] != (SIDE, SIDE):
        frames = functional.interpolate(frames, (SIDE, SIDE), mode="bilinear", align_corners=False)
    return (frames / 127.5 - 1).unflatten(0, x.shape[:2]).transpose(1, 2).contiguous()


@dataclass
class I3D:
    """The network as an extractor of 400 logits."""

    network: Any
    hash: str
    device: torch.device
    name: str = "i3d-logits400"
    dim: int = DIM
    resize: str = f"{SIDE} bilinear"
    num_classes: int = 0
    note: str = ""

    def __call__(self, x: Tensor) -> Features:
        """uint8 [n, T, C, H, W], T >= 10 -> features [n, 400]. Raises InputError for shorter clips."""
        if x.shape[1] < LEAST_FRAMES:
            raise InputError(
                f"extractor 'i3d' takes clips of {LEAST_FRAMES} frames or more, and these have {x.shape[1]}; use --extractor clips."
            )
        with torch.no_grad():
            # The file's own scaling and resizing are off: `prepare` does the same, for every device and version alike.
            parts = [self.network(prepare(part.to(self.device)), False, False, True) for part in x.split(_AT_ONCE)]
        return Features(torch.cat(parts).cpu().double())


def find_weights(path: Path | str | None) -> Path:
    """The weights file: `path`, or the environment's AGON_I3D. Raises InputError saying which file is needed."""
    named = path or os.environ.get(VARIABLE)
    wanted = f"{WEIGHTS_NAME} of StyleGAN-V ({WEIGHTS_BYTES:,} bytes, sha256 {WEIGHTS_SHA256})"
    if not named:
        raise InputError(
            f"extractor 'i3d' needs its weights, and Agon downloads nothing; expected the file {wanted}. "
            f"Pass --extractor-weights PATH, or set {VARIABLE}=PATH; --extractor clips needs none."
        )
    file = Path(named).expanduser()
    if not file.is_file():
        raise InputError(f"the I3D weights '{file}' are not a file; expected {wanted}. Pass --extractor-weights PATH.")
    return file


def open_i3d(path: Path | str | None, *, device: torch.device | str = "cpu", sha256: str = WEIGHTS_SHA256) -> I3D:
    """The extractor "i3d-logits400". Raises InputError without the weights, or for a file that is not the pinned one."""
    file, device = find_weights(path), torch.device(device)
    raw = file.read_bytes()
    found = hashlib.sha256(raw).hexdigest()
    if found != sha256:
        raise InputError(
            f"the I3D weights '{file}' have sha256 {found}; expected {sha256} ({WEIGHTS_NAME}). "
            "Other weights give other figures, and TorchScript is a program: only the pinned file is opened."
        )
    network = torch.jit.load(io.BytesIO(raw), map_location=device).eval()
    return I3D(network, digest("i3d-1", sha256), device)
