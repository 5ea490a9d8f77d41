"""Many processes as one: the only file that knows torch.distributed. On a single process every function is a no-op.

`torchrun` is the launcher: it sets RANK, WORLD_SIZE and LOCAL_RANK. Gradients are averaged by one flat all-reduce after all backward passes,
which is indifferent to penalties with double backward (DDP is not; see docs/decisions/0003).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor


def start(device: str) -> None:
    """Join the other processes if torchrun started more than one: NCCL on CUDA, gloo elsewhere."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        if device == "cuda":
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        # The others wait while process 0 takes scores, which may train a classifier or read a large reference; torchrun ends orphans.
        dist.init_process_group("nccl" if device == "cuda" else "gloo", timeout=timedelta(hours=6))


def stop() -> None:
    """Leave the group."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    """This process's number, 0-based."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else int(os.environ.get("RANK", "0"))


def size() -> int:
    """How many processes play."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def is_main() -> bool:
    """True on the process that writes files and prints."""
    return rank() == 0


def barrier() -> None:
    """Wait for every process."""
    if size() > 1:
        dist.barrier()


@torch.no_grad()
def mean_(tensors: Sequence[Tensor]) -> None:
    """Average the tensors over all processes, in place, by one all-reduce per type."""
    world = size()
    if world == 1 or not tensors:
        return
    for dtype in sorted({t.dtype for t in tensors}, key=str):  # a set's order differs between processes
        same = [t for t in tensors if t.dtype == dtype]
        flat = torch.cat([t.reshape(-1) for t in same])
        dist.all_reduce(flat)
        flat /= world
        offset = 0
        for t in same:
            t.copy_(flat[offset : offset + t.numel()].view(t.shape))
            offset += t.numel()


@torch.no_grad()
def sum_(tensors: Sequence[Tensor]) -> None:
    """Add the tensors over all processes, in place."""
    if size() > 1:
        for t in tensors:
            dist.all_reduce(t)


@torch.no_grad()
def broadcast_(tensors: Sequence[Tensor]) -> None:
    """Copy the tensors of process 0 to all, in place."""
    if size() > 1:
        for t in tensors:
            contiguous = t.contiguous()
            dist.broadcast(contiguous, 0)
            t.copy_(contiguous)


def any_true(flag: bool) -> bool:
    """True on every process if it is true on one."""
    if size() == 1:
        return flag
    vote = torch.tensor(float(flag), device="cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.all_reduce(vote, dist.ReduceOp.MAX)
    return bool(vote.item())
