"""Players of sentences: cached speech equals teacher forcing, probabilities are those of the logits, padding reaches nobody."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from agon.decoding import Choice, _at, beam, choose, cut, log_probs, speak
from agon.errors import InputError
from agon.layers.tokens import Read, Score, TokenTable, before
from agon.networks.text.conv import ConvCritic
from agon.networks.text.memory import Memory
from agon.networks.text.multi import MultiCritic
from agon.networks.text.recurrent import Recurrent, RecurrentCritic
from agon.networks.text.transformer import Transformer, TransformerCritic
from agon.spaces import Tokens
from agon.spaces.tokens import END, PAD, real

PLAIN = Tokens(length=7, vocabulary=12)
CLASSES = Tokens(length=7, vocabulary=12, classes=("a", "b"))
FULL = Tokens(length=5, vocabulary=9, ends=False)
PAIRS = Tokens(length=7, vocabulary=12, source=Tokens(length=4, vocabulary=6))
COPIES = replace(PLAIN, source=replace(PLAIN, length=5))
SPACES = {"copies": COPIES, "plain": PLAIN, "classes": CLASSES, "no ends": FULL, "pairs": PAIRS}
RNN = Recurrent(width=8, embed=6)
SPEAKERS = {
    "copier": replace(RNN, copy=True),
    "lstm": RNN, "gru, deep, tied": replace(RNN, cell="gru", layers=2, tied=True), "transformer": Transformer(width=8, heads=2, dropout=0.0),
    "memory": Memory(head_width=4, embed=6), "memory, three slots": Memory(slots=3, head_width=4, embed=6),
}  # fmt: skip
CRITICS = {
    "rnn": RecurrentCritic(width=8, embed=6, dropout=0.0), "cnn": ConvCritic(embed=6, filters=4, widths=(1, 2, 3), dropout=0.0),
    "transformer": TransformerCritic(width=8, heads=2, dropout=0.0),
    "multi-cnn": MultiCritic(views=3, embed=2, filters=4, widths=(1, 2, 3), features=5, dropout=0.0),
}  # fmt: skip


def given(space: Tokens, n: int) -> Tensor | None:
    if space.classes:
        return torch.arange(n) % 2
    return space.source.arbitrary(torch.rand(n, space.source.length)).long() if space.source else None


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("net", SPEAKERS)
def test_cached_speech_is_teacher_forcing(net: str, space: str) -> None:
    where = SPACES[space]
    if getattr(SPEAKERS[net], "copy", False) and where is not COPIES:
        with pytest.raises(InputError, match="cop"):
            SPEAKERS[net].speaker(where)
        return
    module = SPEAKERS[net].speaker(where).eval()
    x, y = where.arbitrary(torch.rand(6, where.length)).long(), given(where, 6)
    logits = module(x, y)
    state, last = module.begin(6, y), torch.zeros(6, dtype=torch.int64)
    for t in range(where.length):
        h, state = module.step(module.embed(last), state)
        torch.testing.assert_close(module.read(h), logits[:, t], atol=1e-4, rtol=1e-4)
        last = x[:, t]
    told = torch.where(real(x), logits.log_softmax(2).gather(2, x[..., None])[..., 0], 0.0)
    torch.testing.assert_close(log_probs(module, x, y), told, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("net", ["lstm", "gru, deep, tied"])
def test_what_cannot_be_said_is_not(net: str) -> None:
    said = speak(SPEAKERS[net].speaker(FULL).eval(), torch.rand(200, 5))
    assert said.min() >= 3
    said = speak(SPEAKERS[net].speaker(PLAIN).eval(), torch.rand(200, 7))
    ended = (said == END).cumsum(1) > 0
    after = ended & (said != END)
    assert (said[after] == PAD).all() and (said[~ended] != PAD).all() and ((said == END).sum(1) <= 1).all()


def test_speech_has_the_speakers_distribution() -> None:
    module = RNN.speaker(Tokens(length=2, vocabulary=6)).eval()
    said = speak(module, torch.rand(20_000, 2))
    chance = module(torch.zeros(1, 2, dtype=torch.int64))[0, 0].softmax(0)
    shares = torch.bincount(said[:, 0], minlength=6) / len(said)
    assert (shares - chance).abs().max() < 0.015  # four standard errors at worst


@pytest.mark.parametrize("size", [5, 64, 100, 128, 200])
def test_every_token_has_its_share_of_the_noise(size: int) -> None:
    chance = torch.rand(1, size) * (torch.rand(1, size) > 0.3)
    noise = torch.linspace(0, 1, 20_001)[:-1]
    said = _at(chance, noise[None])[0]
    shares = torch.bincount(said, minlength=size) / len(noise)
    torch.testing.assert_close(shares, chance[0] / chance.sum(), atol=2e-4, rtol=0)
    assert (said.diff() >= 0).all()
    edge = _at(chance, torch.ones(1, 1))[0]  # what uniform noise never is, but a product of it may round to
    assert chance[0, edge] > 0


def test_begun_sentences_go_on() -> None:
    begun = torch.tensor([[5, 6], [7, PAD]]).repeat(20, 1)
    said = speak(RNN.speaker(PLAIN).eval(), torch.rand(40, 7), begun=begun)
    assert (said[::2, :2] == torch.tensor([5, 6])).all() and (said[1::2, 0] == 7).all()


@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize("net", CRITICS)
def test_padding_reaches_no_critic(net: str, each: bool) -> None:
    module = CRITICS[net].critic(PLAIN, each=each).eval()
    x = PLAIN.arbitrary(torch.rand(8, 7)).long()
    e = module.embed(x)
    spoilt = torch.where(real(x)[..., None], e, 100.0)
    one, other = module.judge(e, real(x), None), module.judge(spoilt, real(x), None)
    there = real(x) if each else torch.ones(8, dtype=torch.bool)
    torch.testing.assert_close(one[there], other[there])
    assert one.shape == (x.shape if each else x.shape[:1])


@pytest.mark.parametrize("net", CRITICS)
def test_judges_of_tokens_do_not_look_ahead(net: str) -> None:
    """Whatever stands behind a token leaves its logit as it is; the token itself and what is before it do not, however far."""
    module = CRITICS[net].critic(PLAIN, each=True).eval()
    x = torch.full((1, 7), 5)
    for place in (1, 4, 6):
        later = x.clone()
        later[0, place] = 8
        one, other = module(x), module(later)
        torch.testing.assert_close(one[:, :place], other[:, :place], rtol=0, atol=1e-6)
        assert not torch.allclose(one[:, place:], other[:, place:])
    first = torch.tensor([[5, 6, 7, 8, 9, 10, 11]])
    other = torch.cat([torch.tensor([[9]]), first[:, 1:]], 1)
    assert not torch.equal(module(first)[:, -1], module(other)[:, -1])  # the last logit knows the first word


@pytest.mark.parametrize("net", CRITICS)
def test_judges_of_tokens_are_told_the_condition(net: str) -> None:
    module = CRITICS[net].critic(CLASSES, each=True).eval()
    x, y = CLASSES.arbitrary(torch.rand(4, 7)).long(), torch.tensor([0, 1, 0, 1])
    alone = torch.cat([module(x[k : k + 1], y[k : k + 1]) for k in range(4)])
    torch.testing.assert_close(module(x, y), alone)
    assert not torch.allclose(module(x, y), module(x, 1 - y))


@pytest.mark.parametrize("net", CRITICS)
def test_soft_tokens_are_whole_ones_at_their_corners(net: str) -> None:
    module = CRITICS[net].critic(CLASSES).eval()
    x, y = CLASSES.arbitrary(torch.rand(5, 7)).long(), torch.arange(5) % 2
    soft = torch.nn.functional.one_hot(x, 12).float()
    torch.testing.assert_close(module(x, y), module(soft, y, real(x)))
    with pytest.raises(ValueError, match="mask"):
        module(soft, y)


def test_choices() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]]).log_softmax(1)
    noise = torch.linspace(0, 0.9999, 1000)
    many = logits.expand(1000, -1).contiguous()
    assert set(choose(many.clone(), noise, Choice(top_k=2)).tolist()) == {0, 1}
    assert set(choose(many.clone(), noise, Choice(top_p=0.5)).tolist()) == {0}  # .644 alone is more than a half
    assert set(choose(many.clone(), noise, Choice(top_p=0.7)).tolist()) == {0, 1}
    assert set(choose(many.clone(), noise, Choice(temperature=0)).tolist()) == {0}
    left = cut(logits.clone(), Choice(temperature=0.5))[0]
    torch.testing.assert_close(left / left.sum(), (2 * logits[0]).softmax(0))
    for wrong in ({"temperature": -1}, {"top_p": 0}, {"top_p": 1.1}, {"top_k": -1}):
        with pytest.raises(InputError, match="expected temperature"):
            Choice(**wrong)


def test_a_wide_beam_finds_the_likeliest() -> None:
    where = Tokens(length=3, vocabulary=5, source=Tokens(length=3, vocabulary=5))
    module = Transformer(width=8, heads=2, dropout=0.0).speaker(where).eval()
    y = where.source.arbitrary(torch.rand(4, 3)).long()
    every = torch.cartesian_prod(*[torch.arange(5)] * 3)
    every = torch.unique(torch.where(((every == END).cumsum(1) - (every == END).long()) > 0, PAD, every), dim=0)
    every = every[((every != PAD) | ((every == END).cumsum(1) > 0)).all(1)]
    for k in range(4):
        chance = log_probs(module, every, y[k : k + 1].expand(len(every), -1)).sum(1)
        found = beam(module, 3, y[k : k + 1], width=100, penalty=0.0)
        assert torch.equal(found[0], every[chance.argmax()])


@pytest.mark.parametrize("tied", [False, True])
def test_score_is_log_softmax(tied: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def small(count: int, width: int, like: Tensor) -> Iterator[tuple[slice, Tensor]]:
        return ((slice(k, min(k + 3, count)), like.new_empty(min(3, count - k), width)) for k in range(0, count, 3))

    monkeypatch.setattr("agon.layers.tokens._blocks", small)
    h, weight, bias = (torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in ((8, 5), (12, 5), (12,)))
    tokens = torch.randint(12, (8,))
    assert torch.autograd.gradcheck(lambda *given: Score.apply(*given, tokens), (h, weight, bias))
    table = TokenTable(PLAIN, 6)
    read = Read(PLAIN, 5, table=table if tied else None)
    features, slopes = torch.randn(8, 5), torch.randn(8)
    found = []
    for score in (read.score(features, tokens + 0), read(features).log_softmax(1).gather(1, tokens[:, None])[:, 0]):
        torch.testing.assert_close(found[0][0] if found else score, score)
        found.append((score, torch.autograd.grad((score * slopes).sum(), list(read.parameters()))))
    for one, other in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("net", ["lstm", "gru, deep, tied", "copier", "transformer"])
def test_a_beam_of_one_is_greedy_and_batches_do_not_matter(net: str) -> None:
    module = SPEAKERS[net].speaker(COPIES).eval()
    y = given(COPIES, 9)
    greedy = speak(module, torch.zeros(9, 7), y, choice=Choice(temperature=0))
    assert torch.equal(beam(module, 7, y, width=1), greedy)
    wide = beam(module, 7, y, width=3)
    assert torch.equal(wide, torch.cat([beam(module, 7, part, width=3) for part in y.split(2)]))
    ended = (wide == END).cumsum(1) > 0
    assert (wide[ended & (wide != END)] == PAD).all()


def test_a_judge_chooses_from_the_beam() -> None:
    module, y = SPEAKERS["transformer"].speaker(COPIES).eval(), given(COPIES, 6)
    chosen = beam(module, 7, y, width=4, judge=lambda x: real(x).sum(1).float())
    assert chosen.shape == (6, 7) and (real(chosen).sum(1) >= real(beam(module, 7, y, width=4)).sum(1)).all()
    with pytest.raises(InputError, match="beam"):
        Choice(beam=-1)


def test_before() -> None:
    assert before(torch.tensor([[3, 4, 1]])).tolist() == [[PAD, 3, 4]]


@pytest.mark.parametrize("net", ["lstm", "copier"])
def test_smoothing_is_the_mean_over_what_can_be_said(net: str) -> None:
    module = SPEAKERS[net].speaker(COPIES).eval()
    x, y = COPIES.arbitrary(torch.rand(6, 7)).long(), given(COPIES, 6)
    told = module.read.words(module.hidden(module.embed(before(x)), y)[..., :8]) if net == "copier" else module(x, y)
    mean = told.log_softmax(2)[..., 1:].mean(2)  # of all but padding
    expected = torch.where(real(x), 0.8 * log_probs(module, x, y) + 0.2 * mean, 0.0)
    torch.testing.assert_close(log_probs(module, x, y, smoothing=0.2), expected, atol=1e-5, rtol=1e-5)


def test_copied_words_have_what_attention_gives_them() -> None:
    module = SPEAKERS["copier"].speaker(COPIES).eval()
    torch.nn.init.constant_(module.gate.bias, -50.0)
    y = torch.tensor([[5, 7, 5, 1, 0], [9, 1, 0, 0, 0]])
    chance = module(torch.zeros(2, 7, dtype=torch.int64), y)[:, 0].exp().detach()
    assert set(chance[0].gt(1e-3).nonzero().flatten().tolist()) == {1, 5, 7} and chance[0].sum() == pytest.approx(1, abs=1e-4)
    assert set(chance[1].gt(1e-3).nonzero().flatten().tolist()) == {1, 9}
