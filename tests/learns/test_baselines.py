"""The games that are no GANs learn: a flow finds the ring's modes, codes explain digits, a Gaussian on codes samples them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from agon.config import encode
from agon.data import Data
from agon.engine import Engine
from agon.errors import InputError
from agon.game import Batch, Clock, Players
from agon.games.autoencoder import Autoencoder, Sampler
from agon.games.flow import Flow
from agon.games.vae import VAE
from agon.networks.codec import Codec
from agon.networks.unet import FlatVelocity
from agon.run import play, prepare
from agon.sampling import draw
from agon.spaces import Image, Vector
from agon.trained import amended, load


@pytest.mark.parametrize("recipe", ["flow", "vae"])
def test_ring_is_covered(recipe: str, tmp_path: Path) -> None:
    settings = {"rounds": 500, "score_every": 0, "tensorboard": False, "tick": 250, "save_every": 250}
    directory, data_set = prepare(Data(path="ring"), out=tmp_path / "run", recipe=recipe, settings=settings)
    play(directory, data_set)
    scores = {row["name"]: row["value"] for row in directory.scores()}
    assert scores["modes"] == 8
    assert scores["quality"] > 0.05  # a Gaussian over the whole ring reaches 0.01
    if recipe == "flow":
        steps = {n: load(directory.path, settings={"game.steps": n, "game.solver": "euler"}) for n in (1, 8)}
        held = data_set.held.x
        far = {n: torch.cdist(trained.sample_stored(500), held).min(1).values.mean().item() for n, trained in steps.items()}
        assert far[8] < 0.7 * far[1], f"more steps come nearer to the data: {far}"
        assert steps[1].sampling == {"steps": 1, "solver": "euler"}


def stripes(n: int, seed: int) -> Batch:
    """Pictures [n, 1, 8, 8] of one bright row, class 0, or one bright column, class 1."""
    generator = torch.Generator().manual_seed(seed)
    y, at = torch.randint(2, (n,), generator=generator), torch.randint(8, (n,), generator=generator)
    x = torch.zeros(n, 1, 8, 8, dtype=torch.uint8)
    for i in range(n):
        x[i, 0, at[i]] = 255
        if y[i]:
            x[i, 0] = x[i, 0].T.clone()
    return Batch(x=x, y=y)


@pytest.mark.parametrize(
    "game", [Autoencoder(z_dim=4, net=Codec(widths=(32,))), VAE(z_dim=4, net=Codec(widths=(32,)))], ids=["autoencoder", "vae"]
)
def test_codes_explain_pictures_of_the_class_asked_for(game: Autoencoder | VAE) -> None:
    space = Image(channels=1, height=8, width=8, classes=("row", "column"))
    engine = Engine(game, space, seed=0)
    losses = []
    for index in range(300):
        engine.round([stripes(32, index)])
        stats = engine.stats.flush()
        losses.append(stats["reconstruct/reconstruction"] if isinstance(game, Autoencoder) else stats["bound/nll"])
    assert sum(losses[-20:]) / 20 < (0.5 * losses[0] if isinstance(game, Autoencoder) else losses[0] - 1.0)
    y = torch.arange(64) % 2
    x = draw(game, engine.players.ema, space, 64, labels=y).float()[:, 0] / 255
    # A bright row is even along its rows: the spread lies between rows, not within them.
    across = x.mean(2).var(1) - x.mean(1).var(1)
    assert ((across > 0) == (y == 0)).float().mean() > 0.8


def test_the_gaussian_on_codes_is_that_of_the_codes() -> None:
    torch.manual_seed(0)
    prior = Sampler(torch.nn.Identity(), 3, 2)
    prior.decode = type("Code", (torch.nn.Module,), {"forward": lambda self, z, y=None: z})()
    mix = torch.tensor([[2.0, 0.0, 0.0], [1.0, 0.5, 0.0], [0.0, 0.0, 0.1]])
    y = torch.arange(4000) % 2
    codes = torch.randn(4000, 3) @ mix.T + 3 * y[:, None]
    for part in range(4):
        prior.take_in(codes[part::4].contiguous(), y[part::4].contiguous(), memory=1.0)
    prior.refresh()
    again = prior(torch.randn(20_000, 3), torch.ones(20_000, dtype=torch.long))
    own = codes[y == 1]
    assert torch.allclose(again.mean(0), own.mean(0), atol=0.1)
    assert torch.allclose(again.T.cov(), own.T.cov(), atol=0.15)


def test_the_gaussian_of_many_classes_keeps_them_apart() -> None:
    torch.manual_seed(0)
    prior = Sampler(torch.nn.Identity(), 16, 51)
    means = 3 * torch.randn(50, 16)
    for _ in range(40):
        y = torch.randint(50, (64,))
        prior.take_in(means[y] + 0.3 * torch.randn(64, 16), y, memory=1.0)
    prior.refresh()
    spread = (prior.factor @ prior.factor.mT).diagonal(dim1=1, dim2=2).mean(1).sqrt()
    assert torch.allclose(prior.mean[:50], means, atol=0.25)
    assert spread[:50].mean().item() == pytest.approx(0.3, abs=0.02)
    assert torch.allclose(prior.mean[50], prior.first.sum(0) / prior.count.sum())  # the one never seen
    assert prior.factor.isfinite().all()


def test_a_straight_flow_is_integrated_exactly() -> None:
    """Where the velocity is constant every solver is exact in one step; where it is x, the second-order ones err less."""
    for solver in ("euler", "midpoint", "heun"):
        p = Players(Flow(steps=1, solver=solver, net=FlatVelocity()).players(Vector()))
        p.G.velocity.forward = lambda x, t, y=None, keep=None: torch.ones_like(x)  # type: ignore[union-attr]
        assert torch.allclose(p.G(torch.zeros(2, 2)), torch.ones(2, 2))
    ends = {}
    for solver in ("euler", "midpoint", "heun"):
        p = Players(Flow(steps=4, solver=solver, net=FlatVelocity()).players(Vector()))
        p.G.velocity.forward = lambda x, t, y=None, keep=None: x  # type: ignore[union-attr]
        ends[solver] = abs(p.G(torch.ones(1, 2)).mean().item() - torch.e)
    assert ends["midpoint"] < 0.03 < ends["euler"]
    assert ends["heun"] < 0.03


def test_guidance_moves_along_the_difference_of_label_and_blank() -> None:
    space = Image(channels=1, height=8, width=8, classes=("a", "b"))
    ends = {}
    for guidance in (0.0, 1.0, 3.0):
        p = Players(Flow(steps=1, solver="euler", guidance=guidance).players(space))
        p.G.velocity.forward = lambda x, t, y=None, keep=None: torch.full_like(x, 1.0 if keep is None else 0.25)  # type: ignore[union-attr]
        ends[guidance] = p.G(torch.zeros(1, 1, 8, 8), torch.zeros(1, dtype=torch.long)).mean().item()
    assert ends == pytest.approx({0.0: 0.25, 1.0: 1.0, 3.0: 2.5})


def test_wrong_settings_say_what_to_do() -> None:
    with pytest.raises(InputError, match="--game.likelihood logistic is for pictures"):
        VAE(likelihood="logistic").players(Vector())
    with pytest.raises(InputError, match=r"--game.steps is 0; expected 1 or more"):
        Flow(steps=0).players(Vector())
    with pytest.raises(InputError, match="needs a network trained with blanked labels"):
        Flow(guidance=2.0, drop=0.0).players(Vector())
    with pytest.raises(InputError, match=r"unknown option '--game.stepps'.*mean '--game.steps'"):
        amended(Flow(), {"game.stepps": 3})
    with pytest.raises(InputError, match="VAE has nothing that can be changed"):
        amended(VAE(), {"game.beta": 3})
    changed, game = amended(Flow(), {"game.steps": 2, "game.solver": "midpoint"})
    assert changed == {"steps": 2}
    assert encode(game) == {**encode(Flow()), "steps": 2}


def test_the_velocity_that_is_learnt_is_data_minus_noise() -> None:
    """A network that knows data and noise has no loss; one that says nothing has the variance of both."""
    game = Flow(drop=0.0, net=FlatVelocity())
    p = Players(game.players(Vector()))
    real = Batch(x=torch.full((4096, 2), 3.0))
    torch.manual_seed(0)
    p.G.velocity.forward = lambda x, t, y=None, keep=None: (3.0 - x) / (1 - t)[:, None]  # type: ignore[union-attr]
    assert game.velocity(p, real, Clock())["velocity"].item() < 1e-6
    p.G.velocity.forward = lambda x, t, y=None, keep=None: torch.zeros_like(x)  # type: ignore[union-attr]
    assert game.velocity(p, real, Clock())["velocity"].item() == pytest.approx(10.0, rel=0.05)
