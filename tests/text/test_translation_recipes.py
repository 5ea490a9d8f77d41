"""The recipes of pairs through the command line: train, sample, apply with the critic's choice, score."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from test_pairs_of_text import ENGLISH, GERMAN
from torch import Tensor

from agon.catalogue import row
from agon.data import Data, open_data
from agon.errors import InputError
from agon.metrics.contract import figure
from agon.metrics.corpus_bleu import CorpusBLEU
from agon.metrics.rouge import Rouge, lead, rouge
from agon.metrics.setting import Setting
from agon.recipes import pairs as pairs_recipes
from commandline import printed, typed


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty pairs, one file of objects."""
    path = tmp_path_factory.mktemp("jsonl") / "pairs.jsonl"
    rows = [{"en": f"{a} {k} .", "de": f"{b} {k} ."} for k in range(10) for a, b in zip(ENGLISH, GERMAN, strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


@pytest.mark.parametrize("recipe", ["translation", "summary"])
def test_a_recipe_from_file_to_text(recipe: str, pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = [
        "--rounds",
        20,
        "--batch",
        8,
        "--game.net.width",
        16,
        "--game.judge-net.width",
        8,
        "--game.judge-net.heads",
        2,
        "--tick",
        10,
    ]
    settings += ["--game.net.heads", 2] if recipe == "translation" else ["--game.net.embed", 8, "--recipe", recipe, "--shared", "true"]
    status, told = printed(capsys, "train", pairs, "--source", "en", "--target", "de", *settings, "--out", tmp_path / "run")
    assert status == 0 and f"{recipe}: " in told, told
    events = (tmp_path / "run" / "events.jsonl").read_text()
    assert "critic/mismatch" in events and "speaker/reinforce" in events
    status, told = printed(capsys, "sample", tmp_path / "run", "--text", "a dog runs 3 .", "-n", 2)
    assert status == 0 and len(told.splitlines()) == 2
    scored = {"translation": ("translation", "corpus_bleu", "nrefs:1"), "summary": ("rouge", "rougeL", "stemmed")}[recipe]
    status, told = printed(capsys, "eval", tmp_path / "run", "-m", scored[0])
    assert status == 0 and f"{scored[1]} " in told and scored[2] in told and "[" in told, told
    (tmp_path / "in.txt").write_text("a dog runs 3 .\n\na cat sleeps 4 .\n", "utf-8")
    assert typed("apply", tmp_path / "run", tmp_path / "in.txt", "--rerank", "--out", tmp_path / "out.txt") == 0
    assert (tmp_path / "out.txt").read_text("utf-8").count("\n") == 3


def test_pairs_are_needed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, told = printed(capsys, "train", "arithmetic", "--limit", 50, "--recipe", "translation", "--out", tmp_path / "run")
    assert status == 2 and "makes a text from another" in told


class Parrot:
    """A generator that says what it is told to, whatever the source."""

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts

    def __call__(self, y: Tensor) -> list[str]:
        return self.texts[: len(y)]


def test_scores_are_those_of_the_packages(pairs: Path, tmp_path: Path) -> None:
    import sacrebleu

    data_set = open_data(Data(path=str(pairs), source="en", target="de", shared=True))
    targets = data_set.held.captions
    assert targets is not None
    said = [text.replace("Hund", "Kater") for text in targets]
    setting = Setting(data_set, None, 0, tmp_path, translate=Parrot(said))  # type: ignore[arg-type]
    bleu, found = CorpusBLEU(setting, 10_000), rouge(targets, [(text,) for text in targets])
    assert bleu.compute() == pytest.approx(
        {"corpus_bleu": sacrebleu.corpus_bleu(said, [targets]).score, "chrf": sacrebleu.corpus_chrf(said, [targets]).score}
    )
    low, high = bleu.intervals()["corpus_bleu"]
    assert low < bleu.compute()["corpus_bleu"] + 1e-6 and high > low and "nrefs:1" in bleu.settings()
    assert bleu.detail()["corpus_bleu of copying"] < bleu.compute()["corpus_bleu"]
    assert bleu.remark("chrf") == f"copying has {figure(bleu.detail()['chrf of copying'])}"
    assert (found == 100).all()
    summed = Rouge(setting, 10_000)
    assert summed.compute()["rouge1"] < 100 and "the first sentence has" in summed.remark("rougeL") and lead("One. Two. Three.") == "One."
    several = [(text, "nothing alike") if k % 2 else ("nothing alike", said[k], text) for k, text in enumerate(targets)]
    many = Setting(replace(data_set, held=replace(data_set.held, references=several)), None, 0, tmp_path, translate=Parrot(said))  # type: ignore[arg-type]
    streams = [[one[k] if k < len(one) else None for one in several] for k in range(3)]
    best, of_all = Rouge(many, 10_000), CorpusBLEU(many, 10_000)
    assert of_all.compute()["corpus_bleu"] == pytest.approx(sacrebleu.corpus_bleu(said, streams).score)
    assert best.compute()["rouge1"] > summed.compute()["rouge1"] and best.settings() == "F1, stemmed, best of several targets"
    assert best._each[::2].eq(100).all(), "what is one of the targets is right"
    for make in (CorpusBLEU, Rouge):
        with pytest.raises(InputError, match="no sources here"):
            make(Setting(data_set, None, 0, tmp_path), 10)  # type: ignore[arg-type]


def test_the_adversary_is_told_with_its_published_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    published = row("multi30k/translation")
    told = pairs_recipes._beside("translation")
    assert str(published.score) in told and "without adversary" in told and "--game.adversary false" in told
    monkeypatch.setattr(pairs_recipes, "rows", list)
    assert pairs_recipes._beside("translation") == "on: --game.adversary false leaves it out"
