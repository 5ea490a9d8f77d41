"""The report without a browser: made from any state of a run directory, one file, no network, readable without a script."""

from __future__ import annotations

import base64
import io
import json
import math
import random
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from agon.errors import InputError
from agon.records import append_jsonl
from agon.report import curves, film, write_report
from agon.report.frame import picture
from agon.report.journal import read_journal, state
from recorded_run import draw_grid, make_run, write_rows


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "mnist-r3gan")


@pytest.fixture(scope="module")
def page(run_dir: Path) -> str:
    return write_report(run_dir).read_text("utf-8")


def test_the_page_lies_in_the_run_directory_or_where_asked(run_dir: Path, tmp_path: Path) -> None:
    assert write_report(run_dir) == run_dir / "report.html"
    assert write_report(run_dir, tmp_path / "a" / "b.html").is_file()


def test_one_file_without_network(page: str) -> None:
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'" in page
    outside = re.findall(r"""(?:src|href|action|data)\s*=\s*["'](?!data:|#)[^"']*""", page)
    assert outside == []
    assert not re.search(r"@import|url\(", page)
    assert set(re.findall(r"https?://[\w.]+", page)) == {"http://www.w3.org"}  # the name of SVG's tags, never fetched


def test_everything_is_there_without_a_script(page: str) -> None:
    body = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    for text in (
        "mnist-r3gan", "finished", "6,000 of 6,000", "384,000", "Fréchet distance", "2.13", "× ", "★", "a13c9d02be77", "floor",
        "discriminator overfitting", "38% of the way", "<span>2</span> <span>--mirror</span>", "no CUDA device", "optim.G.lr", "0.0004",
        "truncated after 211", "5be1f0c2a9d3", "2.13.0+cpu", "rollback", "skip × 4", "Begun with", "/run.json", "Loss terms: critic",
        "round 6,000, 384,000 samples seen",
    ):  # fmt: skip
        assert text in body, text
    assert body.count("<section") == 8
    assert len(re.findall(r"<img [^>]*alt=\"[^\"]+\"", body)) == body.count("<img ") == 26


def test_faults_that_no_score_sees_are_told(page: str) -> None:
    told = page.split("What these scores do not see")[1].split("</table>")[0]
    rows = [re.sub(r"<[^>]+>", "|", row) for row in told.split("<tr")[2:]]
    assert [next(cell for cell in re.sub(r"^[^|]*", "", row).split("|") if cell) for row in rows] == [
        "missing modes",
        "duplicates",
        "memorised copies",
    ]
    assert "Precision, Density" in rows[0] and "Fréchet distance, Recall, Coverage" in rows[0]
    assert "-m memorisation" in rows[2]


def test_scores_that_do_not_say_what_they_see_are_passed_over(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", rounds=120, pictures=1)
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    own = [{k: v for k, v in row.items() if k != "sight"} | {"name": "spread"} for row in rows if row["name"] == "fd"]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in own), "utf-8")
    text = write_report(run).read_text("utf-8")
    assert "spread" in text and "do not see" not in text


def test_the_best_score_is_marked_where_it_is(page: str) -> None:
    assert "best 9.556 at round 5,000" in page  # the last one, 12.57, is worse
    assert len(re.findall("★</b>", page)) == 5


def test_the_embedded_data_are_strict_json(page: str) -> None:
    text = re.search(r'<script type="application/json" id="content">(.*?)</script>', page, re.S)
    assert text is not None
    content = json.loads(text[1], parse_constant=pytest.fail)
    ids = [panel["id"] for panel in content["panels"]]
    assert ids[:2] == ["score fd", "score prdc"]
    assert ids[2:] == [
        "terms critic",
        "terms generator",
        "logits",
        "accuracy",
        "gradients",
        "diversity",
        "saturation",
        "throughput",
        "memory",
    ]
    for panel in content["panels"]:
        for series in panel["series"]:
            assert len(series["values"]) == len(content["axes"][series["x"]]["round"])


