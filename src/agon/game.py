"""The vocabulary: Game, Turn, Players, Batch and the Clock.

A game is a frozen dataclass of hyperparameters plus rules; it holds no tensors. Networks live in `Players`, time in the `Clock`, optimiser
state in the engine, so the same rules run on averaged weights, on a microbatch and on many machines. Nothing here knows images from text.
"""

from __future__ import annotations

import copy
import inspect
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from agon.augment import Adaptive, Augment, Lens, augmented
from agon.errors import InputError, suggest
from agon.optim import Average, Optimiser
from agon.props import Strength
from agon.schedule import Clock
from agon.spaces import SpaceT

__all__ = ["Batch", "Clock", "Dice", "Game", "Players", "Terms", "Turn", "label_of", "lazily", "mix", "needs_pictures"]

Terms = Mapping[str, Tensor]
STRENGTH = "strength"  # the player that holds the adaptive strength of augmentation


class Batch(dict[str, Any]):
    """Named tensors with the same first dimension, and the blackboard on which a turn may leave (detached) results for a later one."""

    def __missing__(self, name: str) -> Any:
        raise InputError(f"the batch has no '{name}'; it has {', '.join(sorted(self)) or 'nothing'}.{suggest(name, self)}")


def label_of(given: Batch | None) -> Tensor | None:
    """The classes int64 [n] among the conditions, if there are any."""
    return None if given is None else given.get("y")


def mix(*numbers: int) -> int:
    """Fold whole numbers into one 63-bit seed (splitmix64), the same on every machine and Python."""
    state = 0
    for number in numbers:
        state = (state ^ (number & 0xFFFFFFFFFFFFFFFF)) + 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
        state = (state ^ state >> 27) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return state >> 1


class Dice:
    """Random numbers for the samples [low, high) of a batch of `total`, the same however the batch is cut into microbatches and ranks.

    Every draw is made for the whole batch and sliced; the noise is small beside the networks that eat it.
    """

    def __init__(self, seed: int, low: int, high: int, total: int, device: torch.device) -> None:
        self.seed, self.low, self.high, self.total, self.device = seed, low, high, total, device
        self._draws = 0

    @property
    def width(self) -> int:
        """Samples in this slice."""
        return self.high - self.low

    def roll(self, draw: Callable[..., Tensor], n: int, shape: tuple[int, ...]) -> Tensor:
        """Call `draw(size, generator=, device=)` for n samples, n a multiple of this slice's length."""
        width = self.width
        times, rest = divmod(n, width)
        if rest:
            raise InputError(
                f"a turn drew noise for {n} samples from a (micro)batch of {width}; expected a multiple of {width}. "
                "Use len(real['x']) for the number of samples."
            )
        generator = torch.Generator(self.device).manual_seed(mix(self.seed, self._draws))
        self._draws += 1
        whole = draw((self.total * times, *shape), generator=generator, device=self.device)
        return whole[self.low * times : self.high * times]


