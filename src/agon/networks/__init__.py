"""Network families, a file each: frozen dataclasses of hyperparameters that build a generator and a critic for any space they can serve.

A family has a `kind` and these methods; a new file with such a dataclass is found by itself and can be named on the command line
(`--game.net KIND`, `--game.net.width 32`):

    generator(z_dim, space)       a module z [n, z_dim], y -> [n, *space.shape]
    critic(space, head=…)         a module x [n, *space.shape], y -> logits [n]
    couples_samples               whether the critic uses statistics of its batch, so that penalties on single samples are ill-defined

and, where they hold, these marks, which tell what losses and penalties go with the network: `spectral` (spectral normalisation bounds the
critic's slope), `unbindable` (why it cannot have it, in words), `styled` (the generator is style-based), `draws` (the critic has
`reconstruct`), `any_shape` (not only pictures), `conditional = False` (no place for a condition).

Style-based generators also have `mapping(z, y) -> w [n, w_dim]`, `synthesis(w [n, w_dim] or [n, num_layers, w_dim]) -> x` and `num_layers`; critics
with the head "auxiliary" have `classify(x) -> (logits [n], guesses [n, k])`. The condition y is required exactly when the space has one.

Networks for clips are in `agon.networks.clips`.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import TYPE_CHECKING, Any, Protocol, Union

from agon.layers.labels import Head
from agon.networks.biggan import BigGAN
from agon.networks.dcgan import DCGAN, PeerDCGAN
from agon.networks.fastgan import FastGAN
from agon.networks.mlp import MLP
from agon.networks.r3 import R3Lean, R3Paper
from agon.networks.sagan import SAGAN
from agon.networks.sngan import SNResNet
from agon.networks.stylegan2 import StyleGAN2

__all__ = [
    "DCGAN", "MLP", "SAGAN", "BigGAN", "FastGAN", "Head", "Network", "PeerDCGAN", "R3Lean", "R3Paper", "SNResNet", "StyleGAN2", "families",
]  # fmt: skip


def families() -> list[type[Any]]:
    """Every family in this folder: dataclasses with `kind`, `generator` and `critic`."""
    found: list[type[Any]] = []
    for name in sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.ispkg):
        module = importlib.import_module(f"{__name__}.{name}")
        found += [
            c for c in vars(module).values()
            if inspect.isclass(c) and c.__module__ == module.__name__ and all(hasattr(c, word) for word in ("kind", "generator", "critic"))
        ]  # fmt: skip
    return found


if TYPE_CHECKING:

    class Network(Protocol):
        """Any family."""

        @property
        def kind(self) -> str: ...
        @property
        def couples_samples(self) -> bool: ...
        def generator(self, z_dim: int, space: Any) -> Any: ...
        def critic(self, space: Any, head: Head = "projection") -> Any: ...
else:
    Network = Union[tuple(families())]
