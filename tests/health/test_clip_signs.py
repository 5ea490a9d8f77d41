"""Signs of clips: on clips made to show each, and silence on real ones that move."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.health.test_signs import history, patient
from torch import Tensor

from agon.data import Data, open_data
from agon.health import examine
from agon.health.contract import Sign
from agon.health.motion import directions, motion_of, unlike
from agon.spaces import Video

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "clips"))
from clip_data import clip_data, moving_squares, small, train

SPACE = Video(frames=12, channels=3, height=24, width=24)


def squares(n: int = 64, seed: int = 0, space: Video = SPACE) -> Tensor:
    return space.normalise(moving_squares(n, space, seed)[0])


def frozen(x: Tensor) -> Tensor:
    return x[:, :1].expand_as(x)


def one_way(x: Tensor) -> Tensor:
    return torch.stack([x[:, 0].roll(k, -1) for k in range(x.shape[1])], 1)


def flickering(x: Tensor) -> Tensor:
    return (x + 0.1 * torch.tensor([(-1.0) ** k for k in range(x.shape[1])]).reshape(1, -1, 1, 1, 1)).clamp(-1, 1)


def noisy(x: Tensor) -> Tensor:
    return (x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))).clamp(-1, 1)


def fading(x: Tensor) -> Tensor:
    return (x + 1) * torch.linspace(1, 0.4, x.shape[1]).reshape(1, -1, 1, 1, 1) - 1


def changing_colour(x: Tensor) -> Tensor:
    w = torch.linspace(0, 1, x.shape[1]).reshape(1, -1, 1, 1, 1)
    return x * (1 - w) + x.roll(1, 2) * w


def rows(fake: Tensor, real: Tensor, ticks: int = 12, before: Tensor | None = None) -> list[dict[str, float]]:
    """Vitals of a run whose clips are these; in the first third of the ticks those from before."""
    figures, usual, once = motion_of(fake), motion_of(real), motion_of(fake if before is None else before)
    course = history(ticks)
    for k, row in enumerate(course):
        now = once if k < ticks // 3 else figures
        row |= {f"sample/{name}": value for name, value in now.items()} | {f"real/{name}": value for name, value in usual.items()}
    return course


def signs(fake: Tensor, real: Tensor, **more: Any) -> list[Sign]:
    return examine(rows(fake, real, **more), replace(patient(), clips=True))


@pytest.mark.parametrize(("spoil", "sign"), [
    (frozen, "frozen motion"), (one_way, "motion collapse"), (flickering, "flicker"), (noisy, "flicker"), (fading, "content drift"),
    (changing_colour, "content drift"),
])  # fmt: skip
def test_each_fault_shows_its_sign_and_no_other(spoil: Callable[[Tensor], Tensor], sign: str) -> None:
    found = signs(spoil(squares(seed=1)), squares())
    assert [one.name for one in found] == [sign]
    assert any(digit.isdigit() for digit in found[0].evidence)
    assert found[0].remedies
    assert not any("--mirror" in remedy for remedy in found[0].remedies)


@pytest.mark.parametrize("spoil", [frozen, one_way])
def test_motion_that_was_there_and_went(spoil: Callable[[Tensor], Tensor]) -> None:
    course = rows(spoil(squares(seed=1)), squares(), before=squares(seed=2))
    assert len(examine(course, replace(patient(), clips=True, seen=1000))) == 1, "a loss is told at once"
    young = rows(spoil(squares(seed=1)), squares())
    assert examine(young, replace(patient(), clips=True, seen=1000)) == [], "what was never there is waited for"
    assert examine(rows(spoil(squares(seed=1)), squares(), ticks=5), replace(patient(), clips=True)) == []


@pytest.mark.parametrize("spoil", [flickering, changing_colour])
def test_a_generator_that_has_just_begun_may_flicker_and_drift(spoil: Callable[[Tensor], Tensor]) -> None:
    course = rows(spoil(squares(seed=1)), squares())
    assert examine(course, replace(patient(), clips=True, seen=3_000)) == []
    assert len(examine(course, replace(patient(), clips=True, seen=7_000))) == 1


def test_what_gets_better_is_no_sign() -> None:
    course = rows(flickering(squares(seed=1)), squares())
    for k, row in enumerate(course):
        row["sample/flicker"] *= 0.9**k
    assert examine(course, replace(patient(), clips=True)) == []


def test_real_clips_that_hardly_move_are_no_measure() -> None:
    still = frozen(squares())
    assert signs(still, still) == []
    assert signs(squares(seed=1), one_way(squares())) == [], "samples may go more ways than the data"


def test_good_clips_show_nothing() -> None:
    assert signs(squares(seed=1), squares()) == []
    for name in ("moving-shapes", "moving-digits"):
        data_set = open_data(Data(path=name, limit=300))
        x = data_set.space.normalise(data_set.train.x[:192])
        for part in (x[64:128], x[128:192]):
            assert signs(part, x[:64]) == [], name
            assert signs(part[:32], x[:32]) == [], name


@pytest.mark.parametrize(("source", "limit"), [("mocogan/weizmann_actions_64.zip", 250), ("video_clips/carphone_pristine.mp4", None)])
def test_real_films_show_nothing(real_data: Path, source: str, limit: int | None) -> None:
    if not (real_data / source).exists():
        pytest.skip(f"no {real_data / source}")
    data_set = open_data(Data(path=str(real_data / source), frames=16, size=32, limit=limit))
    order = torch.randperm(len(data_set.train), generator=torch.Generator().manual_seed(0))
    x = data_set.space.normalise(data_set.train.x[order[:64]])
    half = len(x) // 2
    assert half > 16
    assert signs(x[half:], x[:half]) == []
    for spoil, sign in ((frozen, "frozen motion"), (one_way, "motion collapse"), (flickering, "flicker"), (fading, "content drift")):
        assert sign in [one.name for one in signs(spoil(x[half:]), x[:half])]


def test_directions_are_found() -> None:
    x, way = moving_squares(32, SPACE)
    found = directions(SPACE.normalise(x)).unflatten(1, (-1, 2)).mean(1)
    wanted = torch.tensor([(0, -1), (0, 1), (-1, 0), (1, 0)])[way].float()
    assert torch.nn.functional.cosine_similarity(found, wanted).min() > 0.5
    assert unlike(found) > 0.8
    assert unlike(wanted[:1].expand(9, 2)) < 1e-3
    assert unlike(torch.randn(4000, 6, generator=torch.Generator().manual_seed(0))) == pytest.approx(1, abs=0.02)


def test_what_are_no_clips_has_no_figures() -> None:
    assert motion_of(torch.zeros(8, 3, 16, 16)) == {}
    assert motion_of(torch.zeros(1, 8, 3, 16, 16)) == {}
    assert motion_of(torch.zeros(8, 2, 3, 16, 16)) == {}


def test_a_run_measures_them_and_draws_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from agon.records import read_jsonl
    from agon.report.curves import panels

    run = train(tmp_path / "run", monkeypatch, clip_data(small()), metrics=[])
    ticks = [row for row in read_jsonl(run / "events.jsonl") if row["kind"] == "tick"]
    for row in ticks:
        for name in ("motion", "ways", "flicker", "drift"):
            assert row["stats"][f"sample/{name}"] >= 0
            assert row["stats"][f"real/{name}"] == ticks[0]["stats"][f"real/{name}"]
    drawn = {panel["id"]: panel for panel in panels(ticks)[1]}
    assert [series["name"] for series in drawn["ways"]["series"]] == ["real", "sample"]
    assert drawn["motion"]["title"] == "Motion"


def test_remedies_are_those_of_clips() -> None:
    who = replace(patient(), clips=True)
    who.content["game"]["judges"] = [{"kind": "sparse"}, {"kind": "frames"}]
    (sign,) = examine(rows(frozen(squares(seed=1)), squares()), who)
    assert "--game.judges sparse,frames,motion" in sign.remedies[0]
    assert "--recipe video " in sign.remedies[1]
    who.content["game"]["judges"][1] = {"kind": "clip"}
    who.content["recipe"] = "video-text"
    (sign,) = examine(rows(frozen(squares(seed=1)), squares()), who)
    assert not any("--game.judges" in remedy or "--recipe r3gan" in remedy for remedy in sign.remedies)
