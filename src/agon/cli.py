"""The command line: verbs over run directories. torch and the rest load inside a verb, so that `agon --help` answers at once."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agon.errors import InputError, suggest

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    name="agon", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="One adversarial engine for images, text and video: train, sample, score, report and ship GANs.",
)  # fmt: skip
data_app = typer.Typer(no_args_is_help=True, help="Look at data before training.")
app.add_typer(data_app, name="data")

Extra = {"allow_extra_args": True, "ignore_unknown_options": True}
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory made by `agon train`.")]
Trust = Annotated[bool, typer.Option("--trust", help="Execute the game.py a foreign run carries; read it first.")]
State = Annotated[str, typer.Option(help="latest, best, or the round of a saved state.")]


@app.command(context_settings=Extra)
def train(
    context: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            metavar="PATH",
            help="Data (folder, zip, idx, npz, parquet, hf:NAME, digits, shapes, ring, grid, spirals), "
            "a run directory to go on with, or a run.json to repeat.",
        ),
    ],
    recipe: Annotated[str | None, typer.Option(help="One of `agon recipes`; chosen from the data if left out.")] = None,
    game: Annotated[Path | None, typer.Option(help="A Python file with your own Game; it is executed.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run directory to make; default runs/NAME.")] = None,
    cpu_seconds: Annotated[float | None, typer.Option(help="Stop and save after this much processor time in training.")] = None,
    trust: Trust = False,
) -> None:
    """Train on a folder or file, or go on with a run.

    Any setting of the run can be given by name, those of the data and the game with a dot:
    --rounds 5000 --batch 32 --seed 1 --device cpu --data.size 64 --game.gamma 0.1 --game.optim.G.lr 1e-4.
    `agon show RECIPE` lists a recipe's; --size, --channels, --resize, --labels, --mirror and --limit are short for --data.….
    """  # fmt: skip
    from agon import ranks
    from agon.data import Data
    from agon.device import choose_device
    from agon.directory import RunDirectory
    from agon.progress import Terminal
    from agon.run import copy_of, play, prepare

    if what.startswith("--"):
        raise InputError(f"PATH comes first, settings follow it: agon train PATH {what} …")
    settings = _assignments(context.args)
    path, data_set = Path(what), None
    resumed = RunDirectory(path).is_run()
    device = settings.get("device") or (RunDirectory(path).run().get("device") if resumed else None) or "auto"
    ranks.start(choose_device(str(device)).value)
    console = _console(quiet=not ranks.is_main())
    if resumed or path.name == "run.json":
        if recipe or game:
            raise InputError("a run keeps its recipe and game; leave out --recipe and --game, or train from data in a new directory.")
        if resumed and out is not None:
            raise InputError(
                f"'{path}' is a run to go on with, so --out does not apply. To repeat it elsewhere: agon train {path}/run.json --out NEW"
            )
        if resumed:
            directory = RunDirectory(path)
        else:
            if out is None:
                raise InputError("repeating a run.json needs a place: add --out NEW_DIRECTORY.")
            directory = RunDirectory(out)
            if directory.is_run():
                raise InputError(f"'{out}' already holds a run; choose another --out.")
            if ranks.is_main():
                copy_of(RunDirectory.open(path.parent), out)
            ranks.barrier()
        _amend(directory, settings, trusted=trust)
    else:
        data, settings = _data_settings(what, settings)
        command = shlex.join(["agon", *sys.argv[1:]])
        directory, data_set = prepare(
            Data(**data), out=out, recipe=recipe, game_file=game, settings=settings, command=command, say=lambda n, t: _line(console, n, t)
        )  # fmt: skip
        _line(console, "run", str(directory.path))
    with Terminal(console, directory.run()["rounds"]) as terminal:
        outcome = play(directory, data_set, show=terminal, cpu_budget=cpu_seconds, trusted=trust or game is not None)
    place = shlex.quote(str(directory.path))
    if outcome.end == "stopped":
        _line(console, "stopped", f"after round {outcome.round:,}; all is saved. Go on with: agon train {place}")
    else:
        _line(
            console,
            "done",
            f"{outcome.round:,} rounds. Next: agon sample {place} · agon eval {place} · agon report {place} · agon export {place}",
        )
    ranks.stop()


@app.command()
def sample(
    run: RunPath,
    n: Annotated[int, typer.Option("-n", "--n", help="How many.")] = 64,
    seed: Annotated[int, typer.Option(help="The same seed gives the same samples.")] = 0,
    label: Annotated[str | None, typer.Option("--class", help="A class, by name or number.")] = None,
    interpolate: Annotated[int | None, typer.Option(help="Walk between so many latents instead; --out walk.gif or walk.mp4.")] = None,
    frames: Annotated[int, typer.Option(help="Pictures between two latents of a walk.")] = 24,
    columns: Annotated[int | None, typer.Option(help="Columns of a grid.")] = None,
    out: Annotated[Path | None, typer.Option(help="grid.png, a folder/ of single pictures, walk.gif, walk.mp4 or x.npz.")] = None,
    weights: Annotated[str, typer.Option(help="ema (averaged) or raw.")] = "ema",
    state: State = "latest",
    trust: Trust = False,
) -> None:
    """Draw samples from a run."""
    from agon.samplefile import save_samples
    from agon.trained import load

    trained = load(run, state=state, weights=weights, trust=trust)
    if interpolate is not None:
        drawn = trained.walk(interpolate, frames=frames, seed=seed, label=label)
        target = out or run / "walk.gif"
    else:
        drawn = trained.sample(n, seed=seed, label=label)
        target = out or run / f"samples-seed{seed}.png"
    written = save_samples(drawn, target, columns=columns)
    _line(_console(), "wrote", f"{written} ({len(drawn)} samples, seed {seed}, {trained.weights} weights of round {trained.round:,})")


@app.command("eval")
def evaluate(
    run: RunPath,
    metrics: Annotated[list[str] | None, typer.Option("--metric", "-m", help="fd kid is prdc classes modes; may be repeated. Default: the run's.")] = None,
    num_samples: Annotated[int | None, typer.Option("--num-samples", help="Samples to draw; default by the held-out split.")] = None,
    seed: Annotated[int, typer.Option(help="Of the samples.")] = 0,
    extractor: Annotated[str | None, typer.Option(help="auto, classifier, inception or pixels.")] = None,
    extractor_weights: Annotated[str | None, typer.Option(help="Local weights file for --extractor inception.")] = None,
    weights: Annotated[str, typer.Option(help="ema or raw.")] = "ema",
    state: State = "latest",
    trust: Trust = False,
) -> None:  # fmt: skip
    """Score a run; every figure is printed with its protocol and the real-against-real floor."""
    from agon.records import append_jsonl
    from agon.trained import load

    console = _console()
    trained = load(run, state=state, weights=weights, trust=trust)
    scores = trained.evaluate(
        metrics, num_samples=num_samples, seed=seed, say=lambda n, t: _line(console, n, t), extractor=extractor,
        extractor_weights=extractor_weights,
    )  # fmt: skip
    for score in scores:
        _line(console, "score", str(score))
        append_jsonl(run / "metrics.jsonl", {"round": trained.round, "seen": trained.seen, "command": "eval", **score.to_json()})


@app.command()
def report(run: RunPath, out: Annotated[Path | None, typer.Option(help="Default: RUN/report.html.")] = None) -> None:
    """Write one self-contained HTML page about a run."""
    from agon.directory import RunDirectory
    from agon.report import write_report

    _line(_console(), "wrote", str(write_report(RunDirectory.open(run).path, out)))


@app.command()
def export(
    run: RunPath,
    onnx: Annotated[bool, typer.Option("--onnx", help="Also write generator.onnx and check it against PyTorch.")] = False,
    out: Annotated[Path | None, typer.Option(help="Default: RUN/export.")] = None,
    state: State = "latest",
    trust: Trust = False,
) -> None:
    """Write the averaged generator as safetensors with game.json, and as ONNX."""
    from agon.export import export_run

    console = _console()
    for path, text in export_run(run, out=out, onnx=onnx, state=state, trust=trust):
        _line(console, "wrote", f"{path} ({text})")


@app.command()
def demo(out: Annotated[Path, typer.Option(help="Where the run is made.")] = Path("runs/demo")) -> None:
    """Train on embedded digits for about two minutes; then samples, scores, animation and report."""
    from agon.demonstration import demonstrate

    demonstrate(out, _console())


@app.command()
def recipes() -> None:
    """List the recipes."""
    from rich.table import Table

    from agon.recipes import table

    view = Table("recipe", "what", "paper")
    for recipe in table().values():
        view.add_row(recipe.name, recipe.title, recipe.paper)
    _console().print(view)


@app.command()
def show(name: Annotated[str, typer.Argument(help="A recipe.")], size: int = 32, count: int = 10_000, device: str = "cpu") -> None:
    """Print what a recipe would set, for pictures of a size and number: every name can be given to `agon train`."""
    from agon.config import encode
    from agon.recipes import Situation, find
    from agon.spaces import Image, Vector

    space = Vector() if name.endswith("points") else Image(height=size, width=size)
    suggestion = find(name).build(Situation(space=space, count=count, device=device))
    console = _console()
    for key, value in _flat({"batch": suggestion.batch, "rounds": suggestion.rounds, "game": encode(suggestion.game)}):
        _line(console, f"--{key}", str(value), width=36)
    for key, why in suggestion.reasons.items():
        _line(console, key, why, width=36)


@app.command()
def doctor() -> None:
    """Print what this installation has: versions, device, precision, extras."""
    from importlib.util import find_spec

    from agon.device import choose_device, choose_precision, environment

    console = _console()
    device = choose_device()
    precision = choose_precision(device.value)
    for name, value in environment(device.value, precision.value).items():
        _line(console, name, str(value))
    _line(console, "device", f"{device.value}: {device.reason}")
    _line(console, "precision", f"{precision.value}: {precision.reason}")
    for module, extra in (
        ("tensorboard", "tensorboard"),
        ("onnxruntime", "export"),
        ("pyarrow", "parquet"),
        ("datasets", "hub"),
        ("av", "video"),
    ):
        there = find_spec(module) is not None
        _line(console, module, "installed" if there else f"not installed; pip install 'agon-gan[{extra}]'")


@data_app.command("check", context_settings=Extra)
def data_check(
    context: typer.Context,
    path: Annotated[str, typer.Argument(metavar="PATH", help="Folder, zip, idx, npz, parquet, hf:NAME or an embedded set.")],
    out: Annotated[Path | None, typer.Option(help="Write a preview grid here (PNG).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what is there, what is wrong with it, and what training would do with it."""
    import json

    from agon.data import Data, check

    data, rest = _data_settings(path, _assignments(context.args))
    if rest:
        raise InputError(f"unknown option '--{next(iter(rest))}' for data check.{suggest(next(iter(rest)), DATA_WORDS)}")
    report = check(Data(**data), out)
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=1))
    else:
        for line in report.lines():
            typer.echo(line)


