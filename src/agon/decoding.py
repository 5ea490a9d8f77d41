"""Saying sentences with a speaker (`networks.text`): how a token is chosen, sampling with cached states, going on from every beginning of a sentence,
beams, and the probability of what was said.

Randomness is passed in as uniform noise, a number a token, and turned into tokens through the distribution function: so halves of a batch say what the
whole says, and a seed says the same whatever the batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._pytree import tree_map

from agon.errors import InputError
from agon.estimators import gumbel, relaxed
from agon.layers.tokens import NEVER, before, longest
from agon.spaces.tokens import END, PAD, real

BLOCK = 64  # tokens that are summed up before one of them is looked for
ROWS = 128  # logits are made of this many rows at a time when many sentences go on together

MOST_BEAM = 256
PART = 32  # sentences of like length that go together on a processor


@dataclass(frozen=True, kw_only=True)
class Choice:
    """How a token is chosen: from softmax(logits / temperature), cut to the `top_k` likeliest, or to those that make up `top_p` (0, 1: not cut).

    temperature 0 takes the likeliest. top_p: nucleus sampling (Holtzman et al. 2020, arXiv:1904.09751). beam: of text made from a source, the
    likeliest found by a beam of this width instead (0: none), by log p / tokens^penalty. no_repeat: no run of so many tokens is said twice in a sentence
    (Paulus et al. 2018, arXiv:1705.04304, of three words; 0: any may be).
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    beam: int = 0
    penalty: float = 1.0
    no_repeat: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf or self.top_k < 0 or not 0 < self.top_p <= 1:
            raise InputError(
                f"temperature {self.temperature}, top_k {self.top_k}, top_p {self.top_p}; expected temperature and top_k of 0 or more, top_p in (0, 1]."
            )
        if not math.isfinite(self.penalty):
            raise InputError(f"penalty {self.penalty}; expected a finite number, 1 for the mean log probability of a token.")
        if self.beam < 0 or self.beam > MOST_BEAM:
            raise InputError(f"beam {self.beam}; expected 0 (none) to {MOST_BEAM}.")
        if self.no_repeat < 0 or self.no_repeat == 1:
            raise InputError(f"no_repeat {self.no_repeat}; expected 0 (all may be repeated) or 2 tokens or more.")

    @property
    def tells(self) -> bool:
        """Whether the probability of what is said is softmax(logits / temperature) at every token: nothing is cut off, looked for or forbidden."""
        return self.temperature > 0 and self.top_k == 0 and self.top_p == 1 and self.beam == 0 and self.no_repeat == 0


def choose(logits: Tensor, noise: Tensor, choice: Choice) -> Tensor:
    """Tokens int64 from logits [n, V], which are overwritten, at uniform noise [n], or [n, k] for k of each: of the noise's shape."""
    levels = noise[:, None] if noise.dim() == 1 else noise
    if choice.temperature == 0:
        return logits.argmax(1, keepdim=True).expand_as(levels).view_as(noise)
    return _at(cut(logits, choice), levels).view_as(noise)


def fresh(logits: Tensor, said: Tensor, size: int) -> Tensor:
    """Logits [n, V], which are overwritten, with NEVER where a token would end a run of `size` tokens that stands in what was said, int64 [n, t], already."""
    if not size or said.shape[1] < size:
        return logits
    runs = said.unfold(1, size, 1)
    again = (runs[..., :-1] == said[:, None, said.shape[1] - size + 1 :]).all(2)
    row, place = again.nonzero(as_tuple=True)
    logits[row, runs[row, place, -1]] = NEVER
    return logits


