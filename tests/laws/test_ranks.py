"""What processes must do alike, seen from one of them."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from torch import Tensor

from agon import ranks


def test_types_are_averaged_in_one_order_on_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Collectives are matched by their order, so it must follow from the types and not from where these lie in memory."""
    order: list[torch.dtype] = []

    def twin(flat: Tensor) -> None:
        order.append(flat.dtype)
        flat *= 2

    monkeypatch.setattr(ranks, "size", lambda: 2)
    monkeypatch.setattr("torch.distributed.all_reduce", twin)
    types = [torch.bfloat16, torch.float16, torch.float32, torch.float64]
    for given in permutations(types):
        tensors = [torch.full((2,), 3.0, dtype=dtype) for dtype in given]
        order.clear()
        ranks.mean_(tensors)
        assert order == types
        assert all(t.tolist() == [3.0, 3.0] for t in tensors)
