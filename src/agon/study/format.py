"""Files of a study, and their checks. `docs/human-evaluation.md` documents them.

study.json      what participants may see: trials in order, questions, files of stimuli with names that say nothing
truth.json      where each stimulus is from; a page that shows the study never serves it
responses.jsonl one answer a line: {"participant": "p1", "trial": "t0001", "answer": "fake", "ms": 1840}
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, cast, get_args

from agon.errors import InputError, suggest

FORMAT = 1
Kind = Literal["real-or-fake", "preference", "rating"]
KINDS: tuple[str, ...] = get_args(Kind)
ANSWERS: dict[str, tuple[Any, ...]] = {"real-or-fake": ("real", "fake"), "preference": ("left", "right", "tie"), "rating": (1, 2, 3, 4, 5)}
SHOWN: dict[str, int] = {"real-or-fake": 1, "preference": 2, "rating": 1}  # stimuli of a trial
REAL = "real"  # the source of pictures that no generator made


@dataclass(frozen=True)
class Trial:
    """One question: `stimuli` are ids, left first; `show_ms`: how long they are shown, None for as long as wanted."""

    id: str
    kind: Kind
    stimuli: tuple[str, ...]
    show_ms: int | None = None


@dataclass(frozen=True)
class Study:
    """Trials, the file of each stimulus relative to the folder, and (apart) each stimulus's source: a run's name or "real"."""

    name: str
    question: str
    trials: tuple[Trial, ...]
    files: Mapping[str, str]
    truth: Mapping[str, str]

    def trial(self, id: str) -> Trial | None:
        """The trial of an id, if there is one."""
        return next((trial for trial in self.trials if trial.id == id), None)


@dataclass(frozen=True)
class Response:
    """One answer of one participant to one trial, after `ms` milliseconds (None if not measured)."""

    participant: str
    trial: str
    answer: str | int
    ms: float | None


def read_study(folder: Path | str) -> Study:
    """The study in a folder, checked: ids unique, every stimulus with a file inside the folder and a source. Raises InputError."""
    place = Path(folder)
    shown, truth = _json(place / "study.json"), _json(place / "truth.json")
    where = f"'{place / 'study.json'}'"
    if shown.get("format") != FORMAT:
        raise InputError(f"{where} is of format {shown.get('format')!r}; this Agon reads format {FORMAT}.")
    files, sources = shown.get("stimuli"), truth.get("stimuli")
    if not _texts(files):
        raise InputError(f"{where}: 'stimuli' must map ids to files, as {{'s0001': 'stimuli/s0001.png'}}.")
    if not _texts(sources):
        raise InputError(f"'{place / 'truth.json'}': 'stimuli' must map ids to sources, as {{'s0001': 'real'}}.")
    files, sources = cast("dict[str, str]", files), cast("dict[str, str]", sources)
    for id, name in files.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or not name or "\0" in name:
            raise InputError(f"{where}: stimulus '{id}' names the file {name!r}; expected a path inside the study's folder.")
    trials = shown.get("trials")
    if not isinstance(trials, list) or not trials:
        raise InputError(f"{where} has no trials; expected a list of at least one.")
    read = [_trial(entry, number, where) for number, entry in enumerate(trials, 1)]
    seen: set[str] = set()
    for trial in read:
        if trial.id in seen:
            raise InputError(f"{where}: two trials are called '{trial.id}'; expected unique ids.")
        seen.add(trial.id)
        for id in trial.stimuli:
            if id not in files or id not in sources:
                raise InputError(f"{where}: trial '{trial.id}' shows '{id}', which has no {'file' if id not in files else 'source'}.")
    return Study(str(shown.get("name", place.name)), str(shown.get("question", "")), tuple(read), files, sources)


def _trial(entry: Any, number: int, where: str) -> Trial:
    if not isinstance(entry, dict):
        raise InputError(f"{where}: trial {number} is no object; expected id, kind and stimuli.")
    kind, stimuli, id, show = entry.get("kind"), entry.get("stimuli"), entry.get("id"), entry.get("show_ms")
    if kind not in KINDS:
        raise InputError(f"{where}: trial {number} is of kind {kind!r}; expected {', '.join(KINDS)}.{suggest(str(kind), KINDS)}")
    if not isinstance(id, str) or not id:
        raise InputError(f"{where}: trial {number} has the id {id!r}; expected a text.")
    if not isinstance(stimuli, list) or len(stimuli) != SHOWN[kind] or not all(isinstance(s, str) for s in stimuli):
        raise InputError(f"{where}: trial '{id}' shows {stimuli!r}; a {kind} trial shows {SHOWN[kind]} stimuli, named by their ids.")
    if show is not None and (isinstance(show, bool) or not isinstance(show, int) or show <= 0):
        raise InputError(f"{where}: trial '{id}' has show_ms {show!r}; expected milliseconds above 0, or null.")
    return Trial(id, kind, tuple(stimuli), show)


def write_study(folder: Path | str, study: Study) -> None:
    """Write study.json and truth.json, atomically."""
    from agon.records import atomic_write

    place = Path(folder)
    trials = [
        {"id": t.id, "kind": t.kind, "stimuli": list(t.stimuli), **({"show_ms": t.show_ms} if t.show_ms is not None else {})}
        for t in study.trials
    ]
    shown = {"format": FORMAT, "name": study.name, "question": study.question, "stimuli": dict(study.files), "trials": trials}
    atomic_write(place / "truth.json", json.dumps({"format": FORMAT, "stimuli": dict(study.truth)}, indent=1, ensure_ascii=False) + "\n")
    atomic_write(place / "study.json", json.dumps(shown, indent=1, ensure_ascii=False) + "\n")


def read_responses(path: Path | str, study: Study) -> list[Response]:
    """Answers, in order, each checked against its trial. Raises InputError naming the line: nothing is dropped in silence."""
    place = Path(path)
    try:
        lines = place.read_bytes().split(b"\n")
    except OSError as error:
        raise InputError(f"cannot read '{place}': {error.strerror or error}; expected a file of answers, one JSON object a line.") from None
    trials = {trial.id: trial for trial in study.trials}
    found: list[Response] = []
    answered: set[tuple[str, str]] = set()
    for number, raw in enumerate(lines, 1):
        if not raw.strip():
            continue
        where = f"'{place}', line {number}"
        try:
            row = json.loads(raw)
        except (ValueError, RecursionError):
            raise InputError(f"{where} is not JSON; expected {{'participant': …, 'trial': …, 'answer': …, 'ms': …}}.") from None
        if not isinstance(row, dict):
            raise InputError(f"{where} is no object; expected participant, trial, answer and ms.")
        response = _response(row, trials, where)
        if (response.participant, response.trial) in answered:
            raise InputError(f"{where}: participant '{response.participant}' answers trial '{response.trial}' twice; keep one.")
        answered.add((response.participant, response.trial))
        found.append(response)
    if not found:
        raise InputError(f"'{place}' holds no answers.")
    return found


def _response(row: Mapping[str, Any], trials: Mapping[str, Trial], where: str) -> Response:
    participant, id, answer, ms = row.get("participant"), row.get("trial"), row.get("answer"), row.get("ms")
    if not isinstance(participant, str) or not participant:
        raise InputError(f"{where}: participant is {participant!r}; expected a text that names no person, such as 'p01'.")
    if not isinstance(id, str) or id not in trials:
        raise InputError(f"{where}: trial is {id!r}, which the study has not.{suggest(str(id), trials)}")
    allowed = ANSWERS[trials[id].kind]
    if isinstance(answer, bool) or not isinstance(answer, (str, int)) or answer not in allowed:
        raise InputError(f"{where}: the answer to a {trials[id].kind} trial is {answer!r}; expected one of {', '.join(map(str, allowed))}.")
    if ms is not None and (isinstance(ms, bool) or not isinstance(ms, (int, float)) or not 0 <= ms < math.inf):
        raise InputError(f"{where}: ms is {ms!r}; expected milliseconds, 0 or more, or null.")
    return Response(participant, id, answer, ms)


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"cannot read '{path}': {error}; expected a study made by `agon study make`.") from None
    if not isinstance(content, dict):
        raise InputError(f"'{path}' holds no JSON object; expected a study made by `agon study make`.")
    return content


def _texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())
