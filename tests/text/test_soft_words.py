"""Soft words: drawn as the speaker says, equal to teacher forcing, with a gradient; the games that use them learn a small language."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import agon
from agon.data import Data
from agon.decoding import log_probs, speak_softly
from agon.engine import Engine
from agon.errors import InputError
from agon.estimators import gumbel, relaxed
from agon.game import Batch, Clock, Players
from agon.games.catgan import CatGAN
from agon.games.relgan import RelGAN, each, since, slope_penalty
from agon.losses import Hinge, LeastSquares, Logistic, Relativistic, Wasserstein
from agon.networks.text.conv import ConvCritic
from agon.networks.text.memory import Memory
from agon.networks.text.multi import MultiCritic
from agon.networks.text.recurrent import Recurrent, RecurrentCritic
from agon.networks.text.transformer import Transformer, TransformerCritic
from agon.optim import Adam
from agon.recipes import text_relaxed
from agon.spaces import Tokens
from agon.spaces.tokens import END, PAD, real

PLAIN = Tokens(length=7, vocabulary=12)
SPEAKERS = {
    "lstm": Recurrent(width=8, embed=6),
    "memory": Memory(head_width=4, embed=6),
    "transformer": Transformer(width=8, heads=2, dropout=0.0),
}


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("net", SPEAKERS)
def test_soft_words_are_those_of_teacher_forcing(net: str, hard: bool) -> None:
    torch.manual_seed(0)
    speaker, noise = SPEAKERS[net].speaker(PLAIN), torch.rand(6, 7, 12)
    soft = speak_softly(speaker, noise, 0.5, hard=hard)
    there = real(soft.said)
    forced = relaxed(speaker(soft.said), gumbel(noise), 0.5, there, hard=hard)
    torch.testing.assert_close(soft.dense(), forced, atol=1e-5, rtol=1e-4)
    assert torch.equal(torch.where(there, soft.dense().argmax(2), PAD), soft.said)
    assert len(soft.words) == there.sum(), "a word for every place that is said, none for padding"
    merit = torch.randn(6, 7, 12)
    gradients = [torch.autograd.grad((x * merit).sum(), speaker.parameters(), allow_unused=True) for x in (soft.dense(), forced)]
    for one, other in zip(*gradients, strict=True):
        if one is not None:
            torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)
    assert any(g is not None and g.abs().max() > 0 for g in gradients[0])


def test_what_soft_words_lean_to_is_an_exact_draw() -> None:
    torch.manual_seed(0)
    speaker = SPEAKERS["lstm"].speaker(Tokens(length=2, vocabulary=6))
    said = speak_softly(speaker, torch.rand(20_000, 2, 6), 1.0).said
    chance = speaker(torch.zeros(1, 2, dtype=torch.int64))[0, 0].softmax(0)
    shares = torch.bincount(said[:, 0], minlength=6) / len(said)
    assert (shares - chance).abs().max() < 0.015  # four standard errors at worst
    assert ((said[:, 0] == END) == (said[:, 1] == PAD)).all()


def test_the_clock_of_the_game_starts_after_pre_training() -> None:
    assert since(Clock(3, 30), 10) == Clock(0, 0)
    assert since(Clock(10, 640), 10) == Clock(0, 0)
    assert since(Clock(15, 960), 10) == Clock(5, 320)


@pytest.mark.parametrize("loss", [Logistic(), LeastSquares(), Wasserstein(), Hinge(), Relativistic(), Relativistic(shape="hinge")])
def test_losses_of_single_samples_have_the_loss_as_their_mean(loss: Any) -> None:
    torch.manual_seed(0)
    there, fake = torch.randn(9), torch.randn(9)
    single = each(loss, there if loss.pairs else None, fake)
    torch.testing.assert_close(single.mean(), loss.generator(there, fake))
    torch.testing.assert_close(single[2], loss.generator(there[2:3], fake[2:3]))


def test_the_slope_is_that_by_soft_words() -> None:
    torch.manual_seed(0)
    game = RelGAN(net=SPEAKERS["lstm"], judge_net=ConvCritic(embed=4, filters=4, widths=(1, 2), dropout=0.0))
    p = Players(game.players(PLAIN))
    x = PLAIN.arbitrary(torch.rand(5, 7)).long()
    soft = speak_softly(p.G, torch.rand(5, 7, 12), 1.0)
    mask, mix = real(soft.said), torch.rand(5)
    found = slope_penalty(p, x, soft.embedded(p.D.embed), mask, None, mix)  # type: ignore[arg-type]
    whole = torch.nn.functional.one_hot(x, 12).float() * real(x)[..., None]
    point = torch.lerp(soft.dense(), whole, mix[:, None, None]).detach().requires_grad_()
    slope = torch.autograd.grad(p.D(point, None, mask | real(x)).sum(), point)[0]
    torch.testing.assert_close(found, (slope.flatten(1).norm(dim=1) - 1).square().mean(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "judge", [RecurrentCritic(width=8, embed=6), TransformerCritic(width=8, heads=2, dropout=0.0), ConvCritic()], ids=lambda net: net.kind
)
def test_the_slope_has_a_gradient_whatever_the_critic(judge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fused attention has no second gradient on any device, cuDNN's recurrences have none on a GPU."""
    torch.manual_seed(0)
    p = Players(RelGAN(net=SPEAKERS["lstm"], judge_net=judge).players(PLAIN))
    judged: Any = p.D.judge
    with_cudnn = []

    def watched(*given: Any) -> torch.Tensor:
        with_cudnn.append(torch.backends.cudnn.enabled)
        return judged(*given)

    monkeypatch.setattr(p.D, "judge", watched)
    monkeypatch.setattr(torch.backends.cudnn, "enabled", True)
    x = PLAIN.arbitrary(torch.rand(5, 7)).long()
    penalty = slope_penalty(p, x, p.D.embed(x.flip(0)), real(x.flip(0)), None, torch.rand(5))  # type: ignore[operator]
    gradients = torch.autograd.grad(penalty, p.D.parameters(), allow_unused=True)
    assert any(g is not None and g.abs().max() > 0 for g in gradients)
    assert with_cudnn == [judge.kind != "rnn"] and torch.backends.cudnn.enabled


