"""Scores of text by `agon eval`'s frame: each equals its definition, orders the faults it claims to see, and refuses what it cannot read."""

from __future__ import annotations

import math
import os
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from torch import Tensor

from agon.data import Data, DataSet, open_data
from agon.data.spoken import language_of, unpacked
from agon.errors import InputError
from agon.languages.grammar import Arithmetic
from agon.metrics import Score, evaluate, make_extractor, ngrams, reduce, registry
from agon.metrics.contract import Features
from agon.metrics.features import open_pixels
from agon.metrics.kneser_ney import log_probabilities, nats_a_token, ratio_interval
from agon.metrics.protocols import human_row, protocol_of
from agon.metrics.registry import may_choose_best
from agon.metrics.sentences import kind_of, real_words, words_of
from agon.metrics.setting import Setting
from agon.report.faults import FAULTS
from agon.spaces.tokens import END, UNKNOWN

FAMILIES = ["bleu", "self_bleu", "variety", "novelty", "nearest_sentence", "lm", "reverse_lm"]
REAL = Path(os.environ.get("AGON_DATA", "")) / "text_coco"
NEWS = Path(os.environ.get("AGON_DATA", "")) / "text_emnlp"
EMNLP = [0.796, 0.523, 0.301, 0.171], [0.796, 0.523, 0.302, 0.171]


def of(x: Tensor) -> Any:
    """A sampler that gives these sentences in their order."""
    place = 0

    def sampler(n: int) -> Tensor:
        nonlocal place
        place += n
        return x[place - n : place]

    return sampler


def figures(x: Tensor, data_set: DataSet, asked: list[str], cache: Path, **more: Any) -> dict[str, Score]:
    looks = registry.look_at_features(asked)
    extractor = make_extractor("auto", data_set, cache=cache) if looks else open_pixels(data_set.space)
    return {s.name: s for s in evaluate(of(x), data_set, asked, extractor=extractor, num_samples=len(x), cache=cache, **more)}


