"""What clip generators and critics cost: a full round of every pair at 32×32×16, and the default recipe beside MoCoGAN as published.

    python benchmarks/clips.py [--size 32] [--frames 16] [--batch 16] [--blocks 2] [--recipes] [--only gru stylegan-v …]

Printed: parameters, clips per CPU-second of a round (critic once, generator once, one thread, median over blocks taken in turn), and the peak
memory of a process that plays this pair alone (Linux). Critics without batch statistics are played with R1 and R2, the others without
penalties, as each would be used. With --recipes: whole recipes at their own settings and batch, and their ratio to `mocogan`. Random clips of
four classes; what is learnt is not measured here.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from agon import recipes
from agon.engine import Engine
from agon.games.video import VideoGAN
from agon.losses import Logistic, Relativistic
from agon.networks import clips
from agon.penalties import R1, R2
from agon.spaces import Video
from agon.testing import random_batch

RECIPES = ("mocogan", "video", "video-first", "video-former", "stylegan-v", "dvd-gan", "vgan")


def pairs(only: list[str] | None) -> list[str]:
    """GENERATOR/CRITIC of every kind, at their defaults."""
    kinds = [net().kind for net in clips.generators()]
    judges = [net().kind for net in clips.critics()]
    return [f"{a}/{b}" for a in kinds for b in judges if not only or a in only or b in only]


def game_of(name: str) -> VideoGAN:
    """The game of a pair."""
    generator, critic = name.split("/")
    net = next(found for found in clips.generators() if found().kind == generator)()
    judge = next(found for found in clips.critics() if found().kind == critic)()
    if judge.couples_samples:
        return VideoGAN(net=net, judges=(judge,), loss=Logistic(), penalties=())
    return VideoGAN(net=net, judges=(judge,), loss=Relativistic(), penalties=(R1(), R2()))


def engine_of(name: str, space: Video, batch: int) -> tuple[Engine, int]:
    """The engine of a pair, or of a recipe at its own batch, and that batch."""
    if "/" in name:
        return Engine(game_of(name), space), batch
    found = recipes.find(name).build(recipes.Situation(space=space, count=4_000, device="cpu", rounds=100))
    assert isinstance(found.game, VideoGAN)
    return Engine(found.game, found.game.sees(space)), found.batch


def rounds(engine: Engine, batch: int, count: int) -> None:
    """Play on random clips."""
    for index in range(count):
        engine.round([random_batch(engine.space, batch, seed=10 * index + k) for k in range(engine.batches_per_round)])


def peak_mb(name: str, options: Any) -> float:
    """Peak resident memory in MB of a fresh process that plays two rounds."""
    sizes = ["--size", options.size, "--frames", options.frames, "--batch", options.batch]
    command = [sys.executable, __file__, "--peak", name, *map(str, sizes)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--blocks", type=int, default=2)
    parser.add_argument("--recipes", action="store_true", help="whole recipes instead of pairs")
    parser.add_argument("--only", nargs="+", help="kinds of generators or critics, or names of recipes")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    space = Video(frames=options.frames, channels=3, height=options.size, width=options.size, classes=("a", "b", "c", "d"))
    if options.peak:
        engine, batch = engine_of(options.peak, space, options.batch)
        rounds(engine, batch, 2)
        # Not getrusage: a child starts with its parent's peak there.
        status = Path("/proc/self/status").read_text("ascii")
        print(int(status.split("VmHWM:")[1].split()[0]) / 1024)
        return
    names = list(options.only or RECIPES) if options.recipes else pairs(options.only)
    print(f"torch {torch.__version__}, one thread, {options.size}×{options.size}×{options.frames}")
    print(f"{'':28s} {'batch':>5s} {'G':>10s} {'D':>10s} {'clips/CPU-s':>12s} {'spread':>13s} {'ratio':>6s} {'peak MB':>8s}")
    seconds: dict[str, list[float]] = {name: [] for name in names}
    facts: dict[str, tuple[int, int, int]] = {}
    for block in range(options.blocks):  # every pair once in each block, so that a loaded machine slows all alike
        for name in names:
            engine, batch = engine_of(name, space, options.batch)
            size = {key: sum(p.numel() for p in net.parameters()) for key, net in engine.players.items()}
            facts[name] = (batch, size["G"], size["D"])
            if block == 0 or not options.recipes:
                rounds(engine, batch, 1)  # the first round warms up
            began = time.process_time()
            rounds(engine, batch, 1)
            seconds[name].append((time.process_time() - began) / batch)
    base = statistics.median(seconds["mocogan"]) if "mocogan" in seconds else None
    for name in names:
        batch, g, d = facts[name]
        each = [1 / s for s in seconds[name]]
        ratio = f"{base / statistics.median(seconds[name]):6.2f}" if base else "     –"
        speed = f"{statistics.median(each):12.2f} {min(each):6.2f}-{max(each):6.2f}"
        print(f"{name:28s} {batch:5d} {g:10,d} {d:10,d} {speed} {ratio} {peak_mb(name, options):8.0f}", flush=True)


if __name__ == "__main__":
    main()