DROPS = {"net": Recurrent(width=8, embed=6, dropout=0.5), "judge_net": ConvCritic(embed=4, filters=4, widths=(1, 2), dropout=0.5)}


@pytest.mark.parametrize(
    "game",
    [*(RelGAN(estimator=how, loss=Logistic(), **DROPS) for how in ("gumbel", "straight", "taylor")), CatGAN(**DROPS)],  # type: ignore[arg-type]
    ids=["gumbel", "straight", "taylor", "catgan"],
)
def test_a_speaker_is_rewarded_for_what_it_says_itself(game: RelGAN | CatGAN) -> None:
    """Dropout would draw a sentence by one network and score it by another, and no baseline is neutral then."""
    space = replace(PLAIN, classes=("a", "b"))
    torch.manual_seed(0)
    p = Players(game.players(space))
    given = {"x": space.arbitrary(torch.rand(6, 7)).long(), "y": torch.arange(6) % 2}
    found = []
    for training in (True, False):
        p.G.train(training), p.D.train(training)
        torch.manual_seed(1)
        terms = game.speaker(p, Batch(**given), Clock(0, 0))
        found.append(torch.autograd.grad(sum(terms.values()), p.G.parameters(), allow_unused=True))
    assert any(g is not None and g.abs().max() > 0 for g in found[0])
    for one, other in zip(*found, strict=True):
        if one is not None:
            torch.testing.assert_close(one, other)


def test_what_does_not_go_together_is_refused() -> None:
    for game, word in (
        (RelGAN(loss=Wasserstein()), "penalty 10"),
        (RelGAN(estimator="taylor", loss=Relativistic(averaged=True)), "averaged false"),
    ):
        with pytest.raises(InputError, match=word):
            game.cast(PLAIN)


WORDS = torch.tensor([[3, 4, 3, 4], [4, 3, 4, 3], [5, 5, 1, 0]], dtype=torch.int32)  # the whole language, equally likely


@pytest.mark.parametrize("estimator", ["gumbel", "straight", "taylor"])
def test_a_small_language_is_learnt_without_likelihood(estimator: str) -> None:
    """A critic alone teaches a fresh speaker to say sentences of the language; which of them is not asked, for it may well settle on one."""
    space = Tokens(length=4, vocabulary=6)
    adam = {"G": Adam(lr=1e-2, betas=(0.5, 0.9), clip=5.0), "D": Adam(lr=1e-2, betas=(0.5, 0.9), clip=5.0)}
    game = RelGAN(
        net=Recurrent(width=16, embed=8), judge_net=MultiCritic(views=2, embed=4, filters=16, widths=(1, 2, 3), features=16, dropout=0.0), optim=adam,
        estimator=estimator, beta=1.0 if estimator == "straight" else 2.0,
    )  # fmt: skip
    engine = Engine(game, space, seed=0)
    generator = torch.Generator().manual_seed(0)

    @torch.no_grad()
    def share() -> float:
        return float(log_probs(engine.players.G, WORDS.long()).sum(1).exp().sum())

    first = share()
    for _ in range(120):
        engine.round([Batch(x=WORDS[torch.randint(3, (32,), generator=generator)])])
    last = share()
    assert first < 0.1
    assert last > 0.6


RECIPES = [recipe.name for recipe in text_relaxed.RECIPES]


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_play(name: str, tmp_path: Path) -> None:
    rows = [f"{one} {two} {three},{one}" for one in ("red", "blue") for two in ("a", "b", "c", "d") for three in "wxyz"]
    (tmp_path / "lines.csv").write_text("\n".join(["text,kind", *rows]))
    data = Data(path=str(tmp_path / "lines.csv"), text="text", columns=("kind",), condition="classes")
    run = agon.fit(name, data=data, out=tmp_path / "run", rounds=4, batch=8, score_every=0, tensorboard=False, metrics=[])
    assert run.round == 4
    label = {"label": "red"} if run.space.num_classes else {}
    assert len(run.sample(3, **label).texts) == 3
    assert {turn.name for turn in run.game.turns()} >= (
        {"autoencode", "generator"} if name in ("arae", "tilgan") else {"likelihood", "speaker"}
    )


def test_a_game_goes_on_from_a_likelihood_run(tmp_path: Path) -> None:
    settings = {"rounds": 2, "batch": 8, "score_every": 0, "tensorboard": False, "metrics": []}
    data = Data(path="arithmetic", limit=64)
    agon.fit("likelihood", data=data, out=tmp_path / "first", **settings)
    agon.fit(
        "gsgan", data=data, out=tmp_path / "second", start=tmp_path / "first", **settings, **{"game.pretrain": 0, "game.optim.G.lr": 0}
    )
    first, begun = (agon.load(tmp_path / name, weights="raw").players.G for name in ("first", "second"))
    pairs = zip(first.parameters(), begun.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    (tmp_path / "other.txt").write_text("\n".join(f"{a} {b} {c}" for a in "abcd" for b in "efgh" for c in "ijkl"))
    with pytest.raises(InputError, match="other tokens than this run"):
        agon.fit("gsgan", data=str(tmp_path / "other.txt"), out=tmp_path / "third", start=tmp_path / "first", **settings)
