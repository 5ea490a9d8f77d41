"""Spectral normalisation: a weight divided by its largest singular value, so that the layer is 1-Lipschitz.

Miyato et al. 2018, arXiv:1802.05957, algorithm 1: one power iteration per update of the weight, the singular vectors kept from
one update to the next and treated as constants by the gradient (eq. 12).

*Differs* from `torch.nn.utils.parametrizations.spectral_norm`, which iterates at every forward pass in training mode. There two
halves of a batch do not equal the whole, and a look at the critic between two rounds (a log, a picture) changes the run. Here the
vector moves once for every new value of the weight, however often and by whom the layer is called: a mark of the weight is kept
beside the vector, both are saved, and no step waits for the device. Inside `torch.func.grad` (the penalties), where nothing captured may be
written and torch's own version fails, the new vector is used and not kept; the next plain call, at the latest the generator's turn, keeps it.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

ModuleT = TypeVar("ModuleT", bound=nn.Module)

_BITS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def mark(weight: Tensor) -> Tensor:
    """A whole number that changes when the weight does: the sum of its bits read as integers, exact in any order of summing."""
    return weight.detach().view(_BITS[weight.element_size()]).sum(dtype=torch.int64)


class Spectral(nn.Module):
    """W → W/σ with σ = uᵀWv. rows: the axis of W that counts outputs; W is flattened to [outputs, everything else]."""

    u: Tensor
    seen: Tensor

    def __init__(self, weight: Tensor, *, rows: int = 0, iterations: int = 15) -> None:
        super().__init__()
        self.rows = rows
        matrix = self._matrix(weight.detach())
        u = F.normalize(torch.randn(len(matrix), dtype=weight.dtype, device=weight.device), dim=0)
        for _ in range(iterations):
            u = _iterate(matrix, u)
        self.register_buffer("u", u)
        self.register_buffer("seen", mark(weight))

    def _matrix(self, weight: Tensor) -> Tensor:
        return weight.transpose(0, self.rows).flatten(1)

    def forward(self, weight: Tensor) -> Tensor:
        """The normalised weight, of the same shape."""
        return weight / self.sigma(weight)

    def sigma(self, weight: Tensor) -> Tensor:
        """The estimate of the largest singular value, a scalar differentiable in the weight."""
        matrix = self._matrix(weight)
        with torch.no_grad():
            fixed = matrix.detach()
            u = self.u.clone()
            if self.training:
                now = mark(weight)
                u = torch.where(now == self.seen, u, _iterate(fixed, u))
                if not torch._C._are_functorch_transforms_active():
                    self.u.copy_(u)
                    self.seen.copy_(now)
            v = _towards(fixed, u)
        # Elementwise products, not matrix products: those would run in 16 bits under mixed precision.
        return ((matrix * v).sum(1) * u).sum()


def _towards(matrix: Tensor, u: Tensor) -> Tensor:
    return F.normalize((matrix * u[:, None]).sum(0), dim=0)


def _iterate(matrix: Tensor, u: Tensor) -> Tensor:
    return F.normalize((matrix * _towards(matrix, u)).sum(1), dim=0)


def spectral(module: ModuleT) -> ModuleT:
    """Normalise the `weight` of a convolution, linear map or embedding, and return the module. Call it after initialising."""
    rows = 1 if isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d) else 0
    return parametrize.register_parametrization(module, "weight", Spectral(module.weight, rows=rows), unsafe=True)  # type: ignore[return-value, arg-type]


def spectral_(root: nn.Module, *, embeddings: bool = True, leave: tuple[type[nn.Module], ...] = ()) -> None:
    """Normalise every convolution, linear map and (with `embeddings`) table inside `root`, except inside modules of the types `leave`."""
    kinds = (nn.modules.conv._ConvNd, nn.Linear, *((nn.Embedding,) if embeddings else ()))
    for module in list(root.children()):
        if isinstance(module, leave):
            continue
        if isinstance(module, kinds):
            spectral(module)
        else:
            spectral_(module, embeddings=embeddings, leave=leave)
