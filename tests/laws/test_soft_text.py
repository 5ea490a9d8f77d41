"""The text games through which gradients flow obey the laws, on every kind of text: ended and not, of classes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sixteen_bits import check_fit_for_a_gpu

from agon.games.catgan import CatGAN
from agon.games.latent_text import LatentText
from agon.games.relgan import RelGAN
from agon.losses import Hinge, Wasserstein
from agon.networks.mlp import MLP
from agon.networks.text.conv import ConvCritic
from agon.networks.text.memory import Memory
from agon.networks.text.multi import MultiCritic
from agon.networks.text.reader import Reader
from agon.networks.text.recurrent import Recurrent, RecurrentCritic
from agon.networks.text.transformer import Transformer, TransformerCritic
from agon.spaces import Tokens
from agon.testing import check_game, check_ranks

PLAIN = Tokens(length=7, vocabulary=12)
CLASSES = Tokens(length=7, vocabulary=12, classes=("a", "b"))
FULL = Tokens(length=5, vocabulary=9, ends=False)
RNN, FORMER = Recurrent(width=8, embed=6), Transformer(width=8, heads=2, dropout=0.0)
MEMORY = Memory(head_width=4, embed=6)
WHOLE = MultiCritic(views=2, embed=3, filters=4, widths=(1, 2), features=5, dropout=0.0)
CNN = ConvCritic(embed=4, filters=4, widths=(1, 2), dropout=0.0)
JUDGE = TransformerCritic(width=8, heads=2, dropout=0.0)
EACH_WAY = RecurrentCritic(width=8, embed=6, dropout=0.0)
CODES = LatentText(z_dim=4, code_dim=6, read=Reader(width=6, embed=5), net=replace(RNN, label_dim=6), latent_net=MLP(width=8, depth=2))
SOFT = RelGAN(net=MEMORY, judge_net=WHOLE, n_critic=2)

CASES = {
    "relgan": (SOFT, PLAIN),
    "relgan, pre-trained, classes": (replace(SOFT, pretrain=2), CLASSES),
    "relgan, straight, hinge, transformer": (
        replace(SOFT, net=FORMER, judge_net=JUDGE, estimator="straight", loss=Hinge()), FULL,
    ),
    "relgan, taylor, cnn": (replace(SOFT, net=RNN, judge_net=CNN, estimator="taylor"), PLAIN),
    "relgan, wasserstein": (replace(SOFT, net=RNN, judge_net=CNN, loss=Wasserstein(), penalty=10.0), CLASSES),
    "relgan, taylor, wasserstein": (replace(SOFT, net=RNN, judge_net=CNN, estimator="taylor", loss=Wasserstein(), penalty=10.0), FULL),
    "catgan": (CatGAN(net=MEMORY, judge_net=WHOLE), CLASSES),
    "catgan, not told": (CatGAN(net=RNN, judge_net=CNN, loss=Hinge(), told=False, pretrain=1), CLASSES),
    "catgan, mismatch": (CatGAN(net=RNN, judge_net=CNN, mismatch=0.5), CLASSES),
    "latent text": (CODES, PLAIN),
    "latent text, kl, transformer": (replace(CODES, net=FORMER, loss="kl", penalty=0.0, n_critic=1), CLASSES),
    "latent text, memory": (replace(CODES, net=MEMORY, meet=0.0), FULL),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_laws(case: str) -> None:
    check_game(*CASES[case])


@pytest.mark.parametrize("case", CASES)
def test_fit_for_a_gpu(case: str) -> None:
    check_fit_for_a_gpu(*CASES[case], rounds=3)  # after likelihood, which comes first


@pytest.mark.parametrize("judge", [WHOLE, CNN, JUDGE, EACH_WAY], ids=lambda net: net.kind)
@pytest.mark.parametrize("estimator", ["gumbel", "straight", "taylor"])
def test_a_penalty_is_fit_for_a_gpu(estimator: Any, judge: Any) -> None:
    check_fit_for_a_gpu(replace(SOFT, net=RNN, judge_net=judge, estimator=estimator, loss=Wasserstein(), penalty=10.0), CLASSES)


def test_two_ranks() -> None:
    check_ranks(list(CASES.values()))