def cut(logits: Tensor, choice: Choice) -> Tensor:
    """What a choice leaves of the probabilities of logits [n, V]: [n, V], the likeliest having 1. The logits are overwritten."""
    chance = logits.float()
    chance = chance.sub_(chance.amax(1, keepdim=True)).mul_(1 / choice.temperature).exp_()
    if 0 < choice.top_k < chance.shape[1]:
        least = chance.topk(choice.top_k, dim=1).values[:, -1:]
        chance = torch.where(chance >= least, chance, 0.0)
    if choice.top_p < 1:
        ordered, place = chance.sort(dim=1, descending=True, stable=True)
        # A token stays while what comes before it is less than top_p: the likeliest always does.
        stays = ordered.cumsum(1) - ordered < choice.top_p * chance.sum(1, keepdim=True)
        chance = torch.zeros_like(chance).scatter(1, place, torch.where(stays, ordered, 0.0))
    return chance


def _at(chance: Tensor, noise: Tensor) -> Tensor:
    """Where the distribution function of `chance` [n, V] reaches the noise [n, k]: int64 [n, k]."""
    # In two steps, first among blocks: the sum of a block is quicker than running sums over all of it.
    size = chance.shape[1]
    even = size // BLOCK * BLOCK
    sums = chance[:, :even].unflatten(1, (-1, BLOCK)).sum(2)
    if even < size:
        sums = torch.cat([sums, chance[:, even:].sum(1, keepdim=True)], 1)
    block, rest = _reached(sums, noise * sums.sum(1, keepdim=True))
    places = block[..., None] * BLOCK + torch.arange(BLOCK, device=chance.device)
    inside = chance.gather(1, places.clamp_max(size - 1).flatten(1)).view_as(places)
    inside = torch.where(places < size, inside, 0.0).flatten(0, 1)
    return block * BLOCK + _reached(inside, rest.flatten()[:, None])[0].view_as(block)


