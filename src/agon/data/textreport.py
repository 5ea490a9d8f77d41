"""What `agon data check` says of a text: the rows of its report and its warnings, both from the data card."""

from __future__ import annotations

from typing import Any

FEW_SENTENCES = 1_000
MOST_LOST, MOST_COPIES, MOST_UNKNOWN, MOST_UNSEEN, MOST_ODD = 0.01, 0.05, 0.05, 0.1, 0.01  # shares above which there is a warning
SHORT_OF_BALANCE = 0.1
_LISTED = 8
_BAR = 24
_CHOICES = (
    "tokenizer",
    "target tokenizer",
    "source tokenizer",
    "length",
    "target length",
    "source length",
    "split",
    "limit",
    "too long",
    "balance",
)


def text_rows(card: dict[str, Any], reasons: dict[str, str]) -> list[tuple[str, str]]:
    """(heading, text) pairs in reading order, below the verdict and the warnings."""
    usable = card["num_train"] + card["num_held"]
    rows = [("found", f"{card['kind']}, {card['num_items']:,} sentences at {card['path']}"), ("usable", f"{usable:,}: {card['split']}")]
    if "words" not in card:  # a language, whose sentences are drawn
        return [*rows, *(("note", note) for note in card["notes"])]
    words = card["words"]
    rows.append(("words", f"{words['mean']:g} a sentence, {words['median']} in the middle, {words['most']} at most"))
    high = max(1, *(count for _, count in words["histogram"]))
    rows += [(f"  {name}", f"{'█' * round(_BAR * count / high) or '·'} {count:,}") for name, count in words["histogram"]]
    rows.append(("vocabulary", _coverage(card)))
    rows.append(("labels", reasons["labels"]))
    if card["labels"].get("counts"):
        together = [
            (n + h, name)
            for name, n, h in zip(card["labels"]["classes"], card["labels"]["counts"], card["labels"]["held_counts"], strict=True)
        ]
        rows += [("  class", f"{count:,} × {name}") for count, name in sorted(together, key=lambda one: -one[0])[:_LISTED]]
    rows.append(("duplicates", f"{card['duplicates']:,} exact, {card['duplicates_folded']:,} but for capitals"))
    rows += [("  alike", f"{count} × {text}") for count, text in card["commonest"]]
    rows.append(
        (
            "overlap",
            f"{card['overlap']:,} of {card['num_held']:,} held-back sentences are in training, {card['overlap_folded']:,} but for capitals",
        )
    )
    rows += [("  in both", text) for text in card["overlap_examples"]]
    rows.append(("faults", f"{card['num_unreadable']:,}"))
    rows += [
        ("  left out", f"{count:,} × {what}, first at {card['examples'][what]}") for what, count in list(card["faults"].items())[:_LISTED]
    ]
    if "pairs" in card:
        rows += _pair_rows(card["pairs"])
    rows += [("note", note) for note in card["notes"]]
    return rows + [(f"would {choice}", reasons[choice]) for choice in _CHOICES if choice in reasons]


def _coverage(card: dict[str, Any]) -> str:
    unseen = card["unseen_words"]
    told = f"{card['vocabulary']:,} tokens; unknown are {card['unknown_share']:.2%} of the tokens trained on"
    if not card["num_held"]:
        return told
    such = f", such as {', '.join(unseen['examples'])}" if unseen["examples"] else ""
    return f"{told}, {card['held_unknown_share']:.2%} of those held back; {unseen['share']:.2%} of the held-back words never stood in training{such}"


def _pair_rows(pairs: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [
        (
            "pairs",
            f"a text has {pairs['middle_ratio']:g} times the characters of its source, in the middle; {pairs['several_targets']:,} sources repeat",
        ),
        ("misaligned", f"{pairs['odd_lengths']:,} of lengths that do not go together, {pairs['same']:,} whose sides are the same"),
    ]
    rows += [("  odd", f"{source}  →  {text}") for source, text in pairs["odd_examples"]]
    return rows + [("  same", text) for text in pairs["same_examples"]]


def text_warnings(card: dict[str, Any]) -> list[str]:
    """Each: what, and what to do about it."""
    if "words" not in card:
        return []
    usable, told = card["num_train"] + card["num_held"], []
    held = max(1, card["num_held"])
    read = card["num_items"] + card["num_unreadable"]
    if usable < FEW_SENTENCES:
        told.append(f"only {usable} sentences: a model will soon know them by heart; a few thousand are little")
    if card["num_unreadable"] > MOST_LOST * read:
        what, count = next(iter(card["faults"].items()))
        cure = "save it as UTF-8, for example by iconv -f latin1 -t utf8" if what == "not UTF-8" else "mend or remove them"
        told.append(
            f"{card['num_unreadable']:,} of {read:,} sentences cannot be used, {count:,} × {what}, first at {card['examples'][what]}: {cure}"
        )
    if card["too_long"] > MOST_LOST * card["num_items"]:
        told.append(
            f"{card['too_long']:,} of {card['num_items']:,} sentences are too long and left out: give a larger --length, or cut them into sentences"
        )
    if card["duplicates_folded"] > MOST_COPIES * usable:
        told.append(
            f"{card['duplicates_folded']:,} of {usable:,} sentences repeat another one: a model will repeat them too; remove copies"
        )
    if card["overlap_folded"] > MOST_LOST * held:
        told.append(f"{card['overlap_folded']:,} of {held:,} held-back sentences are in training too: scores against them will flatter")
    if card["held_unknown_share"] > MOST_UNKNOWN:
        told.append(
            f"{card['held_unknown_share']:.1%} of the held-back tokens are unknown words: a larger --vocabulary, or --tokenizer bpe, knows them"
        )
    if card["unseen_words"]["share"] > MOST_UNSEEN:
        told.append(
            f"{card['unseen_words']['share']:.1%} of the held-back words never stood in training: the two sides are of different kinds, or few"
        )
    if "pairs" in card:
        odd, pairs = card["pairs"]["odd_lengths"], card["pairs"]["count"]
        if odd > MOST_ODD * pairs:
            told.append(
                f"{odd:,} of {pairs:,} pairs have lengths that do not go together: look whether lines are shifted against each other"
            )
        if card["pairs"]["same"] > MOST_COPIES * pairs:
            told.append(f"{card['pairs']['same']:,} of {pairs:,} pairs have the same text on both sides: they teach copying; remove them")
    balance = card["labels"].get("balance")
    if card["labels"]["used"] and balance is not None and balance < SHORT_OF_BALANCE:
        told.append(
            f"the largest class has {1 / max(balance, 1e-4):.0f} times the sentences of the smallest: rare classes will look worse; --balance"
        )
    return told
