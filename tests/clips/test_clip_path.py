"""Every verb on a run of clips: trained, drawn, reported, exported, studied; or refused in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clip_data import clip_data, small, train
from PIL import Image, ImageSequence

from agon.data import DataSet
from agon.game import Players
from agon.health import Doctor
from agon.trained import load
from commandline import printed


def test_tick_pictures(run: Path) -> None:
    with Image.open(run / "samples" / "00000008.png") as sheet:
        assert sheet.size == (8 * 66 - 2, 8 * 66 - 2)  # 8 clips of 8 frames, enlarged to 64 pixels
    with Image.open(run / "samples" / "00000008.webp") as film:
        assert film.size == (4 * 66 - 2, 2 * 66 - 2)  # a class a column
    with Image.open(run / "samples" / "real.webp") as film:
        assert film.n_frames == 8
    with Image.open(run / "samples" / "swap.webp") as film:
        assert film.size == (5 * 66 - 2, 4 * 66 - 2)
    for name in ("slices", "real-slices"):
        with Image.open(run / "samples" / f"{name}.png") as views:
            assert views.width > views.height / 2
    assert (run / "samples" / "progress.gif").is_file()
    assert json.loads((run / "run.json").read_text())["gallery"] == ["up", "down", "left", "right"]


def test_what_came_after_a_state_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, squares: DataSet) -> None:
    from agon.run import play

    run = train(tmp_path / "run", monkeypatch, squares, metrics=[])
    directory = load(run, trust=True).directory
    for state in (run / "states").glob("00000008*"):
        state.unlink()
    kept = (run / "samples" / "00000004.webp").read_bytes()
    (run / "samples" / "00000009.webp").write_bytes(b"of a later round")
    play(directory, squares, trusted=True)
    assert not (run / "samples" / "00000009.webp").exists()
    assert (run / "samples" / "00000008.webp").is_file()
    assert (run / "samples" / "00000004.webp").read_bytes() == kept


def test_an_unconditional_run_shows_sixteen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = train(tmp_path / "run", monkeypatch, clip_data(small()), metrics=[], rounds=2)
    with Image.open(run / "samples" / "00000002.webp") as film:
        assert film.size == (4 * 66 - 2, 4 * 66 - 2)


def test_onnx(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    status, said = printed(capsys, "export", run, "--onnx", "--out", tmp_path / "export")
    assert status == 0, said
    session = onnxruntime.InferenceSession(str(tmp_path / "export" / "generator.onnx"))
    assert {i.name: i.shape[1:] for i in session.get_inputs()} == {"z": [8], "e": [8, 6], "y": []}
    card = json.loads((tmp_path / "export" / "game.json").read_text())
    assert card["inputs"] == {"z": ["float32", "n", 8], "e": ["float32", "n", 8, 6], "y": ["int64", "n"]}
    assert card["output"]["shape"] == [8, 3, 16, 16]


def test_what_cannot_be_exported_is_told(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime")
    made = load(run, trust=True)
    kind = type(made.players.G)
    plain = kind._paint
    monkeypatch.setattr("agon.export.load", lambda *rest, **more: made)
    monkeypatch.setattr(kind, "_paint", lambda self, codes: plain(self, codes[: len(codes)]) if len(codes) == 4 else plain(self, codes))
    status, said = printed(capsys, "export", run, "--onnx", "--out", tmp_path / "export")
    assert (status, "Use the safetensors" in said or "the safetensors are whole" in said) == (2, True), said
    assert not (tmp_path / "export" / "generator.onnx").exists()
    assert (tmp_path / "export" / "generator.safetensors").is_file()


@pytest.mark.parametrize(("words", "name"), [
    (("--interpolate", 3), "walk.webp"), (("--grid", 3), "grid.webp"), (("--truncation", 0.5, "-n", 3), "samples-seed0.webp"),
    (("--classes", "all", "--per-class", 2), "samples-seed0.webp"),
])  # fmt: skip
def test_latent_pictures_play(run: Path, capsys: pytest.CaptureFixture[str], words: tuple[Any, ...], name: str) -> None:
    status, said = printed(capsys, "sample", run, *words)
    assert status == 0, said
    with Image.open(run / name) as film:
        assert film.n_frames > 1


def test_truncation_brings_clips_together(run: Path) -> None:
    trained = load(run, trust=True)
    codes = trained.latents.draw(6, label="up")
    plain, calm = (trained.latents.stored(trained.latents.truncate(codes, psi)).float() for psi in (1.0, 0.0))
    assert calm.std(0).max() <= 0.5 < plain.std(0).mean(), "at 0 every clip is the mean one"


@pytest.mark.parametrize(("words", "reason"), [
    (("edit", "RUN", "--method", "sefa"), "SeFa has nothing to factorise"), (("project", "RUN", "x.png"), "agon project takes pictures"),
    (("sample", "RUN", "--mix", "2x2"), "style mixing needs a generator whose layers read w"), (("sample", "RUN", "--space", "w"), "no mapped latent w"),
])  # fmt: skip
def test_what_is_for_pictures_is_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[Any, ...], reason: str
) -> None:
    Image.new("RGB", (16, 16)).save(tmp_path / "x.png")
    status, said = printed(capsys, *[run if word == "RUN" else tmp_path / word if word == "x.png" else word for word in words])
    assert (status, reason in said) == (2, True), said


def test_edits_play(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--method", "difference", "--more", "0,1", "--less", "2,3", "--name", "bold", "-n", 2, "--class", "up")
    status, said = printed(capsys, "edit", run, *words, "--out", tmp_path)
    assert status == 0, said
    with Image.open(tmp_path / "bold.webp") as strip:
        assert strip.size == (7 * 66 - 2, 2 * 66 - 2)
    status, said = printed(capsys, "edit", run, "--apply", "bold=2", "-n", 2, "--out", tmp_path / "e.webp")
    assert status == 0, said


def test_a_clip_is_projected_from_python(run: Path) -> None:
    trained = load(run, trust=True)
    target = trained.sample(1, seed=9, label="up")
    found = trained.latents.project(target, steps=3, starts=1, candidates=8, label="up")
    assert found.shown.shape == (1, 8, 3, 16, 16)
    assert found.mse[0] <= found.random_mse[0] + 1e-6


def test_a_study_shows_clips_without_loss(run: Path, squares: DataSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, said = printed(capsys, "study", "make", run, "--trials", 6, "--out", tmp_path / "study", "--trust")
    assert status == 0, said
    study, truth = (json.loads((tmp_path / "study" / f"{name}.json").read_text()) for name in ("study", "truth"))
    assert study["question"] == "Is this clip real, or made by a computer?"
    shown = {}
    for name, file in study["stimuli"].items():
        with Image.open(tmp_path / "study" / file) as film:
            shown[name] = np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(film)])
    real = [x for name, x in shown.items() if truth["stimuli"][name] == "real"]
    held = squares.held.x.movedim(2, -1).numpy()
    assert len(real) == 3
    assert all(any(np.array_equal(x, clip) for clip in held) for x in real), "real clips are shown pixel by pixel"


def test_speed_is_measured(run: Path) -> None:
    from agon import speed

    assert speed.measure(run, trust=True, seconds=0.05) > 0


def test_the_doctor_looks_at_few_clips_where_they_are_long(run: Path) -> None:
    trained = load(run, trust=True)
    long = clip_data(small(classes=trained.space.classes)).space
    doctor = Doctor(None, None, long, {}, run, tick=10_000, batch=64)  # type: ignore[arg-type]
    assert doctor.count == 256
    from dataclasses import replace

    doctor.space = replace(long, frames=64, height=128, width=128)
    assert doctor.count == 32


def test_modules_with_2d_and_3d_convolutions_are_brought_to_channels_last() -> None:
    from small_game import SmallClips

    from agon.engine import Engine

    engine = Engine(SmallClips(), small())
    players: Players = engine.players
    flat = [w for w in players.D.parameters() if w.dim() == 4 and w.shape[1] > 1 and w.shape[2] > 1]
    assert flat
    assert all(w.is_contiguous(memory_format=torch.channels_last) for w in flat)
    assert any(w.dim() == 5 for w in players.D.parameters())
