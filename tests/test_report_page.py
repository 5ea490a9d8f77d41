"""The report in headless Chromium: it opens from disk, fits, answers, logs nothing, and nothing that came from the data executes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from agon.records import append_jsonl
from agon.report import write_report
from chromium import CHROMIUM, WANTED, Browser
from recorded_run import make_run

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=WANTED)
ATTACK = "</script><script>document.documentElement.dataset.pwned=1</script><img src=x onerror='document.documentElement.dataset.pwned=2'>"


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "mnist-r3gan")


@pytest.fixture(scope="module")
def page(run_dir: Path) -> str:
    return write_report(run_dir).read_text("utf-8")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (400, "light")])
def test_it_opens_from_disk_and_fits(browser: Browser, run_dir: Path, page: str, tmp_path: Path, width: int, scheme: str) -> None:
    browser.complaints.clear()
    browser.requests.clear()
    browser.open(run_dir / "report.html", width, prefers_color_scheme=scheme)
    assert browser.js("document.documentElement.dataset.ready") == "1"
    assert browser.js("document.documentElement.dataset.error") is None
    assert browser.js("document.documentElement.scrollWidth") <= width
    assert browser.js("document.querySelectorAll('.chart svg path.line').length") == 5 + 18
    assert browser.js("[...document.images].filter(image => !image.complete || image.naturalWidth === 0).length") == 0
    with Image.open(browser.picture(tmp_path / "page.png")) as shot:
        assert shot.width == width
        assert shot.height > 5000
        paper = shot.convert("L").getpixel((3, 3))
        assert isinstance(paper, int)
        assert (paper > 240) == (scheme == "light")
        assert len(shot.convert("L").getcolors(256) or []) > 100
    assert browser.complaints == []
    assert browser.requests == [(run_dir / "report.html").resolve().as_uri()]


def test_charts_answer_pointer_keys_and_switches(browser: Browser, run_dir: Path, page: str) -> None:
    browser.open(run_dir / "report.html")
    logits = "document.querySelector('[data-panel=logits]')"
    where = f"{logits}.querySelector('.where').textContent"
    browser.js(f"{logits}.scrollIntoView({{behavior: 'instant', block: 'center'}})")
    box = json.loads(browser.js(f"JSON.stringify({logits}.querySelector('svg').getBoundingClientRect())"))
    browser.mouse(box["x"] + 46 + (box["width"] - 56) / 2, box["y"] + 60)
    assert browser.js(where) == "round 3000"
    everywhere = "new Set([...document.querySelectorAll('#curves .where')].map(span => span.textContent)).size"
    assert browser.js(everywhere) == 1  # every chart shows the same moment
    browser.mouse(5, 5)
    assert browser.js(where) == ""
    browser.js(f"{logits}.querySelector('svg').focus({{preventScroll: true}})")
    browser.key("Home")
    browser.key("ArrowRight")
    assert browser.js(where) == "round 50"
    line = f"{logits}.querySelector('path.line').getAttribute('d')"
    plain = browser.js(line)
    browser.js("document.querySelector('[name=log]').click()")
    logarithmic = browser.js(line)
    browser.js("document.querySelector('[name=smooth]').click()")
    assert len({plain, logarithmic, browser.js(line)}) == 3
    assert "NaN" not in browser.js("document.querySelector('main').innerHTML.replaceAll(/base64,[^\"]*/g, '')")
    browser.js(f"{logits}.querySelector('.legend button').click()")
    assert browser.js(f"{logits}.querySelectorAll('path.line').length") == 2


def test_the_film_plays_and_the_slider_takes_keys(browser: Browser, run_dir: Path, page: str) -> None:
    browser.open(run_dir / "report.html")
    at, source = "document.querySelector('.viewer .at').textContent", "document.querySelector('.viewer img').src"
    final = browser.js(source)
    browser.js("document.querySelector('.film input').focus()")
    browser.key("Home")
    browser.js("document.querySelector('.film input').value = 0; document.querySelector('.film input').dispatchEvent(new Event('input'))")
    assert browser.js(at) == "round 0, 0 samples seen"
    assert browser.js(source) != final
    browser.js("document.querySelector('.play').click()")
    until = time.monotonic() + 20
    while browser.js("document.querySelector('.play').textContent") != "Play" and time.monotonic() < until:
        time.sleep(0.2)
    assert browser.js(at).startswith("round 6,000")
    assert browser.js(source) == final


def test_names_from_the_data_never_execute(browser: Browser, tmp_path: Path) -> None:
    run = make_run(tmp_path / "<img src=x onerror=alert(1)>", rounds=1200, pictures=3, label=ATTACK)
    content = json.loads((run / "run.json").read_text())
    content |= {
        "recipe": ATTACK,
        "command": f"agon train '{ATTACK}'",
        ATTACK: ATTACK,
        "reasons": {ATTACK: ATTACK},
        "environment": {ATTACK: ATTACK},
    }
    (run / "run.json").write_text(json.dumps(content))
    append_jsonl(run / "metrics.jsonl", {"name": ATTACK, "value": 1.0, "floor": 0.5, "protocol": ATTACK, "round": 1200})
    append_jsonl(
        run / "events.jsonl", {"round": 1210, "kind": "tick", "time": 1, "stats": {f"{ATTACK}/grad": 1.0, f"critic/{ATTACK}": 2.0}}
    )
    append_jsonl(
        run / "events.jsonl", {"round": 1210, "kind": "health", "sign": ATTACK, "sentence": ATTACK, "evidence": ATTACK, "remedy": ATTACK}
    )
    browser.complaints.clear()
    browser.open(write_report(run))
    browser.js("document.querySelector('[name=log]').click()")
    assert browser.js("document.documentElement.dataset.ready") == "1"
    assert browser.js("document.documentElement.dataset.pwned") is None
    assert browser.js("document.scripts.length") == 2
    assert browser.js("document.querySelectorAll('img[onerror]').length") == 0
    assert browser.js("document.documentElement.scrollWidth") <= 1280
    assert browser.complaints == []


def test_the_policy_stops_a_script_that_got_in(browser: Browser, run_dir: Path, page: str, tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text(page.replace("<main>", "<main><script>document.documentElement.dataset.pwned = 1</script>"), "utf-8")
    browser.open(bad)
    assert browser.js("document.documentElement.dataset.pwned") is None
    assert browser.js("document.documentElement.dataset.ready") == "1"
