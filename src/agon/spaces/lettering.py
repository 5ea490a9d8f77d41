"""Lines of text to a file: as text, or as a picture of it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from agon.errors import InputError
from agon.spaces.drawing import STILL, written_beside

WIDTH = 100  # characters of a line of a picture
_SIZE, _STEP, _MARGIN = 14, 20, 12  # pixels


def write_lines(target: Path, lines: Sequence[str]) -> Path:
    """Write lines, by the suffix: .txt as they are, .png .jpg .webp as a picture, numbered and wrapped at 100 characters. Raises InputError."""
    suffix = target.suffix.lower()
    if suffix == ".txt":
        with written_beside(target) as path:
            path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
        return target
    if suffix not in STILL:
        raise InputError(f"cannot write {target.name!r}: expected a name ending in .txt, .png, .jpg or .webp")
    from PIL import Image as Pillow
    from PIL import ImageDraw, ImageFont

    wrapped = [
        part for k, line in enumerate(lines) for part in (textwrap.wrap(f"{k + 1:3} {line}", WIDTH, subsequent_indent="    ") or [""])
    ]
    font = ImageFont.load_default(_SIZE)
    width = int(max(font.getlength(line) for line in wrapped or [""])) + 2 * _MARGIN
    picture = Pillow.new("RGB", (width, _STEP * len(wrapped) + 2 * _MARGIN), "white")
    draw = ImageDraw.Draw(picture)
    for k, line in enumerate(wrapped):
        draw.text((_MARGIN, _MARGIN + k * _STEP), line, fill=(20, 20, 20), font=font)
    with written_beside(target) as path:
        picture.save(path, format={".png": "PNG", ".webp": "WEBP"}.get(suffix, "JPEG"))
    return target
