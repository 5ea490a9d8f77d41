"""Gradient estimators for generators of discrete sequences: pure functions from what was sampled to one scalar loss.

A generator draws tokens y [n, L]; `mask` bool [n, L] is True at real tokens, and what stands elsewhere may be anything, NaN too: it has no
gradient and reaches nothing. The estimators share one chain, each link a tensor [n, L]:

    rewards → returns → advantages = returns − baseline → loss, whose gradient (to be descended) is minus the estimate of ∇E[reward]

| step      | choices                                                                                      |
|-----------|----------------------------------------------------------------------------------------------|
| rewards   | `dense_rewards` (a critic's logit a token), `final_reward` (one number a sequence)             |
| returns   | `returns` (reward to go, discounted), `rollout_rewards` (completions of every prefix)          |
| baseline  | `MovingBaseline` (saved state), `critic_advantages` with `critic_loss`                         |
| scale     | `Moments` (saved state): mean and deviation of rewards, to whiten them                         |
| weights   | `importance_weights` (MaliGAN) stand in place of advantages                                    |
| loss      | `reinforce`, `ppo`, `taylor`; `imitation` of what `best_of` chose; `cooperative`                |
| more      | `surprise`: the speaker's entropy, a bonus                                                     |

`relaxed` draws soft or straight-through tokens instead, through which a critic's gradient flows. Randomness is always passed in (`p.rand`), never
drawn here. Temperatures and weights that change with time are schedules (`agon.schedule`), read by the game. Which is unbiased, and how much each
varies: docs/estimators.md; tests/test_estimators.py holds each to the exact gradient by enumeration.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agon.errors import InputError
from agon.props import checked_decay

Ratio = Literal["token", "sequence"]


def _wide(x: Tensor) -> Tensor:
    """At least float32: sums over a sequence lose digits in half precision."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _kept(x: Tensor, mask: Tensor) -> Tensor:
    """x at real tokens, exactly 0 elsewhere whatever stood there; a product with the mask would keep NaN."""
    return torch.where(mask, x, torch.zeros((), dtype=x.dtype, device=x.device))


def _per_token(name: str, x: Tensor, mask: Tensor) -> Tensor:
    """x [n, L], or [n] repeated over the tokens, as [n, L] with padding at 0. Raises InputError for any other shape."""
    if mask.dtype != torch.bool or mask.dim() != 2:
        raise InputError(f"mask is {mask.dtype} {list(mask.shape)}; expected bool [n, L], True at real tokens.")
    if x.shape == mask.shape[:1]:
        x = x[:, None].expand(mask.shape)
    if x.shape != mask.shape:
        raise InputError(f"{name} has shape {list(x.shape)}; expected {list(mask.shape)} like the mask, or {list(mask.shape[:1])}.")
    return _kept(_wide(x), mask)


def _at_real(name: str, x: Tensor, mask: Tensor) -> Tensor:
    """The rows of x [n, L, ...] at real tokens: [tokens, ...]. Raises InputError if x does not begin with the mask's shape."""
    if x.shape[:2] != mask.shape:
        raise InputError(f"{name} has shape {list(x.shape)}; expected it to begin with {list(mask.shape)} like the mask.")
    return x[mask]


# Scores of actions.


