"""The doctor's catalogue: runs broken on purpose, in which the right sign must fire within the first third, and healthy runs, in which none may.

    python benchmarks/doctor.py run [--only NAME …] [--keep DIR] [--set mnist=FOLDER] [--photographs cifar10.npz]     plays what is missing in the results file
    python benchmarks/doctor.py table                                                     prints the table from benchmarks/results/doctor.json
    python benchmarks/doctor.py replay --keep DIR                                         judges kept runs anew (after a change of thresholds)
    python benchmarks/doctor.py cost [--set mnist=FOLDER]                                 share of processor time the doctor takes, per recipe

One thread. Broken runs end after a third of their rounds; a sign counts if it fired by then. Without --set the pictures are the embedded digits; colour
photographs are played where they are given.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agon.data import Data, Loader, open_data
from agon.directory import RunDirectory
from agon.engine import Engine
from agon.health import Doctor, examine
from agon.health.doctor import SELDOM
from agon.health.vitals import refer
from agon.hooks import Quiet
from agon.reproduce import signs
from agon.run import game_class, play, prepare, run_from_json
from agon.spaces import Tokens

RESULTS = Path(__file__).parent / "results" / "doctor.json"
LIGHT = {"device": "cpu", "threads": 1, "metrics": [], "score_every": 0, "tensorboard": False, "keep": 1}
SMALL = {"game.net.widths": [32, 16]}
NARROW = {"game.net.width": 128}  # and no augmentation where pictures are few: its absence is part of what is broken


@dataclass(frozen=True)
class Case:
    """A run and the signs of which at least one must fire; none expected: a healthy run."""

    name: str
    why: str
    data: str | Callable[[Path], str]
    recipe: str | None = None
    game: str | None = None  # source text of a game file
    settings: Mapping[str, Any] = field(default_factory=dict)
    limit: int | None = None
    size: int | None = None
    holdout: float = 0.1
    expected: tuple[str, ...] = ()


class Enough(Exception):
    """A third is played."""


class Watch(Quiet):
    """Ends a run after so many rounds."""

    def __init__(self, last: int) -> None:
        self.last = last

    def tick(self, row: Mapping[str, Any]) -> None:
        if row["round"] > self.last:
            raise Enough


# -- data broken on purpose ----------------------------------------------------------------------------------------------------------


def _digits() -> tuple[np.ndarray, np.ndarray]:
    opened = open_data(Data(path="digits", holdout=0))
    x, y = opened.train.x.numpy(), opened.train.y
    assert y is not None
    return x[:, 0], y.numpy()


def _saved(path: Path, x: np.ndarray, y: np.ndarray | None) -> str:
    np.savez(path, **({"x": x} if y is None else {"x": x, "y": y}))
    return str(path)


def shuffled_labels(folder: Path) -> str:
    x, y = _digits()
    return _saved(folder / "shuffled.npz", x, np.random.default_rng(0).permutation(y))


def two_digits(folder: Path) -> str:
    x, y = _digits()
    kept = (y == 3) | (y == 8)
    return _saved(folder / "two.npz", x[kept], (y[kept] == 8).astype(y.dtype))


def near_constant(folder: Path) -> str:
    x, _ = _digits()
    return _saved(folder / "faint.npz", (120 + x // 86).astype(np.uint8), None)


def one_picture(folder: Path) -> str:
    x, _ = _digits()
    copies = np.repeat(x[:1], 600, 0)
    copies[::20] = x[:30]
    return _saved(folder / "copies.npz", copies, None)


# -- games broken on purpose ---------------------------------------------------------------------------------------------------------

HEAD = '''"""A game broken on purpose. arXiv:1406.2661. Differs: it must fail."""
from collections.abc import Mapping
from dataclasses import dataclass, field
import torch
from agon import Adam, Turn, losses
from agon.games.gan import GAN
from agon.games.r3gan import R3GAN
from agon.spaces import Image

'''
RAW = HEAD + '''
@dataclass(frozen=True, kw_only=True)
class Bytes(Image):
    def normalise(self, x): return x.float()

@dataclass(frozen=True, kw_only=True)
class Raw(GAN):
    def sees(self, space): return Bytes(channels=space.channels, height=space.height, width=space.width)
'''  # fmt: skip
DEAD = HEAD + '''
@dataclass(frozen=True, kw_only=True)
class Dead(GAN):
    def players(self, space):
        made = super().players(space)
        made["G"].out.weight.register_hook(lambda g: g * 0)
        torch.nn.init.zeros_(made["G"].out.weight)
        return made
'''  # fmt: skip
WASSERSTEIN = HEAD + '''
@dataclass(frozen=True, kw_only=True)
class Unbounded(GAN):
    optim: Mapping[str, Adam] = field(default_factory=lambda: {k: Adam(lr=2e-2, betas=(0.5, 0.9)) for k in "GD"})
    def critic(self, p, real, t): return {"adv": p.D(self.sample(p, len(real["x"]))).mean() - p.D(real["x"]).mean()}
    def generator(self, p, real, t): return {"adv": -p.D(self.sample(p, len(real["x"]))).mean()}
'''  # fmt: skip
GREEDY = HEAD + '''
@dataclass(frozen=True, kw_only=True)
class Greedy(GAN):
    def turns(self): return [Turn(self.critic, "D", every=20), Turn(self.generator, "G")]
'''  # fmt: skip
DEAF = HEAD + '''
@dataclass(frozen=True, kw_only=True)
class Deaf(R3GAN):
    def players(self, space): return super().players(space.unlabelled())
    def critic(self, p, real, t): return super().critic(p, type(real)({"x": real["x"]}), t)
    def generator(self, p, real, t): return super().generator(p, type(real)({"x": real["x"]}), t)
    def sample(self, p, n, *, z=None, given=None): return super().sample(p, n, z=z)
    def judge(self, p, x, given=None): return p.D(x)
'''  # fmt: skip
LINEAR = HEAD + '''
@dataclass(frozen=True, kw_only=True)
class Linear(GAN):
    def players(self, space):
        made = super().players(space)
        made["G"].bounded = False
        return made
'''  # fmt: skip
PARROT = HEAD + '''
class Lookup(torch.nn.Module):
    def __init__(self, z_dim, shape):
        super().__init__()
        self.shape, self.table, self.key = shape, torch.nn.Parameter(torch.randn(24, *shape) * 0.1), torch.nn.Linear(z_dim, 24)
    def forward(self, z, y=None): return self.table[self.key(z).argmax(1)]

@dataclass(frozen=True, kw_only=True)
class Parrot(GAN):
    def players(self, space): return {**super().players(space), "G": Lookup(self.z_dim, space.shape)}
    def generator(self, p, real, t):
        return {"adv": torch.cdist(p.G.table.flatten(1), real["x"].flatten(1)).amin(1).mean() + 0 * sum(k.sum() for k in p.G.key.parameters())}
'''  # fmt: skip

LOST = ("divergence", "mode collapse", "dead generator", "saturated output")
BROKEN = (
    Case(
        "G too fast",
        "learning rate of G 0.1",
        "digits",
        "gan",
        settings={**NARROW, "rounds": 900, "game.optim.G.lr": 0.1},
        expected=("saturated output", "dead generator", "mode collapse"),
    ),
    Case(
        "D too fast",
        "learning rate of D 0.5",
        "digits",
        "gan",
        settings={**NARROW, "rounds": 900, "game.optim.D.lr": 0.5},
        expected=("exploding gradients",),
    ),
    Case(
        "both too fast, no penalty",
        "γ 0, learning rates 0.05",
        "digits",
        "r3gan",
        settings={**SMALL, "rounds": 900, "game.gamma": 0.0, "game.optim.G.lr": 0.05, "game.optim.D.lr": 0.05},
        expected=(*LOST, "exploding gradients"),
    ),
    Case(
        "rates beyond floating point",
        "learning rates 1e30",
        "ring",
        "r3gan-points",
        settings={"rounds": 900, "game.optim.G.lr": 1e30, "game.optim.D.lr": 1e30, "patience": 1000},
        expected=("non-finite values",),
    ),
    Case(
        "labels shuffled",
        "conditional, labels permuted",
        shuffled_labels,
        "r3gan",
        settings={**SMALL, "rounds": 900},
        expected=("labels say nothing",),
    ),
    Case(
        "conditions dropped",
        "conditional data, players never see the class",
        "digits",
        game=DEAF,
        settings={**SMALL, "rounds": 2400, "game.optim.G.lr": 1e-3, "game.optim.D.lr": 1e-3},
        expected=("conditions ignored",),
    ),
    Case(
        "conditions of two classes dropped",
        "threes and eights, players never see the class",
        two_digits,
        game=DEAF,
        settings={**SMALL, "rounds": 2400, "game.optim.G.lr": 1e-3, "game.optim.D.lr": 1e-3},
        expected=("conditions ignored",),
    ),
    Case(
        "30 pictures",
        "30 digits to learn from, learning rate of D 5e-4",
        "digits",
        "gan",
        limit=60,
        holdout=0.5,
        settings={**NARROW, "rounds": 900, "batch": 16, "game.optim.D.lr": 5e-4, "game.augment": None},
        expected=("discriminator overfitting",),
    ),
    Case(
        "learnt by heart",
        "24 digits and a generator that is a table of them",
        "digits",
        game=PARROT,
        limit=48,
        holdout=0.5,
        settings={**NARROW, "rounds": 900, "batch": 24, "game.optim.G.lr": 0.02},
        expected=("memorisation",),
    ),
    Case(
        "bytes fed as they are",
        "a space without normalisation, 0 to 255",
        "digits",
        game=RAW,
        settings={**NARROW, "rounds": 900},
        expected=("wrong scale",),
    ),
    Case(
        "hardly any contrast",
        "pictures of values 120 to 122",
        near_constant,
        "gan",
        settings={**NARROW, "rounds": 900},
        expected=("wrong scale",),
    ),
    Case(
        "copies of one picture",
        "19 of 20 pictures alike",
        one_picture,
        "gan",
        settings={**NARROW, "rounds": 900, "game.augment": None},
        expected=("identical samples",),
    ),
    Case(
        "dead layer",
        "the last layer of G gets no gradient",
        "digits",
        game=DEAD,
        settings={**NARROW, "rounds": 900},
        expected=("dead generator",),
    ),
    Case(
        "frozen critic",
        "learning rate of D 0",
        "digits",
        "gan",
        settings={**NARROW, "rounds": 900, "game.optim.D.lr": 0.0},
        expected=("frozen player",),
    ),
    Case(
        "frozen generator",
        "learning rate of G 0",
        "digits",
        "gan",
        settings={**NARROW, "rounds": 900, "game.optim.G.lr": 0.0},
        expected=("frozen player",),
    ),
    Case(
        "critic too slow",
        "learning rate of D 1e-7",
        "digits",
        "gan",
        settings={**NARROW, "rounds": 2400, "game.optim.D.lr": 1e-7},
        expected=("critic too weak",),
    ),
    Case(
        "a network at the wrong size",
        "dcgan-peer, made for 32×32, on 16×16",
        "digits",
        "dcgan-peer",
        settings={"rounds": 160, "batch": 16},
        expected=("vanishing gradients",),
    ),
    Case(
        "Wasserstein unbounded",
        "no clip, no penalty, learning rates 0.02",
        "digits",
        game=WASSERSTEIN,
        settings={**NARROW, "rounds": 900},
        expected=("exploding gradients", "oscillation"),
    ),
    Case(
        "saturating, D overtrained",
        "equation 1 for G, five critic turns, no noise",
        "digits",
        "gan",
        settings={**NARROW, "rounds": 900, "game.optim.D.lr": 1e-3, "game.loss.saturating": True, "game.n_critic": 5},
        expected=("vanishing gradients", "critic too strong"),
    ),
    Case(
        "greedy generator",
        "twenty turns of G for one of D",
        "ring",
        game=GREEDY,
        settings={**NARROW, "rounds": 3000, "game.optim.G.lr": 1e-3},
        expected=("mode collapse", "oscillation"),
    ),
    Case(
        "greedy generator of pictures",
        "twenty turns of G for one of D, learning rates 1e-3",
        "digits",
        game=GREEDY,
        settings={**NARROW, "rounds": 3000, "game.optim.G.lr": 1e-3, "game.optim.D.lr": 1e-3},
        expected=("mode collapse",),
    ),
    Case(
        "heavy momentum",
        "no penalty, learning rates 0.01, first moments of 0.9",
        "ring",
        "r3gan-points",
        settings={
            "rounds": 800,
            "game.gamma": 0.0,
            **{f"game.optim.{k}.{word}": v for k in "GD" for word, v in (("lr", 0.01), ("betas", [0.9, 0.99]))},
        },
        expected=("oscillation",),
    ),
    Case(
        "digits on a ground of noise",
        "the last layer of G is linear, where the data have bounds",
        "digits",
        game=LINEAR,
        settings={**NARROW, "rounds": 9000},
        expected=("standing still",),
    ),
    Case(
        "150 sentences",
        "150 sentences to learn from, a wide speaker without dropout",
        "sentences",
        "likelihood",
        limit=150,
        settings={"rounds": 900, "batch": 32, "game.net.dropout": 0.0},
        expected=("memorisation", "past its best"),
    ),
    Case(
        "speaker too fast",
        "rewards from the first round, learning rate of G 0.05",
        "sentences",
        "scratchgan",
        limit=4_000,
        settings={"rounds": 240, "batch": 32, "game.net.width": 64, "game.judge_net.width": 64, "game.optim.G.lr": 0.05},
        expected=("past its best", "narrowed speech", "dead generator", "repeated phrases"),
    ),
)


def healthy(pictures: str, photographs: str | None = None) -> tuple[Case, ...]:
    """Short runs of the shipped recipes, small networks for pictures, three seeds each; all of them learn (looked at: distance to the data).

    No dragan: for half of so short a run its critic learns the slope it is penalised for and calls fakes real, as the sign says.
    """
    size = 16 if "mnist" in pictures else None
    lean = {"game.net.widths": [32, 16], "game.net.critic_widths": [32, 16]}
    plans: tuple[tuple[str, str, dict[str, Any]], ...] = (
        *((recipe, pictures, {"rounds": 400, "game.net.width": 8}) for recipe in ("wgan", "wgan-gp", "rsgan", "ragan", "acgan")),
        *((recipe, pictures, {"rounds": 300, **lean}) for recipe in ("sngan", "sngan-projection", "sagan", "biggan", "fastgan")),
        ("stylegan2", pictures, {"rounds": 300, "game.net.base": 128, "game.net.most": 32}),
        ("autoencoder", pictures, {"rounds": 400, "batch": 32, "game.net.widths": [32, 16]}),
        ("vae-gan", pictures, {"rounds": 300, "game.net.widths": [32, 16]}),
        ("flow", pictures, {"rounds": 300, "batch": 32, "game.net.widths": [16, 32]}),
        ("r3gan", pictures, {"rounds": 400, **SMALL}),
        ("dcgan", pictures, {"rounds": 400, "game.net.width": 8}),
        ("lsgan", pictures, {"rounds": 400, "game.net.width": 8}),
        ("gan", pictures, {"rounds": 1000, **NARROW}),
        ("vae", pictures, {"rounds": 400, "batch": 32, "game.net.widths": [32, 16]}),
        ("r3gan-points", "ring", {"rounds": 600}),
        ("likelihood", "sentences", {"rounds": 300}),
        ("summary", "headlines", {"rounds": 300, "game.net.width": 96, "game.net.embed": 64}),
        ("video", "moving-shapes", {"rounds": 120}),
        *((("r3gan", photographs, {"rounds": 500}),) if photographs else ()),
    )
    of_two = (
        Case(f"r3gan two digits {seed}", "healthy", two_digits, "r3gan", settings={**SMALL, "rounds": 1200, "seed": seed})
        for seed in range(3)
    )
    return *of_two, *(
        Case(
            f"{recipe} {Path(data).name} {seed}", "healthy", data, recipe, settings={**more, "seed": seed},
            size=size if data == pictures else None, limit=20_000 if data == pictures and size else None,
        )
        for seed in range(3) for recipe, data, more in plans
    )  # fmt: skip


# -- playing -------------------------------------------------------------------------------------------------------------------------


def play_case(case: Case, folder: Path, *, whole: bool = False) -> dict[str, Any]:
    """Play a case in `folder`/NAME and return its row."""
    torch.set_num_threads(1)
    place = folder / case.name.replace(" ", "-").replace(",", "")
    folder.mkdir(parents=True, exist_ok=True)
    game_file = None
    if case.game is not None:
        game_file = folder / f"{place.name.replace('-', '_')}.py"
        game_file.write_text(case.game)
    path = case.data if isinstance(case.data, str) else case.data(folder)
    settings = {k: v for k, v in {**LIGHT, **case.settings}.items() if k != "net"}
    began = time.process_time()
    directory, data_set = prepare(
        Data(path=path, limit=case.limit, size=case.size, holdout=case.holdout), out=place, recipe=case.recipe, game_file=game_file, settings=settings,
    )  # fmt: skip
    rounds = directory.run()["rounds"]
    with contextlib.suppress(Enough):
        play(directory, data_set, show=Watch(rounds // 3) if case.expected and not whole else None, trusted=True)
    return {
        "case": case.name,
        "why": case.why,
        "expected": list(case.expected),
        "cpu_seconds": round(time.process_time() - began, 1),
        **told(directory),
    }


def told(directory: RunDirectory) -> dict[str, Any]:
    """Signs with the share of the run at which each first fired, and the doctor's share of the processor time."""
    ticks = [row for row in directory.events() if row["kind"] == "tick"]
    return {
        "fired": signs(directory),
        "rounds": directory.run()["rounds"],
        "played": ticks[-1]["round"],
        "doctor_share": round(ticks[-1]["health_seconds"] / max(ticks[-1]["cpu_seconds"], 1e-9), 4),
    }


