"""Run directories made by code, as `agon train` leaves them, for tests of whatever reads runs. No picture or file is stored."""

from __future__ import annotations

import functools
import json
import math
import random
import time
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFilter, ImageFont

from agon.records import append_jsonl

PROTOCOL = {
    "metric": "fd", "extractor": "classifier-128", "extractor_hash": "a13c9d02be77", "resize": "lanczos", "reference": "held",
    "reference_hash": "5be1f0c2a9d3", "num_samples": 6000, "seed": 0, "weights": "ema", "settings": "", "version": 1,
    "note": "accuracy 0.991",
}  # fmt: skip


def draw_grid(share: float, seed: int, tiles: int = 8, side: int = 32) -> Image.Image:
    """A grid of digits that come out of noise as `share` goes from 0 to 1."""
    clean, noise = _grids(seed, tiles, side)
    soft = clean.filter(ImageFilter.GaussianBlur(0.6 + 2.5 * (1 - share)))
    return Image.blend(noise, soft, min(1.0, 0.15 + share))


@functools.cache
def _grids(seed: int, tiles: int, side: int) -> tuple[Image.Image, Image.Image]:
    chance = random.Random(seed)
    clean = Image.new("L", (tiles * (side + 2) + 2,) * 2, 40)
    font = ImageFont.load_default(size=side * 0.85)
    for index in range(tiles * tiles):
        x, y = index % tiles, index // tiles
        tile = Image.new("L", (side, side), 0)
        ImageDraw.Draw(tile).text((side * 0.25 + chance.uniform(-2, 2), chance.uniform(-3, 1)), str(x % 10), 255, font=font)
        tile = tile.rotate(chance.uniform(-14, 14), resample=Image.Resampling.BICUBIC)
        clean.paste(tile, (2 + x * (side + 2), 2 + y * (side + 2)))
    return clean, Image.frombytes("L", clean.size, chance.randbytes(clean.width * clean.height))


