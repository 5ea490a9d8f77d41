"""Every legal pair of loss, penalty and network plays two rounds; every illegal one says why."""

from __future__ import annotations

import itertools
from typing import Any, get_args

import pytest
import torch

from agon import losses, penalties
from agon.engine import Engine
from agon.errors import InputError
from agon.estimators import Moments, MovingBaseline
from agon.game import Game
from agon.games.catgan import CatGAN
from agon.games.cot import CoT
from agon.games.gan import GAN, why_not
from agon.games.latent_text import LatentText
from agon.games.maligan import MaliGAN
from agon.games.relgan import RelGAN
from agon.games.seqgan import SeqGAN
from agon.games.video import VideoGAN
from agon.losses import Hinge, LeastSquares, Logistic, Loss, Relativistic, Wasserstein
from agon.networks import families
from agon.networks.biggan import BigGAN
from agon.networks.dcgan import DCGAN, PeerDCGAN
from agon.networks.fastgan import FastGAN
from agon.networks.mlp import MLP
from agon.networks.r3 import R3Lean, R3Paper
from agon.networks.sagan import SAGAN
from agon.networks.sngan import SNResNet
from agon.networks.stylegan2 import StyleGAN2
from agon.optim import Adam
from agon.penalties import (
    DRAGAN,
    R1,
    R2,
    AnyPenalty,
    GradientPenalty,
    LeCam,
    Orthogonal,
    PathLength,
    Reconstruction,
    SpectralNorm,
    WeightClip,
)
from agon.props import Running
from agon.spaces import Image, Space, Vector
from agon.testing import random_batch

SPACE = Image(channels=1, height=8, width=8, classes=("a", "b"))
QUIET = {k: Adam(lr=1e-4) for k in "GD"}

LOSSES: dict[str, Loss] = {
    "logistic": Logistic(),
    "saturating": Logistic(saturating=True),
    "least squares": LeastSquares(),
    "wasserstein": Wasserstein(),
    "hinge": Hinge(),
    "relativistic": Relativistic(),
    "relativistic average": Relativistic(averaged=True),
}
PENALTIES: dict[str, tuple[AnyPenalty, ...]] = {
    "none": (),
    "r1": (R1(),),
    "r1 lazily": (R1(every=2),),
    "r2": (R2(),),
    "r1+r2": (R1(), R2()),
    "gradient-penalty": (GradientPenalty(),),
    "dragan": (DRAGAN(),),
    "clip": (WeightClip(),),
    "spectral": (SpectralNorm(),),
    "lecam": (LeCam(),),
    "lecam lazily": (LeCam(every=2),),
    "path-length": (PathLength(every=2),),
    "orthogonal": (Orthogonal(),),
    "reconstruction": (Reconstruction(),),
}
# A new loss or penalty takes part as it is, without a row; what a row adds is settings that are not the defaults, and reasons by hand below.
LOSSES |= {kind.__name__: kind() for kind in get_args(losses.Loss) if kind not in {type(loss) for loss in LOSSES.values()}}
NEW = {kind for kind in get_args(penalties.AnyPenalty) if kind not in {type(p) for group in PENALTIES.values() for p in group}}
PENALTIES |= {kind.__name__: (kind(),) for kind in NEW}
NETWORKS: dict[str, Any] = {
    "mlp": MLP(width=16, depth=2),
    "dcgan": DCGAN(width=4),
    "dcgan spectral": DCGAN(width=4, critic_norm="spectral"),
    "dcgan bare": DCGAN(width=4, critic_norm="none"),
    "peer-dcgan": PeerDCGAN(),
    "r3-lean": R3Lean(widths=(8, 8)),
    "r3-paper": R3Paper(widths=(8, 8), group_width=4, blocks=1),
    "sngan": SNResNet(widths=(8,), critic_widths=(8,)),
    "sngan bare": SNResNet(widths=(8,), critic_widths=(8,), norm="none"),
    "sngan batch": SNResNet(widths=(8,), critic_widths=(8,), norm="batch"),
    "sagan": SAGAN(widths=(8,), critic_widths=(8,), attention=4),
    "biggan": BigGAN(widths=(8,), critic_widths=(8,), attention=4, label_dim=4),
    "stylegan2": StyleGAN2(base=64, most=8, w_dim=8),
    "stylegan2 deviation": StyleGAN2(base=64, most=8, w_dim=8, batch_std=4),
    "fastgan": FastGAN(widths=(8,), critic_widths=(8,), critic_grid=4),
}

PAIRS = sorted(
    # The first line holds the two grids of docs/papers/README.md (DCGAN bare and spectral) and the same on perceptrons.
    set(itertools.product(LOSSES, PENALTIES, ("mlp", "dcgan bare", "dcgan spectral")))
    | {("logistic", b, c) for b, c in itertools.product(PENALTIES, NETWORKS)}
    | {(a, "none", c) for a, c in itertools.product(LOSSES, NETWORKS)}
)