def passed(row: Mapping[str, Any]) -> bool:
    """Whether an expected sign fired in the first third, or none in a healthy run."""
    if not row["expected"]:
        return not row["fired"]
    return any(row["fired"].get(name, 1.0) <= 1 / 3 for name in row["expected"])


def replay(directory: RunDirectory, last: int | None = None) -> dict[str, float]:
    """Judge a kept run anew from its recorded vitals."""
    content = directory.run()
    run = run_from_json(content, game_class(directory, content, trusted=True))
    data_set = open_data(run.data)
    space = run.game.sees(data_set.space)
    ticks = [row for row in directory.events() if row["kind"] == "tick" and (last is None or row["round"] <= last)]
    from agon.health import Patient

    doctor = Doctor(None, data_set, space, content, directory.path, tick=run.tick, batch=run.batch)  # type: ignore[arg-type]
    facts = refer(data_set, space, doctor.count).facts
    doctor.restore(ticks, {})
    fired: dict[str, float] = {}
    for n in range(1, len(ticks) + 1):
        rates = {name: float(spec["lr"]) if not isinstance(spec["lr"], dict) else 1e-3 for name, spec in content["game"]["optim"].items()}
        patient = Patient(
            train=len(data_set.train),
            content=content,
            out=directory.path,
            seen=ticks[n - 1]["seen"],
            text=isinstance(space, Tokens),
            rates=rates,
            facts=facts,
        )
        for sign in examine(doctor.history[:n], patient):
            if sign.name not in fired:
                print(f"    {ticks[n - 1]['round'] / run.rounds:4.0%} {sign.name}: {sign.evidence}")
            fired.setdefault(sign.name, round(ticks[n - 1]["round"] / run.rounds, 3))
    return fired


