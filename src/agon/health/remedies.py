"""Remedies as commands that can be pasted: the run's own data and settings, one change, and a new place.

Each function returns a command, or None where the change does not apply to this run (no such field, or it is set already).
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agon.config import encode
from agon.data.request import Data
from agon.health.contract import Patient

MOVING = {"motion", "clip", "patch-clip"}  # kinds of critics that see many frames of a clip at once
_USUAL = encode(Data(path=""))
WILD = 0.02  # a learning rate that cannot be meant


def again(patient: Patient, changes: Mapping[str, Any], *, recipe: str | None = None) -> str:
    """`agon train` with this run's data and settings, `changes` (dotted names) and a free --out. recipe: another one, without the game's settings."""
    content = patient.content
    data = dict(content["data"])
    words = ["agon", "train", str(data.pop("path"))]
    if recipe is None and content["game"].get("file"):
        words += ["--game", str(patient.out / content["game"]["file"])]
    else:
        words += ["--recipe", recipe or str(content["recipe"])]
    settings = {f"data.{name}": value for name, value in data.items() if name in _USUAL and value != _USUAL[name]}
    for name, value in content.get("settings", {}).items():
        if recipe is None or not name.startswith("game."):
            settings[name] = content.get(name, value)  # what a later `agon train RUN --rounds …` changed holds
    for name in changes:
        # A schedule's parts (lr.start) go when the whole (lr) is set; a later setting wins over an earlier one.
        settings = {k: v for k, v in settings.items() if k != name and not k.startswith(f"{name}.")}
    settings |= changes
    for name, value in settings.items():
        text = value if isinstance(value, str) else json.dumps(value)
        words += ["--" + name.removeprefix("data.").replace("_", "-"), text]
    return shlex.join([*words, "--out", str(free(patient.out))])


def free(path: Path) -> Path:
    """A sibling of `path` that does not exist yet: runs/a -> runs/a-2."""
    stem = re.sub(r"-\d+$", "", path.name) or "run"
    return next(p for n in range(2, 10_000) if not (p := path.with_name(f"{stem}-{n}")).exists())


def knows(patient: Patient, name: str) -> bool:
    """Whether the game has a field of this dotted name."""
    place: Any = patient.content["game"]
    for key in name.split("."):
        if not isinstance(place, Mapping) or key not in place:
            return False
        place = place[key]
    return True


def slower(patient: Patient, player: str, factor: float = 5.0) -> str | None:
    """A lower learning rate for a player."""
    rate = patient.rates.get(player)
    if not rate or not knows(patient, f"optim.{player}.lr"):
        return None
    return again(patient, {f"game.optim.{player}.lr": float(f"{rate / factor:.2g}")})


def faster(patient: Patient, player: str, factor: float = 5.0) -> str | None:
    """A higher learning rate for a player."""
    return slower(patient, player, 1 / factor)


def tamed(patient: Patient) -> str | None:
    """Rates that no recipe comes near, of all players at once, at an ordinary one: an adaptive optimiser steps as far after clipping."""
    wild = [player for player, rate in patient.rates.items() if rate >= WILD and knows(patient, f"optim.{player}.lr")]
    return again(patient, {f"game.optim.{player}.lr": 1e-3 for player in wild}) if wild else None


def clipped(patient: Patient, player: str) -> str | None:
    """Gradients of a player clipped to norm 1."""
    if not knows(patient, f"optim.{player}.clip") or patient.content["game"]["optim"][player]["clip"] is not None:
        return None
    return again(patient, {f"game.optim.{player}.clip": 1.0})


def penalised(patient: Patient, times: float) -> str | None:
    """A stronger gradient penalty, where the game has γ."""
    if not patient.gamma or not knows(patient, "gamma"):
        return None
    return again(patient, {"game.gamma": float(f"{patient.gamma * times:.3g}")})


def unsaturated(patient: Patient) -> str | None:
    """The non-saturating form of the generator's loss, where this is the saturating one."""
    loss = patient.content["game"].get("loss")
    saturating = isinstance(loss, Mapping) and loss.get("saturating") is True
    return again(patient, {"game.loss.saturating": False}) if saturating else None


