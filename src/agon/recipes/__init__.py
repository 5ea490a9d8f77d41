"""Recipes: which game, on what batch, for how long, for given data and device; each derived number with its reason.

A recipe is a function from a `Situation` to a `Suggestion`. The numbers come from our own sweeps (docs/log.md) or the paper named.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field

from agon.errors import InputError, suggest
from agon.game import Game
from agon.spaces import Space, Tokens, Video
from agon.spaces.tokens import FIRST


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What a recipe may look at. rounds, batch: what the user asked for, None where it is left to the recipe."""

    space: Space
    count: int  # training samples
    device: str
    rounds: int | None = None
    batch: int | None = None
    held: bool = True  # something is held out,
    by_chance: bool = False  # and stands beside conditions that are not its own

    @property
    def pixels(self) -> int:
        """Height × width of a picture or of a clip's frame; 0 for data that are neither."""
        shape = self.space.shape
        return shape[-2] * shape[-1] if len(shape) in (3, 4) else 0


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """A recipe's answer."""

    game: Game
    rounds: int
    batch: int
    metrics: tuple[str, ...]
    reasons: dict[str, str] = field(default_factory=dict)  # name of a choice -> "value: why"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A recipe by name: what it is, its paper, and what builds it."""

    name: str
    title: str
    paper: str
    build: Callable[[Situation], Suggestion]


def no_text(situation: Situation, name: str) -> None:
    """Raise InputError for text, on behalf of a recipe that is made for numbers."""
    if isinstance(situation.space, Tokens):
        usual, why = pick(situation)
        raise InputError(f"recipe '{name}' makes numbers, and the data are {situation.space.describe()}; take --recipe {usual}: {why}.")


def only_pictures(situation: Situation, name: str) -> None:
    """Raise InputError for text and points, on behalf of a recipe of convolutions."""
    no_text(situation, name)
    if not situation.pixels:
        raise InputError(
            f"recipe '{name}' is made of convolutions over pictures, and the data are {situation.space.describe()}; "
            "take --recipe r3gan-points or --recipe gan."
        )


def find(name: str) -> Recipe:
    """The recipe called `name`. Raises InputError, with a suggestion."""
    known = table()
    if name not in known:
        raise InputError(f"recipe '{name}' is unknown; expected {', '.join(known)}.{suggest(name, known)}")
    return known[name]


def table() -> dict[str, Recipe]:
    """All recipes, the RECIPES of every file in this folder, in the order they are shown."""
    modules = sorted((m.name for m in pkgutil.iter_modules(__path__)), key=lambda name: (name != "images", name))
    found = [importlib.import_module(f"{__name__}.{name}").RECIPES for name in modules]
    return {recipe.name: recipe for recipes in found for recipe in recipes}


def pick(situation: Situation) -> tuple[str, str]:
    """The recipe for data nobody chose one for, and why."""
    if isinstance(situation.space, Video):
        if situation.space.words:
            return "video-text", "clips with captions: the default for clips, its critics also shown captions of other clips"
        return "video", "the stable default for clips: few frames decoded, cheap critics, relativistic pair with R1 and R2"
    if isinstance(situation.space, Tokens) and situation.space.source is not None:
        return _from_text(situation.space, situation.space.source)
    if isinstance(situation.space, Tokens):
        return "likelihood", "the baseline of text, which few text GANs beat"
    if not situation.pixels:
        return "r3gan-points", "points are learnt by perceptrons; the relativistic pair with R1 and R2 covers all modes"
    return "r3gan", "the stable default for pictures: relativistic pair with R1 and R2, no normalisation"


def _from_text(space: Tokens, source: Tokens) -> tuple[str, str]:
    """Of recipes that make a text from another, without pairs and with them."""
    if space.dictionary and space.dictionary[FIRST:] == tuple(range(FIRST, space.vocabulary)):
        return (
            "summary-unpaired",
            "short texts without pairs: found among other words, then a critic of them and a reconstructor of their sources",
        )
    if space.dictionary:
        return (
            "translation-unpaired",
            "two languages without pairs: denoising and back-translation, begun with a dictionary learnt from them",
        )
    if source.tokenizer == space.tokenizer:
        return "summary", "texts that share the words of their sources: the default copies, its rewards are ROUGE-L and a critic of pairs"
    return "translation", "text made from text: the default for pairs, its rewards are sentence BLEU and a critic of pairs"


def for_game(game: Game, situation: Situation) -> Suggestion:
    """Batch, length and scores for a game that came without a recipe."""
    name, _ = pick(situation)
    usual = find(name).build(situation)
    knows = type(game).log_likelihood is not Game.log_likelihood
    metrics = tuple(metric for metric in usual.metrics if knows or metric != "nll_test")  # the usual game of text knows its likelihood
    return Suggestion(game=game, rounds=usual.rounds, batch=usual.batch, metrics=metrics)
