"""Networks for sentences, a file each: speakers and critics are chosen apart. A new file with such a dataclass is found by itself.

A speaker says a sentence token by token. It is a frozen dataclass with a `kind` and

    speaker(space)                      a module
    couples_samples                     whether it uses statistics of its batch

Its module has

    length                              L, how long sentences can be
    embed(tokens [...])                 vectors [..., e] of int64 tokens; of soft ones float [..., V] the mixture
    hidden(told [n, L, e], y)           features [n, L, d], those at t from told[:, : t + 1] alone; told[:, 0] is the embedding of PAD, the start
    read(h [..., d])                    logits [..., V]; what can never be said has NEVER; read.score(h [m, d], tokens [m]) is the log softmax at
                                        these tokens [m], without keeping the logits, and smoothed with a third argument (`layers.tokens.Read`)
    begin(n, y)                         the state before the first token: nested tuples and lists of tensors whose first dimension is n
    step(told [n, e], state)            (features [n, d], the next state); a state is never changed in place
    reorder(state, rows int64 [n])      the state of other sentences of the same conditions, for beams; left out, everything is gathered
    forward(tokens [n, L], y)           logits [n, L, V], those at t from the tokens before t alone
    looks(tokens [n, L], y)             where it looked in the source at each token, [n, L, S]; of those that attend to one

y is the condition as everywhere (`layers.labels`), or source sentences int64 [n, source.length] (`takes_source`).

A critic judges sentences. It is a frozen dataclass with a `kind` and

    critic(space, each=False)           a module x, y, mask → logits [n], or with `each` [n, L], those at t from x[:, : t + 1] alone. x: tokens int64
                                        [n, L], or soft ones float [n, L, V] with mask bool [n, L]
    couples_samples                     as above

Either may have `not_ready(space)`: why it cannot be built here, in words, asked before a run is begun.

A critic's module has `embed(x)` as above and `judge(e [n, L, e], mask, y)`, so that a slope by the embeddings can be taken.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import TYPE_CHECKING, Any, Protocol, Union

__all__ = ["Critic", "Speaker", "critics", "speakers"]


def speakers() -> list[type[Any]]:
    """Every speaker in this folder."""
    return _found("speaker")


def critics() -> list[type[Any]]:
    """Every critic in this folder."""
    return _found("critic")


def _found(word: str) -> list[type[Any]]:
    found: list[type[Any]] = []
    for name in sorted(m.name for m in pkgutil.iter_modules(__path__)):
        module = importlib.import_module(f"{__name__}.{name}")
        found += [
            c for c in vars(module).values() if inspect.isclass(c) and c.__module__ == module.__name__ and hasattr(c, "kind") and hasattr(c, word)
        ]  # fmt: skip
    return found


if TYPE_CHECKING:

    class Speaker(Protocol):
        """Any speaker."""

        @property
        def kind(self) -> str: ...
        @property
        def couples_samples(self) -> bool: ...
        def speaker(self, space: Any) -> Any: ...

    class Critic(Protocol):
        """Any critic."""

        @property
        def kind(self) -> str: ...
        @property
        def couples_samples(self) -> bool: ...
        def critic(self, space: Any, each: bool = False) -> Any: ...
else:
    Speaker = Union[tuple(speakers())]
    Critic = Union[tuple(critics())]
