"""A trained run, opened for use: samples, walks and scores, from Python and for every verb that needs a generator."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from agon import firsts, standing
from agon.applied import BATCH, Cut, apply, checked
from agon.clips import film, swapped
from agon.conditions import Conditions, Numbers, Tags
from agon.config import decode, encode, override
from agon.data import Data, DataSet
from agon.device import choose_device
from agon.directory import RunDirectory
from agon.engine import Engine
from agon.errors import InputError, suggest
from agon.game import Game, Players, mix
from agon.latent import Codes, Edit, Latents, read_edits
from agon.latent.sheets import Wish, granted
from agon.metrics.protocols import METRICS, protocol_of
from agon.run import Say, data_of, game_class, play, prepare, run_from_json
from agon.sampling import Drawn, as_drawn, draw, has_latents, needs_first
from agon.scoring import open_extractor, take_scores
from agon.spaces import Space, Tokens, Video, space_from_json


class Trained:
    """A run opened for use: samples, walks, scores, export."""

    def __init__(
        self, path: Path | str, *, state: str = "latest", weights: str = "ema", device: str = "auto", trust: bool = False,
        settings: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """state: latest, best or a round; weights: ema or raw; settings: "game.steps" and the like, as the game allows. Raises InputError."""
        self.directory = RunDirectory.open(path)
        self.content = self.directory.run()
        self.run = run_from_json(self.content, game_class(self.directory, self.content, trusted=trust))
        self.sampling, game = amended(self.run.game, settings or {})
        self.run = replace(self.run, game=game)
        self.game, self.space = game, space_from_json(self.content["space"])
        self.conditions = Conditions.read(self.directory, self.content, self.space)
        self.notes: list[str] = []  # what whoever uses the run should hear
        found = self.directory.load_state(state, self.notes.append)
        if found is None:
            raise InputError(f"'{path}' has no saved state yet. Train it: `agon train {shlex.quote(str(path))}`.")
        if weights not in ("ema", "raw"):
            raise InputError(f"weights '{weights}' are unknown; expected ema or raw.")
        tensors, rest, self.state_path = found
        with torch.random.fork_rng():  # an engine seeds torch for its first weights; a program that loads a run keeps its own numbers
            engine = Engine(self.game, self.space, device=choose_device(device).value, channels_last=self.run.channels_last)
        engine.load_state(tensors, rest["engine"])
        self.round, self.seen = engine.clock.round, engine.clock.seen
        self.weights = weights if engine.players.averages else "raw"
        self.players: Players = engine.players.ema if self.weights == "ema" else engine.players
        if self.weights == "ema":
            kept = {name.removeprefix(standing.PREFIX): value for name, value in tensors.items() if name.startswith(standing.PREFIX)}
            if not kept and standing.norms(engine.players):  # a state of an earlier week
                kept = standing.take(game, engine.players, self.space, self.conditions, lambda n, y: self.begin(n))
                self.notes.append(
                    "this state is of an earlier version: statistics of batch normalisation of its averaged weights were taken now."
                )
            standing.give(engine.players, kept)
        for _, module in self.players.items():
            module.eval()

    def data(self) -> DataSet:
        """What the run was trained on. Raises InputError if that has changed, or moved."""
        return data_of(self.directory, self.content, self.run.data)

    def sample(
        self, n: int = 64, *, seed: int = 0, label: str | int | Sequence[str | int] | None = None, tags: Tags | None = None,
        numbers: Numbers | None = None, text: str | Sequence[str] | None = None, length: int | None = None, first: Any = None,
    ) -> Drawn:  # fmt: skip
        """n samples: uint8 [n, H, W, C] pictures, uint8 [n, T, H, W, C] clips or float32 [n, d] points.

        label: a class by name or number, or one a sample. tags: those that are on, "!hat" for off. numbers: in their own units, or
        (from, to). text: a caption, or one a sample. What is left open is drawn as the training set has it. Of clips, length: how many
        frames; first: the frame they begin with, uint8 [H, W, C] or one a clip. Raises InputError for what the run does not know.
        """
        wish: dict[str, Any] = {
            name: value for name, value in (("label", label), ("tags", tags), ("numbers", numbers), ("text", text)) if value is not None
        }
        if length is None and first is None:
            return as_drawn(self.space, self.sample_stored(n, seed=seed, **wish))
        begin = None if first is None else torch.as_tensor(first).movedim(-1, -3)
        return as_drawn(self.space, torch.cat(list(self.film(n, length=length, seed=seed, first=begin, **wish)), dim=1))

    def sample_stored(self, n: int, *, seed: int = 0, **wish: Any) -> Tensor:
        """The same in stored form, uint8 [n, C, H, W] or [n, T, C, H, W] or float [n, d]; wish: label, tags, numbers or text."""
        if n < 1:
            raise InputError(f"-n is {n}; expected 1 or more samples.")
        y = self.conditions.ask(n, seed=seed, **wish)
        return draw(self.game, self.players, self.space, n, seed=seed, labels=y, first=self.begin(n))

    def say(
        self, n: int = 20, *, seed: int = 0, prefix: str = "", temperature: float | None = None, top_k: int | None = None, top_p: float | None = None,
        **wish: Any,
    ) -> Drawn:  # fmt: skip
        """n sentences, int32 [n, L]; `.texts` has them as text. prefix: how they begin; wish: as in `sample`.

        temperature, top_k, top_p: how tokens are chosen (`decoding.Choice`), else as the run's game says. Raises InputError for a run that makes none.
        """
        if not isinstance(self.space, Tokens) or not hasattr(self.game, "choice"):
            raise InputError(
                f"--temperature, --top-k, --top-p and --prefix are for text; this run makes {self.space.describe()}. Leave them out."
            )
        if n < 1:
            raise InputError(f"-n is {n}; expected 1 or more samples.")
        given = {name: value for name, value in (("temperature", temperature), ("top_k", top_k), ("top_p", top_p)) if value is not None}
        game: Any = replace(self.game, choice=replace(self.game.choice, **given))  # type: ignore[call-arg]
        y = self.conditions.ask(n, seed=seed, **wish)
        begun = None
        if prefix:
            ids = self.space.ids([prefix])[0]
            if not ids or len(ids) >= self.space.length:
                raise InputError(f"--prefix has {len(ids)} tokens; expected 1 to {self.space.length - 1}.")
            begun = torch.tensor(ids).expand(n, -1)
        return as_drawn(self.space, draw(game, self.players, self.space, n, seed=seed, labels=y, begun=begun))

    def beside(self, said: Drawn, *, seed: int = 0) -> list[str]:
        """ "source → text" of what `say` made with this seed of sources nobody named. Raises InputError for a run without sources."""
        if not isinstance(self.space, Tokens) or self.space.source is None:
            raise InputError(f"this run makes {self.space.describe()}, from no source.")
        y = self.conditions.draw(len(said), seed=seed)
        assert y is not None
        return self.space.beside(y, said.stored())

    def encode(self, texts: Sequence[str]) -> Codes:
        """The codes of sentences, for `latents.pictures` (reconstructions), `latents.walk` and edits.

        Raises InputError for a run without an encoder of sentences, and for a sentence too long for it.
        """
        view = self.latents
        if not isinstance(self.space, Tokens):
            raise InputError(f"sentences have codes in runs on text; this run makes {self.space.describe()}.")
        x, sizes = self.space.encode(texts)
        if not sizes:
            raise InputError("there is no sentence to encode; give one at least.")
        most = self.space.length - self.space.ends
        for text, size in zip(texts, sizes, strict=True):
            if not 0 < size <= most:
                raise InputError(f"{text[:40]!r} has {size} tokens; expected 1 to {most}.")
        return view.encode(x)

    def apply(
        self, lines: Iterable[str], *, rerank: bool = False, back: bool = False, seed: int = 0, batch: int = BATCH, cut: Cut | None = None,
        **choice: Any,
    ) -> Iterator[str]:  # fmt: skip
        """What the run makes of each line, in order, as lines come: translations, summaries. Memory does not grow with their number.

        choice: temperature, top_k, top_p, beam, penalty, no_repeat (`decoding.Choice`), else as the run's game says; rerank: of the beam what the critic finds
        most real; back: the other way round, of a run that knows both; cut(number, tokens) hears of lines that are too long. Raises InputError for a
        run that makes no text of another, or knows one way alone.
        """
        if batch < 1:
            raise InputError(f"--batch is {batch}; expected 1 or more lines.")
        own = checked(self.game, self.players, self.space, None, rerank)
        players, space = self._way_back() if back else (self.players, self.space)
        return apply(self.game, players, space, lines, choice=replace(own, **choice), rerank=rerank, seed=seed, batch=batch, cut=cut)

    def _way_back(self) -> tuple[Players, Space]:
        if (found := self.game.way_back(self.players, self.space)) is None:
            raise InputError(
                "this run knows one way alone, from sources to what is made of them. For the other way train with --source and --target exchanged; "
                "translators without pairs, which the recipe translation-unpaired makes, learn both."
            )
        return found

    def film(
        self, n: int = 1, *, length: int | None = None, seed: int = 0, fps: float | Fraction | None = None, first: Tensor | None = None, **wish: Any
    ) -> Iterator[Tensor]:  # fmt: skip
        """n clips of `length` frames as parts uint8 [n, t, C, H, W] one after the other, in memory that does not grow with length.

        fps: of a generator that is continuous in time, the rate its frames are made for. first: uint8 [C, H, W], or one a clip. wish: as in
        `sample`. Raises InputError for a run that makes no clips, and for a length it cannot make.
        """
        space = self._clips(n, length)
        y = self.conditions.ask(n, seed=seed, **wish)
        return film(
            self.game, self.players, space, n, seed=seed, frames=length, fps=fps, labels=y, first=self.begin(n, first),
        )  # fmt: skip

    def swap(
        self, rows: int, columns: int, *, length: int | None = None, seed: int = 0, first: Tensor | None = None, **wish: Any
    ) -> Iterator[Tensor]:  # fmt: skip
        """The table of contents × motions: parts uint8 [(rows + 1) · (columns + 1), t, C, H, W], under one condition. Raises InputError."""
        space, cells = self._clips(min(rows, columns), length), (rows + 1) * (columns + 1) - 1
        y = self.conditions.ask(cells, seed=seed, alike=True, **wish)
        begin = self.begin(1, first)
        return swapped(
            self.game, self.players, space, rows, columns, seed=seed, frames=length, labels=y,
            first=None if begin is None else firsts.repeated(begin, cells),
        )  # fmt: skip

    def begin(self, n: int, first: Tensor | None = None) -> Tensor | None:
        """Frames uint8 [n, C, H, W] that n clips begin with: those given, else the run's own; None for a game that is given none."""
        if not needs_first(self.game):
            if first is not None:
                raise InputError("--first gives the frame that clips begin with, and this run makes its own; train --recipe video-first.")
            return None
        if first is None:
            return firsts.kept(self.directory, n)
        first = first if first.dim() == 4 else first[None]
        if tuple(first.shape[1:]) != tuple(self.space.shape[1:]) or first.dtype != torch.uint8:
            raise InputError(
                f"the first frames are {first.dtype} {list(first.shape)}; expected uint8 [n, {', '.join(map(str, self.space.shape[1:]))}]."
            )
        return firsts.repeated(first, n)

    def _clips(self, n: int, length: int | None) -> Video:
        if not isinstance(self.space, Video):
            raise InputError(f"--length, --fps, --first and --swap are for clips; this run makes {self.space.describe()}. Leave them out.")
        if n < 1 or (length is not None and length < 1):
            raise InputError(f"-n is {n}; expected 1 or more clips." if n < 1 else f"--length is {length}; expected 1 or more frames.")
        return self.space

    def sample_rows(self, labels: Sequence[str | int], per_class: int = 8, *, seed: int = 0) -> Drawn:
        """`per_class` samples of each class, [len(labels) · per_class, …]: a row a class, a column of like latents."""
        if per_class < 1 or not labels:
            raise InputError(f"{len(labels)} classes with {per_class} samples each; expected 1 or more of both.")
        n, z = len(labels) * per_class, None
        y = self.conditions.ask(n, label=[label for label in labels for _ in range(per_class)])
        if has_latents(self.game):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(mix(seed, 0))
                z = self.game.latents(self.players, per_class).cpu()
            z = z.repeat(len(labels), *[1] * (z.dim() - 1))
        first = self.begin(per_class)
        first = None if first is None else first.repeat(len(labels), *[1] * (first.dim() - 1))
        return as_drawn(self.space, draw(self.game, self.players, self.space, n, seed=seed, labels=y, latents=z, first=first))

    def _labels(self, n: int, seed: int, wish: Any) -> Tensor | None:
        # The latent tools hand a wish through: a class, or {"tags": …}, {"numbers": …}.
        return self.conditions.ask(n, seed=seed, **(wish if isinstance(wish, Mapping) else {"label": wish}))

    @cached_property
    def latents(self) -> Latents:
        """The latent space to walk and edit in: w where the generator has one, else z."""
        return self.latents_in("auto")

    def latents_in(self, kind: Literal["auto", "z", "w"]) -> Latents:
        """The latent space asked for. Raises InputError for w without a mapping."""
        return Latents(self.game, self.players, self.space, labels=self._labels, kind=kind, first=self.begin(1))

    def edits(self) -> list[Edit]:
        """The run's named edits, from its edits.json."""
        return read_edits(self.directory.path)

    def walk(
        self, stops: int = 8, *, frames: int = 24, seed: int = 0, label: Any = None, spherical: bool | None = None
    ) -> Drawn:  # fmt: skip
        """A closed walk through the latents of a seed: [stops · frames, …]; along great circles in z, lines in w, unless told.

        label: a class, or {"tags": …} or {"numbers": …} as in `sample`.
        """
        return granted(self.latents, Wish(interpolate=stops, frames=frames, spherical=spherical), stops, seed=seed, label=label)[0]

    def evaluate(self, metrics: Sequence[str] | None = None, *, num_samples: int | None = None, seed: int = 0, say: Say | None = None,
                 extractor: str | None = None, extractor_weights: str | None = None,
                 left_out: Callable[[str, InputError], None] | None = None, protocol: str | None = None) -> list[Any]:  # fmt: skip
        """Scores with their floors; `metrics` as in `agon eval`. Needs the run's data.

        left_out(names, why) hears of metrics that do not apply to this run, and the others are taken. Raises InputError without it, or if none does.
        protocol: a published one of text by name, which fixes metrics and N (metrics/protocols.py).
        """
        if num_samples is not None and num_samples < 1:
            raise InputError(f"--num-samples is {num_samples}; expected 1 or more.")
        kept = None if protocol is None else protocol_of(protocol)
        if kept is not None and (metrics or num_samples not in (None, kept.samples)):
            raise InputError(
                f"protocol '{kept.name}' fixes {', '.join(METRICS)} of {kept.samples:,} samples; leave out -m and --num-samples, or take other "
                "scores without it."
            )
        metrics = METRICS if kept is not None else metrics
        run = replace(
            self.run, metrics=tuple(metrics or self.run.metrics), num_samples=num_samples or self.run.num_samples,
            extractor=extractor or self.run.extractor, extractor_weights=extractor_weights or self.run.extractor_weights,
        )  # fmt: skip
        data_set = self.data()
        found = open_extractor(run, data_set, device=self.players.device, say=say)
        return take_scores(
            run, data_set, self.players, self.content, found, weights=self.weights, seed=seed, say=say, left_out=left_out, protocol=kept
        )


