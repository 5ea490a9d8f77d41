"""Records: tolerant reading, torn lines, cutting back at resume, whole-or-nothing writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from agon.records import append_jsonl, atomic_path, atomic_write, read_jsonl, truncate_after, write_safetensors


def test_append_then_read_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "events.jsonl"
    rows = [
        {"round": 0, "kind": "start"},
        {"round": 1, "text": "γ é\nline </script>"},
        {"round": 2, "stats": {"a": [1.5, None]}},
    ]
    for row in rows:
        append_jsonl(path, row)
    assert read_jsonl(path) == rows
    assert path.read_bytes().count(b"\n") == 3


def test_missing_file_is_empty(tmp_path: Path) -> None:
    assert read_jsonl(tmp_path / "none.jsonl") == []
    assert truncate_after(tmp_path / "none.jsonl", 3) == 0


def test_non_finite_numbers_become_null_and_stay_strict_json(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    append_jsonl(path, {"a": float("nan"), "b": {"c": (float("inf"), 1.0)}})
    assert json.loads(path.read_text(), parse_constant=pytest.fail) == {"a": None, "b": {"c": [None, 1.0]}}


def test_foreign_and_torn_lines_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"round":1}\n\n[1,2]\n7\n\xff\xfe\n{"round":2,"x\n{"round":3}\r\n{"round":4')
    assert [row["round"] for row in read_jsonl(path)] == [1, 3]


def test_append_after_a_torn_line_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"round":1}\n{"round":2,"val')
    append_jsonl(path, {"round": 3})
    assert [row["round"] for row in read_jsonl(path)] == [1, 3]


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(min_value=0, max_value=120))
def test_cut_at_any_byte_keeps_every_whole_line(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("cut") / "a.jsonl"
    for number in range(5):
        append_jsonl(path, {"round": number, "name": "ü" * number})
    data = path.read_bytes()[:cut]
    path.write_bytes(data)
    rows = [row["round"] for row in read_jsonl(path)]
    assert rows == list(range(len(rows)))
    assert len(rows) >= data.count(b"\n")  # a last line may be whole without its newline
    append_jsonl(path, {"round": 99})
    assert [row["round"] for row in read_jsonl(path)] == [*rows, 99]


def test_truncate_drops_later_rounds_only(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"round": 1,  "v":1}\n{"kind":"note"}\n{"round":5}\n{"round":6}\n{"round":true}\n{"round":7')
    assert truncate_after(path, 5) == 1
    assert path.read_bytes() == b'{"round": 1,  "v":1}\n{"kind":"note"}\n{"round":5}\n{"round":true}\n'


def test_truncate_leaves_an_unchanged_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    append_jsonl(path, {"round": 1})
    before = path.stat().st_ino
    assert truncate_after(path, 1) == 0
    assert path.stat().st_ino == before


def test_atomic_write_replaces_text_and_bytes(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "run.json"
    assert atomic_write(path, "γ") == path
    assert path.read_text(encoding="utf-8") == "γ"
    atomic_write(path, b"\x00\x01")
    assert path.read_bytes() == b"\x00\x01"
    assert [item.name for item in path.parent.iterdir()] == ["run.json"]


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    atomic_write(path, "old")

    def write_half() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("ne")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        write_half()
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["run.json"]


def test_a_failed_sync_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.json"
    atomic_write(path, "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        atomic_write(path, "new")
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["run.json"]


def test_records_never_load_torch() -> None:
    code = "import sys, agon.records; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_tied_weights_are_saved_as_copies(tmp_path: Path) -> None:
    shared = torch.randn(3, 3)
    write_safetensors(tmp_path / "tied.safetensors", {"a": shared, "b": shared, "c": shared[0]}, {})
    again = load_file(tmp_path / "tied.safetensors")
    assert all(torch.equal(again[k], v) for k, v in {"a": shared, "b": shared, "c": shared[0]}.items())
