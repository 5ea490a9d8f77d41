"""The game of a clip generator against one or more critics: networks, loss and penalties are choices, and every video GAN here is a preset.

Tulyakov, Liu, Yang, Kautz 2018, "MoCoGAN: Decomposing Motion and Content for Video Generation", arXiv:1707.04993: a latent for what stays the
same and one for what moves, a critic of frames beside a critic of clips. Vondrick et al. 2016, arXiv:1609.02612 (one 3-D critic); Clark
et al. 2019, arXiv:1907.06571 (spatial and temporal critic); Skorokhodov et al. 2022, arXiv:2112.14683 (one critic of a few frames).

  sum over critics of the loss of real against generated clips, each critic looking at its own view   -> critic, generator "adv"
  Reed et al. 2016 (matching-aware)  real clips with another sample's condition are fakes             -> critic "mismatch" (arXiv:1605.05396)
  (ours) `one_word`                  so are captions with a single word of another's: whole ones differ in what is easily seen already
  penalties                          on each critic's view                                            -> `agon.penalties`
  the first frame is given           it is copied, and redrawn                                        -> generator "first"

A critic's view is a choice of frames (the same of real and fake) and a reduction such as average pooling. Where all critics look at a few
frames, the generator is asked for no others.

Differs: the player D holds all critics (`p.D(x, y, gaps, judge="sparse")`), so one optimiser moves them. The matching-aware term has a weight
of its own and leaves the adversarial one as it is (Reed et al. halve both kinds of fakes). Other samples' tags, numbers and captions are the
neighbour's in the batch, so that even parts of a batch equal the whole; where they are equal, and for the
last of an odd part, the pair counts as an ordinary fake.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from agon import losses
from agon.config import decode
from agon.errors import InputError
from agon.game import Batch, Clock, Game, Players, Terms, Turn, label_of
from agon.games.gan import scheduled, why_not
from agon.layers.frames import begin_with, choose, gaps_of
from agon.layers.labels import Head, conditioned
from agon.losses import Loss, Relativistic
from agon.networks import families
from agon.networks.clips import ClipCritic, ClipGenerator
from agon.networks.clips.gru import GRUMotion
from agon.networks.clips.motion import Motion
from agon.networks.clips.sparse import Sparse
from agon.networks.clips.walk import Walk
from agon.optim import Adam, Average, Optimiser
from agon.penalties import R1, R2, AnyPenalty, Penalty
from agon.schedule import Value, at
from agon.spaces import Image, Space, Video, space_from_json
from agon.spaces.pictures import to_range
from agon.view import View


@dataclass(frozen=True, kw_only=True)
class VideoGAN(Game):
    """A generator of clips against critics of frames, of motion, of whole clips."""

    sampling: ClassVar[tuple[str, ...]] = ()
    conditional: bool = True  # type: ignore[misc]  # False: play without the condition that the data have
    z_dim: int = 64  # dimension of the content latent
    net: ClipGenerator = field(default_factory=GRUMotion)
    judges: tuple[ClipCritic, ...] = field(default_factory=lambda: (Sparse(), Motion()))
    loss: Loss = field(default_factory=Relativistic)
    penalties: tuple[AnyPenalty, ...] = field(default_factory=lambda: (R1(), R2()))
    head: Head = "projection"  # how the critics use the condition
    aux: Value = 1.0  # weight of the guessed condition in both players' loss, with head="auxiliary"
    aux_fake: Value = 1.0  # its weight on fakes in the critic's loss, in parts of `aux`
    mismatch: Value = 0.0  # weight of real clips with another sample's condition, as fakes
    one_word: float = 0.0  # share of these whose caption differs from the right one by a single word of the other sample's
    first_frame: bool = False  # clips go on from a given first frame
    redraw: Value = 1.0  # weight of the L1 distance of the generator's own first frame to the given one
    n_critic: int = 1  # plays of the critics in a round, each on fresh data
    optim: Mapping[str, Optimiser] = field(default_factory=lambda: {k: Adam(lr=2e-4, betas=(0.0, 0.99)) for k in "GD"})
    ema: Mapping[str, Average] = field(default_factory=lambda: {"G": Average(half_life=10_000)})

    def why_not(self, space: Space) -> str | None:
        if not isinstance(space, Video):
            return f"this game makes clips, and the data are {space.describe()}; say how many frames a clip has (--frames 16), or take another recipe."
        if not self.judges:
            return "there is no critic; name some, such as --game.judges sparse,motion."
        if self.first_frame and any(getattr(judge, "frames", 0) == 1 for judge in self.judges):
            return "a critic of one frame would be shown the given frame, the same of real and fake; give each critic two frames or more."
        if self.first_frame and not getattr(self.net, "takes_first", False):
            return f"'{self.net.kind}' cannot go on from a given frame; take the generator 'gru' or set first_frame to false."
        if self.head == "auxiliary" and space.words:
            return "an auxiliary head guesses classes, tags or numbers, and the data have captions; take the head 'projection'."
        if self.mismatch != 0 and not (conditioned(space) and self.head in ("projection", "concat")):
            return "mismatched pairs need a condition that the critics see; set mismatch to 0, or take labelled data and the head 'projection'."
        if (reason := getattr(self.net, "why_not", lambda space, first: None)(space, self.first_frame)) is not None:
            return reason
        if self.head == "auxiliary" and not any(_guesses(judge) for judge in self.judges):
            return f"none of the critics {', '.join(name for name, _ in self._named())} guesses conditions; add 'clip', or take the head 'projection'."
        for judge in self.judges:
            if (reason := getattr(judge, "why_not", lambda space: None)(space)) is not None:
                return reason
            if (reason := why_not(self.loss, self.penalties, judge, self.head if self.conditional else "none")) is not None:
                return reason
        if self.head == "none" and conditioned(space):
            return "the generator is given a condition that no critic sees, so nothing holds it to it; take another head or set conditional to false."
        if self.head == "auxiliary" and not conditioned(space):
            return f"an auxiliary head guesses the condition of a clip, and {space.describe()} have none; take the head 'none' or labelled data."
        return None

    @property
    def inherits(self) -> Mapping[str, str]:
        return {"G.image.": "G."} if isinstance(self.net, Walk) else {}

    def grown_from(self, origin: Mapping[str, Any]) -> Game:
        """A walk takes the image generator of the run as it is, and its latent."""
        if not isinstance(self.net, Walk):
            return self
        game, space = origin["game"], space_from_json(origin["space"])
        if "net" not in game or "z_dim" not in game or not isinstance(space, Image):
            raise InputError(
                f"a walk needs a run of pictures by a generator against a critic, and this one is '{game['name']}' on {space.describe()}."
            )
        kinds = {cls.__dataclass_fields__["kind"].default: cls for cls in families()}
        if game["net"].get("kind") not in kinds:
            raise InputError(f"a walk cannot take the network '{game['net'].get('kind')}'; expected one of {', '.join(kinds)}.")
        image = decode(kinds[game["net"]["kind"]], game["net"], "game.net.image")
        return replace(self, z_dim=game["z_dim"], net=replace(self.net, image=image, told=bool(space.condition_dim)))

    def players(self, space: Video) -> dict[str, nn.Module]:
        if (reason := self.why_not(space)) is not None:
            raise InputError(reason)
        extra = {"first": True} if self.first_frame else {}
        panel = Panel({name: judge.critic(space, self.head) for name, judge in self._named()})
        panel.count = space.condition_dim
        panel.told = next((kind for kind in ("classes", "tags", "numbers") if getattr(space, kind)), "")
        props: dict[str, nn.Module] = {}
        for penalty in self.penalties:
            penalty.bind(panel)
            for prop in penalty.props():
                props |= {self._of(name, prop, "-"): penalty.props()[prop] for name, _ in self._named()}
        return {"G": self.net.generator(self.z_dim, space, **extra), "D": panel, **props}

    def _named(self) -> list[tuple[str, ClipCritic]]:
        """The critics by name: their kind, numbered where it is there twice."""
        kinds = [judge.kind for judge in self.judges]
        return [
            (f"{k}-{kinds[:i].count(k) + 1}" if k in kinds[:i] else k, judge)
            for i, (k, judge) in enumerate(zip(kinds, self.judges, strict=True))
        ]

    def _of(self, judge: str, name: str, mark: str = "/") -> str:
        """The name of a term or prop of one critic: plain where there is only one."""
        if len(self.judges) == 1:
            return name
        return f"{name}-{judge}" if mark == "-" else f"{judge}/{name}"

    # -- turns -------------------------------------------------------------------------------------------------------------------

    def turns(self) -> list[Turn]:
        survey = [Turn(step=self._survey, moves="G", stop=1, name="survey")] if isinstance(self.net, Walk) else []
        return survey + scheduled(self.penalties, self.n_critic, self.critic, self.generator, self._lazy, self._step)

    def _survey(self, p: Players, real: Batch, t: Clock) -> None:
        """Before the first round: the directions that a walk through a frozen generator's latents goes along."""
        generator: Any = p.G
        generator.survey()

    def _mine(self, player: str) -> list[Penalty]:
        return [penalty for penalty in self.penalties if penalty.player == player and penalty.every == 1 and penalty.terms]

    def critic(self, p: Players, real: Batch, t: Clock) -> Terms:
        terms: dict[str, Tensor] = {}
        penalties = self._mine("D")
        for name, view, gaps in self._views(p, real, t, penalties):
            found = {"adv": self.loss.critic(view.logits("real"), view.logits("fake"))}
            if self._tells(p, name):
                on_real, on_fake = (losses.auxiliary(view.says(where), real["y"], _told(p)) for where in ("real", "fake"))
                found["aux"] = at(self.aux, t) * (on_real + at(self.aux_fake, t) * on_fake)
            if (weight := at(self.mismatch, t)) and view.y is not None:
                wrong, equal = self._other(p, view.y)
                on_wrong = _Judge(p.D, name)(view.x, wrong, gaps)
                on_wrong = torch.where(equal.reshape(-1, *[1] * (on_wrong.dim() - 1)), view.logits("fake"), on_wrong)
                found["mismatch"] = weight * self.loss.critic(view.logits("real"), on_wrong)
            found |= self._penalised(name, view, penalties)
            terms |= {self._of(name, key): term for key, term in found.items()}
        return terms

    def generator(self, p: Players, real: Batch, t: Clock) -> Terms:
        terms: dict[str, Tensor] = {}
        for name, view, _ in self._views(p, real, t):
            terms[self._of(name, "adv")] = self.loss.generator(view.logits("real") if self.loss.pairs else None, view.logits("fake"))
            if self._tells(p, name):
                terms[self._of(name, "aux")] = at(self.aux, t) * losses.auxiliary(view.says("fake"), real["y"], _told(p))
            terms |= {self._of(name, key): term for key, term in self._penalised(name, view, self._mine("G")).items()}
        terms |= real.pop("terms", {})
        if self.first_frame and "redrawn" in real:
            terms["first"] = at(self.redraw, t) * (real.pop("redrawn") - real["x"][:, 0]).abs().mean()
        return terms

    def _lazy(self, penalty: Penalty, p: Players, real: Batch, t: Clock) -> Terms:
        # With several plays of the critics in a round, the penalty would have joined each of them.
        plays = self.n_critic if penalty.player == "D" else 1
        terms: dict[str, Tensor] = {}
        for name, view, _ in self._views(p, real, t, [penalty]):
            terms |= {self._of(name, key): plays * term for key, term in self._penalised(name, view, [penalty]).items()}
        return terms

    def _penalised(self, judge: str, view: View, penalties: list[Penalty]) -> dict[str, Tensor]:
        """The terms of penalties for one critic; what acts on all weights of a player does so once, with the first critic."""
        first = judge == self._named()[0][0]
        return {penalty.kind: penalty.term(view) for penalty in penalties if first or not (penalty.whole or penalty.player == "G")}

    def _step(self, penalty: Penalty, p: Players, real: Batch, t: Clock) -> None:
        for name, _ in self._named():
            penalty.step(self._seat(p, name), real.get(f"seen-{name}", Batch()), t)

    def _seat(self, p: Players, judge: str) -> Players:
        """The players as a penalty of one critic sees them: props by their plain names."""
        return p.known_as({prop: self._of(judge, prop, "-") for penalty in self.penalties for prop in penalty.props()})

    # -- what the critics see ----------------------------------------------------------------------------------------------------

    def _views(
        self, p: Players, real: Batch, t: Clock, penalties: list[Penalty] | None = None
    ) -> Iterator[tuple[str, View, Tensor | None]]:
        """For each critic its name, its view of the real and generated clips, and the gaps between the frames it sees."""
        x, y = real["x"], real.get("y")
        n, frames = x.shape[:2]
        places = [self._beginning(judge.view(p, n, frames)) for judge in self.judges]
        fakes = _Once(partial(self._generate, p, real, places))
        sloped = {where for penalty in penalties or [] for where in penalty.slopes}
        for index, ((name, judge), place) in enumerate(zip(self._named(), places, strict=True)):
            seen = Batch({"x": judge.shrink(choose(x, place))} | ({} if y is None else {"y": y}))
            real[f"seen-{name}"] = seen  # where a penalty leaves what its step needs
            gaps = gaps_of(place)
            yield name, View(
                self._seat(p, name), seen, t, partial(fakes.part, index, judge), partial(self.latents, p, n), sloped=sloped,
                joint=not judge.couples_samples, classify=self._tells(p, name), critic=_Judge(p.D, name), beside=(gaps,),
            ), gaps  # fmt: skip

    def _beginning(self, place: Tensor | None) -> Tensor | None:
        """Where the first frame is given, every critic sees it: the first of its frames becomes frame 0."""
        if place is None or not self.first_frame:
            return place
        return torch.cat([torch.zeros_like(place[:, :1]), place[:, 1:]], 1)

    def _generate(self, p: Players, real: Batch, places: list[Tensor | None]) -> list[Tensor]:
        """Fakes [n, k, C, H, W] for each critic: of one generated clip, of which only the frames that are looked at are made where all are few."""
        n, frames = real["x"].shape[:2]
        z, e = self.split_latents(p, self.latents(p, n))
        first = real["x"][:, 0] if self.first_frame else None
        chosen = [place for place in places if place is not None]
        few = len(chosen) == len(places) and sum(place.shape[1] for place in chosen) < frames
        asked = torch.cat(chosen, 1) if few else None
        generator: Any = p.G
        if hasattr(generator, "with_terms"):  # it adds something to its own loss
            x, real["terms"] = generator.with_terms(z, e, real.get("y"), asked)
        else:
            x = generator(z, e, real.get("y"), first=first, at=asked, copy=False)
        if first is not None:
            real["redrawn"] = x[:, 0]
            x = begin_with(x, first, asked)
        if asked is None:
            return [choose(x, place) for place in places]
        return list(x.split([place.shape[1] for place in chosen], 1))

    def _other(self, p: Players, y: Tensor) -> tuple[Tensor, Tensor]:
        """Conditions that do not belong to the clips, and where they happen to be equal, bool [n]."""
        if y.dim() == 1:
            panel: Any = p.D
            count: int = panel.count
            return (y + 1 + p.randint(count - 1, len(y))) % count, torch.zeros_like(y, dtype=torch.bool)
        rows = torch.arange(len(y), device=y.device)
        wrong = y[(rows ^ 1).clamp_max(len(y) - 1)]
        if self.one_word and not y.is_floating_point():
            differs = (wrong != y) & (wrong > 0) & (y > 0)
            place = torch.where(differs, p.rand(*y.shape), -1.0).argmax(1)
            swapped = y.clone()
            swapped[rows, place] = wrong[rows, place]
            near = differs.any(1) & (p.rand(len(y)) < self.one_word)
            wrong = torch.where(near[:, None], swapped, wrong)
        return wrong, (wrong == y).all(1)

    def _tells(self, p: Players, name: str) -> bool:
        return self.head == "auxiliary" and bool(_told(p)) and _guesses(dict(self._named())[name])

    # -- samples -----------------------------------------------------------------------------------------------------------------

    def latents(self, p: Players, n: int) -> Tensor:
        """Content and motion side by side: [n, z_dim + motion noise]; `split_latents` takes them apart."""
        return p.randn(n, self.z_dim + math.prod(_noise_shape(p)))

    def split_latents(self, p: Players, latents: Tensor) -> tuple[Tensor, Tensor]:
        """(content [n, z_dim], motion noise [n, *noise_shape]): content of one clip and motion of another make a third."""
        return latents[:, : self.z_dim], latents[:, self.z_dim :].unflatten(1, _noise_shape(p))

    def sample(self, p: Players, n: int, *, z: Tensor | None = None, given: Batch | None = None) -> Tensor:
        """given: "y", and where clips go on from a frame "first" [n, C, H, W] (or clips "x", whose first frames are taken)."""
        content, motion = self.split_latents(p, self.latents(p, n) if z is None else z)
        generator: Any = p.G
        return generator(content, motion, label_of(given), first=self.first_of(given))

    def first_of(self, given: Batch | None) -> Tensor | None:
        """The first frames among the conditions, in [-1, 1]; None where the game needs none. Raises InputError where they are missing."""
        if not self.first_frame:
            return None
        if given is not None and "first" in given:
            return to_range(given["first"])
        if given is not None and "x" in given:
            return given["x"][:, 0]
        raise InputError("this game goes on from a given first frame, and none was given; sample with --first picture.png (or a clip).")

    def fakes_for(self, p: Players, real: Batch) -> Tensor:
        return self.sample(p, len(real["x"]), given=real)

    def judge(self, p: Players, x: Tensor, given: Batch | None = None) -> Tensor:
        y, total = label_of(given), torch.zeros(len(x), device=x.device)
        for name, judge in self._named():
            place = self._beginning(judge.view(p, *x.shape[:2]))
            logits = _Judge(p.D, name)(judge.shrink(choose(x, place)), y, gaps_of(place))
            total = total + logits.flatten(1).mean(1) if logits.dim() > 1 else total + logits
        return total


