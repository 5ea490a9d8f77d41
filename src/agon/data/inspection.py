"""What `agon data check` reports: what is there, what is wrong with it, and what training would do with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agon.data.duplicates import near_duplicates
from agon.data.opening import open_data
from agon.data.projection import contact_sheet, film_rows, film_warnings, is_films
from agon.data.request import Data
from agon.data.samples import DataSet
from agon.data.textreport import text_rows, text_warnings
from agon.spaces import Image, Tokens, Video

FEW_IMAGES = 200
PREVIEW_IMAGES = 64
PREVIEW_SENTENCES = 32
LISTED_LINES = 8
LISTED_NAMES = 40
RARE = 0.01  # a tag on a smaller share of the samples than this is hard to learn


@dataclass
class Report:
    """The findings, in plain values."""

    verdict: str  # one line
    warnings: list[str]  # each: what, and what to do about it
    card: dict[str, Any]  # the data card of `open_data`
    reasons: dict[str, str]  # what training would do, and why
    near_duplicates: list[list[str]] = field(default_factory=list)  # groups of names, the first LISTED_GROUPS
    num_near_duplicates: int = 0  # samples that have an earlier near-twin, exact copies included
    num_leaked: int = 0  # held-back samples that have a near-twin among the training samples
    preview: str | None = None  # path of the picture

    def to_json(self) -> dict[str, Any]:
        """The report as JSON-able values."""
        return asdict(self)

    def rows(self) -> list[tuple[str, str]]:
        """(heading, text) pairs in reading order, for a table."""
        card, rows = self.card, [("verdict", self.verdict)]
        rows += [("warning", text) for text in self.warnings]
        if "vocabulary" in card:
            return rows + text_rows(card, self.reasons) + ([("preview", self.preview)] if self.preview else [])
        rows.append(("found", f"{card['kind']}, {card['num_items']} {'films' if 'films' in card else 'items'} at {card['path']}"))
        rows.append(("usable", f"{card['num_train'] + card['num_held']}: {card['split']}"))
        if card["sizes"]:
            rows.append(("sizes", _counted(card["sizes"], card["num_sizes"]) + f"; median short side {card['median_short_side']:g}"))
        if "films" in card:
            rows += film_rows(card, self.reasons)
        if card["modes"]:
            rows.append(("modes", _counted(card["modes"], len(card["modes"]))))
        if card["formats"]:
            still = "first frame; --frames 16 reads them as clips"
            animated = f"; {card['animated']} animated ({still})" if card["animated"] and "films" not in card else ""
            rows.append(("formats", _counted(card["formats"], len(card["formats"])) + animated))
        labels = card["labels"]
        rows.append(("labels", self.reasons["labels"]))
        if labels.get("kind") in ("tags", "numbers"):
            rows += _condition_rows(labels, card)
        elif labels.get("kind") == "words":
            rows.append(
                ("captions", f"{labels['distinct']} different ones, of {len(labels['names'])} words, at most {labels['length']} each")
            )
            rows += [("  caption", f"{count} × {caption}") for caption, count in labels["captions"][:LISTED_LINES]]
        elif labels.get("counts"):
            together = {name: n + h for name, n, h in zip(labels["classes"], labels["counts"], labels["held_counts"], strict=True)}
            rows.append(("classes", _counted(together, len(together)) + f"; balance {labels['balance']:g} (smallest / largest)"))
        if "films" in card:
            rows.append(("duplicates", f"{card['duplicates']} exact copies of films"))
        else:
            rows += self._copies()
        rows.append(("unreadable", f"{card['num_unreadable']}"))
        rows += [("  skipped", f"{name}: {reason}") for name, reason in card["unreadable"][:LISTED_LINES]]
        if card["num_unreadable"] > LISTED_LINES:
            rows.append(("  skipped", f"… and {card['num_unreadable'] - LISTED_LINES} more, all in the JSON report"))
        if card["ignored"]:
            what = "films" if "films" in card else "pictures"
            rows.append(("ignored", f"not {what}: " + _counted(card["ignored"], len(card["ignored"]))))
        rows += [("note", note) for note in card["notes"]]
        rows += [
            (f"would {choice}", reason)
            for choice, reason in self.reasons.items()
            if choice in ("size", "channels", "resize", "frames", "rate", "limit", "balance")
        ]
        if self.preview:
            rows.append(("preview", self.preview))
        return rows

    def _copies(self) -> list[tuple[str, str]]:
        copies = f"{self.card['duplicates']} exact copies, {self.num_near_duplicates} near or exact ones"
        leaked = f", {self.num_leaked} of them held back while their twin is trained on" if self.num_leaked else ""
        return [("duplicates", copies + leaked), *(("  alike", "  ".join(group)) for group in self.near_duplicates[:LISTED_LINES])]

    def lines(self) -> list[str]:
        """The report as lines of plain text."""
        return [f"{heading:<14} {text}" for heading, text in self.rows()]


def _condition_rows(labels: dict[str, Any], card: dict[str, Any]) -> list[tuple[str, str]]:
    """A line a tag with its frequency, or a number with its range."""
    if labels["kind"] == "tags":
        total = max(1, card["num_train"] + card["num_held"])
        counts = [n + h for n, h in zip(labels["counts"], labels["held_counts"], strict=True)]
        told = [f"{name}: {count} of {total} ({count / total:.1%})" for name, count in zip(labels["names"], counts, strict=True)]
    elif "mean" in labels:
        columns = zip(*(labels[key] for key in ("names", "low", "quartiles", "high", "mean", "sd")), strict=True)
        told = [
            f"{name}: {low:g} to {high:g}; quartiles {', '.join(f'{q:g}' for q in quartiles)}; mean {mean:.4g}, sd {sd:.4g}"
            for name, low, quartiles, high, mean, sd in columns
        ]
    else:
        told = []
    heading = labels["kind"][:-1]
    rows = [(heading, text) for text in told[:LISTED_NAMES]]
    return rows + ([(heading, f"… and {len(told) - LISTED_NAMES} more, all in the JSON report")] if len(told) > LISTED_NAMES else [])


def _counted(counts: dict[str, int], total: int, shown: int = 6) -> str:
    told = ", ".join(f"{count} × {name}" for name, count in list(counts.items())[:shown])
    return told + (f", … ({total} kinds)" if total > shown else "")


LISTED_GROUPS = 100


def check(
    data: Data | str | Path,
    out: Path | None = None,
    *,
    cache: Path | None = None,
    say: Callable[[str, str], None] | None = None,
    max_size: int = 64,
) -> Report:
    """Open `data` as training would and report on it; with `out`, also write a preview picture there (a file name or a folder).

    Raises InputError where training would.
    """
    request = data if isinstance(data, Data) else Data(path=str(data))
    data_set = open_data(request, cache=cache, say=say, max_size=max_size)
    groups, leaked = _find_twins(data_set)
    report = Report(
        verdict="",
        warnings=[],
        card=data_set.card,
        reasons=data_set.reasons,
        near_duplicates=groups[:LISTED_GROUPS],
        num_near_duplicates=sum(len(group) - 1 for group in groups),
        num_leaked=leaked,
    )
    report.warnings = _warnings(data_set, report)
    usable = len(data_set.train) + len(data_set.held)
    skipped = int(data_set.card.get("num_unreadable") or 0)
    warned = f"{len(report.warnings)} warning{'s' if len(report.warnings) > 1 else ''}" if report.warnings else ""
    told = [f"{skipped} unreadable skipped" if skipped else "", warned]
    concern = ", " + (", ".join(filter(None, told)) or "nothing wrong found")
    report.verdict = f"usable: {usable} samples would train as {data_set.space.describe()}{concern}"
    if out is not None:
        report.preview = str(_preview(data_set, Path(out)))
    return report


def _find_twins(data_set: DataSet) -> tuple[list[list[str]], int]:
    if is_films(data_set):
        films = data_set.card["films"]
        return films["twins"], films["leaked"]
    if not isinstance(data_set.space, Image):
        return [], 0
    train, held = data_set.train, data_set.held
    assert isinstance(train.x, torch.Tensor) and isinstance(held.x, torch.Tensor)
    groups = near_duplicates(train.x, held.x)
    index = np.concatenate([part.index for part in (train, held) if part.index is not None])
    leaked = sum(sum(k >= len(train) for k in group) for group in groups if group[0] < len(train))
    return [[data_set.names[int(index[k])] for k in group] for group in groups], leaked


def _misfits(card: dict[str, Any]) -> list[str]:
    """Pictures far smaller than the size trained at, or of quite another shape."""
    told: list[str] = []
    small, long = card.get("num_small", 0), card.get("num_long", 0)
    if not small and not long:
        return told
    goal, usual = "{1}×{0}".format(*card["size"]), 0.5 * card["num_items"]
    if small:
        cure = "train at a smaller --size" if small > usual else "take out what was not meant"
        told.append(
            f"{small} of {card['num_items']} images are less than half as large as {goal} (as {card['smallest']}) and are enlarged: {cure}"
        )
    if long:
        how = {"cover": "most of each is cut away", "contain": "most of each is padding", "stretch": "each is squeezed"}[card["resize"]]
        cure = "another --size WxH" if long > usual else "crop or take out what was not meant"
        told.append(
            f"{long} of {card['num_items']} images have quite another shape than {goal} (as {card['longest']}), so that {how}: {cure}"
        )
    return told


def _warnings(data_set: DataSet, report: Report) -> list[str]:
    card, told = data_set.card, []
    if isinstance(data_set.space, Tokens):
        return text_warnings(card)
    usable = card["num_train"] + card["num_held"]
    if usable < FEW_IMAGES and isinstance(data_set.space, Image):
        told.append(f"only {usable} images: the critic will soon know them by heart; more images, or --mirror, help")
    told += _misfits(card)
    if card["num_unreadable"] > 0.02 * max(1, card["num_items"]):
        told.append(f"{card['num_unreadable']} of {card['num_items']} files cannot be used: see the list, replace or remove them")
    if "films" in card:
        told += film_warnings(card)
    elif report.num_near_duplicates > 0.05 * usable:
        told.append(f"{report.num_near_duplicates} of {usable} images repeat another one: a GAN will repeat them too; remove copies")
    if "films" not in card and report.num_leaked > 0.01 * max(1, card["num_held"]):
        told.append(f"{report.num_leaked} held-back images have a twin in training: scores against them will flatter")
    balance = card["labels"].get("balance")
    if card["labels"]["used"] and balance is not None and balance < 0.1:
        told.append(f"the largest class has {1 / max(balance, 1e-4):.0f} times the images of the smallest: rare classes will look worse")
    empty = [name for name, count in zip(card["labels"]["classes"], card["labels"].get("counts", []), strict=False) if count == 0]
    if card["labels"]["used"] and empty:
        which = (
            f"{len(empty)} classes have no training image (the first: {empty[0]})"
            if len(empty) > 1
            else f"class {empty[0]} has no training image"
        )
        told.append(f"{which} and cannot be learned: add pictures of it, or hold back fewer (--holdout)")
    if card["labels"]["used"] and card["labels"].get("kind") == "tags":
        told += _tag_warnings(card)
    if card["labels"]["used"] and card["labels"].get("kind") == "numbers":
        for name, low, high, mean, sd in zip(*(card["labels"][key] for key in ("names", "low", "high", "mean", "sd")), strict=True):
            if max(high - mean, mean - low) > 8 * sd:
                told.append(
                    f"'{name}' has values over 8 standard deviations from its mean ({low:g} to {high:g}): check them, or take its logarithm"
                )
    if card["median_short_side"] and card["size"] and card["median_short_side"] * 2 < min(card["size"]):
        told.append(f"most images are enlarged: their median short side is {card['median_short_side']:g} pixels; ask for a smaller size")
    return told


def _tag_warnings(card: dict[str, Any]) -> list[str]:
    shares = [
        (count / max(1, card["num_train"]), name) for count, name in zip(card["labels"]["counts"], card["labels"]["names"], strict=True)
    ]
    rare, all_on = [name for share, name in shares if share < RARE], [name for share, name in shares if share == 1.0]
    told = []
    if rare:
        told.append(f"{len(rare)} tags are on fewer than {RARE:.0%} of the samples (the first: {rare[0]}): they will hardly be learnt")
    if all_on:
        told.append(f"{len(all_on)} tags are on every sample (the first: {all_on[0]}): they teach nothing; leave them out of columns")
    return told


def _preview(data_set: DataSet, out: Path) -> Path:
    target = out if out.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp") else out / "preview.png"
    if isinstance(data_set.space, Video):
        return contact_sheet(data_set, out if out.suffix.lower() in (".mp4", ".gif") else target)
    x, y = data_set.train.x, data_set.train.y
    if isinstance(data_set.space, Tokens):
        picked = torch.linspace(0, len(x) - 1, min(len(x), PREVIEW_SENTENCES)).round().long()
        return data_set.space.render(x[picked], out if out.suffix else out / "preview.txt")
    if not isinstance(data_set.space, Image):
        return data_set.space.render(x[torch.arange(len(x))], target)
    first = y[:, 0] if y is not None and y.ndim == 2 else y  # classes lie together; tags and numbers are in order of the first of them
    order = torch.argsort(first, stable=True) if first is not None else torch.arange(len(x))
    picked = order[torch.linspace(0, len(x) - 1, min(len(x), PREVIEW_IMAGES)).round().long()]
    return data_set.space.render(x.index_select(0, picked), target)
