"""Every game of sentences obeys the laws, on every kind of text: ended and not, of classes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agon.decoding import Choice
from agon.games.brcsgan import BRCSGAN
from agon.games.likelihood import Likelihood
from agon.games.residual import Residual
from agon.games.scratchgan import ScratchGAN
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
RNN, FORMER = Recurrent(width=8, embed=6), Transformer(width=8, heads=2, dropout=0.0)
TRANSLATES = BRCSGAN(net=FORMER, judge_net=PairCritic(width=8, heads=2, dropout=0.0), choice=Choice(temperature=1.0))
EACH = RecurrentCritic(width=8, embed=6, dropout=0.0)

CASES = {
    "likelihood": (Likelihood(net=RNN), PLAIN),
    "likelihood, gru, classes": (Likelihood(net=replace(RNN, cell="gru", layers=2, tied=True)), CLASSES),
    "likelihood, transformer": (Likelihood(net=FORMER), FULL),
    "residual": (Residual(net=RNN, judge_net=ConvCritic(embed=6, filters=4, widths=(1, 2), dropout=0.0)), CLASSES),
    "scratchgan": (ScratchGAN(net=RNN, judge_net=EACH), PLAIN),
    "scratchgan, classes": (ScratchGAN(net=RNN, judge_net=EACH), CLASSES),
    "scratchgan, transformer": (ScratchGAN(net=FORMER, judge_net=TransformerCritic(width=8, heads=2, dropout=0.0)), FULL),
    "likelihood, copying": (Likelihood(net=replace(RNN, copy=True)), PAIRS),
    "likelihood, transformer of pairs": (Likelihood(net=FORMER), PAIRS),
    "brcsgan": (TRANSLATES, PAIRS),
    "brcsgan, dense": (replace(TRANSLATES, estimator="dense", reward="rouge", net=replace(RNN, copy=True)), PAIRS),
    "brcsgan, best": (replace(TRANSLATES, estimator="best", share=0.5, judged_from=1, rewarded_from=2), PAIRS),
    "brcsgan, no adversary": (replace(TRANSLATES, adversary=False), PAIRS),
}


@pytest.mark.parametrize("case", CASES)
def test_laws(case: str) -> None:
    check_game(*CASES[case])


@pytest.mark.parametrize("space", [PLAIN, CLASSES, FULL, PAIRS], ids=["plain", "classes", "no ends", "pairs"])
def test_spaces(space: Tokens) -> None:
    check_space(space)


def test_two_ranks() -> None:
    check_ranks([CASES["likelihood"], CASES["scratchgan"], CASES["brcsgan"], CASES["brcsgan, dense"]])
