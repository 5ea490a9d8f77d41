"""What samples show of their condition, as a network that learnt it from real ones alone reads them: tags, the words of captions, numbers.

A judge such as StarGAN's classifier of expressions (Choi et al. 2018, arXiv:1711.09020, §5) and CcGAN's regressor (Ding et al. 2021,
arXiv:2011.07466): it took no part in training the generator. For pictures a network of its own, with the trunk of Agon's classifier and a head that
keeps where things are (the classifier's means over the picture forget that); for clips what the network of extractor `clips` tells beside its features.
As these everything about it is fixed, and the hash of its weights stands in every stamp.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from agon.errors import InputError
from agon.metrics.cache import digest, read_tensors, write_tensors
from agon.metrics.classifier import DIM, Grain, fit, kaiming, trunk
from agon.metrics.clipnet import open_clips
from agon.metrics.setting import Setting
from agon.metrics.telling import as_told, condition_of, telling
from agon.spaces import Image, Video

ARCHITECTURE = "condition-1"  # frozen: a change here or below needs a new name, and every published figure measured again
_GRID, _HIDDEN = 4, 128
_SEEN, _EPOCHS, _BATCH, _LR, _SEED = 120_000, 18, 128, 8e-3, 0
LEAST = 50  # training samples with a tag or word, and without it; in all, for numbers


@dataclass(frozen=True)
class Reader:
    """kind: "tags", "words" or "numbers"; names: of the k columns told; legible: bool [k], those that training had enough samples of.

    tell(stored samples) -> float64 [n, k]: tags and words are there where positive, numbers as players see them (less the mean, by the sd)."""

    kind: str
    names: tuple[str, ...]
    legible: Tensor
    hash: str
    tell: Callable[[Tensor], Tensor]

    def asked(self, y: Tensor) -> Tensor:
        """Conditions as the space has them (float [n, k], captions int64 [n, L]) as columns, float64 [n, k]."""
        return as_told(self.kind, len(self.names), y.cpu()).double()


def open_reader(setting: Setting, metric: str, kinds: tuple[str, ...]) -> Reader:
    """The reader of a conditional run's data: from the cache, or trained now (under a minute), once.

    Raises InputError: nothing asked of the generator, a condition of another kind, neither pictures nor clips, or too few samples to learn from.
    """
    space = setting.data_set.space
    kind, width = condition_of(setting.data_set)
    if not setting.conditioned:
        how = f"train with --game.conditional true: the data have {kind}" if kind else "train on labelled data"
        raise InputError(f"metric '{metric}' needs a conditional generator, and this one is asked for nothing; {how}.")
    if not isinstance(space, Image | Video) or kind not in kinds:
        other = (
            "class_accuracy"
            if space.classes
            else "number_error"
            if space.numbers
            else "tag_accuracy"
            if space.tags or space.words
            else "fd"
        )
        instead = f"; use {other}." if other != metric else "."
        raise InputError(
            f"metric '{metric}' reads {' or '.join(kinds)} from pictures and clips, and the data are {space.describe()}{instead}"
        )
    names = tuple(getattr(space, kind))
    train = setting.data_set.train
    if kind == "numbers":
        legible = (train.y.std(0, correction=0) > 1e-6) & (len(train) >= LEAST)
    else:
        there = sum(((as_told(kind, width, part) > 0.5).sum(0) for part in train.y.split(1_000)), torch.zeros(width, dtype=torch.int64))
        legible = (there >= LEAST) & (len(train) - there >= LEAST)
    if not legible.any():
        few = "training samples that differ in one" if kind == "numbers" else "training samples with one of them and without it"
        raise InputError(
            f"metric '{metric}' learns to read {kind} from real samples, and needs {LEAST} {few}; there are {len(train):,} in all."
        )
    mark, tell = setting.once(
        f"reader of {kind}", lambda: _of_clips(setting) if isinstance(space, Video) else _of_pictures(setting, kind, width)
    )
    return Reader(kind, names, legible, mark, tell)


def _of_clips(setting: Setting) -> tuple[str, Callable[[Tensor], Tensor]]:
    network = open_clips(setting.data_set, cache=setting.cache, say=setting.say)
    return network.hash, network.tell


class _Network(nn.Module):
    """uint8 [n, C, H, W] -> [n, width]."""

    def __init__(self, shape: tuple[int, int, int], width: int) -> None:
        super().__init__()
        self.grain = Grain.of(*shape[1:])
        self.body = trunk(shape[0] * self.grain.block**2)
        self.head = nn.Sequential(nn.Linear(DIM * _GRID**2, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, width))

    def forward(self, x: Tensor, shift: tuple[int, int] = (0, 0)) -> Tensor:
        return self.head(functional.adaptive_avg_pool2d(self.body(self.grain(x, shift)), _GRID).flatten(1))


def _of_pictures(setting: Setting, kind: str, width: int) -> tuple[str, Callable[[Tensor], Tensor]]:
    data_set, train = setting.data_set, setting.data_set.train
    shape = tuple(data_set.space.shape)
    recipe = str((_GRID, _HIDDEN, _SEEN, _EPOCHS, _BATCH, _LR, _SEED))
    path = setting.cache / f"{ARCHITECTURE}-{digest(ARCHITECTURE, recipe, data_set.content_hash, str(shape), kind, str(width))}.safetensors"
    with torch.random.fork_rng(devices=[]):  # layers draw from the global generator when they are made; the weights below are not those
        network = _Network(shape, width)
    stored = read_tensors(path, setting.say)
    if stored is not None:
        network.load_state_dict(stored[0])
    else:
        if setting.say:
            setting.say("reader", f"training a network to read {kind} from {len(train):,} pictures, once; kept at {path}")
        _train(network, train, kind, width)
        write_tensors(path, network.state_dict(), {}, setting.say)
    network.eval()

    def tell(x: Tensor) -> Tensor:
        with torch.no_grad():
            return network(x.cpu()).double()

    return digest(ARCHITECTURE, network.state_dict()), tell


def _train(network: _Network, train: Any, kind: str, width: int) -> None:
    """Jittered by a pixel, but for numbers: one may say where something is."""
    reach, tells = 0 if kind == "numbers" else 1, telling(kind, width)

    def loss(chosen: Tensor, generator: torch.Generator) -> Tensor:
        down, right = torch.randint(-reach, reach + 1, (2,), generator=generator).tolist()
        return tells(network(train.x[chosen], (down, right)), train.y[chosen])

    generator = torch.Generator().manual_seed(_SEED)
    kaiming(network, generator)
    for layer in network.head:
        if isinstance(layer, nn.Linear):
            nn.init.zeros_(layer.bias)
    fit(network, len(train), loss, generator, seen=_SEEN, epochs=_EPOCHS, batch=_BATCH, lr=_LR)
