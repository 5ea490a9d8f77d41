"""Networks for clips, a file each: generators and critics are chosen apart. A new file with such a dataclass is found by itself.

A generator is a frozen dataclass with a `kind` and

    generator(z_dim, space, first=False)   a module; first: it is given the first frame of each clip (only where `takes_first`)
    couples_samples                        whether it uses statistics of its batch

Its module has

    frames                                 T, the length it was built for
    noise_shape(frames)                    shape of the motion noise of one clip of that length
    fixed_length                           whether it makes clips of T frames only
    continuous                             whether fractional positions mean something (missing: no); `long` then takes step=1.0, the
                                           distance in time of two frames
    forward(z [n, z_dim], e [n, *noise_shape(T)], y, *, first=None, at=None, copy=True)
                                           frames [n, T, C, H, W] in [-1, 1], or those at positions [n, k] (whole numbers, or floats between two
                                           frames); first [n, C, H, W] is copied to position 0 unless copy is False
    long(z, dice, frames, y, *, first=None, chunk=16)
                                           a clip of any length in parts [n, t, C, H, W] of at most `chunk` frames, in constant memory;
                                           dice(block, *shape) is noise [n, *shape], a pure function of the block
    with_terms(z, e, y, at)                only where the generator has a loss of its own: (frames, {name: scalar to add to it})
    anywhere(z, dice, at, y, *, first=None)
                                           only with random access of an endless clip: its frames at times [k], as `long` plays them

A critic is a frozen dataclass with a `kind` and

    critic(space, head)                    a module x [n, k, C, H, W], y, gaps [n, k − 1] → logits [n], or [n, P] for P patches; with the
                                           head "auxiliary" it has `classify(x, gaps) -> (logits, guesses [n, K])`
    guesses                                False: it has no `classify`
    view(p, n, frames)                     which frames it sees, int64 [n, k] drawn from the dice of `p`; None: all of them
    shrink(x)                              what it does to the frames before it looks at them, such as averaging over 2x2 pixels
    couples_samples, spectral              as for networks of pictures
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import TYPE_CHECKING, Any, Protocol, Union

from torch import Tensor

from agon.layers.labels import Head

__all__ = ["ClipCritic", "ClipGenerator", "critics", "generators"]


def generators() -> list[type[Any]]:
    """Every generator in this folder: dataclasses with `kind` and `generator`."""
    return _found("generator")


def critics() -> list[type[Any]]:
    """Every critic in this folder: dataclasses with `kind`, `critic`, `view` and `shrink`."""
    return _found("critic", "view", "shrink")


def _found(*words: str) -> list[type[Any]]:
    found: list[type[Any]] = []
    for name in sorted(m.name for m in pkgutil.iter_modules(__path__)):
        module = importlib.import_module(f"{__name__}.{name}")
        found += [
            c for c in vars(module).values()
            if inspect.isclass(c) and c.__module__ == module.__name__ and all(hasattr(c, word) for word in ("kind", *words))
        ]  # fmt: skip
    return found


if TYPE_CHECKING:

    class ClipGenerator(Protocol):
        """Any generator of clips."""

        @property
        def kind(self) -> str: ...
        @property
        def couples_samples(self) -> bool: ...
        def generator(self, z_dim: int, space: Any, first: bool = False) -> Any: ...

    class ClipCritic(Protocol):
        """Any critic of clips."""

        @property
        def kind(self) -> str: ...
        @property
        def couples_samples(self) -> bool: ...
        def critic(self, space: Any, head: Head = "projection") -> Any: ...
        def view(self, p: Any, n: int, frames: int) -> Tensor | None: ...
        def shrink(self, x: Tensor) -> Tensor: ...
else:
    ClipGenerator = Union[tuple(generators())]
    ClipCritic = Union[tuple(critics())]