def make_run(path: Path, *, rounds: int = 6000, end: str = "done", label: str = "", pictures: int = 25, now: float | None = None) -> Path:
    """A run directory as `agon train` leaves it: MNIST, R3GAN, a resume, a roll-back, a health sign. label: the first class's name."""
    chance = random.Random(1)
    begun = (time.time() if now is None else now) - 640
    (path / "samples").mkdir(parents=True)
    classes = [label or "0", *(str(digit) for digit in range(1, 10))]
    run = {
        "format": 1, "created": "2026-08-01T09:30:12+0000", "recipe": "r3gan",
        "game": {
            "name": "r3gan", "z_dim": 64, "gamma": 0.5, "conditional": True, "net": {"kind": "lean", "width": 48, "blocks": [2, 2, 2]},
            "optim": {"G": {"lr": 0.0004, "betas": [0.0, 0.99], "clip": None}, "D": {"lr": 0.0004, "betas": [0.0, 0.99], "clip": None}},
            "ema": {"G": {"half_life": 20000}},
        },
        "data": {"path": "data/mnist.zip", "size": 32, "channels": None, "resize": "cover", "filter": "lanczos", "labels": "auto",
                 "mirror": False, "holdout": 0.1, "limit": None, "memory": "auto"},
        "space": {"kind": "image", "channels": 1, "height": 32, "width": 32, "classes": classes, "resize": "cover", "filter": "lanczos"},
        "rounds": rounds, "batch": 64, "microbatch": None, "device": "auto", "precision": "auto", "channels_last": True, "compile": False,
        "seed": 0, "tick": rounds // 120, "score_every": rounds // 6, "save_every": rounds // 40, "metrics": ["fd", "prdc"],
        "extractor": "classifier", "num_samples": 10000, "keep": 2, "patience": 10, "class_share": [0.1] * 10,
        "reasons": {
            "resize": "cover: every image is square already", "size": "32: 28×28 images, next power of two",
            "recipe": "r3gan: 60,000 images of 32×32", "gamma": "0.5: 0.05 at 16×16 and batch 256, times the area",
            "device": "cpu: no CUDA device", "precision": "fp32: bf16 is slow on this CPU", "batch": "asked for",
        },
        "environment": {"python": "3.12.4", "torch": "2.13.0+cpu", "agon": "0.1.0", "platform": "Linux-6.1",
                        "cpu": "x86_64", "threads": 2,
                        "device": "cpu"},
        "command": "agon train data/mnist.zip --batch 64 --out runs/mnist-r3gan",
    }  # fmt: skip
    counts = [5400 + chance.randint(-500, 700) for _ in classes]
    card = {
        "path": "data/mnist.zip", "kind": "zip of images", "space": "32×32 grey images, 10 classes", "content_hash": "5be1f0c2a9d35be1",
        "num_items": 60000, "num_train": 53998, "num_held": 6000, "split": "53998 to train, 6000 held back: by content hash, holdout 0.1",
        "size": [32, 32], "channels": 1, "resize": "cover", "filter": "lanczos", "mirror": False,
        "labels": {"used": True, "origin": "class folders", "classes": classes, "counts": counts,
                   "held_counts": [count // 9 for count in counts], "balance": round(min(counts) / max(counts), 4)},
        "median_short_side": 28.0, "sizes": {"28×28": 59998}, "num_sizes": 1, "modes": {"L": 59990, "RGB": 8}, "formats": {"PNG": 59998},
        "animated": 0, "num_unreadable": 2, "ignored": {".txt": 1}, "duplicates": 0, "notes": [],
        "unreadable": [["train/3/000123.png", "truncated after 211 of 402 bytes"], [f"train/{label or '7'}/broken.png", "zero bytes"]],
    }  # fmt: skip
    (path / "run.json").write_text(json.dumps(run), "utf-8")
    (path / "data.json").write_text(json.dumps(card), "utf-8")
    write_rows(path, rounds, begun, chance, end)
    stops = [round(rounds * i / max(1, pictures - 1)) for i in range(pictures)]
    for at in stops:
        draw_grid(1 - math.exp(-4 * at / rounds), seed=3).save(path / "samples" / f"{at:08d}.png")
    return path


def write_rows(path: Path, rounds: int, begun: float, chance: random.Random, end: str) -> None:
    """events.jsonl and metrics.jsonl."""
    events, seconds = path / "events.jsonl", 0.0

    def event(round: int, kind: str, **more: Any) -> None:
        append_jsonl(events, {"time": round_s(begun + seconds), "round": round, "seen": round * 64, "kind": kind, **more})

    event(0, "start", seed=0, space="32×32 grey images, 10 classes")
    for at in range(0, rounds + 1, rounds // 120):
        share, wobble = at / rounds, chance.gauss(0, 1)
        seconds = 600 * share
        if at == rounds // 3:
            event(at, "resume")
        if at == rounds // 2:
            for number in range(4):
                event(at, "skip", player="D", in_a_row=number + 1, skipped=number + 1)
            event(
                at,
                "rollback",
                failed=at + 31,
                attempt=1,
                sentence="10 updates in a row were not finite; back to the last state with other noise",
            )
        gap = 2.2 * (1 - math.exp(-5 * share)) + 0.1 * wobble
        stats = {
            "critic/adv": 1.38 - 0.5 * (1 - math.exp(-6 * share)) + 0.03 * wobble,
            "critic/r1": 0.2 * math.exp(-4 * share) + 0.004 * abs(wobble) + 0.01,
            "critic/r2": 0.15 * math.exp(-3 * share) + 0.003 * abs(wobble) + 0.01,
            "generator/adv": 0.7 + 0.6 * share + 0.06 * chance.gauss(0, 1),
            "D/grad": 0.8 + 0.5 * share + 0.1 * abs(wobble), "G/grad": 0.3 + 0.15 * share + 0.05 * abs(chance.gauss(0, 1)),
            "D/real": gap / 2, "D/fake": -gap / 2, "D/held": gap / 2 - 0.6 * share**2, "D/accuracy real": 0.5 + 0.35 * share,
            "D/accuracy fake": 0.5 + 0.33 * share, "D/accuracy held": 0.5 + 0.25 * share,
            "sample/diversity": 0.62 - 0.3 * math.exp(-9 * share),
            "real/diversity": 0.66, "sample/saturation": 0.5 * share, "real/saturation": 0.61, "sample/finite": 1.0,
        }  # fmt: skip
        rate = None if at == 0 else 640 + 12 * chance.gauss(0, 1)
        event(
            at,
            "tick",
            stats=stats,
            rate=rate,
            seconds=seconds,
            cpu_seconds=seconds * 1.9,
            memory_mb=512 + 60 * min(1, 9 * share),
            skipped=0,
        )
        if at and at % (rounds // 6) == 0:
            seconds_at = {"round": at, "seen": at * 64, "seconds": seconds, "cpu_seconds": seconds * 1.9}
            value = 9 + 190 * math.exp(-7 * share) + (3.4 if share == 1 else 0)
            append_jsonl(
                path / "metrics.jsonl",
                {
                    **seconds_at,
                    "name": "fd",
                    "value": value,
                    "floor": 2.13,
                    "protocol": PROTOCOL,
                    "higher_is_better": False,
                    "sight": "ssssb",
                },
            )
            for name, best, floor in (("precision", 0.81, 0.93), ("recall", 0.55, 0.92), ("density", 0.77, 1.01), ("coverage", 0.74, 0.96)):
                row = {
                    "name": name,
                    "value": best * (1 - math.exp(-5 * share)),
                    "floor": floor,
                    "protocol": {**PROTOCOL, "metric": "prdc", "settings": "k=3 P/R, k=5 D/C"},
                }
                sight = "ssssb" if name in ("recall", "coverage") else "ssbbb"
                append_jsonl(path / "metrics.jsonl", {**seconds_at, **row, "higher_is_better": True, "sight": sight})
    remedy = "agon train data/mnist.zip --batch 64 --out runs/mnist-r3gan --game.gamma 2 --mirror"
    for at in (rounds * 7 // 10, rounds * 9 // 10):
        event(at, "health", sign="discriminator overfitting", remedy=remedy,
              sentence="The critic has learnt the training samples by heart: it takes unseen real ones for fakes.",
              evidence="held-out reals lie 38% of the way from fakes to training reals (53,998 training samples)")  # fmt: skip
    if end in ("done", "stop"):
        event(rounds, "save")
        event(rounds, end)


def round_s(seconds: float) -> float:
    return round(seconds, 3)
