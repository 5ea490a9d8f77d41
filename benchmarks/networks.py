"""What each network family costs at its default size: a full round of a hinge game at 32×32.

    python benchmarks/networks.py [--rounds 2] [--batch 32] [--channels 1 3] [--only sngan …]

Printed: parameters of both players, images per CPU-second of a round (critic once, generator once, one thread, median over blocks taken in
turn), and the peak memory of a process that builds and plays this family alone (Linux). Labels are not used; no penalty is played.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from agon import losses
from agon.engine import Engine
from agon.game import Batch, Clock, Game, Players, Terms, Turn
from agon.networks import MLP, Network, families
from agon.optim import Adam
from agon.spaces import Image, Space
from agon.testing import random_batch

Z_DIM = 64


@dataclass(frozen=True, kw_only=True)
class Hinge(Game):
    """The plainest game, so that the networks are what is measured."""

    net: Network = field(default_factory=MLP)
    optim: Mapping[str, Adam] = field(default_factory=lambda: {k: Adam() for k in "GD"})

    def players(self, space: Space) -> dict[str, nn.Module]:
        return {"G": self.net.generator(Z_DIM, space), "D": self.net.critic(space)}

    def turns(self) -> list[Turn]:
        return [Turn(self.critic, "D"), Turn(self.generator, "G")]

    def critic(self, p: Players, real: Batch, t: Clock) -> Terms:
        return {"adv": losses.hinge_d(p.D(real["x"]), p.D(self.sample(p, len(real["x"]))))}

    def generator(self, p: Players, real: Batch, t: Clock) -> Terms:
        return {"adv": losses.hinge_g(p.D(self.sample(p, len(real["x"]))))}

    def sample(self, p: Players, n: int, *, z: Tensor | None = None, given: Batch | None = None) -> Tensor:
        return p.G(p.randn(n, Z_DIM) if z is None else z)


def engine_of(kind: str, channels: int) -> Engine:
    """The engine of a family at its defaults."""
    net = next(family for family in families() if family().kind == kind)()
    return Engine(Hinge(net=net), Image(channels=channels, height=32, width=32))


def peak_mb(kind: str, channels: int, batch: int) -> float:
    """Peak resident memory in MB of a fresh process that plays two rounds."""
    command = [sys.executable, __file__, "--peak", kind, "--channels", str(channels), "--batch", str(batch)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2, help="rounds of a block")
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--channels", type=int, nargs="+", default=[1, 3])
    parser.add_argument("--only", nargs="+", help="kinds; default: all but the published size of R3GAN")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.peak:
        engine = engine_of(options.peak, options.channels[0])
        for index in range(2):
            engine.round([random_batch(engine.space, options.batch, seed=index)])
        # Not getrusage: a child starts with its parent's peak there.
        status = Path("/proc/self/status").read_text("ascii")
        print(int(status.split("VmHWM:")[1].split()[0]) / 1024)
        return
    kinds = options.only or [family().kind for family in families() if family().kind != "r3-paper"]
    print(f"{'family':12s} {'channels':>8s} {'G':>10s} {'D':>10s} {'images/CPU-s':>13s} {'peak MB':>8s}   batch {options.batch}")
    for channels in options.channels:
        engines = {kind: engine_of(kind, channels) for kind in kinds}
        seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
        for block in range(options.blocks + 1):  # the first block warms up
            for kind, engine in engines.items():
                data = [random_batch(engine.space, options.batch, seed=k) for k in range(options.rounds)]
                began = time.process_time()
                for batch in data:
                    engine.round([batch])
                if block:
                    seconds[kind].append(time.process_time() - began)
        for kind, engine in engines.items():
            size = {name: sum(p.numel() for p in net.parameters()) for name, net in engine.players.items()}
            speed = options.batch * options.rounds / statistics.median(seconds[kind])
            peak = peak_mb(kind, channels, options.batch)
            print(f"{kind:12s} {channels:8d} {size['G']:10,d} {size['D']:10,d} {speed:13.1f} {peak:8.0f}", flush=True)


if __name__ == "__main__":
    main()
