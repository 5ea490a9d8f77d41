"""Pretrained players: begun from a folder, opened again without it, and every way a folder can be wrong."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import agon
from agon.backbones import Backbone, look, transferred
from agon.data import tokenisers
from agon.decoding import log_probs, speak
from agon.errors import InputError
from agon.networks.text.pretrained import Pretrained, PretrainedCritic
from agon.spaces import Tokens
from agon.spaces.tokens import END, FIRST, PAD, real
from commandline import printed, typed
from tiny_backbones import WORDS, encoder, speaker

pytest.importorskip("transformers")
TEXTS = ["a man sees the dog", "the cat rides a bike", "a red horse", "the man rides the red bike"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("backbones")
    return {"speaker": speaker(root / "gpt"), "encoder": encoder(root / "bert")}


@pytest.fixture(scope="module")
def space() -> Tokens:
    content = tokenisers.of_words([*WORDS, "zebra"])
    return Tokens(length=9, vocabulary=FIRST + len(WORDS) + 1, tokenizer=content)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def test_vectors_are_the_means_of_their_pieces(folders: dict[str, Path], space: Tokens) -> None:
    pieces = json.loads((folders["encoder"] / "tokenizer.json").read_text())["model"]["vocab"]
    table = torch.randn(len(pieces), 5)
    rows = transferred(folders["encoder"], space, table)
    names = space.names()
    assert torch.equal(rows[names.index("man")], table[pieces["man"]]), "a word both know is itself"
    zebra = [pieces[p] for p in ("z", "##e", "##b", "##r", "##a")]
    assert torch.allclose(rows[names.index("zebra")], table[zebra].mean(0))
    assert torch.equal(rows[PAD], table[pieces["[CLS]"]])
    assert torch.equal(rows[END], table[pieces["[SEP]"]])


def test_with_the_same_words_the_language_model_is_the_librarys(folders: dict[str, Path], space: Tokens) -> None:
    """Logits of words both know are those of the library's own model, reading from its own first sign."""
    from transformers import GPT2LMHeadModel

    model = GPT2LMHeadModel.from_pretrained(folders["speaker"]).eval()
    pieces = json.loads((folders["speaker"] / "tokenizer.json").read_text())["model"]["vocab"]
    net = Pretrained(folder=str(folders["speaker"])).speaker(space).eval()
    x = space.encode(TEXTS)[0].long()
    said = net(x)
    names = space.names()
    for row, text in enumerate(TEXTS):
        ids = [0, *(pieces[word] for word in text.split())]
        want = model(torch.tensor([ids])).logits[0]
        for place in range(len(ids)):
            for word in ("man", "dog", "the"):
                assert torch.allclose(said[row, place, names.index(word)], want[place, pieces[word]], atol=1e-5)


def test_cached_speech_and_probabilities(folders: dict[str, Path], space: Tokens) -> None:
    for where in (space, replace(space, classes=("x", "y"))):
        net = Pretrained(folder=str(folders["speaker"]), dropout=0.0).speaker(where).eval()
        y = torch.arange(6) % 2 if where.classes else None
        tokens = speak(net, torch.rand(6, where.length), y)

        whole = log_probs(net, tokens, y)
        state, told = net.begin(6, y), net.embed(torch.full((6,), PAD))
        for t in range(tokens.shape[1]):
            h, state = net.step(told, state)
            step = net.read(h).log_softmax(1).gather(1, tokens[:, t : t + 1])[:, 0]
            there = real(tokens)[:, t]
            assert torch.allclose(step[there], whole[there, t], atol=1e-5)
            told = net.embed(tokens[:, t])