class Players:
    """Every network and prop of a game, by name: `p.G`, `p["G"]`; the averaged copy is `p.ema.G`.

    Randomness comes from here too (`p.randn`, `p.rand`, `p.randint`), so that halves of a batch equal the whole and two ranks equal one.
    """

    def __init__(self, modules: Mapping[str, nn.Module], averages: Mapping[str, nn.Module] | None = None) -> None:
        self._modules = dict(modules)
        self._averages = dict(averages or {})
        self._lens: Callable[[str, nn.Module], nn.Module] | None = None
        self._other_names: Mapping[str, str] = {}
        self.dice: Dice | None = None

    @classmethod
    def build(cls, modules: Mapping[str, nn.Module], averaged: Mapping[str, Average]) -> Players:
        """Check ownership and make the averaged copies. Raises InputError if two players share a parameter or a name is unknown."""
        owner: dict[int, str] = {}
        for name, module in modules.items():
            for path, parameter in module.named_parameters():
                first = owner.setdefault(id(parameter), name)
                if first != name:
                    raise InputError(
                        f"players '{first}' and '{name}' both own the parameter '{path}'; every parameter has one owner. "
                        "Make the shared part a player of its own."
                    )
        averages = {}
        for name in averaged:
            if name not in modules:
                raise InputError(f"ema names '{name}', which is no player; players are {', '.join(modules)}.{suggest(name, modules)}")
            if not isinstance(averaged[name], Average):
                raise InputError(
                    f"ema of '{name}' is {averaged[name]!r}; expected an Average, such as {{'{name}': Average(half_life=10_000)}}."
                )
            averages[name] = copy.deepcopy(modules[name]).eval()
        return cls(modules, averages)

    def __getitem__(self, name: str) -> nn.Module:
        name = self._other_names.get(name, name)
        try:
            found = self._modules[name]
        except KeyError:
            raise InputError(f"no player '{name}'; this game has {', '.join(self._modules)}.{suggest(name, self._modules)}") from None
        return found if self._lens is None else self._lens(name, found)

    def __getattr__(self, name: str) -> nn.Module:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)

    def items(self) -> Iterator[tuple[str, nn.Module]]:
        """Names and modules, in the game's order."""
        return iter(self._modules.items())

    @property
    def averages(self) -> dict[str, nn.Module]:
        """The averaged copies that exist."""
        return self._averages

    @property
    def ema(self) -> Players:
        """The players with averaged weights where the game keeps an average, the present ones elsewhere. Rolls the same dice."""
        view = Players({**self._modules, **self._averages})
        view.dice, view._lens, view._other_names = self.dice, self._lens, self._other_names
        return view

    def through(self, lens: Callable[[str, nn.Module], nn.Module]) -> Players:
        """The same players, each seen as `lens(name, module)` when asked for by name. Rolls the same dice."""
        view = Players(self._modules, self._averages)
        view.dice, view._lens, view._other_names = self.dice, lens, self._other_names
        return view

    def known_as(self, names: Mapping[str, str]) -> Players:
        """The same players, some of them by other names too: {"lecam": "lecam-sparse"}. Rolls the same dice."""
        view = Players(self._modules, self._averages)
        view.dice, view._lens, view._other_names = self.dice, self._lens, {**self._other_names, **names}
        return view

    @property
    def device(self) -> torch.device:
        """Where the players are."""
        for module in self._modules.values():
            for tensor in (*module.parameters(), *module.buffers()):
                return tensor.device
        return torch.device("cpu")

    def randn(self, n: int, *shape: int) -> Tensor:
        """Normal noise [n, *shape]."""
        return self._roll(torch.randn, n, shape)

    def rand(self, n: int, *shape: int) -> Tensor:
        """Uniform noise in [0, 1), [n, *shape]."""
        return self._roll(torch.rand, n, shape)

    def randint(self, high: int, n: int, *shape: int) -> Tensor:
        """Whole numbers in [0, high), int64 [n, *shape]."""

        def draw(size: tuple[int, ...], **where: Any) -> Tensor:
            return torch.randint(high, size, **where)

        return self._roll(draw, n, shape)

    def _roll(self, draw: Callable[..., Tensor], n: int, shape: tuple[int, ...]) -> Tensor:
        if self.dice is not None:
            return self.dice.roll(draw, n, shape)
        # Outside a turn the numbers come from the CPU's generator, so that a seed gives the same sample on every device.
        return draw((n, *shape)).to(self.device)


