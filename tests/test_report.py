"""The report: made from any state of a run directory, one file, no network, nothing executed that came from the data."""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from agon import curves, film
from agon.errors import InputError
from agon.journal import read_journal, state
from agon.records import append_jsonl
from agon.report import write_report

PROTOCOL = {
    "metric": "fd", "extractor": "classifier", "extractor_hash": "a13c9d02be77", "resize": "none", "reference": "train",
    "reference_hash": "5be1f0c2", "num_samples": 10000, "seed": 0, "weights": "ema", "version": 1,
}  # fmt: skip
ATTACK = "</script><script>document.documentElement.dataset.pwned=1</script><img src=x onerror='document.documentElement.dataset.pwned=2'>"


# -- run directories made by code ----------------------------------------------------------------------------------------------------


def draw_grid(share: float, seed: int, tiles: int = 8, side: int = 32) -> Image.Image:
    """A grid of digits that come out of noise as `share` goes from 0 to 1."""
    chance = random.Random(seed)
    grid = Image.new("L", (tiles * (side + 2) + 2,) * 2, 40)
    font = ImageFont.load_default(size=side * 0.85)
    for index in range(tiles * tiles):
        x, y = index % tiles, index // tiles
        clean = Image.new("L", (side, side), 0)
        ImageDraw.Draw(clean).text((side * 0.25 + chance.uniform(-2, 2), chance.uniform(-3, 1)), str(x % 10), 255, font=font)
        clean = clean.rotate(chance.uniform(-14, 14), resample=Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(0.6 + 2.5 * (1 - share)))
        noise = Image.frombytes("L", (side, side), chance.randbytes(side * side))
        grid.paste(Image.blend(noise, clean, min(1.0, 0.15 + share)), (2 + x * (side + 2), 2 + y * (side + 2)))
    return grid


def make_run(path: Path, *, rounds: int = 6000, end: str = "done", label: str = "", pictures: int = 25, now: float | None = None) -> Path:
    """A run directory as `agon train` leaves it: MNIST, R3GAN, a resume, a roll-back and two health signs. label: the first class's name."""
    chance = random.Random(1)
    begun = (time.time() if now is None else now) - 640
    (path / "samples").mkdir(parents=True)
    classes = [label or "0", *(str(digit) for digit in range(1, 10))]
    run = {
        "format": 1, "agon": "0.1.0", "created": "2026-08-01T09:30:12+0000", "recipe": "r3gan",
        "game": {
            "name": "r3gan", "z_dim": 64, "gamma": 0.5, "conditional": True, "net": {"kind": "lean", "width": 48, "blocks": [2, 2, 2]},
            "optim": {"G": {"lr": 0.0004, "betas": [0.0, 0.99], "clip": None}, "D": {"lr": 0.0004, "betas": [0.0, 0.99], "clip": None}},
            "ema": {"G": {"half_life": 20000}},
        },
        "data": {"path": "data/mnist.zip", "size": 32, "channels": None, "resize": "cover", "filter": "lanczos", "labels": "auto",
                 "mirror": False, "holdout": 0.1, "limit": None, "memory": "auto"},
        "space": {"kind": "image", "channels": 1, "height": 32, "width": 32, "classes": classes, "resize": "cover", "filter": "lanczos"},
        "rounds": rounds, "batch": 64, "microbatch": None, "device": "auto", "precision": "auto", "channels_last": True, "compile": False,
        "seed": 0, "tick": rounds // 120, "score_every": rounds // 6, "save_every": rounds // 40, "metrics": ["fd", "prdc"],
        "extractor": "classifier", "num_samples": 10000, "keep": 2, "patience": 10, "class_share": [0.1] * 10,
        "reasons": {
            "resize": "cover: every image is square already", "size": "32: 28×28 images, next power of two", "recipe": "r3gan: 60,000 images of 32×32",
            "gamma": "0.5: 0.05 at 16×16 and batch 256, times the area", "device": "cpu: no CUDA device", "precision": "fp32: bf16 is slow on this CPU",
            "batch": "asked for",
        },
        "environment": {"python": "3.12.4", "torch": "2.13.0+cpu", "platform": "Linux-6.1-x86_64", "cpu": "AMD EPYC 7R13", "threads": 2, "device": "cpu"},
        "command": "agon train data/mnist.zip --batch 64 --out runs/mnist-r3gan",
    }  # fmt: skip
    card = {
        "source": "zip of images, a folder a class", "count": 60000, "usable": 59998, "train": 53998, "held": 6000, "content_hash": "5be1f0c2a9d3",
        "sizes": {"28×28": 59998}, "modes": {"L": 59998}, "resize": "cover, lanczos, to 32×32", "duplicates": 0,
        "balance": {name: 5400 + chance.randint(-500, 700) for name in classes},
        "unreadable": [["train/3/000123.png", "truncated after 211 of 402 bytes"], [f"train/{label or '7'}/broken.png", "zero bytes"]],
    }  # fmt: skip
    (path / "run.json").write_text(json.dumps(run), "utf-8")
    (path / "data.json").write_text(json.dumps(card), "utf-8")
    write_rows(path, rounds, begun, chance, end)
    stops = [round(rounds * i / max(1, pictures - 1)) for i in range(pictures)]
    for at in stops:
        draw_grid(1 - math.exp(-4 * at / rounds), seed=3).save(path / "samples" / f"{at:08d}.png")
    return path


