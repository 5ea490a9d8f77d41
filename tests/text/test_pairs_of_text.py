"""Text made from text: sources are the condition of a run, on every way from the file to a sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import agon
from agon.applied import checked
from agon.conditions import Conditions
from agon.data import Data, open_data
from agon.decoding import log_probs
from agon.directory import RunDirectory
from agon.errors import InputError
from agon.game import Players
from agon.games.likelihood import Likelihood
from agon.networks.text.recurrent import Recurrent
from agon.sampling import labels_for
from agon.spaces import Tokens
from agon.spaces.tokens import END, PAD, real
from agon.testing import random_batch
from commandline import printed

ENGLISH = ("a dog runs", "a cat sleeps", "the red bird sings", "the old man reads a book", "a child plays", "two women walk home")
GERMAN = ("ein Hund rennt", "eine Katze schläft", "der rote Vogel singt", "der alte Mann liest ein Buch", "ein Kind spielt", "zwei Frauen laufen")  # fmt: skip
TINY = (
    "--game.net", "transformer", "--game.net.width", 16, "--game.net.heads", 2, "--tick", 20, "--save-every", 20, "--metrics", "[]",
)  # fmt: skip


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty pairs in two files."""
    folder = tmp_path_factory.mktemp("pairs")
    for name, lines in (("en", ENGLISH), ("de", GERMAN)):
        (folder / f"small.{name}").write_text("".join(f"{line} {k} .\n" for k in range(10) for line in lines), "utf-8")
    return folder


