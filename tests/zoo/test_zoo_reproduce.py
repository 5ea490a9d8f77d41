"""A row is repeated: the same weights give the same score; other data, a shorter run and a wrong name are told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from agon import catalogue, reproduce
from agon.catalogue import Figure, Row, gather, write_rows
from agon.data import Data, open_data
from agon.device import choose_device
from agon.directory import RunDirectory, read_state
from agon.run import Outcome, play
from commandline import typed


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The protocol at 8×8, with few samples and no classifier."""
    monkeypatch.setattr(reproduce, "SIZE", 8)
    monkeypatch.setattr(reproduce, "NUM_SAMPLES", 64)
    monkeypatch.setattr(reproduce, "METRICS", ["fd"])
    monkeypatch.setattr(reproduce, "OF_CLASSES", [])
    settings = reproduce.settings_for
    extra = {"game.net.widths": "[8]", "batch": 8, "extractor": "pixels", "metrics": ["fd"]}
    monkeypatch.setattr(reproduce, "settings_for", lambda *given: settings(*given) | extra)


@pytest.mark.parametrize(("recipe", "asked"), [("acgan", True), ("wgan-gp", False)])
def test_a_row_that_is_asked_for_classes_is_scored_by_them(
    recipe: str, asked: bool, small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reproduce, "OF_CLASSES", ["class_accuracy"])
    made = reproduce.settings_for
    monkeypatch.setattr(
        reproduce,
        "settings_for",
        lambda *given: {k: v for k, v in made(*given).items() if k != "game.net.widths"} | {"extractor": "classifier"},
    )
    directory = reproduce.begin("digits", recipe, 0, 20, tmp_path / "run", "a test")
    reproduce.train(directory)
    found = reproduce.figures(directory, "digits", recipe, 0, num_samples=256)
    assert ("class_accuracy" in found) == asked == found["conditional"]
    assert 0 <= found.get("class_accuracy", 0.5) <= 1


