"""Starting a run from the weights of another: what fits by name and shape is taken, the rest and the optimisers are fresh.

The weights are copied into the new run as `start.safetensors`, so that it resumes, and is repeated, without the old one.
"""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agon import standing
from agon.directory import RunDirectory, read_state, write_state
from agon.engine import Engine
from agon.errors import InputError
from agon.game import Game
from agon.spaces import Space, Tokens

FILE = "start.safetensors"


@dataclass(frozen=True)
class Start:
    """Where a run's first weights come from: a state of another run, by path, round and sha256 of its file; what was taken, and what not."""

    path: str
    state: str
    round: int
    sha256: str
    taken: int  # tensors of players
    total: int  # tensors the players have
    fresh: dict[str, str]  # tensor -> why it was not taken

    def describe(self) -> str:
        """One line for people."""
        text = f"{self.taken} of {self.total} tensors from {self.path}, round {self.round:,}; optimisers are fresh"
        if not self.fresh:
            return text
        listed = "; ".join(f"{name}: {why}" for name, why in list(self.fresh.items())[:6])
        return f"{text}. Not taken: {listed}{'; …' if len(self.fresh) > 6 else ''}"


def fetch(path: Path | str, state: str, game: Game, space: Space) -> tuple[Start, dict[str, Tensor]]:
    """The tensors of a run's state (latest, best or a round) that fit the players of `game` on `space`, and the record of it.

    A game that inherits parts of other players (`Game.inherits`) takes those, averaged, and nothing else.
    Weights and averages are taken from players that have an optimiser; props, such as the strength of augmentation, start anew. Raises
    InputError: no such run or state, other data (a picture of another size or number of channels), or nothing that fits.
    """
    directory = RunDirectory.open(path)
    content = directory.run()
    found = directory.load_state(state)
    if found is None:
        raise InputError(f"'{path}' has no saved state to start from. Train it first: `agon train {shlex.quote(str(path))}`.")
    tensors, rest, file = found
    if game.inherits:  # the average is taken for good, and its own statistics with it
        tensors |= {f"ema/{k.removeprefix(standing.PREFIX)}": v for k, v in tensors.items() if k.startswith(standing.PREFIX)}
    _check_space(content["space"], getattr(space, "picture", space) if game.inherits else space, path)
    with torch.random.fork_rng(devices=[]):
        players = {name: net for name, net in game.players(space).items() if name in game.optim}
    kept: dict[str, Tensor] = {}
    fresh: dict[str, str] = {}
    total = 0
    for name, net in players.items():
        for key, own in net.state_dict().items():
            whence = _whence(game, f"{name}.{key}")
            if whence is None:
                continue
            total += 1
            old = tensors.get(f"players/{whence}")
            if game.inherits:
                old = tensors.get(f"ema/{whence}", old)
            if old is not None and old.shape == own.shape:
                kept[f"players/{name}/{key}"] = old
                average = tensors.get(f"ema/{whence}", old)
                if name in game.ema:
                    kept[f"ema/{name}/{key}"] = average if average.shape == own.shape else old
            else:
                fresh[f"{name}.{key}"] = "not there" if old is None else f"{_shape(old)} there, {_shape(own)} here"
    taken = total - len(fresh)
    if not taken:
        raise InputError(
            f"nothing of '{path}' fits: it was trained with the game '{content['game']['name']}', whose players "
            f"{', '.join(sorted({k.split('/')[1] for k in tensors if k.startswith('players/')}))} share no tensor of equal name and shape with "
            f"those of this run. Take the same recipe and network (--recipe {content.get('recipe') or content['game']['name']})."
        )
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return Start(str(path), state, rest["round"], digest, taken, total, fresh), kept


def _whence(game: Game, name: str) -> str | None:
    """The other run's name "player/key" of a tensor of ours, "player.key"; None where it is not to be taken."""
    if not game.inherits:
        return name.replace(".", "/", 1)
    return next(
        (there.replace(".", "/", 1) + name.removeprefix(here) for here, there in game.inherits.items() if name.startswith(here)), None
    )


def _shape(x: Tensor) -> str:
    return "×".join(map(str, x.shape)) or "a number"


def _check_space(old: dict[str, Any], space: Space, path: Path | str) -> None:
    if old.get("kind", "image") != getattr(space, "kind", "image"):
        raise InputError(
            f"'{path}' was trained on {old.get('kind')} data, this is {space.describe()}; weights are taken between alike only."
        )
    if old.get("kind") == "vector":
        return
    if isinstance(space, Tokens):
        if (old.get("tokenizer", ""), old["vocabulary"]) != (space.tokenizer, space.vocabulary):
            raise InputError(
                f"'{path}' has other tokens than this run: a token's number would stand for another word. Give the data, --tokenizer and "
                "--vocabulary that it was trained with."
            )
        return
    channels, height, width = space.shape
    if (old["height"], old["width"]) != (height, width):
        raise InputError(
            f"'{path}' draws pictures of {old['width']}×{old['height']}, and this run {width}×{height}: another size is another "
            f"network, and layers of one name would stand at other scales. Add --size {old['height']}"
            + ("." if old["height"] == old["width"] else f" or the pair [{old['height']}, {old['width']}].")
        )
    if old["channels"] != channels:
        raise InputError(
            f"'{path}' draws pictures of {old['channels']} channels, and this run {channels}. Add --channels {old['channels']}."
        )


def keep(directory: RunDirectory, start: Start, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Write the tensors into a new run; the entry of run.json."""
    write_state(directory.path / FILE, tensors, {"round": start.round})
    return asdict(start)


def adopt(engine: Engine, directory: RunDirectory) -> None:
    """Give a fresh engine the weights that `keep` wrote."""
    tensors, _ = read_state(directory.path / FILE)
    with torch.no_grad():
        for group, nets in (("players", dict(engine.players.items())), ("ema", engine.players.averages)):
            for name, net in nets.items():
                for key, own in net.state_dict().items():
                    if (value := tensors.get(f"{group}/{name}/{key}")) is not None:
                        own.copy_(value)
