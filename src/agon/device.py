"""The machine a run uses: device and precision, each with the reason it was chosen, and what a figure was made with."""

from __future__ import annotations

import platform
import sys
import time
from dataclasses import dataclass
from typing import Any

import torch

from agon import ranks
from agon.errors import InputError, suggest


@dataclass(frozen=True)
class Choice:
    """A derived setting and why it was chosen."""

    value: str
    reason: str


def choose_device(asked: str = "auto") -> Choice:
    """cuda, mps or cpu, as asked or as found."""
    found = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if asked == "auto":
        missing = "no CUDA or MPS device found" if found == "cpu" else "found on this machine"
        return Choice(found, missing)
    if asked not in ("cpu", "cuda", "mps"):
        raise InputError(f"device '{asked}' is unknown; expected auto, cpu, cuda or mps.{suggest(asked, ['auto', 'cpu', 'cuda', 'mps'])}")
    if asked != "cpu" and asked != found:
        raise InputError(f"device '{asked}' was asked for, but this machine offers {found}. Use --device {found} or --device auto.")
    return Choice(asked, "asked for")


def choose_precision(device: str, asked: str = "auto") -> Choice:
    """fp32 or bf16 (autocast), as asked or by device."""
    if asked not in ("auto", "fp32", "bf16"):
        raise InputError(f"precision '{asked}' is unknown; expected auto, fp32 or bf16.{suggest(asked, ['auto', 'fp32', 'bf16'])}")
    if asked != "auto":
        return Choice(asked, "asked for")
    if device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return Choice("bf16", "this GPU has bf16 units; weights and penalties' sums stay fp32")
    if device == "cpu":
        return Choice("fp32", "bf16 autocast is slower than fp32 on CPUs (measured 0.45x without bf16 units)")
    return Choice("fp32", f"no bf16 units known on this {device} device")


def finest(device: torch.device) -> torch.dtype:
    """The finest floating type a device has: float64, but for Apple's GPUs, which end at float32."""
    return torch.float32 if device.type == "mps" else torch.float64


def cpu_seconds() -> float:
    """Processor time this process has used, all threads."""
    return time.process_time()


def wait(device: torch.device) -> None:
    """Return when a device has done what it was given, so that a clock read next tells the work and not its launch."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def memory_mb(device: torch.device) -> float:
    """Peak memory in MiB: the device's own on CUDA, resident memory elsewhere."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def environment(device: str, precision: str) -> dict[str, Any]:
    """What a figure was made with."""
    from importlib.metadata import version

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "agon": version("agon-gan"),
        "platform": platform.platform(),
        "cpu": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "precision": precision,
        "ranks": ranks.size(),
    }
