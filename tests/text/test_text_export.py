"""Text leaves the house: safetensors, tokenisers and ONNX that say the same without Agon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import agon
from agon.data import Data
from commandline import printed

SMALL: dict[str, Any] = {
    "rounds": 4, "batch": 8, "seed": 0, "threads": 1, "device": "cpu", "tensorboard": False, "score_every": 0, "metrics": [], "save_every": 4,
}  # fmt: skip
RNN = {"game.net.width": 16, "game.net.embed": 8}
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "rnn": ("likelihood", RNN),
    "transformer": ("likelihood", {"game.net": "transformer", "game.net.width": 16, "game.net.heads": 2, "game.net.layers": 1}),
    "memory": ("relgan", {"game.net.embed": 8, "game.net.heads": 1, "game.net.head_width": 16}),
    "codes": ("arae", RNN | {"game.z_dim": 4, "game.code_dim": 8, "game.latent_net.width": 8, "game.read.width": 8, "game.read.embed": 8}),
}


def lines(folder: Path) -> Path:
    """Twenty-seven short sentences, twice."""
    said = [
        f"{who} {does} {where}"
        for who in ("a man", "a dog", "the cat")
        for does in ("sits", "sleeps", "runs")
        for where in ("here", "at home", "out")
    ]
    (folder / "lines.txt").write_text("\n".join(said * 2))
    return folder / "lines.txt"


@pytest.mark.parametrize("name", RUNS)
def test_onnx_gives_the_same_logits_and_says_the_same_sentence(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Word after word, the likeliest each time, by ONNX Runtime and the tokeniser's file alone."""
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from tokenizers import Tokenizer

    recipe, changes = RUNS[name]
    data = Data(path=str(lines(tmp_path)), holdout=0)
    agon.fit(recipe, data=data, out=tmp_path / "run", **SMALL, **changes)
    status, said = printed(capsys, "export", tmp_path / "run", "--onnx", "--out", tmp_path / "out")
    assert status == 0, said
    assert "max abs difference to PyTorch" in said
    card = json.loads((tmp_path / "out" / "game.json").read_text())
    speaker = "speaker" if name == "codes" else "generator"
    told = card["inputs of speaker"] if name == "codes" else card["inputs"]
    trained = agon.load(tmp_path / "run")
    assert told["tokens"] == ["int64", "n", trained.space.length]
    assert card["output"]["logits"] == [trained.space.length, trained.space.vocabulary]
    assert (card["latent"] is not None) == (name == "codes")
    session = onnxruntime.InferenceSession(str(tmp_path / "out" / f"{speaker}.onnx"), providers=["CPUExecutionProvider"])
    more = {}
    if name == "codes":
        codes = onnxruntime.InferenceSession(str(tmp_path / "out" / "generator.onnx"), providers=["CPUExecutionProvider"])
        more = {"y": codes.run(None, {"z": np.zeros((1, 4), np.float32)})[0]}
    tokens = np.zeros((1, trained.space.length), np.int64)
    for place in range(trained.space.length):
        tokens[0, place] = session.run(None, {"tokens": tokens, **more})[0][0, place].argmax()
        if tokens[0, place] == 1:
            break
    tokeniser = Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json"))
    ids = [*tokens[0].tolist(), 1]
    assert tokeniser.decode(ids[: ids.index(1)]).strip() == trained.space.decode(torch.from_numpy(tokens))[0]
    if name != "codes":
        assert trained.say(1, temperature=0.0).texts == trained.space.decode(torch.from_numpy(tokens))


def test_a_translator_leaves_both_tokenisers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pairs.jsonl").write_text("\n".join(json.dumps({"en": f"a {w} b", "de": f"ein {w} be"}) for w in "uvwxyz" * 4))
    data = Data(path=str(tmp_path / "pairs.jsonl"), source="en", target="de", holdout=0)
    agon.fit("translation", data=data, out=tmp_path / "run", **SMALL)
    status, said = printed(capsys, "export", tmp_path / "run", "--out", tmp_path / "out")
    assert status == 0, said
    assert {f.name for f in (tmp_path / "out").iterdir()} == {
        "generator.safetensors",
        "game.json",
        "tokenizer.json",
        "source-tokenizer.json",
    }
    card = json.loads((tmp_path / "out" / "game.json").read_text())
    assert set(card["inputs"]) == {"tokens", "y"}
    assert card["condition"]["kind"] == "source"
    status, said = printed(capsys, "export", tmp_path / "run", "--onnx", "--out", tmp_path / "out")
    assert status == 2
    assert "reads a source" in said
