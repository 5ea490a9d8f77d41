"""What a loss and its penalties see of one turn: samples, logits and slopes, each computed once however many ask for it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from agon.game import Batch, Clock, Players
from agon.penalties import input_gradient

Where = Literal["real", "fake"]


class View:
    """One turn of a game of G against D, on one (micro)batch.

    draw: makes the fakes [n, *shape], called at most once; latents: fresh latents for a penalty that needs its own.
    sloped: where the critic's input gradient will be asked for, so that logits and slopes come from one forward pass; with both places
        and `joint`, reals and fakes pass as one batch of 2n and cost one double backward.
    joint: False for critics that couple the samples of a batch. classify: the critic has a second head, `D.classify(x)`.
    critic: instead of the player D. beside: what it is told of each sample, real and fake alike, after the condition.
    """

    def __init__(
        self, p: Players, real: Batch, t: Clock, draw: Callable[[], Tensor], latents: Callable[[], Tensor], *,
        sloped: Collection[Where] = (), joint: bool = True, classify: bool = False, critic: Any = None, beside: tuple[Tensor | None, ...] = (),
    ) -> None:  # fmt: skip
        self.p, self.real, self.t, self.latents = p, real, t, latents
        self._critic: Any = p.D if critic is None else critic  # may have `classify`
        self._beside = beside
        self._draw, self._sloped, self._joint, self._classify = draw, frozenset(sloped), joint, classify
        self._seen: dict[Where, tuple[Tensor, Tensor | None, Tensor | None]] = {}

    @property
    def x(self) -> Tensor:
        """The real samples [n, *shape]."""
        return self.real["x"]

    @property
    def y(self) -> Tensor | None:
        """The conditions of reals and fakes alike, if there are any."""
        return self.real.get("y")

    @cached_property
    def fake(self) -> Tensor:
        """The turn's fakes [n, *shape], drawn for the same conditions as the reals."""
        return self._draw()

    def logits(self, where: Where) -> Tensor:
        """The critic's logits [n]."""
        return self._look(where)[0]

    def says(self, where: Where) -> Tensor:
        """The second head's logits [n, k] of the condition."""
        found = self._look(where)[1]
        assert found is not None, "only asked for where the critic has a second head"
        return found

    def slope(self, where: Where) -> Tensor:
        """∇C [n, *shape] of each sample's logit by the sample itself."""
        found = self._look(where)[2]
        return self.slope_at(self.x if where == "real" else self.fake)[0] if found is None else found

    def slope_at(self, points: Tensor) -> tuple[Tensor, Any]:
        """∇C at points of one's own [n, *shape], and what the critic says there."""
        return self._sloped_at(points, self.y, self._beside)

    def _look(self, where: Where) -> tuple[Tensor, Tensor | None, Tensor | None]:
        if where not in self._seen:
            if self._joint and self._sloped == {"real", "fake"}:
                self._look_at_both()
            else:
                x = self.x if where == "real" else self.fake
                slope, said = self.slope_at(x) if where in self._sloped else (None, self._judge(x))
                logits, of_class = said if self._classify else (said, None)
                self._seen[where] = (logits, of_class, slope)
        return self._seen[where]

    def _judge(self, x: Tensor) -> Any:
        return self._critic.classify(x, *self._beside) if self._classify else self._critic(x, self.y, *self._beside)

    def _sloped_at(self, points: Tensor, y: Tensor | None, beside: tuple[Tensor | None, ...]) -> tuple[Tensor, Any]:
        if self._classify:
            return input_gradient(self._critic.classify, points, *beside)
        return input_gradient(self._critic, points, y, *beside)

    def _look_at_both(self) -> None:
        y, *beside = (None if told is None else torch.cat([told, told]) for told in (self.y, *self._beside))
        slope, said = self._sloped_at(torch.cat([self.x, self.fake]), y, tuple(beside))
        logits, of_class = said if self._classify else (said, None)
        halves = [None, None] if of_class is None else list(of_class.chunk(2))
        places: tuple[Where, Where] = ("real", "fake")
        for place, one, said_of, tilt in zip(places, logits.chunk(2), halves, slope.chunk(2), strict=True):
            self._seen[place] = (one, said_of, tilt)
