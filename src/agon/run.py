"""Run: one experiment, from its settings to the trained game.

`prepare` turns a wish ("./photos", perhaps a recipe and some settings) into a run directory with every derived choice and its reason;
`play` trains what the directory says, from its newest state if it has one. `trained` opens the result.
"""

from __future__ import annotations

import hashlib
import inspect
import shlex
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import torch

from agon import firsts, games, hooks, ranks, recipes, recovery, transfer, trust
from agon.conditions import FILE as conditions_file
from agon.conditions import Conditions
from agon.config import choose_kinds, decode, encode, override, refuse_low
from agon.data import Data, DataSet, Loader, open_data
from agon.data.request import located
from agon.device import choose_device, choose_precision, cpu_seconds, environment, wait
from agon.directory import FORMAT, RunDirectory
from agon.engine import Engine
from agon.errors import InputError
from agon.game import Game
from agon.guards import disk_errors, only_trainer, stop_signal
from agon.sampling import needs_first
from agon.scoring import Budget, check
from agon.spaces import Space
from agon.stats import Log

Say = Callable[[str, str], None]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One experiment. Whatever is None or "auto" was left to Agon; `prepare` fills it in and says why."""

    game: Game
    data: Data
    rounds: int  # rounds to play
    batch: int  # real samples a turn sees, over all ranks
    recipe: str = ""
    microbatch: int | None = None  # samples per forward pass on each rank; None: the whole share
    device: str = "auto"  # auto, cpu, cuda, mps
    precision: str = "auto"  # auto, fp32, bf16
    channels_last: bool = True
    compile: bool = False  # compile whole turns; falls back to eager, with the reason in events.jsonl
    seed: int = 0
    threads: int | None = None  # CPU threads; None: torch's choice
    tick: int = 100  # rounds between statistics, sample grids and health checks
    score_every: int = 1000  # rounds between scores; 0: only at the end
    score_share: float = 0.1  # scores take at most this share of the training time so far; what is due beyond it is left out
    save_every: int = 100  # rounds between saved states
    metrics: tuple[str, ...] = ("fd",)
    extractor: str = "auto"  # auto, classifier, inception, pixels
    extractor_weights: str | None = None  # file for extractors that need one
    num_samples: int | None = None  # per score; None: chosen by the size of the held-out split
    keep: int = 2  # newest states kept, beside the best
    patience: int = 10  # non-finite updates of one player in a row before rolling back
    on_collapse: Literal["warn", "rollback", "stop"] = "warn"  # what a severe sign does: tell, go back with other noise, or end the run
    tensorboard: bool = True

    def checked(self) -> Run:
        """Itself, if its numbers make sense. Raises InputError naming the option."""
        for name, low in (("seed", 0), ("rounds", 1), ("batch", 1), ("tick", 1), ("score_every", 0), ("save_every", 1), ("keep", 1),
                          ("patience", 1)):  # fmt: skip
            if getattr(self, name) < low:
                raise InputError(f"--{name.replace('_', '-')} is {getattr(self, name)}; expected {low} or more.")
        if not self.score_share >= 0:
            raise InputError(f"--score-share is {self.score_share}; expected a share such as 0.1, or 0 for scores at the end only.")
        for name in ("microbatch", "threads", "num_samples"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"--{name.replace('_', '-')} is {value}; expected 1 or more.")
        if self.batch % ranks.size():
            raise InputError(f"--batch {self.batch} cannot be shared by {ranks.size()} processes; expected a multiple of {ranks.size()}.")
        return self


def run_to_json(run: Run, game_name: str) -> dict[str, Any]:
    """A run's settings as JSON data; the game is known by name."""
    content = {f.name: encode(getattr(run, f.name)) for f in fields(run) if f.name != "game"}
    return {"game": {"name": game_name, **encode(run.game)}, **content}


def run_from_json(content: Mapping[str, Any], game_class: type[Game]) -> Run:
    """The run that `run_to_json` wrote. Raises InputError for an unknown name or a wrong type."""
    settings = {f.name: content[f.name] for f in fields(Run) if f.name in content}
    game = decode(game_class, games.settings_of(content["game"]), "game")
    return decode(Run, {**settings, "game": game}).checked()