@dataclass(frozen=True)
class Turn:
    """One kind of move: `moves` step on `loss`, every other player is frozen.

    loss: (players, batch, clock) -> {name: scalar}; the engine sums the terms, differentiates them and logs each by name.
    moves: the player or players that step.
    every: played in rounds divisible by this; repeat: times in a round, each with fresh data; gain: factor on the loss.
    batch: which of the round's fresh batches the first play sees, so that turns can alternate within a round.
    start, stop: first round, and first round no more, in which the turn is played (pre-training, delayed critics).
    lazy: the gain makes up for `every`, and the optimiser is corrected for it; made by `lazily`.
    step: instead of a loss, a function (players, batch, clock) run without gradients, for updates that are not one scalar per
        mover (weight clipping, a prop). It may return {name: scalar} to be logged. Where a batch is cut into microbatches, it is called for
        each of them from the same buffers, and the mean of what the floating-point buffers became is kept; over several ranks those of props
        are averaged likewise. So a buffer must be linear in what it takes in for halves to equal the whole; `p.dice.total / p.dice.width`
        makes a sum over the batch of one over its part. Parameters must be changed alike by every call.
    """

    loss: Callable[[Players, Batch, Clock], Terms] | None = None
    moves: str | tuple[str, ...] = ()
    every: int = 1
    repeat: int = 1
    batch: int = 0
    gain: float = 1.0
    start: int = 0
    stop: float = math.inf
    lazy: bool = False
    step: Callable[[Players, Batch, Clock], Terms | None] | None = None
    name: str = field(default="")

    def __post_init__(self) -> None:
        if (self.loss is None) == (self.step is None):
            raise InputError("a turn has either a loss or a step; got " + ("neither." if self.loss is None else "both."))
        object.__setattr__(self, "moves", (self.moves,) if isinstance(self.moves, str) else tuple(self.moves))
        if not self.name:
            object.__setattr__(self, "name", getattr(self.loss or self.step, "__name__", "turn"))
        if not self.moves and self.loss is not None:
            raise InputError(f"turn '{self.name}' moves nobody; name a player, as in Turn(self.critic, 'D').")
        if self.every < 1 or self.repeat < 1 or self.batch < 0:
            raise InputError(
                f"turn '{self.name}': every and repeat must be at least 1 and batch at least 0, got {self.every}, {self.repeat}, {self.batch}."
            )

    def played(self, round: int) -> bool:
        """Whether the turn is played in this round."""
        return self.start <= round < self.stop and round % self.every == 0


def lazily(loss: Callable[[Players, Batch, Clock], Terms], moves: str, every: int, **rest: Any) -> Turn:
    """A turn played every `every` rounds at `every`-fold gain, its player's optimiser corrected to match (StyleGAN2, arXiv:1912.04958)."""
    return Turn(loss, moves, every=every, gain=float(every), lazy=True, **rest)


def needs_pictures(net: Any, space: Any, instead: str) -> str | None:
    """Why this network cannot serve this space, naming the one for points; None if it can. Networks for any data are marked `any_shape`."""
    if len(space.shape) == 3 or getattr(net, "any_shape", False):
        return None
    if len(space.shape) == 4:
        return f"'{net.kind}' is made of convolutions over pictures, and the data are {space.describe()}; take a recipe for clips, such as --recipe video."
    return f"'{net.kind}' is made of convolutions over pictures, and the data are {space.describe()}; take the network '{instead}'."


def _says_nothing(annotation: Any) -> bool:
    """Whether a field's type names a mapping, or anything, but not what is in it, so that a saved run could not be read back."""
    text = (
        annotation
        if isinstance(annotation, str)
        else getattr(annotation, "__name__", "")
        if isinstance(annotation, type)
        else str(annotation)
    )
    words = [word.split(".")[-1] for word in re.findall(r"[\w.]+", text)]
    return bool(words) and set(words) <= {"dict", "Dict", "Mapping", "MutableMapping", "str", "Any", "object"}


