"""Files that can be made again: named by a hash of what decides them, checked on reading, remade when damaged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from agon.records import atomic_write, write_safetensors

Say = Callable[[str, str], None]


def digest(*parts: str | Mapping[str, Tensor], length: int = 12) -> str:
    """Hex digits over texts and named tensors (names, types, shapes and every byte)."""
    running = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            running.update(part.encode() + b"\0")
            continue
        for name in sorted(part):
            tensor = part[name].detach().cpu().contiguous()
            running.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
            running.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return running.hexdigest()[:length]


def read_tensors(path: Path, say: Say | None = None) -> tuple[dict[str, Tensor], dict[str, str]] | None:
    """Tensors and metadata written by `write_tensors`; None when there is no such file or it is damaged (then it says so)."""
    from safetensors import safe_open

    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            rest = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        if digest(tensors) == rest.get("digest"):
            return tensors, rest
        reason = "its content does not match its own checksum"
    except Exception as error:  # safetensors raises a class of its own for damaged files, and OSError for unreadable ones
        reason = str(error)
    if say:
        say("cache", f"{path.name} is damaged and will be made again: {reason}")
    return None


def write_tensors(path: Path, tensors: Mapping[str, Tensor], rest: Mapping[str, str], say: Say | None = None) -> None:
    """Write tensors, their checksum and metadata; a folder that cannot be written costs time at the next use, not the run."""
    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        write_safetensors(path, flat, {**rest, "digest": digest(flat)})
    except OSError as error:
        _told(path, error, say)


def read_numbers(path: Path) -> dict[str, float] | None:
    """Named numbers written by `write_numbers`; None when there is no such file or it is damaged."""
    try:
        content = json.loads(path.read_text("utf-8"))
        return {str(name): float(value) for name, value in content.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return None


def write_numbers(path: Path, numbers: Mapping[str, float], say: Say | None = None) -> None:
    """Write named numbers."""
    try:
        atomic_write(path, json.dumps(dict(numbers)))
    except OSError as error:
        _told(path, error, say)


def _told(path: Path, error: OSError, say: Say | None) -> None:
    if say:
        say("cache", f"cannot write {path}: {error.strerror or error}; it will be made again next time")