# -- preparing -----------------------------------------------------------------------------------------------------------------------


def prepare(
    data: Data,
    *,
    out: Path | str | None = None,
    recipe: str | None = None,
    game_file: Path | str | None = None,
    settings: Mapping[str, Any] | None = None,
    start: Path | str | None = None,
    start_state: str = "latest",
    command: str = "",
    say: Say | None = None,
) -> tuple[RunDirectory, DataSet]:
    """Make a run directory for this data. settings: dotted names ("rounds", "game.gamma") to values. Raises InputError.

    start: a run whose weights this one starts from, at `start_state` (latest, best or a round).

    say(name, text) is told every derived choice with its reason.
    """
    say = say or (lambda name, text: None)
    wish = settings = dict(settings or {})
    asked = {name.removeprefix("game.") for name in settings}
    device = choose_device(str(settings.get("device", "auto")))
    asked_rounds, asked_batch = _refuse_early(settings, recipe, out)
    data_set = open_data(data, say=say)
    situation = recipes.Situation(
        space=data_set.space, count=len(data_set.train), device=device.value, rounds=asked_rounds, batch=asked_batch,
        held=bool(len(data_set.held)), by_chance=data_set.by_chance,
    )  # fmt: skip
    if game_file is not None:
        game_class, name = games.find_in_file(Path(game_file)), Path(game_file).stem
        suggestion = recipes.for_game(_with_defaults(game_class), situation)
        why = f"the game in {game_file}"
    else:
        name, why = (recipe, "asked for") if recipe else recipes.pick(situation)
        suggestion = recipes.find(name).build(situation)
        game_class = type(suggestion.game)
    say("recipe", f"{name}: {why}")
    rounds = suggestion.rounds
    tick = max(1, rounds // 40)
    run = Run(
        game=suggestion.game, data=replace(data, path=located(data.path)), rounds=rounds, batch=suggestion.batch, recipe=name, tick=tick,
        score_every=max(1, rounds // 5), save_every=tick, metrics=suggestion.metrics,
    )  # fmt: skip
    game_name = game_class.__module__.rsplit(".", 1)[-1]
    content = run_to_json(run, game_name)
    own = {k.removeprefix("game."): v for k, v in settings.items() if k.startswith("game.")}
    parts, own = choose_kinds(game_class, encode(suggestion.game), own)
    content["game"] = {"name": game_name, **parts}
    settings = {k: v for k, v in settings.items() if not k.startswith("game.")} | {f"game.{k}": v for k, v in own.items()}
    allowed = {k: v for k, v in content.items() if k not in ("data", "recipe")}
    for field in (option.partition(".")[0] for option in own):
        if field in game_class.elsewhere and field not in parts:
            raise InputError(f"unknown option '--game.{field}' of the recipe '{name}': {game_class.elsewhere[field]}")
    content = {**content, **override(allowed, settings)}
    if game_file is None:  # what a game of the user's means by a name is its own affair
        refuse_low(content["game"], "game")
    run = run_from_json(content, game_class)
    check(run, data_set)
    _takes_conditions(run.game, data_set.space)
    if start is not None:
        run = replace(run, game=run.game.grown_from(RunDirectory.open(start).run()))
    elif run.game.inherits:
        raise InputError(f"recipe '{name}' goes on from the networks of a trained run, and none was named; add --from RUN.")
    seen = run.game.sees(data_set.space)
    if (reason := run.game.refusal(seen) or run.game.not_ready(seen)) is not None:
        raise InputError(reason)
    origin = None if start is None else transfer.fetch(start, start_state, run.game, run.game.sees(data_set.space))
    precision = choose_precision(device.value, run.precision)
    reasons = {**data_set.reasons, "recipe": f"{name}: {why}", **suggestion.reasons}
    reasons["device"] = f"{device.value}: {device.reason}"
    reasons["precision"] = f"{precision.value}: {precision.reason}"
    for key in [k for k in suggestion.reasons if any(name == k or name.startswith(f"{k}.") or k in name.split(".") for name in asked)]:
        reasons[key] = "asked for"
    if origin is not None:
        reasons["from"] = origin[0].describe()
    if data_set.space.condition_dim and not run.game.sees(data_set.space).condition_dim:
        reasons["condition"] = f"none: {type(run.game).__name__} does not look at labels; --recipe r3gan does"
        say("condition", reasons["condition"])
    for key in (*suggestion.reasons, "device", "precision", *(["from"] if origin else [])):
        say(key, reasons[key])
    directory = RunDirectory(Path(out) if out else _new_path(run.data.path, name))
    ranks.barrier()  # every process must have seen which names are free before one is taken
    if ranks.is_main():
        directory.make()
        game_entry = content["game"] = {**content["game"], **encode(run.game)}
        if game_file is not None:
            text = Path(game_file).read_bytes()
            (directory.path / "game.py").write_bytes(text)
            game_entry |= {"file": "game.py", "sha256": hashlib.sha256(text).hexdigest()}
            trust.add(game_entry["sha256"])
        record = None if origin is None else transfer.keep(directory, *origin)
        space = run.game.sees(data_set.space)
        conditions = Conditions.of(space, data_set.train.y, data_set.card.get("labels", {}))
        conditions.write(directory)
        if needs_first(run.game):
            firsts.keep(directory, data_set)
        directory.write("data.json", data_set.card)
        directory.write("run.json", {
            "format": FORMAT, "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"), **run_to_json(run, game_name), "game": game_entry,
            "space": encode(space), "content_hash": data_set.content_hash, "class_share": conditions.share, "reasons": reasons,
            "environment": environment(device.value, precision.value), "command": command, "start": record,
            "gallery": conditions.gallery()[3],
            "settings": {name: value if value is None else encode(value) for name, value in wish.items()}, "data_as_typed": data.path,
        })  # fmt: skip
    ranks.barrier()
    return directory, data_set


def _refuse_early(settings: Mapping[str, Any], recipe: str | None, out: Path | str | None) -> tuple[int | None, int | None]:
    """The rounds and the batch asked for. Raises InputError for what is wrong whatever the data are, which may take minutes to read."""
    if out and RunDirectory(Path(out)).is_run():  # and again when it is made: reading the data may take long enough for another
        raise InputError(f"'{out}' already holds a run. Go on with it by `agon train {shlex.quote(str(out))}`, or choose another --out.")
    if recipe:
        recipes.find(recipe)
    known = [field.name for field in fields(Run) if field.name not in ("data", "recipe")]
    override(dict.fromkeys(known), {name: value for name, value in settings.items() if "." not in name})
    return _whole(settings, "rounds"), _whole(settings, "batch")


def _whole(settings: Mapping[str, Any], name: str) -> int | None:
    value = settings.get(name)
    if value is None:
        return None
    try:
        number = int(value)
    except (TypeError, ValueError):
        raise InputError(f"--{name} is {value!r}; expected a whole number.") from None
    if number < 1:
        raise InputError(f"--{name} is {number}; expected 1 or more.")
    return number


def _with_defaults(game_class: type[Game]) -> Game:
    try:
        return game_class()
    except TypeError as error:
        raise InputError(f"game {game_class.__name__} needs values it has no default for: {error}. Give every field a default.") from None


def _takes_conditions(game: Game, space: Space) -> None:
    """Raise InputError if samples of this game cannot be asked for with the conditions that the data have."""
    accepted = inspect.signature(game.sample).parameters.values()
    if game.sees(space).condition_dim and not any(a.name == "given" or a.kind is a.VAR_KEYWORD for a in accepted):
        name = type(game).__name__
        raise InputError(
            f"{name}.sample takes no `given`, and the data have {space.describe()}; add `given=None` to it and use label_of(given), or write "
            f"`conditional: ClassVar[bool] = False` into {name}, or add --labels ignore."
        )


def _new_path(data: str, recipe: str) -> Path:
    stem = Path(data).stem or "run"
    for number in range(1, 10_000):
        path = Path("runs") / (f"{stem}-{recipe}" if number == 1 else f"{stem}-{recipe}-{number}")
        if not path.exists():
            return path
    raise InputError("runs/ holds 10,000 runs of this name; choose another place with --out.")


# -- playing -------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """How playing ended: "done", or "stopped" by a signal, a budget or a sign, with everything saved. asked: by a signal."""

    end: Literal["done", "stopped"]
    round: int
    directory: RunDirectory
    asked: bool = False


def play(
    directory: RunDirectory,
    data_set: DataSet | None = None,
    *,
    show: hooks.Show | None = None,
    cpu_budget: float | None = None,
    wall_budget: float | None = None,
    trusted: bool = False,
    changes: Mapping[str, Any] | None = None,
) -> Outcome:
    """Train what the directory says, from its newest state on. cpu_budget, wall_budget: CPU-seconds and seconds by the clock, of training, after
    either of which to stop and save.

    changes: entries of run.json from here on; they are written once the data and what they ask for are there.
    SIGINT and SIGTERM finish the round, save and return. Raises InputError if the data changed, the disk is full, training diverges or
    another process trains this run.
    """
    content = {**directory.run(), **(changes or {})}
    run = run_from_json(content, game_class(directory, content, trusted=trusted))
    if run.threads:
        torch.set_num_threads(run.threads)
    repeated = data_set is None and not directory.states()  # what `prepare` made has been looked at, and so has a run that began
    data_set = data_set or data_of(directory, content, run.data)
    if changes or repeated:
        check(run, data_set)
    engine, loader = stage(run, data_set)
    with only_trainer(directory), stop_signal() as asked_to_stop, disk_errors(directory):
        if changes and ranks.is_main():
            directory.write("run.json", content)
        log = Log(directory.path, run.tensorboard)
        scene = hooks.Scene(
            run=run, engine=engine, data_set=data_set, directory=directory, log=log, show=show or hooks.Quiet(), content=content,
            budget=Budget(run.score_share),
        )  # fmt: skip
        fresh = _resume(scene)
        try:
            return _rounds(scene, loader, asked_to_stop, (cpu_budget, wall_budget), fresh=fresh)
        finally:
            log.close()


def stage(run: Run, data_set: DataSet) -> tuple[Engine, Loader]:
    """The engine of a run before its first round, and what feeds it."""
    device = choose_device(run.device).value
    engine = Engine(
        run.game, run.game.sees(data_set.space), seed=run.seed, device=device, precision=choose_precision(device, run.precision).value,
        microbatch=run.microbatch, channels_last=run.channels_last, compile=run.compile,
    )  # fmt: skip
    loader = Loader(
        data_set.train, run.batch, run.seed, rank=ranks.rank(), world=ranks.size(),
        batches_per_round=engine.batches_per_round, mirror=run.data.mirror, balance=run.data.balance, alike=run.data.bucket,
    )  # fmt: skip
    return engine, loader


def _resume(scene: hooks.Scene) -> bool:
    """Take up the newest state, dropping records after it; return whether there is none and the run begins. Raises InputError if states are gone."""
    engine, directory, log = scene.engine, scene.directory, scene.log
    found = directory.load_state()
    if found is None:
        directory.must_be_new()
        ranks.barrier()  # every process has read the records before they change
        if ranks.is_main():
            scene.truncate(-1)  # of a run that was killed before its first state
        ranks.barrier()
        if scene.content.get("start"):
            transfer.adopt(engine, directory)
        log.event("start", 0, 0, seed=scene.run.seed, space=scene.data_set.space.describe())
        return True
    tensors, rest, _ = found
    engine.load_state(tensors, rest["engine"])
    scene.restore(rest)
    ranks.barrier()  # every process has read its state before files go
    if ranks.is_main():
        scene.truncate(engine.clock.round)
        if damaged := directory.set_aside(after=engine.clock.round):
            scene.show.note("damaged", f"a newer state could not be read; what there is of it is kept as {', '.join(damaged)}")
    ranks.barrier()
    if engine.clock.round >= scene.run.rounds and scene.ended(engine.clock.round):
        return False
    log.event("resume", engine.clock.round, engine.clock.seen)
    scene.show.note("resume", f"from round {engine.clock.round:,}")
    return False


def _rounds(
    scene: hooks.Scene, loader: Loader, asked_to_stop: Callable[[], bool], budgets: tuple[float | None, float | None], *, fresh: bool
) -> Outcome:
    run, engine = scene.run, scene.engine
    recoveries = 0
    first = engine.clock.round
    if first >= run.rounds and not fresh and scene.ended(first):
        return Outcome("done", first, scene.directory)
    while True:
        here = engine.clock.round
        done = here >= run.rounds
        over = any(b is not None and spent >= b for b, spent in zip(budgets, (scene.cpu_seconds, scene.seconds), strict=True))
        stopping = ranks.any_true(asked_to_stop() or over)
        if fresh or here != first or done or stopping:
            # The state that was resumed from has its records already; only an ending is still to be recorded.
            saved = scene.observe(last=done or stopping, resumed=here == first and not fresh)
            recoveries = 0 if saved and not engine.streak else recoveries  # a state amid skipped updates is no progress
        advice: dict[str, str] = {}
        if scene.alarmed:
            scene.alarmed = False
            if not stopping and recovery.after_sign(scene):
                fresh, first = False, engine.clock.round
                continue
            stopping, advice = True, recovery.advice(scene)
            scene.keep(last=True)
        if done or stopping:
            end: Literal["done", "stopped"] = "done" if done else "stopped"
            scene.finish(end, **advice)
            return Outcome(end, here, scene.directory, asked=ranks.any_true(asked_to_stop()))
        before, cpu_before = time.perf_counter(), cpu_seconds()
        engine.round(loader.round(here))
        if scene.due(here + 1):
            wait(engine.device)
        scene.seconds += time.perf_counter() - before
        scene.cpu_seconds += cpu_seconds() - cpu_before
        scene.record_notes()
        if engine.streak >= run.patience or scene.spoiled:
            recoveries += 1
            recovery.after_nonfinite(scene, recoveries)
            fresh, first = False, engine.clock.round


def game_class(directory: RunDirectory, content: Mapping[str, Any], *, trusted: bool = False) -> type[Game]:
    """The class of a run's game. A run may carry its own code (game.py); it runs only if it was trained here or is trusted."""
    entry = content["game"]
    if entry.get("file"):
        path = directory.path / "game.py"
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "missing"
        if not (trusted or trust.has(digest)):
            raise InputError(
                f"'{directory.path}' carries its own code, game.py (sha256 {digest[:12]}), which was not trained on this account. "
                "Read it; if you trust it, add --trust."
            )
        return games.find_in_file(path)
    return games.find(entry["name"])


def data_of(directory: RunDirectory, content: Mapping[str, Any], data: Data) -> DataSet:
    """The data of a run. Raises InputError if they are not what it was trained on, or nowhere."""
    typed = content.get("data_as_typed")
    gone = Path(data.path).is_absolute() and not Path(data.path).exists()
    if gone and typed and Path(typed).exists():  # run and data were moved together
        data, gone = replace(data, path=typed), False
    try:
        data_set = open_data(data)
    except InputError as error:
        moved = f". If they have moved, say where to: agon train {shlex.quote(str(directory.path))} --data.path NEW" if gone else "."
        raise InputError(f"the data of '{directory.path}': {str(error).rstrip('.')}{moved}") from None
    if data_set.content_hash != content.get("content_hash"):
        raise InputError(
            f"the data at '{data.path}' changed since '{directory.path}' began (content {data_set.content_hash}, was {content.get('content_hash')}); "
            "training on, scores and curves need the same data. Restore it, or train a new run."
        )
    return data_set


def copy_of(directory: RunDirectory, target: Path, changes: Mapping[str, Any] | None = None) -> RunDirectory:
    """Copy settings, with changes, and data card of a run to a new directory, to repeat it: `agon train run.json`."""
    new = RunDirectory(target)
    new.make()
    for name in ("data.json", "game.py", transfer.FILE, conditions_file, firsts.FILE):
        if (directory.path / name).is_file():
            shutil.copyfile(directory.path / name, target / name)
    new.write("run.json", {**directory.run(), **(changes or {}), "created": time.strftime("%Y-%m-%dT%H:%M:%S%z")})
    return new