@dataclass(frozen=True, kw_only=True)
class Game(ABC):
    """Rules and hyperparameters. Subclasses are frozen dataclasses and must have the fields `optim` and `ema`.

    A subclass may write `optim: dict` for short; it means `Mapping[str, Adam | RMSprop | SGD]`, as `ema: dict` means `Mapping[str, Average]`.
    """

    conditional: ClassVar[bool] = True  # False: labels are never shown to this game; it may also be a field
    sampling: ClassVar[tuple[str, ...]] = ()  # fields that change how a trained game samples, not what it learns
    elsewhere: ClassVar[Mapping[str, str]] = {}  # fields that one would look for here, and what to write instead
    critics: ClassVar[tuple[str, ...]] = ("D",)  # players that see real and generated pictures, and see them augmented
    augment: Augment | None = None  # what those pictures go through inside a turn; samples never do
    optim: Mapping[str, Optimiser] = field(default_factory=dict)
    ema: Mapping[str, Average] = field(default_factory=dict)

    def __init_subclass__(cls, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        written = inspect.get_annotations(cls)
        for name, meant in (("optim", Mapping[str, Optimiser]), ("ema", Mapping[str, Average])):
            if name not in written and isinstance(vars(cls).get(name), Mapping):
                raise InputError(
                    f"{cls.__name__}.{name} is set without a type, so it is no field and would be left aside; "
                    f"write `{name}: dict = field(default_factory=lambda: {{…}})`."
                )
            if name in written and _says_nothing(written[name]):
                cls.__annotations__ = written = {**written, name: meant}

    def sees(self, space: SpaceT) -> SpaceT:
        """The space as this game sees it: without classes if it is not conditional."""
        return space if self.conditional else space.unlabelled()

    def why_not(self, space: Any) -> str | None:
        """Why this game cannot be played on data of this space, in words and with a way out; None if it can."""
        return None

    @abstractmethod
    def players(self, space: Any) -> dict[str, nn.Module]:
        """Fresh networks and props for data of this space."""

    @abstractmethod
    def turns(self) -> list[Turn]:
        """The turns of a round, in order."""

    @abstractmethod
    def sample(self, p: Players, n: int, *, z: Tensor | None = None, given: Batch | None = None) -> Tensor:
        """n samples [n, *space.shape] in the space's normalised range.

        z: latents [n, …] instead of fresh ones. given: conditions, such as {"y": int64 [n]}.
        """

    def latents(self, p: Players, n: int) -> Tensor:
        """n fresh latents [n, …], for interpolation and editing. Games without a latent space leave this out."""
        raise InputError(f"{type(self).__name__} has no latent space to walk or edit in; sample as drawn: agon sample RUN.")

    def fakes_for(self, p: Players, real: Batch) -> Tensor:
        """As many samples as there are reals in a batch, for the same conditions. Used for monitoring and adaptive augmentation."""
        n = len(real["x"])
        return self.sample(p, n, given=real) if "y" in real else self.sample(p, n)

    @property
    def inherits(self) -> Mapping[str, str]:
        """Parts of players that are another run's, such as {"G.image.": "G."}: that run has to be named when this one is made (--from)."""
        return {}

    def grown_from(self, origin: Mapping[str, Any]) -> Game:
        """This game fitted to the run that it starts from, whose run.json is `origin`. Raises InputError where it cannot be."""
        return self

    def judge(self, p: Players, x: Tensor, given: Batch | None = None) -> Tensor | None:
        """The critic's logits [n] for x, larger meaning more real; None if the game has no such critic. Used for monitoring only."""
        return None

    def log_likelihood(self, p: Players, x: Tensor, given: Batch | None = None) -> Tensor | None:
        """log probability of each part of x under the generator, [n, L], where it has one; None for the others. Used for scores only."""
        return None

    def way_back(self, p: Players, space: Any) -> tuple[Players, Any] | None:
        """These players as makers of sources from what they make now, and the space of that way; None where they know one way alone."""
        return None

    # -- what the engine asks; not to be overridden -------------------------------------------------------------------------------

    def refusal(self, space: Any) -> str | None:
        """`why_not(space)`, or why its samples cannot be augmented or a player would never play; None if all is well."""
        if self.augment is not None and not self.critics:
            return f"augmentation is of what a critic sees, and {type(self).__name__} has none. Leave it out: --game.augment null."
        for name in ("n_critic", "n_mediator"):
            if isinstance(plays := getattr(self, name, 1), int) and plays < 1:
                return f"--game.{name} is {plays}; expected 1 play a round or more, or that player never learns."
        if self.augment is not None and len(space.shape) not in (3, 4):
            return f"augmentation is for pictures [C, H, W] and clips [T, C, H, W]; this data is {space.describe()}. Leave it out: --game.augment null."
        return self.why_not(space)

    def not_ready(self, space: Any) -> str | None:
        """Why a network that comes from elsewhere cannot be built, which may take a while to find out; None if all can."""
        parts = [getattr(self, part.name) for part in fields(self)]
        reasons = (part.not_ready(space) for part in parts if hasattr(part, "not_ready"))
        return next((reason for reason in reasons if reason is not None), None)

    def cast(self, space: Any) -> dict[str, nn.Module]:
        """`players(space)`, and the prop that augmentation needs. Raises InputError where the game or the space cannot be augmented."""
        if (reason := self.refusal(space)) is not None:
            raise InputError(reason)
        players = self.players(space)
        if self.augment is None:
            return players
        name = type(self).__name__
        if not self.critics or any(critic not in players for critic in self.critics):
            raise InputError(
                f"augmentation must know which players judge pictures: {name}.critics is {', '.join(self.critics) or 'empty'}, and its "
                f"players are {', '.join(players)}. Set `critics: ClassVar[tuple[str, ...]] = (…)` in the game, or --game.augment null."
            )
        if isinstance(self.augment.p, Adaptive):
            if STRENGTH in players:
                raise InputError(f"{name} has a player '{STRENGTH}', the name of augmentation's own prop; give yours another name.")
            players = {**players, STRENGTH: Strength(self.augment.p.start, self.augment.p.target)}
        return players

    def programme(self) -> list[Turn]:
        """`turns()`; under augmentation with the critics behind a lens, and a last turn that reports and adapts the strength."""
        turns = list(self.turns())
        if self.augment is None or not turns:
            return turns
        seen = [replace(t, loss=t.loss and self._through(t.loss), step=t.step and self._through(t.step)) for t in turns]
        if isinstance(self.augment.p, Adaptive):
            return [*seen, Turn(step=self._adapt, moves=STRENGTH, every=self.augment.p.every, name="augment")]
        return [*seen, Turn(step=self._report, every=4, name="augment")]

    def _through(self, function: Callable[[Players, Batch, Clock], Any]) -> Callable[[Players, Batch, Clock], Any]:
        """The function of a turn, with players whose critics see augmented pictures."""

        def seen(p: Players, real: Batch, t: Clock) -> Any:
            assert self.augment is not None
            strength = self.augment.strength(t, p)
            policy = self.augment.policy

            def bend(x: Tensor, alike: int = 1) -> Tensor:
                return augmented(x, policy, strength, p, width=None if p.dice is None else p.dice.width, alike=alike)

            def lens(name: str, module: nn.Module) -> nn.Module:
                return Lens(module, bend) if name in self.critics else module

            return function(p.through(lens), real, t)

        return seen

    def _report(self, p: Players, real: Batch, t: Clock) -> Terms:
        assert self.augment is not None
        return {"p": torch.full((), float(self.augment.strength(t, p)), device=p.device)}

    def _adapt(self, p: Players, real: Batch, t: Clock) -> Terms:
        """Move the strength by what was seen last time, then look again, at one batch of reals and fakes as they are.

        Not augmented ones: their changes spread the logits of reals whether these are known by heart or not, which held p at 0.24 on a hundred
        pictures while the critic told every one of them from its fakes.
        """
        assert self.augment is not None
        assert isinstance(self.augment.p, Adaptive)
        strength, x = p[STRENGTH], real["x"]
        assert isinstance(strength, Strength)
        rules = self.augment.p
        strength.move(t.seen, target=rules.target, speed=rules.speed, limit=rules.limit)
        fake = self.fakes_for(p, real)
        on_real, on_fake = (self._opinion(p, pictures, real) for pictures in (x, fake))
        sign = strength.look(on_real, on_fake)
        return {"p": strength.p, "sign": sign}

    def _opinion(self, p: Players, x: Tensor, given: Batch) -> Tensor:
        """Logits [n] of x: the game's judge, or its first critic where it has none."""
        logits = self.judge(p, x, given)
        if logits is None:
            logits = p[self.critics[0]](x, *([given["y"]] if "y" in given else []))
        return logits
