"""The zoo's protocol, and a published row repeated by it.

A row is one recipe on one set of pictures at 32×32, one thread on the CPU. Training alone counts (rounds; no scores, no pictures); then 10,000
samples of the final averaged weights are scored, or as many as the reference allows. The benchmark gives every row the same processor
time: it plays a few rounds to learn what one costs and sets the number of rounds so that the recipe's schedules span the budget. A repeat plays
the published number of rounds instead, whatever they take here, so that the same machine and versions give the same weights.

On a GPU the time is the clock's, read when the device has done what it was given, and the row tells what it computes a round (`flops`).
"""

from __future__ import annotations

import datetime
import math
import platform
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch

from agon.catalogue import Row
from agon.data import Data
from agon.device import choose_device
from agon.directory import RunDirectory
from agon.errors import InputError
from agon.flops import Counted
from agon.run import Say, data_of, game_class, play, prepare, run_from_json, stage
from agon.trained import load

METRICS = ["fd", "prdc", "classes"]
OF_CLASSES = ["class_accuracy"]  # besides, where the generator is asked for a class
SIZE = 32
NUM_SAMPLES = 10_000
PROBE = (5, 25)  # rounds played before and while the clock runs
QUICK = 0.02  # share of the rounds, and of the samples, in a quick repeat
LEAST_ROUNDS = 20
COUNTED_ROUNDS = 16  # a whole period of what is done every 4, 8 or 16 rounds


# -- the protocol --------------------------------------------------------------------------------------------------------------------


