"""Spaces: what one sample is, how a file becomes it, how a network sees it, how a person sees it.

A space knows nothing about games or data sets. `Image` holds uint8 pictures [C, H, W] and `Video` uint8 clips [T, C, H, W], which networks
see in [-1, 1]; `Vector` holds float32 points [d] that networks see divided by `scale`; `Tokens` holds sentences [L] as numbers of words. Training,
scores and pictures share one space, so there is no difference between the resize of training and that of evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agon.config import decode
from agon.spaces.base import Space, SpaceT
from agon.spaces.image import Image
from agon.spaces.pictures import BACKGROUND, Filter, Resize, Unreadable, open_header, open_picture
from agon.spaces.tokens import Tokens
from agon.spaces.vector import Vector
from agon.spaces.video import Video

KINDS: dict[str, type[Space]] = {"image": Image, "vector": Vector, "video": Video, "tokens": Tokens}


def space_from_json(content: Mapping[str, Any]) -> Space:
    """The space that `config.encode` wrote, by its kind. Raises InputError."""
    return decode(KINDS[content.get("kind", "image")], dict(content), "space")


__all__ = [
    "BACKGROUND", "KINDS", "Filter", "Image", "Resize", "Space", "SpaceT", "Tokens", "Unreadable", "Vector", "Video", "open_header", "open_picture",
    "space_from_json",
]  # fmt: skip
