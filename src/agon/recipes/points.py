"""Recipes for points in the plane: the toy sets on which a method's mode coverage shows in a minute."""

from __future__ import annotations

from agon.games.r3gan import R3GAN
from agon.networks.mlp import MLP
from agon.optim import Adam, Average
from agon.recipes import Recipe, Situation, Suggestion, no_text
from agon.schedule import Cosine


def r3gan_points(situation: Situation) -> Suggestion:
    """RpGAN + R1 + R2 on perceptrons."""
    no_text(situation, "r3gan-points")
    batch = situation.batch or 256
    rounds = situation.rounds or 4_000
    span = rounds * batch
    adam = Adam(lr=Cosine(start=2e-3, end=2e-5, span=span), betas=(0.0, 0.99))
    game = R3GAN(
        z_dim=12, signs=10, gamma=Cosine(start=0.05, end=0.0005, span=span), net=MLP(width=128, depth=3), optim={"G": adam, "D": adam},
        ema={"G": Average(half_life=10_000)},
    )  # fmt: skip
    reasons = {"batch": f"{batch}: points are cheap", "rounds": f"{rounds:,}: {span:,} points seen"}
    return Suggestion(game=game, rounds=rounds, batch=batch, metrics=("modes",), reasons=reasons)


RECIPES = (Recipe(name="r3gan-points", title="relativistic pair on perceptrons, for points", paper="arXiv:2501.05441", build=r3gan_points),)