def settings_for(seed: int, rounds: int, device: str = "cpu") -> dict[str, Any]:
    """What every row shares: one thread, few ticks, no scores on the way."""
    return {
        "seed": seed, "threads": 1, "device": device, "metrics": METRICS, "score_every": 0, "tensorboard": False, "rounds": rounds,
        "tick": max(1, rounds // 20), "save_every": max(1, rounds // 20),
    }  # fmt: skip


def clock_of(device: str) -> str:
    """By which of a tick's times a row is measured: the processor's on a CPU, the clock's on a GPU, which alone it is to have."""
    return "cpu_seconds" if device == "cpu" else "seconds"


def seconds_a_round(data: str, recipe: str, device: str = "cpu") -> float:
    """Seconds of one round, after a few to warm up."""
    with tempfile.TemporaryDirectory() as folder:
        low, high = PROBE
        directory, _ = prepare(
            Data(path=data, size=SIZE), out=Path(folder) / "probe", recipe=recipe, settings=settings_for(0, high, device) | {"tick": low}
        )
        play(directory)
        ticks = {r["round"]: r[clock_of(device)] for r in directory.events() if r["kind"] == "tick"}
    return (ticks[high] - ticks[low]) / (high - low)


def begin(data: str, recipe: str, seed: int, rounds: int, out: Path, command: str, device: str = "cpu") -> RunDirectory:
    """A run directory of the protocol; its run.json keeps the number of rounds that the schedules were made for."""
    directory, _ = prepare(Data(path=data, size=SIZE), out=out, recipe=recipe, settings=settings_for(seed, rounds, device), command=command)
    directory.write("run.json", {**directory.run(), "planned_rounds": rounds})
    return directory


def train(directory: RunDirectory, budget: float | None = None) -> None:
    """Play on, up to so many seconds of training. Raises KeyboardInterrupt where a signal stopped it, with everything saved: half a row is not scored."""
    by_clock = _clock(directory) == "seconds"
    if play(directory, cpu_budget=None if by_clock else budget, wall_budget=budget if by_clock else None).asked:
        raise KeyboardInterrupt


def spend(directory: RunDirectory, seconds: float) -> None:
    """Train until the time is used up: the rounds planned, then more at the end values of the schedules."""
    train(directory, 1.1 * seconds)
    top_up(directory, seconds)


def top_up(directory: RunDirectory, seconds: float) -> None:
    """Train a finished run on where it took less time than this."""
    for _ in range(4):
        content, spent = directory.run(), spent_seconds(directory)
        if spent >= seconds:
            break
        lengthen(directory, content["rounds"] + math.ceil(content["rounds"] * (seconds / spent - 1)) + 1)
        train(directory, 1.1 * seconds)


def lengthen(directory: RunDirectory, rounds: int) -> None:
    """Let a run go on up to so many rounds; its schedules stay as they were made."""
    directory.write("run.json", {**directory.run(), "rounds": rounds})


def spent_seconds(directory: RunDirectory) -> float:
    """Seconds of training at the last tick."""
    return float([r for r in directory.events() if r["kind"] == "tick"][-1][_clock(directory)])


def _clock(directory: RunDirectory) -> str:
    return clock_of(device_of(directory))


def device_of(directory: RunDirectory) -> str:
    """The device that a run is trained on here."""
    return choose_device(directory.run()["device"]).value


def flops_a_round(directory: RunDirectory) -> float:
    """Floating-point operations of one round of a run, the mean of its first sixteen, which are played beside it from its start."""
    content = directory.run()
    run = run_from_json(content, game_class(directory, content))
    engine, loader = stage(run, data_of(directory, content, run.data))
    with Counted() as counted:
        for round in range(COUNTED_ROUNDS):
            engine.round(loader.round(round))
    return counted.flops / COUNTED_ROUNDS


def figures(directory: RunDirectory, set_name: str, recipe: str, seed: int, *, num_samples: int = NUM_SAMPLES) -> dict[str, Any]:
    """Score a trained row: the figures of one seed as the benchmark keeps them."""
    device = device_of(directory)
    trained = load(directory.path, device=device)
    began, cpu_began = time.perf_counter(), time.process_time()
    trained.sample_stored(256, seed=1)  # brought back to memory, so that a GPU is done with them
    sampling, sampling_on_cpu = 256 / (time.perf_counter() - began), 256 / (time.process_time() - cpu_began)
    conditional = bool(trained.game.sees(trained.space).num_classes)
    names = METRICS + (OF_CLASSES if conditional else [])
    scores = {s.name: s for s in trained.evaluate(names, num_samples=num_samples, seed=0)}
    ticks = [r for r in directory.events() if r["kind"] == "tick"]
    spent, seconds = ticks[-1]["cpu_seconds"], ticks[-1]["seconds"]
    by_clock: dict[str, Any] = {}
    if clock_of(device) == "seconds":
        flops, made_with = flops_a_round(directory), trained.content["environment"]
        by_clock = {
            "seconds": seconds, "images_per_second": trained.seen / seconds, "samples_per_second": sampling, "flops_a_round": flops,
            "flops_per_second": flops * trained.round / seconds, "device": made_with["device"], "arithmetic": made_with["precision"],
        }  # fmt: skip
    return by_clock | {s.name: s.value for s in scores.values()} | {
        "set": set_name, "recipe": recipe, "seed": seed, "floor": scores["fd"].floor, "protocol": str(scores["fd"]), "batch": trained.run.batch,
        "rates": {name: spec["lr"] for name, spec in trained.content["game"]["optim"].items()},
        "rounds": trained.round, "planned_rounds": trained.content.get("planned_rounds"), "images": trained.seen, "cpu_seconds": spent,
        "images_per_cpu_second": trained.seen / spent, "samples_per_cpu_second": sampling_on_cpu, "memory_mb": peak_mb(directory),
        "parameters": {k: sum(p.numel() for p in m.parameters()) for k, m in trained.players.items()},
        "conditional": conditional, "content_hash": trained.content["content_hash"],
        "signs": signs(directory), "doctor_share": round(ticks[-1]["health_seconds"] / ticks[-1][clock_of(device)], 4),
        "torch": torch.__version__, "machine": processor(), "date": datetime.date.today().isoformat(), "commit": commit(),
    }  # fmt: skip


def peak_mb(directory: RunDirectory) -> float:
    """The peak of memory of a run's first stretch, in MB: a process that goes on with a run may hold what it played before as well."""
    peaks: list[float] = []
    for row in directory.events():
        if row["kind"] == "tick":
            peaks.append(row["memory_mb"])
        elif row["kind"] == "resume" and peaks:
            break
    return max(peaks)


def signs(directory: RunDirectory) -> dict[str, float]:
    """What the doctor told during a run, each sign with the share of the rounds after which it told it first."""
    rounds, fired = directory.run()["rounds"], dict[str, float]()
    for row in directory.events():
        if row["kind"] == "health":
            fired.setdefault(row["sign"], round(row["round"] / rounds, 3))
    return fired


def processor() -> str:
    """The processor by its model name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def commit() -> str:
    """The commit of the source, or the version where it is no checkout."""
    from agon import __version__

    try:
        done = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent, check=False
        )
    except OSError:
        return __version__
    return done.stdout.strip() or __version__


# -- repeating a row -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Repeat:
    """A published row and what it gave here. caveats: why the two are not to be compared; none if they are."""

    row: Row
    results: list[dict[str, Any]]
    caveats: list[str]

    @property
    def fd(self) -> float:
        """The mean of the seeds played."""
        return mean(r["fd"] for r in self.results)

    @property
    def difference(self) -> float | None:
        """(ours - published) in the published standard deviation; None where that is not known or zero."""
        return (self.fd - self.row.score.mean) / self.row.score.sd if self.row.score.sd else None

    def lines(self) -> list[tuple[str, str]]:
        """Each seed and the whole, beside what was published, as (name, text)."""
        told = []
        for result in self.results:
            published = self.row.each.get(str(result["seed"]))
            beside = f"; published {published['score']:.4g}" if published else "; this seed was not published"
            told.append(
                (
                    f"seed {result['seed']}",
                    f"FD {result['fd']:.4g}{beside} ({result['rounds']:,} rounds, {result['cpu_seconds']:.0f} CPU-s)",
                )
            )
        fds = [r["fd"] for r in self.results]
        ours = f"{self.fd:.4g}" + (f" ± {stdev(fds):.2g}" if len(fds) > 1 else "")
        score = self.row.score
        theirs = f"{score.mean:.4g}" + ("" if score.sd is None else f" ± {score.sd:.2g}")
        told.append(("ours", f"FD {ours} over {_seeds([r['seed'] for r in self.results])}"))
        told.append(
            (
                "published",
                f"FD {theirs} over {_seeds(self.row.seeds)}, {self.row.figures['date']}, {self.row.figures['machine']}, torch {self.row.figures['torch']}",
            )
        )
        if self.caveats:
            told += [("caution", f"not comparable: {caveat}") for caveat in self.caveats]
        elif self.difference is not None:
            told.append(("difference", f"{self.difference:+.2f} of the published standard deviation"))
        else:
            told.append(
                ("difference", f"{self.fd - score.mean:+.3g}; one seed was published, so there is no standard deviation to measure it by")
            )
        return told


def _network_of(protocol: str) -> str:
    """What a score was measured by, with the hash of its weights, e.g. 'classifier@01f9b2': the second part of a stamp."""
    return protocol.split(" · ")[1].split(" (")[0]


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def repeat(row: Row, data: str, out: Path, *, seeds: Sequence[int] | None = None, scale: float = 1.0, say: Say | None = None) -> Repeat:
    """Train and score a published row again, each seed in out/SET/RECIPE-SEED; a run that is there goes on where it stopped.

    scale: share of the published rounds and samples; below 1 the result is not comparable, and says so. Raises InputError.
    """
    from agon.data import open_data

    say = say or (lambda name, text: None)
    if row.command:
        raise InputError(f"row '{row.name}' is repeated by its own benchmark, in a checkout of the source: {row.command}")
    if not 0 < scale <= 1:
        raise InputError(f"--budget-scale is {scale}; expected above 0, up to 1.")
    chosen = list(dict.fromkeys(seeds if seeds else row.seeds))
    found, wanted = open_data(Data(path=data, size=SIZE)).content_hash, row.figures["content_hash"]
    caveats = []
    if found != wanted:
        caveats.append(f"the data at '{data}' differ from the published row's (content {found}, was {wanted})")
    if "‡" in row.score.name:
        caveats.append("the published row was played at the paper's learning rates, and the recipe's are higher now")
    if scale < 1:
        caveats.append(f"a share of {scale:g} of the published rounds and samples was used")
    for caveat in caveats:
        say("caution", caveat)
    torch.set_num_threads(1)
    results = []
    for seed in chosen:
        # A seed that was not published takes the length of the first that was.
        like = row.each.get(str(seed)) or row.each[str(row.seeds[0])]
        rounds, planned = (max(LEAST_ROUNDS, round(scale * (like[k] or like["rounds"]))) for k in ("rounds", "planned_rounds"))
        directory = RunDirectory(out / row.set / (f"{row.recipe}-{seed}" if scale == 1 else f"{row.recipe}-{seed}-x{scale:g}"))
        if not directory.is_run():
            begin(data, row.recipe, seed, planned, directory.path, f"agon reproduce {row.name} --data {data} --seed {seed}")
        say("run", f"{directory.path}: {rounds:,} rounds")
        if directory.run()["rounds"] != rounds:
            lengthen(directory, rounds)
        train(directory)
        results.append(figures(directory, row.set, row.recipe, seed, num_samples=max(256, round(scale * NUM_SAMPLES))))
        measured, published = (_network_of(found["protocol"]) for found in (results[-1], like))
        if measured != published:
            caveats.append(
                f"seed {seed} is measured by the network {measured} here and was by {published}; figures of the two differ by a tenth or more"
            )
            say("caution", caveats[-1])
    return Repeat(row, results, caveats)
