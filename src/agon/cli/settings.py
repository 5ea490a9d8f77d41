"""Settings given by name on the command line, and how they reach the data, the game and the run."""

from __future__ import annotations

import re
import shlex
from typing import Any

from agon.errors import InputError, suggest

DATA_WORDS = (
    "size", "channels", "resize", "filter", "labels", "condition", "columns", "balance", "mirror", "holdout", "limit", "memory",
    "frames", "stride", "fps", "hop", "group", "tokenizer", "vocabulary", "length", "lower", "text", "source", "target",
    "source_length", "shared", "unpaired", "bucket",
)  # fmt: skip
RUN_WORDS = (
    "rounds", "batch", "microbatch", "device", "precision", "channels_last", "compile", "seed", "threads", "tick", "score_every", "score_share",
    "save_every", "metrics", "extractor", "extractor_weights", "num_samples", "keep", "patience", "on_collapse", "tensorboard",
)  # fmt: skip


def listed(words: tuple[str, ...]) -> str:
    """Settings as they are typed."""
    return ", ".join(f"--{word.replace('_', '-')}" for word in words)


def assignments(arguments: list[str]) -> dict[str, Any]:
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
        alone = not equals and (position == len(arguments) or arguments[position].startswith("--"))
        if not equals and not alone:
            value, position = arguments[position], position + 1
        setting = settings[underscored(name)] = True if alone else read(value)
        if isinstance(setting, bool) and _takes_value(underscored(name).removeprefix("data.")):
            raise InputError(f"--{name} got {'nothing' if alone else value}; expected a value: --{name} VALUE.")
    if isinstance(asked := settings.get("metrics"), str):
        settings["metrics"] = [word.strip() for word in asked.split(",")]
    return settings


def _takes_value(name: str) -> bool:
    """Whether a setting of the data or the run is no yes or no."""
    from dataclasses import fields

    from agon.data.request import Data

    if name not in DATA_WORDS and "." not in name:
        from agon.run import Run  # heavy, and so only for what is no word of the data's

        return any(field.name == name and field.type != "bool" for field in fields(Run))
    return any(field.name == name and not str(field.type).startswith("bool") for field in fields(Data))


def underscored(name: str) -> str:
    return name.replace("-", "_")


def data_settings(path: str, settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split settings into the data's, checked, and the rest."""
    from agon.config import decode, encode
    from agon.data import Data

    chosen: dict[str, Any] = {"path": path}
    rest: dict[str, Any] = {}
    for name, value in settings.items():
        word = name.removeprefix("data.")
        if word in DATA_WORDS:
            chosen[word] = [part.strip() for part in str(value).split(",")] if word == "columns" and not isinstance(value, list) else value
        elif name.startswith("data."):
            raise InputError(f"unknown option '--{name}'; data has {', '.join(DATA_WORDS)}.{suggest(word, DATA_WORDS, '--')}")
        else:
            rest[name] = value
    if isinstance(size := chosen.get("size"), str) and re.fullmatch(r"\d+x\d+", size):
        chosen["size"] = [int(side) for side in size.split("x")]
    data = encode(decode(Data, chosen, "data"))
    if isinstance(data.get("size"), list):
        data["size"] = tuple(data["size"])
    data["columns"] = tuple(data["columns"])
    return data, rest


def amendments(directory: Any, settings: dict[str, Any], *, trusted: bool, repeat: bool = False) -> dict[str, Any]:
    """Entries of an existing run's run.json as these settings make them, which do not change what was trained. repeat: for a copy of it."""
    may = ("rounds", "tick", "score_every", "score_share", "save_every", "keep", "threads", "metrics", "num_samples", "device", "patience",
           "on_collapse", "tensorboard", "extractor", "extractor_weights", "data.path")  # fmt: skip
    if not settings:
        return {}
    for name in settings:
        if name not in may:
            raise InputError(
                f"--{name.replace('_', '-')} would make another experiment of '{directory.path}'; expected one of "
                f"{', '.join('--' + w.replace('_', '-') for w in may)}. Train from the data in a new directory.{suggest(name, may, '--')}"
            )
    from agon.config import override
    from agon.data.request import located
    from agon.metrics.registry import may_choose_best
    from agon.run import game_class, run_from_json

    content = directory.run()
    plain = {name: value for name, value in settings.items() if name != "data.path"}
    changes = override({k: content[k] for k in may if k in content}, plain)
    if "data.path" in settings:
        changes["data"] = {**content["data"], "path": located(str(settings["data.path"]))}
    amended = run_from_json({**content, **changes}, game_class(directory, content, trusted=trusted))
    if "metrics" in settings and amended.metrics:
        may_choose_best(amended.metrics)
    played = 0 if repeat else max((round for round, _ in directory.states()), default=0)  # a repetition may be shorter
    if "rounds" in settings and amended.rounds < played:
        place = shlex.quote(str(directory.path))
        raise InputError(
            f"--rounds is {amended.rounds:,}, but '{directory.path}' has played {played:,} rounds already, and none can be taken back. "
            f"Give a larger number to train on, agon train {place} --rounds {2 * played}, or use the run as it is: agon sample {place}."
        )
    return changes


def flat(data: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in data.items():
        rows += flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return rows
