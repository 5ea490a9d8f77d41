"""Going on from every beginning: each keeps what it began with, is distributed as the speaker says, and costs the speaker one state a sentence."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from agon.decoding import Choice, beam, choose, complete, fresh, log_probs, select, speak, steady, token_logits
from agon.errors import InputError
from agon.estimators import rollout_rewards
from agon.networks.text.recurrent import Recurrent
from agon.networks.text.transformer import Transformer
from agon.spaces import Tokens
from agon.spaces.tokens import END, PAD, real
from agon.testing import random_batch

ENDED, FULL = Tokens(length=4, vocabulary=6), Tokens(length=4, vocabulary=6, ends=False)
SPEAKERS = {"lstm": Recurrent(width=8, embed=6, dropout=0.2), "transformer": Transformer(width=8, heads=2, dropout=0.2)}
CASES = list(itertools.product(SPEAKERS, (ENDED, FULL)))


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def loud(module: torch.nn.Module) -> torch.nn.Module:
    """A speaker far from uniform, without dropout."""
    for weights in module.parameters():
        weights.data.mul_(2)
    return module.eval()


@pytest.mark.parametrize(("net", "space"), CASES)
def test_each_keeps_its_beginning(net: str, space: Tokens) -> None:
    module = loud(SPEAKERS[net].speaker(space))
    x = speak(module, torch.rand(9, 4))
    found = complete(module, x, torch.rand(9, 3, 4, 4))
    assert found.shape == (3, 4, 9, 4)
    for i, t in itertools.product(range(9), range(4)):
        row = found[:, t, i]
        if t == 3 or x[i, t] in (END, PAD):
            assert (row == PAD).all()
            continue
        assert (row[:, : t + 1] == x[i, : t + 1]).all()
        for said in row:
            ends = (said == END).nonzero().flatten().tolist()
            full = (said != PAD).all() if not ends else (said[: ends[0]] != PAD).all() and (said[ends[0] + 1 :] == PAD).all()
            assert bool(full), said


def exact(module: torch.nn.Module, space: Tokens, prefix: Tensor, reward: Tensor) -> float:
    """The mean reward [V] of a sentence that begins so, its reward being the sum of its tokens'; by listing what can follow."""
    words = range(1 if space.ends else 3, 6)
    rest = 4 - len(prefix)
    x = torch.tensor([prefix.tolist() + list(tail) for tail in itertools.product(words, repeat=rest)])
    over = ((x == END).cumsum(1) - (x == END).long()) > 0
    x = torch.unique(torch.where(over, PAD, x), dim=0)
    with torch.no_grad():
        chance = log_probs(module, x)[:, len(prefix) :].sum(1).exp()
    assert float(chance.sum()) == pytest.approx(1, abs=1e-4)
    return float((chance * reward[x].sum(1)).sum())


@pytest.mark.parametrize(("net", "space"), CASES)
def test_the_mean_reward_is_the_exact_one(net: str, space: Tokens) -> None:
    module = loud(SPEAKERS[net].speaker(space))
    reward = torch.tensor([0.0, 1.0, -1.0, 0.5, 2.0, -0.5])
    x = torch.tensor([[3, 4, 5, 3], [5, 3, 3, 4], [4, END, PAD, PAD] if space.ends else [4, 4, 4, 4]])
    many = 20_000
    found = complete(module, x, torch.rand(3, many, 4, 4))
    scores = torch.where(real(found).any(-1), reward[found].sum(-1), reward[x].sum(1))
    gains = rollout_rewards(scores, real(x))
    for i, t in real(x).nonzero().tolist():
        over = t == 3 or int(x[i, t]) == END
        truth = float(reward[x[i]].sum()) if over else exact(module, space, x[i, : t + 1], reward)
        error = float(scores[:, t, i].std()) / many**0.5
        assert float(gains[i, t]) == pytest.approx(truth, abs=4 * error + 1e-5), (i, t)


@pytest.mark.parametrize("net", SPEAKERS)
def test_it_says_what_speaking_on_would_say(net: str) -> None:
    """The same noise, the same words: `speak` from the beginning, a sentence at a time."""
    module = loud(SPEAKERS[net].speaker(ENDED))
    x, noise = speak(module, torch.rand(6, 4)), torch.rand(6, 2, 4, 4)
    found = complete(module, x, noise)
    for j, t, i in real(found).any(-1).nonzero().tolist():
        alone = speak(module, noise[i, j, t][None], begun=x[i : i + 1, : t + 1])
        assert torch.equal(alone[0], found[j, t, i])


