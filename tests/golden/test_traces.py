"""A change is neutral or declared: every game's first losses, against the recorded trace.

After a change that is meant to alter them: `python tests/golden/test_traces.py` writes traces.json anew; say so in CHANGELOG.md.
The tolerance is for other processors and torch builds, which round differently; on one machine the traces are equal.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from agon.engine import Engine
from agon.game import Game
from agon.games.autoencoder import Autoencoder
from agon.games.brcsgan import BRCSGAN
from agon.games.catgan import CatGAN
from agon.games.cot import CoT
from agon.games.flow import Flow
from agon.games.gan import GAN
from agon.games.latent_text import LatentText
from agon.games.likelihood import Likelihood
from agon.games.maligan import MaliGAN
from agon.games.r3gan import R3GAN
from agon.games.relgan import RelGAN
from agon.games.residual import Residual
from agon.games.retelling import Retelling
from agon.games.scratchgan import ScratchGAN
from agon.games.selfgan import SelfGAN
from agon.games.seqgan import SeqGAN
from agon.games.textgail import TextGAIL
from agon.games.umt import UMT
from agon.games.vae import VAE
from agon.games.vaegan import VAEGAN
from agon.losses import Relativistic
from agon.networks.codec import Codec, FlatCodec
from agon.networks.dcgan import DCGAN as ConvNet
from agon.networks.dcgan import PeerDCGAN
from agon.networks.mlp import MLP
from agon.networks.r3 import R3Lean, R3Paper
from agon.networks.text.conv import ConvCritic
from agon.networks.text.memory import Memory
from agon.networks.text.multi import MultiCritic
from agon.networks.text.pair import PairCritic
from agon.networks.text.reader import Reader
from agon.networks.text.recurrent import Recurrent, RecurrentCritic
from agon.networks.text.transformer import Transformer
from agon.networks.unet import FlatVelocity, UNet
from agon.optim import Adam
from agon.penalties import R1, R2
from agon.schedule import Cosine, Exponential, Warmup
from agon.spaces import Image, Space, Tokens, Vector
from agon.testing import random_batch

PATH = Path(__file__).with_name("traces.json")
ROUNDS = 20
WORDS = Tokens(length=7, vocabulary=12)
GREY, POINTS = Image(channels=1, height=16, width=16), Vector(dim=2)
SCHEDULED = Adam(lr=Warmup(then=Cosine(start=1e-3, end=1e-4, span=160), span=40), betas=(0.0, Cosine(start=0.9, end=0.99, span=160)))
MEMORY, RISE = Memory(head_width=4, embed=6), Exponential(start=1.0, end=100.0, span=80)
SEVERAL = MultiCritic(views=2, embed=3, filters=4, widths=(1, 2), features=5, dropout=0.0)
COPIER = Recurrent(width=8, embed=8, tied=True, copy=True)
TELLER, READER = Recurrent(width=8, embed=6), ConvCritic(embed=6, filters=4, widths=(1, 2), dropout=0.0)
SOON: dict[str, Any] = {"pretrain": 4, "critic_pretrain": 4}
CASES: dict[str, tuple[Game, Space]] = {
    "gan": (GAN(net=MLP(width=16, depth=2)), POINTS),
    "dcgan": (GAN(z_dim=100, net=ConvNet(width=8)), GREY),
    "dcgan-peer": (GAN(z_dim=100, net=PeerDCGAN()), GREY),
    "r3gan-lean": (
        R3GAN(net=R3Lean(widths=(16, 8)), optim={"G": SCHEDULED, "D": SCHEDULED}),
        Image(channels=1, height=16, width=16, classes=("a", "b")),
    ),
    "r3gan-paper": (R3GAN(net=R3Paper(widths=(16, 16, 16), group_width=8)), GREY),
    "r3gan-points": (R3GAN(net=MLP(width=16, depth=2), z_dim=6, signs=3), POINTS),
    "autoencoder": (Autoencoder(net=Codec(widths=(16, 8)), z_dim=4), Image(channels=1, height=16, width=16, classes=("a", "b"))),
    "vae": (VAE(net=Codec(widths=(16, 8)), z_dim=4, likelihood="logistic"), GREY),
    "vae-points": (VAE(net=FlatCodec(width=16, depth=2), z_dim=2), POINTS),
    "vae-gan": (VAEGAN(net=Codec(widths=(16, 8)), z_dim=4), GREY),
    "flow": (Flow(net=UNet(widths=(8, 16), embed_dim=16)), Image(channels=1, height=16, width=16, classes=("a", "b"))),
    "likelihood": (Likelihood(net=Recurrent(width=8, embed=6)), WORDS),
    "scratchgan": (ScratchGAN(net=Recurrent(width=8, embed=6), judge_net=RecurrentCritic(width=8, embed=6, dropout=0.0)), WORDS),
    "residual": (Residual(net=Recurrent(width=8, embed=6), judge_net=ConvCritic(embed=6, filters=4, dropout=0.0)), WORDS),
    "relgan": (RelGAN(net=MEMORY, judge_net=SEVERAL, pretrain=5, beta=RISE), WORDS),
    "catgan": (CatGAN(net=MEMORY, judge_net=SEVERAL, beta=RISE), Tokens(length=7, vocabulary=12, classes=("a", "b"))),
    "latent-text": (
        LatentText(
            z_dim=4,
            code_dim=6,
            read=Reader(width=6, embed=5),
            net=Recurrent(width=8, embed=6, label_dim=6),
            latent_net=MLP(width=8, depth=2),
        ),
        WORDS,
    ),
    "seqgan": (SeqGAN(net=TELLER, judge_net=READER, n_critic=2, rollouts=2, **SOON), WORDS),
    "maligan": (MaliGAN(net=TELLER, judge_net=READER, **SOON), WORDS),
    "cot": (CoT(net=TELLER, mediator_net=TELLER), WORDS),
    "textgail": (TextGAIL(net=TELLER, judge_net=READER, parts=2, **SOON), WORDS),
    "selfgan": (SelfGAN(net=TELLER, judge_net=READER, **SOON), WORDS),
    "flow-points": (Flow(net=FlatVelocity(width=16)), POINTS),
    "brcsgan": (
        BRCSGAN(
            net=Transformer(width=8, heads=2, dropout=0.0),
            judge_net=PairCritic(width=8, heads=2, dropout=0.0),
            judged_from=4,
            rewarded_from=8,
        ),
        Tokens(length=7, vocabulary=12, source=Tokens(length=5, vocabulary=12)),
    ),
    "retelling": (
        Retelling(net=COPIER, retell_net=COPIER, judge_net=RecurrentCritic(width=8, embed=6, dropout=0.0), judged_from=4, rewarded_from=8),
        Tokens(length=7, vocabulary=12, dictionary=tuple(range(12)), source=Tokens(length=9, vocabulary=12, dictionary=tuple(range(12)))),
    ),
    "umt": (
        UMT(net=Transformer(width=8, heads=2, dropout=0.0), adversary=True, by_word_until=8),
        Tokens(
            length=7,
            vocabulary=12,
            dictionary=(0, 0, 0, *range(3, 12)),
            source=Tokens(length=5, vocabulary=12, dictionary=(0, 0, 0, *range(3, 12))),
        ),
    ),
}


def trace(name: str) -> list[dict[str, float]]:
    """Losses and gradient norms of the first rounds."""
    game, space = CASES[name]
    engine = Engine(game, space, seed=1)
    rows = []
    for index in range(ROUNDS):
        engine.round([random_batch(space, 8, seed=index)])
        rows.append({k: float(f"{v:.7g}") for k, v in engine.stats.flush().items()})
    return rows


@pytest.mark.parametrize("name", CASES)
def test_trace_is_the_recorded_one(name: str) -> None:
    recorded = json.loads(PATH.read_text("utf-8"))[name]
    for index, (now, then) in enumerate(zip(trace(name), recorded, strict=True)):
        # Adversarial training amplifies rounding, so later rounds are held to less.
        for key in then:
            assert now[key] == pytest.approx(then[key], rel=1e-4 * 1.5**index, abs=1e-6), f"round {index}, {key}"


@pytest.mark.parametrize("name", ["r3gan-lean", "r3gan-points"])
def test_r3gan_is_a_preset_of_the_free_game(name: str) -> None:
    """Relativistic pairs, R1 and R2 chosen part by part give R3GAN's own rounds."""
    own, space = CASES[name]
    assert isinstance(own, R3GAN)
    if own.signs:
        own = replace(own, signs=0)
    free = GAN(
        conditional=True, z_dim=own.z_dim, loss=Relativistic(), penalties=(R1(gamma=own.gamma), R2(gamma=own.gamma)), net=own.net,
        optim=own.optim, ema=own.ema,
    )  # fmt: skip
    engines = Engine(own, space, seed=1), Engine(free, space, seed=1)
    for index in range(6):
        for engine in engines:
            engine.round([random_batch(space, 8, seed=index)])
        one, other = (engine.stats.flush() for engine in engines)
        assert other == pytest.approx(one, rel=1e-5, abs=1e-7), f"round {index}"


if __name__ == "__main__":
    torch.set_num_threads(1)
    PATH.write_text(json.dumps({name: trace(name) for name in CASES}, indent=0) + "\n")
