"""The extractor of stacked pictures: the grey set's own frozen classifier, applied to each of the three channels.

Features are the three channels' features side by side [n, 192]; probabilities those of the triples [n, K³], which are products because the
channels are independent. Which grey set it was stands in the stacked file's card (`agon.data.stack`), or is given as `extractor_weights`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agon.errors import InputError
from agon.metrics.cache import Say, digest
from agon.metrics.classifier import Classifier, open_classifier
from agon.metrics.contract import Features


@dataclass
class Stacked:
    """A grey classifier looking at each channel; `shares` float64 [K³]: how often real stacks show each triple."""

    grey: Classifier
    shares: Tensor
    name: str = "stacked-classifier"
    resize: str = ""

    @property
    def hash(self) -> str:
        """Of the classifier's weights and the way it is used."""
        return digest("stacked-1", self.grey.hash)

    @property
    def dim(self) -> int:
        """Three times the classifier's."""
        return 3 * self.grey.dim

    @property
    def num_classes(self) -> int:
        """Triples."""
        return self.grey.num_classes**3

    @property
    def note(self) -> str:
        """Accuracy of the grey classifier, a channel."""
        return f"{self.grey.note} a channel" if self.grey.note else ""

    def __call__(self, x: Tensor) -> Features:
        """uint8 [n, 3, H, W] -> features [n, 192], probabilities [n, K³]; triple (a, b, c) is number a K² + b K + c."""
        seen = [self.grey(x[:, channel : channel + 1]) for channel in range(3)]
        a, b, c = (part.probabilities for part in seen)
        assert a is not None and b is not None and c is not None
        triples = (a[:, :, None, None] * b[:, None, :, None] * c[:, None, None, :]).flatten(1)
        return Features(torch.cat([part.features for part in seen], 1), triples)


def open_stacked(
    data_set: Any, grey: Path | str | None, *, cache: Path, device: torch.device | str = "cpu", say: Say | None = None
) -> Stacked:
    """The extractor for a stacked set; `grey`: path of the grey set, if not what the card names. Raises InputError."""
    from agon.data import Data, open_data
    from agon.data.stack import read_card

    channels, height, width = data_set.space.shape
    card = read_card(str(data_set.card.get("path", "")))
    if grey is None and card is None:
        raise InputError(
            "extractor 'stacked' does not know which grey pictures these were stacked from; make the set by "
            "`agon data stack MNIST --out stacked.npz`, or name the grey set by --extractor-weights PATH."
        )
    if channels != 3:
        raise InputError(f"extractor 'stacked' is for pictures of three stacked channels, and these have {channels}; use --channels 3.")
    path = str(grey) if grey is not None else str((card or {})["grey"])
    try:
        source = open_data(Data(path=path, channels=1, size=(height, width), labels="use"))
    except InputError as error:
        raise InputError(
            f"the grey set '{path}' behind these stacks cannot be opened: {error} Name its place by --extractor-weights."
        ) from None
    classifier = open_classifier(source, cache=cache, device=device, say=say)
    y = source.train.y
    assert y is not None, "labels were asked for"
    counts = torch.bincount(y, minlength=classifier.num_classes).double()
    share = counts / counts.sum()
    return Stacked(classifier, (share[:, None, None] * share[None, :, None] * share[None, None, :]).flatten())
