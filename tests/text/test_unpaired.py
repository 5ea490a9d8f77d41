"""Two languages without pairs: the dictionary learnt from them, the noise, the shared translator, and the way from files to text."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agon.config import encode
from agon.data import Data, dictionary, open_data
from agon.data.corpus import read_corpus
from agon.data.entry import default_cache
from agon.data.spoken import sentences
from agon.data.textreport import text_warnings
from agon.decoding import log_probs, speak
from agon.errors import InputError
from agon.game import Batch, Players
from agon.games.likelihood import Likelihood
from agon.games.umt import UMT, by_word, voice
from agon.metrics.contract import figure
from agon.metrics.corpus_bleu import CorpusBLEU
from agon.metrics.round_trip import RoundTrip
from agon.metrics.setting import Setting
from agon.networks.text.transformer import Transformer
from agon.schedule import Clock
from agon.spaces import Tokens, space_from_json
from agon.spaces.tokens import END, FIRST, PAD, UNKNOWN, real
from agon.testing import random_batch
from commandline import printed

WORDS = (0, 0, 0, *range(11, 2, -1), 0)  # the word k of one is the word 14 − k of the other
SPACE = Tokens(length=9, vocabulary=13, dictionary=WORDS, source=Tokens(length=7, vocabulary=13, dictionary=WORDS))
GAME = UMT(net=Transformer(width=16, heads=2, dropout=0.0))
SMALL = (
    "--game.net.width", 16, "--game.net.heads", 2, "--rounds", 12, "--batch", 8, "--tick", 3, "--tokenizer", "word", "--limit", 300,
)  # fmt: skip


def cipher(word: str) -> str:
    """A word of the second language: long ones and signs are written alike in both, as names are."""
    return word if len(word) >= 6 or not word.isalpha() else word[::-1] + "o"


def enciphered(text: str) -> str:
    """A sentence of the second language."""
    return re.sub(r"[^\W\d_]+", lambda found: cipher(found.group()), text)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sentences in plain words, others enciphered, and a few that belong together to be tested on."""
    folder = tmp_path_factory.mktemp("unpaired")
    texts = [text.lower() for text in sentences(default_cache()).texts]
    pairs = texts[:60]
    for name, lines in (
        ("train.pl", texts[60:6_000:2]), ("train.ci", map(enciphered, texts[61:5_000:2])), ("test.pl", pairs), ("test.ci", map(enciphered, pairs)),
    ):  # fmt: skip
        (folder / name).write_text("".join(line + "\n" for line in lines), "utf-8")
    return folder


def asked(files: Path) -> Data:
    """These files as people would give them."""
    return Data(path=str(files), source="pl", target="ci", unpaired=True, tokenizer="word")


