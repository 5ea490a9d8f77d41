"""`check`: the findings, near-duplicates, warnings and the preview."""

from __future__ import annotations

import io
import json
import time

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from agon.data import Data, check
from agon.data.duplicates import difference_hashes, near_duplicates
from agon.errors import InputError


def test_a_report_says_everything(tmp_path, make, cache):
    for k, (name, count) in enumerate((("cat", 30), ("dog", 30), ("rare", 2))):
        make.fill(tmp_path / "p" / name, count, start=100 * k)
    (tmp_path / "p" / "cat" / "cut.png").write_bytes(make.png(5)[:100])
    (tmp_path / "p" / "cat" / "gone.jpg").write_bytes(b"")
    (tmp_path / "p" / "dog" / "copy.png").write_bytes(make.png(101))
    (tmp_path / "p" / "notes.txt").write_text("x")
    report = check(Data(path=str(tmp_path / "p")), tmp_path / "out", cache=cache)
    assert report.verdict == "usable: 63 samples would train as 16×16 RGB images, 3 classes, 2 unreadable skipped, 3 warnings"
    text = "\n".join(report.lines())
    for told in (
        "65 items",
        "cat/cut.png: truncated",
        "cat/gone.jpg: empty file",
        "only 63 images",
        "2 of 65 files cannot be used",
        "30 × cat, 31 × dog, 2 × rare",
        "1 exact copies, 1 near or exact ones",
        "dog/101.png  dog/copy.png",
        "1 × .txt",
        "63 × 24×20",
        "63 × RGB",
        "would size",
    ):
        assert told in text, told
    assert json.loads(json.dumps(report.to_json()))["card"]["num_unreadable"] == 2
    picture = Pillow.open(report.preview)
    assert report.preview == str(tmp_path / "out" / "preview.png")
    assert picture.size == (8 * 66 - 2, 8 * 66 - 2)


def test_by_path_and_for_points(tmp_path, make, cache):
    assert check(make.fill(tmp_path / "p", 12), cache=cache).preview is None
    report = check("ring", tmp_path / "ring.png")
    assert "nothing wrong found" in report.verdict
    assert Pillow.open(tmp_path / "ring.png").size == (384, 384)
    with pytest.raises(InputError):
        check(tmp_path / "nothing")


def test_the_same_picture_saved_again_is_found(make):
    originals = [make.picture(k, height=64, width=64) for k in range(60)]
    again = []
    for k in range(20):
        file = io.BytesIO()
        originals[k].resize((80, 80)).save(file, "JPEG", quality=75)
        again.append(Pillow.open(file).resize((64, 64), Pillow.Resampling.LANCZOS))
    x = torch.from_numpy(np.stack([np.asarray(p) for p in (*originals, *again)]).transpose(0, 3, 1, 2).copy())
    found = near_duplicates(x)
    assert all(second == first + 60 for first, second in found), "no false pair"
    assert len(found) >= 15, "most of twenty, whatever the compression did to flat places"


def test_plain_drawings_are_not_all_the_same():
    x = torch.full((24, 1, 32, 32), 255, dtype=torch.uint8)
    for k in range(12):
        x[k, 0, 10:20, 10:20] = 20 * k  # one hash, other shades
        x[12 + k, 0, 8 * (k // 4) + 2, 8 * (k % 4) + 1 : 8 * (k % 4) + 7] = 0  # little ink at other places
    assert near_duplicates(x[:1]) == []
    assert len(near_duplicates(x)) == 0
    assert near_duplicates(torch.cat([x, x[3:4], x[3:4]])) == [[3, 24, 25]]
    assert near_duplicates(x[:0]) == []


def test_hashes_see_structure_not_brightness(make):
    x = torch.from_numpy(np.stack([make.pixels(k, 32, 32) for k in range(50)]).transpose(0, 3, 1, 2).copy())
    hashes, small = difference_hashes(x)
    assert (hashes.dtype, small.shape) == (np.uint64, (50, 72))
    assert len(np.unique(hashes)) == 50
    darker, _ = difference_hashes((x.float() * 0.8).to(torch.uint8))
    flipped = [bin(int(a) ^ int(b)).count("1") for a, b in zip(hashes, darker, strict=True)]
    assert np.mean(flipped) < 3


def test_sixty_thousand_are_fast():
    dice = torch.Generator().manual_seed(0)
    coarse = torch.rand(60_000, 1, 4, 4, generator=dice)
    x = (torch.nn.functional.interpolate(coarse, size=(28, 28), mode="bilinear") * 255).to(torch.uint8)
    x[-500:] = x[:500]
    start = time.process_time()
    groups = near_duplicates(x)
    assert time.process_time() - start < 20
    assert sum(group[-1] >= 59_500 for group in groups) == 500


def test_tiny_and_long_pictures_are_told(tmp_path, make, cache):
    make.fill(tmp_path / "p", 12)
    for name, size in (("dot", (1, 1)), ("icon", (7, 7)), ("banner", (2000, 20))):
        Pillow.new("RGB", size, "red").save(tmp_path / "p" / f"{name}.png")
    told = check(Data(path=str(tmp_path / "p"), size=16), tmp_path / "out", cache=cache).warnings
    assert "2 of 15 images are less than half as large as 16×16 (as 1×1) and are enlarged: take out what was not meant" in told
    assert (
        "1 of 15 images have quite another shape than 16×16 (as 2000×20), so that most of each is cut away: crop or take out what was not meant"
        in told
    )
    told = check(Data(path=str(tmp_path / "p"), size=64, resize="contain"), tmp_path / "out", cache=cache).warnings
    assert any(
        "14 of 15 images are less than half as large as 64×64 (as 1×1) and are enlarged: train at a smaller --size" in line for line in told
    )
    assert any("so that most of each is padding" in line for line in told)
