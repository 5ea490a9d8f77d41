"""The list of recipes reads what the recipes say, without torch; scores are gathered over seeds as arithmetic says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from agon import recipes
from agon.catalogue import Figure, _cards_in, cards, gather, row, rows, write_rows
from agon.errors import InputError
from commandline import printed


def result(recipe: str = "r3gan", seed: int = 0, fd: float = 1.0, **more: object) -> dict[str, object]:
    """One seed's figures as the benchmark writes them."""
    return {
        "set": "mnist", "recipe": recipe, "seed": seed, "fd": fd, "floor": 0.1, "precision": 0.8, "recall": 0.4 + 0.1 * seed, "density": 1.0,
        "coverage": 0.9, "protocol": "fd …", "batch": 32, "rounds": 100 + seed, "seen": 3200, "cpu_seconds": 10.0, "seen_per_cpu_second": 320.0,
        "samples_per_cpu_second": 1000.0, "memory_mb": 300.0, "parameters": {"G": 10, "D": 5}, "conditional": True, "content_hash": "abc",
        "torch": "2.13.0", "machine": "a processor", "date": f"2026-11-2{seed}", "commit": "1234567", **more,
    }  # fmt: skip


def test_cards_are_what_the_recipes_say() -> None:
    assert [(c.name, c.title, c.paper) for c in cards()] == [(r.name, r.title, r.paper) for r in recipes.table().values()]


def test_a_recipe_that_cannot_be_read_says_why() -> None:
    with pytest.raises(AssertionError, match="title must be written as plain text"):
        _cards_in('RECIPES = (Recipe(name="a", title=T, paper="p", build=f),)', "a.py")
    with pytest.raises(AssertionError, match="has no RECIPES"):
        _cards_in("X = 1", "a.py")
    with pytest.raises(AssertionError, match="plain tuple"):
        _cards_in("RECIPES = make()", "a.py")