def write_rows(path: Path, rounds: int, begun: float, chance: random.Random, end: str) -> None:
    """events.jsonl and metrics.jsonl."""
    events, seconds = path / "events.jsonl", 0.0

    def event(round: int, kind: str, **more: Any) -> None:
        append_jsonl(events, {"time": round_s(begun + seconds), "round": round, "seen": round * 64, "kind": kind, **more})

    event(0, "start", seed=0, space="32×32 grey images, 10 classes")
    for at in range(0, rounds + 1, rounds // 120):
        share, wobble = at / rounds, chance.gauss(0, 1)
        seconds = 600 * share
        if at == rounds // 3:
            event(at, "resume")
        if at == rounds // 2:
            for number in range(4):
                event(at, "skip", player="D", in_a_row=number + 1, skipped=number + 1)
            event(at, "rollback", failed=at + 31, attempt=1, sentence="10 updates in a row were not finite; back to the last state with other noise")
        gap = 2.2 * (1 - math.exp(-5 * share)) + 0.1 * wobble
        stats = {
            "critic/adv": 1.38 - 0.5 * (1 - math.exp(-6 * share)) + 0.03 * wobble, "critic/r1": 0.2 * math.exp(-4 * share) + 0.004 * abs(wobble) + 0.01,
            "critic/r2": 0.15 * math.exp(-3 * share) + 0.003 * abs(wobble) + 0.01, "generator/adv": 0.7 + 0.6 * share + 0.06 * chance.gauss(0, 1),
            "D/grad": 0.8 + 0.5 * share + 0.1 * abs(wobble), "G/grad": 0.3 + 0.15 * share + 0.05 * abs(chance.gauss(0, 1)),
            "D/real": gap / 2, "D/fake": -gap / 2, "D/held": gap / 2 - 0.6 * share**2, "D/accuracy real": 0.5 + 0.35 * share,
            "D/accuracy fake": 0.5 + 0.33 * share, "D/accuracy held": 0.5 + 0.25 * share, "sample/diversity": 0.62 - 0.3 * math.exp(-9 * share),
            "real/diversity": 0.66, "sample/saturation": 0.5 * share, "real/saturation": 0.61, "sample/finite": 1.0,
        }  # fmt: skip
        rate = None if at == 0 else 640 + 12 * chance.gauss(0, 1)
        event(at, "tick", stats=stats, rate=rate, seconds=seconds, cpu_seconds=seconds * 1.9, memory_mb=512 + 60 * min(1, 9 * share), skipped=0)
        if at and at % (rounds // 6) == 0:
            seconds_at = {"round": at, "seen": at * 64, "seconds": seconds, "cpu_seconds": seconds * 1.9}
            value = 9 + 190 * math.exp(-7 * share) + (3.4 if share == 1 else 0)
            append_jsonl(path / "metrics.jsonl", {**seconds_at, "name": "fd", "value": value, "floor": 2.13, "protocol": PROTOCOL, "higher_is_better": False})
            for name, best, floor in (("precision", 0.81, 0.93), ("recall", 0.55, 0.92), ("density", 0.77, 1.01), ("coverage", 0.74, 0.96)):
                row = {"name": name, "value": best * (1 - math.exp(-5 * share)), "floor": floor, "protocol": {**PROTOCOL, "metric": "prdc"}}
                append_jsonl(path / "metrics.jsonl", {**seconds_at, **row, "higher_is_better": True})
    remedy = "agon train data/mnist.zip --batch 64 --out runs/mnist-r3gan --game.gamma 2 --mirror"
    for at in (rounds * 7 // 10, rounds * 9 // 10):
        event(at, "health", sign="discriminator overfitting", remedy=remedy,
              sentence="The critic has learnt the training samples by heart: it takes unseen real ones for fakes.",
              evidence="held-out reals lie 38% of the way from fakes to training reals (53,998 training samples)")  # fmt: skip
    if end in ("done", "stop"):
        event(rounds, "save")
        event(rounds, end)


def round_s(seconds: float) -> float:
    return round(seconds, 3)


# -- without a browser ---------------------------------------------------------------------------------------------------------------


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
        "discriminator overfitting", "38% of the way", "--game.gamma 2 --mirror", "no CUDA device", "optim.G.lr", "0.0004", "truncated after 211",
        "5be1f0c2a9d3", "2.13.0+cpu", "rollback", "skip × 4", "Begun with", "/run.json", "Loss terms: critic", "round 6,000, 384,000 samples seen",
    ):  # fmt: skip
        assert text in body, text
    assert body.count("<section") == 8
    assert len(re.findall(r"<img [^>]*alt=\"[^\"]+\"", body)) == body.count("<img ") == 26


def test_the_best_score_is_marked_where_it_is(page: str) -> None:
    assert "best 9.556 at round 5,000" in page  # the last one, 12.57, is worse
    assert len(re.findall("★</b>", page)) == 5


def test_the_embedded_data_are_strict_json(page: str) -> None:
    text = re.search(r'<script type="application/json" id="content">(.*?)</script>', page, re.S)
    assert text is not None
    content = json.loads(text[1], parse_constant=pytest.fail)
    ids = [panel["id"] for panel in content["panels"]]
    assert ids[:5] == ["score fd", "score precision", "score recall", "score density", "score coverage"]
    assert ids[5:] == ["terms critic", "terms generator", "logits", "accuracy", "gradients", "diversity", "saturation", "throughput", "memory"]
    for panel in content["panels"]:
        for series in panel["series"]:
            assert len(series["values"]) == len(content["axes"][series["x"]]["round"])


@pytest.mark.parametrize(("end", "late", "word"), [
    ("done", 0, "finished"), ("stop", 0, "stopped"), ("", 0, "running"), ("", 90_000, "interrupted"),
])  # fmt: skip
def test_the_state_of_a_run(tmp_path: Path, end: str, late: float, word: str) -> None:
    write_rows(tmp_path, 1200, time.time() - 640, random.Random(0), end)
    assert state(read_journal(tmp_path), time.time() + late)[0] == word


def test_a_run_that_just_began(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"recipe": "dcgan", "rounds": 10}')
    text = write_report(tmp_path).read_text("utf-8")
    for said in ("not started", "No score has been taken yet", "No sample grid", "No signs fired", "No statistics", "data.json is not there"):
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
    assert [scores.protocol for scores in read_journal(tmp_path).scores] == ["num_samples 100", "num_samples 200"]


def test_long_curves_are_averaged_and_it_is_said(tmp_path: Path) -> None:
    ticks = [{"round": at, "stats": {"G/grad": float(at % 2)}} for at in range(4000)]
    axis, drawn, stride = curves.panels(ticks)
    assert stride == 3
    assert len(axis["round"]) == len(drawn[0]["series"][0]["values"]) == 1334
    assert axis["round"][0] == 2
    for row in ticks:
        append_jsonl(tmp_path / "events.jsonl", {"kind": "tick", **row})
    assert "Each point is the mean of 3 ticks" in write_report(tmp_path).read_text("utf-8")


def test_a_film_of_large_grids_stays_within_its_budget(tmp_path: Path) -> None:
    noise = Image.frombytes("RGB", (700, 700), random.Random(0).randbytes(700 * 700 * 3))
    for at in range(60):
        noise.save(tmp_path / f"{at:08d}.png", compress_level=1)
    made = film.film(tmp_path)
    assert (len(made.frames), made.total) == (film.FRAMES, 60)
    assert (made.frames[0].round, made.frames[-1].round) == (0, 59)
    assert sum(len(frame.uri) for frame in made.frames) < 5_000_000


def test_small_grids_keep_their_pixels(tmp_path: Path) -> None:
    import base64
    import io

    grid = draw_grid(0.5, 1, tiles=3)
    grid.save(tmp_path / "00000000.png")
    uri = film.film(tmp_path).frames[0].uri
    with Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))) as back:
        assert back.convert("L").tobytes() == grid.tobytes()


