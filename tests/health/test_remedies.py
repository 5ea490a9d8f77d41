"""Every remedy is a command that the command line takes and that makes a run."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from test_signs import FIRES, history, patient

from agon import recipes
from agon.cli.settings import assignments, data_settings
from agon.data import Data, open_data
from agon.directory import RunDirectory
from agon.engine import Engine
from agon.game import Game
from agon.health import Doctor, Patient, examine, remedies
from agon.run import game_class, prepare, run_from_json
from agon.schedule import Clock, at
from agon.spaces import Tokens, space_from_json

GAME = '''"""A game of one's own. arXiv:1406.2661. Differs: nothing."""
from dataclasses import dataclass
from agon.games.gan import GAN

@dataclass(frozen=True, kw_only=True)
class Mine(GAN):
    pass
'''


def try_out(command: str, tmp_path: Path) -> dict[str, Any] | None:
    """Take a command as `agon` would, up to the made run directory; its run.json."""
    words = shlex.split(command)
    assert words[0] == "agon"
    if words[1:3] == ["data", "check"] or words[1] == "sample":
        return None
    assert words[1] == "train"
    options: dict[str, str | None] = {"--out": None, "--recipe": None, "--game": None}
    rest, position = [], 3
    while position < len(words):
        if words[position] in options:
            options[words[position]] = words[position + 1]
            position += 2
        else:
            rest.append(words[position])
            position += 1
    data, settings = data_settings(words[2], assignments(rest))
    assert options["--out"] and not Path(options["--out"]).exists(), "the place is free"
    directory, _ = prepare(
        Data(**data), out=options["--out"], recipe=options["--recipe"], game_file=options["--game"], settings=settings,
    )  # fmt: skip
    return directory.run()


def game_of(content: dict[str, Any], directory: Path) -> Game:
    return run_from_json(content, game_class(RunDirectory(directory), content, trusted=True)).game


def ill(directory: Path) -> list[str]:
    """All remedies that any sign has for the run in `directory`."""
    found: dict[str, None] = {}
    for _, _, course, facts in FIRES:
        who = replace(_patient(directory), facts=patient(facts).facts)
        for sign in examine(history(**course), who):
            found |= dict.fromkeys(sign.remedies)
    return list(found)


@pytest.mark.parametrize(
    ("path", "recipe", "settings"),
    [
        ("digits", "gan", {"rounds": 40, "game.loss.saturating": True, "game.optim.D.lr": 0.001}),
        ("digits", "r3gan", {"rounds": 40, "game.net.widths": [16, 8], "game.optim.G.lr": {"start": 1e-3, "end": 1e-4, "span": 100}}),
        ("ring", "r3gan-points", {"rounds": 40, "batch": 32, "seed": 5}),
    ],
)
def test_every_remedy_makes_a_run(path: str, recipe: str, settings: dict[str, Any], tmp_path: Path) -> None:
    place = tmp_path / "my runs" / "it's-3"
    prepare(Data(path=path, limit=100, holdout=0.2), out=place, recipe=recipe, settings=settings)
    (place / "states" / "best.safetensors").write_bytes(b"")
    commands = ill(place)
    assert len(commands) > 5
    for command in commands:
        made = try_out(command, tmp_path)
        if made is not None:
            assert made["data"]["path"] == path and made["data"]["limit"] == 100 and made["data"]["holdout"] == 0.2
            assert made["rounds"] == 40, "what was asked for is asked for again"
            shutil.rmtree(shlex.split(command)[-1])


def data_of(recipe: str) -> Data:
    """A few samples that the recipe can be played on."""
    if recipe.startswith(("summary", "translation")):
        return Data(path="headlines", limit=100, unpaired=recipe.endswith("unpaired"))
    if recipe == "video-text":
        return Data(path="moving-shapes", size=16, limit=24, condition="captions")
    where = recipes.find(recipe).build.__module__.split(".")[-1]
    if where == "clips":
        return Data(path="moving-shapes", size=16, limit=24, balance=True)
    if where.startswith("text"):
        return Data(path="chapters" if recipe == "catgan" else "arithmetic", limit=200)
    return Data(path="ring" if where == "points" else "digits", limit=60)


NEEDY = ("mocogan-hd", "residual-pretrained")  # of another run, of a folder


@pytest.mark.parametrize("recipe", [name for name in recipes.table() if name not in NEEDY])
def test_what_a_remedy_changes_in_a_game_can_be_played(recipe: str, tmp_path: Path) -> None:
    """Games without a critic are not told to augment what it sees, games that need a condition not to leave it out."""
    prepare(data_of(recipe), out=tmp_path / "a", recipe=recipe, settings={"rounds": 40})
    who = _patient(tmp_path / "a")
    of_games = (
        remedies.augmented, remedies.unlabelled, remedies.judged, remedies.dropped, remedies.smaller, remedies.entropic, remedies.unsaturated,
        partial(remedies.penalised, times=5),
    )  # fmt: skip
    for command in filter(None, (remedy(who) for remedy in of_games)):  # type: ignore[operator]
        made = try_out(command, tmp_path)
        assert made is not None
        game = game_of(made, Path(shlex.split(command)[-1]))
        game.cast(game.sees(space_from_json(made["space"])))
        shutil.rmtree(shlex.split(command)[-1])


@pytest.mark.parametrize(("recipe", "critics", "needs"), [("vae", [], False), ("gan", ["D"], False), ("acgan", ["D"], True)])
def test_the_doctor_knows_who_judges_and_what_a_game_needs(recipe: str, critics: list[str], needs: bool, tmp_path: Path) -> None:
    directory, _ = prepare(data_of(recipe), out=tmp_path / "a", recipe=recipe, settings={"rounds": 40})
    content, data_set = directory.run(), open_data(data_of(recipe))
    game = game_of(content, directory.path)
    space = game.sees(data_set.space)
    who = Doctor(Engine(game, space), data_set, space, content, directory.path, tick=10, batch=16).patient()
    assert (who.critics, who.needs_condition) == (critics, needs)
    assert (remedies.unlabelled(who) is None) == needs
    assert critics or remedies.augmented(who) is None


def test_a_game_of_ones_own_is_kept(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(GAME)
    place = tmp_path / "a"
    prepare(Data(path="digits", limit=60), out=place, game_file=tmp_path / "mine.py", settings={"rounds": 9, "game.z_dim": 8})
    made = try_out(remedies.reseeded(_patient(place)), tmp_path)
    assert made is not None
    assert made["game"]["file"] == "game.py" and made["game"]["z_dim"] == 8 and made["seed"] == 1


def test_another_recipe_leaves_the_games_settings_behind(tmp_path: Path) -> None:
    place = tmp_path / "a"
    prepare(Data(path="digits", limit=60), out=place, recipe="gan", settings={"rounds": 9, "game.loss.saturating": True})
    command = remedies.steadier(_patient(place))
    assert command is not None and "saturating" not in command
    made = try_out(command, tmp_path)
    assert made is not None and made["game"]["name"] == "r3gan" and made["rounds"] == 9


def test_what_was_changed_on_the_way_holds(tmp_path: Path) -> None:
    from agon.cli.settings import amendments

    place = tmp_path / "a"
    directory, _ = prepare(Data(path="digits", limit=60), out=place, recipe="gan", settings={"rounds": 9})
    directory.write("run.json", {**directory.run(), **amendments(directory, {"rounds": 30}, trusted=False)})
    made = try_out(remedies.reseeded(_patient(place)), tmp_path)
    assert made is not None and made["rounds"] == 30
    assert directory.path == place


def test_what_does_not_apply_is_not_offered(tmp_path: Path) -> None:
    place = tmp_path / "a"
    prepare(Data(path="ring", limit=60, mirror=False), out=place, settings={"rounds": 9})
    who = _patient(place)
    assert remedies.steadier(who) is None, "it is the steady one"
    assert remedies.mirrored(who) is None, "points are not mirrored"
    assert remedies.unsaturated(who) is None
    assert remedies.best(who) is None, "nothing was scored"
    assert remedies.slower(who, "X") is None


def test_places_are_free_ones(tmp_path: Path) -> None:
    for name in ("a", "a-2", "b-7"):
        (tmp_path / name).mkdir()
    assert remedies.free(tmp_path / "a") == tmp_path / "a-3"
    assert remedies.free(tmp_path / "a-2") == tmp_path / "a-3"
    assert remedies.free(tmp_path / "b-7") == tmp_path / "b-2"


def _patient(place: Path) -> Patient:
    """The run as the doctor knows it, but for its facts."""
    content = RunDirectory(place).run()
    game, space = game_of(content, place), space_from_json(content["space"])
    gamma = getattr(game, "gamma", None)
    return Patient(
        train=1000, content=content, out=place, rates={k: at(v.lr, Clock(5, 320)) for k, v in game.optim.items()},
        gamma=None if gamma is None else at(gamma, Clock(5, 320)), pictures=len(space.shape) in (3, 4), clips=len(space.shape) == 4,
        text=isinstance(space, Tokens), critics=game.critics, needs_condition=game.refusal(space.unlabelled()) is not None,
    )  # fmt: skip
