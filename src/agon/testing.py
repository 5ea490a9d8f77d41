"""Conformance: the laws every game and every space must obey, for your own tests too.

    from agon.testing import check_game
    def test_my_game(): check_game(MyGame(), Image(channels=1, height=16, width=16))

Each law is a function that raises AssertionError with what was expected and what came. `check_game` runs them all except the law of two
ranks, which needs processes: `check_ranks`.
"""

from __future__ import annotations

import math
import os
import socket
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from agon import ranks
from agon.config import decode, encode
from agon.engine import Engine
from agon.game import Batch, Game, Turn
from agon.layers.noise import Noise
from agon.layers.norms import MinibatchStd
from agon.props import Strength
from agon.sampling import draw, labels_for, needs_first
from agon.spaces import Space

COUPLED = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd, MinibatchStd, Noise)


def random_batch(space: Space, n: int, *, seed: int = 0) -> Batch:
    """A stored batch of random samples of this space, with random classes, tags or numbers if it has any."""
    generator = torch.Generator().manual_seed(seed)
    batch: dict[str, Any] = {"x": space.arbitrary(torch.rand(n, *space.shape, generator=generator))}
    if space.num_classes:
        batch["y"] = torch.randint(space.num_classes, (n,), generator=generator)
    elif space.condition_dim:
        batch["y"] = labels_for(space, n, seed=seed)
    return Batch(batch)


def check_game(game: Game, space: Space, *, batch: int = 8, rounds: int | None = None) -> None:
    """Raise AssertionError at the first law this game breaks on this space. batch: even; rounds: default covers every turn's interval."""
    rounds = rounds or min(2 * max(turn.every for turn in game.programme()) + 2, 34)
    check_json(game)
    check_movers(game, space, batch=batch)
    check_resume(game, space, batch=batch, rounds=rounds)
    check_microbatch(game, space, batch=batch)
    check_sampling(game, space)


def check_json(game: Game) -> None:
    """A game survives the way through JSON."""
    again = decode(type(game), encode(game))
    assert again == game, f"{type(game).__name__} changed on its way through JSON: {again} is not {game}"


def check_movers(game: Game, space: Space, *, batch: int = 8) -> None:
    """Only movers move: playing one turn changes each of its movers and no other parameter, and no averaged copy."""
    for index, turn in enumerate(game.programme()):
        engine = _engine(game, space)
        engine.turns = [_at_once(turn)]
        engine._losses = [engine._losses[index]]
        before = _weights(engine)
        engine.round(_batches(engine, space, batch, 0))
        after = _weights(engine)
        for name in engine.players:
            changed = any(not torch.equal(before[k], after[k]) for k in before if k.split("/")[0] == name)
            if turn.loss is not None and name in turn.moves:
                assert changed, f"turn '{turn.name}' moves '{name}', but none of its parameters changed"
            elif name not in turn.moves:
                assert not changed, f"turn '{turn.name}' changed '{name}', which it does not move"