def amended(game: Game, settings: Mapping[str, Any]) -> tuple[dict[str, Any], Game]:
    """A game with fields changed that concern sampling only, and those that differ by name. Raises InputError for any other name."""
    may = [f"game.{name}" for name in game.sampling]
    for name in settings:
        if not any(name == word or name.startswith(f"{word}.") for word in may):
            listing = (
                f"{', '.join('--' + word for word in may)} can be changed"
                if may
                else f"{type(game).__name__} has nothing that can be changed"
            )
            raise InputError(f"unknown option '--{name.replace('_', '-')}'; after training {listing}.{suggest(name, may, '--')}")
    before = encode(game)
    after = override({"game": before}, settings)["game"]
    changed = {name: after[name] for name in game.sampling if after[name] != before[name]}
    return changed, decode(type(game), after, "game") if changed else game


def load(
    path: Path | str, *, state: str = "latest", weights: str = "ema", device: str = "auto", trust: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> Trained:  # fmt: skip
    """Open a trained run: `agon.load("runs/a").sample(16, seed=0)` is uint8 [16, H, W, C].

    settings: fields of the game that concern sampling only, such as {"game.steps": 4} of a flow.
    """
    return Trained(path, state=state, weights=weights, device=device, trust=trust, settings=settings)


def fit(
    recipe: str | None = None, *, data: str | Data, out: Path | str | None = None, start: Path | str | None = None,
    start_state: str = "latest", **settings: Any,
) -> Trained:  # fmt: skip
    """Train from Python: `agon.fit("r3gan", data="./photos", rounds=20_000)`. Dotted settings: `fit(..., **{"game.gamma": 0.1})`.

    start: a run to take weights and averages from, where they fit by name and shape; start_state: latest, best or a round.
    """
    wish = data if isinstance(data, Data) else Data(path=str(data))
    directory, data_set = prepare(wish, out=out, recipe=recipe, settings=settings, start=start, start_state=start_state, command="agon.fit")
    play(directory, data_set)
    return Trained(directory.path)
