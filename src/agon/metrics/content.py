"""Content distance: does the same thing stay on a clip? Average content distance, ACD (Tulyakov et al. 2018, arXiv:1707.04993, §4.1).

The mean over pairs of frames of a clip of the Euclidean distance between what the frames hold, then the mean over clips. What a frame holds:

colour    on a dark ground (three quarters of real pixels below 24 of 255 in every channel): the mean colour, 0..255, of the pixels above it, as
          for the paper's shapes. An empty frame counts as black
features  else: channel means of a fixed random convolutional network. The paper takes a face network; these figures compare with nothing
          published

Real clips do not score 0: edges mix with the ground differently wherever a shape lies between pixels, and things move. Read it beside the floor,
the figure of held-out clips; a frozen clip scores 0, which is no merit.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from agon.metrics.clips import PerClip, need_clips
from agon.metrics.contract import Family
from agon.metrics.features import open_random
from agon.metrics.setting import Setting

DARK = 24
_LOOKED, _GROUND = 64, 0.75
_BETTER = {"content_distance": False}


def colours(x: Tensor) -> Tensor:
    """Mean colour of what is brighter than DARK: uint8 [n, T, C, H, W] -> float32 [n, T, C]."""
    on = (x.amax(2, keepdim=True) > DARK).float()
    return (x.float() * on).sum((3, 4)) / on.sum((3, 4)).clamp_min(1)


def pair_distance(content: Tensor) -> Tensor:
    """Mean distance between two different frames of each clip: content [n, T, d] -> [n]."""
    frames = content.shape[1]
    # By differences: the usual expansion loses what small distances between large vectors have.
    apart = torch.cdist(content.double(), content.double(), compute_mode="donot_use_mm_for_euclid_dist")
    return apart.sum((1, 2)) / (frames * (frames - 1))


def by_features() -> tuple[Callable[[Tensor], Tensor], str]:
    """A function from clips uint8 [n, T, C, H, W] to channel means [n, T, 64] of the random network, and its name."""
    network = open_random()

    def contents(x: Tensor) -> Tensor:
        seen = network(x.flatten(0, 1)).features.unflatten(1, (64, -1)).mean(2)
        return seen.unflatten(0, x.shape[:2])

    return contents, f"{network.name}@{network.hash[:6]} means of frames"


def build(setting: Setting, expected: int) -> PerClip:
    """By colour on dark grounds, else by features. Raises InputError for anything but clips."""
    space = need_clips(setting, "content_distance")
    some = setting.data_set.train.x[torch.arange(min(_LOOKED, len(setting.data_set.train)))]
    dark = space.channels == 3 and float((some.amax(2) <= DARK).float().mean()) >= _GROUND
    content, by = (colours, f"mean colour above {DARK}") if dark else by_features()
    return PerClip(lambda x: pair_distance(content(x))[:, None], _BETTER, by=by)


FAMILY = Family(name="content", outputs=tuple(_BETTER), build=build, features=False, sight={"clips": {"content_distance": "bsbgssssbb"}})
