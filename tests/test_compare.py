"""Runs side by side: seeds become one line, unlike protocols are refused with the command that mends them, the page stands alone."""

from __future__ import annotations

import json
import math
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agon.comparison import compare_runs, to_json
from agon.errors import InputError
from agon.records import append_jsonl, read_jsonl
from agon.report.columns import figure_text, laid_out, rows
from agon.report.versus import write_comparison
from agon.sweep import spread
from chromium import CHROMIUM, WANTED, Browser
from commandline import printed
from recorded_run import make_run


def change(path: Path, do: Callable[[dict[str, Any]], None]) -> None:
    """Edit run.json."""
    run = json.loads((path / "run.json").read_text())
    do(run)
    (path / "run.json").write_text(json.dumps(run))


def rescore(path: Path, do: Callable[[dict[str, Any]], None]) -> None:
    """Edit every row of metrics.jsonl."""
    told = read_jsonl(path / "metrics.jsonl")
    (path / "metrics.jsonl").unlink()
    for row in told:
        do(row)
        append_jsonl(path / "metrics.jsonl", row)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seeds of one recipe, their last distances 10, 12 and 14, and one run of another, at 8."""
    folder = tmp_path_factory.mktemp("runs")
    first = make_run(folder / "r3gan-0", rounds=600, pictures=2)

    def last_is(value: float) -> Callable[[dict[str, Any]], None]:
        return lambda row: row.update(value=value) if row["name"] == "fd" and row["round"] == 600 else None

    for seed in (1, 2):
        shutil.copytree(first, folder / f"r3gan-{seed}")
        change(folder / f"r3gan-{seed}", lambda run, seed=seed: run.update(seed=seed))  # type: ignore[misc]
    shutil.copytree(first, folder / "flow")
    change(folder / "flow", lambda run: run.update(recipe="flow", game={"name": "flow", "steps": 5}))
    for name, value in (("r3gan-0", 10.0), ("r3gan-1", 12.0), ("r3gan-2", 14.0), ("flow", 8.0)):
        rescore(folder / name, last_is(value))
    return folder


@pytest.fixture
def runs(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    shutil.copytree(made, tmp_path / "runs")
    return tmp_path / "runs"


def test_of_sentences_each_run_is_told_where_it_stands_beside_likelihood(runs: Path) -> None:
    paths = [runs / "r3gan-0", runs / "flow"]
    for path in paths:
        change(path, lambda run: run.update(space={"kind": "tokens"}))
    (paths[0] / "curve.json").write_text(json.dumps({"gap": {"value": -0.002, "low": -0.004, "high": 0.001}, "likelihood": "runs/base"}))
    notes = " ".join(compare_runs(paths).notes)
    assert f"'{paths[0]}': At equal self-BLEU this run has -0.002 [-0.004, +0.001] BLEU beside likelihood" in notes
    assert f"'{paths[1]}': not compared with likelihood yet: agon curve" in notes


def test_seeds_become_one_line_with_their_spread(made: Path) -> None:
    found = compare_runs([made / "r3gan-0", made / "r3gan-1", made / "flow", made / "r3gan-2"])
    assert [entry.name for entry in found.entries] == ["flow", "r3gan"], "best first"
    flow, r3gan = found.entries
    assert sorted(r3gan.seeds) == [0, 1, 2]
    assert (r3gan.figures["fd"].mean, r3gan.figures["fd"].spread) == (12.0, 2.0)
    assert flow.figures["fd"].spread is None
    assert figure_text(r3gan.figures["fd"]) == "12 ± 2"
    assert figure_text(flow.figures["fd"]) == "8"
    assert found.names == ["fd", "precision", "recall", "density", "coverage"]
    assert r3gan.cost("cpu_seconds") == pytest.approx(1140)
    assert r3gan.cost("seen") == 600 * 64
    assert any("One seed only" in note and "flow" in note for note in found.notes)
    heads, body = rows(found)
    assert all(len(line) == len(heads) for line in body)
    assert to_json(found)["entries"][1]["scores"]["fd"]["sd"] == 2.0


def test_a_start_from_another_run_is_another_line_and_a_seed_twice_counts_once(runs: Path) -> None:
    change(runs / "r3gan-1", lambda content: content.update(start={"sha256": "0" * 64, "path": "elsewhere"}))
    assert len(compare_runs([runs / "r3gan-0", runs / "r3gan-1"]).entries) == 2
    change(runs / "r3gan-1", lambda content: content.update(start=None, seed=0))
    found = compare_runs([runs / "r3gan-0", runs / "r3gan-1", runs / "r3gan-2"])
    assert len(found.entries) == 1 and found.entries[0].seeds == [0, 2]
    assert any("r3gan-1': the same seed (0) and settings as" in note and "counts once" in note for note in found.notes)
    figure = found.entries[0].figures["fd"]
    assert (figure.values, figure.mean) == ((10.0, 14.0), 12.0), "the run named first"


def test_a_copied_run_is_no_other_seed(runs: Path) -> None:
    shutil.copytree(runs / "r3gan-1", runs / "copy")
    names = ["r3gan-0", "copy", "r3gan-1", "flow"]
    found = compare_runs([runs / name for name in names])
    entry = next(entry for entry in found.entries if entry.name == "r3gan")
    assert [member.path.name for member in entry.members] == ["r3gan-0", "copy"]
    assert sum("counts once" in note for note in found.notes) == 1
    assert next(row for row in rows(found)[1] if row[0] == "r3gan")[1] == "2"
    told = next(row for row in spread([runs / name for name in names[:3]]) if row.name == "fd")
    assert told.values == (10.0, 12.0)
    # The one that went further, whichever is named first.
    rescore(runs / "copy", lambda row: row.update(value=99.0))
    (runs / "copy" / "events.jsonl").write_text(
        (runs / "copy" / "events.jsonl").read_text().replace('"round": 600', '"round": 599').replace('"round":600', '"round":599')
    )
    entry = next(e for e in compare_runs([runs / name for name in names]).entries if e.name == "r3gan")
    assert [member.path.name for member in entry.members] == ["r3gan-0", "r3gan-1"]


def test_seeds_that_overlap_are_not_told_apart(runs: Path) -> None:
    shutil.copytree(runs / "flow", runs / "flow-1")
    change(runs / "flow-1", lambda run: run.update(seed=1))
    rescore(runs / "flow-1", lambda row: row.update(value=13.0) if row["name"] == "fd" and row["round"] == 600 else None)
    found = compare_runs(sorted(runs.iterdir()))
    assert [len(entry.members) for entry in found.entries] == [2, 3]
    assert any("do not tell them apart" in note for note in found.notes)


def test_one_recipe_twice_is_named_by_what_differs(runs: Path) -> None:
    change(runs / "r3gan-1", lambda run: run["game"].update(gamma=2.0))
    found = compare_runs([runs / "r3gan-0", runs / "r3gan-1"])
    assert sorted(entry.name for entry in found.entries) == ["r3gan (gamma 0.5)", "r3gan (gamma 2.0)"]


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("num_samples", 2000, r"num_samples differs, 6000 and 2000.*falls as they become more.*agon eval \S*flow -m fd --num-samples 6000"),
        ("weights", "raw", r"weights differs, ema and raw.*agon eval \S*flow -m fd --weights ema"),
        ("extractor_hash", "0" * 12, r"extractor_hash differs.*agon eval \S*flow -m fd"),
        ("reference_hash", "1" * 12, r"reference_hash differs.*train both from the same data"),
    ],
)
def test_unlike_protocols_are_refused(runs: Path, field: str, value: Any, words: str) -> None:
    rescore(runs / "flow", lambda row: row["protocol"].update({field: value}))
    with pytest.raises(InputError, match=words):
        compare_runs([runs / "r3gan-0", runs / "flow"])


def test_one_score_that_differs_takes_no_table_away(runs: Path) -> None:
    def fewer(row: dict[str, Any]) -> None:
        if row["name"] == "coverage":
            row["protocol"] = {**row["protocol"], "num_samples": 27}

    rescore(runs / "flow", fewer)
    found = compare_runs([runs / "r3gan-0", runs / "flow"])
    assert found.names == ["fd", "precision", "recall", "density"]
    assert any("the 'coverage' of" in note and "num_samples differs" in note for note in found.notes)
    with pytest.raises(InputError, match="the 'coverage' of .* cannot be compared"):
        compare_runs([runs / "r3gan-0", runs / "flow"], ["coverage"])


def test_a_missing_score_is_named_with_a_command_or_with_the_reason(runs: Path) -> None:
    taken = read_jsonl(runs / "flow" / "metrics.jsonl")
    count = next(row for row in taken if row["name"] == "recall")["protocol"]["num_samples"]

    def nothing(row: dict[str, Any]) -> None:
        row.update(value=math.nan if row["name"] == "recall" else row["value"])

    rescore(runs / "flow", nothing)
    (note,) = (note for note in compare_runs([runs / "r3gan-0", runs / "flow"]).notes if "has no recall" in note)
    assert "it was taken and gave no number" in note
    (runs / "flow" / "metrics.jsonl").unlink()
    for row in taken:
        if row["name"] != "recall":
            append_jsonl(runs / "flow" / "metrics.jsonl", row)
    (note,) = (note for note in compare_runs([runs / "r3gan-0", runs / "flow"]).notes if "has no recall" in note)
    assert note.endswith(f"flow -m prdc --num-samples {count}")


def test_the_protocol_both_have_is_taken(runs: Path) -> None:
    """One run was scored again with more samples, and then both: the larger shared one counts."""
    row = [r for r in read_jsonl(runs / "flow" / "metrics.jsonl") if r["name"] == "fd"][-1]
    more = {**row, "value": 5.0, "protocol": {**row["protocol"], "num_samples": 50_000}}
    append_jsonl(runs / "flow" / "metrics.jsonl", more)
    both = [runs / "flow", runs / "r3gan-0"]
    assert compare_runs(both, ["fd"]).entries[0].figures["fd"].mean == 8.0
    append_jsonl(runs / "r3gan-0" / "metrics.jsonl", {**more, "value": 4.0})
    assert [entry.figures["fd"].mean for entry in compare_runs(both, ["fd"]).entries] == [4.0, 5.0]


def test_another_way_of_sampling_is_another_line(runs: Path) -> None:
    row = [r for r in read_jsonl(runs / "flow" / "metrics.jsonl") if r["name"] == "fd"][-1]
    append_jsonl(runs / "flow" / "metrics.jsonl", {**row, "value": 30.0, "sampling": {"steps": 1}})
    append_jsonl(runs / "flow" / "events.jsonl", {"kind": "speed", "round": 600, "samples_per_cpu_second": 90.0, "sampling": {"steps": 1}})
    append_jsonl(runs / "flow" / "events.jsonl", {"kind": "speed", "round": 600, "samples_per_cpu_second": 20.0, "sampling": {}})
    entries = {entry.name: entry for entry in compare_runs([runs / "flow", runs / "r3gan-0"], ["fd"]).entries}
    assert entries["flow (steps when sampling 1)"].figures["fd"].mean == 30.0
    assert entries["flow (steps when sampling 1)"].speed == 90.0
    assert next(e for name, e in entries.items() if name.startswith("flow") and not e.sampling).speed == 20.0


@pytest.mark.parametrize("width", [44, 60, 80, 110, 160, 250])
def test_the_table_fits_the_terminal(
    made: Path, tmp_path: Path, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every run's cells are told once, whatever the width; no line of the table or of a protocol is wider than the terminal."""
    heads, body = rows(compare_runs(sorted(made.iterdir())))
    body = [[line[0] + " (a very long telling of settings)", *line[1:]] for line in body]
    tables = laid_out(heads, body, width)
    told = [cell for head, lines in tables for cell in (*head, *(cell for line in lines for cell in line))]
    for line in body:
        for head, cell in zip(heads[1:], line[1:], strict=True):
            assert cell == "—" or (cell in told and head in told), (head, cell)
    assert "samples/CPU-s" not in told, "no run has it"
    assert len(tables) == {44: 2, 110: 2}.get(width, 1)
    monkeypatch.setenv("COLUMNS", str(width))
    status, text = printed(capsys, "compare", *sorted(made.iterdir()), "--out", tmp_path / "page.html")
    assert status == 0
    table = text.split("note  ")[0]
    assert max(map(len, table.splitlines())) <= width, table
    assert table.count("precision, recall, density, coverage:") == 1, "one protocol, one line"


