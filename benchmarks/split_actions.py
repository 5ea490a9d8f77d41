"""MoCoGAN's actions with two actors kept back: python benchmarks/split_actions.py weizmann_actions_64.zip OUT.zip

Each file is a strip, CLASS/NUMBER.webp; the actor is NUMBER // 8, and the original set's odd numbers mirror the even ones. OUT.zip has actors 0 to 6
under train/ and 7 and 8 (numbers 56 to 71) under test/, which `agon train OUT.zip --frames 16` takes as its split.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path, PurePosixPath

CLIPS_AN_ACTOR, FIRST_HELD = 8, 7


def split(source: Path, out: Path) -> tuple[int, int]:
    """Write `out`; how many strips are to train on, and how many kept back."""
    counts = [0, 0]
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(out, "w") as target:
        for name in sorted(archive.namelist()):
            if name.endswith("/"):
                continue
            held = int(PurePosixPath(name).stem) // CLIPS_AN_ACTOR >= FIRST_HELD
            member = zipfile.ZipInfo(f"{'test' if held else 'train'}/{name}")  # no date: the same bytes each time
            target.writestr(member, archive.read(name))
            counts[held] += 1
    return counts[0], counts[1]


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    print("{} strips to train on, {} kept back".format(*split(Path(sys.argv[1]), Path(sys.argv[2]))))
