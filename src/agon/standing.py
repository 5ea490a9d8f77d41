"""Batch normalisation of averaged weights: statistics of their own.

An averaged copy has the weights of many rounds, but the running statistics that came with the last of them belong to other activations: those of
averaged weights vary less, are divided by too much, and pictures lose contrast. So wherever the average is shown, scored or saved, its statistics
are taken anew, over samples of its own, in evaluation otherwise: the "standing statistics" of BigGAN (Brock et al. 2018, arXiv:1809.11096, appendix C.1),
and what stochastic weight averaging does after the last step (Izmailov et al. 2018, arXiv:1803.05407, sec. 3.2). They follow from the weights, what
the data ask for and fixed seeds, and training never sees them: a run that is looked at and one that is not end in the same weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from agon.conditions import Conditions
from agon.game import Game, Players
from agon.sampling import CHUNK, draw, needs_first
from agon.spaces import Space

PREFIX = "standing/"  # of their names in a saved state
PICTURES, CLIPS = 256, 128  # samples that statistics are taken over
_SEED = 20180928
_Norm = nn.modules.batchnorm._BatchNorm


def norms(p: Players) -> dict[str, _Norm]:
    """Batch normalisations of the averaged copies that keep statistics, by "player/path"; not those of a part that never trains."""
    found = {}
    for name, net in p.averages.items():
        for path, module in net.named_modules():
            own = p[name].get_submodule(path)
            if isinstance(module, _Norm) and module.track_running_stats and own.training == p[name].training:
                found[f"{name}/{path}"] = module
    return found


def take(
    game: Game, p: Players, space: Space, conditions: Conditions, begin: Callable[[int, Tensor | None], Tensor | None]
) -> dict[str, Tensor]:  # fmt: skip
    """The statistics of the averaged copies: buffers by "player/path.name", as in a saved state; {} without batch normalisation. Everything is left as it was.

    conditions: what samples are asked to be. begin(n, conditions of n): frames uint8 [n, C, H, W] that clips begin with, for games that need them.
    A copy that sampling has no use for, such as an encoder's, keeps the running statistics, and so do clips so long that they are drawn one at a time.
    """
    found = norms(p)
    if not found or (len(space.shape) == 4 and space.shape[0] > CHUNK // 2):
        return {}
    n = CLIPS if len(space.shape) == 4 else PICTURES
    momenta, before = {name: norm.momentum for name, norm in found.items()}, {name: value.clone() for name, value in _buffers(p).items()}
    try:
        for norm in found.values():
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean over batches, of variances within them, as in training
            norm.train()
        labels = conditions.draw(n, seed=_SEED)
        draw(game, p.ema, space, n, seed=_SEED, labels=labels, first=begin(n, labels) if needs_first(game) else None)
        seen = {name for name, norm in found.items() if norm.num_batches_tracked}
        return {name: value.clone() for name, value in _buffers(p).items() if name.rpartition(".")[0] in seen}
    finally:
        for name, norm in found.items():
            norm.eval().momentum = momenta[name]
        give(p, before)


def give(p: Players, statistics: Mapping[str, Tensor]) -> None:
    """Let the averaged copies have these statistics."""
    with torch.no_grad():
        for name, buffer in _buffers(p).items():
            if name in statistics:
                buffer.copy_(statistics[name])


@contextmanager
def given(p: Players, statistics: Mapping[str, Tensor]) -> Iterator[None]:
    """The averaged copies with these statistics; afterwards with those they had."""
    before = {name: value.clone() for name, value in _buffers(p).items()} if statistics else {}
    give(p, statistics)
    try:
        yield
    finally:
        give(p, before)


def _buffers(p: Players) -> dict[str, Tensor]:
    return {f"{name}.{key}": value for name, norm in norms(p).items() for key, value in norm.named_buffers()}
