"""Making a study from runs: samples and held-out real pictures as single files, shuffled, with the truth kept apart."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from agon.errors import InputError, suggest
from agon.spaces import Image, Space, Video
from agon.spaces.animation import write_animation
from agon.study.format import KINDS, REAL, Kind, Study, Trial, write_study
from agon.trained import Trained, load

QUESTIONS = {
    "real-or-fake": "Is this picture real, or made by a computer?",
    "preference": "Which picture looks more like a real one?",
    "rating": "How good is this picture, from 1 (bad) to 5 (excellent)?",
}


def make_study(
    runs: Sequence[Path | str], out: Path | str, *, kind: str = "real-or-fake", trials: int = 100, seed: int = 0, weights: str = "ema",
    show_ms: int | None = None, trust: bool = False,
) -> Study:  # fmt: skip
    """Write a study of `trials` questions on one or several runs into the folder `out`, which must be new or empty.

    real-or-fake and rating: as many pictures of each source, held-out real ones among them. preference: every pair of runs, or, with one run,
    samples against real pictures; sides at random. Sampling leaves random state as it was. Raises InputError: unknown kind, runs of unlike
    sizes or data, too few held-out pictures.
    """
    if kind not in KINDS:
        raise InputError(f"--kind is '{kind}'; expected {', '.join(KINDS)}.{suggest(kind, KINDS)}")
    if show_ms is not None and show_ms < 1:
        raise InputError(f"--show-ms is {show_ms}; expected milliseconds above 0, or nothing for as long as wanted.")
    place = Path(out)
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise InputError(f"'{place}' is there already; expected a new or empty folder for the study.")
    opened = {Path(run).resolve().name: load(run, weights=weights, trust=trust) for run in runs}
    if len(opened) < max(1, len(runs)):
        raise InputError("two of the runs have the same name, or none was given; expected runs in folders of different names.")
    if REAL in opened:
        raise InputError(f"a run's folder is called '{REAL}', which marks real pictures in truth.json; rename the folder.")
    first = _alike(opened)
    sources = [REAL, *opened]
    pairs = list(itertools.combinations(list(opened) if len(opened) > 1 else sources, 2))
    if trials < (len(pairs) if kind == "preference" else len(sources)):
        raise InputError(
            f"--trials is {trials}; expected at least {len(pairs) if kind == 'preference' else len(sources)}, one of each sort."
        )
    dice = random.Random(seed)
    shown: list[tuple[str, ...]] = []
    for number in range(trials):
        if kind == "preference":
            pair = list(pairs[number % len(pairs)])
            dice.shuffle(pair)
            shown.append(tuple(pair))
        else:
            shown.append((sources[number % len(sources)],))
    dice.shuffle(shown)
    need = {source: sum(source in each for each in shown) for source in sources}
    pictures = {source: iter(_pictures(source, need[source], opened, first, seed)) for source in sources if need[source]}
    ids = [f"s{number:05d}" for number in range(1, sum(need.values()) + 1)]
    dice.shuffle(ids)
    (place / "stimuli").mkdir(parents=True, exist_ok=True)
    files: dict[str, str] = {}
    truth: dict[str, str] = {}
    made: list[Trial] = []
    left = iter(ids)
    for number, each in enumerate(shown, 1):
        stimuli = []
        for source in each:
            id = next(left)
            files[id], truth[id] = f"stimuli/{id}{'.webp' if isinstance(first.space, Video) else '.png'}", source
            _write(next(pictures[source]), place / files[id], first.space)
            stimuli.append(id)
        made.append(Trial(f"t{number:04d}", _kind(kind), tuple(stimuli), show_ms))
    question = QUESTIONS[kind].replace("picture", "clip") if isinstance(first.space, Video) else QUESTIONS[kind]
    study = Study(place.resolve().name, question, tuple(made), dict(sorted(files.items())), dict(sorted(truth.items())))
    write_study(place, study)
    return study


def _kind(kind: str) -> Kind:
    return next(known for known in ("real-or-fake", "preference", "rating") if known == kind)


def _alike(opened: dict[str, Trained]) -> Trained:
    """The first run, if all show pictures of one size from one data set. Raises InputError."""
    runs = list(opened.items())
    name, first = runs[0]
    if not isinstance(first.space, (Image, Video)):
        raise InputError(f"'{name}' makes {first.space.kind} samples; studies are for pictures and clips.")
    for other, run in runs[1:]:
        if run.space.shape != first.space.shape or run.content["content_hash"] != first.content["content_hash"]:
            raise InputError(f"'{name}' and '{other}' differ in size or data, which would tell them apart; expected runs on the same data.")
    return first


def _pictures(source: str, n: int, opened: dict[str, Trained], first: Trained, seed: int) -> Tensor:
    """n pictures uint8 [n, C, H, W] of a source: fresh samples, or held-out real pictures without repeats."""
    if source != REAL:
        return opened[source].sample_stored(n, seed=seed)
    held = first.data().held
    if len(held) < n:
        raise InputError(f"the study needs {n} real pictures and {len(held)} are held out; ask for fewer --trials.")
    chosen = torch.randperm(len(held), generator=torch.Generator().manual_seed(seed))[:n]
    return held.x[chosen]


def _write(x: Tensor, path: Path, space: Space) -> None:
    """One picture uint8 [C, H, W] as PNG, one clip uint8 [T, C, H, W] as an animated WebP without loss: no encoder gives a source away."""
    from PIL import Image as Pillow

    if isinstance(space, Video):
        write_animation(path, (frame.numpy() for frame in x), space.fps, lossless=True)
        return
    array = x.permute(1, 2, 0).contiguous().numpy()
    Pillow.fromarray(array[:, :, 0] if array.shape[2] == 1 else array).save(path, format="PNG")
