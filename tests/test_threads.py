"""OpenMP's threads wait without spinning long, unless the user said how they should."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("given", "found"),
    [({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")],
    ids=["nothing said", "a count said", "a policy said"],
)
def test_spinning_is_short_unless_told_otherwise(given: dict[str, str], found: str) -> None:
    clean = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    said = subprocess.run(
        [sys.executable, "-c", "import os, sys, agon; print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules)"],
        env=clean | given, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout.split() == [found, "False"], "told before torch is there to read it"