def _reached(parts: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
    """The part of each row of `parts` [n, m] in which their running sum passes the level [n, k], and what is left of the level there."""
    reach = parts.cumsum(1)
    # Kept below the whole, which rounding might reach: the part found is then never an empty one.
    level = torch.minimum(level, torch.nextafter(reach[:, -1:], torch.zeros_like(reach[:, -1:])))
    found = torch.searchsorted(reach, level, right=True)
    return found, (level - (reach - parts).gather(1, found)).clamp_min(0)


def select(state: Any, rows: Tensor) -> Any:
    """A speaker's state for some of its sentences: rows int64 or bool."""
    return tree_map(lambda part: part[rows] if isinstance(part, Tensor) else part, state)


@torch.no_grad()
def speak(speaker: Any, noise: Tensor, y: Tensor | None = None, *, choice: Choice = Choice(), begun: Tensor | None = None) -> Tensor:
    """Sentences int64 [n, L] at uniform noise [n, L], PAD after the end; begun int64 [n, P]: their first tokens, PAD where these are open."""
    n, length = noise.shape
    x = torch.zeros(n, length, dtype=torch.int64, device=noise.device)
    rows, state, last = torch.arange(n, device=noise.device), speaker.begin(n, y), x[:, 0]
    for t in range(length):
        h, state = speaker.step(speaker.embed(last), state)
        last = choose(fresh(speaker.read(h), x[rows, :t], choice.no_repeat), noise[rows, t], choice)
        if begun is not None and t < begun.shape[1]:
            given = begun[rows, t]
            last = torch.where(given == PAD, last, given)
        x[rows, t] = last
        goes_on = last != END
        if not bool(goes_on.all()):
            rows, last = rows[goes_on], last[goes_on]
            if not len(rows):
                break
            state = select(state, goes_on)
    return x


@dataclass(frozen=True)
class Soft:
    """Sentences of soft words: `words` float [tokens, V], where they stand, sentence · L + place, int64 [tokens], and what they lean to, int64 [n, L]."""

    words: Tensor
    places: Tensor
    said: Tensor

    def embedded(self, embed: Callable[[Tensor], Tensor]) -> Tensor:
        """The embeddings [n, L, d] of the soft words, 0 behind the end: no product is spent on padding."""
        each = embed(self.words)
        whole = torch.zeros(self.said.numel(), each.shape[1], dtype=each.dtype, device=each.device)
        return whole.index_copy(0, self.places, each).unflatten(0, self.said.shape)

    def dense(self) -> Tensor:
        """The soft words at their places, [n, L, V]."""
        return self.embedded(lambda words: words)


def speak_softly(speaker: Any, noise: Tensor, temperature: float, y: Tensor | None = None, *, hard: bool = False) -> Soft:
    """Sentences through which a critic's gradient flows, at uniform noise [n, L, V].

    Each soft word is `estimators.relaxed`; the next input is the embedding of the word it leans to, an exact draw of the speaker, and that choice
    passes no gradient on (RelGAN, Nie et al. 2019). hard: straight-through. Memory: n·L·V numbers of noise, and V for every word said, twice
    that with gradients.
    """
    n, length, _ = noise.shape
    x = torch.zeros(n, length, dtype=torch.int64, device=noise.device)
    rows, state, last = torch.arange(n, device=noise.device), speaker.begin(n, y), x[:, 0].clone()
    drawn: list[Tensor] = []
    places: list[Tensor] = []
    for t in range(length):
        h, state = speaker.step(speaker.embed(last), state)
        drawn.append(relaxed(speaker.read(h), gumbel(noise[rows, t]), temperature, hard=hard))
        places.append(rows * length + t)
        last = drawn[-1].detach().argmax(1)
        x[rows, t] = last
        goes_on = last != END
        if not bool(goes_on.all()):
            rows, last = rows[goes_on], last[goes_on]
            if not len(rows):
                break
            state = select(state, goes_on)
    return Soft(torch.cat(drawn), torch.cat(places), x)


def log_probs(speaker: Any, x: Tensor, y: Tensor | None = None, *, smoothing: float = 0.0) -> Tensor:
    """log π(x_t | x_<t) of sentences int64 [n, L]: float [n, L], 0 at padding. No softmax is spent on padding, and no step behind the longest.

    smoothing: share ε of the mean over all that can be said, for a loss whose target is not one word alone.
    """
    mask = real(x)
    score, more = speaker.read.score, [smoothing] if smoothing else []
    order = None
    if x.device.type != "cpu" or len(x) < 2 * PART:
        each = score(*_features(speaker, x, y), *more)
    else:
        # On a processor sentences of like length go together, so that little is spent on padding.
        source = 0 if y is None or y.dim() < 2 or y.is_floating_point() else real(y).sum(1)
        order = (mask.sum(1) + source).argsort(stable=True)
        parts = [_features(speaker, x[rows], None if y is None else y[rows]) for rows in order.split(PART)]
        # The features of a speaker that copies are as wide as the sources of its part.
        alike = len({h.shape[1] for h, _ in parts}) == 1
        whole = [tuple(map(torch.cat, zip(*parts, strict=True)))] if alike else parts
        each = torch.cat([score(*part, *more) for part in whole])
    there = mask if order is None else mask[order]
    found = torch.zeros(there.shape, dtype=each.dtype, device=x.device).masked_scatter(there, each)
    return found if order is None else torch.zeros_like(found).index_copy(0, order, found)


class Tempered:
    """A speaker at a temperature τ > 0 as `log_probs` asks it: log π(x_t | x_<t) are those of softmax(logits / τ), as `choose` draws. For scores,
    without smoothing."""

    def __init__(self, speaker: Any, temperature: float) -> None:
        self.speaker, self.temperature = speaker, temperature
        self.embed, self.hidden, self.read = speaker.embed, speaker.hidden, self

    def score(self, h: Tensor, tokens: Tensor) -> Tensor:
        """log softmax(logits / τ) at tokens int64 [m] of features [m, d]: float32 [m], some rows at a time."""
        found = []
        for a, said in zip(h.split(ROWS), tokens.split(ROWS), strict=True):
            logits = self.speaker.read(a).float() / self.temperature
            found.append(logits.gather(1, said[:, None])[:, 0] - logits.logsumexp(1))
        return torch.cat(found)


def _features(speaker: Any, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
    """Features [m, d] before each token of sentences, and these tokens [m]; what is behind the longest is not looked at."""
    x = x[:, : longest(real(x))]
    there = real(x)
    return speaker.hidden(speaker.embed(before(x)), y)[there], x[there]


def _drawn(speaker: Any, h: Tensor, noise: Tensor, choice: Choice) -> Tensor:
    """Tokens of features [n, d] at noise [n] or [n, k], some rows at a time, so that their logits stay in the processor's cache."""
    parts = [choose(speaker.read(a), u, choice) for a, u in zip(h.split(ROWS), noise.split(ROWS), strict=True)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


@torch.no_grad()
def complete(speaker: Any, x: Tensor, noise: Tensor, y: Tensor | None = None, *, choice: Choice = Choice()) -> Tensor:
    """Every beginning of sentences x int64 [n, L] gone on with k times: int64 [k, L, n, L], for noise uniform [n, k, L, L].

    At [j, t, i] is the sentence i, kept up to and with token t, and what the speaker says after it at the noise [i, j, t]; only PAD where nothing is
    left to say: at a sentence's last token, behind it, and at t = L − 1. The state along each sentence is computed once, and what has
    begun at different tokens goes on together: a step of the speaker is one batch of all that is open.
    """
    n, k, length = noise.shape[:3]
    out = torch.zeros(k, length, n, length, dtype=torch.int64, device=x.device)
    flat = out.view(-1, length)
    goes_on = real(x) & (x != END)
    trunk, branch = torch.arange(n, device=x.device), x.new_zeros(0)
    state, last = speaker.begin(n, y), torch.zeros_like(x[:, 0])
    copies = torch.arange(k, device=x.device)
    for t in range(length):
        h, state = speaker.step(speaker.embed(last), state)
        old, fresh, drawn = len(trunk), x.new_zeros(0), x.new_zeros(0)
        if len(branch):
            origin, cut_at, copy = branch % n, branch // n % length, branch // (n * length)
            said = _drawn(speaker, h[old:], noise[origin, copy, cut_at, t], choice)
            flat[branch, t] = said
        else:
            said = x.new_zeros(0)
        if t:  # what begins here: sentences kept up to token t − 1
            drawn = _drawn(speaker, h[:old], noise[trunk, :, t - 1, t], choice).flatten()
            fresh = ((copies * length + t - 1) * n + trunk[:, None]).flatten()
            flat[fresh, :t] = x[trunk, :t].repeat_interleave(k, 0)
            flat[fresh, t] = drawn
        if t == length - 1:
            break
        stays = goes_on[trunk, t]
        parents = torch.arange(old, device=x.device)
        rows = torch.cat([parents, parents.repeat_interleave(k) if t else fresh, old + torch.arange(len(branch), device=x.device)])
        last = torch.cat([x[trunk, t], drawn, said])
        kept = torch.cat([stays, torch.cat([drawn, said]) != END])
        trunk, branch = trunk[stays], torch.cat([fresh, branch])[kept[old:]]
        if not len(trunk) and not len(branch):
            break
        state, last = select(state, rows[kept]), last[kept]
    return out


def token_logits(speaker: Any, x: Tensor, y: Tensor | None = None) -> Tensor:
    """Logits [tokens, V] at the real tokens of sentences int64 [n, L], in the mask's order: none at padding, and no step behind the longest."""
    logits: Tensor = speaker.read(_features(speaker, x, y)[0])
    return logits


def told(logits: Tensor, x: Tensor) -> Tensor:
    """log π(x_t | x_<t) [n, L] of sentences from their `token_logits`, for those who need these as well."""
    return spread(-F.cross_entropy(logits.float(), x[real(x)], reduction="none"), real(x))


def spread(each: Tensor, mask: Tensor) -> Tensor:
    """Figures of the real tokens [tokens], in the mask's order, as [n, L] with 0 at padding."""
    return torch.zeros(mask.shape, dtype=each.dtype, device=mask.device).masked_scatter(mask, each)


@contextmanager
def steady(player: nn.Module) -> Iterator[None]:
    """Within the block the player does not drop units: it says, scores and is scored as itself."""
    # Recurrent layers of these players drop nothing themselves, and on a GPU they have a gradient in training mode alone.
    changed = [m for m in player.modules() if m.training and not isinstance(m, nn.RNNBase)]
    for module in changed:
        module.training = False
    try:
        yield
    finally:
        for module in changed:
            module.training = True


@torch.no_grad()
def beam(
    speaker: Any, length: int, y: Tensor, *, width: int = 4, penalty: float = 1.0, no_repeat: int = 0, judge: Callable[[Tensor], Tensor] | None = None
) -> Tensor:  # fmt: skip
    """The likeliest sentence found for each source y [n, ...], int64 [n, length], by a beam of `width`; log p / tokens^penalty decides.

    no_repeat: see `Choice`. judge: scores sentences [n·width, length] → [n·width]; the best of the beam by it is taken instead.
    """
    n, where = len(y), y.device
    state = select(speaker.begin(n, y), torch.arange(n, device=where).repeat_interleave(width))
    x = torch.zeros(n, width, length, dtype=torch.int64, device=where)
    total = torch.full((n, width), -torch.inf, device=where)
    total[:, 0] = 0.0
    rows = torch.arange(n, device=where)  # sources whose beam still grows; the next four are theirs alone
    said, chance, last, over = x, total, x[:, :, 0], torch.zeros(n, width, dtype=torch.bool, device=where)
    for t in range(length):
        h, state = speaker.step(speaker.embed(last.flatten()), state)
        logits = fresh(speaker.read(h).float(), said[:, :, :t].flatten(0, 1), no_repeat)
        best, token = logits.topk(min(width, logits.shape[1]), dim=1)  # no more of one sentence can be among the best of all
        gain = (best - logits.logsumexp(1, keepdim=True)).unflatten(0, (-1, width))
        # A sentence that is over goes on with padding, in one way and at no cost.
        first = torch.arange(gain.shape[2], device=where) == 0
        gain = torch.where(over[..., None], torch.where(first, 0.0, -torch.inf), gain)
        token = torch.where(over[..., None], PAD, token.unflatten(0, (-1, width)))
        chance, place = (chance[..., None] + gain).flatten(1).topk(width, dim=1)
        origin, last = place // gain.shape[2], token.flatten(1).gather(1, place)
        said = said.gather(1, origin[..., None].expand_as(said))
        said[:, :, t] = last
        over = over.gather(1, origin) | (last == END)
        state = _followed(speaker, state, origin)
        grows = ~over.all(1)
        if t + 1 == length or not bool(grows.all()):
            x[rows], total[rows] = said, chance
            rows, said, chance, last, over = rows[grows], said[grows], chance[grows], last[grows], over[grows]
            if not len(rows):
                break
            state = select(state, grows.repeat_interleave(width))
    merit = total / real(x).sum(2).clamp_min(1) ** penalty if judge is None else judge(x.flatten(0, 1)).unflatten(0, (n, width))
    merit = torch.where(total.isfinite(), merit, -torch.inf)
    return x[torch.arange(n, device=where), merit.argmax(1)]


def _followed(speaker: Any, state: Any, origin: Tensor) -> Any:
    """The states of the sentences that those of a beam [n, width] came from; what belongs to the source is left as it is where a speaker can."""
    n, width = origin.shape
    rows = (origin + width * torch.arange(n, device=origin.device)[:, None]).flatten()
    return speaker.reorder(state, rows) if hasattr(speaker, "reorder") else select(state, rows)