@pytest.fixture(scope="module")
def tale(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """400 sentences of a small world, a third of them unlike any other's words."""
    rng = np.random.default_rng(0)
    words = {
        "who": ["a cat", "the old dog", "my sister", "no one"],
        "does": ["sees", "eats", "wants"],
        "what": ["fish", "the moon", "soup", "a red hat"],
    }
    lines = [f"{rng.choice(words['who'])} {rng.choice(words['does'])} {rng.choice(words['what'])} {k % 7} ." for k in range(400)]
    path = tmp_path_factory.mktemp("tale") / "tale.txt"
    path.write_text("\n".join(lines), "utf-8")
    return open_data(Data(path=str(path), tokenizer="word", holdout=0.3))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scores")


# -- each is what it says -------------------------------------------------------------------------------------------------------------------


def test_bleu_and_self_bleu_are_nltks(tale: DataSet, cache: Path) -> None:
    x = tale.train.x[:60]
    found = figures(x, tale, ["bleu", "self_bleu"], cache)
    smooth, weights = SmoothingFunction(epsilon=0.1).method1, [(1 / n,) * n for n in ngrams.ORDERS]
    samples, references = tale.space.pieces(x), [text.split() for text in tale.held.captions or []]
    theirs = np.mean([sentence_bleu(references, s, weights, smooth) for s in samples], 0)
    alike = np.mean([sentence_bleu(samples[:k] + samples[k + 1 :], s, weights, smooth) for k, s in enumerate(samples)], 0)
    for place, n in enumerate(ngrams.ORDERS):
        assert found[f"bleu{n}"].value == pytest.approx(theirs[place], abs=1e-12)
        assert found[f"self_bleu{n}"].value == pytest.approx(alike[place], abs=1e-12)
    assert found["bleu4"].protocol.reference == "held-out"
    assert "words, method 1" in found["bleu4"].protocol.settings


def test_the_floor_of_bleu_is_training_sentences_and_never_a_reference_itself(tale: DataSet, cache: Path) -> None:
    n = len(tale.held)
    floor = figures(tale.train.x[:n], tale, ["bleu4"], cache)["bleu4"].floor
    human = ngrams.bleu(real_words(tale.space, tale.train, n), real_words(tale.space, tale.held), (4,))[4]
    assert floor is not None
    assert floor == pytest.approx(human, abs=0.05)
    assert floor < 1


def test_words_of_real_text_are_known_and_byte_pairs_are_spelt(tale: DataSet, tmp_path: Path) -> None:
    path = tmp_path / "odd.txt"
    path.write_text("\n".join([f"we saw thing{k} in town {k % 5}" for k in range(120)]), "utf-8")
    small = open_data(Data(path=str(path), tokenizer="word", vocabulary=12))
    assert UNKNOWN in small.held.x
    assert not any("<unk>" in sentence for sentence in real_words(small.space, small.held))
    assert any("<unk>" in sentence for sentence in words_of(small.space, small.held.x))
    pieces = open_data(Data(path=str(path), tokenizer="bpe", vocabulary=270))
    assert (kind_of(small.space), kind_of(pieces.space)) == ("words", "words of the text")
    assert words_of(pieces.space, pieces.train.x[:3]) == real_words(pieces.space, pieces.train, len(pieces.train))[:3]
    signs = open_data(Data(path=str(path), tokenizer="character"))
    assert kind_of(signs.space) == "characters"
    assert words_of(signs.space, signs.held.x) == real_words(signs.space, signs.held)


def brute(training: list[list[int]], sentence: list[int], vocabulary: int, order: int) -> list[float]:
    """Interpolated Kneser–Ney, a token at a time, from the definition."""

    def grams(k: int) -> list[tuple[int, ...]]:
        rows = [[0] * order + row for row in training]
        return [tuple(row[t - k + 1 : t + 1]) for row in rows for t in range(order, len(row))]

    counts: dict[int, Counter[tuple[int, ...]]] = {order: Counter(grams(order))}
    for k in range(1, order):
        counts[k] = Counter(longer[1:] for longer in set(grams(k + 1)))

    def chance(word: int, before: tuple[int, ...]) -> float:
        k = len(before) + 1
        lower = chance(word, before[1:]) if before else 1 / (vocabulary - 1)
        here = {g[-1]: c for g, c in counts[k].items() if g[:-1] == before}
        if not here:
            return lower
        values = list(counts[k].values())
        ones, twos = values.count(1), values.count(2)
        discount = ones / (ones + 2 * twos) if ones else 0.1
        total = sum(here.values())
        return max(here.get(word, 0) - discount, 0) / total + discount * len(here) / total * lower

    row = [0] * order + sentence
    return [chance(row[t], tuple(row[t - order + 1 : t])) for t in range(order, len(row))]


def test_kneser_ney_is_its_definition_and_sums_to_one() -> None:
    rng = np.random.default_rng(1)
    training = [[*rng.integers(2, 7, rng.integers(1, 6)).tolist(), 1] for _ in range(40)]
    sentences = [[2, 3, 2, 3, 1], [6, 6, 6, 1], [1], [5, 2, 4, 4, 3, 1]]

    def table(rows: list[list[int]]) -> np.ndarray:
        return np.array([row + [0] * (7 - len(row)) for row in rows])

    for order in (1, 2, 3, 4):
        found = np.exp(log_probabilities(table(training), table(sentences), 7, order))
        for row, sentence in zip(found, sentences, strict=True):
            np.testing.assert_allclose(row[: len(sentence)], brute(training, sentence, 7, order), atol=1e-12)
    every = table([[2, 3, word] for word in range(1, 7)])
    assert np.exp(log_probabilities(table(training), every, 7, 3))[:, 2].sum() == pytest.approx(1, abs=1e-12)


def test_a_ratio_has_the_interval_of_its_spread() -> None:
    rng = np.random.default_rng(0)
    ratios = []
    for _ in range(300):
        tokens = rng.integers(5, 20, 200).astype(float)
        sums = np.stack([tokens * 2 + rng.normal(0, 3, 200), tokens], 1)
        ratios.append((float(sums[:, 0].sum() / sums[:, 1].sum()), ratio_interval(sums, 1.0)))
    width = np.mean([high - low for _, (low, high) in ratios]) / 2
    assert width == pytest.approx(np.std([value for value, _ in ratios]), rel=0.15)


def test_variety_and_novelty_by_hand(tale: DataSet, cache: Path) -> None:
    one = tale.train.x[:1]
    same = figures(one.repeat(50, 1), tale, ["variety", "novelty", "nearest_sentence"], cache)
    words = len(tale.space.pieces(one)[0])
    assert same["unique"].value == pytest.approx(1 / 50)
    assert same["distinct1"].value == pytest.approx(1 / 50)
    assert same["unigram_entropy"].value == pytest.approx(math.log(words))
    assert (same["novel4"].value, same["novel_sentences"].value, same["nearest_sentence"].value) == (0, 0, 0)
    held = figures(tale.held.x, tale, ["novelty"], cache)
    assert held["novel_sentences"].value == pytest.approx(held["novel_sentences"].floor or -1)


def test_ranks_add_up(tale: DataSet, cache: Path) -> None:
    x = tale.held.x[:80]
    setting = Setting(tale, make_extractor("auto", tale, cache=cache), 0, cache)
    for name in FAMILIES:
        build = registry.families()[name].build
        whole, empty = build(setting, 80), build(setting, 80)
        whole.update(Features(torch.zeros(80, 0), samples=x))
        parts = []
        for rank in (0, 1):
            metric: Any = build(setting, 80)
            metric.rows._next, metric.rows._stride = rank, 2
            metric.update(Features(torch.zeros(40, 0), samples=x[rank::2]))
            parts.append(metric.state())
        empty.load(reduce(parts))
        assert empty.compute() == pytest.approx(whole.compute()), name


# -- likelihood and known languages -------------------------------------------------------------------------------------------------------


def uniform(vocabulary: int) -> Any:
    return lambda x, y: torch.where(x != 0, -math.log(vocabulary), 0.0).double()


def test_nll_counts_ends_and_no_padding(tale: DataSet, cache: Path) -> None:
    found = figures(tale.train.x[:40], tale, ["nll"], cache, likelihood=uniform(11))
    assert found["nll_test"].value == pytest.approx(math.log(11))
    assert found["perplexity"].value == pytest.approx(11)
    assert found["generator_entropy"].value == pytest.approx(math.log(11))
    assert found["nll_test"].floor is None
    with pytest.raises(InputError, match="needs the generator's own likelihood"):
        figures(tale.train.x[:40], tale, ["nll"], cache)


def test_a_perfect_model_is_at_no_distance_and_a_collapsed_one_is(cache: Path) -> None:
    data_set = open_data(Data(path="arithmetic", limit=600))
    grammar = language_of("arithmetic")
    assert isinstance(grammar, Arithmetic)

    def perfect(x: Tensor, y: Tensor | None) -> Tensor:
        whole = grammar.log_likelihood(*unpacked(x, data_set.space))
        return torch.where(torch.arange(x.shape[1]) == 0, whole[:, None], 0.0)

    asked = ["oracle", "valid"]
    best = figures(data_set.train.x, data_set, asked, cache, likelihood=perfect)
    entropy = grammar.entropy / grammar.mean_length
    assert best["nll_oracle"].value == pytest.approx(entropy, rel=0.1)  # of 600 sentences
    assert best["nll_oracle"].floor == pytest.approx(entropy, rel=0.1)  # of 600 sentences
    assert [best[name].value for name in ("kl_model_oracle", "kl_oracle_model", "js_oracle")] == pytest.approx([0, 0, 0], abs=1e-9)
    assert best["valid"].value == 1
    one = data_set.train.x[data_set.train.x.ne(0).sum(1).argmin()]
    short = figures(one[None].repeat(600, 1), data_set, asked, cache, likelihood=lambda x, y: torch.where(x == one, 0.0, -4.0).double())
    assert short["nll_oracle"].value < best["nll_oracle"].value, "the one-sided figure is fooled"
    assert short["kl_oracle_model"].value > best["kl_oracle_model"].value + 1
    broken = data_set.train.x.clone()
    broken[:, 0] = UNKNOWN
    wrong = figures(broken, data_set, asked, cache, likelihood=perfect)
    assert wrong["valid"].value == 0
    assert wrong["nll_oracle"].value == math.inf


def test_the_lstm_oracle_knows_its_own_sentences(cache: Path) -> None:
    data_set = open_data(Data(path="oracle", limit=60))
    found = figures(data_set.train.x, data_set, ["oracle"], cache)
    assert found["nll_oracle"].value == pytest.approx(6.0, abs=0.3)
    assert math.isnan(found["kl_model_oracle"].value), "without a likelihood"
    assert found["kl_model_oracle"].floor == pytest.approx(0, abs=1e-9)
    with pytest.raises(InputError, match="has none that is known"):
        figures(data_set.train.x, data_set, ["valid"], cache)


# -- the encoder ------------------------------------------------------------------------------------------------------------------------------


def damaged(fault: str, x: Tensor, train: Tensor, names: list[str]) -> list[Tensor]:
    """Rungs of a fault, the first without it."""
    rng = np.random.default_rng(0)

    def each(change: Any) -> Tensor:
        rows = [[*change([w for w in row if w > END]), END] for row in x.tolist()]
        return torch.tensor([row + [0] * (x.shape[1] - len(row)) for row in rows], dtype=torch.int32)

    if fault == "words dropped":
        return [x, *(each(lambda s, p=p: [w for w in s if rng.random() >= p]) for p in (0.05, 0.2, 0.5))]
    if fault == "shuffled":
        return [x, *(each(lambda s, p=p: rng.permutation(s).tolist() if rng.random() < p else s) for p in (0.1, 0.4, 1.0))]
    if fault == "duplicates":
        return [x, *(x[torch.arange(len(x)) % (len(x) // times)] for times in (3, 10, 40))]
    if fault == "safest only":
        learnt = [[w for w in row if w > END] for row in train.tolist()]
        bleu = ngrams.bleu_each([[w for w in row if w > END] for row in x.tolist()], learnt, (4,))[:, 0]
        best = torch.from_numpy(np.argsort(-bleu, kind="stable"))
        return [x, *(x[best[torch.arange(len(x)) % few]] for few in (len(x) // 8, len(x) // 40, len(x) // 160))]
    if fault == "missing subject":
        rungs, kept = [x], x
        for word in ("class", "object", "file"):
            kept = kept[~torch.isin(kept, torch.tensor([k for k, name in enumerate(names) if word in name.lower()])).any(1)]
            rungs.append(kept[torch.arange(len(x)) % len(kept)])
        return rungs
    assert fault == "copies"
    known = train[torch.linspace(0, len(train) - 1, len(x)).long()]
    return [x, *(torch.where(torch.arange(len(x))[:, None] < share * len(x), known, x) for share in (0.1, 0.4, 1.0))]


@pytest.fixture(scope="module")
def documents() -> DataSet:
    """The embedded sentences, by words."""
    return open_data(Data(path="sentences", tokenizer="word", limit=2_500, holdout=0.4))


@pytest.mark.parametrize("fault", ["words dropped", "shuffled", "duplicates", "missing subject"])
def test_the_encoder_orders_damage(fault: str, documents: DataSet, cache: Path) -> None:
    names = documents.space.pieces(torch.arange(documents.space.vocabulary)[:, None])
    rungs = damaged(fault, documents.held.x, documents.train.x, ["".join(name) for name in names])
    found = [figures(x, documents, ["fd"], cache)["fd"] for x in rungs]
    fds = [f.value for f in found]
    assert fds[0] == pytest.approx(found[0].floor or 0, rel=1e-6)
    assert all(low < high for low, high in pairwise(fds)), fds
    assert fds[-1] > (1.15 if fault == "missing subject" else 2) * fds[0], "the words taken away are in a fifth of the sentences"


@pytest.mark.skipif(not REAL.is_dir(), reason="needs AGON_DATA/text_coco")
@pytest.mark.parametrize("fault", FAULTS["text"])
def test_each_score_sees_what_the_table_says(fault: str, captions: tuple[DataSet, Tensor], cache: Path) -> None:
    data_set, x = captions
    found = [figures(rung, data_set, [*FAMILIES, "fd", "c2st"], cache) for rung in damaged(fault, x, data_set.train.x, [])]
    for name, claims in registry.sights("text").items():
        claim = claims[FAULTS["text"].index(fault)]
        sign = 1 if found[0][name].higher_is_better else -1
        merit = [sign * rung[name].value for rung in found]
        if claim == "s":
            assert all(better >= worse for better, worse in pairwise(merit)), (name, merit)
            assert merit[1] < merit[0], (name, merit)
        elif claim == "g":
            assert merit[-1] < merit[0], (name, merit)
        else:
            # The last rung has a few dozen different sentences, so a mean over them is uncertain by about a tenth.
            assert merit[-1] > merit[0] - 0.2 * abs(merit[0]), (name, merit)


@pytest.fixture(scope="module")
def captions() -> tuple[DataSet, Tensor]:
    """Captions cut in three by chance: 3,000 training text, 1,200 references, and 1,200 that stand for a perfect generator. No word is unknown."""
    coco = open_data(Data(path=str(REAL)))
    texts, order = coco.train.captions or [], torch.randperm(len(coco.train), generator=torch.Generator().manual_seed(0))

    def some(rows: Tensor) -> Any:
        return replace(coco.train, x=coco.train.x[rows], captions=[texts[k] for k in rows.tolist()], index=None)

    train, held = some(order[:3_000]), some(order[3_000:4_200])
    return replace(coco, train=train, held=held, content_hash=coco.content_hash + "cut"), coco.train.x[order[4_200:5_400]]


def test_the_encoder_is_counted_once_and_always_alike(tale: DataSet, tmp_path: Path) -> None:
    said: list[str] = []
    first = make_extractor("auto", tale, cache=tmp_path, say=lambda name, text: said.append(name))
    again = make_extractor("sentences", tale, cache=tmp_path, say=lambda name, text: said.append(name))
    fresh = make_extractor("sentences", tale, cache=tmp_path / "other")
    assert said == ["encoder"]
    assert first.hash == again.hash == fresh.hash
    x = tale.held.x[:50]
    assert torch.equal(first(x).features, again(x).features)
    torch.testing.assert_close(first(x).features, fresh(x).features)
    assert first(x).features.isfinite().all()
    padded = torch.nn.functional.pad(x, (0, 3))
    torch.testing.assert_close(first(padded).features, first(x).features)


# -- what is refused ----------------------------------------------------------------------------------------------------------------------------


def test_what_is_no_text_is_refused(tale: DataSet, cache: Path) -> None:
    points = open_data(Data(path="ring"))
    for name in (*FAMILIES, "nll", "oracle", "valid"):
        with pytest.raises(InputError, match="reads sentences, and the data are"):
            registry.families()[name].build(Setting(points, open_pixels(points.space), 0, cache, likelihood=uniform(3)), 20)
    with pytest.raises(InputError, match="is not for text"):
        make_extractor("pixels", tale)
    with pytest.raises(InputError, match="looks at sentences"):
        make_extractor("sentences", open_data(Data(path="digits")))
    for name in ("bleu", "reverse_lm", "nll"):
        nothing = replace(tale, held=replace(tale.held, x=tale.held.x[:0], captions=[]))
        with pytest.raises(InputError, match="none are held back"):
            registry.families()[name].build(Setting(nothing, open_pixels(tale.space), 0, cache, likelihood=uniform(3)), 20)


@pytest.mark.parametrize("first", ["bleu4", "self_bleu2", "unique", "lm", "valid", "nll_oracle", "kl_model_oracle", "novelty"])
def test_no_best_by_a_one_sided_figure(first: str) -> None:
    with pytest.raises(InputError, match="the first chooses the best state"):
        may_choose_best([first, "fd"])
    may_choose_best(["fd", first])


# -- real captions ---------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not REAL.is_dir(), reason="needs AGON_DATA/text_coco")
def test_the_human_row_of_coco(cache: Path) -> None:
    """The published row is of captions that end in a full stop; ours of captions as they are is what docs/text-metrics.md prints."""
    coco = open_data(Data(path=str(REAL)))
    train, held = (real_words(coco.space, part) for part in (coco.train, coco.held))
    assert (len(train), len(held)) == (10_000, 10_000)
    row = human_row(protocol_of("texygen-coco"), coco)
    assert [row[f"bleu{n}"] for n in ngrams.ORDERS] == pytest.approx([0.743, 0.526, 0.343, 0.222], abs=0.003)
    assert [row[f"self_bleu{n}"] for n in ngrams.ORDERS] == pytest.approx([0.894, 0.751, 0.580, 0.422], abs=0.003)
    named = figures(coco.train.x, coco, ["bleu", "self_bleu"], cache, protocol=protocol_of("texygen-coco"))
    assert {name: score.value for name, score in named.items()} == pytest.approx({k: v for k, v in row.items() if k in named}, abs=1e-9)
    assert all("N=10000" in str(s.protocol) and "texygen-coco, a full stop to each" in str(s.protocol) for s in named.values())
    found = figures(coco.train.x, coco, ["bleu", "self_bleu"], cache)
    assert [found[f"bleu{n}"].value for n in ngrams.ORDERS] == pytest.approx([0.740, 0.520, 0.337, 0.218], abs=0.0006)
    assert [found[f"self_bleu{n}"].value for n in ngrams.ORDERS] == pytest.approx([0.892, 0.747, 0.574, 0.416], abs=0.0007)
    assert all(found[name].value == pytest.approx(found[name].floor or 0, abs=1e-12) for name in found)


@pytest.mark.skipif(not NEWS.is_dir(), reason="needs AGON_DATA/text_emnlp")
def test_the_human_row_of_half_of_emnlp() -> None:
    """Only the test file is at hand, so the split is our own, and the name says so; docs/text-metrics.md prints the row."""
    news = open_data(Data(path=str(NEWS), holdout=0.5))
    row = human_row(protocol_of("texygen-emnlp-half"), news)
    assert [row[f"bleu{n}"] for n in ngrams.ORDERS] == pytest.approx(EMNLP[0], abs=0.0006)
    assert [row[f"self_bleu{n}"] for n in ngrams.ORDERS] == pytest.approx(EMNLP[1], abs=0.0006)
    with pytest.raises(InputError, match=r"are held out; expected exactly 10,000: .* --protocol texygen-emnlp-half"):
        protocol_of("texygen-emnlp").check(news)


def test_data_that_do_not_fit_a_protocol_are_refused(tmp_path: Path, tale: DataSet) -> None:
    with pytest.raises(InputError, match="no protocol 'texygen-coc'; there are texygen-coco, .* Did you mean 'texygen-coco'"):
        protocol_of("texygen-coc")
    coco, half = protocol_of("texygen-coco"), replace(protocol_of("texygen-emnlp-half"), samples=100, references=90)
    with pytest.raises(
        InputError, match="compares 10,000 samples with 10,000 held-out sentences, and .* of 400 are held out; expected exactly 10,000"
    ):
        coco.check(tale)
    with pytest.raises(InputError, match="and the data are points"):
        coco.check(open_data(Data(path="ring")))
    with pytest.raises(InputError, match="with their capitals, and these have none; train without --lower"):
        half.check(tale)
    replace(half, small=True).check(tale)
    with pytest.raises(InputError, match="at least 390 training sentences, and these data have 2"):
        replace(half, samples=390).check(tale)
    path = tmp_path / "names.txt"
    path.write_text("\n".join(f"Anna{k}" for k in range(300)), "utf-8")
    with pytest.raises(InputError, match="cut into characters; train with --tokenizer word"):
        half.check(open_data(Data(path=str(path), tokenizer="character", holdout=0.5)))
    with pytest.raises(InputError, match="have capitals; train with --lower true"):
        replace(half, small=True).check(open_data(Data(path=str(path), tokenizer="word", holdout=0.5)))


def test_nats_a_token_of_nothing() -> None:
    value, sums = nats_a_token(np.array([[2, 1]]), np.zeros((0, 2), np.int64), 4)
    assert math.isnan(value)
    assert sums.shape == (0, 2)
