"""Every game of sentences obeys the laws, on every kind of text: ended and not, of classes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sixteen_bits import check_fit_for_a_gpu

from agon.decoding import Choice
from agon.games.brcsgan import BRCSGAN
from agon.games.cot import CoT
from agon.games.likelihood import Likelihood
from agon.games.maligan import MaliGAN
from agon.games.residual import Residual
from agon.games.retelling import Retelling
from agon.games.scratchgan import ScratchGAN
from agon.games.selfgan import SelfGAN
from agon.games.seqgan import SeqGAN
from agon.games.textgail import TextGAIL
from agon.games.umt import UMT
from agon.networks.text.conv import ConvCritic
from agon.networks.text.pair import PairCritic
from agon.networks.text.recurrent import Recurrent, RecurrentCritic
from agon.networks.text.transformer import Transformer, TransformerCritic
from agon.spaces import Tokens
from agon.testing import check_game, check_ranks, check_space

PLAIN = Tokens(length=7, vocabulary=12)
CLASSES = Tokens(length=7, vocabulary=12, classes=("a", "b"))
FULL = Tokens(length=5, vocabulary=9, ends=False)
PAIRS = Tokens(length=7, vocabulary=12, source=Tokens(length=5, vocabulary=12))
WORDS = (0, 0, 0, *range(3, 10), 0, 0)
UNPAIRED = replace(PAIRS, dictionary=WORDS, source=Tokens(length=5, vocabulary=12, dictionary=WORDS))
SAME = tuple(range(12))
SHORT = replace(PAIRS, dictionary=SAME, source=Tokens(length=9, vocabulary=12, dictionary=SAME))
RNN, FORMER = Recurrent(width=8, embed=6), Transformer(width=8, heads=2, dropout=0.0)
TRANSLATES = BRCSGAN(net=FORMER, judge_net=PairCritic(width=8, heads=2, dropout=0.0), choice=Choice(temperature=1.0))
CNN = ConvCritic(embed=6, filters=4, widths=(1, 2), dropout=0.0)
JUDGE = TransformerCritic(width=8, heads=2, dropout=0.0)
SOON: dict[str, Any] = {"pretrain": 1, "critic_pretrain": 1}
NOW: dict[str, Any] = {"pretrain": 0, "critic_pretrain": 0}  # the law of halves looks at the first round
EACH = RecurrentCritic(width=8, embed=6, dropout=0.0)
COPIES = replace(RNN, copy=True, tied=True, embed=8)
RETELLS = Retelling(net=COPIES, retell_net=COPIES, judge_net=EACH, choice=Choice(temperature=1.0))

CASES = {
    "likelihood": (Likelihood(net=RNN), PLAIN),
    "likelihood, gru, classes": (Likelihood(net=replace(RNN, cell="gru", layers=2, tied=True)), CLASSES),
    "likelihood, transformer": (Likelihood(net=FORMER), FULL),
    "residual": (Residual(net=RNN, judge_net=ConvCritic(embed=6, filters=4, widths=(1, 2), dropout=0.0)), CLASSES),
    "scratchgan": (ScratchGAN(net=RNN, judge_net=EACH), PLAIN),
    "scratchgan, classes": (ScratchGAN(net=RNN, judge_net=EACH), CLASSES),
    "scratchgan, transformer": (ScratchGAN(net=FORMER, judge_net=TransformerCritic(width=8, heads=2, dropout=0.0)), FULL),
    "scratchgan, learned critic": (ScratchGAN(net=RNN, judge_net=EACH, baseline="critic", value_net=EACH, entropy=0.01), CLASSES),
    "scratchgan, learned critic, transformer": (ScratchGAN(net=FORMER, judge_net=JUDGE, baseline="critic", value_net=JUDGE), FULL),
    "scratchgan, cnn": (ScratchGAN(net=RNN, judge_net=CNN, baseline="critic", value_net=CNN), CLASSES),
    "likelihood, copying": (Likelihood(net=replace(RNN, copy=True)), PAIRS),
    "likelihood, transformer of pairs": (Likelihood(net=FORMER), PAIRS),
    "brcsgan": (TRANSLATES, PAIRS),
    "brcsgan, dense": (replace(TRANSLATES, estimator="dense", reward="rouge", net=replace(RNN, copy=True)), PAIRS),
    "brcsgan, best": (replace(TRANSLATES, estimator="best", share=0.5, judged_from=1, rewarded_from=2), PAIRS),
    "brcsgan, no adversary": (replace(TRANSLATES, adversary=False), PAIRS),
    "umt": (UMT(net=FORMER, by_word_until=1, choice=Choice(temperature=1.0)), UNPAIRED),
    "umt, adversary": (UMT(net=FORMER, adversary=True, choice=Choice(temperature=1.0)), UNPAIRED),
    "retelling": (RETELLS, SHORT),
    "retelling, transformers": (replace(RETELLS, net=FORMER, retell_net=FORMER, judge_net=JUDGE, judged_from=1, rewarded_from=2), SHORT),
    "retelling, no adversary": (replace(RETELLS, adversary=False), SHORT),
    "seqgan": (SeqGAN(net=RNN, judge_net=CNN, n_critic=2, rollouts=2, entropy=0.01, **SOON), PLAIN),
    "seqgan, classes, one reward": (SeqGAN(net=RNN, judge_net=CNN, n_critic=1, rollouts=0, **NOW), CLASSES),
    "seqgan, transformer": (SeqGAN(net=FORMER, judge_net=JUDGE, n_critic=1, rollouts=2, **NOW), FULL),
    "maligan": (MaliGAN(net=RNN, judge_net=CNN, **SOON), PLAIN),
    "maligan, classes": (MaliGAN(net=RNN, judge_net=CNN, **NOW), CLASSES),
    "cot": (CoT(net=RNN, mediator_net=RNN), PLAIN),
    "cot, classes": (CoT(net=RNN, mediator_net=replace(RNN, cell="gru"), n_mediator=2, forcing=0.1), CLASSES),
    "textgail": (TextGAIL(net=RNN, judge_net=JUDGE, parts=2, **SOON), PLAIN),
    "textgail, classes": (TextGAIL(net=FORMER, judge_net=CNN, parts=2, **NOW), CLASSES),
    "selfgan": (SelfGAN(net=RNN, judge_net=CNN, **SOON), PLAIN),
    "selfgan, classes": (SelfGAN(net=RNN, judge_net=CNN, candidates=2, **NOW), CLASSES),
}


@pytest.mark.parametrize("case", CASES)
def test_laws(case: str) -> None:
    check_game(*CASES[case])


@pytest.mark.parametrize("case", CASES)
def test_fit_for_a_gpu(case: str) -> None:
    check_fit_for_a_gpu(*CASES[case], rounds=3)  # after likelihood, which comes first


@pytest.mark.parametrize("space", [PLAIN, CLASSES, FULL, PAIRS], ids=["plain", "classes", "no ends", "pairs"])
def test_spaces(space: Tokens) -> None:
    check_space(space)


def test_two_ranks() -> None:
    check_ranks(
        [CASES["likelihood"], CASES["scratchgan"], CASES["brcsgan"], CASES["brcsgan, dense"], CASES["umt, adversary"], CASES["retelling"]]
    )
    names = (
        "likelihood", "scratchgan", "scratchgan, learned critic", "seqgan", "maligan", "cot", "textgail", "selfgan", "residual", "brcsgan, best", "umt",
    )  # fmt: skip
    check_ranks([CASES[name] for name in names], rounds=3)