OF_PICTURES = (
    "r3gan", "gan", "dcgan", "lsgan", "wgan-gp", "sngan", "sagan", "biggan", "stylegan2", "fastgan", "autoencoder", "vae", "vae-gan", "flow",
)  # fmt: skip


def cost(pictures: str, folder: Path, only: Sequence[str] = ()) -> None:
    """Print what a look costs beside the rounds of a tick, at each recipe's default settings, after five rounds; of sentences after thirty."""
    torch.set_num_threads(1)
    print("| recipe | data | samples a look | look, ms | tick, ms | once, ms | share of the run |\n|---|---|---|---|---|---|---|")
    for recipe, path in (*((recipe, pictures) for recipe in OF_PICTURES), ("r3gan-points", "ring"), ("likelihood", "sentences")):
        if only and recipe not in only:
            continue
        directory, data_set = prepare(
            Data(path=path, size=32 if path == pictures else None), out=folder / recipe, recipe=recipe, settings=LIGHT
        )
        content = directory.run()
        run = run_from_json(content, game_class(directory, content))
        space = run.game.sees(data_set.space)
        engine = Engine(run.game, space)
        doctor = Doctor(engine, data_set, space, content, directory.path, tick=run.tick, batch=run.batch)
        loader = Loader(data_set.train, run.batch, 0, batches_per_round=engine.batches_per_round)
        engine.round(loader.round(0))
        began, rounds = time.process_time(), 30 if doctor.seldom else 5  # a speaker's first sentences have no end
        for n in range(1, 1 + rounds):
            engine.round(loader.round(n))
        tick = (time.process_time() - began) / rounds * run.tick
        doctor.look({})
        once = doctor.seconds
        for _ in range(3):
            doctor.look({})
        look = (doctor.seconds - once) / 3
        ticks = run.rounds / run.tick
        share = (once + look * ticks / (SELDOM if doctor.seldom else 1)) / (tick * ticks)
        cells = (recipe, f"{Path(path).name}", doctor.count, f"{look * 1e3:.0f}", f"{tick * 1e3:,.0f}", f"{once * 1e3:.0f}", f"{share:.2%}")
        print("|", " | ".join(map(str, cells)), "|", flush=True)


