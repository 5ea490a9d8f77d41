"""Runs written before the GANs became presets of one game still open."""

from __future__ import annotations

from typing import Any

import pytest

from agon import games
from agon.config import decode
from agon.games.gan import GAN
from agon.losses import Logistic
from agon.networks.dcgan import PeerDCGAN

OPTIM = {k: {"lr": 2e-4, "betas": [0.5, 0.999], "eps": 1e-8, "weight_decay": 0.0, "clip": None, "kind": "adam"} for k in "GD"}


def opened(entry: dict[str, Any]) -> Any:
    return decode(games.find(entry["name"]), games.settings_of(entry), "game")


def test_dcgan_is_the_free_game_with_its_network() -> None:
    game = opened({"name": "dcgan", "z_dim": 100, "net": {"dropout": 0.25, "kind": "peer-dcgan"}, "optim": OPTIM, "ema": {}})
    assert game == GAN(z_dim=100, net=PeerDCGAN(), ema={})


@pytest.mark.parametrize("saturating", [True, False])
def test_saturating_moved_into_the_loss(saturating: bool) -> None:
    entry = {"name": "gan", "z_dim": 8, "saturating": saturating, "net": {"width": 16, "depth": 2, "label_dim": 16, "kind": "mlp"}}
    assert opened({**entry, "optim": OPTIM, "ema": {}}).loss == Logistic(saturating=saturating)