def game_of(loss: str, penalty: str, network: str) -> GAN:
    net = NETWORKS[network]
    return GAN(
        conditional=getattr(net, "conditional", True),
        z_dim=4,
        loss=LOSSES[loss],
        penalties=PENALTIES[penalty],
        net=net,
        optim=QUIET,
        ema={},
    )


def expected(loss: str, penalty: str, network: str) -> str | None:
    """A phrase of the reason for which this pair is refused, written down a second time and by hand; of a penalty without a row as it says itself."""
    unbound = {"none", "lecam", "lecam lazily", "path-length", "orthogonal", "reconstruction", *(k.__name__ for k in NEW if not k.bounds)}
    if loss == "wasserstein" and penalty in unbound and network not in SPECTRAL:
        return "nothing here bounds it"
    if penalty in ("gradient-penalty", "dragan") and network in {*COUPLED, "stylegan2 deviation"}:
        return "couples the samples of a batch"
    if penalty in ("r1", "r1 lazily", "r2", "r1+r2") and network in COUPLED:
        return "couples the samples of a batch"
    if penalty == "clip" and network in SPECTRAL:
        return "so it bounds nothing"
    if penalty == "spectral" and network in SPECTRAL:
        return "by itself"
    if penalty == "spectral" and network in {*COUPLED, "stylegan2 deviation"}:
        return "statistics of the batch"
    if penalty == "spectral" and network == "r3-paper":
        return "maps that are zero"
    if penalty == "spectral" and network in STYLED:
        return "scales its maps once more"
    if penalty == "path-length" and network not in STYLED:
        return "has no mapping network"
    if penalty == "reconstruction" and network not in DRAWING:
        return "has no decoders"
    return None


SPECTRAL = {"dcgan spectral", "sngan", "sagan", "biggan", "fastgan"}
COUPLED, STYLED, DRAWING = {"dcgan", "peer-dcgan", "sngan batch"}, {"stylegan2", "stylegan2 deviation"}, {"fastgan"}


def test_the_table_of_networks_is_complete() -> None:
    assert {type(net) for net in NETWORKS.values()} == set(families())


@pytest.mark.parametrize(("loss", "penalty", "network"), PAIRS)
def test_pair(loss: str, penalty: str, network: str) -> None:
    game, reason = game_of(loss, penalty, network), expected(loss, penalty, network)
    if reason is not None:
        with pytest.raises(InputError, match=reason):
            game.players(SPACE)
        return
    engine = Engine(game, SPACE, seed=0)
    for index in range(2):
        engine.round([random_batch(SPACE, 4, seed=index)])
    stats = engine.stats.flush()
    assert all(torch.isfinite(torch.tensor(value)) for value in stats.values())
    for part in PENALTIES[penalty]:
        turn = "lazy" if getattr(part, "every", 1) > 1 else {"D": "critic", "G": "generator"}[part.player]
        assert not part.terms or f"{turn}/{part.kind}" in stats
    assert not engine.notes, "an update was skipped"


ILLEGAL: dict[str, tuple[dict[str, Any], Space, str]] = {
    "twice": ({"penalties": (R1(), R1(every=4))}, SPACE, "'r1' is there twice"),
    "zero and one": ({"penalties": (R1(), GradientPenalty())}, SPACE, "slope to 0 and 'gradient-penalty' to 1"),
    "clip and spectral": ({"penalties": (WeightClip(), SpectralNorm())}, SPACE, "both bound the critic's slope"),
    "clip and penalty": ({"penalties": (WeightClip(), GradientPenalty())}, SPACE, "both bound the critic's slope"),
    "points": ({"net": DCGAN(width=4)}, Vector(dim=2), "take the network 'mlp'"),
    "no labels": ({"head": "auxiliary"}, SPACE.unlabelled(), "take the head 'none' or labelled data"),
    "unseen labels": ({"head": "none"}, SPACE, "the critic never sees"),
    "no place": ({"net": PeerDCGAN()}, SPACE, "has no place for a condition"),
    "no styles": ({"mixing": 0.5}, SPACE, "has no styles"),
}


@pytest.mark.parametrize("name", ILLEGAL)
def test_illegal_choices_say_why(name: str) -> None:
    fields, space, reason = ILLEGAL[name]
    game = GAN(conditional=True, **fields)
    with pytest.raises(InputError, match=reason) as refusal:
        game.players(space)
    assert str(refusal.value) == game.why_not(space)
    assert str(refusal.value).endswith(".")


IDLE = [game(n_critic=0) for game in (GAN, VideoGAN, RelGAN, CatGAN, SeqGAN, MaliGAN, LatentText)]


@pytest.mark.parametrize(
    "game", [*IDLE, GAN(n_critic=0, penalties=(WeightClip(),)), CoT(n_mediator=0)], ids=lambda game: type(game).__name__
)
def test_who_never_plays_is_refused(game: Game) -> None:
    """With a step after each play of the critic, no play at all was no turn at all."""
    with pytest.raises(InputError, match=r"--game.n_\w+ is 0; expected 1 play a round or more"):
        game.cast(SPACE)


