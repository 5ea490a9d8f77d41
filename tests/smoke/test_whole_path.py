"""File on disk → trained generator → samples → score → report → export, as a user types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import agon
from agon import recipes
from agon.directory import RunDirectory, read_state
from commandline import typed


def agon_cli(*words: object) -> None:
    """Run a verb in this process; fail with its status."""
    status = typed(*words)
    assert status == 0, f"agon {' '.join(map(str, words))} left with status {status}"


SMALL = ("--game.net.widths", "[16, 8]", "--tick", "4", "--save-every", "4", "--score-every", "8", "--num-samples", "64")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small trained run on the embedded digits."""
    home = tmp_path_factory.getbasetemp() / "home"
    os.environ.update(XDG_CACHE_HOME=str(home / "cache"), XDG_STATE_HOME=str(home / "state"))
    out = tmp_path_factory.mktemp("runs") / "digits"
    agon_cli("train", "digits", "--rounds", 16, "--batch", 16, *SMALL, "--out", out)
    return out


def test_run_directory_has_what_the_house_promises(digits: Path) -> None:
    content = json.loads((digits / "run.json").read_text())
    assert content["game"]["name"] == "r3gan"
    assert content["command"].startswith("agon train digits")
    assert {"device", "precision", "recipe", "size", "gamma"} <= content["reasons"].keys()
    assert {"torch", "python", "agon", "threads"} <= content["environment"].keys()
    directory = RunDirectory(digits)
    kinds = {row["kind"] for row in directory.events()}
    assert {"start", "tick", "save", "done"} <= kinds
    tick = next(row for row in reversed(directory.events()) if row["kind"] == "tick")
    assert {"critic/adv", "critic/r1", "generator/adv", "G/grad", "D/grad", "D/real", "D/fake", "D/held", "sample/diversity"} <= tick[
        "stats"
    ].keys()
    assert [r for r, _ in directory.states()] == [12, 16]
    assert (digits / "states" / "best.safetensors").is_file()
    assert sorted(p.name for p in (digits / "samples").glob("0*.png")) == [f"{r:08d}.png" for r in (0, 4, 8, 12, 16)]
    with Image.open(digits / "samples" / "progress.gif") as film:
        assert film.n_frames == 5
    scores = directory.scores()
    assert {row["name"] for row in scores} >= {"fd", "precision", "recall", "density", "coverage"}
    assert all(row["floor"] is not None and row["protocol"] for row in scores if row["name"] == "fd")


def test_sampling_from_the_command_line(digits: Path, tmp_path: Path) -> None:
    agon_cli("sample", digits, "-n", 9, "--seed", 1, "--out", tmp_path / "grid.png")
    agon_cli("sample", digits, "-n", 9, "--seed", 1, "--out", tmp_path / "again.png")
    assert (tmp_path / "grid.png").read_bytes() == (tmp_path / "again.png").read_bytes()
    agon_cli("sample", digits, "-n", 3, "--class", 3, "--out", tmp_path / "folder")
    assert [Image.open(p).size for p in sorted((tmp_path / "folder").iterdir())] == [(16, 16)] * 3
    agon_cli("sample", digits, "-n", 5, "--out", tmp_path / "x.npz")
    assert np.load(tmp_path / "x.npz")["x"].shape == (5, 16, 16, 1)
    agon_cli("sample", digits, "--interpolate", 3, "--frames", 4, "--out", tmp_path / "walk.gif")
    with Image.open(tmp_path / "walk.gif") as walk:
        assert walk.n_frames == 12
    pytest.importorskip("av")
    agon_cli("sample", digits, "--interpolate", 2, "--frames", 4, "--out", tmp_path / "walk.mp4")
    assert (tmp_path / "walk.mp4").stat().st_size > 200


def test_sampling_from_python(digits: Path) -> None:
    run = agon.load(digits)
    images = run.sample(16, seed=0)
    assert (images.dtype, images.shape) == (np.uint8, (16, 16, 16, 1))
    assert np.array_equal(images[:4], run.sample(4, seed=0)) or np.abs(images[:4].astype(int) - run.sample(4, seed=0)).max() <= 1
    assert not np.array_equal(images, run.sample(16, seed=1))
    assert not np.array_equal(images, agon.load(digits, weights="raw").sample(16, seed=0))


