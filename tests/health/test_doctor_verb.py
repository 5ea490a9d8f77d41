"""agon doctor RUN: the signs of a run, read without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agon.records import append_jsonl
from recorded_run import make_run

CODE = "import sys; sys.argv = ['agon', 'doctor', *sys.argv[1:]]\nfrom agon.cli import main\ntry: main()\nfinally: print('torch' in sys.modules)"


def doctor(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", CODE, *words], capture_output=True, text=True, check=False)


def test_signs_over_time(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", rounds=600, pictures=1)
    sign = {
        "kind": "health",
        "sign": "mode collapse",
        "sentence": "Few in kind.",
        "evidence": "8 %",
        "severe": True,
        "remedies": ["agon a", "agon b"],
    }
    append_jsonl(run / "events.jsonl", {"round": 300, **sign})
    append_jsonl(run / "events.jsonl", {"round": 450, "kind": "relief", "sign": "mode collapse"})
    said = doctor(str(run))
    assert said.returncode == 0, said.stderr
    assert "round 300 (50%), over at round 450 (75%): mode collapse (severe). Few in kind." in said.stdout
    assert "agon a" in said.stdout and "agon b" in said.stdout
    assert "discriminator overfitting" in said.stdout and "--game.gamma 2 --mirror" in said.stdout, "an older record with one remedy"
    assert said.stdout.rstrip().endswith("False"), "torch is not loaded"


@pytest.mark.parametrize("name", ["nothing", "."])
def test_what_is_no_run(name: str, tmp_path: Path) -> None:
    said = doctor(str(tmp_path / name))
    assert said.returncode == 2 and "is not a run" in said.stderr
