"""What the data card says of pictures and of clips alike: where they are from, how they are brought to size, what was found among the files."""

from __future__ import annotations

from typing import Any

from agon.data.request import Data
from agon.data.source import Source
from agon.data.survey import Survey
from agon.spaces import Image, Video

LISTED = 1000  # files of a kind named in the card; all are counted


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
        "modes": looked.modes,
        "formats": looked.formats,
        "animated": looked.animated,
        "num_unreadable": len(unreadable),
        "unreadable": unreadable[:LISTED],
        "ignored": dict(source.ignored.most_common()),
        "notes": source.notes,
    }
