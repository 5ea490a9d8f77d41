"""Penalties: pure functions, differentiable with respect to the parameters, and the choices of a game among them.

The input gradient is taken with `torch.func.grad`, not `torch.autograd.grad(create_graph=True)`: both give the same
numbers, but only the first may stand inside a compiled loss (`torch.compile` does not support double backward through a
compiled graph). The critic's forward pass is shared with the adversarial loss: every function that differentiates also
hands back the logits.

A critic must treat the samples of a batch independently (no batch normalisation in training mode): the penalty is
defined per sample, and the sum of logits is differentiated once for the whole batch.

A new penalty is a frozen dataclass of `Penalty` below, its name in `AnyPenalty`, and a test in tests/parity/test_penalties.py.
"""

from __future__ import annotations

import math
from abc import ABC
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Union

import torch
from torch import Tensor, nn

from agon.errors import InputError
from agon.game import Batch, Clock, Players
from agon.layers.noise import fresh
from agon.layers.spectral import spectral_
from agon.props import Running, checked_decay
from agon.schedule import Value, at

if TYPE_CHECKING:
    from agon.view import View, Where


def input_gradient(critic: nn.Module | Callable[..., Any], x: Tensor, *condition: Tensor | None) -> tuple[Tensor, Any]:
    """Return (∇ₓ C(x), C(x)): the gradient [n, ...] of each sample's logit by its own input, and the logits [n].

    Both stay attached to the graph of the critic's parameters (and of `x`, when `x` has one). A callable may return (logits, rest); then
    that is what comes back in place of the logits.
    """
    if isinstance(critic, nn.Module):
        module = critic
        tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}

        def logits_of(sample: Tensor) -> Any:
            return torch.func.functional_call(module, tensors, (sample, *condition))
    else:
        function = critic

        def logits_of(sample: Tensor) -> Any:
            return function(sample, *condition)

    def total(sample: Tensor) -> tuple[Tensor, Any]:
        found = logits_of(sample)
        return (found[0] if isinstance(found, tuple) else found).sum(), found

    gradient, logits = torch.func.grad(total, has_aux=True)(x)
    return gradient, logits


def squared_norm(gradient: Tensor) -> Tensor:
    """‖g‖² of each sample [n], summed over all other dimensions, in at least float32."""
    return _wide(gradient).square().flatten(1).sum(1)


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def r1(gradient: Tensor) -> Tensor:
    """Mean over the batch of ‖∇ₓC‖²: R1 on real samples, R2 on fakes (Mescheder et al. 2018, arXiv:1801.04406, eqs. 9-10).

    No factor ½ or γ: a game writes `gamma / 2 * r1(...)`. The sum runs over channels and pixels, so γ grows with size.
    """
    return squared_norm(gradient).mean()


