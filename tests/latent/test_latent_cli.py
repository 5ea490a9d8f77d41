"""The verbs of the latent space as a user types them, on a small run."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import agon
from agon.latent import load_codes
from commandline import typed


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rounds on the embedded digits."""
    home = tmp_path_factory.getbasetemp() / "home"
    os.environ.update(XDG_CACHE_HOME=str(home / "cache"), XDG_STATE_HOME=str(home / "state"))
    out = tmp_path_factory.mktemp("latent") / "digits"
    code = typed("train", "digits", "--rounds", 2, "--batch", 8, "--limit", 100, "--size", 8, "--game.net.widths", "[8]", "--game.z-dim", 6,
                    "--metrics", "[]", "--tick", 2, "--threads", 1, "--out", out)  # fmt: skip
    assert code == 0
    return out


def test_sampling_with_truncation_walks_and_grids(digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def drawn(*options: object) -> np.ndarray:
        assert typed("sample", digits, *options, "--out", tmp_path / "x.npz") == 0
        return np.load(tmp_path / "x.npz")["x"]

    plain = drawn("-n", 6, "--seed", 2, "--class", 1)
    assert np.array_equal(drawn("-n", 6, "--seed", 2, "--class", 1, "--truncation", 1.0), plain)
    mean = drawn("-n", 6, "--seed", 2, "--class", 1, "--truncation", 0)
    assert (mean == mean[:1]).all() and not np.array_equal(mean, plain)
    assert not np.array_equal(drawn("-n", 6, "--seed", 2, "--class", 1, "--threshold", 0.5), plain)
    walk = drawn("--interpolate", 3, "--frames", 2, "--seed", 2, "--class", 1)
    assert len(walk) == 6
    assert np.array_equal(walk[::2], plain[:3])
    assert np.array_equal(drawn("--interpolate", 3, "--frames", 2, "--seed", 2, "--class", 1, "--linear")[::2], plain[:3])
    assert np.array_equal(drawn("--grid", 3, "--seed", 2, "--class", 1)[[0, 2, 6, 8]], plain[:4])
    assert typed("sample", digits, "--grid", 3, "--out", tmp_path / "grid.png") == 0
    assert Image.open(tmp_path / "grid.png").size == (3 * 64 + 4, 3 * 64 + 4)
    capsys.readouterr()
    refused: list[tuple[list[object], str]] = [
        (["--mix", "2x3"], "style mixing needs"),
        (["--mix", "2"], "expected ROWSxCOLUMNS"),
        (["--grid", 3, "--interpolate", 2], "ask for one"),
        (["--truncation", -1], "--truncation is -1"),
        (["--truncation", 0.5, "--space", "w"], "no mapped latent w"),
        (["--grid", 2, "--space", "q"], "expected auto, z or w"),
    ]
    for options, words in refused:
        assert typed("sample", digits, *options) == 2
        assert words in capsys.readouterr().err


def test_edits_are_found_kept_and_applied(digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed("edit", digits, "--method", "sefa", "--count", 2, "-n", 3) == 0
    assert typed("edit", digits, "--method", "difference", "--more", "0,2", "--less", "1", "--name", "bold", "--out", tmp_path) == 0
    kept = json.loads((digits / "edits.json").read_text())["edits"]
    assert [entry["name"] for entry in kept] == ["sefa-0", "sefa-1", "bold"]
    assert kept[0].keys() == {"name", "space", "direction", "layers", "scale", "method", "weights", "note"}
    assert kept[0]["weights"] == agon.load(digits).latents.weights_sha()
    assert Image.open(digits / "edits" / "sefa-1.png").size == (7 * 64 + 12, 3 * 64 + 4)
    assert (tmp_path / "bold.png").is_file()
    capsys.readouterr()
    assert typed("edit", digits) == 0
    assert "sefa-1" in capsys.readouterr().out
    assert typed("edit", digits, "--apply", "sefa-0=2.5", "--apply", "bold=0", "--seed", 3, "-n", 4, "--out", tmp_path / "x.npz") == 0
    run = agon.load(digits)
    expected = run.latents.pictures(run.latents.edited(run.latents.draw(4, seed=3), run.edits()[0], 2.5), seed=3)
    assert np.array_equal(np.load(tmp_path / "x.npz")["x"], expected)
    assert not np.array_equal(expected, run.sample(4, seed=3))
    capsys.readouterr()
    assert typed("edit", digits, "--apply", "sefa-9=1") == 2
    assert "Did you mean 'sefa-1'" in capsys.readouterr().err
    assert typed("edit", digits, "--weights", "raw", "--apply", "sefa-0=1", "--out", tmp_path / "y.npz") == 0
    assert "found on other weights" in capsys.readouterr().out


def test_a_picture_is_projected_and_edited(digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed("sample", digits, "-n", 2, "--seed", 5, "--class", 2, "--out", tmp_path / "in") == 0
    assert typed("project", digits, tmp_path / "in", "--steps", 20, "--starts", 2, "--out", tmp_path / "out") == 0
    rows = json.loads((tmp_path / "out" / "projection.json").read_text())["pictures"]
    assert len(rows) == 2 and rows[0].keys() == {"picture", "space", "mse", "psnr", "random_mse", "label"}
    assert all(row["mse"] <= row["random_mse"] + 1e-4 for row in rows)
    assert "PSNR" in capsys.readouterr().out
    assert Image.open(tmp_path / "out" / "pairs.png").size == (4 * 64 + 6, 64)
    assert len(load_codes(tmp_path / "out" / "latents.npz")) == 2
    codes = tmp_path / "out" / "latents.npz"
    assert typed("sample", digits, "--latents", codes, "--interpolate", 2, "--frames", 3, "--out", tmp_path / "w.npz") == 0
    assert len(np.load(tmp_path / "w.npz")["x"]) == 6
    (tmp_path / "in" / "note.txt").write_text("no picture")
    capsys.readouterr()
    assert typed("project", digits, tmp_path / "in", "--out", tmp_path / "out") == 2
    assert "note.txt' cannot be used: not an image" in capsys.readouterr().err
    assert typed("project", digits, tmp_path / "nothing.png") == 2
    assert "does not exist" in capsys.readouterr().err