# -- settings on the command line ----------------------------------------------------------------------------------------------------

DATA_WORDS = ("size", "channels", "resize", "filter", "labels", "mirror", "holdout", "limit", "memory")


def _assignments(arguments: list[str]) -> dict[str, Any]:
    """`--game.gamma 0.1 --mirror --rounds=10` as {"game.gamma": 0.1, "mirror": True, "rounds": 10}."""
    from agon.config import read

    settings: dict[str, Any] = {}
    position = 0
    while position < len(arguments):
        word = arguments[position]
        if not word.startswith("--") or word == "--":
            raise InputError(f"unexpected argument '{word}'; settings are given as --name value.")
        name, equals, value = word[2:].partition("=")
        position += 1
        if not equals:
            if position < len(arguments) and not arguments[position].startswith("--"):
                value, position = arguments[position], position + 1
            else:
                value = "true"
        settings[_underscored(name)] = read(value)
    return settings


def _underscored(name: str) -> str:
    return name.replace("-", "_")


def _data_settings(path: str, settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split settings into the data's, checked, and the rest."""
    from agon.config import decode, encode
    from agon.data import Data

    chosen: dict[str, Any] = {"path": path}
    rest: dict[str, Any] = {}
    for name, value in settings.items():
        word = name.removeprefix("data.")
        if word in DATA_WORDS:
            chosen[word] = value
        elif name.startswith("data."):
            raise InputError(f"unknown option '--{name}'; data has {', '.join(DATA_WORDS)}.{suggest(word, DATA_WORDS)}")
        else:
            rest[name] = value
    data = encode(decode(Data, chosen, "data"))
    if isinstance(data.get("size"), list):
        data["size"] = tuple(data["size"])
    return data, rest


def _amend(directory: Any, settings: dict[str, Any], *, trusted: bool) -> None:
    """Change the settings of an existing run that do not change what was trained."""
    may = ("rounds", "tick", "score_every", "save_every", "keep", "threads", "metrics", "num_samples", "device", "patience", "tensorboard",
           "extractor", "extractor_weights")  # fmt: skip
    if not settings:
        return
    for name in settings:
        if name not in may:
            raise InputError(
                f"--{name.replace('_', '-')} would make another experiment of '{directory.path}'; expected one of "
                f"{', '.join('--' + w.replace('_', '-') for w in may)}. Train from the data in a new directory.{suggest(name, may)}"
            )
    from agon.config import override
    from agon.run import game_class, run_from_json

    content = directory.run()
    content = {**content, **override({k: content[k] for k in may if k in content}, settings)}
    run_from_json(content, game_class(directory, content, trusted=trusted))
    directory.write("run.json", content)


def _flat(data: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in data.items():
        rows += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return rows


# -- printing and errors -------------------------------------------------------------------------------------------------------------


def _console(quiet: bool = False) -> Console:
    from rich.console import Console

    return Console(quiet=quiet)


def _line(console: Console, name: str, text: str, width: int = 10) -> None:
    from rich.markup import escape

    console.print(f"[bold]{escape(name):>{width}}[/]  {escape(text)}", highlight=False, soft_wrap=True)


def main() -> None:
    """Run a verb. Status 2: the input is at fault. Status 1: we are; the traceback goes to a file."""
    try:
        app()
    except InputError as error:
        print(f"agon: {error}", file=sys.stderr)
        _leave(2)
    except KeyboardInterrupt:
        print("agon: interrupted; what was saved is whole.", file=sys.stderr)
        _leave(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _leave(0)
    except Exception as error:
        import tempfile
        import traceback

        handle, path = tempfile.mkstemp(prefix="agon-", suffix=".log")
        with os.fdopen(handle, "w") as file:
            file.write(f"agon {' '.join(sys.argv[1:])}\n{traceback.format_exc()}")
        print(f"agon: a fault of Agon's own: {type(error).__name__}: {error}\n      Please report it with {path}.", file=sys.stderr)
        _leave(1)


def _leave(status: int) -> None:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        # Other ranks may wait in a collective; leaving at once lets torchrun end them.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    raise SystemExit(status)