@pytest.fixture(scope="module")
def run(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a few rounds on them."""
    import commandline

    out = tmp_path_factory.mktemp("runs") / "run"
    words = (
        "train",
        pairs / "small.de",
        "--source",
        "en",
        "--target",
        "de",
        "--recipe",
        "likelihood",
        "--rounds",
        40,
        "--batch",
        16,
        *TINY,
        "--out",
        out,
    )
    assert commandline.typed(*words) == 0
    return out


def test_sources_are_rows_kept_as_text(run: Path) -> None:
    kept = json.loads((run / "conditions.json").read_text("utf-8"))
    assert kept["kind"] == "sources"
    assert {text.rsplit(" ", 1)[0].rsplit(" ", 1)[0] for text in kept["rows"]} <= set(ENGLISH)
    data_set = open_data(Data(path=json.loads((run / "run.json").read_text())["data"]["path"], source="en", target="de"))
    of_data = Conditions.of(data_set.space, data_set.train.y, {})
    trained = agon.load(run)
    assert torch.equal(trained.conditions.rows, of_data.rows)
    drawn = trained.conditions.draw(5, seed=3)
    assert drawn is not None and drawn.dtype == torch.int64
    assert all((drawn[k] == of_data.rows).all(1).any() for k in range(5))
    n, columns, shown, captions = trained.conditions.gallery()
    assert shown is not None and (n, columns, captions) == (len(shown), 1, [])


def test_unknown_words_of_a_source_stay_one_token(tmp_path: Path) -> None:
    space = open_data(Data(path="sentences", limit=400, tokenizer="word", vocabulary=60)).space
    assert isinstance(space, Tokens)
    where = Tokens(length=9, vocabulary=9, source=space)
    rows, _ = space.whole(["The function returns an unheard-of thing.", "Returns True."])
    Conditions(where, rows=rows).write(RunDirectory(tmp_path))
    again = Conditions.read(RunDirectory(tmp_path), {}, where)
    assert torch.equal(again.rows, rows)


def test_asking_for_a_source(run: Path) -> None:
    known = agon.load(run).conditions
    y = known.ask(3, text="a dog runs 1 .")
    assert y is not None and (y == y[0]).all() and (y[0] == END).sum() == 1
    long = known.ask(1, text="a dog " * 40)
    assert long is not None and long[0, -1] == END and bool(real(long).all())
    assert known.caption(y[0]) == "a dog runs 1 ."
    for wrong, told in (({"text": ""}, "empty"), ({"text": ["a", "b"]}, "2 texts"), ({"label": "x"}, "sources"), ({"tags": "x"}, "--text")):
        with pytest.raises(InputError, match=told):
            known.ask(3, **wrong)  # type: ignore[arg-type]


def test_saying_from_a_source(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, told = printed(capsys, "sample", run, "--text", "a dog runs 1 .", "-n", 3, "--temperature", 0)
    assert status == 0 and len(told.splitlines()) == 3 and len(set(told.splitlines())) == 1
    status, told = printed(capsys, "sample", run, "-n", 4)
    assert status == 0 and [" → " in line for line in told.splitlines()] == [True] * 4
    assert printed(capsys, "sample", run, "--text", "a dog", "--out", run / "said.txt")[0] == 0
    assert " → " not in (run / "said.txt").read_text("utf-8")


def test_the_fixed_samples_show_held_out_sources(run: Path) -> None:
    real_pairs = (run / "samples" / "real.txt").read_text("utf-8").splitlines()
    made = (run / "samples" / "00000040.txt").read_text("utf-8").splitlines()
    assert [line.split(" → ")[0] for line in made] == [line.split(" → ")[0] for line in real_pairs]
    kept = json.loads((run / "conditions.json").read_text("utf-8"))["rows"]
    assert not {line.split(" → ")[0] for line in made} & set(kept)
    vitals = {name for row in RunDirectory(run).events() for name in row.get("stats", {})}
    assert {"speaker/nll", "sample/diversity"} <= vitals


def test_random_batches_have_sources() -> None:
    space = Tokens(length=5, vocabulary=9, source=Tokens(length=4, vocabulary=7))
    batch = random_batch(space, 6)
    assert batch["y"].shape == (6, 4) and batch["y"].dtype == torch.int64 and batch["y"].min() >= 0 and batch["y"].max() < 7
    y = labels_for(space, 6, seed=1)
    assert y is not None and ((y == END).sum(1) == 1).all() and not ((y == PAD) & (y.roll(-1, 1) > PAD))[:, :-1].any()
    assert space.ready({"x": batch["x"], "y": batch["y"].int()})["y"].dtype == torch.int64


def test_what_copies_shares_a_tokeniser(tmp_path: Path) -> None:
    names = [f"{animal} saw number {k}" for k in range(40) for animal in ("dog", "cat", "bird")]
    rows = [{"long": f"today the {name} and went home", "short": name} for name in names]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    asked = Data(path=str(tmp_path / "x.jsonl"), source="long", target="short")
    data_set = open_data(asked)
    assert data_set.space.source.tokenizer == data_set.space.tokenizer and "one tokeniser" in data_set.reasons["shared"]
    apart = open_data(Data(path=asked.path, source="long", target="short", shared=False, source_length=4))
    assert apart.space.source.tokenizer != apart.space.tokenizer
    assert apart.train.y is not None and apart.train.y.shape[1] == 5 and bool((apart.train.y[:, 4] == END).all())
    assert "cut" in apart.reasons and len(apart.train) == len(data_set.train), "a source is cut, not left out"
    with pytest.raises(InputError, match="add --source"):
        open_data(Data(path=asked.path, shared=True))


def test_applying_to_a_file(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"{ENGLISH[k % 6]} {k % 10} ." for k in range(150)]
    lines[3], lines[7] = "", "a dog " * 40
    (tmp_path / "in.txt").write_text("\n".join(lines) + "\n", "utf-8")
    status, told = printed(capsys, "apply", run, tmp_path / "in.txt", "--out", tmp_path / "out.txt", "--beam", 2, "--batch", 8)
    made = (tmp_path / "out.txt").read_text("utf-8").split("\n")
    assert status == 0 and len(made) == 151 and made[3] == made[150] == "", told
    assert "line 8 has 80 tokens" in told and "150 lines" in told
    assert made[60] == made[120], "equal lines become equal texts, whatever stands beside them"
    status, told = printed(capsys, "apply", run, tmp_path / "in.txt", "--temperature", 0)
    single = list(agon.load(run).apply(lines[10:14], temperature=0.0, batch=1))
    assert status == 0 and told.splitlines()[10:14] == single


def test_applying_is_seeded_and_streams(run: Path) -> None:
    trained = agon.load(run)
    lines = [f"{ENGLISH[k % 6]} ." for k in range(40)]
    drawn = list(trained.apply(lines, temperature=1.0, seed=3))
    assert (
        drawn == list(trained.apply(iter(lines), temperature=1.0, seed=3, batch=2)) != list(trained.apply(lines, temperature=1.0, seed=4))
    )
    asked = 0

    def endless() -> Iterator[str]:
        nonlocal asked
        while True:
            asked += 1
            yield "a dog runs ."

    stream = trained.apply(endless(), batch=2)
    assert len([next(stream) for _ in range(5)]) == 5 and asked == 16, "one window is read ahead"


def test_what_cannot_be_applied_says_why(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.txt").write_text("a dog\n")
    for words, told in (
        (("apply", run, tmp_path / "none.txt"), "is no file"),
        (("apply", run, tmp_path / "in.txt", "--out", tmp_path / "in.txt"), "is the input itself"),
        (("apply", run, tmp_path / "in.txt", "--rerank"), "no critic"),
        (("apply", run, tmp_path / "in.txt", "--back"), "one way alone"),
        (("eval", run, "-m", "round_trip"), "both ways"),
        (("apply", run, tmp_path / "in.txt", "--beam", 3, "--temperature", 1), "one of the two"),
        (("apply", run, tmp_path / "in.txt", "--batch", 0), "1 or more"),
        (("apply", run, tmp_path / "in.txt", "--out", tmp_path / "no" / "out.txt"), "cannot read"),
    ):
        status, said = printed(capsys, *words)
        assert status == 2 and told in said, said
    assert (tmp_path / "in.txt").read_text() == "a dog\n"


def test_games_without_sources_are_not_applied() -> None:
    game, space = Likelihood(net=Recurrent(width=8, embed=6)), Tokens(length=5, vocabulary=9)
    with pytest.raises(InputError, match="out of nothing"):
        checked(game, Players(game.players(space)), space, None, False)


def test_copying_in_large_batches_of_unlike_sources() -> None:
    """Sentences go through the network in parts of like length, whose sources are not equally long."""
    torch.manual_seed(0)
    space = Tokens(length=5, vocabulary=12, source=Tokens(length=30, vocabulary=12))
    speaker = Recurrent(width=8, embed=8, copy=True).speaker(space)
    x, y = random_batch(space, 96, seed=0)["x"].long(), random_batch(space.source, 96, seed=1)["x"].long()  # type: ignore[arg-type]
    with torch.no_grad():
        for smoothing in (0.0, 0.1):
            one = torch.cat([log_probs(speaker, x[k : k + 1], y[k : k + 1], smoothing=smoothing) for k in range(96)])
            assert torch.allclose(log_probs(speaker, x, y, smoothing=smoothing), one, atol=1e-5)