def test_padding_reaches_no_judgement(folders: dict[str, Path], space: Tokens) -> None:
    net = PretrainedCritic(folder=str(folders["encoder"]), dropout=0.0).critic(space)
    x = space.encode(TEXTS)[0].long()
    alone = torch.cat([net(x[k : k + 1]) for k in range(len(x))])
    assert torch.allclose(net(x), alone, atol=1e-5)
    soft = torch.nn.functional.one_hot(x, space.vocabulary).float()
    assert torch.allclose(net(soft, mask=real(x)), net(x), atol=1e-5)
    assert len(PretrainedCritic(folder=str(folders["encoder"]), layers=1).critic(space).core.core.encoder.layer) == 1


@pytest.mark.parametrize("kind", ["roberta", "mpnet", "albert", "electra", "distilbert"])
def test_encoders_of_other_kinds_judge_and_open_without_their_folder(
    kind: str, folders: dict[str, Path], space: Tokens, tmp_path: Path
) -> None:
    """Also where a network pads at 1, numbers in half precision, or has embeddings narrower than itself."""
    import transformers

    place = tmp_path / 'a "müde" \\ folder'
    pieces = json.loads((folders["encoder"] / "tokenizer.json").read_text())["model"]["vocab"]
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    if kind == "distilbert":
        sizes = {"dim": 8, "n_layers": 2, "n_heads": 2, "hidden_dim": 16}
    narrow = {"embedding_size": 4} if kind in ("albert", "electra") else {}
    config = transformers.AutoConfig.for_model(kind, vocab_size=len(pieces), max_position_embeddings=66, **sizes, **narrow)
    torch.manual_seed(3)
    model = transformers.AutoModel.from_config(config)
    (model.to(torch.bfloat16) if kind == "roberta" else model).save_pretrained(place)
    shutil.copy(folders["encoder"] / "tokenizer.json", place)
    net = PretrainedCritic(folder=str(place), dropout=0.0)
    judge, x = net.critic(space).eval(), space.encode(TEXTS)[0].long()
    shutil.rmtree(place)
    again = replace(net, layers=0).critic(space).eval()
    for name, value in again.state_dict().items():
        value.copy_(judge.state_dict()[name])
    assert torch.equal(again(x), judge(x))
    e = judge.embed(x).detach().requires_grad_()
    (slope,) = torch.autograd.grad(judge.judge(e, real(x)).sum(), e, create_graph=True)
    (bend,) = torch.autograd.grad(slope.square().sum(), judge.head.linear.weight)
    assert bend.abs().sum() > 0, "penalties on slopes can be taken"


def test_games_with_pretrained_players_keep_the_laws(folders: dict[str, Path]) -> None:
    from agon.games.residual import Residual
    from agon.games.seqgan import SeqGAN
    from agon.testing import check_game

    words = Tokens(length=6, vocabulary=FIRST + len(WORDS), tokenizer=tokenisers.of_words(WORDS))
    net, judge = Pretrained(folder=str(folders["speaker"]), dropout=0.0), PretrainedCritic(folder=str(folders["encoder"]), dropout=0.0)
    check_game(Residual(net=net, judge_net=judge, candidates=2), words)
    check_game(SeqGAN(net=net, judge_net=judge), words)


