"""Human evaluation: files read strictly, figures against closed forms, and a study made from a run."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agon.errors import InputError
from agon.study import Study, Trial, read_responses, read_study
from agon.study.analysis import bradley_terry, figures, krippendorff, wilson
from agon.study.format import ANSWERS, KINDS, Response, write_study

TRIALS = (Trial("t1", "real-or-fake", ("s1",)), Trial("t2", "preference", ("s1", "s2"), 500), Trial("t3", "rating", ("s2",)))
STUDY = Study("s", "?", TRIALS, {"s1": "stimuli/s1.png", "s2": "stimuli/s2.png"}, {"s1": "real", "s2": "a"})


def row(**changes: Any) -> dict[str, Any]:
    return {"participant": "p1", "trial": "t1", "answer": "fake", "ms": 900, **changes}


def write(path: Path, *rows: Any) -> Path:
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows) + "\n")
    return path


def test_files_come_back_as_they_were_and_truth_stays_apart(tmp_path: Path) -> None:
    write_study(tmp_path, STUDY)
    assert read_study(tmp_path) == Study("s", "?", TRIALS, STUDY.files, STUDY.truth)
    assert "real" not in (tmp_path / "study.json").read_text().replace("real-or-fake", "")
    found = read_responses(write(tmp_path / "r.jsonl", row(), "", row(trial="t3", answer=4, ms=None)), STUDY)
    assert found == [Response("p1", "t1", "fake", 900), Response("p1", "t3", 4, None)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trial": "t9"}, "line 2: trial is 't9', which the study has not"),
        ({"answer": "maybe"}, "the answer to a real-or-fake trial is 'maybe'; expected one of real, fake"),
        ({"trial": "t3", "answer": True}, "the answer to a rating trial is True"),
        ({"trial": "t3", "answer": 6}, "expected one of 1, 2, 3, 4, 5"),
        ({"ms": -1}, "ms is -1; expected milliseconds"),
        ({"participant": ""}, "participant is ''"),
        ({}, "answers trial 't1' twice"),
    ],
)
def test_answers_that_do_not_fit_are_named_by_line(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        read_responses(write(tmp_path / "r.jsonl", row(), row(**change)), STUDY)


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(st.text(max_size=60), st.dictionaries(st.sampled_from(["participant", "trial", "answer", "ms"]),
              st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4), st.sampled_from(["t1", "fake"])))),
)  # fmt: skip
def test_no_answer_file_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, content: Any) -> None:
    """Whatever a file holds, the reader gives checked answers or an InputError."""
    path = tmp_path_factory.mktemp("answers") / "r.jsonl"
    path.write_bytes((content if isinstance(content, str) else json.dumps(content)).encode("utf-8", "surrogatepass"))
    try:
        found = read_responses(path, STUDY)
    except InputError:
        return
    for response in found:
        trial = STUDY.trial(response.trial)
        assert trial is not None
        assert response.answer in ANSWERS[trial.kind]
        assert response.ms is None or 0 <= response.ms < math.inf


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)), max_leaves=8,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["format", "name", "stimuli", "trials"]),
    json_values,
    st.sampled_from(["id", "kind", "stimuli", "show_ms"]),
    json_values,
)
def test_no_study_file_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, key: str, value: Any, part: str, inner: Any) -> None:
    folder = tmp_path_factory.mktemp("study")
    write_study(folder, STUDY)
    content = json.loads((folder / "study.json").read_text())
    content["trials"][0][part] = inner
    if value is not None:
        content[key] = value
    (folder / "study.json").write_text(json.dumps(content))
    try:
        study = read_study(folder)
    except InputError:
        return
    assert all(trial.kind in KINDS and set(trial.stimuli) <= set(study.files) for trial in study.trials)


def test_a_stimulus_never_leads_out_of_the_folder(tmp_path: Path) -> None:
    for name in ("/etc/passwd", "../x.png", "a\\b.png", ""):
        write_study(tmp_path, Study("s", "?", TRIALS, {**STUDY.files, "s1": name}, STUDY.truth))
        with pytest.raises(InputError, match="expected a path inside the study's folder"):
            read_study(tmp_path)


def test_hype_counts_both_kinds_of_error() -> None:
    trials = tuple(Trial(f"t{k}", "real-or-fake", (f"s{k}",)) for k in range(4))
    study = Study("s", "?", trials, {f"s{k}": "x" for k in range(4)}, {"s0": "real", "s1": "real", "s2": "a", "s3": "a"})
    answers = [
        Response("p", "t0", "real", 1),
        Response("p", "t1", "fake", 1),
        Response("p", "t2", "real", 1),
        Response("p", "t3", "real", 1),
    ]
    answers += [Response("q", r.trial, r.answer, 1) for r in answers]
    found = {f.name: f for f in figures(study, answers)}
    assert found["a: HYPE error rate"].value == pytest.approx((0.5 + 1.0) / 2)
    assert found["a: fakes taken for real"].value == 1
    assert found["real pictures taken for fake"].value == 0.5
    assert found["real-or-fake: Krippendorff's alpha"].value == 1, "both answer alike"


def test_bradley_terry_finds_known_strengths() -> None:
    truth = {"a": 1.0, "b": 0.0, "c": -1.0}
    wins = {(x, y): 4000 / (1 + math.exp(truth[y] - truth[x])) for x in truth for y in truth if x != y}
    assert bradley_terry(wins) == pytest.approx(truth, abs=0.01)
    assert all(math.isfinite(v) for v in bradley_terry({("a", "b"): 5.0}).values()), "a run that always wins"


def test_krippendorff_equals_his_example() -> None:
    """Krippendorff 2011, 'Computing Krippendorff's alpha-reliability', C: nominal 0.743, interval 0.849."""
    a = [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None]
    b = [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3]
    c = [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None]
    d = [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None]
    units = [[v for v in unit if v is not None] for unit in zip(a, b, c, d, strict=True)]
    assert krippendorff(units) == pytest.approx(0.743, abs=5e-4)
    assert krippendorff(units, interval=True) == pytest.approx(0.849, abs=5e-4)
    dice = random.Random(0)
    assert abs(krippendorff([[dice.choice("xy") for _ in range(5)] for _ in range(400)])) < 0.05, "chance"


def test_preferences_and_ratings() -> None:
    trials = tuple(Trial(f"t{k}", "preference", ("s0", "s1") if k % 2 else ("s1", "s0")) for k in range(10))
    study = Study("s", "?", (*trials, Trial("r", "rating", ("s0",))), {"s0": "x", "s1": "y"}, {"s0": "a", "s1": "b"})
    answers = [Response("p", t.id, "left" if t.stimuli[0] == "s0" else "right", 1) for t in trials[:9]] + [Response("p", "t9", "tie", 1)]
    found = {f.name: f for f in figures(study, [*answers, Response("p", "r", 4, 1), Response("q", "r", 2, 1)])}
    assert found["a preferred to b"].value == pytest.approx(0.95)
    assert (found["a preferred to b"].low, found["a preferred to b"].high) == pytest.approx(wilson(0.95, 10))
    assert found["a: mean rating"].value == 3
