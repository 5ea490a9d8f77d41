"""Vitals: what is measured of a run at a tick, from a few forward passes on fixed samples and distances between small sketches of them.

A sketch is a sample flattened and, if long, folded to 256 numbers with random signs, which keeps distances to about a tenth (Charikar et al.
2002, "Finding frequent items in data streams", sec. 3.1). So pictures, points and whatever comes are treated alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from agon.data import DataSet
from agon.game import Batch, Game, Players
from agon.health.contract import Vitals
from agon.health.motion import motion_of
from agon.health.speech import Library, library, speech_of
from agon.spaces import Space, Tokens

WIDTH = 256  # numbers in a sketch
NEIGHBOURS = 2000  # training samples kept as sketches
AXES = 4  # directions along which the samples' mean is followed
_BYTES = 1 << 27  # of training data read for sketches, at most


@lru_cache(maxsize=4)
def _signs(length: int) -> Tensor:
    generator = torch.Generator().manual_seed(length)
    return torch.randint(2, (length,), generator=generator).float().mul_(2).sub_(1)


def sketch(x: Tensor) -> Tensor:
    """x [n, …] -> [n, at most 256] on the CPU; distances between rows are kept, exactly where nothing had to be folded."""
    flat = x.flatten(1).float().cpu()
    length = flat.shape[1]
    if length <= WIDTH:
        return flat
    flat = flat * _signs(length)
    flat = torch.nn.functional.pad(flat, (0, -length % WIDTH))
    return flat.view(len(flat), -1, WIDTH).sum(1)


WITNESSES = 512  # held-out samples whose classes are compared with those of their neighbours


@dataclass(frozen=True)
class Reference:
    """What the data look like to the doctor, measured once when a run starts or goes on.

    facts: "low", "high": ends of the values; "spread": root mean square over dimensions of the samples' standard deviation; "saturation":
    share of values at the ends of the range; "identical": share of training samples that repeat an earlier one; "nearest": median distance of a
    sample to its nearest among as many; "labels told": share of the "looked at" held-out samples whose nearest training sample has their class, and
    "labels chance": the same by chance; "held copies": share of held-out samples whose nearest training sample is at less than half the
    distance of the second; "held remote": their median distance to it; "classes": effective number of classes the nearest neighbours give the
    held-out samples; "bounded": 1 where the range is known to be [-1, 1]; of sentences "held copied": see `speech.Library`; of clips "real motion",
    "real ways", "real flicker", "real drift": see `motion.motion_of`.
    """

    space: Space
    real: Batch  # n training samples as the players see them
    seen: Tensor  # [n, …] what their likeness is judged by
    held: Batch | None  # n samples never trained on; None if there are none
    sketches: Tensor  # [n, k] of `real`
    inner: Tensor  # [n, n] distances between them
    training: Tensor  # [m, k] of up to 2,000 training samples
    classes: Tensor | None  # int64 [m] of these, where the data have exclusive classes, whether the game sees them or not
    axes: Tensor  # [4, k] leading directions of the training samples, of length 1
    centre: Tensor  # [k]
    scale: Tensor  # [4] standard deviations along them
    facts: Vitals
    books: Library | None = None  # of sentences


@torch.no_grad()
def refer(data_set: DataSet, space: Space, count: int, device: torch.device | str = "cpu") -> Reference:
    """Measure the data: `count` samples as the players see them, and sketches of up to 2,000 for neighbours."""
    train, held = data_set.train, data_set.held
    real = _some(train, space, count, device)
    size = max(1, real["x"][0].numel())
    training = _sketches(train.x, _spread(len(train), min(NEIGHBOURS, max(256, _BYTES // size))), space)
    chosen = _spread(len(train), len(training))
    # Classes tell how varied samples are even where the game does not see them.
    classes = train.y[chosen] if data_set.space.classes and train.y is not None else None
    x = space.likeness(real["x"]).float()
    sketches = sketch(x)
    inner = torch.cdist(sketches, sketches)
    bounded = train.x.dtype == torch.uint8
    facts: Vitals = {
        "low": x.min().item(), "high": x.max().item(), "bounded": float(bounded), "spread": x.var(0).mean().sqrt().item() if len(x) > 1 else 0.0,
        "saturation": (x.abs() > 0.999).float().mean().item(), "nearest": nearest(inner).median().item(), "samples": float(len(train)),
    }  # fmt: skip
    apart = torch.cdist(training, training)
    facts["identical"] = (apart <= 1e-3 * training.norm(dim=1).mean()).triu(1).any(0).float().mean().item()
    unseen = None
    if len(held):
        unseen = _some(held, space, count, device)
        distances = torch.cdist(sketch(space.likeness(unseen["x"])), training)
        facts["held copies"] = copies(distances)
        facts["held remote"] = distances.amin(1).median().item()
        if classes is not None and held.y is not None:
            found, count_classes = classes[distances.argmin(1)], len(data_set.space.classes)
            # More of them than a short run's looks would give: whether labels say anything is measured once, and few samples leave it open.
            asked = _spread(len(held), max(count, WITNESSES))
            told = classes[torch.cdist(_sketches(held.x, asked, space), training).argmin(1)] == held.y[asked]
            facts["labels told"], facts["looked at"] = told.float().mean().item(), float(len(told))
            shares = torch.bincount(classes, minlength=count_classes) / len(classes)
            facts["labels chance"] = shares.square().sum().item()
            facts["classes"] = effective(found, count_classes)
    facts |= {f"real {name}": figure for name, figure in motion_of(x).items()}
    books = None
    if isinstance(space, Tokens):
        books = library(
            (train.x[part] for part in torch.arange(len(train)).split(4096)),
            None if unseen is None else unseen["x"],
            by_chance=data_set.by_chance,
        )
        facts |= books.facts
    centre = training.mean(0)
    _, lengths, axes = torch.linalg.svd(training - centre, full_matrices=False)
    scale = lengths[:AXES] / max(1, len(training) - 1) ** 0.5
    return Reference(space, real, x, unseen, sketches, inner, training, classes, axes[:AXES], centre, scale, facts, books)


def _spread(length: int, count: int) -> Tensor:
    return torch.linspace(0, length - 1, min(count, length)).long()


def _some(samples: Any, space: Space, count: int, device: torch.device | str) -> Batch:
    """Up to `count` samples spread over the set, as the players see them."""
    index = _spread(len(samples), count)
    batch: dict[str, Tensor] = {"x": samples.x[index].to(device)}
    if samples.y is not None:
        batch["y"] = samples.y[index].to(device)
    return Batch(space.ready(batch))


def _sketches(stored: Any, index: Tensor, space: Space) -> Tensor:
    # In parts, so that large pictures are never all unpacked at once.
    return torch.cat([sketch(space.likeness(space.normalise(stored[part]))) for part in index.split(64)])


@torch.no_grad()
def measure(game: Game, p: Players, reference: Reference, fake: Tensor, origin: nn.Module | None = None) -> Vitals:
    """Vitals of a moment. fake [n, …]: samples in the players' range, drawn for the conditions of the reference's real samples. origin: of sentences
    the speaker as likelihood left it, if it is known.

    "D/real", "D/held", "D/fake": mean logits; "D/held error": standard error of real less held; "D/noise": standard deviation of logits on
    reals and fakes; "D/accuracy …": share judged right about the midpoint of real and fake; "D/separation": chance that a real one gets the
    larger logit (area under the ROC curve); "D/labels": how much held-out samples lose by a wrong condition, in units of "D/noise".
    For "sample/…" and "real/…" see `_of_samples`, of clips `motion.motion_of`, of sentences `speech.speech_of`; "X/weights": norm of a player's weights.
    """
    vitals: Vitals = {}
    with torch.random.fork_rng(devices=[]):
        if bool(fake.isfinite().all()):
            vitals |= _of_critic(game, p, reference, fake)
            vitals |= _of_samples(reference, reference.space.likeness(fake))
            for name, figure in motion_of(fake).items():
                vitals |= {f"sample/{name}": figure, f"real/{name}": reference.facts[f"real {name}"]}
            if isinstance(reference.space, Tokens) and reference.books is not None:
                vitals = {name: figure for name, figure in vitals.items() if not name.endswith(("/saturation", "/size"))}
                vitals |= speech_of(game, p, reference.space, fake, reference.real, reference.held, reference.books, origin)
        vitals["sample/finite"] = float(fake.isfinite().all().item())
    for name in game.optim:
        weights = list(p[name].parameters())
        if weights:
            # In float64: in float32 the step of small weights is lost beside large ones, and the player seems to stand still.
            norms = [torch.linalg.vector_norm(w.detach().cpu(), dtype=torch.float64) for w in weights]
            vitals[f"{name}/weights"] = torch.linalg.vector_norm(torch.stack(norms)).item()
    return vitals


def _of_critic(game: Game, p: Players, reference: Reference, fake: Tensor) -> Vitals:
    real, held = reference.real, reference.held or reference.real
    logits = game.judge(p, real["x"], real)
    if logits is None:
        return {}
    on_fake, on_held = game.judge(p, fake, _conditions(real, len(fake))), game.judge(p, held["x"], held)
    assert on_fake is not None and on_held is not None
    logits, on_fake, on_held = logits.float(), on_fake.float(), on_held.float()
    middle = (logits.mean() + on_fake.mean()) / 2
    noise = torch.cat([logits, on_fake]).std().item()
    vitals = {
        "D/real": logits.mean().item(),
        "D/fake": on_fake.mean().item(),
        "D/held": on_held.mean().item(),
        "D/held error": (logits.var() / len(logits) + on_held.var() / len(on_held)).sqrt().item() if len(on_held) > 1 else float("inf"),
        "D/noise": noise,
        "D/accuracy real": (logits > middle).float().mean().item(),
        "D/accuracy fake": (on_fake <= middle).float().mean().item(),
        "D/accuracy held": (on_held > middle).float().mean().item(),
        "D/separation": separation(logits, on_fake),
    }
    if "y" in held:
        wrong, changed = _exchanged(held["y"])
        if bool(changed.any()):
            misled = game.judge(p, held["x"], Batch({**held, "y": wrong}))
            assert misled is not None
            vitals["D/labels"] = ((on_held - misled.float())[changed].mean() / max(noise, 1e-12)).item()
    return vitals


def _conditions(real: Batch, count: int) -> Batch:
    return Batch({k: v[:count] for k, v in real.items() if k != "x"})


def _exchanged(y: Tensor) -> tuple[Tensor, Tensor]:
    """Conditions given to other samples by a fixed shuffle, and where that changed something, bool [n]."""
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(0)).to(y.device)
    wrong = y[order]
    return wrong, (wrong != y).flatten(1).any(1) if y.dim() > 1 else wrong != y


def separation(real: Tensor, fake: Tensor) -> float:
    """Chance that a real sample's logit is above a fake's, ties counting half: the area under the ROC curve. Both [n]."""
    difference = real[:, None] - fake[None, :]
    return ((difference > 0).float() + 0.5 * (difference == 0).float()).mean().item()


def _of_samples(reference: Reference, fake: Tensor) -> Vitals:
    """ "sample/diversity", "real/diversity": mean distance of random pairs (of one class, where there are classes) per dimension, root mean
    square; "sample/nearest": median distance to the nearest other sample, and "sample/twins": share with one nearer than a quarter of
    what is usual among reals (after the birthday test of Arora et al. 2018, arXiv:1706.08224); "sample/told apart": accuracy of a
    leave-one-out nearest neighbour at telling samples from reals, 0.5 at best (Lopez-Paz and Oquab 2017, arXiv:1610.06545);
    "sample/distance": energy distance over the mean distance of reals, 0 at best (Székely and Rizzo 2013); "sample/copies": share whose
    nearest training sample is at less than half the distance of the second (after Yoon et al. 2023); "sample/remote": median distance to the
    nearest training sample, over that of held-out samples; "sample/classes": effective number of
    classes that nearest training samples give, as a share of the held-out samples'; "sample/agreement": share given the class that was
    asked for; "sample/axis 1"…: the mean's place along the data's leading directions, in standard deviations; "sample/saturation",
    "sample/size": root mean square of values over that of the data.
    """
    real, n = reference.seen[: len(fake)], len(fake)
    y = reference.real.get("y")
    labels = y[:n] if y is not None and y.dim() == 1 and not y.is_floating_point() else None
    seen = sketch(fake)
    own, cross, inner = torch.cdist(seen, seen), torch.cdist(seen, reference.sketches[:n]), reference.inner[:n, :n]
    usual = nearest(inner).median()
    between = mean_distance(inner)
    to_training = torch.cdist(seen, reference.training)
    vitals = {
        "sample/diversity": diversity(fake, labels),
        "real/diversity": diversity(real, labels),
        "sample/saturation": (fake.abs() > 0.999).float().mean().item(),
        "real/saturation": reference.facts["saturation"],
        "sample/size": (fake.float().square().mean().sqrt() / real.float().square().mean().sqrt().clamp_min(1e-12)).item(),
        "sample/nearest": (nearest(own).median() / usual.clamp_min(1e-12)).item(),
        "sample/twins": (nearest(own) < 0.25 * usual).float().mean().item(),
        "real/twins": (nearest(inner) < 0.25 * usual).float().mean().item(),
        "sample/distance": ((2 * cross.mean() - mean_distance(own) - between) / between.clamp_min(1e-12)).item(),
        "sample/told apart": told_apart(own, cross, inner),
        "sample/copies": copies(to_training),
    }
    if "held remote" in reference.facts:
        vitals["sample/remote"] = to_training.amin(1).median().item() / max(reference.facts["held remote"], 1e-12)
    if reference.classes is not None:
        found = reference.classes[to_training.argmin(1)]
        known = int(reference.classes.max()) + 1
        vitals["sample/classes"] = effective(found, known) / max(reference.facts.get("classes", float(known)), 1.0)
        if labels is not None:
            vitals["sample/agreement"] = (found == labels.cpu()).float().mean().item()
    places = (reference.axes @ (seen.mean(0) - reference.centre)) / reference.scale.clamp_min(1e-12)
    return vitals | {f"sample/axis {i + 1}": place for i, place in enumerate(places.tolist())}


def diversity(x: Tensor, labels: Tensor | None = None) -> float:
    """Mean root-mean-square distance per dimension between neighbours in the batch x [n, …]; of the same class where labels [n] are given."""
    flat = x.flatten(1).float()
    if labels is not None and labels.dim() == 1:  # captions hardly ever come twice
        order = labels.argsort(stable=True)
        flat, labels = flat[order], labels[order]
        same = labels == labels.roll(1, 0)
        if int(same.sum()) * 4 >= len(flat):
            return (flat - flat.roll(1, 0))[same].square().mean(1).sqrt().mean().item()
    return (flat - flat.roll(1, 0)).square().mean(1).sqrt().mean().item()


def nearest(distances: Tensor) -> Tensor:
    """Distances [n, n] within a set -> each member's distance to its nearest other [n]."""
    return distances.clone().fill_diagonal_(float("inf")).amin(1)


def mean_distance(distances: Tensor) -> Tensor:
    """Distances [n, n] within a set -> their mean over pairs of different members."""
    return distances.sum() / max(1, len(distances) * (len(distances) - 1))


def copies(distances: Tensor) -> float:
    """Distances [n, m] to training samples -> share of rows whose nearest is at less than half the distance of the second."""
    if distances.shape[1] < 2:
        return 0.0
    first, second = distances.topk(2, dim=1, largest=False).values.unbind(1)
    return (first < 0.5 * second).float().mean().item()


def told_apart(own: Tensor, cross: Tensor, inner: Tensor) -> float:
    """Distances within fakes [n, n], fakes to reals [n, m], within reals [m, m] -> leave-one-out nearest-neighbour accuracy."""
    fakes = nearest(own) < cross.amin(1)
    reals = nearest(inner) < cross.amin(0)
    return (fakes.float().mean() + reals.float().mean()).item() / 2


def effective(classes: Tensor, count: int) -> float:
    """exp of the entropy of class numbers [n]: how many equally frequent classes would be as varied."""
    shares = torch.bincount(classes, minlength=count).float() / max(1, len(classes))
    return torch.special.entr(shares).sum().exp().item()