def test_a_wrong_start_leaves_no_run(folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = (
        "train",
        corpus(tmp_path / "text.txt"),
        "--recipe",
        "residual-pretrained",
        "--rounds",
        2,
        "--metrics",
        "[]",
        "--out",
        tmp_path / "run",
    )
    status, told = printed(capsys, *given)
    assert status == 2
    assert "--game.judge_net.folder FOLDER" in " ".join(told.split())
    assert typed(*given, "--game.judge_net.folder", folders["encoder"], "--game.judge_net.layers", 1) == 0
    reasons = json.loads((tmp_path / "run" / "run.json").read_text())["reasons"]
    assert reasons["judge_net.layers"] == "asked for"


def corpus(place: Path) -> Path:
    rows = [f"{a} {b} {c} {d} {e}" for a in ("a", "the") for b in ("man", "dog", "cat") for c in ("rides", "sees") for d in ("a", "the")
            for e in ("horse", "bike", "red", "zebra")]  # fmt: skip
    place.write_text("\n".join(rows) + "\n")
    return place


def test_a_run_opens_without_the_folder_and_resumes_bit_for_bit(
    folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both players pretrained, the folders gone after training: samples, scores and further rounds are as with them."""
    mine = {name: Path(shutil.copytree(path, tmp_path / name)) for name, path in folders.items()}
    text = corpus(tmp_path / "text.txt")
    given = (
        "train", text, "--recipe", "residual-pretrained", "--game.net", "pretrained", "--game.net.folder", mine["speaker"],
        "--game.judge_net.folder", mine["encoder"], "--game.judge_net.layers", 1, "--batch", 8, "--metrics", '["c2st"]', "--seed", 3,
        "--save-every", 5, "--game.critic_start", 3, "--game.speaker_stop", 5, "--game.optim.G.lr", 1e-3,
    )  # fmt: skip
    assert typed(*given, "--rounds", 10, "--out", tmp_path / "whole") == 0
    assert typed(*given, "--rounds", 5, "--out", tmp_path / "parts") == 0
    for path in mine.values():
        shutil.rmtree(path)
    assert typed("train", tmp_path / "parts", "--rounds", 10) == 0
    one, other = agon.load(tmp_path / "whole"), agon.load(tmp_path / "parts")
    assert one.round == other.round == 10
    for name, module in one.players.items():
        for key, value in module.state_dict().items():
            assert torch.equal(value, other.players[name].state_dict()[key]), (name, key)
    assert one.say(20, seed=1).texts == other.say(20, seed=1).texts
    status, told = printed(capsys, "train", tmp_path / "whole" / "run.json", "--out", tmp_path / "again")
    assert status == 2
    assert "are gone or others" in " ".join(told.split())


def test_the_extractor_reads_text_with_its_own_tokeniser(folders: dict[str, Path], tmp_path: Path) -> None:
    from agon.data import Data, open_data
    from agon.metrics import make_extractor

    data_set = open_data(Data(path=str(corpus(tmp_path / "text.txt"))))
    found = make_extractor("backbone", data_set, weights=folders["encoder"])
    x = data_set.train.x[:7]
    features = found(x).features
    assert features.shape == (7, 8)
    assert torch.allclose(torch.cat([found(x[k : k + 1]).features for k in range(7)]), features, atol=1e-5), (
        "others in the batch do not matter"
    )
    assert not torch.allclose(features[0], features[5])
    (folders["encoder"] / "modules.json").write_text('[{"type": "sentence_transformers.models.Normalize"}]')
    unit = make_extractor("backbone", data_set, weights=folders["encoder"])(x).features
    assert torch.allclose(unit.norm(dim=1), torch.ones(7, dtype=torch.float64), atol=1e-5)
    with pytest.raises(InputError, match="--extractor-weights FOLDER"):
        make_extractor("backbone", data_set)


def settings(place: Path, **changed: object) -> None:
    path = place / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def test_kernels_named_by_a_folder_are_not_fetched(folders: dict[str, Path], space: Tokens, tmp_path: Path) -> None:
    place = Path(shutil.copytree(folders["encoder"], tmp_path / "bert"))
    settings(place, attn_implementation="someone/kernel", _attn_implementation="someone/kernel", return_dict=False, dtype="bfloat16")
    judge = PretrainedCritic(folder=str(place)).critic(space)
    assert judge.core.core.config._attn_implementation == "eager"
    assert {p.dtype for p in judge.parameters()} == {torch.float32}


def test_a_network_that_scales_its_embeddings_is_refused(folders: dict[str, Path], space: Tokens, tmp_path: Path) -> None:
    import transformers

    place = tmp_path / "gemma"
    pieces = json.loads((folders["speaker"] / "tokenizer.json").read_text())["model"]["vocab"]
    sizes = {
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "intermediate_size": 16,
        "head_dim": 4,
    }
    config = transformers.AutoConfig.for_model("gemma", vocab_size=len(pieces), **sizes)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(place)
    shutil.copy(folders["speaker"] / "tokenizer.json", place)
    with pytest.raises(InputError, match="scales, caps or shifts"):
        Pretrained(folder=str(place)).speaker(space)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda p: shutil.rmtree(p), "there is no folder"),
        (lambda p: (p / "config.json").unlink(), r"no config\.json"),
        (lambda p: (p / "tokenizer.json").unlink(), r"no tokenizer\.json"),
        (lambda p: (p / "model.safetensors").unlink(), r"no \*\.safetensors"),
        (lambda p: (p / "config.json").write_text("{"), "cannot be read"),
        (lambda p: (p / "config.json").write_text("[]"), "names no model_type"),
        (lambda p: (p / "config.json").write_text('{"model_type": "nothing"}'), "does not know the network"),
        (lambda p: (p / "config.json").write_text('{"model_type": "bert", "auto_map": {}}'), "needs code of its own"),
        (lambda p: (p / "model.safetensors").write_bytes(b"nothing"), "cannot be opened"),
        (lambda p: (p / "tokenizer.json").write_text("{}"), "cannot be read"),
        (lambda p: settings(p, quantization_config={"bits": 4}), "are quantised"),
        (lambda p: (p / "config.json").write_text('{"model_type": "t5"}'), "neither an encoder nor one"),
        (lambda p: settings(p, vocab_size=9), "cannot be opened"),
        (lambda p: settings(p, num_hidden_layers=3), "lack 16 of the network's"),
        (lambda p: settings(p, hidden_size="many"), "does not know the network"),
    ],
)
def test_folders_that_are_none(spoil, told: str, folders: dict[str, Path], space: Tokens, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    place = Path(shutil.copytree(folders["encoder"], tmp_path / "bert"))
    spoil(place)
    with pytest.raises(InputError, match=told):
        PretrainedCritic(folder=str(place)).critic(space)


def test_what_a_pretrained_player_cannot_do(folders: dict[str, Path], space: Tokens) -> None:
    both, one = str(folders["encoder"]), str(folders["speaker"])
    with pytest.raises(InputError, match=r"--game\.judge_net\.folder FOLDER"):
        PretrainedCritic().critic(space)
    with pytest.raises(InputError, match=r"--game\.net\.folder FOLDER"):
        Pretrained().speaker(space)
    with pytest.raises(InputError, match="reads both ways and cannot speak"):
        Pretrained(folder=both).speaker(space)
    with pytest.raises(InputError, match="judges whole sentences"):
        PretrainedCritic(folder=both).critic(space, each=True)
    with pytest.raises(InputError, match="speaks from no source"):
        Pretrained(folder=one).speaker(replace(space, source=space))
    assert len(PretrainedCritic(folder=both, layers=3).critic(space).core.core.encoder.layer) == 2, "at most so many"
    with pytest.raises(InputError, match=r"`told`\) is damaged"):
        PretrainedCritic(told="{").critic(space)
    with pytest.raises(InputError, match="reads 64 tokens"):
        PretrainedCritic(folder=both).critic(replace(space, length=64))


def test_other_weights_than_the_run_was_made_with(folders: dict[str, Path], tmp_path: Path) -> None:
    told = look(str(folders["encoder"]))
    changed = json.dumps({**json.loads(told), "hash": "0" * 16})
    net = Backbone(changed, causal=False, dropout=0.0, layers=0, longest=9)
    with pytest.raises(InputError, match="are gone or others"):
        net(torch.zeros(1, 2, 8))
    kept = Backbone(told, causal=False, dropout=0.0, layers=0, longest=9)
    net.load_state_dict(kept.state_dict())
    e = torch.randn(2, 3, 8)
    assert torch.equal(net.eval()(e), kept.eval()(e))
