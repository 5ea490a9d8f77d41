"""The paired bootstrap of benchmarks/paired.py and the verbs that print what benchmarks/translation.py kept."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
WORDS = ["the", "a", "dog", "cat", "man", "runs", "sees", "big", "red", "house", "in", "under", "over"]


@pytest.fixture
def translation(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("translation")


@pytest.fixture
def paired(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("paired")


def texts(n: int, noise: float, seed: int = 0) -> tuple[list[str], list[str]]:
    """(targets, texts in which a share of the words is another)."""
    dice, other = np.random.default_rng(0), np.random.default_rng(seed + 1)
    targets = [dice.choice(WORDS, dice.integers(6, 14)).tolist() for _ in range(n)]
    made = [[WORDS[other.integers(len(WORDS))] if other.random() < noise else word for word in target] for target in targets]
    return [" ".join(target) for target in targets], [" ".join(one) for one in made]


@pytest.mark.parametrize("kind", ["translation", "summary"])
def test_sums_over_sentences_are_the_figures(paired: ModuleType, kind: str) -> None:
    from sacrebleu.metrics import BLEU, CHRF

    from agon.metrics.rouge import rouge

    targets, made = texts(60, 0.3)
    names, parts, figures = paired.pieces(made, targets, kind)
    found = dict(zip(names, figures(np.append(parts.sum(0), len(made))), strict=True))
    if kind == "translation":
        assert found == pytest.approx(
            {"BLEU": BLEU().corpus_score(made, [targets]).score, "chrF": CHRF().corpus_score(made, [targets]).score}
        )
    else:
        assert list(found.values()) == pytest.approx(rouge(made, [(target,) for target in targets]).mean(0).tolist())


def test_against_nothing_the_interval_is_sacrebleus(paired: ModuleType) -> None:
    """Beside a system that is always wrong the difference is the figure itself, whose interval sacreBLEU has by the same draws."""
    from sacrebleu.metrics import BLEU

    targets, made = texts(80, 0.2)
    value, low, high = paired.differences(made, ["zzz"] * 80, targets, "translation")["BLEU"]
    theirs: Any = BLEU().corpus_score(made, [targets], n_bootstrap=1_000)
    assert value == pytest.approx(theirs.score, abs=1e-9)
    assert (high - low) / 2 == pytest.approx(theirs._ci, rel=1e-3)


@pytest.mark.parametrize("kind", ["translation", "summary"])
def test_the_same_differ_by_nothing_and_the_better_is_told(paired: ModuleType, kind: str) -> None:
    targets, made = texts(150, 0.3)
    worse, alike = texts(150, 0.5, seed=1)[1], texts(150, 0.3, seed=2)[1]
    assert set(paired.differences(made, made, targets, kind).values()) == {(0.0, 0.0, 0.0)}
    for value, low, high in paired.differences(made, worse, targets, kind).values():
        assert 0 < low < value < high
    assert all(low < 0 < high for _, low, high in paired.differences(made, alike, targets, kind).values())
    with pytest.raises(ValueError, match="149 texts were compared with 150, of 150 targets"):
        paired.differences(made[1:], made, targets, kind)


def test_pairing_is_tighter_than_two_intervals(paired: ModuleType) -> None:
    """Two that err in the same sentences: the difference is surer than either."""
    targets, made = texts(150, 0.3)
    near = [text if k % 3 else text.replace("dog", "cat") for k, text in enumerate(made)]
    _, low, high = paired.differences(made, near, targets, "translation")["BLEU"]
    _, alone_low, alone_high = paired.differences(made, ["zzz"] * 150, targets, "translation")["BLEU"]
    assert high - low < 0.5 * (alone_high - alone_low)


def test_table_and_samples_print_what_was_kept(
    translation: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AGON_DATA", raising=False)
    sources, targets = translation.read_pairs(Path("headlines"), "headlines", "test")
    out, kept = tmp_path / "rows.jsonl", {"on": targets, "off": ["somebody sells a boat in bern"] * len(targets)}
    shared = {"set": "headlines", "seed": 0, "cpu_seconds": 5.0, "settings": [], "signature": "ROUGE"}
    with out.open("w") as file:
        for adversary, made in kept.items():
            row = {**shared, "adversary": adversary, **translation.scores(made, targets, "headlines")}
            path = translation.made_file(row, out)
            path.parent.mkdir(exist_ok=True)
            path.write_text("".join(text + "\n" for text in made), "utf-8")
            file.write(json.dumps(row) + "\n")
        file.write(json.dumps({**row, "adversary": "on", "seed": 1}) + "\n")  # its texts were not kept
    translation.table(out)
    printed = capsys.readouterr().out
    line = next(line for line in printed.splitlines() if "on − off" in line)
    assert line.startswith("| on − off  paired, seed 0 | 1 | 5 | +")
    assert printed.count("on − off") == 1
    translation.samples(out, "headlines", 0, False)
    printed = capsys.readouterr().out
    assert printed.count("\n- ") == 2 * translation.SHOWN
    assert f"- {sources[0]} → **{targets[0]}** | {targets[0]}" in printed
    translation.samples(out, "headlines", 0, True)
    assert sources[0] not in capsys.readouterr().out
    translation.samples(out, "headlines", 1, False)
    assert "were not kept" in capsys.readouterr().err