def test_files_of_other_lengths_and_the_dictionary_found(files: Path, tmp_path: Path) -> None:
    data_set = open_data(asked(files), cache=tmp_path)
    space = data_set.space
    assert isinstance(space, Tokens) and space.source is not None
    assert len(data_set.held) == 60 and len(data_set.train) > 2_800  # the shorter file begins again
    names, other = space.source.names(), space.names()
    # The commonest words come first in a vocabulary; those written alike were given away.
    found = [(names[k], other[word]) for k, word in enumerate(space.source.dictionary[:100]) if word and cipher(names[k]) != names[k]]
    right = sum(cipher(a) == b for a, b in found) / len(found)
    back = [(other[k], names[word]) for k, word in enumerate(space.dictionary[:100]) if word and cipher(names[word]) != names[word]]
    assert len(found) > 50 and right > 0.7, (len(found), right)
    assert sum(cipher(b) == a for a, b in back) / len(back) > 0.7
    assert "written alike" in data_set.reasons["dictionary"] and "order" in data_set.reasons["unpaired"]
    # Words and what the dictionary takes for their translations lie near each other, others do not.
    one, two = space.source.vectors, space.vectors
    assert one.shape[0] == space.source.vocabulary and two.shape[0] == space.vocabulary and not one[:FIRST].any()
    there = torch.tensor(space.source.dictionary)
    known = (there > 0) & one.any(1)
    near, far = (one[known] * two[there[known]]).sum(1).mean(), (one[known] * two[there[known].roll(1)]).sum(1).mean()
    assert near > far + 0.2, (near, far)
    again = open_data(asked(files), cache=tmp_path).space
    assert isinstance(again, Tokens) and torch.equal(again.vectors, two)
    # What is held back belongs together, what is trained on does not.
    assert data_set.held.y is not None and data_set.train.y is not None and data_set.train.captions is not None
    source = space.source
    known = [sum(cipher(word) in said for word in asked.split()) / len(asked.split())
             for asked, said in zip(source.decode(data_set.held.y), data_set.held.captions or [], strict=True)]  # fmt: skip
    strange = [sum(cipher(word) in said for word in asked.split()) / len(asked.split())
               for asked, said in zip(source.decode(data_set.train.y[:60]), data_set.train.captions[:60], strict=True)]  # fmt: skip
    assert sum(known) / 60 > 0.6 > 0.4 > sum(strange) / 60
    assert data_set.card["pairs"]["several_targets"] < 60  # of the held-back ones alone
    again = open_data(asked(files), cache=tmp_path)
    assert again.content_hash == data_set.content_hash and torch.equal(again.train.y, data_set.train.y) and again.space == space


def test_what_unpaired_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, words in (("en", "abc"), ("de", "xyz")):
        (tmp_path / f"train.{name}").write_text("".join(f"{a * 3} {b * 5} {c * 6}\n" for a in words for b in words for c in words), "utf-8")
    words = ["train", tmp_path, "--unpaired", "--out", tmp_path / "run"]
    status, told = printed(capsys, *words, "--source", "en", "--target", "de", "--tokenizer", "word")
    assert status == 2 and "written alike" in told and "Traceback" not in told
    status, told = printed(capsys, *words)
    assert status == 2 and "--source" in told
    with pytest.raises(InputError, match="made from others"):
        open_data(Data(path="sentences", unpaired=True))
    plain = replace(SPACE, dictionary=())
    assert "--unpaired" in (GAME.why_not(plain) or "") and GAME.why_not(SPACE) is None


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12))
def test_noise_drops_blanks_and_moves_a_little(seed: int, count: int) -> None:
    x = random_batch(SPACE, count, seed=seed)["x"].long()
    players = Players({})
    torch.manual_seed(seed)
    quiet = replace(GAME, dropped=0.0, blanked=0.0, moved=0.0).noised(players, x)
    assert torch.equal(quiet, x)
    noisy = GAME.noised(players, x)
    assert noisy.shape == x.shape
    for one, other in zip(x, noisy, strict=True):
        long = int(real(other).sum())
        assert bool(real(other)[:long].all()) and not bool(real(other)[long:].any())  # padding stands at the end alone
        words = [t for t in other.tolist() if t not in (PAD, END, UNKNOWN)]
        assert all(words.count(t) <= one.tolist().count(t) for t in words)
        assert (END in other) == (END in one) and (END not in other or int(other[long - 1]) == END)
        assert long >= 1
    moved = replace(GAME, dropped=0.0, blanked=0.0).noised(players, torch.arange(3, 10)[None].repeat(count, 1))
    assert int((moved - torch.arange(3, 10)).abs().max()) <= GAME.moved


def test_word_for_word() -> None:
    x = torch.tensor([[3, 11, 12, UNKNOWN, END, PAD]])
    assert by_word(GAME.players(SPACE)["G"], x, 0).tolist() == [[11, 3, UNKNOWN, UNKNOWN, END, PAD]]