def test_one_state_a_sentence() -> None:
    """Beginnings are not read again: a speaker is asked for each token of a sentence once, and once for each token that is new."""
    module, asked = loud(SPEAKERS["lstm"].speaker(FULL)), []
    step = module.step
    module.step = lambda told, state: (asked.append(len(told)), step(told, state))[1]  # type: ignore[method-assign,assignment]
    complete(module, speak(module, torch.rand(5, 4)), torch.rand(5, 2, 4, 4))
    assert asked[4:] == [5, 5, 5 + 10, 5 + 20]  # the first four are `speak`


def test_draws_follow_their_chances() -> None:
    """Words in blocks: every word's share is its chance, several draws a row, no word without a chance, up to the ends of the noise."""
    logits = torch.randn(1, 1_003)
    logits[0, ::3] = -1e4
    logits[0, -1] = -1e4
    chance = logits.softmax(1)[0]
    drawn = choose(logits.repeat(1_000, 1), torch.rand(1_000, 200), Choice()).flatten()
    shares = torch.bincount(drawn, minlength=1_003) / len(drawn)
    assert float(((shares - chance) / (chance / len(drawn)).sqrt().clamp_min(1e-9)).abs().max()) < 5
    assert not shares[::3].any()
    ends = choose(logits.clone(), torch.tensor([[0.0, 1 - 2**-24]]), Choice())
    assert ends.tolist() == [[1, 1_001 if chance[1_001] else 1_000]]


def test_steady_players_drop_nothing() -> None:
    module = SPEAKERS["transformer"].speaker(FULL)
    x = torch.full((2, 4), 4)
    with steady(module):
        assert torch.equal(module(x), module(x))
    assert not torch.equal(module(x), module(x))
    assert all(part.training for part in module.modules())


def test_logits_of_real_tokens() -> None:
    module = loud(SPEAKERS["lstm"].speaker(ENDED))
    x = torch.tensor([[3, 4, END, PAD], [5, END, PAD, PAD]])
    torch.testing.assert_close(token_logits(module, x), module(x)[real(x)])


def test_selecting_leaves_no_tensor_behind() -> None:
    state = (torch.arange(3), [(torch.arange(6).view(3, 2), torch.arange(3))], None)
    found = select(state, torch.tensor([2, 0]))
    assert found[0].tolist() == [2, 0] and found[1][0][0].tolist() == [[4, 5], [0, 1]] and found[2] is None


@pytest.mark.parametrize("size", [2, 3])
def test_no_run_is_said_twice(size: int) -> None:
    """A speaker that would go round in circles, by draws, by the likeliest token and by a beam."""
    torch.manual_seed(0)
    space = Tokens(length=14, vocabulary=7, source=Tokens(length=5, vocabulary=7))
    speaker = Recurrent(width=8, embed=8).speaker(space)
    with torch.no_grad():
        speaker.read.bias[1] = -20.0  # it hardly ends
        speaker.read.weight.mul_(4.0)
    y, noise = random_batch(space.source, 12, seed=0)["x"].long(), torch.rand(12, 14)  # type: ignore[arg-type]

    def twice(x: torch.Tensor) -> int:
        runs = [[tuple(row[k : k + size]) for k in range(len(row) - size + 1)] for row in ([t for t in r if t] for r in x.tolist())]
        return sum(len(row) - len(set(row)) for row in runs)

    usual, spared = (
        [
            speak(speaker, noise, y, choice=Choice(no_repeat=rule)),
            speak(speaker, noise, y, choice=Choice(temperature=0.0, no_repeat=rule)),
            beam(speaker, 14, y, width=3, no_repeat=rule),
        ]
        for rule in (0, size)
    )
    assert all(map(twice, usual)) and not any(map(twice, spared))
    kept = torch.tensor([[3, 4, 5, 6, 4, 3, 5]])
    logits = fresh(torch.zeros(1, 7), kept[:, :2], 3)
    assert torch.equal(logits, torch.zeros(1, 7)), "nothing can be repeated yet"
    assert fresh(torch.zeros(1, 7), torch.tensor([[3, 4, 5, 3, 4]]), 3).argmin() == 5
    with pytest.raises(InputError, match="no_repeat"):
        Choice(no_repeat=1)
