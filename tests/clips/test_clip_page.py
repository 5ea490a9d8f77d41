"""Clips on pages, in headless Chromium: they play, can be halted, and stand still for readers who asked for it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agon.comparison import compare_runs
from agon.report import write_report
from agon.report.film import MOVING_BYTES, moving
from agon.report.versus import write_comparison
from agon.spaces.animation import write_animation
from chromium import CHROMIUM, WANTED, Browser
from recorded_run import make_run

MOVING = "[...document.querySelectorAll('.moving img')]"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip(WANTED)
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.mark.parametrize("width", [1280, 400])
def test_the_report_plays(browser: Browser, run: Path, tmp_path: Path, width: int) -> None:
    page = write_report(run, tmp_path / "report.html")
    browser.complaints.clear()
    browser.open(page, width)
    assert browser.js(f"{MOVING}.map(image => image.alt)") == [
        "Generated clips playing", "Real clips playing", "Contents and motions exchanged"
    ]  # fmt: skip
    assert browser.js("[...document.images].filter(image => !image.complete || image.naturalWidth === 0).length") == 0
    assert browser.js("document.documentElement.scrollWidth") <= width
    assert browser.js("document.documentElement.dataset.error") is None
    assert browser.complaints == []
    first = f"{MOVING}[0].src"
    playing = browser.js(first)
    browser.js("document.querySelector('.halt').click()")
    assert browser.js(first) != playing
    assert browser.js("document.querySelector('.halt').textContent") == "Play"
    browser.js("document.querySelector('.halt').click()")
    assert browser.js(first) == playing
    text = browser.js("document.querySelector('#samples').textContent")
    assert "Columns from left to right: up; down; left; right." in text
    assert "A clip a row, time from left to right. Rows from above, over and over: up; down; left; right." in text
    assert "16 × 16 RGB clips of 8 frames at 8 a second" in browser.js("document.querySelector('header').textContent")


def test_it_really_moves(browser: Browser, run: Path, tmp_path: Path) -> None:
    browser.open(write_report(run, tmp_path / "report.html"))
    browser.js(f"{MOVING}[1].scrollIntoView({{behavior: 'instant', block: 'center'}})")
    shots = []
    for k in range(2):
        browser.js("new Promise(done => setTimeout(done, 400))")
        with Image.open(browser.picture(tmp_path / f"{k}.png", whole=False)) as shot:
            shots.append(np.asarray(shot.convert("L"), dtype=int))
    assert np.abs(shots[0] - shots[1]).max() > 50, "half a second later the real clips have moved"


def test_less_motion_for_those_who_asked(browser: Browser, run: Path, tmp_path: Path) -> None:
    browser.open(write_report(run, tmp_path / "report.html"), prefers_reduced_motion="reduce")
    assert browser.js(f"{MOVING}.every(image => image.src === image.dataset.still)")
    assert browser.js("document.querySelector('.halt').textContent") == "Play"
    browser.js("document.querySelector('.halt').click()")
    assert browser.js(f"{MOVING}[0].src !== {MOVING}[0].dataset.still")


def test_a_page_of_a_run_without_a_swap_says_when_it_comes(run: Path, tmp_path: Path) -> None:
    going = tmp_path / "going"
    shutil.copytree(run, going)
    (going / "samples" / "swap.webp").unlink()
    (going / "samples" / "00000008.webp").write_bytes(b"RIFF torn")
    page = write_report(going).read_text("utf-8")
    assert "A clip a row" not in page, "a film that cannot be read does not cost the page"
    (going / "samples" / "00000008.webp").unlink()
    assert "is made when the run ends" in write_report(going).read_text("utf-8")


def test_a_heavy_film_is_made_lighter(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (12, 3, 320, 320), dtype=np.uint8)
    write_animation(tmp_path / "x.webp", noise, 12, lossless=True)
    assert (tmp_path / "x.webp").stat().st_size > MOVING_BYTES
    film = moving(tmp_path / "x.webp")
    assert film is not None
    assert len(film.uri) <= MOVING_BYTES
    assert (film.width, film.height, film.frames) == (320, 320, 12)


def test_the_comparison_plays(browser: Browser, tmp_path: Path) -> None:
    runs = [make_run(tmp_path / name, rounds=600, pictures=2) for name in ("a", "b")]
    for index, run in enumerate(runs):
        frames = np.full((4, 3, 66, 66), 60 * index, np.uint8)
        frames[np.arange(4), :, np.arange(4)] = 255
        for name in ("00000600", "real"):
            write_animation(run / "samples" / f"{name}.webp", frames, 12)
        content = json.loads((run / "run.json").read_text())
        content["game"]["gamma"] = 0.1 * (index + 1)
        (run / "run.json").write_text(json.dumps(content))
    browser.open(write_comparison(compare_runs(runs), tmp_path / "comparison.html"))
    assert browser.js(f"{MOVING}.length") == 3
    assert browser.js("document.documentElement.dataset.error") is None