def test_voices_are_one_translator() -> None:
    torch.manual_seed(0)
    speaker: Any = GAME.players(SPACE)["G"]
    x, y = (random_batch(space, 4, seed=1)["x"].long() for space in (SPACE, SPACE.source))  # type: ignore[arg-type]
    assert torch.equal(voice(speaker, 1, 0)(x, y), speaker(x, y))
    assert torch.equal(speaker.encode.embed.weight[3], speaker.embed.weight[WORDS[3]])  # a token begins at the vector of its translation
    back = voice(speaker, 0, 1)
    assert back(y, x).shape == (4, 7, 13) and back.length == 7 and speaker.length == 9
    log_probs(back, y, x).sum().backward()
    moved = {name for name, p in speaker.named_parameters() if p.grad is not None and float(p.grad.abs().sum()) > 0}
    assert {"embed.weight", "encode.embed.weight", "read_back.bias", "blocks.0.own.ask.weight", "encode.blocks.0.own.ask.weight"} <= moved
    assert "read.bias" not in moved


@pytest.mark.parametrize("width", [4, 8, 16])
def test_tokens_begin_at_the_vectors_of_both_languages(width: int) -> None:
    dice = torch.Generator().manual_seed(1)
    sides = [torch.nn.functional.normalize(torch.randn(13, 8, generator=dice), dim=1) for _ in range(2)]
    for side in sides:
        side[:3] = side[9] = 0
    assert SPACE.source is not None
    space = replace(SPACE, vectors=sides[0], source=replace(SPACE.source, vectors=sides[1]))
    game = replace(GAME, net=replace(GAME.net, width=width))
    tables = []
    for this in (SPACE, space):
        torch.manual_seed(0)
        speaker: Any = game.players(this)["G"]
        tables.append((speaker.embed.weight.detach(), speaker.encode.embed.weight.detach()))
    for old, new, side in zip(*tables, sides, strict=True):
        none = ~side.any(1)
        assert torch.equal(old[none], new[none]) and none.sum() == 4
        assert new[~none].norm(dim=1) == pytest.approx(1)
    if width >= 8:  # nothing is lost: cosines within a language and across are those of the vectors
        both, vectors = torch.cat(tables[1]), torch.cat(sides)
        known = vectors.any(1)
        assert torch.allclose(both[known] @ both[known].T, vectors[known] @ vectors[known].T, atol=1e-5)
    kept = encode(space)
    assert "vectors" not in kept and "vectors" not in kept["source"]
    assert space_from_json(kept) == space and hash(space_from_json(kept)) == hash(space)


def test_the_way_back_is_the_same_translator() -> None:
    players = Players(GAME.players(SPACE))
    found = GAME.way_back(players, SPACE)
    other, space = found
    assert (space.length, space.source.length, space.source.source) == (7, 9, None)  # type: ignore[union-attr]
    x = random_batch(SPACE, 6)["x"].long()
    back = GAME.sample(other, 6, given=Batch(y=x))
    assert torch.equal(back, speak(voice(players.G, 0, 1), torch.rand(6, 7), x, choice=GAME.choice)) and back.shape[1] <= 7
    assert torch.equal(GAME.log_likelihood(other, back, Batch(y=x)), log_probs(voice(players.G, 0, 1), back, x))
    assert Likelihood().way_back(players, SPACE) is None


def test_own_translations_are_taken_as_given() -> None:
    """Back-translation passes no slope through what was said, and begins when the dictionary's time is over."""
    torch.manual_seed(0)
    game = replace(GAME, by_word_until=2, denoise=0.0)
    players = Players(game.players(SPACE))
    batch = Batch(random_batch(SPACE, 4, seed=0))
    for index in (0, 2):
        translated = game._translated(players, batch["x"], 0, Clock(round=index, seen=0))
        assert not translated.requires_grad and translated.dtype == torch.int64
    assert set(game.speaker(players, batch, Clock(round=2, seen=0))) == {"back"}