def check_resume(game: Game, space: Space, *, batch: int = 8, rounds: int = 6) -> None:
    """Resuming at any round equals never having stopped, bit for bit."""
    engine = _engine(game, space)
    states = []
    for index in range(rounds):
        tensors, rest = engine.state()
        states.append(({k: v.clone() for k, v in tensors.items()}, rest))
        engine.round(_batches(engine, space, batch, index))
    final, _ = engine.state()
    for start in sorted({0, 1, rounds // 2, rounds - 1}):
        resumed = _engine(game, space, seed=0)
        tensors, rest = states[start]
        resumed.load_state(tensors, rest)
        for index in range(start, rounds):
            resumed.round(_batches(resumed, space, batch, index))
        again, _ = resumed.state()
        assert again.keys() == final.keys(), f"resumed at round {start}: other tensors, {sorted(again.keys() ^ final.keys())[:3]}"
        wrong = [k for k in final if not torch.equal(final[k], again[k])]
        assert not wrong, (
            f"resumed at round {start}, '{wrong[0]}' differs from the uninterrupted run; draw randomness from p.randn and the like"
        )


def check_microbatch(game: Game, space: Space, *, batch: int = 8, tolerance: float = 1e-2) -> None:
    """Two halves of a batch move the players, and what props keep of it, as the whole does.

    Not asked of players that couple samples (batch statistics) or drop units, nor of augmentation's strength, which looks at each part of a
    batch from that part's own midpoint.
    """
    if _coupled(game, space):
        return
    whole, halves = _engine(game, space), _engine(game, space, microbatch=batch // 2)
    for engine in (whole, halves):
        engine.round(_batches(engine, space, batch, 0))
    _assert_close(whole, _weights(halves), tolerance, "two halves of a batch", _engine(game, space))
    one, two, begin = (_kept(engine) for engine in (whole, halves, _engine(game, space)))
    for name in one:
        moved, gap = (float((a - b).abs().mean()) for a, b in ((one[name], begin[name]), (one[name], two[name])))
        assert gap <= max(tolerance * moved, 1e-6), (
            f"two halves of a batch left the buffer '{name}' {gap:.2g} from the whole, which moved it {moved:.2g}"
        )


def check_sampling(game: Game, space: Space) -> None:
    """Samples have the space's shape, depend on the seed alone, and leave the random state as it was."""
    engine = _engine(game, space)
    y = torch.arange(5) % space.num_classes if space.num_classes else labels_for(space, 5)
    begun = random_batch(space, 5, seed=1)["x"][:, 0] if needs_first(game) else None
    state = torch.get_rng_state()
    first = draw(game, engine.players.ema, space, 5, seed=3, labels=y, first=begun)
    assert torch.equal(state, torch.get_rng_state()), "sampling changed the random state of training"
    assert tuple(first.shape) == (5, *space.shape), f"samples have shape {tuple(first.shape)}, expected {(5, *space.shape)}"
    torch.rand(7)
    again = draw(game, engine.players.ema, space, 5, seed=3, labels=y, first=begun)
    assert torch.equal(first, again), "two samplings with one seed differ"
    fewer = draw(
        game, engine.players.ema, space, 2, seed=3, labels=None if y is None else y[:2], first=None if begun is None else begun[:2]
    )
    assert (first[:2].float() - fewer.float()).abs().max() <= 1, "the first two of five samples differ from two samples of the same seed"
    other = draw(game, engine.players.ema, space, 5, seed=4, labels=y, first=begun)
    assert not torch.equal(first, other), "two seeds gave the same samples"


def check_space(space: Space) -> None:
    """Stored samples survive the way to the network and back; pictures can be drawn; JSON keeps the space."""
    x = random_batch(space, 6)["x"]
    again = space.to_bytes(space.normalise(x))
    assert again.dtype == x.dtype, f"to_bytes gave {again.dtype}, stored samples are {x.dtype}"
    assert torch.allclose(again.float(), x.float(), atol=1e-5), "normalise and to_bytes are not inverse to each other"
    assert decode(type(space), encode(space)) == space, "the space changed on its way through JSON"
    with tempfile.TemporaryDirectory() as folder:
        assert space.render(x, Path(folder) / "grid.png").stat().st_size > 0, "render wrote nothing"


def check_ranks(games: Sequence[tuple[Game, Space]], *, batch: int = 8, rounds: int | Sequence[int] = 2, tolerance: float = 1e-2) -> None:
    """Two processes with half the batch each stay identical to each other, and match one with the whole batch to rounding.

    rounds: one number, or one a game; two processes serve them all.
    """
    import torch.multiprocessing as processes

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    played = [rounds] * len(games) if isinstance(rounds, int) else list(rounds)
    with tempfile.TemporaryDirectory() as folder:
        processes.spawn(_rank, args=(port, folder, list(games), batch, played), nprocs=2, join=True)
        for index, (game, space) in enumerate(games):
            name = type(game).__name__
            weights = [torch.load(Path(folder) / f"{index}-{rank}.pt", weights_only=True) for rank in range(2)]
            wrong = [k for k in weights[0] if not torch.equal(weights[0][k], weights[1][k])]
            assert not wrong, f"{name}: after {played[index]} rounds the two ranks differ in '{wrong[0]}'"
            if _coupled(game, space):
                continue
            alone = _engine(game, space)
            for number in range(played[index]):
                alone.round(_batches(alone, space, batch, number))
            _assert_close(alone, weights[0], tolerance, "two ranks", _engine(game, space))
            _assert_kept(alone, weights[0], tolerance, "two ranks", _engine(game, space))


def _rank(rank: int, port: int, folder: str, games: list[tuple[Game, Space]], batch: int, played: list[int]) -> None:
    os.environ.update(RANK=str(rank), WORLD_SIZE="2", LOCAL_RANK=str(rank), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    ranks.start("cpu")
    half = batch // 2
    for index, (game, space) in enumerate(games):
        engine = _engine(game, space)
        for number in range(played[index]):
            whole = _batches(engine, space, batch, number)
            engine.round([Batch({k: v[rank * half : (rank + 1) * half] for k, v in b.items()}) for b in whole])
        props = {name: net for name, net in engine.players.items() if name not in game.optim and not getattr(net, "per_rank", False)}
        kept = {f"{name}/{k}": v.clone() for name, net in props.items() for k, v in net.named_buffers()}
        torch.save(_weights(engine) | kept | _kept(engine), Path(folder) / f"{index}-{rank}.pt")
    ranks.stop()


def _engine(game: Game, space: Space, *, seed: int = 0, microbatch: int | None = None) -> Engine:
    return Engine(game, space, seed=seed, microbatch=microbatch)


def _batches(engine: Engine, space: Space, n: int, round: int) -> list[Batch]:
    return [random_batch(space, n, seed=1000 * round + k) for k in range(engine.batches_per_round)]


def _at_once(turn: Turn) -> Turn:
    """The turn, played in the first round whatever its interval."""
    return replace(turn, start=0, stop=math.inf)


def _weights(engine: Engine) -> dict[str, Tensor]:
    return {f"{name}/{k}": v.detach().clone() for name, net in engine.players.items() for k, v in net.named_parameters()}


def _kept(engine: Engine) -> dict[str, Tensor]:
    """Numbers that no optimiser moves: what props and networks keep of the batches they saw."""
    nets = {n: net for n, net in engine.players.items() if not isinstance(net, Strength) and not getattr(net, "per_rank", False)}
    return {f"{n}/{k}": b.clone() for n, net in nets.items() for k, b in net.named_buffers() if b.is_floating_point() and b.numel()}


def _coupled(game: Game, space: Space) -> bool:
    return any(isinstance(m, COUPLED) for net in game.cast(space).values() for m in net.modules())


def _assert_close(whole: Engine, other: dict[str, Tensor], tolerance: float, what: str, start: Engine) -> None:
    # Adam's first step is the sign of the gradient, so rounding shows on gradients near zero; the bound is on the mean, by player.
    one, begin = _weights(whole), _weights(start)
    for name in whole.players:
        keys = [k for k in one if k.split("/")[0] == name]
        if not keys:
            continue
        moved = torch.cat([(one[k] - begin[k]).abs().flatten() for k in keys]).mean().item()
        gap = torch.cat([(one[k] - other[k]).abs().flatten() for k in keys]).mean().item()
        assert gap <= max(tolerance * moved, 1e-8), f"{what} moved '{name}' {gap:.2g} away from the whole, which moved it {moved:.2g}"


def _assert_kept(whole: Engine, other: dict[str, Tensor], tolerance: float, what: str, start: Engine) -> None:
    one, begin = _kept(whole), _kept(start)
    for name in one:
        moved, gap = (float((one[name] - b[name]).abs().mean()) for b in (begin, other))
        assert gap <= max(tolerance * moved, 1e-6), f"{what} left the buffer '{name}' {gap:.2g} from the whole, which moved it {moved:.2g}"