def log_probability(logits: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
    """log π(y_t | y_<t) of the drawn tokens, [n, L] ≤ 0, exactly 0 at padding. logits [n, L, V], tokens int64 [n, L].

    The softmax is taken at real tokens alone, so that padding costs nothing and a NaN in it reaches nobody.
    """
    chosen = _wide(_at_real("logits", logits, mask)).log_softmax(1).gather(1, _at_real("tokens", tokens, mask)[:, None])[:, 0]
    return torch.zeros(mask.shape, dtype=chosen.dtype, device=chosen.device).masked_scatter(mask, chosen)


# Rewards and returns.


def dense_rewards(logits: Tensor, mask: Tensor) -> Tensor:
    """2σ(D_t) − 1 in [−1, 1] of a critic's logit a token [n, L], 0 after the end (ScratchGAN, arXiv:1905.09922, sec. 3)."""
    return _per_token("logits", 2 * _wide(logits).sigmoid() - 1, mask)


def final_reward(reward: Tensor, mask: Tensor) -> Tensor:
    """One reward a sequence [n], placed at its last real token: [n, L]. An empty sequence receives nothing."""
    place = torch.arange(mask.shape[1], device=mask.device).expand(mask.shape)
    last = _kept(place, mask).amax(1, keepdim=True)
    return _per_token("reward", reward, mask & (place == last))


def returns(rewards: Tensor, mask: Tensor, discount: float = 1.0) -> Tensor:
    """Reward to go R_t = Σ_{s ≥ t} γ^(s−t) r_s of rewards [n, L]: [n, L], γ in [0, 1].

    γ = 1 makes the estimate of ∇E[Σ r_t] unbiased; ScratchGAN takes .23 (arXiv:1905.09922, appendix), which favours what is near.
    """
    if not 0 <= discount <= 1:
        raise InputError(f"discount is {discount}; expected a number in [0, 1].")
    r = _per_token("rewards", rewards, mask)
    place = torch.arange(r.shape[1], device=r.device)
    ahead = place[:, None] - place[None, :]  # s − t at [s, t]
    weight = (discount ** ahead.clamp_min(0).to(r.dtype)) * (ahead >= 0)
    return _kept(r @ weight, mask)


def rollout_rewards(scores: Tensor, mask: Tensor) -> Tensor:
    """Action values [n, L] from scores of completed prefixes [k, L, n], the order in which they arise (SeqGAN, arXiv:1609.05473).

    scores[j, t, i] is the critic's score of sample i cut after token t and completed the j-th time; at the last token it is the score of the
    sample itself. They are returns already, and go to a baseline or a loss as they are. The axes are averaged and transposed by name: a `view`
    of the stacked scores as [n, L, k] runs as well and gives every sample a mixture of all (TextGAN-PyTorch issue 62).
    """
    n, length = mask.shape
    if scores.dim() != 3 or tuple(scores.shape[1:]) != (length, n):
        raise InputError(
            f"scores has shape {list(scores.shape)}; expected [k, {length}, {n}]: completions, prefix lengths, samples. "
            "Stack the critic's scores in the order they were made; do not reshape them."
        )
    return _per_token("scores", _wide(scores).mean(0).transpose(0, 1), mask)


# Baselines: anything that does not depend on the token it is subtracted for leaves the expectation alone.


class MovingBaseline(nn.Module):
    """The mean return so far, a prop: value ← decay · value + (1 − decay) · this batch's mean, corrected for its start at zero.

    Read `value` before the batch is taken in, or the estimate is biased by the batch's own share. `update` belongs in a `Turn(step=…)`: sums and
    counts are kept apart, both linear in the samples, so that two halves of a batch equal the whole. ScratchGAN's decay is .08 (notes of its code).

    length: keep a mean for every position (the value is then [L]) instead of one.
    """

    total: Tensor
    count: Tensor

    def __init__(self, decay: float = 0.9, length: int | None = None) -> None:
        super().__init__()
        self.decay = checked_decay(decay, "a moving mean of returns")
        shape = () if length is None else (length,)
        self.register_buffer("total", torch.zeros(shape))
        self.register_buffer("count", torch.zeros(shape))

    @property
    def value(self) -> Tensor:
        """The mean so far, [] or [L]; zero where nothing was seen."""
        return torch.where(self.count > 0, self.total / self.count.clamp_min(1e-12), torch.zeros_like(self.total))

    @torch.no_grad()
    def update(self, returns: Tensor, mask: Tensor) -> None:
        """Take in returns [n, L]."""
        kept = _per_token("returns", returns, mask)
        over = 0 if self.total.dim() else (0, 1)
        for buffer, more in ((self.total, kept.sum(over)), (self.count, mask.sum(over))):
            buffer.mul_(self.decay).add_(more.to(buffer.dtype) / len(mask), alpha=1 - self.decay)


class Moments(nn.Module):
    """The mean and the deviation of rewards so far, a prop like `MovingBaseline`: sums of figures, of squares and of counts, each linear in the samples.

    With decay 0 they are those of the last batch whole, whatever microbatches or ranks it was cut into: a batch is whitened exactly by taking it in,
    in a `Turn(step=…)`, before the turn that learns from it.
    """

    sums: Tensor

    def __init__(self, decay: float = 0.0) -> None:
        super().__init__()
        self.decay = checked_decay(decay, "a moving mean of rewards")
        self.register_buffer("sums", torch.zeros(3))  # of 1, r and r²

    @torch.no_grad()
    def update(self, rewards: Tensor) -> None:
        """Take in rewards [n]."""
        r = _wide(rewards)
        now = torch.stack([torch.ones_like(r), r, r.square()]).mean(1)
        self.sums.mul_(self.decay).add_(now.to(self.sums.dtype), alpha=1 - self.decay)

    @property
    def mean(self) -> Tensor:
        """The mean so far []; zero where nothing was seen."""
        return self.sums[1] / self.sums[0].clamp_min(1e-12)

    def whitened(self, rewards: Tensor) -> Tensor:
        """(r − mean)/deviation of rewards of any shape; 0 while they have all been alike, and as they are before any was seen."""
        if not bool(self.sums[0]):
            return _wide(rewards)
        spread = (self.sums[2] / self.sums[0].clamp_min(1e-12) - self.mean.square()).clamp_min(0).sqrt()
        return torch.where(spread > 1e-6, (_wide(rewards) - self.mean) / spread.clamp_min(1e-6), torch.zeros_like(_wide(rewards)))


def critic_advantages(returns: Tensor, values: Tensor, mask: Tensor, clip: float | None = 5.0) -> Tensor:
    """R_t − V(y_<t), clipped to ±clip, without gradient: [n, L]. V must not have seen y_t; unbiased without the clip (None).

    ±5 is that of the runs of "Language GANs Falling Short" (Caccia et al. 2020, arXiv:1811.02549).
    """
    advantages = (_per_token("returns", returns, mask) - _per_token("values", values, mask)).detach()
    return advantages if clip is None else advantages.clamp(-clip, clip)


def critic_loss(values: Tensor, returns: Tensor, mask: Tensor) -> Tensor:
    """½(V(y_<t) − R_t)², summed over the tokens and averaged over the samples; moves V alone."""
    error = _per_token("values", values, mask) - _per_token("returns", returns, mask).detach()
    return 0.5 * error.square().sum(1).mean()


def importance_weights(logits: Tensor, mean: Tensor | None = None) -> Tensor:
    """r_i / mean(r), r = D/(1 − D) = exp(logit), of a critic's logits [n]: [n] ≥ 0 (MaliGAN, arXiv:1702.07983, sec. 3.1).

    At the optimal critic r is p_data/p_G, and `reinforce` of these weights follows the likelihood of the data, up to O(1/n) from the mean. The
    paper's baseline b, rising to 1, is subtracted by the game. Without `mean` it is that of these samples, which couples them; with it, an
    E[r] [] known already (a prop's), they are apart, and logits beyond ±20 are cut.
    """
    if logits.dim() != 1:
        raise InputError(f"logits has shape {list(logits.shape)}; expected [n], one a sequence.")
    if mean is not None:
        return odds(logits) / mean.clamp_min(1e-12)
    return _wide(logits).detach().softmax(0) * len(logits)


def odds(logits: Tensor) -> Tensor:
    """D/(1 − D) = exp(logit) of logits cut to ±20, without gradient: how many times likelier the data are, at the optimal critic."""
    return _wide(logits).detach().clamp(-20, 20).exp()


# Losses.


def reinforce(log_probs: Tensor, advantages: Tensor, mask: Tensor) -> Tensor:
    """−mean_i Σ_t A_it · log π(y_it): its gradient is minus the score-function estimate (Williams 1992, "Simple statistical gradient-following …").

    log_probs [n, L]; advantages [n, L] or [n], taken as constants. It sums over tokens: dividing by lengths would reward brevity.
    """
    return -(_per_token("log_probs", log_probs, mask) * _per_token("advantages", advantages, mask).detach()).sum(1).mean()


def ppo(log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor, mask: Tensor, clip: float = 0.2, ratio: Ratio = "token") -> Tensor:
    """−mean min(ρA, clamp(ρ, 1 ± clip)·A), for samples of an earlier policy (Schulman et al. 2017, arXiv:1707.06347).

    ratio: "token" ρ_t = π(y_t)/π_old(y_t) with advantages [n, L] or [n], summed over tokens; "sequence" one ρ, the product over the tokens, with
    advantages [n] (TextGAIL, arXiv:2004.13796). At ρ = 1 the gradient is that of `reinforce`. Unclipped (clip = inf), the sequence's ratio makes
    it unbiased off-policy too; that of tokens leaves out the weight of the prefix.
    """
    new = _per_token("log_probs", log_probs, mask)
    moved = new - _per_token("old_log_probs", old_log_probs, mask).detach()
    if ratio == "sequence":
        if advantages.shape != mask.shape[:1]:
            raise InputError(f"advantages has shape {list(advantages.shape)}; with the ratio of sequences expected [{len(mask)}].")
        moved, gain = moved.sum(1, keepdim=True), _wide(advantages).detach()[:, None]
    elif ratio == "token":
        gain = _per_token("advantages", advantages, mask).detach()
    else:
        raise InputError(f"ratio is '{ratio}'; expected 'token' or 'sequence'.")
    # Beyond e^±20 nothing could be learned from the sample, and e^x overflows.
    rho = moved.clamp(-20, 20).exp()
    return -torch.minimum(rho * gain, rho.clamp(1 - clip, 1 + clip) * gain).sum(1).mean()


def taylor(
    logits: Tensor, tokens: Tensor, advantages: Tensor, slopes: Tensor, embeddings: Tensor, mask: Tensor, bandwidth: float = 0.5
) -> Tensor:
    """−mean_i Σ_t Σ_v K(v|y_t) (A_t + ∇_e C · (E_v − E_{y_t})) log π(v): neighbours of the drawn word learn too (TaylorGAN, arXiv:2011.13527).

    logits [n, L, V], or [tokens, V] at the real ones (`decoding.token_logits`); tokens int64 [n, L]; advantages [n, L] or [n]; slopes [n, L, d] =
    ∂C/∂e_t at the sample; embeddings [V, d] of the critic. K is a Gaussian of the embeddings' distance, of this bandwidth, normalised over the
    vocabulary. The score of a replaced word is exact for a critic that is linear in the embedding. Biased unless the bandwidth is so small that K
    holds y_t alone: it is then `reinforce`.
    """
    if bandwidth <= 0:
        raise InputError(f"bandwidth is {bandwidth}; expected a positive distance between embeddings.")
    log_policy = _wide(logits if logits.dim() == 2 else _at_real("logits", logits, mask)).log_softmax(1)
    drawn, words = _at_real("tokens", tokens, mask), _wide(embeddings).detach()
    lean = _wide(_at_real("slopes", slopes, mask)).detach() @ words.T  # ∇_e C · E_v of every word at the real tokens: [tokens, V]
    reward = (
        _at_real("advantages", _per_token("advantages", advantages, mask), mask).detach()[:, None] + lean - lean.gather(1, drawn[:, None])
    )
    near = (-0.5 * (torch.cdist(words[drawn], words) / bandwidth).square()).softmax(1)
    return -(near * reward * log_policy).sum() / len(mask)


def cooperative(logits: Tensor, mediator: Tensor, samples: int) -> Tensor:
    """mean_i Σ_t Σ_v π(v)(log π(v) − log M(v)) at the real tokens of n own samples: CoT's generator (arXiv:1804.03782).

    logits, mediator [tokens, V]: of the speaker and of the mediator M at those tokens (`decoding.token_logits`); samples: n. Every word is weighed by
    its probability instead of one being drawn, so that the choice of a word has no variance left. That the speaker also chooses
    which beginnings it meets has no gradient here: at each of them it is drawn towards M.
    """
    own, other = _wide(logits).log_softmax(1), _wide(mediator).detach().log_softmax(1)
    return (own.exp() * (own - other)).sum() / samples


def surprise(logits: Tensor, samples: int) -> Tensor:
    """mean_i Σ_t H(π(·|y_<t)) ≥ 0 of logits [tokens, V] at the real tokens of n samples, in nats a sequence: subtracted from a loss, a bonus for variety."""
    log_policy = _wide(logits).log_softmax(1)
    return -(log_policy.exp() * log_policy).sum() / samples


def best_of(candidates: Tensor, scores: Tensor) -> Tensor:
    """Of k candidates [n, k, ...] the one with the highest score [n, k]: [n, ...] (expert iteration; SelfGAN, Scialom et al. 2021, arXiv:2106.06363)."""
    if scores.dim() != 2 or candidates.shape[:2] != scores.shape:
        raise InputError(f"candidates {list(candidates.shape)} and scores {list(scores.shape)} differ; expected [n, k, ...] and [n, k].")
    return candidates[torch.arange(len(scores), device=scores.device), scores.argmax(1)]


def imitation(log_probs: Tensor, mask: Tensor) -> Tensor:
    """−mean_i Σ_t log π(y_it): likelihood, of data or of what `best_of` chose, in nats a sequence."""
    return -_per_token("log_probs", log_probs, mask).sum(1).mean()


# Relaxations.


def gumbel(uniform: Tensor) -> Tensor:
    """Standard Gumbel noise −log(−log u) of the same shape, from uniform noise in [0, 1) (`p.rand`). The ends are cut off to stay finite."""
    tiny = torch.finfo(uniform.dtype).tiny
    return -(-uniform.clamp(tiny, 1 - torch.finfo(uniform.dtype).eps / 2).log()).log()


def relaxed(logits: Tensor, noise: Tensor, temperature: float, mask: Tensor | None = None, *, hard: bool = False) -> Tensor:
    """softmax((logits + Gumbel noise)/τ): a soft word [..., V] whose largest entry is an exact draw (arXiv:1611.01144, arXiv:1611.00712).

    logits, noise [..., V]; mask [...]: zeros elsewhere. hard: straight-through, forward exactly one-hot, backward the gradient of the soft word
    (Bengio et al. 2013, arXiv:1308.3432). As τ → 0 the soft gradient tends to the true one while its variance grows as 1/τ; straight-through stays
    biased for a critic that is not linear. RelGAN (Nie et al. 2019) anneals β = 1/τ from 1 to 100 or 1,000.
    """
    if temperature <= 0:
        raise InputError(f"temperature is {temperature}; expected a positive number. For draws without a gradient take the argmax.")
    if noise.shape != logits.shape:
        raise InputError(f"noise has shape {list(noise.shape)}; expected {list(logits.shape)} like the logits.")
    if mask is not None:
        logits = _kept(logits, mask[..., None])  # before the softmax: the gradient of a NaN is NaN, even times zero
    soft = ((_wide(logits) + noise) / temperature).softmax(-1)
    if hard:
        # In this order the forward value is one-hot to the last bit: the bracket is exactly zero.
        soft = F.one_hot(soft.argmax(-1), soft.shape[-1]).to(soft.dtype) + (soft - soft.detach())
    return soft if mask is None else _kept(soft, mask[..., None])
