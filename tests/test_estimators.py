"""Every estimator against the exact gradient: all sentences of a tiny model are listed and weighed by their probability, in float64."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from agon import estimators as E
from agon.errors import InputError
from agon.languages.tiny import Tiny

V, L = 5, 3
END = 4
EXACT = {"rtol": 0, "atol": 1e-10}


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Bed:
    """A toy with all its sentences, their probabilities, a reward a sentence and one a token; what stands in the padding is poison."""

    def __init__(self, end: int | None, seed: int = 0) -> None:
        self.toy = Tiny(V, L, end, seed)
        self.tokens, self.mask = self.toy.sentences()
        self.n = len(self.tokens)
        self.parameters = list(self.toy.parameters())
        self.p = self.chances(self.toy)
        self.rewards = normal(self.n, seed=10).masked_fill(self.last_is_first(), 2.0) + 1.0
        prefix = (self.tokens * V ** torch.arange(L)).cumsum(1)  # a number for y_≤t
        self.prefix = prefix
        self.token_rewards = normal(L, V**L, seed=11)[torch.arange(L), prefix].masked_fill(~self.mask, math.nan)

    def last_is_first(self) -> Tensor:
        return self.tokens[:, 0] == 1

    def chances(self, toy: Tiny) -> Tensor:
        return toy.log_likelihood(self.tokens, self.mask).exp().detach()

    def logits(self, toy: Tiny | None = None) -> Tensor:
        return (toy or self.toy).of(self.tokens).masked_fill(~self.mask[..., None], math.nan)

    def log_probs(self, toy: Tiny | None = None) -> Tensor:
        return E.log_probability(self.logits(toy), self.tokens, self.mask)

    def gradient(self, value: Tensor) -> Tensor:
        return torch.cat([g.flatten() for g in torch.autograd.grad(value, self.parameters)])

    def exact(self, reward: Tensor) -> Tensor:
        """∇ Σ_y p(y) R(y), by the toy's own likelihood and none of the estimators."""
        return self.gradient((self.toy.log_likelihood(self.tokens, self.mask).exp() * reward).sum())

    def weigh(self, advantages: Tensor, p: Tensor | None = None) -> Tensor:
        """Advantages times n·p: the mean over all sentences becomes the expectation. Every loss is linear in the advantages' size."""
        p = self.p if p is None else p
        return advantages * (p * self.n if advantages.dim() == 1 else (p * self.n)[:, None])

    def each(self, loss: Callable[[slice], Tensor]) -> Tensor:
        """The estimate of every single sentence, [N, parameters]."""
        return torch.stack([-self.gradient(loss(slice(i, i + 1))) for i in range(self.n)])

    def variance(self, each: Tensor) -> float:
        mean = self.p @ each
        return float(self.p @ (each - mean).square().sum(1))


@pytest.fixture(params=[None, END], ids=["fixed", "ended"])
def bed(request: pytest.FixtureRequest) -> Bed:
    return Bed(request.param)


def test_the_toy_is_a_language(bed: Bed) -> None:
    assert bed.n == (125 if bed.toy.end is None else 85)
    assert float(bed.p.sum()) == pytest.approx(1, abs=1e-12)
    torch.testing.assert_close(bed.log_probs().sum(1), bed.toy.log_likelihood(bed.tokens, bed.mask), **EXACT)


def test_reinforce_with_a_final_reward(bed: Bed) -> None:
    gain = E.returns(E.final_reward(bed.rewards, bed.mask), bed.mask)
    torch.testing.assert_close(gain, bed.rewards[:, None] * bed.mask, **EXACT)
    loss = E.reinforce(bed.log_probs(), bed.weigh(gain), bed.mask)
    torch.testing.assert_close(-bed.gradient(loss), bed.exact(bed.rewards), **EXACT)
    loss = E.reinforce(bed.log_probs(), bed.weigh(bed.rewards), bed.mask)  # [n] stands for every token
    torch.testing.assert_close(-bed.gradient(loss), bed.exact(bed.rewards), **EXACT)


