"""Samples obey the number and the tags they were asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from agon.data import Data, Loader, open_data
from agon.engine import Engine
from agon.games.gan import GAN
from agon.networks.dcgan import DCGAN
from agon.run import play, prepare
from agon.trained import load

SETTINGS = {"score_every": 0, "tensorboard": False, "metrics": ["fd"], "num_samples": 64, "extractor": "pixels"}


def test_points_lie_at_the_angle_asked_for(tmp_path: Path) -> None:
    """300 rounds on the ring with the angle of each point as its number: half of the samples lie within a fifth of a mode's spacing."""
    wish = Data(path="ring", columns=("angle",))
    directory, data_set = prepare(wish, out=tmp_path / "run", settings={**SETTINGS, "rounds": 300, "batch": 128})
    play(directory, data_set)
    run = load(directory.path)
    off = []
    for asked in range(0, 360, 45):
        x = run.sample_stored(50, seed=asked, numbers={"angle": float(asked)}).double()
        angle = torch.rad2deg(torch.atan2(x[:, 1], x[:, 0]))
        off.append(((angle - asked + 180) % 360 - 180).abs().median().item())
    assert max(off) < 22.5, off
    assert sum(off) / 8 < 9, off


def test_shapes_have_the_colour_asked_for(tmp_path: Path) -> None:
    """150 rounds on 8×8 shapes with their colours as tags: the ink is nearest the colour asked for in most samples."""
    wish = Data(path="shapes", size=8, columns=("colour",), condition="tags", limit=2000)
    settings = {**SETTINGS, "rounds": 150, "batch": 32, "game.net.widths": [32, 16]}
    directory, data_set = prepare(wish, out=tmp_path / "run", settings=settings)
    play(directory, data_set)
    run = load(directory.path)

    def hue(x: torch.Tensor) -> torch.Tensor:
        ink = (255 - x.float()).flatten(2).mean(2)  # what darkens the light ground
        return ink / ink.norm(dim=1, keepdim=True)

    names = data_set.space.tags
    real = hue(data_set.train.x)
    assert data_set.train.y is not None
    centres = torch.stack([real[data_set.train.y[:, k] == 1].mean(0) for k in range(len(names))])
    right = []
    for k, name in enumerate(names):
        x = run.sample_stored(40, seed=k, tags=[name, *(f"!{other}" for other in names if other != name)])
        right.append((torch.cdist(hue(x), centres).argmin(1) == k).double().mean().item())
    assert sum(right) / len(right) > 0.6, dict(zip(names, right, strict=True))


@pytest.mark.parametrize("seed", [0, 1])
def test_a_class_beside_noise_leaves_it_its_variety(seed: int) -> None:
    """A class as loud as z satisfies the batch normalisation behind both, and each class ends as one picture: 2.3 here (real digits: 7)."""
    data_set = open_data(Data(path="digits"))
    game = GAN(z_dim=100, conditional=True, net=DCGAN(width=16), head="auxiliary", aux_fake=0.0)
    engine, loader = Engine(game, data_set.space, seed=seed), Loader(data_set.train, 32, seed)
    for round in range(200):
        engine.round(loader.round(round))
    with torch.no_grad():
        x = engine.players.ema.G.eval()(torch.randn(160, 100), torch.arange(10).repeat_interleave(16))
    assert torch.stack([torch.pdist(of_one.flatten(1)).mean() for of_one in x.split(16)]).mean() > 3