def augmented(patient: Patient) -> str | None:
    """Differentiable augmentation with adaptive strength, where a critic sees pictures and it is off; no mirroring, which may be wrong."""
    if not patient.pictures or not patient.critics or not knows(patient, "augment") or patient.content["game"]["augment"] is not None:
        return None
    return again(patient, {"game.augment": {"policy": ["blit", "geometry", "colour"]}})


def steadier(patient: Patient) -> str | None:
    """The recipe that needs the least care, unless this is it."""
    name, own = "r3gan" if patient.pictures else "r3gan-points", str(patient.content["recipe"])
    if patient.text:
        return None if own == "likelihood" or patient.content.get("space", {}).get("source") else again(patient, {}, recipe="likelihood")
    if patient.clips:
        game = patient.content["game"]
        name = "video-first" if game.get("first_frame") else "video-text" if patient.content.get("space", {}).get("words") else "video"
    return None if own.startswith("video" if patient.clips else "r3gan") else again(patient, {}, recipe=name)


def judged(patient: Patient) -> str | None:
    """A critic that sees how clips move, where the game's critics are a list without one."""
    judges = patient.content["game"].get("judges")
    if not isinstance(judges, list):
        return None
    kinds = [str(judge.get("kind")) for judge in judges if isinstance(judge, Mapping)]
    return None if set(kinds) & MOVING else again(patient, {"game.judges": ",".join([*kinds, "motion"])})


def reseeded(patient: Patient) -> str:
    """Another seed: cures bad luck, not bad settings."""
    return again(patient, {"seed": int(patient.content.get("seed", 0)) + 1})


def mirrored(patient: Patient) -> str | None:
    """Twice the pictures, where left and right may be exchanged; of clips left and right are often what they are about."""
    fit = patient.pictures and not patient.clips and not patient.content["data"].get("mirror")
    return again(patient, {"data.mirror": True}) if fit else None


def unlabelled(patient: Patient) -> str | None:
    """Train without labels, and without what was asked for of them, where the game can."""
    if patient.needs_condition:
        return None
    data = patient.content["data"]
    asked = [name for name in ("columns", "condition", "balance") if data.get(name, _USUAL[name]) != _USUAL[name]]
    return again(patient, {f"data.{name}": _USUAL[name] for name in asked} | {"data.labels": "ignore"})


def look(patient: Patient) -> str:
    """What is in the data, with a picture of some of it; text is read without one."""
    picture = [] if patient.text else ["--out", "data-check.png"]
    return shlex.join(["agon", "data", "check", str(patient.content["data"]["path"]), *picture])


def best(patient: Patient) -> str | None:
    """Take the saved state with the best score instead of the last, where one was scored."""
    if not (patient.out / "states" / "best.safetensors").is_file():
        return None
    return shlex.join(["agon", "sample", str(patient.out), "--state", "best"])


def back(patient: Patient, round: float | None) -> str | None:
    """The kept state nearest to a round at which a text was at its best or, where none is near, a run that ends there."""
    if round is None:
        return None
    near = min(patient.states, key=lambda kept: abs(kept - round), default=None)
    if near is not None and abs(near - round) <= max(1, 0.02 * int(patient.content.get("rounds", 0))):
        return shlex.join(["agon", "sample", str(patient.out), "--state", str(near)])
    return again(patient, {"rounds": max(1, int(round))})


def dropped(patient: Patient) -> str | None:
    """More dropout, where a speaker has it and has little."""
    net = patient.content["game"].get("net")
    if not patient.text or not isinstance(net, Mapping) or not isinstance(net.get("dropout"), (int, float)) or net["dropout"] >= 0.5:
        return None
    return again(patient, {"game.net.dropout": 0.5})


def smaller(patient: Patient) -> str | None:
    """A speaker of half the width."""
    net = patient.content["game"].get("net")
    wide = isinstance(net, Mapping) and isinstance(net.get("width"), int) and net["width"] >= 32
    return again(patient, {"game.net.width": net["width"] // 2}) if wide else None


def entropic(patient: Patient) -> str | None:
    """A reward for entropy, where the game has one and it is off."""
    return again(patient, {"game.entropy": 0.01}) if patient.content["game"].get("entropy") == 0 else None


def some(*commands: str | None) -> tuple[str, ...]:
    """At most two commands that apply, without repeats."""
    return tuple(dict.fromkeys(c for c in commands if c))[:2]
