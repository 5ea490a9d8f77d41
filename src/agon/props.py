"""Props: saved state that no optimiser owns. A prop is an `nn.Module` of buffers; it sits among the players and is saved and moved with them.

With several microbatches or ranks the engine averages a prop's floating-point buffers after every turn that steps, unless it has
`per_rank = True`: what a prop takes in must be a mean over samples for halves of a batch to equal the whole. Of a prop with `per_rank` the
state keeps rank 0's alone, so with several ranks a game that has one does not resume bit for bit (docs/decisions/0002).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from agon.errors import InputError


def checked_decay(decay: float, whose: str) -> float:
    """`decay` of a running mean. Raises InputError where it is none: at 1 nothing is taken in, above the mean runs away."""
    if not 0 <= decay < 1:
        raise InputError(f"{whose} has decay {decay:g}; expected the share that a running mean keeps, at least 0 and below 1, such as 0.9.")
    return decay


class Pool(nn.Module):
    """A pool of earlier fakes to show the critic (Shrivastava et al. 2017, arXiv:1612.07828; CycleGAN uses 50).

    `exchange(x, coin, slot)`: while the pool fills, every sample is stored and returned. Once full, each sample is, with probability one half,
    swapped with a stored one. The draws come from the caller (`p.rand`), so that the law "halves equal the whole" stays in the game's hands.

    On one process a resumed run is bit for bit the uninterrupted one. On several it is not: each rank fills a pool of its own, a saved state
    holds that of rank 0, and all go on from it.
    """

    items: Tensor
    count: Tensor
    per_rank = True  # each rank keeps pictures of its own; a mean of them would be none

    def __init__(self, size: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("items", torch.zeros(size, *shape))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def exchange(self, x: Tensor, coin: Tensor, slot: Tensor) -> Tensor:
        """x: [n, *shape]; coin, slot: [n] uniform in [0, 1). Returns [n, *shape], some of it older than x."""
        out = x.clone()
        for i in range(len(x)):
            filled = int(self.count)
            if filled < len(self.items):
                self.items[filled].copy_(x[i])
                self.count += 1
            elif coin[i] < 0.5:
                j = min(int(slot[i] * len(self.items)), len(self.items) - 1)
                out[i].copy_(self.items[j])
                self.items[j].copy_(x[i])
        return out


class Running(nn.Module):
    """A running mean of a scalar or vector: `value` ← decay · value + (1 - decay) · x, corrected for its start at zero."""

    total: Tensor
    weight: Tensor

    def __init__(self, shape: tuple[int, ...] = (), decay: float = 0.99) -> None:
        super().__init__()
        self.decay = checked_decay(decay, "a running mean")
        self.register_buffer("total", torch.zeros(shape))
        self.register_buffer("weight", torch.zeros(()))

    @torch.no_grad()
    def update(self, x: Tensor) -> Tensor:
        """Take in x [*shape] and return the mean so far."""
        self.total.mul_(self.decay).add_(x.detach(), alpha=1 - self.decay)
        self.weight.mul_(self.decay).add_(1 - self.decay)
        return self.value

    @property
    def value(self) -> Tensor:
        """The mean so far; zero before the first update."""
        return self.total / self.weight.clamp_min(1e-12)


class Strength(nn.Module):
    """Adaptive strength of augmentation (Karras et al. 2020, arXiv:2006.06676, sec. 3): p, and a running mean of the overfitting sign.

    Moving and looking are apart, so that what moves p is the statistic of all ranks: buffers are averaged over ranks after a look.
    """

    p: Tensor
    sign: Tensor
    seen: Tensor

    def __init__(self, start: float, target: float) -> None:
        super().__init__()
        self.register_buffer("p", torch.tensor(float(start)))
        self.register_buffer("sign", torch.tensor(float(target)))  # at the target: nothing moves before the first look
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def move(self, seen: int, *, target: float, speed: float, limit: float) -> None:
        """Raise or lower p by the share of `speed` samples that went by since the last move; `seen`: real samples so far."""
        step = (seen - self.seen) / speed
        self.p.add_(torch.sign(self.sign - target) * step).clamp_(0.0, limit)
        self.seen.fill_(seen)

    @torch.no_grad()
    def look(self, on_real: Tensor, on_fake: Tensor) -> Tensor:
        """Take in the logits [n] of training reals and of fakes; return r = E[sign(D(x) - m)] of this batch, in [-1, 1].

        m lies midway between the two means: a relativistic critic's logits have no zero of their own. The mean runs over about four looks.
        Each microbatch and each rank looks from its own midpoint, and the mean of their looks is kept: close to a look at the whole, not it.
        """
        real, fake = on_real.float(), on_fake.float()
        now = torch.sign(real - (real.mean() + fake.mean()) / 2).mean()
        self.sign.lerp_(now, 0.25)
        return now