@pytest.mark.parametrize("every", [0, -4])
@pytest.mark.parametrize("penalty", [R1, R2, GradientPenalty, DRAGAN, LeCam, PathLength, Orthogonal])
def test_a_penalty_that_is_never_played_is_refused(penalty: Any, every: int) -> None:
    """It was neither in the loss nor in a turn of its own, and bounded a Wasserstein critic on paper."""
    with pytest.raises(InputError, match=f"has every {every}; expected the rounds"):
        penalty(every=every)


@pytest.mark.parametrize("decay", [1.0, 1.5, -0.1])
@pytest.mark.parametrize("mean", [LeCam, PathLength, MovingBaseline, Moments, Running])
def test_a_mean_that_runs_away_is_refused(mean: Any, decay: float) -> None:
    with pytest.raises(InputError, match=f"has decay {decay:g}; expected the share"):
        mean(decay=decay)


def test_why_not_without_data() -> None:
    assert why_not(Wasserstein(), (GradientPenalty(),), MLP()) is None
    assert why_not(Wasserstein(), (), DCGAN(critic_norm="spectral")) is None
    assert "unbounded" in str(why_not(Wasserstein(), (), MLP()))


@pytest.mark.parametrize("head", ["projection", "concat", "auxiliary"])
@pytest.mark.parametrize("condition", ["classes", "tags", "numbers"])
def test_every_head_on_every_condition(head: str, condition: str) -> None:
    """The penalty is taken through whatever the head is, and the generator learns from it."""
    space = Image(channels=1, height=8, width=8, **{condition: ("a", "b", "c")})
    y = torch.arange(4) % 3 if condition == "classes" else torch.eye(3)[torch.arange(4) % 3]
    batch = {"x": random_batch(space.unlabelled(), 4)["x"], "y": y}
    game = GAN(conditional=True, z_dim=4, net=MLP(width=16, depth=2), head=head, penalties=(R1(), R2()), optim=QUIET)  # type: ignore[arg-type]
    engine = Engine(game, space)
    engine.round([batch])
    stats = engine.stats.flush()
    assert ("critic/aux" in stats) == ("generator/aux" in stats) == (head == "auxiliary")
    assert stats["G/grad"] > 0


def test_plays_of_the_critic_see_fresh_data_and_are_clipped_each_time() -> None:
    game = GAN(z_dim=4, loss=Wasserstein(), penalties=(WeightClip(bound=0.05),), net=MLP(width=8, depth=1), n_critic=3, optim=QUIET)
    engine = Engine(game, SPACE.unlabelled())
    assert engine.batches_per_round == 3
    assert [turn.name for turn in engine.turns] == ["critic", "clip"] * 3 + ["generator"]
    assert [turn.batch for turn in engine.turns] == [0, 0, 1, 1, 2, 2, 0]
    engine.round([random_batch(SPACE.unlabelled(), 4, seed=k) for k in range(3)])
    assert max(float(w.detach().abs().max()) for w in engine.players.D.parameters()) <= 0.05 + 1e-6
    assert engine.clock.seen == 12


def test_a_lazy_penalty_of_a_repeated_critic_keeps_its_weight() -> None:
    """Three plays a round, R1 every 2 rounds: the lazy term carries the weight of three plays, at twofold gain."""
    game = GAN(z_dim=4, net=MLP(width=8, depth=1), penalties=(R1(every=2),), n_critic=3, optim=QUIET)
    engine = Engine(game, SPACE.unlabelled())
    lazy = engine.turns[1]
    assert (lazy.every, lazy.gain, lazy.lazy) == (2, 2.0, True)
    batch = SPACE.unlabelled().ready(random_batch(SPACE.unlabelled(), 4))
    from agon.game import Batch

    assert lazy.loss is not None
    term = lazy.loss(engine.players, Batch(batch), engine.clock)["r1"]
    once = R1().term(game._view(engine.players, Batch(batch), engine.clock, [R1()]))
    assert float(term.detach()) == pytest.approx(3 * float(once.detach()), rel=1e-5)


@pytest.mark.parametrize("name", ["mlp", "r3-lean", "dcgan bare"])
def test_spectral_normalisation_bounds_any_critic(name: str) -> None:
    """Ten times the weights are the same critic, and no map stretches more than once."""
    game = GAN(conditional=True, z_dim=4, penalties=(SpectralNorm(),), net=NETWORKS[name])
    torch.manual_seed(0)
    critic = game.players(SPACE)["D"].eval()
    maps = [m for m in critic.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear | torch.nn.Embedding)]
    assert len(maps) > 2
    for layer in maps:
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1.0, abs=0.1)
    batch = SPACE.ready(random_batch(SPACE, 4))
    with torch.no_grad():
        before = critic(batch["x"], batch["y"])
        for layer in maps:
            layer.parametrizations.weight.original.mul_(10)  # type: ignore[union-attr]
        torch.testing.assert_close(critic(batch["x"], batch["y"]), before)