def test_the_list_needs_no_torch() -> None:
    code = (
        "import sys; sys.argv = ['agon', 'recipes', '--json']\n"
        "from agon.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "print([m for m in ('torch', 'numpy') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    listed, _, loaded = out.rstrip().rpartition("\n")
    assert loaded == "[]"
    assert [entry["name"] for entry in json.loads(listed)] == list(recipes.table())


def test_the_list_tells_score_cost_date_and_hardware_beside_the_recipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = gather([result(), result(seed=1, fd=2.0), result("dcgan", machine="another processor")])
    monkeypatch.setattr("agon.catalogue.rows", lambda: found)
    for columns in (80, 120):
        monkeypatch.setenv("COLUMNS", str(columns))
        status, out = printed(capsys, "recipes")
        assert status == 0, out
        lines = out.splitlines()
        assert all(len(text) <= columns for text in lines if text[:1].strip()), "a row is wider than the screen"
        row = {text.split()[0]: text.split() for text in lines if text[:1].strip()}
        assert row["r3gan"][:6] == ["r3gan", "mnist", "FD", "1.5", "±", "0.71"]
        assert row["r3gan"][-3:] == ["10", "2026-11-21", "b"]
        assert columns == 80 or row["r3gan"][6:11] == ["precision", "0.8,", "recall", "0.45", "320"]
        assert row["dcgan"][-3:] == ["10", "2026-11-20", "a"]
        assert set(row["lsgan"][1:]) == {"–"}
        assert "a  another processor, torch 2.13.0" in out and "b  a processor, torch 2.13.0" in out
        assert "    least squares; arXiv:1611.04076" in lines


def test_seeds_are_gathered_into_rows(tmp_path: Path) -> None:
    found = gather(
        [result(seed=2, fd=3.0), result(seed=0), result("dcgan", fd=1.5), result(seed=1, fd=2.0, torch="2.14.0", commit="7654321")]
    )
    assert [r.name for r in found] == ["mnist/dcgan", "mnist/r3gan"]  # best first
    whole = found[1]
    assert (whole.score, whole.seeds) == (Figure(name="FD", mean=2.0, sd=1.0), [0, 1, 2])
    assert (str(whole.score), str(found[0].score)) == ("FD 2 ± 1", "FD 1.5")
    assert [figure.name for figure in whole.beside] == ["precision", "recall"]
    assert whole.figures["recall"] == pytest.approx(0.5)
    assert (whole.figures["date"], whole.figures["torch"], whole.figures["commit"]) == ("2026-11-22", "2.13.0, 2.14.0", "1234567, 7654321")
    assert whole.figures["parameters"] == 15
    assert whole.each["1"]["rounds"] == 101
    assert found[0].score.sd is None
    assert rows(write_rows(found, tmp_path / "scores.json")) == found
    assert row("mnist/dcgan", tmp_path / "scores.json") == found[0]
    with pytest.raises(InputError, match="Did you mean 'mnist/dcgan'"):
        row("mnist/dcgam", tmp_path / "scores.json")
    with pytest.raises(InputError, match="none yet"):
        row("mnist/dcgan", tmp_path / "none.json")


def test_a_score_that_a_seed_lacks_stands_beside_none_and_higher_may_be_better() -> None:
    lacking = {k: v for k, v in result(seed=1).items() if k not in ("recall", "torch", "parameters")}
    (whole,) = gather([result(), lacking])
    assert [figure.name for figure in whole.beside] == ["precision"]
    assert "torch" not in whole.figures and "parameters" not in whole.figures and whole.figures["machine"] == "a processor"
    best = gather([result(bleu=1.0), result("dcgan", bleu=2.0)], score="bleu", name="BLEU", beside={}, higher_is_better=True)
    assert [str(r.score) for r in best] == ["BLEU 2", "BLEU 1"]


def test_the_published_scores_are_of_recipes_that_exist() -> None:
    known = set(recipes.table())
    for published in rows():
        assert published.recipe in known
        assert {"date", "machine", "cpu_seconds", "seen_per_cpu_second"} <= published.figures.keys()
        assert published.command or {"content_hash", "torch", "commit", "floor"} <= published.figures.keys()
        assert all(figures["rounds"] > 0 for figures in published.each.values())


def among_the_benchmarks(code: str) -> str:
    """What a program prints that imports the benchmarks. Fails if it fails."""
    benchmarks = Path(__file__).resolve().parents[2] / "benchmarks"
    done = subprocess.run([sys.executable, "-c", code], cwd=benchmarks, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_published_scores_are_the_stored_results() -> None:
    code = "import publish; from agon.catalogue import rows; found = publish.gathered(); assert found == rows(), 'run python benchmarks/publish.py'"
    among_the_benchmarks(code)


def test_the_tables_of_the_zoo_are_the_stored_results() -> None:
    code = (
        "import zoo; page = zoo.DOCS.read_text(); assert zoo.written(page) == page, 'run python benchmarks/zoo.py table --write'\n"
        "import rates; assert rates.written(page) == page, 'run python benchmarks/rates.py table --write'\n"
        "from agon.recipes import table; assert set(zoo.ZOO) <= set(table()), set(zoo.ZOO) - set(table())\n"
        "rows = {r['recipe'] for r in zoo.everything() if r['set'] in zoo.RULER}; assert rows == set(zoo.ZOO), rows ^ set(zoo.ZOO)"
    )
    among_the_benchmarks(code)


def test_rows_of_other_marks_are_never_put_together() -> None:
    code = (
        "import json, pathlib, tempfile, zoo; ours = f\"fd 1 · classifier@{zoo.RULER['mnist']} · x\"\n"
        "made = dict(set='mnist', recipe='sngan', fd=1.0, cpu_seconds=600, protocol=ours)\n"
        "new = made | {'rates': {'G': {'start': 6e-4, 'end': 6e-5}}}\n"
        "earlier, other = made, made | {'protocol': 'classifier@0123ab'}\n"
        "assert [zoo.mark(r) for r in (new, earlier, other, new | {'rates': {'G': 6e-4}})] == ['', '‡', '†‡', '‡']\n"
        "clipped = made | {'recipe': 'wgan'}\n"
        "assert [zoo.mark(clipped | {'rates': {'G': lr}}) for lr in (5e-5, 5e-4)] == ['‡', '']\n"
        "assert zoo.mark(made | {'recipe': 'vae', 'rates': {'G': {'kind': 'warm-up'}}}) == ''\n"
        "assert zoo.mark(earlier | {'recipe': 'vae'}) == '' and zoo.mark(other | {'recipe': 'vae'}) == '†'\n"
        "zoo.RESULTS = pathlib.Path(tempfile.mkdtemp())\n"
        "(zoo.RESULTS / 'mnist').mkdir()\n"
        "for seed, row in enumerate((other, earlier, new, new)):\n"
        "    (zoo.RESULTS / 'mnist' / f'sngan-{seed}.json').write_text(json.dumps(row | {'seed': seed, 'planned_rounds': 9}))\n"
        "assert [r['seed'] for r in zoo.everything()] == [2, 3] and zoo.sister('mnist', 'sngan')['seed'] == 2\n"
        "for seed in (2, 3): (zoo.RESULTS / 'mnist' / f'sngan-{seed}.json').unlink()\n"
        "assert [r['seed'] for r in zoo.everything()] == [1] and zoo.sister('mnist', 'sngan') is None"
    )
    among_the_benchmarks(code)


def test_the_rates_that_mark_rows_are_the_recipes_own() -> None:
    code = (
        "import zoo; from agon.recipes import Situation, find; from agon.spaces import Image\n"
        "space = Image(height=32, width=32, classes=tuple('0123456789'))\n"
        "for name, (start, end) in zoo.RATES.items():\n"
        "    lr = find(name).build(Situation(space=space, count=60_000, device='cpu')).game.optim['G'].lr\n"
        "    assert (getattr(lr, 'start', lr), getattr(lr, 'end', lr)) == (start, end), name"
    )
    among_the_benchmarks(code)


def test_rows_of_a_gpu_are_a_table_of_their_own() -> None:
    code = (
        "import zoo; row = next(r for r in zoo.everything() if r['set'] == 'mnist' and not zoo.mark(r))\n"
        "row |= {'set': 'mnist-cuda', 'device': 'NVIDIA H100 80GB HBM3', 'arithmetic': 'bf16', 'seconds': 600.4, 'images_per_second': 4e4,"
        " 'samples_per_second': 9e5, 'flops_a_round': 1.0, 'flops_per_second': 98.94e12}\n"
        "published = row | {'recipe': 'wgan', 'rates': {'G': 5e-5}, 'planned_rounds': 9_000}\n"
        "at_home = {k: v for k, v in published.items() if k != 'device'}\n"
        "assert [zoo.mark(r) for r in (published, at_home, at_home | {'planned_rounds': 60_000})] == ['', '‡', '']\n"
        "assert not zoo.mark(row); zoo.everything = lambda: [row, row | {'recipe': 'other', 'device': 'a GPU nobody knows'}]\n"
        "print(zoo.tables()); import publish; assert publish.pictures() == []"
    )
    told = among_the_benchmarks(code)
    heading, _, head, _, known, unknown, *_ = told.splitlines()
    assert heading == "### mnist-cuda"
    cells = dict(zip(head.split(" | "), known.split(" | "), strict=True))
    assert (cells["s"], cells["images/s"], cells["samples/s"], cells["TFLOP/s"]) == ("600", "40000", "900,000", "98.9")
    assert known.endswith("| 10.00 % |") and unknown.endswith("| – |")


@pytest.mark.parametrize("name", list(recipes.table()))
def test_every_recipe_shows_what_it_would_set(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out = printed(capsys, "show", name)
    assert status == 0, out
    assert "--rounds" in out and "--game." in out
    assert out.split()[0] == "for"
