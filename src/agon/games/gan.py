"""The game of a generator against a critic, with loss, penalties and networks as independent choices: every classical GAN is a preset of it.

Goodfellow et al. 2014, "Generative Adversarial Nets", arXiv:1406.2661; the papers of the choices are named where they stand.

Equations:
  (1)     -E log D(x) - E log(1 - D(G(z)))           -> critic "adv", loss.critic: `agon.losses`
  sec. 3  -E log D(G(z)), and its relatives          -> generator "adv", loss.generator
  Odena et al. 2017      classes told by the critic  -> "aux" of both, head="auxiliary" (AC-GAN, arXiv:1610.09585)
  Karras et al. 2019     two latents in one picture  -> mixing (style mixing, arXiv:1812.04948, sec. 3.1)
  penalties              each at its place           -> critic and generator, or a lazy turn: `agon.penalties`

A penalty with `every` = 1 joins its player's loss and shares its forward pass; with a larger one it has a lazy turn of its own. One that
changes state (weight clipping, running means) steps after each play of its player. `why_not` says which choices do not go together.

Differs: Adam instead of momentum, leaky ReLU instead of maxout, an averaged generator for sampling. Presets: `agon.recipes.classics`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from agon import losses
from agon.errors import InputError
from agon.game import Batch, Clock, Game, Players, Terms, Turn, label_of, lazily, needs_pictures
from agon.layers.labels import Head, conditioned
from agon.layers.noise import fresh
from agon.losses import Logistic, Loss
from agon.networks import Network
from agon.networks.mlp import MLP
from agon.optim import Adam, Average, Optimiser
from agon.penalties import AnyPenalty, Penalty
from agon.schedule import Value, at
from agon.spaces import Space
from agon.view import View

Play = Callable[[Players, Batch, Clock], Terms]


@dataclass(frozen=True, kw_only=True)
class GAN(Game):
    """A generator against a critic."""

    conditional: bool = False  # type: ignore[misc]  # True: the condition of the data enters both players
    z_dim: int = 64  # dimension of the Gaussian latent
    loss: Loss = field(default_factory=Logistic)
    penalties: tuple[AnyPenalty, ...] = ()
    net: Network = field(default_factory=MLP)
    head: Head = "projection"  # how the critic uses the condition
    aux: Value = 1.0  # weight of the guessed condition in both players' loss, with head="auxiliary"
    # Its weight on fakes in the critic's loss, in parts of `aux`; 0 spares the critic from believing a poor generator.
    aux_fake: Value = 1.0
    n_critic: int = 1  # plays of the critic in a round, each on fresh data
    mixing: float = 0.0  # share of training fakes made from two latents, for style-based networks
    optim: Mapping[str, Optimiser] = field(default_factory=lambda: {k: Adam(lr=2e-4, betas=(0.5, 0.999)) for k in "GD"})
    ema: Mapping[str, Average] = field(default_factory=lambda: {"G": Average(half_life=10_000)})

    def why_not(self, space: Space) -> str | None:
        if self.mixing and not getattr(self.net, "styled", False):
            return f"mixing makes one picture of two styles, and '{self.net.kind}' has no styles; set mixing to 0 or take a style-based network."
        return why_not(self.loss, self.penalties, self.net, self.head if self.conditional else "none", self.sees(space))

    def players(self, space: Space) -> dict[str, nn.Module]:
        if (reason := self.why_not(space)) is not None:
            raise InputError(reason)
        generator, critic = self.net.generator(self.z_dim, space), self.net.critic(space, self.head)
        critic.told = next((kind for kind in ("classes", "tags", "numbers") if getattr(space, kind)), "")  # what a second head guesses
        for penalty in self.penalties:
            penalty.bind(critic)
        props = {name: prop for penalty in self.penalties for name, prop in penalty.props().items()}
        return {"G": generator, "D": critic, **props}

    # -- turns -------------------------------------------------------------------------------------------------------------------

    def turns(self) -> list[Turn]:
        return scheduled(self.penalties, self.n_critic, self.critic, self.generator, self._lazy)

    def _mine(self, player: str) -> list[Penalty]:
        return [penalty for penalty in self.penalties if penalty.player == player and penalty.every == 1]

    def critic(self, p: Players, real: Batch, t: Clock) -> Terms:
        penalties = [penalty for penalty in self._mine("D") if penalty.terms]
        view = self._view(p, real, t, penalties)
        terms = {"adv": self.loss.critic(view.logits("real"), view.logits("fake"))}
        if self._tells(p):
            on_real, on_fake = (losses.auxiliary(view.says(where), real["y"], _told(p)) for where in ("real", "fake"))
            terms["aux"] = at(self.aux, t) * (on_real + at(self.aux_fake, t) * on_fake)
        return terms | {penalty.kind: penalty.term(view) for penalty in penalties}

    def generator(self, p: Players, real: Batch, t: Clock) -> Terms:
        view = self._view(p, real, t)
        on_fake = view.logits("fake")
        terms = {"adv": self.loss.generator(view.logits("real") if self.loss.pairs else None, on_fake)}
        if self._tells(p):
            terms["aux"] = at(self.aux, t) * losses.auxiliary(view.says("fake"), real["y"], _told(p))
        return terms | {penalty.kind: penalty.term(view) for penalty in self._mine("G") if penalty.terms}

    def _lazy(self, penalty: Penalty, p: Players, real: Batch, t: Clock) -> Terms:
        # With several plays of the critic in a round, the penalty would have joined each of them.
        plays = self.n_critic if penalty.player == "D" else 1
        return {penalty.kind: plays * penalty.term(self._view(p, real, t, [penalty]))}

    def _view(self, p: Players, real: Batch, t: Clock, penalties: list[Penalty] | None = None) -> View:
        sloped = {where for penalty in penalties or [] for where in penalty.slopes}
        return View(
            p, real, t, partial(self._fakes, p, real), partial(self.latents, p, len(real["x"])),
            sloped=sloped, joint=not self.net.couples_samples, classify=self._tells(p),
        )  # fmt: skip

    def _tells(self, p: Players) -> bool:
        return self.head == "auxiliary" and bool(_told(p))

    # -- samples -----------------------------------------------------------------------------------------------------------------

    def _fakes(self, p: Players, real: Batch) -> Tensor:
        n, generator = len(real["x"]), p.G
        if not self.mixing:
            noise = fresh(p, generator, n)
            if noise is None:
                return self.sample(p, n, given=real)
            return generator.synthesis(generator.mapping(self.latents(p, n), real.get("y")), noise)  # type: ignore[operator]
        return self._mixed(p, generator, n, real)

    def _mixed(self, p: Players, generator: Any, n: int, real: Batch) -> Tensor:
        y, layers = real.get("y"), generator.num_layers
        one, two = generator.mapping(self.latents(p, n), y), generator.mapping(self.latents(p, n), y)
        # From a random layer on the second style; past the last one where the picture is not to be mixed.
        start = torch.where(p.rand(n) < self.mixing, 1 + p.randint(max(1, layers - 1), n), layers)
        second = torch.arange(layers, device=start.device) >= start[:, None]
        return generator.synthesis(torch.where(second[:, :, None], two[:, None], one[:, None]), fresh(p, generator, n))

    def latents(self, p: Players, n: int) -> Tensor:
        return p.randn(n, self.z_dim)

    def sample(self, p: Players, n: int, *, z: Tensor | None = None, given: Batch | None = None) -> Tensor:
        return p.G(self.latents(p, n) if z is None else z, label_of(given))

    def judge(self, p: Players, x: Tensor, given: Batch | None = None) -> Tensor:
        return p.D(x, label_of(given))


def _told(p: Players) -> str:
    return p.D.told  # type: ignore[return-value]


def scheduled(
    penalties: tuple[AnyPenalty, ...], n_critic: int, critic: Play, generator: Play, lazy: Callable[..., Terms],
    step: Callable[..., None] | None = None,
) -> list[Turn]:  # fmt: skip
    """The turns of a round: `n_critic` plays of the critic, one of the generator, and what the penalties ask for beside them.

    lazy(penalty, p, real, t): the turn of a penalty with `every` > 1. step(penalty, p, real, t): instead of `penalty.step`.
    """

    def stepped(one: Penalty, **rest: Any) -> list[Turn]:
        return [Turn(step=partial(step, one) if step else one.step, moves=one.player, name=one.kind, **rest)] if one.steps else []

    def after(player: str, **rest: Any) -> list[Turn]:
        return [turn for one in penalties if one.player == player and one.every == 1 for turn in stepped(one, **rest)]

    def lazily_played(player: str) -> list[Turn]:
        late = [one for one in penalties if one.player == player and one.every > 1]
        return [
            turn for one in late for turn in (lazily(partial(lazy, one), player, one.every, name="lazy"), *stepped(one, every=one.every))
        ]

    if after("D"):  # something changes after every play of the critic, so its plays cannot be one turn
        plays = [turn for k in range(n_critic) for turn in (Turn(critic, "D", batch=k), *after("D", batch=k))]
    else:
        plays = [Turn(critic, "D", repeat=n_critic)]
    return [*plays, *lazily_played("D"), Turn(generator, "G"), *after("G"), *lazily_played("G")]


def why_not(loss: Loss, penalties: tuple[AnyPenalty, ...], net: Any, head: Head = "none", space: Space | None = None) -> str | None:
    """Why these choices do not go together, in words and with a way out; None where they do. space: None leaves the data out of it."""
    kinds = [penalty.kind for penalty in penalties]
    for kind in kinds:
        if kinds.count(kind) > 1:
            return f"'{kind}' is there twice; keep one and change its weight."
    if loss.lipschitz and not (getattr(net, "spectral", False) or any(penalty.bounds for penalty in penalties)):
        return (
            f"the {loss.kind} loss is unbounded unless the critic's slope is bounded, and nothing here bounds it; add the penalty "
            "'gradient-penalty', 'r1', 'spectral' or 'clip', or take a network with spectral normalisation."
        )
    for penalty in penalties:
        reason = penalty.why_not(net, tuple(other for other in penalties if other is not penalty))
        if reason is not None:
            return reason + "."
    if space is not None:
        if conditioned(space) and not getattr(net, "conditional", True):
            return f"'{net.kind}' has no place for a condition; set conditional to false or take another network."
        if (reason := needs_pictures(net, space, "mlp")) is not None:
            return reason
        if head == "auxiliary" and not conditioned(space):
            return f"an auxiliary head guesses the condition of a sample, and {space.describe()} have none; take the head 'none' or labelled data."
        if head == "none" and conditioned(space):
            return "the generator is given a condition that the critic never sees, so nothing holds it to it; take another head or set conditional to false."
    return None
