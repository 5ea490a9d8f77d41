"""The speaker as likelihood left it, kept beside the states, so that the doctor can tell how far the game has led it away.

    KL(G ‖ G₀) = E_G[log G − log G₀], nats a token, G₀ the speaker after its last round of likelihood (or, where a run begins with another
    one's speaker and has no likelihood of its own, as it began)

G₀ is no player: no turn may need it, and no state has to carry it. It is a file, written once when likelihood ends and before the state of that
round, so whoever resumes from a later state finds it; a run that goes back to an earlier round writes it again when it gets there.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from agon.directory import read_state, write_state
from agon.engine import Engine
from agon.game import Game
from agon.spaces import Tokens

FILE = "pretrained.safetensors"
PLAYER = "G"


def begins(game: Game, content: Mapping[str, Any]) -> int | None:
    """The round at which likelihood ends and the game begins; None for games without such a phase or without a likelihood. content: run.json."""
    rounds = getattr(game, "pretrain", None)
    if not isinstance(rounds, int) or type(game).log_likelihood is Game.log_likelihood:
        return None
    return rounds if rounds or content.get("start") else None


def keep(engine: Engine, content: Mapping[str, Any], out: Path) -> None:
    """Write the speaker to states/pretrained.safetensors if this is the round at which likelihood ends."""
    if not isinstance(engine.space, Tokens) or engine.clock.round != begins(engine.game, content):
        return
    tensors = {name: value.detach().contiguous().cpu() for name, value in engine.players[PLAYER].state_dict().items()}
    write_state(out / "states" / FILE, tensors, {"round": engine.clock.round, "attempt": engine.attempt})


def recalled(engine: Engine, content: Mapping[str, Any], out: Path) -> nn.Module | None:
    """The speaker that was kept, ready to be asked; None before likelihood has ended, and for runs that kept none."""
    begin, path = begins(engine.game, content), out / "states" / FILE
    if begin is None or engine.clock.round < begin or not path.is_file():
        return None
    speaker = copy.deepcopy(engine.players[PLAYER]).eval()
    speaker.load_state_dict(read_state(path)[0])
    return speaker