def test_wrong_input_says_what_to_do(runs: Path) -> None:
    with pytest.raises(InputError, match="two runs or more, got 1"):
        compare_runs([runs / "flow", runs / "flow"])
    with pytest.raises(InputError, match=r"gone' does not exist; expected a directory made by `agon train`"):
        compare_runs([runs / "flow", runs / "gone"])
    (runs / "empty").mkdir()
    with pytest.raises(InputError, match="is not a run: it has no run.json"):
        compare_runs([runs / "flow", runs / "empty"])
    with pytest.raises(InputError, match="no run has a score 'fdd'.*mean 'fd'"):
        compare_runs([runs / "flow", runs / "r3gan-0"], ["fdd"])
    (runs / "r3gan-0" / "metrics.jsonl").unlink()
    with pytest.raises(InputError, match=r"has no scores yet; take them: agon eval \S*r3gan-0"):
        compare_runs([runs / "flow", runs / "r3gan-0"])
    change(runs / "r3gan-1", lambda run: run.update(content_hash="b"))
    change(runs / "flow", lambda run: run.update(content_hash="a"))
    with pytest.raises(InputError, match="different data.*content a.*content b"):
        compare_runs([runs / "flow", runs / "r3gan-1"])


def test_parameters_are_those_the_optimiser_moves(runs: Path) -> None:
    """From the header of a state: buffers and averaged copies do not count."""
    header = {
        "players/G/weight": [4, 3], "players/G/running_mean": [4], "ema/G/weight": [4, 3], "optim/G/0/exp_avg": [4, 3],
        "optim/G/0/exp_avg_sq": [4, 3], "players/D/weight": [5], "optim/D/0/exp_avg": [5], "players/pool/items": [100],
    }  # fmt: skip
    text = json.dumps({k: {"dtype": "F32", "shape": v, "data_offsets": [0, 0]} for k, v in header.items()}).encode()
    (runs / "flow" / "states").mkdir(exist_ok=True)
    (runs / "flow" / "states" / "00000600.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    (runs / "flow" / "states" / "00000700.safetensors").write_bytes(b"torn")
    found = compare_runs([runs / "flow", runs / "r3gan-0"])
    assert next(e for e in found.entries if e.name == "flow").parameters == {"G": 12, "D": 5}


def test_torch_is_not_loaded(made: Path) -> None:
    code = (
        "import sys; from agon.comparison import compare_runs; from agon.report.versus import write_comparison; "
        f"compare_runs([{str(made / 'flow')!r}, {str(made / 'r3gan-0')!r}]); print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"


@pytest.mark.skipif(CHROMIUM is None, reason=WANTED)
@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_opens_and_fits(made: Path, tmp_path: Path, width: int) -> None:
    page = write_comparison(compare_runs(sorted(made.iterdir())), tmp_path / "comparison.html")
    browser = Browser(tmp_path / "profile")
    try:
        browser.open(page, width)
        assert browser.js("document.documentElement.dataset.ready") == "1"
        assert browser.js("document.documentElement.dataset.error") is None
        assert browser.js("document.documentElement.scrollWidth") <= width
        assert browser.js("document.querySelectorAll('.versus img').length") == 2
        assert browser.js("document.querySelectorAll('.chart').length") == 5
        assert browser.js("document.querySelectorAll('.chart svg path.line').length") == 5 * 4
        assert browser.js("document.querySelector('.tools select').value") == "seen"
        browser.js("(s => { s.value = 'cpu_seconds'; s.dispatchEvent(new Event('change')); })(document.querySelector('.tools select'))")
        assert "min" in browser.js("document.querySelector('.chart svg').textContent")
        assert browser.complaints == []
        assert browser.requests == [page.resolve().as_uri()]
    finally:
        browser.close()