def test_an_animation_stands_in_for_missing_grids(tmp_path: Path) -> None:
    frames = [draw_grid(share / 5, 1, tiles=2) for share in range(6)]
    frames[0].save(tmp_path / "progress.gif", save_all=True, append_images=frames[1:])
    assert len(film.film(tmp_path).frames) == 6


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
KEYS = ("round", "seen", "time", "seconds", "stats", "rate", "value", "floor", "protocol", "name", "sign", "remedy", "evidence", "balance", "game")
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
    code = f"import sys; sys.modules['torch'] = None; from agon.report import write_report; write_report({str(run_dir)!r}, {str(tmp_path / 'r.html')!r})"
    subprocess.run([sys.executable, "-c", code], check=True)


# -- in headless Chromium ------------------------------------------------------------------------------------------------------------

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome on the PATH")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe"]  # fmt: skip


class Browser:
    """Chromium spoken to over its debugging pipe: JSON messages that end in a zero byte."""

    def __init__(self, profile: Path) -> None:
        read, self._out = os.pipe()
        self._in, write = os.pipe()
        command = f'exec "$0" "$@" 3<&{read} 4>&{write}'
        self._process = subprocess.Popen(
            ["sh", "-c", command, str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}"],
            pass_fds=(read, write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(read)
        os.close(write)
        self._number, self._buffer, self._session = 0, b"", ""
        self.complaints: list[str] = []  # console messages and exceptions
        self.requests: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command and its answer; what the page says meanwhile is kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        os.write(self._out, json.dumps(message | ({"sessionId": self._session} if self._session else {})).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self._hear(answer.get("method", ""), answer.get("params", {}))

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            part = os.read(self._in, 1 << 20)
            assert part, "Chromium ended"
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def _hear(self, method: str, said: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.complaints.append(str(said["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(str(said["args"]))
        elif method == "Log.entryAdded":
            self.complaints.append(said["entry"]["text"])
        elif method == "Network.requestWillBeSent" and not said["request"]["url"].startswith("data:"):
            self.requests.append(said["request"]["url"])

    def open(self, page: Path, width: int = 1280, height: int = 900, **media: str) -> None:
        """Load a page from disk at this width, with media features such as prefers_color_scheme="dark"."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        features = [{"name": name.replace("_", "-"), "value": value} for name, value in media.items()]
        self.call("Emulation.setEmulatedMedia", features=features)
        self.call("Page.navigate", url=page.resolve().as_uri())
        until = time.monotonic() + 20
        while self.js("document.readyState") != "complete" or not self.js("location.protocol === 'file:'"):
            assert time.monotonic() < until, "the page did not load in 20 s"
            time.sleep(0.05)

    def js(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def mouse(self, x: float, y: float) -> None:
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def key(self, key: str) -> None:
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, code=key)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=key)

    def picture(self, path: Path, whole: bool = True) -> Path:
        """A screenshot of the page as a PNG file."""
        import base64

        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(shot))
        return path

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)
        for handle in (self._in, self._out):
            with contextlib.suppress(OSError):
                os.close(handle)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()