class Panel(nn.Module):
    """All critics of a game as one player."""

    count: int  # of classes, tags, numbers or words
    told: str  # what a second head guesses: classes, tags, numbers or nothing

    def __init__(self, judges: dict[str, nn.Module]) -> None:
        super().__init__()
        self.judges = nn.ModuleDict(judges)

    def forward(self, x: Tensor, y: Tensor | None = None, gaps: Tensor | None = None, *, judge: str) -> Tensor:
        """Logits of the critic called `judge`, of what it sees of clips [n, k, C, H, W]."""
        return self.judges[judge](x, y, gaps)

    def classify(self, x: Tensor, gaps: Tensor | None = None, *, judge: str) -> tuple[Tensor, Tensor]:
        """Its logits and its guesses of the condition."""
        return self.judges[judge].classify(x, gaps)  # type: ignore[operator]


@dataclass(frozen=True)
class _Judge:
    """One critic of a panel, as a view asks it; the panel may stand behind a lens that augments."""

    panel: Any
    name: str

    def __call__(self, x: Tensor, y: Tensor | None = None, gaps: Tensor | None = None) -> Tensor:
        return self.panel(x, y, gaps, judge=self.name)

    def classify(self, x: Tensor, gaps: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.panel.classify(x, gaps, judge=self.name)


class _Once:
    """Fakes for all critics, generated when the first of them looks."""

    def __init__(self, make: Any) -> None:
        self._make = make
        self._made: list[Tensor] | None = None

    def part(self, index: int, judge: ClipCritic) -> Tensor:
        if self._made is None:
            self._made = self._make()
        return judge.shrink(self._made[index])


def _guesses(judge: ClipCritic) -> bool:
    return bool(getattr(judge, "guesses", True))


def _told(p: Players) -> str:
    return p.D.told  # type: ignore[return-value]


def _noise_shape(p: Players) -> tuple[int, ...]:
    generator: Any = p.G
    return generator.noise_shape(generator.frames)
