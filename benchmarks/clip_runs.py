"""What clip recipes reach: moving-shapes by class, by caption and from a first frame, and actions with two actors kept back.

    python benchmarks/split_actions.py weizmann_actions_64.zip actions.zip
    python benchmarks/clip_runs.py run shapes --seed 0 --out runs/clips
    python benchmarks/clip_runs.py run actions --data actions.zip --recipe mocogan --cpu-seconds 600 --out runs/clips
    python benchmarks/clip_runs.py table

`run` trains one row, one thread, no scores on the way, goes on where it was stopped, scores the final averaged weights, and writes
benchmarks/results/clips/SET-RECIPE-SEED.json. With --cpu-seconds the rounds are planned to take that long (training alone counts), so that recipes
can be set beside each other. `table` prints what is there as Markdown.
"""

from __future__ import annotations

import argparse
import datetime
import json
import statistics
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from agon.data import Data
from agon.directory import RunDirectory
from agon.reproduce import commit, processor, spend
from agon.run import play, prepare
from agon.trained import load

RESULTS = Path(__file__).parent / "results" / "clips"
PROBE = (2, 8)  # rounds played before and while the clock runs
SHAPES = ("obeys", "formed", "scenes_kl", "content_distance", "motion_gap", "flicker", "nearest_clip", "clip_copies", "fd")
FILMS = ("fd", "kid", "prdc", "content_distance", "motion_gap", "flicker", "nearest_clip", "clip_copies")


@dataclass(frozen=True)
class Bed:
    """A set, how it is read, the recipe it is for, and what is measured on how many samples."""

    data: dict[str, Any] = field(default_factory=dict)
    recipe: str = "video"
    metrics: tuple[str, ...] = SHAPES
    num_samples: int = 1_000


BEDS = {
    "shapes": Bed(),
    "captions": Bed(data={"condition": "captions"}, recipe="video-text"),
    "first": Bed(recipe="video-first"),
    "actions": Bed(data={"frames": 16, "size": 64}, metrics=FILMS),
}


def settings(seed: int, rounds: int | None) -> dict[str, Any]:
    """What every row shares."""
    shared = {"seed": seed, "threads": 1, "device": "cpu", "score_every": 0, "tensorboard": False}
    return shared | ({} if rounds is None else {"rounds": rounds, "tick": max(1, rounds // 20), "save_every": max(1, rounds // 10)})


def planned(data: Data, recipe: str, cpu_seconds: float) -> int:
    """Rounds that take so many processor seconds."""
    with tempfile.TemporaryDirectory() as folder:
        low, high = PROBE
        directory, _ = prepare(data, out=Path(folder) / "probe", recipe=recipe, settings=settings(0, high) | {"tick": low})
        play(directory)
        ticks = {r["round"]: r["cpu_seconds"] for r in directory.events() if r["kind"] == "tick"}
    return max(10, round(cpu_seconds * (high - low) / (ticks[high] - ticks[low])))


def run(name: str, options: argparse.Namespace) -> None:
    """Train and score one row."""
    bed = BEDS[name]
    recipe = options.recipe or bed.recipe
    target = RESULTS / f"{name}-{recipe}-{options.seed}.json"
    directory = RunDirectory(options.out / f"{name}-{recipe}-{options.seed}")
    data = Data(path=options.data or "moving-shapes", **bed.data)
    if not directory.is_run():
        rounds = options.rounds or (planned(data, recipe, options.cpu_seconds) if options.cpu_seconds else None)
        prepare(data, out=directory.path, recipe=recipe, settings=settings(options.seed, rounds), command="benchmarks/clip_runs.py")
    if options.cpu_seconds:
        spend(directory, options.cpu_seconds)
    else:
        play(directory)
    trained = load(directory.path)
    scores = trained.evaluate(list(bed.metrics), num_samples=bed.num_samples, seed=0)
    ticks = [r for r in directory.events() if r["kind"] == "tick"]
    result = {
        "bed": name, "recipe": recipe, "seed": options.seed, "batch": trained.run.batch, "rounds": trained.round, "clips": trained.seen,
        "cpu_seconds": ticks[-1]["cpu_seconds"], "memory_mb": max(t["memory_mb"] for t in ticks),
        "scores": {s.name: {"value": s.value, "floor": s.floor, "text": str(s), "detail": s.extra} for s in scores},
        "parameters": {k: sum(p.numel() for p in m.parameters()) for k, m in trained.players.items()},
        "torch": torch.__version__, "machine": processor(), "date": datetime.date.today().isoformat(), "commit": commit(),
    }  # fmt: skip
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(result, indent=1) + "\n")
    for score in scores:
        print(score, flush=True)


def table() -> None:
    """A table for each set: figure ± spread over seeds, its floor or real value in brackets."""
    rows = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    for name in sorted({r["bed"] for r in rows}):
        mine = [r for r in rows if r["bed"] == name]
        names = [n for n in BEDS[name].metrics if any(n in r["scores"] for r in mine)]
        names += sorted({n for r in mine for n in r["scores"]} - set(names))
        print(f"\n### {name}\n\n| recipe | seeds | CPU-s | clips | clips/CPU-s | peak MB | " + " | ".join(names) + " |")
        print("|---" * (6 + len(names)) + "|")
        for recipe in sorted({r["recipe"] for r in mine}):
            seeds = [r for r in mine if r["recipe"] == recipe]
            cpu, clips = (statistics.mean(r[key] for r in seeds) for key in ("cpu_seconds", "clips"))
            cells = [figure([r["scores"][n] for r in seeds if n in r["scores"]]) for n in names]
            peak = statistics.mean(r["memory_mb"] for r in seeds)
            print(f"| {recipe} | {len(seeds)} | {cpu:.0f} | {clips:,.0f} | {clips / cpu:.3g} | {peak:.0f} | " + " | ".join(cells) + " |")


def figure(scores: list[dict[str, Any]]) -> str:
    """Mean ± sd (floor)."""
    if not scores:
        return "–"
    values = [s["value"] for s in scores]
    spread = f" ± {statistics.stdev(values):.2g}" if len(values) > 1 else ""
    floor = "" if scores[0]["floor"] is None else f" ({scores[0]['floor']:.3g})"
    return f"{statistics.mean(values):.3g}{spread}{floor}"


def main() -> None:
    """Run one row, or print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("run")
    one.add_argument("bed", choices=sorted(BEDS))
    one.add_argument("--data", help="the folder or zip of films, for actions")
    one.add_argument("--recipe")
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--rounds", type=int)
    one.add_argument("--cpu-seconds", type=float)
    one.add_argument("--out", type=Path, required=True)
    verbs.add_parser("table")
    options = parser.parse_args()
    if options.verb == "table":
        table()
        return
    torch.set_num_threads(1)
    run(options.bed, options)


if __name__ == "__main__":
    main()
