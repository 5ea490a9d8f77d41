"""Layers whose gradients are differentiated again: fused ones step aside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel


@contextmanager
def twice_differentiable(player: nn.Module) -> Iterator[None]:
    """Within the block the gradients of what `player` computes have gradients on every device; those of fused attention and of cuDNN's recurrences have none.

    cuDNN stays on for players without recurrences, whose convolutions are faster with it.
    """
    recurs = any(isinstance(module, nn.RNNBase) for module in player.modules())
    with sdpa_kernel(SDPBackend.MATH), torch.backends.cudnn.flags(enabled=False) if recurs else nullcontext():
        yield