def line(row: Mapping[str, Any]) -> str:
    """A row of the table."""
    fired = ", ".join(f"{name} {share:.0%}" for name, share in row["fired"].items()) or "none"
    expected, verdict = " or ".join(row["expected"]) or "none", "PASS" if passed(row) else "FAIL"
    return f"| {row['case']} | {row['why']} | {expected} | {fired} | {row['cpu_seconds']:.0f} | {verdict} |"


def main() -> None:
    """Play, judge or print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("run", "table", "replay", "cost"))
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--set", default="digits", help="mnist=FOLDER: pictures for the healthy runs")
    parser.add_argument("--again", action="store_true", help="play what is in the results, too")
    parser.add_argument("--photographs", help="colour photographs of 32×32 for healthy runs too, such as cifar10.npz")
    asked = parser.parse_args()
    pictures = asked.set.partition("=")[2] or asked.set
    rows = {row["case"]: row for row in (json.loads(RESULTS.read_text()) if RESULTS.is_file() else [])}
    cases = [
        case for case in (*BROKEN, *healthy(pictures, asked.photographs)) if not asked.only or any(word in case.name for word in asked.only)
    ]
    if asked.verb == "table":
        print("| run | what | expected | fired at | CPU-s | |\n|---|---|---|---|---|---|", *map(line, rows.values()), sep="\n")
        good, bad = [r for r in rows.values() if not r["expected"]], [r for r in rows.values() if r["expected"]]
        named, alarms = sum(map(passed, bad)), len(good) - sum(map(passed, good))
        print(f"\n{named} of {len(bad)} broken runs named in the first third; {alarms} false alarms in {len(good)} healthy runs.")
        first = [
            row["case"]
            for row in bad
            if not set(row["expected"]) & {n for n, at in row["fired"].items() if at == min(row["fired"].values())}
        ]
        more = [row["case"] for row in bad if row["fired"].keys() - set(row["expected"])]
        print(
            f"An expected sign came first in all but {len(first)} ({', '.join(first) or 'none'}); {len(more)} show signs beside the expected ones."
        )
        return
    if asked.verb == "cost":
        with tempfile.TemporaryDirectory() as temporary:
            cost(pictures, Path(temporary), asked.only)
        return
    for case in cases:
        place = (asked.keep or Path(tempfile.gettempdir())) / case.name.replace(" ", "-").replace(",", "")
        if asked.verb == "replay":
            if (place / "run.json").is_file():
                print(case.name, case.expected)
                directory = RunDirectory(place)
                fired = replay(directory, directory.run()["rounds"] // 3 if case.expected else None)
                row = {**rows.get(case.name, {}), "case": case.name, "why": case.why, "expected": list(case.expected), "fired": fired}
                print("   ", "PASS" if passed(row) else "FAIL")
                if case.name in rows:
                    rows[case.name] = row
                    RESULTS.write_text(json.dumps(list(rows.values()), indent=1, ensure_ascii=False) + "\n")
            continue
        if asked.verb == "run" and (asked.again or case.name not in rows):
            with tempfile.TemporaryDirectory() as temporary:
                folder = asked.keep or Path(temporary)
                shutil.rmtree(place, ignore_errors=True)
                rows[case.name] = play_case(case, folder)
            print(line(rows[case.name]), f"doctor {rows[case.name]['doctor_share']:.1%}", flush=True)
            RESULTS.parent.mkdir(exist_ok=True)
            RESULTS.write_text(json.dumps(list(rows.values()), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
