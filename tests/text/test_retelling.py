"""Summaries without pairs: how real ones are hidden, what each turn teaches, and the way from two files to a summary."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from agon.data.headlines import headlines
from agon.decoding import log_probs, token_logits
from agon.game import Batch, Players
from agon.games import retelling
from agon.games.likelihood import Likelihood
from agon.games.retelling import Retelling
from agon.networks.text.conv import ConvCritic
from agon.networks.text.pair import PairCritic
from agon.networks.text.recurrent import Recurrent, RecurrentCritic
from agon.schedule import Clock
from agon.spaces import Tokens
from agon.spaces.tokens import END, PAD, real
from agon.testing import random_batch
from commandline import printed

SAME = (0, 0, 0, *range(3, 30))
SPACE = Tokens(length=6, vocabulary=30, dictionary=SAME, source=Tokens(length=12, vocabulary=30, dictionary=SAME))
NET = Recurrent(width=8, embed=8, tied=True, copy=True)
GAME = Retelling(net=NET, retell_net=NET, judge_net=RecurrentCritic(width=8, embed=8, dropout=0.0))


def words(row: Tensor) -> list[int]:
    return [token for token in row.tolist() if token not in (PAD, END)]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 9), st.sampled_from([1.0, 2.0, 5.0]))
def test_summaries_are_hidden_among_other_words(seed: int, count: int, piece: float) -> None:
    x = 3 + torch.arange(5).expand(count, -1)  # 3 … 7, which no document has
    x = torch.cat([x, torch.ones(count, 1, dtype=torch.int64)], 1)
    y = 8 + random_batch(SPACE.source, count, seed=seed)["x"].long() % 20  # type: ignore[arg-type]
    y = torch.where(torch.arange(12) < 11 - seed % 9, y, torch.where(torch.arange(12) == 11 - seed % 9, END, PAD))
    torch.manual_seed(seed)
    hidden = replace(GAME, dropped=0.0, piece=piece).hidden(Players({}), x, y)
    assert hidden.shape == y.shape and hidden.dtype == torch.int64
    for row, doc in zip(hidden, y, strict=True):
        long = int(real(row).sum())
        assert bool(real(row)[:long].all()) and int(row[long - 1]) == END and row.tolist().count(END) == 1
        others = [token for token in words(row) if token > 7]
        rest = iter(words(doc))
        assert all(token in rest for token in others), "words of the document keep their order"
        assert sorted(token for token in words(row) if token <= 7) == [3, 4, 5, 6, 7], "nothing of the summary is lost"


def test_share_of_other_words_and_of_missing_ones() -> None:
    torch.manual_seed(0)
    x = torch.cat([3 + torch.arange(5).expand(400, -1), torch.ones(400, 1, dtype=torch.int64)], 1)
    y = torch.cat([torch.full((400, 6), 20), torch.ones(400, 1, dtype=torch.int64), torch.zeros(400, 5, dtype=torch.int64)], 1)
    hidden = replace(GAME, dropped=0.2, among=0.5).hidden(Players({}), x, y)
    assert float(((hidden > 2) & (hidden < 8)).float().sum(1).mean()) == pytest.approx(4.0, abs=0.15)
    assert float((hidden == 20).float().sum(1).mean()) == pytest.approx(3.0, abs=0.2)
    together = replace(GAME, dropped=0.0, piece=1e9).hidden(Players({}), x, y)
    assert all("3, 4, 5, 6, 7" in str(row) for row in together.tolist()), "one piece stays whole"
    places = (together == 3).float().argmax(1)
    assert all(int((places == k).sum()) > 20 for k in range(4)), "and stands anywhere"


class Says(nn.Module):
    """A critic with logit `high` at token 5 and `low` elsewhere."""

    def __init__(self, high: float, low: float) -> None:
        super().__init__()
        self.high, self.low = high, low

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x == 5, self.high, self.low)


@torch.no_grad()
def chance_of_five(players: Players, y: Tensor) -> float:
    return float(token_logits(players.G, torch.full((len(y), 1), 5), y).softmax(1)[:, 5].mean())


def played(game: Retelling, name: str, players: Players, batch: Batch, moves: str, steps: int = 15) -> None:
    """Steps of one turn for one player."""
    optim = torch.optim.Adam(players[moves].parameters(), lr=0.02)
    for _ in range(steps):
        optim.zero_grad()
        torch.stack(list(getattr(game, name)(players, Batch(dict(batch)), Clock(round=0, seen=0)).values())).sum().backward()
        optim.step()


@pytest.mark.parametrize("weight", [5.0, -5.0])
def test_summaries_that_help_to_tell_again_become_likelier(weight: float, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    players = Players({**GAME.players(SPACE), "D": Says(0.0, 0.0)})
    batch = Batch(random_batch(SPACE, 64, seed=0))
    monkeypatch.setattr(retelling, "_retold", lambda p, y, told: (told[:, 0] == 5).float())
    before = chance_of_five(players, batch["y"])
    played(replace(GAME, faithful=weight), "speaker", players, batch, "G")
    after = chance_of_five(players, batch["y"])
    assert after > 1.5 * before if weight > 0 else after < 0.8 * before
    monkeypatch.setattr(retelling, "_retold", lambda p, y, told: torch.ones(len(told)))
    same = GAME.speaker(players, batch, Clock(round=0, seen=0))["reinforce"]
    assert float(same.detach().abs()) < 1e-6, "what the greedy summary saves as well earns nothing"


def test_what_the_critic_likes_becomes_likelier() -> None:
    torch.manual_seed(0)
    players = Players({**GAME.players(SPACE), "D": Says(3.0, -3.0)})
    batch = Batch(random_batch(SPACE, 64, seed=0))
    before = chance_of_five(players, batch["y"])
    played(replace(GAME, faithful=0.0), "speaker", players, batch, "G")
    assert chance_of_five(players, batch["y"]) > 1.5 * before


def test_rewards_of_the_critic_are_discounted() -> None:
    torch.manual_seed(0)
    players = Players({**GAME.players(SPACE), "D": Says(1.0, 1.0)})
    fake, gains = GAME._rewarded(players, Batch(random_batch(SPACE, 16, seed=0)))
    each = 2 * torch.sigmoid(torch.tensor(1.0)) - 1
    left = real(fake).flip(1).cumsum(1).flip(1)
    assert torch.allclose(gains, torch.where(real(fake), each * (1 - 0.3**left) / 0.7, 0.0), atol=1e-6)


def test_critic_and_reconstructor_learn_what_they_are_for() -> None:
    torch.manual_seed(0)
    players = Players(GAME.players(SPACE))
    batch = Batch(random_batch(SPACE, 64, seed=0))
    batch["x"] = torch.where(batch["x"].long() > 2, 7, batch["x"].long())  # summaries that are easily told from what G says
    fake = retelling.drawn(players, batch)
    before = float(retelling._retold(players, batch["y"], fake).detach().mean())
    played(GAME, "critic", players, batch, "D", 40)
    played(GAME, "reconstructor", players, batch, "R", 40)
    with torch.no_grad():
        assert float(players.D(batch["x"])[real(batch["x"])].mean()) > float(players.D(fake)[real(fake)].mean()) + 0.5
    assert float(retelling._retold(players, batch["y"], fake).detach().mean()) > before + 0.1


def test_the_teacher_reads_hidden_summaries(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    players, batch = Players(GAME.players(SPACE)), Batch(random_batch(SPACE, 8, seed=0))
    shown = batch["y"].flip(0)
    monkeypatch.setattr(Retelling, "hidden", lambda self, p, x, y: shown)
    told = GAME.teacher(players, batch, Clock(round=0, seen=0))["denoise"]
    assert torch.allclose(told, -log_probs(players.G, batch["x"], shown).sum(1).mean())


def test_turns_begin_when_asked() -> None:
    turns = [(*turn.moves, turn.start) for turn in replace(GAME, judged_from=3, rewarded_from=7).turns()]
    assert turns == [("D", 3), ("R", 3), ("G", 0), ("G", 7), ("B", 7)]
    assert [turn.moves for turn in replace(GAME, adversary=False).turns()] == [("G",)]


def test_what_the_game_needs() -> None:
    assert GAME.why_not(SPACE) is None
    assert "--unpaired" in (GAME.why_not(replace(SPACE, dictionary=())) or "")
    other = replace(SPACE, source=replace(SPACE.source, vocabulary=31))  # type: ignore[type-var]
    assert "--shared true" in (GAME.why_not(other) or "")
    assert "longer sources" in (GAME.why_not(replace(SPACE, length=12)) or "")
    assert "logit for every word" in (replace(GAME, judge_net=PairCritic()).why_not(SPACE) or "")
    assert "--unpaired" in (Likelihood().why_not(SPACE) or "")
    assert "reads a text" in (replace(GAME, net=ConvCritic()).why_not(SPACE) or "")  # type: ignore[arg-type]


def test_from_two_files_to_a_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = headlines(apart=True)
    assert corpus.sources is not None
    for name, lines in (
        ("train.report", corpus.sources[:300]), ("train.head", corpus.texts[:200]), ("test.report", corpus.sources[-30:]),
        ("test.head", corpus.texts[-30:]),
    ):  # fmt: skip
        (tmp_path / name).write_text("".join(line + "\n" for line in lines), "utf-8")
    small = ["--game.net.width", 16, "--game.net.embed", 16, "--game.retell-net.width", 16, "--game.retell-net.embed", 16, "--rounds", 10, "--batch", 8,
             "--game.judged-from", 2, "--game.rewarded-from", 4]  # fmt: skip
    status, told = printed(
        capsys, "train", tmp_path, "--source", "report", "--target", "head", "--unpaired", *small, "--out", tmp_path / "run"
    )
    assert status == 0 and "summary-unpaired" in told and "every token stands for itself" in told, told
    status, told = printed(capsys, "apply", tmp_path / "run", "-", "--back")
    assert status == 2 and "one way alone" in told
    alone = tmp_path / "alone"
    alone.mkdir()
    for name in ("train.report", "train.head"):
        (alone / name).write_text((tmp_path / name).read_text("utf-8"), "utf-8")
    status, told = printed(
        capsys, "train", alone, "--source", "report", "--target", "head", "--unpaired", *small, "--out", tmp_path / "chance"
    )
    assert status == 0, told
    assert {json.loads(line)["name"] for line in (tmp_path / "chance" / "metrics.jsonl").read_text("utf-8").splitlines()} == {"fd"}
    (tmp_path / "new.txt").write_text("\n".join(corpus.sources[-3:]), "utf-8")
    status, _ = printed(capsys, "apply", tmp_path / "run", tmp_path / "new.txt", "--out", tmp_path / "said.txt")
    assert status == 0 and len((tmp_path / "said.txt").read_text("utf-8").splitlines()) == 3
    status, told = printed(
        capsys, "train", tmp_path, "--source", "report", "--target", "head", "--recipe", "summary-unpaired", "--out", tmp_path / "no"
    )
    assert status == 2 and "--unpaired" in told and "Traceback" not in told
