"""The clip extractor that Agon trains itself: a small convolutional network in space and time, 64 features a clip.

For Fréchet and kernel distances and neighbourhoods of clips where the field's network is not at hand or was never meant for such clips. It is
trained once on the training split, on three tasks at a time, so that its features hold what is seen, where and how it moves:

    to draw the clip again, averaged to 8×8 pixels and 8 times, from its 64 features
    to tell clips as they are from clips with their frames in any order and from stills
    to tell the condition, if the data has one: classes, the words of captions, tags or numbers

So two sets of figures are comparable only if taken with the very same network: the hash of its weights stands in every stamp, and the figures are
never comparable with FVD. Features are scaled to variance 1 over the training split. As for the classifier of pictures (whose `fit` trains it),
everything is fixed here and runs on one thread of the CPU, whatever the run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from agon.errors import InputError
from agon.metrics.cache import Say, digest, read_tensors, write_tensors
from agon.metrics.classifier import fit
from agon.metrics.contract import Features
from agon.metrics.rows import subset
from agon.metrics.telling import condition_of, telling
from agon.spaces import Video

ARCHITECTURE = "clips-1"  # frozen: a change here or below needs a new name, and every published figure measured again
DIM = 64
# Frames looked at; channels; those of the decoder; times, height, width drawn.
_FRAMES, _WIDTHS, _HIDDEN, _DRAWN = 16, (24, 48, 64), 128, (8, 8, 8)
_SEEN, _EPOCHS, _BATCH, _LR, _SEED = 16_000, 12, 32, 4e-3, 0
_LEAST = 16  # training clips
_IN_ORDER, _SHUFFLED, _STILL = range(3)


class _Network(nn.Module):
    """uint8 [n, T, C, H, W] -> features [n, DIM]; heads on features."""

    def __init__(self, shape: tuple[int, int, int, int], told: int) -> None:
        super().__init__()
        frames, channels, height, width = shape
        longest = max(height, width)
        # Fine detail in space and every second frame go to channels: the convolutions work on about 16×16 and 8 times.
        self.shrink = max(1, math.ceil(longest / 64))
        self.block = 1 if longest <= 20 else 2 if longest <= 40 else 4
        self.frames = max(2, min(_FRAMES, frames) // 2 * 2)
        a, b, c = _WIDTHS
        self.first = _layer(nn.Conv2d(2 * channels * self.block**2, a, 3, 1, 1, bias=False))
        self.second = _layer(nn.Conv2d(a, b, 3, 2, 1, bias=False))
        self.second_time = _layer(nn.Conv3d(b, b, (3, 1, 1), (2, 1, 1), (1, 0, 0), bias=False))
        self.third = _layer(nn.Conv2d(b, c, 3, 2, 1, bias=False))
        self.third_time = _layer(nn.Conv3d(c, c, (3, 1, 1), (2, 1, 1), (1, 0, 0), bias=False))
        self.last = nn.Linear(c * 4 * 4 * 2, DIM)
        self.scale = nn.BatchNorm1d(DIM, affine=False)
        self.draw = nn.Sequential(nn.Linear(DIM, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, channels * math.prod(_DRAWN)))
        self.order = nn.Sequential(nn.ReLU(), nn.Linear(DIM, 3))
        self.told = nn.Sequential(nn.ReLU(), nn.Linear(DIM, told)) if told else None

    def look(self, x: Tensor) -> Tensor:
        """What is looked at: float32 [n, T', C, H', W'] in [-1, 1], shrunk and padded to whole blocks."""
        if x.shape[1] != self.frames:
            x = x[:, torch.linspace(0, x.shape[1] - 1, self.frames, device=x.device).round().long()]
        x = x.float().div(127.5).sub_(1.0)
        if self.shrink > 1:
            x = functional.avg_pool2d(x.flatten(0, 1), self.shrink, ceil_mode=True, count_include_pad=False).unflatten(0, x.shape[:2])
        down, right = -x.shape[3] % self.block, -x.shape[4] % self.block
        return functional.pad(x.flatten(0, 1), (0, right, 0, down), mode="replicate").unflatten(0, x.shape[:2]) if down or right else x

    def forward(self, x: Tensor) -> Tensor:
        """Features [n, DIM] of what `look` gave."""
        n = len(x)
        x = functional.pixel_unshuffle(x.flatten(0, 1), self.block)
        x = x.unflatten(0, (n, -1)).unflatten(1, (-1, 2)).flatten(2, 3).flatten(0, 1)  # two frames beside each other
        x = self.second(self.first(x.contiguous(memory_format=torch.channels_last)))
        x = self.second_time(x.unflatten(0, (n, -1)).transpose(1, 2))
        x = self.third(x.transpose(1, 2).flatten(0, 1))
        x = self.third_time(x.unflatten(0, (n, -1)).transpose(1, 2))
        return self.scale(self.last(functional.adaptive_avg_pool3d(x, (2, 4, 4)).flatten(1)))


def _layer(convolution: nn.Module) -> nn.Sequential:
    width = int(convolution.out_channels)  # type: ignore[arg-type]
    norm = nn.BatchNorm2d(width) if isinstance(convolution, nn.Conv2d) else nn.BatchNorm3d(width)
    return nn.Sequential(convolution, norm, nn.ReLU())


@dataclass
class ClipNetwork:
    """The trained network as an extractor. hash: of its weights; explained: share of the variance of held-out clips that its drawings explain;
    accuracy: share of held-out clips whose class it names (None without classes)."""

    network: _Network
    hash: str
    explained: float
    accuracy: float | None
    num_classes: int
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    name: str = "clips"
    dim: int = DIM
    resize: str = ""

    @property
    def note(self) -> str:
        """How well it does on held-out clips, and what its figures are not."""
        told = "" if self.accuracy is None else f"{100 * self.accuracy:.1f}% held-out accuracy, "
        return f"{told}draws {100 * max(0.0, self.explained):.0f}% of held-out variance; not comparable with FVD"

    def __call__(self, x: Tensor) -> Features:
        """uint8 [n, T, C, H, W] -> features [n, 64] and, of data with classes, probabilities [n, classes]."""
        with torch.no_grad():
            features = self.network(self.network.look(x.to(self.device)))
            told = self.network.told
            probabilities = told(features).cpu().double().softmax(1) if told is not None and self.num_classes else None
            return Features(features.cpu().double(), probabilities)

    def tell(self, x: Tensor) -> Tensor:
        """What is told of the condition, uint8 [n, T, C, H, W] -> float64 [n, k]: logits of classes, tags and words, numbers as they are."""
        assert self.network.told is not None, "these clips have no condition"
        with torch.no_grad():
            return self.network.told(self.network(self.network.look(x.to(self.device)))).cpu().double()


def open_clips(data_set: Any, *, cache: Path, device: torch.device | str = "cpu", say: Say | None = None) -> ClipNetwork:
    """The clip network of a data set, from `cache` or trained now (about a minute). Raises InputError for fewer than 16 clips."""
    space, train = data_set.space, data_set.train
    assert isinstance(space, Video)
    if len(train) < _LEAST:
        raise InputError(f"extractor 'clips' trains on the data, and {len(train)} training clips are too few; expected {_LEAST} or more.")
    kind, width = condition_of(data_set)
    recipe = str((_FRAMES, _WIDTHS, _HIDDEN, _DRAWN, _SEEN, _EPOCHS, _BATCH, _LR, _SEED))
    key = digest(ARCHITECTURE, recipe, data_set.content_hash, str(space.shape), kind, str(width))
    path = cache / f"{ARCHITECTURE}-{key}.safetensors"
    with torch.random.fork_rng(devices=[]):  # layers draw from the global generator when they are made; the weights below are not those
        network = _Network(space.shape, width)
    stored = read_tensors(path, say)
    if stored is None:
        if say:
            say("clips", f"training a clip network on {len(train):,} clips, once; kept at {path}")
        _train(network, train, kind)
        explained, accuracy = _tested(network, data_set, kind)
        write_tensors(
            path, network.state_dict(), {"explained": repr(explained), "accuracy": "" if accuracy is None else repr(accuracy)}, say
        )
    else:
        network.load_state_dict(stored[0])
        explained, accuracy = float(stored[1]["explained"]), float(stored[1]["accuracy"]) if stored[1]["accuracy"] else None
    mark, device = digest(ARCHITECTURE, network.state_dict()), torch.device(device)
    network.to(device).eval()
    return ClipNetwork(network, mark, explained, accuracy, width if kind == "classes" else 0, device)


def _drawing(network: _Network, looked: Tensor) -> Tensor:
    """What is to be drawn: [n, numbers]."""
    return functional.adaptive_avg_pool3d(looked.transpose(1, 2), _DRAWN).flatten(1)


def _train(network: _Network, train: Any, kind: str) -> None:
    generator = torch.Generator().manual_seed(_SEED)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * math.sqrt(2.0 / parameter[0].numel()))
            elif not bool((parameter == 1).all()):
                parameter.zero_()
        some = train.x[subset(len(train), 512, _SEED)]
        spread = torch.cat([_drawing(network, network.look(part)) for part in some.split(32)]).var(0, correction=0).mean().clamp_min(1e-6)
    tells = telling(kind, network.told[1].out_features if network.told is not None else 0)  # type: ignore[arg-type]

    def loss(chosen: Tensor, generator: torch.Generator) -> Tensor:
        x = network.look(train.x[chosen])
        order = torch.full((len(x),), _IN_ORDER)
        order[len(x) // 2 : 3 * len(x) // 4], order[3 * len(x) // 4 :] = _SHUFFLED, _STILL
        shuffled = torch.stack([torch.randperm(x.shape[1], generator=generator) for _ in range(len(x))])
        still = torch.randint(x.shape[1], (len(x), 1), generator=generator).expand(-1, x.shape[1])
        frames = torch.where(
            (order == _SHUFFLED)[:, None], shuffled, torch.where((order == _STILL)[:, None], still, torch.arange(x.shape[1]))
        )
        x = x[torch.arange(len(x))[:, None], frames]
        features = network(x)
        total = functional.mse_loss(network.draw(features), _drawing(network, x)) / spread + functional.cross_entropy(
            network.order(features), order
        )
        if network.told is not None:
            whole = order == _IN_ORDER
            total = total + tells(network.told(features[whole]), train.y[chosen][whole])
        return total

    fit(network, len(train), loss, generator, seen=_SEEN, epochs=_EPOCHS, batch=_BATCH, lr=_LR)


def _tested(network: _Network, data_set: Any, kind: str) -> tuple[float, float | None]:
    """Share of variance drawn and share of classes named, on at most 1,000 held-out clips (training ones where none is held out)."""
    part = data_set.held if len(data_set.held) else data_set.train
    wanted, drawn, right, count = [], [], 0, min(len(part), 1000)
    with torch.no_grad():
        for rows in torch.arange(count).split(50):
            looked = network.look(part.x[rows])
            features = network(looked)
            wanted.append(_drawing(network, looked))
            drawn.append(network.draw(features))
            if kind == "classes" and network.told is not None:
                right += int((network.told(features).argmax(1) == part.y[rows]).sum())
    target = torch.cat(wanted)
    left = (torch.cat(drawn) - target).square().mean() / target.var(0, correction=0).mean().clamp_min(1e-9)
    return float(1 - left), right / count if kind == "classes" else None
