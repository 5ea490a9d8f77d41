"""Data sets of the Hugging Face hub, "hf:NAME" or "hf:NAME:CONFIG", through the library `datasets`: their splits, and those that are text as a corpus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agon.data.corpus import Corpus, Row, take_records
from agon.data.request import Data
from agon.errors import InputError

IMAGE_COLUMNS = ("image", "img", "picture", "images", "jpg", "png", "webp")
TRAIN_WORDS, TEST_WORDS = ("train", "training"), ("test", "validation", "valid", "val")
SIGN = "hf:"


def splits_of(name: str) -> tuple[Mapping[str, Any], str, str | None]:
    """(the splits of a data set, the name of the one to train on, that of the one held out or None). Raises InputError if it cannot be had."""
    try:
        import datasets  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise InputError(f"hf:{name} needs the datasets library: pip install 'agon-gan[hub]'") from None
    repository, _, config = name.partition(":")
    if not repository:
        raise InputError("hf: names no data set; expected hf:NAME or hf:NAME:CONFIG, for example hf:mnist")
    try:
        splits = datasets.load_dataset(repository, config or None)
    except Exception as error:  # network, missing repository and permission errors share no base
        why = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise InputError(f"the hub data set {name!r} cannot be had: {why}; check its name and the network, or give a local path") from None
    train = next((split for split in TRAIN_WORDS if split in splits), next(iter(splits), None))
    if train is None:
        raise InputError(f"the hub data set {name!r} has no split")
    return splits, train, next((split for split in TEST_WORDS if split in splits and split != train), None)


def is_text(data: Data) -> bool:
    """Whether this is a data set of the hub that is read as text: its text was named, or it has no pictures. Raises InputError if it cannot be had."""
    if not data.path.startswith(SIGN):
        return False
    if data.text or data.source or data.target:
        return True
    splits, train, _ = splits_of(data.path[len(SIGN) :])
    return not set(IMAGE_COLUMNS) & set(splits[train].features)


def read_hub(data: Data) -> Corpus:
    """The rows of the training split and of the one held out. Raises InputError when there is no text."""
    name = data.path[len(SIGN) :]
    splits, train, test = splits_of(name)
    corpus = Corpus("hub data set", data.path, text_name=data.target or data.text or "")
    sides: list[bool] = []
    for split in (train, test):
        if split is not None:
            before = len(corpus)
            take_records(corpus, f"{data.path} {split}", _rows(splits[split], f"{data.path} {split}"), data)
            sides += [split != train] * (len(corpus) - before)
    if any(sides) and not all(sides):
        corpus.held, corpus.split_origin = sides, f"its own {test} split"
    if not len(corpus):
        raise InputError(f"{data.path} has no sentence that can be read; name its column: --text COLUMN, or --source A --target B.")
    return corpus


def _rows(part: Any, where: str) -> list[Row]:
    """Rows as columns; classes by their names, and a pair of languages in one column as columns of their own."""
    names = {key: getattr(kind, "names", None) for key, kind in part.features.items()}
    found: list[Row] = []
    for number in range(len(part)):
        row: dict[str, Any] = {}
        for key, value in part[number].items():
            known = names.get(key)
            if key == "translation" and isinstance(value, dict):
                row |= value
            elif known and isinstance(value, int) and 0 <= value < len(known):
                row[key] = known[value]
            else:
                row[key] = value
        found.append((f"{where}, row {number}", row))
    return found