def test_from_files_to_text(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, told = printed(
        capsys, "train", files, "--source", "pl", "--target", "ci", "--unpaired", *SMALL, "--metrics", "[]", "--out", tmp_path / "run"
    )
    assert status == 0 and "translation-unpaired" in told and "dictionary" in told, told
    assert (
        "speaker/auto" in (tmp_path / "run" / "events.jsonl").read_text()
        and "speaker/back" in (tmp_path / "run" / "events.jsonl").read_text()
    )
    (tmp_path / "in.txt").write_text("a report .\n\nanother one .\n", "utf-8")
    status, told = printed(capsys, "apply", tmp_path / "run", tmp_path / "in.txt", "--out", tmp_path / "out.txt")
    assert status == 0 and (tmp_path / "out.txt").read_text("utf-8").count("\n") == 3
    status, told = printed(capsys, "eval", tmp_path / "run", "-m", "translation", "-m", "round_trip")
    assert status == 0 and "left out" not in told and "corpus_bleu" in told and "round_trip" in told
    status, told = printed(capsys, "apply", tmp_path / "run", tmp_path / "in.txt", "--back", "--out", tmp_path / "back.txt")
    assert status == 0 and (tmp_path / "back.txt").read_text("utf-8").count("\n") == 3


def test_nothing_is_said_of_pairs_by_chance(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("train.pl", "train.ci"):
        (tmp_path / name).write_text((files / name).read_text("utf-8"), "utf-8")
    wanted = ["train", tmp_path, "--source", "pl", "--target", "ci", "--unpaired", *SMALL]
    status, told = printed(capsys, *wanted, "--out", tmp_path / "run")
    assert status == 0 and "by chance" in told and "corpus_bleu" not in told, told
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text("utf-8").splitlines()]
    assert {row["name"] for row in rows} == {"round_trip", "fd"} and (tmp_path / "run" / "states" / "best.safetensors").is_file()
    events = (tmp_path / "run" / "events.jsonl").read_text("utf-8")
    assert "sample/length" in events and "G/nats" not in events and "G/labels" not in events
    status, told = printed(capsys, "eval", tmp_path / "run", "-m", "translation")
    assert status == 2 and "test.en" in told and "round_trip" in told and "Traceback" not in told
    status, told = printed(capsys, "eval", tmp_path / "run", "-m", "nll", "--game.choice.temperature", 1)
    assert status == 2 and "by chance" in told
    status, told = printed(capsys, *wanted, "--metrics", "corpus_bleu", "--out", tmp_path / "no")
    assert status == 2 and "by chance" in told and not (tmp_path / "no").exists()
    status, told = printed(capsys, *wanted, "--holdout", 0, "--num-samples", 20, "--out", tmp_path / "none")
    assert status == 0 and "by chance" not in told and "round_trip" not in told, told
    # Where pairs are held out, both are said.
    status, told = printed(capsys, *[files if word == tmp_path else word for word in wanted], "--out", tmp_path / "paired")
    events = (tmp_path / "paired" / "events.jsonl").read_text("utf-8")
    assert status == 0 and "corpus_bleu" in told and "G/nats held" in events and "G/nats train" not in events
    rows = [json.loads(line) for line in (tmp_path / "paired" / "metrics.jsonl").read_text("utf-8").splitlines()]
    bleu = next(row for row in rows if row["name"] == "corpus_bleu")
    assert "copying has" in bleu["note"] and "word for word has" in bleu["note"]


@pytest.mark.parametrize("counts", [(400, 200), (200, 800), (300, 300)])
def test_what_is_held_back_is_never_trained_on(counts: tuple[int, int], files: Path, tmp_path: Path) -> None:
    """However long the shorter file is read again."""
    for name, count in zip(("train.pl", "train.ci"), counts, strict=True):
        lines = (files / name).read_text("utf-8").splitlines()[:count]
        (tmp_path / name).write_text("\n".join([*lines, "", lines[0]]), "utf-8")
    data_set = open_data(asked(tmp_path))
    train, held = data_set.train, data_set.held
    assert data_set.by_chance and "of each language" in data_set.reasons["split"]
    assert train.captions is not None and held.captions is not None and train.y is not None and held.y is not None
    assert len(train) > 0.8 * max(counts) and 2 <= len(held) <= 0.2 * min(counts)
    for known, kept in ((train.captions, held.captions), (map(tuple, train.y.tolist()), map(tuple, held.y.tolist()))):
        kept = list(kept)
        assert len(set(kept)) == len(kept) and not set(kept) & set(known)
    # What is read again is no copy, and lines that were never pairs are not called so.
    card = data_set.card
    assert card["duplicates"] <= 1 and "pairs" not in card
    assert counts[0] == counts[1] or any("read again" in note for note in card["notes"])
    card = open_data(replace(asked(tmp_path), limit=150)).card
    assert card["num_train"] <= 150 and card["duplicates"] <= 1 and "pairs" not in card
    none = open_data(replace(asked(tmp_path), holdout=0.0))
    assert not none.by_chance and not len(none.held) and len(none.train) >= max(counts)
    few = tmp_path / "few"  # chance may hold back every line of so few
    few.mkdir()
    for k in range(40):
        (few / f"{k}.pl").write_text(f"a {k}\nb {k}\n", "utf-8")
        (few / f"{k}.ci").write_text(f"c {k}\nd {k}\n", "utf-8")
    assert sum(read_corpus(replace(asked(few), holdout=0.5)).held or []) >= 20
    for line, wrong in (("\ufffd", "no sentence that can be read"), ("the same", "over and over")):
        (few / "0.ci").write_text(f"{line}\n" * 300, "utf-8")
        for k in range(1, 40):
            (few / f"{k}.ci").write_text(f"{line}\n", "utf-8")
        with pytest.raises(InputError, match=wrong):
            open_data(asked(few))


def test_files_of_a_language_are_one_corpus(files: Path, tmp_path: Path) -> None:
    """What one of them repeats of another stands on one side of the split."""
    for name in ("pl", "ci"):
        lines = (files / f"train.{name}").read_text("utf-8").splitlines(keepends=True)
        (tmp_path / f"a.{name}").write_text("".join(lines[:400]), "utf-8")
        (tmp_path / f"b.{name}").write_text("".join(lines[:9]), "utf-8")  # so few that their own split would be another one
    corpus = read_corpus(asked(tmp_path))
    assert corpus.held is not None and corpus.sources is not None
    for column in (corpus.texts, corpus.sources):
        held = {text for text, back in zip(column, corpus.held, strict=True) if back}
        assert held and not held & {text for text, back in zip(column, corpus.held, strict=True) if not back}


def test_only_pairs_are_called_misaligned(files: Path, tmp_path: Path) -> None:
    for name in ("pl", "ci"):
        (tmp_path / f"train.{name}").write_text((files / f"train.{name}").read_text("utf-8"), "utf-8")
    lines = (files / "test.pl").read_text("utf-8").splitlines()
    (tmp_path / "test.pl").write_text("".join(f"{line}\n" for line in lines[:50]), "utf-8")
    (tmp_path / "test.ci").write_text("".join("short\n" if k % 5 == 0 else f"{line}\n" for k, line in enumerate(lines[:50])), "utf-8")
    card = open_data(asked(tmp_path)).card
    assert card["pairs"]["count"] == 50 and 5 <= card["pairs"]["odd_lengths"] <= 10
    assert any("of 50 pairs have lengths" in warning for warning in text_warnings(card))
    headlines = open_data(Data(path="headlines", unpaired=True)).card
    assert headlines["pairs"]["count"] == headlines["num_held"]


def test_beside_bleu_stands_what_the_dictionary_alone_is_worth(files: Path, tmp_path: Path) -> None:
    data_set = open_data(asked(files), cache=tmp_path)
    bleu = CorpusBLEU(Setting(data_set, None, 0, tmp_path, translate=lambda y: ["ono"] * len(y)), 10_000)  # type: ignore[arg-type]
    assert bleu.compute()["corpus_bleu"] < 1
    of = {how: bleu.detail()[f"corpus_bleu of {how}"] for how in ("word for word", "copying")}
    assert of["word for word"] > 20 and of["word for word"] > 4 * of["copying"], of
    assert bleu.remark("corpus_bleu") == f"copying has {figure(of['copying'])}, word for word has {figure(of['word for word'])}"


def test_why_a_language_has_pieces_of_words(tmp_path: Path) -> None:
    (tmp_path / "train.en").write_text("anna sees bert and goes home\nanna sees bert and goes away\n" * 150, "utf-8")
    (tmp_path / "train.de").write_text("".join(f"anna sieht bert {k}er{k * k}\n" for k in range(300)), "utf-8")
    reasons = open_data(replace(asked(tmp_path), source="en", target="de", tokenizer="auto")).reasons
    assert reasons["target tokenizer"].startswith("bpe") and "pieces of words are learned better" in reasons["target tokenizer"]
    assert reasons["source tokenizer"].startswith("bpe") and "written alike" in reasons["source tokenizer"]


def test_round_trip_by_hand(files: Path, tmp_path: Path) -> None:
    import sacrebleu

    data_set = open_data(asked(files), cache=tmp_path)
    space = data_set.space
    assert isinstance(space, Tokens) and space.source is not None
    near, far = space.source, space
    assert data_set.held.y is not None
    words = near.decode(data_set.held.y), far.decode(data_set.held.x)

    def told(here: Tokens, rows: torch.Tensor, texts: list[str], answers: list[str]) -> Any:
        """Says the answer to each of these sentences, as they stand or as their text is read, and nothing to others."""
        known = {tuple(row): a for kind in (rows, here.whole(texts)[0]) for row, a in zip(kind.tolist(), answers, strict=True)}
        return lambda x: [known.get(tuple(row), "") for row in x.tolist()]

    there = told(near, data_set.held.y, words[0], words[1])
    back = told(far, data_set.held.x, words[1], words[0])

    def score(there: Any, back: Any) -> RoundTrip:
        setting = Setting(data_set, None, 0, tmp_path, translate=there, back=back)  # type: ignore[arg-type]
        return RoundTrip(setting, 10_000)

    perfect = score(there, back)
    best = perfect.compute()["round_trip"]
    assert 80 < best < 100 and perfect.detail()["left as they are, from sources"] < 0.5  # unknown words match nothing
    for added in ("", " well"):  # what is left as it is, or nearly, does not come back
        same = score(lambda y: [text + added for text in near.decode(y)], lambda x: [text + added for text in far.decode(x)])  # noqa: B023
        assert same.compute()["round_trip"] < 2 and same.detail()["left as they are, from targets"] > 0.8
    unknown = score(lambda y: ["<unk> <unk> <unk> ." for _ in y], lambda x: ["<unk> <unk> <unk> <unk> ." for _ in x])
    assert unknown.compute()["round_trip"] < 1
    gone = [text.rsplit(" ", 3)[0] for text in words[0]]
    half = score(there, told(far, data_set.held.x, words[1], gone))
    found, detail = half.compute()["round_trip"], half.detail()
    asked_for = half.index[::2].tolist()
    assert not set(asked_for) & set(half.index[1::2].tolist()) and len(half.index) == 60  # no sentence beside its own translation
    expected = sacrebleu.corpus_bleu([gone[k].replace("<unk>", "") for k in asked_for], [[words[0][k] for k in asked_for]]).score
    assert detail["BLEU from sources"] == pytest.approx(expected, abs=0.5)  # but for what reads alike in both
    assert found == pytest.approx((detail["BLEU from sources"] + detail["BLEU from targets"]) / 2)
    low, high = half.intervals()["round_trip"]
    assert low < found < high and "30 sentences of each language" in half.settings()
    for lacking in ({"back": None}, {"translate": None}):
        with pytest.raises(InputError, match="both ways"):
            RoundTrip(replace(half.setting, **lacking), 10_000)


def test_nothing_alike_is_nothing_found() -> None:
    sentences = torch.randint(3, 20, (200, 8))
    assert (
        dictionary.learn((sentences, sentences), ([f"a{chr(97 + k)}" for k in range(20)], [f"b{chr(97 + k)}" for k in range(20)])) is None
    )