def test_reinforce_with_rewards_for_tokens(bed: Bed) -> None:
    """A reward of the critic at t may know y_≤t; the reward to go leaves out what came before, and stays unbiased."""
    r = E.dense_rewards(bed.token_rewards, bed.mask)
    assert float(r.abs().max()) < 1
    assert bool((r[~bed.mask] == 0).all())
    torch.testing.assert_close(r[bed.mask], 2 * torch.sigmoid(bed.token_rewards[bed.mask]) - 1)
    loss = E.reinforce(bed.log_probs(), bed.weigh(E.returns(r, bed.mask)), bed.mask)
    torch.testing.assert_close(-bed.gradient(loss), bed.exact(r.sum(1)), **EXACT)
    whole = bed.each(lambda i: E.reinforce(bed.log_probs()[i], r.sum(1)[i], bed.mask[i]))
    to_go = bed.each(lambda i: E.reinforce(bed.log_probs()[i], E.returns(r, bed.mask)[i], bed.mask[i]))
    assert bed.variance(to_go) < bed.variance(whole)


@pytest.mark.parametrize("discount", [0.0, 0.23, 1.0])
def test_returns_by_hand(discount: float, bed: Bed) -> None:
    r = bed.token_rewards.nan_to_num(0)
    expected = [[sum(discount ** (s - t) * float(r[i, s]) for s in range(t, L)) for t in range(L)] for i in range(bed.n)]
    torch.testing.assert_close(E.returns(bed.token_rewards, bed.mask, discount), torch.tensor(expected).double() * bed.mask)


def rollouts(bed: Bed) -> Tensor:
    """Exact action values of every prefix, as a loop over prefix lengths makes them: [1, L, N], poison where a sentence is over."""
    rows = []
    for t in range(L):
        same = (bed.prefix[:, t : t + 1] == bed.prefix[None, :, t]) & (bed.mask[:, t : t + 1] == bed.mask[None, :, t])
        weight = same * bed.p
        rows.append((weight @ bed.rewards / weight.sum(1)).masked_fill(~bed.mask[:, t], math.nan))
    return torch.stack(rows)[None]


def test_rollouts(bed: Bed) -> None:
    """The expectation over completions is put in for the completions themselves: the estimate is linear in their scores."""
    gain = E.rollout_rewards(rollouts(bed), bed.mask)
    assert bool((gain[torch.arange(bed.n), bed.mask.sum(1) - 1] - bed.rewards).abs().max() < 1e-12)  # nothing to complete
    loss = E.reinforce(bed.log_probs(), bed.weigh(gain), bed.mask)
    torch.testing.assert_close(-bed.gradient(loss), bed.exact(bed.rewards), **EXACT)


def test_rollouts_are_transposed_not_viewed() -> None:
    """TextGAN-PyTorch issue 62: the stacked scores viewed as [n, L, k] run without complaint and give samples each other's rewards."""
    bed = Bed(None)
    scores = rollouts(bed).repeat(2, 1, 1)  # two completions of every prefix
    stacked = scores.reshape(2 * L, bed.n)  # rows in the order the loop makes them
    wrong = stacked.reshape(bed.n, L, 2).mean(2)
    exact = bed.exact(bed.rewards)
    right = -bed.gradient(E.reinforce(bed.log_probs(), bed.weigh(E.rollout_rewards(scores, bed.mask)), bed.mask))
    torch.testing.assert_close(right, exact, **EXACT)
    off = -bed.gradient(E.reinforce(bed.log_probs(), bed.weigh(wrong), bed.mask))
    assert float((off - exact).norm()) > 0.5 * float(exact.norm())
    # In the small: two samples worth 0 and 1, three tokens, four completions.
    told = torch.tensor([0.0, 1.0]).expand(4, 3, 2)
    torch.testing.assert_close(E.rollout_rewards(told, torch.ones(2, 3, dtype=torch.bool)), torch.tensor([[0.0] * 3, [1.0] * 3]))
    with pytest.raises(InputError, match=r"expected \[k, 3, 2\]: completions, prefix lengths, samples"):
        E.rollout_rewards(told.transpose(1, 2), torch.ones(2, 3, dtype=torch.bool))


def test_a_moving_baseline(bed: Bed) -> None:
    gain = bed.rewards[:, None].expand(bed.n, L).masked_fill(~bed.mask, math.nan)
    for length in (None, L):
        baseline = E.MovingBaseline(0.08, length).double()
        assert bool((baseline.value == 0).all())
        baseline.update(gain, bed.mask)
        expected = gain[bed.mask].mean() if length is None else gain.nanmean(0)
        torch.testing.assert_close(baseline.value, expected)
        advantages = gain - baseline.value
        loss = E.reinforce(bed.log_probs(), bed.weigh(advantages), bed.mask)
        torch.testing.assert_close(-bed.gradient(loss), bed.exact(bed.rewards), **EXACT)
        with_it = bed.variance(bed.each(lambda i, a=advantages: E.reinforce(bed.log_probs()[i], a[i], bed.mask[i])))
        without = bed.variance(bed.each(lambda i: E.reinforce(bed.log_probs()[i], gain[i], bed.mask[i])))
        assert with_it < 0.8 * without


