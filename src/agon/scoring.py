"""Scores of a run: its generator as a sampler and as a probe, and what scores may cost while it trains.

Metrics know samples and tensors, games know players; this file stands between them. Scores are taken on the first process only, whatever the
number of processes: the others wait, so a score costs a run on many devices its wall-clock time once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from agon import firsts
from agon.applied import translator
from agon.conditions import Conditions
from agon.data import DataSet
from agon.decoding import Choice, Tempered
from agon.errors import InputError
from agon.game import Batch, Game, Players, mix
from agon.metrics import Extractor, Probe, Score, evaluate, make_extractor
from agon.metrics.features import check_extractor
from agon.metrics.protocols import TextProtocol
from agon.metrics.registry import expand, family_of, look_at_features, may_choose_best
from agon.metrics.setting import Likelihood, need_pairs
from agon.sampling import draw, needs_first, still
from agon.spaces import Space, Tokens

if TYPE_CHECKING:
    from agon.run import Run

FREE_S = 20.0  # seconds of scoring that any run may spend, however short it is


def check(run: Run, data_set: DataSet) -> None:
    """Raise InputError now for what would end the run at its first score, after many rounds: metrics that cannot choose, an extractor not there."""
    if run.metrics:
        may_choose_best(run.metrics)
        for name in (name for name in expand(run.metrics) if family_of(name).pairs):
            need_pairs(data_set, name)
        check_extractor(_extractor(run, data_set), data_set, weights=run.extractor_weights)


def open_extractor(run: Run, data_set: DataSet, *, device: torch.device | str = "cpu", say: Any = None) -> Extractor:
    """The feature extractor the run's scores are taken with, on the run's device if that is a CUDA one (metrics need float64 elsewhere)."""
    where = torch.device(device)
    name = _extractor(run, data_set)
    return make_extractor(name, data_set, weights=run.extractor_weights, say=say, device=where if where.type == "cuda" else "cpu")


def _extractor(run: Run, data_set: DataSet) -> str:
    # Nothing is trained for metrics that look at samples alone.
    idle = run.extractor == "auto" and bool(run.metrics) and not look_at_features(run.metrics)
    return "pixels" if idle and not isinstance(data_set.space, Tokens) else run.extractor


def take_scores(
    run: Run, data_set: DataSet, p: Players, content: Mapping[str, Any], extractor: Extractor | None, *, weights: str = "ema", seed: int = 0,
    say: Any = None, left_out: Callable[[str, InputError], None] | None = None, protocol: TextProtocol | None = None,
) -> list[Score]:  # fmt: skip
    """The run's metrics on fresh samples of these players, each with its floor; none without an extractor. left_out as in `evaluate`."""
    if extractor is None:
        return []
    space = run.game.sees(data_set.space)
    conditions = Conditions.of(space, data_set.train.y, data_set.card.get("labels", {}))
    drawn = 0

    def sampler(n: int) -> tuple[Tensor, Tensor | None]:
        nonlocal drawn
        part = mix(seed, 11, drawn)
        drawn += n
        labels = conditions.draw(n, seed=part)
        first = firsts.frames_of(data_set, n, labels) if needs_first(run.game) else None
        return draw(run.game, p, space, n, seed=part, labels=labels, first=first), labels

    back = run.game.way_back(p, space)
    return evaluate(
        sampler, data_set, run.metrics, extractor=extractor, num_samples=run.num_samples, seed=seed, weights=weights, say=say,
        probe=open_probe(run.game, p, space, conditions), labelled=bool(space.num_classes), conditioned=bool(space.condition_dim),
        left_out=left_out, likelihood=open_likelihood(run.game, p, space), translate=translator(run.game, p, space),
        back=None if back is None else translator(run.game, *back), protocol=protocol,
        policy=run.game.augment.policy if run.game.augment is not None else (),
    )  # fmt: skip


def open_likelihood(game: Game, p: Players, space: Space) -> Likelihood | None:
    """log probability [n, L], on the CPU, of stored samples under their conditions; None for games without one, and for tokens chosen by a cut, a beam
    or the likeliest (`game.choice`), whose likelihood is another. At another temperature it is the likelihood at that temperature."""
    choice = getattr(game, "choice", Choice())
    if type(game).log_likelihood is Game.log_likelihood or not choice.tells:
        return None
    if choice.temperature != 1:
        # What is sampled from is scored: every game of sentences with a likelihood has its speaker in G.
        p = p.through(lambda name, player: Tempered(player, choice.temperature) if name == "G" else player)  # type: ignore[arg-type,return-value]

    def likelihood(x: Tensor, y: Tensor | None) -> Tensor:
        given = Batch() if y is None else Batch(y=y.to(p.device))
        with still(p, 0):
            told = game.log_likelihood(p, space.normalise(x.to(p.device)), given)
        assert told is not None, f"{type(game).__name__}.log_likelihood gives nothing; leave the method out"
        return told.cpu().double()

    return likelihood


def open_probe(game: Game, p: Players, space: Space, conditions: Conditions) -> Probe | None:
    """The generator laid open to metrics, in w where `p.G` has a mapping and a synthesis, else in z; None for games without latents."""
    if type(game).latents is Game.latents:
        return None
    generator = p["G"] if "G" in list(p) else None
    latent: Literal["z", "w"] = "w" if hasattr(generator, "mapping") and hasattr(generator, "synthesis") else "z"

    def labels(n: int, seed: int) -> Tensor | None:
        return conditions.draw(n, seed=mix(seed, 17))

    def latents(n: int, y: Tensor | None, seed: int) -> Tensor:
        with still(p, mix(seed, 19)):
            z = game.latents(p, n)
            return z if latent == "z" else generator.mapping(z, None if y is None else y.to(z.device))  # type: ignore[union-attr,operator]

    def render(x: Tensor, y: Tensor | None, seed: int) -> Tensor:
        if latent == "z":
            made = draw(game, p, space, len(x), seed=mix(seed, 23), labels=y, latents=x, stored=False)
        else:
            with still(p, mix(seed, 23)):
                made = generator.synthesis(x).float()  # type: ignore[union-attr,operator]
        return (made.clamp(-1, 1) + 1) * 127.5

    return Probe(latent, labels, latents, render)


@dataclass
class Budget:
    """What scoring may cost: `share` of the seconds in training so far, or FREE_S if that is more. Decides whether a due score is taken."""

    share: float
    spent: float = 0.0  # seconds; a process's first score, which may train a classifier and read the reference, is free
    put_off: int = 0  # scores left out since the last one

    def allows(self, trained_s: float) -> bool:
        """Whether a score is affordable after so many seconds of training; counts a refusal."""
        if self.share > 0 and self.spent <= max(FREE_S, self.share * trained_s):
            self.put_off = 0
            return True
        self.put_off += 1
        return False

    def sentence(self, trained_s: float) -> str:
        """Why a score was left out."""
        return (
            f"scoring has taken {self.spent:.0f} s beside {trained_s:.0f} s of training, more than {self.share:.0%}: scores are taken less "
            "often from here on. --score-share sets the share; fewer --num-samples or metrics cost less."
        )
