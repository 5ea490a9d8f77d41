"""What the data card says of pictures and of clips alike: where they are from, how they are brought to size, what was found among the files."""

from __future__ import annotations

import math
from typing import Any

from agon.data.request import Data
from agon.data.source import Source
from agon.data.survey import Survey
from agon.spaces import Image, Video

LISTED = 1000  # files of a kind named in the card; all are counted
SMALL = 0.5  # of the size trained at, under which a picture is enlarged into a blur
LONG = 3.0  # times the shape trained at, beyond which most of a picture is cut away, or it is squeezed or padded


def pictured(
    data: Data, source: Source, looked: Survey, space: Image | Video, *, content_hash: str, train: int, held: int, split: str,
    labels: dict[str, Any], unreadable: list[list[str]],
) -> dict[str, Any]:  # fmt: skip
    """The card's words. train, held: how many samples; split: how they were told apart; unreadable: [file, reason] each."""
    return {
        "path": source.path,
        "kind": source.kind,
        "space": space.describe(),
        "content_hash": content_hash,
        "num_items": len(source),
        "num_train": train,
        "num_held": held,
        "split": split,
        "size": [space.height, space.width],
        "channels": space.channels,
        "resize": space.resize,
        "filter": space.filter,
        "mirror": data.mirror,
        "labels": labels,
        "median_short_side": looked.short_side,
        "sizes": dict(list(looked.sizes.items())[:50]),
        "num_sizes": len(looked.sizes),
        **_misfits(looked, space),
        "modes": looked.modes,
        "formats": looked.formats,
        "animated": looked.animated,
        "num_unreadable": len(unreadable),
        "unreadable": unreadable[:LISTED],
        "ignored": dict(source.ignored.most_common()),
        "notes": source.notes,
    }


def _misfits(looked: Survey, space: Image | Video) -> dict[str, Any]:
    """How many pictures are far smaller than the size trained at, or of quite another shape, with the extreme ones."""
    if isinstance(space, Video):
        return {}
    sides = {name: tuple(map(int, name.split("×"))) for name in looked.sizes}
    short = {name: max(width / space.width, height / space.height) for name, (width, height) in sides.items()}
    long = {name: abs(math.log(max(width, 1) / max(height, 1) * space.height / space.width)) for name, (width, height) in sides.items()}
    small = [name for name in sides if short[name] < SMALL]
    odd = [name for name in sides if long[name] > math.log(LONG)]
    return {
        "num_small": sum(looked.sizes[name] for name in small),
        "smallest": min(small, key=lambda name: short[name], default=None),
        "num_long": sum(looked.sizes[name] for name in odd),
        "longest": max(odd, key=lambda name: long[name], default=None),
    }