def zero_centred(critic: nn.Module | Callable[..., Tensor], x: Tensor, *condition: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return (‖∇ₓC(x)‖² [n], C(x) [n]): the zero-centred penalty of each sample and the logits, from one forward pass."""
    gradient, logits = input_gradient(critic, x, *condition)
    return squared_norm(gradient), logits


def gradient_penalty(
    critic: nn.Module | Callable[..., Tensor], interpolates: Tensor, *condition: Tensor | None, target: float = 1.0
) -> Tensor:
    """Mean of (‖∇C(x̂)‖ − target)²: WGAN-GP (Gulrajani et al. 2017, arXiv:1704.00028, eq. 3), without its λ = 10.

    The points x̂ come from the caller (`interpolate`), so that all randomness stays with the game.
    """
    gradient, _ = input_gradient(critic, interpolates, *condition)
    return _towards(gradient, target)


def interpolate(real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """mix·real + (1 − mix)·fake with one `mix` in [0, 1] a sample ([n]), the points of WGAN-GP (same shape as `real`)."""
    weight = mix.reshape(-1, *[1] * (real.dim() - 1)).to(real.dtype)
    return torch.lerp(fake.to(real.dtype), real, weight)  # under autocast fakes come in 16 bits, reals do not


def lecam(real: Tensor, fake: Tensor, real_anchor: Tensor, fake_anchor: Tensor) -> Tensor:
    """E(C(x) − α_F)² + E(C(G(z)) − α_R)²: logits are drawn to the other kind's running mean (Tseng et al. 2021, arXiv:2104.03310)."""
    return (_wide(real) - fake_anchor).square().mean() + (_wide(fake) - real_anchor).square().mean()


def path_lengths(synthesis: Callable[[Tensor], Tensor], w: Tensor, noise: Tensor) -> Tensor:
    """‖Jᵀ y‖ of each sample [n]: how far a picture moves for a step in w (Karras et al. 2020, arXiv:1912.04958, sec. 3.2).

    w: [n, …]; noise: y [n, *shape] standard normal, scaled here by 1/√(height · width) so that the length does not depend on the size.
    """
    scaled = noise / math.sqrt(math.prod(noise.shape[2:]) if noise.dim() > 2 else 1)
    gradient = torch.func.grad(lambda point: (synthesis(point) * scaled).sum())(w)
    return (squared_norm(gradient) + 1e-12).sqrt()


def off_diagonal(weight: Tensor) -> Tensor:
    """‖W Wᵀ ⊙ (1 − I)‖² of a weight [out, …]: how far its filters are from orthogonal, lengths left free (Brock et al. 2019, sec. 3.1)."""
    rows = weight.flatten(1)
    gram = rows @ rows.T
    return gram.square().sum() - gram.diagonal().square().sum()


# -- choices ---------------------------------------------------------------------------------------------------------------------------


class Penalty(ABC):
    """What a game asks of a penalty; a member is a frozen dataclass with `kind`.

    A penalty on gradients, logits or weights gives a `term`, summed into its player's loss: every round with the loss itself, or with
    `every` > 1 in a turn of its own at `every`-fold gain (lazily). One that changes state gives a `step`, played after its player's turn;
    one that changes what the weights are, binds them before the game begins.
    """

    kind: str
    player: ClassVar[Literal["D", "G"]] = "D"  # whose loss it joins
    every: int = 1  # rounds between two plays
    slopes: ClassVar[tuple[Where, ...]] = ()  # where it reads the critic's input gradient
    acts: ClassVar[str] = ""  # where it acts, for people
    bounds: ClassVar[bool] = False  # bounds the critic's slope, as the Wasserstein loss needs
    terms: ClassVar[bool] = True  # has a term
    steps: ClassVar[bool] = False  # has a step
    whole: ClassVar[bool] = False  # acts on a player's weights, whatever the player is shown

    def __post_init__(self) -> None:
        if self.every < 1:
            raise InputError(
                f"'{self.kind}' has every {self.every}; expected the rounds between two plays, 1 (with the loss itself) or more."
            )
        checked_decay(getattr(self, "decay", 0.0), f"'{self.kind}'")

    def term(self, view: View) -> Tensor:
        """The scalar to add to the player's loss."""
        raise AssertionError(f"{self.kind} has no term; set terms = False")

    def step(self, p: Players, real: Batch, t: Clock) -> None:
        """Change state after the player's turn; `real` is the turn's blackboard. Runs without gradients."""
        raise AssertionError(f"{self.kind} has no step; set steps = False")

    def bind(self, critic: nn.Module) -> None:  # noqa: B027  # most have nothing to change
        """Change a fresh critic before the game begins."""

    def props(self) -> Mapping[str, nn.Module]:
        """Saved state that the penalty keeps among the players."""
        return {}

    def why_not(self, net: Any, others: tuple[Penalty, ...]) -> str | None:
        """Why it makes no sense with this network and these other penalties; None if it does."""
        return None


def _running(p: Players, name: str) -> Running:
    prop = p[name]
    assert isinstance(prop, Running)
    return prop


def _coupled(net: Any) -> bool:
    return bool(getattr(net, "couples_samples", False))


def _per_sample(kind: str) -> str:
    return (
        f"'{kind}' measures the slope of each sample's logit by that sample, and this critic couples the samples of a batch "
        "(batch normalisation or minibatch statistics), so there is no such slope. Take a critic without them"
    )


@dataclass(frozen=True, kw_only=True)
class R1(Penalty):
    """γ/2 E‖∇C(x)‖² on reals (Mescheder et al. 2018, arXiv:1801.04406, eq. 9). γ grows with the number of pixels."""

    gamma: Value = 1.0
    every: int = 1
    kind: Literal["r1"] = "r1"
    slopes = ("real",)
    acts = "on the critic at reals"
    bounds = True

    def term(self, view: View) -> Tensor:
        return at(self.gamma, view.t) / 2 * r1(view.slope("real"))

    def why_not(self, net: Any, others: tuple[Penalty, ...]) -> str | None:
        return _zero_centred(self.kind, net, others)


@dataclass(frozen=True, kw_only=True)
class R2(Penalty):
    """γ/2 E‖∇C(G(z))‖² on fakes (the same paper, eq. 10; with R1 in R3GAN, Huang et al. 2024, arXiv:2501.05441, sec. 2)."""

    gamma: Value = 1.0
    every: int = 1
    kind: Literal["r2"] = "r2"
    slopes = ("fake",)
    acts = "on the critic at fakes"
    bounds = True

    def term(self, view: View) -> Tensor:
        return at(self.gamma, view.t) / 2 * r1(view.slope("fake"))

    def why_not(self, net: Any, others: tuple[Penalty, ...]) -> str | None:
        return _zero_centred(self.kind, net, others)


def _zero_centred(kind: str, net: Any, others: tuple[Penalty, ...]) -> str | None:
    # Through a deviation over the batch a pull towards 0 still means something, and StyleGAN2 plays it so; a pull towards 1 does not.
    if _coupled(net) and not getattr(net, "batch_std", 0):
        return _per_sample(kind)
    against = [other.kind for other in others if isinstance(other, GradientPenalty | DRAGAN)]
    return f"'{kind}' pulls the critic's slope to 0 and '{against[0]}' to 1. Keep one of them" if against else None


@dataclass(frozen=True, kw_only=True)
class GradientPenalty(Penalty):
    """λ E(‖∇C(x̂)‖ − target)² at points between reals and fakes: WGAN-GP (Gulrajani et al. 2017, arXiv:1704.00028, eq. 3)."""

    weight: Value = 10.0
    target: float = 1.0
    every: int = 1
    kind: Literal["gradient-penalty"] = "gradient-penalty"
    acts = "on the critic between reals and fakes"
    bounds = True

    def term(self, view: View) -> Tensor:
        points = interpolate(view.x, view.fake, view.p.rand(len(view.x)))
        return at(self.weight, view.t) * _towards(view.slope_at(points)[0], self.target)

    def why_not(self, net: Any, others: tuple[Penalty, ...]) -> str | None:
        return _per_sample(self.kind) if _coupled(net) else None


@dataclass(frozen=True, kw_only=True)
class DRAGAN(Penalty):
    """λ E(‖∇C(x + δ)‖ − 1)², δ ~ N(0, spread²), around reals (Kodali et al. 2017, arXiv:1705.07215, sec. 2.3).

    Differs: δ has a fixed standard deviation in the data's range; the authors' code adds uniform noise of half the deviation of the batch, which
    would couple the samples of a batch.
    """

    weight: Value = 10.0
    spread: float = 0.25  # standard deviation of the disturbance, in the data's normalised range
    every: int = 1
    kind: Literal["dragan"] = "dragan"
    acts = "on the critic around reals"
    bounds = True

    def term(self, view: View) -> Tensor:
        points = view.x + self.spread * view.p.randn(len(view.x), *view.x.shape[1:])
        return at(self.weight, view.t) * _towards(view.slope_at(points)[0], 1.0)

    def why_not(self, net: Any, others: tuple[Penalty, ...]) -> str | None:
        return _per_sample(self.kind) if _coupled(net) else None


@dataclass(frozen=True, kw_only=True)
class WeightClip(Penalty):
    """Clamp every weight of the critic to [−bound, bound] after each of its steps (Arjovsky et al. 2017, arXiv:1701.07875, algorithm 1)."""

    bound: float = 0.01
    kind: Literal["clip"] = "clip"
    acts = "on the critic's weights"
    bounds = True
    whole = True
    terms = False
    steps = True

    def step(self, p: Players, real: Batch, t: Clock) -> None:
        for weight in p.D.parameters():
            weight.clamp_(-self.bound, self.bound)

    def why_not(self, net: Any, others: tuple[Penalty, ...]) -> str | None:
        if getattr(net, "spectral", False):
            return "'clip' bounds weights that spectral normalisation rescales at once, so it bounds nothing. Keep one of them"
        against = [other.kind for other in others if other.bounds]
        return f"'clip' and '{against[0]}' both bound the critic's slope, to different values. Keep one of them" if against else None


@dataclass(frozen=True, kw_only=True)
class SpectralNorm(Penalty):
    """Every map of the critic over its largest singular value, whatever the network (Miyato et al. 2018, arXiv:1802.05957, sec. 2.1 and algorithm 1).

    No term: the weights themselves are bound. A network whose paper has it, has it by itself.
    """

    kind: Literal["spectral"] = "spectral"
    acts = "on the critic's weights"
    bounds = True
    whole = True
    terms = False

    def bind(self, critic: nn.Module) -> None:
        spectral_(critic)

    def why_not(self, net: Any, others: tuple[Penalty, ...]) -> str | None:
        if getattr(net, "spectral", False):
            return f"'{net.kind}' is spectrally normalised by itself. Leave 'spectral' out"
        if _coupled(net):
            return "'spectral' bounds the maps of the critic, and statistics of the batch scale what they give. Take a critic without them"
        reason = getattr(net, "unbindable", None)
        return (
            f"'spectral' divides a map by its largest singular value, and '{net.kind}' {reason}. Take another network" if reason else None
        )


@dataclass(frozen=True, kw_only=True)
class LeCam(Penalty):
    """λ times `lecam` with running means of the logits as anchors (Tseng et al. 2021, arXiv:2104.03310); for few data.

    The anchors are those of the rounds before; the first round has none (they are 0). A `Warmup` as weight starts it gently. They take in the
    mean logits of the whole batch, over its microbatches and ranks.
    """

    weight: Value = 0.3
    decay: float = 0.99
    every: int = 1
    kind: Literal["lecam"] = "lecam"
    acts = "on the critic's logits"
    steps = True

    def props(self) -> Mapping[str, nn.Module]:
        return {"lecam": Running((2,), self.decay)}

    def term(self, view: View) -> Tensor:
        real, fake = view.logits("real"), view.logits("fake")
        view.real["lecam"] = torch.stack([_wide(real.detach()).mean(), _wide(fake.detach()).mean()])
        anchors = _running(view.p, "lecam").value
        return at(self.weight, view.t) * lecam(real, fake, anchors[0], anchors[1])

    def step(self, p: Players, real: Batch, t: Clock) -> None:
        if "lecam" in real:  # not there where the turn before was not played
            _running(p, "lecam").update(real["lecam"])


@dataclass(frozen=True, kw_only=True)
class PathLength(Penalty):
    """weight · E(‖Jᵀ y‖ − a)², a the running mean of the lengths (Karras et al. 2020, arXiv:1912.04958, sec. 3.2), for style-based generators.

    The mean takes in the lengths of the whole batch, over its microbatches and ranks.
    """

    weight: Value = 2.0
    decay: float = 0.99
    every: int = 8
    kind: Literal["path-length"] = "path-length"
    player = "G"
    acts = "on the generator's Jacobian"
    steps = True

    def props(self) -> Mapping[str, nn.Module]:
        return {"path": Running((), self.decay)}

    def term(self, view: View) -> Tensor:
        n = len(view.x)
        generator: Any = view.p.G
        w = generator.mapping(view.latents(), view.y)
        noise = fresh(view.p, generator, n)  # held still while w moves
        pictures = generator.synthesis if noise is None else partial(generator.synthesis, noise=noise)
        lengths = path_lengths(pictures, w, view.p.randn(n, *view.x.shape[1:]))
        view.real["path"] = lengths.detach().mean()
        return at(self.weight, view.t) * (lengths - _running(view.p, "path").value).square().mean()

    def step(self, p: Players, real: Batch, t: Clock) -> None:
        if "path" in real:
            _running(p, "path").update(real["path"])

    def why_not(self, net: Any, others: tuple[Penalty, ...]) -> str | None:
        if getattr(net, "styled", False):
            return None
        return f"'path-length' measures steps in a style space w, and '{net.kind}' has no mapping network. Take a style-based network"


@dataclass(frozen=True, kw_only=True)
class Orthogonal(Penalty):
    """weight · Σ ‖W Wᵀ ⊙ (1 − I)‖² over the weights of a player (Brock et al. 2019, arXiv:1809.11096, sec. 3.1), so that truncation works."""

    weight: Value = 1e-4
    player: Literal["D", "G"] = "G"  # type: ignore[misc]  # whose weights
    every: int = 1
    kind: Literal["orthogonal"] = "orthogonal"
    acts = "on the generator's (or critic's) weights"
    whole = True

    def term(self, view: View) -> Tensor:
        net = view.p[self.player]
        tables = {id(p) for m in net.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
        rows = [off_diagonal(w) for w in net.parameters() if w.dim() > 1 and id(w) not in tables]
        return at(self.weight, view.t) * torch.stack(rows).sum()


@dataclass(frozen=True, kw_only=True)
class Reconstruction(Penalty):
    """weight · mean |drawing − picture|: D must redraw reals from its features, a random quarter also sharply (FastGAN, arXiv:2101.04775, sec. 3.2)."""

    weight: Value = 1.0
    kind: Literal["reconstruction"] = "reconstruction"
    acts = "on the critic's drawings of reals"

    def term(self, view: View) -> Tensor:
        critic: Any = view.p.D
        _, pairs = critic.reconstruct(view.x, view.y, view.p.randint(4, len(view.x)))
        return at(self.weight, view.t) * torch.stack([(drawn - seen).abs().mean() for drawn, seen in pairs]).sum()

    def why_not(self, net: Any, others: tuple[Penalty, ...]) -> str | None:
        if getattr(net, "draws", False):
            return None
        return f"'reconstruction' asks the critic to redraw what it saw, and '{net.kind}' has no decoders. Take the network 'fastgan'"


AnyPenalty = Union[R1, R2, GradientPenalty, DRAGAN, WeightClip, SpectralNorm, LeCam, PathLength, Orthogonal, Reconstruction]


def _towards(gradient: Tensor, target: float) -> Tensor:
    # The root has no derivative at 0; a critic that is flat there must give a finite update.
    return ((squared_norm(gradient) + 1e-12).sqrt() - target).square().mean()
