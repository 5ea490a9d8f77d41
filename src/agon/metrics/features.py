"""Feature extractors: which there are, and which one a data set gets.

classifier   a small network Agon trains on the labelled set itself (classifier.py)
inception    the FID network up to Mixed_6e, 768 features, from a local weights file (inception.py); inception-clean resizes antialiased
pixels       the samples themselves: vectors as they are, pictures as numbers in [-1, 1], averaged down to at most 3,072
random       a convolutional network with fixed random weights: needs no labels and no file. Random embeddings rank samples sensibly
             (Naeem et al. 2020, arXiv:2002.09797, §5), but its figures are comparable with nothing published
clips        for clips: a small network in space and time that Agon trains on the set itself (clipnet.py)
i3d          for clips: the network of the field's FVD, from a local TorchScript file (i3d.py)
sentences    for text: an encoder counted from the training text (encoder.py)
backbone     for text: a pretrained encoder from a local folder (backbone.py), such as a sentence-transformers one
stacked      for sets made by `agon data stack`: the grey set's classifier on each of three channels (stacked.py)
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from agon.data.stack import read_card
from agon.errors import InputError, suggest
from agon.metrics import i3d, inception
from agon.metrics.backbone import open_backbone
from agon.metrics.cache import Say, digest
from agon.metrics.classifier import open_classifier, usable
from agon.metrics.clipnet import open_clips
from agon.metrics.contract import Extractor, Features
from agon.metrics.encoder import open_sentences
from agon.metrics.stacked import open_stacked
from agon.spaces import Image, Tokens, Vector, Video

EXTRACTORS = ("auto", "classifier", "inception", "inception-clean", "pixels", "random", "stacked", "clips", "i3d", "sentences", "backbone")
OF_CLIPS = ("auto", "clips", "i3d", "pixels")
MAX_PIXELS = 3072
_LEARNT: dict[type, tuple[str, ...]] = {  # made from the data themselves
    Image: ("classifier", "stacked"), Video: ("auto", "clips"), Tokens: ("auto", "sentences"),
}  # fmt: skip


@dataclass
class Pixels:
    """The samples themselves as float64."""

    dim: int
    shape: tuple[int, ...]
    pooled: tuple[int, ...] | None = None  # pictures are averaged to this height and width first, clips to this length, height and width
    name: str = "pixels"
    num_classes: int = 0
    note: str = ""

    @property
    def resize(self) -> str:
        """The averaging, if any."""
        return f"averaged to {'×'.join(map(str, self.pooled))}" if self.pooled else ""

    @property
    def hash(self) -> str:
        """Of the shape and the averaging: there is nothing else."""
        return digest("pixels-1", str(self.shape), str(self.pooled))

    def __call__(self, x: Tensor) -> Features:
        """uint8 [n, C, H, W] or [n, T, C, H, W] -> [n, d] in [-1, 1]; float32 [n, d] as it is."""
        x = x.cpu().double()
        if len(self.shape) < 3:
            return Features(x.flatten(1))
        x = x / 127.5 - 1
        if self.pooled and len(self.shape) == 3:
            height, width = self.pooled
            x = functional.adaptive_avg_pool2d(x, (height, width))
        elif self.pooled:
            frames, height, width = self.pooled
            x = functional.adaptive_avg_pool3d(x.transpose(1, 2), (frames, height, width))
        return Features(x.flatten(1))


def open_pixels(space: Any) -> Pixels:
    """Pixels of a space; pictures of more than 3,072 numbers are averaged down, keeping their aspect."""
    shape = tuple(space.shape)
    dim = math.prod(shape)
    if len(shape) < 3 or dim <= MAX_PIXELS:
        return Pixels(dim, shape)
    if len(shape) == 4:
        frames, channels, height, width = shape
        times = min(8, frames)
        ratio = math.sqrt(MAX_PIXELS / (times * channels * height * width))
        goal = (times, max(1, math.floor(height * min(1, ratio))), max(1, math.floor(width * min(1, ratio))))
        return Pixels(channels * math.prod(goal), shape, goal)
    channels, height, width = shape
    ratio = math.sqrt(MAX_PIXELS / dim)
    pooled = (max(1, math.floor(height * ratio)), max(1, math.floor(width * ratio)))
    pooled = (min(pooled[0], MAX_PIXELS // (channels * pooled[1])), pooled[1])
    return Pixels(channels * pooled[0] * pooled[1], shape, pooled)


_RANDOM_WIDTHS, _RANDOM_SEED = (32, 64, 64), 20200223
_RANDOM_GRID = 2


@dataclass
class RandomNetwork:
    """Three strided convolutions with fixed random weights, then means over a 2×2 grid: 256 features."""

    weights: dict[str, Tensor]
    hash: str
    device: torch.device
    name: str = "random-conv"
    dim: int = _RANDOM_WIDTHS[-1] * _RANDOM_GRID**2
    resize: str = "32 averaged"
    num_classes: int = 0
    note: str = "not comparable with published FID"

    def __call__(self, x: Tensor) -> Features:
        """uint8 [n, C, H, W] -> [n, 256]."""
        with torch.no_grad():
            x = inception.as_rgb(x.to(self.device).float()) / 127.5 - 1
            if x.shape[2:] != (32, 32):
                x = functional.interpolate(x, (32, 32), mode="bilinear", antialias=True, align_corners=False)
            for layer in range(len(_RANDOM_WIDTHS)):
                x = functional.leaky_relu(functional.conv2d(x, self.weights[str(layer)], stride=2, padding=1), 0.2)
            return Features(functional.adaptive_avg_pool2d(x, _RANDOM_GRID).flatten(1).cpu().double())


def open_random(device: torch.device | str = "cpu") -> RandomNetwork:
    """The random network; always the same one."""
    generator = torch.Generator().manual_seed(_RANDOM_SEED)
    weights, before = {}, 3
    for layer, after in enumerate(_RANDOM_WIDTHS):
        weights[str(layer)] = torch.randn(after, before, 3, 3, generator=generator) * math.sqrt(2 / (9 * before))
        before = after
    device = torch.device(device)
    return RandomNetwork({k: v.to(device) for k, v in weights.items()}, digest("random-conv-1", weights), device)


def make_extractor(
    name: str, data_set: Any, *, weights: Path | str | None = None, cache: Path | None = None, say: Say | None = None,
    device: torch.device | str = "cpu",
) -> Extractor:  # fmt: skip
    """The extractor `name` (one of EXTRACTORS) for a data set.

    `auto`: pixels for vectors, sentences for text; the classifier where labels allow one (two classes, 50 training samples in each); else inception where
    its weights are given by `weights` or the environment's AGON_INCEPTION; else random. Told through `say` with its reason.
    `cache`: folder for what can be made again, by default that of the data. Raises InputError: unknown name, not usable on this data.
    """
    if name not in EXTRACTORS:
        raise InputError(f"extractor '{name}' is unknown; expected {', '.join(EXTRACTORS)}.{suggest(name, EXTRACTORS)}")
    space = data_set.space
    if isinstance(space, Vector):
        if name not in ("auto", "pixels"):
            raise InputError(f"extractor '{name}' is for images, and the data holds points; use pixels or auto")
        return open_pixels(space)
    if isinstance(space, Video):
        return _of_clips(name, data_set, weights, cache or default_cache(), device, say)
    if isinstance(space, Tokens):
        if name not in ("auto", "sentences", "backbone"):
            raise InputError(f"extractor '{name}' is not for text, and the data are {space.describe()}; use sentences, backbone or auto")
        if name == "backbone":
            return open_backbone(space, weights, device=device)
        return open_sentences(data_set, cache=cache or default_cache(), say=say)
    if not isinstance(space, Image):
        raise InputError(f"scores of {space.kind} data are not there yet; expected images, clips, points or text")
    if name in ("clips", "i3d", "sentences", "backbone"):
        of = "sentences" if name in ("sentences", "backbone") else "clips"
        raise InputError(f"extractor '{name}' looks at {of}, and the data are {space.describe()}; use auto, classifier or random")
    if name == "auto":
        name, why = _choice(data_set, weights)
        if say:
            say("extractor", f"{name}: {why}")
    if name == "stacked":
        return open_stacked(data_set, weights, cache=cache or default_cache(), device=device, say=say)
    if name == "classifier":
        return open_classifier(data_set, cache=cache or default_cache(), device=device, say=say)
    if name.startswith("inception"):
        return inception.open_inception(weights, clean=name == "inception-clean", device=device)
    return open_pixels(space) if name == "pixels" else open_random(device)


def check_extractor(name: str, data_set: Any, *, weights: Path | str | None = None) -> None:
    """Raise InputError where `make_extractor` would, as far as that is known before a network is trained on the data."""
    if weights and not Path(weights).expanduser().exists():
        raise InputError(
            f"--extractor-weights is '{weights}', and nothing is there; name the file that extractor '{name}' reads, or leave it out."
        )
    space = data_set.space
    if name == "auto" and isinstance(space, Image):
        name = _choice(data_set, weights)[0]
    if name not in _LEARNT.get(type(space), ()) or (name == "classifier" and usable(data_set.train)):
        make_extractor(name, data_set, weights=weights)


def _of_clips(name: str, data_set: Any, weights: Path | str | None, cache: Path, device: torch.device | str, say: Say | None) -> Extractor:
    """The extractor of a set of clips."""
    if name not in OF_CLIPS:
        raise InputError(
            f"extractor '{name}' looks at pictures, and the data are {data_set.space.describe()}; use {' or '.join(OF_CLIPS)}."
        )
    if name == "auto":
        name = "i3d" if weights or os.environ.get(i3d.VARIABLE) else "clips"
        if say:
            say(
                "extractor",
                "i3d: its weights are given" if name == "i3d" else "clips: a network trained on the clips; not comparable with FVD",
            )
    if name == "i3d":
        return i3d.open_i3d(weights, device=device)
    return open_clips(data_set, cache=cache, device=device, say=say) if name == "clips" else open_pixels(data_set.space)


def _choice(data_set: Any, weights: Path | str | None) -> tuple[str, str]:
    card = read_card(str(data_set.card.get("path", "")))
    if card is not None and data_set.space.shape[0] == 3:
        return "stacked", f"each channel is a picture of {card['grey']}"
    why = usable(data_set.train)
    if not why:
        return "classifier", f"the data is labelled, {max(len(data_set.space.classes), 2)} classes"
    if weights or os.environ.get(inception.VARIABLE):
        return "inception", f"{why}, and Inception weights are given"
    return "random", f"{why}, and no Inception weights are given ({inception.VARIABLE}); not comparable with published FID"


def default_cache() -> Path:
    """Where extractors, reference features and floors are kept: the data's cache folder, in `scores`."""
    from agon.data import default_cache as folder

    return folder() / "scores"