def test_a_row_repeated_gives_the_same_score(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = reproduce.begin("digits", "r3gan", 0, 20, tmp_path / "first", "a test")
    reproduce.lengthen(directory, 24)  # as a budget that was not used up
    reproduce.play(directory)
    found = reproduce.figures(directory, "digits", "r3gan", 0, num_samples=256)
    assert {"set", "recipe", "seed", "fd", "floor", "protocol", "rounds", "images", "cpu_seconds", "content_hash", "machine",
            "date", "commit", "torch", "parameters", "conditional", "memory_mb", "samples_per_cpu_second", "signs"} <= found.keys()  # fmt: skip
    assert 0 < found["doctor_share"] < 1 and found["rates"].keys() == {"G", "D"}
    assert (found["rounds"], found["planned_rounds"]) == (24, 20)
    other = found | {"seed": 1, "fd": found["fd"] + 2.0}
    write_rows(gather([found, other]), tmp_path / "scores.json")
    published = catalogue.rows(tmp_path / "scores.json")[0]
    again = reproduce.repeat(published, "digits", tmp_path / "again", seeds=[0])
    assert again.caveats == []
    one, two = (read_state(RunDirectory(p).states()[-1][1])[0] for p in (tmp_path / "first", tmp_path / "again" / "digits" / "r3gan-0"))
    assert [k for k in one if (one[k] != two[k]).any()] == []
    assert again.fd == pytest.approx(found["fd"], rel=1e-6)
    assert again.difference == pytest.approx(-(0.5**0.5), rel=1e-5)  # one below a mean of two that stand 2 apart, sd √2
    assert dict(again.lines())["difference"] == "-0.71 of the published standard deviation"
    # Another network's figure is another figure.
    stamp = published.each["0"]["protocol"]
    published.each["0"]["protocol"] = stamp.replace(" · pixels", " · classifier@0123ab (99.0% held-out accuracy)")
    other_ruler = reproduce.repeat(published, "digits", tmp_path / "again", seeds=[0])
    assert ["classifier@0123ab" in caveat for caveat in other_ruler.caveats] == [True]
    published.each["0"]["protocol"] = stamp
    # A row of the recipe as it was is another figure as well.
    earlier = replace(published, score=replace(published.score, name="FD‡"))
    assert [
        "the paper's learning rates" in caveat for caveat in reproduce.repeat(earlier, "digits", tmp_path / "again", seeds=[0]).caveats
    ] == [True]
    # What a signal stopped is not scored.
    monkeypatch.setattr(reproduce, "play", lambda directory, **_: Outcome("stopped", 3, directory, asked=True))
    with pytest.raises(KeyboardInterrupt):
        reproduce.repeat(published, "digits", tmp_path / "halted", seeds=[0])
    monkeypatch.setattr(reproduce, "play", play)
    # By the command line, quick and on other data.
    monkeypatch.setattr(catalogue, "rows", lambda path=None: [published])
    assert typed("reproduce", "digits/r3gan", "--data", "shapes", "--quick", "--seeds", "3", "--out", tmp_path / "quick") == 0
    out = capsys.readouterr().out
    assert "the data at 'shapes' differ" in out and "a share of 0.02" in out and "not comparable" in out
    assert "seed 3" in out and "this seed was not published" in out and "of the published standard deviation" not in out
    for options, words in ((("--seeds", "0", "a"), "seed 'a' is no whole number"), (("--quick", "--budget-scale", "0.5"), "give one of"),
                           (("--budget-scale", "2"), "--budget-scale is 2.0")):  # fmt: skip
        assert typed("reproduce", "digits/r3gan", "--data", "digits", *options) == 2
        assert words in capsys.readouterr().err
    assert typed("reproduce", "digits/r3gam", "--data", "digits") == 2
    assert "Did you mean 'digits/r3gan'" in capsys.readouterr().err
    assert typed("recipes") == 0
    assert ["r3gan", "digits"] in [line.split()[:2] for line in capsys.readouterr().out.splitlines()]


def test_a_finished_run_that_cost_too_little_plays_on_and_its_looks_are_counted_on(small: None, tmp_path: Path) -> None:
    directory = reproduce.begin("digits", "r3gan", 0, 20, tmp_path / "run", "a test")
    reproduce.train(directory)
    ticks = [row for row in directory.events() if row["kind"] == "tick"]
    reproduce.top_up(directory, ticks[-1]["cpu_seconds"] / 2)  # there already
    assert directory.run()["rounds"] == 20
    reproduce.top_up(directory, 1.5 * ticks[-1]["cpu_seconds"])
    more = [row for row in directory.events() if row["kind"] == "tick"]
    assert more[-1]["round"] > 20 and directory.run()["planned_rounds"] == 20
    assert more[-1]["cpu_seconds"] >= 1.5 * ticks[-1]["cpu_seconds"]
    looks = [row["health_seconds"] for row in more]
    assert looks == sorted(looks) and looks[-1] > looks[len(ticks) - 1]
    # What the process held of the first stretch is not the row's memory.
    path, grown = directory.path / "events.jsonl", []
    for row in directory.events():
        grown.append(json.dumps(row | {"memory_mb": row["memory_mb"] + 500.0} if row["kind"] == "tick" and row["round"] > 20 else row))
    path.write_text("\n".join(grown) + "\n")
    assert reproduce.peak_mb(directory) == max(row["memory_mb"] for row in ticks)


def test_by_the_clock_a_row_tells_what_it_computed(small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reproduce, "clock_of", lambda device: "seconds")  # as on a GPU
    monkeypatch.setattr(reproduce, "PROBE", (1, 3))
    assert 0 < reproduce.seconds_a_round("digits", "r3gan", "cpu") < 60
    directory = reproduce.begin("digits", "r3gan", 0, 20, tmp_path / "run", "a test", "cpu")
    reproduce.spend(directory, 0.3)
    last = [row for row in directory.events() if row["kind"] == "tick"][-1]
    assert last["seconds"] >= 0.3 and reproduce.spent_seconds(directory) == last["seconds"]
    found = reproduce.figures(directory, "digits-cpu", "r3gan", 0, num_samples=64)
    assert (found["device"], found["arithmetic"], found["seconds"]) == ("cpu", "fp32", last["seconds"])
    assert found["images_per_second"] == found["images"] / found["seconds"]
    assert found["flops_per_second"] * found["seconds"] == pytest.approx(found["flops_a_round"] * found["rounds"])
    assert reproduce.flops_a_round(directory) == found["flops_a_round"] > 0


def test_the_clock_ends_a_run_as_the_processor_does(small: None, tmp_path: Path) -> None:
    directory = reproduce.begin("digits", "r3gan", 0, 20, tmp_path / "run", "a test")
    outcome = play(directory, wall_budget=0.0)
    assert (outcome.end, outcome.round) == ("stopped", 0)
    assert play(directory).end == "done"
    directory.write("run.json", directory.run() | {"device": "auto"})  # as runs are that were not made by the protocol
    last = [row for row in directory.events() if row["kind"] == "tick"][-1]
    assert reproduce.spent_seconds(directory) == last[reproduce.clock_of(choose_device().value)]


def test_without_a_standard_deviation_the_difference_is_a_plain_one() -> None:
    score = Figure(name="FD", mean=1.0, sd=None)
    row = Row(set="s", recipe="r", score=score, figures={"date": "d", "machine": "m", "torch": "t"}, each={"0": {"score": 1.0}})
    repeat = reproduce.Repeat(row, [{"seed": 0, "fd": 1.5, "rounds": 10, "cpu_seconds": 1.0}], [])
    assert repeat.difference is None
    assert dict(repeat.lines())["difference"].startswith("+0.5; one seed was published")


def test_the_content_hash_is_of_the_data() -> None:
    assert open_data(Data(path="digits", size=8)).content_hash != open_data(Data(path="shapes", size=8)).content_hash


def test_of_a_row_that_is_not_of_pictures_the_command_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert typed("reproduce", "oracle/seqgan", "--data", "digits") == 2
    told = capsys.readouterr().err
    assert "by its own benchmark" in told and "benchmarks/text.py run --set oracle=oracle --recipes seqgan" in " ".join(told.split())
