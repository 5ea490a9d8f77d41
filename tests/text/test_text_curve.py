"""Quality against diversity: the temperature curve of a run, and the gap at equal diversity."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agon.curve import Gap, Point, curve, gap, human, place_of, point
from agon.data import Data, open_data
from agon.directory import RunDirectory
from agon.errors import InputError
from agon.metrics import ngrams
from agon.metrics.protocols import PROTOCOLS, TextProtocol
from agon.run import play, prepare
from agon.trained import load
from commandline import printed

SMALL = {
    "rounds": 3, "batch": 8, "device": "cpu", "tensorboard": False, "score_every": 0, "metrics": [], "threads": 1, "game.net.width": 8,
    "game.net.embed": 8,
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[RunDirectory]:
    """Likelihood with two seeds on arithmetic."""
    place, found = tmp_path_factory.mktemp("curve"), []
    for seed in (0, 1):
        directory, _ = prepare(
            Data(path="arithmetic", limit=200), out=place / str(seed), recipe="likelihood", settings=SMALL | {"seed": seed}
        )
        play(directory)
        found.append(directory)
    return found


def at(bleu: float, self_bleu: float, temperature: float | None = None, spread: float = 0.0) -> Point:
    """A point with BLEU-4 and self-BLEU-4; its tenths lie `spread` to both sides in BLEU-4."""
    without = tuple((bleu + (spread if g % 2 else -spread), self_bleu) for g in range(10))
    return Point("x", temperature, 100, {4: bleu}, {4: self_bleu}, 1.0, without)


def test_a_gap_is_the_way_up_to_the_line() -> None:
    line = [at(0.5, 0.8, 0.7), at(0.3, 0.4, 1.0), at(0.1, 0.2, 1.3), replace(at(0.9, 0.3), name="real sentences")]
    found = gap(at(0.45, 0.6), line)
    assert found.value == pytest.approx(0.45 - 0.4)
    assert (found.low, found.high) == pytest.approx((0.05, 0.05)), "no spread, no interval"
    assert gap(at(0.2, 0.4), line).value == pytest.approx(-0.1)
    assert gap(at(0.3, 0.4), line).value == pytest.approx(0)
    wide = gap(at(0.45, 0.6, spread=0.002), line)
    # Ten groups that lie 0.002 to each side: se = sqrt(9/10 · 10 · 0.002²) = 0.006.
    assert wide.high - wide.value == pytest.approx(0.006 * 2.262, rel=0.01)
    outside = gap(at(0.45, 0.9), line)
    assert math.isnan(outside.value)
    assert "outside the curve, 0.200 to 0.800" in str(outside)
    assert Gap(0.1).to_json() == {"value": 0.1, "low": None, "high": None, "why": ""}
    with pytest.raises(InputError, match="grows with the number of sentences"):
        gap(replace(at(0.4, 0.6), samples=99), line)


def test_a_point_is_its_scores_and_survives_json() -> None:
    rng = np.random.default_rng(0)
    words = [[f"w{k}" for k in rng.integers(0, 6, rng.integers(2, 7))] for _ in range(40)]
    found = point("x", words[:30], words[30:], 0.5)
    assert found.bleu == pytest.approx(ngrams.bleu(words[:30], words[30:]))
    assert found.self_bleu == pytest.approx(ngrams.self_bleu(words[:30]))
    assert len(found.without) == 10
    left = [s for k, s in enumerate(words[:30]) if k % 10 != 3]
    assert found.without[3] == pytest.approx((ngrams.bleu(left, words[30:])[4], ngrams.self_bleu(left)[4]))
    assert Point.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_colder_speech_is_more_alike(runs: list[RunDirectory]) -> None:
    trained = load(runs[0].path)
    points = curve(trained, (0.0, 0.7, 1.0), num_samples=60)
    assert [p.temperature for p in points] == [0.0, 0.7, 1.0, None]
    assert points[0].unique == pytest.approx(1 / 60)
    assert points[0].self_bleu[2] > points[2].self_bleu[2]
    data_set = open_data(trained.run.data)
    assert points[-1] == human(data_set, 60)
    assert place_of(trained, num_samples=60).bleu == points[2].bleu, "the run's own temperature is 1, and a seed is a seed"
    with pytest.raises(InputError, match="--temperatures got -1"):
        curve(trained, (-1.0,))
    with pytest.raises(InputError, match="expected at least 2 sentences"):
        curve(trained, num_samples=1)


def test_the_verb(runs: list[RunDirectory], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    one, other = (directory.path for directory in runs)
    status, text = printed(capsys, "curve", one, "--temperatures", "0,0.5,1,1.6", "-n", 60, "--likelihood", other)
    assert status == 0, text
    for word in ("temperature 0.5:", "real sentences:", "BLEU-4 at equal self-BLEU-4:", "gate", "N=60 · 200 references"):
        assert word in text, word
    kept = json.loads((one / "curve.json").read_text())
    assert [p["temperature"] for p in kept["points"]] == [0, 0.5, 1, 1.6, None]
    assert kept["gap"].keys() == {"value", "low", "high", "why"}
    status, text = printed(capsys, "curve", one, "--temperatures", "cold")
    assert (status, "expected numbers with commas" in text) == (2, True)
    points, _ = prepare(Data(path="ring"), out=tmp_path / "ring", settings={"rounds": 1, "batch": 8, "device": "cpu", "tensorboard": False})
    play(points)
    status, text = printed(capsys, "curve", points.path)
    assert (status, "this run makes" in text) == (2, True)
    status, text = printed(capsys, "curve", one, "--likelihood", points.path)
    assert (status, "trained on different data" in text) == (2, True)


def test_a_named_protocol_fixes_the_numbers(
    runs: list[RunDirectory], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (run.path for run in runs)
    status, text = printed(capsys, "curve", one, "--protocol", "texygen-coco")
    assert status
    assert "protocol 'texygen-coco' compares 10,000 samples with 10,000 held-out sentences" in text
    small = TextProtocol(name="small", samples=12, references=10, whole=False, small=True, stop=True, own="made up")
    monkeypatch.setitem(PROTOCOLS, "small", small)
    status, text = printed(capsys, "curve", one, "--protocol", "small", "--temperatures", "0.5,1", "--likelihood", other)
    assert status == 0, text
    kept = json.loads((one / "curve.json").read_text())
    assert kept["protocol"].startswith("N=12 · 10 references@")
    assert kept["protocol"].endswith("small, a full stop to each, made up")
    assert {p["samples"] for p in kept["points"]} == {12}
    status, text = printed(capsys, "curve", one, "--protocol", "small", "-n", 20)
    assert status
    assert "fixes 12 sentences a point; leave out -n" in text
    scores = load(one).evaluate(protocol="small")
    assert {s.name for s in scores} == {f"{kind}{n}" for kind in ("bleu", "self_bleu") for n in ngrams.ORDERS} | {"unique"}
    assert all("N=12" in str(s.protocol) and "small, a full stop to each, made up" in str(s.protocol) for s in scores)
    for more in ({"metrics": ["fd"]}, {"num_samples": 20}):
        with pytest.raises(
            InputError, match="protocol 'small' fixes bleu, self_bleu, unique of 12 samples; leave out -m and --num-samples"
        ):
            load(one).evaluate(protocol="small", **more)  # type: ignore[arg-type]
    (one / "curve.json").unlink()
    status, text = printed(capsys, "eval", one, "--protocol", "small")
    assert "no temperature curve yet: agon curve" in text
    assert status == 0
    assert "small, a full stop to each, made up" in text
