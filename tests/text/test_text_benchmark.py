"""The text benchmark plans as many rounds as its budget pays for, though a round of the game costs many of likelihood."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("budget", "likely", "played", "own", "share"),
    [
        (300, 0.08, 0.3, 391, 0.85),
        (300, 0.15, 3, 938, 0.85),
        (60, 0.14, 3, 391, 0.85),
        (120, 0.15, 2, 938, 0.85),
        (300, 0.1, 0.5, 195, 0.6),
    ],
)
def test_a_run_in_two_parts_takes_its_budget(budget: float, likely: float, played: float, own: int, share: float) -> None:
    code = (
        f"import text; before = lambda rounds: min({own}, int({share} * rounds))\n"
        f"rounds = text.in_two_parts({budget}, {likely}, {played}, before, before(text.LONG)); first = before(rounds)\n"
        f"print({likely} * first + {played} * (rounds - first))"
    )
    benchmarks = Path(__file__).resolve().parents[2] / "benchmarks"
    done = subprocess.run([sys.executable, "-c", code], cwd=benchmarks, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(budget, rel=0.03)