def test_halves_of_a_batch_move_the_baseline_as_the_whole(bed: Bed) -> None:
    n = bed.n - bed.n % 2
    gain, mask = bed.token_rewards[:n], bed.mask[:n]
    whole, parts = E.MovingBaseline().double(), [E.MovingBaseline().double() for _ in range(2)]
    for baseline, rows in ((whole, slice(0, n)), (parts[0], slice(0, n // 2)), (parts[1], slice(n // 2, n))):
        baseline.update(gain[rows], mask[rows])
    for name, buffer in whole.named_buffers():
        torch.testing.assert_close(buffer, sum(getattr(part, name) for part in parts) / 2)
    whole.update(gain + 1, mask)
    mean = gain[mask].mean()
    torch.testing.assert_close(whole.value, (0.09 * mean + 0.1 * (mean + 1)) / 0.19)  # corrected for the start at zero


def test_a_learned_critic(bed: Bed) -> None:
    """Any value of the prefix before the token leaves the expectation alone; the true one lowers the variance most."""
    gain = bed.rewards[:, None] * bed.mask
    before = torch.cat([torch.zeros(bed.n, 1, dtype=torch.int64), bed.prefix[:, :-1] + 1], 1)
    anything = normal(L, V**L + 1, seed=12)[torch.arange(L), before].masked_fill(~bed.mask, math.nan)
    value = torch.zeros(bed.n, L).double()
    for t in range(L):
        same = (before[:, t : t + 1] == before[None, :, t]) & bed.mask[:, t : t + 1] & bed.mask[None, :, t]
        value[:, t] = (same * bed.p) @ bed.rewards / ((same * bed.p).sum(1) + 1e-300)
    spread = {}
    for name, values in (("none", torch.zeros_like(value)), ("anything", anything), ("true", value)):
        advantages = E.critic_advantages(gain, values, bed.mask, clip=None)
        loss = E.reinforce(bed.log_probs(), bed.weigh(advantages), bed.mask)
        torch.testing.assert_close(-bed.gradient(loss), bed.exact(bed.rewards), **EXACT)
        spread[name] = bed.variance(bed.each(lambda i, a=advantages: E.reinforce(bed.log_probs()[i], a[i], bed.mask[i])))
    assert spread["true"] < 0.8 * spread["none"]
    assert float(E.critic_advantages(100 * gain, value, bed.mask).abs().max()) == 5
    # The critic's own loss has its least value at the true one, and no gradient into the returns.
    guess = value.clone().requires_grad_(True)
    told = gain.clone().requires_grad_(True)
    weight = (bed.p * bed.n).sqrt()[:, None]
    slope, untouched = torch.autograd.grad(
        E.critic_loss(guess * weight, told * weight, bed.mask), (guess, told), allow_unused=True, materialize_grads=True
    )
    by_prefix = torch.zeros(L, V**L + 1).double().index_put((torch.arange(L).expand_as(before), before), slope, accumulate=True)
    assert float(by_prefix.abs().max()) < 1e-12
    assert not untouched.any()


@pytest.mark.parametrize("ratio", ["token", "sequence"])
def test_ppo_on_the_policy_itself_is_reinforce(bed: Bed, ratio: E.Ratio) -> None:
    log_probs = bed.log_probs()
    loss = E.ppo(log_probs, log_probs.detach(), bed.weigh(bed.rewards), bed.mask, ratio=ratio)
    torch.testing.assert_close(-bed.gradient(loss), bed.exact(bed.rewards), **EXACT)


def test_ppo_off_the_policy(bed: Bed) -> None:
    """Samples of an older policy: exact with the ratio of whole sentences and no clip, not with that of tokens."""
    old = Tiny(V, L, bed.toy.end, seed=1)
    told, p = bed.log_probs(old).detach(), bed.chances(old)
    exact = bed.exact(bed.rewards)

    def estimate(ratio: E.Ratio, clip: float) -> Tensor:
        return -bed.gradient(E.ppo(bed.log_probs(), told, bed.weigh(bed.rewards, p), bed.mask, clip, ratio))

    torch.testing.assert_close(estimate("sequence", math.inf), exact, **EXACT)
    assert float((estimate("token", math.inf) - exact).norm()) > 0.05 * float(exact.norm())
    assert float((estimate("sequence", 0.2) - exact).norm()) > 0.05 * float(exact.norm())


def test_ppo_holds_still_beyond_the_clip() -> None:
    mask = torch.ones(4, 1, dtype=torch.bool)
    new = torch.tensor([1.5, 1.5, 0.5, 0.5]).log()[:, None].requires_grad_(True)
    gain = torch.tensor([1.0, -1.0, 1.0, -1.0])
    loss = E.ppo(new, torch.zeros(4, 1), gain, mask)
    assert float(loss.detach()) == pytest.approx(-(1.2 - 1.5 + 0.5 - 0.8) / 4, abs=1e-6)
    slope = torch.autograd.grad(loss, new)[0][:, 0]
    torch.testing.assert_close(slope, torch.tensor([0.0, 1.5, -0.5, 0.0]) / 4)
    with pytest.raises(InputError, match=r"with the ratio of sequences expected \[4\]"):
        E.ppo(new, new, gain[:, None], mask, ratio="sequence")


def test_importance_weights(bed: Bed) -> None:
    """At the optimal critic the logit is log p_data/p_G: its weights turn samples of G into the likelihood of the data."""
    data = Tiny(V, L, bed.toy.end, seed=3)
    wanted = bed.chances(data)
    ratio = wanted / bed.p
    weights = E.importance_weights(ratio.log())
    torch.testing.assert_close(weights, ratio / ratio.mean(), **EXACT)
    advantages = weights / (bed.p @ weights)  # the batch is every sentence once, so its mean is put right by hand
    estimate = -bed.gradient(E.reinforce(bed.log_probs(), bed.weigh(advantages), bed.mask))
    likelihood = bed.gradient((wanted * bed.toy.log_likelihood(bed.tokens, bed.mask)).sum())
    torch.testing.assert_close(estimate, likelihood, **EXACT)


def test_expert_iteration(bed: Bed) -> None:
    """Likelihood of the better of two raises the expected score; all pairs, weighed."""
    pairs = torch.tensor(list(itertools.product(range(bed.n), repeat=2)))
    chance = bed.p[pairs].prod(1)
    chosen = E.best_of(pairs, bed.rewards[pairs])
    assert bool((bed.rewards[chosen] == bed.rewards[pairs].amax(1)).all())
    before = float(bed.p @ bed.rewards)
    assert float(chance @ bed.rewards[chosen]) > before
    winner = torch.zeros_like(bed.p).index_add(0, chosen, chance)
    # imitation is linear in log-probabilities, so weights go in through them
    step = -bed.gradient(E.imitation(bed.log_probs() * (winner * bed.n)[:, None], bed.mask))
    assert float(step @ bed.exact(bed.rewards)) > 0
    with torch.no_grad():
        for parameter, change in zip(bed.parameters, step.split([p.numel() for p in bed.parameters]), strict=True):
            parameter += 0.2 * change.reshape(parameter.shape)
    assert float(bed.chances(bed.toy) @ bed.rewards) > before + 0.01
    with pytest.raises(InputError, match=r"expected \[n, k, ...\] and \[n, k\]"):
        E.best_of(pairs, bed.rewards)


def linear_critic(bed: Bed) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings [V, 2], slopes [n, L, 2] that are the same for every sentence, and the critic's score [n]."""
    words, at = normal(V, 2, seed=20), normal(L, 2, seed=21)
    slopes = at.expand(bed.n, L, 2)
    return words, slopes, ((words[bed.tokens] * slopes).sum(2) * bed.mask).sum(1)


def test_taylor_knows_the_score_of_a_replaced_word(bed: Bed) -> None:
    """With a critic linear in the embedding it is the kernel's estimate from true scores, to the last digit."""
    words, slopes, score = linear_critic(bed)
    poisoned = slopes.masked_fill(~bed.mask[..., None], math.nan)
    loss = E.taylor(bed.logits(), bed.tokens, bed.weigh(score), poisoned * (bed.p * bed.n)[:, None, None], words, bed.mask, 0.7)
    kernel = torch.exp(-0.5 * ((words[:, None] - words[None]).norm(dim=2) / 0.7).square())
    kernel = kernel / kernel.sum(1, keepdim=True)
    expected = torch.zeros(())
    log_policy = bed.toy.of(bed.tokens).log_softmax(2)
    for t in range(L):
        for v in range(V):
            other = bed.tokens.clone()
            other[:, t] = v
            replaced = ((words[other] * slopes).sum(2) * bed.mask).sum(1)
            expected = expected + (bed.p * bed.mask[:, t] * kernel[bed.tokens[:, t], v] * replaced * log_policy[:, t, v]).sum()
    torch.testing.assert_close(-bed.gradient(loss), bed.gradient(expected), **EXACT)


def test_taylor_without_neighbours_is_reinforce(bed: Bed) -> None:
    words, slopes, score = linear_critic(bed)
    narrow = E.taylor(bed.logits(), bed.tokens, bed.weigh(score), slopes, words, bed.mask, bandwidth=1e-4)
    torch.testing.assert_close(-bed.gradient(narrow), bed.exact(score), **EXACT)
    wide = E.taylor(bed.logits(), bed.tokens, bed.weigh(score), slopes * (bed.p * bed.n)[:, None, None], words, bed.mask, bandwidth=1.0)
    assert float((-bed.gradient(wide) - bed.exact(score)).norm()) > 0.05 * float(bed.exact(score).norm())


def logistic_grid() -> tuple[Tensor, Tensor]:
    """Differences of two Gumbels and their weights: the integral over noise for two words."""
    at = torch.linspace(-40, 40, 40_001, dtype=torch.float64)
    return at, torch.sigmoid(at) * torch.sigmoid(-at) * (at[1] - at[0])


@pytest.mark.parametrize(("hard", "power", "limit"), [(False, 1, 1.0), (False, 3, 1.0), (True, 1, 1.0), (True, 3, 1.5)])
def test_soft_words_converge_as_the_temperature_falls(hard: bool, power: int, limit: float) -> None:
    """Two words, a critic y_0^power, by quadrature. Straight-through has the slope at the corners: 1.5 times too much for the cube, for ever."""
    noise, weight = logistic_grid()
    lead = torch.tensor(0.701, dtype=torch.float64, requires_grad=True)  # the leap is midway between two points of the grid
    exact = float((torch.sigmoid(lead) * torch.sigmoid(-lead)).detach())
    errors = []
    for temperature in (0.25, 0.125, 0.0625, 0.03125):
        logits = torch.stack([lead.expand_as(noise), torch.zeros_like(noise)], 1)
        word = E.relaxed(logits, torch.stack([noise, torch.zeros_like(noise)], 1), temperature, hard=hard)
        slope = torch.autograd.grad((word[:, 0].pow(power) * weight).sum(), lead)[0]
        errors.append(abs(float(slope) - limit * exact) / exact)
    assert errors[-1] < 0.025
    assert all(later < 0.75 * earlier for earlier, later in itertools.pairwise(errors)), errors


def test_soft_sentences_converge_as_the_temperature_falls() -> None:
    """The whole toy, soft words fed back, 100,000 fixed noises; tolerance: 12 % of the gradient's norm at τ = 0.2, and half the error of τ = 1."""
    bed = Bed(None)
    noise = E.gumbel(torch.rand(100_000, L, V, generator=torch.Generator().manual_seed(5), dtype=torch.float64))
    own, joint = normal(L, V, seed=30), normal(V, V, seed=31)
    hard = F.one_hot(bed.tokens, V).double()

    def score(words: Tensor) -> Tensor:
        return (words * own).sum((1, 2)) + torch.einsum("na,ab,nb->n", words[:, 0], joint, words[:, 2])

    exact = bed.exact(score(hard))
    errors = []
    for temperature in (1.0, 0.2):
        words = torch.zeros(len(noise), L, V, dtype=torch.float64)
        for t in range(L):
            word = E.relaxed(bed.toy(words)[:, t], noise[:, t], temperature)
            words = torch.cat([words[:, :t], word[:, None], words[:, t + 1 :]], 1)
        errors.append(float((bed.gradient(score(words).mean()) - exact).norm() / exact.norm()))
    assert errors[1] < 0.12, errors
    assert errors[1] < errors[0] / 2, errors


def test_straight_through_draws_exactly() -> None:
    """One-hot to the last bit, as often as the softmax says (100,000 noises, five standard errors), and the soft word's gradient."""
    logits = normal(V, seed=40).expand(100_000, V).clone().requires_grad_(True)
    noise = E.gumbel(torch.rand(100_000, V, generator=torch.Generator().manual_seed(6), dtype=torch.float64))
    word = E.relaxed(logits, noise, 0.7, hard=True)
    assert bool(((word == 0) | (word == 1)).all())
    assert bool((word.sum(1) == 1).all())
    p = logits[0].detach().softmax(0)
    assert bool(((word.mean(0) - p).abs() < 5 * (p * (1 - p) / 100_000).sqrt()).all())
    toward = normal(V, seed=41)
    slopes = [torch.autograd.grad((E.relaxed(logits, noise, 0.7, hard=h) @ toward).sum(), logits)[0] for h in (True, False)]
    torch.testing.assert_close(*slopes, **EXACT)


def test_gumbel_noise() -> None:
    u = torch.rand(200_000, generator=torch.Generator().manual_seed(7))
    g = E.gumbel(u)
    assert float(g.mean()) == pytest.approx(0.5772, abs=0.015)
    assert float(g.var()) == pytest.approx(math.pi**2 / 6, abs=0.03)
    assert bool(E.gumbel(torch.tensor([0.0, 1.0])).isfinite().all())


LOSSES: dict[str, Callable[[Bed, Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]] = {
    "reinforce": lambda b, x, y, a, s, m: E.reinforce(E.log_probability(x, y, m), a, m),
    "returns": lambda b, x, y, a, s, m: E.reinforce(E.log_probability(x, y, m), E.returns(a, m, 0.5), m),
    "dense": lambda b, x, y, a, s, m: E.reinforce(E.log_probability(x, y, m), E.returns(E.dense_rewards(a, m), m), m),
    "critic": lambda b, x, y, a, s, m: E.reinforce(E.log_probability(x, y, m), E.critic_advantages(a, a + 1, m), m),
    "values": lambda b, x, y, a, s, m: E.critic_loss(x[..., 0], a, m),
    "rollouts": lambda b, x, y, a, s, m: E.reinforce(E.log_probability(x, y, m), E.rollout_rewards(a.T[None], m), m),
    "ppo": lambda b, x, y, a, s, m: E.ppo(E.log_probability(x, y, m), a - 3, a, m),
    "taylor": lambda b, x, y, a, s, m: E.taylor(x, y, a, s, normal(V, 2, seed=20), m),
    "imitation": lambda b, x, y, a, s, m: E.imitation(E.log_probability(x, y, m), m),
    "soft": lambda b, x, y, a, s, m: E.relaxed(x, torch.zeros_like(x), 0.5, m).pow(2).sum() / len(m),
    "straight-through": lambda b, x, y, a, s, m: (E.relaxed(x, torch.zeros_like(x), 0.5, m, hard=True) * torch.arange(V)).sum() / len(m),
}


@pytest.mark.parametrize("name", LOSSES)
def test_padding_is_nothing(name: str) -> None:
    """Whatever stands in the padding: the same loss and the same gradient, exactly zero there; and more padding changes nothing."""
    bed = Bed(END)
    x, a, s = normal(bed.n, L, V, seed=50), normal(bed.n, L, seed=51), normal(bed.n, L, 2, seed=52)
    found = []
    for filling, more in ((0.0, 0), (math.nan, 0), (math.inf, 2)):
        mask = F.pad(bed.mask, (0, more))
        tokens = F.pad(bed.tokens, (0, more)).masked_fill(~mask, 3)
        padded = [F.pad(value, (0, 0) * (value.dim() - 2) + (0, more)) for value in (x, a, s)]
        logits, gains, slopes = (v.masked_fill(~mask.reshape(*mask.shape, *[1] * (v.dim() - 2)), filling) for v in padded)
        logits.requires_grad_(True)
        loss = LOSSES[name](bed, logits, tokens, gains, slopes, mask)
        slope = torch.autograd.grad(loss, logits)[0]
        assert not slope[~mask].any()
        assert slope[mask].any()
        found.append((loss.detach(), slope[:, :L]))
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-12, atol=1e-14)


def test_wrong_input_is_told() -> None:
    mask = torch.ones(2, 3, dtype=torch.bool)
    with pytest.raises(InputError, match=r"advantages has shape \[3\]; expected \[2, 3\] like the mask, or \[2\]"):
        E.reinforce(torch.zeros(2, 3), torch.zeros(3), mask)
    with pytest.raises(InputError, match="expected bool"):
        E.returns(torch.zeros(2, 3), mask.float())
    with pytest.raises(InputError, match=r"begin with \[2, 3\]"):
        E.log_probability(torch.zeros(3, 2, 4), torch.zeros(2, 3, dtype=torch.int64), mask)
    with pytest.raises(InputError, match="discount is 1.5"):
        E.returns(torch.zeros(2, 3), mask, 1.5)
    with pytest.raises(InputError, match="temperature is 0"):
        E.relaxed(torch.zeros(2, 3), torch.zeros(2, 3), 0)
    with pytest.raises(InputError, match="one a sequence"):
        E.importance_weights(torch.zeros(2, 3))


def test_half_precision_is_widened() -> None:
    mask = torch.ones(2, 3, dtype=torch.bool)
    loss = E.reinforce(torch.zeros(2, 3, dtype=torch.bfloat16), torch.ones(2, dtype=torch.bfloat16), mask)
    assert loss.dtype == torch.float32


def test_cooperative_training_follows_the_divergence_of_every_step(bed: Bed) -> None:
    """Its gradient is that of Σ_s P(s) KL(π(·|s) ‖ M(·|s)) with the beginnings' probabilities held; at π = M it and its gradient vanish."""
    other = Tiny(V, L, bed.toy.end, seed=5)
    weight = (bed.p[:, None] * bed.n * bed.mask)[bed.mask]
    told = other.of(bed.tokens).detach()

    def estimate() -> Tensor:
        own, theirs = bed.toy.of(bed.tokens)[bed.mask], told[bed.mask]
        return sum(w * E.cooperative(own[k : k + 1], theirs[k : k + 1], bed.n) for k, w in enumerate(weight))

    def exact() -> Tensor:
        log_own, log_told = bed.toy.of(bed.tokens).log_softmax(2), told.log_softmax(2)
        return (bed.p[:, None] * bed.mask * (log_own.exp() * (log_own - log_told)).sum(2)).sum()

    torch.testing.assert_close(estimate(), exact(), **EXACT)
    torch.testing.assert_close(bed.gradient(estimate()), bed.gradient(exact()), **EXACT)
    same = bed.toy.of(bed.tokens)[bed.mask]
    loss = E.cooperative(same, same, bed.n)  # the mediator's side is held
    assert float(loss.detach().abs()) < 1e-12
    assert float(bed.gradient(loss).abs().max()) < 1e-12


def test_surprise_is_the_entropy(bed: Bed) -> None:
    """Summed over steps and weighed by what is said, entropies of steps are the entropy of sentences."""
    logits = bed.toy.of(bed.tokens)
    each = torch.stack([E.surprise(logits[k][bed.mask[k]], 1) for k in range(bed.n)])
    torch.testing.assert_close(bed.p @ each, -(bed.p * bed.p.log()).sum(), **EXACT)


def test_moments_whiten_a_batch_and_halves_equal_the_whole() -> None:
    r = 3 + 2 * normal(10, seed=3)
    whole = E.Moments()
    whole.update(normal(4, seed=9))  # forgotten at decay 0
    whole.update(r)
    white = whole.whitened(r)
    assert float(white.mean()) == pytest.approx(0, abs=1e-5)
    assert float(white.square().mean()) == pytest.approx(1, rel=1e-5)
    halves = [E.Moments(), E.Moments()]
    for half, part in zip(halves, r.chunk(2), strict=True):
        half.update(part)
    torch.testing.assert_close((halves[0].sums + halves[1].sums) / 2, whole.sums)
    slow = E.Moments(decay=0.5)
    slow.update(torch.full((3,), 4.0))
    assert float(slow.mean) == pytest.approx(4.0)
    assert not slow.whitened(torch.full((3,), 4.0)).any()
    slow.update(torch.full((3,), 1.0))
    assert float(slow.mean) == pytest.approx((0.25 * 4 + 0.5 * 1) / 0.75)


def test_importance_weights_by_a_known_mean() -> None:
    logits = normal(12, seed=4)
    own = E.importance_weights(logits)
    torch.testing.assert_close(E.importance_weights(logits, E.odds(logits).mean()), own)
    first = E.importance_weights(logits[:6], E.odds(logits).mean())
    torch.testing.assert_close(first, own[:6])  # apart from the others
    assert E.odds(torch.tensor([1e6, -1e6])).isfinite().all()
