"""Going back: to the newest good state after updates that were not finite, to one from before a sign after a collapse, with other noise.

The engine reseeds every round from (seed, attempt, rank, round), so a new attempt from an old state is another run, repeatable like the first.
It helps against bad luck; settings that cannot work collapse again, and then the run ends with the advice of the sign.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agon import ranks
from agon.errors import InputError

if TYPE_CHECKING:
    from agon.hooks import Scene

RECOVERIES = 3  # roll-backs without a new saved state in between, after which a run gives up
SETBACKS = 3  # roll-backs because of signs in a whole run, after which it ends
REACH = 4  # ticks before a sign to go back by, at least; doubled each time, because what shows late began early


def after_nonfinite(scene: Scene, recoveries: int) -> None:
    """Return to the newest state, whose weights are finite. Raises InputError, with what to change, after too many times."""
    engine, run = scene.engine, scene.run
    if recoveries > RECOVERIES:
        raise InputError(
            f"training diverged: {engine.skipped} updates were not finite, and going back {RECOVERIES} times did not help. "
            f"Everything up to round {scene.directory.states()[-1][0]} is saved. Lower the learning rate "
            "(--game.optim.G.lr 1e-4 --game.optim.D.lr 1e-4), clip gradients (--game.optim.D.clip 1) or use --precision fp32."
        )
    why = f"{run.patience} updates in a row were not finite" if engine.streak >= run.patience else "the state was not finite"
    _go_back(scene, why, engine.clock.round)


def after_sign(scene: Scene) -> bool:
    """Return to a state from before the sign that raised the alarm; False if the run should end instead."""
    run, here = scene.run, scene.engine.clock.round
    if run.on_collapse != "rollback" or scene.setbacks >= SETBACKS:
        return False
    scene.setbacks += 1
    name = scene.alarm.name if scene.alarm else "a sign"
    _go_back(scene, f"{name} at round {here:,}", here - run.tick * REACH * 2 ** (scene.setbacks - 1))
    return True


def advice(scene: Scene) -> dict[str, str]:
    """Why a run that a sign ends is ended, for its last event; told to whoever watches."""
    if scene.alarm is None:
        return {}
    times = f" after going back {scene.setbacks} times" if scene.setbacks else ""
    text = (
        f"{scene.alarm.name}{times}: {scene.alarm.evidence}. Try: {scene.alarm.remedies[0] if scene.alarm.remedies else 'other settings'}"
    )
    scene.show.note("stop", text)
    return {"sign": scene.alarm.name, "sentence": text}


def _go_back(scene: Scene, why: str, latest: int) -> None:
    """Load the newest readable state not after round `latest` (else the oldest), drop all that came later, save it as a new attempt."""
    engine, directory = scene.engine, scene.directory
    failed, attempt, skipped, setbacks, best = engine.clock.round, engine.attempt, engine.skipped, scene.setbacks, scene.best
    tensors, rest = directory.state_before(latest)
    engine.load_state(tensors, rest["engine"])
    engine.reseed(attempt + 1, skipped)
    scene.restore(rest)
    scene.setbacks, scene.alarm = setbacks, None
    scene.best = best  # states/best.safetensors stays as it is, whichever attempt made it
    ranks.barrier()  # every process has read its state before files go
    if ranks.is_main():
        scene.truncate(engine.clock.round)
        directory.drop_states(after=engine.clock.round)
    ranks.barrier()
    scene.save()
    text = f"{why}; back from round {failed:,} to {engine.clock.round:,} with other noise"
    scene.log.event("rollback", engine.clock.round, engine.clock.seen, failed=failed, attempt=engine.attempt, sentence=text)
    scene.show.note("rollback", text)