def test_generator_loads_in_plain_python(digits: Path, tmp_path: Path) -> None:
    """The ten lines of the README: no agon.load, only the exported files and the network's class."""
    agon_cli("export", digits, "--out", tmp_path)
    from safetensors.torch import load_file

    from agon.networks.r3 import R3Lean
    from agon.spaces import Image as Pictures

    card = json.loads((tmp_path / "game.json").read_text())
    net = R3Lean(**{k: tuple(v) if isinstance(v, list) else v for k, v in card["game"]["net"].items()})
    space = Pictures(**{k: tuple(v) if isinstance(v, list) else v for k, v in card["space"].items()})
    generator = net.generator(card["game"]["z_dim"], space).eval()
    generator.load_state_dict(load_file(tmp_path / "generator.safetensors"))
    with torch.no_grad():
        x = generator(torch.randn(4, *card["latent"]["shape"]), torch.arange(4))
    assert x.shape == (4, *card["output"]["shape"])
    z = torch.randn(4, *card["latent"]["shape"])
    with torch.no_grad():
        torch.testing.assert_close(generator(z, torch.arange(4)), agon.load(digits).players.G(z, torch.arange(4)), atol=1e-5, rtol=1e-4)


def test_onnx_export_checks_itself(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    agon_cli("export", digits, "--onnx", "--out", tmp_path)
    assert "max abs difference to PyTorch" in capsys.readouterr().out
    assert (tmp_path / "generator.onnx").stat().st_size > 1000
    monkeypatch.setattr("agon.export.TOLERANCE", -1.0)
    with pytest.raises(AssertionError, match="status 2"):
        agon_cli("export", digits, "--onnx", "--out", tmp_path)
    assert not (tmp_path / "generator.onnx").exists()


def test_eval_and_report(digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    agon_cli("eval", digits, "-m", "fd", "--num-samples", 64)
    assert "floor" in capsys.readouterr().out
    agon_cli("report", digits)
    page = (digits / "report.html").read_text("utf-8")
    assert page.lstrip().lower().startswith("<!doctype html")
    assert "http" not in page.split("<body", 1)[0].replace("http-equiv", "")


def test_a_run_is_repeated_from_its_json(digits: Path, tmp_path: Path) -> None:
    agon_cli("train", digits / "run.json", "--out", tmp_path / "again")
    one, other = (read_state(RunDirectory(p).states()[-1][1])[0] for p in (digits, tmp_path / "again"))
    assert [k for k in one if not torch.equal(one[k], other[k])] == []


def test_a_finished_run_goes_on_for_longer(tmp_path: Path) -> None:
    train = (
        "train",
        "ring",
        "--limit",
        400,
        "--batch",
        16,
        "--metrics",
        "[]",
        "--game.gamma",
        "0.1",
        "--game.optim.G.lr",
        "1e-3",
        "--game.optim.D.lr",
        "1e-3",
    )
    agon_cli(*train, "--rounds", 8, "--out", tmp_path / "a")
    agon_cli("train", tmp_path / "a", "--rounds", 12)
    agon_cli(*train, "--rounds", 12, "--out", tmp_path / "b")
    one, other = (read_state(RunDirectory(tmp_path / p).states()[-1][1])[0] for p in "ab")
    assert [k for k in one if not torch.equal(one[k], other[k])] == []


CLIPS = ("video", "video-first", "video-former", "mocogan", "vgan", "dvd-gan", "stylegan-v")  # recipes for clips
SMALL_CLIPS = ("moving-shapes", "--size", 16, "--limit", 48, "--rounds", 2, "--batch", 8, "--metrics", "content_distance")


@pytest.mark.parametrize("name", CLIPS)
def test_every_recipe_for_clips_plays(name: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    agon_cli("train", *SMALL_CLIPS, "--recipe", name, "--out", out)
    assert RunDirectory(out).scores()


def test_captions_and_walks_play(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The recipes that need something: captions, or the run of pictures in whose latents they walk."""
    agon_cli("train", *SMALL_CLIPS, "--condition", "captions", "--recipe", "video-text", "--out", tmp_path / "text")
    assert RunDirectory(tmp_path / "text").states()
    assert typed("train", *SMALL_CLIPS, "--recipe", "mocogan-hd", "--out", tmp_path / "walk") != 0
    assert "add --from RUN" in capsys.readouterr().err
    agon_cli(
        "train",
        "shapes",
        "--size",
        16,
        "--limit",
        48,
        "--rounds",
        2,
        "--batch",
        8,
        "--labels",
        "ignore",
        "--recipe",
        "dcgan",  # its average has statistics of batch normalisation of its own, which come along
        "--metrics",
        "[]",
        "--out",
        tmp_path / "images",
    )
    agon_cli("train", *SMALL_CLIPS, "--recipe", "mocogan-hd", "--from", tmp_path / "images", "--out", tmp_path / "walk")
    trained, image = agon.load(tmp_path / "walk"), agon.load(tmp_path / "images")
    z = torch.randn(2, image.game.z_dim)
    walk = trained.players.G
    first = walk(z, torch.zeros(2, *walk.noise_shape(16)), torch.zeros(2, dtype=torch.int64))[:, 0]
    assert torch.allclose(first, image.players.G(z), atol=1e-5), "clips begin with pictures of the run they come from"


SPECIAL = (*CLIPS, "video-text", "mocogan-hd")
OF_TEXT = {
    recipe.name for recipe in recipes.table().values() if recipe.build.__module__.startswith(("agon.recipes.text", "agon.recipes.pairs"))
}  # tests/text


@pytest.mark.parametrize("name", [name for name in recipes.table() if name not in SPECIAL and name not in OF_TEXT])
def test_every_recipe_plays(name: str, tmp_path: Path) -> None:
    what = "ring" if name.endswith("points") else "digits"
    small = ("--game.net.widths", "[32, 16, 16, 16]", "--game.net.group_width", 8) if name == "r3gan-paper" else ()
    agon_cli(
        "train",
        what,
        "--recipe",
        name,
        "--rounds",
        2,
        "--batch",
        16,
        "--limit",
        300,
        "--num-samples",
        32,
        *small,
        "--out",
        tmp_path / "run",
    )
    assert RunDirectory(tmp_path / "run").scores()


def test_shapes_with_every_choice_of_resize(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    chance = np.random.default_rng(0)
    for index in range(40):
        h, w = chance.integers(9, 40, 2)
        Image.fromarray(chance.integers(0, 256, (h, w, 3), dtype=np.uint8)).save(folder / f"{index}.{'jpg' if index % 2 else 'png'}")
    for resize in ("cover", "contain", "stretch"):
        out = tmp_path / resize
        agon_cli("train", folder, "--resize", resize, "--rounds", 1, "--batch", 8, "--metrics", "[]", "--out", out, "--size", 16)
        assert resize in json.loads((out / "run.json").read_text())["reasons"]["resize"]


def test_torchrun_two_ranks(tmp_path: Path) -> None:
    """The launcher, as documented: two processes on gloo train one run after the other together; the first of them prints."""
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1", "--master-port", "0", "--rdzv-backend", "c10d",
        "--rdzv-endpoint", "127.0.0.1:0", "-m", "agon",
        "train", "ring", "--limit", "400", "--rounds", "6", "--batch", "16", "--metrics", "[]", "--seeds", "2", "--out", str(tmp_path / "two"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert [done.stdout.count(words) for words in ("2 seeds, as `agon sweep` does", "two-s0", "two-s1")] == [1, 1, 1], done.stdout
    assert json.loads((tmp_path / "two-s1" / "run.json").read_text())["seed"] == 1
    agon_cli("train", "ring", "--limit", 400, "--rounds", 6, "--batch", 16, "--metrics", "[]", "--out", tmp_path / "one")
    one, two = (read_state(RunDirectory(tmp_path / p).states()[-1][1])[0] for p in ("one", "two-s0"))
    gap = torch.cat([(one[k] - two[k]).abs().flatten() for k in one if k.startswith("players/")]).mean().item()
    assert gap < 1e-6, "two ranks with half the batch match one with the whole, to rounding"


def test_loading_a_run_leaves_the_program_its_random_numbers(digits: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    agon.load(digits)
    assert torch.equal(torch.rand(3), expected)


def test_a_rejected_option_leaves_no_directory(digits: Path, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="status 2"):
        agon_cli("train", digits / "run.json", "--out", tmp_path / "again", "--batch", 4)
    assert not (tmp_path / "again").exists()