def test_scores_by_class_show_the_worst_first(tmp_path: Path) -> None:
    by_class = {"cat": {"n": 30, "fd": 12.5, "coverage": 0.75}, "<dog>": {"n": 30, "fd": 93.25, "coverage": 0.25}}
    by_class["eel"] = {"n": 3, "fd": math.nan, "coverage": 0.0}
    rows = [
        {"round": 5, "name": "class_fd", "value": 9.0, "extra": {"by_class": {"cat": {"n": 1, "fd": 1.0, "coverage": 1.0}}}},
        {"round": 10, "name": "class_fd", "value": 50.0, "note": "worst class '<dog>': 93.25", "extra": {"by_class": by_class}},
        {"round": 10, "name": "class_accuracy", "value": 0.5, "extra": {"by_class": {"cat": 0.5, "<dog>": 0.25, "eel": 1.0}}},
    ]
    for row in rows:
        append_jsonl(tmp_path / "metrics.jsonl", row)
    text = write_report(tmp_path).read_text("utf-8")
    assert "Scores by class at round 10, the worst first (3)" in text
    shown = re.search(r'aria-label="Scores by class".*?</table>', text, re.S)
    assert shown is not None
    cells = re.sub(r"<[^>]+>", " ", shown[0].replace("</tr>", "|"))
    lines = [line.split() for line in cells.split("|")]
    assert [line[0] for line in lines[1:4]] == ["eel", "&lt;dog&gt;", "cat"]
    assert lines[1][1:] == ["3", "—", "0", "1"]
    assert lines[3][1:] == ["30", "12.5", "0.75", "0.5"]
    assert "Class-wise Fréchet distance: worst class" in text


@pytest.mark.parametrize(("end", "late", "word"), [
    ("done", 0, "finished"), ("stop", 0, "stopped"), ("", 0, "running"), ("", 90_000, "interrupted"),
])  # fmt: skip
def test_the_state_of_a_run(tmp_path: Path, end: str, late: float, word: str) -> None:
    write_rows(tmp_path, 1200, time.time() - 640, random.Random(0), end)
    assert state(read_journal(tmp_path), time.time() + late)[0] == word


def test_a_run_that_just_began(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"recipe": "dcgan", "rounds": 10}')
    text = write_report(tmp_path).read_text("utf-8")
    for said in (
        "not started",
        "No score has been taken yet",
        "No sample grid",
        "No signs fired",
        "No statistics",
        "data.json is not there",
    ):
        assert said in text


def test_torn_and_damaged_files_are_said_not_raised(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", rounds=1200, pictures=4)
    (run / "run.json").write_text('{"recipe": "r3g')
    for name in ("events.jsonl", "metrics.jsonl"):
        (run / name).write_bytes((run / name).read_bytes()[:-25])
    picture = run / "samples" / "00000400.png"
    picture.write_bytes(picture.read_bytes()[:300])
    (run / "samples" / "notes.png").write_text("not a grid")
    text = write_report(run).read_text("utf-8")
    assert "run.json could not be read" in text
    assert "1 sample grid could not be read and is left out." in text
    assert text.count('class="thumb') == 3


def test_no_run_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist; expected a run directory"):
        write_report(tmp_path / "none")
    with pytest.raises(InputError, match="is not a run: it has neither"):
        write_report(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(InputError, match="is a directory; expected a file name"):
        write_report(tmp_path, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write the report to .*--out"):
        write_report(tmp_path, tmp_path / "file" / "report.html")


def test_rounds_told_twice_count_once(tmp_path: Path) -> None:
    for at, value in ((0, 1.0), (10, 2.0), (20, 3.0), (10, 5.0)):
        append_jsonl(tmp_path / "events.jsonl", {"round": at, "kind": "tick", "stats": {"G/grad": value}})
    assert [row["stats"]["G/grad"] for row in read_journal(tmp_path).ticks] == [1.0, 5.0]


def test_unlike_protocols_never_share_a_line(tmp_path: Path) -> None:
    for samples in (100, 200):
        row = {"name": "fd", "value": 3.0, "protocol": {"num_samples": samples}, "round": 10}
        append_jsonl(tmp_path / "metrics.jsonl", row)
    assert [scores.protocol for scores in read_journal(tmp_path).scores] == ["N=100", "N=200"]


def test_long_curves_are_averaged_and_it_is_said(tmp_path: Path) -> None:
    ticks = [{"round": at, "stats": {"G/grad": float(at % 2)}} for at in range(4000)]
    axis, drawn, stride = curves.panels(ticks)
    assert stride == 3
    assert len(axis["round"]) == len(drawn[0]["series"][0]["values"]) == 1334
    assert axis["round"][0] == 2
    for row in ticks:
        append_jsonl(tmp_path / "events.jsonl", {"kind": "tick", **row})
    assert "Each point is the mean of 3 ticks" in write_report(tmp_path).read_text("utf-8")


def test_a_film_of_heavy_grids_stays_within_its_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(film, "FILM_BYTES", 300_000)
    monkeypatch.setattr(film, "STILL_BYTES", 60_000)
    noise = Image.frombytes("RGB", (160, 160), random.Random(0).randbytes(160 * 160 * 3))
    for at in range(60):
        noise.save(tmp_path / f"{at:08d}.png", compress_level=1)
    made = film.film(tmp_path)
    assert (len(made.frames), made.total) == (film.FRAMES, 60)
    assert (made.frames[0].round, made.frames[-1].round) == (0, 59)
    assert (made.frames[0].width, made.frames[0].height) == (160, 160)  # the size on disk, however small the encoding
    assert sum(len(frame.uri) for frame in made.frames) < 360_000


def test_small_grids_keep_their_pixels(tmp_path: Path) -> None:
    grid = draw_grid(0.5, 1, tiles=3)
    grid.save(tmp_path / "00000000.png")
    uri = film.film(tmp_path).frames[0].uri
    with Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))) as back:
        assert back.convert("L").tobytes() == grid.tobytes()


