"""Embedded pairs of text: short reports drawn from a grammar, and the headline of each, so that summaries can be made anywhere.

A report has four to six sentences in any order but one: somebody did something, and where it happened, who watched and how the day was. Its headline says who
did what where, in the present, without adjectives: "anna keller opens a bakery in bern". It follows from the report with certainty (`headline`), so a perfect
summary is known and has ROUGE 1; but its words stand in two sentences, one of them changed, beside another person and another place. So neither the
first sentence nor a copied one comes near it. The expand-and-compress grammar of the field is made in this way because corpora cannot be passed on.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from agon.data.corpus import Corpus

TRAIN, HELD, SEED = 4_000, 1_000, 20170414  # reports; the seed never changes, so the set never does
FIRST = (
    "anna", "boris", "clara", "david", "elena", "felix", "greta", "hugo", "irene", "jonas", "karin", "lukas", "maria", "nils", "olga", "peter", "rosa", "simon",
    "tanja", "viktor",
)  # fmt: skip
LAST = (
    "adler", "bauer", "dietrich", "ebner", "fischer", "gruber", "huber", "jansen", "keller", "lehmann", "meier", "novak", "ott", "peters", "richter", "schmid",
    "tanner", "urban", "vogel", "weber",
)  # fmt: skip
PLACES = (
    "bern", "basel", "cork", "delft", "essen", "faro", "ghent", "graz", "jena", "kiel", "leeds", "linz", "lyon", "malmo", "nantes", "oslo", "porto", "riga",
    "turin", "vaduz", "vienna", "york", "zagreb", "zurich",
)  # fmt: skip
DEEDS = {
    "opened": "opens", "closed": "closes", "bought": "buys", "sold": "sells", "built": "builds", "painted": "paints", "found": "finds", "lost": "loses",
    "visited": "visits", "repaired": "repairs", "saved": "saves", "designed": "designs", "left": "leaves", "won": "wins", "moved": "moves", "planned": "plans",
}  # fmt: skip
THINGS = (
    "bakery", "bridge", "boat", "castle", "chapel", "clock", "farm", "garden", "harbour", "hotel", "library", "mill", "museum", "orchard", "palace", "piano",
    "school", "shop", "statue", "theatre", "tower", "train", "tunnel", "windmill",
)  # fmt: skip
KINDS = ("old", "new", "small", "large", "famous", "quiet", "red", "green", "wooden", "stone", "empty", "busy")
ROLES = ("baker", "doctor", "farmer", "painter", "sailor", "teacher", "tailor", "writer", "engineer", "lawyer")
WHEN = (
    "on monday",
    "last week",
    "in the morning",
    "late at night",
    "after years of work",
    "to the surprise of all",
    "without a word",
    "in the rain",
)
DAYS = (
    "it was a cold day",
    "the sun was shining",
    "the streets were empty",
    "snow had fallen",
    "a strong wind blew",
    "the market was busy",
)
SAID = (
    "many people came",
    "nobody had expected it",
    "the mayor was pleased",
    "the newspapers wrote about it",
    "some neighbours complained",
    "music was played",
)


def with_article(word: str) -> str:
    """A tower, an orchard."""
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def draw(dice: random.Random) -> tuple[str, str]:
    """(report, headline)."""

    def one(words: Sequence[str]) -> str:
        return words[int(dice.random() * len(words))]

    name = f"{one(FIRST)} {one(LAST)}"
    deed, thing, place = one(tuple(DEEDS)), one(THINGS), one(PLACES)
    other, elsewhere = f"{one(FIRST)} {one(LAST)}", one(tuple(p for p in PLACES if p != place))
    when = f"{one(WHEN)} " if dice.random() < 0.5 else ""
    news = [
        f"{when}the {one(ROLES)} {name} {deed} {with_article(one(KINDS))} {thing} .",
        f"this happened in {place} , not in {elsewhere} ." if dice.random() < 0.5 else f"all of it took place in {place} .",
    ]
    beside = [f"{one(DAYS)} .", f"{one(SAID)} .", f"{other} from {elsewhere} watched {with_article(one(THINGS))} ."]
    kept = [sentence for sentence in beside if dice.random() < 0.75] or beside[:1]
    sentences = news + kept
    for k in range(len(sentences) - 1, 0, -1):  # `shuffle` may change between versions of Python
        j = int(dice.random() * (k + 1))
        sentences[k], sentences[j] = sentences[j], sentences[k]
    return " ".join(sentences), f"{name} {DEEDS[deed]} {with_article(thing)} in {place}"


def headline(report: str) -> str:
    """The headline that a report asks for: the only one, read from its words. Raises ValueError for a text that is no such report."""
    sentences = [part.split() for part in report.replace(" ,", "").split(" .") if part.strip()]
    for words in sentences:
        for k, word in enumerate(words):
            if word in DEEDS and k >= 3 and words[k - 3] in ROLES and words[-1] in THINGS:
                where = next((s[s.index("in") + 1] for s in sentences if s[:2] in (["this", "happened"], ["all", "of"])), None)
                if where is not None:
                    return f"{words[k - 2]} {words[k - 1]} {DEEDS[word]} {with_article(words[-1])} in {where}"
    raise ValueError(f"no report: {report[:80]}")


def headlines(*, apart: bool = False) -> Corpus:
    """TRAIN and HELD different reports with their headlines; apart: the reports of one half of TRAIN and the headlines of the other."""
    dice, drawn = random.Random(SEED), dict[str, str]()
    while len(drawn) < TRAIN + HELD:
        report, told = draw(dice)
        drawn.setdefault(report, told)
    corpus = Corpus("reports and their headlines, drawn from a grammar", "headlines")
    corpus.sources, corpus.texts = list(drawn), list(drawn.values())
    if apart:
        corpus.sources = corpus.sources[: TRAIN // 2] + corpus.sources[TRAIN:]
        corpus.texts = corpus.texts[TRAIN // 2 :]
        corpus.apart = set(range(TRAIN // 2))
    corpus.held = [k >= len(corpus) - HELD for k in range(len(corpus))]
    corpus.split_origin = "drawn apart"
    return corpus
