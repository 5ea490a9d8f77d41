"""What the engine costs, and what it buys: Agon's rounds against hand-written loops with the same networks and batch, interleaved.

    python benchmarks/engine.py [--blocks 15] [--rounds 4]

Three loops take turns in one process, a few rounds each, and processor time is compared block by block:
  agon       the engine, channels_last, statistics, finite check, averaged generator
  bare       a hand-written loop, channels_last, fused Adam, the same averaging, no statistics and no checks
  bare NCHW  the usual tutorial loop: contiguous tensors, default Adam, no averaging
The target is agon ≤ 1.03 × bare, and ≥ 1.25 × bare NCHW in images per second.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from agon.data import Data, Loader, open_data
from agon.engine import Engine
from agon.game import Game
from agon.games.gan import GAN
from agon.games.r3gan import R3GAN
from agon.networks.dcgan import PeerDCGAN
from agon.penalties import zero_centred

BATCH = 64


def hand_written(game: Game, engine: Engine, loader: Loader, *, channels_last: bool) -> Callable[[int], None]:
    """A loop a person would write for DCGAN or R3GAN with the engine's starting weights."""
    import copy

    layout = torch.channels_last if channels_last else torch.contiguous_format
    G, D = (copy.deepcopy(engine.players[k]).to(memory_format=layout) for k in "GD")  # type: ignore[call-overload]
    for p in (*G.parameters(), *D.parameters()):
        p.requires_grad_(True)
    average = copy.deepcopy(G).requires_grad_(False)
    spec = game.optim["G"]
    betas = (0.0, 0.9) if isinstance(game, R3GAN) else (0.5, 0.999)
    fused = {"fused": True} if channels_last else {}
    optimisers = {k: torch.optim.Adam(m.parameters(), lr=2e-4, betas=betas, eps=spec.eps, **fused) for k, m in (("G", G), ("D", D))}  # type: ignore[arg-type, union-attr]
    z_dim = game.z_dim  # type: ignore[attr-defined]

    def step(index: int) -> None:
        x = loader.round(index)[0]["x"].float().div(127.5).sub(1).contiguous(memory_format=layout)
        n = len(x)
        D.requires_grad_(True)
        with torch.no_grad():
            fake = G(torch.randn(n, z_dim))
        if isinstance(game, R3GAN):
            norms, logits = zero_centred(D, torch.cat([x, fake]))
            loss = F.softplus(logits[n:] - logits[:n]).mean() + 0.5 * (norms[:n].mean() + norms[n:].mean())
        else:
            loss = F.softplus(-D(x)).mean() + F.softplus(D(fake)).mean()
        optimisers["D"].zero_grad()
        loss.backward()
        optimisers["D"].step()
        D.requires_grad_(False)
        fake = G(torch.randn(n, z_dim))
        loss = F.softplus(D(x) - D(fake)).mean() if isinstance(game, R3GAN) else F.softplus(-D(fake)).mean()
        optimisers["G"].zero_grad()
        loss.backward()
        optimisers["G"].step()
        if channels_last:
            with torch.no_grad():
                torch._foreach_lerp_(list(average.parameters()), [*G.parameters()], 0.01)
            for kept, fresh in zip(average.buffers(), G.buffers(), strict=True):
                kept.copy_(fresh)

    return step


def compare(name: str, game: Game, blocks: int, rounds: int) -> None:
    """Interleave the three loops on 32×32 grey pictures and print their speeds and ratios."""
    data = open_data(Data(path="shapes", size=32, channels=1, labels="ignore", limit=2000))
    loader = Loader(data.train, BATCH, 0)
    engine = Engine(game, data.space)

    def agon(index: int) -> None:
        engine.round(loader.round(index))

    loops = {
        "agon": agon,
        "bare": hand_written(game, engine, loader, channels_last=True),
        "bare NCHW": hand_written(game, engine, loader, channels_last=False),
    }
    for loop in loops.values():
        loop(0)
    seconds: dict[str, list[float]] = {k: [] for k in loops}
    for block in range(blocks):
        order = list(loops)[block % 3 :] + list(loops)[: block % 3]
        for key in order:
            began = time.process_time()
            for k in range(rounds):
                loops[key](1 + block * rounds + k)
            seconds[key].append(time.process_time() - began)
    speed = {k: BATCH * rounds / statistics.median(v) for k, v in seconds.items()}
    ratios = [a / b for a, b in zip(seconds["agon"], seconds["bare"], strict=True)]
    gains = [b / a for a, b in zip(seconds["agon"], seconds["bare NCHW"], strict=True)]
    parameters = {k: sum(p.numel() for p in m.parameters()) for k, m in engine.players.items() if isinstance(m, nn.Module)}
    print(f"{name:12s} {parameters}  images/CPU-s: " + "  ".join(f"{k} {v:.1f}" for k, v in speed.items()))
    print(f"{'':12s} time over bare: {statistics.median(ratios):.3f}   speed over bare NCHW: {statistics.median(gains):.2f}", flush=True)


def main() -> None:
    """Print the table for DCGAN-32 and the lean R3GAN."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    torch.set_num_threads(1)
    compare("dcgan-peer", GAN(z_dim=100, net=PeerDCGAN()), options.blocks, options.rounds)
    compare("r3gan lean", R3GAN(), options.blocks, options.rounds)


if __name__ == "__main__":
    main()
