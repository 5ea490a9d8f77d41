"""What a computation costs in floating-point operations, counted as it runs."""

from __future__ import annotations

from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class Counted(TorchDispatchMode):
    """`with Counted() as counted: …` leaves in counted.flops what matrix products, convolutions and attention cost there, forward and backward.

    A multiplication and an addition are two operations; what is done element by element is left out, as is usual of model FLOPs. The formulas
    are torch's; its own FlopCounterMode follows modules by hooks of the backward pass, which gradients of gradients do not survive.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if (formula := flop_registry.get(func._overloadpacket)) is not None:
            self.flops += formula(*args, **(kwargs or {}), out_val=out)
        return out
