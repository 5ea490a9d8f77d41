"""Data sets of the Hugging Face hub, "hf:NAME" or "hf:NAME:CONFIG", through the library `datasets`: their splits, and those that are text as a corpus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agon.data.corpus import CLASS_COLUMNS, Corpus, Row, take_records
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
    """Whether this is a data set of the hub that is read as text: its text was named, or it has no pictures, films or sounds. Raises InputError."""
    if not data.path.startswith(SIGN):
        return False
    if data.text or data.source or data.target:
        return True
    splits, train, _ = splits_of(data.path[len(SIGN) :])
    features = splits[train].features
    return not set(IMAGE_COLUMNS) & set(features) and not any(_is_media(kind) for kind in features.values())


def _is_media(kind: Any) -> bool:
    return type(kind).__name__ in ("Image", "Audio", "Video", "Pdf")


def read_hub(data: Data) -> Corpus:
    """The rows of the training split and of the one held out: a test split, or a validation split where the other's classes are withheld.

    Raises InputError when there is no text.
    """
    splits, train, _ = splits_of(data.path[len(SIGN) :])
    corpus = Corpus("hub data set", data.path, text_name=data.target or data.text or "")
    take_records(corpus, f"{data.path} {train}", _rows(splits[train], f"{data.path} {train}", data), data)
    count, labelled = len(corpus), corpus.labels is not None
    held = None
    for split in (word for word in TEST_WORDS if word in splits and word != train):
        rows = _rows(splits[split], f"{data.path} {split}", data)
        more = Corpus(corpus.kind, data.path, text_name=corpus.text_name)
        take_records(more, f"{data.path} {split}", rows, data)
        if len(more) and (more.labels is not None) == labelled:
            held = split
            break
    if held is not None:
        take_records(corpus, f"{data.path} {held}", rows, data)
        corpus.held, corpus.split_origin = [k >= count for k in range(len(corpus))], f"its own {held} split"
    if not count:
        raise InputError(f"{data.path} has no sentence that can be read; name its column: --text COLUMN, or --source A --target B.")
    return corpus


def _rows(part: Any, where: str, data: Data) -> list[Row]:
    """Rows as columns, without pictures and sounds; classes by their names, and a pair of languages in one column as columns of their own."""
    names = {key: getattr(kind, "names", None) for key, kind in part.features.items() if not _is_media(kind)}
    # A class is never the text: it is kept where it was named or is called one.
    kept = [key for key, known in names.items() if not known or key.lower() in CLASS_COLUMNS or key in data.columns]
    some = part.select_columns(kept) if hasattr(part, "select_columns") else part
    found: list[Row] = []
    for number, entry in enumerate(some.to_list() if hasattr(some, "to_list") else [some[k] for k in range(len(some))]):
        row: dict[str, Any] = {}
        for key in kept:
            value, known = entry[key], names[key]
            if key == "translation" and isinstance(value, dict):
                row |= value
            elif known and isinstance(value, int):
                row[key] = known[value] if 0 <= value < len(known) else None  # -1: withheld
            else:
                row[key] = value
        found.append((f"{where}, row {number}", row))
    return found
