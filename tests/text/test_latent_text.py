"""The codes of sentences: what is read comes back, made codes say sentences of the language, and a way between two leads over others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import agon
from agon.data import Data
from agon.errors import InputError
from agon.games.catgan import CatGAN
from agon.games.latent_text import LatentText
from agon.losses import Wasserstein
from agon.spaces import Tokens
from commandline import printed


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An autoencoder of 27 short sentences: who does what where."""
    folder = tmp_path_factory.mktemp("latent")
    who, does, where = (
        ("a man", "a dog", "the old cat"),
        ("sits", "sleeps", "is running"),
        ("at home", "in the big garden", "outside"),
    )
    lines = [f"{one} {two} {three}" for one in who for two in does for three in where]
    (folder / "lines.txt").write_text("\n".join(lines * 6))
    agon.fit(
        "arae", data=Data(path=str(folder / "lines.txt"), holdout=0), out=folder / "run", rounds=120, batch=32, score_every=0, tick=60,
        save_every=120, tensorboard=False, metrics=[],
        **{"game.z_dim": 8, "game.code_dim": 16, "game.latent_net.width": 64, "game.net.width": 64, "game.net.embed": 32,
           "game.net.dropout": 0, "game.read.width": 32, "game.read.embed": 32, "game.read.dropout": 0, "game.noise": 0.1,
           "game.optim.E.lr": 0.01, "game.optim.S.lr": 0.01, "game.optim.G.lr": 0.001, "game.optim.D.lr": 0.001},
    )  # fmt: skip
    return folder / "run"


def test_sentences_come_back(run: Path) -> None:
    trained = agon.load(run)
    texts = ["a man sleeps outside", "the old cat sits in the big garden", "a dog is running at home"]
    codes = trained.encode(texts)
    torch.testing.assert_close(codes.at.norm(dim=1), torch.full((3,), 4.0))
    assert codes.kind == "w"
    assert trained.latents.pictures(codes).texts == texts


def test_made_codes_say_sentences_and_not_one_alone(run: Path) -> None:
    known = set((run.parent / "lines.txt").read_text().split("\n"))
    said = agon.load(run).sample(64, seed=1).texts
    assert sum(text in known for text in said) > 32, said[:5]
    assert len(set(said) & known) > 3


def test_a_way_leads_from_one_sentence_to_the_other(run: Path) -> None:
    trained = agon.load(run)
    ends = trained.encode(["a man sleeps outside", "the old cat sits in the big garden"])
    way = trained.latents.pictures(trained.latents.walk(ends, frames=6, closed=False)).texts
    assert (way[0], way[-1]) == ("a man sleeps outside", "the old cat sits in the big garden")
    assert len(trained.walk(3, frames=4).texts) == 12


def test_the_command_line(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "two.txt").write_text("a man sleeps outside\na dog sits at home\n")
    status, text = printed(capsys, "project", run, tmp_path / "two.txt", "--out", tmp_path / "codes")
    assert status == 0, text
    assert (tmp_path / "codes" / "pairs.tsv").read_text().splitlines()[0] == "a man sleeps outside\ta man sleeps outside"
    status, text = printed(capsys, "sample", run, "--interpolate", 2, "--frames", 3, "--latents", tmp_path / "codes" / "latents.npz")
    assert status == 0, text
    assert text.splitlines()[0] == "a man sleeps outside" and "a dog sits at home" in text
    assert printed(capsys, "sample", run, "--interpolate", 3, "--game.choice.temperature", 1)[0] == 0
    for words, expected in (
        (("sample", run, "--interpolate", 2, "--temperature", 1), "--game.choice.temperature"),
        (("sample", run, "--mix", "2x2"), "pictures and clips"),
        (("project", run, tmp_path / "missing.txt"), "cannot be read as text"),
    ):
        status, text = printed(capsys, *words)
        assert status == 2 and expected in text.replace("\n", " "), text
    assert printed(capsys, "edit", run, "--method", "ganspace", "--count", 1)[0] == 0
    status, text = printed(capsys, "edit", run, "--apply", "ganspace-0=2", "--out", tmp_path / "edited.txt")
    assert status == 0, text
    assert len((tmp_path / "edited.txt").read_text().splitlines()) == 6


def test_runs_without_codes_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    agon.fit(
        "gsgan",
        data=Data(path="arithmetic", limit=64),
        out=tmp_path / "run",
        rounds=2,
        batch=8,
        score_every=0,
        tensorboard=False,
        metrics=[],
    )
    for words, expected in (
        (("sample", tmp_path / "run", "--interpolate", 2), "has no latent space"),
        (("edit", tmp_path / "run", "--method", "ganspace"), "has no latent space"),
        (("sample", tmp_path / "run", "--space", "w", "--truncation", "0.5"), "no mapped latent w"),
    ):
        status, text = printed(capsys, *words)
        assert status == 2 and expected in text.replace("\n", " "), text
    with pytest.raises(InputError, match="no encoder"):
        agon.load(tmp_path / "run").encode(["1 + 1"])


def test_what_cannot_be_is_said(run: Path) -> None:
    trained = agon.load(run)
    with pytest.raises(InputError, match="expected 1 to"):
        trained.encode(["a man " * 40])
    with pytest.raises(InputError, match="penalty at 10"):
        LatentText(penalty=0.0).cast(Tokens(length=7, vocabulary=12))
    with pytest.raises(InputError, match="column of classes"):
        CatGAN().cast(Tokens(length=7, vocabulary=12))
    with pytest.raises(InputError, match="bounded slope"):
        CatGAN(loss=Wasserstein()).cast(Tokens(length=7, vocabulary=12, classes=("a", "b")))
    with pytest.raises(InputError, match="leave one of the two out"):
        CatGAN(told=False, mismatch=1.0).cast(Tokens(length=7, vocabulary=12, classes=("a", "b")))
