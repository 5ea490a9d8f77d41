"""Scores carry their protocol, print it, survive JSON, and refuse to be compared when it differs."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from agon.errors import InputError
from agon.metrics import Score, Stamp, compare

STAMP = Stamp(
    metric="fd", extractor="classifier", extractor_hash="ab12cd34ef56", resize="lanczos", reference="train",
    reference_hash="0011223344556677", num_samples=10_000, seed=0, note="99.2% held-out accuracy",
)  # fmt: skip
SCORE = Score(name="fd", value=12.3412, floor=1.19, protocol=STAMP, higher_is_better=False, floor_samples=10_000)


def test_a_score_is_one_line_with_floor_and_protocol() -> None:
    expected = "fd 12.34 (floor 1.19) · classifier@ab12cd (99.2% held-out accuracy) · lanczos · train@001122 · N=10000 · seed 0 · ema"
    assert str(SCORE) == expected
    few = replace(SCORE, floor_samples=179, note="few")
    assert "(floor 1.19 at N=179)" in str(few)
    assert str(few).endswith(" · note: few")
    assert "(no floor)" in str(replace(SCORE, floor=None, floor_samples=None))


def test_json_round_trip() -> None:
    row = json.loads(json.dumps({"round": 3, "seen": 9, **SCORE.to_json()}))
    assert Score.from_json(row) == SCORE
    broken = json.loads(json.dumps(replace(SCORE, value=math.nan).to_json(), allow_nan=False))
    assert math.isnan(Score.from_json(broken).value)
    with pytest.raises(InputError, match="this is not a score"):
        Score.from_json({"name": "fd"})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("metric", "kid"), ("extractor", "inception-fd768"), ("extractor_hash", "000000000000"), ("resize", "box"),
        ("reference", "held"), ("reference_hash", "ff"), ("num_samples", 2000), ("seed", 1), ("weights", "raw"), ("settings", "k=5"),
        ("version", 2),
    ],
)  # fmt: skip
def test_unlike_scores_refuse_to_be_compared(field: str, value: object) -> None:
    other = replace(SCORE, protocol=replace(STAMP, **{field: value}))
    with pytest.raises(InputError, match=rf"these scores cannot be compared: {field} differs, .* expected one protocol"):
        compare([SCORE, other])
    assert len(compare([SCORE, other], across=(field,))) == 2


def test_like_scores_come_best_first() -> None:
    scores = [replace(SCORE, value=value) for value in (3.0, math.nan, 1.0, 2.0)]
    assert [score.value for score in compare(scores)][:3] == [1.0, 2.0, 3.0]
    higher = [replace(score, higher_is_better=True) for score in scores]
    assert [score.value for score in compare(higher)][:3] == [3.0, 2.0, 1.0]
    with pytest.raises(InputError, match="across got 'sed'"):
        compare(scores, across=("sed",))