def test_an_animation_stands_in_for_missing_grids(tmp_path: Path) -> None:
    frames = [draw_grid(share / 5, 1, tiles=2) for share in range(6)]
    frames[0].save(tmp_path / "progress.gif", save_all=True, append_images=frames[1:])
    assert len(film.film(tmp_path).frames) == 6


def test_real_data_stand_beside_the_samples(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", rounds=1200, pictures=2)
    draw_grid(1.0, 2).save(run / "samples" / "real.png")
    text = write_report(run).read_text("utf-8")
    assert "Grid of real samples" in text
    assert text.count('class="thumb') == 2


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
KEYS = (
    "round",
    "seen",
    "time",
    "seconds",
    "stats",
    "rate",
    "value",
    "floor",
    "protocol",
    "name",
    "sign",
    "remedy",
    "evidence",
    "balance",
    "game",
)
KEYS += ("reasons", "space", "data", "command", "environment", "rounds", "unreadable", "metrics")


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(content=st.dictionaries(st.sampled_from(KEYS), json_values), kind=st.sampled_from(["tick", "health", "skip", "done", "rollback"]))
def test_no_content_breaks_the_report(tmp_path_factory: pytest.TempPathFactory, content: dict[str, Any], kind: str) -> None:
    run = tmp_path_factory.mktemp("any")
    for name in ("run.json", "data.json"):
        (run / name).write_text(json.dumps(content))
    for name in ("events.jsonl", "metrics.jsonl"):
        (run / name).write_text(json.dumps({"kind": kind, **content}) + "\n" + json.dumps({"kind": "tick", "round": 3, **content}) + "\n")
    text = write_report(run).read_text("utf-8")
    assert json.loads(text.split('id="content">')[1].split("</script>")[0], parse_constant=pytest.fail)


def test_the_report_needs_no_torch(run_dir: Path, tmp_path: Path) -> None:
    code = "import sys; sys.modules['torch'] = None; from agon.report import write_report; write_report(*sys.argv[1:])"
    subprocess.run([sys.executable, "-c", code, str(run_dir), str(tmp_path / "r.html")], check=True)


def test_a_run_that_measured_nothing_says_so_in_its_head(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", rounds=120, pictures=1)
    (run / "events.jsonl").write_text("")
    page = write_report(run).read_text("utf-8")
    assert "nothing has been measured yet</a>" in page and "no signs fired</a>" not in page


def test_statistics_are_no_loss_terms() -> None:
    stats = {"sample/spread": 1.0, "augment/p": 0.1, "D/weights": 2.0, "critic/adv": 0.7}
    titles = {panel["title"] for panel in curves.panels([{"round": 1, "seen": 8, "seconds": 1.0, "stats": stats}])[1]}
    assert titles == {"Statistics: sample", "Statistics: augment", "Statistics: D", "Loss terms: critic"}


def test_a_tall_grid_is_no_taller_than_the_window() -> None:
    tall = film.Frame(uri="data:,", width=34, height=272, round=1)
    assert 'class="grid tiny tall"' in str(picture(tall, "Samples", "grid"))
    assert "tall" not in str(picture(replace(tall, width=272, height=34), "Samples", "grid"))
