"""The packed cache: found again, repaired when damaged, done without when it cannot be written; memory stays bounded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from agon.data import Data, Loader, default_cache, open_data, pack
from agon.data.samples import held_out, held_out_few, held_out_surely, sample_hashes
from agon.errors import InputError


def entry(cache: Path) -> Path:
    (found,) = (cache / "data").iterdir()
    return found


@pytest.fixture
def folder(tmp_path, make):
    """A small folder of pictures."""
    return make.fill(tmp_path / "p", 40)


def test_the_second_time_nothing_is_decoded(folder, opened, cache, monkeypatch):
    first = opened(folder)
    assert first.reasons["cache"] == f"written to {entry(cache)}"
    monkeypatch.setattr(pack, "_decode_one", lambda *_: pytest.fail("decoded again"))
    second = opened(folder)
    assert second.reasons["cache"] == "found, nothing decoded again"
    assert second.content_hash == first.content_hash
    assert torch.equal(first.train.x, second.train.x)
    assert {k: v for k, v in first.card.items() if k != "cache"} == second.card


@pytest.mark.parametrize(
    "options", [{"size": 8}, {"channels": 1}, {"resize": "contain"}, {"filter": "box"}, {"holdout": 0.3}, {"limit": 20}], ids=str
)
def test_other_options_are_another_entry(folder, opened, cache, options):
    first, other = opened(folder), opened(folder, **options)
    assert len(list((cache / "data").iterdir())) == 2
    assert first.content_hash != other.content_hash


def test_changed_content_is_noticed(folder, opened, make, cache):
    first = opened(folder)
    stamp = (folder / "003.png").stat()
    raw = (folder / "003.png").read_bytes()
    changed = bytearray(make.png(77))
    changed += b"\0" * max(0, len(raw) - len(changed))
    (folder / "003.png").write_bytes(changed)
    os.utime(folder / "003.png", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert opened(folder).content_hash != first.content_hash


@pytest.mark.parametrize("harm", ["short", "bit", "meta", "missing", "empty"])
def test_a_damaged_entry_is_built_again(folder, opened, cache, harm):
    first = opened(folder)
    place = entry(cache) / "train.x"
    if harm == "short":
        place.write_bytes(place.read_bytes()[:-10])
    elif harm == "bit":
        raw = bytearray(place.read_bytes())
        raw[1000] ^= 1
        place.write_bytes(raw)
    elif harm == "meta":
        (entry(cache) / "meta.json").write_text('{"format": 1, "fi')
    elif harm == "missing":
        place.unlink()
    else:
        (entry(cache) / "meta.json").write_bytes(b"")
    again = opened(folder)
    assert "the one there was" in again.reasons["cache"]
    assert torch.equal(again.train.x, first.train.x)
    assert opened(folder).reasons["cache"] == "found, nothing decoded again"
    assert not [left for left in (cache / "data").iterdir() if left.name.startswith("stage")]


def test_mapped_and_in_memory_are_the_same(folder, opened, cache):
    ram, mapped = opened(folder, memory="ram"), opened(folder, memory="mmap")
    assert "mapped from the cache file" in mapped.reasons["memory"]
    assert torch.equal(ram.train.x, mapped.train.x)
    assert torch.equal(Loader(ram.train, 8, 0).round(2)[0]["x"], Loader(mapped.train, 8, 0).round(2)[0]["x"])
    mapped.train.x[0] = 0  # private to this process
    assert opened(folder).content_hash == ram.content_hash
    assert torch.equal(opened(folder).train.x, ram.train.x)


def test_large_sets_stay_in_the_file(folder, opened, monkeypatch):
    monkeypatch.setattr(pack, "physical_memory", lambda: 50_000)
    assert "above a quarter of 50 kB memory" in opened(folder).reasons["memory"]


def test_a_damaged_mapped_entry_is_noticed_by_its_spots(folder, opened, cache):
    opened(folder, memory="mmap")
    place = entry(cache) / "train.x"
    place.write_bytes(bytes(place.stat().st_size))
    assert "does not match" in opened(folder, memory="mmap").reasons["cache"]


def test_an_unwritable_cache_is_done_without(folder, tmp_path):
    (tmp_path / "file").write_text("in the way")
    data_set = open_data(Data(path=str(folder)), cache=tmp_path / "file")
    assert data_set.reasons["cache"].startswith("not used, decoded into memory: ")
    assert len(data_set.train) + len(data_set.held) == 40


def test_a_full_disk_is_done_without(folder, opened, cache, monkeypatch):
    first = opened(folder)
    real = pack._Sink.__init__

    def full(self, stage, *rest):
        real(self, stage, *rest)
        if stage is not None:
            for file in self.files.values():
                file.close()
            self.files = {part: open("/dev/full", "wb", buffering=0) for part in self.files}  # noqa: SIM115

    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    monkeypatch.setattr(pack._Sink, "__init__", full)
    second = opened(folder, size=8)
    assert "No space left" in second.reasons["cache"]
    assert len(second.train) == len(first.train) or len(second.train) > 0
    assert len(list((cache / "data").iterdir())) == 1, "nothing half-written stays"
    monkeypatch.setattr(pack, "physical_memory", lambda: 1000)
    with pytest.raises(InputError, match="do not fit in memory; choose another cache folder"):
        opened(folder, size=9)


def test_interrupted_packing_leaves_nothing(folder, opened, cache, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(pack, "sample_hashes", stop)
    with pytest.raises(KeyboardInterrupt):
        opened(folder)
    assert list((cache / "data").iterdir()) == []


def test_two_processes_at_once(folder, tmp_path):
    code = (
        "import sys; from pathlib import Path; from agon.data import *;"
        f"d = open_data(Data(path={str(folder)!r}), cache=Path({str(tmp_path / 'c')!r})); print(d.content_hash, len(d.train))"
    )
    jobs = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = {job.communicate(timeout=120)[0] for job in jobs}
    assert [job.returncode for job in jobs] == [0, 0]
    assert len(told) == 1


def test_memory_stays_bounded_while_packing(tmp_path):
    """A set of 192 MB packed, under an address-space limit that has room for the program and a few tens of MB."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("needs /proc")
    code = f"""
import json, resource
from pathlib import Path
import numpy as np
from agon.data import Data, Loader, open_data, rows
rows.WHOLE_BELOW = 1000
count, side = 1000, 256
place = Path({str(tmp_path)!r}) / "big.npy"
array = np.lib.format.open_memmap(place, "w+", np.uint8, (count, side, side, 3))
for k in range(count):
    array[k] = k % 251
    array[k, k % side] = 255 - k % 200
array.flush(); del array
open_data(Data(path="digits")); import PIL.Image, torch; PIL.Image.init()
def anonymous():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon")) * 1024
before = anonymous()
peak = before
def say(*_): pass
from agon.data import pack
real = pack._Sink.add
def add(self, *rest):
    global peak
    real(self, *rest)
    peak = max(peak, anonymous())
pack._Sink.add = add
data_set = open_data(Data(path=str(place), size=256, memory="mmap"), cache=Path({str(tmp_path)!r}) / "c", say=say)
Loader(data_set.train, 16, 0).round(0)
print(json.dumps([peak - before, anonymous() - before, len(data_set.train) + len(data_set.held)]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    peak, after, count = json.loads(done.stdout)
    assert count == 1000
    assert peak < 80 * 2**20, f"packing 192 MB took {peak / 2**20:.0f} MB"
    assert after < 60 * 2**20


# --- the split -----------------------------------------------------------------------------------------------------


def test_the_split_follows_content_not_order(tmp_path, make, opened):
    folder = make.fill(tmp_path / "p", 60)
    first = opened(folder, holdout=0.25)
    (folder / "000.png").rename(folder / "zzz.png")
    second = opened(folder, holdout=0.25)
    as_set = lambda x: {row.numpy().tobytes() for row in x}  # noqa: E731
    assert as_set(first.held.x) == as_set(second.held.x)
    make.fill(folder, 20, start=200)
    third = opened(folder, holdout=0.25)
    assert as_set(first.held.x) <= as_set(third.held.x), "adding files moves no other"
    assert as_set(first.train.x) <= as_set(third.train.x)


def test_copies_fall_on_one_side(tmp_path, make, opened):
    folder = make.fill(tmp_path / "p", 30)
    for k in range(30):
        (folder / f"copy{k}.png").write_bytes((folder / f"{k:03d}.png").read_bytes())
    data_set = opened(folder, holdout=0.3)
    held = {row.numpy().tobytes() for row in data_set.held.x}
    assert held
    assert not held & {row.numpy().tobytes() for row in data_set.train.x}
    assert data_set.card["duplicates"] == 30


def test_very_small_sets_still_hold_some_back(tmp_path, make, opened):
    data_set = opened(make.fill(tmp_path / "p", 8))
    assert 2 <= len(data_set.held) <= 4
    assert opened(make.fill(tmp_path / "p", 8), holdout=0.0).held.x.shape == (0, 3, 16, 16)
    for k in range(8):
        (tmp_path / "p" / f"{k:03d}.png").write_bytes(make.png(1))
    same = opened(tmp_path / "p")
    assert (len(same.train), len(same.held)) == (8, 0)
    assert "all images are the same" in same.reasons["split"]


def test_hash_rules():
    rows = np.random.default_rng(0).integers(0, 256, (20_000, 3, 4, 4), dtype=np.uint8)
    hashes = sample_hashes(rows)
    assert len(np.unique(hashes)) == 20_000
    assert abs(held_out(hashes, 0.1).mean() - 0.1) < 0.01
    assert not held_out(hashes, 0.0).any()
    assert (held_out(hashes, 0.1) <= held_out(hashes, 0.2)).all()
    few = held_out_few(hashes[:8], 0.1, 2)
    assert few.sum() == 2
    assert not held_out_few(hashes[:1].repeat(5), 0.1, 2).any()
    for some, share, chance in ((hashes, 0.1, True), (hashes[:8], 0.0, True), (hashes[:8], 1e-9, False)):
        held, by_chance = held_out_surely(some, share)
        assert by_chance == chance and (held == (held_out(some, share) if chance else held_out_few(some, share, 2))).all()
    assert sample_hashes(rows[:0]).shape == (0,)


def test_where_the_cache_lies(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("AGON_CACHE", raising=False)
    if sys.platform.startswith("linux"):
        assert default_cache() == tmp_path / "agon"
    monkeypatch.setenv("AGON_CACHE", str(tmp_path / "here"))
    assert default_cache() == tmp_path / "here"
