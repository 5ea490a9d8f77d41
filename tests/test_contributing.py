"""The example in CONTRIBUTING.md is a game that obeys the laws."""

from __future__ import annotations

import re
from pathlib import Path

from agon.games import find_in_file
from agon.spaces import Image
from agon.testing import check_movers, check_resume

PAGE = Path(__file__).resolve().parent.parent / "CONTRIBUTING.md"


def test_the_example_game_works(tmp_path: Path) -> None:
    source = re.search(r"```python\n(\"\"\"Hinge GAN.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert source
    (tmp_path / "sngan.py").write_text(source[1])
    game = find_in_file(tmp_path / "sngan.py")()
    space = Image(channels=1, height=16, width=16)
    check_movers(game, space)
    check_resume(game, space, rounds=3)
