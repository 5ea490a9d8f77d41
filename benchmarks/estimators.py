"""Bias and scatter of every gradient estimator on the tiny model (five words, length three), against the exact gradient.

    python benchmarks/estimators.py

The critic is curved in the embeddings of the words, C = tanh(Σ_t w_t · E_{y_t}) + 1, and so is its reward. Printed relative to the norm of the
exact gradient ∇E[C]: the bias ‖E g − ∇‖, and the scatter √(tr Cov g) of one sentence's estimate. Exact by enumeration where it says so, else over
4,000 draws, and then the bias holds to about scatter / 63. One thread, float64, about 90 processor seconds.
"""

from __future__ import annotations

import torch
from torch import Tensor

from agon import estimators as E
from agon.languages.tiny import Tiny

V, L, DRAWS = 5, 3, 4_000


def normal(*shape: int, seed: int) -> Tensor:
    """Seeded normal numbers in float64."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


TOY = Tiny(V, L)
PARAMETERS = list(TOY.parameters())
WORDS, AT = normal(V, 2, seed=20), normal(L, 2, seed=21)
TOKENS, MASK = TOY.sentences()
P = TOY.log_likelihood(TOKENS, MASK).exp().detach()


def critic(embedded: Tensor) -> Tensor:
    """C [n] of embedded words [n, L, 2]."""
    return (embedded * AT).sum((1, 2)).tanh() + 1


def gradient(value: Tensor) -> Tensor:
    """Its gradient by every weight, in one row."""
    return torch.cat([g.flatten() for g in torch.autograd.grad(value, PARAMETERS)])


def scores() -> Tensor:
    """∇ log π of every token of every sentence, [N, L, parameters]: what policy gradients multiply with advantages."""
    each = E.log_probability(TOY.of(TOKENS), TOKENS, MASK).flatten()
    rows = [torch.autograd.grad(each, PARAMETERS, row, retain_graph=True) for row in torch.eye(len(each), dtype=each.dtype)]
    return torch.stack([torch.cat([g.flatten() for g in row]) for row in rows]).reshape(len(TOKENS), L, -1)


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    embedded = WORDS[TOKENS].requires_grad_(True)
    slopes = torch.autograd.grad(critic(embedded).sum(), embedded)[0]
    reward = critic(WORDS[TOKENS])
    exact = gradient((TOY.log_likelihood(TOKENS, MASK).exp() * reward).sum())
    each, size, generator = scores(), exact.norm(), torch.Generator().manual_seed(0)

    def row(name: str, estimates: Tensor, weight: Tensor, how: str) -> None:
        mean = weight @ estimates
        scatter = (weight @ (estimates - mean).square().sum(1)).sqrt()
        print(f"| {name} | {float((mean - exact).norm() / size):.3f} | {float(scatter / size):.2f} | {how} |")

    def policy(advantages: Tensor, drawn: Tensor | None = None) -> Tensor:
        return torch.einsum("nt,ntp->np", advantages, each if drawn is None else each[drawn])

    def by_sentence(loss) -> Tensor:  # type: ignore[no-untyped-def]
        return torch.stack([-gradient(loss(slice(i, i + 1))) for i in range(len(TOKENS))])

    print("| estimator | bias | scatter | how |\n|---|---|---|---|")
    gain = E.returns(E.final_reward(reward, MASK), MASK)
    row("REINFORCE", policy(gain), P, "exact")
    row("REINFORCE, moving baseline (its limit)", policy(gain - P @ reward), P, "exact")

    prefix = (TOKENS * V ** torch.arange(L)).cumsum(1)
    inside = [(prefix[:, t : t + 1] == prefix[None, :, t]) * P for t in range(L)]  # chances of the sentences that complete a prefix
    value = torch.stack([P @ reward * torch.ones_like(P)] + [inside[t] @ reward / inside[t].sum(1) for t in range(L - 1)], 1)
    row("REINFORCE, learned critic (a perfect one)", policy(E.critic_advantages(gain, value, MASK)), P, "exact")

    drawn = torch.multinomial(P, DRAWS, replacement=True, generator=generator)
    even = torch.full((DRAWS,), 1 / DRAWS, dtype=torch.float64)
    for k in (1, 16):
        completed = [reward[torch.multinomial(inside[t][drawn], k, replacement=True, generator=generator)].T for t in range(L)]
        told = E.rollout_rewards(torch.stack(completed, 1), MASK[drawn])
        row(f"roll-outs, {k} a prefix", policy(told, drawn), even, f"{DRAWS} draws")
        row(f"roll-outs, {k} a prefix, moving baseline", policy(told - P @ reward, drawn), even, f"{DRAWS} draws")

    old = Tiny(V, L)
    with torch.no_grad():
        for mine, noise in zip(old.parameters(), (normal(*p.shape, seed=30) for p in PARAMETERS), strict=True):
            mine += 0.2 * noise
    told_old = E.log_probability(old.of(TOKENS), TOKENS, MASK).detach()
    before = told_old.sum(1).exp()
    centred = reward - P @ reward
    for ratio in ("token", "sequence"):
        estimates = by_sentence(
            lambda i, r=ratio: E.ppo(E.log_probability(TOY.of(TOKENS[i]), TOKENS[i], MASK[i]), told_old[i], centred[i], MASK[i], ratio=r)
        )
        row(f"PPO, ratio of the {ratio}, policy 0.2 away, moving baseline", estimates, before, "exact")
    for width in (0.1, 0.5):
        estimates = by_sentence(lambda i, w=width: E.taylor(TOY.of(TOKENS[i]), TOKENS[i], centred[i], slopes[i], WORDS, MASK[i], w))
        row(f"Taylor, bandwidth {width}, moving baseline", estimates, P, "exact")

    noise = E.gumbel(torch.rand(DRAWS, L, V, generator=generator, dtype=torch.float64))
    for hard in (False, True):
        for temperature in (1.0, 0.3) if hard else (1.0, 0.3, 0.1):
            found = []
            for own in noise.split(1):
                words = torch.zeros(1, L, V, dtype=torch.float64)
                for t in range(L):
                    word = E.relaxed(TOY(words)[:, t], own[:, t], temperature, hard=hard)
                    words = torch.cat([words[:, :t], word[:, None], words[:, t + 1 :]], 1)
                found.append(gradient(critic(words @ WORDS)[0]))
            name = "straight-through" if hard else "Gumbel-softmax"
            row(f"{name}, τ = {temperature}", torch.stack(found), even, f"{DRAWS} draws")


if __name__ == "__main__":
    main()
