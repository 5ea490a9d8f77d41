"""The run directory: the only interface between training, sampling, scores, reports and studios.

    run.json  data.json  events.jsonl  metrics.jsonl  samples/  states/  export/

A state is one safetensors file with everything a resumed run needs; its JSON header holds the numbers. Files are written beside their
place, synced and renamed, so that no half-written file is ever read.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from agon.errors import InputError, suggest
from agon.records import atomic_write, read_jsonl, write_safetensors

FORMAT = 1
_STATE = re.compile(r"^(\d{8,})\.safetensors$")


@dataclass(frozen=True)
class RunDirectory:
    """Paths and files of one run."""

    path: Path

    @classmethod
    def open(cls, path: Path | str) -> RunDirectory:
        """The existing run at `path`. Raises InputError if there is none."""
        directory = cls(Path(path))
        if not directory.path.exists():
            beside = directory.path.parent
            near = sorted(p.name for p in beside.iterdir() if (p / "run.json").is_file()) if beside.is_dir() else []
            listing = f" Runs in '{beside}': {', '.join(near[:8])}{', …' if len(near) > 8 else ''}." if near else ""
            known = suggest(directory.path.name, near)
            raise InputError(f"run '{path}' does not exist; expected a directory made by `agon train`.{listing}{known}")
        if not directory.is_run():
            raise InputError(f"'{path}' is not a run: it has no run.json. Expected a directory made by `agon train`.")
        return directory

    def is_run(self) -> bool:
        """Whether the directory holds a run."""
        return (self.path / "run.json").is_file()

    def make(self) -> None:
        """Make the directory and check that it can be written, and that nothing but a run lies in it. Raises InputError."""
        self._named_in_utf8()
        try:
            if self.is_run() or self.states():
                raise InputError(
                    f"'{self.path}' already holds a run. Go on with it by `agon train {shlex.quote(str(self.path))}`, or choose another --out."
                )
            # `states` without any is what a run leaves that ended before it had a run.json.
            begun = not self.path.is_dir() or (self.path / "states").is_dir()
            if strange := [] if begun else [entry.name for entry in self.path.iterdir() if not _passing(entry)]:
                raise InputError(
                    f"'{self.path}' holds files that are no run, such as '{min(strange)}'; expected a new or an empty directory. "
                    "Choose another with --out."
                )
            (self.path / "states").mkdir(parents=True, exist_ok=True)
            (self.path / "samples").mkdir(exist_ok=True)
            atomic_write(self.path / ".writable", "")
            (self.path / ".writable").unlink()
        except OSError as error:
            raise InputError(
                f"cannot write to '{self.path}': {error.strerror or error}; expected a directory that can be written. Choose another with --out."
            ) from None

    def _named_in_utf8(self) -> None:
        # safetensors and TensorBoard open no other paths, so a run there could be begun and never gone on with.
        try:
            str(self.path.absolute()).encode()
        except UnicodeEncodeError:
            raise InputError(
                f"the path of the run, {os.fsencode(self.path)!r}, is not UTF-8, and its states cannot be read there; expected a path in UTF-8. "
                "Rename the folder, or choose another with --out."
            ) from None

    def read(self, name: str) -> dict[str, Any]:
        """A JSON file of the run as a dict. Raises InputError if it is missing or damaged."""
        try:
            content = json.loads((self.path / name).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read '{self.path / name}': {error}. The run is damaged; train it again.") from None
        if not isinstance(content, dict):
            raise InputError(f"'{self.path / name}' holds no JSON object. The run is damaged; train it again.")
        return content

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file of the run, atomically."""
        atomic_write(self.path / name, json.dumps(content, indent=1, ensure_ascii=False) + "\n")

    def run(self) -> dict[str, Any]:
        """run.json, checked for its format number and for what every run has."""
        self._named_in_utf8()
        content = self.read("run.json")
        if content.get("format") != FORMAT:
            raise InputError(
                f"'{self.path}' is a run of format {content.get('format')!r}; this Agon reads format {FORMAT}. "
                "Use the Agon version named in its run.json."
            )
        lacking = next((name for name in ("game", "data", "rounds", "batch", "space") if name not in content), None)
        if lacking:
            raise InputError(
                f"'{self.path / 'run.json'}' lacks '{lacking}', which every run has. Put it back from a copy, or train the run again."
            )
        return content

    def events(self) -> list[dict[str, Any]]:
        """Rows of events.jsonl."""
        return read_jsonl(self.path / "events.jsonl")

    def scores(self) -> list[dict[str, Any]]:
        """Rows of metrics.jsonl."""
        return read_jsonl(self.path / "metrics.jsonl")

    def picture(self, round: int) -> Path:
        """Where the sample grid of a round lies."""
        return self.path / "samples" / f"{round:08d}.png"

    # -- states ------------------------------------------------------------------------------------------------------------------

    def states(self) -> list[tuple[int, Path]]:
        """Rounds and paths of the saved states, oldest first."""
        folder = self.path / "states"
        found = [(int(m[1]), p) for p in folder.iterdir() if (m := _STATE.match(p.name))] if folder.is_dir() else []
        return sorted(found)

    def save_state(
        self, tensors: Mapping[str, Tensor], rest: Mapping[str, Any], keep: int, *, sparse: bool = False, near: int | None = None
    ) -> Path:
        """Write a state and drop all but the newest `keep`, itself among them. sparse: also keep the first state and ever fewer of the older ones;
        near: also the one nearest to this round. Newer states are left alone."""
        path = self.path / "states" / f"{rest['round']:08d}.safetensors"
        write_state(path, tensors, rest)
        # Newer ones were passed over because they are damaged: they must not count as the newest that are kept.
        states = [(round, old) for round, old in self.states() if round <= rest["round"]]
        wanted = _sparse([round for round, _ in states]) if sparse else set()
        wanted |= set() if near is None else {min((round for round, _ in states), key=lambda round: abs(round - near))}
        for round, old in states[:-keep]:
            if round not in wanted:
                with contextlib.suppress(OSError):
                    old.unlink()
        return path

    def load_state(
        self, which: str = "latest", say: Callable[[str], None] = lambda text: None
    ) -> tuple[dict[str, Tensor], dict[str, Any], Path] | None:
        """The newest readable state, "best", or that of a round; None if the run has none yet.

        A damaged newest state (a failing disk: our own writes are atomic) is passed over, and `say` hears of it. Raises InputError for a state that
        is not there, and where none can be read.
        """
        states = self.states()
        if which == "best":
            best = self.path / "states" / "best.safetensors"
            if not best.is_file():
                raise InputError(f"'{self.path}' has no best state yet: no score was taken. Use --state latest.")
            return (*read_state(best), best)
        if which != "latest":
            rounds = {str(r): p for r, p in states}
            if which.lstrip("0") not in rounds and which not in rounds:
                raise InputError(f"'{self.path}' has no state of round {which}; it has {', '.join(rounds) or 'none'}, latest and best.")
            path = rounds.get(which) or rounds[which.lstrip("0")]
            return (*read_state(path), path)
        for round, file in reversed(states):
            try:
                return (*read_state(file), file)
            except InputError as error:
                if isinstance(error.__cause__, OSError):  # the disk is at fault, not the state
                    raise
                say(f"passed over the damaged state of round {round:,}")
        if states:
            way = "try --state best" if (self.path / "states" / "best.safetensors").is_file() else "it has no best state either"
            raise InputError(f"'{self.path}' has {len(states)} states and none of them can be read; {way}, or train again from the data.")
        return None

    def must_be_new(self) -> None:
        """Raise InputError if its records tell of saved states: to begin anew where these are gone would wipe the records too."""
        saved = [row["round"] for row in self.events() if row.get("kind") in ("save", "done") and isinstance(row.get("round"), int)]
        if saved:
            here, round = self.path, saved[-1]
            raise InputError(
                f"'{here / 'states'}' holds no saved state, but events.jsonl tells of one of round {round:,}; expected {round:08d}.safetensors or "
                f"an older one. Put it back, or train the same again elsewhere: agon train {shlex.quote(str(here / 'run.json'))} --out NEW. "
                "Nothing was changed."
            )

    def state_before(self, latest: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The newest readable state of round `latest` or before, or the oldest there is. Raises InputError if none can be read."""
        states = self.states()
        wanted = [path for round, path in reversed(states) if round <= latest] or [states[0][1]]
        for path in wanted[:-1]:
            with contextlib.suppress(InputError):
                return read_state(path)
        return read_state(wanted[-1])

    def set_aside(self, *, after: int) -> list[str]:
        """Rename the states of later rounds, which could not be read, to NAME.damaged; the new names."""
        renamed = []
        for round, path in self.states():
            if round > after:
                renamed.append(path.rename(path.with_name(f"{path.name}.damaged")).name)
        return renamed

    def drop_states(self, *, after: int) -> None:
        """Delete the states of later rounds."""
        for round, path in self.states():
            if round > after:
                path.unlink(missing_ok=True)


def _passing(entry: Path) -> bool:
    """Whether it may lie where a run is made: what systems put there, and the log that a shell has opened."""
    return entry.name.startswith(".") or entry.name == "lost+found" or entry.suffix in (".log", ".out", ".err")


def _sparse(rounds: list[int]) -> set[int]:
    """Of ascending rounds the first, and the oldest in each span of ages from 2^k to 2^(k+1) newest intervals."""
    if len(rounds) < 3:
        return set(rounds)
    interval = max(1, rounds[-1] - rounds[-2])
    oldest: dict[int, int] = {}
    for round in reversed(rounds):
        oldest[((rounds[-1] - round) // interval).bit_length()] = round
    return {rounds[0], *oldest.values()}


def write_state(path: Path, tensors: Mapping[str, Tensor], rest: Mapping[str, Any]) -> None:
    """Write tensors and JSON-able numbers as one safetensors file, atomically."""
    write_safetensors(path, tensors, {"agon": json.dumps(rest)})


def read_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write_state` wrote. Raises InputError if the file is damaged or foreign."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            rest = json.loads((file.metadata() or {})["agon"])
            # Cloned, because the file is memory-mapped: whoever truncates it later must not take the tensors away.
            return {name: file.get_tensor(name).clone() for name in file.keys()}, rest  # noqa: SIM118 - not a dict
    except OSError as error:
        raise InputError(
            f"state '{path}' cannot be opened: {error.strerror or error}. Nothing was changed; try again once it can be."
        ) from error
    except (SafetensorError, KeyError, ValueError) as error:
        raise InputError(f"state '{path}' cannot be read ({error}); it is damaged or not Agon's. Delete it to use an older one.") from None
