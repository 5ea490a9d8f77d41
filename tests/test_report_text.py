"""The page of a text run: its sentences tick by tick, each beside its nearest training sentence, and the temperature curve."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from agon.data.samples import DataSet, Samples
from agon.nearby import Nearby
from agon.records import append_jsonl, read_jsonl
from agon.report import write_report
from agon.report.gap import beside_likelihood, gap_panels
from agon.spaces import Tokens
from chromium import CHROMIUM, WANTED, Browser
from recorded_run import make_run

ATTACK = (
    "</script><script>document.documentElement.dataset.pwned=1</script><img src=x onerror='document.documentElement.dataset.pwned=2'> ok"
)
TRAINED = "the man rides a red bicycle down the street"


def text_run(path: Path, *, attack: bool = False) -> Path:
    """A run directory of sentences at three ticks, made from that of a recorded run."""
    run = make_run(path, rounds=1200, pictures=0)
    content = json.loads((run / "run.json").read_text())
    content |= {"recipe": "likelihood", "space": {"kind": "tokens", "length": 17, "vocabulary": 400, "ends": True, "tokenizer": "{}"}}
    (run / "run.json").write_text(json.dumps(content))
    samples = run / "samples"
    ours = [
        TRAINED,
        "a man rides a red horse down the hill",
        "a man rides a red horse down the hill",
        ATTACK if attack else "nothing <b>bold</b> here",
    ]
    for round in (0, 600, 1200):
        (samples / f"{round:08d}.txt").write_text("".join(f"{line}\n" for line in [f"round {round} says this", *ours]), "utf-8")
        near = [[0.75, "it says something"], [0.0, TRAINED], [0.3333, TRAINED], [0.3333, TRAINED], [1.0, ATTACK if attack else "other"]]
        append_jsonl(samples / "near.jsonl", {"round": round, "near": near})
    append_jsonl(samples / "near.jsonl", {"held": [["a dog on a beach", 0.5, "a dog on a hill"]], "among": 500, "of": 1000})
    (samples / "real.txt").write_text("a real sentence\n", "utf-8")
    points = [
        {"name": "x", "temperature": t, "bleu": {"4": 0.3 + 0.2 * (1 - t)}, "self_bleu": {"4": 0.4 + 0.5 * (1 - t)}}
        for t in (0.8, 1.0, 0.9)
    ]
    points.append({"name": "human", "temperature": None, "bleu": {"4": 0.34}, "self_bleu": {"4": 0.36}})
    curve = {
        "protocol": ATTACK if attack else "N=1000",
        "points": points,
        "likelihood": "runs/like",
        "round": 1200,
        "gap": {"value": 0.03, "low": 0.01, "high": 0.05},
        "run": {"name": "seqgan", "temperature": 1.0, "bleu": {"4": 0.28}, "self_bleu": {"4": 0.41}},
    }
    (run / "curve.json").write_text(json.dumps(curve))
    return run


def test_sentences_stand_beside_their_nearest(tmp_path: Path) -> None:
    page = write_report(text_run(tmp_path / "run")).read_text("utf-8")
    body = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    for text in (
        "round 0 says this", "round 600 says this", "round 1200 says this", ">copy</b>", ">same as 3</b>", "67%", "5 sentences, 4 different",
        "<mark>man rides a red</mark>", "1 copy (held-out sentences: 50% of tokens in place, 0 copies)", "<mark>a dog on a</mark> beach",
        "among 500 of 1,000 training sentences", "nothing &lt;b&gt;bold&lt;/b&gt; here", "sentences of up to 17 tokens out of 400",
        "Quality against diversity", "+0.030 [+0.010, +0.050] BLEU beside likelihood",
    ):  # fmt: skip
        assert text in body, text
    assert "(agon curve beside runs/like, round 1,200)" in body
    assert "Contact sheet" not in body


def test_without_the_nearest_it_says_so(tmp_path: Path) -> None:
    run = text_run(tmp_path / "run")
    (run / "samples" / "near.jsonl").unlink()
    (run / "curve.json").write_text("[torn")
    body = write_report(run).read_text("utf-8")
    assert "cannot be found without its data" in body
    assert "a real sentence" in body
    assert 'data-plane="gap"' not in body


@pytest.mark.parametrize(
    "curve",
    [
        '{"known": {"points": [{"figures": {"nll_oracle": []}}, 3], "verdict": 1}}',
        '{"points": [{"bleu": {"4": "x"}}]}',
        '{"points": 3, "run": []}',
        "[]",
        '{"points": [{"bleu": {"4": 1e999}, "self_bleu": {"4": 0}}]}',
    ],
)
def test_a_curve_of_nonsense_is_left_out(tmp_path: Path, curve: str) -> None:
    run = text_run(tmp_path / "run")
    (run / "curve.json").write_text(curve)
    assert 'data-plane="gap"' not in write_report(run).read_text("utf-8")


def known(temperature: float | None, nll: float | str, kl: float | str, valid: float | None = None) -> dict[str, Any]:
    return {"temperature": temperature, "figures": {"nll_oracle": [nll, 0.01], "kl_oracle_model": [kl, 0.01]}, "valid": valid}


def test_a_language_of_known_probability_has_a_second_curve(tmp_path: Path) -> None:
    curve = {
        "likelihood": "runs/like",
        "known": {
            "points": [known(1.0, 7.0, 1.5), known(0.8, 6.5, "inf"), known(0.9, 6.8, 1.8)], "run": known(None, 6.9, 1.7),
            "gap": {"value": 0.07, "low": 0.05, "high": 0.09}, "verdict": {"word": "worse on both", "why": "why it is"},
        },
    }  # fmt: skip
    (tmp_path / "curve.json").write_text(json.dumps(curve))
    (panel,) = gap_panels(tmp_path)
    assert panel["x"] == "NLL-oracle, nats a token"
    assert "+0.070 [+0.050, +0.090] KL(P‖G) beside likelihood. worse on both: why it is" in panel["note"]
    assert [(one["name"], one["points"]) for one in panel["series"]] == [
        ("this run", [[6.9, 1.7, ""]]), ("likelihood", [[6.8, 1.8, "0.9"], [7.0, 1.5, "1"]]),
    ]  # fmt: skip
    curve["known"] = {"points": [known(1.0, 7.0, 1.5, 0.75)]}
    (tmp_path / "curve.json").write_text(json.dumps(curve))
    (panel,) = gap_panels(tmp_path)
    assert panel["x"] == "share of ungrammatical sentences"
    assert panel["series"] == [{"name": "likelihood", "color": 0, "points": [[0.25, 1.5, "1"]]}]


def test_a_run_is_told_how_to_stand_beside_likelihood(tmp_path: Path) -> None:
    run = text_run(tmp_path / "run")
    content = json.loads((run / "run.json").read_text())
    (run / "curve.json").unlink()
    want = f"not compared with likelihood yet: agon curve {run} --likelihood LIKELIHOOD_RUN"
    assert want in write_report(run).read_text("utf-8")
    assert beside_likelihood(run, content) == want
    (run / "curve.json").write_text(json.dumps({"points": [], "gap": {"value": None, "why": "self-BLEU-4 0.9 lies outside the curve"}}))
    assert beside_likelihood(run, content) == "self-BLEU-4 0.9 lies outside the curve. (agon curve beside another run)"
    (run / "curve.json").write_text(json.dumps({"points": [{}]}))  # a curve of its own is no comparison
    assert beside_likelihood(run, content) == want
    plain = {**content, "game": {"name": "likelihood"}}
    assert beside_likelihood(run, plain) is None
    (run / "curve.json").unlink()
    assert beside_likelihood(run, plain) == f"no temperature curve yet: agon curve {run}"
    assert beside_likelihood(run, {**content, "space": {"kind": "image"}}) is None
    assert beside_likelihood(run, {**content, "space": {**content["space"], "source": {"length": 5}}}) is None


def test_nearest_sentences_are_written_once_a_tick(tmp_path: Path) -> None:
    space = Tokens(length=6, vocabulary=12)
    train = torch.tensor([[3, 4, 5, 1, 0, 0], [6, 7, 8, 9, 1, 0], [3, 4, 1, 0, 0, 0]], dtype=torch.int32)
    held = torch.tensor([[6, 7, 8, 1, 0, 0]], dtype=torch.int32)
    data_set = DataSet(space, Samples(train), Samples(held), {}, {}, "")
    nearby = Nearby(data_set, space, tmp_path)
    nearby.write(0, torch.tensor([[3, 4, 5, 1, 0, 0], [9, 9, 9, 1, 0, 0]], dtype=torch.int32))
    nearby.write(100, train)
    rows = read_jsonl(tmp_path / "near.jsonl")
    assert rows[0] == {"held": [["3 4 5", 0.2, "3 4 5 6"]], "among": 3, "of": 3}
    assert rows[1]["near"][0] == [0.0, "0 1 2"]
    assert rows[1]["near"][1][0] > 0.5
    assert rows[2] == {"round": 100, "near": [[0.0, "0 1 2"], [0.0, "3 4 5 6"], [0.0, "0 1"]]}
    again = Nearby(data_set, space, tmp_path / "again")
    again.write(0, train)
    assert read_jsonl(tmp_path / "again" / "near.jsonl")[1]["near"] == rows[2]["near"]


# -- in a browser --------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip(WANTED)
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


def test_the_slider_goes_through_the_ticks(browser: Browser, tmp_path: Path) -> None:
    run = text_run(tmp_path / "run")
    write_report(run)
    browser.complaints.clear()
    for width, scheme in ((1280, "light"), (400, "dark")):
        browser.open(run / "report.html", width, prefers_color_scheme=scheme)
        assert browser.js("document.documentElement.dataset.ready") == "1"
        assert browser.js("document.documentElement.scrollWidth") <= width
    text, at = "document.querySelector('.reader .said').textContent", "document.querySelector('.reader .at').textContent"
    assert "round 1200 says this" in browser.js(text)
    browser.js(
        "document.querySelector('.reader input').value = 0; document.querySelector('.reader input').dispatchEvent(new Event('input'))"
    )
    assert "round 0 says this" in browser.js(text)
    assert browser.js(at).startswith("round 0")
    browser.js("document.querySelector('.reader .play').click()")
    until = time.monotonic() + 20
    while browser.js("document.querySelector('.reader .play').textContent") != "Play" and time.monotonic() < until:
        time.sleep(0.2)
    assert "round 1200 says this" in browser.js(text)
    assert browser.js("document.querySelectorAll('[data-plane] circle').length") == 3 + 1 + 1
    assert browser.js("document.querySelectorAll('[data-plane] path.line').length") == 1
    assert browser.complaints == []


def test_sentences_never_execute(browser: Browser, tmp_path: Path) -> None:
    run = text_run(tmp_path / "run", attack=True)
    browser.complaints.clear()
    browser.open(write_report(run))
    browser.js(
        "document.querySelector('.reader input').value = 1; document.querySelector('.reader input').dispatchEvent(new Event('input'))"
    )
    assert "<script>" in browser.js("document.querySelector('.reader .said').textContent")
    assert browser.js("document.documentElement.dataset.pwned") is None
    assert browser.js("document.scripts.length") == 2
    assert browser.js("document.querySelectorAll('img[onerror]').length") == 0
    assert browser.complaints == []
