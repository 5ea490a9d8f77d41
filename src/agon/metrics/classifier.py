"""The extractor that Agon trains itself: a small network that names the classes of the labelled training split.

For small pictures that Inception was never meant for (digits, clothes, icons). Its penultimate features, 64 channel means after the
last ReLU, and its class probabilities serve as Inception's do elsewhere; a figure is only comparable with figures of the very same
network, so the hash of its weights stands in every stamp.

Everything about it is fixed here: architecture, seed, order, steps. It is always trained on the CPU with one thread, so that the weights
do not depend on the run, the device or the number of threads; another processor or build of torch rounds differently, and the hash then
differs too, and with it figures of the same samples, by a tenth or more (docs/metrics.md). Of the sets whose figures are published the network itself
comes with the package (`classifiers/`), so these figures are measured by the same one everywhere. This file alone outside the engine steps an
optimiser: the network is a measuring instrument, not a player.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from agon.errors import InputError
from agon.metrics.cache import Say, digest, read_tensors, write_tensors
from agon.metrics.contract import Features

ARCHITECTURE = "classifier-1"  # frozen: a change here or below needs a new name, and every published figure measured again
DIM = 64
_WIDTHS = ((16, 1), (32, 2), (DIM, 2), (DIM, 1))  # channels and stride of the four convolutions
_SEEN, _EPOCHS = 120_000, 18  # training images in all, but at most so many passes over a small set
_BATCH, _LR, _SEED = 128, 8e-3, 0
_MIN_CLASSES, _MIN_PER_CLASS = 2, 50
SHIPPED = Path(__file__).parent / "classifiers"  # benchmarks/rulers.py puts them there


@dataclass(frozen=True)
class Grain:
    """How pictures come before the convolutions: averaged `shrink` times, fine detail of `block`×`block` gone to channels. The convolutions always
    work on about 16×16, so cost does not grow with the picture."""

    shrink: int
    block: int

    @classmethod
    def of(cls, height: int, width: int) -> Grain:
        """For pictures of a size."""
        longest = max(height, width)
        return cls(max(1, math.ceil(longest / 64)), 1 if longest <= 20 else 2 if longest <= 40 else 4)

    def __call__(self, x: Tensor, shift: tuple[int, int] = (0, 0)) -> Tensor:
        """uint8 [n, C, H, W] -> float32 [n, C·block², H', W'] in [-1, 1], moved by `shift` pixels down and right."""
        x = x.float().div_(127.5).sub_(1.0)
        if self.shrink > 1:
            x = functional.avg_pool2d(x, self.shrink, ceil_mode=True, count_include_pad=False)
        height, width = x.shape[2:]
        down, right = -height % self.block, -width % self.block
        reach = max(abs(shift[0]), abs(shift[1]))
        if down or right or reach:
            x = functional.pad(x, (reach, reach + right, reach, reach + down), mode="replicate")
            top, left = reach + shift[0], reach + shift[1]
            x = x[:, :, top : top + height + down, left : left + width + right]
        return functional.pixel_unshuffle(x, self.block).contiguous(memory_format=torch.channels_last)


def trunk(channels: int) -> nn.Sequential:
    """The four convolutions: float32 [n, channels, H, W] -> [n, DIM, about H/4, about W/4]."""
    layers: list[nn.Module] = []
    before = channels
    for after, stride in _WIDTHS:
        layers += [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        before = after
    return nn.Sequential(*layers)


def kaiming(network: nn.Module, generator: torch.Generator) -> None:
    """Kaiming-normal weights from `generator`; vectors as they are."""
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * math.sqrt(2.0 / parameter[0].numel()))


class _Network(nn.Module):
    """uint8 [n, C, H, W] -> (features [n, DIM], logits [n, classes])."""

    def __init__(self, shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        channels, height, width = shape
        self.grain = Grain.of(height, width)
        self.body = trunk(channels * self.grain.block**2)
        self.head = nn.Linear(DIM, num_classes)

    def forward(self, x: Tensor, shift: tuple[int, int] = (0, 0)) -> tuple[Tensor, Tensor]:
        features = self.body(self.grain(x, shift)).mean((2, 3))
        return features, self.head(features)


@dataclass
class Classifier:
    """The trained network as an extractor; `hash` is that of its weights, `accuracy` on held-out samples (None without any)."""

    network: nn.Module
    hash: str
    accuracy: float | None
    num_classes: int
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    name: str = "classifier"
    dim: int = DIM
    resize: str = ""

    @property
    def note(self) -> str:
        """Its held-out accuracy."""
        return "" if self.accuracy is None else f"{100 * self.accuracy:.1f}% held-out accuracy"

    def __call__(self, x: Tensor) -> Features:
        """uint8 [n, C, H, W] -> features [n, 64] and probabilities [n, classes]."""
        with torch.no_grad():
            features, logits = self.network(x.to(self.device))
            return Features(features.cpu().double(), logits.cpu().double().softmax(1))


def usable(train: Any) -> str:
    """Why a classifier cannot be trained on these samples; "" when it can."""
    if train.y is None:
        return "the data has no labels"
    if train.y.dim() != 1:
        return "the data has tags or numbers, not classes"
    counts = torch.bincount(train.y)
    counts = counts[counts > 0]
    if len(counts) < _MIN_CLASSES:
        return f"the data has {len(counts)} class; at least {_MIN_CLASSES} are needed"
    if int(counts.min()) < _MIN_PER_CLASS:
        return f"the rarest class has {int(counts.min())} training samples; at least {_MIN_PER_CLASS} are needed"
    return ""


def open_classifier(data_set: Any, *, cache: Path, device: torch.device | str = "cpu", say: Say | None = None) -> Classifier:
    """The classifier of a labelled image set: the package's own, or from `cache`, or trained now (under a minute). Raises InputError on
    unlabelled data."""
    why = usable(data_set.train)
    if why:
        raise InputError(f"extractor 'classifier' was asked for, but {why}. Use --extractor inception or random, or label the data.")
    shape = tuple(data_set.space.shape)
    num_classes = max(len(data_set.space.classes), int(data_set.train.y.max()) + 1)
    recipe = str((_WIDTHS, _SEEN, _EPOCHS, _BATCH, _LR, _SEED))
    key = digest(ARCHITECTURE, recipe, data_set.content_hash, str(shape), str(num_classes))
    file = f"{ARCHITECTURE}-{key}.safetensors"
    path = cache / file
    with torch.random.fork_rng(devices=[]):  # layers draw from the global generator when they are made; the weights below are not those
        network = _Network(shape, num_classes)
    stored = read_tensors(SHIPPED / file, say) or read_tensors(path, say)
    if stored is not None:
        network.load_state_dict(stored[0])
        accuracy = float(stored[1]["accuracy"]) if stored[1].get("accuracy") else None
    else:
        train = data_set.train
        if say:
            say("classifier", f"training on {len(train.y):,} labelled images, once; kept at {path}")
        _train(network, train.x, train.y)
        accuracy = _accuracy(network, data_set.held)
        if say:
            told = "no held-out samples to test it on" if accuracy is None else f"{100 * accuracy:.2f}% of held-out samples right"
            say("classifier", told)
        write_tensors(path, network.state_dict(), {"accuracy": "" if accuracy is None else repr(accuracy)}, say)
    weights = digest(ARCHITECTURE, network.state_dict())
    device = torch.device(device)
    network.to(device).eval()
    return Classifier(network, weights, accuracy, num_classes, device)


def _train(network: _Network, x: Tensor, y: Tensor) -> None:
    """Cross-entropy, jittered by a pixel."""

    def loss(chosen: Tensor, generator: torch.Generator) -> Tensor:
        down, right = torch.randint(-1, 2, (2,), generator=generator).tolist()
        return functional.cross_entropy(network(x[chosen], (down, right))[1], y[chosen])

    generator = torch.Generator().manual_seed(_SEED)
    kaiming(network, generator)
    nn.init.zeros_(network.head.bias)
    fit(network, len(x), loss, generator, seen=_SEEN, epochs=_EPOCHS, batch=_BATCH, lr=_LR)


def fit(
    network: nn.Module, count: int, loss: Callable[[Tensor, torch.Generator], Tensor], generator: torch.Generator, *, seen: int, epochs: int,
    batch: int, lr: float,
) -> None:  # fmt: skip
    """Train a measuring instrument by AdamW with warm-up and cosine decay: `seen` samples in all, but at most `epochs` passes over `count`.

    loss(indices int64 [b], generator) -> []. Deterministic, with one thread; no global random state is touched.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode(False), torch.enable_grad():
            network.train()
            batch = min(batch, count)
            steps = max(1, min(seen, epochs * count) // batch)
            optimiser = torch.optim.AdamW(network.parameters(), lr=lr, betas=(0.9, 0.95), weight_decay=1e-2)
            order, place = torch.randperm(count, generator=generator), 0
            for step in range(steps):
                if place + batch > len(order):
                    order, place = torch.randperm(count, generator=generator), 0
                chosen = order[place : place + batch]
                place += batch
                done = step / steps
                rate = lr * (done / 0.1 if done < 0.1 else 0.5 * (1 + math.cos(math.pi * (done - 0.1) / 0.9)))
                for group in optimiser.param_groups:
                    group["lr"] = rate
                value = loss(chosen, generator)
                optimiser.zero_grad(set_to_none=True)
                value.backward()
                optimiser.step()
    finally:
        torch.set_num_threads(threads)
        network.eval()


def _accuracy(network: _Network, held: Any) -> float | None:
    """Share of at most 10,000 held-out samples named rightly."""
    if held.y is None or len(held.y) == 0:
        return None
    right = 0
    count = min(len(held.y), 10_000)
    with torch.no_grad():
        for start in range(0, count, 250):
            rows = slice(start, min(start + 250, count))
            right += int((network(held.x[rows])[1].argmax(1) == held.y[rows]).sum())
    return right / count
